"""The table that ends a run: one row for each test whose docstring begins with a promise or a fault (``R5, F9: ...``).

A worker of pytest-xdist sends what it knows with each test's report, so the table is complete however many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.resilience.write_auditor import FIGURES

COLUMNS = ("ok", "unknown", "lost", "doubled", "longest s", "heal s")
EXPECTED = {
    "F": ("faults survived", [*range(1, 26)]),
    "R": ("promises kept", [*range(1, 39)]),
}
_NAMED = re.compile(r"((?:[FR]\d+(?:, )?)+): (.*)")
_PROPERTY = "resilience"


@dataclass
class Row:
    """The outcome of one test, all its parameters together."""

    names: list[str]
    sentence: str
    survived: bool = True
    runs: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """The sum of what was acknowledged, the worst of everything else; a dash where nothing was measured."""
        cells = []
        for column in COLUMNS:
            name, _, unit = column.partition(" ")
            values = self.figures.get(name, [])
            total = sum(values) if name == "ok" else max(values, default=0)
            cells.append(f"{total:.{2 * (unit == 's')}f}" if values else "-")
        return cells


ROWS: dict[str, Row] = {}
"""By the test's name without its parameters."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--resilience`` selects tests/resilience, every slow test, and every test that names a fault or a promise."""
    parser.addoption("--resilience", action="store_true", help="only tests of faults and promises, slow ones included")


def select_resilience_tests(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select what `make test-resilience` runs."""
    if config.getoption("--resilience"):
        selected = [item for item in items if _is_resilience(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(selected)])
        items[:] = selected


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Attach what the test stands for and what it measured to its report."""
    report = (yield).get_result()
    if (named := _NAMED.match(_docstring(item))) and not (report.when == "setup" and report.passed):
        figures = FIGURES.pop(item.nodeid, {})
        report.user_properties = [*report.user_properties, (_PROPERTY, [named[1], named[2], figures])]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the rows where the reports come together: in the only process, or in xdist's controller."""
    for name, value in report.user_properties:
        if name == _PROPERTY:
            promises, sentence, figures = value
            row = ROWS.setdefault(re.split(r"[\[@]", report.nodeid)[0], Row(promises.split(", "), sentence))
            row.runs += report.when == "call"
            row.survived &= report.passed
            for figure, measured in figures.items():
                row.figures.setdefault(figure, []).append(measured)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One row a test under each fault and promise; then how many of them had a test, and which had none."""
    if not ROWS:
        return
    terminalreporter.section("faults and promises")
    line = "{:6}{:10}{:>5}{:>7}{:>9}{:>6}{:>9}{:>11}{:>8}  {}".format
    terminalreporter.line(line("", "survived", "runs", *COLUMNS, "what, and the test"))
    survived: dict[str, bool] = {}
    rows = sorted((name[0], int(name[1:]), test) for test, row in ROWS.items() for name in row.names)
    for letter, number, test in rows:
        row, name = ROWS[test], f"{letter}{number}"
        survived[name] = survived.get(name, True) and row.survived
        cells = (name, "yes" if row.survived else "NO", row.runs, *row.cells())
        terminalreporter.line(line(*cells, f"{row.sentence[:64]:64}  {test}"))
    for letter, (label, numbers) in EXPECTED.items():
        tested = {name: passed for name, passed in survived.items() if name[0] == letter}
        absent = [f"{letter}{number}" for number in numbers if f"{letter}{number}" not in tested]
        if tested:
            more = f"; not in this run: {', '.join(absent)}" if absent else ""
            terminalreporter.line(f"{label}: {sum(tested.values())} of {len(numbers)}{more}")


def _is_resilience(item: pytest.Item) -> bool:
    in_folder = item.nodeid.startswith("tests/resilience/")
    return in_folder or item.get_closest_marker("slow") is not None or bool(_NAMED.match(_docstring(item)))


def _docstring(item: pytest.Item) -> str:
    return " ".join((getattr(getattr(item, "function", None), "__doc__", "") or "").split())
