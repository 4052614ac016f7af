"""The list of error codes."""

from __future__ import annotations

import re
from pathlib import Path

from app.errors import ERRORS

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def test_every_code_is_listed_once() -> None:
    """Each code belongs to one class, which says its status and when it is sent."""
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes)) >= 20
    for error in ERRORS:
        assert 400 <= error.status < 600
        assert error.title
        assert error.when().endswith((".", "which."))


def test_the_protocol_page_lists_the_same_codes() -> None:
    """The table in docs/protocol.md has the code, the status, whether to retry, and when, of every error."""
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (yes|no) \| (.+) \|$", PROTOCOL.read_text("utf-8"), re.MULTILINE)
    assert rows == [
        (error.code, str(error.status), "yes" if error.retryable else "no", error.when()) for error in ERRORS
    ]
