"""Tells every failure as problem+json (RFC 9457) in the codes of the contract, and logs the unforeseen ones once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from flask.globals import request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as AnyResponse

from app.cors import is_preflight
from app.errors import (
    BadRequest,
    BatonError,
    MethodNotAllowed,
    PathNotFound,
    PayloadTooLarge,
    RateLimited,
    RoleForbidden,
    StorageUnavailable,
    UnsupportedMediaType,
)
from app.logging_config import frames, request_id
from app.rate_limit import rate_limited_error, set_rate_limit_headers

_log = logging.getLogger(__name__)

RenderPage = Callable[[int], AnyResponse | None]
"""Makes the page that says this status kindly to a person, or None for a status it has no page for."""

_ME = "/api/session/me/"
_BY_STATUS: dict[int, BatonError] = {
    403: RoleForbidden(),
    404: PathNotFound("There is nothing at this path."),
    405: MethodNotAllowed("This path does not know this method."),
    413: PayloadTooLarge("The body may have 64 KiB at most."),
    415: UnsupportedMediaType(),
    429: RateLimited("Too many requests; come back a little later."),
    503: StorageUnavailable(),
}


def problem(error: BatonError, *, status: int = 0, more: dict[str, Any] | None = None) -> Response:
    """The answer for this error; the same error gives the same bytes, always.

    ``status`` overrides the error's own; ``more`` adds members to the object.
    """
    told: dict[str, Any] = {
        "type": f"/docs#{error.code}",
        "title": error.title,
        "status": status or error.status,
        "detail": error.detail,
        "success": False,
        "code": error.code,
        "retryable": error.retryable,
    }
    if error.errors:
        told["errors"] = error.errors
    if more:
        told.update(more)
    answer = Response(json.dumps(told, ensure_ascii=True), status=told["status"], mimetype="application/problem+json")
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, RateLimited) and error.limit:
        set_rate_limit_headers(answer, error.limit, 0, 1000 * (error.retry_after or 1))
    if error.code == "session_not_found" and (request.path + "/").startswith(_ME):
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def install(app: Flask, *, render_page_error: RenderPage | None = None) -> None:
    """Tell all errors of ``app`` in one shape; outside /api, people get ``render_page_error``'s page instead."""

    def as_page(status: int) -> AnyResponse | None:
        # Only who names text/html is a person at a browser: curl and most clients accept "anything".
        if (
            render_page_error is None
            or request.path.startswith("/api")
            or "text/html" not in request.headers.get("Accept", "")
        ):
            return None
        return render_page_error(status)

    def foreseen(error: BatonError) -> AnyResponse:
        return as_page(error.status) or problem(error)

    def by_http(error: HTTPException) -> AnyResponse:
        if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
            return unforeseen(error.original_exception)
        if isinstance(error, RateLimitExceeded):
            return problem(rate_limited_error())
        if error.response is not None:
            return error.response  # type: ignore[return-value]
        status = error.code or 500
        answer = as_page(status) or _translated(error, status)
        _keep_headers(error, answer)
        return answer

    def unforeseen(error: Exception) -> AnyResponse:
        ours = request_id()
        matched = request.url_rule
        told = {"route": matched.rule if matched else "-", "method": request.method, "traceback": frames(error)}
        _log.error("unforeseen error %s", type(error).__name__, extra=told)
        untold = BatonError("Something went wrong on our side. It has been noted under the request id.")
        return as_page(500) or problem(untold, more={"request_id": ours})

    app.register_error_handler(BatonError, foreseen)
    app.register_error_handler(HTTPException, by_http)
    app.register_error_handler(Exception, unforeseen)
    # The framework's own line would hold the raw path and the exception's message.
    app.log_exception = lambda exc_info: None  # type: ignore[method-assign]  # noqa: ARG005


def _translated(error: HTTPException, status: int) -> Response:
    """The problem for what the framework refused, in our words: its own may quote the request."""
    if request.path.startswith("/api") and is_preflight(request.environ):
        return Response(status=204)  # or the browser would hide the refusal of the call itself
    known = _BY_STATUS.get(status)
    if known is not None:
        return problem(known)
    if status >= 500:
        return problem(BatonError(), status=status)
    refused = BadRequest("The request could not be understood.")
    refused.code = "invalid_request"
    refused.title = error.name
    return problem(refused, status=status)


def _keep_headers(error: HTTPException, answer: AnyResponse) -> None:
    """Carry over what belongs to the status: Allow, Retry-After, Content-Range and the like."""
    for name, value in error.get_headers(request.environ):
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
