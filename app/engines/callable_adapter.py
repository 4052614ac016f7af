"""Calls a site's Python: a function or a class, plain, generator or async; runs in the engine process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from app.engines.base import AnswerChunk, CitationsChunk, EngineRequest, message_dicts, outcome_chunks
from app.engines.citations import renumber_citations
from app.errors import EngineFailed

_ARGUMENTS: dict[str, Callable[[EngineRequest], Any]] = {
    "question": lambda request: request.question,
    "query": lambda request: request.question,
    "message": lambda request: request.question,
    "history": lambda request: message_dicts(request.history),
    "metadata": lambda request: dict(request.metadata),
    "session_ref": lambda request: request.session_ref,
    "search": lambda request: request.search,
    "cancel": lambda request: request.cancel,
    "request": lambda request: request,
    # The names of version 0.1:
    "find": lambda request: request.search,
    "stop": lambda request: request.cancel,
    "turn": lambda request: request,
}
"""What a parameter of that name gets; a first parameter of any other name gets the request."""


class EngineLoadError(Exception):
    """The name cannot be imported or called; the message says why."""


def import_target(target: str) -> Callable[..., Any]:
    """What ``package.module:attribute`` names. Raises EngineLoadError."""
    module, _, path = target.partition(":")
    try:
        attribute: Any = importlib.import_module(module)
        for name in path.split("."):
            attribute = getattr(attribute, name)
    except (Exception, SystemExit) as error:
        raise EngineLoadError(f"{type(error).__name__}: {error}") from error
    call: Callable[..., Any] | None = attribute if callable(attribute) else getattr(attribute, "answer", None)
    if not callable(call):
        raise EngineLoadError("it cannot be called")
    return call


def iterate_answer(target: Callable[..., Any], request: EngineRequest) -> Generator[Any]:
    """Calls the target and yields its answer, in whatever form it comes, as strings and chunks."""
    if inspect.isclass(target):
        instance: Any = target()
        target = instance.answer
    result = _call_with_injected_args(target, request)
    answer = getattr(result, "answer", None)
    if callable(answer):  # a function that makes an engine
        result = _call_with_injected_args(answer, request)
    yield from _normalize_result(result)


def _call_with_injected_args(target: Callable[..., Any], request: EngineRequest) -> Any:
    """The target's result; its parameters are filled by their names."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, without names
        return target(request.question)
    args, kwargs = [], {}
    for number, parameter in enumerate(parameters):
        if parameter.name in _ARGUMENTS and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            value = _ARGUMENTS[parameter.name](request)
        elif number == 0 and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            value = request.question if parameter.annotation in (str, "str") else request
        else:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return target(*args, **kwargs)


def _normalize_result(result: Any) -> Iterator[Any]:
    """Accepts a string, a mapping, chunks, an iterable of these, and the same from async code."""
    if inspect.isawaitable(result):
        yield from _normalize_result(asyncio.run(_await(result)))
    elif isinstance(result, AsyncIterator):
        yield from _run_async_generator(result)
    elif isinstance(result, Mapping):
        yield from _chunks_from_mapping(result)
    elif isinstance(result, str | AnswerChunk):
        yield result
    elif isinstance(result, Iterable):
        for chunk in result:
            yield from _chunks_from_mapping(chunk) if isinstance(chunk, Mapping) else (chunk,)
    else:
        raise EngineFailed("The engine gave something that is no answer.")


async def _await(result: Any) -> Any:
    return await result


def _run_async_generator(chunks: AsyncIterator[Any]) -> Iterator[Any]:
    """An async generator, one chunk at a time, in an event loop of its own; closed with everything it opened."""
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    chunk = runner.run(_await(anext(chunks)))
                except StopAsyncIteration:
                    return
                yield from _chunks_from_mapping(chunk) if isinstance(chunk, Mapping) else (chunk,)
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                runner.run(_await(close()))


def _chunks_from_mapping(answer: Mapping[str, Any]) -> Iterator[Any]:
    """``answer`` (or ``text``), ``citations``, ``not_found`` and ``handoff``."""
    text = answer.get("answer", answer.get("text", ""))
    if not isinstance(text, str):
        raise EngineFailed("The engine gave something that is no text.")
    citations = answer.get("citations")
    if isinstance(citations, (list, tuple)):
        text, citations = renumber_citations(text, citations)
        yield text
        yield CitationsChunk(citations)
    elif text or "handoff" not in answer:
        yield text
    yield from outcome_chunks(answer)
