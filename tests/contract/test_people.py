"""A person steps in: what the visitor sees, with nothing but the address of a service where the desk is on."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import API_KEY, RunningService
from tests.contract.desk_client import DeskClient, ServerClient, cookie_of
from tests.contract.feeds import joined
from tests.contract.launch import eventually

LONG = "tokens=60 delay=0.02"
HANDLER = ("handler", "assigned_to", "queue_position")


PAGES: dict[str, str] = {}
"""The page of each guest, by which the desk finds their conversation."""


class Operator:
    """An operator for whom a server calls, with the API key."""

    def __init__(self, server: ServerClient, name: str, role: str = "operator") -> None:
        self.name = name
        self.id, _ = server.invite(name, role)
        self.server = server.acting_as(self.id)
        self.headers = {"Authorization": f"Bearer {API_KEY}", "Baton-Operator": self.id}

    def available(self, on: bool = True) -> None:
        assert self.server.call("POST", "/me", json={"available": on}).status_code == 200

    def says(self, visitor: Visitor, text: str, **more: Any) -> httpx.Response:
        return visitor.say(text, headers=self.headers, **more)

    def ref(self, visitor: Visitor) -> str:
        """The name of a conversation at the desk, found by the page that it began on."""
        page = PAGES[visitor.id]
        found: list[dict[str, Any]] = eventually(
            lambda: [row for view in ("queue", "open", "bot") for row in self.list(view=view, q=page)], 5.0
        )
        assert len(found) == 1, found
        return str(found[0]["ref"])

    def list(self, **query: str) -> list[dict[str, Any]]:
        answer = self.server.call("GET", "/conversations", params=query)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["conversations"]
        return rows

    def do(self, ref: str, what: str, **body: Any) -> httpx.Response:
        return self.server.call("POST", f"/conversations/{ref}/{what}", json=body)


@pytest.fixture(scope="module")
def server(desk: RunningService) -> ServerClient:
    return ServerClient(desk.base, API_KEY)


@pytest.fixture(scope="module")
def anna(server: ServerClient) -> Operator:
    return Operator(server, "Anna")


@pytest.fixture(scope="module")
def bob(server: ServerClient) -> Operator:
    return Operator(server, "Bob")


@pytest.fixture
def guest(desk: RunningService) -> Visitor:
    """A visitor with a fresh session, on a page of their own."""
    page = f"/{secrets.token_hex(8)}"
    visitor = ApiClient(desk.base).create(metadata={"page": page})
    PAGES[visitor.id] = page
    return visitor


@pytest.fixture
def somebody(anna: Operator) -> Iterator[Operator]:
    """Anna is available while the test runs."""
    anna.available()
    yield anna
    anna.available(False)


@pytest.fixture
def nobody(server: ServerClient) -> Iterator[None]:
    """No operator is available, also none of another test's, while the test runs."""
    operators = server.call("GET", "/operators").json()["operators"]
    there = [server.acting_as(operator["id"]) for operator in operators if operator["available"]]
    for operator in there:
        operator.call("POST", "/me", json={"available": False})
    yield
    for operator in there:
        operator.call("POST", "/me", json={"available": True})


def state(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name in HANDLER}


def everywhere(guest: Visitor) -> list[dict[str, Any]]:
    """Who answers, in the session's state, the history and a resume."""
    return [state(guest.get()), state(guest.get("/messages")), state(guest.caller.resume(guest.id))]


def test_r33_without_the_desk_nothing_of_it_is_there(visitor: Visitor, key: dict[str, str]) -> None:
    """`human` and `typing` are 404 `not_found`, also by WebSocket; no answer has a handler."""
    for path in ("/human", "/typing"):
        is_problem(visitor.post(path), 404, "not_found")
    with visitor.ws() as socket:
        socket.send({"type": "typing"})
        assert socket.until("problem")[-1].data["code"] == "not_found"
    assert visitor.say("as the owner", headers=key | {"Baton-Operator": "op_1"}).status_code == 201
    answers = [visitor.get(), visitor.get("/messages"), visitor.caller.resume(visitor.id), visitor.ask("hello")]
    assert not [name for answer in answers for name in HANDLER if name in answer.json()]


def test_the_bot_answers_until_somebody_asks(guest: Visitor) -> None:
    """Where the desk is on, a session says who answers: the bot."""
    assert guest.ask("hello").json().keys() == {"success", "answer", "citations", "session_id", "message_id"}
    assert everywhere(guest) == [{"handler": "bot", "assigned_to": None}] * 3


def test_asking_for_a_person_with_nobody_there(guest: Visitor, anna: Operator, nobody: None) -> None:
    """The bot stays, and says so; what was left is taken, wrong fields are named; an unknown session is 404."""
    assert guest.post("/human").json() == {"success": True, "handler": "bot", "people": "away"}
    assert eventually(lambda: anna.list(view="bot", q=PAGES[guest.id]), 5.0), "listed, also without a message"
    answer = guest.post("/human", {"reason": "My order", "contact": {"name": "Ada", "email": "ada@example.com"}})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "handler": "bot", "people": "away"}
    assert guest.post("/human").json()["handler"] == "bot"
    for wrong in ({"contact": {"email": "no address"}}, {"contact": "ada"}, {"reason": 5}, {"reason": "x" * 501}):
        assert "field" in is_problem(guest.post("/human", wrong), 422, "invalid_request")["errors"][0]
    is_problem(guest.caller.post(f"/api/session/{NOBODY}/human", json={"reason": 5}), 404, "session_not_found")
    rows = eventually(lambda: [row for row in anna.list(q=PAGES[guest.id], view="bot") if "reason" in row], 5.0)
    assert (rows[0]["reason"], rows[0]["contact"]) == ("My order", {"name": "Ada", "email": "ada@example.com"})
    assert guest.ask("still the bot?").json()["answer"] == "echo: still the bot?"


def test_asking_for_a_person(guest: Visitor, somebody: Operator) -> None:
    """The visitor waits in the queue and sees their position, in the feed too; asked again it is the same."""
    guest.ask("hello")
    with guest.events() as feed:
        first = guest.post("/human")
        assert first.json().keys() == {"success", "handler", "queue_position", "people"}
        assert (first.json()["handler"], first.json()["people"]) == ("queue", "online")
        assert guest.post("/human").json()["handler"] == "queue"
        events = feed.until("handler")
    assert [event.data["handler"] for event in events if event.event == "handler"] == ["queue"]
    assert events[-1].id
    assert events[-1].data["queue_position"] >= 1
    for shown in everywhere(guest):
        assert (shown["handler"], shown["assigned_to"]) == ("queue", None)
        assert shown["queue_position"] >= 1


def test_the_place_in_the_queue_is_never_out_of_date(guest: Visitor, somebody: Operator) -> None:
    """Whoever leaves the queue, in whatever way, those behind are further ahead by the time of the answer."""
    leaving = [guest.caller.create() for _ in range(4)]
    for visitor in leaving:
        visitor.post("/human")
    place = guest.post("/human").json()["queue_position"]
    ref = sorted(somebody.list(view="queue"), key=lambda row: row["waiting_since"])[-2]["ref"]  # the last of them
    leaves = [
        leaving[0].erase,
        lambda: leaving[1].post("/end"),
        lambda: somebody.says(leaving[2], "Hello"),
        lambda: somebody.do(ref, "release", to="bot"),
    ]
    for number, leave in enumerate(leaves, 1):
        assert leave().is_success
        assert state(guest.get())["queue_position"] == place - number


def test_a_request_ends_the_answer_that_is_being_made(guest: Visitor, somebody: Operator) -> None:
    """While somebody waits for a person no engine speaks: the words so far stay."""
    with guest.ask_streamed(LONG) as asking, guest.events() as feed:
        asking.until("answer.delta", count=5)
        guest.post("/human")
        events = asking.until_closed()
        feed.until("handler")
        assert [event.event for event in feed.events][-2:] == ["answer.end", "handler"]
    assert events[-1].event == "answer.end"
    assert events[-1].data["message"]["metadata"] == {"interrupted": True}
    assert events[-1].data["message"]["content"] == joined(events)


def test_a_question_for_a_person(desk: RunningService, guest: Visitor, anna: Operator) -> None:
    """202 with `answer: null`; its stream is `message`, `handler`, end; no engine is called, and sent again it is the
    same 202, also after the bot has the conversation again.
    """
    words = f"Is anybody there {random.random()}"
    anna.says(guest, "Anna here")
    first = guest.ask(words, client_id="c1")
    assert first.status_code == 202
    assert first.json() == {
        "success": True, "answer": None, "citations": [], "session_id": guest.id, "message_id": None,
        "handler": "human",
    }  # fmt: skip
    with guest.ask_streamed(words, client_id="c2") as stream:
        assert stream.response.status == 200
        events = stream.until_closed()
    assert [event.event for event in events] == ["message", "handler"]
    assert events[0].data["content"] == words
    assert events[1].data == {"handler": "human", "assigned_to": {"name": "Anna"}}
    assert guest.texts() == ["Anna here", words, words]
    ref = anna.ref(guest)
    assert anna.do(ref, "release", to="bot").status_code == 200
    again = guest.ask(words, client_id="c1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert guest.texts() == ["Anna here", words, words]
    assert desk.own.engine_calls(words) == 0
    assert guest.ask(words, client_id="c3").json()["answer"] == f"echo: {words}"


def test_r31_a_take_in_the_middle_of_a_word(guest: Visitor, anna: Operator, bob: Operator) -> None:
    """The chat's own stream ends with the words so far; the feed has `answer.end`, then `handler`, and then none of the
    turn; a JSON chat that waits gets 200, the words so far and who answers; another operator is told who has it.
    """
    guest.said("hello")
    ref = anna.ref(guest)
    answers: list[httpx.Response] = []
    with guest.events() as feed:
        asking = threading.Thread(target=lambda: answers.append(guest.ask(LONG)), daemon=True)
        asking.start()
        feed.until("answer.delta", count=3)
        taken = anna.do(ref, "take")
        assert taken.status_code == 200, taken.text
        asking.join(10)
        guest.said("thank you")
        events = feed.until("message", count=2)
    names = [event.event for event in events]
    handler_at = names.index("handler")
    assert names[handler_at - 1 : handler_at + 2] == ["answer.end", "handler", "message"]
    assert events[handler_at].data["assigned_to"] == {"name": "Anna"}
    body = answers[0].json()
    assert (answers[0].status_code, body["handler"]) == (200, "human")
    assert body["answer"] == joined(events) == events[handler_at - 1].data["message"]["content"] != ""
    refused = is_problem(bob.do(ref, "take"), 409, "already_taken")
    assert refused["assigned_to"]["name"] == "Anna"
    is_problem(bob.says(guest, "Bob here"), 409, "already_taken")
    assert anna.do(ref, "take").status_code == 200
    assert everywhere(guest) == [{"handler": "human", "assigned_to": {"name": "Anna"}}] * 3


def test_r31_a_take_before_the_first_word(guest: Visitor, anna: Operator) -> None:
    """`answer.end` has `message: null`; the JSON of that chat is empty, and names the handler."""
    guest.said("hello")
    answers: list[httpx.Response] = []
    with guest.events() as feed:
        asking = threading.Thread(target=lambda: answers.append(guest.ask("hang", client_id="c1")), daemon=True)
        asking.start()
        feed.until("answer.start")
        assert anna.says(guest, "Let me help").status_code == 201
        events = feed.until("message", count=2)
    asking.join(10)
    assert [event.event for event in events] == ["message", "answer.start", "answer.end", "handler", "message"]
    assert events[2].data["message"] is None
    for answer in (answers[0], guest.ask("hang", client_id="c1")):
        assert (answer.status_code, answer.json()["answer"], answer.json()["handler"]) == (200, "", "human")
    assert guest.texts() == ["hello", "hang", "Let me help"]


def test_an_operators_message(guest: Visitor, anna: Operator, server: ServerClient, key: dict[str, str]) -> None:
    """It has an author and takes the conversation; sent again it is there once; the key alone takes nothing; an unknown
    operator is refused.
    """
    assert guest.say("from our server", headers=key, role="assistant").status_code == 201
    assert state(guest.get())["handler"] == "bot"
    first, again = (anna.says(guest, "Anna here", client_id="m1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["message"] == again.json()["message"]
    message = guest.history()[-1]
    assert (message["role"], message["author"]) == ("assistant", {"type": "operator", "name": "Anna"})
    viewer = Operator(server, "Vera", "viewer")
    is_problem(viewer.says(guest, "me too"), 403, "not_allowed")
    is_problem(guest.say("me too", headers=key | {"Baton-Operator": "op_nobody"}), 403, "not_allowed")
    assert guest.texts() == ["from our server", "Anna here"]


def test_what_a_server_took_is_kept(desk: RunningService, server: ServerClient) -> None:
    """Who is gone gives back what they took themselves, and not what a server took for them, by either path."""
    eve, invitation = server.invite("Eve", "operator")
    logged_in = DeskClient(desk.base).post("/login", {"invite": invitation})
    own, desk_path, session_path = (ApiClient(desk.base).create() for _ in range(3))
    refs = {}
    for visitor in (desk_path, session_path, own):
        words = secrets.token_hex(8)
        visitor.said(words)
        rows = eventually(lambda words=words: find(server, words), 5.0)
        refs[visitor.id] = rows[0]["ref"]
    by_server = {"Authorization": f"Bearer {API_KEY}", "Baton-Operator": eve}
    assert session_path.say("by the server", headers=by_server).status_code == 201
    taken = server.acting_as(eve).call("POST", f"/conversations/{refs[desk_path.id]}/take", json={})
    assert taken.status_code == 200
    eves = DeskClient(desk.base, cookie_of(logged_in))
    assert eves.post(f"/conversations/{refs[own.id]}/take").status_code == 200
    with desk.redis.client() as look:  # as if all of it were two minutes ago
        for ref in refs.values():
            look.hincrby(f"baton:desk:{{desk}}:row:{ref}", "since", -121_000)
        look.zadd("baton:desk:{desk}:present", {eve: time.time() * 1000 - 121_000})
    assert eventually(lambda: own.get().json()["handler"] == "queue", 10)
    assert [visitor.get().json()["handler"] for visitor in (desk_path, session_path)] == ["human", "human"]
    assert server.call("DELETE", f"/operators/{eve}").status_code == 204


def find(server: ServerClient, words: str) -> list[dict[str, Any]]:
    """The rows of the conversations whose last words are these."""
    answer = server.call("GET", "/conversations", params={"view": "bot", "q": words})
    rows: list[dict[str, Any]] = answer.json()["conversations"]
    return rows


def test_the_engine_learns_who_said_what(guest: Visitor, anna: Operator) -> None:
    """After a release the bot's engine is given the operator's words under their name; a release starts no answer."""
    guest.ask("hello")
    anna.says(guest, "It costs nothing")
    ref = anna.ref(guest)
    with guest.events() as feed:
        assert anna.do(ref, "release", to="bot").status_code == 200
        feed.until("handler")
        body = json.loads(guest.ask("tell").json()["answer"])
        assert [event.event for event in feed.until("answer.end")][:3] == ["handler", "message", "answer.start"]
    assert body["history"] == [
        ["user", "hello"], ["assistant", "echo: hello"], ["assistant", "It costs nothing", "Anna"],
    ]  # fmt: skip


def test_an_engine_hands_over(guest: Visitor, somebody: Operator) -> None:
    """With words or without: the turn ends, and the visitor waits for a person, who is there."""
    words = guest.ask("handoff-after=3")
    assert (words.status_code, words.json()["answer"], words.json()["handler"]) == (200, "w0 w1 w2 ", "queue")
    assert guest.history()[-1]["metadata"] == {"handoff": True}
    other = guest.caller.create()
    with other.events() as feed:
        silent = other.ask("handoff")
        events = feed.until("handler")
    assert (silent.status_code, silent.json()["answer"], silent.json()["handler"]) == (200, "", "queue")
    assert [event.event for event in events] == ["message", "answer.start", "answer.end", "handler"]
    assert (events[2].data["message"], events[3].data["reason"]) == (None, "engine")


def test_an_engine_hands_over_to_nobody(guest: Visitor, nobody: None) -> None:
    """With nobody there the bot stays; without a word of the engine the visitor is told so. Both are marked."""
    answer = guest.ask("handoff")
    assert (answer.status_code, state(guest.get())["handler"]) == (200, "bot")
    assert "Nobody is here" in answer.json()["answer"]
    assert answer.json()["handler"] == "bot"
    assert guest.ask("handoff-after=2").json()["answer"] == "w0 w1 "
    answers = [message for message in guest.history() if message["role"] == "assistant"]
    assert [message["metadata"] for message in answers] == [{"handoff": False}, {"handoff": False}]
    assert guest.ask("hello").json()["answer"] == "echo: hello"


def test_an_engine_that_does_not_know(guest: Visitor) -> None:
    """Its answer is marked, so that a page can offer a person."""
    guest.ask("unknown thing")
    assert guest.history()[-1]["metadata"] == {"not_found": True}


def test_typing(guest: Visitor, anna: Operator) -> None:
    """The operator's is in the visitor's feed, without an id and once in 3 s; it is never sent again."""
    anna.says(guest, "One moment")
    ref = anna.ref(guest)
    with guest.events() as feed:
        for _ in range(3):
            assert anna.do(ref, "typing").status_code == 200
            assert guest.post("/typing").json() == {"success": True}
        event = feed.until("typing")[-1]
        assert (event.id, event.data) == (None, {"who": "operator", "name": "Anna"})
        guest.said("take your time")
        feed.until("message")
        assert len(feed.named("typing")) == 1
    with guest.events(after="0-" + guest.history()[0]["id"][-6:]) as feed:
        feed.until("message", count=2)
        assert feed.named("typing") == []
    with guest.ws() as socket:
        socket.send({"type": "typing"})
        assert socket.until("ack")[-1].data == {"type": "typing"}


def test_an_ended_conversation(guest: Visitor, anna: Operator) -> None:
    """Nobody can be asked for, and no operator can speak."""
    guest.said("hello")
    guest.post("/end")
    is_problem(guest.post("/human"), 409, "session_ended")
    is_problem(guest.post("/typing"), 409, "session_ended")
    is_problem(anna.says(guest, "late"), 409, "session_ended")


def test_other_protocols_end_at_once(guest: Visitor, anna: Operator, key: dict[str, str]) -> None:
    """Where a person has the conversation: AI SDK `data-handler`, AG-UI `CUSTOM` `handler`, both at once and empty."""
    anna.says(guest, "Anna here")
    shown = {"handler": "human", "assigned_to": {"name": "Anna"}}
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hello"}], "content": "hello"}
    parts = data_of(guest.caller.post("/api/ai-sdk/chat", json={"id": guest.id, "messages": [message]}))
    assert [part["type"] for part in parts] == ["start", "start-step", "data-handler", "finish-step", "finish"]
    assert parts[2]["data"] == shown
    run = {"threadId": guest.id, "runId": "r1", "messages": [message]}
    events = data_of(guest.caller.post("/api/ag-ui", json=run))
    assert [event["type"] for event in events] == ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]
    assert (events[1]["name"], events[1]["value"]) == ("handler", shown)


def data_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_responses_without_output(guest: Visitor, anna: Operator, key: dict[str, str]) -> None:
    """The Responses API: `completed` with no output, at once, as a stream and when it is read again."""
    first = guest.caller.post("/v1/responses", json={"input": "hello responses"}, headers=key).json()
    rows = eventually(lambda: anna.list(view="bot", q="hello responses"), 5.0)
    assert anna.do(rows[0]["ref"], "take").status_code == 200
    body = {"input": "and now?", "previous_response_id": first["id"]}
    held = guest.caller.post("/v1/responses", json=body, headers=key).json()
    assert (held["status"], held["output"]) == ("completed", [])
    again = guest.caller.get(f"/v1/responses/{held['id']}", headers=key).json()
    assert (again["status"], again["output"]) == ("completed", [])
    stream = {"input": "still?", "previous_response_id": held["id"], "stream": True}
    events = data_of(guest.caller.post("/v1/responses", json=stream, headers=key))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.completed"]
    assert [event["sequence_number"] for event in events] == [0, 1, 2]


def test_r31_twenty_operators_race(desk: RunningService, server: ServerClient) -> None:
    """R31: twenty operators, five conversations whose answers are being made: one has each, and no word follows."""
    operators = [Operator(server, f"Racer {number}") for number in range(20)]
    guests = [ApiClient(desk.base).create() for _ in range(5)]
    feeds = [guest.events() for guest in guests]
    for guest, feed in zip(guests, feeds, strict=True):
        threading.Thread(target=lambda guest=guest: guest.ask(LONG), daemon=True).start()
        feed.until("answer.delta", count=2)
    for guest, feed in zip(guests, feeds, strict=True):
        answers = at_once(20, lambda number, guest=guest: operators[number].says(guest, f"I am {number}"))
        winners = [number for number, answer in enumerate(answers) if answer.status_code == 201]
        assert len(winners) == 1
        assert {answer.json()["code"] for answer in answers if answer.status_code != 201} == {"already_taken"}
        guest.said("done")
        events = feed.until("message", count=3)
        names = [event.event for event in events]
        assert names.count("handler") == names.count("answer.end") == 1
        assert "answer.delta" not in names[names.index("answer.end") :]
        assert guest.texts() == [LONG, joined(events), f"I am {winners[0]}", "done"]
        feed.close()


def test_r32_a_note_is_for_operators_alone(
    desk: RunningService, guest: Visitor, anna: Operator, key: dict[str, str]
) -> None:
    """R32: a note is hunted in the visitor's history, feeds, transcripts, resume and positions, in what the engine is
    given and in other protocols; it is nowhere, and the operators have it.
    """
    guest.ask("hello")
    ref = anna.ref(guest)
    canary = f"canary-{secrets.token_hex(8)}"
    before = guest.get("/messages").json()
    with guest.events() as feed, guest.ws() as socket, guest.ask_streamed("tokens=20 delay=0.02") as stream:
        stored = anna.do(ref, "notes", message=canary)
        assert stored.status_code == 201
        assert anna.do(ref, "notes", message=canary).status_code == 201
        events = guest.ask("tell", client_id="t1") if stream.until_closed() else None
        guest.said("the last word")
        feed.until("message", count=3)
        socket.until("message", count=3)
        live = [*feed.raw, *(json.dumps(event.data) for event in socket.events), *stream.raw]
    message = {"id": "m1", "role": "user", "content": "tell", "parts": [{"type": "text", "text": "tell"}]}
    run = {"threadId": guest.id, "runId": "r1", "messages": [message]}
    answers = [
        guest.get(), guest.get("/messages"), guest.get("/messages", params={"after": before["messages"][0]["id"]}),
        guest.caller.resume(guest.id), guest.caller.resume(guest.ticket("share")), events,
        *(guest.get("/transcript", params={"format": kind}) for kind in ("md", "txt", "json")),
        anna.server.call("GET", f"/conversations/{ref}/transcript"),
        guest.caller.post("/api/ai-sdk/chat", json={"id": guest.id, "messages": [message]}),
        guest.caller.post("/api/ag-ui", json=run),
    ]  # fmt: skip
    with guest.events(after="0-" + before["cursor"].rpartition("-")[2]) as replay:
        replay.until("message", count=3)
        live += replay.raw
    assert [answer.status_code for answer in answers if answer is not None] == [200] * len(answers)
    assert not [text for text in (*(answer.text for answer in answers if answer is not None), *live) if canary in text]
    assert canary not in desk.own.log()
    assert guest.get().json()["message_count"] == len(guest.history())
    assert anna.server.call("GET", f"/conversations/{ref}/messages").text.count(canary) == 2
