"""OpenAI's own packages over /v1: chat completions, responses, replays by number, background, cancel, delete."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.clients.conftest import RunScript
from tests.contract.api_client import ApiClient
from tests.contract.conftest import API_KEY, PLAIN, RunningService
from tests.contract.launch import eventually

WORDS = "".join(f"w{number} " for number in range(12))


@pytest.fixture
def client(service: RunningService) -> Iterator[openai.OpenAI]:
    """The client as its users make it, without retries."""
    with openai.OpenAI(base_url=f"{service.base}/v1", api_key=API_KEY, max_retries=0) as made:
        yield made


@pytest.fixture
def full() -> Iterator[openai.OpenAI]:
    """A client of a service whose sessions hold six messages."""
    service = RunningService(PLAIN | {"BATON_MAX_MESSAGES": "6"})
    with openai.OpenAI(base_url=f"{service.base}/v1", api_key=API_KEY, max_retries=0) as made:
        yield made
    service.stop()


def said(role: str, text: Any) -> Any:
    return {"role": role, "content": text}


def test_chat_completions(client: openai.OpenAI) -> None:
    """The messages of the call are the engine's history, and nothing is stored between calls."""
    messages = [said("developer", "be kind"), said("user", "a"), said("assistant", "b"), said("user", "tell")]
    for _ in range(2):
        answer = client.chat.completions.create(model="any", messages=messages)
        body = json.loads(answer.choices[0].message.content or "")
        assert body["history"] == [["system", "be kind"], ["user", "a"], ["assistant", "b"]]
        assert (answer.model, answer.choices[0].finish_reason) == ("any", "stop")
    cited = client.chat.completions.create(model="any", messages=[said("user", "cite")])
    assert [found.url_citation.title for found in cited.choices[0].message.annotations or ()] == [
        "Page 0",
        "Page 1",
        "Page 2",
    ]


def test_streamed_chat_completions(client: openai.OpenAI) -> None:
    """Word by word; an error in the middle is an error of the library."""
    parts = [{"type": "text", "text": "tokens=12"}]
    chunks = list(client.chat.completions.create(model="any", messages=[said("user", parts)], stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == WORDS
    assert len(chunks) > 5
    assert chunks[-1].choices[0].finish_reason == "stop"
    received = ""
    broken = client.chat.completions.create(model="m", messages=[said("user", "fail-after=3")], stream=True)
    with pytest.raises(openai.APIError, match="could not be made"):  # noqa: PT012 - what came before it counts
        for chunk in broken:
            received += chunk.choices[0].delta.content or ""
    assert received == "w0 w1 w2 "


def test_models(client: openai.OpenAI) -> None:
    """The one model that the engine is."""
    (model,) = client.models.list().data
    assert client.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


def test_a_conversation_of_responses(client: openai.OpenAI) -> None:
    """A previous response brings its history; one that is not the newest brings the history up to it."""
    first = client.responses.create(model="m", input="hello cite")
    assert (first.output_text, first.status) == ("echo: hello cite", "completed")
    history = [["user", "hello cite"], ["assistant", "echo: hello cite"]]
    second = client.responses.create(model="m", input="tell 1", previous_response_id=first.id)
    third = client.responses.create(model="m", input="tell 2", previous_response_id=second.id)
    branch = client.responses.create(model="m", input="tell 3", previous_response_id=first.id)
    assert json.loads(second.output_text)["history"] == json.loads(branch.output_text)["history"] == history
    assert len(json.loads(third.output_text)["history"]) == 4
    assert client.responses.retrieve(third.id).output_text == third.output_text
    items = [said("user", "a"), said("assistant", "b"), said("user", [{"type": "input_text", "text": "tell"}])]
    listed = client.responses.create(model="m", input=items)
    assert json.loads(listed.output_text)["history"] == [["user", "a"], ["assistant", "b"]]


def test_racing_on_one_previous_response(client: openai.OpenAI) -> None:
    """However many calls go on from one response at once, each sees its history and nothing of the others."""
    first = client.responses.create(model="m", input="hello")
    history = [["user", "hello"], ["assistant", "echo: hello"]]

    def go_on(number: int) -> str:
        items = [said("user", f"aside {number}"), said("user", f"tell {number}")]
        answered = client.responses.create(model="m", input=items, previous_response_id=first.id)
        assert json.loads(answered.output_text)["history"] == [*history, ["user", f"aside {number}"]]
        return answered.id

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(go_on, range(6)))
    for number, response_id in enumerate(ids):
        again = client.responses.create(model="m", input="tell", previous_response_id=response_id)
        body = json.loads(again.output_text)["history"]
        assert body[:4] == [*history, ["user", f"aside {number}"], ["user", f"tell {number}"]]
        assert len(body) == 5


def test_more_messages_than_a_session_holds(full: openai.OpenAI) -> None:
    """It is refused for good, or with truncation "auto" goes on with the newest messages; nothing is lost meanwhile."""
    items = [said(("user", "assistant")[number % 2], str(number)) for number in range(8)]
    with pytest.raises(openai.BadRequestError, match="truncation") as refused:
        full.responses.create(model="m", input=[*items, said("user", "tell")])
    assert refused.value.param == "input"
    cut = full.responses.create(model="m", input=[*items, said("user", "tell")], truncation="auto")
    assert (json.loads(cut.output_text)["history"], cut.truncation) == ([["user", "6"], ["assistant", "7"]], "auto")
    newest = full.responses.create(model="m", input="tell", previous_response_id=cut.id)
    assert len(json.loads(newest.output_text)["history"]) == 4
    with pytest.raises(openai.ConflictError) as over:
        full.responses.create(model="m", input="tell", previous_response_id=newest.id)
    assert over.value.code == "session_full"
    assert over.value.response.headers["x-should-retry"] == "false"
    further = full.responses.create(model="m", input="tell", previous_response_id=newest.id, truncation="auto")
    assert json.loads(further.output_text)["history"] == [["user", "tell"], ["assistant", newest.output_text]]
    for earlier in (cut, newest):
        assert full.responses.retrieve(earlier.id).output_text == earlier.output_text


def test_a_long_history_is_no_flood(limited_service: RunningService) -> None:
    """What a client sends along of an earlier conversation counts against no limit of the session; its questions do."""
    caller = ApiClient(limited_service.base, address="127.0.0.77", headers={"Authorization": f"Bearer {API_KEY}"})
    items = [said(("user", "assistant")[number % 2], str(number)) for number in range(20)]
    answer = caller.post("/v1/responses", json={"model": "m", "input": [*items, said("user", "tell")]})
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["output"]
    assert len(json.loads(output["content"][0]["text"])["history"]) == 20
    statuses, previous = [], answer.json()["id"]
    for _ in range(6):
        answer = caller.post("/v1/responses", json={"model": "m", "input": "on", "previous_response_id": previous})
        statuses.append(answer.status_code)
        previous = answer.json().get("id", previous)
    assert statuses == [200] * 5 + [429]


def test_every_cut_in_javascript(script: RunScript, service: RunningService) -> None:
    """Wherever the stream breaks, it goes on after the last number: no event twice, none missing."""
    orders = {"question": "tokens=12 delay=0.02", "cuts": list(range(1, 20))}
    whole, *_ = results = script("openai.mjs", url=service.base, key=API_KEY, **orders)
    for result in results:
        assert result["text"] == WORDS
        assert result["numbers"] == list(range(len(result["numbers"])))
        assert result["last"] == "response.completed"
    assert whole["numbers"][0] == 0


def test_every_replay_is_the_same(client: openai.OpenAI) -> None:
    """The numbers and the pieces are the same each time; after the last one there is nothing, and no error."""
    events = [
        event.model_dump() for event in client.responses.create(model="m", input="tokens=12 delay=0.01", stream=True)
    ]
    response_id = events[0]["response"]["id"]
    for start in (-1, 0, 3, 6, len(events) - 2, len(events) - 1, len(events) + 5):
        more: dict[str, Any] = {} if start < 0 else {"starting_after": start}
        again = [event.model_dump() for event in client.responses.retrieve(response_id, stream=True, **more)]
        assert again == events[start + 1 :]


def test_a_response_whose_events_are_gone(client: openai.OpenAI, service: RunningService) -> None:
    """It is read from the history, can be gone on from and deleted; its stream says that it cannot be told whole."""
    first = client.responses.create(model="m", input="hello cite")
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="m", input="fail", previous_response_id=first.id)
    with service.redis.client() as redis:
        redis.delete(*redis.scan_iter("baton:{*}:live"))
    assert client.responses.retrieve(first.id) == first
    tale = client.responses.create(model="m", input="tell", previous_response_id=first.id)
    assert json.loads(tale.output_text)["history"] == [["user", "hello cite"], ["assistant", "echo: hello cite"]]
    assert [event.type for event in client.responses.retrieve(first.id, stream=True)] == ["error"]
    client.responses.delete(first.id)


def test_a_position_that_no_number_has_is_refused(client: openai.OpenAI) -> None:
    """``starting_after`` is a number that fits into JSON; any other gets an error that says so."""
    response_id = client.responses.create(model="m", input="hello").id
    for start in (-2, 2**53 + 1, 10**30):
        with pytest.raises(openai.BadRequestError, match="starting_after"):
            client.responses.retrieve(response_id, stream=True, starting_after=start)


def test_background_and_cancel(client: openai.OpenAI) -> None:
    """It runs without a connection, can be followed, and stops with the words so far."""
    done = client.responses.create(model="m", input="tokens=12 delay=0.02", background=True)
    assert (done.status, done.output_text) == ("in_progress", "")
    assert eventually(lambda: client.responses.retrieve(done.id).status == "completed")
    assert client.responses.retrieve(done.id).output_text == WORDS
    assert client.responses.cancel(done.id).status == "completed"
    running = client.responses.create(model="m", input="tokens=900 delay=0.02", background=True)
    for event in client.responses.retrieve(running.id, stream=True):
        if event.type == "response.output_text.delta":
            break
    with pytest.raises(openai.ConflictError):
        client.responses.create(model="m", input="and", previous_response_id=running.id)
    stopped = client.responses.cancel(running.id)
    assert stopped.status == "cancelled"
    assert stopped.output_text.startswith("w0 ")
    assert client.responses.retrieve(running.id).output_text == stopped.output_text


def test_delete(client: openai.OpenAI, service: RunningService) -> None:
    """Afterwards it is not found, and nothing of a conversation that was this response alone is in Redis."""
    before = set(service.key_names())
    response = client.responses.create(model="m", input="secret words")
    client.responses.delete(response.id)
    assert {name for name in service.key_names() if name not in before} == set()
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            call(response.id)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    other = client.responses.create(model="m", input="x")
    deleted = httpx.delete(f"{service.base}/v1/responses/{other.id}", headers=headers)
    assert deleted.json() == {"id": other.id, "object": "response", "deleted": True}


def test_nothing_is_stored_on_request(client: openai.OpenAI, service: RunningService) -> None:
    """`store: false` answers and keeps nothing; it cannot run in the background."""
    before = service.key_names()
    response = client.responses.create(model="m", input="tokens=12", store=False)
    events = list(client.responses.create(model="m", input="tokens=12", store=False, stream=True))
    assert response.output_text == WORDS
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == WORDS
    assert service.key_names() == before
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.create(model="m", input="x", store=False, background=True)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_failures(client: openai.OpenAI) -> None:
    """A failed answer says so, and after the question is stored the library must not ask it again."""
    with pytest.raises(openai.InternalServerError) as failed:
        client.responses.create(model="m", input="fail")
    assert failed.value.response.headers["x-should-retry"] == "false"
    *_, last = client.responses.create(model="m", input="fail-after=3", stream=True)
    assert last.type == "response.failed"
    assert last.response.output_text == "w0 w1 w2 "


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/chat/completions", {}, "messages"),
        ("/chat/completions", {"messages": []}, "messages"),
        ("/chat/completions", {"messages": [{"role": "user", "content": " "}]}, "messages"),
        (
            "/chat/completions",
            {"messages": [{"role": "tool", "content": "x"}, {"role": "user", "content": "x"}]},
            "messages",
        ),
        ("/chat/completions", {"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ("/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ("/chat/completions", {"messages": [{"role": "user", "content": "x"}], "tools": [{}]}, "tools"),
        ("/chat/completions", {"messages": [{"role": "user", "content": "x"}], "n": 2}, "n"),
        ("/chat/completions", {"messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
        ("/responses", {}, "input"),
        ("/responses", {"input": "x", "stream": 1}, "stream"),
        ("/responses", {"input": "x", "store": "no"}, "store"),
        ("/responses", {"input": []}, "input"),
        ("/responses", {"input": "x" * 4001}, "input"),
        ("/responses", {"input": "x", "tools": [{"type": "web_search"}]}, "tools"),
        ("/responses", {"input": "x", "conversation": "c"}, "conversation"),
        ("/responses", {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
    ],
)
def test_wrong_bodies(service: RunningService, path: str, body: dict[str, Any], param: str) -> None:
    """400 in OpenAI's shape, with the field."""
    response = httpx.post(f"{service.base}/v1{path}", json=body, headers={"Authorization": f"Bearer {API_KEY}"})
    assert response.status_code == 400
    assert response.json()["error"] == {
        "message": response.json()["error"]["message"],
        "type": "invalid_request_error",
        "param": param,
        "code": "invalid_request",
    }


def test_who_may_call(service: RunningService, limited_service: RunningService) -> None:
    """Only servers with the key: 401 for a wrong one, 403 for a browser; without a key in the settings all is 404."""
    call: Callable[..., httpx.Response] = lambda **headers: httpx.get(f"{service.base}/v1/models", headers=headers)  # noqa: E731
    right = f"Bearer {API_KEY}"
    assert [call().status_code, call(Authorization="Bearer x").status_code] == [401, 401]
    assert call(Authorization=right, Origin="https://a.example").status_code == 403
    assert call(Authorization=right).headers["cache-control"] == "no-store"
    session = ApiClient(service.base).create()
    assert call(Authorization=f"Bearer {session.id}").status_code == 401
    assert set(call().json()["error"]) == {"message", "type", "param", "code"}


def test_refusals_come_before_errors_of_the_path(service: RunningService) -> None:
    """Whatever is called under /v1, and whatever the caller accepts: 401, 403, and then JSON in OpenAI's shape."""
    right = {"Authorization": f"Bearer {API_KEY}"}
    for method, path, status in (
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1", 404),
        ("POST", "/v1/responses/x/cancel", 404),
    ):
        for headers, expected in (({}, 401), (right | {"Origin": "https://a.example"}, 403), (right, status)):
            told = httpx.request(method, service.base + path, headers=headers | {"Accept": "text/html"})
            assert (told.status_code, set(told.json())) == (expected, {"error"})


def test_without_a_key_there_is_nothing() -> None:
    """Each path is the same 404, also for a method that it would not take and for a browser of another site."""
    settings = {name: value for name, value in PLAIN.items() if name != "BATON_API_KEY"}
    service = RunningService(settings | {"BATON_ALLOWED_ORIGINS": "https://a.example", "WEB_CONCURRENCY": "1"})
    try:
        told = [
            httpx.request(method, f"{service.base}/v1/{path}", headers=headers)
            for method, path in (("GET", "models"), ("GET", "responses"), ("POST", "responses"), ("PUT", "nothing"))
            for headers in ({}, {"Authorization": f"Bearer {API_KEY}"}, {"Origin": "https://evil.example"})
        ]
    finally:
        service.stop()
    assert {response.status_code for response in told} == {404}
    assert len({response.text for response in told}) == 1


def test_a_silent_engine(service: RunningService) -> None:
    """While no word comes, each kind of stream has lines of comment, which keep proxies from cutting it."""
    said = [{"role": "user", "content": "hang"}]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"messages": said}),
        ("/v1/responses", {"input": said, "store": False}),
        ("/v1/responses", {"input": said}),
    ]

    def first_sign(call: tuple[str, dict[str, Any]]) -> str:
        path, body = call
        headers = {"Authorization": f"Bearer {API_KEY}"}
        with httpx.stream("POST", service.base + path, json=body | {"stream": True}, headers=headers) as response:
            lines = (line for line in response.iter_lines() if line and not line.startswith(("data:", "event:")))
            return next(lines, "")

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(first_sign, calls)) == [": keep-alive"] * 3


def test_null_is_the_default(client: openai.OpenAI) -> None:
    """A field that a client sets to null is as if it were not there: the response is stored."""
    response = client.responses.create(
        model="m", input="hello", store=None, stream=None, background=None, previous_response_id=None
    )
    assert (response.output_text, client.responses.retrieve(response.id).status) == ("echo: hello", "completed")


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
def test_half_a_character_in_the_history(service: RunningService, path: str) -> None:
    """It is refused by its field, and not an error of ours."""
    name = "messages" if "chat" in path else "input"
    body = json.dumps({name: [said("user", "\ud800"), said("user", "hi")]})
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    told = httpx.post(f"{service.base}/v1{path}", content=body, headers=headers)
    assert (told.status_code, told.json()["error"]["param"]) == (400, name)


def test_redis_away_in_mid_answer() -> None:
    """The stream's last event is an error under the last number, after which the client goes on: all is told once."""
    service = RunningService(PLAIN)
    try:
        with openai.OpenAI(base_url=f"{service.base}/v1", api_key=API_KEY, max_retries=0) as client:
            events: list[Any] = []
            for event in client.responses.create(model="m", input="tokens=60 delay=0.1", stream=True):
                events.append(event)
                if len(events) == 8:
                    service.redis.send(signal.SIGSTOP)
            service.redis.send(signal.SIGCONT)
            error = events.pop()
            assert (error.type, error.sequence_number) == ("error", events[-1].sequence_number)
            assert eventually(lambda: httpx.get(f"{service.base}/health").status_code == 200)
            response_id, last = events[0].response.id, error.sequence_number
            patient = client.with_options(max_retries=5)  # the other worker may not have noticed yet
            events += patient.responses.retrieve(response_id, stream=True, starting_after=last)
    finally:
        service.stop()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"


def test_its_sessions_open_for_nobody_else(client: openai.OpenAI, service: RunningService) -> None:
    """A response id is good for nothing elsewhere, and Redis holds neither it nor the session's id."""
    response = client.responses.create(model="m", input="hello")
    assert ApiClient(service.base).get(f"/api/session/{response.id}").status_code == 404
    with service.redis.client() as redis:
        held = b"".join(redis.dump(name) or b"" for name in redis.scan_iter("baton:response:*"))
    assert response.id.encode() not in held
    assert b"ses_" not in held
