"""The interactive pages in a real browser: the install page, the API reference, the demo site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.contract.conftest import RunningService
from tests.contract.html_page import HtmlPage


@dataclass
class Tab:
    """An open tab, with what went wrong in it and every host that it spoke to."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def is_clean(self, base: str) -> None:
        """Nothing was refused, nothing failed, and nobody but the service was asked."""
        assert self.wrong == []
        assert self.hosts == {urlsplit(base).netloc}


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """An empty tab of a browser that knows nothing yet."""
    context = browser.new_context()
    opened = Tab(context.new_page())
    page = opened.page
    page.on("console", lambda said: opened.wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: opened.wrong.append(str(error)))
    page.on("request", lambda request: opened.hosts.add(urlsplit(request.url).netloc))
    yield opened
    context.close()


def test_the_install_page_writes_the_tag_as_one_chooses(plain: RunningService, tab: Tab) -> None:
    """What is typed stands in the tag, escaped; an empty field adds nothing; the preview shows the real widget."""
    page = tab.page
    page.goto(plain.base + "/install")
    tag = page.locator("#tag")
    expect(tag).to_have_text('<script src="https://chat.example/widget.js" defer></script>')
    page.get_by_label("Title").fill('Say "hi" & <go>')
    page.get_by_label("Suggested questions, one a line").fill("What's new?\n\nHow?")
    page.get_by_label("Corner").select_option("bottom-left")
    expect(tag).to_contain_text("""data-title='Say "hi" &amp; &lt;go>'""")
    expect(tag).to_contain_text("""data-suggestions='["What&#39;s new?","How?"]'""")
    expect(tag).to_contain_text('data-position="bottom-left"')
    parsed = HtmlPage(tag.inner_text()).all("script")[0]
    assert parsed["data-title"] == 'Say "hi" & <go>'
    assert parsed["data-suggestions"] == '["What\'s new?","How?"]'
    frame = page.frame_locator("#preview")
    expect(frame.locator('script[data-title][data-position="bottom-left"]')).to_be_attached()  # the preview follows
    frame.get_by_role("button", name="Open chat").click()
    expect(frame.get_by_role("dialog", name='Say "hi" & <go>')).to_be_visible()
    page.get_by_label("Pin this version").check()
    expect(tag).to_contain_text("integrity=")
    tab.is_clean(plain.base)


def test_a_tool_tests_a_site_in_plain_words(brief: RunningService, tab: Tab) -> None:
    """An allowed site is told so, another one is told what to do, and a neighbour of an allowed one why not."""
    page = tab.page
    page.goto(brief.base + "/install")
    findings = page.get_by_role("status").last
    for typed, word in [
        ("https://a.example.com/page", "https://a.example.com is allowed."),
        ("www.a.example.com", "https://www.a.example.com is not allowed. Add it to BATON_ALLOWED_ORIGINS"),
        ("www.a.example.com", "“www.” and the port all count"),
        ("https://a.example.com.evil.test", "https://a.example.com.evil.test is not allowed"),
        ("not a site", "That is not the address of a website"),
        ("https://a.example.com", "The service answers and its storage works."),
    ]:
        page.get_by_label("Address of your site").fill(typed)
        page.get_by_role("button", name="Test it").click()
        expect(findings).to_contain_text(word)
    tab.is_clean(brief.base)


def test_the_api_page_shows_every_call(plain: RunningService, tab: Tab) -> None:
    """Each operation of the description has its place, once, with a line to copy; nothing loads from elsewhere."""
    description = httpx.get(plain.base + "/openapi.json").json()
    names = {call["operationId"] for item in description["paths"].values() for call in item.values()}
    page = tab.page
    page.goto(plain.base + "/docs#turn_in_progress")
    expect(page.locator("section.call").first).to_be_visible()
    shown = page.locator("section.call").evaluate_all("found => found.map((one) => one.id)")
    assert sorted(shown) == sorted(name for name in names if not name.endswith("_me"))
    expect(page.locator("#turn_in_progress")).to_be_in_viewport()
    tab.is_clean(plain.base)


def test_the_demo_site_opens_its_chat_by_a_button(plain: RunningService, tab: Tab) -> None:
    """The widget is on the page, and the page's own button opens it."""
    page = tab.page
    page.goto(plain.base + "/")
    page.get_by_role("button", name="Ask it something").click()
    expect(page.get_by_role("dialog", name="Ask Baton")).to_be_visible()
    tab.is_clean(plain.base)


def test_the_full_page_takes_its_looks_from_the_address_and_nothing_else(plain: RunningService, tab: Tab) -> None:
    """A colour, a theme, a language of the right form, kept through a reload; no words; the address is left clean."""
    page, chat = tab.page, tab.page.locator("baton-chat")
    page.goto(plain.base + "/chat?color=%230b6e5f&theme=dark&lang=de&title=Your+bank&session=tkt_x")
    for _ in range(2):
        expect(chat).to_have_attribute("data-color", "#0b6e5f")
        expect(chat).to_have_attribute("data-theme", "dark")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        assert chat.get_attribute("data-title") is None
        assert page.url == plain.base + "/chat"  # nobody vouches for a title in a link
        page.reload()
    page.goto(plain.base + "/chat?color=red%22+onload=x&theme=x&lang=%22%3E")
    expect(chat).to_have_attribute("data-color", "#0b6e5f")
