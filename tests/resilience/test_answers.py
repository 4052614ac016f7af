"""Answers in the making while Redis fails under them: bounded waiting, one turn, one answer, and a retry that works."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.fake_bot import spoken
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.conftest import running_proxy, running_redis, standing
from tests.resilience.proxy import Proxy
from tests.resilience.write_auditor import bounded, heals, is_unavailable

LEASE_SECONDS = 10


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
def service(survivor: Service, proxy: Proxy) -> Service:
    """That service, well at the beginning."""
    proxy.swallowed = 0
    assert heals(ApiClient(survivor.base), 9)
    return survivor


@pytest.fixture
def visitor(service: Service) -> Visitor:
    """A visitor whom the service has answered once, so that Redis knows the scripts."""
    one = ApiClient(service.base).create()
    assert one.ask("hello").status_code == 200
    return one


@pytest.mark.parametrize("away", [signal.SIGSTOP, signal.SIGKILL])
def test_redis_goes_in_mid_answer(
    redis: RedisProcess, service: Service, visitor: Visitor, away: signal.Signals
) -> None:
    """F2: whoever waits for a whole answer gets 503 soon when Redis goes; the question is kept, and asked again with
    the same client id it is answered, once.
    """
    question = f"tokens=60 delay=0.05 {away.name}"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(visitor.ask, question, client_id="c")
        assert eventually(lambda: service.engine_calls(question), 10)
        assert eventually(lambda: visitor.get("/messages").json()["messages"][-1]["content"] == question, 5)
        began = time.monotonic()
        redis.send(away)
        is_unavailable(asking.result(20))
        assert time.monotonic() - began < 7, "2 s of outage, the wait that finds it, and a busy machine"
    if away == signal.SIGKILL:
        redis.start()
    else:
        redis.send(signal.SIGCONT)
    assert heals(visitor.caller, 9)
    again = eventually(lambda: (r := visitor.ask(question, client_id="c")).status_code == 200 and r, 20, 0.3)
    assert again
    assert again.json()["answer"] == spoken(60)
    assert visitor.texts().count(question) == 1


def test_the_reply_to_a_question_is_lost(proxy: Proxy, service: Service, visitor: Visitor) -> None:
    """F5: the reply to a question's begin lost: it is sent again at once, begun once and answered once, by JSON and by
    stream, and the visitor notices nothing.
    """
    proxy.swallow_after = b"lost by json"
    assert bounded(lambda: visitor.ask("lost by json", client_id="a"), 6).json()["answer"] == "echo: lost by json"
    proxy.swallow_after = b"lost by stream"
    with visitor.ask_streamed("lost by stream", client_id="b") as stream:
        assert stream.until("answer.end")[-1].data["message"]["content"] == "echo: lost by stream"
    assert proxy.swallowed == 2
    for kind in ("json", "stream"):
        assert service.engine_calls(f"lost by {kind}") == 1
    assert visitor.texts()[2:] == ["lost by json", "echo: lost by json", "lost by stream", "echo: lost by stream"]


def test_every_reply_to_a_question_is_lost(proxy: Proxy, service: Service, visitor: Visitor) -> None:
    """F5: that reply lost twice: 503, and the turn that nobody answers is closed when Redis is back, not when its lease
    is over; the same call again is answered, once.
    """

    def lose() -> None:
        if eventually(lambda: proxy.swallowed, 10, 0.005):
            proxy.swallow = True

    loser = threading.Thread(target=lose)
    loser.start()
    proxy.swallow_after = b"lost again"
    is_unavailable(bounded(lambda: visitor.ask("lost again", client_id="c"), 6))
    loser.join(15)
    began = time.monotonic()
    proxy.swallow = False
    answer = eventually(lambda: (r := visitor.ask("lost again", client_id="c")).status_code != 503 and r, 15, 0.1)
    assert answer
    waited = time.monotonic() - began
    if answer.status_code != 200:
        is_problem(answer, 502, "engine_failed")
        answer = visitor.ask("lost again", client_id="c")
    assert answer.json()["answer"] == "echo: lost again"
    assert waited < LEASE_SECONDS - 3, "it stood there until its lease was over"
    assert service.engine_calls("lost again") == 1
    assert visitor.texts()[2:] == ["lost again", "echo: lost again"]
