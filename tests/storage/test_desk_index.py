"""The desk's index on every Redis: each conversation in its view, each change once, nothing left of what is gone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import orjson
import pytest

from app.api.sse import format_sse
from app.auth.operators import OperatorDirectory
from app.conversations import desk_feed
from app.conversations.change_tracker import ChangeTracker
from app.conversations.desk_feed import DeskFeed, DeskReader
from app.errors import InvalidRequest, PathNotFound, StorageUnavailable
from app.storage.analytics import Analytics, counted
from app.storage.base import Release
from app.storage.desk_index import PREFIX, DeskIndex, LivePosition, Mark, SweepRules
from app.storage.event_queue import entry
from app.storage.operators import RedisOperatorStore
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.contract.launch import RedisProcess
from tests.storage.conftest import Open, log_at, new, words
from tests.storage.servers import Backend
from tests.storage.test_ownership import claimable, hash_of, ownership, someone

ANNA, BEN = ("op_anna", "Anna"), ("op_ben", "Ben")
COUNTED = partial(counted, kept_days=90)
RULES_OF_SWEEP = SweepRules(5_000, 60_000, 60_000)


@pytest.fixture
def desk_log(opened: Open) -> RedisConversationStore:
    """A log whose changes operators learn of."""
    return opened(tracking="desk")


@pytest.fixture
def index(desk_log: RedisConversationStore) -> DeskIndex:
    return index_of(desk_log)


def index_of(log: RedisConversationStore, **more: Any) -> DeskIndex:
    idle_ms, kept_ms = log.limits.idle, log.limits.max_age
    return DeskIndex(log.client, log.notifier, idle_ms=idle_ms, kept_ms=kept_ms, queued=entry, counted=COUNTED, **more)


def asked(log: RedisConversationStore, text: str = "Hello", metadata: bytes = b"", owner: str = "") -> str:
    """The hash of a conversation with a visitor's message."""
    session_hash = new(log, metadata, owner)
    log.append_message(session_hash, owner, words(text))
    return session_hash


def ref_of(session_hash: str) -> str:
    return f"cnv_{session_hash[:24]}"


def refs(index: DeskIndex, view: Any, operator: str = "", **more: Any) -> list[str]:
    return [row["ref"] for row in index.rows(view, operator, **more).rows]


def queue(log: RedisConversationStore, session_hash: str, contact: bytes = b"") -> None:
    log.request_human(session_hash, "", contact, "", "1", "visitor")


def queued_types(backend: Backend) -> list[bytes]:
    """The types of the events that wait to be sent."""
    return [fields[b"type"] for _, fields in backend.holder("desk").xrange("baton:events:{desk}")]


def test_row(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """A row has all that a list shows, and neither the session's id nor its hash."""
    session_hash = asked(desk_log, "Where is\nmy parcel? " + "x" * 200, b'{"page":"/orders","title":"Orders"}')
    queue(desk_log, session_hash, b'{"name":"Vera","email":"vera@example.org"}')
    index.refresh(session_hash)
    row = index.row(ref_of(session_hash), "op_anna")
    assert row["last_message"]["preview"] == ("Where is my parcel? " + "x" * 200)[:120]
    assert row["last_message"]["role"] == "user"
    assert (row["handler"], row["assigned_to"], row["status"], row["user"]) == ("queue", None, "active", None)
    assert row["metadata"] == {"page": "/orders", "title": "Orders"}
    assert row["contact"] == {"name": "Vera", "email": "vera@example.org"}
    assert (row["unread"], row["queue_position"]) == (1, 1)
    assert row["created_at"] <= row["last_message"]["created_at"] <= row["waiting_since"]
    assert session_hash not in orjson.dumps(row).decode().replace(row["ref"], "")
    assert index.resolve(row["ref"]) == session_hash
    for unknown in ("cnv_" + "0" * 24, session_hash, "cnv_", row["ref"] + "0", ""):
        with pytest.raises(PathNotFound):
            index.resolve(unknown)


def test_views(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """A conversation is in one view at a time, and in its operator's own beside that of all operators."""

    def where() -> dict[str, list[str]]:
        index.refresh(session_hash)
        return {view: refs(index, view, "op_anna") for view in ("queue", "mine", "open", "bot", "ended")}

    def only(*views: str) -> dict[str, list[str]]:
        return {view: [ref] if view in views else [] for view in ("queue", "mine", "open", "bot", "ended")}

    session_hash = new(desk_log)
    ref = ref_of(session_hash)
    assert where() == only()  # nobody has said or asked for anything
    desk_log.append_message(session_hash, "", words("Hello"))
    assert where() == only("bot")
    queue(desk_log, session_hash)
    assert where() == only("queue")
    desk_log.take(session_hash, *ANNA, force=False)
    assert where() == only("mine", "open")
    assert index.row(ref, "")["assigned_to"] == {"id": "op_anna", "name": "Anna"}
    desk_log.take(session_hash, *BEN, force=True)
    assert where() == only("open")
    assert refs(index, "mine", "op_ben") == [ref]
    assert index.counts("op_ben") == {"queue": 0, "mine": 1, "open": 1, "bot": 0, "ended": 0}
    desk_log.release(session_hash, Release("bot", "released", "*"))
    assert where() == only("bot")
    desk_log.end_session(session_hash, "")
    assert where() == only("ended")
    assert index.row(ref, "")["status"] == "ended"


def test_contact_alone_is_listed(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """A visitor who asked for a person while nobody was there is seen by the operators later."""
    session_hash = new(desk_log)
    desk_log.request_human(session_hash, "", b'{"email":"vera@example.org"}', "", "", "visitor")
    index.refresh(session_hash)
    assert refs(index, "bot") == [ref_of(session_hash)]
    assert index.row(ref_of(session_hash), "")["last_message"] is None


def test_order_and_pages(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """The queue comes oldest first, the rest newest first; pages follow each other without gap or repetition.

    A page takes one script, however many conversations there are.
    """
    hashes = []
    for number in range(25):
        hashes.append(asked(desk_log, f"Question {number}"))
        if number % 5:  # several at the same millisecond as well
            time.sleep(0.002)
    index.refresh(*hashes)

    def pages(view: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = index.rows(view, "", cursor=cursor, limit=4)
            assert len(page.rows) <= 4
            found += [row["ref"] for row in page.rows]
            cursor = page.cursor
            if cursor is None:
                return found

    times = {ref_of(one): index.row(ref_of(one), "")["last_message"]["created_at"] for one in hashes}
    listed = pages("bot")
    assert sorted(listed) == sorted(map(ref_of, hashes))
    assert listed == sorted(listed, key=lambda ref: (times[ref], ref), reverse=True)
    for one in hashes:
        queue(desk_log, one)
    index.refresh(*hashes)
    waiting = pages("queue")
    since = {row["ref"]: (row["waiting_since"], row["ref"]) for row in index.rows("queue", "", limit=100).rows}
    assert waiting == sorted(waiting, key=since.__getitem__)
    assert [row["queue_position"] for row in index.rows("queue", "", limit=100).rows] == list(range(1, 26))
    assert [position for _, position in index.waiting(3)] == [1, 2, 3]
    assert [ref_of(one) for one, _ in index.waiting(3)] == waiting[:3]

    def scripts() -> int:
        stats = [one.info("commandstats") for one in backend.primaries]
        return sum(stat["calls"] for one in stats for name, stat in one.items() if name.startswith("cmdstat_evalsha"))

    before = scripts()
    index.rows("queue", "", limit=20)
    assert scripts() - before == 1
    for wrong in ("x", "1-", "1-cnv_zz", "-1-" + ref_of(hashes[0])):
        with pytest.raises(InvalidRequest):
            index.rows("queue", "", cursor=wrong)


def test_search(desk_log: RedisConversationStore, index: DeskIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks in the last message, names, mail and the page, whatever the case, and takes no pattern for one.

    It looks at so many rows and no more; its cursor goes on from there.
    """
    wanted = asked(desk_log, "Straße 100% [a-z]*", b'{"page":"/Pricing","other":"hidden"}')
    queue(desk_log, wanted, b'{"name":"\xc3\x84nne","email":"Vera@Example.org"}')
    others = [asked(desk_log, f"other {number}") for number in range(12)]
    index.refresh(wanted, *others)
    for q in ("STRASSE", "100% [A-Z]*", "pricing", "änne", "vera@example", "straße   100%"):
        assert refs(index, "queue", q=q) == [ref_of(wanted)], q
    for q in ("hidden", ".*", "%a", ref_of(wanted)):
        assert refs(index, "queue", q=q) == [], q
    last = asked(desk_log, "needle")
    time.sleep(0.002)
    later = [asked(desk_log, "hay") for _ in range(450)]
    index.refresh(last, *later)
    monkeypatch.setattr("app.storage.desk_index.ROWS_PER_SEARCH_STEP", 100)
    monkeypatch.setattr("app.storage.desk_index.MAX_STEPS", 2)
    page, trips = index.rows("bot", "", q="needle"), 1
    while not page.rows and page.cursor:
        page, trips = index.rows("bot", "", q="needle", cursor=page.cursor), trips + 1
    assert [row["ref"] for row in page.rows] == [ref_of(last)]
    assert trips > 1


def test_unread(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """Each operator has their own count of the visitor's messages that they have not read."""
    session_hash = asked(desk_log)
    desk_log.append_message(session_hash, "", words("Are you there?"))
    desk_log.mark_read(session_hash, "op_anna")
    desk_log.append_message(session_hash, "", words("Hello?"))
    index.refresh(session_hash)
    assert [index.row(ref_of(session_hash), one)["unread"] for one in ("op_anna", "op_ben", "")] == [1, 3, 3]


def test_conversations_of_a_user(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """A verified user's conversations are found by their id, in whatever view they are; a view narrows them."""
    ann = someone("ann").user
    first, second, other = (asked(desk_log, "Hi", owner=owner) for owner in (ann, ann, someone("bob").user))
    desk_log.end_session(first, ann)
    index.refresh(first, second, other)
    assert set(refs(index, None, user="ann")) == {ref_of(first), ref_of(second)}
    assert refs(index, "ended", user="ann") == [ref_of(first)]
    assert refs(index, None, user="nobody") == []


def test_expires_with_its_session(opened: Open, backend: Backend) -> None:
    """A row goes with its session; nothing shows it then, and once swept nothing is left. No key lives for ever."""
    log = opened(tracking="desk", ttl=700)
    index = index_of(log)
    session_hash = asked(log)
    queue(log, session_hash)
    index.refresh(session_hash)
    taken = asked(log, owner=someone("ann").user)
    log.take(taken, *ANNA, force=False)
    index.refresh(taken)
    assert index.take_marks("one")
    index.release_marks("one")
    assert [key for key in backend.endless() if b"desk" in key] == []
    assert index.counts("op_anna") == {"queue": 1, "mine": 1, "open": 1, "bot": 0, "ended": 0}
    until(lambda: refs(index, "queue") == [] and refs(index, "open") == [], 5, "the rows to expire")
    with pytest.raises(PathNotFound):
        index.row(ref_of(session_hash), "")
    until(lambda: index.due("one", RULES_OF_SWEEP) is not None and not index.counts("op_anna")["open"], 5, "the sweep")
    assert index.counts("op_anna") == {"queue": 0, "mine": 0, "open": 0, "bot": 0, "ended": 0}
    left = [key for key in backend.held() if key.startswith(b"baton:desk:")]
    left = [key for key in left if key.split(b"}:")[1] not in (b"live", b"position", b"sweeper")]
    assert left == []


def test_expiry_moves_in_steps(opened: Open, backend: Backend) -> None:
    """While much is said the row's expiry stays, up to half a minute before the session's; a repair leaves that be."""
    log = opened(tracking="desk", ttl=600_000, max_age=6_000_000)
    index = index_of(log)
    session_hash = asked(log)
    row, meta = f"{PREFIX}row:{ref_of(session_hash)}", f"baton:{{{session_hash}}}:meta"
    index.refresh(session_hash)
    first = log.client.call("PEXPIRETIME", row)
    until(lambda: log.heartbeat(session_hash, "", resume=True) > first, 5, "a later end of the session")
    log.append_message(session_hash, "", words("more"))
    index.refresh(session_hash)
    desk = backend.holder("desk")
    number = desk.hget(row, "number")
    assert index.row(ref_of(session_hash), "")["last_message"]["preview"] == "more"
    assert log.client.call("PEXPIRETIME", meta) > first
    assert desk.pexpiretime(row) == desk.zscore(f"{PREFIX}rows", ref_of(session_hash)) == first
    assert index.repair("0") == "0"
    assert desk.hget(row, "number") == number
    log.client.call("HSET", meta, "expires", first + 31_000)
    index.refresh(session_hash)
    assert desk.pexpiretime(row) == desk.zscore(f"{PREFIX}rows", ref_of(session_hash)) == first + 31_000


def test_deleted(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """A deleted session leaves nothing in the index, also where the worker died before it could say so."""
    position = index.open_live(None)
    first, second, third = asked(desk_log), asked(desk_log), asked(desk_log)
    index.refresh(first, second, third)
    member = index.leave(first)
    desk_log.delete_session(first, "")
    index.forget(member)
    assert ref_of(first) not in refs(index, "bot")
    index.leave(second)
    desk_log.delete_session(second, "")  # and then the worker dies
    ChangeTracker(index, "another", desk_log.changed).step()
    assert refs(index, "bot") == [ref_of(third)]
    for server in backend.primaries:
        for key in server.keys("baton:{" + third + "}:*"):
            server.delete(key)  # as nobody of ours would
    if backend.name != "cluster":  # there only the repair sees it
        assert refs(index, "bot") == []
    assert index.repair("0") == "0"
    assert index.counts("")["bot"] == 0
    gone = {ref: row for _, ref, row, _ in index.read_live(position).changes}
    assert gone == {ref_of(one): None for one in (first, second, third)}


def test_a_failed_delete_keeps_the_row(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """Somebody who may not delete a session does not take it out of the index either."""
    session_hash = asked(desk_log)
    member = index.leave(session_hash)
    index.forget(member)
    assert refs(index, "bot") == [ref_of(session_hash)]
    assert member not in {mark.member for mark in index.take_marks("one") or ()}


def test_live(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """Whoever follows gets each change once, the newest row of each conversation; what is lost is said."""
    position = index.open_live(None)
    hashes = [asked(desk_log) for _ in range(3)]
    index.refresh(*hashes)
    index.refresh(*hashes)  # nothing new
    batch = index.read_live(position)
    assert [(number, ref) for number, ref, _, _ in batch.changes] == [
        (number, ref_of(one)) for number, one in enumerate(hashes, position.number + 1)
    ]
    desk_log.heartbeat(hashes[0], "", resume=False)
    index.refresh(*hashes)  # seen again, which is not sent to anybody
    assert index.read_live(batch.position).changes == []
    for text in ("a", "b"):
        desk_log.append_message(hashes[1], "", words(text))
        index.refresh(hashes[1])
    again = index.read_live(batch.position)
    assert [(number, row and row["last"]["preview"]) for number, _, row, _ in again.changes] == [(5, "b")]
    assert again.position.number == 5
    for lost in (LivePosition(99, position.tag), LivePosition(3, "00000000"), index.open_live("nonsense")):
        assert (index.read_live(lost).reset, index.read_live(lost).position) == (True, again.position)
    backend.holder("desk").xtrim("baton:desk:{desk}:live", maxlen=1, approximate=False)
    assert index_of(desk_log).read_live(position).reset
    assert index.open_live(again.position.encode()) == again.position


def test_each_domain_event_once(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """Steps that are repeated, overtaken or cut off queue each event once, in order; an older state shows nowhere."""
    session_hash = asked(desk_log)
    older = index.snapshot([Mark(session_hash, -1)])
    queue(desk_log, session_hash)
    desk_log.take(session_hash, *ANNA, force=False)
    newer = index.snapshot([Mark(session_hash, -1)])
    index.write(newer)  # the worker dies before it trims the outbox
    index.write(older)  # another one was slow
    index.refresh(session_hash)
    index.refresh(session_hash)
    assert queued_types(backend) == [b"session.created", b"human.requested", b"human.taken"]
    assert index.row(ref_of(session_hash), "")["handler"] == "human"
    assert backend.holder(session_hash).xlen("baton:{" + session_hash + "}:outbox") == 0
    desk_log.end_session(session_hash, "")
    index.refresh(session_hash)
    assert queued_types(backend)[3:] == [b"session.ended"]
    analytics = Analytics(desk_log.client)
    today = analytics.days(analytics.today(), analytics.today())[0].as_dict()
    assert [today[name] for name in ("sessions", "asked", "requested_human", "taken", "ended")] == [1, 1, 1, 1, 1]


def test_tracker(opened: Open, backend: Backend) -> None:
    """What a verb has marked is applied a moment later, by one of two workers; a third that died holds up nobody."""
    first, second = opened(tracking="desk"), opened(tracking="desk")
    for number in range(10):
        asked((first, second)[number % 2])
    index = index_of(second)
    assert index.take_marks("dead worker")  # and it dies with them
    trackers = [
        ChangeTracker(index_of(log), f"worker {number}", log.changed) for number, log in enumerate((first, second))
    ]
    assert trackers[0].step() is False
    until(lambda: trackers[1].step() and len(refs(index, "bot")) == 10, 10, "the dead worker's lease to end")
    until(
        lambda: trackers[0].step() and backend.holder("desk").zcard("baton:changes:{desk}") == 0, 5, "the marks to go"
    )
    assert queued_types(backend).count(b"session.created") == 10


def test_a_faulty_session_holds_up_nobody(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """Where the changes of one session cannot be applied, those of the others are."""
    faulty, sound = asked(desk_log), asked(desk_log)
    backend.holder(faulty).hset("baton:{" + faulty + "}:meta", "contact", "no JSON")
    ChangeTracker(index, "one", desk_log.changed).step()
    assert refs(index, "bot") == [ref_of(sound)]


def test_claim(desk_log: RedisConversationStore, index: DeskIndex) -> None:
    """A conversation keeps its ref when a user claims it, and the ref leads to where it is now."""
    session_id = claimable(desk_log)
    queue(desk_log, hash_of(session_id))
    index.refresh(hash_of(session_id))
    ref = ref_of(hash_of(session_id))
    claimed = ownership(desk_log).claim(session_id, someone("ann"))
    ChangeTracker(index, "one", desk_log.changed).step()
    assert index.resolve(ref) == hash_of(claimed)
    assert refs(index, "queue") == [ref] == refs(index, None, user="ann")


def test_repair(desk_log: RedisConversationStore, index: DeskIndex, backend: Backend) -> None:
    """A step that was lost is done again; what is right is left alone."""
    hashes = [asked(desk_log) for _ in range(5)]
    index.refresh(*hashes)
    backend.holder("desk").delete("baton:changes:{desk}")
    queue(desk_log, hashes[0])
    backend.holder("desk").delete("baton:changes:{desk}")
    position = index.open_live(None)
    cursor, steps = index.repair("0"), 1
    while cursor != "0" and steps < 10:
        cursor, steps = index.repair(cursor), steps + 1
    assert refs(index, "queue") == [ref_of(hashes[0])]
    assert len(index.read_live(position).changes) == 1


def test_viewers(index: DeskIndex) -> None:
    """Who looks at a conversation is known to the others, until they leave or are gone for a while."""
    ref = "cnv_" + "0" * 24
    assert index.view(ref, "op_anna Anna Lee", 60_000) == [("op_anna", "Anna Lee")]
    assert index.view(ref, "op_ben Ben", 300) == [("op_anna", "Anna Lee"), ("op_ben", "Ben")]
    until(lambda: index.view(ref, "", 1_000) == [("op_anna", "Anna Lee")], 3, "Ben to be gone")
    assert index.view(ref, "op_anna Anna Lee", 0) == []


def test_a_feed_loses_no_change_where_redis_goes_away_between_its_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that was read, and whose counts could not be read after it, is sent once they can be."""
    monkeypatch.setattr(desk_feed, "COUNTS_SECONDS", 0.0)
    server = RedisProcess()
    try:
        with server.client() as admin, ThreadPoolExecutor(1) as pool:
            admin.execute_command("ACL SETUSER reader on >password-of-the-reader ~* &* +@all")
            writer = log_at(server.url, tracking="desk")
            reader = log_at(server.url.replace("//", "//reader:password-of-the-reader@"), tracking="desk")
            operators = OperatorDirectory(RedisOperatorStore(reader.client))
            feed = DeskFeed(index_of(reader), operators, format_sse)
            stream = feed.stream(DeskReader("", lambda: True, lambda: False), None)
            assert b"event: counts" in (next(stream) or b"")
            changes = " ".join(f"~{PREFIX}{name}" for name in ("position", "live", "row:*"))
            admin.execute_command(f"ACL SETUSER reader resetkeys {changes}")
            session_hash = asked(writer)
            index_of(writer).refresh(session_hash)
            following = pool.submit(lambda: next(part for part in stream if part))
            until(lambda: admin.execute_command("ACL LOG"), 10, "the counts to be refused")
            admin.execute_command("ACL SETUSER reader allkeys")
            sent = following.result(20)
            assert b"event: conversation" in sent
            assert ref_of(session_hash).encode() in sent
            assert b"event: counts" in sent
            stream.close()
    finally:
        server.stop()


def test_a_feed_begins_while_redis_takes_no_writes() -> None:
    """Who opens the desk then follows from the last change on, as a visitor's feed does."""
    server = RedisProcess()
    try:
        log = log_at(server.url, tracking="desk")
        index = index_of(log)
        first = index.open_live(None)
        index.refresh(asked(log))
        with server.client() as admin:
            admin.config_set("min-replicas-to-write", "1")
            with pytest.raises(StorageUnavailable):
                asked(log)
            position = index.open_live(None)
        assert position == LivePosition(first.number + 1, first.tag)
        assert index.read_live(position).changes == []
    finally:
        server.stop()
