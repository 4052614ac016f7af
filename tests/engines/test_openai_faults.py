"""A model behind an OpenAI-compatible server that fails: plain error messages, and a retry where it helps."""

from __future__ import annotations

import resource
import socket
import time

import pytest

from app import engines
from app.config import Settings
from app.engines.base import CancelToken, FallbackNotice, TextChunk
from app.engines.openai import retry_after
from app.errors import EngineFailed, EngineTimeout
from tests.conftest import until
from tests.engines.conftest import answer, ask, text_of
from tests.engines.faulty_server import FaultyServer

FAULTS = {
    "refuse": "reached",
    "status=429": "busy",
    "status=500": "trouble",
    "status=401": "operator",
    "status=400": "refused",
    "garbage": "read",
    "html": "broke off|no answer",
    "empty": "no answer",
    "endless-line": "read",
    "endless-event": "read",
    "fail": "read",
    "die-after=0": "reached",
    "die-after=5": "broke off",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_fails_the_turn_in_plain_words(
    openai: Settings, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server does, the turn ends with EngineFailed, and neither key nor question is shown or logged.

    What the server says of a refusal is logged, and not shown.
    """
    with pytest.raises(EngineFailed, match=FAULTS[fault]) as failed:
        answer(openai, f"{fault} my-private-words")
    shown = failed.value.detail + caplog.text
    assert "sk-secret" not in shown
    assert "my-private-words" not in shown
    assert "scripted" not in failed.value.detail
    assert ("scripted" in caplog.text) == (fault.startswith("status=") or fault == "fail")


@pytest.mark.parametrize("fault", ["hang", "hang-body", "drip", "stall-after=3"])
def test_silence_is_timed_from_the_last_word(openai: Settings, fault: str) -> None:
    """Signs of life without a word do not count as words."""
    began = time.monotonic()
    with pytest.raises(EngineTimeout):
        answer(openai, fault, idle_timeout=0.6)
    assert 0.5 < time.monotonic() - began < 1.5


def test_words_before_a_break_are_handed_on(openai: Settings) -> None:
    """A model that dies in the middle leaves its words so far."""
    said: list[str] = []
    with pytest.raises(EngineFailed):  # noqa: PT012 - the words before it count
        for chunk in engines.create_engine(openai).answer(ask("die-after=5")):
            said.extend([chunk.text] if isinstance(chunk, TextChunk) else [])
    assert "".join(said) == "w0 w1 w2 w3 w4 "


def test_nobody_listening_is_a_plain_failure(settings: Settings) -> None:
    """A server that is not there fails the turn quickly."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        config = settings(engine="openai", openai_base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(EngineFailed, match="reached"):
            answer(config, "hello")


@pytest.mark.parametrize("fault", ["status=429", "status=500", "status=503"])
def test_one_retry_where_it_helps(openai: Settings, server: FaultyServer, fault: str) -> None:
    """A server in trouble is asked once more, and only once."""
    assert text_of(answer(openai, f"{fault} times=1 tokens=2")) == "w0 w1 "
    assert len(server.requests) == 2
    with pytest.raises(EngineFailed):
        answer(openai, f"{fault} times=2 tokens=2")
    assert len(server.requests) == 4


def test_the_retry_waits_for_retry_after(openai: Settings, server: FaultyServer) -> None:
    """Retry-After is honoured; one that asks for too much ends the turn at once and is passed on."""
    began = time.monotonic()
    answer(openai, "status=429 times=1 retry-after=1 tokens=2")
    assert 1.0 <= time.monotonic() - began < 3
    began = time.monotonic()
    with pytest.raises(EngineFailed) as failed:
        answer(openai, "status=429 retry-after=600 tokens=2", idle_timeout=900)
    assert time.monotonic() - began < 1
    assert failed.value.retry_after == 600
    assert len(server.requests) == 3


def test_retry_after_is_read_as_number_and_as_date() -> None:
    """Both spellings of the header are understood; nonsense is none."""
    assert retry_after("2.5") == 2.5
    assert retry_after("Fri, 01 Jan 2100 00:00:00 GMT") > 1e9
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert retry_after("soon") is None
    assert retry_after("") is None


@pytest.mark.parametrize("fault", ["status=401", "status=400", "die-after=3", "stall-after=3", "hang", "garbage"])
def test_no_retry_where_it_cannot_help(openai: Settings, server: FaultyServer, fault: str) -> None:
    """A refusal, silence, garbage, or a break after the first word is not asked again."""
    with pytest.raises(EngineFailed):
        answer(openai, fault, idle_timeout=0.5)
    assert len(server.requests) == 1


@pytest.mark.parametrize("question", ["hang", "hang-body", "stall-after=2"])
def test_a_stop_hangs_up_at_once(openai: Settings, server: FaultyServer, question: str) -> None:
    """The server sees the connection close as soon as the turn is stopped, so that it stops computing."""
    import threading

    cancel = CancelToken()
    runner = threading.Thread(
        target=lambda: list(engines.create_engine(openai).answer(ask(question, cancel=cancel, idle_timeout=30)))
    )
    runner.start()
    until(lambda: server.requests, what="the question to arrive")
    cancel.set()
    assert server.client_closed.wait(2)
    runner.join(2)
    assert not runner.is_alive()


def test_memory_stays_flat_under_endless_input(openai: Settings) -> None:
    """Twenty endless lines take no more memory than the first few."""

    def grown(times: int) -> int:
        for _ in range(times):
            for fault in ("endless-line", "endless-event"):
                with pytest.raises(EngineFailed):
                    answer(openai, fault)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = grown(3)
    assert grown(5) - first < 30_000, "kilobytes"


def test_the_fallback_answers_before_the_first_word_only(settings: Settings) -> None:
    """With BATON_FALLBACK=knowledge a model that is down is stood in for, and marked; one that breaks off is not."""
    config = settings(engine="openai", fallback="knowledge")
    chunks = answer(config, "status=500 When is a garden watered?")
    degraded = [at for at, chunk in enumerate(chunks) if isinstance(chunk, FallbackNotice)]
    texts = [at for at, chunk in enumerate(chunks) if isinstance(chunk, TextChunk)]
    assert len(degraded) == 1
    assert degraded[0] < texts[0]
    with pytest.raises(EngineFailed):
        answer(config, "die-after=3")
    assert not any(isinstance(chunk, FallbackNotice) for chunk in answer(config, "tokens=3"))
