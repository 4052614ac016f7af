"""The Vercel AI SDK's own chat client over /api/ai-sdk: ask, resume, regenerate, stop, errors, limits, isolation."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.clients.conftest import RunScript
from tests.contract.api_client import NOBODY, ApiClient, Visitor, is_problem
from tests.contract.conftest import RunningService
from tests.contract.fake_bot import spoken
from tests.contract.feeds import SseFeed

WORDS = "".join(f"w{number} " for number in range(12))


def asked(text: str, **more: Any) -> dict[str, Any]:
    """The body that the client sends for a question."""
    return {"id": "x", "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}], **more}


def parts(response: httpx.Response) -> list[dict[str, Any]]:
    """The parts of a stream that ended as it should."""
    assert response.status_code == 200
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    *lines, last = [line for line in response.text.split("\n\n") if line and not line.startswith(":")]
    assert last == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_ask(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A question, its streamed answer with sources, and the same in the session's history."""
    (shown,) = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=[{"ask": "tokens=12 cite"}])
    assert (shown["status"], shown["errors"]) == ("ready", [])
    question, answer = shown["messages"]
    assert (question["text"], answer["text"]) == ("tokens=12 cite", WORDS)
    assert answer["sources"] == [{"title": f"Page {n}", "url": f"https://docs.example/page-{n}"} for n in range(3)]
    stored = visitor.history()
    assert [said["content"] for said in stored] == ["tokens=12 cite", WORDS]
    assert answer["metadata"] == {"id": stored[1]["id"], "created_at": stored[1]["created_at"]}


def test_resume_at_every_cut(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """Wherever the stream breaks, another client gets the same message, whole, with the same id."""
    actions: list[dict[str, Any]] = []
    for cut in range(15):
        actions += [{"open": True, "cut": cut, "ask": f"tokens=12 delay=0.06 {cut}"}, {"open": True, "resume": True}]
    results = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=actions)
    for broken, resumed in zip(results[::2], results[1::2], strict=True):
        seen = broken["messages"][1:]
        assert not seen or WORDS.startswith(seen[0]["text"])
        if resumed["messages"]:  # else the answer had ended meanwhile
            (message,) = resumed["messages"]
            assert message["text"] == WORDS
            assert not seen or message["id"] == seen[0]["id"] or not seen[0]["text"]
    assert sum(bool(resumed["messages"]) for resumed in results[1::2]) >= 10
    assert visitor.texts()[1::2] == [WORDS] * 15


def test_resume_in_the_same_page(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A page that stays open takes a broken answer up again by itself: the words that it shows already stay once."""
    ask = {"open": True, "cut": 6, "ask": "tokens=40 delay=0.1"}
    broken, resumed = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=[ask, {"resume": True}])
    seen = broken["messages"][1]
    assert (broken["status"], seen["text"][:3]) == ("error", "w0 ")
    question, answer = resumed["messages"]
    assert (question["text"], answer["text"], answer["id"]) == (ask["ask"], spoken(40), seen["id"])
    assert resumed["status"] == "ready"


@pytest.mark.parametrize("name", ["orders/7", "a b", "é?", "%2F"])
def test_any_name_of_a_chat(script: RunScript, service: RunningService, visitor: Visitor, name: str) -> None:
    """With a bearer the client's own name for its chat may hold what it likes: resuming does not read it."""
    actions = [{"ask": "hello"}, {"resume": True}]
    *_, shown = script("ai_sdk.mjs", url=service.base, session=visitor.id, id=name, actions=actions)
    assert (shown["status"], shown["errors"]) == ("ready", [])
    assert [message["text"] for message in shown["messages"]] == ["hello", "echo: hello"]


def test_an_edited_question(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """The client keeps the id of a question that was edited: it is asked anew, and not answered as before."""
    actions = [{"ask": "first"}, {"edit": "second"}, {"edit": "third"}]
    *_, shown = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=actions)
    assert [message["text"] for message in shown["messages"]] == ["third", "echo: third"]
    assert visitor.texts() == ["first", "echo: first", "second", "echo: second", "third", "echo: third"]
    body = asked("third", messageId="m1")
    for _ in range(2):
        parts(visitor.caller.post("/api/ai-sdk/chat", json=body, headers=visitor.bearer))
    assert visitor.texts()[6:] == ["third", "echo: third"]  # the same call again is a retry


def test_deleted_in_mid_answer(visitor: Visitor) -> None:
    """The stream of a conversation that is deleted ends with an error."""
    told = []
    body = asked("tokens=900 delay=0.02")
    with visitor.caller.http.stream("POST", "/api/ai-sdk/chat", json=body, headers=visitor.bearer) as response:
        for line in response.iter_lines():
            told += [line] if line.startswith("data: ") else []
            if len(told) == 5:
                visitor.erase()
    assert json.loads(told[-2].removeprefix("data: "))["type"] == "error"
    assert told[-1] == "data: [DONE]"


def test_nothing_runs(service: RunningService, visitor: Visitor) -> None:
    """204 where no answer is being made; 404 for a session that does not exist."""
    path = "/api/ai-sdk/chat/any-name/stream"
    assert visitor.caller.get(path, headers=visitor.bearer).status_code == 204
    assert visitor.caller.get(f"/api/ai-sdk/chat/{visitor.id}/stream").status_code == 204
    is_problem(visitor.caller.get(path), 404, "session_not_found")
    is_problem(visitor.caller.get(path, headers={"Authorization": f"Bearer {NOBODY}"}), 404, "session_not_found")


def test_regenerate(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A new turn with the same question: the old answer stays in the history, and no engine gets it from then on."""
    results = script(
        "ai_sdk.mjs",
        url=service.base,
        session=visitor.id,
        actions=[{"ask": "before"}, {"ask": "tell 1"}, {"regenerate": True}, {"ask": "tell 2"}],
    )
    by_question = [{"ask": "again"}, {"regenerate": "question"}, {"regenerate": "question"}]
    shown = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=by_question)
    assert len({one["messages"][-1]["id"] for one in shown}) == 3
    before = [["user", "before"], ["assistant", "echo: before"]]
    first, again, later = (json.loads(shown["messages"][-1]["text"]) for shown in results[1:])
    assert first["history"] == again["history"] == before
    assert later["history"] == [*before, ["user", "tell 1"], ["assistant", results[2]["messages"][-1]["text"]]]
    assert [shown["messages"][-1]["role"] for shown in results] == ["assistant"] * 4
    assert visitor.texts().count("tell 1") == 2


def test_stop(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A stop button calls /stop; the words so far stay."""
    (shown,) = script("ai_sdk.mjs", url=service.base, session=visitor.id, actions=[{"stop": "tokens=900 delay=0.02"}])
    answer = shown["messages"][1]
    assert answer["metadata"]["stopped"] is True
    assert answer["text"] == visitor.texts()[1] != ""


def test_errors(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A failed answer is an error of the stream, and the client can ask again."""
    results = script(
        "ai_sdk.mjs", url=service.base, session=visitor.id, actions=[{"ask": "fail-after=3"}, {"ask": "and now"}]
    )
    assert results[0]["messages"][1]["text"] == "w0 w1 w2 "
    assert results[0]["errors"] == ["The answer could not be made"]
    assert results[1]["messages"][-1]["text"] == "echo: and now"


def test_a_limit(script: RunScript, limited_service: RunningService) -> None:
    """The library shows the problem that names the limit."""
    visitor = ApiClient(limited_service.base, address="127.0.0.61").create()
    actions = [{"ask": f"q{number}"} for number in range(8)]
    results = script("ai_sdk.mjs", url=limited_service.base, session=visitor.id, actions=actions)
    problem = json.loads(results[-1]["errors"][-1])
    assert (problem["status"], problem["code"]) == (429, "rate_limited")
    assert len(visitor.texts()) == 12


def test_the_same_question_again(visitor: Visitor) -> None:
    """The message's id is the turn's client id: sent again it asks nothing again, and brings the same message."""
    streams = [
        parts(visitor.caller.post("/api/ai-sdk/chat", json=asked("once"), headers=visitor.bearer)) for _ in range(2)
    ]
    assert streams[0][0] == streams[1][0] == {"type": "start", "messageId": streams[0][0]["messageId"]}
    assert visitor.texts() == ["once", "echo: once"]


def test_the_session_is_the_bearer(service: RunningService, visitor: Visitor) -> None:
    """The id in the body is read only where there is no bearer; a session of somebody else is never found by it."""
    other = visitor.caller.create()
    parts(visitor.caller.post("/api/ai-sdk/chat", json=asked("mine", id=other.id), headers=visitor.bearer))
    assert (visitor.texts(), other.texts()) == (["mine", "echo: mine"], [])
    parts(visitor.caller.post("/api/ai-sdk/chat", json=asked("by body", id=other.id)))
    assert other.texts() == ["by body", "echo: by body"]
    is_problem(visitor.caller.post("/api/ai-sdk/chat", json=asked("x", id="a-name")), 404, "session_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"id": "a", "role": "user", "parts": []}]},
        {"messages": [{"id": "a", "role": "user", "parts": [{"type": "text", "text": " "}]}]},
        {"messages": [{"id": "a", "role": "user", "parts": [{"type": "text"}]}]},
        {"messages": [{"id": "a", "role": "user", "parts": [{"type": "file", "url": "data:,"}]}]},
        {"messages": [{"id": "a", "role": "user", "parts": [7]}]},
        {"messages": ["x"]},
        {"messages": asked("x" * 4001)["messages"]},
    ],
)
def test_wrong_bodies(visitor: Visitor, body: dict[str, Any]) -> None:
    """422 that names the field; a session that does not exist is 404 before that."""
    is_problem(visitor.caller.post("/api/ai-sdk/chat", json=body, headers=visitor.bearer), 422, "invalid_request")
    is_problem(visitor.caller.post("/api/ai-sdk/chat", json=body), 404, "session_not_found")
    assert visitor.texts() == []


def test_long_histories(visitor: Visitor) -> None:
    """The client sends its whole history: 4 MiB are read, more is refused."""
    old = [{"id": f"o{n}", "role": "user", "parts": [{"type": "text", "text": "x" * 100_000}]} for n in range(41)]
    body = asked("last")
    body["messages"] = [*old, *body["messages"]]
    parts(visitor.caller.post("/api/ai-sdk/chat", json=body, headers=visitor.bearer))
    body["messages"] = [*old[:2], *body["messages"]]
    refused = visitor.caller.post("/api/ai-sdk/chat", json=body, headers=visitor.bearer)
    assert "4096 KiB" in is_problem(refused, 413, "payload_too_large")["detail"]
    assert visitor.texts() == ["last", "echo: last"]


def test_other_tabs_see_it(visitor: Visitor) -> None:
    """It is a turn like every other: the session's feeds have it too."""
    with SseFeed(f"{visitor.caller.base}{visitor.path('/events')}") as feed:
        parts(visitor.caller.post("/api/ai-sdk/chat", json=asked("hello"), headers=visitor.bearer))
        assert feed.until("answer.end")[-1].data["message"]["content"] == "echo: hello"
