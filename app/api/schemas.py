"""The shapes of what goes over the wire, as JSON Schema: one plain dict a thing, named as the contract names it."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

NOT_BLANK = "[^\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
"""Matches any text that is not white space alone; the counterpart of ``app.api.json_body.SPACE``."""


def ref(name: str) -> Schema:
    """A pointer to one of the ``COMPONENTS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    """An object with these fields; others are allowed, so that the service may learn new ones."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}, **more}


def success(fields: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    """The object of a call that went well."""
    return record({"success": {"const": True}, **fields}, optional, **more)


def listed(items: Schema, **more: Any) -> Schema:
    """An array of these."""
    return {"type": "array", "items": items, **more}


def spoken(most: int, *, null: bool = False) -> Schema:
    """Text of 1 to ``most`` characters that is more than white space."""
    kind: Any = ["string", "null"] if null else "string"
    return {"type": kind, "minLength": 1, "maxLength": most, "pattern": NOT_BLANK}


STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    "examples": ["2026-01-31T12:00:00.123Z"],
}
SESSION_ID: Schema = {
    "type": "string",
    "pattern": "^ses_[A-Za-z0-9_-]{32}$",
    "examples": ["ses_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAM"],
}
STATUS: Schema = {"enum": ["active", "abandoned", "ended"]}
METADATA: Schema = {
    "type": ["object", "null"],
    "additionalProperties": ref("Value"),
    "description": "At most 4 KiB as compact JSON.",
}
_WIDEST = 2**63
_VALUE: Schema = {
    "description": "Anything that JSON knows, with whole numbers of 64 bits at most.",
    "anyOf": [
        {"type": ["string", "boolean", "null"]},
        {"type": "number", "minimum": -_WIDEST, "maximum": _WIDEST},
        {"type": "array", "items": ref("Value")},
        {"type": "object", "additionalProperties": ref("Value")},
    ],
}
CLIENT_ID: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 64,
    "pattern": "^[A-Za-z0-9_.:-]{1,64}$",
    "description": "Makes a retry safe: the same one again gets the first answer again and does nothing twice.",
}
USER_TOKEN: Schema = {
    "type": ["string", "null"],
    "maxLength": 4096,
    "description": "The JWT by which the site vouches for its visitor; the header `Baton-User` does the same.",
}
CURSOR: Schema = {"type": "string", "description": "Where to start `events` so that nothing is missed or told twice."}

_MESSAGE = record(
    {
        "id": STRING,
        "role": {"enum": ["user", "assistant", "system"]},
        "content": STRING,
        "metadata": {"type": "object"},
        "created_at": TIME,
    },
    {"client_id": {"type": "string"}},
    examples=[
        {
            "id": "msg_1_0a1b2c",
            "role": "user",
            "content": "What is AI risk?",
            "metadata": {},
            "created_at": "2026-01-31T12:00:00.123Z",
        }
    ],
)
_CITATION = record({"title": STRING, "url": STRING, "snippet": {"type": "string", "maxLength": 600}})
_PROBLEM = record(
    {
        "type": {"type": "string", "format": "uri-reference"},
        "title": STRING,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": STRING,
        "success": {"const": False},
        "code": {"type": "string", "description": "Stable; the list stands in the protocol."},
        "retryable": {"type": "boolean", "description": "Whether the same call may work later."},
    },
    {"errors": listed(record({"field": STRING, "detail": STRING})), "request_id": STRING},
    description="What went wrong, as in RFC 9457.",
)
_HISTORY = {
    "session_id": SESSION_ID,
    "status": STATUS,
    "messages": listed(ref("Message"), description="Oldest first."),
    "has_more": {"type": "boolean", "description": "Whether there is more in the direction asked for."},
    "cursor": CURSOR,
}

COMPONENTS: dict[str, Schema] = {
    "Message": _MESSAGE,
    "Value": _VALUE,
    "Citation": _CITATION,
    "Problem": _PROBLEM,
    "Created": success(
        {
            "session_id": SESSION_ID,
            "status": {"const": "active"},
            "created_at": TIME,
            "expires_at": TIME,
            "expires_in": {"type": "integer", "description": "Seconds."},
            "chat_url": STRING,
        }
    ),
    "Session": success(
        {
            "session_id": SESSION_ID,
            "status": STATUS,
            "created_at": TIME,
            "updated_at": TIME,
            "last_seen_at": TIME,
            "expires_at": TIME,
            "message_count": COUNT,
        }
    ),
    "Stored": success({"message": ref("Message")}),
    "History": success(_HISTORY),
    "Resumed": success({**_HISTORY, "expires_at": TIME}, {"shared": BOOLEAN, "user_token": STRING}),
    "Beat": success({"status": STATUS, "expires_at": TIME}),
    "Ended": success({"status": {"const": "ended"}}),
    "Stopped": success({"stopped": {"type": "boolean", "description": "False when nothing ran."}}),
    "Handoff": success({"url": STRING, "ticket": STRING, "expires_in": {"type": "integer", "description": "Seconds."}}),
    "Answer": success(
        {
            "answer": STRING,
            "citations": listed(ref("Citation"), maxItems=5, description="Best first, one a page."),
            "session_id": {**SESSION_ID, "type": ["string", "null"]},
            "message_id": {"type": ["string", "null"]},
        }
    ),
    "Transcript": record({"messages": listed(ref("Message"))}),
    "Health": record(
        {"status": {"enum": ["ok", "unavailable"]}, "redis": STRING},
        {"durability": STRING, "version": STRING, "engine": STRING, "knowledge": {"type": "object"}},
    ),
}
