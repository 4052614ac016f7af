"""Every error that the API can answer with; the only list of error codes.

A class that sets ``code`` is one code of the wire contract, with its HTTP status, whether the same call may work
later (``retryable``), and ``when`` it is sent. OpenAPI, the page ``/docs`` and the tests read these.

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
    """An error that is answered as problem+json.

    ``detail`` is a plain sentence for people; it never holds a session id or a visitor's text.
    ``retry_after`` is in whole seconds; None where waiting does not help.
    """

    code = "internal_error"
    status = 500
    title = "Something went wrong"
    retryable = False
    when = "Something went wrong on our side. The request id finds it in the log."

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.errors: list[dict[str, str]] = []
        self.members: dict[str, object] = {}
        """What the error's JSON says beside the usual."""


class BadRequest(BatonError):
    """The body is not a JSON object."""

    code, status, title = "invalid_json", 400, "The body is not a JSON object"
    when = "The body is not a JSON object."


class LoginRequired(BatonError):
    """A call of the desk without a login."""

    code, status, title = "login_required", 401, "Login required"
    when = "A call of the desk without a login."


class Forbidden(BatonError):
    """The caller may not do this."""

    status, title = 403, "Not allowed"


class NotAllowed(Forbidden):
    """The operator may not do this, or their browser calls from another site."""

    code, when = "not_allowed", "The operator's role or site does not allow it."


class RoleForbidden(Forbidden):
    """Only the service's owner may do this."""

    code, when = "role_forbidden", "A role other than user without the API key, or the API key sent by a browser."


class NotOwner(Forbidden):
    """The session belongs to a signed-in user, and the caller is not known to be that user."""

    code = "not_owner"
    when = "The session belongs to a signed-in user, and the proof is missing or another user's."


class BadToken(Forbidden):
    """A user token does not verify."""

    code, when = "bad_token", "A user token that does not verify."


class OriginNotAllowed(Forbidden):
    """A browser calls from a site that is not among the allowed origins."""

    code = "origin_not_allowed"
    when = "A writing call or a WebSocket handshake from an Origin outside of BATON_ALLOWED_ORIGINS."


class NotFound(BatonError):
    """What the call is about does not exist."""

    status, title = 404, "Not found"


class SessionNotFound(NotFound):
    """No such session or ticket. The response is the same for every reason, so that ids cannot be guessed."""

    code, title = "session_not_found", "Session not found"
    when = "The session is unknown, malformed, expired or deleted, or the ticket is spent."

    def __init__(self, detail: str = "No such session: it has expired, was deleted, or never was.") -> None:
        super().__init__(detail)


class PathNotFound(NotFound):
    """No such path, or no such message of a session."""

    code, when = "not_found", "There is nothing at this path."


class MethodNotAllowed(BatonError):
    """The path exists, the method does not."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"
    when = "The path exists, but does not take this method."


class Conflict(BatonError):
    """The state of the session does not allow this."""

    status, title = 409, "The session does not allow this now"


class SessionEnded(Conflict):
    """The session has ended."""

    code, when = "session_ended", "The conversation has ended; its history can still be read."


class TurnInProgress(Conflict):
    """An answer is being made."""

    code, retryable, when = "turn_in_progress", True, "An answer is being made. Wait for its end."


class SessionFull(Conflict):
    """The session holds ``BATON_MAX_MESSAGES`` messages."""

    code, when = "session_full", "The conversation holds as many messages as it may. Nothing old is dropped."


class AlreadyTaken(Conflict):
    """Another operator has the conversation. ``name``: who."""

    code, when = "already_taken", "Another operator has the conversation; assigned_to says who."

    def __init__(self, name: str) -> None:
        super().__init__("Another operator has this conversation.")
        self.members["assigned_to"] = {"name": name}


class PayloadTooLarge(BatonError):
    """A body over 64 KiB."""

    code, status, title = "payload_too_large", 413, "The body is too large"
    when = "The body is over 64 KiB."


class UnsupportedMediaType(BatonError):
    """A body that is not ``application/json``."""

    code, status, title = "unsupported_media_type", 415, "The body must be application/json"
    when = "The body is not application/json."


class InvalidRequest(BatonError):
    """A field, a query parameter or a header is wrong. ``errors`` names each one."""

    code, status, title = "invalid_request", 422, "A field is not as it should be"
    when = "A field is missing, empty, too long, of the wrong type, or not encodable as UTF-8; errors says which."

    def __init__(self, field: str, detail: str, *more: tuple[str, str]) -> None:
        super().__init__(f"{field}: {detail}")
        self.errors = [{"field": name, "detail": reason} for name, reason in ((field, detail), *more)]


class RateLimited(BatonError):
    """Too many calls; ``retry_after`` says when to come back."""

    code, status, title, retryable = "rate_limited", 429, "Too many requests", True
    when = "Too many calls. Wait as long as Retry-After says."
    limit = 0
    """How many calls the used-up limit admits; 0 where it does not count calls."""
    scope = ""
    """Whose limit it is: of a ``session``, of an ``address``, or of an address that makes sessions (``create``)."""


class EngineFailed(BatonError):
    """The answer could not be made; the question is kept."""

    code, status, title, retryable = "engine_failed", 502, "The answer could not be made", True
    when = "The answer could not be made. The question is kept; the same call tries again."


class EngineRefused(EngineFailed):
    """The engine's server refuses every call, for example for a wrong key: only the operator can mend that."""

    retryable = False


class EngineBusy(EngineFailed):
    """The budget of engine calls is used up for now."""

    code, status, title = "engine_busy", 503, "Too many answers are being made right now"
    when = "Too many answers are being made at this moment."


class EngineTimeout(EngineFailed):
    """The engine sent nothing for longer than ``BATON_ENGINE_TIMEOUT``."""

    code, status, title = "engine_timeout", 504, "The answer took too long"
    when = "The answer took too long. The question is kept; the same call tries again."


class StorageUnavailable(BatonError):
    """Redis cannot be reached or refuses; after a write the outcome is unknown.

    ``kind`` is the driver's own word (``timeout``, ``NOAUTH``, ``READONLY``, ...), for logs and /health.
    """

    code, status, title, retryable = "storage_unavailable", 503, "Storage is not available", True
    when = "Redis cannot be reached or refuses. After a write: send it again with the same client_id."

    def __init__(self, kind: str = "unreachable", *, retry_after: int = 1) -> None:
        super().__init__(
            "Storage cannot be reached just now. Send it again with the same client_id.", retry_after=retry_after
        )
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
