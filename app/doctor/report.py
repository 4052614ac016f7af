"""Runs the checks and says what came of them: as text, JSON or JUnit."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from xml.etree import ElementTree as ET

import httpx2 as httpx

from app.doctor.checks import CHECKS, check_dead_worker
from app.doctor.client import Broken, Client, Skipped


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: kept (``ok`` true), broken (false), or not looked at (None), and why."""

    name: str
    ok: bool | None
    detail: str = ""


def examine(url: str, pid: int | None = None) -> list[Check]:
    """The outcome of every check."""
    checks = list(CHECKS)
    if pid is not None:
        checks.append(_with_pid(pid))
    client = Client(url)
    try:
        return [_run(check, client) for check in checks]
    finally:
        client.close()


def _with_pid(pid: int) -> Callable[[Client], None]:
    def check(client: Client) -> None:
        check_dead_worker(client, pid)

    check.__doc__, check.__name__ = check_dead_worker.__doc__, check_dead_worker.__name__
    return check


def _run(check: Callable[[Client], None], client: Client) -> Check:
    name = (check.__doc__ or "").strip().rstrip(".")
    try:
        check(client)
    except Skipped as reason:
        return Check(name, None, str(reason))
    except Broken as broken:
        return Check(name, False, str(broken))
    except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        return Check(name, False, f"{type(error).__name__}: {error}"[:200])
    return Check(name, True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("address", metavar="URL", help="the service, such as https://chat.example.com")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report")
    parser.add_argument(
        "--pid", type=int, help="a worker of the service on this machine, which is killed in mid-answer"
    )


def main(given: argparse.Namespace) -> int:
    """Prints one line a promise; 1 where one is broken."""
    checks = examine(given.address, given.pid)
    if given.junit:
        _write_junit(given.junit, checks)
    if given.json:
        print(json.dumps({"url": given.address, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            word = {True: "ok", False: "BROKEN", None: "skipped"}[check.ok]
            print(f"{word:8} {check.name}" + (f" ({check.detail})" if check.detail else ""))
    return 1 if any(check.ok is False for check in checks) else 0


def _write_junit(path: str, checks: list[Check]) -> None:
    suite = ET.Element("testsuite", name="baton doctor", tests=str(len(checks)))
    for check in checks:
        case = ET.SubElement(suite, "testcase", name=check.name)
        if check.ok is not True:
            ET.SubElement(case, "failure" if check.ok is False else "skipped", message=check.detail)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
