"""One conversation through reloads, tabs, the full page, losses of the network, and its end."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.conftest import until
from tests.widget.conftest import Visitor
from tests.widget.fake_bot import words

Visit = Callable[..., Visitor]


def test_nothing_is_asked_before_the_visitors_first_intent(visit: Visit, context: BrowserContext, baton: str) -> None:
    """Until a visitor reaches for the chat the service is asked for /widget.js alone; and no other host, ever."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    visitor = visit()
    expect(visitor.button("Open chat")).to_be_visible()
    assert [url for url in asked if url.startswith(baton)] == [f"{baton}/widget.js"]
    visitor.open().ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    assert {url.split("/")[2] for url in asked} == {baton.split("/")[2], visitor.page.url.split("/")[2]}


def test_no_address_holds_the_session(visit: Visit, context: BrowserContext) -> None:
    """No request address of the whole flow holds a session id."""
    asked: list[Request] = []
    context.on("request", lambda one: asked.append(one))
    visitor = visit().open().ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    page = visitor.carry_on()
    expect(page.answers).to_contain_text(words(30))
    assert [one.url for one in asked if "ses_" in one.url] == []
    assert any("ses_" in one.headers.get("authorization", "") for one in asked)


@pytest.mark.parametrize("cut", [0, 5, 15, 25])
def test_a_reload_in_mid_answer(visit: Visit, cut: int) -> None:
    """A reload while an answer is being written shows it whole and once."""
    visitor = visit().open().ask("Hello")
    expect(visitor.articles.last).to_contain_text(f"w{cut}")
    visitor.page.reload()
    expect(visitor.answers).to_contain_text(words(30))
    expect(visitor.articles).to_have_count(2)
    expect(visitor.status.filter(has_text="Your chat has been restored")).to_be_visible()
    assert visitor.answers.inner_text().count("w7 ") == 1


def test_the_full_page_goes_on_in_mid_answer(visit: Visit) -> None:
    """The full page shows what was said so far and goes on, so does the widget; its address is clean; it reloads."""
    visitor = visit().open().ask("a long one")
    expect(visitor.answers).to_contain_text("w10 ")
    page = visitor.carry_on()
    expect(page.answers).to_contain_text("w10 ")
    expect(page.status.filter(has_text="Conversation continued from widget")).to_be_visible()
    assert page.page.url.endswith("/chat")
    expect(page.answers).to_contain_text(words(120))
    expect(visitor.answers).to_contain_text(words(120))
    page.page.reload()
    expect(page.answers).to_contain_text(words(120))
    expect(page.articles).to_have_count(2)


def test_nine_tabs_share_one_conversation(visit: Visit, context: BrowserContext) -> None:
    """Nine tabs, opened before the first question, all show it and its answer, over HTTP/1.1's six connections."""
    tabs = [visit().open() for _ in range(9)]
    tabs[0].ask("a long one")
    for tab in tabs:
        expect(tab.articles.first).to_contain_text("a long one")
    for tab in tabs:
        expect(tab.answers).to_contain_text(words(120))
        expect(tab.articles).to_have_count(2)
    tabs[8].ask("Hello")
    for tab in tabs:
        expect(tab.articles).to_have_count(4)


def test_nine_tabs_with_a_conversation_each(visit: Visit) -> None:
    """Nine tabs of nine conversations are all answered, though a browser opens six connections to a host."""
    tabs = [visit(tag='data-session-scope="tab"').open() for _ in range(9)]
    for number, tab in enumerate(tabs):
        tab.ask(f"Question {number}")
    for number, tab in enumerate(tabs):
        expect(tab.answers).to_contain_text(words(30), timeout=20_000)
        expect(tab.articles.first).to_contain_text(f"Question {number}")
        expect(tab.articles).to_have_count(2)


def test_another_tab_waits_while_an_answer_is_written(visit: Visit) -> None:
    """While one tab's answer is being written the other shows it growing and takes no question."""
    one, two = visit().open(), visit().open()
    one.ask("a long one")
    expect(two.answers).to_contain_text("w5 ")
    expect(two.button("Send")).to_be_disabled()
    expect(two.answers).to_contain_text(words(120))


def test_the_tab_that_held_the_feed_is_closed(visit: Visit) -> None:
    """When the first tab is closed in mid-answer, the other goes on to the last word."""
    one = visit().open()
    one.ask("a long one")
    two = visit()
    two.open()
    expect(two.answers).to_contain_text("w5 ")
    one.page.close()
    expect(two.answers).to_contain_text(words(120))
    assert two.answers.inner_text().count("w50 ") == 1


def test_a_question_asked_offline_is_sent_once(visit: Visit, context: BrowserContext) -> None:
    """F18: what is asked without a network is sent once when it is back."""
    visitor = visit().open()
    visitor.ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    context.set_offline(True)
    visitor.ask("Again")
    expect(visitor.status.filter(has_text=re.compile("offline", re.IGNORECASE))).to_be_visible()
    context.set_offline(False)
    expect(visitor.answers).to_have_count(2)
    expect(visitor.answers.last).to_contain_text(words(30))
    expect(visitor.page.get_by_role("article", name="You").filter(has_text="Again")).to_have_count(1)


def test_a_lost_reply_asks_nothing_twice(visit: Visit, context: BrowserContext) -> None:
    """F18: a question whose reply is lost on the way is sent again, and stands once in the conversation."""
    visitor = visit().open()
    calls: list[Request] = []

    def lose(route: object) -> None:
        calls.append(route.request)  # type: ignore[attr-defined]
        if len(calls) == 1:
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    context.route("**/api/chat", lose)
    visitor.ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    expect(visitor.articles).to_have_count(2)
    assert len({str(one.post_data) for one in calls}) == 1


def test_an_end_is_seen_in_the_other_tab_and_on_the_page(visit: Visit) -> None:
    """An end is seen everywhere within two seconds; the history stays; the next question begins anew."""
    one, two = visit().open(), visit().open()
    one.ask("Hello")
    expect(two.answers).to_contain_text(words(30))
    page = one.carry_on()
    expect(page.answers).to_contain_text(words(30))
    one.act("End chat")
    one.page.get_by_role("dialog").get_by_role("button", name="End chat").last.click()
    for place in (one, two, page):
        expect(place.status.filter(has_text=re.compile("ended"))).to_be_visible(timeout=2500)
        expect(place.articles).to_have_count(2)
    two.ask("Another")
    expect(two.answers.last).to_contain_text(words(30))


def test_a_session_that_is_gone_begins_anew(visit: Visit, context: BrowserContext) -> None:
    """When the service has forgotten the session, the next question starts another by itself."""
    visitor = visit().open().ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    visitor.page.evaluate("""() => { const key = Object.keys(localStorage).find((one) => one.endsWith(':session'));
        const saved = JSON.parse(localStorage[key]);
        localStorage[key] = JSON.stringify({...saved, id: 'ses_' + 'x'.repeat(32)}) }""")
    visitor.page.reload()
    expect(visitor.box).to_be_visible()
    visitor.ask("Hello again")
    expect(visitor.answers.last).to_contain_text(words(30))


def test_one_heartbeat(visit: Visit, context: BrowserContext) -> None:
    """Of three open tabs one sends that somebody is there, and none when all are closed."""
    beats: list[str] = []
    context.on("request", lambda one: beats.append(one.url) if one.url.endswith("/heartbeat") else None)
    tag = 'data-heartbeat-interval="1"'
    tabs = [visit(tag=tag).open() for _ in range(3)]
    tabs[0].ask("Hello")
    expect(tabs[2].answers).to_contain_text(words(30))
    before = len(beats)
    tabs[0].page.wait_for_timeout(4200)
    assert 3 <= len(beats) - before <= 5
    for tab in tabs:
        tab.button("Close chat").click()
    quiet = len(beats)
    tabs[0].page.wait_for_timeout(2500)
    assert len(beats) - quiet <= 1


def test_the_draft_survives(visit: Visit) -> None:
    """A draft survives a reload, on the full page too."""
    visitor = visit().open()
    visitor.box.fill("half a thought")
    visitor.page.reload()
    expect(visitor.box).to_have_value("half a thought")


def test_the_conversation_of_a_page_tab_is_its_own(visit: Visit) -> None:
    """A tab of the full page keeps its conversation through a reload when another tab carries another."""
    visitor = visit().open().ask("First")
    expect(visitor.answers).to_contain_text(words(30))
    page = visitor.carry_on()
    expect(page.articles).to_have_count(2)
    visitor.act("New chat")
    expect(visitor.articles).to_have_count(0)
    visitor.ask("Second")
    expect(visitor.answers).to_contain_text(words(30))
    other = visitor.carry_on()
    expect(other.articles.first).to_contain_text("Second")
    page.page.reload()
    expect(page.articles.first).to_contain_text("First")
    until(lambda: page.articles.count() == 2)
