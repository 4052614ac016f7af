"""What is to be seen: sides, gaps, what is announced once, and a full page in the widget's own colours."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
MIXED = "- مرحبا بكم\n- أهلا\n\n1. واحد\n\n> قال لنا\n\n| الاسم | العدد |\n|---|---|\n| ورد | 2 |\n"


def box(found: Locator) -> dict[str, float]:
    """Where it is; an error when it is nowhere."""
    place = found.bounding_box()
    assert place is not None
    return {"left": place["x"], "right": place["x"] + place["width"], "top": place["y"], **place}


def test_an_arabic_answer_in_an_english_widget(visit: Visit) -> None:
    """Bullets, numbers, the quote's bar and the first column are on the right."""
    visitor = visit().open().ask("say:" + MIXED)
    answer = visitor.answers.last
    expect(answer.locator("td")).to_have_count(2)
    expect(visitor.button("Send")).to_be_visible()
    for name in ("ul", "ol", "blockquote"):
        style = answer.locator(name).evaluate(
            "(one) => { const s = getComputedStyle(one); return [s.paddingRight, s.paddingLeft] }"
        )
        assert float(style[0][:-2]) > float(style[1][:-2]) == 0, name
    assert box(answer.locator("th").first)["left"] > box(answer.locator("th").last)["left"]


def test_the_full_page_looks_like_the_widget(visit: Visit, context: BrowserContext, baton: str) -> None:
    """Colour, theme and language of the tag go along to the full page, whose bytes do not depend on them."""
    visitor = visit(tag='data-color="#7a1fa2" data-theme="dark" data-lang="de"')
    visitor.button("Chat öffnen").click()
    with context.expect_page() as opened:
        visitor.page.get_by_role("button", name="Ganze Seite öffnen").click()
    page = opened.value
    chat = page.locator("baton-chat")
    expect(page.get_by_role("button", name="Senden")).to_be_visible()
    assert [chat.get_attribute(f"data-{name}") for name in ("color", "theme", "lang")] == ["#7a1fa2", "dark", "de"]
    assert page.url == f"{baton.replace('localhost', '127.0.0.1')}/chat"
    plain, asked = (
        httpx.get(f"{baton}/chat{query}").text for query in ("", "?color=" + quote("#7a1fa2") + "&session=x")
    )
    assert plain == asked


FIRST_LETTER = """(one) => { const letter = new Range(), text = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    letter.setStart(text.nextNode(), 0); letter.setEnd(letter.startContainer, 1);
    const { left, right } = letter.getBoundingClientRect(), around = one.getBoundingClientRect();
    return [left - around.left, around.right - right] }"""


@pytest.mark.parametrize(
    "title", ["Everything you always wanted to know about tea but never asked", "مرحبا بكم في متجر الشاي " * 4]
)
@pytest.mark.parametrize("lang", ["en", "ar"])
def test_a_long_title_keeps_its_beginning(visit: Visit, title: str, lang: str) -> None:
    """A title too long for its line loses its end, in whichever direction it and the chat are read."""
    visitor = visit(tag=f'data-lang="{lang}" data-title="{title.strip()}"')
    visitor.page.locator("[part~=launcher]").click()
    heading = visitor.page.locator("header h2")
    expect(heading).to_be_visible()
    assert min(heading.evaluate(FIRST_LETTER)) >= 0
    assert heading.evaluate("(one) => one.scrollWidth - one.clientWidth") <= 0


def test_forced_colours(stranger: Callable[..., Visitor]) -> None:
    """With forced colours the marks of the title, an answer and a notice are drawn in the colour of the text."""
    visitor = answered(stranger(forced_colors="active").open())
    visitor.page.reload()
    expect(visitor.status).to_contain_text("restored")
    fill = """(one, before) => { const { backgroundColor } = getComputedStyle(one, before); const text = document.body;
        text.style.color = 'CanvasText'; return backgroundColor === getComputedStyle(text).color }"""
    for place, before in ((".mark", None), (".assistant .who", "::before"), (".notice > span", "::before")):
        assert visitor.page.locator(place).first.evaluate(fill, before), place


def test_a_failure_is_seen_once(visit: Visit) -> None:
    """A failure stands once on the screen, beside its Retry; the status region says it to those who listen."""
    visitor = visit().open().ask("fail")
    expect(visitor.button("Retry")).to_be_visible()
    notice = visitor.status.get_by_text("could not be made")
    expect(notice).to_have_count(1)
    assert box(notice.locator("xpath=.."))["width"] <= 1
    assert (
        abs(
            box(visitor.page.locator(".list-end .text-icon-button .icon"))["left"]
            - box(visitor.answers.locator(".text"))["left"]
        )
        < 4
    )


def test_a_chip_keeps_its_word(visit: Visit) -> None:
    """A source's number stays on the line of the word before it, however narrow the panel is."""
    visitor = visit().open().ask("sources")
    nowrap = visitor.answers.locator(".nowrap").first
    expect(nowrap).to_have_text("say 1 2.")
    assert nowrap.evaluate("(one) => one.getClientRects().length") == 1


def test_the_gap_before_the_next_question(visit: Visit) -> None:
    """The next question follows an answer without a hole for the buttons that are hidden."""
    visitor = visit().open()
    for n in (1, 2):
        visitor.ask("quick")
        expect(visitor.answers).to_have_count(n)
    words, question = visitor.answers.first.locator("p").first, visitor.articles.nth(2).locator(".text")
    assert box(question)["top"] - box(words)["top"] - box(words)["height"] < 62


@pytest.mark.parametrize("width", [1400, 390])
def test_an_empty_page(visit: Visit, baton: str, width: int) -> None:
    """The empty full page greets in the middle of a wide window, and has no column for sources without any."""
    visitor = visit(f"{baton}/chat")
    visitor.page.set_viewport_size({"width": width, "height": 900})
    greeting = box(visitor.page.locator(".greeting"))
    expect(visitor.page.get_by_role("complementary")).to_have_count(0)
    assert (300 < greeting["top"] < 480) == (width > 1000)
    visitor.ask("sources")
    expect(visitor.answers).to_have_count(1)
    expect(visitor.page.get_by_role("complementary")).to_have_count(1 if width > 1000 else 0)


def test_a_shared_link_shows_one_notice(visit: Visit, stranger: Callable[..., Visitor], baton: str) -> None:
    """Whoever opens a shared link reads one notice with both pieces of news in it."""
    made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    bearer = {"Authorization": f"Bearer {made}"}
    httpx.post(f"{baton}/api/session/me/messages", headers=bearer, json={"message": "Said before"})
    link = httpx.post(f"{baton}/api/session/me/handoff", headers=bearer, json={"kind": "share"}).json()["url"]
    friend = stranger(link)
    expect(friend.status.get_by_text("Conversation continued from widget", exact=True)).to_be_visible()
    expect(friend.status.locator(".notice")).to_have_count(1)
    expect(friend.status).to_contain_text("begun elsewhere")
