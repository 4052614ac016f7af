"""A Redis and services of a test's own, to be broken; and the table of faults that ends a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.contract.conftest import PLAIN
from tests.contract.launch import RedisProcess, Service
from tests.faults.ledger import FIGURES
from tests.faults.proxy import Proxy

COLUMNS = ("ok", "unknown", "lost", "doubled", "longest s", "heal s")
RESULTS: dict[str, tuple[str, str, bool]] = {}
"""By test: the fault, the sentence, and whether it was survived."""


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis with an append-only file that writes every command to disk."""
    process = RedisProcess("--appendfsync", "always")
    yield process
    process.stop()


@pytest.fixture
def proxy(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy before that Redis."""
    between = Proxy(redis.port)
    yield between
    between.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Starts services with the settings of the contract tests; none of them may have seen an unforeseen error."""
    started: list[Service] = []

    def start(url: str, **settings: str) -> Service:
        started.append(Service(url, **{**PLAIN, "BATON_ENGINE_TIMEOUT": "10", **settings}))
        return started[-1]

    yield start
    for service in started:
        service.remove()
    lines = [line for service in started for line in service.last_words.splitlines()]
    assert [line for line in lines if "internal_error" in line or "unforeseen" in line or "Traceback" in line] == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep what became of each test whose sentence begins with the name of a promise or a fault."""
    report = (yield).get_result()
    sentence = " ".join((getattr(getattr(item, "function", None), "__doc__", "") or "").split())
    named = re.match(r"([FR]\d+): (.*)", sentence)
    if named and report.when in ("call", "teardown"):
        before = RESULTS.get(item.nodeid, (named[1], named[2], True))
        RESULTS[item.nodeid] = (named[1], named[2], before[2] and report.passed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One row a fault: survived or not, and what was measured."""
    if not RESULTS:
        return
    terminalreporter.section("faults")
    line = "{:6}{:10}{:>6}{:>9}{:>6}{:>9}{:>11}{:>8}  {}".format
    terminalreporter.line(line("fault", "survived", *COLUMNS, "what"))
    rows = sorted(RESULTS.items(), key=lambda row: (row[1][0][0], int(row[1][0][1:]), row[0]))
    for test, (fault, sentence, survived) in rows:
        seen = FIGURES.get(test, {})
        cells = [
            f"{seen[name]:.{2 * (unit == 's')}f}" if name in seen else "-"
            for name, _, unit in (column.partition(" ") for column in COLUMNS)
        ]
        terminalreporter.line(line(fault, "yes" if survived else "NO", *cells, sentence[:70]))
