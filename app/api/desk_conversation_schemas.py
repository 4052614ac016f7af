"""What goes over the wire about conversations at the desk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from app.api.desk_schemas import OperatorId
from app.api.schemas import (
    Author,
    ClientId,
    Cursor,
    Handler,
    Message,
    MessageText,
    RequestModel,
    Status,
    Success,
    Timestamp,
    example,
    parse_integer,
)

ViewName = Literal["queue", "mine", "open", "bot", "ended"]
Ref = Annotated[str, Field(pattern="^cnv_[0-9a-f]{24}$", examples=["cnv_0123456789abcdef01234567"])]


class ListConversationsQuery(RequestModel):
    """Which conversations."""

    view: ViewName | None = Field(
        None, description="`queue` where neither it nor `user` is given. `mine` are the caller's, `open` anybody's."
    )
    q: Annotated[str, Field(max_length=200)] = Field(
        "", description="Looks in the last message, names, mail addresses and the page."
    )
    cursor: str | None = Field(None, description="The `cursor` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(parse_integer)] = 50
    user: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The id of a verified user, for all conversations of theirs."
    )


class TakeRequest(RequestModel):
    """Whether to take it from somebody else, as leads and admins may."""

    model_config = example(force=False)
    force: Annotated[bool, Field(strict=True)] = False


class ReleaseRequest(RequestModel):
    """Who is to have it: the bot, the queue, or the operator with this id."""

    model_config = example(to="bot")
    to: Annotated[str, Field(pattern="^(bot|queue|op_[A-Za-z0-9_-]{1,60})$")]


class OperatorMessageRequest(RequestModel):
    """What the operator says, or notes for the others."""

    model_config = example(message="Hello, how can I help?", client_id="m-1")
    message: MessageText
    client_id: ClientId | None = None


class Person(BaseModel):
    """An operator, by id and name."""

    id: OperatorId
    name: str


class LastMessage(BaseModel):
    """The newest stored message."""

    role: Literal["user", "assistant", "system"]
    preview: Annotated[str, Field(max_length=120, description="Its beginning, in one line.")]
    created_at: Timestamp
    author: Author | None = None


class Conversation(BaseModel):
    """A conversation as in the lists."""

    ref: Ref
    handler: Handler
    assigned_to: Person | None
    status: Status
    last_message: LastMessage | None
    waiting_since: Timestamp | None
    created_at: Timestamp
    last_seen_at: Timestamp
    unread: Annotated[int, Field(ge=0, description="The visitor's messages that the caller has not read.")]
    metadata: dict[str, Any]
    user: Annotated[dict[str, Any] | None, Field(description="Of a verified user: `id`, and `name`, `email`.")]
    queue_position: Annotated[int | None, Field(description="While it waits: its place, from 1.")] = None
    contact: Annotated[dict[str, Any] | None, Field(description="What the visitor has left: `name`, `email`.")] = None
    reason: Annotated[str, Field(description="Why a person was asked for, by the visitor or the engine.")] = ""
    rated_at: Annotated[Timestamp | None, Field(description="When the visitor last rated an answer.")] = None


class Counts(BaseModel):
    """How many conversations each view has."""

    queue: int
    mine: int
    open: int
    bot: int
    ended: int


class ConversationList(Success):
    """A page of the list."""

    conversations: list[Conversation]
    counts: Counts
    cursor: Annotated[str | None, Field(description="Where the next page begins; null after the last one.")]


class ConversationState(Conversation, Success):
    """A conversation."""

    updated_at: Timestamp
    expires_at: Timestamp
    message_count: int


class Note(BaseModel):
    """A note, which operators alone read."""

    id: str
    role: Literal["note"]
    content: str
    author: dict[str, str]
    created_at: Timestamp


class NoteStored(Success):
    """The stored note."""

    message: Note


class DeskMessagePage(Success):
    """A part of the history, with the notes of that time."""

    ref: Ref
    status: Status
    handler: Handler
    assigned_to: Person | None
    messages: Annotated[list[Message | Note], Field(description="Oldest first.")]
    has_more: Annotated[bool, Field(description="Whether there is more in the direction asked for.")]
    cursor: Cursor


class Done(Success):
    """It is done."""
