"""Live events by WebSocket (RFC 6455): the same events as server-sent ones, one JSON object a frame.

The client may speak too: ``COMMANDS`` are the HTTP calls of the same name, with their rules and limits.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, SupportsIndex

import orjson
from flask import Blueprint, Flask, Response, current_app, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import ProtocolError

from app.api import schemas
from app.api.auth import SessionContext, bearer_token, load_session_context, validate_after_session_exists
from app.api.chat import parse_question, start_turn
from app.api.human import people_service
from app.api.json_body import MAX_BYTES, parse_json_object
from app.api.messages import parse_message, store_message
from app.api.openapi import SESSION_ERRORS, ResponseSpec, openapi_operation
from app.api.sse import open_feed
from app.conversations.events import PING, Event
from app.error_handlers import problem, unforeseen_problem
from app.errors import InvalidRequest, MethodNotAllowed, PayloadTooLarge, RateLimited
from app.extensions import services
from app.rate_limit import address_limit

blueprint = Blueprint("websocket", __name__)
SUBPROTOCOL = "baton"
OPTIONS = {
    "subprotocols": [SUBPROTOCOL],
    "max_message_size": 4 * MAX_BYTES,  # a longer frame closes the connection; one over MAX_BYTES gets its problem
    "ping_interval": 25,
    "receive_bytes": 1024,  # all frames of one read are parsed before anybody else has a turn
}
MAX_WAITING_BYTES = 4 * MAX_BYTES
"""Frames that a client has sent and that are not answered yet, for instance since it reads no answers."""
FRAME_COST = 256
"""Counted for each frame beside its length."""
FRAME_INTERVAL = 0.01
"""Seconds a frame, on the average; so a client that sends frames without end does not keep the worker busy."""
FRAME_BURST = 100
"""Frames that are answered at once."""
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
    if "gunicorn.socket" in request.environ:
        request.environ["gunicorn.socket"] = WholeFrames(request.environ["gunicorn.socket"])


class WholeFrames:
    """The connection as simple_websocket uses it: its ``send`` sends everything, and nothing in between.

    A socket's own ``send`` may take a part of a long frame, where the client reads slowly; the rest would be lost.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """Raises OSError where the client has left, or does not read."""
        with self._sending:
            self._connection.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@blueprint.errorhandler(ProtocolError)
@blueprint.errorhandler(ValueError)
def refuse_handshake(error: Exception) -> Response:
    """What simple_websocket raises for headers that it cannot read, such as a host that is no name."""
    if request.environ.get("baton.sockets") == []:  # the feed is open, the connection is not
        return problem(InvalidRequest("handshake", "has a header that cannot be read"))
    return unforeseen_problem(error)


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
def websocket(socket: Server, session_id: str | None = None) -> None:
    """Follow the conversation over a WebSocket: one `{id, event, data}` a frame.

    The client may send `{"type": "ping"}`, and `chat` (`query`), `message` (`message`), `stop`, `heartbeat` and
    `typing`, with a `client_id` where the call of that name takes one. Each is answered by `ack` or `problem`.
    """
    request.environ["baton.sockets"].append(socket)
    socket.input_buffer = WaitingFrames(socket.input_buffer)
    sending = threading.Lock()
    answer = FrameHandler(current_app._get_current_object(), request.environ, session_id)  # type: ignore[attr-defined]
    threading.Thread(target=receive_loop, args=(socket, sending, answer), daemon=True).start()
    events: Iterator[Event | None] = request.environ["baton.events"]
    with closing(events), suppress(ConnectionClosed, OSError):  # type: ignore[type-var]
        for event in events:
            with sending:
                socket.send(format_frame(event or PING))
        socket.close(1012, "come back with the last id")


class WaitingFrames(list[str | bytes]):
    """The frames of a client that wait for their answer; too many of them close its connection."""

    def __init__(self, frames: Iterable[str | bytes]) -> None:
        super().__init__(frames)
        self._size = sum(len(frame) + FRAME_COST for frame in self)

    def append(self, frame: str | bytes) -> None:
        """Raises OSError, which ends the reading thread and closes the connection."""
        self._size += len(frame) + FRAME_COST
        if self._size > MAX_WAITING_BYTES:
            raise ConnectionAbortedError("too many frames wait for their answer")
        super().append(frame)

    def pop(self, index: SupportsIndex = -1) -> str | bytes:
        """A frame that is about to be answered."""
        frame = super().pop(index)
        self._size -= len(frame) + FRAME_COST
        return frame


def receive_loop(socket: Server, sending: threading.Lock, answer: Callable[[str | bytes], bytes]) -> None:
    """Answers the client's frames until the connection closes."""
    answered_until = 0.0
    with suppress(ConnectionClosed, OSError):
        while True:
            frame, now = socket.receive(), time.monotonic()
            answered_until = max(answered_until + FRAME_INTERVAL, now)
            time.sleep(max(answered_until - now - FRAME_BURST * FRAME_INTERVAL, 0.0))
            reply = answer(frame).decode()
            with sending:
                socket.send(reply)


class FrameHandler:
    """Answers one frame of a client. Each has a request context of its own, so that rate limits count every one."""

    def __init__(self, app: Flask, environ: dict[str, Any], session_id: str | None) -> None:
        self._app = app
        self._environ = {name: value for name, value in environ.items() if not name.startswith("baton.")}
        self._session_id = session_id_from_subprotocol() if session_id is None else session_id

    def __call__(self, frame: str | bytes) -> bytes:
        """The frame to send back."""
        name, sent_id = "", ""
        with self._app.request_context(self._environ.copy()):
            try:
                fields = read_frame(frame)
                name, sent_id = str(fields.get("type")), _sent_id(fields)
                if name == "ping":
                    return b'{"event":"pong"}'
                if name not in COMMANDS:
                    raise InvalidRequest("type", f"must be ping, {', '.join(COMMANDS)}")
                COMMANDS[name](load_session_context(self._session_id), fields)
            except Exception as error:  # noqa: BLE001 - the handlers of the HTTP calls, which log what is unforeseen
                response = self._app.make_response(self._app.handle_user_exception(error))
                problem = response.get_json() | _retry_after(response) | _client_id(sent_id)
                return orjson.dumps({"event": "problem", "data": problem})
        return orjson.dumps({"event": "ack", "data": {"type": name} | _client_id(sent_id)})


def read_frame(frame: str | bytes) -> dict[str, Any]:
    """The object in a frame, which obeys the rules of every body. Raises PayloadTooLarge or BadRequest."""
    raw = frame.encode() if isinstance(frame, str) else frame
    if len(raw) > MAX_BYTES:
        raise PayloadTooLarge(f"A frame may have {MAX_BYTES // 1024} KiB at most.")
    return parse_json_object(raw)


def _sent_id(fields: dict[str, Any]) -> str:
    """The client id of a frame, by which its sender recognises the reply; empty where it is no text, such as null.

    Half of a surrogate pair, which no reply could hold, becomes a question mark.
    """
    client_id = fields.get("client_id")
    return client_id[:64].encode(errors="replace").decode() if isinstance(client_id, str) else ""


def _retry_after(response: Response) -> dict[str, int]:
    """What a call would be told in the header of this name: seconds. A frame has no headers."""
    seconds = response.headers.get("Retry-After", type=int)
    return {} if seconds is None else {"retry_after": seconds}


def _client_id(sent_id: str) -> dict[str, str]:
    return {"client_id": sent_id} if sent_id else {}


@address_limit
def chat_command(context: SessionContext, fields: dict[str, Any]) -> None:
    """``POST /api/chat``; the answer comes as events."""
    question = parse_question(fields)
    start_turn(context, question.query, question.client_id)


@address_limit
def message_command(context: SessionContext, fields: dict[str, Any]) -> None:
    """``POST /api/session/<id>/messages``."""
    store_message(context, parse_message(context, fields))


def stop_command(context: SessionContext, _: dict[str, Any]) -> None:
    """``POST /api/session/<id>/stop``."""
    services().conversations.stop_turn(context.session_hash, context.actor)


def heartbeat_command(context: SessionContext, _: dict[str, Any]) -> None:
    """``POST /api/session/<id>/heartbeat``."""
    services().conversations.heartbeat(context.session_hash, context.actor)


@address_limit
def typing_command(context: SessionContext, _: dict[str, Any]) -> None:
    """``POST /api/session/<id>/typing``. Raises PathNotFound while the desk is off."""
    people = validate_after_session_exists(context, people_service)
    people.set_typing(context.session_hash, "visitor", actor=context.actor)


COMMANDS: dict[str, Callable[[SessionContext, dict[str, Any]], None]] = {
    "chat": chat_command,
    "message": message_command,
    "stop": stop_command,
    "heartbeat": heartbeat_command,
    "typing": typing_command,
}


def reject_plain_http(session_id: str | None = None) -> Response:  # noqa: ARG001 - authorize() reads it
    """Answers a request that is no handshake."""
    if "baton.events" not in request.environ:
        authorize()
    raise MethodNotAllowed


for _session, _endpoint in (("<session_id>", "socket"), ("me", "socket_me")):
    _sock.route(f"/api/session/{_session}/ws", endpoint=_endpoint)(websocket)
    blueprint.add_url_rule(f"/api/session/{_session}/ws", f"{_endpoint}_plain", reject_plain_http)
