"""Whose conversation it is: by browser, tab or page, by key, and for how long it comes back by itself."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import BrowserContext, Request, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]


def returned(visitor: Visitor) -> Visitor:
    """The page has been loaded again, and the chat is open."""
    visitor.page.reload()
    if not visitor.page.get_by_role("dialog").is_visible():
        expect(visitor.button("Open chat").or_(visitor.button("Close chat")).first).to_be_visible()
    expect(visitor.box).to_be_visible()
    return visitor


def test_a_closed_tab(visit: Visit) -> None:
    """Whoever closes the tab and comes back in another finds the conversation, and is told that it was restored."""
    one = answered(visit().open(), "quick one")
    one.page.close()
    two = visit().open()
    expect(two.articles).to_have_count(2)
    expect(two.articles.first).to_contain_text("quick one")
    expect(two.status).to_contain_text("Your chat has been restored")
    answered(two)
    expect(two.status).not_to_contain_text("restored")


def test_a_key(visit: Visit, context: BrowserContext, baton: str) -> None:
    """A session key in the tag is used as it is: its history is shown and the next question goes into it."""
    made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    httpx.post(f"{baton}/api/session/{made}/messages", json={"message": "Said before"})
    asked: list[Request] = []
    context.on("request", lambda one: asked.append(one))
    visitor = visit(tag=f'data-session-key="{made}"').open()
    expect(visitor.articles).to_have_count(1)
    expect(visitor.articles.first).to_contain_text("Said before")
    answered(visitor)
    used = {one.headers["authorization"] for one in asked if "authorization" in one.headers}
    assert used == {f"Bearer {made}"}
    assert httpx.get(f"{baton}/api/session/{made}").json()["message_count"] == 3
    assert not [one.url for one in asked if made in one.url and one.url.startswith(baton)]


def test_past_its_expiry(visit: Visit) -> None:
    """After the expiry since the last activity a conversation is not restored by itself; the chat begins anew."""
    tag = 'data-session-expiry="2"'
    visitor = answered(visit(tag=tag).open())
    visitor.page.goto("about:blank")
    visitor.page.wait_for_timeout(2600)
    visitor.page.go_back()
    expect(visitor.box).to_be_visible()
    answered(visitor, "quick two")
    expect(visitor.articles).to_have_count(2)
    expect(visitor.articles.first).to_contain_text("quick two")


def test_a_heartbeat_is_an_activity(visit: Visit) -> None:
    """While somebody is there the heartbeat keeps the conversation from expiring."""
    visitor = answered(visit(tag='data-session-expiry="3" data-heartbeat-interval="1"').open())
    visitor.page.wait_for_timeout(4500)
    returned(visitor)
    expect(visitor.articles).to_have_count(2)


def test_no_restoring(visit: Visit) -> None:
    """With auto-restore off a reload begins with an empty chat."""
    visitor = answered(visit(tag='data-auto-restore="false"').open())
    returned(visitor)
    answered(visitor, "quick two")
    expect(visitor.articles).to_have_count(2)
    expect(visitor.articles.first).to_contain_text("quick two")


def test_tabs_of_their_own(visit: Visit, context: BrowserContext) -> None:
    """In tab scope two tabs never meet; a duplicated tab starts with nothing, and neither disturbs the other."""
    tag = 'data-session-scope="tab"'
    one, two = visit(tag=tag).open(), visit(tag=tag).open()
    answered(one, "quick one")
    answered(two, "quick two")
    with context.expect_page() as opened:
        one.page.evaluate("() => void window.open(location.href)")
    copy = Visitor(opened.value)
    copy.page.wait_for_function("() => window.Baton")
    copy.page.evaluate("() => void Baton.open()")  # it may open by itself meanwhile
    answered(copy, "quick three")
    for tab, text in ((one, "quick one"), (two, "quick two"), (copy, "quick three")):
        returned(tab)
        expect(tab.articles).to_have_count(2)
        expect(tab.articles.first).to_contain_text(text)


def test_pages_of_their_own(visit: Visit) -> None:
    """In page scope two tabs never meet, nothing of a session is stored, and a page load begins with nothing."""
    tag = 'data-session-scope="page"'
    one, two = visit(tag=tag).open(), visit(tag=tag).open()
    answered(one, "quick one")
    answered(two, "quick two")
    expect(one.articles).to_have_count(2)
    assert "ses_" not in one.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    returned(two)
    answered(two, "quick three")
    expect(two.articles).to_have_count(2)
    expect(two.articles.first).to_contain_text("quick three")


def test_two_services_on_one_site(visit: Visit, baton: str) -> None:
    """Conversations are kept by the service's origin: two Batons on one site never meet."""
    one = answered(visit().open(), "quick one")
    other = visit(tag=f'data-api-url="{baton.replace("localhost", "127.0.0.1")}"').open()
    expect(other.articles).to_have_count(0)
    answered(other, "quick two")
    for visitor, text in ((one, "quick one"), (other, "quick two")):
        returned(visitor)
        expect(visitor.articles).to_have_count(2)
        expect(visitor.articles.first).to_contain_text(text)


def test_another_service_later(visit: Visit, baton: str, context: BrowserContext) -> None:
    """`Baton.init` with another `apiUrl` shows that service's conversations; the scripts stay those of the first."""
    visitor = answered(visit().open(), "quick one")
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url))
    other = baton.replace("localhost", "127.0.0.1")
    visitor.page.evaluate("(apiUrl) => Baton.init({ apiUrl })", other)
    answered(visitor.open(), "quick two")
    expect(visitor.articles).to_have_count(2)
    expect(visitor.articles.first).to_contain_text("quick two")
    assert [url for url in asked if "/api/" in url and not url.startswith(f"{other}/")] == []
    assert [url for url in asked if "/api/" not in url and url.startswith(f"{other}/")] == []
    visitor.page.evaluate("(apiUrl) => Baton.init({ apiUrl })", baton)
    expect(visitor.articles.first).to_contain_text("quick one")
    expect(visitor.articles).to_have_count(2)
    assert visitor.errors == []


def test_new_chat(visit: Visit) -> None:
    """New chat forgets the old conversation at once, also after a reload."""
    visitor = answered(visit().open(), "quick one")
    visitor.act("New chat")
    expect(visitor.articles).to_have_count(0)
    answered(visitor, "quick two")
    returned(visitor)
    expect(visitor.articles).to_have_count(2)
    expect(visitor.articles.first).to_contain_text("quick two")


def test_an_ended_chat(visit: Visit) -> None:
    """End chat asks first and can be called off; after it there is the word, the history, New chat; a reload too."""
    visitor = answered(visit().open(), "quick one")
    visitor.act("End chat")
    asking = visitor.page.get_by_role("dialog").filter(has=visitor.button("Cancel")).last
    asking.get_by_role("button", name="Cancel").click()
    expect(visitor.button("Cancel")).to_have_count(0)
    visitor.act("End chat")
    asking.get_by_role("button", name="End chat").click()
    expect(visitor.status).to_contain_text("ended")
    expect(visitor.button("New chat").first).to_be_visible()
    expect(visitor.articles).to_have_count(2)
    returned(visitor)
    expect(visitor.articles).to_have_count(2)
    expect(visitor.status).to_contain_text("ended")
    visitor.button("New chat").first.click()
    expect(visitor.articles).to_have_count(0)
    answered(visitor)


def test_a_session_deleted_elsewhere(visit: Visit, context: BrowserContext, baton: str) -> None:
    """When the session is deleted under an open chat, it says so, and the next question starts another one."""
    asked: list[Request] = []
    context.on("request", lambda one: asked.append(one))
    visitor = answered(visit().open(), "quick one")
    bearer = next(one.headers["authorization"] for one in asked if "authorization" in one.headers)
    assert httpx.delete(f"{baton}/api/session/me", headers={"Authorization": bearer}).status_code == 204
    expect(visitor.status).to_contain_text("deleted")
    visitor.ask("quick two")
    expect(visitor.answers.last).to_contain_text("A quick answer.")
    latest = [one.headers["authorization"] for one in asked if "authorization" in one.headers][-1]
    assert latest != bearer


def test_delete_conversation(visit: Visit) -> None:
    """Delete conversation asks first, and then nothing of it is left in any tab."""
    one, two = answered(visit().open()), visit().open()
    expect(two.articles).to_have_count(2)
    one.act("Delete conversation")
    one.button("Delete").click()
    for tab in (one, two):
        expect(tab.articles).to_have_count(0)
        expect(tab.status).to_contain_text("deleted")
    answered(two)
