"""Conversations at the desk, as the contract has them: lists, one conversation, what operators do, feeds, notes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import API_KEY, RunningService
from tests.contract.desk_client import DeskClient, ServerClient
from tests.contract.feeds import Event, SseFeed
from tests.contract.launch import eventually

VIEWS = ("queue", "mine", "open", "bot", "ended")
ROW = {"ref", "handler", "assigned_to", "status", "last_message", "waiting_since", "created_at", "last_seen_at",
       "unread", "metadata", "user"}  # fmt: skip


@pytest.fixture(scope="module")
def server(desk: RunningService) -> ServerClient:
    return ServerClient(desk.base, API_KEY)


@pytest.fixture(scope="module")
def anna(server: ServerClient) -> DeskClient:
    """An operator, logged in and available."""
    operator = server.log_in("Anna", "operator")
    assert operator.post("/me", {"available": True}).status_code == 200
    return operator


@pytest.fixture(scope="module")
def ben(server: ServerClient) -> DeskClient:
    return server.log_in("Ben", "operator")


@pytest.fixture(scope="module")
def lead(server: ServerClient) -> DeskClient:
    return server.log_in("Lea", "lead")


@pytest.fixture(scope="module")
def viewer(server: ServerClient) -> DeskClient:
    return server.log_in("Vic", "viewer")


@pytest.fixture
def guest(desk: RunningService) -> Visitor:
    """A visitor with a fresh session."""
    return ApiClient(desk.base).create(metadata={"page": "/pricing"})


def rows(client: DeskClient | ServerClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.call("GET", "/conversations", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["conversations"]
    return found


def find(client: DeskClient | ServerClient, words: str, view: str = "bot") -> dict[str, Any]:
    """The row of the conversation that holds these words; it must be listed within a second."""
    found = eventually(lambda: rows(client, view=view, q=words), 1.0)
    assert [row["ref"] for row in found] == [found[0]["ref"]], found
    return found[0]


def asked(guest: Visitor, client: DeskClient, words: str) -> str:
    """The ref of a guest's conversation, once they have said something."""
    guest.said(words)
    return str(find(client, words)["ref"])


def at(ref: str, rest: str = "") -> str:
    return f"/conversations/{ref}{rest}"


def follow(client: DeskClient, path: str, last: str | None = None) -> SseFeed:
    headers = {"Cookie": client.cookie} | ({"Last-Event-ID": last} if last else {})
    return SseFeed(f"{client.base}/api/desk{path}", headers=headers)


def counts(client: DeskClient) -> dict[str, int]:
    found: dict[str, int] = client.get("/conversations").json()["counts"]
    return found


def test_listed_within_a_second(guest: Visitor, anna: DeskClient, server: ServerClient) -> None:
    """R34: listed with its first message, in the contract's shape, without id or ticket; its ref opens nothing else."""
    ticket = guest.ticket("share")
    guest.said("Where is\nmy parcel 7431?")
    row = find(anna, "parcel 7431")
    assert set(row) == ROW
    assert (row["handler"], row["assigned_to"], row["status"], row["user"]) == ("bot", None, "active", None)
    assert row["last_message"].pop("created_at") >= row["created_at"]
    assert row["last_message"] == {"role": "user", "preview": "Where is my parcel 7431?"}
    assert (row["unread"], row["metadata"], row["waiting_since"]) == (1, {"page": "/pricing"}, None)
    assert re.fullmatch("cnv_[0-9a-f]{24}", row["ref"])
    for answer in (
        server.call("GET", at(row["ref"])), server.call("GET", at(row["ref"], "/messages")),
        server.call("GET", at(row["ref"], "/transcript")), server.call("GET", "/conversations?view=bot"),
    ):  # fmt: skip
        assert answer.status_code == 200
        assert guest.id not in answer.text
        assert ticket not in answer.text
        assert "ses_" not in answer.text
    assert guest.caller.get(f"/api/session/{row['ref']}").status_code == 404
    assert guest.caller.resume(row["ref"]).status_code == 404


def test_views_and_counts(guest: Visitor, anna: DeskClient, ben: DeskClient) -> None:
    """Queue, taken, released, ended: always in the view where it belongs, and counted there."""

    def where(client: DeskClient) -> set[str]:
        return {view for view in VIEWS if any(row["ref"] == ref for row in rows(client, view=view, limit=100))}

    ref = asked(guest, anna, "I need somebody 1177")
    assert where(anna) == {"bot"}
    before = counts(anna)
    asks = guest.post("/human", {"contact": {"name": "Gwen", "email": "gwen@example.org"}})
    assert asks.json()["handler"] == "queue", asks.text
    row = find(anna, "GWEN@", "queue")
    assert row["queue_position"] == asks.json()["queue_position"] >= 1
    assert row["waiting_since"]
    assert row["contact"] == {"name": "Gwen", "email": "gwen@example.org"}
    taken = anna.post(at(ref, "/take"))
    assert taken.status_code == 200, taken.text
    assert (taken.json()["handler"], taken.json()["assigned_to"]) == ("human", {"id": anna.operator_id, "name": "Anna"})
    assert (where(anna), where(ben)) == ({"mine", "open"}, {"open"})
    assert anna.post(at(ref, "/take")).status_code == 200
    after = counts(anna)
    assert (after["mine"], after["open"], after["bot"]) == (before["mine"] + 1, before["open"] + 1, before["bot"] - 1)
    assert anna.post(at(ref, "/release"), {"to": ben.operator_id}).status_code == 200
    assert (where(anna), where(ben)) == ({"open"}, {"mine", "open"})
    assert ben.post(at(ref, "/release"), {"to": "bot"}).json()["handler"] == "bot"
    assert where(anna) == {"bot"}
    assert anna.post(at(ref, "/end")).json()["status"] == "ended"
    assert where(anna) == {"ended"}
    assert guest.get().json()["status"] == "ended"
    assert is_problem(anna.post(at(ref, "/take")), 409, "session_ended")


def test_already_taken(guest: Visitor, anna: DeskClient, ben: DeskClient, lead: DeskClient) -> None:
    """What somebody else has can be neither taken nor answered, released or ended; a lead may force it."""
    ref = asked(guest, anna, "Taken once 9923")
    assert ben.post(at(ref, "/messages"), {"message": "Hello, Ben here"}).status_code == 201
    for path, body in (
        ("/take", {}), ("/messages", {"message": "And Anna"}), ("/release", {"to": "bot"}), ("/end", {}),
    ):  # fmt: skip
        refused = anna.post(at(ref, path), body)
        assert is_problem(refused, 409, "already_taken"), (path, refused.text)
        assert refused.json()["assigned_to"]["name"] == "Ben"
    assert is_problem(anna.post(at(ref, "/take"), {"force": True}), 403, "not_allowed")
    assert is_problem(anna.post(at("cnv_unknown", "/take"), {"force": True}), 403, "not_allowed")
    assert lead.post(at(ref, "/take"), {"force": True}).json()["assigned_to"]["name"] == "Lea"
    assert lead.post(at(ref, "/release"), {"to": "queue"}).json()["handler"] == "queue"
    assert guest.texts()[-1] == "Hello, Ben here"


def test_messages_are_sent_once(guest: Visitor, anna: DeskClient) -> None:
    """A message repeated with its client id is stored once; it takes the conversation, and says who wrote it."""
    ref = asked(guest, anna, "Say it once 5531")
    first, second = (anna.post(at(ref, "/messages"), {"message": "Hi!", "client_id": "m1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["message"] == second.json()["message"]
    assert first.json()["message"]["author"] == {"type": "operator", "name": "Anna"}
    assert guest.texts().count("Hi!") == 1
    assert find(anna, "Hi!", "mine")["last_message"]["author"] == {"type": "operator", "name": "Anna"}


def test_unread(guest: Visitor, anna: DeskClient, ben: DeskClient) -> None:
    """Each operator has their own count of unread messages; ``read`` sets theirs to 0."""
    ref = asked(guest, anna, "Unread one 3381")
    guest.said("Unread two")
    eventually(lambda: anna.get(at(ref)).json()["unread"] == 2, 2)
    assert anna.post(at(ref, "/read")).status_code == 200
    assert [one.get(at(ref)).json()["unread"] for one in (anna, ben)] == [0, 2]
    guest.said("Unread three")
    assert eventually(lambda: anna.get(at(ref)).json()["unread"], 2) == 1


def test_a_rating_is_told_at_once(guest: Visitor, anna: DeskClient, desk: RunningService) -> None:
    """Each time that the visitor rates an answer, or adds a comment, the desks get the row with a new `rated_at`."""
    guest.ask("rate this answer")
    row = find(anna, "rate this answer")
    assert "rated_at" not in row
    path = f"/messages/{guest.history()[-1]['id']}/feedback"
    with SseFeed(f"{desk.base}/api/desk/events", headers={"Cookie": anna.cookie}) as feed:
        feed.until("counts")
        times = []
        for rating in ({"rating": "up"}, {"rating": "up", "comment": "Short and right"}):
            assert guest.post(path, rating).status_code == 200

            def is_told(events: list[Event]) -> list[str]:
                rows = [event.data for event in events if event.event == "conversation"]
                told = [one["rated_at"] for one in rows if one["ref"] == row["ref"] and "rated_at" in one]
                return [at for at in told if at not in times]

            times.append(is_told(feed.wait(is_told, 5.0))[-1])
    shown = anna.get(f"/conversations/{row['ref']}/messages").json()["messages"][-1]
    assert shown["metadata"]["feedback"]["comment"] == "Short and right"
    assert find(anna, "rate this answer")["rated_at"] == times[1] > times[0]


def test_notes_are_for_operators_alone(guest: Visitor, anna: DeskClient, viewer: DeskClient) -> None:
    """R32: notes are in the operators' history, each at its time and on one page alone, and nowhere else."""
    with guest.events() as feed:
        ref = asked(guest, anna, "m1 7755")
        note = anna.post(at(ref, "/notes"), {"message": "Careful, n1", "client_id": "n1"})
        assert note.status_code == 201, note.text
        assert anna.post(at(ref, "/notes"), {"message": "Careful, n1", "client_id": "n1"}).status_code == 200
        guest.said("m2")
        anna.post(at(ref, "/notes"), {"message": "n2"})
        guest.said("m3")
        anna.post(at(ref, "/notes"), {"message": "n3"})
        feed.wait(lambda events: [one.data.get("content") for one in events if one.event == "message"][-1:] == ["m3"])

    def page(**query: Any) -> tuple[list[str], bool, list[dict[str, Any]]]:
        body = viewer.call("GET", at(ref, "/messages"), params=query).json()
        assert body["ref"] == ref
        assert "session_id" not in body
        return [one["content"] for one in body["messages"]], body["has_more"], body["messages"]

    whole, has_more, messages = page()
    assert (whole, has_more) == (["m1 7755", "Careful, n1", "m2", "n2", "m3", "n3"], False)
    assert messages[1]["role"] == "note"
    assert re.fullmatch(r"note_1_[0-9a-f]{6}", messages[1]["id"])
    assert messages[1]["author"]["name"] == "Anna"
    assert page(limit=1)[:2] == (["m3", "n3"], True)
    assert page(limit=1, before=messages[4]["id"])[:2] == (["m2", "n2"], True)
    assert page(limit=2, before=messages[4]["id"])[:2] == (["m1 7755", "Careful, n1", "m2", "n2"], False)
    assert page(limit=1, after=messages[0]["id"])[:2] == (["Careful, n1", "m2"], True)
    assert page(limit=5, after=messages[2]["id"])[:2] == (["n2", "m3", "n3"], False)
    assert page(after=messages[4]["id"])[:2] == (["n3"], False)
    assert page(before=messages[0]["id"])[:2] == ([], False)
    seen_by_visitor = guest.get("/messages").text + guest.get("/transcript?format=json").text + str(feed.raw)
    seen_by_visitor += guest.caller.resume(guest.id).text + viewer.get(at(ref, "/transcript?format=json")).text
    for hidden in ("Careful", "n1", "n2", "n3", "note_"):
        assert hidden not in seen_by_visitor
    assert guest.get().json()["message_count"] == 3 == viewer.get(at(ref)).json()["message_count"]


def test_conversation_feed(guest: Visitor, anna: DeskClient, ben: DeskClient) -> None:
    """An operator follows a running answer word by word, hears of notes, the visitor's typing, and who else looks;
    their reading does not count as the visitor's.
    """
    ref = asked(guest, anna, "Follow me 1212")
    cursor = anna.get(at(ref, "/messages")).json()["cursor"]
    with follow(anna, at(ref, f"/events?after={cursor}")) as feed:
        feed.until("viewers")
        with guest.ask_streamed("tokens=20 delay=0.01") as answer:
            answer.until("answer.end")
        feed.until("answer.end")
        words = "".join(one.data["text"] for one in feed.named("answer.delta"))
        assert words == feed.named("answer.end")[0].data["message"]["content"]
        ben.post(at(ref, "/notes"), {"message": "Look at this"})
        feed.wait(lambda events: any(one.data.get("role") == "note" for one in events))
        assert [one.id for one in feed.named("message") if one.data["role"] == "note"] == [None]
        assert guest.post("/typing").status_code == 200
        feed.wait(lambda events: any(one.event == "typing" and one.data == {"who": "visitor"} for one in events))
        with follow(ben, at(ref, "/events")) as other:
            names = other.until("viewers")[-1].data["operators"]
            assert {"id": ben.operator_id, "name": "Ben"} in names
            assert [one.data["content"] for one in other.until("message") if one.event == "message"] == ["Look at this"]
            feed.wait(lambda events: len(events[-1].data.get("operators", [])) == 2 or _viewers(events, 2))
        feed.wait(lambda events: _viewers(events, 1))
        anna.post(at(ref, "/take"))
        received = feed.until("handler")
        assert [one.data["handler"] for one in received if one.event == "handler"] == ["human"]
        last = [one.id for one in feed.events if one.id][-1]
    with follow(anna, at(ref, "/events"), last) as again:
        guest.said("after the cut")
        numbered = again.wait(lambda events: any(one.id for one in events))
        assert [one.data["content"] for one in numbered if one.id] == ["after the cut"]


def _viewers(events: list[Any], count: int) -> bool:
    shown = [one.data["operators"] for one in events if one.event == "viewers"]
    return bool(shown) and len(shown[-1]) == count


def test_typing_of_operators(guest: Visitor, anna: DeskClient) -> None:
    """A visitor hears that an operator types, without a position."""
    ref = asked(guest, anna, "Typing 4141")
    with guest.events() as feed:
        feed.wait_quietly(lambda events: bool(events), 0.2)
        assert anna.post(at(ref, "/typing")).status_code == 200
        notice = feed.until("typing")[-1]
        assert (notice.id, notice.data) == (None, {"who": "operator", "name": "Anna"})


def test_desk_feed(guest: Visitor, anna: DeskClient, desk: RunningService) -> None:
    """The desk's feed sends rows as the list has them, counts and operators; it goes on where it was cut."""
    with follow(anna, "/events") as feed:
        feed.until("operators")
        assert {one.event for one in feed.events} >= {"counts", "operators"}
        me = [one for one in feed.named("operators")[0].data["operators"] if one["id"] == anna.operator_id]
        assert (me[0]["name"], me[0]["available"]) == ("Anna", True)
        start = next(one.id for one in feed.events if one.id)
        ref = asked(guest, anna, "Feed me 6060")
        received = feed.wait(
            lambda events: any(one.data.get("ref") == ref for one in events if one.event == "conversation")
        )
        event = next(one for one in received if one.data.get("ref") == ref)
        row = anna.get(at(ref)).json()
        assert event.data == {name: row[name] for name in event.data}
        assert set(event.data) == ROW
        counted = feed.wait(lambda events: [one.data for one in events if one.event == "counts"][-1]["bot"] >= 1)
        assert set([one.data for one in counted if one.event == "counts"][-1]) == set(VIEWS)
    anna.post(at(ref, "/take"))
    guest.said("while nobody looked")
    with follow(anna, "/events", event.id) as again:
        newest = again.wait(
            lambda events: any(
                (one.data.get("last_message") or {}).get("preview") == "while nobody looked" for one in events
            )
        )
        mine = [one.data for one in newest if one.event == "conversation" and one.data["ref"] == ref]
        assert mine[-1]["assigned_to"]["name"] == "Anna"
        ids = [int(one.id.partition("-")[0]) for one in newest if one.id]
        assert ids == sorted(set(ids))
        assert ids[0] > int(event.id.partition("-")[0])
    with follow(anna, "/events", start) as from_start:
        assert ref in {one.data.get("ref") for one in from_start.until("conversation") if one.event == "conversation"}
    for lost in ("nonsense", f"999999{event.id}", event.id[:-1] + ("0" if event.id[-1] != "0" else "1")):
        with follow(anna, "/events", lost) as reset:
            first = reset.until("reset")[0]
            assert first.event == "reset"
            assert first.id
    with httpx.stream("HEAD", f"{desk.base}/api/desk/events", headers={"Cookie": anna.cookie}) as head:
        assert head.status_code == 200
        assert head.headers["content-type"].startswith("text/event-stream")


def test_feed_ends_with_the_login(server: ServerClient) -> None:
    """A removed operator's feed is closed."""
    gone = server.log_in("Gus", "operator")
    with follow(gone, "/events") as feed:
        feed.until("operators")
        assert server.call("DELETE", f"/operators/{gone.operator_id}").status_code == 204
        feed.until_closed(15)
    assert follow(gone, "/events").status == 401


def test_delete(guest: Visitor, anna: DeskClient, lead: DeskClient, desk: RunningService) -> None:
    """A deleted conversation is gone from the lists before the 204, the desks' feeds say so; nothing is left."""
    ref = asked(guest, anna, "Delete me 8080")
    assert is_problem(anna.delete(at(ref)), 403, "not_allowed")
    with follow(anna, "/events") as feed:
        feed.until("operators")
        assert lead.delete(at(ref)).status_code == 204
        assert rows(anna, view="bot", q="Delete me 8080") == []
        feed.wait(lambda events: {"ref": ref, "deleted": True} in [one.data for one in events])
    assert is_problem(anna.get(at(ref)), 404, "not_found")
    assert guest.get().status_code == 404
    assert [name for name in desk.key_names() if ref in name or ref[4:] in name] == []
    second = ApiClient(desk.base).create()
    other = asked(second, anna, "And me 8081")
    assert second.erase().status_code == 204
    assert rows(anna, view="bot", q="And me 8081") == []
    assert is_problem(anna.post(at(other, "/take")), 404, "not_found")


def test_wrong_input(guest: Visitor, anna: DeskClient, server: ServerClient) -> None:
    """Each wrong value is named; an unknown conversation comes before a wrong body, a missing login before both."""
    ref = asked(guest, anna, "Wrong input 1001")
    wrong: list[tuple[str, Callable[[], httpx.Response]]] = [
        ("view", lambda: anna.get("/conversations?view=all")),
        ("limit", lambda: anna.get("/conversations?limit=0")),
        ("limit", lambda: anna.get("/conversations?limit=101")),
        ("limit", lambda: anna.get("/conversations?limit=x")),
        ("cursor", lambda: anna.get("/conversations?cursor=x")),
        ("q", lambda: anna.get("/conversations?q=" + "x" * 201)),
        ("user", lambda: anna.get("/conversations?user=")),
        ("to", lambda: anna.post(at(ref, "/release"), {})),
        ("to", lambda: anna.post(at(ref, "/release"), {"to": "nobody"})),
        ("to", lambda: anna.post(at(ref, "/release"), {"to": "op_unknown"})),
        ("message", lambda: anna.post(at(ref, "/messages"), {"message": "  "})),
        ("message", lambda: anna.post(at(ref, "/messages"), {"message": "x" * 4001})),
        ("client_id", lambda: anna.post(at(ref, "/messages"), {"message": "x", "client_id": "ä"})),
        ("message", lambda: anna.post(at(ref, "/notes"), {"message": 7})),
        ("force", lambda: anna.post(at(ref, "/take"), {"force": "yes"})),
        ("before", lambda: anna.get(at(ref, "/messages?before=msg_1_000000"))),
        ("format", lambda: anna.get(at(ref, "/transcript?format=pdf"))),
        ("Baton-Operator", lambda: server.call("POST", at(ref, "/take"), json={})),
    ]
    for field, call in wrong:
        answer = call()
        assert is_problem(answer, 422, "invalid_request"), (field, answer.text)
        assert answer.json()["errors"][0]["field"] == field
    for unknown in ("cnv_" + "0" * 24, "cnv_", "..", ref.upper(), guest.id):
        assert is_problem(anna.post(at(unknown, "/release"), {"to": 1}), 404, "not_found"), unknown
        assert is_problem(anna.get(at(unknown, "/messages?limit=0")), 404, "not_found")
    assert is_problem(DeskClient(anna.base).post(at("cnv_" + "0" * 24, "/release"), {"to": 1}), 401, "login_required")


def test_a_server_for_an_operator(guest: Visitor, anna: DeskClient, server: ServerClient) -> None:
    """A server with the API key acts for the operator it names; alone it reads."""
    ref = asked(guest, anna, "By server 2020")
    as_anna = server.acting_as(anna.operator_id)
    assert as_anna.call("POST", at(ref, "/messages"), json={"message": "From Slack"}).status_code == 201
    assert rows(as_anna, view="mine", q="From Slack")[0]["ref"] == ref
    assert rows(server, view="mine") == []
    assert (
        json.loads(server.call("GET", at(ref, "/transcript?format=json")).text)["messages"][-1]["content"]
        == "From Slack"
    )


def test_pages_of_the_list(desk: RunningService, anna: DeskClient) -> None:
    """Pages follow each other, newest first, without gap or repetition, while new conversations come in."""
    guests = [ApiClient(desk.base).create() for _ in range(7)]
    for number, one in enumerate(guests):
        one.said(f"Paging 5050 number {number}")
    eventually(lambda: len(rows(anna, view="bot", q="Paging 5050")) == 7, 3)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"view": "bot", "q": "Paging 5050", "limit": 3} | ({"cursor": cursor} if cursor else {})
        body = anna.call("GET", "/conversations", params=query).json()
        found += [row["last_message"]["preview"][-1] for row in body["conversations"]]
        cursor = body["cursor"]
        ApiClient(desk.base).create().said("Newer than all pages")
    assert found == ["6", "5", "4", "3", "2", "1", "0"]
