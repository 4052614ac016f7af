"""Loads Chainlit or Baton: `chainlit_client.py (chainlit|baton) URL CALL SECONDS` prints calls a second.

Runs in Chainlit's environment, for its aiohttp. Sixteen visitors at once; each makes its next call when the one before
has been answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from typing import Any

import aiohttp

CONNECTIONS = 16
QUESTION, NO_ANSWER = "What is AI risk?", "Only keep this."


class Chainlit:
    """One visitor: Socket.IO over a WebSocket, as Chainlit's own browser client speaks it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def create(self) -> None:
        """A new conversation: connected, and told so by the server."""
        address = f"{self._url}/ws/socket.io/?EIO=4&transport=websocket"
        self.socket = await self._http.ws_connect(address)
        session = {
            "sessionId": str(uuid.uuid4()),
            "clientType": "webapp",
            "userEnv": "{}",
            "chatProfile": "",
            "threadId": "",
        }
        await self._receive("0")
        await self.socket.send_str(f"40{json.dumps(session)}")
        await self._receive("40")
        await self.socket.send_str('42["connection_successful"]')
        await self._receive('42["clear_call_fn"')

    connect = create

    async def append(self) -> None:
        """A message without an answer."""
        await self._say(NO_ANSWER)

    async def turn(self) -> None:
        """A question and its answer."""
        assert await self._say(QUESTION) == 2, "the question was not answered"

    async def _say(self, text: str) -> int:
        """Sends a message and waits for the end of its task; how many messages came."""
        message = {"id": str(uuid.uuid4()), "name": "user", "type": "user_message", "output": text, "createdAt": ""}
        await self.socket.send_str(f"42{json.dumps(['client_message', {'message': message, 'fileReferences': None}])}")
        return await self._receive('42["task_end"')

    async def _receive(self, prefix: str) -> int:
        count = 0
        while True:
            frame = await self.socket.receive_str(timeout=30)
            count += frame.startswith('42["new_message"')
            if frame == "2":
                await self.socket.send_str("3")
            if frame.startswith(prefix):
                return count

    async def close(self) -> None:
        """Leaves."""
        await self.socket.close()


class Baton:
    """One visitor of Baton, as its widget speaks: calls over HTTP, an answer as a stream."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def create(self) -> None:
        """A new session."""
        async with self._http.post(f"{self._url}/api/session/create") as response:
            session_id = (await response.json())["session_id"]
        self._headers = {"Authorization": f"Bearer {session_id}"}
        self._protocols = ("baton", session_id)

    async def connect(self) -> None:
        """A new session, and a connection to it."""
        await self.create()
        self._socket = await self._http.ws_connect(f"{self._url}/api/session/me/ws", protocols=self._protocols)

    async def append(self) -> None:
        """A message without an answer."""
        sent = self._http.post(
            f"{self._url}/api/session/me/messages", json={"message": NO_ANSWER}, headers=self._headers
        )
        async with sent as response:
            assert response.status == 201, await response.text()
            await response.read()

    async def turn(self) -> None:
        """A question and its answer."""
        headers = {**self._headers, "Accept": "text/event-stream"}
        async with self._http.post(f"{self._url}/api/chat", json={"query": QUESTION}, headers=headers) as response:
            assert b"answer.end" in await response.read(), "the question was not answered"

    async def close(self) -> None:
        """Leaves."""
        if self._socket:
            await self._socket.close()


async def visit(visitor: Any, call: str, until: float) -> int:
    """How many calls one visitor made in time."""
    count, opens = 0, call in {"create", "connect"}
    if not opens:
        await visitor.create()
    while time.monotonic() < until:
        await getattr(visitor, call)()
        count += time.monotonic() < until
        if opens:
            await visitor.close()
    if not opens:
        await visitor.close()
    return count


async def main(kind: str, url: str, call: str, seconds: float) -> None:
    """One round."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        until = time.monotonic() + seconds
        visitors = [{"chainlit": Chainlit, "baton": Baton}[kind](http, url) for _ in range(CONNECTIONS)]
        counts = await asyncio.gather(*(visit(visitor, call, until) for visitor in visitors))
    print(sum(counts) / seconds)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
