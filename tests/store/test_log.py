"""Sessions and what is said in them, on every Redis: each verb whole, once and in one order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import orjson
import pytest

from app import session
from app.errors import Conflict, Forbidden, InvalidRequest, NotFound, RateLimited
from app.ports import Closing
from app.store.log import RedisLog
from tests.conftest import until
from tests.store.conftest import Open, at_once, new, texts, words
from tests.store.servers import Backend

VERBS: dict[str, Callable[[RedisLog, str, str], object]] = {
    "append": lambda log, ref, who: log.append(ref, who, words("a")),
    "begin": lambda log, ref, who: log.begin(ref, who, words("a"), "turn_1"),
    "stop": lambda log, ref, who: log.stop(ref, who),
    "finish": lambda log, ref, who: log.finish(ref, who),
    "touch": lambda log, ref, who: log.touch(ref, who, resume=True),
    "read": lambda log, ref, who: log.read(ref, who, "", 0, 10),
    "follow": lambda log, ref, who: log.follow(ref, who, -1),
    "hand_off": lambda log, ref, who: log.hand_off(ref, who, "0" * 32, "once", "ab"),
    "take": lambda log, ref, who: (log.hand_off(ref, "*", "0" * 32, "once", "ab"), log.take(ref, who, "0" * 32, "")),
    "rate": lambda log, ref, who: log.rate(ref, who, 1, b'{"value":"up"}'),
    "erase": lambda log, ref, who: log.erase(ref, who),
}


def test_a_new_session_is_empty_and_active(log: RedisLog) -> None:
    """A session begins with no message, no event and no answer, with the metadata that the site gave."""
    ref = new(log, b'{"page":"/pricing"}')
    look = log.read(ref, "", "", 0, 10)
    assert (look.count, look.seq, look.ended, look.turn_id, look.messages) == (0, 0, False, "", [])
    assert look.metadata == {"page": "/pricing"}
    assert look.created == look.seen == look.updated <= look.now < look.expires


def test_what_is_said_comes_back_as_it_was(log: RedisLog) -> None:
    """Every text comes back letter by letter, with an id of its session, a role and a time in UTC."""
    ref = new(log)
    said = [
        "plain",
        'quotes " and \\ and /',
        "control \x00\x01\x1f\x7f",
        "emoji 👩‍👩‍👧 שלום \u202e",
        "line\nbreak\u2028",
        "%s %d {}",
    ]
    stored = [orjson.loads(log.append(ref, "", words(text)).message) for text in said]
    assert texts(log, ref) == said
    assert stored == [orjson.loads(one) for one in log.read(ref, "", "", 0, 10).messages]
    look = log.read(ref, "", "", 0, 1)
    assert stored[-1]["id"] == f"msg_{len(said)}_{session.tag_of(ref)}"
    assert stored[-1]["created_at"] == session.timestamp(look.updated)
    assert {one["role"] for one in stored} == {"user"}


def test_the_same_client_id_gets_the_first_answer_again(log: RedisLog) -> None:
    """Sent again, also with other words, nothing is stored twice and the first message comes back."""
    ref = new(log)
    first = log.append(ref, "", words("hello", "c1"))
    again = log.append(ref, "", words("other words", "c1"))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.message == first.message
    assert texts(log, ref) == ["hello"]


def test_append_and_chat_keep_their_client_ids_apart(log: RedisLog) -> None:
    """One client id used for an append and for a question is two messages."""
    ref = new(log)
    log.append(ref, "", words("said", "c1"))
    assert log.begin(ref, "", words("asked", "c1"), "turn_1").outcome == "begun"
    assert texts(log, ref) == ["said", "asked"]


def test_twenty_racing_appends_with_one_client_id_store_one(opened: Open) -> None:
    """Twenty callers over two workers, one client id: one message, the same for all of them."""
    logs = [opened(), opened()]
    ref = new(logs[0])
    found = at_once(20, lambda number: logs[number % 2].append(ref, "", words(f"try {number}", "c1")))
    assert len({one.message for one in found}) == 1
    assert [one.fresh for one in found].count(True) == 1
    assert logs[0].read(ref, "", "", 0, 10).count == 1


def test_eight_writers_with_fifty_each_arrive_once_in_one_order(opened: Open) -> None:
    """400 appends by eight writers over two workers: each once, each writer's in order, one order for all readers."""
    logs = [opened(), opened()]
    ref = new(logs[0])

    def write(writer: int) -> list[str]:
        log = logs[writer % 2]
        return [orjson.loads(log.append(ref, "", words(f"{writer}:{n}")).message)["content"] for n in range(50)]

    acknowledged = at_once(8, write)
    seen = texts(logs[0], ref)
    assert seen == texts(logs[1], ref)
    assert sorted(seen) == sorted(text for one in acknowledged for text in one)
    assert len(seen) == 400
    for writer, own in enumerate(acknowledged):
        assert [text for text in seen if text.startswith(f"{writer}:")] == own


def test_a_full_session_refuses_and_forgets_nothing(opened: Open) -> None:
    """At the limit an append is refused, a retry of a stored one is not, and what was said is all there."""
    log = opened(most_messages=3)
    ref = new(log)
    for n in range(3):
        log.append(ref, "", words(str(n), f"c{n}"))
    with pytest.raises(Conflict) as refused:
        log.append(ref, "", words("more"))
    assert refused.value.code == "session_full"
    assert log.append(ref, "", words("2", "c2")).fresh is False
    assert texts(log, ref) == ["0", "1", "2"]


def test_a_running_answer_keeps_its_place_free(opened: Open) -> None:
    """A question needs two free places, and while it is answered appends cannot take the answer's."""
    log = opened(most_messages=3)
    ref = new(log)
    log.append(ref, "", words("one"))
    log.begin(ref, "", words("asked"), "turn_1")
    with pytest.raises(Conflict):
        log.append(ref, "", words("in between"))
    log.close(ref, "turn_1", Closing("end", tail="answered"))
    assert texts(log, ref) == ["one", "asked", "answered"]
    other = new(log)
    for text in ("one", "two"):
        log.append(other, "", words(text))
    with pytest.raises(Conflict) as refused:
        log.begin(other, "", words("asked"), "turn_2")
    assert refused.value.code == "session_full"


def test_an_ended_session_takes_nothing_and_is_still_readable(log: RedisLog) -> None:
    """After the end nothing can be said or asked, a known client id still has its answer, the history stays."""
    ref = new(log)
    log.append(ref, "", words("said", "c1"))
    log.finish(ref, "")
    log.finish(ref, "")
    for verb in ("append", "begin", "hand_off"):
        with pytest.raises(Conflict) as refused:
            VERBS[verb](log, ref, "")
        assert refused.value.code == "session_ended"
    with pytest.raises(Conflict):
        log.touch(ref, "", resume=False)
    assert log.touch(ref, "", resume=True) > 0
    assert log.append(ref, "", words("said", "c1")).fresh is False
    assert log.read(ref, "", "", 0, 10).ended
    assert texts(log, ref) == ["said"]
    assert [kind for kind, _ in log.follow(ref, "", 0).events] == ["message", "session"]


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_there_is_not_found(log: RedisLog, backend: Backend, verb: str) -> None:
    """Every verb on a session that never was says so and makes no key."""
    with pytest.raises(NotFound):
        VERBS[verb](log, "0" * 32, "")
    assert backend.held() == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_signed_in_users_session_is_his_alone(log: RedisLog, verb: str) -> None:
    """Nobody and another user are refused by every verb; the owner and the service itself are not."""
    ref = new(log, owner="ada")
    for who in ("", "bob"):
        with pytest.raises(Forbidden) as refused:
            VERBS[verb](log, ref, who)
        assert refused.value.code == "not_owner"
    assert log.read(ref, "ada", "", 0, 1).count == 0
    for who in ("ada", "*"):
        with pytest.raises(NotFound) if verb == "rate" else nullcontext():  # there is no message to rate
            VERBS[verb](log, new(log, owner="ada"), who)


def test_pages_of_the_history(log: RedisLog) -> None:
    """The newest, those after and those before a message, oldest first, with whether there are more that way."""
    ref = new(log)
    for n in range(1, 11):
        log.append(ref, "", words(str(n)))

    def page(where: str, number: int, most: int) -> tuple[list[int], bool]:
        look = log.read(ref, "", where, number, most)
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
            log.read(ref, "", where, 11, 3)


def test_a_rating_stands_with_its_answer_and_nowhere_else(log: RedisLog) -> None:
    """An answer can be rated, rated anew and unrated; a visitor's message and an unknown one cannot."""
    ref = new(log)
    log.begin(ref, "", words("asked"), "turn_1")
    log.close(ref, "turn_1", Closing("end", tail="answered"))
    asked, answered = [orjson.loads(one) for one in log.read(ref, "", "", 0, 10).messages]
    number = int(answered["id"].split("_")[1])
    for rating in (b'{"value":"up"}', b'{"value":"down","comment":"no"}'):
        assert orjson.loads(log.rate(ref, "", number, rating))["metadata"]["feedback"] == orjson.loads(rating)
    kept = orjson.loads(log.read(ref, "", "", 0, 10).messages[1])
    assert kept["metadata"]["feedback"] == {"value": "down", "comment": "no"}
    log.rate(ref, "", number, b"")
    assert log.read(ref, "", "", 0, 10).messages[1] == orjson.dumps(answered)
    for other in (int(asked["id"].split("_")[1]), 99):
        with pytest.raises(NotFound):
            log.rate(ref, "", other, b'{"value":"up"}')


def test_the_limit_of_a_session_counts_words_and_not_replays(opened: Open) -> None:
    """Appends and questions count together in one window; a replay counts nothing; then one waits, then it is whole."""
    log = opened(session_limit=3, session_window=1_000)
    ref = new(log)
    first = log.append(ref, "", words("one", "c1"))
    assert (first.left, first.reset) == (2, 1_000)
    assert log.append(ref, "", words("one", "c1")).fresh is False
    assert log.append(ref, "", words("two")).left == 1
    assert log.begin(ref, "", words("three", "q1"), "turn_1").left == 0
    log.close(ref, "turn_1", Closing("end", tail="x"))
    for refused in (lambda: log.append(ref, "", words("four")), lambda: log.begin(ref, "", words("four"), "turn_2")):
        with pytest.raises(RateLimited) as limited:
            refused()
        assert limited.value.retry_after == 1
    assert log.append(ref, "", words("one", "c1")).fresh is False
    assert log.begin(ref, "", words("three", "q1"), "turn_3").outcome == "done"

    def admitted() -> bool:
        try:
            return log.append(ref, "", words("four")).left == 2
        except RateLimited:
            return False

    until(admitted, 5, "the window to pass")
    assert texts(log, ref) == ["one", "two", "three", "x", "four"]


def test_a_refused_call_is_admitted_where_its_client_id_is_known(log: RedisLog) -> None:
    """What an address' limit refuses is raised for a new message and not for a replay; nothing is stored."""
    ref = new(log)
    log.append(ref, "", words("one", "c1"))
    refusal = RateLimited("by address", retry_after=7)
    assert log.append(ref, "", words("one", "c1", refusal)).fresh is False
    for verb in (log.append, lambda ref, who, said: log.begin(ref, who, said, "turn_1")):
        with pytest.raises(RateLimited) as limited:
            verb(ref, "", words("two", "c2", refusal))
        assert limited.value is refusal
    assert texts(log, ref) == ["one"]
