"""A clock that can be set forward and back under running processes, whose steady clocks run on undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.launch import ROOT


class Clock:
    """Processes started with its settings see the time that it is set to."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set it so many seconds before or after the true time, at once, as an operator or a time server does."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.file)

    @property
    def for_redis(self) -> dict[str, str]:
        """By libfaketime, loaded before the server."""
        return {
            "LD_PRELOAD": str(_library()), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    @property
    def for_python(self) -> dict[str, str]:
        """By Python's own door for such things: libfaketime breaks its sleep, which is by the steady clock."""
        here = Path(__file__).with_name("shifted_time")
        return {"PYTHONPATH": f"{here}:{ROOT}", "BATON_TEST_CLOCK": str(self.file)}


def _library() -> Path:
    places = [Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    places += [Path(f"/usr/{local}lib/faketime").glob("libfaketime.so.1") for local in ("", "local/")]
    found = next((library for place in places for library in place), None)
    if found is None:
        pytest.fail("libfaketime is not installed: apt-get install libfaketime, or `make faketime` as root")
    return found
