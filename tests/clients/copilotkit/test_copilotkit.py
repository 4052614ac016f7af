"""CopilotKit's client over its runtime over AG-UI; the runtime is the code of docs/integrations.md as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import install, run_script
from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import RunningService
from tests.contract.launch import eventually
from tests.ports import free_port
from tests.repository.snippets import snippet_with

pytestmark = pytest.mark.slow  # its packages take 280 MB
FOLDER = Path(__file__).parent
WORDS = "".join(f"w{number} " for number in range(30))
Start = Callable[[str], "Runtime"]


class Runtime:
    """CopilotKit's runtime before a service, in a process of its own."""

    def __init__(self, base: str, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/copilotkit"
        code = snippet_with("CopilotRuntime", "js").replace("https://YOUR-APP", base).replace("4000", str(port))
        (folder / "runtime.mjs").write_text(code)
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(FOLDER / "node_modules")
        environ = os.environ | {"COPILOTKIT_TELEMETRY_DISABLED": "true", "DO_NOT_TRACK": "1"}
        command = ["node", "--preserve-symlinks", "--preserve-symlinks-main", str(folder / "runtime.mjs")]
        self.process = subprocess.Popen(command, env=environ)
        assert eventually(self.answers, 30), "the runtime did not start"

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/info").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a runtime before the service at an address."""
    if shutil.which("npm") is None:
        pytest.skip("CopilotKit needs Node 20")
    install(FOLDER, "--ignore-scripts", "--legacy-peer-deps")
    started: list[Runtime] = []

    def start(base: str) -> Runtime:
        started.append(Runtime(base, tmp_path))
        return started[-1]

    yield start
    for runtime in started:
        runtime.kill()


def act(runtime: Runtime, visitor: Visitor, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    """What each page of the visitor's holds at its end."""
    orders = {"runtimeUrl": runtime.url, "headers": visitor.bearer, "threadId": visitor.id, "actions": actions}
    return run_script(FOLDER / "client.mjs", **orders)


def test_an_answer_cut_and_taken_up_again(start: Start, service: RunningService, visitor: Visitor) -> None:
    """A page is closed in mid-answer: the next one follows it; after kill -9 of the runtime so does a third."""
    runtime = start(service.base)
    ask = {"ask": "tokens=30 delay=0.1", "runId": "r1"}
    cut, connected = act(runtime, visitor, {**ask, "cut": 3}, {"connect": True})
    assert 0 < len(cut["messages"][-1][1]) < len(WORDS)
    assert connected["messages"][-1] == ["assistant", WORDS]
    second = {"ask": "tokens=30 delay=0.05 again", "runId": "r2"}
    act(runtime, visitor, {**second, "cut": 3})
    runtime.kill()
    (view,) = act(start(service.base), visitor, second)
    assert view == {"messages": [["user", second["ask"]], ["assistant", WORDS]], "errors": []}
    assert visitor.texts() == [ask["ask"], WORDS, second["ask"], WORDS]
    assert service.own.engine_calls("again") == 1


def test_errors_and_refusals(start: Start, service: RunningService, limited_service: RunningService) -> None:
    """A broken answer keeps its words; what is refused by a limit reaches the front end with its reason."""
    visitor = ApiClient(service.base).create()
    (broken,) = act(start(service.base), visitor, {"ask": "fail-after=3"})
    assert broken["messages"][-1] == ["assistant", "w0 w1 w2 "]
    assert broken["errors"] == ["The answer could not be made"]
    visitor = ApiClient(limited_service.base, address="127.0.0.65").create()
    for number in range(6):
        visitor.say(f"{number}")
    (refused,) = act(start(limited_service.base), visitor, {"ask": "one more"})
    assert "rate_limited" in refused["errors"][0]
