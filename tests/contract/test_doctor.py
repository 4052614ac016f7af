"""``python -m app doctor``: green on a sound service, red for each of many planted faults, leaves nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from app import doctor
from tests.contract.conftest import LIMITED, PLAIN, RunningService
from tests.contract.launch import ROOT, Service
from tests.storage.servers import BACKENDS


@dataclass
class Exchange:
    """A response on its way through the faulty proxy; faults change it."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes

    def replace(self, old: str, new: str) -> None:
        self.body = self.body.replace(old.encode(), new.encode())


Fault = Callable[[Exchange], None]


@dataclass
class LineFault:
    """Changes the events of a stream: what it returns is sent in place of each of them."""

    change: Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def faulty(base: str, fault: Fault | LineFault) -> Iterator[str]:
    """A proxy before the service that has one fault."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stays silent."""

        def handle_call(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            self.close_connection = True
            with contextlib.closing(http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)) as upstream:
                upstream.request(self.command, self.path, body, kept)
                with upstream.getresponse() as answer:
                    self.pass_on(answer)

        def pass_on(self, answer: http.client.HTTPResponse) -> None:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            headers.pop("transfer-encoding", None)
            headers["connection"] = "close"
            if headers.get("content-type", "").startswith("text/event-stream"):
                self.relay(answer, headers)
                return
            exchange = Exchange(self.command, self.path, answer.status, headers, answer.read())
            if not isinstance(fault, LineFault):
                fault(exchange)
            exchange.headers["content-length"] = str(len(exchange.body))
            self.begin(exchange.status, exchange.headers)
            self.wfile.write(exchange.body)

        def relay(self, answer: http.client.HTTPResponse, headers: dict[str, str]) -> None:
            headers.pop("content-length", None)
            self.begin(answer.status, headers)
            event = b""
            while line := answer.readline():
                event += line
                if line in (b"\n", b"\r\n"):
                    for sent in fault.change(event) if isinstance(fault, LineFault) else [event]:
                        self.wfile.write(sent)
                    self.wfile.flush()
                    event = b""

        def begin(self, status: int, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = handle_call  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def broken(url: str) -> list[str]:
    """The promises that the doctor finds broken."""
    return [check.name for check in doctor.examine(url) if check.ok is False]


def run(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "doctor", url, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_healthy_service(plain: RunningService, tmp_path: Path) -> None:
    """Every promise is kept, as text, JSON and JUnit say alike; nothing that was created is left."""
    before = plain.key_names() if plain.redis_process else []
    ran = run(plain.base, "--json", "--junit", str(tmp_path / "report.xml"))
    report = json.loads(ran.stdout)
    assert ran.returncode == 0, ran.stdout
    assert report["url"] == plain.base
    assert {check["ok"] for check in report["checks"]} == {True, None}  # the limits are off here
    assert all({"name", "ok", "detail"} == check.keys() for check in report["checks"])
    assert all((check["ok"] is None) == check["detail"].startswith("skipped: ") for check in report["checks"])
    cases = ET.parse(tmp_path / "report.xml").getroot()
    assert len(cases) == len(report["checks"])
    assert cases.findall(".//failure") == []
    if plain.redis_process:
        assert plain.key_names() == before


def test_limits_are_respected() -> None:
    """A check that a limit refuses is skipped, and breaks nothing."""
    service = RunningService({**LIMITED, "WEB_CONCURRENCY": "1"})
    try:
        ran = run(service.base)
    finally:
        service.stop()
    assert ran.returncode == 0
    assert "skipped" in ran.stdout
    assert "BROKEN" not in ran.stdout


def test_a_killed_worker() -> None:
    """With a worker's pid it is killed in mid-answer, and the answer is closed in time."""
    service = RunningService(
        PLAIN | {"WEB_CONCURRENCY": "1", "BATON_ENGINE": "python:tests.contract.slow_engine:answer"}
    )
    try:
        workers = Path(f"/proc/{service.own.process.pid}/task/{service.own.process.pid}/children").read_text().split()
        pid = next(pid for pid in workers if b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes())
        ran = run(service.base, "--pid", pid)
    finally:
        service.stop()
    assert "ok       A turn whose worker was killed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("kind", ["embedded", "sentinel", "cluster"])
def test_every_kind_of_redis(kind: str, tmp_path: Path) -> None:
    """Every promise is kept on the embedded server, on a primary with Sentinels and on a Cluster, with a desk too."""
    with BACKENDS[kind](tmp_path) as backend:
        settings = {key: value for key, value in PLAIN.items() if key != "BATON_API_KEY"}
        service = Service(backend.url, **settings, BATON_DESK="on")
        try:
            checks = doctor.examine(service.base)
        finally:
            service.remove()
    assert [check for check in checks if check.ok is False] == []
    assert [check.name for check in checks if check.ok is None] == ["Appends say how much of their limit is left"]


def test_nobody_there() -> None:
    """An address where nothing listens is broken, with exit status 1."""
    ran = run("http://127.0.0.1:9")
    first, *others = ran.stdout.splitlines()
    assert ran.returncode == 1
    assert first.startswith("BROKEN")
    assert {line.split()[0] for line in others} == {"skipped"}
    assert ran.stderr == ""


@pytest.mark.parametrize("url", ["chat.example.com", "", "ftp://a.example", "http://", "http://a b", "http://[", "/x"])
def test_an_address_that_is_none(url: str) -> None:
    """It is refused in plain words before anything is called."""
    ran = run(url)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].endswith("must be an address such as https://chat.example.com")


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "1e9"])
def test_a_timeout_that_is_none(seconds: str) -> None:
    """It is refused in plain words before anything is called."""
    ran = run("http://127.0.0.1:9", "--timeout", seconds)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].endswith("must be a number of seconds, at most 3600")


def _elsewhere(exchange: Exchange) -> None:
    exchange.status, exchange.headers["location"] = 302, f"https://a.example{exchange.path}"


def _login_page(exchange: Exchange) -> None:
    exchange.status, exchange.body = 200, b"<!doctype html>\x00<title>Log in</title>"
    exchange.headers["content-type"] = "text/html"


def _other_json(exchange: Exchange) -> None:
    exchange.status, exchange.body = 200, b'["\xc2\x85", 7]'


@pytest.mark.parametrize(
    ("fault", "says"),
    [(_elsewhere, "redirects to https://a.example/"), (_login_page, "no JSON"), (_other_json, "form")],
)
def test_something_else_answers(plain: RunningService, fault: Fault, says: str, tmp_path: Path) -> None:
    """A redirect, a page and other JSON are told as what they are, a line a promise, in a report that can be read."""
    report = tmp_path / "report.xml"
    with faulty(plain.base, fault) as url:
        ran = run(url, "--junit", str(report))
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert says in ran.stdout
    lines = ran.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "BROKEN", "skipped"}
    suite = ET.parse(report).getroot()
    assert int(suite.get("failures", "0")) == len(suite.findall(".//failure")) == ran.stdout.count("BROKEN")
    assert int(suite.get("tests", "0")) == len(lines) == len(suite)


def test_events_that_a_proxy_holds_back(plain: RunningService) -> None:
    """The wait for them has an end, and the promise that breaks says what may be the cause."""
    with faulty(plain.base, LineFault(lambda _: [])) as url:
        checks = doctor.examine(url, timeout=4)
    assert any(check.ok is False and "proxy" in check.detail for check in checks)
    assert sum(check.ok is True for check in checks) > 10


def test_what_cannot_be_erased_is_told(plain: RunningService) -> None:
    """Sessions that are left are no secret of the doctor's."""

    def kept(exchange: Exchange) -> None:
        if _is(exchange, "DELETE"):
            exchange.status = 500

    with faulty(plain.base, kept) as url:
        last = doctor.examine(url)[-1]
    assert (last.name, last.ok) == ("What the doctor created is erased", False)
    assert "ses_" not in last.detail


def test_a_report_that_cannot_be_written(plain: RunningService, tmp_path: Path) -> None:
    """The checks are told all the same, and the exit status says that something is wrong."""
    ran = run(plain.base, "--json", "--junit", str(tmp_path / "no" / "such" / "folder.xml"))
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["checks"]
    assert "cannot be written" in ran.stderr


def _is(exchange: Exchange, method: str, ending: str = "") -> bool:
    return exchange.method == method and urlsplit(exchange.path).path.endswith(ending)


def _cached(exchange: Exchange) -> None:
    exchange.headers["cache-control"] = "max-age=60"


def _sniffed(exchange: Exchange) -> None:
    exchange.headers.pop("x-content-type-options", None)


def _plain_errors(exchange: Exchange) -> None:
    if exchange.status >= 400:
        exchange.headers["content-type"] = "text/html"


def _revealing_404(exchange: Exchange) -> None:
    if exchange.status == 404 and "AAAA" not in exchange.path:
        exchange.replace('"detail": "', '"detail": "It has expired. ')


def _stored_as_500(exchange: Exchange) -> None:
    if exchange.status == 422:
        exchange.status = 500


def _trimmed(exchange: Exchange) -> None:
    exchange.replace('"  <b>', '"<b>')


def _lost_page(exchange: Exchange) -> None:
    if "before=" in exchange.path and exchange.status == 200:
        body = json.loads(exchange.body)
        exchange.body = json.dumps(body | {"messages": body["messages"][1:]}).encode()


def _always_new(exchange: Exchange) -> None:
    if _is(exchange, "POST", "/messages") and exchange.status == 200:
        exchange.status = 201


def _ticket_for_ever(exchange: Exchange) -> None:
    if _is(exchange, "POST", "/resume") and exchange.status == 404:
        exchange.status, exchange.body = 200, b'{"success": true}'
        exchange.headers["content-type"] = "application/json"


def _id_in_the_link(exchange: Exchange) -> None:
    if _is(exchange, "POST", "/handoff"):
        session_id = exchange.path.split("/")[3]
        exchange.replace('"url":"', f'"url":"https://x.example/{session_id}?')


def _reopened(exchange: Exchange) -> None:
    if exchange.status == 409:
        exchange.status = 201


def _undeleted(exchange: Exchange) -> None:
    if _is(exchange, "DELETE"):
        exchange.status = 200


def _unwell(exchange: Exchange) -> None:
    exchange.replace('"status":"ok"', '"status":"poor"')


def _other_answer(exchange: Exchange) -> None:
    if _is(exchange, "POST", "/api/chat") and exchange.status == 200:
        exchange.replace('"answer":"', '"answer":"Well, ')


def _default_session(exchange: Exchange) -> None:
    exchange.replace('"session_id":null', '"session_id":"ses_shared"')


def _without_location(exchange: Exchange) -> None:
    exchange.headers.pop("location", None)


def _expires_early(exchange: Exchange) -> None:
    exchange.body = re.sub(rb'"expires_at": ?"2', b'"expires_at":"1', exchange.body)


def _cookies_for_all(exchange: Exchange) -> None:
    exchange.headers["access-control-allow-credentials"] = "true"


def _html_for_unknown_paths(exchange: Exchange) -> None:
    if "no-such-path" in exchange.path:
        exchange.headers["content-type"], exchange.body = "text/html", b"<h1>Not Found</h1>"


def _echoed_id(exchange: Exchange) -> None:
    if exchange.status == 404:
        exchange.replace('"detail": "', f'"detail": "No session {exchange.path.split("/")[3]}. ')


def _scripts_from_anywhere(exchange: Exchange) -> None:
    exchange.headers.pop("content-security-policy", None)


def _ticket_on_the_page(exchange: Exchange) -> None:
    if exchange.path.startswith("/chat?"):
        exchange.replace("<body", f"<body data-from='{exchange.path}'")


def _open_desk(exchange: Exchange) -> None:
    if exchange.path.startswith("/api/desk/") and exchange.method == "GET":
        exchange.status, exchange.body = 200, b'{"success": true, "operators": []}'
        exchange.headers["content-type"] = "application/json"


def _readable_desk(exchange: Exchange) -> None:
    if exchange.path.startswith("/api/desk/"):
        exchange.headers["access-control-allow-origin"] = "*"


def _system_for_all(exchange: Exchange) -> None:
    if exchange.status == 403:
        exchange.status = 201


def _ticket_as_id(exchange: Exchange) -> None:
    if exchange.path.startswith("/api/session/tkt_"):
        exchange.status, exchange.body = 200, b'{"success": true, "status": "active"}'
        exchange.headers["content-type"] = "application/json"


def _long_snippets(exchange: Exchange) -> None:
    if _is(exchange, "POST", "/api/chat") and exchange.status == 200:
        body = json.loads(exchange.body)
        long = {"title": "A page", "url": "https://a.example/", "snippet": "x" * 601}
        exchange.body = json.dumps(body | {"citations": [long]}).encode()


def _newest_first(exchange: Exchange) -> None:
    if _is(exchange, "GET", "/messages") and exchange.status == 200:
        body = json.loads(exchange.body)
        exchange.body = json.dumps(body | {"messages": body["messages"][::-1]}).encode()


class _Seen:
    """What a fault has kept of earlier calls; one object is one fault."""

    def __init__(self) -> None:
        self.words: list[bytes] = []

    def shared_words(self, exchange: Exchange) -> None:
        """The words of one visitor come to the next."""
        if _is(exchange, "POST", "/messages") and exchange.status == 201:
            self.words.append(exchange.body)
        if _is(exchange, "GET", "/messages") and exchange.status == 200:
            exchange.body = exchange.body[:-1] + b',"more":' + json.dumps(str(self.words)).encode() + b"}"

    def still_there(self, exchange: Exchange) -> None:
        """A deleted session answers once more."""
        if _is(exchange, "DELETE"):
            self.words.append(urlsplit(exchange.path).path.encode())
        elif exchange.method == "GET" and exchange.path.encode() in self.words:
            exchange.status, exchange.body = 200, b'{"success": true, "status": "active"}'
            exchange.headers["content-type"] = "application/json"

    def swapped(self, event: bytes) -> list[bytes]:
        """An event comes after the next one."""
        self.words.append(event)
        return [self.words.pop(), self.words.pop()] if len(self.words) == 2 else []


def _other_last_words(event: bytes) -> list[bytes]:
    return [event.replace(b'"text":"', b'"text":"So, ')]


def _twice(event: bytes) -> list[bytes]:
    return [event, event] if b"answer.delta" in event else [event]


def _lost(event: bytes) -> list[bytes]:
    return [] if b"answer.delta" in event else [event]


def _without_ids(event: bytes) -> list[bytes]:
    return [b"".join(line for line in event.splitlines(True) if not line.startswith(b"id:"))]


def _no_reset(event: bytes) -> list[bytes]:
    return [event.replace(b"event: reset", b"event: session")]


FAULTS: tuple[Fault | LineFault, ...] = (
    _cached, _sniffed, _plain_errors, _revealing_404, _stored_as_500, _trimmed, _lost_page, _always_new,
    _ticket_for_ever, _id_in_the_link, _reopened, _undeleted, _unwell, _other_answer, _default_session,
    _without_location, _expires_early, _cookies_for_all, _html_for_unknown_paths, _echoed_id, _scripts_from_anywhere,
    _ticket_on_the_page, _open_desk, _readable_desk, _system_for_all, _ticket_as_id, _long_snippets, _newest_first,
    _Seen().shared_words, _Seen().still_there,
    LineFault(_twice), LineFault(_lost), LineFault(_without_ids), LineFault(_no_reset), LineFault(_other_last_words),
    LineFault(_Seen().swapped),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: getattr(fault, "change", fault).__name__)
def test_planted_faults(plain: RunningService, fault: Fault | LineFault) -> None:
    """Each fault breaks at least one promise, and no more than a few."""
    with faulty(plain.base, fault) as url:
        found = broken(url)
    assert 1 <= len(found) <= 8, found


def test_the_proxy_itself_breaks_nothing(plain: RunningService) -> None:
    """So the planted faults are what is found."""
    with faulty(plain.base, lambda _: None) as url:
        assert broken(url) == []
