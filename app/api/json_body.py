"""Reads the JSON object of a request strictly: at most 64 KiB, within ``BATON_BODY_TIMEOUT``, at most 20 levels deep.

Flask's own reader takes NaN, Infinity, doubled keys and any nesting, and waits for a slow body without end. Where a
larger body is allowed, it may be long texts but not many values: 4 MiB of brackets would hold a worker for seconds.
"""

from __future__ import annotations

import math
import re
from json.decoder import JSONDecoder
from typing import Any, NoReturn

import gevent
from flask import request

from app import slow_clients
from app.client_address import client_network_hash
from app.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from app.extensions import services

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_VALUES = 400_000
"""Brackets, commas and colons outside of texts: what a body costs to read."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_MARKS = "[]{},:"


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _reject_infinity(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # 1e999
        raise ValueError("a number is too large")
    return number


def _reject_constant(_constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode = JSONDecoder(
    object_pairs_hook=_reject_duplicate_keys, parse_float=_reject_infinity, parse_constant=_reject_constant
).decode


def read_json_object(*, optional: bool = False, max_bytes: int = MAX_BYTES, array_name: str = "") -> dict[str, Any]:
    """The JSON object in the body of the current request.

    With ``optional``, an absent or empty body is ``{}`` and needs no content type. With ``array_name``, a bare array
    is taken for an object with it under this name.
    Raises PayloadTooLarge (before a long body is read to its end), UnsupportedMediaType or BadRequest.
    """
    raw = _read_body(max_bytes)
    is_json = request.mimetype == "application/json" and _charset() in ("utf-8", "utf8")
    # A form that a browser posts from another site is never taken for an absent body.
    if not raw and (is_json or not request.content_type or "Origin" not in request.headers):
        if optional:
            return {}
        raise BadRequest("The body is empty; it must be a JSON object.")
    if not is_json:
        raise UnsupportedMediaType
    return parse_json_object(raw, array_name=array_name)


def _charset() -> str:
    return request.mimetype_params.get("charset", "utf-8").lower()


def _read_body(max_bytes: int) -> bytes:
    def read() -> bytes:
        raw: bytes = request.stream.read(max_bytes + 1)
        return raw

    length = request.content_length
    too_large = PayloadTooLarge(f"The body may have {max_bytes // 1024} KiB at most.")
    if length is not None and length > max_bytes:
        raise too_large
    if not length and "Transfer-Encoding" not in request.headers:
        return b""
    connection: Any = request.environ.get("gunicorn.socket")
    try:
        if connection is None:  # not gunicorn
            raw = read()
        else:
            raw = slow_clients.read_body(connection, read, client_network_hash, services().config.body_timeout)
    except gevent.Timeout:
        slow_clients.stop_reading(connection)  # so the connection closes after the response
        raise BadRequest("The body took too long to arrive.") from None
    except Exception as error:  # each server has its own errors for a broken chunk and a client that left
        raise BadRequest("The body could not be read.") from error
    if len(raw) > max_bytes:
        raise too_large
    if length is not None and len(raw) < length:
        raise BadRequest("The body ended early.")
    return raw


def parse_json_object(raw: bytes, *, array_name: str = "") -> dict[str, Any]:
    """The object that ``raw`` holds as strict JSON in UTF-8; BadRequest for anything else."""
    try:
        text = raw.decode("utf-8")
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or len(raw) > MAX_VALUES:
            _check_structure(raw, text)
        result = _decode(text)
    except (ValueError, RecursionError):  # the decoder's own message quotes the body, so it is not passed on
        raise BadRequest(
            f"The body must be one JSON object in UTF-8, with no key twice, at most {MAX_DEPTH} deep and with at most "
            f"{MAX_VALUES} values."
        ) from None
    if array_name and isinstance(result, list):
        return {array_name: result}
    if not isinstance(result, dict):
        raise BadRequest
    return result


def _check_structure(raw: bytes, text: str) -> None:
    """ValueError when brackets outside of strings nest too deep or there are too many values.

    Checked before the decoder recurses into them, and each step only where the one before has bounded its work.
    """
    if raw.count(b'"') - raw.count(b'\\"') > 2 * MAX_VALUES:  # the quote that opens a string has no backslash before it
        raise ValueError("too many strings")
    outside = _STRING.sub("", text)
    if sum(map(outside.count, _MARKS)) > MAX_VALUES:
        raise ValueError("too many values")
    depth = 0
    for bracket in _BRACKETS.findall(outside):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
