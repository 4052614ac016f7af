"""Rules of reading a body: strict JSON within bounds."""

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


def test_object_is_read() -> None:
    """An object in JSON comes back as it was sent."""
    assert read('{"a": [1, 2.5, null, true, "ä😀"], "b": {}}'.encode()) == {"a": [1, 2.5, None, True, "ä😀"], "b": {}}


@pytest.mark.parametrize(
    "content_type",
    [JSON, "application/json; charset=utf-8", "application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'],
)
def test_json_content_types(content_type: str) -> None:
    """application/json is taken in any case and with its parameters, in UTF-8."""
    assert read(b"{}", content_type) == {}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json, text/plain",
    ],
)
def test_other_content_types(content_type: str | None) -> None:
    """A body that is not application/json in UTF-8 is 415, whatever it holds (R15)."""
    with pytest.raises(UnsupportedMediaType):
        read(b"{}", content_type)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"true",
        b'{"a": 1} x',
        b'{"a": 1}{"b": 2}',
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": [-Infinity]}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": [{"c": 1, "c": 2}]}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": "\x01"}',
        b'{"a": "\n"}',
        b'{"a": "\\x"}',
        b'{"a": "\\ud8"}',
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b"\x00{}",
        b"{}\x00",
        b"{} // remark",
        b"[" * 60000,
        b'{"a":' * 10000,
        b'{"a":' * 10000 + b"1" + b"}" * 10000,
        b"a=b&c=d",
        b"<x/>",
    ],
)
def test_not_a_json_object(raw: bytes) -> None:
    """Whatever is not one strict JSON object in UTF-8 is 400, never a failure of ours (R19)."""
    with pytest.raises(BadRequest) as caught:
        read(raw)
    assert caught.value.code == "invalid_json"


def nested(depth: int, opening: str, closing: str) -> bytes:
    return ('{"a":' + opening * (depth - 1) + closing * (depth - 1) + "}").encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]")])
def test_depth(opening: str, closing: str) -> None:
    """Twenty levels are read, the twenty-first is 400."""
    assert read(nested(20, opening, closing))
    with pytest.raises(BadRequest):
        read(nested(21, opening, closing))


def test_brackets_in_text_are_not_depth() -> None:
    """Brackets within strings, also behind escaped quotes, do not count as depth."""
    sent = {"a": "[{" * 50, '"]\\': '\\"[[[[' * 20, "b": [[]] * 30}
    assert read(json.dumps(sent).encode()) == sent


def test_bound_by_length() -> None:
    """64 KiB are read; one byte more is 413 by its Content-Length, before a byte of it is taken."""
    fits = b'{"a": "' + b"x" * (65536 - 9) + b'"}'
    assert len(read(fits)["a"]) == 65527
    endless = Endless()
    with pytest.raises(PayloadTooLarge):
        read(CONTENT_LENGTH="65537", **{"wsgi.input": endless})
    with pytest.raises(PayloadTooLarge):
        read(CONTENT_LENGTH="9" * 30, **{"wsgi.input": endless})
    assert endless.taken == 0


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
