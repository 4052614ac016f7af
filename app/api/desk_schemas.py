"""What goes over the wire at the desk: operators and their logins, canned replies, analytics, conversations."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.api.schemas import (
    NOT_BLANK,
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
from app.config import UNSHOWABLE, Role

MAX_REPLIES = 200
_SHORTCUT = r"^[^\s/]{1,40}$"


def _one_line(text: str) -> str:
    if UNSHOWABLE.search(text):
        raise PydanticCustomError("custom", "must be one line without control characters")
    return text.strip()


OperatorName = Annotated[str, Field(min_length=1, max_length=60, pattern=NOT_BLANK), AfterValidator(_one_line)]
OperatorId = Annotated[str, Field(pattern="^op_[A-Za-z0-9_-]{1,60}$", examples=["op_4f1d0c8a9b2e7d36"])]


class LoginRequest(RequestModel):
    """The invitation, which is spent by it."""

    model_config = example(invite="inv_EXAMPLE")
    invite: Annotated[str, Field(min_length=1, max_length=200)]


class AvailabilityRequest(RequestModel):
    """Whether visitors may be given to the operator."""

    model_config = example(available=True)
    available: Annotated[bool, Field(strict=True)]


class InviteRequest(RequestModel):
    """A new operator; with the `id` of one who is there, a new link for them."""

    model_config = example(name="Anna", role="operator")
    name: OperatorName | None = Field(None, description="As visitors see it. Needed without `id`.")
    role: Role | None = Field(None, description="Needed without `id`.")
    id: OperatorId | None = None


class Reply(BaseModel):
    """A canned reply, offered under its shortcut."""

    shortcut: Annotated[str, Field(pattern=_SHORTCUT, description="Without white space and `/`.")]
    text: Annotated[str, Field(min_length=1, max_length=4000, pattern=NOT_BLANK)]


def _distinct(replies: list[Reply]) -> list[Reply]:
    if len({reply.shortcut.casefold() for reply in replies}) < len(replies):
        raise PydanticCustomError("custom", "must not use a shortcut twice")
    return replies


class SetRepliesRequest(RequestModel):
    """All canned replies, in place of the earlier ones."""

    model_config = example(replies=[{"shortcut": "hello", "text": "Hello, how can I help?"}])
    replies: Annotated[list[Reply], Field(max_length=MAX_REPLIES), AfterValidator(_distinct)]


class OperatorInfo(BaseModel):
    """An operator."""

    id: OperatorId
    name: str
    role: Role


class OperatorListed(OperatorInfo):
    """An operator, and whether they are there."""

    available: Annotated[bool, Field(description="Switched on, and present.")]
    present: bool


class Me(Success):
    """The caller; `operator` is null for the API key alone."""

    operator: OperatorInfo | None
    available: Annotated[bool, Field(description="Whether they are switched on.")]


class LoggedOut(Success):
    """The login has ended."""


class OperatorList(Success):
    """Every operator, by name."""

    operators: list[OperatorListed]


class OperatorInvited(Success):
    """The operator, and the link that logs them in once, for 24 hours."""

    operator: OperatorInfo
    url: str


class ReplyList(Success):
    """The canned replies."""

    replies: list[Reply]


def _day(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        with suppress(ValueError):
            return date.fromisoformat(value)
    if value is None:
        return None
    raise PydanticCustomError("custom", "must be a day such as 2026-01-31")


Day = Annotated[date, BeforeValidator(_day)]


class AnalyticsQuery(RequestModel):
    """Which days, in UTC; without any, the last 30."""

    from_: Day | None = Field(None, alias="from", description="The first day.")
    to: Day | None = Field(None, description="The last day; without it, today.")
    format: Literal["json", "csv"] = "json"


class AbandonedCounts(BaseModel):
    """Conversations whose visitor went away, by who had them then."""

    bot: int
    queue: int
    human: int


class AnalyticsDay(BaseModel):
    """What happened on a day. A median is null where there was nothing to measure."""

    date: date
    sessions: Annotated[int, Field(description="Conversations that were created.")]
    asked: Annotated[int, Field(description="Conversations in which something was asked for the first time.")]
    restored: Annotated[int, Field(description="Resumes of a conversation, in the same browser or as the same user.")]
    handed_off: Annotated[int, Field(description="Tickets redeemed: a conversation moved to a page or a device.")]
    ended: int
    abandoned: AbandonedCounts
    duration_p50_s: Annotated[
        float | None, Field(description="Median length of the conversations that ended or were abandoned.")
    ]
    first_answer_p50_ms: Annotated[float | None, Field(description="Median time from a question to the first word.")]
    answers: Annotated[int, Field(description="Answers of the engine, those that found nothing among them.")]
    not_found: Annotated[int, Field(description="Answers that say that nothing was found.")]
    failed: Annotated[int, Field(description="Questions to which no answer could be made.")]
    up: int
    down: int
    requested_human: Annotated[int, Field(description="Requests for a person, by the visitor or the engine.")]
    taken: Annotated[int, Field(description="How often an operator took a conversation.")]
    wait_p50_s: Annotated[float | None, Field(description="Median time in the queue until somebody took it.")]


class AnalyticsDays(Success):
    """The days, oldest first, also those on which nothing happened."""

    days: list[AnalyticsDay]


class Question(BaseModel):
    """Questions of the same words that were not answered, as the last of them was asked."""

    id: str
    question: str
    count: int
    first_at: Timestamp
    last_at: Timestamp


class QuestionList(Success):
    """The most frequent first. `kept`: whether BATON_KEEP_QUESTIONS is on."""

    kept: bool
    questions: list[Question]


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
