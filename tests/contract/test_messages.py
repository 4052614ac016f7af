"""Messages: stored once, given back exactly, read page by page, and who may say what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once, is_problem

TEXTS = [
    "a",
    " padded ",
    "two\nlines\r\nand\ttab\n",
    "\u0000\u0001\u001f\u007f\u0085",
    "a\u2028b\u2029",
    "grüß 你好 שלום مرحبا",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u0301 \u00e9",
    "\u202eabc\u202c\u200b\ufeff",
    "<script>alert(1)</script>",
    "data: x\n\nevent: reset\ndata: {}\n\n",
    '{"a": "b"}\\n\\u0041',
    "\ufffd\uffff\U0010ffff",
    "'; DROP TABLE x; --",
    "${7*7} {{7*7}} %s %(x)s {0}",
    "x" * 4000,
    "\U0001f30d" * 4000,
    "a\r",
    "\x1b[31m",
    "None",
    "null",
]


def test_append(visitor: Visitor) -> None:
    """Append: 201 `{success, message}`; a message is `{id, role, content, metadata, created_at, client_id?}`."""
    answer = visitor.say("hello", metadata={"page": "/x"}, client_id="c-1")
    assert answer.status_code == 201
    message = answer.json()["message"]
    assert message.keys() >= {"id", "role", "content", "metadata", "created_at", "client_id"}
    assert isinstance(message["id"], str)
    assert message["id"]
    assert (message["role"], message["content"], message["metadata"], message["client_id"]) == (
        "user",
        "hello",
        {"page": "/x"},
        "c-1",
    )
    bare = visitor.said("again")
    assert bare["metadata"] == {}
    assert "client_id" not in bare
    assert visitor.history() == [message, bare]


def test_the_lines_of_the_readme(caller: ApiClient) -> None:
    """The first four calls work as typed in a shell."""
    visitor = caller.create()
    json_type = {"Content-Type": "application/json"}
    body = '{"message": "What is AI risk?", "role": "user"}'
    assert caller.post(visitor.path("/messages"), content=body, headers=json_type).status_code == 201
    assert visitor.texts() == ["What is AI risk?"]
    body = json.dumps({"query": "What is it?", "session_id": visitor.id})
    assert caller.post("/api/chat", content=body, headers=json_type).status_code == 200
    assert (
        caller.post(
            "/api/chat", params={"session": visitor.id}, content='{"query": "And?"}', headers=json_type
        ).status_code
        == 200
    )
    assert len(visitor.texts()) == 5


def test_text_is_exact(visitor: Visitor) -> None:
    """Text is stored and given back exactly, control characters included."""
    for text in TEXTS:
        assert visitor.said(text)["content"] == text
    assert visitor.texts() == TEXTS
    assert [message["content"] for message in visitor.caller.resume(visitor.id).json()["messages"]] == TEXTS


def test_text_is_exact_in_a_chat(visitor: Visitor) -> None:
    """So it is for a question, its answer, and in every feed."""
    texts = [text for text in TEXTS if len(text) < 1000]
    with visitor.events() as sse, visitor.ws() as ws:
        for text in texts:
            answer = visitor.ask(text).json()["answer"]
            assert answer == "echo: " + text
        for feed in (sse, ws):
            events = feed.until("answer.end", count=len(texts))
            assert [event.data["content"] for event in events if event.event == "message"] == texts
            assert [event.data["message"]["content"] for event in events if event.event == "answer.end"] == [
                "echo: " + text for text in texts
            ]
    assert visitor.texts() == [words for text in texts for words in (text, "echo: " + text)]


def test_the_api_key_vouches(visitor: Visitor, key: dict[str, str]) -> None:
    """With `Authorization: Bearer $BATON_API_KEY` also `assistant` and `system`."""
    for role in ("user", "assistant", "system"):
        assert visitor.said("words", role=role, headers=key)["role"] == role
    assert visitor.say("words", role="tool", headers=key).status_code in (403, 422)
    assert [message["role"] for message in visitor.history()] == ["user", "assistant", "system"]


def test_reading_pages(visitor: Visitor) -> None:
    """`after` and `before` are message ids; `has_more` speaks of the direction asked for; oldest first throughout."""
    made = [visitor.said(f"m{number}") for number in range(12)]
    names = [message["id"] for message in made]
    assert len(set(names)) == 12

    def page(**query: Any) -> tuple[list[str], bool]:
        body = visitor.get("/messages", params=query).json()
        assert body.keys() >= {"success", "session_id", "status", "messages", "has_more", "cursor"}
        assert (body["session_id"], body["status"]) == (visitor.id, "active")
        assert isinstance(body["cursor"], str)
        assert body["cursor"]
        return [message["id"] for message in body["messages"]], body["has_more"]

    assert page() == (names, False)
    assert page(limit=5) == (names[7:], True)
    assert page(limit=12) == (names, False)
    assert page(limit=500) == (names, False)
    assert page(after=names[2], limit=5) == (names[3:8], True)
    assert page(after=names[6], limit=5) == (names[7:], False)
    assert page(after=names[11]) == ([], False)
    assert page(before=names[7], limit=5) == (names[2:7], True)
    assert page(before=names[5], limit=5) == (names[:5], False)
    assert page(before=names[0]) == ([], False)
    both = visitor.get("/messages", params={"after": names[2], "before": names[6]})
    assert both.status_code == 422 or [message["id"] for message in both.json()["messages"]] == names[3:6]


def test_the_newest_hundred(visitor: Visitor) -> None:
    """Without either, the newest `limit`, by default 100."""
    names = [visitor.said(f"m{number}")["id"] for number in range(105)]
    body = visitor.get("/messages").json()
    assert [message["id"] for message in body["messages"]] == names[5:]
    assert body["has_more"] is True
    resumed = visitor.caller.resume(visitor.id).json()
    assert [message["id"] for message in resumed["messages"]][-100:] == names[5:]
    assert resumed["has_more"] is (len(resumed["messages"]) < 105)


@pytest.mark.parametrize(
    "place",
    ["", "x", "0", "-1", "0-0", "99999999999999-0", "\u0000", "msg_" + "A" * 32, "x" * 2000, "(1", "+", "-", "$", "*"],
)
@pytest.mark.parametrize("direction", ["after", "before"])
def test_places_that_are_none(visitor: Visitor, direction: str, place: str) -> None:
    """A message id that is none is the caller's mistake, and named."""
    visitor.said("one")
    problem = is_problem(visitor.get("/messages", params={direction: place}), 422, "invalid_request")
    assert [entry["field"] for entry in problem["errors"]] == [direction]


def test_appends_from_many(visitor: Visitor) -> None:
    """Appends from many clients at once all arrive, each once, in one order for all readers."""

    def write(writer: int) -> list[int]:
        return [visitor.say(f"{writer}:{number}").status_code for number in range(50)]

    with visitor.events() as sse, visitor.ws() as ws:
        assert at_once(8, write) == [[201] * 50] * 8
        texts = visitor.texts()
        assert sorted(texts) == sorted(f"{writer}:{number}" for writer in range(8) for number in range(50))
        for writer in range(8):
            mine = [text for text in texts if text.startswith(f"{writer}:")]
            assert mine == [f"{writer}:{number}" for number in range(50)]
        assert at_once(4, lambda _: visitor.texts()) == [texts] * 4
        for feed in (sse, ws):
            assert [event.data["content"] for event in feed.until("message", count=400)] == texts
