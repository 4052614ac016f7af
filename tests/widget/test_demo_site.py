"""The service as it is shipped: the demo, its own documentation as knowledge, the install page, bytes and manners."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Request, expect

from tests.conftest import Service
from tests.widget.conftest import Visitor, answered
from tests.widget.fake_bot import words

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with nothing set but its data folder."""
    one = Service({"BATON_DATA_DIR": str(tmp_path_factory.mktemp("shipped"))})
    yield one.url
    one.stop()


@pytest.fixture
def said(context: BrowserContext) -> Iterator[list[str]]:
    """What the browser complains of; at the end of the test: nothing."""
    lines: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type in {"error", "warning"}:
            lines.append(f"{line.text} {line.location}")

    context.on("console", hear)
    context.on("weberror", lambda one: lines.append(str(one.error)))
    yield lines
    assert lines == []


def test_the_main_flow(visit: Visit, shipped: str, context: BrowserContext, said: list[str]) -> None:
    """On the demo: ask about Baton, be answered with a source, open it, open the full page, go on there, reload."""
    asked: list[Request] = []
    context.on("request", lambda one: asked.append(one))
    visitor = visit(f"{shipped}/")
    visitor.open().ask("How long are conversations kept?")
    source = visitor.answers.get_by_role("link").first
    expect(source).to_be_visible()
    assert source.get_attribute("target") == "_blank"
    assert "noopener" in str(source.get_attribute("rel"))
    with context.expect_page() as opened:
        source.click()
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()
    assert "/knowledge/" in opened.value.url
    if "#" in opened.value.url:
        assert opened.value.locator(f"[id='{opened.value.url.split('#')[1]}']").count() == 1
    words = visitor.answers.locator(".text").inner_text()
    page = visitor.carry_on()
    expect(page.status).to_contain_text("Conversation continued from widget")
    expect(page.answers.locator(".text")).to_have_text(words, use_inner_text=True)
    page.ask("And how do I delete one?")
    expect(page.answers).to_have_count(2)
    expect(visitor.answers).to_have_count(2)
    page.page.reload()
    expect(page.articles).to_have_count(4)
    assert {one.url.split("/")[2] for one in asked} == {shipped.split("/")[2]}
    assert not [one.url for one in asked if "ses_" in one.url]


def test_two_live_panes(visit: Visit, baton: str, context: BrowserContext, said: list[str]) -> None:
    """A click shows one conversation in a widget and on a phone, which has every word after a reload in mid-answer."""
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url))
    visitor = visit(f"{baton}/")
    panes = [visitor.page.frame_locator(f"[data-pane={name}] iframe") for name in ("widget", "phone")]
    assert not [url for url in asked if "/api/" in url or "/assets/panel" in url or "preview" in url]
    visitor.button("Does it work with Webflow?").click()
    for pane in panes:
        expect(pane.get_by_role("article", name="You")).to_contain_text("Webflow")
        expect(pane.get_by_role("article", name="Assistant")).to_contain_text(words(30))
    visitor.button("Reload the phone in mid-answer").click()
    expect(visitor.page.locator("#live-note")).to_contain_text("goes on where it was")
    assert panes[0].get_by_role("article", name="Assistant").filter(has_text="w29").count() == 1
    for pane in panes:
        expect(pane.get_by_role("article", name="Assistant").last).to_contain_text(words(30))
        expect(pane.get_by_role("article")).to_have_count(4)
    box = panes[1].get_by_role("textbox", name="Message")
    box.fill("quick, from the phone")
    box.press("Enter")
    expect(panes[0].get_by_role("article").last).to_contain_text("A quick answer.")


def test_quiet_until_reached_for(visit: Visit, context: BrowserContext, baton: str, said: list[str]) -> None:
    """Also where a conversation is kept, a page load with the panel closed asks for /widget.js alone."""
    visitor = answered(visit().open())
    visitor.button("Close chat").click()
    expect(visitor.button("Open chat")).to_be_visible()
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url) if one.url.startswith(baton) else None)
    visitor.page.reload()
    expect(visitor.button("Open chat")).to_be_visible()
    visitor.page.mouse.move(5, 5)
    visitor.page.mouse.click(5, 5)
    visitor.page.wait_for_timeout(700)
    assert asked == [f"{baton}/widget.js"]
    visitor.open()
    expect(visitor.articles).to_have_count(2)


def test_what_goes_over_the_wire(visit: Visit, context: BrowserContext, baton: str) -> None:
    """The pasted script is at most 2 KB gzip, all that opening the panel loads at most 30 KB, compressed and kept."""
    loaded: list[str] = []
    context.on("request", lambda one: loaded.append(one.url) if ".js" in one.url else None)
    visitor = visit().open()
    expect(visitor.box).to_be_visible()
    answers = {url: httpx.get(url, headers={"Accept-Encoding": "gzip"}) for url in loaded}
    for url, answer in answers.items():
        assert answer.headers["Content-Encoding"] == "gzip", url
        assert "max-age" in answer.headers["Cache-Control"], url
        assert url.endswith("/widget.js") or "immutable" in answer.headers["Cache-Control"]
    sizes = {url: len(gzip.compress(answer.content, 9)) for url, answer in answers.items()}
    assert sizes[f"{baton}/widget.js"] <= 2048
    assert sum(sizes.values()) - sizes[f"{baton}/widget.js"] <= 30 * 1024
    assert context.cookies() == []


def test_install(visit: Visit, shipped: str, context: BrowserContext, said: list[str]) -> None:
    """The install page gives the tag with this service's address; options change it and the preview; it is copied."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor = visit(f"{shipped}/install")
    page = visitor.page
    expect(page.locator("#tag")).to_contain_text(f'<script src="{shipped}/widget.js" defer')
    page.get_by_label("Title").fill('Help & "more"')
    page.get_by_label("Corner").select_option("bottom-left")
    expect(page.locator("#tag")).to_contain_text("data-position")
    page.get_by_role("button", name="Copy the tag").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.includes('data-position'))")
    tag = page.evaluate("() => navigator.clipboard.readText()")
    assert "'Help &amp; \"more\"'" in tag
    page.get_by_role("button", name="Open or close").scroll_into_view_if_needed()
    page.locator("#preview").scroll_into_view_if_needed()
    preview = page.frame_locator("#preview")
    expect(preview.locator('script[data-title][data-position="bottom-left"]')).to_be_attached()  # the preview follows
    preview.get_by_role("button", name="Open chat").click()
    expect(preview.get_by_role("dialog", name=re.compile("Help"))).to_be_visible()


def test_the_pasted_tag(visit: Visit, shipped: str, site: str) -> None:
    """The tag of the install page, pinned with its integrity hash, works on a customer's site as it is."""
    install = visit(f"{shipped}/install").page
    install.get_by_label("Pin this version").check()
    expect(install.locator("#tag")).to_contain_text("integrity")
    tag = install.locator("#tag").inner_text()
    visitor = visit(tag='type="text/plain"', body=tag)
    visitor.open().ask("Is it free?")
    expect(visitor.answers).to_have_count(1)
    assert visitor.errors == []


def test_the_page_before_a_question(visit: Visit, said: list[str]) -> None:
    """Open full page works before the first question too, and then page and widget share one conversation."""
    visitor = visit().open()
    page = visitor.carry_on()
    expect(page.box).to_be_visible()
    page.ask("quick")
    expect(page.answers).to_have_count(1)
    expect(visitor.answers).to_have_count(1)


def test_nine_pages(visit: Visit, baton: str) -> None:
    """Nine tabs of the full page, each with a conversation of its own, are all answered over six connections."""
    pages = []
    for _ in range(9):
        made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
        ticket = httpx.post(f"{baton}/api/session/{made}/handoff").json()["ticket"]
        pages.append(visit(f"{baton}/chat?session={ticket}"))
    for number, page in enumerate(pages):
        page.page.bring_to_front()
        page.ask(f"words=40 pace=0.05 number {number}")
    for number, page in enumerate(pages):
        expect(page.answers.last).to_contain_text("w39", timeout=30_000)
        expect(page.articles.first).to_contain_text(f"number {number}")


def test_a_duplicated_page(visit: Visit, context: BrowserContext) -> None:
    """A duplicated tab of the full page carries on the same conversation, and both see what either asks."""
    page = visit().open().ask("quick").carry_on()
    expect(page.articles).to_have_count(2)
    with context.expect_page() as opened:
        page.page.evaluate("() => void window.open(location.href)")
    copy = Visitor(opened.value)
    expect(copy.articles).to_have_count(2)
    copy.ask("quick again")
    expect(page.articles).to_have_count(4)


def test_a_long_text(visit: Visit) -> None:
    """A text over the limit is not lost: it stays, with a word on why."""
    visitor = visit().open()
    visitor.ask("x" * 4001)
    expect(visitor.status).to_contain_text("too long")
    expect(visitor.box).to_have_value("x" * 4001)
    visitor.ask("x" * 4000)
    expect(visitor.answers).to_have_count(1)


def test_expired_on_the_service(visit: Visit, service: Callable[..., Service]) -> None:
    """When the session has expired under an open chat, the next question starts a new one; what was said stays."""
    bot = "python:tests.widget.fake_bot:answer"
    one = service(BATON_ENGINE=bot, BATON_SESSION_TTL="2", BATON_SESSION_MAX_AGE="2", WEB_CONCURRENCY="1")
    visitor = answered(visit(tag=f'data-api-url="{one.url}"').open(), "quick 1")
    visitor.page.wait_for_timeout(2500)
    visitor.ask("quick 2")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.articles.first).to_contain_text("quick 1")
    assert visitor.errors == []


def test_a_key_that_is_gone(visit: Visit) -> None:
    """A session key that is no more is no dead end: a question starts a new conversation."""
    visitor = visit(tag=f'data-session-key="ses_{"x" * 32}"').open().ask("quick 1")
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(visitor.articles).to_have_count(2)
