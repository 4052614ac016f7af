"""Loaded by Python as it starts: the time of day is moved by what the clock's file says; the steady clock is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

_file = Path(os.environ["BATON_TEST_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def _moved() -> int:
    return int(_file.read_text())


time.time = lambda: _time() + _moved()
time.time_ns = lambda: _time_ns() + _moved() * 10**9
