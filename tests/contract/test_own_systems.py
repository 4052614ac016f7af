"""Which events the owner's own systems get of conversations, and what is counted of them each day."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import API_KEY, NO_LIMITS, SCRIPTED
from tests.contract.desk_client import ServerClient
from tests.contract.launch import RedisProcess, Service, eventually, redis_for_desk
from tests.event_receiver import SECRET, EventReceiver, receiving

CANARY = "canary-of-the-visitor 4711"
DAY_FIELDS = [
    "date", "sessions", "asked", "restored", "handed_off", "ended", "abandoned", "duration_p50_s",
    "first_answer_p50_ms", "answers", "not_found", "failed", "up", "down", "requested_human", "taken", "wait_p50_s",
]  # fmt: skip


@dataclass
class Day:
    """A service that has had some conversations, and what its owner's systems heard of them."""

    service: Service
    redis: RedisProcess
    receiver: EventReceiver
    server: ServerClient
    visitors: dict[str, Visitor] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events about a conversation, in order, each once."""
        return [one for one in self.receiver.events() if one["data"]["ref"] == self.refs[name]]

    def types(self, name: str) -> list[str]:
        return [one["type"] for one in self.events(name)]

    def today(self) -> dict[str, Any]:
        answer = self.server.call("GET", "/analytics")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["days"][-1]
        return found


def visit(day: Day, name: str) -> Visitor:
    """A new conversation; its ref is that of its event."""
    before = {one["data"]["ref"] for one in day.receiver.events()}
    visitor = ApiClient(day.service.base).create()
    new: set[str] = set()
    assert eventually(lambda: new.update({one["data"]["ref"] for one in day.receiver.events()} - before) or new, 10)
    day.visitors[name], day.refs[name] = visitor, new.pop()
    return visitor


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    """A scripted day: six conversations, one operator."""
    redis = redis_for_desk()
    with receiving() as receiver:
        service = Service(
            redis.url,
            **NO_LIMITS,
            **SCRIPTED,
            BATON_API_KEY=API_KEY,
            BATON_DESK="on",
            BATON_KEEP_QUESTIONS="on",
            BATON_EVENTS_URL=receiver.url,
            BATON_EVENTS_SECRET=SECRET,
            BATON_WEBHOOK_ALLOW_PRIVATE="on",
            BATON_IDLE_TIMEOUT="600",
        )
        one = Day(service, redis, receiver, ServerClient(service.base, API_KEY))
        play(one)
        yield one
        service.remove()
        redis.stop()
        assert [line for line in service.last_words.splitlines() if "Traceback (most" in line] == []


def play(day: Day) -> None:
    rated = visit(day, "rated")
    answer = rated.ask(CANARY).json()
    for rating in ("up", "up", "down"):
        assert rated.post(f"/messages/{answer['message_id']}/feedback", {"rating": rating}).status_code == 200
    rated.ask("a second question")
    rated.post("/end")
    lost = visit(day, "lost")
    lost.ask("unknown: write to ada@example.com or 0123 456789")
    assert lost.post("/human", {"reason": CANARY, "contact": {"email": "ada@example.com"}}).status_code == 200
    operator = day.server.acting_as(day.server.invite("Anna", "operator")[0])
    assert operator.call("POST", "/me", json={"available": True}).status_code == 200
    helped = visit(day, "helped")
    helped.ask("hello")
    assert helped.post("/human", {}).json()["handler"] == "queue"
    ref = f"/conversations/{day.refs['helped']}"
    assert operator.call("POST", f"{ref}/take", json={}).status_code == 200
    assert operator.call("POST", f"{ref}/messages", json={"message": CANARY}).status_code == 201
    assert operator.call("POST", f"{ref}/notes", json={"message": CANARY}).status_code == 201
    assert operator.call("POST", f"{ref}/release", json={"to": "bot"}).status_code == 200
    failed = visit(day, "failed")
    assert failed.ask("fail").status_code == 502
    moved = visit(day, "moved")
    assert moved.caller.resume(moved.ticket("once")).status_code == 200
    assert moved.caller.resume(moved.id).status_code == 200
    erased = visit(day, "erased")
    erased.post("/end")
    day.server.call("DELETE", f"/conversations/{day.refs['erased']}", json={})


EXPECTED = {
    "rated": ["session.created", "rating.given", "rating.given", "session.ended"],
    "lost": ["session.created", "answer.not_found", "human.requested"],
    "helped": ["session.created", "human.requested", "human.taken", "human.released"],
    "failed": ["session.created", "answer.failed"],
    "moved": ["session.created", "session.handed_off", "session.restored"],
    "erased": ["session.created", "session.ended"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_event_arrives_in_order(day: Day, name: str) -> None:
    """Each event of a conversation once, in the order in which it happened, signed, with its ref."""
    assert eventually(lambda: len(day.types(name)) >= len(EXPECTED[name]), 10)
    assert day.types(name) == EXPECTED[name]
    assert day.receiver.forged == []
    for one in day.events(name):
        assert set(one) == {"type", "timestamp", "data"}
        assert datetime.fromisoformat(one["timestamp"]).utcoffset() == timedelta(0)
        assert one["timestamp"].endswith("Z")


def test_what_an_event_holds(day: Day) -> None:
    """Who, why and how long, as codes and numbers."""
    assert eventually(lambda: all(len(day.types(name)) >= len(EXPECTED[name]) for name in EXPECTED), 10)
    assert [one["data"]["rating"] for one in day.events("rated")[1:3]] == ["up", "down"]
    assert day.events("rated")[3]["data"]["by"]
    requested, taken, released = day.events("helped")[1:]
    assert requested["data"] == {"ref": day.refs["helped"], "by": "visitor"}
    assert taken["data"].keys() == {"ref", "operator", "waited_ms"}
    assert taken["data"]["operator"] == "Anna"
    assert released["data"]["to"] == "bot"
    assert day.events("lost")[2]["data"]["available"] is False
    assert day.events("failed")[1]["data"]["code"] == "engine_failed"


def test_no_event_holds_an_id_or_a_text(day: Day) -> None:
    """Neither a session id, a ticket nor a word of anybody leaves with an event."""
    everything = json.dumps([[one.id, one.event] for one in day.receiver.attempts])
    for secret in (CANARY, "ada@example.com", "ses_", "tkt_", *(one.id for one in day.visitors.values())):
        assert secret not in everything


def test_the_day_is_counted_exactly(day: Day) -> None:
    """Each number is what happened, in the fields of the contract, within a moment."""
    wanted = {
        "sessions": 6, "asked": 4, "restored": 1, "handed_off": 1, "ended": 2,
        "abandoned": {"bot": 0, "queue": 0, "human": 0}, "answers": 4, "not_found": 1, "failed": 1, "up": 0, "down": 1,
        "requested_human": 2, "taken": 1,
    }  # fmt: skip
    eventually(lambda: {name: day.today()[name] for name in wanted} == wanted, 10)
    today = day.today()
    assert list(today) == DAY_FIELDS
    assert {name: today[name] for name in wanted} == wanted
    assert today["first_answer_p50_ms"] is not None
    assert today["wait_p50_s"] is not None
    assert today["duration_p50_s"] is not None


def test_days_can_be_chosen(day: Day) -> None:
    """From and to, both included; 30 days without them; today is the last one at most."""
    today = datetime.now(UTC).date()
    days = day.server.call("GET", "/analytics").json()["days"]
    assert len(days) == 30
    assert days[-1]["date"] == str(today)
    given = {"from": str(today - timedelta(days=2)), "to": str(today + timedelta(days=5))}
    days = day.server.call("GET", "/analytics", params=given).json()["days"]
    assert [one["date"] for one in days] == [str(today - timedelta(days=n)) for n in (2, 1, 0)]
    old = {"from": str(today - timedelta(days=300)), "to": str(today)}
    assert len(day.server.call("GET", "/analytics", params=old).json()["days"]) == 91, "only what is kept"


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"}, {"from": "2026-02-30"}, {"to": "20260101"}, {"from": "2026-01-02", "to": "2026-01-01"},
        {"format": "xml"}, {"from": "2020-01-01", "to": "2026-01-01"}, {"from": "0001-01-01"}, {"to": ""},
        {"from": "２０２６-01-01"},
    ],
)  # fmt: skip
def test_a_wrong_period_is_refused(day: Day, query: dict[str, str]) -> None:
    """A clear error, and no 500."""
    is_problem(day.server.call("GET", "/analytics", params=query), 422, "invalid_request")


def test_the_counts_as_csv(day: Day) -> None:
    """A file with one line a day; no cell can be taken for a formula by a spreadsheet."""
    answer = day.server.call("GET", "/analytics", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 30
    flat = [name for name in DAY_FIELDS if name != "abandoned"]
    assert set(rows[0]) == {*flat, "abandoned_bot", "abandoned_queue", "abandoned_human"}
    assert rows[-1]["sessions"] == str(day.today()["sessions"])
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]


def test_questions_without_an_answer_are_listed_and_erased(day: Day) -> None:
    """Without mail addresses and numbers; a lead can erase them, one or all."""
    listed = day.server.call("GET", "/questions").json()
    assert listed["kept"] is True
    assert [(one["question"], one["count"]) for one in listed["questions"]] == [
        ("unknown: write to [e-mail] or [number]", 1)
    ]
    lead = day.server.acting_as(day.server.invite("Lea", "lead")[0])
    assert lead.call("DELETE", "/questions/unknown", json={}).status_code == 404
    assert lead.call("DELETE", f"/questions/{listed['questions'][0]['id']}", json={}).status_code == 204
    assert lead.call("DELETE", "/questions", json={}).status_code == 204
    assert day.server.call("GET", "/questions").json()["questions"] == []


def test_nothing_that_is_kept_leads_to_a_conversation(day: Day) -> None:
    """The keys of the counts hold numbers alone, and every key of events and counts expires."""
    with day.redis.client() as look:
        keys = [*look.keys("baton:analytics:*"), *look.keys("baton:events:*"), *look.keys("baton:questions*")]
        assert [key for key in keys if look.pttl(key) == -1] == []
        for key in look.keys("baton:analytics:*"):
            values = look.hgetall(key)
            assert all(value.lstrip("-").isdigit() for value in values.values())
            assert not [name for name in values for ref in day.refs.values() if ref[4:] in name]


def test_events_work_without_the_desk() -> None:
    """With BATON_EVENTS_URL alone: no desk, no counts, and the events of conversations all the same."""
    redis = RedisProcess()
    settings = {**NO_LIMITS, **SCRIPTED, "BATON_API_KEY": API_KEY, "BATON_IDLE_TIMEOUT": "1"}
    with receiving() as receiver:
        given = {"BATON_EVENTS_URL": receiver.url, "BATON_EVENTS_SECRET": SECRET, "BATON_WEBHOOK_ALLOW_PRIVATE": "on"}
        service = Service(redis.url, **settings, **given)
        visitor = ApiClient(service.base).create()
        visitor.ask("fail")
        assert "handler" not in visitor.get().json()
        types: Callable[[], list[str]] = lambda: [one["type"] for one in receiver.events()]  # noqa: E731
        assert eventually(lambda: "session.abandoned" in types(), 60)
        assert types() == ["session.created", "answer.failed", "session.abandoned"]
        is_problem(ServerClient(service.base, API_KEY).call("GET", "/analytics"), 404, "not_found")
        with redis.client() as look:
            assert look.keys("baton:analytics:*") == []
        service.remove()
    redis.stop()
