"""The people at the desk: who they are, their roles, invitations and logins, and who is there to answer.

Invitations and logins are random tokens of which the store knows only a hash. An operator's record is read again at
every call, so a changed role or a removal counts at once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from app.config import ROLES, Role
from app.errors import LoginRequired, RateLimited

PeopleState = Literal["off", "away", "online"]

PRESENT_MS = 120_000
"""An operator is present for this long after a call, or after their desk feed has ended."""
IDLE_MS, LOGIN_MS = 30 * 60_000, 12 * 3_600_000
"""A login ends after this long without a call or an open feed, and after this long in all."""
INVITATION_MS = 24 * 3_600_000
MAX_FAILURES, FAILURE_WINDOW_MS = 10, 60_000
"""Failed logins that an address may have in a window; then every login from it is refused until the window ends."""

_TOKEN = re.compile(r"(inv|dsk)_[A-Za-z0-9_-]{43}")
_ID = re.compile(r"op_[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who answers visitors, or looks on."""

    id: str
    name: str
    role: Role

    def is_at_least(self, role: Role) -> bool:
        """Whether they may do what ``role`` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class OperatorState:
    """An operator, and whether they are there."""

    operator: Operator
    is_switched_on: bool
    """Whether they have switched themselves available."""
    is_present: bool

    @property
    def is_available(self) -> bool:
        """Whether a visitor can be given to them. Viewers do not answer."""
        return self.is_switched_on and self.is_present and self.operator.is_at_least("operator")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that logs an operator in, once."""

    operator: Operator
    token: str


@dataclass(frozen=True, slots=True)
class Login:
    """A login that has just begun; ``token`` is the cookie's value."""

    operator: Operator
    token: str


class OperatorStore(Protocol):
    """Operators, their logins and what they share, in Redis. Tokens come as hashes. Raises StorageUnavailable."""

    def get(self, operator_id: str) -> Operator | None:
        """The operator; None where there is none."""

    def states(self) -> list[OperatorState]:
        """Every operator, by name."""

    def save(self, operator: Operator) -> None:
        """Adds or replaces an operator."""

    def remove(self, operator_id: str) -> bool:
        """Removes an operator with all logins and invitations; False where there is none."""

    def add_invitation(self, operator_id: str, token_hash: str) -> None:
        """Makes an invitation, in place of an earlier one."""

    def spend_invitation(self, token_hash: str, login_hash: str, old_login: str, address: str) -> Operator | int | None:
        """Begins a login with an invitation, in one step that only one caller can win.

        None where the invitation is unknown, spent or expired, which counts as a failure of ``address``;
        the ms to wait where that address has failed too often.
        """

    def add_login(self, operator_id: str, login_hash: str, old_login: str) -> None:
        """Begins a login, and ends the one that it replaces."""

    def use_login(self, login_hash: str) -> Operator | None:
        """The operator of a living login, who is present by that; None where the login has ended."""

    def end_login(self, login_hash: str) -> str | None:
        """Ends a login; the operator's id. They are not present any more unless another login of theirs lives."""

    def set_available(self, operator_id: str, available: bool) -> None:
        """Switches an operator on or off."""

    def touch(self, operator_id: str, *, by_server: bool) -> Operator | None:
        """The operator, who is present now; ``by_server``: from now on until they use a login themselves."""

    def get_replies(self) -> bytes:
        """The canned replies as JSON; empty where none were set."""

    def set_replies(self, replies: bytes) -> None:
        """Replaces the canned replies."""


class OperatorDirectory:
    """Who may use the desk. ``changed`` is called after each change that the desks of the others show."""

    def __init__(self, store: OperatorStore) -> None:
        self._store = store
        self.changed: Callable[[], None] = lambda: None

    def get(self, operator_id: str) -> Operator | None:
        """The operator with this id."""
        return self._store.get(operator_id) if _ID.fullmatch(operator_id) else None

    def states(self) -> list[OperatorState]:
        """Every operator, by name."""
        return self._store.states()

    def summary(self) -> list[dict[str, str | bool]]:
        """Every operator as the desk shows them."""
        return [
            {
                "id": state.operator.id,
                "name": state.operator.name,
                "role": state.operator.role,
                "available": state.is_available,
                "present": state.is_present,
            }
            for state in self._store.states()
        ]

    def is_switched_on(self, operator_id: str) -> bool:
        """Whether they have switched themselves available, be they present or not."""
        return any(state.is_switched_on for state in self._store.states() if state.operator.id == operator_id)

    def present_ids(self) -> frozenset[str]:
        """The operators who are present, switched on or not: what the others hold goes back to the queue."""
        return frozenset(state.operator.id for state in self._store.states() if state.is_present)

    def people_state(self) -> PeopleState:
        """Whether somebody can answer a visitor now."""
        return "online" if any(state.is_available for state in self._store.states()) else "away"

    def invite(self, name: str, role: Role) -> Invitation:
        """A new operator and their first invitation."""
        operator = Operator(f"op_{secrets.token_hex(8)}", name, role)
        self._store.save(operator)
        return self.invite_again(operator)

    def invite_again(self, operator: Operator) -> Invitation:
        """A new invitation for an operator, with the role that is given; an earlier one is void."""
        self._store.save(operator)
        token = _new_token("inv")
        self._store.add_invitation(operator.id, _hash(token))
        self.changed()
        return Invitation(operator, token)

    def remove(self, operator_id: str) -> bool:
        """Removes an operator, who is logged out everywhere at once; False where there is none."""
        removed = bool(_ID.fullmatch(operator_id)) and self._store.remove(operator_id)
        if removed:
            self.changed()
        return removed

    def log_in_by_invitation(self, invitation: str, old_login: str | None, address: str) -> Login:
        """Spends an invitation. Raises LoginRequired or RateLimited."""
        token = _new_token("dsk")
        spent = self._store.spend_invitation(_hash(invitation), _hash(token), _hash(old_login or ""), address)
        if isinstance(spent, int):
            raise RateLimited("Too many failed logins from this address.", retry_after=max(-(-spent // 1000), 1))
        if spent is None:
            raise LoginRequired("This invitation is unknown, spent or expired. Ask for a new one.")
        self.changed()
        return Login(spent, token)

    def log_in_by_identity(self, issuer: str, subject: str, name: str, role: Role, old_login: str | None) -> Login:
        """A login of somebody whom an OpenID provider vouches for, known by ``iss`` and ``sub``."""
        operator = Operator(f"op_{_hash(chr(0).join((issuer, subject)))[:16]}", name, role)
        token = _new_token("dsk")
        self._store.save(operator)
        self._store.add_login(operator.id, _hash(token), _hash(old_login or ""))
        self.changed()
        return Login(operator, token)

    def use_login(self, token: str) -> Operator | None:
        """The operator whose login this is, present by that; None where it has ended or never was."""
        return self._store.use_login(_hash(token)) if _TOKEN.fullmatch(token) else None

    def log_out(self, token: str) -> None:
        """Ends a login."""
        if _TOKEN.fullmatch(token) and self._store.end_login(_hash(token)):
            self.changed()

    def touch(self, operator_id: str, *, by_server: bool = False) -> Operator | None:
        """The operator, who is present now; None where there is none."""
        return self._store.touch(operator_id, by_server=by_server) if _ID.fullmatch(operator_id) else None

    def set_available(self, operator_id: str, available: bool) -> None:
        """Switches an operator on or off."""
        self._store.set_available(operator_id, available)
        self.changed()

    def get_replies(self) -> bytes:
        """The canned replies as JSON."""
        return self._store.get_replies() or b"[]"

    def set_replies(self, replies: bytes) -> None:
        """Replaces the canned replies."""
        self._store.set_replies(replies)


def _new_token(kind: str) -> str:
    return f"{kind}_{secrets.token_urlsafe(32)}"


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
