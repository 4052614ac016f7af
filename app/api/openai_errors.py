"""Errors in the shape of OpenAI's API, for all paths under /v1."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

from app.errors import BadRequest, BatonError, InvalidRequest, UnsupportedMediaType

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def is_openai_path(path: str) -> bool:
    """Whether the path is one of the OpenAI protocol's."""
    return path == "/v1" or path.startswith("/v1/")


def openai_error(error: BatonError) -> Response:
    """The response for an error; whatever is wrong with a body is 400, as OpenAI has it."""
    status = 400 if isinstance(error, BadRequest | InvalidRequest | UnsupportedMediaType) else error.status
    param = error.errors[0]["field"] if error.errors else None
    response = error_response(status, error.detail or error.title, error.code, param)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if not error.retryable:
        response.headers["x-should-retry"] = "false"  # OpenAI's packages would repeat every 409
    return response


def error_response(status: int, message: str, code: str, param: str | None = None) -> Response:
    """An error with a status of its own."""
    return Response(orjson.dumps(error_body(status, message, code, param)), status, mimetype="application/json")


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """The object for an error, also in a stream."""
    error_type = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}
