"""Operators on every kind of Redis: invitations are good once, logins end when they should, presence is a fact."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest

from app.auth.operators import IDLE_MS, LOGIN_MS, PRESENT_MS, OperatorDirectory
from app.errors import LoginRequired, RateLimited, StorageUnavailable
from app.storage import operators as stored
from app.storage.operators import RedisOperatorStore
from tests.storage.conftest import Open
from tests.storage.servers import Backend

HERE = "address"


@pytest.fixture
def directory(opened: Open) -> OperatorDirectory:
    """The operators of a worker."""
    return OperatorDirectory(RedisOperatorStore(opened().client))


@pytest.fixture
def brief() -> Iterator[None]:
    """Times short enough to be waited for."""
    with patch.multiple(stored, IDLE_MS=300, LOGIN_MS=900, INVITATION_MS=300, FAILURE_WINDOW_MS=400, PRESENT_MS=300):
        yield


def test_an_invitation_is_good_once(directory: OperatorDirectory) -> None:
    """Of many callers with one invitation one is logged in; afterwards it opens nothing."""
    invitation = directory.invite("Anna", "operator")

    def spend(_: int) -> str | None:
        try:
            return directory.log_in_by_invitation(invitation.token, None, HERE).token
        except LoginRequired:
            return None

    with ThreadPoolExecutor(8) as pool:
        tokens = [token for token in pool.map(spend, range(8)) if token]
    assert len(tokens) == 1
    assert directory.use_login(tokens[0]) == invitation.operator
    with pytest.raises(LoginRequired):
        directory.log_in_by_invitation(invitation.token, None, "elsewhere")


def test_a_newer_invitation_voids_the_older(directory: OperatorDirectory) -> None:
    """Only the last link of an operator works, and it gives the role that it was made with."""
    first = directory.invite("Anna", "operator")
    second = directory.invite_again(type(first.operator)(first.operator.id, "Anna", "lead"))
    with pytest.raises(LoginRequired):
        directory.log_in_by_invitation(first.token, None, HERE)
    assert directory.log_in_by_invitation(second.token, None, HERE).operator.role == "lead"
    assert [state.operator.name for state in directory.states()] == ["Anna"]


def test_each_login_is_new_and_replaces_the_browsers_old_one(directory: OperatorDirectory) -> None:
    """A second sign-in of the same browser ends its first login; another browser's login stays."""
    anna = directory.invite("Anna", "operator")
    old = directory.log_in_by_invitation(anna.token, None, HERE)
    other = directory.log_in_by_invitation(directory.invite_again(anna.operator).token, None, HERE)
    new = directory.log_in_by_invitation(directory.invite_again(anna.operator).token, old.token, HERE)
    assert len({old.token, other.token, new.token}) == 3
    assert directory.use_login(old.token) is None
    assert directory.use_login(other.token) == directory.use_login(new.token) == anna.operator


def test_a_removed_operator_is_out_at_once(directory: OperatorDirectory, backend: Backend) -> None:
    """No login, no invitation and no presence of theirs is left; the others stay."""
    anna, berta = directory.invite("Anna", "admin"), directory.invite("Berta", "admin")
    login = directory.log_in_by_invitation(anna.token, None, HERE)
    again = directory.invite_again(anna.operator)
    kept = directory.log_in_by_invitation(berta.token, None, HERE)
    directory.set_available(anna.operator.id, True)
    assert directory.remove(anna.operator.id)
    assert not directory.remove(anna.operator.id)
    assert directory.use_login(login.token) is None
    with pytest.raises(LoginRequired):
        directory.log_in_by_invitation(again.token, None, HERE)
    assert directory.get(anna.operator.id) is None
    assert directory.use_login(kept.token) == berta.operator
    assert directory.present_ids() == {berta.operator.id}
    assert directory.people_state() == "away"


def test_redis_knows_no_token(directory: OperatorDirectory, backend: Backend) -> None:
    """Invitations and logins are kept as hashes; only operators and replies have no expiry."""
    anna = directory.invite("Anna", "operator")
    login = directory.log_in_by_invitation(anna.token, None, HERE)
    waiting = directory.invite_again(anna.operator)
    directory.set_replies(b'[{"shortcut":"hi","text":"Hello"}]')
    directory.set_available(anna.operator.id, True)
    held = b"\n".join(name + value for name, value in everything(backend))
    for token in (anna.token, login.token, waiting.token):
        assert token.encode() not in held
        assert token[4:].encode() not in held
    lasting = {name.decode().rpartition(":")[2] for name in backend.endless()}
    assert lasting == {"operators", "replies", "available", "present"}, "no more than an entry an operator each"


def everything(backend: Backend) -> list[tuple[bytes, bytes]]:
    """Every key with its content, serialized."""
    return [(key, one.dump(key) or b"") for one in backend.primaries for key in one.keys("*")]


def test_a_login_ends_by_idling_and_in_any_case(directory: OperatorDirectory, brief: None) -> None:
    """Used, a login stays until its end in all; unused, it ends when it has idled for too long."""
    assert (IDLE_MS, LOGIN_MS) == (30 * 60_000, 12 * 3_600_000)
    anna = directory.invite("Anna", "operator")
    began = time.monotonic()
    login = directory.log_in_by_invitation(anna.token, None, HERE)
    idle = directory.log_in_by_invitation(directory.invite_again(anna.operator).token, None, HERE)
    used = 0
    while directory.use_login(login.token):
        used += 1
        assert time.monotonic() - began < 10
        time.sleep(0.02)
    assert time.monotonic() - began > 0.8
    assert used > 3
    assert directory.use_login(idle.token) is None
    late = directory.invite_again(anna.operator)
    time.sleep(0.35)  # the invitation's own lifetime
    with pytest.raises(LoginRequired):
        directory.log_in_by_invitation(late.token, None, HERE)


def test_failed_logins_are_limited_by_address(directory: OperatorDirectory, brief: None) -> None:
    """After ten failures an address is refused, with a good invitation too, which is not spent by it; others are not.

    The refusal says how long, and ends by itself.
    """
    anna = directory.invite("Anna", "operator")
    for _ in range(10):
        with pytest.raises(LoginRequired):
            directory.log_in_by_invitation("inv_" + "A" * 43, None, "attacker")
    with pytest.raises(RateLimited) as refused:
        directory.log_in_by_invitation(anna.token, None, "attacker")
    assert refused.value.retry_after == 1
    assert directory.log_in_by_invitation(anna.token, None, HERE).operator == anna.operator
    again = None
    deadline = time.monotonic() + 10
    while again is None and time.monotonic() < deadline:
        try:
            again = directory.log_in_by_invitation(directory.invite_again(anna.operator).token, None, "attacker")
        except RateLimited:
            time.sleep(0.02)
    assert again is not None


def test_people_are_online_while_somebody_is_there_and_switched_on(directory: OperatorDirectory, brief: None) -> None:
    """Available is who is switched on and present; a viewer answers nobody; a server's operator needs no presence."""
    assert PRESENT_MS == 120_000
    anna, viewer = directory.invite("Anna", "operator"), directory.invite("Vera", "viewer")
    assert directory.people_state() == "away"
    login = directory.log_in_by_invitation(anna.token, None, HERE)
    directory.log_in_by_invitation(viewer.token, None, HERE)
    directory.set_available(viewer.operator.id, True)
    assert directory.people_state() == "away"
    directory.set_available(anna.operator.id, True)
    assert directory.people_state() == "online"
    assert [state.operator for state in directory.states() if state.is_available] == [anna.operator]
    deadline = time.monotonic() + 10
    while directory.people_state() == "online":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert directory.present_ids() == frozenset()
    assert directory.touch(anna.operator.id, by_server=True) == anna.operator
    time.sleep(0.35)  # longer than presence lasts
    assert directory.people_state() == "online"
    directory.touch(anna.operator.id)
    directory.log_out(login.token)
    assert directory.people_state() == "away"
    assert directory.touch("op_nobody") is None


def test_a_clock_that_was_set_back_makes_nobody_present(directory: OperatorDirectory, opened: Open) -> None:
    """A last call that lies in the future is none."""
    anna = directory.invite("Anna", "operator")
    directory.set_available(anna.operator.id, True)
    ahead = int((time.time() + 3600) * 1000)
    opened().client.call("ZADD", "baton:desk:{desk}:present", ahead, anna.operator.id)
    assert directory.people_state() == "away"


def test_somebody_known_by_a_provider_stays_the_same_person(directory: OperatorDirectory) -> None:
    """Issuer and subject make the operator; name and role change with the next login, and old logins follow."""
    first = directory.log_in_by_identity("https://login.test", "42", "Anna", "operator", None)
    second = directory.log_in_by_identity("https://login.test", "42", "Anna B.", "lead", None)
    other = directory.log_in_by_identity("https://other.test", "42", "Anna", "operator", None)
    assert first.operator.id == second.operator.id != other.operator.id
    assert directory.use_login(first.token) == second.operator
    assert second.operator.id.startswith("op_")


def test_while_redis_takes_no_writes_a_login_still_reads(directory: OperatorDirectory, backend: Backend) -> None:
    """An operator stays logged in, and the API key still finds its operators; one without a login does not get in."""
    anna = directory.invite("Anna", "operator")
    login = directory.log_in_by_invitation(anna.token, None, HERE)
    for primary in backend.primaries:
        primary.config_set("min-replicas-to-write", 9)
    try:
        with pytest.raises(StorageUnavailable):
            directory.set_available(anna.operator.id, True)
        assert directory.use_login(login.token) == anna.operator
        assert directory.touch(anna.operator.id, by_server=True) == anna.operator
        assert directory.use_login("dsk_" + "A" * 43) is None
        assert directory.people_state() == "away"
    finally:
        for primary in backend.primaries:
            primary.config_set("min-replicas-to-write", 0)
    assert directory.use_login(login.token) == anna.operator
