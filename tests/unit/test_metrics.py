"""Rules of counting: the figures are those of all workers together, or of one process alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COUNT = """
import sys
from app import metrics
for _ in range(int(sys.argv[1])):
    metrics.count_request("GET", "/x", 200, 0.01)
metrics.TURNS_RUNNING.inc()
"""
SHOW = """
from app import metrics
metrics.count_request("GET", "/x", 200, 0.01)
print(metrics.render_metrics().decode())
"""


def run(program: str, folder: Path, *args: str) -> str:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    ran = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=True, timeout=60, env=environ
    )
    return ran.stdout


def test_workers_are_summed(tmp_path: Path) -> None:
    """Whichever worker is asked shows what all of them counted, at once."""
    for count in ("3", "4"):
        run(COUNT, tmp_path, count)
    shown = run(SHOW, tmp_path)
    assert 'baton_requests_total{method="GET",route="/x",status="200"} 8.0' in shown
    assert 'baton_request_seconds_count{method="GET",route="/x"} 8.0' in shown


def test_a_missing_folder_means_one_process(tmp_path: Path) -> None:
    """Where the folder for the workers' counts is missing, the process counts for itself."""
    shown = run(SHOW, tmp_path / "nowhere")
    assert 'baton_requests_total{method="GET",route="/x",status="200"} 1.0' in shown
    assert "baton_turns_running 0.0" in shown
    assert not (tmp_path / "nowhere").exists()
