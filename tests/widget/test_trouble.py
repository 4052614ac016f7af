"""What goes wrong, and what the visitor is told: limits, a busy or broken bot, a silent one, a lost network."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.conftest import Service
from tests.engines.faulty_server import FaultyServer
from tests.widget.conftest import SLOW_BOT, Visitor, answered
from tests.widget.fake_bot import words

Visit = Callable[..., Visitor]
Start = Callable[..., Service]
ONE_WORKER = {**SLOW_BOT, "WEB_CONCURRENCY": "1"}


def kept(visitor: Visitor, text: str) -> bool:
    """Whether the text is still there: in the composer, or in the log with Retry."""
    in_log = visitor.page.get_by_role("article", name="You").filter(has_text=text).count() == 1
    return visitor.box.input_value() == text or (in_log and visitor.button("Retry").count() == 1)


def test_a_limit_of_the_session(visit: Visit, service: Start) -> None:
    """Past the limit the text stays, the notice holds how long to wait and counts down, and then it is sent once."""
    one = service(**{**ONE_WORKER, "BATON_RATE_LIMIT_SESSION": "2 per 8 seconds"})
    visitor = visit(f"{one.url}/chat")
    for number in (1, 2):
        visitor.ask(f"quick {number}")
        expect(visitor.answers).to_have_count(number)
        expect(visitor.button("Stop")).to_have_count(0)
    visitor.ask("quick 3")
    expect(visitor.status).to_contain_text(re.compile(r"\d+ (second|minute)"))
    expect(visitor.button("Stop")).to_have_count(0)
    assert kept(visitor, "quick 3")
    first = re.search(r"(\d+) second", visitor.status.inner_text())
    assert first
    expect(visitor.status).not_to_contain_text(f"{first[1]} second")
    expect(visitor.status).not_to_contain_text(re.compile(r"\d+ second"))
    visitor.button("Retry").click()
    expect(visitor.answers).to_have_count(3)
    expect(visitor.articles).to_have_count(6)


def test_a_limit_of_beginnings(visit: Visit, service: Start) -> None:
    """When no more conversations may be begun, the first question is kept and the wait told."""
    one = service(**{**ONE_WORKER, "BATON_RATE_LIMIT_CREATE": "1 per hour"})
    visitor = visit(f"{one.url}/chat")
    visitor.ask("quick 1")
    expect(visitor.answers).to_have_count(1)
    visitor.act("New chat")
    visitor.ask("quick 2")
    expect(visitor.status).to_contain_text(re.compile(r"\d+ minutes"))
    assert kept(visitor, "quick 2")


def test_a_busy_bot(visit: Visit, service: Start) -> None:
    """When too many ask at once the text is kept, the wait told, and it can be sent again."""
    one = service(BATON_ENGINE_PER_MINUTE="1", **ONE_WORKER)
    visitor = visit(f"{one.url}/chat")
    visitor.ask("quick 1")
    expect(visitor.answers).to_have_count(1)
    visitor.ask("quick 2")
    expect(visitor.status).to_contain_text(re.compile(r"\d+ second"))
    expect(visitor.button("Stop")).to_have_count(0)
    assert kept(visitor, "quick 2")


def test_a_full_conversation(visit: Visit, service: Start) -> None:
    """A full conversation says so, keeps the text, and New chat goes on."""
    one = service(BATON_MAX_MESSAGES="2", **ONE_WORKER)
    visitor = visit(f"{one.url}/chat")
    visitor.ask("quick 1")
    expect(visitor.answers).to_have_count(1)
    visitor.ask("quick 2")
    expect(visitor.status).to_contain_text("full")
    assert kept(visitor, "quick 2")
    visitor.button("New chat").first.click()
    expect(visitor.articles).to_have_count(0)
    visitor.ask("quick 3")
    expect(visitor.answers).to_have_count(1)


def test_a_silent_bot(visit: Visit, service: Start) -> None:
    """A bot that stays silent past its time is given up, in plain words, and Retry asks again."""
    one = service(BATON_ENGINE_TIMEOUT="1", **ONE_WORKER)
    visitor = visit(f"{one.url}/chat")
    visitor.ask("silent")
    expect(visitor.status).to_contain_text("answer could not be made")
    expect(visitor.button("Stop")).to_have_count(0)
    visitor.button("Retry").click()
    expect(visitor.button("Stop")).to_be_visible()
    expect(visitor.button("Retry")).to_be_visible()
    expect(visitor.articles).to_have_count(1)


def test_stop_while_the_bot_is_silent(visit: Visit) -> None:
    """Stop takes effect within five seconds though the bot says nothing; the question stays; one can go on."""
    visitor = visit().open().ask("silent")
    visitor.button("Stop").click()
    expect(visitor.button("Stop")).to_have_count(0, timeout=5000)
    expect(visitor.articles.first).to_contain_text("silent")
    visitor.ask("quick")
    expect(visitor.answers.last).to_contain_text("A quick answer.")


def test_stop_keeps_the_words(visit: Visit) -> None:
    """A stopped answer keeps what was said and is marked, in the other tab too, also after a reload."""
    one, two = visit().open(), visit().open()
    one.ask("a long one")
    expect(two.answers).to_contain_text("w5 ")
    one.button("Stop").click()
    for tab in (one, two):
        expect(tab.answers).to_contain_text("Stopped")
    said = one.answers.locator(".text").inner_text()
    one.page.reload()
    for tab in (one, two):
        expect(tab.answers).to_contain_text("Stopped")
        expect(tab.answers.locator(".text")).to_have_text(said)


def test_retry(visit: Visit, context: BrowserContext) -> None:
    """A broken answer keeps its words; Retry asks the same question again without repeating it."""
    visitor = visit().open().ask("please fail")
    expect(visitor.answers).to_contain_text("w0 w1 w2 w3")
    visitor.button("Retry").click()
    expect(visitor.answers).to_have_count(2)
    expect(visitor.page.get_by_role("article", name="You")).to_have_count(1)
    expect(visitor.button("Retry")).to_have_count(1)
    visitor.page.reload()
    expect(visitor.answers).to_have_count(2)
    expect(visitor.button("Retry")).to_have_count(1)


def test_not_sent(visit: Visit, context: BrowserContext, baton: str) -> None:
    """A question that a proxy refuses to pass on stays in sight with Retry, and Retry sends it once."""
    context.route("**/api/chat", lambda route: route.fulfill(status=403, body="<html>Blocked</html>"))
    visitor = visit(f"{baton}/chat").ask("quick 1")
    expect(visitor.button("Retry")).to_be_visible()
    expect(visitor.status).to_contain_text("not sent")
    assert kept(visitor, "quick 1")
    context.unroute("**/api/chat")
    visitor.button("Retry").click()
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(visitor.articles).to_have_count(2)


def test_refused_for_good(visit: Visit, context: BrowserContext, baton: str) -> None:
    """Where the service says that the same call never works, the text is in the composer and no Retry is offered."""

    def refuse(route: Route) -> None:
        route.fulfill(status=403, json={"code": "role_forbidden", "retryable": False})

    context.route("**/api/chat", refuse)
    visitor = visit(f"{baton}/chat").ask("quick 1")
    expect(visitor.status).to_contain_text("not sent")
    expect(visitor.box).to_have_value("quick 1")
    expect(visitor.articles).to_have_count(0)
    expect(visitor.button("Retry")).to_have_count(0)
    context.unroute("**/api/chat")
    visitor.button("Send").click()
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(visitor.articles).to_have_count(2)


def test_an_answer_that_cannot_be_made(visit: Visit, service: Start) -> None:
    """M9: with a wrong model key the visitor is told plainly, the question stays, and Retry is not offered."""
    with FaultyServer() as model:
        model.refuses["messages"] = (401, {"error": {"message": "Incorrect API key provided"}})
        one = service(
            OPENAI_BASE_URL=f"{model.url}/v1", OPENAI_API_KEY="sk-wrong-key", **{**ONE_WORKER, "BATON_ENGINE": "openai"}
        )
        page = visit(f"{one.url}/chat")
        page.page.clock.install()
        page.ask("Is my key right?")
        expect(page.status).to_contain_text("cannot answer")
        expect(page.status).not_to_contain_text(re.compile("again|Retry"))
        expect(page.button("Stop")).to_have_count(0)
        expect(page.articles).to_have_count(1)
        page.page.clock.fast_forward(4_000)  # a question without an answer is offered again after three seconds
        expect(page.button("Retry")).to_have_count(0)


def test_a_service_in_trouble(visit: Visit, context: BrowserContext) -> None:
    """While the service answers 503 the widget tries again by itself and asks nothing twice."""
    calls: list[str] = []

    def trouble(route: Route) -> None:
        calls.append(str(route.request.post_data))
        if len(calls) < 4:
            route.fulfill(status=503, json={"code": "storage_unavailable", "retryable": True})
        else:
            route.continue_()

    context.route("**/api/chat", trouble)
    visitor = visit().open().ask("quick 1")
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(visitor.articles).to_have_count(2)
    assert len(set(calls)) == 1


def test_three_seconds_offline_on_the_page(visit: Visit, context: BrowserContext) -> None:
    """F18: three seconds without a network while an answer is shown: the trouble is told, the answer whole and once."""
    visitor = visit().open().ask("a long one")
    page = visitor.carry_on()
    expect(page.answers).to_contain_text("w10 ")
    context.set_offline(True)
    expect(page.status).to_contain_text(re.compile("offline", re.IGNORECASE))
    page.page.wait_for_timeout(3000)
    context.set_offline(False)
    for place in (page, visitor):
        expect(place.answers.locator(".text")).to_have_text(words(120))
        expect(place.status).not_to_contain_text(re.compile("offline", re.IGNORECASE))


def test_opened_offline(visit: Visit, context: BrowserContext) -> None:
    """A reload whose calls fail for a while says so, and the conversation is there as soon as they work."""
    visitor = answered(visit().open(), "quick 1")
    context.route("**/api/**", lambda route: route.abort())
    visitor.page.reload()
    expect(visitor.status).to_contain_text(re.compile("connection|reached", re.IGNORECASE))
    context.unroute("**/api/**")
    expect(visitor.articles).to_have_count(2)


@pytest.mark.parametrize("place", ["widget", "page"])
def test_another_tab_is_being_answered(visit: Visit, place: str) -> None:
    """A question asked during another tab's answer waits in the composer, with a notice, and is sent once after it."""
    one = answered(visit().open())
    two = visit().open() if place == "widget" else one.carry_on()
    expect(two.articles).to_have_count(2)
    one.ask("words=60 pace=0.05")
    expect(two.answers.last).to_contain_text("w3 ")
    two.box.fill("quick")
    two.box.press("Enter")
    expect(two.status).to_contain_text("when this answer is done")
    expect(two.box).to_have_value("quick")
    expect(one.answers).to_have_count(3)
    expect(two.box).to_have_value("")
    for visitor in (one, two):
        expect(visitor.articles).to_have_count(6)
        expect(visitor.answers.nth(1)).to_contain_text("w59")
