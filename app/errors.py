"""Everything that may be told to a caller as having gone wrong.

BatonError
 +-- BadRequest             400  invalid_json
 +-- Forbidden              403  role_forbidden, not_owner, bad_token
 +-- NotFound               404  session_not_found, not_found
 +-- MethodNotAllowed       405  method_not_allowed
 +-- Conflict               409  session_ended, turn_in_progress, session_full
 +-- PayloadTooLarge        413  payload_too_large
 +-- UnsupportedMediaType   415  unsupported_media_type
 +-- InvalidRequest         422  invalid_request
 +-- RateLimited            429  rate_limited
 +-- EngineFailed           502  engine_failed
 |    +-- EngineTimeout     504  engine_timeout
 |    +-- EngineBusy        503  engine_busy
 +-- StorageUnavailable     503  storage_unavailable

The codes, statuses and what is retryable are those of the wire contract.
"""

from __future__ import annotations


class BatonError(Exception):
    """One thing that went wrong, in the words of the contract.

    ``detail`` is a plain sentence for people and never holds a session id or a visitor's text.
    ``retry_after`` is in whole seconds; None where waiting does not help.
    """

    code = "internal_error"
    status = 500
    title = "Something went wrong"
    retryable = False

    def __init__(self, detail: str = "", *, code: str = "", retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or type(self).code
        self.retry_after = retry_after
        self.errors: list[dict[str, str]] = []


class BadRequest(BatonError):
    """The body is not a JSON object."""

    code, status, title = "invalid_json", 400, "The body is not a JSON object"


class Forbidden(BatonError):
    """The caller may not do this: ``role_forbidden``, ``not_owner`` or ``bad_token``."""

    code, status, title = "role_forbidden", 403, "Not allowed"


class NotFound(BatonError):
    """No such session, ticket or path; always the same words, so that nothing can be guessed."""

    code, status, title = "session_not_found", 404, "Session not found"

    def __init__(
        self, detail: str = "No such session: it has expired, was deleted, or never was.", *, code: str = ""
    ) -> None:
        super().__init__(detail, code=code)


class MethodNotAllowed(BatonError):
    """The path exists, the method does not."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class Conflict(BatonError):
    """The session's state forbids it: ``session_ended``, ``turn_in_progress`` or ``session_full``."""

    code, status, title = "session_ended", 409, "The session does not allow this now"

    def __init__(self, detail: str = "", *, code: str = "", retry_after: int | None = None) -> None:
        super().__init__(detail, code=code, retry_after=retry_after)
        self.retryable = self.code == "turn_in_progress"


class PayloadTooLarge(BatonError):
    """A body over 64 KiB."""

    code, status, title = "payload_too_large", 413, "The body is too large"


class UnsupportedMediaType(BatonError):
    """A body that is not ``application/json``."""

    code, status, title = "unsupported_media_type", 415, "The body must be application/json"


class InvalidRequest(BatonError):
    """A field is missing, empty, too long, of the wrong type, or not encodable."""

    code, status, title = "invalid_request", 422, "A field is not as it should be"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.errors = [{"field": field, "detail": detail}]


class RateLimited(BatonError):
    """Too many calls; ``retry_after`` says when to come back."""

    code, status, title, retryable = "rate_limited", 429, "Too many requests", True
    limit = 0
    """How many calls the limit that is used up admits, where it is one of calls."""


class EngineFailed(BatonError):
    """The answer could not be made; the question is kept."""

    code, status, title, retryable = "engine_failed", 502, "The answer could not be made", True


class EngineTimeout(EngineFailed):
    """The engine was silent for longer than ``BATON_ENGINE_TIMEOUT``."""

    code, status, title = "engine_timeout", 504, "The answer took too long"


class EngineBusy(EngineFailed):
    """The budget of engine calls is used up for now."""

    code, status, title = "engine_busy", 503, "Too many answers are being made right now"


class StorageUnavailable(BatonError):
    """Redis cannot be reached or refuses; after a write the outcome is unknown.

    ``kind`` is the driver's own word (``timeout``, ``NOAUTH``, ``READONLY``, ...), for logs and /health.
    """

    code, status, title, retryable = "storage_unavailable", 503, "Storage is not available", True

    def __init__(self, kind: str = "unreachable", *, retry_after: int = 1) -> None:
        super().__init__(
            "Storage cannot be reached just now. Send it again with the same client_id.", retry_after=retry_after
        )
        self.kind = kind
