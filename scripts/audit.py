"""Asks the public database of vulnerabilities about every package that runs; says plainly when it cannot be reached.

``python -m scripts.audit``: 0 when nothing is known, 1 when something is, 2 when nobody could be asked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_ASKED = """\
The audit could not be made: pip-audit did not reach its database of known vulnerabilities. Nothing was checked.
It needs the network; run `make audit` again where there is one.
"""


def main() -> int:
    """Run pip-audit over the pinned requirements and pass on what it finds."""
    files = [option for name in ("requirements.txt", "requirements-semantic.txt") if (ROOT / name).exists()
             for option in ("-r", name)]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-m", "pip_audit", *files, "--disable-pip", "--require-hashes", "--progress-spinner=off",
         "--timeout=10"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    sys.stdout.write(ran.stdout)
    if ran.returncode == 0:
        print("No known vulnerability in what runs.")
        return 0
    if ran.stdout.strip() or "known vulnerabilit" in ran.stderr:  # a table of findings
        sys.stderr.write(ran.stderr)
        return 1
    reason = ran.stderr.strip().splitlines()[-1:] or ["no reason given"]
    sys.stderr.write(f"{NOT_ASKED}pip-audit said: {reason[0][:300]}\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
