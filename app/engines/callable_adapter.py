"""Calls somebody's Python: a function or a class, plain, generator or async; runs in the engine process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from app.engines.base import CitationsChunk, EngineRequest, FallbackNotice, TextChunk, TokenUsage
from app.engines.citations import aligned
from app.errors import EngineFailed

_BY_NAME: dict[str, Callable[[EngineRequest], Any]] = {
    "question": lambda turn: turn.question,
    "query": lambda turn: turn.question,
    "message": lambda turn: turn.question,
    "history": lambda turn: [{"role": said.role, "content": said.content} for said in turn.history],
    "metadata": lambda turn: dict(turn.metadata),
    "session_ref": lambda turn: turn.session_ref,
    "find": lambda turn: turn.search,
    "stop": lambda turn: turn.cancel,
    "turn": lambda turn: turn,
}
"""What a parameter of that name is given; a first parameter of any other name is given the turn."""


class NoEngine(Exception):
    """The name leads to nothing that can be called; the message says why."""


def load(target: str) -> Callable[..., Any]:
    """What ``package.module:attribute`` names. Raises NoEngine where there is none or it cannot be called."""
    module, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (Exception, SystemExit) as error:
        raise NoEngine(f"{type(error).__name__}: {error}") from error
    call: Callable[..., Any] | None = found if callable(found) else getattr(found, "answer", None)
    if not callable(call):
        raise NoEngine("it cannot be called")
    return call


def said(target: Callable[..., Any], turn: EngineRequest) -> Iterator[Any]:
    """Calls it, and yields what it says in whatever way it says it; runs inside the turn's thread."""
    if inspect.isclass(target):
        made: Any = target()
        target = made.answer
    result = _called(target, turn)
    answer = getattr(result, "answer", None)
    if callable(answer):  # a function that makes an engine
        result = _called(answer, turn)
    yield from _unfolded(result)


def _called(target: Callable[..., Any], turn: EngineRequest) -> Any:
    """The target's result; its parameters are filled by their names."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, without names
        return target(turn.question)
    in_order, by_name = [], {}
    for number, parameter in enumerate(parameters):
        if parameter.name in _BY_NAME and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            value = _BY_NAME[parameter.name](turn)
        elif number == 0 and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            value = turn.question if parameter.annotation in (str, "str") else turn
        else:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            in_order.append(value)
        else:
            by_name[parameter.name] = value
    return target(*in_order, **by_name)


def _unfolded(result: Any) -> Iterator[Any]:
    """A string, a mapping, pieces, or something async of these."""
    if inspect.isawaitable(result):
        yield from _unfolded(asyncio.run(_awaited(result)))
    elif isinstance(result, AsyncIterator):
        yield from _driven(result)
    elif isinstance(result, Mapping):
        yield from _mapped(result)
    elif isinstance(result, (str, TextChunk, CitationsChunk, FallbackNotice, TokenUsage)):
        yield result
    elif isinstance(result, Iterable):
        for piece in result:
            yield from _mapped(piece) if isinstance(piece, Mapping) else (piece,)
    else:
        raise EngineFailed("The engine gave something that is no answer.")


async def _awaited(result: Any) -> Any:
    return await result


def _driven(pieces: AsyncIterator[Any]) -> Iterator[Any]:
    """An async generator, one piece at a time, in a loop of its own; closed with everything it opened."""
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    piece = runner.run(_awaited(anext(pieces)))
                except StopAsyncIteration:
                    return
                yield from _mapped(piece) if isinstance(piece, Mapping) else (piece,)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                runner.run(_awaited(close()))


def _mapped(given: Mapping[str, Any]) -> Iterator[Any]:
    """``answer`` (or ``text``) and ``citations``."""
    text = given.get("answer", given.get("text", ""))
    if not isinstance(text, str):
        raise EngineFailed("The engine gave something that is no text.")
    citations = given.get("citations")
    if isinstance(citations, (list, tuple)):
        text, citations = aligned(text, citations)
        yield text
        yield CitationsChunk(citations)
    else:
        yield text


def place(error: BaseException) -> str:
    """Where it was raised, for the log; not its words, which may be the visitor's."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
