"""Sending events: signed, in order for each session, past receivers that fail in every way (R35, F24)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app import cli
from app.conversations.event_sender import EventSender, SenderConfig, SenderMetrics
from app.storage.client import RedisClient
from app.storage.event_queue import QUEUE_KEY, EventQueue, entry
from tests.conftest import until
from tests.event_receiver import SECRET, Attempt, receiving

QUICK = {"allow_private": True, "attempt_timeout": 10.0, "first_delay": 0.02, "longest_delay": 0.1, "poll": 0.02}
REFS = [f"cnv_{number:024x}" for number in range(20)]


def entries(refs: list[str], numbers: range) -> list[Any]:
    at = int(time.time() * 1000)
    return [entry({"n": n, "type": "answer.not_found", "at": at}, ref) for n in numbers for ref in refs]


def ids_of(ref: str, numbers: range) -> list[str]:
    return [f"evt_{ref[4:]}_{n}" for n in numbers]


class Sending:
    """A queue and senders on it."""

    def __init__(self, redis_url: str) -> None:
        self.client = RedisClient(redis_url)
        self.queue = EventQueue(self.client, "test", 1_000, 3_600_000)
        self.senders: list[EventSender] = []
        self.outcomes: list[tuple[str, str]] = []

    def start(self, url: str, **config: Any) -> EventSender:
        made = SenderConfig(url, SECRET, **(QUICK | config))
        queue = EventQueue(self.client, f"worker-{len(self.senders)}", made.lease_ms, made.longest_delay_ms)
        metrics = SenderMetrics(lambda kind, outcome: self.outcomes.append((kind, outcome)))
        self.senders.append(EventSender(queue, made, in_thread, metrics))
        in_thread(self.senders[-1].run)
        return self.senders[-1]

    def is_empty(self) -> bool:
        return self.queue.count()[0] == 0


def in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


@pytest.fixture
def sending(redis_url: str) -> Iterator[Sending]:
    one = Sending(redis_url)
    yield one
    for sender in one.senders:
        sender.stop()
    one.client.close()


def test_an_event_is_posted_once_signed_and_in_order(sending: Sending) -> None:
    """Every session's events arrive in order, each once, as JSON that the reference library verifies."""
    sending.queue.add(entries(REFS, range(1, 6)))
    with receiving() as receiver:
        sending.start(receiver.url)
        until(sending.is_empty, 20, "all events to be sent")
        assert receiver.forged == []
        assert len(receiver.attempts) == 100
        for ref in REFS:
            assert receiver.first_taken(ref) == ids_of(ref, range(1, 6))
        first = receiver.headers[0]
        assert first["content-type"] == "application/json"
        assert receiver.attempts[0].event["type"] == "answer.not_found"
        assert receiver.attempts[0].event["data"] == {"ref": receiver.attempts[0].ref}
    assert set(sending.outcomes) == {("answer.not_found", "delivered")}


@pytest.mark.parametrize("failure", [500, 400, 410, 301, 307, 204, "hang", "drip", "close"])
def test_what_fails_is_tried_again_in_order(sending: Sending, failure: int | str) -> None:
    """The first two attempts of one session fail: it is complete and in order in the end, each attempt signed anew.

    A 204 is a success like every status from 200 to 299.
    """
    tries: list[Attempt] = []

    def answer(attempt: Attempt) -> int | str:
        if attempt.ref == REFS[0]:
            tries.append(attempt)
            if len(tries) <= 2:
                return failure
        return 200

    sending.queue.add(entries(REFS[:3], range(1, 4)))
    with receiving(answer) as receiver, receiving() as elsewhere:
        receiver.redirect_to = elsewhere.url if failure in (301, 307) else ""
        sending.start(receiver.url, attempt_timeout=0.5 if failure in ("hang", "drip") else 10.0)
        until(sending.is_empty, 20, "all events to be sent")
        assert elsewhere.attempts == []
        assert receiver.forged == []
        wanted = [ids_of(REFS[0], range(n, n + 1))[0] for n in ((1, 2, 3) if failure == 204 else (1, 1, 1, 2, 3))]
        assert [one.id for one in tries] == wanted
        for ref in REFS[1:3]:
            assert receiver.first_taken(ref) == ids_of(ref, range(1, 4))


def test_an_endless_response_is_a_success_and_bounded(sending: Sending) -> None:
    """The status counts; of the body only the beginning is read."""
    sending.queue.add(entries(REFS[:2], range(1, 3)))
    with receiving(lambda attempt: "endless") as receiver:
        sending.start(receiver.url)
        until(sending.is_empty, 20, "all events to be sent")
        assert len(receiver.attempts) == 4


def test_a_receiver_that_was_away_misses_nothing(sending: Sending) -> None:
    """Nothing listens at first; what came meanwhile arrives complete and in order afterwards."""
    with receiving() as reserved:
        port = reserved.port
    sending.queue.add(entries(REFS, range(1, 4)))
    sending.start(f"http://127.0.0.1:{port}/events")
    until(lambda: len(sending.outcomes) > 40, 20, "some attempts to fail")
    sending.queue.add(entries(REFS, range(4, 6)))
    assert {outcome for _, outcome in sending.outcomes} == {"failed"}
    with receiving(port=port) as receiver:
        until(sending.is_empty, 20, "all events to be sent")
        for ref in REFS:
            assert receiver.first_taken(ref) == ids_of(ref, range(1, 6))


def test_sessions_overtake_a_session_whose_event_hangs(sending: Sending) -> None:
    """While the receiver is silent about one session, the events of the others are delivered."""
    sending.queue.add(entries(REFS, range(1, 4)))
    with receiving(lambda attempt: "hang" if attempt.ref == REFS[0] else 200) as receiver:
        sending.start(receiver.url, attempt_timeout=30.0)
        until(lambda: all(len(receiver.first_taken(ref)) == 3 for ref in REFS[1:]), 20, "the others")
        assert [one.id for one in receiver.attempts if one.ref == REFS[0]] == ids_of(REFS[0], range(1, 2))


def test_several_workers_keep_the_order(sending: Sending) -> None:
    """Four senders on one queue, a receiver that fails every third time: each session in order, nothing lost."""
    count = iter(range(100_000))
    sending.queue.add(entries(REFS, range(1, 11)))
    with receiving(lambda attempt: 500 if next(count) % 3 == 0 else 200) as receiver:
        for _ in range(4):
            sending.start(receiver.url)
        until(sending.is_empty, 40, "all events to be sent")
        assert len(receiver.taken) == 200
        for ref in REFS:
            assert receiver.first_taken(ref) == ids_of(ref, range(1, 11))


def test_after_the_last_attempt_an_event_is_a_dead_letter(sending: Sending) -> None:
    """It lets the session's next event through, says what was wrong, and a retry delivers it under its old id."""
    bad = ids_of(REFS[0], range(1, 2))[0]
    broken = True
    sending.queue.add(entries(REFS[:1], range(1, 3)))
    with receiving(lambda attempt: 500 if broken and attempt.id == bad else 200) as receiver:
        sending.start(receiver.url, give_up_after=0.1, min_attempts=4)
        until(sending.is_empty, 20, "the queue to be empty")
        letters = sending.queue.dead_letters()
        assert [(one.id, one.problem) for one in letters] == [(bad, "status 500")]
        assert letters[0].attempts >= 4
        assert sum(one.id == bad for one in receiver.attempts) == letters[0].attempts
        broken = False
        assert sending.queue.retry() == 1
        until(lambda: receiver.first_taken(REFS[0]) == [*ids_of(REFS[0], range(2, 3)), bad], 20, "the retry")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_never_dialled(sending: Sending, host: str) -> None:
    """Unless BATON_WEBHOOK_ALLOW_PRIVATE allows it; the event stays in the queue."""
    sending.queue.add(entries(REFS[:1], range(1, 2)))
    with receiving() as receiver:
        sending.start(f"http://{host}:{receiver.port}/events", allow_private=False, give_up_after=0.0, min_attempts=2)
        until(sending.is_empty, 20, "it to be given up")
        assert receiver.headers == []
        assert sending.queue.dead_letters()[0].problem == "leads to a private address"


@pytest.mark.parametrize("turn", ["mixed", "rebinding"])
def test_the_address_that_was_checked_is_dialled(sending: Sending, turn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public and a private address is refused, and one that leads to a public address when it is
    checked is not asked again: what it leads to afterwards is of no use (DNS rebinding).
    """
    resolve, asked = socket.getaddrinfo, []

    def rebinding(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host != "rebinding.example":
            return resolve(host, port, *args, **named)
        asked.append(host)
        public, private = ((socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("8.8.8.8", "127.0.0.1"))
        if turn == "mixed":
            return [public, private]
        return [public] if len(asked) % 2 else [private]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    dialled = []
    connect = socket.create_connection

    def dial(address: Any, *args: Any, **named: Any) -> socket.socket:
        dialled.append(address[0])
        if address[0] == "8.8.8.8":
            raise OSError("no way there from here")
        return connect(address, *args, **named)

    monkeypatch.setattr(socket, "create_connection", dial)
    sending.queue.add(entries(REFS[:1], range(1, 2)))
    with receiving() as receiver:
        url = f"http://rebinding.example:{receiver.port}/events"
        sending.start(url, allow_private=False, give_up_after=0.0, min_attempts=1)
        until(sending.is_empty, 20, "it to be given up")
        assert receiver.headers == []
    assert asked == ["rebinding.example"]
    assert [host for host in dialled if host != "127.0.0.1"] == ([] if turn == "mixed" else ["8.8.8.8"])
    assert "rebinding.example" not in dialled


def test_retries_wait_twice_as_long_each_time() -> None:
    """1, 2, 4 ... seconds, at most an hour; for a day that makes some 35 attempts."""
    config = SenderConfig("https://example.com", SECRET)
    delays = [config.delay(attempts) for attempts in range(1, 40)]
    assert delays[:5] == [1, 2, 4, 8, 16]
    assert delays[11:13] == [2048, 3600]
    assert set(delays[12:]) == {3600}
    assert config.give_up_after == 24 * 3600


def test_the_sender_outlives_an_outage_of_storage(sending: Sending, redis_url: str) -> None:
    """While Redis refuses what is written, nothing is sent twice for long; afterwards the rest is delivered."""
    sending.queue.add(entries(REFS, range(1, 3)))
    with receiving() as receiver, contextlib.ExitStack() as stack:
        looker = stack.enter_context(contextlib.closing(__import__("redis").Redis.from_url(redis_url)))
        sending.start(receiver.url, poll=0.05, attempt_timeout=0.25)
        until(lambda: len(receiver.taken) >= 5, 20, "the first events")
        looker.execute_command("CLIENT", "PAUSE", 1_500, "WRITE")
        until(sending.is_empty, 30, "all events to be sent")
        for ref in REFS:
            assert receiver.first_taken(ref) == ids_of(ref, range(1, 3))


def test_the_command_line_lists_and_retries(
    sending: Sending, redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``events list`` shows the dead letters, as text or as JSON a line; ``events retry`` puts all or some back."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    bad = [ids_of(ref, range(1, 2))[0] for ref in REFS[:3]]
    sending.queue.add(entries(REFS[:3], range(1, 3)))
    for event in sending.queue.claim(3):
        sending.queue.give_up(event, "status 500")
    assert cli.main(["events", "list"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == bad
    assert all(
        "answer.not_found" in line and "1 attempts, the last: status 500" in line for line in printed.out.splitlines()
    )
    assert printed.err == "3 could not be delivered, 3 in the queue\n"
    assert cli.main(["events", "list", "--json", "--limit", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) | {"queued_at": 0} == {
        "id": bad[0], "type": "answer.not_found", "ref": REFS[0], "queued_at": 0, "attempts": 1,
        "problem": "status 500",
    }  # fmt: skip
    assert cli.main(["events", "retry", "evt_unknown"]) == 1
    assert cli.main(["events", "retry", bad[1]]) == 0
    assert cli.main(["events", "retry"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{n} put back into the queue" for n in (0, 1, 2)]
    assert sending.queue.count() == (6, 0)
    with receiving() as receiver:
        sending.start(receiver.url)
        until(sending.is_empty, 20, "all events to be sent")
        assert sorted(one.id for one in receiver.taken) == sorted(
            bad + [ids_of(ref, range(2, 3))[0] for ref in REFS[:3]]
        )


@pytest.mark.parametrize("limit", ["0", "-1", "x", "9999999", "１"])
def test_a_wrong_limit_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A clear line, and no traceback."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["events", "list", "--limit", limit])
    assert ended.value.code == 2
    assert "must be a whole number from 1 to 999999" in capsys.readouterr().err


def test_the_command_line_says_when_redis_is_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, status 1; a wrong setting is status 2."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert cli.main(["events", "list"]) == 1
    assert capsys.readouterr().err == "Redis cannot be used: unreachable\n"
    monkeypatch.setenv("REDIS_URL", "http://127.0.0.1")
    assert cli.main(["events", "retry"]) == 2
    assert capsys.readouterr().err.startswith("REDIS_URL: ")


def test_an_entry_that_is_no_event_ends_no_sender(sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read in the queue is logged, and the senders go on: what comes later is sent."""
    sending.client.call("XADD", QUEUE_KEY, "*", "id", "evt_broken", "ref", REFS[1])
    with receiving() as receiver:
        sending.start(receiver.url)
        until(lambda: "dead letters now" in caplog.text, 10, "the sender to meet it")
        sending.queue.add(entries(REFS[:1], range(1, 3)))
        until(lambda: len(receiver.taken) == 2, 10, "the events to be sent")
        assert [attempt.id for attempt in receiver.taken] == ids_of(REFS[0], range(1, 3))
