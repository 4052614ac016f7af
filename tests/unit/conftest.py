"""A conversation with an engine of the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.conversation_fixture import ConversationFixture


@pytest.fixture
def start(redis_url: str) -> Callable[..., ConversationFixture]:
    """Begins a conversation with an engine."""
    return lambda answer, **more: ConversationFixture(redis_url, answer, **more)
