"""Answers as they are written into the log: begun once, grown by offset, closed once, whoever dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from app.errors import Conflict
from app.events import Position
from app.ports import Closing
from app.store import log as log_module
from app.store.log import RedisLog
from tests.conftest import until
from tests.store.conftest import Open, at_once, new, texts, words
from tests.store.servers import Backend
from tests.store.turns import asked, conversations, dead_turn, joined, kinds, story, take


def test_an_answer_from_its_question_to_its_end(log: RedisLog) -> None:
    """Question, start, words and end stand in the log in this order; the joined words are the message."""
    ref = new(log)
    start = asked(log, ref)
    assert start == 1
    assert log.grow(ref, "turn_1", 0, "")  # the lease alone
    assert log.grow(ref, "turn_1", 0, "Zwölf ")
    assert log.grow(ref, "turn_1", 7, "Boxkämpfer 🥊")
    citations = b'[{"title":"T","url":"https://a.example/","snippet":"s"}]'
    closing = Closing("end", metadata=b'{"citations":' + citations + b"}", citations=citations, offset=23, tail=".")
    assert log.close(ref, "turn_1", closing)
    assert kinds(log, ref) == ["message", "answer.start", *["answer.delta"] * 3, "answer.end"]
    assert joined(log, ref) == "Zwölf Boxkämpfer 🥊."
    end = story(log, ref)[-1][1]
    assert end["turn_id"] == "turn_1"
    assert end["citations"] == orjson.loads(citations)
    stored = [orjson.loads(one) for one in log.read(ref, "", "", 0, 10).messages]
    assert end["message"] == stored[1]
    assert (stored[1]["role"], stored[1]["content"]) == ("assistant", "Zwölf Boxkämpfer 🥊.")
    assert stored[1]["metadata"]["citations"] == orjson.loads(citations)


def test_words_sent_again_after_a_lost_reply_are_not_told_twice(log: RedisLog) -> None:
    """The same words at the same offset, whole, in part, or together with new ones, stand in the answer once."""
    ref = new(log)
    asked(log, ref)
    for offset, text in ((0, "Hello"), (0, "Hello"), (0, "Hello wor"), (5, " world"), (11, "!"), (11, "!")):
        assert log.grow(ref, "turn_1", offset, text)
    closing = Closing("end", offset=11, tail="!")
    assert log.close(ref, "turn_1", closing)
    assert log.close(ref, "turn_1", closing) is None
    assert joined(log, ref) == "Hello world!"
    assert texts(log, ref) == ["asked", "Hello world!"]


def test_a_second_question_waits_for_the_answer(log: RedisLog) -> None:
    """While an answer is made another question is refused and nothing of it is stored."""
    ref = new(log)
    asked(log, ref, client_id="c1")
    with pytest.raises(Conflict) as refused:
        log.begin(ref, "", words("another", "c2"), "turn_2")
    assert (refused.value.code, refused.value.retryable) == ("turn_in_progress", True)
    assert refused.value.retry_after
    assert texts(log, ref) == ["asked"]


def test_twenty_racing_questions_with_one_client_id_begin_one_turn(opened: Open) -> None:
    """One begins, nineteen join the same turn at the same start; afterwards all get its answer."""
    logs = [opened(), opened()]
    ref = new(logs[0])
    found = at_once(20, lambda n: logs[n % 2].begin(ref, "", words("asked", "c1"), f"turn_{n}"))
    begun = [one for one in found if one.outcome == "begun"]
    assert len(begun) == 1
    assert {(one.turn_id, one.start) for one in found} == {(begun[0].turn_id, begun[0].start)}
    logs[0].close(ref, begun[0].turn_id, Closing("end", tail="answered"))
    later = at_once(20, lambda n: logs[n % 2].begin(ref, "", words("asked", "c1"), f"turn_late_{n}"))
    assert {one.outcome for one in later} == {"done"}
    assert {orjson.loads(one.message)["content"] for one in later} == {"answered"}
    assert texts(logs[0], ref) == ["asked", "answered"]


def test_a_failed_turn_runs_again_without_asking_twice(log: RedisLog) -> None:
    """After an error the same client id begins anew on the stored question; the broken words stay, marked."""
    ref = new(log)
    asked(log, ref, client_id="c1")
    log.grow(ref, "turn_1", 0, "Half an ans")
    log.close(ref, "turn_1", Closing("error", "engine_failed", "It broke.", b'{"interrupted":true}', offset=11))
    kind, broken = story(log, ref)[-1]
    assert kind == "answer.error"
    assert broken["code"] == "engine_failed"
    again = log.begin(ref, "", words("asked", "c1"), "turn_2")
    assert again.outcome == "begun"
    assert orjson.loads(again.message)["content"] == "asked"
    log.close(ref, "turn_2", Closing("end", tail="A whole answer"))
    assert texts(log, ref) == ["asked", "Half an ans", "A whole answer"]
    assert orjson.loads(log.read(ref, "", "", 0, 10).messages[1])["metadata"] == {"interrupted": True}


def test_an_error_without_a_word_keeps_the_question_alone(log: RedisLog) -> None:
    """A turn that failed before its first word tells the error and stores no empty message."""
    ref = new(log)
    asked(log, ref)
    log.close(ref, "turn_1", Closing("error", "engine_timeout", "Too slow.", b'{"interrupted":true}'))
    kind, told = story(log, ref)[-1]
    assert (kind, told["code"], "message" in told) == ("answer.error", "engine_timeout", False)
    assert texts(log, ref) == ["asked"]


def test_a_stop_keeps_what_was_said(log: RedisLog) -> None:
    """Stopped, the words so far stay, marked; the speaker learns of it; there is nothing to stop afterwards."""
    ref = new(log)
    assert log.stop(ref, "") is False
    asked(log, ref)
    log.grow(ref, "turn_1", 0, "So far")
    assert log.stop(ref, "") is True
    assert log.stop(ref, "") is False
    assert log.grow(ref, "turn_1", 6, " and on") is False
    assert log.close(ref, "turn_1", Closing("end", offset=6, tail=" and on")) is None
    stored = orjson.loads(log.read(ref, "", "", 0, 10).messages[1])
    assert (stored["content"], stored["metadata"]) == ("So far", {"stopped": True})
    assert kinds(log, ref)[-1] == "answer.end"
    assert kinds(log, ref).count("answer.end") == 1


def test_a_stale_speaker_cannot_touch_the_next_answer(log: RedisLog) -> None:
    """Words and an end of a turn that was closed do not reach the turn that runs now."""
    ref = new(log)
    asked(log, ref, "turn_1")
    log.stop(ref, "")
    asked(log, ref, "turn_2")
    assert log.grow(ref, "turn_1", 0, "stale") is False
    assert log.close(ref, "turn_1", Closing("end", tail="stale")) is None
    assert log.grow(ref, "turn_2", 0, "fresh")
    log.close(ref, "turn_2", Closing("end", offset=5))
    assert texts(log, ref)[-1] == "fresh"


def test_a_living_turn_is_not_reaped(log: RedisLog) -> None:
    """Whoever thinks a turn dead while its lease stands changes nothing."""
    ref = new(log)
    asked(log, ref)
    log.reap(ref)
    assert log.grow(ref, "turn_1", 0, "alive")


def test_a_dead_workers_turn_is_closed_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who find the lease run out one closes the turn: one error, the words kept, no activity of the visitor."""
    log, ref = dead_turn(opened, monkeypatch)
    seen = log.read(ref, "", "", 0, 0).seen
    other = opened()
    at_once(16, lambda n: (log, other)[n % 2].reap(ref))
    assert kinds(log, ref).count("answer.error") == 1
    stored = orjson.loads(log.read(ref, "", "", 0, 10).messages[-1])
    assert (stored["content"], stored["metadata"]) == ("So far", {"interrupted": True})
    assert log.read(ref, "", "", 0, 0).seen == seen
    assert log.grow(ref, "turn_1", 6, " late") is False


def test_a_lease_from_before_the_clock_jumped(log: RedisLog, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is over by a clock that was set, forward or back, is believed only when nobody renews it."""
    monkeypatch.setattr(log_module, "DOUBT_MS", 300)
    for hours in (-1, 1):
        ref = new(log)
        asked(log, ref)
        key = f"baton:{{{ref}}}:turn"

        def jump(ref: str = ref, key: str = key, hours: int = hours) -> None:
            backend.holder(ref).hincrby(key, "lease", hours * 3_600_000)

        jump()
        with ThreadPoolExecutor(1) as pool:
            reaping = pool.submit(log.reap, ref)
            until(lambda ref=ref, key=key: backend.holder(ref).hexists(key, "doubt"), 5, "the doubt")
            assert log.grow(ref, "turn_1", 0, "alive")
            assert reaping.result() is False
        assert (log.follow(ref, "", -1).turn_left or 0) > 0
        jump()
        assert (log.follow(ref, "", -1).turn_left or 0) < 0
        assert log.reap(ref) is True
        assert kinds(log, ref)[-1] == "answer.error"


def test_a_question_after_a_death_is_answered(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again with the same client id or anew, a dead turn is closed first and the session is not stuck."""
    for client_id in ("c1", "c2"):
        log, ref = dead_turn(opened, monkeypatch)
        begun = log.begin(ref, "", words("asked", client_id), "turn_2")
        assert begun.outcome == "begun"
        assert kinds(log, ref).count("answer.error") == 1
        assert texts(log, ref) == ["asked", "So far", *(["asked"] if client_id == "c2" else [])]


def test_a_reader_that_waits_closes_a_dead_turn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening alone is enough: a follower of the log gets the error that ends the dead turn."""
    log, ref = dead_turn(opened, monkeypatch)
    reading = conversations(log).follow(ref, "", Position(0))
    told = [event.kind for event in take(reading, lambda event: event.kind == "answer.error")]
    assert told == ["message", "answer.start", "answer.delta", "answer.error"]
