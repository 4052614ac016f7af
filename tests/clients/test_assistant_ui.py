"""assistant-ui on its AG-UI runtime, in Chromium: the code of docs/integrations.md as it stands there."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients.conftest import FOLDER
from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import RunningService
from tests.repository.snippets import snippet_with

WORDS = "".join(f"w{number} " for number in range(40))
Open = Callable[[str, str], Page]


@pytest.fixture(scope="module")
def bundle(node_modules: None) -> Callable[[str, Path], None]:
    """Writes the page's script, for a service at an address."""

    def build(url: str, out: Path) -> None:
        snippet = out.with_name("snippet.jsx")
        snippet.write_text(snippet_with("useAgUiRuntime", "jsx").replace("https://YOUR-APP", url))
        subprocess.run(
            [FOLDER / "node_modules/.bin/esbuild", FOLDER / "assistant_ui.jsx", "--bundle", f"--outfile={out}",
             "--jsx=automatic", f"--alias:baton-snippet={snippet}", "--log-level=error",
             '--define:process.env.NODE_ENV="production"'],
            env=os.environ | {"NODE_PATH": str(FOLDER / "node_modules")}, check=True, timeout=60,
        )  # fmt: skip

    return build


@pytest.fixture
def open_page(browser: Browser, bundle: Callable[[str, Path], None], tmp_path: Path) -> Iterator[Open]:
    """Opens the page, which is another site than the service, for a service and a session."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def open_page(url: str, session_id: str) -> Page:
        html = "<!doctype html><meta charset=utf-8><div id=app></div><script src=app.js></script>"
        (tmp_path / "index.html").write_text(html)
        bundle(url, tmp_path / "app.js")
        page = context.new_page()
        page.goto(f"http://localhost:{server.server_port}/#{session_id}")
        expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        return page

    yield open_page
    context.close()
    server.shutdown()
    server.server_close()


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_an_answer_cut_by_a_reload(open_page: Open, service: RunningService, visitor: Visitor) -> None:
    """The page is loaded again in mid-answer, and a second one opened: both go on to the same end, nothing twice."""
    page = open_page(service.base, visitor.id)
    ask(page, "tokens=40 delay=0.1")
    expect(page.get_by_role("article").nth(1)).to_contain_text("w3")
    page.reload()
    second = page.context.new_page()
    second.goto(page.url)
    for shown in (page, second):
        expect(shown.get_by_role("article").nth(1)).to_have_text(WORDS.strip())
        expect(shown.get_by_role("article")).to_have_count(2)
    assert visitor.texts() == ["tokens=40 delay=0.1", WORDS]
    ask(page, "and then?")
    expect(page.get_by_role("article").nth(3)).to_have_text("echo: and then?")
    page.reload()
    expect(page.get_by_role("article")).to_have_text(["tokens=40 delay=0.1", WORDS, "and then?", "echo: and then?"])
    assert service.own.engine_calls("and then?") == 1


def test_an_answer_that_breaks(open_page: Open, service: RunningService, visitor: Visitor) -> None:
    """The words before the break stay, and the library shows the error."""
    page = open_page(service.base, visitor.id)
    ask(page, "fail-after=3")
    expect(page.get_by_role("article").nth(1)).to_contain_text("w0 w1 w2")
    expect(page.get_by_role("alert")).to_have_text("The answer could not be made")


def test_a_refusal_by_a_limit(open_page: Open, limited_service: RunningService) -> None:
    """The library shows the problem in place of the answer; what was answered before stays."""
    visitor = ApiClient(limited_service.base, address="127.0.0.64").create()
    page = open_page(limited_service.base, visitor.id)
    for number in range(6):
        ask(page, f"hello {number}")
        expect(page.get_by_role("article")).to_have_count(2 * number + 2)
        expect(page.get_by_role("article").last).to_have_text(f"echo: hello {number}")
    ask(page, "one more")
    expect(page.get_by_role("alert")).to_contain_text("rate_limited")
    assert len(visitor.texts()) == 12
