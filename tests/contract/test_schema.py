"""Schemathesis over the whole API as described, with links to real sessions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.contract.conftest import RunningService

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance")  # fmt: skip


def test_schemathesis(plain: RunningService, tmp_path: Path) -> None:
    """No call that can be made from `/openapi.json`, good or bad, ends in an unforeseen way or in an undescribed
    one.
    """
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        plain.base + "/openapi.json",
        "--url",
        plain.base,
        "--no-color",
        "--max-examples",
        "6",
        "--max-time",
        "40",
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--checks",
        ",".join(CHECKS),
        "--exclude-path-regex",
        "events$|/ws$",
        "--continue-on-failure",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    made = re.search(r"(\d+) generated", run.stdout)
    assert made, run.stdout[-3000:] + run.stderr[-1000:]
    assert int(made[1]) > 200, run.stdout[-4000:]
    assert run.returncode == 0, run.stdout[-6000:]
