"""Rules of reading a body: its depth and its size, what breaks in transfer, and where it is optional."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask import Flask

from app.api import json_body
from app.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

JSON = "application/json"


def read(
    raw: bytes = b"", content_type: str | None = JSON, *, optional: bool = False, **environ: Any
) -> dict[str, Any]:
    """What ``read_json_object`` makes of a request with this body."""
    made = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(raw),
        "CONTENT_LENGTH": str(len(raw)),
    }
    if content_type is not None:
        made["CONTENT_TYPE"] = content_type
    made.update(environ)
    with Flask(__name__).request_context({k: v for k, v in made.items() if v is not None}):
        return json_body.read_json_object(optional=optional)


class Endless(io.RawIOBase):
    """A caller who never stops sending; remembers how much was taken."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "a bounded reader never asks for all"
        self.taken += size
        return b" " * size


class Broken(io.RawIOBase):
    """A caller whose chunks are no chunks."""

    def read(self, size: int = -1) -> bytes:
        raise RuntimeError("invalid chunk size")


def nested(depth: int) -> bytes:
    return ('{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}").encode()


def test_depth() -> None:
    """Twenty levels are read, the twenty-first is 400."""
    assert read(nested(20))
    with pytest.raises(BadRequest):
        read(nested(21))


def test_brackets_in_text_are_not_depth() -> None:
    """Brackets within strings, also behind escaped quotes, do not count as depth."""
    sent = {"a": "[{" * 50, '"]\\': '\\"[[[[' * 20, "b": [[]] * 30}
    assert read(json.dumps(sent).encode()) == sent


def test_bound_by_chunks() -> None:
    """A chunked body past 64 KiB is 413 without being read on."""
    chunked = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    endless = Endless()
    with pytest.raises(PayloadTooLarge):
        read(**chunked, **{"wsgi.input": endless})
    assert endless.taken == 65537
    assert read(b'{"a": 1}', **chunked) == {"a": 1}


def test_broken_transfer() -> None:
    """A body that ends early or breaks in transfer is 400, and so is a length that is no number."""
    chunked = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    for environ in ({"CONTENT_LENGTH": "20"}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "abc"}):
        with pytest.raises(BadRequest):
            read(b"{}", **environ)
    with pytest.raises(BadRequest):
        read(**chunked, **{"wsgi.input": Broken()})


def test_absent_body() -> None:
    """Where the body is optional, none, an empty one and one without a content type are an empty object."""
    assert read(optional=True) == {}
    assert read(content_type=None, optional=True) == {}
    assert read(content_type=None, optional=True, CONTENT_LENGTH=None) == {}
    assert read(content_type="application/x-www-form-urlencoded", optional=True) == {}
    with pytest.raises(BadRequest):
        read(content_type=None)


def test_optional_bodies_are_strict_when_given() -> None:
    """An optional body that is there must be a JSON object of the right type."""
    with pytest.raises(UnsupportedMediaType):
        read(b"a=b", "application/x-www-form-urlencoded", optional=True)
    with pytest.raises(BadRequest):
        read(b"[]", optional=True)


def test_empty_form_of_a_browser() -> None:
    """An empty form posted by a page of another site is 415, for it bears an Origin (R15)."""
    with pytest.raises(UnsupportedMediaType):
        read(content_type="application/x-www-form-urlencoded", optional=True, HTTP_ORIGIN="https://evil.test")
    assert read(content_type=None, optional=True, HTTP_ORIGIN="https://a.example.com") == {}
