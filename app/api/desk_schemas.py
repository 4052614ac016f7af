"""What goes over the wire at the desk: operators, logins, availability and canned replies."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from app.api.schemas import NOT_BLANK, RequestModel, Success, example
from app.auth.operators import Role
from app.config import UNSHOWABLE

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
