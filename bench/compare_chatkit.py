"""Baton beside OpenAI's ChatKit server (`openai-chatkit`): `make bench BENCH=compare_chatkit` (needs wrk).

ChatKit runs as its documentation shows: FastAPI under uvicorn (with uvloop and httptools), one process, and a store in
memory, so it keeps nothing over a restart, where Baton writes to Redis. Neither has a model: the answer is the
question.

- create: ChatKit has no thread without a first message, and its create always streams. Beside it stands Baton's create
  and a first append, two requests, as one figure made from the two rates; the create alone is reported too.
- append: a message that is stored and gets no answer (ChatKit's ``respond`` yields nothing).
- echo turn: question and answer, streamed and stored on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from bench.http import BODY, Case
from bench.peers import SESSIONS, Call, Round, baton, compare, environment, over_http, peer, sessions

PACKAGES = ("openai-chatkit", "fastapi", "uvicorn", "uvloop", "httptools")
OURS, THEIRS = 8711, 8712
QUESTION, NO_ANSWER = "What is AI risk?", "Only keep this."
STREAM = (("Accept", "text/event-stream"),)


def operation(name: str, text: str, thread: str = "") -> str:
    """The body of a request to ChatKit."""
    sent = {"content": [{"type": "input_text", "text": text}], "attachments": [], "inference_options": {}}
    params = {"input": sent, **({"thread_id": thread} if thread else {})}
    return json.dumps({"type": f"threads.{name}", "params": params})


def threads() -> list[str]:
    """Ids of fresh threads of ChatKit."""
    made = []
    for _ in range(SESSIONS):
        text = httpx.post(f"http://127.0.0.1:{THEIRS}/chatkit", content=operation("create", NO_ANSWER)).text
        lines = (json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: "))
        made.append(next(event["thread"]["id"] for event in lines if event["type"] == "thread.created"))
    return made


def one_after_the_other(*calls: Callable[[], Round]) -> Round:
    """A round of each, as if every client made these calls in turn."""
    rounds = [make_round() for make_round in calls]
    total = sum(seconds for _, seconds in rounds)
    return total / sum(seconds / count for count, seconds in rounds), total


def calls() -> list[Call]:
    """The same work on both sides."""
    ours, theirs = sessions(OURS), threads()
    create = over_http(OURS, Case("create", "", "POST", "/api/session/create", ("{}",)), "session_id")
    appends = tuple(f"/api/session/{one}/messages" for one in ours)
    append = over_http(OURS, Case("append", "", "POST", "", (BODY,), paths=appends), "message")
    chats = tuple(json.dumps({"query": QUESTION, "session_id": one}) for one in ours)
    turn = over_http(OURS, Case("echo turn", "", "POST", "/api/chat", chats, headers=STREAM), "answer.end")

    def chatkit(name: str, bodies: list[str], expected: str) -> Callable[[], Round]:
        return over_http(THEIRS, Case(name, "", "POST", "/chatkit", tuple(bodies)), expected)

    theirs_create = chatkit("create", [operation("create", NO_ANSWER)], "thread.created")
    theirs_append = chatkit("append", [operation("add_user_message", NO_ANSWER, one) for one in theirs], "user_message")
    asked = [operation("add_user_message", QUESTION, one) for one in theirs]
    theirs_turn = chatkit("echo turn", asked, "assistant_message")
    return [
        Call("create", 2, create, theirs_create),
        Call("create and first message", 2, lambda: one_after_the_other(create, append), theirs_create),
        Call("append", 3, append, theirs_append),
        Call("echo turn", 3, turn, theirs_turn),
    ]


def main() -> None:
    """Prints a table."""
    python = environment("chatkit", *PACKAGES)
    command = [str(python), "-m", "uvicorn", "chatkit_app:app", "--port", str(THEIRS), "--no-access-log"]
    with baton(OURS) as ours, peer([*command, "--log-level", "warning"], THEIRS) as theirs:
        compare("ChatKit", (ours, theirs), calls())


if __name__ == "__main__":
    main()
