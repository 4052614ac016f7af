"""Commands that are wanted at the same time share a connection: sent together, answered together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import hiredis
from gevent import monkey
from gevent.lock import Semaphore
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

MOST_UNDER_WAY = 8
"""Trips at once; what is wanted beyond them waits for one to return and goes out as one."""
_LOCK: Callable[[], Any] = Semaphore if monkey.is_module_patched("threading") else threading.Lock
"""The event loop's own where that stands in for threads: what it makes of ``threading.Lock`` costs more."""
_UNSET = object()


class Wire(Protocol):
    """A connection, as far as it is used here."""

    def calls(self, packed: bytes, most: int) -> list[Any]: ...


class Supply(Protocol):
    """Where connections come from and go to."""

    def take(self) -> Any: ...
    def keep(self, wire: Any) -> None: ...
    def drop(self, wire: Any) -> None: ...


class _Call:
    """One command on its way. Whoever ``leads`` takes the others along."""

    __slots__ = ("gate", "packed", "reply", "together")

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self.reply: Any = _UNSET
        self.together: list[_Call] = [self]
        self.gate: Any = None


class Lane:
    """Trips to one server. Each caller gets its own reply, in the order in which the commands went out.

    A trip that fails fails for all who were on it and for those who waited: none of them is sent again.
    """

    def __init__(self, supply: Supply, lock: Callable[[], Any] = _LOCK) -> None:
        self._supply = supply
        self._new_lock = lock
        self._guard = lock()
        self._waiting: list[_Call] = []
        self._under_way = 0

    def call(self, args: tuple[Any, ...]) -> Any:
        """The reply to one command. Raises ResponseError where the server refuses it, the driver's other errors too."""
        mine = _Call(hiredis.pack_command(args))
        with self._guard:
            leads = self._under_way < MOST_UNDER_WAY
            if leads:
                self._under_way += 1
            else:
                mine.gate = self._new_lock()
                mine.gate.acquire()
                self._waiting.append(mine)
        if not leads:
            self._await(mine)
        if mine.reply is _UNSET:
            self._travel(mine.together)
        if isinstance(mine.reply, Exception):
            raise mine.reply
        return mine.reply

    def _await(self, mine: _Call) -> None:
        """Until the reply is there, or the turn to lead: whoever is under way always gives one or the other."""
        try:
            mine.gate.acquire()
        except BaseException:
            # The caller was cancelled: it must not be made to lead, and where it was already, the others are let go.
            with self._guard:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise
            if mine.reply is _UNSET and mine.gate.acquire(blocking=False):
                self._break(mine.together, None, RedisConnectionError("given up"))
            raise

    def _travel(self, batch: list[_Call]) -> None:
        """Sends a batch, hands out the replies, and the turn to lead to one of those who wait by then."""
        wire = None
        try:
            wire = self._supply.take()
            replies = wire.calls(b"".join([one.packed for one in batch]), len(batch))
        except BaseException as error:
            # Also when the caller was cancelled: a reply left behind would be read by the next one.
            self._break(batch, wire, error)
            raise
        for one, reply in zip(batch, replies, strict=True):
            one.reply = reply
            if one is not batch[0]:
                one.gate.release()
        if any(isinstance(reply, ResponseError) and str(reply).startswith("READONLY") for reply in replies):
            self._supply.drop(wire)  # the primary may have moved: look for it anew
        else:
            self._supply.keep(wire)
        self._pass_on()

    def _pass_on(self) -> None:
        with self._guard:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                self._under_way -= 1
                return
        waiting[0].together = waiting
        waiting[0].gate.release()

    def _break(self, batch: list[_Call], wire: Any, error: BaseException) -> None:
        if wire is not None:
            self._supply.drop(wire)
        with self._guard:
            waiting, self._waiting = self._waiting, []
            self._under_way -= 1
        for one in batch[1:] + waiting:
            known = isinstance(error, RedisError | OSError)
            one.reply = type(error)(*error.args) if known else RedisConnectionError("given up")
            one.gate.release()
