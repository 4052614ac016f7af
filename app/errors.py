"""Every error that the API can answer with; the only list of error codes.

A class that sets ``code`` is one code of the wire contract, with its HTTP status and whether the same call may work
later (``retryable``). The first line of its docstring says when it is sent: the page ``/docs`` shows it, and the table
in docs/protocol.md has the same sentence.

BatonError               500  internal_error
 +-- BadRequest          400  invalid_json
 +-- LoginRequired       401  login_required
 +-- Forbidden           403
 |    +-- NotAllowed          not_allowed
 |    +-- RoleForbidden       role_forbidden
 |    +-- NotOwner            not_owner
 |    +-- BadToken            bad_token
 |    +-- OriginNotAllowed    origin_not_allowed
 +-- NotFound            404
 |    +-- SessionNotFound     session_not_found
 |    +-- PathNotFound        not_found
 +-- MethodNotAllowed    405  method_not_allowed
 +-- Conflict            409
 |    +-- SessionEnded        session_ended
 |    +-- TurnInProgress      turn_in_progress
 |    +-- SessionFull         session_full
 |    +-- AlreadyTaken        already_taken
 +-- PayloadTooLarge     413  payload_too_large
 +-- UnsupportedMediaType 415 unsupported_media_type
 +-- InvalidRequest      422  invalid_request
 +-- RateLimited         429  rate_limited
 +-- EngineFailed        502  engine_failed
 |    +-- EngineBusy     503  engine_busy
 |    +-- EngineTimeout  504  engine_timeout
 +-- StorageUnavailable  503  storage_unavailable
"""

from __future__ import annotations

from collections.abc import Iterator
from traceback import extract_tb


class BatonError(Exception):
    """Something went wrong on our side. The request id finds it in the log.

    An error is answered as problem+json. ``detail`` is a plain sentence for people; it never holds a session id or a
    visitor's text. ``retry_after`` is in whole seconds; None where waiting does not help.
    """

    code = "internal_error"
    status = 500
    title = "Something went wrong"
    retryable = False

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.errors: list[dict[str, str]] = []
        self.members: dict[str, object] = {}
        """What the error's JSON says beside the usual."""

    @classmethod
    def when(cls) -> str:
        """When it is sent: the first line of the docstring."""
        return (cls.__doc__ or "").partition("\n")[0]


class BadRequest(BatonError):
    """The body is not a JSON object."""

    code, status, title = "invalid_json", 400, "The body is not a JSON object"


class LoginRequired(BatonError):
    """A call of the desk without a login."""

    code, status, title = "login_required", 401, "Login required"


class Forbidden(BatonError):
    """The caller may not do this."""

    status, title = 403, "Not allowed"


class NotAllowed(Forbidden):
    """The operator's role or site does not allow it."""

    code = "not_allowed"


class RoleForbidden(Forbidden):
    """A role other than user without the API key, or the API key sent by a browser."""

    code = "role_forbidden"


class NotOwner(Forbidden):
    """The session belongs to a signed-in user, and the proof is missing or another user's."""

    code = "not_owner"


class BadToken(Forbidden):
    """A user token that does not verify."""

    code = "bad_token"


class OriginNotAllowed(Forbidden):
    """A writing call or a WebSocket handshake from an Origin outside of BATON_ALLOWED_ORIGINS."""

    code = "origin_not_allowed"


class NotFound(BatonError):
    """What the call is about does not exist."""

    status, title = 404, "Not found"


class SessionNotFound(NotFound):
    """The session is unknown, malformed, expired or deleted, or the ticket is spent."""

    code, title = "session_not_found", "Session not found"

    def __init__(self) -> None:
        super().__init__("No such session: it has expired, was deleted, or never was.")


class PathNotFound(NotFound):
    """There is nothing at this path."""

    code = "not_found"


class MethodNotAllowed(BatonError):
    """The path exists, but does not take this method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class Conflict(BatonError):
    """The state of the session does not allow this."""

    status, title = 409, "The session does not allow this now"


class SessionEnded(Conflict):
    """The conversation has ended; its history can still be read."""

    code = "session_ended"


class TurnInProgress(Conflict):
    """An answer is being made. Wait for its end."""

    code, retryable = "turn_in_progress", True


class SessionFull(Conflict):
    """The conversation holds as many messages as it may. Nothing old is dropped."""

    code = "session_full"


class AlreadyTaken(Conflict):
    """Another operator has the conversation; assigned_to says who."""

    code = "already_taken"

    def __init__(self, name: str) -> None:
        super().__init__("Another operator has this conversation.")
        self.members["assigned_to"] = {"name": name}


class PayloadTooLarge(BatonError):
    """The body is over 64 KiB."""

    code, status, title = "payload_too_large", 413, "The body is too large"


class UnsupportedMediaType(BatonError):
    """The body is not application/json."""

    code, status, title = "unsupported_media_type", 415, "The body must be application/json"


class InvalidRequest(BatonError):
    """A field is missing, empty, too long, of the wrong type, or not encodable as UTF-8; errors says which."""

    code, status, title = "invalid_request", 422, "A field is not as it should be"

    def __init__(self, field: str, detail: str, *more: tuple[str, str]) -> None:
        super().__init__(f"{field}: {detail}")
        self.errors = [{"field": name, "detail": reason} for name, reason in ((field, detail), *more)]


class RateLimited(BatonError):
    """Too many calls. Wait as long as Retry-After says."""

    code, status, title, retryable = "rate_limited", 429, "Too many requests", True
    limit = 0
    """How many calls the used-up limit admits; 0 where it does not count calls."""
    scope = ""
    """Whose limit it is: of a ``session``, of an ``address``, or of an address that makes sessions (``create``)."""


class EngineFailed(BatonError):
    """The answer could not be made. The question is kept; the same call tries again."""

    code, status, title, retryable = "engine_failed", 502, "The answer could not be made", True


class EngineRefused(EngineFailed):
    """The engine's server refuses every call, for example for a wrong key: only the operator can mend that."""

    retryable = False


class EngineBusy(EngineFailed):
    """Too many answers are being made at this moment."""

    code, status, title = "engine_busy", 503, "Too many answers are being made right now"


class EngineTimeout(EngineFailed):
    """The answer took too long. The question is kept; the same call tries again."""

    code, status, title = "engine_timeout", 504, "The answer took too long"


class StorageUnavailable(BatonError):
    """Redis cannot be reached or refuses. After a write: send it again with the same client_id.

    ``kind`` is the driver's own word (``timeout``, ``NOAUTH``, ``READONLY``, ...), for logs and /health.
    """

    code, status, title, retryable = "storage_unavailable", 503, "Storage is not available", True

    def __init__(self, kind: str = "unreachable") -> None:
        super().__init__("Storage cannot be reached just now. Send it again with the same client_id.", retry_after=1)
        self.kind = kind


def _with_code(parent: type[BatonError]) -> Iterator[type[BatonError]]:
    if "code" in vars(parent):
        yield parent
    for child in parent.__subclasses__():
        yield from _with_code(child)


ERRORS: tuple[type[BatonError], ...] = tuple(sorted(_with_code(BatonError), key=lambda error: error.status))
"""Every error that has a code, by status."""


def error_location(error: BaseException) -> str:
    """Where it was raised, for the log; not its message, which may quote a visitor."""
    frames = extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
