"""An answer that is cut at ten places, by reload, by a second tab and by the full page: whole and once each time."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.widget.conftest import Visitor
from tests.widget.fake_bot import words

Stranger = Callable[..., Visitor]
CUTS = (0, 1, 3, 7, 12, 18, 25, 33, 42, 50)
WORDS = 60
QUESTION = f"words={WORDS} pace=0.12"


def asking(stranger: Stranger) -> list[Visitor]:
    """Ten visitors, each in a browser of their own, who have just asked."""
    visitors = [stranger().open() for _ in CUTS]
    for visitor in visitors:
        visitor.ask(QUESTION)
    return visitors


def whole(visitor: Visitor) -> None:
    """One question, one answer, every word of it once."""
    expect(visitor.answers).to_contain_text(words(WORDS))
    expect(visitor.articles).to_have_count(2)
    expect(visitor.answers.locator(".text")).to_have_text(words(WORDS))


def test_reloads(stranger: Stranger) -> None:
    """Ten reloads in mid-answer, each at another word: the answer is whole and once."""
    visitors = asking(stranger)
    for visitor, cut in zip(visitors, CUTS, strict=True):
        expect(visitor.answers).to_contain_text(f"w{cut}")
        visitor.page.reload(wait_until="commit")
    for visitor in visitors:
        whole(visitor)
        expect(visitor.status).to_contain_text("Your chat has been restored")


def test_second_tabs(stranger: Stranger) -> None:
    """Ten second tabs opened in mid-answer, each at another word, read the same answer as the first tab."""
    visitors = asking(stranger)
    others = []
    for visitor, cut in zip(visitors, CUTS, strict=True):
        expect(visitor.answers).to_contain_text(f"w{cut}")
        other = Visitor(visitor.page.context.new_page())
        other.page.goto(visitor.page.url, wait_until="commit")
        others.append(other.open())
    for visitor in [*others, *visitors]:
        whole(visitor)


def test_full_pages(stranger: Stranger) -> None:
    """Ten full pages opened in mid-answer, each at another word: page and widget both have it whole."""
    visitors = asking(stranger)
    pages = []
    for visitor, cut in zip(visitors, CUTS, strict=True):
        expect(visitor.answers).to_contain_text(f"w{cut}")
        pages.append(visitor.carry_on())
    for page in pages:
        whole(page)
        expect(page.status).to_contain_text("Conversation continued from widget")
    for visitor in visitors:
        whole(visitor)
