"""BATON_OPENAI_PASS_MODEL: a call to /v1 chooses the model that the `openai` engine asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.contract.conftest import API_KEY, NO_LIMITS, RunningService
from tests.engines.faulty_server import FaultyServer

MODELS = ("small", "large", "org/deep-8b:free")


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultyServer]:
    """The server behind the engine."""
    with FaultyServer(models=MODELS) as server:
        yield server


def _client(upstream: FaultyServer, **settings: str) -> Iterator[openai.OpenAI]:
    engine = {"BATON_ENGINE": "openai", "OPENAI_BASE_URL": f"{upstream.url}/v1", "OPENAI_MODEL": "small"}
    service = RunningService(NO_LIMITS | engine | {"BATON_API_KEY": API_KEY} | settings)
    with openai.OpenAI(base_url=f"{service.base}/v1", api_key=API_KEY, max_retries=0) as client:
        yield client
    service.stop()


@pytest.fixture(scope="module")
def client(upstream: FaultyServer) -> Iterator[openai.OpenAI]:
    """A client of a service that passes the model on."""
    yield from _client(upstream, BATON_OPENAI_PASS_MODEL="on")


@pytest.fixture(scope="module")
def unpassed(upstream: FaultyServer) -> Iterator[openai.OpenAI]:
    """A client of a service with the default settings."""
    yield from _client(upstream)


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def asked(upstream: FaultyServer) -> str:
    """The model of the last question that reached the server."""
    questions = [request for request in upstream.requests if request.body]
    return str(questions[-1].json["model"])


def test_the_model_is_passed(client: openai.OpenAI, upstream: FaultyServer) -> None:
    """Every kind of call asks the model that it names; one that names none asks the configured one."""
    client.chat.completions.create(model="large", messages=messages("hi"))
    assert asked(upstream) == "large"
    for chunk in client.chat.completions.create(model="org/deep-8b:free", messages=messages("hi"), stream=True):
        assert chunk.model == "org/deep-8b:free"
    assert asked(upstream) == "org/deep-8b:free"
    first = client.responses.create(model="large", input="hi")
    assert (asked(upstream), first.model) == ("large", "large")
    client.responses.create(model="small", input="and", previous_response_id=first.id)
    assert asked(upstream) == "small"
    client.responses.create(model="large", input="hi", store=False)
    assert asked(upstream) == "large"
    client.responses.create(input="hi")
    assert asked(upstream) == "small"


def test_the_servers_models_are_listed(client: openai.OpenAI) -> None:
    """The configured model first, then those of the engine's server, each once; others are not found."""
    assert [model.id for model in client.models.list()] == list(MODELS)
    assert client.models.retrieve("org/deep-8b:free").id == "org/deep-8b:free"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


def test_a_model_that_the_server_does_not_have(client: openai.OpenAI) -> None:
    """It is an error that names the model, and says nothing of the configured one: the service stays healthy."""
    with pytest.raises(openai.InternalServerError, match="The model huge"):
        client.chat.completions.create(model="huge", messages=messages("hi"))
    health = client.with_options().get("/../health", cast_to=object)
    assert "refuses" not in str(health)
    assert client.chat.completions.create(model="large", messages=messages("hi")).choices[0].message.content


@pytest.mark.parametrize("name", ["a b", "é", "a\nb", "x" * 257, "\u0000"])
def test_wrong_names(client: openai.OpenAI, name: str) -> None:
    """A name that no model has is refused before anything is asked or stored."""
    for call in (
        lambda: client.chat.completions.create(model=name, messages=messages("hi")),
        lambda: client.responses.create(model=name, input="hi"),
        lambda: client.responses.create(model=name, input="hi", store=False),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            call()
        assert refused.value.param == "model"


def test_off_by_default(unpassed: openai.OpenAI, upstream: FaultyServer) -> None:
    """Without the setting any name is accepted, the configured model is asked, and it alone is listed."""
    assert unpassed.chat.completions.create(model="any name", messages=messages("hi")).model == "any name"
    assert asked(upstream) == "small"
    assert [model.id for model in unpassed.models.list()] == ["small"]


def test_usage(client: openai.OpenAI) -> None:
    """The tokens that the engine counts are sent, in a stream by its last chunk and only where it is wanted."""
    whole = client.chat.completions.create(model="large", messages=messages("hi"))
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (70, 7, 77)
    wanted = {"include_usage": True}
    *chunks, last = client.chat.completions.create(
        model="large", messages=messages("hi"), stream=True, stream_options=wanted
    )
    assert (last.choices, last.usage and last.usage.total_tokens) == ([], 77)
    assert {chunk.usage for chunk in chunks} == {None}
    assert chunks[-1].choices[0].finish_reason == "stop"
    plain = list(client.chat.completions.create(model="large", messages=messages("hi"), stream=True))
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in plain)
