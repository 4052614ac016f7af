"""What a body may be: strict JSON, its size, its fields."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.api_client import Visitor, is_problem
from tests.contract.conftest import RunningService

JSON = {"Content-Type": "application/json"}
GOOD = b'{"message": "hello"}'


@pytest.mark.parametrize("number", ["1e-400", "0.1e1", "123456789012345678901234567890"])
def test_numbers_beyond_a_float(visitor: Visitor, number: str) -> None:
    """A number that a float cannot hold exactly is the caller's mistake or kept, never a 500."""
    body = b'{"message": "hello", "metadata": {"n": ' + number.encode() + b"}}"
    answer = visitor.caller.post(visitor.path("/messages"), content=body, headers=JSON)
    assert answer.status_code in (201, 400, 422)
    assert visitor.get("/messages").status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "application/json-seq",
        "application/xml",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "text/plain; application/json",
        "x",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/messages", "/handoff"])
def test_only_application_json(visitor: Visitor, content_type: str | None, path: str) -> None:
    """`unsupported_media_type` 415: a body that is not `application/json`; so a cross-site form can do nothing."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = visitor.caller.post(visitor.path(path), content=GOOD, headers=headers)
    is_problem(answer, 415, "unsupported_media_type")
    assert visitor.get().json()["message_count"] == 0


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"'],
)
def test_json_by_any_spelling(visitor: Visitor, content_type: str) -> None:
    """The media type is read in any case and with its parameters."""
    answer = visitor.caller.post(visitor.path("/messages"), content=GOOD, headers={"Content-Type": content_type})
    assert answer.status_code == 201


def test_an_optional_body_may_be_absent(visitor: Visitor) -> None:
    """The body of `create` and `handoff` is optional; heartbeat, end and stop want none."""
    assert visitor.caller.post("/api/session/create").status_code == 201
    assert visitor.caller.post("/api/session/create", json={}).status_code == 201
    for rest in ("/handoff", "/heartbeat", "/stop", "/end"):
        assert visitor.post(rest).status_code == 200, rest
    other = visitor.caller.create()
    for rest in ("/handoff", "/heartbeat", "/stop", "/end"):
        assert other.post(rest, {}).status_code == 200, rest


def test_64_kib_is_the_end(visitor: Visitor) -> None:
    """`payload_too_large` 413: a body over 64 KiB; one of exactly 64 KiB is read."""
    path = visitor.path("/messages")
    assert visitor.caller.post(path, content=GOOD + b" " * (65536 - len(GOOD)), headers=JSON).status_code == 201
    is_problem(
        visitor.caller.post(path, content=GOOD + b" " * (65537 - len(GOOD)), headers=JSON), 413, "payload_too_large"
    )
    assert visitor.get().json()["message_count"] == 1


@pytest.mark.parametrize("path", ["/api/session/create", "/api/chat", "/api/session/resume"])
def test_too_large_everywhere(visitor: Visitor, path: str) -> None:
    """A body over 64 KiB is refused by every call that takes one, chunked or not."""

    def pieces() -> Iterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    is_problem(visitor.caller.post(path, content=b" " * 70000, headers=JSON), 413, "payload_too_large")
    is_problem(visitor.caller.post(path, content=pieces(), headers=JSON), 413, "payload_too_large")


def test_chunked_bodies_are_read(visitor: Visitor) -> None:
    """A chunked body within the size is as good as another."""
    answer = visitor.caller.post(
        visitor.path("/messages"), content=iter([b'{"mess', b'age": "in ', b'pieces"}']), headers=JSON
    )
    assert answer.status_code == 201
    assert visitor.texts() == ["in pieces"]


def test_refused_before_it_is_read_completely(plain: RunningService, visitor: Visitor) -> None:
    """A body that announces too much is refused before it has come."""
    host, port = plain.base.removeprefix("http://").split(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(f"POST {visitor.path('/messages')} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "Content-Length: 10000000000\r\n\r\n{".encode())  # fmt: skip
        assert wire.recv(65536).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 5


def field_of(visitor: Visitor, body: dict[str, Any], *, chat: bool = False) -> list[str]:
    """The fields named in a 422."""
    path = "/api/chat" if chat else visitor.path("/messages")
    content = json.dumps(body).encode()
    answer = visitor.caller.post(path, content=content, headers=JSON | (visitor.bearer if chat else {}))
    problem = is_problem(answer, 422, "invalid_request")
    assert problem["errors"]
    assert all(entry["field"] and entry["detail"] for entry in problem["errors"])
    return [entry["field"] for entry in problem["errors"]]


BAD_TEXTS = [
    None,
    "",
    " ",
    " \n\t\r ",
    "\u2003\u00a0",
    1,
    1.5,
    True,
    False,
    [],
    ["a"],
    {},
    {"a": "b"},
    "x" * 4001,
    "\U0001f30d" * 4001,
    "\ud800",
    "a\udfffb",
    "\ude00\ud83d",
]


@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: ascii(text)[:20])
def test_bad_texts(visitor: Visitor, text: Any) -> None:
    """`invalid_request` 422: a text missing, empty (whitespace alone counts), too long, of the wrong type, or not
    encodable.
    """
    assert field_of(visitor, {"message": text}) == ["message"]
    assert field_of(visitor, {"query": text}, chat=True) == ["query"]
    assert visitor.get().json()["message_count"] == 0


def test_a_missing_text(visitor: Visitor) -> None:
    """A body without its text names the field that is missing."""
    assert field_of(visitor, {}) == ["message"]
    assert field_of(visitor, {"Message": "x", "text": "y"}) == ["message"]
    assert field_of(visitor, {}, chat=True) == ["query"]


@pytest.mark.parametrize(
    "client_id", ["", " ", "a b", "a/b", "é", "a" * 65, "a\n", 1, True, [], {}, "a;b", "\u0000"], ids=ascii
)
def test_bad_client_ids(visitor: Visitor, client_id: Any) -> None:
    """`client_id`: 1 to 64 characters of `A-Z a-z 0-9 _ . : -`."""
    assert field_of(visitor, {"message": "x", "client_id": client_id}) == ["client_id"]
    assert field_of(visitor, {"query": "x", "client_id": client_id}, chat=True) == ["client_id"]
    assert visitor.get().json()["message_count"] == 0


@pytest.mark.parametrize("client_id", ["a", "0", "-", "AZaz09_.:-", "a" * 64])
def test_good_client_ids(visitor: Visitor, client_id: str) -> None:
    """Every client id of the allowed characters is kept with its message."""
    assert visitor.said("x", client_id=client_id)["client_id"] == client_id


@pytest.mark.parametrize(
    "metadata",
    [1, "text", True, [], [{}], {"k": "x" * 4096}, {"k" * 4096: 1}, {"k": "é" * 2100}, {"k": "\ud800"}],
    ids=lambda value: ascii(value)[:20],
)
def test_bad_metadata(visitor: Visitor, metadata: Any) -> None:
    """`metadata` is an object of at most 4 KiB, of a message and of a session."""
    assert field_of(visitor, {"message": "x", "metadata": metadata}) == ["metadata"]
    content = json.dumps({"metadata": metadata}).encode()
    is_problem(visitor.caller.post("/api/session/create", content=content, headers=JSON), 422, "invalid_request")


def test_good_metadata(visitor: Visitor) -> None:
    """Metadata comes back as it went in."""
    for metadata in ({}, {"k": "x" * 4000}, {"page": "/a", "n": 1.5, "deep": {"list": [1, None, True, "é🌍\u0000"]}}):
        assert visitor.said("x", metadata=metadata)["metadata"] == metadata
    assert [message["metadata"].get("page") for message in visitor.history()] == [None, None, "/a"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "-1"},
        {"limit": "abc"},
        {"limit": "1.5"},
        {"limit": ""},
        {"limit": "9" * 5000},
        {"limit": "１"},
    ],
)
def test_bad_limits(visitor: Visitor, query: dict[str, str]) -> None:
    """`limit` is 1 to 500."""
    problem = is_problem(visitor.get("/messages", params=query), 422, "invalid_request")
    assert [entry["field"] for entry in problem["errors"]] == ["limit"]


@pytest.mark.parametrize("kind", ["twice", "", 1, None, [], "ONCE"])
def test_bad_kinds(visitor: Visitor, kind: Any) -> None:
    """`kind` of a handoff is `once` or `share`."""
    answer = visitor.post("/handoff", {"kind": kind})
    if kind is None:
        assert answer.status_code in (200, 422)
    else:
        is_problem(answer, 422, "invalid_request")


@pytest.mark.parametrize("body", [{}, {"session": None}, {"session": 1}, {"session": []}, {"session": {}}])
def test_resume_without_a_session(visitor: Visitor, body: dict[str, Any]) -> None:
    """`resume` names the field that is missing or of the wrong type."""
    problem = is_problem(visitor.caller.post("/api/session/resume", json=body), 422, "invalid_request")
    assert [entry["field"] for entry in problem["errors"]] == ["session"]


def test_session_id_of_the_wrong_type(caller: Any) -> None:
    """A `session_id` that is no string is refused, never taken for none."""
    for wrong in (1, True, [], {}):
        answer = caller.post("/api/chat", json={"query": "x", "session_id": wrong})
        assert answer.status_code in (404, 422)
        is_problem(answer, answer.status_code, answer.json()["code"])


def test_unknown_fields_are_passed_over(visitor: Visitor) -> None:
    """A field that the page does not name changes nothing."""
    assert visitor.say("x", id="mine", created_at="1970-01-01T00:00:00.000Z", session_id="other").status_code == 201
    assert visitor.history()[0]["id"] != "mine"
