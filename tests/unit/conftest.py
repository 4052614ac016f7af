"""A conversation with an engine of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.conversation_fixture import Answer, ConversationFixture


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[..., ConversationFixture]]:
    """Begins a conversation with an engine; its store is closed after the test."""
    started: list[ConversationFixture] = []

    def begin(answer: Answer, **more: float) -> ConversationFixture:
        started.append(ConversationFixture(redis_url, answer, **more))
        return started[-1]

    yield begin
    for one in started:
        one.log.close()
