"""What browser tests use: the service with a slow bot, a host page on another site, and a visitor who acts."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.conftest import ROOT, Service

DEADLINE = 15_000
PACKAGES = ROOT / "widget/node_modules"
SLOW_BOT = {
    "BATON_ENGINE": "python:tests.widget.fake_bot:answer",
    "BATON_ENGINE_CONCURRENCY": "1000",  # all visitors share one address, which has a quarter of this
    "BATON_RATE_LIMIT_CREATE": "",
    "BATON_RATE_LIMIT_SESSION": "",
    "BATON_RATE_LIMIT_ADDRESS": "",
}


@contextlib.contextmanager
def serve_baton(folder: Path, **settings: str) -> Iterator[str]:
    """The address of a service whose bot speaks slowly; ``localhost``, so that host pages are another site."""
    service = Service({"BATON_DATA_DIR": str(folder), **SLOW_BOT, **settings})
    try:
        yield service.url.replace("127.0.0.1", "localhost")
    finally:
        service.stop()


@pytest.fixture(scope="session")
def baton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service that most tests share."""
    with serve_baton(tmp_path_factory.mktemp("baton")) as address:
        yield address


class Site(http.server.BaseHTTPRequestHandler):
    """A customer's site: each page has the tag, with the attributes of ``?tag=`` and the head of ``?head=``.

    ``?html=`` is a page of its own instead; below ``/packages/`` are the files of npm packages.
    """

    baton = ""

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        tag, head, body = (asked.get(name, [""])[0] for name in ("tag", "head", "body"))
        script = f'<script src="{self.baton}/widget.js" defer {tag}></script>'
        top = f"<!doctype html><html lang=en><head><title>A site</title>{head}</head>"
        page = f"{top}<body><main><h1>A site</h1>{body}</main>{script}</body></html>"
        page = asked.get("html", [page])[0]
        kind = "text/html"
        if path.startswith("/packages/"):
            kind, page = "text/javascript", (PACKAGES / path.removeprefix("/packages/")).read_text()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if "csp" in asked:
            self.send_header(
                "Content-Security-Policy", f"default-src 'none'; script-src {self.baton}; connect-src {self.baton}"
            )
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def serve_site(baton: str) -> Iterator[str]:
    """The address of a customer's site that uses the service at ``baton``."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("CustomerSite", (Site,), {"baton": baton})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def site(baton: str) -> Iterator[str]:
    """The address of the customer's site."""
    with serve_site(baton) as address:
        yield address


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one visitor, empty; it keeps what was asked of whom in ``asked``."""
    one = browser.new_context()
    one.set_default_timeout(DEADLINE)
    expect.set_options(timeout=DEADLINE)
    yield one
    with contextlib.suppress(Exception):
        one.close()


class Visitor:
    """A visitor at one tab, who finds things by their accessible names."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @property
    def articles(self) -> Locator:
        return self.page.get_by_role("log", name="Conversation").get_by_role("article")

    @property
    def answers(self) -> Locator:
        return self.page.get_by_role("article", name="Assistant")

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def open(self) -> Visitor:
        self.button("Open chat").click()
        expect(self.page.get_by_role("dialog")).to_be_visible()
        return self

    def ask(self, text: str) -> Visitor:
        self.box.fill(text)
        self.box.press("Enter")
        return self

    def act(self, name: str) -> Visitor:
        """Presses an action: a button in sight, or behind the one with ``aria-expanded``."""
        found = self.page.get_by_role("button", name=name).or_(self.page.get_by_role("menuitem", name=name))
        if not found.first.is_visible():
            self.page.get_by_role("button", name="More actions").click()
        found.first.click()
        return self

    def carry_on(self) -> Visitor:
        """Presses "Open full page" and gives the visitor of the tab that opens."""
        with self.page.context.expect_page() as opened:
            self.page.get_by_role("button", name="Open full page").or_(
                self.page.get_by_role("link", name="Open full page")
            ).first.click()
        return Visitor(opened.value)


def answered(visitor: Visitor, text: str = "quick") -> Visitor:
    """Somebody has asked and been answered."""
    before = visitor.answers.count()
    visitor.ask(text)
    expect(visitor.answers).to_have_count(before + 1)
    expect(visitor.button("Stop")).to_have_count(0)
    return visitor


@pytest.fixture
def visit(context: BrowserContext, site: str) -> Callable[..., Visitor]:
    """Opens a tab on the site: ``visit(tag='data-title="Help"')``; ``url`` goes elsewhere."""

    def go(url: str = "", tag: str = "", **more: str) -> Visitor:
        page = context.new_page()
        visitor = Visitor(page)
        page.goto(url or f"{site}?{urlencode({'tag': tag, **more})}")
        return visitor

    return go


@pytest.fixture
def stranger(browser: Browser, site: str) -> Iterator[Callable[..., Visitor]]:
    """Visitors with a browser of their own, on the site or at ``url``; ``more`` (``locale``) is for the browser."""
    with contextlib.ExitStack() as opened:

        def come(url: str = "", tag: str = "", **more: object) -> Visitor:
            one = browser.new_context(**more)  # type: ignore[arg-type]
            opened.callback(one.close)
            one.set_default_timeout(DEADLINE)
            expect.set_options(timeout=DEADLINE)
            page = one.new_page()
            visitor = Visitor(page)
            page.goto(url or f"{site}?{urlencode({'tag': tag})}")
            return visitor

        yield come
