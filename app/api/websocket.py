"""Listening by WebSocket (RFC 6455): the same events, one JSON object a frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import orjson
from flask import Blueprint, Response
from flask.globals import request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from app.api import openapi_operations
from app.api.auth import bearer, caller, checked
from app.api.openapi import describes
from app.api.sse import follow
from app.conversations.events import PING, Event
from app.errors import InvalidRequest, MethodNotAllowed

blueprint = Blueprint("ws", __name__)
PROTOCOL = "baton"
OPTIONS = {"subprotocols": [PROTOCOL], "max_message_size": 4096, "ping_interval": 25}
_sock = Sock(blueprint)
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


def _frame(event: Event) -> str:
    head = b"" if event.id is None else b'"id":"%b",' % event.id.encode()
    return (b'{%b"event":"%b","data":%b}' % (head, event.type.encode(), event.data)).decode()


def _named() -> str:
    """The id of the ``me`` form: the subprotocol beside ``baton``, or the bearer credential."""
    offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    others = [word for word in offered if word and word != PROTOCOL]
    return others[0] if len(others) == 1 else (bearer() or "")


@blueprint.before_request
def _open() -> None:
    """Refuses in the handshake what can be refused, as any other call."""
    named = (request.view_args or {}).get("session_id")
    one = caller(_named() if named is None else named)
    checked(one, _handshake)
    sockets: list[Server] = []
    gone = lambda: any(not ws.connected for ws in sockets)  # noqa: E731
    request.environ["baton.sockets"] = sockets
    request.environ["baton.feed"], request.environ["baton.events"] = follow(one, "ws", request.args.get("after"), gone)


def _handshake() -> None:
    """Raises InvalidRequest for a handshake that RFC 6455, section 4.2.1, does not allow."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise InvalidRequest("Upgrade", "must be websocket")
    if "upgrade" not in request.headers.get("Connection", "").lower():
        raise InvalidRequest("Connection", "must be Upgrade")
    if request.headers.get("Sec-WebSocket-Version") != "13":
        raise InvalidRequest("Sec-WebSocket-Version", "must be 13")
    if not _KEY.fullmatch(request.headers.get("Sec-WebSocket-Key", "").strip()):
        raise InvalidRequest("Sec-WebSocket-Key", "must be 16 bytes in base64")


@blueprint.teardown_request
def _leave(_error: BaseException | None) -> None:
    feed = request.environ.pop("baton.feed", None)
    if feed is not None:
        feed.leave()


@describes(openapi_operations.SOCKET)
def socket(ws: Server, session_id: str | None = None) -> None:  # noqa: ARG001 - read before the handshake
    """Tells the session's events until one side leaves."""
    request.environ["baton.sockets"].append(ws)
    lock = threading.Lock()
    reader = threading.Thread(target=_answer_pings, args=(ws, lock), daemon=True)
    reader.start()
    events: Iterator[Event | None] = request.environ["baton.events"]
    with closing(events), suppress(ConnectionClosed, OSError):  # type: ignore[type-var]
        for event in events:
            with lock:
                ws.send(_frame(event or PING))
        ws.close(1012, "come back with the last id")


def _answer_pings(ws: Server, lock: threading.Lock) -> None:
    with suppress(ConnectionClosed, OSError):
        while True:
            if _asks(ws.receive()):
                with lock:
                    ws.send('{"event":"pong"}')


def _asks(text: object) -> bool:
    try:
        found = orjson.loads(text)  # type: ignore[arg-type]
    except (orjson.JSONDecodeError, TypeError):
        return False
    return isinstance(found, dict) and found.get("type") == "ping"


def _refused(session_id: str | None = None) -> Response:  # noqa: ARG001 - read before
    """A call that is no handshake."""
    _open()
    raise MethodNotAllowed


for _place, _endpoint in (("<session_id>", "socket"), ("me", "socket_me")):
    _sock.route(f"/api/session/{_place}/ws", endpoint=_endpoint)(socket)
    blueprint.add_url_rule(
        f"/api/session/{_place}/ws", f"{_endpoint}_plain", describes(openapi_operations.SOCKET)(_refused)
    )
