"""What the documents show as code does what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.contract.conftest import RunningService

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_the_client_of_the_protocol_page_prints_a_whole_answer(plain: RunningService, tmp_path: Path) -> None:
    """The twenty lines of Python, copied as they stand, ask and read a streamed answer to its end."""
    code = re.search(r"```python\n(.*?)```", (DOCS / "protocol.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 20
    client = tmp_path / "client.py"
    client.write_text(code[1], "utf-8")
    ran = subprocess.run(
        [sys.executable, str(client), plain.base, "How are you?"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
