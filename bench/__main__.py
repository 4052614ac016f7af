"""`python -m bench NAME`: runs one benchmark, or lists their names."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The names of all benchmarks."""
    files = [path.stem for path in HERE.glob("[!_]*.py") if "def main(" in path.read_text()]
    return sorted(files + [path.parent.name for path in HERE.glob("*/__main__.py")])


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in names():
        print("make bench BENCH=NAME, NAME one of:", ", ".join(names()))
        raise SystemExit(len(sys.argv) > 1)
    sys.argv = sys.argv[1:]
    name = sys.argv[0]
    runpy.run_module(f"bench.{name}", run_name="__main__")
