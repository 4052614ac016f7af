"""What one can do with a conversation, on a real log: open, look, hand off, resume, end, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from app.config import Settings
from app.conversations import ids
from app.conversations.answer_runner import AnswerRunner, RunnerConfig
from app.conversations.events import EventCursor, serialize_message
from app.conversations.service import ConversationService
from app.engines.base import TextChunk
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound
from app.storage import open_store
from app.storage.base import NewMessage
from app.storage.redis_store import RedisConversationStore, StoreLimits
from tests.conftest import until

IDLE = 300
RULES = StoreLimits(
    ttl=60_000, max_age=600_000, idle=IDLE, ticket_ttl=5_000, max_messages=500, session_limit=0,
    session_window=60_000, max_engine_calls=4, max_engine_calls_per_minute=100,
)  # fmt: skip


class Echo:
    """Answers with the question."""

    name = "echo"

    def answer(self, turn: Any) -> Any:
        yield TextChunk(turn.question)


@pytest.fixture
def log(redis_url: str) -> Iterator[RedisConversationStore]:
    store = open_store(Settings(redis_url=redis_url), RULES)  # type: ignore[arg-type]
    yield store
    store.close()


@pytest.fixture
def talk(log: RedisConversationStore) -> ConversationService:
    """Conversations whose engine is never set going: nothing runs beside the test."""
    return ConversationService(
        log,
        AnswerRunner(log, Echo(), RunnerConfig(lambda query, most: (), 5.0, lambda work: None)),
        idle_timeout_ms=IDLE,
    )


def opened(talk: ConversationService, owner: str = "") -> tuple[str, str]:
    """A new conversation: its id and its ref."""
    session_id, _, _ = talk.create_session(None, owner)
    return session_id, ids.hash_session_id(session_id) or ""


def say(talk: ConversationService, session_hash: str, text: str) -> str:
    """Says something and gives its message id."""
    return str(
        orjson.loads(talk.append_message(session_hash, "", NewMessage(serialize_message("user", text, None))).message)[
            "id"
        ]
    )


def contents(messages: list[bytes]) -> list[str]:
    return [orjson.loads(one)["content"] for one in messages]


def test_a_visitor_who_is_not_seen_is_abandoned_until_they_are_back(talk: ConversationService) -> None:
    """After the idle time the status is abandoned, reading changes nothing, a resume makes it active and says so."""
    session_id, session_hash = opened(talk)
    assert talk.get_page(session_hash, "").status == "active"
    until(lambda: talk.get_page(session_hash, "").status == "abandoned", 5, "the idle time to pass")
    assert talk.resume(session_id, "", None).page.status == "active"
    events = [(event.type, event.payload()) for event in first(talk, session_hash, 1)]
    assert events == [("session", {"status": "active"})]


def first(talk: ConversationService, session_hash: str, count: int) -> list[Any]:
    """The first events of the log."""
    found: list[Any] = []
    for event in talk.stream_events(session_hash, "", EventCursor(0)):
        found += [event] if event else []
        if len(found) == count:
            return found
    return found


def test_a_heartbeat_keeps_a_visitor_active(talk: ConversationService) -> None:
    """As long as it beats the status is active, however long it lasts."""
    _, session_hash = opened(talk)
    began = talk.get_page(session_hash, "").session.now

    def beaten() -> bool:
        talk.heartbeat(session_hash, "")
        page = talk.get_page(session_hash, "")
        assert page.status == "active"
        return page.session.now > began + 3 * IDLE

    until(beaten, 10, "three idle times")


def test_a_once_ticket_hands_the_conversation_on_once(talk: ConversationService) -> None:
    """The ticket resumes with all there is to show and is spent; the id still resumes."""
    session_id, session_hash = opened(talk)
    say(talk, session_hash, "hello")
    ticket, left = talk.create_handoff_ticket(session_hash, "", session_id, "once")
    assert 0 < left <= 5_000
    found = talk.resume(ticket, "", None)
    assert (found.session_id, found.kind, contents(found.page.session.messages)) == (session_id, "once", ["hello"])
    for text in (ticket, ticket[:-1], ticket + "x", "", "ses_", "tkt_" + "A" * 46):
        with pytest.raises(NotFound):
            talk.resume(text, "", None)
    assert talk.resume(session_id, "", None).kind == ""


def test_a_share_ticket_works_until_the_end(talk: ConversationService) -> None:
    """Again and again, for another device; after the end it is dead while the id still resumes, as ended."""
    session_id, session_hash = opened(talk)
    ticket, _ = talk.create_handoff_ticket(session_hash, "", session_id, "share")
    assert [talk.resume(ticket, "", None).kind for _ in range(3)] == ["share"] * 3
    talk.end_session(session_hash, "")
    with pytest.raises(NotFound):
        talk.resume(ticket, "", None)
    assert talk.resume(session_id, "", None).page.status == "ended"
    with pytest.raises(Conflict):
        talk.create_handoff_ticket(session_hash, "", session_id, "share")


def test_an_end_stops_the_running_answer_first(talk: ConversationService) -> None:
    """Ended in mid-answer: what was said stays as stopped, then comes the end; nothing runs any more."""
    _, session_hash = opened(talk)
    talk.start_turn(session_hash, "", "Why?")
    talk.end_session(session_hash, "")
    assert [event.type for event in first(talk, session_hash, 4)] == [
        "message",
        "answer.start",
        "answer.end",
        "session",
    ]
    assert talk.get_page(session_hash, "").session.turn_id == ""


@pytest.mark.parametrize("where", ["after", "before"])
def test_a_message_of_another_conversation_is_no_cursor_here(talk: ConversationService, where: str) -> None:
    """R4: pages after or before a foreign, malformed or unknown message are refused by name."""
    _, session_hash = opened(talk)
    _, other = opened(talk)
    own = say(talk, session_hash, "mine")
    foreign = say(talk, other, "yours")
    for message_id in (foreign, "msg_1", "x", "", f"msg_9_{ids.session_tag(session_hash)}"):
        with pytest.raises(InvalidRequest) as refused:
            talk.get_page(session_hash, "", where, message_id, 10)
        assert refused.value.errors[0]["field"] == where
    assert talk.get_page(session_hash, "", where, own, 10).session.messages == []
    with pytest.raises(NotFound):
        talk.set_feedback(session_hash, "", foreign, {"value": "up"})


def test_a_session_that_is_not_there_is_that_before_all_else(talk: ConversationService) -> None:
    """A wrong page of an unknown session is not found, as everything of it is."""
    with pytest.raises(NotFound):
        talk.get_page("0" * 32, "", "after", "nonsense", 10)


def test_places_of_another_conversation_bring_reset(talk: ConversationService) -> None:
    """R4: an event id of one conversation, used in another, brings a reset and shows nothing foreign."""
    _, session_hash = opened(talk)
    _, other = opened(talk)
    say(talk, other, "canary")
    foreign = first(talk, other, 1)[0].id
    reading = talk.stream_events(session_hash, "", talk.resolve_cursor(session_hash, "", foreign))
    assert next(event for event in reading if event).type == "reset"


def test_a_user_s_conversation_is_found_by_them_alone(talk: ConversationService) -> None:
    """With the id alone nobody reads, says, resumes or erases it; with the user it goes as ever."""
    session_id, session_hash = opened(talk, "ada")
    attempts: list[Callable[[str], object]] = [
        lambda actor: talk.get_page(session_hash, actor),
        lambda actor: talk.append_message(session_hash, actor, NewMessage(serialize_message("user", "x", None))),
        lambda actor: talk.start_turn(session_hash, actor, "x"),
        lambda actor: talk.resume(session_id, actor, None),
        lambda actor: talk.resolve_cursor(session_hash, actor, None),
        lambda actor: talk.delete_session(session_hash, actor),
    ]
    for attempt in attempts:
        for actor in ("", "eve"):
            with pytest.raises(Forbidden):
                attempt(actor)
    for attempt in attempts:
        attempt("ada")
    with pytest.raises(NotFound):
        talk.get_page(session_hash, "ada")


def test_the_claim_of_a_question_that_was_not_begun_is_given_back(
    talk: ConversationService, log: RedisConversationStore
) -> None:
    """A second question during an answer, and one in a session that ended, cost no place of the engine budget."""
    _, session_hash = opened(talk)
    talk.start_turn(session_hash, "", "Why?")
    for _ in range(10):
        with pytest.raises(Conflict):
            talk.start_turn(session_hash, "", "And?")
    assert [log.acquire_engine_slot(f"turn_{n}") for n in range(3)] == [0, 0, 0]
