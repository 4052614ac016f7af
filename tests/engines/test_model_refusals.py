"""M2 and M9: a model's server that refuses a parameter is learned from once; one that refuses all calls says why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app import engines
from app.config import Settings
from app.engines.base import HasModels
from app.engines.openai import MAX_LEARNED
from app.engines.upstream import read_refusal
from app.errors import EngineBusy, EngineFailed, EngineRefused
from tests.engines.conftest import MakeSettings, answer, ask, text_of
from tests.engines.faulty_server import FaultyServer


def said(message: str, **more: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


NO_MAX_TOKENS = said(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    param="max_tokens", code="unsupported_parameter",
)  # fmt: skip
NO_STREAM_OPTIONS = {
    "detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted",
                "input": {"include_usage": True}}]
}  # fmt: skip
NO_COMPLETION_TOKENS = said("Unrecognized request argument supplied: max_completion_tokens")
NO_SYSTEM_ROLE = said("System role not supported by this chat template")


def test_another_name_for_the_limit_is_learned_once(
    openai: Settings, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that wants `max_completion_tokens` gets it, within the first question; later ones ask right at once."""
    server.refuses["max_tokens"] = (400, NO_MAX_TOKENS)
    engine = engines.create_engine(openai)
    assert text_of(list(engine.answer(ask("tokens=2")))) == "w0 w1 "
    assert [request.json.get("max_tokens") for request in server.requests] == [1024, None]
    assert server.requests[-1].json["max_completion_tokens"] == 1024
    assert text_of(list(engine.answer(ask("tokens=3")))) == "w0 w1 w2 "
    assert len(server.requests) == 3
    assert caplog.text.count("max_completion_tokens") == 1, "the log names the server's own reason, once"
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize("status", [400, 422])
def test_usage_is_not_asked_for_where_it_is_refused(openai: Settings, server: FaultyServer, status: int) -> None:
    """A server that knows no `stream_options` is asked without them."""
    server.refuses["stream_options"] = (status, NO_STREAM_OPTIONS)
    engine = engines.create_engine(openai)
    for number in (2, 3):
        assert text_of(list(engine.answer(ask("tokens=2")))) == "w0 w1 "
        assert len(server.requests) == number
    assert server.requests[-1].json["max_tokens"] == 1024


def test_everything_at_once(settings: MakeSettings, server: FaultyServer) -> None:
    """A server that takes no name for the limit, no usage and no system role still answers; the rules reach it."""
    server.refuses |= {
        "max_tokens": (400, NO_MAX_TOKENS),
        "max_completion_tokens": (400, NO_COMPLETION_TOKENS),
        "stream_options": (422, NO_STREAM_OPTIONS),
        "system": (400, NO_SYSTEM_ROLE),
    }
    engine = engines.create_engine(settings(engine="openai"))
    assert text_of(list(engine.answer(ask("tokens=2", "Hi", "Hello!")))) == "w0 w1 "
    sent = server.requests[-1].json
    assert sent.keys() == {"model", "messages", "stream"}
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][0]["content"].endswith("\n\nHi")
    assert "Sources" in sent["messages"][0]["content"]
    asked = len(server.requests)
    list(engine.answer(ask("tokens=2")))
    assert len(server.requests) == asked + 1


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 1024. This model has at most 512 completion tokens.",
        "This model's maximum context length is 4096 tokens; you asked for 5000 (1024 in max_tokens).",
        "The question is against the rules.",
    ],
)
def test_no_lesson_in_other_refusals(openai: Settings, server: FaultyServer, message: str) -> None:
    """A refusal that is about something else changes nothing and is not asked again."""
    server.refuses["max_tokens"] = (400, said(message))
    with pytest.raises(EngineFailed, match="refused the question"):
        answer(openai, "hello")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, said("Incorrect API key provided: sk-secret-key. You can find your API key at the account page.")),
        (401, {"message": "Unauthorized"}),
        (401, None),
        (403, {"detail": "Your key may not use this model"}),
        (402, said("Insufficient credits")),
        (404, said("The model `faulty` does not exist", code="model_not_found")),
        (429, said("You exceeded your current quota, check your plan and billing", code="insufficient_quota")),
    ],
)
def test_what_only_the_operator_can_mend(
    openai: Settings, server: FaultyServer, status: int, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """M9: a wrong key, model or account is not asked again, is not retryable, and log and health say what is wrong."""
    server.refuses["messages"] = (status, body)
    engine = engines.create_engine(openai)
    with pytest.raises(EngineRefused) as refused:
        list(engine.answer(ask("hello")))
    assert not refused.value.retryable
    assert refused.value.code == "engine_failed"
    assert len(server.requests) == 1
    assert engine.problem.startswith(f"the model refuses every call: {status}")  # type: ignore[attr-defined]
    reason = read_refusal(status, body, secrets=("sk-secret-key",)).reason
    for text in (caplog.text, engine.problem):  # type: ignore[attr-defined]
        assert f"{status} {reason}".strip() in text
        assert "sk-secret" not in text
    server.refuses.clear()
    assert text_of(list(engine.answer(ask("tokens=2"))))
    assert engine.problem == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "text", "final"),
    [
        ({"code": 401, "message": "No auth credentials found"}, "401 No auth credentials found", True),
        ({"code": "429", "message": "Slow down"}, "429 Slow down", False),
        ({"code": "server_error", "message": "Out of memory"}, "Out of memory", False),
    ],
)
def test_an_error_inside_the_stream(
    openai: Settings, server: FaultyServer, error: Any, text: str, final: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that answers 200 and then sends an error in its stream is understood as if it had said it by status."""
    server.script = ("text/event-stream", [b"data: " + json.dumps({"error": error}).encode() + b"\n\n"])
    engine = engines.create_engine(openai)
    with pytest.raises(EngineFailed) as failed:
        list(engine.answer(ask("hello")))
    assert text in caplog.text
    assert failed.value.retryable is not final
    assert bool(engine.problem) == final  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_webhook_that_refuses_every_call(
    settings: MakeSettings, server: FaultyServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The same of a webhook: a wrong address or secret."""
    server.refuses["query"] = (status, {"message": "The webhook is not registered: shared-secret-of-both"})
    engine = engines.create_engine(settings(engine="webhook"))
    with pytest.raises(EngineRefused):
        list(engine.answer(ask("hello")))
    for text in (caplog.text, engine.problem):  # type: ignore[attr-defined]
        assert f"{status} The webhook is not registered" in text
        assert "shared-secret" not in text
    server.refuses["query"] = (503, {})
    with pytest.raises(EngineBusy):
        list(engine.answer(ask("hello")))


def test_a_problem_is_known_behind_a_fallback(settings: MakeSettings, server: FaultyServer) -> None:
    """Where the folder answers instead of a model with a wrong key, the operator still learns of it."""
    server.refuses["messages"] = (401, said("No such key"))
    engine = engines.create_engine(settings(engine="openai", fallback="knowledge"))
    assert text_of(list(engine.answer(ask("When is a garden watered?"))))
    assert "No such key" in engine.problem  # type: ignore[attr-defined]


QUESTION = "my very private question about my health"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (said("Bad key sk-proj-abcdef123 given"), "Bad key … given"),
        (said("Bad header Bearer abc.def"), "Bad header …"),
        (said("Key 0123456789abcdef0123456789abcdef is unknown"), "Key … is unknown"),
        (said("own-secret is wrong"), "… is wrong"),
        (said(f"The prompt '{QUESTION}' was flagged"), "The prompt '…"),
        (said(f"Prompt: {QUESTION.upper()}"), "Prompt: …"),
        (said("a\x00b\nc\u202e" + "d" * 2), "ab cdd"),
        ({"detail": [{"loc": ["body", "x"], "msg": "Field required", "input": QUESTION}]}, "body.x: Field required"),
        ({"error": "plain words"}, "plain words"),
        ("plain words", "plain words"),
        ("\n<!doctype html><title>Bad gateway</title>", ""),
        (["x"], ""),
        ({"error": {"message": {"a": 1}}}, ""),
        (None, ""),
        (said("word " * 10_000), ("word " * 60)[:299] + "…"),
    ],
)
def test_a_reason_holds_no_secret_and_no_question(body: Any, text: str) -> None:
    """What a server says goes to the log in one line of 300 characters, without keys and without visitors' words."""
    refusal = read_refusal(400, body, secrets=("own-secret",), private=(QUESTION, "another one"))
    assert len(refusal.reason) <= 300
    assert refusal.reason == text


def test_what_one_model_refuses_is_not_kept_from_another(settings: MakeSettings, server: FaultyServer) -> None:
    """With a model of the caller's choice, what was learned is that model's alone; of many the oldest are forgotten."""
    engine = engines.create_engine(settings(engine="openai"))
    server.refuses["max_tokens"] = (400, NO_MAX_TOKENS)
    list(engine.answer(replace(ask("tokens=2"), model="picky")))
    server.refuses.clear()
    list(engine.answer(replace(ask("tokens=3"), model="other")))
    assert server.requests[-1].json["max_tokens"] == 1024
    list(engine.answer(replace(ask("tokens=4"), model="picky")))
    assert (server.requests[-1].json["model"], server.requests[-1].json.get("max_tokens")) == ("picky", None)
    server.refuses["max_tokens"] = (400, NO_MAX_TOKENS)
    for number in range(MAX_LEARNED + 3):
        list(engine.answer(replace(ask("tokens=1"), model=f"m{number}")))
    assert len(engine._learned) == MAX_LEARNED  # type: ignore[attr-defined]


def test_a_wrong_choice_is_no_problem_of_the_service(settings: MakeSettings, server: FaultyServer) -> None:
    """A caller's model that the server does not have does not make /health unwell; a wrong key does."""
    server.models = ("faulty",)
    engine = engines.create_engine(settings(engine="openai"))
    with pytest.raises(EngineRefused, match="The model nowhere cannot be used"):
        list(engine.answer(replace(ask("hi"), model="nowhere")))
    assert engine.problem == ""  # type: ignore[attr-defined]
    server.refuses["stream"] = (401, said("Wrong key", code="invalid_api_key"))
    with pytest.raises(EngineRefused):
        list(engine.answer(replace(ask("hi"), model="faulty")))
    assert "401" in engine.problem  # type: ignore[attr-defined]


def test_a_server_without_a_list_of_models(settings: MakeSettings, server: FaultyServer) -> None:
    """It is asked once a minute at most, and the list is empty; with a fallback the first engine's list counts."""
    for fallback in ("", "knowledge"):
        engine = engines.create_engine(settings(engine="openai", fallback=fallback))
        assert isinstance(engine, HasModels)
        asked = len(server.requests)
        assert [engine.list_models(), engine.list_models()] == [[], []]
        assert len(server.requests) == asked + 1
    server.models = ("faulty", "b")
    assert engines.create_engine(settings(engine="openai", fallback="knowledge")).list_models() == ["faulty", "b"]  # type: ignore[attr-defined]
