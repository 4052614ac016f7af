"""The handler of a conversation and change tracking, on every Redis."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from app.auth.operators import Operator, OperatorDirectory
from app.conversations import ids
from app.conversations.events import serialize_message
from app.conversations.people import PeopleService
from app.engines.base import operator_author
from app.errors import AlreadyTaken, SessionEnded, SessionFull, SessionNotFound
from app.storage.base import NewMessage, Release, TurnResult
from app.storage.desk_index import DeskIndex
from app.storage.operators import RedisOperatorStore
from app.storage.redis_store import CHANGES_KEY, MAX_NOTE_BYTES, RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, texts, words
from tests.storage.servers import Backend
from tests.storage.test_desk_index import index_of
from tests.storage.test_ownership import claimable, hash_of, ownership, someone
from tests.storage.turns import asked, joined, kinds, story

ANNA, BOB = ("op_anna", "Anna"), ("op_bob", "Bob")


@pytest.fixture
def log(opened: Open) -> RedisConversationStore:
    """A log with the desk on."""
    return opened(tracking="desk")


def take(
    log: RedisConversationStore, session_hash: str, operator: tuple[str, str] = ANNA, *, force: bool = False
) -> bool:
    return log.take(session_hash, *operator, force=force)


def reply(text: str, operator: tuple[str, str] = ANNA, client_id: str = "") -> NewMessage:
    author = operator_author(operator[1])
    return NewMessage(serialize_message("assistant", text, None, client_id or None, author), client_id)


def outbox(log: RedisConversationStore, session_hash: str) -> list[dict[str, Any]]:
    """The domain events that wait, without their times."""
    entries = log.client.call("XRANGE", f"baton:{{{session_hash}}}:outbox", "-", "+")
    events = [orjson.loads(fields[b"j"]) for _, fields in entries]
    assert (
        [event["n"] for event in events] == list(range(events[0]["n"], events[0]["n"] + len(events)))
        if events
        else True
    )
    return [{name: value for name, value in event.items() if name not in ("n", "at")} for event in events]


def marked(log: RedisConversationStore, session_hash: str) -> bool:
    return log.client.call("ZSCORE", CHANGES_KEY, session_hash) is not None


def unmark(log: RedisConversationStore, session_hash: str) -> None:
    log.client.call("ZREM", CHANGES_KEY, session_hash)


def handlers(log: RedisConversationStore, session_hash: str) -> list[dict[str, Any]]:
    return [data for kind, data in story(log, session_hash) if kind == "handler"]


def test_a_take_ends_the_answer_and_nothing_of_it_follows(log: RedisConversationStore) -> None:
    """R31: `answer.end` with the words so far, then `handler`; the worker's next words are refused."""
    session_hash = new(log)
    asked(log, session_hash, client_id="c1")
    assert log.append_delta(session_hash, "turn_1", 0, "So far")
    assert take(log, session_hash)
    assert not log.append_delta(session_hash, "turn_1", 6, " so good")
    assert log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=6, tail=" so good")) is None
    events = story(log, session_hash)
    assert [kind for kind, _ in events] == ["message", "answer.start", "answer.delta", "answer.end", "handler"]
    message: Any = events[3][1]["message"]
    assert (message["content"], message["metadata"]) == ("So far", {"interrupted": True})
    assert events[4][1] == {"handler": "human", "assigned_to": {"name": "Anna"}, "reason": "taken"}
    assert texts(log, session_hash) == ["asked", "So far"]
    replay = log.start_turn(session_hash, "", words("asked", "c1"), "turn_2")
    assert (replay.outcome, orjson.loads(replay.message)["content"]) == ("completed", "So far")


def test_a_take_before_the_first_word_stores_no_message(log: RedisConversationStore) -> None:
    """`answer.end` has `message: null`; the question is answered nothing more, whoever sends it again."""
    session_hash = new(log)
    asked(log, session_hash, client_id="c1")
    take(log, session_hash)
    ends = [data for kind, data in story(log, session_hash) if kind == "answer.end"]
    assert ends == [{"turn_id": "turn_1", "message": None, "citations": []}]
    assert texts(log, session_hash) == ["asked"]
    log.release(session_hash, Release("bot", "released", "op_anna"))
    replay = log.start_turn(session_hash, "", words("asked", "c1"), "turn_2")
    assert (replay.outcome, replay.message) == ("completed", b"")


def test_one_of_many_operators_gets_it(log: RedisConversationStore) -> None:
    """R31: of twenty at once one has it, also when asked again; the others learn who; a lead may take it away."""
    session_hash = new(log)
    outcomes = at_once(20, lambda number: take(log, session_hash, (f"op_{number}", f"Name {number}")))
    winners = [number for number, outcome in enumerate(outcomes) if outcome is True]
    assert len(winners) == 1
    losers = [outcome for outcome in outcomes if isinstance(outcome, AlreadyTaken)]
    assert len(losers) == 19
    assert all(error.members == {"assigned_to": {"name": f"Name {winners[0]}"}} for error in losers)
    assert len(handlers(log, session_hash)) == 1
    assert take(log, session_hash, (f"op_{winners[0]}", f"Name {winners[0]}")) is False
    assert take(log, session_hash, ("op_lead", "Lena"), force=True)
    assert [event["assigned_to"] for event in handlers(log, session_hash)][1:] == [{"name": "Lena"}]


def test_a_question_for_a_person_starts_no_turn(log: RedisConversationStore) -> None:
    """R31: it is stored; the same client id gets the same reply for ever, also after a release."""
    session_hash = new(log)
    take(log, session_hash)
    held = log.start_turn(session_hash, "", words("still there?", "c1"), "turn_1")
    assert (held.outcome, held.handler, held.assigned_to) == ("held", "human", "Anna")
    assert kinds(log, session_hash) == ["handler", "message"]
    log.release(session_hash, Release("bot", "released", "op_anna"))
    again = log.start_turn(session_hash, "", words("still there?", "c1"), "turn_2")
    assert (again.outcome, again.handler, again.assigned_to, again.message) == ("held", "human", "Anna", held.message)
    assert texts(log, session_hash) == ["still there?"]
    assert log.start_turn(session_hash, "", words("and now?", "c2"), "turn_3").outcome == "started"


def test_a_question_whose_reply_was_lost_is_stored_once(log: RedisConversationStore) -> None:
    """The store's caller sends it once more with the same turn; without a client id too it is the same question."""
    session_hash = new(log)
    take(log, session_hash)
    first, again = (log.start_turn(session_hash, "", words("anybody?"), "turn_1") for _ in range(2))
    assert (again.outcome, again.handler, again.message) == ("held", "human", first.message)
    log.start_turn(session_hash, "", words("anybody?"), "turn_2")
    assert texts(log, session_hash) == ["anybody?"] * 2


def test_a_question_for_a_person_needs_one_free_place(opened: Open) -> None:
    """With one place under the limit it is stored, with none it is refused; a failed one is stored already."""
    log = opened(tracking="desk", max_messages=3)
    session_hash = new(log)
    log.start_turn(session_hash, "", words("failed", "c1"), "turn_1")
    log.finish_turn(session_hash, "turn_1", TurnResult("error", "engine_failed", "It failed."))
    take(log, session_hash)
    assert log.start_turn(session_hash, "", words("failed", "c1"), "turn_2").outcome == "held"
    for number in range(2):
        assert log.start_turn(session_hash, "", words("more"), f"turn_{3 + number}").outcome == "held"
    with pytest.raises(SessionFull):
        log.start_turn(session_hash, "", words("too much"), "turn_9")
    assert texts(log, session_hash) == ["failed", "more", "more"]


def test_a_visitor_asks_for_a_person(log: RedisConversationStore) -> None:
    """With somebody there they wait in the queue, and a running answer ends; with nobody there the bot stays, and what
    they left is kept.
    """
    session_hash = new(log)
    asked(log, session_hash)
    assert log.request_human(session_hash, "", b'{"email":"a@example.com"}', "my order", "", "visitor") == (
        "bot",
        False,
    )
    assert kinds(log, session_hash) == ["message", "answer.start"]
    meta = f"baton:{{{session_hash}}}:meta"
    assert log.client.call("HMGET", meta, "contact", "reason") == [b'{"email":"a@example.com"}', b"my order"]
    assert log.request_human(session_hash, "", b"", "", "3", "visitor") == ("queue", True)
    assert log.request_human(session_hash, "", b"", "", "4", "visitor") == ("queue", False)
    assert kinds(log, session_hash)[2:] == ["answer.end", "handler"]
    assert handlers(log, session_hash) == [
        {"handler": "queue", "assigned_to": None, "queue_position": 3, "reason": "requested"}
    ]
    assert log.set_queue_position(session_hash, 2)
    assert not log.set_queue_position(session_hash, 2)
    assert handlers(log, session_hash)[1]["queue_position"] == 2
    take(log, session_hash)
    assert not log.set_queue_position(session_hash, 1)
    assert log.request_human(session_hash, "", b"", "", "1", "visitor") == ("human", False)


def test_who_may_give_a_conversation_away(log: RedisConversationStore) -> None:
    """Its operator may, and leads for others; anybody may of one in the queue; a second time changes nothing."""
    session_hash = new(log)
    assert log.release(session_hash, Release("queue", "released", "op_bob", position="1"))
    assert not log.release(session_hash, Release("queue", "released", "op_bob", position="1"))
    take(log, session_hash)
    with pytest.raises(AlreadyTaken):
        log.release(session_hash, Release("bot", "released", "op_bob"))
    assert log.release(session_hash, Release("human", "taken", "op_anna", *BOB))
    assert log.read_messages(session_hash, "", "", 0, 0).assigned_to == "Bob"
    assert log.release(session_hash, Release("bot", "released", "*"))
    assert log.read_messages(session_hash, "", "", 0, 0).handler == "bot"
    assert not log.release(session_hash, Release("bot", "released", "op_anna"))
    states = [(event["handler"], event["reason"]) for event in handlers(log, session_hash)]
    assert states == [("queue", "released"), ("human", "taken"), ("human", "taken"), ("bot", "released")]


def test_what_nobody_does_anything_about_goes_back(opened: Open) -> None:
    """From the queue after its time, from this operator where they are gone, to the bot where the visitor is; each only
    if it is so at that moment.
    """
    log = opened(tracking="desk", idle=60_000)
    session_hash = new(log)
    log.request_human(session_hash, "", b"", "", "1", "visitor")
    waiting = Release("bot", "timeout", condition="waiting", value="60000")
    assert not log.release(session_hash, waiting)
    until(lambda: log.release(session_hash, Release("bot", "timeout", condition="waiting", value="30")), 5, "30 ms")
    take(log, session_hash)
    assert not log.release(session_hash, Release("queue", "absent", condition="holder", value="op_bob", position="1"))
    assert log.release(session_hash, Release("queue", "absent", condition="holder", value="op_anna", position="1"))
    take(log, session_hash)
    assert not log.release(session_hash, Release("bot", "left", condition="left", value="60000"))
    log.acquire_feed_slot("", 3, "f1", session_hash)
    assert not log.release(session_hash, Release("bot", "left", condition="left", value="0"))
    log.release_feed_slot("", "f1", session_hash)
    assert log.release(session_hash, Release("bot", "left", condition="left", value="0"))
    assert [event["reason"] for event in handlers(log, session_hash)] == [
        "requested", "timeout", "taken", "absent", "taken", "left",
    ]  # fmt: skip


def test_an_operators_first_word_takes_the_conversation(log: RedisConversationStore) -> None:
    """In one step: the answer ends, `handler`, the message; sent again it is there once; somebody else's is refused."""
    session_hash = new(log)
    asked(log, session_hash)
    log.append_delta(session_hash, "turn_1", 0, "I think")
    results = at_once(4, lambda _: log.append_operator_message(session_hash, reply("Anna here", ANNA, "m1"), *ANNA))
    assert sorted(took for _, took in results) == [False, False, False, True]
    assert len({result.message for result, _ in results}) == 1
    assert kinds(log, session_hash)[2:] == ["answer.delta", "answer.end", "handler", "message"]
    message = orjson.loads(log.read_messages(session_hash, "", "", 0, 1).messages[0])
    assert (message["role"], message["author"]) == ("assistant", {"type": "operator", "name": "Anna"})
    with pytest.raises(AlreadyTaken):
        log.append_operator_message(session_hash, reply("Bob here", BOB), *BOB)
    assert texts(log, session_hash) == ["asked", "I think", "Anna here"]


def test_an_operators_word_is_no_sign_of_the_visitor(opened: Open) -> None:
    """What an operator does extends the session's life, and does not count as a visit."""
    log = opened(tracking="desk")
    session_hash = new(log)
    before = log.read_messages(session_hash, "", "", 0, 0)
    until(lambda: log.read_messages(session_hash, "", "", 0, 0).now > before.now + 5, 5, "5 ms to pass")
    log.append_operator_message(session_hash, reply("Hello?"), *ANNA)
    after = log.read_messages(session_hash, "", "", 0, 0)
    assert after.last_seen_at == before.last_seen_at
    assert after.expires_at > before.expires_at


def test_an_ended_conversation_takes_no_person(log: RedisConversationStore) -> None:
    """Take, release, request and message are `session_ended`; an end by somebody who does not have it is refused."""
    session_hash = new(log)
    take(log, session_hash)
    with pytest.raises(AlreadyTaken):
        log.end_session(session_hash, "*", "operator", "op_bob")
    log.end_session(session_hash, "*", "operator", "op_anna")
    for verb in (
        lambda: take(log, session_hash, BOB),
        lambda: log.release(session_hash, Release("bot", "released", "*")),
        lambda: log.request_human(session_hash, "", b"", "", "1", "visitor"),
        lambda: log.append_operator_message(session_hash, reply("late"), *ANNA),
        lambda: log.set_typing(session_hash, "*", "operator", "Anna"),
    ):
        with pytest.raises(SessionEnded):
            verb()


def test_notes_are_outside_of_the_conversation(log: RedisConversationStore) -> None:
    """R32: not in the history, the log or its count; kept in order, once for each client id, also after the end."""
    session_hash = new(log)
    log.append_message(session_hash, "", words("hello"))
    before = log.read_messages(session_hash, "", "", 0, 10)
    notes = [
        log.add_note(
            session_hash, NewMessage(serialize_message("note", text, None, "n1", {"name": "Anna"}), "n1"), "op_anna"
        )
        for text in ("A regular", "A regular")
    ]
    assert [note.is_new for note in notes] == [True, False]
    assert notes[0].message == notes[1].message
    log.end_session(session_hash, "")
    log.add_note(session_hash, NewMessage(serialize_message("note", "Done", None)), "op_bob")
    stored = [orjson.loads(note) for note in log.read_notes(session_hash)]
    tag = ids.session_tag(session_hash)
    assert [(note["id"], note["role"], note["content"]) for note in stored] == [
        (f"note_1_{tag}", "note", "A regular"), (f"note_2_{tag}", "note", "Done"),
    ]  # fmt: skip
    after = log.read_messages(session_hash, "", "", 0, 10)
    assert (after.messages, after.message_count) == (before.messages, before.message_count)
    assert kinds(log, session_hash) == ["message", "session"]


def test_notes_are_bounded(log: RedisConversationStore) -> None:
    """One conversation holds no more notes than one page of its history may hold: 1 MiB, after which it is full."""
    session_hash = new(log)
    note = NewMessage(serialize_message("note", "n" * (MAX_NOTE_BYTES // 3), None))
    for _ in range(2):
        log.add_note(session_hash, note, "op_anna")
    with pytest.raises(SessionFull):
        log.add_note(session_hash, note, "op_anna")
    log.add_note(session_hash, NewMessage(serialize_message("note", "A short one", None)), "op_anna")
    assert len(log.read_notes(session_hash)) == 3


def test_typing_is_told_once_in_three_seconds(log: RedisConversationStore) -> None:
    """The other side's feed wakes and finds the name; it is no event, and nothing of it stays."""
    session_hash = new(log)
    with log.subscribe(session_hash, local=False) as waiting:
        assert log.set_typing(session_hash, "*", "operator", "Anna")
        assert waiting.wait(5)
    assert not log.set_typing(session_hash, "*", "operator", "Anna")
    assert log.set_typing(session_hash, "", "visitor", "")
    operator, visitor = log.read_events(session_hash, "", -1).typing
    assert operator.endswith(":Anna")
    assert visitor.endswith(":")
    assert kinds(log, session_hash) == []
    assert 0 < log.client.call("PTTL", f"baton:{{{session_hash}}}:typing") <= 5_000


def test_what_happened_is_in_the_outbox_without_a_word_of_it(log: RedisConversationStore) -> None:
    """Each step adds its events in the same atomic step and marks the session; none holds a text or an id.

    Of the questions the first one is an event, which analytics counts.
    """
    session_hash = new(log)
    known = TurnResult("end", not_found=True)
    failed = TurnResult("error", "engine_failed", "No.")
    steps: list[tuple[Any, list[str]]] = [
        (lambda: log.append_message(session_hash, "", words("Secret words")), ["question"]),
        (lambda: asked(log, session_hash), []),
        (lambda: log.append_delta(session_hash, "turn_1", 0, "Secret words"), []),
        (lambda: log.finish_turn(session_hash, "turn_1", known), ["answer", "answer.not_found"]),
        (lambda: log.start_turn(session_hash, "", words("x"), "turn_2"), []),
        (lambda: log.finish_turn(session_hash, "turn_2", failed), ["answer.failed"]),
        (lambda: log.heartbeat(session_hash, "", resume=True), ["session.restored"]),
        (lambda: log.set_feedback(session_hash, "", 5, b'{"rating":"up","comment":"Secret words"}'), ["rating.given"]),
        (lambda: log.request_human(session_hash, "", b'{"name":"Secret words"}', "Secret words", "1", "visitor"),
         ["human.requested"]),
        (lambda: take(log, session_hash), ["human.taken"]),
        (lambda: log.append_operator_message(session_hash, reply("Secret words"), *ANNA), []),
        (lambda: log.release(session_hash, Release("bot", "released", "op_anna")), ["human.released"]),
        (lambda: log.end_session(session_hash, "", "visitor"), ["session.ended"]),
    ]  # fmt: skip
    assert outbox(log, session_hash) == [{"type": "session.created"}]
    expected = ["session.created"]
    for step, types in steps:
        unmark(log, session_hash)
        step()
        expected += types
        assert [event["type"] for event in outbox(log, session_hash)] == expected
        assert marked(log, session_hash) or not types
    events = {event["type"]: event for event in outbox(log, session_hash)}
    assert b"Secret" not in orjson.dumps(events)
    assert session_hash not in orjson.dumps(events).decode()
    assert events["answer"]["first_ms"] >= 0
    assert events["answer.failed"]["code"] == "engine_failed"
    assert events["rating.given"]["rating"] == "up"
    assert events["human.taken"].keys() == {"type", "operator", "waited_ms"}
    assert events["human.released"] == {"type": "human.released", "to": "bot", "reason": "released"}
    assert events["session.ended"] == {"type": "session.ended", "by": "visitor"}


def test_a_visitor_who_leaves_is_recorded_once_each_time(opened: Open) -> None:
    """Not before the idle time, once after it, and again after another visit."""
    log = opened(tracking="desk", idle=40)
    session_hash = new(log)
    until(lambda: log.mark_abandoned(session_hash)[0], 5, "the idle time to pass")
    assert log.mark_abandoned(session_hash)[0] is False
    log.heartbeat(session_hash, "", resume=False)
    until(lambda: log.mark_abandoned(session_hash)[0], 5, "the idle time to pass again")
    types = [event["type"] for event in outbox(log, session_hash)]
    assert types.count("session.abandoned") == 2


def test_a_claim_takes_everything_of_the_desk_along(log: RedisConversationStore) -> None:
    """Handler, ref, contact, notes, what was read, and what waits in the outbox; the old hash leads to the new one."""
    old = claimable(log)
    session_hash = hash_of(old)
    ref = log.read_messages(session_hash, "", "", 0, 0).ref
    assert ref == "cnv_" + session_hash[:24]
    log.request_human(session_hash, "", b'{"email":"a@example.com"}', "", "1", "visitor")
    log.append_operator_message(session_hash, reply("Anna here"), *ANNA)
    log.add_note(session_hash, NewMessage(serialize_message("note", "A regular", None)), "op_anna")
    waiting = outbox(log, session_hash)
    moved = hash_of(ownership(log).claim(old, someone()))
    after = log.read_messages(moved, "*", "", 0, 0)
    assert (after.ref, after.handler, after.assigned_to) == (ref, "human", "Anna")
    assert outbox(log, moved) == waiting
    assert [orjson.loads(note)["id"] for note in log.read_notes(moved)] == [f"note_1_{ids.session_tag(moved)}"]
    meta = f"baton:{{{moved}}}:meta"
    assert log.client.call("HGET", meta, "contact") == b'{"email":"a@example.com"}'
    assert orjson.loads(log.client.call("HGET", meta, "user")) == {"id": "ada"}
    assert log.client.call("HGET", f"baton:{{{moved}}}:reads", "op_anna") == b"2"
    assert log.get_successor(session_hash) == moved
    assert marked(log, moved)
    take(log, moved, BOB, force=True)
    assert outbox(log, moved)[len(waiting) :][0]["type"] == "human.taken"


def people(log: RedisConversationStore) -> tuple[PeopleService, DeskIndex, Operator]:
    """What operators do, shown at the desk at once, and one of them, who is available."""
    index = index_of(log)
    directory = OperatorDirectory(RedisOperatorStore(log.client))
    operator = directory.invite("Anna", "operator").operator
    directory.touch(operator.id)
    directory.set_available(operator.id, True)
    return PeopleService(log, directory, index), index, operator


def test_an_operator_in_the_middle_of_a_claim(log: RedisConversationStore) -> None:
    """While a conversation moves to its user, an operator's call waits and finds it; its ref leads there."""
    service, index, anna = people(log)
    old, user = claimable(log), someone()
    session_hash = hash_of(old)
    ref = log.read_messages(session_hash, "", "", 0, 0).ref
    new_id = ids.new_session_id()
    claim = log.ownership.export_session(session_hash, user.user, ids.encrypt(new_id, b"k"), hash_of(new_id))
    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(service.take, session_hash, anna)
        noting = pool.submit(service.add_note, session_hash, anna, "A regular")
        log.ownership.import_session(hash_of(new_id), user.user, session_hash, claim, user.profile)
        log.ownership.finish_migration(session_hash, user.user)
        assert taking.result(10)
        assert noting.result(10).is_new
    assert index.resolve(ref) == hash_of(new_id)
    assert service.state(log.read_messages(hash_of(new_id), "*", "", 0, 0))["assigned_to"] == {"name": "Anna"}
    assert service.release(session_hash, anna, "bot")
    with pytest.raises(SessionNotFound):
        service.take(hash_of(ids.new_session_id()), anna)


def test_those_who_wait_move_up(log: RedisConversationStore) -> None:
    """When somebody leaves the queue, the others learn their new position, in the log and in the session's state."""
    service, _, anna = people(log)
    sessions = [new(log) for _ in range(3)]
    for number, session_hash in enumerate(sessions, 1):
        assert service.request_human(session_hash, "") == {
            "handler": "queue", "people": "online", "queue_position": number,
        }  # fmt: skip
    service.take(sessions[0], anna)
    service.publish_positions()
    assert [[event.get("queue_position") for event in handlers(log, one)] for one in sessions] == [
        [1, None],
        [2, 1],
        [3, 2],
    ]
    states = [service.state(log.read_messages(one, "", "", 0, 0)) for one in sessions]
    assert [state.get("queue_position") for state in states] == [None, 1, 2]
    assert service.put_back(sessions[1], "timeout", "0")
    service.publish_positions()
    assert handlers(log, sessions[2])[-1] == {
        "handler": "queue", "assigned_to": None, "queue_position": 1, "reason": "position",
    }  # fmt: skip
    log.end_session(sessions[2], "")
    assert service.put_back(sessions[2], "timeout", "0") is False


def test_nothing_of_the_desk_outlives_a_session(opened: Open, backend: Backend) -> None:
    """Deleted or expired, a session leaves no notes, no outbox and no typing."""
    log = opened(tracking="desk", ttl=700)

    def full() -> str:
        session_hash = new(log)
        asked(log, session_hash)
        log.append_operator_message(session_hash, reply("Anna here"), *ANNA)
        log.add_note(session_hash, NewMessage(serialize_message("note", "A regular", None)), "op_anna")
        log.set_typing(session_hash, "*", "operator", "Anna")
        log.mark_read(session_hash, "op_bob")
        return session_hash

    deleted, expired = full(), full()
    log.delete_session(deleted, "")
    assert not [key for key in backend.held() if deleted.encode() in key]
    until(lambda: not [key for key in backend.held() if expired.encode() in key], 5, "every key to be gone")
    with pytest.raises(SessionNotFound):
        take(log, expired)


def test_without_the_desk_nothing_is_tracked(opened: Open, backend: Backend) -> None:
    """No handler, no outbox, no mark, no ref; a conversation that a person had is the bot's."""
    with_desk, plain, events = opened(tracking="desk"), opened(), opened(tracking="events")
    session_hash, other = new(plain), new(plain)
    asked(plain, session_hash)
    plain.append_delta(session_hash, "turn_1", 0, "words")
    plain.finish_turn(session_hash, "turn_1", TurnResult("end", not_found=True, handoff="1"))
    plain.end_session(session_hash, "")
    assert not [key for key in backend.held() if b"outbox" in key or b"desk" in key]
    assert plain.read_messages(session_hash, "", "", 0, 0).handler == ""
    assert plain.client.call("HMGET", f"baton:{{{session_hash}}}:meta", "ref", "asked", "handler") == [None] * 3
    take(with_desk, other)
    assert plain.start_turn(other, "", words("question"), "turn_2").outcome == "started"
    events.stop_turn(other, "")
    assert events.read_messages(other, "", "", 0, 0).handler == ""
    assert outbox(events, other)[-1]["type"] in ("human.taken", "question")


@pytest.mark.parametrize("seed", range(3))
def test_takeovers_at_any_moment_of_an_answer(opened: Open, seed: int) -> None:
    """R31: answers are written word by word while operators race for the conversations: after `handler` no word comes,
    none of those before is lost or doubled, and one operator has each.
    """
    log, others = opened(tracking="desk"), [opened(tracking="desk") for _ in range(2)]
    sessions = [new(log) for _ in range(6)]
    random.seed(seed)
    delays = [random.random() * 0.15 for _ in sessions]
    started = threading.Barrier(len(sessions) * 5)

    def write(session_hash: str) -> int:
        store, turn_id, offset = others[0], "turn_w", 0
        store.start_turn(session_hash, "", words("tell me"), turn_id)
        started.wait(30)
        for number in range(200):
            text = f"w{number} "
            if not store.append_delta(session_hash, turn_id, offset, text):
                return number
            offset += len(text)
        store.finish_turn(session_hash, turn_id, TurnResult("end"))
        return 200

    def race(session_hash: str, delay: float, number: int) -> str:
        started.wait(30)
        threading.Event().wait(delay)
        try:
            return f"op_{number}" if take(others[1], session_hash, (f"op_{number}", f"Name {number}")) else ""
        except AlreadyTaken:
            return ""

    jobs: list[Any] = [lambda one=one: write(one) for one in sessions]
    jobs += [
        lambda one=one, delay=delay, number=number: race(one, delay, number)
        for one, delay in zip(sessions, delays, strict=True)
        for number in range(4)
    ]
    outcomes = at_once(len(jobs), lambda number: jobs[number]())
    for index, session_hash in enumerate(sessions):
        written = outcomes[index]
        winners = [one for one in outcomes[len(sessions) + 4 * index : len(sessions) + 4 * index + 4] if one]
        assert len(winners) == 1
        events = kinds(log, session_hash)
        assert events.count("answer.end") == events.count("handler") == 1
        assert "answer.delta" not in events[events.index("answer.end") :]
        said = joined(log, session_hash)
        assert said == "".join(f"w{number} " for number in range(written))
        assert texts(log, session_hash)[1:] == ([said] if said else [])
