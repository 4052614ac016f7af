"""A conversation with an engine of the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.talk import Talk


@pytest.fixture
def start(redis_url: str) -> Callable[..., Talk]:
    """Begins a conversation with an engine."""
    return lambda answer, **more: Talk(redis_url, answer, **more)
