"""A site's branding in a real browser: set once on the server, shown by widget, full page and pages alike (S1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.widget.conftest import Visitor, serve_baton, serve_site

Visit = Callable[..., Visitor]
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80"><circle cx="40" cy="40" r="40" fill="teal"/></svg>'
)
PURPLE = "rgb(124, 58, 237)"


@pytest.fixture(scope="module")
def teahouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with branding of its own, in German, purple and dark."""
    folder = tmp_path_factory.mktemp("branding")
    (folder / "logo.svg").write_text(LOGO)
    settings = {
        "BATON_TITLE": "Teehaus Grün", "BATON_GREETING": "Grüß Gott!", "BATON_ASSISTANT_NAME": "Matcha",
        "BATON_SUGGESTIONS": '["Wann haben Sie offen?"]', "BATON_COLOR": "#7c3aed", "BATON_LANG": "de",
        "BATON_THEME": "dark", "BATON_LOGO": str(folder / "logo.svg"),
        "BATON_CONTACT_URL": "mailto:hallo@teehaus.example",
    }  # fmt: skip
    with serve_baton(folder / "data", **settings) as address:
        yield address.replace("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def shop(teahouse: str) -> Iterator[str]:
    """The address of a site that has the teahouse's tag on it."""
    with serve_site(teahouse) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture
def enter(context: BrowserContext, shop: str) -> Visit:
    """Opens a tab on the shop."""

    def go(url: str = "", tag: str = "", **more: str) -> Visitor:
        visitor = Visitor(context.new_page())
        visitor.page.goto(url or f"{shop}?{urlencode({'tag': tag, **more})}")
        return visitor

    return go


def carry_on(visitor: Visitor) -> Page:
    with visitor.page.context.expect_page() as opened:
        visitor.page.get_by_role("button", name="Ganze Seite öffnen").click()
    return opened.value


def test_the_widget_takes_the_face_of_the_server(enter: Visit) -> None:
    """Title, greeting, suggestions, colour, language, theme, logo and assistant; asked for with the panel."""
    visitor, asked = enter(), list[str]()
    visitor.page.on("request", lambda request: asked.append(request.url))
    launcher = visitor.button("Chat öffnen")
    expect(launcher).to_have_css("background-color", PURPLE)
    assert not [url for url in asked if "/api/site" in url]
    launcher.click()
    panel = visitor.page.get_by_role("dialog", name="Teehaus Grün")
    expect(panel.get_by_role("heading", name="Teehaus Grün")).to_be_visible()
    expect(panel.get_by_text("Grüß Gott!")).to_be_visible()
    expect(panel.get_by_role("log")).to_have_css("color-scheme", "dark")
    expect(panel.locator("header img")).to_have_js_property("naturalWidth", 80)
    assert len([url for url in asked if "/api/site" in url]) == 1
    panel.get_by_role("button", name="Wann haben Sie offen?").click()
    expect(panel.get_by_role("article", name=re.compile("^Matcha"))).to_be_visible()
    assert visitor.errors == []


def test_an_option_of_the_tag_goes_before(enter: Visit) -> None:
    """What the tag says goes before what the server says, one by one; a wrong or empty option does not."""
    tag = """data-title="Kasse" data-color="#0b6e5f" data-lang="en" data-theme="light" data-greeting="" """
    visitor = enter(tag=tag)
    expect(visitor.button("Open chat")).to_have_css("background-color", "rgb(11, 110, 95)")
    panel = visitor.open().page.get_by_role("dialog", name="Kasse")
    expect(panel.get_by_text("Grüß Gott!")).to_be_visible()
    expect(panel.get_by_role("log")).to_have_css("color-scheme", "light")
    visitor.ask("Hello")
    expect(panel.get_by_role("article", name=re.compile("^Matcha"))).to_be_visible()


def test_nothing_is_asked_before_the_first_intent(context: BrowserContext, shop: str) -> None:
    """A page with the tag asks the service for /widget.js and nothing else until a visitor reaches for the chat."""
    page, asked = context.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{shop}?tag=", wait_until="networkidle")
    paths = [url.rpartition("/")[2] for url in asked if not url.startswith(shop)]
    assert paths == ["widget.js"]


def test_where_images_are_forbidden_the_initial_stands(enter: Visit) -> None:
    """On a page whose CSP forbids images the logo's place has the initial of the title."""
    visitor = enter(csp="1")
    visitor.button("Chat öffnen").click()
    header = visitor.page.get_by_role("dialog", name="Teehaus Grün").locator("header")
    expect(header.locator("b").first).to_have_text("T")
    expect(header.locator("img")).to_have_count(0)


@pytest.mark.parametrize("unavailable", ["404", "abort", "wrong"])
def test_without_the_face_the_widget_has_its_own(context: BrowserContext, shop: str, unavailable: str) -> None:
    """A service that does not send its branding, or sends nonsense, does not take the chat away."""
    page = context.new_page()
    page.route(
        "**/api/site",
        lambda route: (
            route.abort()
            if unavailable == "abort"
            else route.fulfill(status=404, json={"title": "Not found", "success": False})
            if unavailable == "404"
            else route.fulfill(json={"title": 7, "greeting": {}, "suggestions": "x", "logo_url": "javascript:alert(1)"})
        ),
    )
    page.goto(f"{shop}?tag=")
    page.get_by_role("button", name="Chat öffnen").click()
    expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_visible()
    assert "Not found" not in page.get_by_role("dialog").inner_text()


def test_the_full_page_keeps_the_title_of_the_widget(enter: Visit, teahouse: str) -> None:
    """After a hand-over the full page shows the widget's own title and greeting, the server's for everything else."""
    visitor = enter(tag='data-title="Kasse & Versand" data-greeting="Fragen zur Bestellung?"')
    visitor.button("Chat öffnen").click()
    visitor.page.get_by_role("dialog", name="Kasse & Versand").get_by_role("textbox").fill("Hallo")
    visitor.page.keyboard.press("Enter")
    page = carry_on(visitor)
    heading = page.get_by_role("heading", level=1, name="Kasse & Versand")
    expect(heading).to_be_visible()
    expect(page.get_by_text("Fragen zur Bestellung?")).to_be_visible()
    expect(page).to_have_title("Kasse & Versand")
    expect(page.get_by_role("article", name=re.compile("^Matcha"))).to_be_visible()
    assert page.url == f"{teahouse}/chat"
    page.reload()
    expect(heading).to_be_visible()


def test_a_link_puts_no_words_into_the_page(enter: Visit, teahouse: str) -> None:
    """A title in a link that no allowed site has opened is not shown: the server's own stands."""
    spoofed = "Your bank: type your password"
    page = enter(f"{teahouse}/chat?title={quote(spoofed)}&greeting={quote(spoofed)}").page
    expect(page.get_by_role("heading", level=1, name="Teehaus Grün")).to_be_visible()
    expect(page.get_by_text("Grüß Gott!")).to_be_visible()
    assert spoofed not in page.content()
    assert page.url == f"{teahouse}/chat"


def test_the_pages_wear_the_face(enter: Visit, teahouse: str) -> None:
    """The full page, a page of the folder and an error page have the title, logo, language and theme of the site."""
    page = enter(f"{teahouse}/chat").page
    expect(page.get_by_role("heading", level=1, name="Teehaus Grün")).to_be_visible()
    expect(page.get_by_role("button", name="Wann haben Sie offen?")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    for path in ("/knowledge", "/knowledge/no-such-page"):
        page.goto(teahouse + path)
        expect(page.get_by_role("banner").get_by_role("link", name="Teehaus Grün")).to_be_visible()
        expect(page.get_by_role("banner").locator("img")).to_have_js_property("naturalWidth", 80)
        expect(page.get_by_role("contentinfo").get_by_role("link", name="Kontakt")).to_be_visible()
        assert page.locator("html").get_attribute("lang") == "de"
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(16, 18, 23)"
        assert "Baton" not in page.title().partition("·")[2]
