"""The same work by FastAPI, uvicorn and redis.asyncio, against ours: `make bench BENCH=rival` (needs wrk).

One process on one core each, the load and one Redis on the other; limits off; rounds interleaved; medians.
What the rival needs is installed into a folder of its own by the bench and by nothing else. It runs our own Lua files,
checks its input by a model, makes the same answers, and asks no more of itself: no log line, no metrics, no standard
headers, no strict JSON, no turn that outlives its request.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from app.storage.embedded_redis import embedded_url
from bench.http import BODY, LIMITS, ROUNDS, SECONDS, Case, cpu, load, redis, start, worker

NEEDS = ("fastapi", "uvicorn", "uvloop", "httptools", "redis", "hiredis", "orjson")
PLACE = Path(os.environ.get("RIVAL_ENV", Path(tempfile.gettempdir()) / f"baton-rival-{os.getuid()}"))
SERVICE = """
import hashlib, json, os, re, secrets, sys
from pathlib import Path
from typing import Literal
import orjson, redis.asyncio
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

lua = Path("app/storage/lua")
app = FastAPI()
db = redis.asyncio.from_url(os.environ["REDIS_URL"])

def script(name):
    own = (lua / f"{name}.lua").read_text()
    words = [w for w in own.split("\\n", 1)[0].removeprefix("--!").split() if w != "no-writes"]
    return db.register_script("#!lua\\n" + "\\n".join([*((lua / f"{w}.lua").read_text() for w in words), own]))

APPEND, BEGIN, CLOSE = script("append"), script("begin"), script("close")
LIFE = (86400000, 604800000)

class Message(BaseModel):
    message: str = Field(min_length=1, max_length=4000)
    role: Literal["user"] = "user"
    metadata: dict | None = None
    client_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,64}$")

class Question(BaseModel):
    query: str = Field(min_length=1, max_length=4000)
    session_id: str

def meta(session_id):
    if not re.fullmatch(r"ses_[A-Za-z0-9_-]{32}", session_id):
        raise HTTPException(404)
    return "baton:{" + hashlib.sha256(session_id.encode()).hexdigest()[:32] + "}:meta"

def spelt(text):
    return orjson.dumps({"role": "user", "content": text, "metadata": {}})[1:]

@app.post("/api/session/{session_id}/messages", status_code=201)
async def append(session_id: str, sent: Message):
    reply = await APPEND([meta(session_id)], ["", *LIFE, sent.client_id or "", spelt(sent.message),
                         900000000, 0, 1000, 1, 0, 0])
    if reply[0] != b"ok":
        raise HTTPException(409)
    return Response(b'{"success":true,"message":' + reply[1] + b"}", 201, media_type="application/json")

@app.post("/api/chat")
async def chat(sent: Question):
    key, turn = meta(sent.session_id), "turn_" + secrets.token_urlsafe(12)
    begun = await BEGIN([key, "baton:limits:{engine}:running", "baton:limits:{engine}:minute"],
                        ["", *LIFE, "", spelt(sent.query), 900000000, 0, 1000, 1, turn, 10000, 100, 1000, 900000000,
                         120000, 0, 0])
    if begun[0] != b"begun":
        raise HTTPException(409)
    history = [orjson.loads(one) for one in begun[6]]
    answer = history[0]["content"]
    closed = await CLOSE([key, "baton:limits:{engine}:running"],
                         ["*", *LIFE, turn, "end", "", "", b"{}", b"[]", 0, answer, "0"])
    if closed[0] != b"ok":
        raise HTTPException(409)
    told = {"success": True, "answer": answer, "citations": [], "session_id": sent.session_id, "message_id": turn}
    return Response(orjson.dumps(told), media_type="application/json")
"""


def install() -> Path:
    """The rival's own Python, with what it needs."""
    python = PLACE / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS], check=True)
    (PLACE / "rival.py").write_text(SERVICE.replace("\\n", "\\n"))
    return python


def rival(python: Path, port: int, address: str) -> subprocess.Popen[bytes]:
    """One process of it on the first core."""
    words = ["-m", "uvicorn", "rival:app", "--port", str(port), "--app-dir", str(PLACE), "--no-access-log"]
    env = os.environ | {"REDIS_URL": address}
    process = subprocess.Popen(
        ["taskset", "-c", "0", str(python), *words, "--log-level", "warning"], env=env, start_new_session=True
    )
    for _ in range(100):
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        break
    return process


def cases(url: str) -> list[Case]:
    """An append, and an echo turn in one of so many sessions that none is asked while it answers."""
    asked = [httpx.post(f"{url}/api/session/create").json()["session_id"] for _ in range(300)]
    chats = tuple(f'{{"query": "What is AI risk?", "session_id": "{one}"}}' for one in asked)
    return [
        Case("append", "", "POST", f"/api/session/{asked[0]}/messages", (BODY,)),
        Case("echo turn", "", "POST", "/api/chat", chats),
    ]


def main() -> None:
    """Prints a table."""
    if not shutil.which("wrk"):
        raise SystemExit("This needs wrk: apt-get install wrk")
    python = install()
    folder = Path(tempfile.mkdtemp())
    server = redis(str(folder))
    address = embedded_url(folder)
    wide = {"BATON_MAX_MESSAGES": "900000000", "BATON_ENGINE_PER_MINUTE": "900000000", "REDIS_URL": address}
    ours = start("bench.noop:echoing()", 8705, BATON_ENGINE_CONCURRENCY="1000", **wide, **LIMITS)
    theirs = rival(python, 8706, address)
    try:
        measure({"Baton": (worker(ours), 8705), "rival": (theirs.pid, 8706)})
    finally:
        for process in (ours, theirs):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        server.stop()


def measure(services: dict[str, tuple[int, int]]) -> None:
    """Rounds over both services, then the medians."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    every = cases("http://127.0.0.1:8705")
    for _ in range(ROUNDS):
        for case in every:
            for name, (pid, port) in services.items():
                before = cpu(pid)
                rate = load(f"http://127.0.0.1:{port}", case)
                found.setdefault((case.name, name), []).append((rate, (cpu(pid) - before) / (rate * SECONDS) * 1e6))
    print(f"{'call':12} {'service':8} {'a second':>9} {'CPU us':>7}")
    for (call, name), pairs in found.items():
        rate, cost = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{call:12} {name:8} {rate:9.0f} {cost:7.0f}")


if __name__ == "__main__":
    main()
