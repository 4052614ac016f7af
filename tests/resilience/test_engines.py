"""Engines elsewhere that refuse, hang, break off or answer nonsense, as a visitor of the real service sees them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient, is_problem
from tests.contract.feeds import joined
from tests.contract.launch import RedisProcess, Service
from tests.engines.faulty_server import FaultyServer
from tests.resilience.write_auditor import note

Serve = Callable[..., Service]
FAULTS = ("refuse", "status=429", "status=500", "hang", "hang-body", "drip", "stall-after=20", "die-after=20",
          "garbage", "html", "endless-line", "endless-event", "empty", "fail")  # fmt: skip
SILENT = ("hang", "hang-body", "drip", "stall-after=20")
CODES = dict.fromkeys(SILENT, ("engine_timeout",)) | {"status=429": ("engine_failed", "engine_busy")}
SPEAKING = ("stall-after=20", "die-after=20")
BACK = "w0 w1 w2 "


def settings(kind: str, url: str) -> dict[str, str]:
    if kind == "openai":
        return {"BATON_ENGINE": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
    return {"BATON_ENGINE": "webhook", "BATON_WEBHOOK_URL": f"{url}/hook", "BATON_WEBHOOK_ALLOW_PRIVATE": "true"}


def memory(service: Service) -> int:
    """MB that the workers hold."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) // 256 for pid in service.workers())


@pytest.mark.parametrize("kind", ["openai", "webhook"])
def test_a_broken_engine(redis: RedisProcess, serve: Serve, kind: str) -> None:
    """F13: an engine refuses, is busy, fails, hangs, stalls, dies in mid-word, sends rubbish, an endless line, nothing:
    `answer.error`, the question kept, words kept, Retry asks it again; memory flat.
    """
    with FaultyServer() as engine:
        service = serve(redis.url, BATON_ENGINE_TIMEOUT="3", **settings(kind, engine.url))
        ApiClient(service.base).create().ask("tokens=3")
        before = memory(service)

        def meet(fault: str) -> None:
            visitor = ApiClient(service.base).create()
            with visitor.events() as feed, visitor.ask_streamed(fault, client_id="c") as stream:
                for reader in (feed, stream):
                    events = reader.until("answer.error", seconds=20)[-1].data
                    assert events["code"] in CODES.get(fault, ("engine_failed",)), fault
                    assert bool(events.get("message")) is (fault in SPEAKING), fault
                    assert joined(list(reader.events)) == (events["message"]["content"] if fault in SPEAKING else "")
            asked = len(engine.requests)
            again = visitor.ask(fault, client_id="c")
            status, code = (504, "engine_timeout") if fault in SILENT else (502, "engine_failed")
            assert is_problem(again, status, code)["retryable"] is True
            assert len(engine.requests) > asked, "Retry did not ask it again"
            assert visitor.texts()[0] == fault
            assert [message["role"] for message in visitor.history()].count("user") == 1
            assert len(visitor.history()) == (3 if fault in SPEAKING else 1)
            # a model is given the failed question joined with the next one, so that it would fail here again
            answered = (visitor if kind == "webhook" else ApiClient(service.base).create()).ask("tokens=3")
            assert answered.status_code == 200, answered.text
            assert answered.json()["answer"].strip() == BACK.strip()

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(meet, FAULTS))
        note(ok=len(FAULTS))
        assert memory(service) - before < 40
