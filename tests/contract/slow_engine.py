"""An engine that says a word every tenth of a second, so that its worker can be killed in mid-answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.engines.base import EngineRequest, TextChunk


def answer(request: EngineRequest) -> Iterator[TextChunk]:
    """Thirty words in three seconds."""
    for number in range(30):
        if request.cancel.is_set():
            return
        yield TextChunk(f"w{number} ")
        time.sleep(0.1)
