"""What the protocols of other chat clients have in common: their bodies, and answers as streams of ``data:`` lines.

Each of them translates the same turns; none keeps anything of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from flask import Response

from app.api import schemas
from app.api.sse import escape_line_breaks
from app.errors import EngineBusy, InvalidRequest, SessionFull, TurnInProgress
from app.extensions import services

MAX_BODY_BYTES = 4 * 1024 * 1024
"""These clients send the whole history with each question."""
TEXT_PARTS = ("text", "input_text", "output_text")
KEEP_ALIVE = b": keep-alive\n\n"
TURN_ERRORS = (SessionFull, TurnInProgress, EngineBusy)


def last_question(messages: Sequence[Mapping[str, Any]], parts_name: str, field: str = "messages") -> tuple[str, str]:
    """Id and text of the last message, which must be the user's. Raises InvalidRequest.

    Its text is a string in ``content``, or the parts of type ``text`` in ``parts_name``.
    """
    last = messages[-1]
    if last.get("role") != "user":
        raise InvalidRequest(field, "must end with a message of the user's")
    question = parse_question(text_of(last.get(parts_name, last.get("content")), field), field)
    message_id = last.get("id")
    return (message_id if isinstance(message_id, str) else ""), question


def parse_question(text: str, field: str) -> str:
    """The text of a question, which obeys the rules of every message. Raises InvalidRequest."""
    try:
        return schemas.ChatRequest.parse({"query": text}, max_chars=services().config.max_message_chars).query
    except InvalidRequest as error:
        raise InvalidRequest(field, f"the last one {error.errors[0]['detail']}") from None


def text_of(content: Any, field: str) -> str:
    """The text of a message: a string, or its parts of text.

    Raises InvalidRequest for images, files and the like, and for what is no text in UTF-8.
    """
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts: list[str] = []
    for part in parts:
        part_type = part.get("type") if isinstance(part, dict) else None
        if part_type in TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif not isinstance(part_type, str) or (part_type != "step-start" and not part_type.startswith("data-")):
            raise InvalidRequest(field, "may hold text only")
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(field, "holds half of a surrogate pair, which is not a character") from None
    return text


def client_id_from(*ids: str) -> str | None:
    """A turn's client id out of the client's own ids: hashed where it has another form, None where there is none."""
    if not any(ids):
        return None
    text = ":".join(ids)
    is_usable = len(ids) == 1 and re.fullmatch(schemas.CLIENT_ID.strip("^$"), text)
    return text if is_usable else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def data_line(value: Mapping[str, Any], event_id: str | None = None) -> bytes:
    """One server-sent event without a name."""
    head = b"id: %b\n" % event_id.encode() if event_id else b""
    return head + b"data: %b\n\n" % escape_line_breaks(orjson.dumps(value))


def json_response(value: Mapping[str, Any]) -> Response:
    """One JSON object, in the protocol's own form."""
    return Response(orjson.dumps(value), mimetype="application/json")
