"""The same work by FastAPI, uvicorn and redis.asyncio beside Baton: `make bench BENCH=compare_fastapi` (needs wrk).

One process on one core each, the load and one Redis on the other. FastAPI's side (bench/peers/fastapi_app.py) runs
Baton's own Lua scripts, checks its input by a model and makes the same responses, and does no more: no limits, no log
line, no metrics, no standard headers, no strict JSON, no turn that outlives its request. Baton's limits are off too.
It is a floor, not a product, so Baton is wanted to be level with it, not ahead.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from app.storage.embedded_redis import embedded_url
from bench.http import BODY, LIMITS, ROOT, Case, redis, start
from bench.peers import WIDE, Call, compare, environment, over_http, peer, running, sessions

PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "redis", "hiredis", "orjson")
OURS, THEIRS = 8705, 8706


def calls() -> list[Call]:
    """An append, and an echo turn, on sessions that both services share."""
    ids = sessions(OURS)
    append = Case("append", "", "POST", f"/api/session/{ids[0]}/messages", (BODY,))
    questions = tuple(json.dumps({"query": "What is AI risk?", "session_id": session_id}) for session_id in ids)
    turn = Case("echo turn", "", "POST", "/api/chat", questions)
    return [
        Call(case.name, 1, over_http(OURS, case, expected), over_http(THEIRS, case, expected))
        for case, expected in ((append, '"message"'), (turn, '"answer"'))
    ]


def main() -> None:
    """Prints a table."""
    python = environment("fastapi", *PACKAGES)
    folder = Path(tempfile.mkdtemp())
    server = redis(str(folder))
    url = embedded_url(folder)
    command = [str(python), "-m", "uvicorn", "fastapi_app:app", "--port", str(THEIRS), "--no-access-log"]
    try:
        with (
            running(start("bench.baseline:echo_app()", OURS, REDIS_URL=url, **WIDE, **LIMITS)) as ours,
            peer([*command, "--log-level", "warning"], THEIRS, REDIS_URL=url, BATON_APP=str(ROOT / "app")) as theirs,
        ):
            compare("FastAPI", (ours, theirs), calls())
    finally:
        server.stop()


if __name__ == "__main__":
    main()
