"""An append and an echo turn by FastAPI and redis.asyncio, with Baton's own Lua scripts (from the folder BATON_APP)."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Any, Literal

import orjson
import redis.asyncio
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

SCRIPTS = next(Path(os.environ["BATON_APP"]).rglob("append_message.lua")).parent
TTL, MAX_AGE = 86_400_000, 604_800_000
RUNNING, MINUTE = "baton:limits:{engine}:running", "baton:limits:{engine}:minute"
ADDRESS = f"{RUNNING}:address"

app = FastAPI()
database = redis.asyncio.from_url(os.environ["REDIS_URL"])


def script(name: str) -> Any:
    """A script with what its first line includes."""
    text = (SCRIPTS / f"{name}.lua").read_text()
    includes = [word for word in text.split("\n", 1)[0].removeprefix("--!").split() if word != "no-writes"]
    parts = [(SCRIPTS / f"_{word}.lua").read_text() for word in includes]
    return database.register_script("\n".join(["#!lua", *parts, text]))


APPEND, START, FINISH = script("append_message"), script("start_turn"), script("finish_turn")


class Message(BaseModel):
    """The body of an append."""

    message: str = Field(min_length=1, max_length=4000)
    role: Literal["user"] = "user"
    metadata: dict[str, Any] | None = None
    client_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,64}$")


class Question(BaseModel):
    """The body of a turn."""

    query: str = Field(min_length=1, max_length=4000)
    session_id: str


def meta_key(session_id: str) -> str:
    """The key of the session's hash; 404 for what is no id."""
    if not re.fullmatch(r"ses_[A-Za-z0-9_-]{32}", session_id):
        raise HTTPException(404)
    return "baton:{" + hashlib.sha256(session_id.encode()).hexdigest()[:32] + "}:meta"


def serialized(text: str) -> bytes:
    """A message as it is stored: JSON without its opening brace."""
    return orjson.dumps({"role": "user", "content": text, "metadata": {}})[1:]


@app.post("/api/session/{session_id}/messages", status_code=201)
async def append(session_id: str, body: Message) -> Response:
    """Stores a message."""
    reply = await APPEND(
        [meta_key(session_id)],
        ["", TTL, MAX_AGE, body.client_id or "", serialized(body.message), 900000000, 0, 1000, 1, 0, 0],
    )
    if reply[0] != b"ok":
        raise HTTPException(409)
    return Response(b'{"success":true,"message":' + reply[1] + b"}", 201, media_type="application/json")


@app.post("/api/chat")
async def chat(body: Question) -> Response:
    """A turn whose answer is the question."""
    key, turn = meta_key(body.session_id), "turn_" + secrets.token_urlsafe(12)
    started = await START(
        [key, RUNNING, MINUTE, ADDRESS],
        ["", TTL, MAX_AGE, "", serialized(body.query), 900000000, 0, 1000, 1, turn, 10000, 100, 1000, 900000000,
         120000, 1000, 0, 0],
    )  # fmt: skip
    if started[0] != b"started":
        raise HTTPException(409)
    history = [orjson.loads(message) for message in started[6]]
    answer = history[0]["content"]
    finished = await FINISH(
        [key, RUNNING, ADDRESS], ["*", TTL, MAX_AGE, turn, "end", "", "", b"{}", b"[]", 0, answer, "0", 0]
    )
    if finished[0] != b"ok":
        raise HTTPException(409)
    payload = {
        "success": True, "answer": answer, "citations": [], "session_id": body.session_id, "message_id": turn,
    }  # fmt: skip
    return Response(orjson.dumps(payload), media_type="application/json")
