"""Baton beside LangGraph's development server (`langgraph dev`): `make bench BENCH=compare_langgraph` (needs wrk).

It is the server that can be had without a licence and without Postgres: one process, its store in memory, its queue of
runs in the same process with as many jobs at once as there are connections. LangGraph's production server has another
store and queue; nothing here speaks of it. Neither side has a model: a graph of one node answers with the question.

- create: ``POST /threads``.
- append: ``POST /threads/<id>/state`` with one more message.
- echo turn: ``POST /threads/<id>/runs/wait``, beside a JSON answer of Baton's; both store question and answer. A run
  waits in the queue before it starts, so what limits its rate is mostly that wait: look at the CPU time beside it.
"""

from __future__ import annotations

import json

import httpx

from bench.http import BODY, SECONDS, Case
from bench.peers import SESSIONS, Call, baton, compare, environment, over_http, peer, sessions

OURS, THEIRS = 8713, 8714
QUESTION = "What is AI risk?"
THREAD = '{"metadata": {"graph_id": "echo"}}'
"""An append needs a thread that knows its graph."""
CONNECTIONS = 16


def threads() -> list[str]:
    """Ids of fresh threads of LangGraph."""
    with httpx.Client(base_url=f"http://127.0.0.1:{THEIRS}") as client:
        return [client.post("/threads", content=THREAD).json()["thread_id"] for _ in range(SESSIONS)]


def calls() -> list[Call]:
    """The same work on both sides."""
    ours, theirs = sessions(OURS), threads()
    messages = {"messages": [{"role": "user", "content": QUESTION}]}
    create = Case("create", "", "POST", "/api/session/create", ("{}",))
    append = Case("append", "", "POST", "", (BODY,), paths=tuple(f"/api/session/{one}/messages" for one in ours))
    chats = tuple(json.dumps({"query": QUESTION, "session_id": one}) for one in ours)
    turn = Case("echo turn", "", "POST", "/api/chat", chats)
    states, runs = (tuple(f"/threads/{one}/{path}" for one in theirs) for path in ("state", "runs/wait"))
    state = json.dumps({"values": messages})
    run = json.dumps({"assistant_id": "echo", "input": messages})
    their_append = Case("append", "", "POST", "", (state,), paths=states)
    their_turn = Case("echo turn", "", "POST", "", (run,), paths=runs)
    return [
        Call(
            "create", 2, over_http(OURS, create), over_http(THEIRS, Case("create", "", "POST", "/threads", (THREAD,)))
        ),
        Call("append", 3, over_http(OURS, append), over_http(THEIRS, their_append, "checkpoint")),
        Call("echo turn", 3, over_http(OURS, turn), over_http(THEIRS, their_turn, '"ai"', 3 * SECONDS)),
    ]


def main() -> None:
    """Prints a table."""
    python = environment("langgraph", "langgraph-cli[inmem]")
    command = [str(python.parent / "langgraph"), "dev", "--no-browser", "--no-reload", "--port", str(THEIRS)]
    command += ["--n-jobs-per-worker", str(CONNECTIONS), "--server-log-level", "WARNING", "--allow-blocking"]
    quiet = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false", "LOG_LEVEL": "WARNING"}
    path = {"PATH": f"{python.parent}:/usr/bin:/bin"}
    with baton(OURS) as ours, peer(command, THEIRS, **quiet, **path) as theirs:
        compare("LangGraph", (ours, theirs), calls())


if __name__ == "__main__":
    main()
