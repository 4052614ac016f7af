"""OpenAI's ChatKit server behind Baton's paths, for `python -m app doctor`: it translates calls and adds nothing.

``python -m bench.peers.chatkit_as_baton`` starts both and runs the doctor: docs/decisions/doctor.md has the outcome.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import httpx
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

from app import doctor
from bench.peers import HERE, environment
from tests.contract.launch import eventually
from tests.ports import free_port

NO_ANSWER = "Only keep this."
PACKAGES = ("openai-chatkit", "fastapi", "uvicorn", "uvloop", "httptools")


def adapter(chatkit: str) -> Flask:
    """The translating service."""
    app = Flask(__name__)
    peer = httpx.Client(base_url=chatkit, timeout=30)

    def operate(kind: str, **params: Any) -> httpx.Response:
        return peer.post("/chatkit", json={"type": kind, "params": params})

    def say(kind: str, text: Any, **params: Any) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        response = operate(kind, input={"content": content, "attachments": [], "inference_options": {}}, **params)
        response.raise_for_status()
        return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]

    def messages(thread: str) -> Any:
        response = operate("items.list", thread_id=thread, order="asc", limit=100)
        response.raise_for_status()
        found = [item for item in response.json()["data"] if item["type"] in ("user_message", "assistant_message")]
        return [message(item) for item in found][1:]  # the first one made the thread

    def message(item: dict[str, Any]) -> dict[str, Any]:
        text = "".join(part["text"] for part in item["content"])
        return {"id": item["id"], "role": item["type"].partition("_")[0], "content": text, "metadata": {}}

    @app.errorhandler(httpx.HTTPStatusError)
    def refused(error: httpx.HTTPStatusError) -> tuple[str, int]:
        return error.response.text, error.response.status_code

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    @app.post("/api/session/create")
    def create() -> tuple[Response, int]:
        events = say("threads.create", NO_ANSWER)
        thread = next(event["thread"] for event in events if event["type"] == "thread.created")
        return jsonify(success=True, session_id=thread["id"], status="active", created_at=thread["created_at"]), 201

    @app.get("/api/session/<thread>")
    def read(thread: str) -> Response:
        response = operate("threads.get_by_id", thread_id=thread)
        response.raise_for_status()
        return jsonify(success=True, **response.json() | {"status": "active"})

    @app.delete("/api/session/<thread>")
    def delete(thread: str) -> tuple[str, int]:
        operate("threads.delete", thread_id=thread).raise_for_status()
        return "", 204

    @app.get("/api/session/<thread>/messages")
    def history(thread: str) -> Response:
        return jsonify(success=True, messages=messages(thread), has_more=False, cursor="")

    @app.post("/api/session/<thread>/messages")
    def append(thread: str) -> tuple[Response, int]:
        events = say("threads.add_user_message", request.get_json(force=True).get("message"), thread_id=thread)
        item = next(event["item"] for event in events if event.get("item", {}).get("type") == "user_message")
        return jsonify(success=True, message=message(item)), 201

    @app.post("/api/chat")
    def chat() -> Response:
        body = request.get_json(force=True)
        events = say("threads.add_user_message", body["query"], thread_id=body.get("session_id"))
        items = [event["item"] for event in events if event["type"] == "thread.item.done"]
        answer = message(next(item for item in items if item["type"] == "assistant_message"))
        return jsonify(success=True, answer=answer["content"], citations=[], message_id=answer["id"])

    return app


def main() -> None:
    """Prints what the doctor says."""
    theirs, ours = free_port(), free_port()
    python = environment("chatkit", *PACKAGES)
    command = [str(python), "-m", "uvicorn", "chatkit_app:app", "--port", str(theirs), "--log-level", "critical"]
    process = subprocess.Popen(command, cwd=HERE)
    try:
        assert eventually(lambda: _listens(theirs), 60, 0.2)
        server = make_server("127.0.0.1", ours, adapter(f"http://127.0.0.1:{theirs}"), threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for check in doctor.examine(f"http://127.0.0.1:{ours}"):
            word = {True: "ok", False: "BROKEN", None: "skipped"}[check.ok]
            print(f"{word:8} {check.name}" + (f" ({check.detail})" if check.detail else ""))
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/")
    except httpx.TransportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
