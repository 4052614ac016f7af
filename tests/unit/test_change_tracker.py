"""How often changes are applied to the desk's index."""

from __future__ import annotations

import pytest

from app.conversations.change_tracker import pause_after


@pytest.mark.parametrize(
    ("step_seconds", "pause"),
    [(0.0, 0.3), (0.02, 0.3), (0.05, 0.5), (0.06, 0.6), (0.1, 0.7), (30.0, 0.7)],
)
def test_pause(step_seconds: float, pause: float) -> None:
    """Steps that take long are rarer: they take a tenth of the time. A desk must list what is new within a second."""
    assert pause_after(step_seconds) == pytest.approx(pause)
