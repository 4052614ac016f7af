"""Commands that share a trip: each caller gets its own reply, and a trip that breaks breaks for all on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.storage.autopipeline import MOST_UNDER_WAY, Lane
from tests.conftest import until


class Server:
    """A supply of connections to a server that echoes, held back for as long as ``open`` is not set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.trips: list[int] = []
        self.dropped = 0
        self.answer: Callable[[bytes], Any] = lambda word: word

    def take(self) -> Server:
        return self

    def keep(self, wire: Any) -> None:
        """Nothing to do."""

    def drop(self, wire: Any) -> None:
        self.dropped += 1

    def calls(self, packed: bytes, most: int) -> list[Any]:
        self.trips.append(most)
        assert self.open.wait(5)
        words = packed.split(b"\r\n")[2::3]
        assert len(words) == most
        return [self.answer(word) for word in words]


def asked(lane: Lane, count: int) -> tuple[dict[int, Any], list[threading.Thread]]:
    """So many callers at once, and what each of them gets."""
    found: dict[int, Any] = {}

    def call(number: int) -> None:
        try:
            found[number] = lane.call((f"word{number}",))
        except (RedisConnectionError, ResponseError, RuntimeError) as error:
            found[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return found, threads


def waiting(lane: Lane, count: int) -> None:
    until(lambda: len(lane._waiting) == count, 5, "the callers to wait")


def test_each_caller_gets_its_own_reply_and_few_trips_are_made() -> None:
    """Of fifty callers at once the first two travel alone and all others together."""
    server = Server()
    lane = Lane(server)
    found, threads = asked(lane, 50)
    waiting(lane, 50 - MOST_UNDER_WAY)
    server.open.set()
    for thread in threads:
        thread.join(5)
    assert found == {number: f"word{number}".encode() for number in range(50)}
    assert sum(server.trips) == 50
    assert len(server.trips) == MOST_UNDER_WAY + 1


def test_a_refusal_is_told_to_its_caller_alone() -> None:
    """One command of a trip is refused; the others have their replies."""
    server = Server()
    server.answer = lambda word: ResponseError("ERR no") if word == b"word7" else word
    lane = Lane(server)
    found, threads = asked(lane, 20)
    waiting(lane, 20 - MOST_UNDER_WAY)
    server.open.set()
    for thread in threads:
        thread.join(5)
    assert isinstance(found.pop(7), ResponseError)
    assert found == {number: f"word{number}".encode() for number in range(20) if number != 7}
    assert server.dropped == 0


@pytest.mark.parametrize("error", [RedisConnectionError("closed by the server"), RuntimeError("cancelled")])
def test_a_broken_trip_fails_for_all_and_the_next_call_works(error: Exception) -> None:
    """Nobody waits for ever, nothing is sent again, the connection is dropped, and the lane goes on."""
    server = Server()
    lane = Lane(server)

    def broken(word: bytes) -> Any:
        raise error

    server.answer = broken
    found, threads = asked(lane, 20)
    waiting(lane, 20 - MOST_UNDER_WAY)
    server.open.set()
    for thread in threads:
        thread.join(5)
    assert len(found) == 20
    assert all(isinstance(reply, Exception) for reply in found.values())
    assert sum(server.trips) <= 20
    assert server.dropped == len(server.trips)
    server.answer = lambda word: word
    assert lane.call(("again",)) == b"again"
