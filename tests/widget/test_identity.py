"""Signed-in visitors in a real browser: signing in during a chat, another device, the full page, signing out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
import jwt
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, expect

from tests.conftest import until
from tests.widget.conftest import Visitor, answered, serve_baton, serve_site

SECRET = "a secret of at least thirty-two bytes"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def baton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose site signs."""
    with serve_baton(tmp_path_factory.mktemp("signing"), BATON_IDENTITY_SECRET=SECRET) as address:
        yield address


@pytest.fixture(scope="module")
def site(baton: str) -> Iterator[str]:
    """The address of the customer's site."""
    with serve_site(baton) as address:
        yield address


def token(user: str = "ada", seconds: float = 600) -> str:
    return jwt.encode({"sub": user, "exp": time.time() + seconds, "aud": "baton"}, SECRET, "HS256")


def signed(user: str = "ada") -> dict[str, str]:
    """What a page of the site has in its head for its signed-in visitor."""
    return {"head": f'<script>window.Baton = [["identify", {json.dumps(token(user))}]]</script>'}


def identify(visitor: Visitor, user: str = "ada", seconds: float = 600) -> None:
    visitor.page.evaluate("(token) => window.Baton.identify(token)", token(user, seconds))


def stored(visitor: Visitor) -> str:
    """The id that the browser remembers; empty where it remembers none."""
    found: str = visitor.page.evaluate(
        "() => JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(':session'))?.[1] ?? '{}').id ?? ''"
    )
    return found


def status_of(baton: str, session_id: str, user: str = "") -> int:
    headers = {"Baton-User": token(user)} if user else {}
    return httpx.get(f"{baton}/api/session/{session_id}", headers=headers).status_code


def claimed(visitor: Visitor, old: str) -> str:
    """The id that the conversation has after it was claimed."""
    until(lambda: stored(visitor) not in ("", old), 15, "the claim")
    return stored(visitor)


def test_signing_in_during_a_chat(visit: Visit, baton: str) -> None:
    """The chat goes on under a new id, in every tab of the browser; the old id and the new one alone open nothing."""
    visitor = answered(visit().open(), "quick one")
    other = visit().open()
    expect(other.answers).to_have_count(1)
    old = stored(visitor)
    identify(visitor)
    new = claimed(visitor, old)
    assert [status_of(baton, one) for one in (old, new)] == [404, 403]
    assert status_of(baton, new, "ada") == 200
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    expect(other.answers).to_have_count(2)
    other.page.bring_to_front()
    other.ask("quick three")
    expect(visitor.answers).to_have_count(3)
    for one in (visitor, other):
        expect(one.status).not_to_contain_text("deleted")
        assert one.errors == []


def test_signing_in_while_an_answer_is_written(visit: Visit, baton: str) -> None:
    """The answer is written to its end, and then the conversation becomes the user's."""
    visitor = visit().open().ask("words=40 pace=0.05")
    expect(visitor.answers).to_contain_text("w3")
    old = stored(visitor)
    identify(visitor, "bert")
    expect(visitor.answers).to_contain_text("w39")
    assert status_of(baton, claimed(visitor, old), "bert") == 200
    expect(visitor.answers).to_have_count(1)
    assert visitor.errors == []


def test_another_device(visit: Visit, stranger: Visit, site: str) -> None:
    """Signed in on another device, visitors find their conversation there, and both devices go on with it."""
    visitor = answered(visit(**signed("cleo")).open(), "quick one")
    other = stranger()
    identify(other, "cleo")
    other.open()
    expect(other.answers).to_have_count(1)
    other.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    visitor.page.reload()
    expect(visitor.answers).to_have_count(2)


def test_signing_out(visit: Visit, baton: str) -> None:
    """After `Baton.reset()` nothing of the conversation or the draft is in any tab; a new chat works."""
    visitor = answered(visit(**signed("dora")).open(), "quick one")
    other = visit(**signed("dora")).open()
    expect(other.answers).to_have_count(1)
    other.box.fill("half a thought")
    visitor.page.evaluate("() => window.Baton.reset()")
    for one in (visitor, other):
        expect(one.page.get_by_role("dialog")).to_be_visible()
        expect(one.articles).to_have_count(0)
        expect(one.box).to_have_value("")
        kept = one.page.evaluate("() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")
        assert "ses_" not in kept
        assert "half a thought" not in kept
    visitor.ask("quick as somebody else")
    expect(visitor.answers).to_have_count(1)
    assert status_of(baton, stored(visitor)) == 200
    assert visitor.errors == other.errors == []


def test_a_page_that_does_not_identify(visit: Visit, context: BrowserContext, baton: str) -> None:
    """A user's conversation is not shown where they are not signed in, without error or notice; the next is new."""
    visitor = answered(visit(**signed("emil")).open(), "quick one")
    first = stored(visitor)
    visitor.page.close()
    lines: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type == "error":
            lines.append(line.text)

    context.on("console", hear)
    later = visit().open()
    expect(later.box).to_be_visible()
    later.page.wait_for_timeout(500)
    expect(later.articles).to_have_count(0)
    expect(later.status).to_have_text("")
    later.ask("quick two")
    expect(later.articles).to_have_count(2)
    assert stored(later) != first
    assert lines == []


def test_an_expired_token_is_renewed(visit: Visit) -> None:
    """A function is asked again when the service does not take its last token any more; the visitor notices nothing."""
    visitor = visit().open()
    visitor.page.evaluate(
        "(tokens) => { window.asked = 0; window.Baton.identify(async () => tokens[Math.min(window.asked++, 1)]); }",
        [token("fritz", -2), token("fritz")],
    )
    visitor.ask("quick one")
    expect(visitor.answers).to_have_count(1)
    visitor.page.wait_for_timeout(4000)
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    assert visitor.page.evaluate("() => window.asked") == 2
    assert visitor.errors == []


def test_the_full_page(visit: Visit) -> None:
    """The full page carries a signed-in user's conversation on, through a reload; its token is in that tab alone."""
    visitor = answered(visit(**signed("gina")).open(), "quick one")
    page = visitor.carry_on()
    expect(page.status).to_contain_text("Conversation continued from widget")
    page.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    page.page.reload()
    expect(page.answers).to_have_count(2)
    assert "eyJ" not in page.page.evaluate("() => JSON.stringify({ ...localStorage })")
    assert page.errors == []


def test_the_full_page_when_the_token_expires(visit: Visit) -> None:
    """When its token expires the page shows nothing of the conversation any more, and says what to do."""
    visitor = visit().open()
    identify(visitor, "hans", 6)
    visitor.ask("quick one")
    expect(visitor.answers).to_have_count(1)
    page = visitor.carry_on()
    expect(page.answers).to_have_count(1)
    page.page.wait_for_timeout(12_000)
    page.ask("quick two")
    expect(page.status).to_contain_text("Sign in again")
    expect(page.articles).to_have_count(0)
    expect(page.box).to_have_value("quick two")


def test_another_user_at_the_same_browser(visit: Visit) -> None:
    """Who signs in after another sees nothing of theirs, also where nobody signed out."""
    visitor = answered(visit(**signed("ida")).open(), "quick one")
    visitor.box.fill("half a thought")
    identify(visitor, "jon")
    expect(visitor.articles).to_have_count(0)
    expect(visitor.box).to_have_value("")
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(1)
    identify(visitor, "ida")
    expect(visitor.articles.first).to_contain_text("quick one")


def test_quiet_until_reached_for(visit: Visit, context: BrowserContext, baton: str) -> None:
    """`identify` and `reset` ask nothing of the service before the visitor reaches for the chat."""
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url) if one.url.startswith(baton) else None)
    visitor = visit(**signed("kurt"))
    expect(visitor.button("Open chat")).to_be_visible()
    identify(visitor, "kurt")
    visitor.page.evaluate("() => window.Baton.reset()")
    visitor.page.wait_for_timeout(500)
    assert asked == [f"{baton}/widget.js"]


def test_a_signed_in_user_is_not_asked_whose_it_is(visit: Visit, stranger: Visit) -> None:
    """Handed over to the full page, a signed-in user's conversation is theirs; an anonymous one may be anybody's."""
    visitor = answered(visit(**signed("nobody-else")).open())  # a user of this test alone: it begins empty
    page = visitor.carry_on()
    expect(page.status).to_contain_text("Conversation continued from widget")
    expect(page.status).not_to_contain_text("Not yours?")
    other = answered(stranger().open())
    expect(other.carry_on().status).to_contain_text("Not yours?")
