"""Turns in the store: started once, extended by offset, finished once, also when a worker dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from app.conversations.events import EventCursor
from app.errors import Conflict
from app.storage import redis_store as log_module
from app.storage.base import TextLost, TurnResult
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, texts, words
from tests.storage.servers import Backend
from tests.storage.turns import asked, conversations, dead_turn, joined, kinds, story, take


def test_an_answer_from_its_question_to_its_end(log: RedisConversationStore) -> None:
    """Question, start, words and end stand in the log in this order; the joined words are the message."""
    session_hash = new(log)
    start = asked(log, session_hash)
    assert start == 1
    assert log.append_delta(session_hash, "turn_1", 0, "")  # the lease alone
    assert log.append_delta(session_hash, "turn_1", 0, "Zwölf ")
    assert log.append_delta(session_hash, "turn_1", 7, "Boxkämpfer 🥊")
    citations = b'[{"title":"T","url":"https://a.example/","snippet":"s"}]'
    closing = TurnResult("end", metadata=b'{"citations":' + citations + b"}", citations=citations, offset=23, tail=".")
    assert log.finish_turn(session_hash, "turn_1", closing)
    assert kinds(log, session_hash) == ["message", "answer.start", *["answer.delta"] * 3, "answer.end"]
    assert joined(log, session_hash) == "Zwölf Boxkämpfer 🥊."
    end = story(log, session_hash)[-1][1]
    assert end["turn_id"] == "turn_1"
    assert end["citations"] == orjson.loads(citations)
    stored = [orjson.loads(one) for one in log.read_messages(session_hash, "", "", 0, 10).messages]
    assert end["message"] == stored[1]
    assert (stored[1]["role"], stored[1]["content"]) == ("assistant", "Zwölf Boxkämpfer 🥊.")
    assert stored[1]["metadata"]["citations"] == orjson.loads(citations)


def test_words_that_a_failover_lost(log: RedisConversationStore, backend: Backend) -> None:
    """A server that has less of the answer takes no words after the gap; from their start it takes all of them."""
    session_hash = new(log)
    asked(log, session_hash)
    log.append_delta(session_hash, "turn_1", 0, "Hello wor")
    key = f"baton:{{{session_hash}}}:said"
    assert backend.holder(session_hash).get(key) == b"Hello wor"
    backend.holder(session_hash).set(key, "Hel", keepttl=True)
    for lost in (
        lambda: log.append_delta(session_hash, "turn_1", 9, "ld"),
        lambda: log.append_delta(session_hash, "turn_1", 9, ""),
        lambda: log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=9, tail="ld")),
    ):
        with pytest.raises(TextLost):
            lost()
    assert log.append_delta(session_hash, "turn_1", 0, "Hello world")
    assert log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=11, tail="!"))
    assert texts(log, session_hash) == ["asked", "Hello world!"]


def test_words_sent_again_after_a_lost_reply_come_once(log: RedisConversationStore) -> None:
    """The same words at the same offset, whole, in part, or together with new ones, stand in the answer once."""
    session_hash = new(log)
    asked(log, session_hash)
    for offset, text in ((0, "Hello"), (0, "Hello"), (0, "Hello wor"), (5, " world"), (11, "!"), (11, "!")):
        assert log.append_delta(session_hash, "turn_1", offset, text)
    closing = TurnResult("end", offset=11, tail="!")
    assert log.finish_turn(session_hash, "turn_1", closing)
    assert log.finish_turn(session_hash, "turn_1", closing) is None
    assert joined(log, session_hash) == "Hello world!"
    assert texts(log, session_hash) == ["asked", "Hello world!"]


def test_a_second_question_waits_for_the_answer(log: RedisConversationStore) -> None:
    """While an answer is made another question is refused and nothing of it is stored."""
    session_hash = new(log)
    asked(log, session_hash, client_id="c1")
    with pytest.raises(Conflict) as refused:
        log.start_turn(session_hash, "", words("another", "c2"), "turn_2")
    assert (refused.value.code, refused.value.retryable) == ("turn_in_progress", True)
    assert refused.value.retry_after
    assert texts(log, session_hash) == ["asked"]


def test_twenty_racing_questions_with_one_client_id_begin_one_turn(opened: Open) -> None:
    """One begins, nineteen join the same turn at the same start; afterwards all get its answer."""
    logs = [opened(), opened()]
    session_hash = new(logs[0])
    found = at_once(20, lambda n: logs[n % 2].start_turn(session_hash, "", words("asked", "c1"), f"turn_{n}"))
    turn = [one for one in found if one.outcome == "started"]
    assert len(turn) == 1
    assert {(one.turn_id, one.start) for one in found} == {(turn[0].turn_id, turn[0].start)}
    logs[0].finish_turn(session_hash, turn[0].turn_id, TurnResult("end", tail="answered"))
    later = at_once(20, lambda n: logs[n % 2].start_turn(session_hash, "", words("asked", "c1"), f"turn_late_{n}"))
    assert {one.outcome for one in later} == {"completed"}
    assert {orjson.loads(one.message)["content"] for one in later} == {"answered"}
    assert texts(logs[0], session_hash) == ["asked", "answered"]


def test_a_failed_turn_runs_again_without_asking_twice(log: RedisConversationStore) -> None:
    """After an error the same client id begins anew on the stored question; the broken words stay, marked."""
    session_hash = new(log)
    asked(log, session_hash, client_id="c1")
    log.append_delta(session_hash, "turn_1", 0, "Half an ans")
    log.finish_turn(
        session_hash, "turn_1", TurnResult("error", "engine_failed", "It broke.", b'{"interrupted":true}', offset=11)
    )
    kind, broken = story(log, session_hash)[-1]
    assert kind == "answer.error"
    assert broken["code"] == "engine_failed"
    again = log.start_turn(session_hash, "", words("asked", "c1"), "turn_2")
    assert again.outcome == "started"
    assert orjson.loads(again.message)["content"] == "asked"
    log.finish_turn(session_hash, "turn_2", TurnResult("end", tail="A whole answer"))
    assert texts(log, session_hash) == ["asked", "Half an ans", "A whole answer"]
    assert orjson.loads(log.read_messages(session_hash, "", "", 0, 10).messages[1])["metadata"] == {"interrupted": True}


def test_an_error_without_a_word_keeps_the_question_alone(log: RedisConversationStore) -> None:
    """A turn that failed before its first word ends with the error and stores no empty message."""
    session_hash = new(log)
    asked(log, session_hash)
    log.finish_turn(session_hash, "turn_1", TurnResult("error", "engine_timeout", "Too slow.", b'{"interrupted":true}'))
    kind, events = story(log, session_hash)[-1]
    assert (kind, events["code"], "message" in events) == ("answer.error", "engine_timeout", False)
    assert texts(log, session_hash) == ["asked"]


def test_a_stop_keeps_what_was_said(log: RedisConversationStore) -> None:
    """Stopped, the words so far stay, marked; the speaker learns of it; there is nothing to stop afterwards."""
    session_hash = new(log)
    assert log.stop_turn(session_hash, "") is False
    asked(log, session_hash)
    log.append_delta(session_hash, "turn_1", 0, "So far")
    assert log.stop_turn(session_hash, "") is True
    assert log.stop_turn(session_hash, "") is False
    assert log.append_delta(session_hash, "turn_1", 6, " and on") is False
    assert log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=6, tail=" and on")) is None
    stored = orjson.loads(log.read_messages(session_hash, "", "", 0, 10).messages[1])
    assert (stored["content"], stored["metadata"]) == ("So far", {"stopped": True})
    assert kinds(log, session_hash)[-1] == "answer.end"
    assert kinds(log, session_hash).count("answer.end") == 1


def test_a_stale_speaker_cannot_touch_the_next_answer(log: RedisConversationStore) -> None:
    """Words and an end of a turn that was closed do not reach the turn that runs now."""
    session_hash = new(log)
    asked(log, session_hash, "turn_1")
    log.stop_turn(session_hash, "")
    asked(log, session_hash, "turn_2")
    assert log.append_delta(session_hash, "turn_1", 0, "stale") is False
    assert log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="stale")) is None
    assert log.append_delta(session_hash, "turn_2", 0, "fresh")
    log.finish_turn(session_hash, "turn_2", TurnResult("end", offset=5))
    assert texts(log, session_hash)[-1] == "fresh"


def test_a_living_turn_is_not_reaped(log: RedisConversationStore) -> None:
    """Whoever thinks a turn dead while its lease stands changes nothing."""
    session_hash = new(log)
    asked(log, session_hash)
    log.expire_dead_turn(session_hash)
    assert log.append_delta(session_hash, "turn_1", 0, "alive")


def test_a_dead_workers_turn_is_closed_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who find the lease run out one closes the turn: one error, the words kept, no activity of the visitor."""
    log, session_hash = dead_turn(opened, monkeypatch)
    seen = log.read_messages(session_hash, "", "", 0, 0).last_seen_at
    other = opened()
    at_once(16, lambda n: (log, other)[n % 2].expire_dead_turn(session_hash))
    assert kinds(log, session_hash).count("answer.error") == 1
    stored = orjson.loads(log.read_messages(session_hash, "", "", 0, 10).messages[-1])
    assert (stored["content"], stored["metadata"]) == ("So far", {"interrupted": True})
    assert log.read_messages(session_hash, "", "", 0, 0).last_seen_at == seen
    assert log.append_delta(session_hash, "turn_1", 6, " late") is False


def test_a_lease_from_before_the_clock_jumped(
    log: RedisConversationStore, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that is over by a clock that was set, forward or back, is believed only when nobody renews it."""
    monkeypatch.setattr(log_module, "LEASE_GRACE_MS", 300)
    for hours in (-1, 1):
        session_hash = new(log)
        asked(log, session_hash)
        key = f"baton:{{{session_hash}}}:turn"

        def jump(session_hash: str = session_hash, key: str = key, hours: int = hours) -> None:
            backend.holder(session_hash).hincrby(key, "lease", hours * 3_600_000)

        jump()
        with ThreadPoolExecutor(1) as pool:
            reaping = pool.submit(log.expire_dead_turn, session_hash)
            until(
                lambda session_hash=session_hash, key=key: backend.holder(session_hash).hexists(key, "doubt"),
                5,
                "the doubt",
            )
            assert log.append_delta(session_hash, "turn_1", 0, "alive")
            assert reaping.result() is False
        assert (log.read_events(session_hash, "", -1).lease_remaining_ms or 0) > 0
        jump()
        assert (log.read_events(session_hash, "", -1).lease_remaining_ms or 0) < 0
        assert log.expire_dead_turn(session_hash) is True
        assert kinds(log, session_hash)[-1] == "answer.error"


def test_a_question_after_a_death_is_answered(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again with the same client id or anew, a dead turn is closed first and the session is not stuck."""
    for client_id in ("c1", "c2"):
        log, session_hash = dead_turn(opened, monkeypatch)
        turn = log.start_turn(session_hash, "", words("asked", client_id), "turn_2")
        assert turn.outcome == "started"
        assert kinds(log, session_hash).count("answer.error") == 1
        assert texts(log, session_hash) == ["asked", "So far", *(["asked"] if client_id == "c2" else [])]


def test_a_reader_that_waits_closes_a_dead_turn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening alone is enough: a follower of the log gets the error that ends the dead turn."""
    log, session_hash = dead_turn(opened, monkeypatch)
    reading = conversations(log).stream_events(session_hash, "", EventCursor(0))
    events = [event.type for event in take(reading, lambda event: event.type == "answer.error")]
    assert events == ["message", "answer.start", "answer.delta", "answer.error"]
