"""What one can do with a conversation, on a real log: open, look, hand off, resume, end, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app import session
from app.answering import Answering, Means
from app.config import Config
from app.conversation import Conversations
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound
from app.events import Position, spell_message
from app.ports import Text, Words
from app.store import open_log
from app.store.log import RedisLog, Rules
from tests.conftest import until

IDLE = 300
RULES = Rules(
    ttl=60_000, max_age=600_000, idle=IDLE, ticket_ttl=5_000, most_messages=500, session_limit=0,
    session_window=60_000, engines_at_once=4, engines_a_minute=100,
)  # fmt: skip


class Echo:
    """Answers with the question."""

    name = "echo"

    def answer(self, turn: Any) -> Any:
        yield Text(turn.question)


@pytest.fixture
def log(redis_url: str) -> RedisLog:
    return open_log(Config(redis_url=redis_url), RULES)  # type: ignore[arg-type]


@pytest.fixture
def talk(log: RedisLog) -> Conversations:
    """Conversations whose engine is never set going: nothing runs beside the test."""
    return Conversations(log, Answering(log, Echo(), Means(lambda query, most: (), 5.0, lambda work: None)), idle=IDLE)


def opened(talk: Conversations, owner: str = "") -> tuple[str, str]:
    """A new conversation: its id and its ref."""
    session_id, _, _ = talk.open(None, owner)
    return session_id, session.ref_of(session_id) or ""


def say(talk: Conversations, ref: str, text: str) -> str:
    """Says something and gives its message id."""
    return str(orjson.loads(talk.say(ref, "", Words(spell_message("user", text, None))).message)["id"])


def contents(messages: list[bytes]) -> list[str]:
    return [orjson.loads(one)["content"] for one in messages]


def test_a_visitor_who_is_not_seen_is_abandoned_until_he_is_back(talk: Conversations) -> None:
    """After the idle time the status is abandoned, reading changes nothing, a resume makes it active and tells it."""
    session_id, ref = opened(talk)
    assert talk.look(ref, "").status == "active"
    until(lambda: talk.look(ref, "").status == "abandoned", 5, "the idle time to pass")
    assert talk.resume(session_id, "", None).page.status == "active"
    events = [(event.kind, event.read()) for event in first(talk, ref, 1)]
    assert events == [("session", {"status": "active"})]


def first(talk: Conversations, ref: str, count: int) -> list[Any]:
    """The first events of the log."""
    found: list[Any] = []
    for event in talk.follow(ref, "", Position(0)):
        found += [event] if event else []
        if len(found) == count:
            return found
    return found


def test_a_heartbeat_keeps_a_visitor_active(talk: Conversations) -> None:
    """As long as it beats the status is active, however long it lasts."""
    _, ref = opened(talk)
    began = talk.look(ref, "").look.now

    def beaten() -> bool:
        talk.beat(ref, "")
        page = talk.look(ref, "")
        assert page.status == "active"
        return page.look.now > began + 3 * IDLE

    until(beaten, 10, "three idle times")


def test_a_once_ticket_hands_the_conversation_on_once(talk: Conversations) -> None:
    """The ticket resumes with all there is to show and is spent; the id still resumes."""
    session_id, ref = opened(talk)
    say(talk, ref, "hello")
    ticket, left = talk.hand_off(ref, "", session_id, "once")
    assert 0 < left <= 5_000
    found = talk.resume(ticket, "", None)
    assert (found.session_id, found.kind, contents(found.page.look.messages)) == (session_id, "once", ["hello"])
    for text in (ticket, ticket[:-1], ticket + "x", "", "ses_", "tkt_" + "A" * 46):
        with pytest.raises(NotFound):
            talk.resume(text, "", None)
    assert talk.resume(session_id, "", None).kind == ""


def test_a_share_ticket_works_until_the_end(talk: Conversations) -> None:
    """Again and again, for another device; after the end it is dead while the id still resumes, as ended."""
    session_id, ref = opened(talk)
    ticket, _ = talk.hand_off(ref, "", session_id, "share")
    assert [talk.resume(ticket, "", None).kind for _ in range(3)] == ["share"] * 3
    talk.end(ref, "")
    with pytest.raises(NotFound):
        talk.resume(ticket, "", None)
    assert talk.resume(session_id, "", None).page.status == "ended"
    with pytest.raises(Conflict):
        talk.hand_off(ref, "", session_id, "share")


def test_an_end_stops_the_running_answer_first(talk: Conversations) -> None:
    """Ended in mid-answer: what was said stays as stopped, then comes the end; nothing runs any more."""
    _, ref = opened(talk)
    talk.ask(ref, "", "Why?")
    talk.end(ref, "")
    assert [event.kind for event in first(talk, ref, 4)] == ["message", "answer.start", "answer.end", "session"]
    assert talk.look(ref, "").look.turn_id == ""


@pytest.mark.parametrize("where", ["after", "before"])
def test_a_message_of_another_conversation_is_no_place_here(talk: Conversations, where: str) -> None:
    """R4: pages after or before a foreign, malformed or unknown message are refused by name."""
    _, ref = opened(talk)
    _, other = opened(talk)
    own = say(talk, ref, "mine")
    foreign = say(talk, other, "yours")
    for message_id in (foreign, "msg_1", "x", "", f"msg_9_{session.tag_of(ref)}"):
        with pytest.raises(InvalidRequest) as refused:
            talk.look(ref, "", where, message_id, 10)
        assert refused.value.errors[0]["field"] == where
    assert talk.look(ref, "", where, own, 10).look.messages == []
    with pytest.raises(NotFound):
        talk.rate(ref, "", foreign, {"value": "up"})


def test_a_session_that_is_not_there_is_that_before_all_else(talk: Conversations) -> None:
    """A wrong page of an unknown session is not found, as everything of it is."""
    with pytest.raises(NotFound):
        talk.look("0" * 32, "", "after", "nonsense", 10)


def test_places_of_another_conversation_bring_reset(talk: Conversations) -> None:
    """R4: an event id of one conversation, used in another, is told as reset and shows nothing foreign."""
    _, ref = opened(talk)
    _, other = opened(talk)
    say(talk, other, "canary")
    foreign = first(talk, other, 1)[0].id
    reading = talk.follow(ref, "", talk.place(ref, "", foreign))
    assert next(event for event in reading if event).kind == "reset"


def test_a_user_s_conversation_is_found_by_him_alone(talk: Conversations) -> None:
    """With the id alone nobody reads, says, resumes or erases it; with the user it goes as ever."""
    session_id, ref = opened(talk, "ada")
    attempts: list[Callable[[str], object]] = [
        lambda who: talk.look(ref, who),
        lambda who: talk.say(ref, who, Words(spell_message("user", "x", None))),
        lambda who: talk.ask(ref, who, "x"),
        lambda who: talk.resume(session_id, who, None),
        lambda who: talk.place(ref, who, None),
        lambda who: talk.erase(ref, who),
    ]
    for attempt in attempts:
        for who in ("", "eve"):
            with pytest.raises(Forbidden):
                attempt(who)
    for attempt in attempts:
        attempt("ada")
    with pytest.raises(NotFound):
        talk.look(ref, "ada")


def test_the_claim_of_a_question_that_was_not_begun_is_given_back(talk: Conversations, log: RedisLog) -> None:
    """A second question during an answer, and one in a session that ended, cost no place of the engine budget."""
    _, ref = opened(talk)
    talk.ask(ref, "", "Why?")
    for _ in range(10):
        with pytest.raises(Conflict):
            talk.ask(ref, "", "And?")
    assert [log.claim(f"turn_{n}") for n in range(3)] == [0, 0, 0]
