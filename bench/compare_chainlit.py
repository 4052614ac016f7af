"""Baton beside Chainlit: `make bench BENCH=compare_chainlit`.

Chainlit runs by its own command, one process, without a data layer: it keeps conversations in memory only, where Baton
writes to Redis. Each is asked as its own browser client asks: Chainlit by Socket.IO on one WebSocket, Baton over HTTP
with the answer as a stream. One client in Python (bench/peers/chainlit_client.py) plays sixteen visitors of either on
the other core. It is slower than wrk and may be what limits the rates: the ratio of CPU times says more.

- create: Chainlit has no conversation without a connection, so it is a new connection, up to the event that says that
  it is set up. Beside it stands Baton's create.
- connect: the same connection of Chainlit's beside Baton's create and a new WebSocket. Nothing is wanted of that, since
  Baton's widget reads its feed over HTTP and only while somebody looks.
- append: a message without an answer, until the end of its task (Chainlit) or the response (Baton).
- echo turn: question and answer, until the end of the task or of the stream.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.http import SECONDS
from bench.peers import HERE, Call, Round, baton, compare, environment, peer

OURS, THEIRS = 8715, 8716
WANTED = {"create": 2, "connect": 0, "append": 3, "turn": 3}


def load(python: Path, kind: str, port: int, call: str) -> Callable[[], Round]:
    """A round of the client against one service."""
    client = ["taskset", "-c", "1", str(python), str(HERE / "chainlit_client.py")]
    command = [*client, kind, f"http://127.0.0.1:{port}", call, str(SECONDS)]

    def make_round() -> Round:
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout
        return float(output) * SECONDS, SECONDS

    return make_round


def main() -> None:
    """Prints a table."""
    python = environment("chainlit", "chainlit")
    command = [str(python.parent / "chainlit"), "run", "chainlit_app.py", "--headless", "--port", str(THEIRS)]
    with baton(OURS) as ours, peer(command, THEIRS) as theirs:
        calls = [
            Call(name, wanted, load(python, "baton", OURS, name), load(python, "chainlit", THEIRS, name))
            for name, wanted in WANTED.items()
        ]
        compare("Chainlit", (ours, theirs), calls)


if __name__ == "__main__":
    main()
