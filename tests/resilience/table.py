"""The table that ends a run: one row for each test whose sentence begins with the name of a promise or a fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.resilience.ledger import FIGURES

COLUMNS = ("ok", "unknown", "lost", "doubled", "longest s", "heal s")
NAMES = {"F": ("faults survived", 21), "R": ("promises kept", 30)}
_NAMED = re.compile(r"((?:[FR]\d+(?:, )?)+): (.*)")


@dataclass
class Row:
    """What became of one test, all its parameters together."""

    names: list[str]
    sentence: str
    survived: bool = True
    runs: int = 0


ROWS: dict[str, Row] = {}
"""By the test's name without its parameters."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--faults`` leaves out every test elsewhere that names neither."""
    parser.addoption("--faults", action="store_true", help="only the fault bench and what names a fault or promise")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What `make faults` runs: the whole bench, and from everywhere else what has a row in the table."""
    if config.getoption("--faults"):
        kept = [one for one in items if one.nodeid.startswith("tests/resilience/") or _NAMED.match(_sentence(one))]
        config.hook.pytest_deselected(items=[one for one in items if one not in set(kept)])
        items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep what became of each test that names what it is for: ``F9, F10: a primary is lost ...``."""
    report = (yield).get_result()
    named = _NAMED.match(_sentence(item))
    if not named or (report.when == "setup" and report.passed):
        return
    row = ROWS.setdefault(_bare(item.nodeid), Row(named[1].split(", "), named[2]))
    row.runs += report.when == "call"
    row.survived &= report.passed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One row a test under each fault and promise; then how many of them had a test, and what had none."""
    if not ROWS:
        return
    terminalreporter.section("faults and promises")
    line = "{:6}{:10}{:>5}{:>7}{:>9}{:>6}{:>9}{:>11}{:>8}  {}".format
    terminalreporter.line(line("", "survived", "runs", *COLUMNS, "what, and the test"))
    survived: dict[str, bool] = {}
    rows = sorted((name[0], int(name[1:]), test) for test, row in ROWS.items() for name in row.names)
    for kind, number, test in rows:
        row, name = ROWS[test], f"{kind}{number}"
        survived[name] = survived.get(name, True) and row.survived
        cells = (name, "yes" if row.survived else "NO", row.runs, *_figures(test))
        terminalreporter.line(line(*cells, f"{row.sentence[:64]:64}  {test}"))
    for kind, (what, most) in NAMES.items():
        asked = {name: well for name, well in survived.items() if name[0] == kind}
        if not asked:
            continue
        absent = [f"{kind}{number}" for number in range(1, most + 1) if f"{kind}{number}" not in asked]
        more = f"; not in this run: {', '.join(absent)}" if absent else ""
        terminalreporter.line(f"{what}: {sum(asked.values())} of {most}{more}")


def _figures(test: str) -> list[str]:
    """The worst of what the runs of a test measured, a dash for what they did not."""
    cells = []
    for column in COLUMNS:
        name, _, unit = column.partition(" ")
        seen = [figures[name] for one, figures in FIGURES.items() if _bare(one) == test and name in figures]
        worst = sum(seen) if name == "ok" else max(seen, default=0)
        cells.append(f"{worst:.{2 * (unit == 's')}f}" if seen else "-")
    return cells


def _sentence(item: pytest.Item) -> str:
    return " ".join((getattr(getattr(item, "function", None), "__doc__", "") or "").split())


def _bare(test: str) -> str:
    return test.partition("[")[0]
