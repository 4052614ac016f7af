"""``ChatWidget`` for React 19, React 18 and Vue 3: the applications of ``examples/``, built and driven in Chromium."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.conftest import ROOT
from tests.widget.conftest import Visitor, answered

Stranger = Callable[..., Visitor]


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each request."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="session")
def examples(baton: str) -> Iterator[str]:
    """The address under which the built applications stand; React's own warnings and StrictMode are on."""
    if shutil.which("npm") is None:
        pytest.skip("no Node here: the components for React and Vue are not tested")
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    try:
        run(["make", "--no-print-directory", "example-apps"], cwd=ROOT)
        environ = {**os.environ, "NODE_ENV": "development", "VITE_BATON_URL": baton}
        run(["npm", "run", "build"], cwd=ROOT / "examples", env=environ)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error}\n{error.stdout}\n{error.stderr}")
    handler = functools.partial(QuietFiles, directory=str(ROOT / "examples"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(params=["react", "react18", "vue"])
def app(request: pytest.FixtureRequest, examples: str) -> str:
    """The address of one application."""
    return f"{examples}/{request.param}/dist/index.html"


@pytest.fixture
def come(stranger: Stranger) -> Iterator[Stranger]:
    """Visitors in a browser of their own; at the end no console has had a warning or an error."""
    lines: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type in {"error", "warning"}:
            lines.append(line.text)

    def one(url: str) -> Visitor:
        visitor = stranger(url="about:blank")
        visitor.page.on("console", hear)
        visitor.page.on("pageerror", lambda error: lines.append(str(error)))
        visitor.page.goto(url)
        return visitor

    yield one
    assert lines == []


def events(page: Page) -> list[str]:
    return page.get_by_role("region", name="Events").get_by_role("listitem").all_inner_texts()


def use_key(visitor: Visitor, key: str) -> None:
    visitor.page.get_by_label("Session key").fill(key)
    visitor.button("Use it").click()


def test_isolated_and_restored(come: Stranger, app: str) -> None:
    """Two browsers have two conversations; a reload keeps each; one question brings one event of each kind."""
    first, second = come(app), come(app)
    first.open().ask("quick from the first")
    expect(first.answers).to_have_count(1)
    expect(first.page.get_by_role("region", name="Events")).to_contain_text("assistant: A quick answer.")
    assert sorted(events(first.page)) == [
        "assistant: A quick answer.", "open", "session active", "user: quick from the first",
    ]  # fmt: skip
    second.open()
    expect(second.box).to_be_visible()
    expect(second.articles).to_have_count(0)
    first.page.reload()
    expect(first.articles).to_have_count(2)
    expect(first.articles.first).to_contain_text("from the first")


def test_session_key(come: Stranger, app: str, baton: str) -> None:
    """An id of the service is used directly; another key is another conversation, and the way back leads back."""
    made = [httpx.post(f"{baton}/api/session/create").json()["session_id"] for _ in "ab"]
    for session, text in zip(made, ("in a", "in b"), strict=True):
        httpx.post(f"{baton}/api/session/{session}/messages", json={"message": text})
    visitor = come(app)
    use_key(visitor, made[0])
    visitor.open()
    expect(visitor.articles).to_have_count(1)
    expect(visitor.articles).to_contain_text("in a")
    use_key(visitor, made[1])
    expect(visitor.articles).to_contain_text("in b")
    visitor.ask("quick to b")
    expect(visitor.answers).to_have_count(1)
    assert len(httpx.get(f"{baton}/api/session/{made[1]}/messages").json()["messages"]) == 3
    use_key(visitor, "")
    expect(visitor.articles).to_have_count(0)
    use_key(visitor, made[0])
    expect(visitor.articles).to_have_count(1)
    expect(visitor.articles).to_contain_text("in a")


def test_named_key(come: Stranger, app: str) -> None:
    """A name is a conversation of its own in this browser, found again by the same name, and by nobody else."""
    first, second = come(app), come(app)
    use_key(first, "support:7")
    first.open().ask("quick to support")
    expect(first.answers).to_have_count(1)
    use_key(first, "sales")
    expect(first.articles).to_have_count(0)
    use_key(first, "support:7")
    expect(first.articles).to_have_count(2)
    use_key(second, "support:7")
    second.open()
    expect(second.box).to_be_visible()
    expect(second.articles).to_have_count(0)


def test_props_and_equal_objects(come: Stranger, app: str) -> None:
    """A changed colour shows in the open panel, which stays as it is; renderings with equal lists change nothing."""
    visitor = come(app)
    expect(visitor.button("Open chat")).to_be_visible()
    visitor.page.evaluate(
        """() => new MutationObserver((all) => all.forEach((one) => { window.changes = (window.changes ?? 0) + 1; }))
            .observe(document.querySelector('baton-widget').shadowRoot, { childList: true })"""
    )
    visitor.button("Open panel").click()
    visitor.box.fill("half a word")
    launcher = visitor.button("Close chat")
    background = "element => getComputedStyle(element).backgroundColor"
    before = launcher.evaluate(background)
    visitor.page.get_by_label("Colour").select_option("red")
    visitor.page.wait_for_function(
        "before => getComputedStyle(document.querySelector('baton-widget').shadowRoot.querySelector('button'))"
        ".backgroundColor !== before",
        arg=before,
    )
    expect(visitor.box).to_have_value("half a word")
    visitor.page.get_by_label("Session key").press_sequentially("render it again")
    # The panel was added once, and nothing was taken away or built anew; no event but the first.
    assert visitor.page.evaluate("() => window.changes") == 1
    assert events(visitor.page) == ["open"]


def test_handle(come: Stranger, app: str) -> None:
    """open, close, end and reset work by the handle; unmounting takes the widget away, mounting brings it back."""
    visitor = come(app)
    visitor.button("Open panel").click()
    visitor.ask("quick")
    expect(visitor.answers).to_have_count(1)
    visitor.button("Close panel").click()
    expect(visitor.box).to_be_hidden()
    visitor.button("End").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="End chat").last.click()
    expect(visitor.status).to_contain_text("ended")
    visitor.button("Unmount").click()
    expect(visitor.page.locator("baton-widget")).to_have_count(0)
    visitor.button("Mount").click()
    expect(visitor.page.locator("baton-widget")).to_have_count(1)
    visitor.button("Reset").click()
    visitor.button("Open panel").click()
    expect(visitor.articles).to_have_count(0)


def test_inline(come: Stranger, app: str, baton: str) -> None:
    """Inline there is no launcher; it shows the browser's conversation, changes with its props, and ends when asked."""
    visitor = answered(come(app).open())
    visitor.button("Inline").click()
    expect(visitor.page.locator("baton-chat.chat").get_by_role("article")).to_have_count(2)
    expect(visitor.page.get_by_role("button", name=re.compile("(Open|Close) chat"))).to_have_count(0)
    use_key(visitor, httpx.post(f"{baton}/api/session/create").json()["session_id"])
    expect(visitor.articles).to_have_count(0)
    use_key(visitor, "")
    expect(visitor.articles).to_have_count(2)
    visitor.ask("quick again")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.page.get_by_role("region", name="Events")).to_contain_text("user: quick again")
    visitor.button("End").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="End chat").click()
    expect(visitor.status).to_contain_text("ended")
    visitor.button("Corner").click()
    expect(visitor.button("Open chat")).to_be_visible()


def test_two_inline_chats(stranger: Stranger, site: str, baton: str) -> None:
    """Elements with different keys are different conversations, with the same key one; an attribute may change."""
    made = [httpx.post(f"{baton}/api/session/create").json()["session_id"] for _ in "ab"]
    body = "".join(
        f'<div style="height:300px"><baton-chat id={name} data-session-key="{key}"></baton-chat></div>'
        for name, key in zip(("a", "b", "c"), (*made, made[0]), strict=True)
    )
    visitor = stranger(url=str(httpx.URL(site, params={"body": body})))
    logs = [visitor.page.locator(f"#{name}").get_by_role("article") for name in "abc"]
    box = visitor.page.locator("#a").get_by_role("textbox", name="Message")
    box.fill("quick to a")
    box.press("Enter")
    expect(logs[0]).to_have_count(2)
    expect(logs[2]).to_have_count(2)
    expect(logs[1]).to_have_count(0)
    visitor.page.locator("#b").evaluate("(element, key) => { element.dataset.sessionKey = key; }", made[0])
    expect(logs[1]).to_have_count(2)
    visitor.page.locator("#c").evaluate("element => element.remove()")
    box.fill("quick once more")
    box.press("Enter")
    expect(logs[1]).to_have_count(4)
    assert visitor.errors == []


def test_package_files() -> None:
    """Both packages have the version of the service, and no lock file names where its packages came from."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("react", "vue"):
        assert json.loads((ROOT / "widget" / name / "package.json").read_text())["version"] == version
    for lock in ("widget", "examples"):
        packages = json.loads((ROOT / lock / "package-lock.json").read_text())["packages"].values()
        assert [one["resolved"] for one in packages if ":" in one.get("resolved", "")] == []
