"""Rate limits and the engine budget: what they count, what they say, and what they spare."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import API_KEY, RunningService
from tests.contract.feeds import SseFeed
from tests.contract.launch import eventually

hosts = itertools.count(2)


@pytest.fixture
def caller(limited: RunningService) -> ApiClient:
    """From a loopback address of its own, so that the tests do not count against each other."""
    return ApiClient(limited.base, address=f"127.0.0.{next(hosts)}")


@pytest.fixture
def visitor(caller: ApiClient) -> Visitor:
    return caller.create()


def is_limited(answer: httpx.Response, most: int) -> None:
    assert is_problem(answer, 429, "rate_limited")["retryable"] is True
    assert 1 <= int(answer.headers["retry-after"]) <= most
    assert int(answer.headers["x-ratelimit-limit"]) > 0
    assert answer.headers["x-ratelimit-remaining"] == "0"


def test_creates(caller: ApiClient) -> None:
    """`RATE_LIMIT_CREATE` counts creates per address; `rate_limited` 429 with `Retry-After`."""
    assert [caller.post("/api/session/create").status_code for _ in range(5)] == [201] * 5
    for _ in range(3):
        is_limited(caller.post("/api/session/create"), 60)
    assert ApiClient(caller.base, address=f"127.0.0.{next(hosts)}").post("/api/session/create").status_code == 201


def test_append_and_chat_together(visitor: Visitor) -> None:
    """`RATE_LIMIT_SESSION` counts append and chat together."""
    for number in range(3):
        assert visitor.say(f"m{number}").status_code == 201
        assert visitor.ask(f"q{number}").status_code == 200
    is_limited(visitor.say("too many"), 3600)
    is_limited(visitor.ask("too many"), 3600)
    is_limited(visitor.ask("too many", headers={"Accept": "text/event-stream"}), 3600)
    assert len(visitor.texts()) == 9


def test_a_limit_is_a_sessions(caller: ApiClient) -> None:
    """One session's limit is not another's."""
    one, other = caller.create(), caller.create()
    assert [one.say(f"m{number}").status_code for number in range(7)] == [201] * 6 + [429]
    assert other.say("hello").status_code == 201


def test_replays_count_for_the_address_alone(limited: RunningService, visitor: Visitor) -> None:
    """Replays by `client_id` count against no session limit; the limit by address counts every call."""
    assert visitor.say("first", client_id="a").status_code == 201
    assert visitor.ask("second", client_id="b").status_code == 200
    assert {visitor.say("first", client_id="a").status_code for _ in range(5)} == {200}
    assert {visitor.ask("second", client_id="b").status_code for _ in range(5)} == {200}
    is_limited(visitor.say("first", client_id="a"), 60)
    is_limited(visitor.ask("second", client_id="b"), 60)
    elsewhere = Visitor(ApiClient(limited.base, address=f"127.0.0.{next(hosts)}"), visitor.id)
    assert [elsewhere.say(f"m{number}").status_code for number in range(5)] == [201] * 4 + [429]
    assert elsewhere.say("first", client_id="a").status_code == 200
    assert elsewhere.ask("second", client_id="b").status_code == 200


def test_a_retry_of_a_failed_question_is_free_of_the_sessions_limit(visitor: Visitor) -> None:
    """The same question again after its answer failed counts as it did the first time, at the limit too."""
    question = f"raise-once {visitor.id[-6:]}"
    assert visitor.ask(question, client_id="c").status_code == 502
    assert {visitor.say(f"m{number}").status_code for number in range(5)} == {201}
    is_limited(visitor.say("too many"), 3600)
    assert visitor.ask(question, client_id="c").status_code == 200


def test_the_headers_of_the_last_question(visitor: Visitor) -> None:
    """Each answer shows the session's limit, the last one that is within it too."""
    remaining = []
    for number in range(3):
        for answer in (visitor.say(f"m{number}"), visitor.ask(f"q{number}")):
            assert answer.headers["x-ratelimit-limit"] == "6"
            assert 0 < int(answer.headers["x-ratelimit-reset"]) - time.time() <= 3601
            remaining.append(answer.headers["x-ratelimit-remaining"])
    assert remaining == ["5", "4", "3", "2", "1", "0"]


def test_reads_are_free(visitor: Visitor) -> None:
    """Reads, heartbeats and feeds are not counted."""
    assert {visitor.say(f"m{number}").status_code for number in range(6)} == {201}
    is_limited(visitor.say("x"), 3600)
    for _ in range(15):
        assert (
            visitor.get().status_code
            == visitor.get("/messages").status_code
            == visitor.post("/heartbeat").status_code
            == 200
        )
    with visitor.events() as feed, visitor.ws():
        assert feed.status == 200
    assert visitor.post("/end").status_code == 200


def test_an_address(caller: ApiClient) -> None:
    """`RATE_LIMIT_ADDRESS` counts append and chat per address, over its sessions."""
    visitors = [caller.create() for _ in range(3)]
    statuses = [visitors[number % 3].say(f"m{number}").status_code for number in range(14)]
    assert statuses == [201] * 12 + [429] * 2
    is_limited(visitors[0].say("x"), 60)


def test_ratings(caller: ApiClient, visitor: Visitor) -> None:
    """A rating counts by address too: each change of one is an event to the owner's own systems."""
    owner = Visitor(ApiClient(caller.base, address=f"127.0.0.{next(hosts)}"), visitor.id)
    answer = owner.said("Yes.", role="assistant", headers={"Authorization": f"Bearer {API_KEY}"})
    path = f"/messages/{answer['id']}/feedback"
    statuses = [visitor.post(path, {"rating": ("up", "down")[n % 2]}).status_code for n in range(14)]
    assert statuses == [200] * 12 + [429] * 2


def test_a_reader_at_a_browser(caller: ApiClient) -> None:
    """A search on the pages counts too; at the limit a browser gets a page, with `Retry-After`."""
    answers = [caller.get("/knowledge?q=berth", headers={"Accept": "text/html"}) for _ in range(13)]
    assert [answer.status_code for answer in answers] == [200] * 12 + [429]
    assert answers[-1].headers["Content-Type"].startswith("text/html")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    is_limited(caller.get("/knowledge?q=berth"), 60)


CALLS: list[Callable[[Visitor], httpx.Response]] = [
    lambda visitor: visitor.say("hello"),
    lambda visitor: visitor.ask("hello"),
    lambda visitor: visitor.caller.resume(visitor.id),
    lambda visitor: visitor.post("/handoff"),
    lambda visitor: visitor.caller.post("/api/session/me/handoff", headers=visitor.bearer),
]


@pytest.mark.parametrize("call", CALLS, ids=["append", "chat", "resume", "handoff", "handoff of me"])
def test_every_limited_call_counts_in_one_window(
    limited: RunningService, call: Callable[[Visitor], httpx.Response]
) -> None:
    """Append, chat, resume and handoff are counted together by address, whatever comes of them, and refused alike."""
    elsewhere = ApiClient(limited.base, address=f"127.0.0.{next(hosts)}").create()
    visitor = Visitor(ApiClient(limited.base, address=f"127.0.0.{next(hosts)}"), elsewhere.id)
    ghost = Visitor(visitor.caller, "ses_" + "B" * 32)
    assert call(visitor).status_code in (200, 201)
    assert {ghost.say("hello").status_code for _ in range(4)} == {404}
    assert {visitor.say("").status_code for _ in range(4)} == {422}
    assert {visitor.caller.resume("tkt_nothing").status_code for _ in range(3)} == {404}
    is_limited(call(visitor), 60)
    is_limited(ghost.say("hello"), 60)
    assert call(elsewhere).status_code in (200, 201), "another address is not limited"


def test_a_chat_without_a_session(limited: RunningService, caller: ApiClient) -> None:
    """A chat without a session counts against the address; a refused call costs no engine call."""
    answers = [
        caller.post("/api/chat", json={"query": f"sessionless-{caller.http._transport!r}"[:20] + f" {number}"})
        for number in range(13)
    ]
    assert [answer.status_code for answer in answers] == [200] * 12 + [429]
    is_limited(answers[-1], 60)
    calls = limited.own.calls.read_text()
    is_limited(caller.post("/api/chat", json={"query": "refused"}), 60)
    assert limited.own.calls.read_text() == calls


def test_unknown_sessions_cost_nothing(caller: ApiClient) -> None:
    """A useless id is 404, not 429 nor a free try at others: it says the same however often."""
    ghost = Visitor(caller, "ses_" + "B" * 32)
    assert {ghost.get().status_code for _ in range(20)} == {404}


def test_the_key_in_redis(limited: RunningService, visitor: Visitor) -> None:
    """What the limits leave in Redis holds no id, expires, and goes with an erase."""
    visitor.said("hello")
    with limited.redis.client() as look:
        names = " ".join(look.scan_iter(count=1000))
    assert visitor.id not in names
    assert visitor.id[4:] not in names
    with limited.redis.client() as look:
        assert [name for name in look.scan_iter(count=1000) if look.ttl(name) == -1] == []
    assert visitor.erase().status_code == 204
    ref = hashlib.sha256(visitor.id.encode()).hexdigest()
    assert [name for name in limited.key_names() if ref[:10] in name] == []


def test_a_servers_calls(visitor: Visitor) -> None:
    """The API key lifts the role, not the roof: its appends are stored or limited, never broken."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    assert {visitor.say(f"m{n}", role="assistant", headers=key).status_code for n in range(9)} <= {201, 429}


@pytest.fixture
def fresh(budget: RunningService) -> Iterator[ApiClient]:
    """A service whose budget nobody has used yet."""
    with budget.redis.client() as look:
        look.flushall()
    return ApiClient(budget.base)


def test_turns_at_once(budget: RunningService, fresh: ApiClient) -> None:
    """A quarter of `ENGINE_CONCURRENCY` reached from one address: 503 `engine_busy` with `Retry-After`; free again when
    a turn ends; the question can be asked again.
    """
    visitors = [fresh.create() for _ in range(3)]
    feeds = [visitor.ask_streamed("tokens=40 delay=0.03") for visitor in visitors[:2]]
    for feed in feeds:
        feed.until("answer.start")
    for accept in ("application/json", "text/event-stream"):
        refused = visitors[2].ask("busy-now", client_id="c", headers={"Accept": accept})
        assert is_problem(refused, 503, "engine_busy")["retryable"] is True
        assert int(refused.headers["retry-after"]) >= 1
    is_problem(fresh.post("/api/chat", json={"query": "busy-now"}), 503, "engine_busy")
    assert budget.own.engine_calls("busy-now") == 0
    for feed in feeds:
        assert feed.until_closed()[-1].event == "answer.end"
    answer = visitors[2].ask("busy-now", client_id="c")
    assert answer.status_code == 200
    assert visitors[2].texts() == ["busy-now", answer.json()["answer"]]


def test_turns_a_minute(budget: RunningService, fresh: ApiClient) -> None:
    """`ENGINE_PER_MINUTE` reached: the same."""
    if time.time() % 60 > 52:
        threading.Event().wait(61 - time.time() % 60)
    visitor = fresh.create()
    for number in range(3):
        assert visitor.ask(f"minute {number}").status_code == 200
        assert fresh.post("/api/chat", json={"query": f"minute {number}"}).status_code == 200
    for refused in (visitor.ask("per-minute"), fresh.post("/api/chat", json={"query": "per-minute"})):
        assert is_problem(refused, 503, "engine_busy")["retryable"] is True
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert budget.own.engine_calls("per-minute") == 0
    assert visitor.say("appends go on").status_code == 201


def admitted(visitor: Visitor) -> SseFeed | None:
    """A turn that was let in."""
    feed = visitor.ask_streamed("tokens=20 delay=0.05")
    return feed if feed.status == 200 else None


def test_a_budget_is_given_back(budget: RunningService, fresh: ApiClient) -> None:
    """A turn that failed, was stopped or was erased gives its place back."""
    visitors = [fresh.create() for _ in range(4)]
    assert visitors[0].ask("fail").status_code == 502
    feed = visitors[1].ask_streamed("tokens=500 delay=0.03")
    feed.until("answer.delta")
    visitors[1].post("/stop")
    feed.until_closed()
    feed = visitors[2].ask_streamed("tokens=500 delay=0.03")
    feed.until("answer.delta")
    visitors[2].erase()
    feed.until_closed()
    feeds = [eventually(partial(admitted, visitors[number]), 3, 0.1) for number in (0, 3)]
    assert None not in feeds, "a place was not given back"
    assert [feed.until_closed()[-1].event for feed in feeds if feed] == ["answer.end"] * 2
