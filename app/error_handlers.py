"""Turns every error into problem+json (RFC 9457) with a code of the contract, and logs unexpected ones once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from flask.globals import request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as AnyResponse

from app.api.openai_errors import is_openai_path, openai_error
from app.errors import (
    BadRequest,
    BatonError,
    MethodNotAllowed,
    PathNotFound,
    PayloadTooLarge,
    RateLimited,
    RoleForbidden,
    SessionNotFound,
    StorageUnavailable,
    UnsupportedMediaType,
)
from app.logging_config import request_id, safe_traceback
from app.origins import is_preflight
from app.rate_limit import rate_limited_error, set_rate_limit_headers

_log = logging.getLogger(__name__)

RenderErrorPage = Callable[[int], AnyResponse | None]
"""Renders the page for a status, or None where there is none."""

_ME = "/api/session/me/"
_UNROUTABLE_ID = re.compile(r"/api/session/(?:[^/?#]*%2f[^/?#]*|(?=/))(?:[/?#]|\Z)", re.IGNORECASE)
"""A malformed session id that leads to no route: one with a slash in it, or an empty one before a further path."""
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
    """The response for this error; the same error always gives the same bytes.

    ``status`` overrides the error's own; ``more`` adds members to the object.
    """
    if is_openai_path(request.path):
        return openai_error(error)
    members: dict[str, Any] = {
        "type": f"/docs#{error.code}",
        "title": error.title,
        "status": status or error.status,
        "detail": error.detail,
        "success": False,
        "code": error.code,
        "retryable": error.retryable,
    }
    if error.errors:
        members["errors"] = error.errors
    if isinstance(error, RateLimited) and error.scope:
        members["limit"] = error.scope
    members |= error.members | (more or {})
    response = Response(
        json.dumps(members, ensure_ascii=True), status=members["status"], mimetype="application/problem+json"
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, RateLimited) and error.limit:
        set_rate_limit_headers(response, error.limit, 0, 1000 * (error.retry_after or 1))
    if error.code == "session_not_found" and (request.path + "/").startswith(_ME):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def unforeseen_problem(error: Exception) -> Response:
    """The response for a fault of ours, which is logged."""
    rule = request.url_rule
    extra = {"route": rule.rule if rule else "-", "method": request.method, "traceback": safe_traceback(error)}
    _log.error("unforeseen error %s", type(error).__name__, extra=extra)
    public = BatonError("Something went wrong on our side. It has been noted under the request id.")
    return problem(public, more={"request_id": request_id()})


def init_app(app: Flask, *, render_page_error: RenderErrorPage | None = None) -> None:
    """Every error becomes problem+json; outside of /api and /v1 a browser gets ``render_page_error``'s page instead."""

    def page_or(problem_response: Response, status: int) -> AnyResponse:
        # Only a client that names text/html is a person at a browser: curl and most clients accept "anything".
        is_call = request.path.startswith("/api") or is_openai_path(request.path)
        wants_page = not is_call and "text/html" in request.headers.get("Accept", "")
        page = render_page_error(status) if render_page_error and wants_page else None
        if page and "Retry-After" in problem_response.headers:
            page.headers["Retry-After"] = problem_response.headers["Retry-After"]
        return page or problem_response

    def handle_baton_error(error: BatonError) -> AnyResponse:
        return page_or(problem(error), error.status)

    def handle_http_exception(error: HTTPException) -> AnyResponse:
        if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
            return handle_unexpected(error.original_exception)
        if isinstance(error, RateLimitExceeded):
            return page_or(problem(rate_limited_error()), 429)
        if error.response is not None:
            return error.response  # type: ignore[return-value]
        status = error.code or 500
        response = page_or(_problem_from_http_error(error, status), status)
        _copy_headers(error, response)
        return response

    def handle_unexpected(error: Exception) -> AnyResponse:
        return page_or(unforeseen_problem(error), 500)

    app.register_error_handler(BatonError, handle_baton_error)
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(Exception, handle_unexpected)


def _problem_from_http_error(error: HTTPException, status: int) -> Response:
    """The problem for an error of Flask's, in our words: Flask's may quote the request."""
    if request.path.startswith("/api") and is_preflight():
        return Response(status=204)  # or the browser would hide the refusal of the call itself
    if status == 404 and _UNROUTABLE_ID.match(request.environ.get("RAW_URI", "")):
        return problem(SessionNotFound())
    known = _BY_STATUS.get(status)
    if known is not None:
        return problem(known)
    if status >= 500:
        return problem(BatonError(), status=status)
    refused = BadRequest("The request could not be understood.")
    refused.code = "invalid_request"
    refused.title = error.name
    return problem(refused, status=status)


def _copy_headers(error: HTTPException, response: AnyResponse) -> None:
    """Copies the headers that belong to the status: Allow, Retry-After, Content-Range and the like."""
    for name, value in error.get_headers(request.environ):
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
