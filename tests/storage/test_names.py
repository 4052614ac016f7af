"""Names of conversations on every Redis: found by whom they belong to, one winner, nothing left."""

from __future__ import annotations

import dataclasses

import pytest

from app.conversations import names as names_module
from app.conversations.claims import ClaimService
from app.conversations.names import NamedConversations, SessionName, server_session_name, user_session_name
from app.errors import Forbidden, NotFound, StorageUnavailable
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, words
from tests.storage.servers import Backend
from tests.storage.test_ownership import claimable, hash_of, ownership, someone
from tests.storage.test_redis_store_lifetime import everything
from tests.unit.test_identity import SECRET, token

API_KEY = "key-of-the-server-0123456789"


def names_in(log: RedisConversationStore) -> NamedConversations:
    claims: ClaimService = ownership(log)
    return NamedConversations(log.ownership, log, claims._conversations, claims, API_KEY)


def anns(key: str = "orders") -> SessionName:
    return user_session_name(someone("ann"), key)


def test_one_winner(log: RedisConversationStore, backend: Backend) -> None:
    """Twelve at once get one conversation; those that lost leave nothing behind."""
    found = at_once(12, lambda _: names_in(log).get_or_create(anns(), {"page": "/a"}))
    assert len({one.session_id for one in found}) == 1
    assert [one.is_new for one in found].count(True) == 1
    assert len([key for key in backend.held() if key.endswith(b":meta")]) == 1
    again = names_in(log).get_or_create(anns(), None)
    assert (again.session_id, again.is_new) == (found[0].session_id, False)
    assert backend.endless() == []


def test_goes_with_its_conversation(log: RedisConversationStore, backend: Backend) -> None:
    """Erased, it leaves nothing; ended, its name leads to a new one, which the erasing of the old one leaves alone."""
    names = names_in(log)
    for name in (anns(), server_session_name(API_KEY, "orders")):
        erased = names.get_or_create(name, None).session_id
        log.delete_session(hash_of(erased), name.actor)
        assert [key for key in backend.held() if b"limits" not in key] == []
        ended = names.get_or_create(name, None)
        assert ended.is_new
        log.end_session(hash_of(ended.session_id), name.actor)
        assert names.find(name) is None
        fresh = names.get_or_create(name, None)
        assert fresh.is_new
        log.heartbeat(hash_of(ended.session_id), name.actor, resume=True)
        log.delete_session(hash_of(ended.session_id), name.actor)
        assert names.find(name) == fresh.session_id
        log.delete_session(hash_of(fresh.session_id), name.actor)


def test_found_while_it_lives(opened: Open, backend: Backend) -> None:
    """Activity keeps the name as long as the conversation, and it is found until the last moment; then it is not."""
    log = opened(ttl=1_000)
    names = names_in(log)
    mine = names.get_or_create(anns(), None)
    for n in range(6):
        log.append_message(hash_of(mine.session_id), anns().actor, words(f"said {n}"))
        until(lambda: remaining(log, mine.session_id) < 700, 5, "some time to pass")
    state = log.read_messages(hash_of(mine.session_id), "*", "", 0, 0)
    assert state.now - mine.created_at > 1_000, "longer than the name would live by itself"
    assert names.find(anns()) == mine.session_id
    until(lambda: door_is_shut(log, mine.session_id), 5, "it to expire")
    assert names.find(anns()) is None
    fresh = names.get_or_create(anns(), None)
    assert fresh.is_new
    assert backend.endless() == []


def remaining(log: RedisConversationStore, session_id: str) -> int:
    state = log.read_messages(hash_of(session_id), "*", "", 0, 0)
    return state.expires_at - state.now


def door_is_shut(log: RedisConversationStore, session_id: str) -> bool:
    try:
        log.read_messages(hash_of(session_id), "*", "", 0, 0)
    except NotFound:
        return True
    return False


def test_never_somebody_elses(log: RedisConversationStore, backend: Backend) -> None:
    """An entry opens for its own user, name and secret only, wherever somebody copies it to."""
    names = names_in(log)
    mine = names.get_or_create(anns(), None)
    value = log.ownership.get_name(anns().entry)
    eve = user_session_name(someone("eve"), "orders")
    others = [eve, anns("other"), server_session_name(API_KEY, "orders"), dataclasses.replace(eve, actor=anns().actor)]
    for name in others:
        assert name.open(value) is None
        log.ownership.set_name(name.entry, b"", value, mine.created_at, mine.expires_at)
        assert names.find(name) is None
    for broken in (b"", b"x", value[:-1], value[:32], value[:32] + b"====", value[:40] + b"\xff" + value[41:]):
        assert anns().open(broken) is None
    held = everything(backend)
    assert not [one for one in held if mine.session_id[4:].encode() in one or b"orders" in one]
    # An entry of eve's that leads to ann's conversation, sealed as it should be: the session itself refuses her.
    log.ownership.set_name(eve.entry, value, eve.seal(mine.session_id), mine.created_at, mine.expires_at)
    assert names.find(eve) is None
    with pytest.raises(Forbidden):
        log.read_messages(hash_of(mine.session_id), eve.actor, "", 0, 1)


def test_secrets_rotate(log: RedisConversationStore) -> None:
    """A name made under one secret is found under the next while both are in use; with a new API key it is not."""
    from app.auth.user_tokens import verify_user_token

    old, new = {"2025": SECRET + " old"}, {"2026": SECRET + " new"}
    before = verify_user_token(token(SECRET + " old", {"kid": "2025"}), old)
    both = verify_user_token(token(SECRET + " new", {"kid": "2026"}), old | new)
    after = verify_user_token(token(SECRET + " new", {"kid": "2026"}), new)
    names = names_in(log)
    mine = names.get_or_create(user_session_name(before, "k"), None).session_id
    assert names.find(user_session_name(both, "k")) == mine
    assert names.find(user_session_name(after, "k")) is None
    server = names.get_or_create(server_session_name(API_KEY, "k"), None).session_id
    assert names.find(server_session_name(API_KEY, "k")) == server
    assert names.find(server_session_name(API_KEY + "2", "k")) is None


def test_claimed_by_name(log: RedisConversationStore, backend: Backend) -> None:
    """A claim gives the conversation its name, a second name is not added, and a server's name moves along."""
    names = names_in(log)
    old = claimable(log)
    found = set(at_once(6, lambda _: names.claim(old, someone("ann"), "orders")))
    assert len(found) == 1
    mine = found.pop()
    assert names.find(anns()) == mine
    assert names.claim(mine, someone("ann"), "second") == mine
    assert names.find(anns("second")) is None
    bots = server_session_name(API_KEY, "telegram:1")
    theirs = names.get_or_create(bots, None).session_id
    claimed = names.claim(theirs, someone("ann"), "third")
    assert claimed != theirs
    assert names.find(bots) == names.find(anns("third")) == claimed
    log.delete_session(hash_of(claimed), "*")
    log.delete_session(hash_of(mine), "*")
    assert [key for key in backend.held() if b"limits" not in key] == []


def test_a_claim_that_broke_off_after_the_move(log: RedisConversationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reply is lost before the name was given, the same claim again gives it."""
    names, old = names_in(log), claimable(log)
    with monkeypatch.context() as broken:
        broken.setattr(log.ownership, "set_name", lambda *_: (_ for _ in ()).throw(StorageUnavailable("timeout")))
        with pytest.raises(StorageUnavailable):
            names.claim(old, someone("ann"), "orders")
    assert names.find(anns()) is None
    claimed = names.claim(old, someone("ann"), "orders")
    assert names.find(anns()) == claimed
    assert names.claim(old, someone("ann"), "orders") == claimed


def test_the_anonymous_one_stays(log: RedisConversationStore) -> None:
    """Where the user has a living conversation of the name, that one is the answer; unknown and foreign ids raise."""
    names = names_in(log)
    mine = names.get_or_create(anns(), None).session_id
    anonymous, eves = claimable(log), names.get_or_create(user_session_name(someone("eve"), "k"), None).session_id
    assert names.claim(anonymous, someone("ann"), "orders") == mine
    assert log.read_messages(hash_of(anonymous), "", "", 0, 9).message_count == 3
    with pytest.raises(Forbidden):
        names.claim(eves, someone("ann"), "orders")
    with pytest.raises(NotFound):
        names.claim("ses_" + "A" * 32, someone("ann"), "orders")


def test_attempts_have_an_end(log: RedisConversationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who takes the name in between each time leads to a 503, not to a loop without an end."""
    monkeypatch.setattr(log.ownership, "set_name", lambda *_: False)
    with pytest.raises(StorageUnavailable):
        names_in(log).get_or_create(anns(), None)
    assert names_module._ATTEMPTS < 20
