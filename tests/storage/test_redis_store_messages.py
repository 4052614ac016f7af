"""Sessions and messages in the store, on every Redis: each call whole, once and in one order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import orjson
import pytest

from app.conversations import ids
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound, RateLimited
from app.storage.base import TurnResult
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, texts, words
from tests.storage.servers import Backend

VERBS: dict[str, Callable[[RedisConversationStore, str, str], object]] = {
    "append": lambda log, session_hash, actor: log.append_message(session_hash, actor, words("a")),
    "begin": lambda log, session_hash, actor: log.start_turn(session_hash, actor, words("a"), "turn_1"),
    "stop": lambda log, session_hash, actor: log.stop_turn(session_hash, actor),
    "finish": lambda log, session_hash, actor: log.end_session(session_hash, actor),
    "touch": lambda log, session_hash, actor: log.heartbeat(session_hash, actor, resume=True),
    "read": lambda log, session_hash, actor: log.read_messages(session_hash, actor, "", 0, 10),
    "follow": lambda log, session_hash, actor: log.read_events(session_hash, actor, -1),
    "hand_off": lambda log, session_hash, actor: log.save_ticket(session_hash, actor, "0" * 32, "once", "ab"),
    "take": lambda log, session_hash, actor: (
        log.save_ticket(session_hash, "*", "0" * 32, "once", "ab"),
        log.redeem_ticket(session_hash, actor, "0" * 32, ""),
    ),
    "rate": lambda log, session_hash, actor: log.set_feedback(session_hash, actor, 1, b'{"value":"up"}'),
    "erase": lambda log, session_hash, actor: log.delete_session(session_hash, actor),
}


def test_a_new_session_is_empty_and_active(log: RedisConversationStore) -> None:
    """A session begins with no message, no event and no answer, with the metadata that the site gave."""
    session_hash = new(log, b'{"page":"/pricing"}')
    look = log.read_messages(session_hash, "", "", 0, 10)
    assert (look.message_count, look.last_event, look.ended, look.turn_id, look.messages) == (0, 0, False, "", [])
    assert look.metadata == {"page": "/pricing"}
    assert look.created_at == look.last_seen_at == look.updated_at <= look.now < look.expires_at


def test_what_is_said_comes_back_as_it_was(log: RedisConversationStore) -> None:
    """Every text comes back letter by letter, with an id of its session, a role and a time in UTC."""
    session_hash = new(log)
    said = [
        "plain",
        'quotes " and \\ and /',
        "control \x00\x01\x1f\x7f",
        "emoji 👩‍👩‍👧 שלום \u202e",
        "line\nbreak\u2028",
        "%s %d {}",
    ]
    stored = [orjson.loads(log.append_message(session_hash, "", words(text)).message) for text in said]
    assert texts(log, session_hash) == said
    assert stored == [orjson.loads(one) for one in log.read_messages(session_hash, "", "", 0, 10).messages]
    look = log.read_messages(session_hash, "", "", 0, 1)
    assert stored[-1]["id"] == f"msg_{len(said)}_{ids.session_tag(session_hash)}"
    assert stored[-1]["created_at"] == ids.timestamp(look.updated_at)
    assert {one["role"] for one in stored} == {"user"}


def test_the_same_client_id_gets_the_first_answer_again(log: RedisConversationStore) -> None:
    """Sent again, also with other words, nothing is stored twice and the first message comes back."""
    session_hash = new(log)
    first = log.append_message(session_hash, "", words("hello", "c1"))
    again = log.append_message(session_hash, "", words("other words", "c1"))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.message == first.message
    assert texts(log, session_hash) == ["hello"]


def test_append_and_chat_keep_their_client_ids_apart(log: RedisConversationStore) -> None:
    """One client id used for an append and for a question is two messages."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("said", "c1"))
    assert log.start_turn(session_hash, "", words("asked", "c1"), "turn_1").outcome == "started"
    assert texts(log, session_hash) == ["said", "asked"]


def test_twenty_racing_appends_with_one_client_id_store_one(opened: Open) -> None:
    """Twenty callers over two workers, one client id: one message, the same for all of them."""
    logs = [opened(), opened()]
    session_hash = new(logs[0])
    found = at_once(20, lambda number: logs[number % 2].append_message(session_hash, "", words(f"try {number}", "c1")))
    assert len({one.message for one in found}) == 1
    assert [one.is_new for one in found].count(True) == 1
    assert logs[0].read_messages(session_hash, "", "", 0, 10).message_count == 1


def test_eight_writers_with_fifty_each_arrive_once_in_one_order(opened: Open) -> None:
    """400 appends by eight writers over two workers: each once, each writer's in order, one order for all readers."""
    logs = [opened(), opened()]
    session_hash = new(logs[0])

    def write(writer: int) -> list[str]:
        log = logs[writer % 2]
        return [
            orjson.loads(log.append_message(session_hash, "", words(f"{writer}:{n}")).message)["content"]
            for n in range(50)
        ]

    acknowledged = at_once(8, write)
    seen = texts(logs[0], session_hash)
    assert seen == texts(logs[1], session_hash)
    assert sorted(seen) == sorted(text for one in acknowledged for text in one)
    assert len(seen) == 400
    for writer, own in enumerate(acknowledged):
        assert [text for text in seen if text.startswith(f"{writer}:")] == own


def test_a_full_session_refuses_and_forgets_nothing(opened: Open) -> None:
    """At the limit an append is refused, a retry of a stored one is not, and what was said is all there."""
    log = opened(max_messages=3)
    session_hash = new(log)
    for n in range(3):
        log.append_message(session_hash, "", words(str(n), f"c{n}"))
    with pytest.raises(Conflict) as refused:
        log.append_message(session_hash, "", words("more"))
    assert refused.value.code == "session_full"
    assert log.append_message(session_hash, "", words("2", "c2")).is_new is False
    assert texts(log, session_hash) == ["0", "1", "2"]


def test_a_running_answer_keeps_room_for_its_end(opened: Open) -> None:
    """A question needs two free places, and while it is answered appends cannot take the answer's."""
    log = opened(max_messages=3)
    session_hash = new(log)
    log.append_message(session_hash, "", words("one"))
    log.start_turn(session_hash, "", words("asked"), "turn_1")
    with pytest.raises(Conflict):
        log.append_message(session_hash, "", words("in between"))
    log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="answered"))
    assert texts(log, session_hash) == ["one", "asked", "answered"]
    other = new(log)
    for text in ("one", "two"):
        log.append_message(other, "", words(text))
    with pytest.raises(Conflict) as refused:
        log.start_turn(other, "", words("asked"), "turn_2")
    assert refused.value.code == "session_full"


def test_an_ended_session_takes_nothing_and_is_still_readable(log: RedisConversationStore) -> None:
    """After the end nothing can be said or asked, a known client id still has its answer, the history stays."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("said", "c1"))
    log.end_session(session_hash, "")
    log.end_session(session_hash, "")
    for verb in ("append", "begin", "hand_off"):
        with pytest.raises(Conflict) as refused:
            VERBS[verb](log, session_hash, "")
        assert refused.value.code == "session_ended"
    with pytest.raises(Conflict):
        log.heartbeat(session_hash, "", resume=False)
    assert log.heartbeat(session_hash, "", resume=True) > 0
    assert log.append_message(session_hash, "", words("said", "c1")).is_new is False
    assert log.read_messages(session_hash, "", "", 0, 10).ended
    assert texts(log, session_hash) == ["said"]
    assert [kind for kind, _ in log.read_events(session_hash, "", 0).events] == ["message", "session"]


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_there_is_not_found(log: RedisConversationStore, backend: Backend, verb: str) -> None:
    """Every verb on a session that never was says so and makes no key."""
    with pytest.raises(NotFound):
        VERBS[verb](log, "0" * 32, "")
    assert backend.held() == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_signed_in_users_session_is_theirs_alone(log: RedisConversationStore, verb: str) -> None:
    """Nobody and another user are refused by every verb; the owner and the service itself are not."""
    session_hash = new(log, owner="ada")
    for actor in ("", "bob"):
        with pytest.raises(Forbidden) as refused:
            VERBS[verb](log, session_hash, actor)
        assert refused.value.code == "not_owner"
    assert log.read_messages(session_hash, "ada", "", 0, 1).message_count == 0
    for actor in ("ada", "*"):
        with pytest.raises(NotFound) if verb == "rate" else nullcontext():  # there is no message to rate
            VERBS[verb](log, new(log, owner="ada"), actor)


def test_pages_of_the_history(log: RedisConversationStore) -> None:
    """The newest, those after and those before a message, oldest first, with whether there are more that way."""
    session_hash = new(log)
    for n in range(1, 11):
        log.append_message(session_hash, "", words(str(n)))

    def page(where: str, number: int, most: int) -> tuple[list[int], bool]:
        look = log.read_messages(session_hash, "", where, number, most)
        return [int(orjson.loads(one)["content"]) for one in look.messages], look.has_more

    assert page("", 0, 3) == ([8, 9, 10], True)
    assert page("", 0, 10) == (list(range(1, 11)), False)
    assert page("after", 4, 3) == ([5, 6, 7], True)
    assert page("after", 7, 3) == ([8, 9, 10], False)
    assert page("before", 4, 2) == ([2, 3], True)
    assert page("before", 4, 3) == ([1, 2, 3], False)
    assert page("after", 10, 3) == ([], False)
    for where in ("after", "before"):
        with pytest.raises(InvalidRequest):
            log.read_messages(session_hash, "", where, 11, 3)


def test_a_rating_stands_with_its_answer_and_nowhere_else(log: RedisConversationStore) -> None:
    """An answer can be rated, rated anew and unrated; a visitor's message and an unknown one cannot."""
    session_hash = new(log)
    log.start_turn(session_hash, "", words("asked"), "turn_1")
    log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="answered"))
    asked, answered = [orjson.loads(one) for one in log.read_messages(session_hash, "", "", 0, 10).messages]
    number = int(answered["id"].split("_")[1])
    for rating in (b'{"value":"up"}', b'{"value":"down","comment":"no"}'):
        assert orjson.loads(log.set_feedback(session_hash, "", number, rating))["metadata"]["feedback"] == orjson.loads(
            rating
        )
    kept = orjson.loads(log.read_messages(session_hash, "", "", 0, 10).messages[1])
    assert kept["metadata"]["feedback"] == {"value": "down", "comment": "no"}
    log.set_feedback(session_hash, "", number, b"")
    assert log.read_messages(session_hash, "", "", 0, 10).messages[1] == orjson.dumps(answered)
    for other in (int(asked["id"].split("_")[1]), 99):
        with pytest.raises(NotFound):
            log.set_feedback(session_hash, "", other, b'{"value":"up"}')


def test_the_limit_of_a_session_counts_words_and_not_replays(opened: Open) -> None:
    """Appends and questions count together in one window; a replay counts nothing; then one waits, then it is whole."""
    log = opened(session_limit=3, session_window=1_000)
    session_hash = new(log)
    first = log.append_message(session_hash, "", words("one", "c1"))
    assert (first.remaining, first.reset_ms) == (2, 1_000)
    assert log.append_message(session_hash, "", words("one", "c1")).is_new is False
    assert log.append_message(session_hash, "", words("two")).remaining == 1
    assert log.start_turn(session_hash, "", words("three", "q1"), "turn_1").remaining == 0
    log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="x"))
    for refused in (
        lambda: log.append_message(session_hash, "", words("four")),
        lambda: log.start_turn(session_hash, "", words("four"), "turn_2"),
    ):
        with pytest.raises(RateLimited) as limited:
            refused()
        assert limited.value.retry_after == 1
    assert log.append_message(session_hash, "", words("one", "c1")).is_new is False
    assert log.start_turn(session_hash, "", words("three", "q1"), "turn_3").outcome == "completed"

    def admitted() -> bool:
        try:
            return log.append_message(session_hash, "", words("four")).remaining == 2
        except RateLimited:
            return False

    until(admitted, 5, "the window to pass")
    assert texts(log, session_hash) == ["one", "two", "three", "x", "four"]
