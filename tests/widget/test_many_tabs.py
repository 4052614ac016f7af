"""More conversations in one browser than it keeps feeds for: the third tab shows everything all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.widget.conftest import Visitor

Visit = Callable[..., Visitor]
LATE = 25_000


def three(visit: Visit, url: str = "") -> list[Visitor]:
    """Three tabs, each with a conversation of its own that has an answer; the last has no place for a feed."""
    tabs = [visit(url, tag='data-session-scope="tab"') for _ in range(3)]
    for tab in tabs:
        if not url:
            tab.open()
        else:
            tab.act("New chat")
        tab.ask("quick")
        expect(tab.answers).to_have_count(1)
        expect(tab.button("Stop")).to_have_count(0)
    return tabs


@pytest.mark.parametrize("end", ["answer", "failure"])
def test_an_answer_that_is_long_in_coming(visit: Visit, end: str) -> None:
    """The third conversation hears of an answer, or of its failure, whose first word takes longer than five seconds."""
    third = three(visit)[-1].ask("tardy fail" if end == "failure" else "tardy")
    if end == "answer":
        expect(third.answers.last).to_contain_text("Better late.", timeout=LATE)
    else:
        expect(third.button("Retry")).to_be_visible(timeout=LATE)
    expect(third.button("Send")).to_be_visible()
    expect(third.button("Stop")).to_have_count(0)


def test_stop_before_a_word(visit: Visit) -> None:
    """The third conversation is stopped within five seconds while the engine is silent."""
    third = three(visit)[-1].ask("silent")
    third.page.locator(".thinking").wait_for()
    third.page.wait_for_timeout(1500)
    third.button("Stop").click()
    expect(third.answers.last.locator(".note")).to_have_text("Stopped", timeout=5000)
    expect(third.button("Send")).to_be_visible()


def test_own_stream_cut(visit: Visit, context: BrowserContext) -> None:
    """Where the third tab loses the stream of its own question too, short looks at the feed bring the failure."""
    third = three(visit)[-1]
    third.page.evaluate(
        """() => { const real = fetch; window.fetch = async (to, how) => {
            const got = await real(to, how);
            return String(to).endsWith('/api/chat') ? new Response('') : got;
        } }"""
    )
    third.ask("tardy fail")
    expect(third.button("Retry")).to_be_visible(timeout=LATE)
    third.ask("quick")
    expect(third.answers).to_have_count(2)


def test_nine_silent_tabs(visit: Visit) -> None:
    """Nine tabs with nine conversations, all waiting for a silent engine, can each be stopped and asked again."""
    tabs = [visit(tag='data-session-scope="tab"').open() for _ in range(9)]
    for tab in tabs:
        tab.ask("silent")
        tab.page.locator(".thinking").wait_for()
    for tab in tabs:
        tab.button("Stop").click()
        expect(tab.button("Stop")).to_have_count(0, timeout=6000)
    for tab in tabs:
        tab.ask("quick")
        expect(tab.answers.last).to_contain_text("A quick answer.")
