"""The log as it is followed: from any place, each event once and in order, and what an idle session weighs."""

from __future__ import annotations

import orjson
import pytest

from app import session
from app.events import Position
from app.ports import Batch, Closing
from app.store.log import RedisLog
from tests.store.conftest import Open, new, texts, words
from tests.store.servers import Backend
from tests.store.turns import asked, conversations, take


def test_each_place_tells_each_later_event_once_and_in_order(log: RedisLog) -> None:
    """From every number of the log a reader gets what comes after it and nothing else."""
    ref = new(log)
    asked(log, ref)
    for n in range(5):
        log.grow(ref, "turn_1", n, str(n))
    log.close(ref, "turn_1", Closing("end", offset=5))
    whole = log.follow(ref, "", 0).events
    assert len(whole) == 8
    for after in range(9):
        assert log.follow(ref, "", after) == Batch(after, whole[after:], False, None)


def test_a_long_story_comes_in_batches(log: RedisLog) -> None:
    """More events than one batch holds are read on without a gap."""
    ref = new(log)
    asked(log, ref)
    for n in range(700):
        log.grow(ref, "turn_1", n * 4, f"{n:04d}")
    first = log.follow(ref, "", 0)
    second = log.follow(ref, "", len(first.events))
    assert 0 < len(first.events) < 702
    assert len(first.events) + len(second.events) == 702


def test_a_place_that_is_gone_or_never_was_brings_reset(log: RedisLog, backend: Backend) -> None:
    """A future place, and one whose events were dropped, are told as reset with a place to go on from."""
    ref = new(log)
    log.append(ref, "", words("one"))
    log.append(ref, "", words("two"))
    assert log.follow(ref, "", 10**15) == Batch(2, [], True, None)
    assert log.follow(ref, "", 3) == Batch(2, [], True, None)
    backend.holder(ref).xtrim(f"baton:{{{ref}}}:live", maxlen=1, approximate=False)
    assert log.follow(ref, "", 0).reset
    assert [kind for kind, _ in log.follow(ref, "", 1).events] == ["message"]
    backend.holder(ref).delete(f"baton:{{{ref}}}:live")
    assert log.follow(ref, "", 1) == Batch(2, [], True, None)
    assert log.follow(ref, "", 2) == Batch(2, [], False, None)
    log.append(ref, "", words("three"))
    assert log.follow(ref, "", 1).reset
    assert [kind for kind, _ in log.follow(ref, "", 2).events] == ["message"]
    assert texts(log, ref) == ["one", "two", "three"]


def test_reset_during_an_answer_brings_it_from_its_first_word(log: RedisLog) -> None:
    """Whoever lost its place while an answer is made goes on from the answer's start."""
    ref = new(log)
    log.append(ref, "", words("before"))
    start = asked(log, ref)
    log.grow(ref, "turn_1", 0, "Hello")
    batch = log.follow(ref, "", 10**15)
    assert (batch.after, batch.reset) == (start, True)
    assert [kind for kind, _ in log.follow(ref, "", batch.after).events] == ["answer.start", "answer.delta"]


def trimmed(log: RedisLog, backend: Backend) -> str:
    """A session in mid-answer whose first events were dropped, as the cap of the live stream does; two are left."""
    ref = new(log)
    asked(log, ref)
    for n in range(10):
        log.grow(ref, "turn_1", n, str(n))
    backend.holder(ref).xtrim(f"baton:{{{ref}}}:live", maxlen=2, approximate=False)
    return ref


@pytest.mark.parametrize("place", [0, 3, 10**15])
def test_reset_where_the_answer_s_first_words_were_dropped_goes_on_from_now(
    log: RedisLog, backend: Backend, place: int
) -> None:
    """Whoever is too far back in a long answer is told one reset, and then the rest: neither silence nor a circle."""
    ref = trimmed(log, backend)
    reading = conversations(log).follow(ref, "", Position(place))
    assert take(reading, lambda event: True)[0].kind == "reset"
    log.grow(ref, "turn_1", 10, "!")
    log.close(ref, "turn_1", Closing("end", offset=11))
    told = take(reading, lambda event: event.kind == "answer.end")
    assert [event.kind for event in told] == ["answer.delta", "answer.end"]
    assert told[0].read()["text"] == "!"
    assert told[1].read()["message"]["content"] == "0123456789!"


def test_a_place_that_is_still_there_needs_no_reset(log: RedisLog, backend: Backend) -> None:
    """Trimmed or not, a reader right behind what was dropped misses nothing and is not reset."""
    ref = trimmed(log, backend)
    assert [orjson.loads(data)["text"] for _, data in log.follow(ref, "", 10).events] == ["8", "9"]


def test_the_cursor_of_an_answer_whose_first_words_were_dropped_is_a_place(log: RedisLog, backend: Backend) -> None:
    """Reading the history again, as a reset asks for, gives a cursor that brings no other reset."""
    ref = trimmed(log, backend)
    talk = conversations(log)
    reading = talk.follow(ref, "", talk.place(ref, "", talk.look(ref, "", most=100).cursor))
    log.grow(ref, "turn_1", 10, "!")
    assert take(reading, lambda event: True)[0].read()["text"] == "!"


def test_the_cursor_in_mid_answer_brings_the_whole_answer_and_no_message_again(log: RedisLog) -> None:
    """Read in mid-answer, also with messages between, the cursor tells the whole answer and nothing that was read."""
    ref = new(log)
    log.append(ref, "", words("before"))
    asked(log, ref)
    log.grow(ref, "turn_1", 0, "Hello")
    log.append(ref, "", words("in between"))
    log.grow(ref, "turn_1", 5, " world")
    talk = conversations(log)
    page = talk.look(ref, "", most=100)
    assert [orjson.loads(one)["content"] for one in page.look.messages] == ["before", "asked", "in between"]
    log.append(ref, "", words("after"))
    log.close(ref, "turn_1", Closing("end", offset=11, tail="!"))
    reading = talk.follow(ref, "", talk.place(ref, "", page.cursor))
    told = take(reading, lambda event: event.kind == "answer.end")
    assert "".join(str(event.read()["text"]) for event in told if event.kind == "answer.delta") == "Hello world!"
    assert [event.read()["content"] for event in told if event.kind == "message"] == ["after"]
    # And each id of that story is a place of its own.
    for number, event in enumerate(told):
        reading = talk.follow(ref, "", talk.place(ref, "", event.id))
        rest = told[number + 1 :]
        if rest:
            assert take(reading, lambda one: one.kind == "answer.end") == rest


def test_the_cursor_of_a_page_brings_the_messages_behind_it(log: RedisLog) -> None:
    """A page read forward that has more behind it goes on right after its last message."""
    ref = new(log)
    ids = [orjson.loads(log.append(ref, "", words(str(n))).message)["id"] for n in range(5)]
    talk = conversations(log)
    page = talk.look(ref, "", "after", ids[0], 2)
    reading = talk.follow(ref, "", talk.place(ref, "", page.cursor))
    told = take(reading, lambda event: event.read()["content"] == "4")
    assert [event.read()["content"] for event in told] == ["3", "4"]


@pytest.mark.parametrize("text", ["", "x", "1", "-1-aaaaaa", "1-zzzzzz", "1-000000", "9" * 20 + "-{tag}"])
def test_an_unknown_place_is_told_as_reset_and_never_as_silence(log: RedisLog, text: str) -> None:
    """A malformed, foreign or future place brings one reset and then the live story."""
    ref = new(log)
    talk = conversations(log)
    reading = talk.follow(ref, "", talk.place(ref, "", text.replace("{tag}", session.tag_of(ref))))
    first = next(event for event in reading if event is not None)
    assert first.kind == "reset"
    log.append(ref, "", words("then"))
    assert take(reading, lambda event: True)[0].read()["content"] == "then"


def test_news_from_another_worker_wakes_a_reader(opened: Open) -> None:
    """A reader that waits hears of what another worker writes long before it would look by itself."""
    here, there = opened(), opened()
    ref = new(here)
    with here.watch(ref, near=False) as watch:
        for n in range(5):
            there.append(ref, "", words(str(n)))
            assert watch.wait(3.0), "the bell did not ring"
            assert len(here.follow(ref, "", n).events) == 1


def test_a_reader_of_an_erased_session_is_told(log: RedisLog) -> None:
    """Whoever listens to a session that is erased hears that it has ended, and then nothing."""
    ref = new(log)
    reading = conversations(log).follow(ref, "", Position(0))
    log.append(ref, "", words("said"))
    assert take(reading, lambda event: True)[0].kind == "message"
    log.erase(ref, "")
    assert [event.read() for event in reading if event is not None] == [{"status": "ended"}]


def test_an_idle_session_weighs_little_more_than_its_history(log: RedisLog, backend: Backend) -> None:
    """When its events have been forgotten, 20 messages of 300 bytes weigh at most 1.5 times their history alone."""
    ref = new(log)
    for n in range(10):
        log.append(ref, "", words("q" * 300, f"client-{n}"))
        asked(log, ref, f"turn_{n}")
        log.close(ref, f"turn_{n}", Closing("end", tail="a" * 300))
    ref = new(log)
    for n in range(20):
        log.append(ref, "", words("w" * 300, f"client-{n}"))
    holder = backend.holder(ref)
    live = f"baton:{{{ref}}}:live"
    assert 0 < holder.pttl(live) <= 300_000, "the events live a while longer than the last of them"
    holder.delete(live)
    weights = {key: holder.memory_usage(key, samples=0) for key in holder.keys(f"baton:{{{ref}}}:*")}
    history = weights[f"baton:{{{ref}}}:history".encode()]
    assert sum(weights.values()) <= 1.5 * history
