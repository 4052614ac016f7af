"""Operators in Redis, all in the slot ``{desk}``: who they are, invitations, logins, presence, canned replies.

Operators and replies are settings and have no expiry; logins and invitations expire with the last of them.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.auth.operators import (
    FAILURE_WINDOW_MS,
    IDLE_MS,
    INVITATION_MS,
    LOGIN_MS,
    MAX_FAILURES,
    PRESENT_MS,
    Operator,
    OperatorState,
)
from app.errors import StorageUnavailable
from app.storage.client import RedisClient, load_script

_OPERATORS, _AVAILABLE, _PRESENT, _LOGINS, _INVITATIONS, _REPLIES = (
    f"baton:desk:{{desk}}:{name}" for name in ("operators", "available", "present", "logins", "invitations", "replies")
)
_BY_SERVER = 9e15
"""Scores of presence from here on mean that a server calls for the operator; see _operators.lua."""
_ALL = (_OPERATORS, _AVAILABLE, _PRESENT, _LOGINS, _INVITATIONS)


class RedisOperatorStore:
    """OperatorStore on Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def _run(self, verb: str, keys: tuple[str, ...], *args: Any, wait: bool = False) -> Any:
        return self._client.run(load_script(verb), keys, *args, wait=wait)

    def get(self, operator_id: str) -> Operator | None:
        return _operator(operator_id, self._client.call("HGET", _OPERATORS, operator_id))

    def states(self) -> list[OperatorState]:
        now, operators, available, present = self._run("read_operators", (_OPERATORS, _AVAILABLE, _PRESENT))
        records = dict(zip(operators[::2], operators[1::2], strict=True))
        seen = {name: float(score) for name, score in zip(present[::2], present[1::2], strict=True)}
        states = [
            OperatorState(operator, name in available, _is_present(seen.get(name, 0.0), now))
            for name, record in records.items()
            if (operator := _operator(name.decode(), record)) is not None
        ]
        return sorted(states, key=lambda state: (state.operator.name.casefold(), state.operator.id))

    def save(self, operator: Operator) -> None:
        record = orjson.dumps({"name": operator.name, "role": operator.role})
        self._run("save_operator", _ALL, operator.id, record, wait=True)

    def remove(self, operator_id: str) -> bool:
        return bool(self._run("remove_operator", _ALL, operator_id, wait=True))

    def add_invitation(self, operator_id: str, token_hash: str) -> None:
        self._run("add_invitation", _ALL, operator_id, token_hash, INVITATION_MS, wait=True)

    def spend_invitation(self, token_hash: str, login_hash: str, old_login: str, address: str) -> Operator | int | None:
        outcome, first, second = self._run(
            "spend_invitation", (*_ALL, f"baton:desk:{{desk}}:failures:{address}"), token_hash, login_hash, old_login,
            LOGIN_MS, MAX_FAILURES, FAILURE_WINDOW_MS, wait=True,
        )  # fmt: skip
        if outcome == b"limited":
            return int(first)
        return _operator(first.decode(), second) if outcome == b"ok" else None

    def add_login(self, operator_id: str, login_hash: str, old_login: str) -> None:
        self._run("add_login", _ALL, operator_id, login_hash, old_login, LOGIN_MS, wait=True)

    def use_login(self, login_hash: str) -> Operator | None:
        try:
            operator_id, record = self._run("use_login", _ALL, login_hash, IDLE_MS)
        except StorageUnavailable:  # Redis may still be read
            operator_id, record = self._run("read_login", _ALL, login_hash, IDLE_MS)
        return _operator(operator_id.decode(), record)

    def end_login(self, login_hash: str) -> str | None:
        operator_id = self._run("end_login", _ALL, login_hash, wait=True)
        return operator_id.decode() or None

    def set_available(self, operator_id: str, available: bool) -> None:
        self._run("set_available", _ALL, operator_id, "1" if available else "0", wait=True)

    def touch(self, operator_id: str, *, by_server: bool) -> Operator | None:
        try:
            return _operator(operator_id, self._run("touch_operator", _ALL, operator_id, "1" if by_server else "0"))
        except StorageUnavailable:
            return self.get(operator_id)

    def get_replies(self) -> bytes:
        return bytes(self._client.call("GET", _REPLIES) or b"")

    def set_replies(self, replies: bytes) -> None:
        self._run("set_replies", (_REPLIES,), replies, wait=True)


def _operator(operator_id: str, record: bytes | None) -> Operator | None:
    if not record:
        return None
    fields = orjson.loads(record)
    return Operator(operator_id, fields["name"], fields["role"])


def _is_present(last_call: float, now: int) -> bool:
    """A call from after ``now`` is from before the clock was set back."""
    return last_call >= _BY_SERVER or abs(now - last_call) < PRESENT_MS
