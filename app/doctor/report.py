"""Runs the checks and says what came of them: as text, JSON or JUnit."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from xml.etree import ElementTree as ET

import httpx2 as httpx

from app.doctor.checks import CHECKS, check_dead_worker
from app.doctor.client import TIMEOUT, Broken, Client, Skipped, without_credentials


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: kept (``ok`` true), broken (false), or not looked at (None), and why."""

    name: str
    ok: bool | None
    detail: str = ""


class Unreachable(Exception):
    """The service did not answer a call."""


def examine(url: str, pid: int | None = None, timeout: float = TIMEOUT) -> list[Check]:
    """The outcome of every check. Where the first call is not answered, the others are not made."""
    first, *others = CHECKS
    if pid is not None:
        others.append(_with_pid(pid))
    client, checks, is_reachable = Client(url, timeout), [], True
    remaining = 0
    try:
        for check in (first, *others):
            try:
                checks.append(_run(check, client) if is_reachable else Check(_name(check), None, "nobody answers"))
            except Unreachable as error:
                is_reachable = check is not first
                checks.append(Check(_name(check), False, str(error)))
    finally:
        remaining = client.close()
    if remaining:
        detail = f"{remaining} sessions are left; they expire by themselves"
        checks.append(Check("What the doctor created is erased", False, detail))
    return checks


def _with_pid(pid: int) -> Callable[[Client], None]:
    def check(client: Client) -> None:
        check_dead_worker(client, pid)

    check.__doc__, check.__name__ = check_dead_worker.__doc__, check_dead_worker.__name__
    return check


def _name(check: Callable[[Client], None]) -> str:
    return (check.__doc__ or "").strip().rstrip(".")


def _run(check: Callable[[Client], None], client: Client) -> Check:
    """What came of a check. Raises Unreachable."""
    ok: bool | None = False
    try:
        check(client)
        return Check(_name(check), True)
    except Skipped as reason:
        ok, detail = None, str(reason)
    except Broken as broken:
        detail = str(broken)
    except httpx.TimeoutException:
        raise Unreachable(without_credentials(f"{client.last_call}: nothing came in time")) from None
    except httpx.HTTPError as error:
        raise Unreachable(without_credentials(f"{client.last_call}: {type(error).__name__}: {error}"[:200])) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        detail = f"{client.last_call} is no JSON"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration, OSError) as error:
        detail = f"{client.last_call} has another form ({type(error).__name__}: {error})"[:200]
    return Check(_name(check), ok, without_credentials(detail))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("address", metavar="URL", type=_url, help="the service, such as https://chat.example.com")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report")
    parser.add_argument("--timeout", type=_seconds, default=TIMEOUT, help="seconds that one call may take (30)")
    parser.add_argument("--pid", type=int, help="also kill this worker (a process id on this machine) in mid-answer")


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not re.fullmatch(r"[^\s%]+", url.host):
        raise argparse.ArgumentTypeError("must be an address such as https://chat.example.com")
    return text


def _seconds(text: str) -> float:
    seconds = 0.0
    with suppress(ValueError):
        seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number of seconds, at most 3600")
    return seconds


def main(options: argparse.Namespace) -> int:
    """Prints one line a promise; 1 where one is broken, 2 where the report cannot be written."""
    checks = examine(options.address, options.pid, options.timeout)
    if options.json:
        print(json.dumps({"url": options.address, "checks": [_as_json(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            word = {True: "ok", False: "BROKEN", None: "skipped"}[check.ok]
            print(f"{word:8} {check.name}" + (f" ({check.detail})" if check.detail else ""))
    try:
        if options.junit:
            _write_junit(options.junit, checks)
    except OSError as error:
        print(f"{options.junit} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 1 if any(check.ok is False for check in checks) else 0


def _as_json(check: Check) -> dict[str, str | bool | None]:
    return asdict(check) | ({"detail": f"skipped: {check.detail}"} if check.ok is None else {})


def _write_junit(path: str, checks: list[Check]) -> None:
    counts = {
        "failures": sum(check.ok is False for check in checks),
        "skipped": sum(check.ok is None for check in checks),
    }
    counted = {name: str(count) for name, count in {"tests": len(checks), "errors": 0, **counts}.items()}
    suite = ET.Element("testsuite", {"name": "baton doctor", **counted})
    for check in checks:
        case = ET.SubElement(suite, "testcase", classname="doctor", name=check.name)
        if check.ok is not True:
            ET.SubElement(case, "failure" if check.ok is False else "skipped", message=check.detail)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
