"""Replies of the Lua scripts: each word is known, and an unknown one is never a success."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from app.errors import StorageUnavailable
from app.storage import redis_store
from app.storage.client import load_script
from app.storage.redis_store import ERROR_REPLIES, SUCCESS_REPLIES, RedisConversationStore, raise_for_reply
from tests.conftest import until
from tests.storage.conftest import Open, new
from tests.storage.servers import Backend

SCRIPTS = sorted((Path(redis_store.__file__).parent / "scripts").glob("*.lua"))
WORDS = {
    word.encode()
    for script in SCRIPTS
    for line in script.read_text().splitlines()
    if re.search(r"return |replay = ", line)
    for word in re.findall(r"(?:\{|and |or |\? )'([a-z_]+)'", line)
}


def test_every_word_of_every_script_is_known() -> None:
    """A verb that answers with a new word has to say whether that is a success."""
    assert len(WORDS) > 15
    elsewhere = {b"wait", b"owned", b"limited", b"moved"}  # read by what calls these scripts
    assert not WORDS - SUCCESS_REPLIES - set(ERROR_REPLIES) - elsewhere
    assert not SUCCESS_REPLIES & set(ERROR_REPLIES)


@pytest.mark.parametrize("word", [b"", b"okay", b"OK", b"error", b"\xff", 1, None])
def test_an_unknown_word_is_no_success(word: object) -> None:
    """It is a failure of storage, which the caller may try again."""
    with pytest.raises(StorageUnavailable):
        raise_for_reply([word])


def storage_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "baton-storage"}


def test_a_store_can_be_closed(opened: Open, backend: Backend) -> None:
    """After `close` its thread has ended and readers were notified; twice is once, and a late call still works."""
    others = storage_threads()  # of the tests before in this process

    def threads() -> int:
        return len(storage_threads() - others)

    store = opened()
    session_hash = new(store)
    until(lambda: threads() == 0, 10, "the look at the configuration to end")
    with store.subscribe(session_hash, local=False) as subscription:
        assert threads() == 1
        store.close()
        assert subscription.closing
        until(lambda: threads() == 0, 5, "the subscriber to end")
    store.close()
    assert store.read_messages(session_hash, "", "", 0, 1).message_count == 0


def test_a_look_at_the_health_leaves_nothing(log: RedisConversationStore, backend: Backend) -> None:
    """It writes, so that a Redis that refuses writes is found out, and no key of it stays."""
    before = backend.held()
    assert log.health()["redis"] == "ok"
    assert backend.held() == before
    log.set_engine_problem("a wrong key")
    assert log.health()["engine_problem"] == "a wrong key"
    assert backend.endless() == []
    log.set_engine_problem("")
    assert log.health()["engine_problem"] == ""
    assert backend.held() == before


def test_a_script_that_only_reads_runs_while_writes_are_refused() -> None:
    """The mark counts on whichever line it stands, the first one too."""
    for script in SCRIPTS:
        if not script.stem.startswith("_"):
            assert load_script(script.stem).writes == ("@no-writes" not in script.read_text()), script.name
