"""Accessibility: names and roles, the keyboard, screen readers, zoom, small screens, right-to-left."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.widget.conftest import Visitor, answered
from tests.widget.fake_bot import PROSE, words
from tests.widget.test_reading import COVERED

Visit = Callable[..., Visitor]
Stranger = Callable[..., Visitor]
LISTEN = """() => { window.heard = [];
    const implied = { status: 'polite', alert: 'assertive', log: 'polite' };
    const live = (node) => { for (let at = node; at; at = at.parentNode || at.host) if (at.nodeType === 1) {
        const own = at.getAttribute('aria-live') || implied[at.getAttribute('role')];
        if (own) return own !== 'off' } return false };
    const changed = (one) => one.type === 'characterData' ? [one.target] : one.addedNodes;
    const hear = (root) => { new MutationObserver((seen) => { for (const one of seen) for (const node of changed(one))
        if (node.textContent.trim() && live(one.target)) window.heard.push(node.textContent) })
            .observe(root, { childList: true, characterData: true, subtree: true });
        for (const one of root.querySelectorAll('*')) if (one.shadowRoot) hear(one.shadowRoot) };
    hear(document.querySelector('baton-widget, baton-chat').shadowRoot) }"""
FOCUS = """() => { let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at?.getAttribute('aria-label')
    || at?.textContent?.trim() || at?.localName }"""


def inside(page: Page, box: Locator) -> None:
    """It can be seen whole within the window."""
    found, window = box.bounding_box(), page.viewport_size
    assert found
    assert window
    assert found["x"] >= -0.5
    assert found["y"] >= -0.5
    assert found["x"] + found["width"] <= window["width"] + 0.5
    assert found["y"] + found["height"] <= window["height"] + 0.5


@pytest.mark.parametrize("where", ["widget", "page"])
def test_the_names(visit: Visit, where: str) -> None:
    """Everything has the role and the name of the contract, once, in the widget and on the page."""
    visitor = visit(tag='data-title="Help desk"').open()
    expect(visitor.page.get_by_role("dialog", name="Help desk")).to_have_count(1)
    expect(visitor.button("Close chat")).to_have_count(1)
    visitor.ask("a long one")
    if where == "page":
        expect(visitor.answers).to_contain_text("w3 ")
        visitor = visitor.carry_on()
    page = visitor.page
    expect(page.get_by_role("log", name="Conversation")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Message")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_count(1)
    expect(visitor.button("Stop")).to_have_count(1)
    expect(visitor.answers).to_contain_text("w7 ")
    names = [one.get_attribute("aria-label") for one in visitor.articles.all()]
    assert [str(name).split(",")[0] for name in names] == ["You", "Assistant"]
    visitor.button("Stop").click()
    expect(visitor.button("Send")).to_have_count(1)
    more = page.get_by_role("button", name="More actions")
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    for name in ("New chat", "Copy link", "Download transcript", "End chat", "Delete conversation"):
        expect(visitor.button(name)).to_be_visible()
    visitor.button("End chat").click()
    asking = page.get_by_role("dialog").filter(has=visitor.button("Cancel")).last
    for name in ("End chat", "Cancel"):
        expect(asking.get_by_role("button", name=name, exact=True)).to_have_count(1)


def test_the_keyboard_alone(visit: Visit) -> None:
    """By keyboard: to the launcher, into the composer, a line break, send, out by Escape, and back where one was."""
    visitor = visit(body='<p><a href="#x">A link of the page</a></p>')
    keys = visitor.page.keyboard
    expect(visitor.button("Open chat")).to_be_visible()
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    expect(visitor.box).to_be_focused()
    keys.type("quick")
    keys.press("Shift+Enter")
    keys.type("two lines")
    expect(visitor.box).to_have_value("quick\ntwo lines")
    keys.press("Enter")
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(visitor.articles.first).to_contain_text(re.compile(r"quick\s+two lines"))
    expect(visitor.box).to_be_focused()
    expect(visitor.box).to_have_value("")
    keys.press("Escape")
    expect(visitor.page.get_by_role("dialog")).to_have_count(0)
    assert visitor.page.evaluate(FOCUS) == "Open chat"


def test_focus_comes_back(visit: Visit) -> None:
    """Escape closes the menu, then the dialog, each time giving the focus back; the panel is no trap."""
    visitor = answered(visit().open())
    keys = visitor.page.keyboard
    more = visitor.page.get_by_role("button", name="More actions")
    more.click()
    keys.press("Escape")
    expect(more).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "false")
    visitor.act("End chat")
    expect(visitor.button("Cancel")).to_be_focused()
    keys.press("Tab")
    assert visitor.page.evaluate(FOCUS) == "End chat"
    keys.press("Tab")
    expect(visitor.button("Cancel")).to_be_focused()
    keys.press("Escape")
    expect(visitor.button("Cancel")).to_have_count(0)
    expect(visitor.page.get_by_role("dialog")).to_have_count(1)
    seen = set()
    for _ in range(25):
        keys.press("Tab")
        seen.add(visitor.page.evaluate(FOCUS))
    assert {"Message", "More actions", "Open full page"} <= seen
    assert "Close chat" in seen or "body" in seen


def test_enter_while_a_word_is_composed(visit: Visit) -> None:
    """Enter that belongs to an input method sends nothing; whitespace alone is not sent either."""
    visitor = visit().open()
    visitor.box.fill("にほん")
    visitor.box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    expect(visitor.box).to_have_value("にほん")
    visitor.box.fill("  \n ")
    visitor.box.press("Enter")
    expect(visitor.button("Send")).to_be_disabled()
    expect(visitor.articles).to_have_count(0)


@pytest.mark.parametrize(
    ("question", "said", "pieces"), [("prose", PROSE, len(PROSE.split())), ("a long one", words(120), 120)]
)
def test_read_out(visit: Visit, question: str, said: str, pieces: int) -> None:
    """A screen reader hears each word of an answer once, in few pieces, and not again after a reload."""
    visitor = visit().open()
    expect(visitor.box).to_be_visible()
    visitor.page.evaluate(LISTEN)
    visitor.ask(question)
    expect(visitor.button("Stop")).to_be_visible()
    expect(visitor.button("Stop")).to_have_count(0)
    visitor.page.wait_for_function("(last) => window.heard.join(' ').includes(last)", arg=said.rsplit(maxsplit=1)[-1])
    received = visitor.page.evaluate("() => window.heard")
    spoken = " ".join(received).split()
    for word in set(said.split()):
        assert 1 <= spoken.count(word) <= 2 * said.split().count(word), word
    assert len(received) <= pieces / 2
    visitor.page.reload()
    expect(visitor.articles).to_have_count(2)
    visitor.page.evaluate(LISTEN)
    visitor.page.wait_for_timeout(500)
    assert not [one for one in visitor.page.evaluate("() => window.heard") if said.rsplit(maxsplit=1)[-1] in one]


@pytest.mark.parametrize("where", ["widget", "page"])
@pytest.mark.parametrize(("width", "height"), [(320, 568), (640, 360)])
def test_small_screens(stranger: Stranger, baton: str, where: str, width: int, height: int) -> None:
    """At 320 px, and at 200 % zoom of a wide window, everything can be reached and nothing scrolls sideways."""
    visitor = stranger(f"{baton}/chat" if where == "page" else "", viewport={"width": width, "height": height})
    if where == "widget":
        inside(visitor.page, visitor.button("Open chat"))
        visitor.open()
    visitor.ask(
        "say:"
        + "averyveryverylongword" * 12
        + "\n\n| a | b | c | d | e | f |\n|-|-|-|-|-|-|\n| 1 | 2 | 3 | 4 | 5 | 6 |\n\n```\n"
        + "x" * 200
        + "\n```"
    )
    expect(visitor.button("Send")).to_be_visible()
    for found in (visitor.box, visitor.button("Send"), visitor.page.get_by_role("button", name="More actions")):
        inside(visitor.page, found)
    sideways = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visitor.page.evaluate(sideways) <= 0
    log = visitor.page.get_by_role("log", name="Conversation")
    assert log.evaluate("(log) => log.scrollWidth - log.clientWidth") <= 0
    visitor.page.get_by_role("button", name="More actions").click()
    visitor.button("End chat").scroll_into_view_if_needed()
    inside(visitor.page, visitor.button("End chat"))
    visitor.button("End chat").click()
    inside(visitor.page, visitor.button("Cancel"))
    visitor.button("Cancel").click()
    if where == "widget":
        expect(visitor.button("Close chat")).to_have_count(1)
        visitor.button("Close chat").click()
        expect(visitor.button("Open chat")).to_be_visible()


def test_arabic(visit: Visit) -> None:
    """In Arabic the chat reads from the right; English text in it keeps its own direction."""
    visitor = visit(tag='data-lang="ar"')
    visitor.page.get_by_role("button", name="فتح الدردشة").click()
    box = visitor.page.get_by_role("textbox")
    expect(box).to_be_visible()
    log = visitor.page.get_by_role("log")
    expect(log).to_have_css("direction", "rtl")
    box.fill("Hello quick")
    expect(box).to_have_css("direction", "ltr")
    box.press("Enter")
    answer = visitor.page.get_by_role("article").nth(1)
    expect(answer).to_contain_text("A quick answer.")
    expect(answer.get_by_text("A quick answer.")).to_have_css("direction", "ltr")
    box.fill("مرحبا")
    expect(box).to_have_css("direction", "rtl")


def test_a_right_to_left_site(visit: Visit) -> None:
    """On a right-to-left page an English chat still reads from the left, and Arabic text in it from the right."""
    visitor = visit(head="<script>document.documentElement.dir = 'rtl'</script>").open()
    visitor.ask("say:مرحبا بكم")
    expect(visitor.answers).to_contain_text("مرحبا بكم")
    expect(visitor.page.get_by_role("log")).to_have_css("direction", "ltr")
    expect(visitor.answers.get_by_text("مرحبا بكم")).to_have_css("direction", "rtl")
    inside(visitor.page, visitor.button("Close chat"))


@pytest.mark.parametrize("where", ["widget", "page"])
def test_scrolled_up(visit: Visit, baton: str, where: str) -> None:
    """Whoever has scrolled up to read is left there while words come; one button leads to the newest."""
    visitor = visit(f"{baton}/chat") if where == "page" else visit().open()
    visitor.ask("say:" + "line\n\n" * 40)
    expect(visitor.button("Stop")).to_have_count(0)
    visitor.ask("words=200 pace=0.02")
    expect(visitor.answers.last).to_contain_text("w3 ")
    log = visitor.page.get_by_role("log", name="Conversation")
    log.hover()
    visitor.page.mouse.wheel(0, -600)
    expect(visitor.button("New words below")).to_be_visible()
    place = log.evaluate("(one) => one.scrollTop")
    expect(visitor.answers.last).to_contain_text("w199")
    assert abs(log.evaluate("(one) => one.scrollTop") - place) < 5
    visitor.button("New words below").click()
    expect(visitor.button("New words below")).to_have_count(0)
    assert log.evaluate("(one) => one.scrollHeight - one.clientHeight - one.scrollTop") < 60


def test_unread(visit: Visit) -> None:
    """An answer that ends while the panel is closed is counted on the launcher and in the title, until it is opened."""
    visitor = visit().open().ask("Hello")
    expect(visitor.answers).to_contain_text("w2 ")
    visitor.page.keyboard.press("Escape")
    expect(visitor.page).to_have_title("(1) A site")
    expect(visitor.button("Open chat")).to_have_attribute("aria-description", "1 new message")
    visitor.open()
    expect(visitor.page).to_have_title("A site")
    expect(visitor.answers).to_contain_text(words(30))


def test_no_keyboard_over_an_answer(stranger: Stranger, site: str) -> None:
    """On a phone a suggestion, "Stop" and "Retry" leave the composer alone: its keyboard would cover the answer.

    The buttons below an answer, which are always there on a phone, can be pressed in all of their height.
    """
    tag = urlencode({"tag": "data-suggestions='[\"long answer, please\"]'"})
    head = urlencode({"head": '<meta name="viewport" content="width=device-width">'})
    visitor = stranger(f"{site}?{tag}&{head}", viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    visitor.button("Open chat").tap()
    visitor.button("long answer, please").tap()
    expect(visitor.answers).to_contain_text("w3")
    expect(visitor.box).not_to_be_focused()
    visitor.button("Stop").tap()
    expect(visitor.button("Send")).to_be_visible()
    expect(visitor.page.get_by_role("log")).to_be_focused()
    visitor.ask("fail now")
    expect(visitor.box).to_be_focused()
    expect(visitor.button("Retry")).to_be_visible()
    copying = visitor.button("Copy answer").first
    copying.scroll_into_view_if_needed()
    assert not copying.evaluate(COVERED), "the question below it takes its taps"
    visitor.page.get_by_role("log").evaluate("(one) => one.focus()")
    visitor.button("Retry").tap()
    expect(visitor.box).not_to_be_focused()


def test_the_full_page_is_ready_to_write(visit: Visit, baton: str) -> None:
    """The composer of the full page has the focus at once; in a frame the page around keeps it."""
    alone = visit(f"{baton}/chat")
    expect(alone.box).to_be_focused()
    framed = visit(body=f'<input autofocus><iframe src="{baton}/chat" title="Chat"></iframe>')
    inside = framed.page.frame_locator("iframe")
    expect(inside.get_by_role("textbox", name="Message")).to_be_visible()
    expect(inside.get_by_role("button", name="Send")).to_be_visible()
    assert framed.page.evaluate("() => document.activeElement.tagName") == "INPUT"


def test_a_thumb(visit: Visit) -> None:
    """An answer can be rated with a word, and the rating is still there after a reload."""
    visitor = visit().open().ask("quick")
    expect(visitor.answers).to_contain_text("A quick answer.")
    visitor.button("Poor answer").click()
    why = visitor.page.get_by_role("textbox", name=re.compile("helped"))
    why.fill("More detail")
    why.press("Enter")
    expect(visitor.status).to_contain_text("Thank you")
    visitor.page.reload()
    expect(visitor.button("Poor answer")).to_have_attribute("aria-pressed", "true")
