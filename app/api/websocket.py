"""Live events by WebSocket (RFC 6455): the same events as server-sent ones, one JSON object a frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import orjson
from flask import Blueprint, Response, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from app.api import schemas
from app.api.auth import bearer_token, load_session_context, validate_after_session_exists
from app.api.openapi import SESSION_ERRORS, ResponseSpec, openapi_operation
from app.api.sse import open_feed
from app.conversations.events import PING, Event
from app.errors import InvalidRequest, MethodNotAllowed, RateLimited

blueprint = Blueprint("websocket", __name__)
SUBPROTOCOL = "baton"
OPTIONS = {"subprotocols": [SUBPROTOCOL], "max_message_size": 4096, "ping_interval": 25}
_sock = Sock(blueprint)
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


def format_frame(event: Event) -> str:
    """The event as ``{id, event, data}``, without ``id`` where it has none."""
    head = b"" if event.id is None else b'"id":"%b",' % event.id.encode()
    return (b'{%b"event":"%b","data":%b}' % (head, event.type.encode(), event.data)).decode()


def session_id_from_subprotocol() -> str:
    """The id of the ``me`` form: the subprotocol beside ``baton``, or the bearer credential."""
    offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    others = [word for word in offered if word and word != SUBPROTOCOL]
    return others[0] if len(others) == 1 else (bearer_token() or "")


@blueprint.before_request
def authorize() -> None:
    """Opens the feed before the handshake, so that what can be refused is refused as in any other call."""
    session_id = (request.view_args or {}).get("session_id")
    context = load_session_context(session_id_from_subprotocol() if session_id is None else session_id)
    validate_after_session_exists(context, validate_handshake)
    sockets: list[Server] = []
    disconnected = lambda: any(not socket.connected for socket in sockets)  # noqa: E731
    events, close = open_feed(context, "ws", request.args.get("after"), disconnected)
    request.environ |= {"baton.sockets": sockets, "baton.events": events, "baton.close_feed": close}


def validate_handshake() -> None:
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
def release(_error: BaseException | None) -> None:
    """Gives the feed's slot back, also where the handshake failed."""
    close = request.environ.pop("baton.close_feed", None)
    if close is not None:
        close()


@openapi_operation(
    {101: ResponseSpec("The same events as `events` sends.")},
    query=schemas.EventsQuery,
    errors=(InvalidRequest, RateLimited, *SESSION_ERRORS),
)
def websocket(socket: Server, session_id: str | None = None) -> None:  # noqa: ARG001 - authorize() has read it
    """Follow the conversation over a WebSocket: one `{id, event, data}` a frame."""
    request.environ["baton.sockets"].append(socket)
    sending = threading.Lock()
    threading.Thread(target=ping_loop, args=(socket, sending), daemon=True).start()
    events: Iterator[Event | None] = request.environ["baton.events"]
    with closing(events), suppress(ConnectionClosed, OSError):  # type: ignore[type-var]
        for event in events:
            with sending:
                socket.send(format_frame(event or PING))
        socket.close(1012, "come back with the last id")


def ping_loop(socket: Server, sending: threading.Lock) -> None:
    """Answers the client's pings until the connection closes."""
    with suppress(ConnectionClosed, OSError):
        while True:
            if is_ping(socket.receive()):
                with sending:
                    socket.send('{"event":"pong"}')


def is_ping(frame: object) -> bool:
    """Whether the frame is ``{"type": "ping"}``; anything else is ignored."""
    try:
        message = orjson.loads(frame)  # type: ignore[arg-type]
    except (orjson.JSONDecodeError, TypeError):
        return False
    return isinstance(message, dict) and message.get("type") == "ping"


def reject_plain_http(session_id: str | None = None) -> Response:  # noqa: ARG001 - authorize() reads it
    """Answers a request that is no handshake."""
    if "baton.events" not in request.environ:
        authorize()
    raise MethodNotAllowed


for _session, _endpoint in (("<session_id>", "socket"), ("me", "socket_me")):
    _sock.route(f"/api/session/{_session}/ws", endpoint=_endpoint)(websocket)
    blueprint.add_url_rule(f"/api/session/{_session}/ws", f"{_endpoint}_plain", reject_plain_http)
