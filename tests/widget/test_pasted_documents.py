"""The HTML of the embedding guide and of widget/webflow, pasted into pages as it stands and used in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.repository.snippets import ROOT, snippet_with
from tests.widget.conftest import Visitor

WEBFLOW = ROOT / "widget" / "webflow"
SIZE = {"width": 1000, "height": 700}
Paste = Callable[..., Page]


class Pages(BaseHTTPRequestHandler):
    """A site whose every page is the one HTML in ``html``."""

    html = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.html.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def paste(context: BrowserContext, baton: str) -> Iterator[Paste]:
    """Opens a page of a site that holds a snippet: ``paste(html, address="?session=...")``."""
    page = context.new_page()
    page.set_viewport_size(SIZE)
    site = type("Here", (Pages,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), site) as server:
        Thread(target=server.serve_forever, daemon=True).start()

        def show(html: str, address: str = "") -> Page:
            text = html.replace("https://YOUR-APP", baton)
            head = "<!doctype html><html lang=en><title>A site</title><body>"
            site.html = text if "<!doctype" in text else head + text
            page.goto(f"http://127.0.0.1:{server.server_port}/{address}")
            return page

        yield show
        page.close()
        server.shutdown()


def ticket_of(baton: str) -> tuple[str, str]:
    """A conversation with one message, and a ticket that works once."""
    session = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    head = {"Authorization": f"Bearer {session}"}
    httpx.post(f"{baton}/api/session/me/messages", json={"message": "asked elsewhere"}, headers=head)
    return session, httpx.post(f"{baton}/api/session/me/handoff", headers=head).json()["ticket"]


def test_the_frame_is_large_enough_to_write_in(paste: Paste) -> None:
    """The frame of the guide is as wide as its place and 600 pixels high, and the chat in it can be used (S5)."""
    page = paste(snippet_with('src="https://YOUR-APP/chat" title="Chat"', "html"))
    box = page.locator("iframe").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (pytest.approx(SIZE["width"], abs=20), 600)
    expect(page.frame_locator("iframe").get_by_role("textbox", name="Message")).to_be_visible()


@pytest.mark.parametrize("source", ["guide", "webflow"])
def test_a_page_of_ones_own_takes_the_conversation_on(paste: Paste, baton: str, source: str) -> None:
    """The page for "Open full page" fills the window, carries the conversation on, and cleans its address."""
    guide = snippet_with("Hands the one-time ticket", "html")
    _, ticket = ticket_of(baton)
    html = guide if source == "guide" else (WEBFLOW / "chat-page.html").read_text("utf-8")
    page = paste(html, f"?session={ticket}&x=1")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("asked elsewhere")).to_be_visible()
    box = page.locator("iframe").bounding_box()
    assert box is not None
    assert box["height"] == SIZE["height"]
    assert page.url.endswith("/?x=1")


def test_the_whole_page_of_the_guide_has_the_chat(paste: Paste) -> None:
    """The page for plain HTML opens a chat with its title and its questions to press."""
    page = paste(snippet_with("<!doctype html>", "html"))
    Visitor(page).open()
    expect(page.get_by_role("dialog", name="Ask us")).to_be_visible()
    expect(page.get_by_role("button", name="What does it cost?")).to_be_visible()


def test_the_chat_after_a_click_asks_nobody_before(paste: Paste, baton: str) -> None:
    """With the button of the guide nothing is fetched from the service before the click, which opens the chat."""
    asked: list[str] = []
    html = snippet_with('id="ask"', "html")
    page = paste(html)
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    assert not [url for url in asked if url.startswith(baton)]
    page.get_by_role("button", name=re.compile("Ask us")).click()
    expect(page.get_by_role("textbox", name="Message")).to_be_visible()


def test_the_conversation_without_the_launcher(paste: Paste) -> None:
    """The conversation stands in its box, as high as the box, and the launcher is out of sight."""
    page = paste(snippet_with('<div style="height: 600px"><baton-chat', "html"))
    expect(page.get_by_role("textbox", name="Message")).to_be_visible()
    expect(page.get_by_role("button", name="Open chat")).to_be_hidden()
    box = page.locator("baton-chat[data-title]").bounding_box()
    assert box is not None
    assert box["height"] == 600


@pytest.mark.parametrize("file", ["site-footer.html", "page-footer.html", "embed.html"])
def test_what_webflow_is_given_shows_the_chat(paste: Paste, file: str) -> None:
    """Each snippet for Webflow puts one launcher on the page, also when it is there twice."""
    html = (WEBFLOW / file).read_text("utf-8")
    page = paste(html + html)
    expect(page.get_by_role("button", name="Open chat")).to_have_count(1)
