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


def test_every_curl_line_of_the_quickstart_works_as_typed(plain: RunningService) -> None:
    """Copied into a shell one after the other, each is answered with success."""
    text = (DOCS / "quickstart.md").read_text("utf-8")
    lines = re.findall(r"^curl .*$", text, re.MULTILINE)
    assert len(lines) == 4
    create = subprocess.run(
        ["bash", "-c", f"URL={plain.base}; {lines[0]} -s"], capture_output=True, text=True, check=True
    )
    session = re.search(r"ses_[A-Za-z0-9_-]{32}", create.stdout)
    assert session is not None
    for line in lines[1:]:
        typed = f"URL={plain.base}; ID={session[0]}; {line} -sf"
        ran = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
        assert re.search(r'"success": ?true', ran.stdout)
