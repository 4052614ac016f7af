"""Reading events: from any cursor, each once and in order; and the memory that an idle session takes."""

from __future__ import annotations

import orjson
import pytest

from app.conversations import ids
from app.conversations.events import EventCursor
from app.storage.base import EventBatch, TurnResult
from app.storage.redis_store import RedisConversationStore
from tests.storage.conftest import Open, new, texts, words
from tests.storage.servers import Backend
from tests.storage.turns import asked, conversations, take


def test_each_cursor_brings_each_later_event_once_and_in_order(log: RedisConversationStore) -> None:
    """From every number of the log a reader gets what comes after it and nothing else."""
    session_hash = new(log)
    asked(log, session_hash)
    for n in range(5):
        log.append_delta(session_hash, "turn_1", n, str(n))
    log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=5))
    whole = log.read_events(session_hash, "", 0).events
    assert len(whole) == 8
    for after in range(9):
        assert log.read_events(session_hash, "", after) == EventBatch(after, whole[after:], False, None)


def test_a_long_story_comes_in_batches(log: RedisConversationStore) -> None:
    """More events than one batch holds are read on without a gap."""
    session_hash = new(log)
    asked(log, session_hash)
    for n in range(700):
        log.append_delta(session_hash, "turn_1", n * 4, f"{n:04d}")
    first = log.read_events(session_hash, "", 0)
    second = log.read_events(session_hash, "", len(first.events))
    assert 0 < len(first.events) < 702
    assert len(first.events) + len(second.events) == 702


def test_a_cursor_that_is_gone_or_never_was_brings_reset(log: RedisConversationStore, backend: Backend) -> None:
    """A future cursor, and one whose events were dropped, bring reset with a cursor to go on from."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("one"))
    log.append_message(session_hash, "", words("two"))
    assert log.read_events(session_hash, "", 10**15) == EventBatch(2, [], True, None)
    assert log.read_events(session_hash, "", 3) == EventBatch(2, [], True, None)
    backend.holder(session_hash).xtrim(f"baton:{{{session_hash}}}:live", maxlen=1, approximate=False)
    assert log.read_events(session_hash, "", 0).reset
    assert [kind for kind, _ in log.read_events(session_hash, "", 1).events] == ["message"]
    backend.holder(session_hash).delete(f"baton:{{{session_hash}}}:live")
    assert log.read_events(session_hash, "", 1) == EventBatch(2, [], True, None)
    assert log.read_events(session_hash, "", 2) == EventBatch(2, [], False, None)
    log.append_message(session_hash, "", words("three"))
    assert log.read_events(session_hash, "", 1).reset
    assert [kind for kind, _ in log.read_events(session_hash, "", 2).events] == ["message"]
    assert texts(log, session_hash) == ["one", "two", "three"]


def test_reset_during_an_answer_brings_it_from_its_first_word(log: RedisConversationStore) -> None:
    """Whoever lost its cursor while an answer is made goes on from the answer's start."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("before"))
    start = asked(log, session_hash)
    log.append_delta(session_hash, "turn_1", 0, "Hello")
    batch = log.read_events(session_hash, "", 10**15)
    assert (batch.after, batch.reset) == (start, True)
    assert [kind for kind, _ in log.read_events(session_hash, "", batch.after).events] == [
        "answer.start",
        "answer.delta",
    ]


def trimmed(log: RedisConversationStore, backend: Backend) -> str:
    """A session in mid-answer whose first events were dropped, as the cap of the live stream does; two are left."""
    session_hash = new(log)
    asked(log, session_hash)
    for n in range(10):
        log.append_delta(session_hash, "turn_1", n, str(n))
    backend.holder(session_hash).xtrim(f"baton:{{{session_hash}}}:live", maxlen=2, approximate=False)
    return session_hash


@pytest.mark.parametrize("cursor", [0, 3, 10**15])
def test_reset_where_the_answer_s_first_words_were_dropped_goes_on_from_now(
    log: RedisConversationStore, backend: Backend, cursor: int
) -> None:
    """Whoever is too far back in a long answer gets one reset, and then the rest: neither silence nor a circle."""
    session_hash = trimmed(log, backend)
    reading = conversations(log).stream_events(session_hash, "", EventCursor(cursor))
    assert take(reading, lambda event: True)[0].type == "reset"
    log.append_delta(session_hash, "turn_1", 10, "!")
    log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=11))
    events = take(reading, lambda event: event.type == "answer.end")
    assert [event.type for event in events] == ["answer.delta", "answer.end"]
    assert events[0].payload()["text"] == "!"
    assert events[1].payload()["message"]["content"] == "0123456789!"


def test_a_cursor_that_is_still_there_needs_no_reset(log: RedisConversationStore, backend: Backend) -> None:
    """Trimmed or not, a reader right behind what was dropped misses nothing and is not reset."""
    session_hash = trimmed(log, backend)
    assert [orjson.loads(data)["text"] for _, data in log.read_events(session_hash, "", 10).events] == ["8", "9"]


def test_the_cursor_of_an_answer_whose_first_words_were_dropped_is_valid(
    log: RedisConversationStore, backend: Backend
) -> None:
    """Reading the history again, as a reset asks for, gives a cursor that brings no other reset."""
    session_hash = trimmed(log, backend)
    talk = conversations(log)
    reading = talk.stream_events(
        session_hash, "", talk.resolve_cursor(session_hash, "", talk.get_page(session_hash, "", limit=100).cursor)
    )
    log.append_delta(session_hash, "turn_1", 10, "!")
    assert take(reading, lambda event: True)[0].payload()["text"] == "!"


def test_the_cursor_in_mid_answer_brings_the_whole_answer_and_no_message_again(log: RedisConversationStore) -> None:
    """Read in mid-answer, also with messages between: the whole answer follows the cursor, nothing that was read."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("before"))
    asked(log, session_hash)
    log.append_delta(session_hash, "turn_1", 0, "Hello")
    log.append_message(session_hash, "", words("in between"))
    log.append_delta(session_hash, "turn_1", 5, " world")
    talk = conversations(log)
    page = talk.get_page(session_hash, "", limit=100)
    assert [orjson.loads(one)["content"] for one in page.session.messages] == ["before", "asked", "in between"]
    log.append_message(session_hash, "", words("after"))
    log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=11, tail="!"))
    reading = talk.stream_events(session_hash, "", talk.resolve_cursor(session_hash, "", page.cursor))
    events = take(reading, lambda event: event.type == "answer.end")
    assert "".join(str(event.payload()["text"]) for event in events if event.type == "answer.delta") == "Hello world!"
    assert [event.payload()["content"] for event in events if event.type == "message"] == ["after"]
    # And each id of that story is a cursor of its own.
    for number, event in enumerate(events):
        reading = talk.stream_events(session_hash, "", talk.resolve_cursor(session_hash, "", event.id))
        rest = events[number + 1 :]
        if rest:
            assert take(reading, lambda one: one.type == "answer.end") == rest


def test_the_cursor_of_a_page_brings_the_messages_behind_it(log: RedisConversationStore) -> None:
    """A page read forward that has more behind it goes on right after its last message."""
    session_hash = new(log)
    ids = [orjson.loads(log.append_message(session_hash, "", words(str(n))).message)["id"] for n in range(5)]
    talk = conversations(log)
    page = talk.get_page(session_hash, "", "after", ids[0], 2)
    reading = talk.stream_events(session_hash, "", talk.resolve_cursor(session_hash, "", page.cursor))
    events = take(reading, lambda event: event.payload()["content"] == "4")
    assert [event.payload()["content"] for event in events] == ["3", "4"]


@pytest.mark.parametrize("text", ["", "x", "1", "-1-aaaaaa", "1-zzzzzz", "1-000000", "9" * 20 + "-{tag}"])
def test_an_unknown_cursor_brings_reset_and_never_silence(log: RedisConversationStore, text: str) -> None:
    """A malformed, foreign or future cursor brings one reset and then the live story."""
    session_hash = new(log)
    talk = conversations(log)
    reading = talk.stream_events(
        session_hash, "", talk.resolve_cursor(session_hash, "", text.replace("{tag}", ids.session_tag(session_hash)))
    )
    first = next(event for event in reading if event is not None)
    assert first.type == "reset"
    log.append_message(session_hash, "", words("then"))
    assert take(reading, lambda event: True)[0].payload()["content"] == "then"


def test_an_event_of_another_worker_wakes_a_reader(opened: Open) -> None:
    """A reader that waits hears of what another worker writes long before it would look by itself."""
    here, there = opened(), opened()
    session_hash = new(here)
    with here.subscribe(session_hash, local=False) as watch:
        for n in range(5):
            there.append_message(session_hash, "", words(str(n)))
            assert watch.wait(3.0), "the bell did not ring"
            assert len(here.read_events(session_hash, "", n).events) == 1


def test_a_reader_of_an_erased_session_gets_its_end(log: RedisConversationStore) -> None:
    """Whoever listens to a session that is erased hears that it has ended, and then nothing."""
    session_hash = new(log)
    reading = conversations(log).stream_events(session_hash, "", EventCursor(0))
    log.append_message(session_hash, "", words("said"))
    assert take(reading, lambda event: True)[0].type == "message"
    log.delete_session(session_hash, "")
    assert [event.payload() for event in reading if event is not None] == [{"status": "ended"}]


def test_an_idle_session_weighs_little_more_than_its_history(log: RedisConversationStore, backend: Backend) -> None:
    """When its events have been forgotten, 20 messages of 300 bytes weigh at most 1.5 times their history alone."""
    session_hash = new(log)
    for n in range(10):
        log.append_message(session_hash, "", words("q" * 300, f"client-{n}"))
        asked(log, session_hash, f"turn_{n}")
        log.finish_turn(session_hash, f"turn_{n}", TurnResult("end", tail="a" * 300))
    session_hash = new(log)
    for n in range(20):
        log.append_message(session_hash, "", words("w" * 300, f"client-{n}"))
    holder = backend.holder(session_hash)
    live = f"baton:{{{session_hash}}}:live"
    assert 0 < holder.pttl(live) <= 300_000, "the events live a while longer than the last of them"
    holder.delete(live)
    weights = {key: holder.memory_usage(key, samples=0) for key in holder.keys(f"baton:{{{session_hash}}}:*")}
    history = weights[f"baton:{{{session_hash}}}:history".encode()]
    assert sum(weights.values()) <= 1.5 * history
