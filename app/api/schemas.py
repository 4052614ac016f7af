"""What goes over the wire, as pydantic models: bodies and queries that are validated, and the documented responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from app.errors import InvalidRequest

MAX_METADATA_BYTES = 4096
"""As compact JSON in UTF-8."""
NOT_BLANK = "[^\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
"""Matches text that is not white space alone. White space as Unicode has it: in Python's own ``\\s`` and in
JavaScript's it differs."""
CLIENT_ID = "^[A-Za-z0-9_.:-]{1,64}$"
SESSION_KEY = "^[A-Za-z0-9_.:@-]{1,128}$"
EMAIL = r"^[^\s@<>\"]{1,64}@[^\s@<>\"]{1,189}$"
_SENTENCES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "holds half of a surrogate pair, which is not a character",
    "dict_type": "must be an object",
    "too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    NOT_BLANK: "must not be empty",
    CLIENT_ID: "must be 1 to 64 of A-Z a-z 0-9 _ . : -",
    EMAIL: "must be an email address such as ada@example.com",
    SESSION_KEY: "must be 1 to 128 of A-Z a-z 0-9 _ . : @ -",
}
"""What is wrong with a field, by pydantic's type of error or by the pattern. Pydantic's own messages may quote it."""


class RequestModel(BaseModel):
    """Fields of a body or a query. Fields that it does not name are ignored."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any], **context: Any) -> Self:
        """The validated fields. Raises InvalidRequest that names every wrong field and repeats none of them."""
        try:
            return cls.model_validate(fields, context=context)
        except ValidationError as error:
            details: dict[str, str] = {}
            for entry in error.errors(include_url=False, include_input=False):
                details.setdefault(str(entry["loc"][0]), _sentence(entry["type"], entry["msg"], entry.get("ctx", {})))
        first, *more = details.items()
        raise InvalidRequest(*first, *more)


def _sentence(error_type: str, message: str, values: Mapping[str, Any]) -> str:
    if error_type == "custom":  # raised below, in our own words
        return message
    return _SENTENCES.get(values.get("pattern", error_type), "is not valid").format_map(values)


def _wrong(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("custom", sentence)


def _within_message_limit(text: str, info: ValidationInfo) -> str:
    limit = (info.context or {})["max_chars"]
    if len(text) > limit:
        raise _wrong(f"must have at most {limit} characters")
    return text


def _within_metadata_limit(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(orjson.dumps(metadata))
    except TypeError:  # half a surrogate pair, or a number past 64 bits: the log could not store it
        raise _wrong("holds a number beyond 64 bits or what cannot be written as UTF-8") from None
    if size > MAX_METADATA_BYTES:
        raise _wrong(f"must have at most {MAX_METADATA_BYTES} bytes as JSON")
    return metadata


def _blank_is_none(text: str) -> str | None:
    return text if re.search(NOT_BLANK, text) else None


def parse_integer(text: Any) -> int:
    """The number that a query parameter names."""
    if not isinstance(text, str) or not re.fullmatch("[0-9]{1,9}", text):
        raise _wrong("must be a whole number")
    return int(text)


MessageText = Annotated[str, Field(min_length=1, pattern=NOT_BLANK), AfterValidator(_within_message_limit)]
"""At most ``BATON_MAX_MESSAGE_CHARS`` characters, which come as the context ``max_chars``; kept exactly as sent."""
Metadata = Annotated[
    dict[str, Any], AfterValidator(_within_metadata_limit), Field(description="At most 4 KiB as compact JSON.")
]
ClientId = Annotated[
    str,
    Field(
        pattern=CLIENT_ID,
        description="Makes a retry safe: the same one again gets the first answer again and does nothing twice.",
    ),
]
UserToken = Annotated[
    str,
    Field(
        max_length=4096,
        description="The JWT by which the site vouches for its visitor; the header `Baton-User` does the same.",
    ),
    AfterValidator(_blank_is_none),
]


def _not_a_session_id(key: str) -> str:
    if key.startswith("ses_"):
        raise _wrong("must not begin with ses_: that is a session id, not a name")
    return key


SessionKey = Annotated[
    str,
    Field(
        pattern=SESSION_KEY,
        description="The name of a conversation; it does not begin with `ses_`.",
        json_schema_extra={"not": {"pattern": "^ses_"}},
    ),
    AfterValidator(_not_a_session_id),
]


def example(**fields: Any) -> ConfigDict:
    """A model's example, which the API's description shows."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class CreateSessionRequest(RequestModel):
    """A new conversation, or with a `key` the one of that name."""

    model_config = example(metadata={"page": "/pricing"})
    metadata: Metadata | None = None
    user_token: UserToken | None = None
    key: SessionKey | None = Field(
        None,
        description="Finds the conversation of that name again, for the signed-in user, or for the server with the API "
        "key. Needs the proof of one of them; with both it is the user's.",
    )


class AppendMessageRequest(RequestModel):
    """A message to store."""

    model_config = example(message="What is AI risk?", role="user", client_id="q-1")
    message: MessageText
    role: Literal["user", "assistant", "system"] | None = Field(
        None, description="Anything but `user` needs the API key."
    )
    metadata: Metadata | None = None
    client_id: ClientId | None = None


class RateMessageRequest(RequestModel):
    """Whether an answer helped."""

    model_config = example(rating="up")
    rating: Literal["up", "down"] | None = Field(description="null takes the rating back.")
    comment: Annotated[str, Field(max_length=500), AfterValidator(_blank_is_none)] | None = None


class HandoffRequest(RequestModel):
    """What kind of link: for one use, or for another device until the session ends."""

    model_config = example(kind="once")
    kind: Literal["once", "share"] | None = None


class ResumeRequest(RequestModel):
    """A session id or a ticket; without one, the signed-in user's conversation named by `key`, else their last one."""

    model_config = example(session="tkt_EXAMPLE")
    session: Annotated[str, Field(pattern=NOT_BLANK)] | None = None
    key: SessionKey | None = Field(
        None, description="The name of the user's conversation, which is found and never made; `session` goes first."
    )
    client_id: ClientId | None = None
    user_token: UserToken | None = None


class ClaimRequest(RequestModel):
    """The token of the user whose conversation it becomes, and the name that they find it by."""

    model_config = example(user_token="TOKEN")  # noqa: S106
    user_token: UserToken | None = None
    key: SessionKey | None = Field(
        None,
        description="The name that the conversation gets. Where the user has a living conversation of that name "
        "already, that one is the answer, and the anonymous one stays as it is.",
    )


class Contact(RequestModel):
    """Where the visitor can be reached."""

    name: Annotated[str, Field(max_length=100), AfterValidator(_blank_is_none)] | None = None
    email: Annotated[str, Field(max_length=254, pattern=EMAIL)] | None = None


class RequestHumanRequest(RequestModel):
    """Why a person is asked for, and where the visitor can be reached where nobody is there."""

    model_config = example(reason="A question about my order", contact={"name": "Ada", "email": "ada@example.com"})
    reason: Annotated[str, Field(max_length=500), AfterValidator(_blank_is_none)] | None = None
    contact: Contact | None = None


class ChatRequest(RequestModel):
    """A question; without a session it is answered from the question alone, and nothing is stored."""

    model_config = example(query="What is AI risk?")
    query: MessageText
    session_id: str | None = None
    client_id: ClientId | None = None


class ListMessagesQuery(RequestModel):
    """Which part of the history."""

    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(parse_integer)] = 100
    after: str | None = Field(None, description="Only what follows the message with this id.")
    before: str | None = Field(None, description="Only what precedes the message with this id.")

    @field_validator("before")
    @classmethod
    def _one_direction(cls, before: str | None, info: ValidationInfo) -> str | None:
        if before is not None and info.data.get("after") is not None:
            raise _wrong("cannot be used together with after")
        return before

    @property
    def position(self) -> tuple[str, str]:
        """``after`` or ``before`` and the message's id; both empty for the newest messages."""
        if self.after is not None:
            return "after", self.after
        return ("", "") if self.before is None else ("before", self.before)


class TranscriptQuery(RequestModel):
    """The format of the file."""

    format: Literal["md", "txt", "json"] = "md"


class EventsQuery(RequestModel):
    """Where the events start."""

    after: str | None = Field(None, description="The id of the last event known; without it, from now.")


class ChatQuery(RequestModel):
    """The session, where the body does not name it."""

    session: str | None = Field(None, description="The session id, where it is not in the body.")


Timestamp = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        examples=["2026-01-31T12:00:00.123Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
SessionId = Annotated[str, Field(pattern="^ses_[A-Za-z0-9_-]{32}$", examples=["ses_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAM"])]
Status = Literal["active", "abandoned", "ended"]
Seconds = Annotated[int, Field(description="Seconds.")]
Handler = Literal["bot", "queue", "human"]
QueuePosition = Annotated[int, Field(ge=1, description="In the queue, from 1.")]
Cursor = Annotated[str, Field(description="Where to start `events` so that nothing is missed or repeated.")]


def _require_success(schema: dict[str, Any]) -> None:
    schema["required"] = ["success", *schema.get("required", [])]


class Success(BaseModel):
    """The response to a call that worked."""

    model_config = ConfigDict(json_schema_extra=_require_success)
    success: Literal[True] = True


class Author(BaseModel):
    """A person who answers."""

    type: Literal["operator"]
    name: str


class AssignedTo(BaseModel):
    """The operator who has the conversation."""

    name: str


class Handled(Success):
    """Who answers; only where people answer too (`BATON_DESK`)."""

    handler: Handler = Field(default="bot", exclude=True)
    assigned_to: AssignedTo | None = Field(default=None, exclude=True)
    queue_position: QueuePosition = Field(default=1, exclude=True)


class Message(BaseModel):
    """A stored message."""

    id: str
    author: Annotated[Author | None, Field(description="Of an operator's message.")] = None
    role: Literal["user", "assistant", "system"]
    content: str
    metadata: dict[str, Any]
    created_at: Timestamp
    client_id: str | None = None


class SessionCreated(Success):
    """The session; `session_id` is a capability to it."""

    session_id: SessionId
    status: Literal["active"] = "active"
    created_at: Timestamp
    expires_at: Timestamp
    expires_in: Seconds
    chat_url: str


class SessionState(Handled):
    """The session."""

    session_id: SessionId
    status: Status
    created_at: Timestamp
    updated_at: Timestamp
    last_seen_at: Timestamp
    expires_at: Timestamp
    message_count: Annotated[int, Field(ge=0)]


class MessageStored(Success):
    """The stored message; the first one again where the `client_id` is known."""

    message: Message


class MessagePage(Handled):
    """A part of the history."""

    session_id: SessionId
    status: Status
    messages: Annotated[list[Message], Field(description="Oldest first.")]
    has_more: Annotated[bool, Field(description="Whether there is more in the direction asked for.")]
    cursor: Cursor


class SessionResumed(MessagePage):
    """The conversation, with the newest part of its history."""

    expires_at: Timestamp
    shared: bool = False
    user_token: str = ""


class HeartbeatReceived(Success):
    """The session was seen."""

    status: Status = "active"
    expires_at: Timestamp


class SessionEnded(Success):
    """The session has ended, now or before."""

    status: Literal["ended"] = "ended"


class AnswerStopped(Success):
    """Whether an answer was being made."""

    stopped: Annotated[bool, Field(description="False when no answer was being made.")]


class HandoffCreated(Success):
    """The link."""

    url: str
    ticket: str
    expires_in: Seconds


class Citation(BaseModel):
    """A page that the answer rests on."""

    title: str
    url: str
    snippet: Annotated[str, Field(max_length=600)]


class Answer(Success):
    """The answer; with `Accept: text/event-stream`, the events of the turn."""

    answer: Annotated[str | None, Field(description="null where a person is to answer.")]
    handler: Handler = Field(default="bot", exclude=True, description="Where it is a person's turn now.")
    citations: Annotated[list[Citation], Field(max_length=5, description="Best first, one a page.")]
    session_id: SessionId | None
    message_id: str | None


class HumanRequested(Success):
    """Who answers now. With nobody there it stays `bot`, and what was left is kept for the operators."""

    handler: Handler
    queue_position: QueuePosition | None = Field(None, exclude_if=lambda position: position is None)
    people: Literal["away", "online"]


class TypingNoted(Success):
    """The operators see it."""


class Transcript(BaseModel):
    """The conversation as a file."""

    messages: list[Message]


class Site(Success):
    """What visitors see, as set on the server; null where the widget's own words and looks are to be shown."""

    title: str | None
    greeting: str | None
    suggestions: list[str]
    color: Annotated[str | None, Field(description="`#rgb` or `#rrggbb`.")]
    theme: Literal["auto", "light", "dark"]
    lang: Annotated[str | None, Field(description="A BCP 47 tag.")]
    assistant_name: str
    logo_url: Annotated[str | None, Field(description="An image, served by this service.")]
    contact_url: Annotated[str | None, Field(description="An https or mailto address.")]
    people: Annotated[Literal["off", "away", "online"], Field(description="Whether people answer too.")]


class Health(BaseModel):
    """Whether the service can work; where it cannot, `redis` says why."""

    status: Literal["ok", "unavailable"]
    redis: str
    durability: str = ""
    version: str = ""
    engine: str = ""
    engine_problem: Annotated[str, Field(description="What only the operator can mend, such as a wrong key.")] = ""
    knowledge: dict[str, Any] = Field(default_factory=dict)


class FieldError(BaseModel):
    """A field and what is wrong with it."""

    field: str
    detail: str


class Problem(BaseModel):
    """What went wrong, as in RFC 9457."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    success: Literal[False]
    code: Annotated[str, Field(description="Stable; the list stands in the protocol.")]
    retryable: Annotated[bool, Field(description="Whether the same call may work later.")]
    errors: list[FieldError] = Field(default_factory=list)
    limit: Annotated[
        str, Field(description="Of `rate_limited`: whose limit it is, `session`, `address` or `create`.")
    ] = ""
    assigned_to: Annotated[dict[str, str] | None, Field(description="Of `already_taken`: who has it.")] = None
    request_id: str = ""
