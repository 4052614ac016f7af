"""Faults that were mended: strangers' links, a proxy that says 404, Stop before a word, a late service."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Route, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
CONTINUED = "Conversation continued from widget"


def offer(page: Visitor) -> Locator:
    """The quiet way out of a conversation that is not one's own."""
    return page.status.get_by_role("button", name="Start a new one")


def test_a_link_for_once_offers_a_way_out(visit: Visit) -> None:
    """Whoever is handed a conversation by a one-time link may leave it unread; it shows until the first question."""
    visitor = answered(visit().open())
    page = visitor.carry_on()
    expect(page.status.get_by_text(CONTINUED, exact=True)).to_be_visible()
    expect(page.status).to_contain_text("Not yours?")
    page.page.reload()
    expect(page.articles).to_have_count(2)
    expect(offer(page)).to_be_visible()
    offer(page).click()
    expect(page.articles).to_have_count(0)
    expect(offer(page)).to_have_count(0)
    expect(page.box).to_be_focused()
    page.ask("quick")
    expect(page.articles).to_have_count(2)
    other = visitor.carry_on()
    expect(offer(other)).to_be_visible()
    other.ask("quick")
    expect(offer(other)).to_have_count(0)
    expect(visitor.articles).to_have_count(4)


def test_one_own_browser_is_not_asked(visit: Visit, baton: str) -> None:
    """Where the widget and the page share a browser's memory, the page knows the conversation and does not ask."""
    visitor = answered(visit(f"{baton.replace('localhost', '127.0.0.1')}/").open())
    page = visitor.carry_on()
    expect(page.status).to_contain_text(CONTINUED)
    expect(offer(page)).to_have_count(0)


def test_stopped_before_the_first_word(visit: Visit) -> None:
    """Stop before the first word leaves one quiet line: at once, after a reload and on the full page."""
    visitor = visit().open().ask("silent")
    visitor.page.locator(".thinking").wait_for()
    visitor.button("Stop").click()
    for shown in (visitor, visitor.carry_on()):
        expect(shown.answers).to_have_count(1)
        expect(shown.answers.locator(".note")).to_have_text("Stopped")
        expect(shown.answers.locator(".text")).to_be_hidden()
        expect(shown.answers.get_by_role("button")).to_have_count(0)
    visitor.page.reload()
    expect(visitor.answers.locator(".note")).to_have_text("Stopped")
    expect(visitor.answers.locator(".text")).to_be_hidden()


def test_an_edge_without_an_instance(visit: Visit, context: BrowserContext) -> None:
    """While something in between answers 404 nothing is forgotten; when the service is back, all is there."""
    visitor = answered(visit().open())
    away = re.compile(r"/api/")

    def refuse(route: Route) -> None:
        route.fulfill(status=404, content_type="text/html", body="<html>Application not found</html>")

    context.route(away, refuse)
    with visitor.page.expect_response(re.compile("/api/session/resume")):
        visitor.page.reload()
    expect(visitor.status).to_contain_text("Trying again")
    context.unroute(away, refuse)
    expect(visitor.articles).to_have_count(2)
    visitor.ask("quick")
    expect(visitor.articles).to_have_count(4)


def test_a_question_to_a_service_that_is_not_there(visit: Visit, context: BrowserContext) -> None:
    """Asked on a page that cannot reach the service, a question is shown as not sent, and Retry sends it once."""
    visitor = answered(visit().open(), "quick one")
    away = re.compile(r"/api/")

    def refuse(route: Route) -> None:
        route.abort()

    context.route(away, refuse)
    visitor.page.clock.install()
    visitor.page.reload()
    visitor.ask("quick two")
    expect(visitor.articles).to_contain_text("quick two")
    expect(visitor.articles).to_contain_text("Sending")
    visitor.page.clock.fast_forward(31_000)
    expect(visitor.articles).to_contain_text("Not sent")
    expect(visitor.status).to_contain_text("not sent")
    context.unroute(away, refuse)
    visitor.button("Retry").click()
    visitor.page.clock.fast_forward(16_000)
    expect(visitor.articles).to_have_count(4)
    expect(visitor.page.get_by_role("article", name="You").filter(has_text="quick two")).to_have_count(1)


def test_asked_while_an_answer_is_written(visit: Visit) -> None:
    """Enter in the middle of an answer keeps the question, says so, and sends it once when the answer is done."""
    visitor = visit().open().ask("words=20 pace=0.15")
    expect(visitor.answers).to_contain_text("w2")
    visitor.box.fill("quick")
    visitor.box.press("Enter")
    expect(visitor.status).to_contain_text("when this answer is done")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.answers.first).to_contain_text("w19")
    expect(visitor.articles).to_have_count(4)
    expect(visitor.box).to_have_value("")


def test_asked_before_this_tab_knows_of_another_s_answer(visit: Visit, context: BrowserContext) -> None:
    """Refused because another tab's answer is being written, a question is kept and sent once when that is done."""
    first = answered(visit().open())
    second = visit().open()
    expect(second.answers).to_have_count(1)
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        first.ask("words=20 pace=0.1")
        route.fulfill(
            status=409,
            content_type="application/problem+json",
            headers={"Retry-After": "2", "Access-Control-Allow-Origin": "*"},
            body='{"success": false, "status": 409, "code": "turn_in_progress", "retryable": true}',
        )

    second.page.route("**/api/chat", refuse, times=1)
    second.ask("quick too")
    expect(second.status).to_contain_text("when this answer is done")
    expect(second.answers).to_have_count(3)
    expect(second.answers.nth(1)).to_contain_text("w19")
    expect(second.articles.nth(4)).to_contain_text("quick too")
    expect(second.articles).to_have_count(6)
    expect(second.box).to_have_value("")
    assert len(refused) == 1
