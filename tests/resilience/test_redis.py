"""Redis as it really fails: gone, frozen, slow, read-only, full, emptied, restarted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.contract.api_client import ApiClient, at_once, is_problem
from tests.contract.fake_bot import spoken
from tests.contract.feeds import story
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.conftest import running_proxy, running_redis, standing, unforeseen
from tests.resilience.proxy import Proxy
from tests.resilience.write_auditor import WriteAuditor, bounded, heals, is_unavailable

Serve = Callable[..., Service]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """One Redis for this module: every test leaves it well."""
    yield from running_redis()


@pytest.fixture(scope="module")
def proxy(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy before it."""
    yield from running_proxy(redis)


@pytest.fixture(scope="module")
def survivor(proxy: Proxy) -> Iterator[Service]:
    """One service for all these faults."""
    yield from standing(proxy.url)


@pytest.fixture
def service(survivor: Service) -> Iterator[Service]:
    """That service, well at the beginning, and afterwards without an unforeseen error."""
    assert heals(ApiClient(survivor.base), 9)
    yield survivor
    assert unforeseen(survivor.log()) == []


def test_killed_and_restarted(redis: RedisProcess, service: Service) -> None:
    """F6: killed and restarted, append-only file on: nothing acknowledged is lost or doubled; feeds go on."""
    visitors = [ApiClient(service.base).create() for _ in range(4)]
    with WriteAuditor(visitors) as writers:
        feed = visitors[0].events()
        assert writers.goes_on()
        for _ in range(2):
            redis.send(signal.SIGKILL)
            assert eventually(lambda: any(outcome.statuses[503] for outcome in writers.outcomes), 5)
            redis.start()
            assert writers.goes_on(4), "not healed within 3 s"
        if not feed.closed:
            count = len(feed.named("message"))
            feed.wait(lambda events: len(events) > count, 10)
        feed.close()
    assert heals(visitors[0].caller)
    writers.check()
    writers.resend()


def test_frozen(redis: RedisProcess, service: Service) -> None:
    """F2: frozen: 503 in bounded time, no worker blocked, pages served; afterwards all is well and nothing doubled."""
    visitors = [ApiClient(service.base).create() for _ in range(4)]
    with WriteAuditor(visitors) as writers:
        assert writers.goes_on()
        redis.send(signal.SIGSTOP)
        for _ in range(4):
            assert bounded(lambda: visitors[0].caller.get("/widget.js")).status_code == 200
            is_unavailable(bounded(lambda: visitors[0].get("/messages")))
        assert bounded(lambda: visitors[0].caller.get("/health")).status_code == 503
        for answer in at_once(8, lambda _: bounded(lambda: visitors[0].get())):
            is_unavailable(answer)
        redis.send(signal.SIGCONT)
        assert writers.goes_on(4), "not healed within 3 s"
    assert heals(visitors[0].caller)
    writers.check()
    writers.resend()


def test_slow(redis: RedisProcess, proxy: Proxy, service: Service) -> None:
    """F3: a Redis that takes 50 to 500 ms for every reply works, only slower."""
    visitor = ApiClient(service.base).create()
    for delay in (0.05, 0.2, 0.5):
        proxy.delay = delay
        assert visitor.say(f"at {delay}").status_code == 201
        assert visitor.ask(f"tokens=20 at {delay}").json()["answer"] == spoken(20)
        with visitor.events() as feed:
            visitor.say("seen")
            feed.until("message")
    proxy.delay = 0.0
    assert len(visitor.texts()) == 12


def test_a_lost_reply(redis: RedisProcess, proxy: Proxy, service: Service) -> None:
    """F5: the reply lost after the write: 503, one message, and the same client id gets it on the retry."""
    visitor = ApiClient(service.base).create()
    visitor.said("so that Redis knows the script")
    for number in range(3):
        proxy.swallow_after = f"lost {number}".encode()
        first = bounded(lambda number=number: visitor.say(f"lost {number}", client_id=f"c{number}"))
        if first.status_code == 503:
            is_unavailable(first)
        answer = eventually(
            lambda number=number: (r := visitor.say(f"lost {number}", client_id=f"c{number}")).is_success and r, 4, 0.2
        )
        assert answer
        assert answer.status_code == 200
    assert proxy.swallowed >= 3
    assert visitor.texts()[1:] == ["lost 0", "lost 1", "lost 2"]


def test_resets(redis: RedisProcess, proxy: Proxy, service: Service) -> None:
    """F5: connections reset at every moment: nothing lost, nothing doubled, no reply given to another caller."""
    visitors = [ApiClient(service.base).create() for _ in range(6)]
    with WriteAuditor(visitors) as writers:
        for _ in range(12):
            assert writers.goes_on(5)
            proxy.reset()
        proxy.refuse = True
        proxy.reset()
        assert eventually(lambda: any(outcome.statuses[503] for outcome in writers.outcomes), 5)
        proxy.refuse = False
        assert writers.goes_on(4), "not healed within 3 s"
    assert heals(visitors[0].caller)
    writers.check()
    writers.resend()


def test_writes_paused(redis: RedisProcess, service: Service) -> None:
    """F4: writes paused: reads and feeds go on, writes end in bounded time; each there once afterwards."""
    visitor = ApiClient(service.base).create()
    visitor.said("before")
    with visitor.events() as feed:
        with redis.client() as admin:
            admin.execute_command("CLIENT", "PAUSE", "2500", "WRITE")
        write: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: write.append(bounded(lambda: visitor.say("paused", client_id="c"))))
        thread.start()
        assert bounded(lambda: visitor.get("/messages")).json()["messages"][0]["content"] == "before"
        assert bounded(lambda: visitor.get()).status_code == 200
        thread.join(10)
        assert write[0].status_code in (201, 503)
        assert eventually(lambda: visitor.say("paused", client_id="c").status_code in (200, 201), 6, 0.1)
        feed.until("message")
    assert visitor.texts() == ["before", "paused"]


REFUSALS = {
    "OOM": (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
    "READONLY": (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
    "NOREPLICAS": (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_writes_refused(redis: RedisProcess, service: Service, kind: str) -> None:
    """F4: writes refused (out of memory, read-only, too few replicas): reads and feeds go on, writes 503, nothing
    evicted.
    """
    visitor = ApiClient(service.base).create()
    visitor.said("before")
    wrong, right = REFUSALS[kind]
    with redis.client() as admin, visitor.events() as feed:
        admin.execute_command(*wrong)
        for _ in range(3):
            is_unavailable(bounded(lambda: visitor.say("x", client_id="c")))
            is_unavailable(bounded(lambda: visitor.ask("x", client_id="d")))
            is_unavailable(bounded(lambda: visitor.caller.post("/api/session/create")))
            assert bounded(lambda: visitor.get("/messages")).json()["messages"][0]["content"] == "before"
        assert not feed.closed
        with visitor.events() as other:
            assert other.status == 200
        assert kind in service.log(), "the log does not name the kind"
        admin.execute_command(*right)
        assert eventually(lambda: visitor.say("after", client_id="e").status_code in (200, 201), 4, 0.1)
        feed.until("message")
    assert heals(visitor.caller)
    assert [text for text in visitor.texts() if text == "after"] == ["after"]


def test_emptied(redis: RedisProcess, service: Service) -> None:
    """F11: FLUSHALL: 404s, new sessions, no 500; a running answer and open feeds end."""
    visitor = ApiClient(service.base).create()
    feed, stream = visitor.events(), visitor.ask_streamed("tokens=100 delay=0.03")
    stream.until("answer.delta", count=3)
    with redis.client() as admin:
        admin.flushall()
        is_problem(visitor.get(), 404, "session_not_found")
        is_problem(visitor.say("x"), 404, "session_not_found")
        stream.until_closed(20)
        feed.until_closed(20)
        fresh = visitor.caller.create()
        assert fresh.ask("hello").status_code == 200
        assert [name for name in admin.scan_iter() if admin.ttl(name) == -1] == []


def test_scripts_forgotten(redis: RedisProcess, service: Service) -> None:
    """F11: a Redis that forgot its scripts gets them again, without anybody noticing."""
    visitor = ApiClient(service.base).create()
    with redis.client() as admin:
        for number in range(3):
            admin.script_flush()
            assert visitor.say(f"m{number}").status_code == 201
            admin.script_flush()
            assert visitor.ask("hello").status_code == 200


def test_password_changed(redis: RedisProcess, service: Service) -> None:
    """F8: the password is changed under load and every connection cut: appends and creates get 503 and nothing else,
    the log and `/health` name NOAUTH, never the password; all heals when it is set back, and nothing is lost.
    """
    caller = ApiClient(service.base)
    writers = WriteAuditor([caller.create() for _ in range(8)])
    admin = redis.client()
    with writers:
        assert writers.goes_on()
        for _ in range(3):
            admin.config_set("requirepass", "swordfish")
            admin.execute_command("AUTH", "swordfish")
            refused = sum(outcome.statuses[503] for outcome in writers.outcomes)
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            is_unavailable(bounded(lambda: caller.post("/api/session/create", json={"metadata": {"a": "b"}})))
            assert eventually(
                lambda refused=refused: sum(one.statuses[503] for one in writers.outcomes) > refused + 16, 10
            )
            assert eventually(lambda: caller.get("/health").json()["redis"] == "NOAUTH", 5, 0.1)
            admin.config_set("requirepass", "")
            assert heals(caller)
            assert writers.goes_on()
    writers.check()
    writers.resend()
    assert "storage unavailable for writes: NOAUTH" in service.log()
    assert "swordfish" not in service.log()
    admin.close()


def test_busy(redis: RedisProcess, service: Service) -> None:
    """F8: busy with somebody's endless script: 503 in bounded time, a log line that names the kind; heals."""
    caller = ApiClient(service.base)
    admin = redis.client()
    admin.config_set("busy-reply-threshold", "100")

    def loop() -> None:
        try:
            redis.client().eval("while true do end", 0)
        except Exception:
            return

    threading.Thread(target=loop, daemon=True).start()
    assert eventually(lambda: bounded(lambda: caller.post("/api/session/create")).status_code == 503, 5, 0.1)
    is_unavailable(bounded(lambda: caller.post("/api/session/create")))
    assert eventually(lambda: "BUSY" in service.log() or caller.post("/api/session/create").status_code == 201, 5, 0.2)
    admin.script_kill()
    assert heals(caller)
    admin.close()


def test_a_turn_over_a_restart(redis: RedisProcess, service: Service) -> None:
    """F6: a Redis restarted in mid-answer: the turn ends in exactly one terminal event, and the next question is
    answered.
    """
    visitor = ApiClient(service.base).create()
    cursor = visitor.get("/messages").json()["cursor"]
    stream = visitor.ask_streamed("tokens=150 delay=0.03", client_id="c")
    stream.until("answer.delta", count=5)
    redis.send(signal.SIGKILL)
    redis.start()
    ended = eventually(lambda: (r := visitor.ask("again", client_id="c")).status_code in (200, 502) and r, 25, 0.5)
    assert ended
    assert heals(visitor.caller)
    with visitor.events(after=cursor) as feed:
        events = story(feed.until("answer.end", "answer.error"))
    assert "message" in {event.event for event in events}
    assert visitor.texts().count("tokens=150 delay=0.03") == 1
    assert visitor.ask("tokens=150 delay=0.03", client_id="c").json()["answer"] == spoken(150)
    assert visitor.ask("next").status_code == 200
