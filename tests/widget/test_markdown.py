"""An answer's Markdown in a real browser: what a visitor holds on to stays when the answer goes on and when it ends."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
ANSWER = "Words to keep.\n\n```js\nlet a = 1;\n```\n\n- see [the page](https://pages.example.test/x)\n- and " + (
    "more words that come later " * 6
)
ROOT = "document.querySelector('baton-widget, baton-chat').shadowRoot"


LINKS_IN_TURN = (
    "https://pages.example.test/docs/a",
    "https://pages.example.test/docs/a https://pages.example.test/b",
)


def test_focus_and_selection_stay_when_an_answer_ends(visit: Visit, baton: str) -> None:
    """V6: with "Copy code" focused and words selected in mid-answer, both are as they were once it has ended."""
    visitor = visit(f"{baton}/chat").ask(f"slowly:{ANSWER}")
    button = visitor.answers.get_by_role("button", name="Copy code")
    expect(visitor.answers).to_contain_text("see the page")
    button.focus()
    visitor.page.evaluate(
        f"""() => {{ const words = {ROOT}.querySelector('.assistant .text > p').firstChild;
            window.kept = [words, {ROOT}.activeElement, words.parentNode];
            window.range = new Range(); range.setStart(words, 0); range.setEnd(words, 5);
            const list = {ROOT}.querySelector('.assistant ul'); window.item = list.firstChild }}"""
    )
    expect(visitor.button("Stop")).to_have_count(1)
    expect(visitor.button("Stop")).to_have_count(0)
    expect(visitor.page.locator("article[aria-busy]")).to_have_count(0)
    assert visitor.page.evaluate("() => kept.every((one) => one.isConnected) && item.isConnected")
    assert visitor.page.evaluate(f"() => {ROOT}.activeElement === kept[1]")
    assert visitor.page.evaluate("() => [range.startContainer === kept[0], String(range)]") == [True, "Words"]


MIXED = (
    "Some words before a list\n- see [the docs](https://pages.example.test/docs/a) first\n- then wait\n\n"
    "More words\n---\n\n| Name | Size |\n|------|-----:|\n| one | 1 |\n\n> | A | B |\n> |---|---|\n> | 2 | 3 |\n\n"
    "Or https://pages.example.test/b and **bold words** at last."
)
FRAMES = f"""() => {{ window.frames_seen = []; const root = {ROOT};
    new MutationObserver(() => {{ const text = root.querySelector('.assistant .text'); if (!text) return;
        frames_seen.push([text.textContent, [...text.querySelectorAll('a')].map((one) => one.href).join(' '),
            [...text.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((one) => one.textContent).join('|')]);
    }}).observe(root, {{ subtree: true, childList: true, characterData: true }}) }}"""


def test_nothing_flashes_while_an_answer_is_written(visit: Visit, baton: str) -> None:
    """V16: on no frame are there pipes of a table, a raw link, a heading that is none, a link to a host cut short."""
    visitor = answered(visit(f"{baton}/chat"))
    visitor.act("New chat")
    visitor.page.evaluate(FRAMES)
    visitor.ask(f"spelled:{MIXED}")
    expect(visitor.answers).to_contain_text("bold words at last.")
    expect(visitor.button("Stop")).to_have_count(0)
    seen: list[list[str]] = visitor.page.evaluate("() => frames_seen")
    assert len(seen) > 30, "the answer came in many pieces"
    assert {text for text, _, _ in seen if "|" in text or "](" in text or "[" in text} == set()
    assert {links for _, links, _ in seen} - {"", *LINKS_IN_TURN} == set()
    assert {headings for _, _, headings in seen} <= {"", "More words"}


def test_a_stopped_answer_shows_no_bare_number(visit: Visit, baton: str) -> None:
    """V16: an answer that was stopped before its sources came keeps its words and loses the numbers."""
    visitor = visit(f"{baton}/chat").ask("slowly:As the pages say [1] and also [2] " + "with more to come " * 40)
    expect(visitor.answers).to_contain_text("with more")
    visitor.button("Stop").click()
    expect(visitor.button("Stop")).to_have_count(0)
    expect(visitor.answers.locator(".text")).to_contain_text("As the pages say and also with more")
