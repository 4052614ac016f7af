"""What the API says of each of its calls: one ``Operation`` a call, which the view of that call carries."""

from __future__ import annotations

from app.api.openapi import HERE, Body, Link, Operation, Reply
from app.api.schemas import (
    CLIENT_ID,
    METADATA,
    STRING,
    USER_TOKEN,
    record,
    ref,
    spoken,
)

MOST_CHARS = 4000
"""What is documented for ``MAX_MESSAGE_CHARS`` until ``document`` is told another number."""

_SESSION = {"session_id": "$response.body#/session_id"}
_HERE = {"session_id": HERE}
_STORAGE = ("storage_unavailable",)
_READS = ("session_not_found", *_STORAGE)
_OWNED = ("not_owner", *_READS)
_SPEAKS = (*_OWNED, "session_ended", "rate_limited")
_ENGINE = ("turn_in_progress", "session_full", "engine_failed", "engine_timeout", "engine_busy")

_AFTER = {"type": "string", "description": "The id of the last event known; without it, from now."}
_LAST_EVENT = {"Last-Event-ID": _AFTER}
_TEXT_MD = {"text/markdown": STRING, "text/plain": STRING, "application/json": ref("Transcript")}

CREATE = Operation(
    name="createSession",
    tag="Sessions",
    summary="Begin a conversation",
    body=Body(
        record({}, {"metadata": METADATA, "user_token": USER_TOKEN}),
        required=False,
        example={"metadata": {"page": "/pricing"}},
    ),
    answers={201: Reply("The session; `session_id` is a capability to it.", ref("Created"), headers=("Location",))},
    errors=("bad_token", "rate_limited", *_STORAGE),
    links={
        name: Link(name, _SESSION)
        for name in ("readSession", "readMessages", "heartbeat", "endSession", "stopAnswer", "readTranscript")
    }
    | {
        "addMessage": Link("addMessage", _SESSION, {"message": "What is AI risk?"}),
        "handOff": Link("handOff", _SESSION, {"kind": "share"}),
        "ask": Link("ask", {}, {"query": "What is Baton?", "session_id": "$response.body#/session_id"}),
        "resume": Link("resumeSession", {}, {"session": "$response.body#/session_id"}),
        "claim": Link("claimSession", _SESSION, {"user_token": "TOKEN"}),
        "eraseSession": Link("eraseSession", _SESSION),
    },
)
READ = Operation(
    name="readSession",
    tag="Sessions",
    summary="Read how a conversation stands",
    answers={200: Reply("The session.", ref("Session"))},
    errors=_OWNED,
)
ADD = Operation(
    name="addMessage",
    tag="Messages",
    summary="Add a message",
    body=Body(
        record(
            {"message": spoken(MOST_CHARS)},
            {
                "role": {
                    "enum": ["user", "assistant", "system", None],
                    "description": "Anything but `user` needs the API key.",
                },
                "metadata": METADATA,
                "client_id": CLIENT_ID,
            },
        ),
        example={"message": "What is AI risk?", "role": "user", "client_id": "q-1"},
    ),
    answers={
        201: Reply("Stored.", ref("Stored")),
        200: Reply("Stored before under this `client_id`: the same message again.", ref("Stored")),
    },
    errors=("role_forbidden", *_SPEAKS, "session_full"),
    links={
        "readMessages": Link("readMessages", {**_HERE, "before": "$response.body#/message/id"}),
    },
    key=True,
)
HISTORY = Operation(
    name="readMessages",
    tag="Messages",
    summary="Read the history, oldest first",
    query={
        "after": {"type": "string", "description": "Only what follows the message with this id."},
        "before": {"type": "string", "description": "Only what precedes the message with this id."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    },
    answers={200: Reply("A page of the history.", ref("History"))},
    errors=("invalid_request", *_OWNED),
)
FEEDBACK = Operation(
    name="rateMessage",
    tag="Messages",
    summary="Say whether an answer helped",
    body=Body(
        record(
            {"rating": {"enum": ["up", "down", None], "description": "null takes the rating back."}},
            {"comment": {"type": ["string", "null"], "maxLength": 500}},
        ),
        example={"rating": "up"},
    ),
    answers={200: Reply("The message with its rating.", ref("Stored"))},
    errors=("not_found", *_OWNED),
)
BEAT = Operation(
    name="heartbeat",
    tag="Sessions",
    summary="Say that the visitor is there",
    answers={200: Reply("Noted.", ref("Beat"))},
    errors=("session_ended", *_OWNED),
)
END = Operation(
    name="endSession",
    tag="Sessions",
    summary="End a conversation for good; its history stays until it expires",
    answers={200: Reply("Ended, now or before.", ref("Ended"))},
    errors=_OWNED,
)
HANDOFF = Operation(
    name="handOff",
    tag="Sessions",
    summary="Make a link that carries the conversation on elsewhere",
    body=Body(record({}, {"kind": {"enum": ["once", "share", None]}}), required=False, example={"kind": "once"}),
    answers={200: Reply("The link.", ref("Handoff"))},
    errors=("session_ended", *_OWNED),
    links={"resume": Link("resumeSession", {}, {"session": "$response.body#/ticket"})},
)
RESUME = Operation(
    name="resumeSession",
    tag="Sessions",
    summary="Carry on by session id or ticket, or a signed-in user's last: all that a page needs, in one trip",
    body=Body(
        {
            **record({}, {"session": spoken(200, null=True), "client_id": CLIENT_ID, "user_token": USER_TOKEN}),
            # A user's last conversation needs no `session`.
            "anyOf": [
                {"required": ["session"], "properties": {"session": STRING}},
                {"required": ["user_token"], "properties": {"user_token": spoken(4096)}},
            ],
        },
        example={"session": "tkt_EXAMPLE"},
    ),
    answers={200: Reply("The conversation.", ref("Resumed"))},
    errors=("bad_token", *_OWNED),
)
CLAIM = Operation(
    name="claimSession",
    tag="Sessions",
    summary="Make an anonymous conversation the signed-in user's, by `user_token` or `Baton-User`; it gets a new id",
    body=Body(record({"user_token": spoken(4096)}), example={"user_token": "TOKEN"}),
    answers={200: Reply("The conversation, under the id that it has from now on.", ref("Resumed"))},
    errors=("bad_token", "session_ended", "turn_in_progress", *_OWNED),
)
TRANSCRIPT = Operation(
    name="readTranscript",
    tag="Messages",
    summary="Download the conversation",
    query={"format": {"enum": ["md", "txt", "json"], "default": "md"}},
    answers={200: Reply("A file.", types=_TEXT_MD, headers=("Content-Disposition",))},
    errors=("invalid_request", *_OWNED),
)
ERASE = Operation(
    name="eraseSession",
    tag="Sessions",
    summary="Delete a conversation; nothing of it is left",
    answers={204: Reply("Gone.")},
    errors=_OWNED,
)
STOP = Operation(
    name="stopAnswer",
    tag="Chat",
    summary="Stop the answer that is being made; what was said so far stays",
    answers={200: Reply("Whether one was running.", ref("Stopped"))},
    errors=_OWNED,
)
CHAT = Operation(
    name="ask",
    tag="Chat",
    summary="Ask a question",
    query={"session": {"type": "string", "description": "The session id, where it is not in the body."}},
    body=Body(
        record({"query": spoken(MOST_CHARS)}, {"session_id": {"type": ["string", "null"]}, "client_id": CLIENT_ID}),
        example={"query": "What is AI risk?"},
    ),
    answers={
        200: Reply(
            "The answer; with `Accept: text/event-stream`, the events of the turn.",
            types={"application/json": ref("Answer"), "text/event-stream": STRING},
        )
    },
    errors=(*_SPEAKS, *_ENGINE),
    links={
        "rate": Link(
            "rateMessage",
            {**_SESSION, "message_id": "$response.body#/message_id"},
            {"rating": "up", "comment": "That helped."},
        ),
        "history": Link("readMessages", {**_SESSION, "before": "$response.body#/message_id"}),
    },
    bearer=True,
)
EVENTS = Operation(
    name="followEvents",
    tag="Live",
    summary="Follow what happens as server-sent events",
    query={"after": _AFTER},
    headers=_LAST_EVENT,
    answers={200: Reply("Events, for as long as the connection lives.", types={"text/event-stream": STRING})},
    errors=("rate_limited", *_OWNED),
)
SOCKET = Operation(
    name="followSocket",
    tag="Live",
    summary="Follow what happens over a WebSocket: one `{id, event, data}` a frame",
    query={"after": _AFTER},
    answers={101: Reply("The same events as `events` tells.")},
    errors=("invalid_request", "rate_limited", *_OWNED),
)
HEALTH = Operation(
    name="health",
    tag="Service",
    summary="Whether the service can work",
    answers={200: Reply("It can.", ref("Health")), 503: Reply("It cannot; `redis` says why.", ref("Health"))},
)
METRICS = Operation(
    name="metrics",
    tag="Service",
    summary="Figures as Prometheus text",
    answers={200: Reply("The figures.", types={"text/plain": STRING})},
)
DOCUMENT = Operation(
    name="describe",
    tag="Service",
    summary="This description",
    answers={200: Reply("OpenAPI 3.1.", {"type": "object"})},
)
