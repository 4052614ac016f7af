"""Handing a conversation on: tickets and resume."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.api_client import Visitor, at_once, is_problem
from tests.contract.feeds import WsFeed

RESUMED = {"success", "session_id", "status", "messages", "has_more", "cursor", "expires_at"}


def test_handoff(visitor: Visitor) -> None:
    """`handoff`: `{success, url, ticket, expires_in}`; `url` is the full page with `?session=<ticket>`."""
    for kind in (None, "once", "share"):
        body = visitor.post("/handoff", {"kind": kind} if kind else None).json()
        assert body.keys() >= {"success", "url", "ticket", "expires_in"}
        assert body["url"].startswith("https://chat.example/chat?")
        assert parse_qs(urlsplit(body["url"]).query) == {"session": [body["ticket"]]}
        assert visitor.id not in str(body)
        if kind != "share":
            assert body["expires_in"] == 300


def test_resume_by_ticket(visitor: Visitor) -> None:
    """`resume` gives all that a page needs in one trip; a `once` ticket is spent by it."""
    visitor.said("hello")
    ticket = visitor.ticket()
    body = visitor.caller.resume(ticket).json()
    assert body.keys() >= RESUMED
    assert (body["session_id"], body["status"], body["has_more"]) == (visitor.id, "active", False)
    assert body["messages"] == visitor.history()
    is_problem(visitor.caller.resume(ticket), 404, "session_not_found")


def test_resume_by_id(visitor: Visitor) -> None:
    """`resume` takes the id as well, as often as one likes."""
    visitor.said("hello")
    for _ in range(3):
        assert visitor.caller.resume(visitor.id).json()["messages"] == visitor.history()


@pytest.mark.parametrize("kind", ["once", "share"])
def test_a_ticket_is_no_id(visitor: Visitor, kind: str) -> None:
    """Tickets are good for `resume` and the page alone, nowhere in place of an id."""
    ticket, caller = visitor.ticket(kind), visitor.caller
    bearer = {"Authorization": f"Bearer {ticket}"}
    for method, rest in (
        ("GET", ""),
        ("GET", "/messages"),
        ("POST", "/heartbeat"),
        ("POST", "/end"),
        ("POST", "/handoff"),
        ("DELETE", ""),
        ("GET", "/events"),
        ("POST", "/stop"),
        ("GET", "/transcript"),
    ):
        is_problem(caller(method, f"/api/session/{ticket}{rest}"), 404, "session_not_found")
        is_problem(caller(method, f"/api/session/me{rest}", headers=bearer), 404, "session_not_found")
    is_problem(caller.post("/api/chat", json={"query": "x", "session_id": ticket}), 404, "session_not_found")
    is_problem(caller.post("/api/chat", json={"query": "x"}, params={"session": ticket}), 404, "session_not_found")
    is_problem(caller.post("/api/chat", json={"query": "x"}, headers=bearer), 404, "session_not_found")
    with pytest.raises(Exception, match="404"):
        WsFeed(f"{caller.base}/api/session/me/ws", subprotocols=["baton", ticket])
    assert caller.resume(ticket).json()["session_id"] == visitor.id


def test_after_an_end(visitor: Visitor) -> None:
    """After an end, tickets are 404; the id still resumes, with status `ended`."""
    tickets = [visitor.ticket(), visitor.ticket("share")]
    spent = visitor.ticket()
    assert visitor.caller.resume(spent, client_id="c").status_code == 200
    visitor.post("/end")
    for ticket in tickets:
        is_problem(visitor.caller.resume(ticket), 404, "session_not_found")
    is_problem(visitor.caller.resume(spent, client_id="c"), 404, "session_not_found")
    assert visitor.caller.resume(visitor.id).json()["status"] == "ended"


def test_a_lost_reply_burns_no_link(visitor: Visitor) -> None:
    """The same ticket with the same `client_id` within `TICKET_TTL` gets the same answer again."""
    ticket = visitor.ticket()
    visitor.said("hello")
    first = visitor.caller.resume(ticket, client_id="page-1")
    again = [visitor.caller.resume(ticket, client_id="page-1") for _ in range(3)]
    for answer in again:
        assert answer.status_code == 200
        assert {k: answer.json()[k] for k in ("session_id", "status", "messages")} == {
            k: first.json()[k] for k in ("session_id", "status", "messages")
        }
    is_problem(visitor.caller.resume(ticket, client_id="page-2"), 404, "session_not_found")
    is_problem(visitor.caller.resume(ticket), 404, "session_not_found")
    assert visitor.caller.resume(ticket, client_id="page-1").status_code == 200


def test_racing_with_one_client_id(visitor: Visitor) -> None:
    """So do racing ones: twenty with one client id all win, twenty with their own have one winner."""
    ticket = visitor.ticket()
    answers = at_once(20, lambda _: visitor.caller.resume(ticket, client_id="c"))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.content for answer in answers}) == 1
    ticket = visitor.ticket()
    answers = at_once(20, lambda number: visitor.caller.resume(ticket, client_id=f"c{number}"))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 19


def test_a_refused_resume_spends_nothing(visitor: Visitor) -> None:
    """A bad client id is refused before the ticket is taken."""
    ticket = visitor.ticket()
    is_problem(visitor.caller.resume(ticket, client_id="not allowed!"), 422, "invalid_request")
    assert visitor.caller.resume(ticket).status_code == 200


def test_the_cursor_of_resume(visitor: Visitor) -> None:
    """`cursor` is where to start `events` so that nothing is missed and nothing comes twice."""
    visitor.said("before")
    body = visitor.caller.resume(visitor.ticket()).json()
    visitor.said("after")
    with visitor.events(after=body["cursor"]) as feed:
        visitor.said("live")
        assert [event.data["content"] for event in feed.until("message", count=2)] == ["after", "live"]


def test_many_tickets(visitor: Visitor) -> None:
    """Every handoff makes a ticket of its own."""
    assert len({visitor.ticket(kind) for kind in ("once", "share") * 5}) == 10
