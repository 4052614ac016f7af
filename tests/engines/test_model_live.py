"""A model behind the real service: what visitors, /health and the log show of a wrong key and of a cut answer."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from tests.conftest import Service, until
from tests.engines.faulty_server import FaultyServer

EVENTS = {"Accept": "text/event-stream"}


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "object": "x", "choices": [choice]}).encode() + b"\n\n"


def test_a_model_behind_the_service(service: Callable[..., Service], server: FaultyServer) -> None:
    """M9: a wrong key is 502, not retryable, in JSON, as event and without a session; any worker's /health names it
    until the model answers; the log has the server's reason and not the key. M5: a cut answer is marked in the history.
    """
    key = "sk-wrong-key-of-the-model"
    running = service(BATON_ENGINE="openai", OPENAI_BASE_URL=f"{server.url}/v1", OPENAI_API_KEY=key)
    with httpx.Client(base_url=running.url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as client:

        def problem() -> set[str]:
            """What the workers say, whichever of them answers."""
            return {client.get("/health").json()["engine_problem"] for _ in range(8)}

        assert problem() == {""}
        server.refuses["messages"] = (401, {"error": {"message": f"Incorrect API key provided: {key}."}})
        mine = {"Authorization": f"Bearer {client.post('/api/session/create').json()['session_id']}"}
        for headers in (mine, {}):
            body = client.post("/api/chat", json={"query": "hello"}, headers=headers)
            assert body.status_code == 502
            payload = body.json()
            assert (payload["code"], payload["retryable"]) == ("engine_failed", False)
            assert "API key" not in body.text
            stream = client.post("/api/chat", json={"query": "hello"}, headers=headers | EVENTS).text
            assert '"retryable":false' in stream
        payload = "the model refuses every call: 401 Incorrect API key provided"
        until(lambda: all(one.startswith(payload) for one in problem()), 5, "every worker to show it")
        health = client.get("/health")
        assert health.status_code == 200
        assert "401 Incorrect API key provided" in running.output
        assert key not in running.output + health.text

        server.refuses["messages"] = (500, {})
        assert client.post("/api/chat", json={"query": "hello"}, headers=mine).json()["retryable"] is True

        server.refuses.clear()
        server.script = ("text/event-stream", [chunk({"content": "Half an"}), chunk({}, "length")])
        for _ in range(8):  # by the worker that met the problem, too
            assert client.post("/api/chat", json={"query": "hello"}, headers=mine).json()["answer"] == "Half an"
        until(lambda: problem() == {""}, 5, "the problem to be forgotten")
        last = client.get("/api/session/me/messages", headers=mine).json()["messages"][-1]
        assert last["metadata"] == {"finish_reason": "length"}
        stream = client.post("/api/chat", json={"query": "hello"}, headers=EVENTS).text
        assert '"metadata":{"finish_reason":"length"}' in stream
