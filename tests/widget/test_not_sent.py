"""A question that does not get away: what is said of it, Retry, and taking it back."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Route, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]


def test_asked_offline(visit: Visit, context: BrowserContext) -> None:
    """Offline, a question stands in the log as not sent yet, with Retry, and nobody is said to think about it."""
    visitor = answered(visit().open(), "quick one")
    context.set_offline(True)
    visitor.ask("quick two")
    question = visitor.articles.last
    expect(question).to_contain_text("Not sent yet")
    expect(question.get_by_role("button", name="Retry")).to_be_visible()
    expect(visitor.page.get_by_role("log")).not_to_contain_text("Thinking")
    expect(visitor.status).to_contain_text("offline")
    context.set_offline(False)
    expect(visitor.answers).to_have_count(2)
    expect(visitor.articles).to_have_count(4)


def test_taken_back_offline(visit: Visit, context: BrowserContext) -> None:
    """Stop takes back what was never sent: the text is in the composer again, and nothing is said to have failed."""
    visitor = answered(visit().open(), "quick one")
    context.set_offline(True)
    visitor.ask("quick two")
    expect(visitor.articles.last).to_contain_text("Not sent yet")
    visitor.button("Stop").click()
    expect(visitor.box).to_have_value("quick two")
    expect(visitor.articles).to_have_count(2)
    visitor.page.wait_for_timeout(1500)
    expect(visitor.status).not_to_contain_text("could not be stopped")


def test_refused_on_the_way(visit: Visit, context: BrowserContext) -> None:
    """When the first try fails, Retry is there within a second or two, and pressing it sends the question once."""
    visitor = answered(visit().open(), "quick one")
    away = re.compile("/api/chat")

    def refuse(route: Route) -> None:
        route.abort()

    context.route(away, refuse)
    visitor.ask("quick two")
    expect(visitor.button("Retry")).to_be_visible(timeout=2500)
    visitor.button("Retry").click()
    context.unroute(away, refuse)
    expect(visitor.answers).to_have_count(2)
    expect(visitor.articles).to_have_count(4)
