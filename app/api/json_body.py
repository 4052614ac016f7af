"""Reads what a caller sent: strict JSON within bounds, and its fields, refused in the words of the contract."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Collection, Mapping
from json.decoder import JSONDecoder
from typing import Any, NoReturn

import gevent
import orjson
from flask.globals import request

from app import slow_clients
from app.api.auth import baton
from app.client_address import client_network_hash
from app.errors import BadRequest, InvalidRequest, PayloadTooLarge, UnsupportedMediaType

MOST_BYTES = 64 * 1024
"""A body may have this many bytes."""
MOST_DEPTH = 20
"""Objects and arrays may stand in each other this deep, the outermost counted."""
MOST_METADATA_BYTES = 4096
"""``metadata`` may have this many bytes as compact JSON in UTF-8."""

SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space as Unicode has it; Python's own idea of it takes in four control characters, which are text here."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DIGITS = re.compile(r"[0-9]{1,9}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; ValueError when a key stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _finite(text: str) -> float:
    """The number that is written here; ValueError when it is too large to be one (1e999)."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode = JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse).decode


def read_object(*, optional: bool = False) -> dict[str, Any]:
    """The JSON object that is the body of the current request, at most 64 KiB, with no key twice and at most 20 deep.

    With ``optional``, an absent or empty body is ``{}`` and needs no content type.
    Raises PayloadTooLarge (before a long body is read whole), UnsupportedMediaType, BadRequest.
    """
    environ = request.environ
    raw = _read(environ)
    sort = environ.get("CONTENT_TYPE")
    if not raw and _may_be_absent(environ, sort):
        if optional:
            return {}
        raise BadRequest("The body is empty; it must be a JSON object.")
    if sort != "application/json" and not _is_json(sort or ""):
        raise UnsupportedMediaType
    return parse_object(raw)


def read_nothing() -> None:
    """For a call that needs no body: one that is there all the same must be what ``read_object`` takes."""
    if "CONTENT_LENGTH" in request.environ or "HTTP_TRANSFER_ENCODING" in request.environ:
        read_object(optional=True)


def _read(environ: Mapping[str, Any]) -> bytes:
    """The bytes of the body, no more than a few past the bound taken from the wire.

    It reads from the server directly: the framework's own reader takes as long as the rest of this module.
    """
    length = environ.get("CONTENT_LENGTH")
    if length:
        if not _DIGITS.fullmatch(length):
            raise PayloadTooLarge() if length.isdecimal() else BadRequest("The Content-Length is not a number.")
        wanted = int(length)
        if wanted > MOST_BYTES:
            raise PayloadTooLarge
        raw = _take(environ, wanted) if wanted else b""
        if len(raw) < wanted:
            raise BadRequest("The body ended early.")
        return raw
    if not environ.get("wsgi.input_terminated") or "HTTP_TRANSFER_ENCODING" not in environ:
        return b""  # without a length or chunks there is no body, and reading might wait for ever
    raw = _take(environ, MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise PayloadTooLarge
    return raw


def _take(environ: Mapping[str, Any], most: int) -> bytes:
    connection = environ.get("gunicorn.socket")
    try:
        if connection is None:
            taken: bytes | None = environ["wsgi.input"].read(most)
        else:
            taken = _take_in_time(environ, connection, most)
    except Exception as error:  # each server has its own errors for a broken chunk and a caller who left
        raise BadRequest("The body could not be read.") from error
    if taken is None:
        raise BadRequest("The body took too long to arrive.")
    return taken


def _take_in_time(environ: Mapping[str, Any], connection: socket.socket, most: int) -> bytes | None:
    """Some of the body, or None where it did not arrive in ``BATON_BODY_TIMEOUT`` seconds, however it was sent.

    The connection is then not read any further, so it is closed once the response is out.
    """
    config = baton().config
    taken: bytes | None = None
    deadline = gevent.Timeout(config.body_timeout, False)  # type: ignore[arg-type] # False: leaves the block silently
    with slow_clients.waiting(connection, client_network_hash()), deadline:
        taken = environ["wsgi.input"].read(most)
    if taken is None:
        slow_clients.stop_reading(connection)
    return taken


def _may_be_absent(environ: Mapping[str, Any], sort: str | None) -> bool:
    """Whether an empty body counts as none: not when a browser's form brought it, which any site can post."""
    return not sort or "HTTP_ORIGIN" not in environ or _is_json(sort)


def _is_json(content_type: str) -> bool:
    """Whether this content type is ``application/json``, in UTF-8 where it names a charset."""
    sort, *parameters = content_type.lower().split(";")
    if sort.strip() != "application/json":
        return False
    named = {name.strip(): value.strip(' "') for name, _, value in (p.partition("=") for p in parameters)}
    return named.get("charset", "utf-8") in ("utf-8", "utf8")


def parse_object(raw: bytes) -> dict[str, Any]:
    """The object that these bytes spell in strict JSON and UTF-8; BadRequest for anything else."""
    try:
        text = raw.decode("utf-8")
        if raw.count(b"{") + raw.count(b"[") > MOST_DEPTH:
            _check_depth(text)
        found = _decode(text)
    except (ValueError, RecursionError):
        # Only the kind of failure is told, for the decoder's own words quote the body.
        raise BadRequest("The body must be one JSON object in UTF-8, with no key twice and at most 20 deep.") from None
    if type(found) is not dict:
        raise BadRequest
    return found


def _check_depth(text: str) -> None:
    """ValueError when brackets outside of strings open more than 20 deep; before the decoder recurses into them."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEPTH:
            raise ValueError("too deep")


def text(body: Mapping[str, Any], name: str, most: int, *, required: bool = True) -> str:
    """The string of this field exactly as sent: at most ``most`` characters, not whitespace alone, encodable.

    "" when it is absent (or null, or white space alone) and not ``required``. Raises InvalidRequest.
    """
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(name, "is missing" if name not in body else "must be a string")
    if len(value) > most:
        raise InvalidRequest(name, f"must have at most {most} characters")
    if not value.strip(SPACE):
        if required:
            raise InvalidRequest(name, "must not be empty")
        return ""
    if not value.isascii() and not _encodable(value):
        raise InvalidRequest(name, "holds half of a surrogate pair, which is not a character")
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def metadata(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object ``metadata``, at most 4 KiB as compact JSON; None when absent or null. Raises InvalidRequest."""
    value = body.get("metadata")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidRequest("metadata", "must be an object")
    try:
        size = len(orjson.dumps(value))
    except TypeError:  # what is stored is written by the same library: half a surrogate pair, a number past 64 bits
        raise InvalidRequest("metadata", "holds a number beyond 64 bits or what cannot be written as UTF-8") from None
    if size > MOST_METADATA_BYTES:
        raise InvalidRequest("metadata", f"must have at most {MOST_METADATA_BYTES} bytes as JSON")
    return value


def client_id(body: Mapping[str, Any]) -> str | None:
    """The caller's own id for this call; None when absent or null. Raises InvalidRequest."""
    value = body.get("client_id")
    if value is None:
        return None
    if not isinstance(value, str) or not _CLIENT_ID.fullmatch(value):
        raise InvalidRequest("client_id", "must be 1 to 64 of A-Z a-z 0-9 _ . : -")
    return value


def choice(body: Mapping[str, Any], name: str, allowed: Collection[str], default: str) -> str:
    """The one of ``allowed`` that this field names; ``default`` when absent or null. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise InvalidRequest(name, "must be one of " + ", ".join(allowed))
    return value


def whole(args: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """The whole number of this query parameter; ``default`` when absent. Raises InvalidRequest."""
    value = args.get(name)
    if value is None:
        return default
    if not _DIGITS.fullmatch(value) or not least <= int(value) <= most:
        raise InvalidRequest(name, f"must be a whole number from {least} to {most}")
    return int(value)


def together(*reads: Callable[[], Any]) -> list[Any]:
    """What each of these reads gives; InvalidRequest naming all their fields when any raises it."""
    found: list[Any] = []
    wrong: InvalidRequest | None = None
    for read in reads:
        try:
            found.append(read())
        except InvalidRequest as error:
            if wrong is None:
                wrong = error
            else:
                wrong.errors.extend(error.errors)
    if wrong is not None:
        raise wrong
    return found
