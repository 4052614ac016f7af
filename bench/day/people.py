"""Visitors and operators of the simulated day: what they do, and what they received."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.day.api import DEADLINE, Api, GivenUp, Place, read_events
from bench.day.engine import pieces

JSON = {"Accept": "text/event-stream"}


Timed = tuple[float, float]
"""When a call began (monotonic), and its seconds."""


@dataclass
class Ledger:
    """What the day's clients received, and how long it took."""

    append: list[Timed] = field(default_factory=list)
    first_token: list[Timed] = field(default_factory=list)
    hand_over: list[Timed] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)


TEXTS = {
    "q": "What does shipping cost, and when does it arrive?",
    "a": "and something that the visitor adds to it",
    "o": "I look into it for you.",
}


def text_of(visitor: int, name: str) -> str:
    """The text under a name: a question (``q1``), an addition (``a1``) or an operator's message (``op_...-1``)."""
    return f"{visitor}:{name} {TEXTS[name[0]]}"


@dataclass(slots=True)
class Plan:
    """What a visitor is going to do; ``pause``: seconds of reading between two questions."""

    number: int
    questions: int
    appends: int = 0
    pause: float = 0.0
    reloads: float = 0.0
    hands_over: bool = False
    wants_person: bool = False
    ends: bool = False


class Visitor:
    """One conversation; every text of it begins with the visitor's number.

    There are 100,000 of them in a day: what they keep after their visit is small.
    """

    __slots__ = (
        "acknowledged",
        "answered",
        "api",
        "last_at",
        "ledger",
        "plan",
        "random",
        "seed",
        "session_id",
        "unequal",
    )

    def __init__(self, api: Api, plan: Plan, ledger: Ledger, seed: int = 0) -> None:
        self.api, self.plan, self.ledger, self.seed = api, plan, ledger, seed
        self.session_id = ""
        self.acknowledged: list[str] = []
        """Names of the texts that were stored, as ``text_of`` takes them."""
        self.answered: list[str] = []
        """Names of the questions whose answer was received whole."""
        self.unequal = 0
        """Answers whose joined pieces were not their message."""
        self.last_at = 0.0

    def live(self) -> None:
        """The whole visit."""
        self.random = random.Random(self.seed * 1_000_003 + self.plan.number)
        try:
            self._live()
        except GivenUp as error:
            self.ledger.did[f"given up: {error}"] += 1
        finally:
            self.last_at = time.monotonic()
            self.api.close()
            del self.random

    def _live(self) -> None:
        plan = self.plan
        status, made = self.api.call("POST", "/api/session/create", {})
        if status != 201:
            raise GivenUp("create")
        self.session_id = made["session_id"]
        self.ledger.did["sessions"] += 1
        for number in range(plan.questions):
            if number < plan.appends:
                self.append(number)
            self.ask(number)
            time.sleep(self.random.expovariate(1 / plan.pause) if plan.pause else 0)
            if number == 0 and plan.hands_over:
                self.hand_over()
            if number == 0 and plan.wants_person:
                self.ask_for_a_person()
        for number in range(plan.questions, plan.appends):
            self.append(number)
        if plan.ends:
            self.api.call("POST", f"/api/session/{self.session_id}/end")

    def append(self, number: int) -> None:
        name = sys.intern(f"a{number}")
        body = {"message": text_of(self.plan.number, name), "client_id": name}
        status, _ = self.api.call("POST", f"/api/session/{self.session_id}/messages", body, self.ledger.append)
        if status in (200, 201):
            self.acknowledged.append(name)
            self.ledger.did["appends"] += 1

    def ask(self, number: int) -> None:
        """One question, followed to the end of its answer, over reloads and over breaks."""
        name = sys.intern(f"q{number}")
        body = {"query": text_of(self.plan.number, name), "session_id": self.session_id, "client_id": name}
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            began = time.monotonic()
            response = self.api.open("POST", "/api/chat", body, **JSON)
            if response is None or response.status != 200:
                if response is not None:
                    response.read()
                    if response.status == 409 and self._has_ended():
                        raise GivenUp("ended by nobody")
                time.sleep(0.3)
                continue
            outcome = self._follow(response, began)
            self.api.close()  # the feed that it was followed by does not end by itself
            if outcome in ("answer.end", "handler"):
                self.acknowledged.append(name)
                self.ledger.did["questions"] += 1
                if outcome == "answer.end":
                    self.answered.append(name)
                return
            self.ledger.did["asked again"] += 1
            time.sleep(0.3)
        raise GivenUp("chat")

    def _has_ended(self) -> bool:
        status, response = self.api.once("GET", f"/api/session/{self.session_id}")
        return status == 200 and bool(response["status"] == "ended")

    def _follow(self, response: Any, began: float) -> str:
        """The event that ended the turn; empty where the answer could not be followed to its end."""
        reload_after = self.random.randint(1, 6) if self.random.random() < self.plan.reloads else 0
        joined, last_id, seen = "", "", 0
        for _ in range(8):  # breaks in a row
            for event_id, kind, data in read_events(response):
                last_id = event_id or last_id
                if kind == "answer.delta":
                    joined += data["text"]
                    seen += 1
                    if seen == 1:
                        self.ledger.first_token.append((began, time.monotonic() - began))
                    if seen == reload_after:
                        self.ledger.did["reloads in mid-answer"] += 1
                        break
                elif kind == "answer.end":
                    message = data["message"]
                    self.unequal += bool(message) and message["content"] != joined
                    if message and not message["metadata"].keys() & {"interrupted", "stopped", "handoff"}:
                        return kind
                    self.ledger.did["answers cut by a person"] += 1
                    return "handler"
                elif kind in ("answer.error", "reset") or (kind == "handler" and data["handler"] != "bot"):
                    self.api.close()
                    return kind if kind != "reset" else ""
            self.api.close()
            if not last_id:
                return ""
            path = f"/api/session/{self.session_id}/events"
            again = self.api.open("GET", path, Last_Event_ID=last_id)
            if again is None or again.status != 200:
                self.api.close()
                time.sleep(0.3)
                continue
            response = again
        return ""

    def hand_over(self) -> None:
        """The conversation goes on at another device, where everything said is there."""
        began, path = time.monotonic(), f"/api/session/{self.session_id}"
        status, made = self.api.once("POST", f"{path}/handoff", {})
        if status not in (200, 201):
            return
        there = self.api.another()
        body = {"session": made["ticket"], "client_id": "device"}
        status, resumed = there.call("POST", "/api/session/resume", body)
        if status == 200:
            self.ledger.hand_over.append((began, time.monotonic() - began))
            self.ledger.did["hand-overs"] += 1
            said = {message["content"] for message in resumed["messages"]}
            acknowledged = {text_of(self.plan.number, name) for name in self.acknowledged}
            self.unequal += resumed["session_id"] != self.session_id or not said.issuperset(acknowledged)
            self.api.close()
            self.api = there

    def ask_for_a_person(self) -> None:
        """Waits for an operator, and until they have given the conversation back."""
        status, response = self.api.call("POST", f"/api/session/{self.session_id}/human", {"reason": "bench"})
        if status != 200 or response["handler"] == "bot":
            return
        self.ledger.did["asked for a person"] += 1
        end = time.monotonic() + 30
        while time.monotonic() < end:
            status, response = self.api.once("GET", f"/api/session/{self.session_id}")
            if status == 200 and response.get("handler") == "bot":
                return
            time.sleep(0.3)


class Operator:
    """Takes conversations from the queue, and now and then one from the bot; answers, and gives them back."""

    def __init__(self, place: Place, key: str, name: str, visitors: dict[int, Visitor], ledger: Ledger) -> None:
        manager = Api(place, {"Authorization": f"Bearer {key}"}, ledger.statuses)
        status, made = manager.call("POST", "/api/desk/operators", {"name": name, "role": "operator"})
        if status != 201:
            raise GivenUp(f"an operator: {status} {made}")
        self.ledger, self._visitors, self._count = ledger, visitors, 0
        self.id = made["operator"]["id"]
        self.api = Api(place, {"Authorization": f"Bearer {key}", "Baton-Operator": self.id}, ledger.statuses)
        self.api.call("POST", "/api/desk/me", {"available": True})
        self.going = True

    def work(self) -> None:
        while self.going:
            view = "queue" if self._count % 4 else "bot"
            status, response = self.api.once("GET", f"/api/desk/conversations?view={view}&limit=3")
            for row in response.get("conversations", []) if status == 200 else []:
                if row["last_message"] and row["status"] != "ended":
                    self._answer(row["ref"], int(row["last_message"]["preview"].partition(":")[0]))
            self._count += 1
            time.sleep(0.5)

    def answer_each(self, numbers: range) -> None:
        """Answers the newest conversations, as far as they are of visitors with these numbers."""
        _, response = self.api.call("GET", f"/api/desk/conversations?view=bot&limit={len(numbers)}")
        for row in response["conversations"]:
            number = int(row["last_message"]["preview"].partition(":")[0])
            if number in numbers:
                self._answer(row["ref"], number)

    def _answer(self, ref: str, number: int) -> None:
        path = f"/api/desk/conversations/{ref}"
        try:
            if self.api.call("POST", f"{path}/take", {})[0] != 200:
                return
            self._count += 1
            name = f"{self.id}-{self._count}"
            body = {"message": text_of(number, name), "client_id": name}
            status, _ = self.api.call("POST", f"{path}/messages", body)
            if status in (200, 201):
                self._visitors[number].acknowledged.append(name)
                self.ledger.did["answered by a person"] += 1
            self.api.call("POST", f"{path}/release", {"to": "bot"})
        except GivenUp as error:
            self.ledger.did[f"given up: operator {error}"] += 1


def check(visitor: Visitor) -> dict[str, int]:
    """Reads the conversation and compares it with what its clients received."""
    from tests.resilience.write_auditor import audit

    status, response = visitor.api.call("GET", f"/api/session/{visitor.session_id}/messages?limit=500")
    visitor.api.close()
    messages = response["messages"] if status == 200 else []
    number = visitor.plan.number
    expected = {"".join(pieces(f"{number}:{name}")) for name in visitor.answered}
    acknowledged = [text_of(number, name) for name in visitor.acknowledged]
    said = [message["content"] for message in messages if message["role"] == "user" or message.get("author")]
    answers = [message for message in messages if message["role"] == "assistant" and not message.get("author")]
    complete = [  # of an answer that broke at its end, and was made again, the first one is marked
        message["content"] for message in answers
        if message["content"] in expected and not message["metadata"].get("interrupted")
    ]  # fmt: skip
    lost, doubled, foreign = audit(said + complete, f"{number}:", acknowledged)
    cut = len(expected - set(complete))
    strange = sum(not message["content"].startswith(f"{number}:") for message in answers)
    return {"lost": lost + cut, "doubled": doubled, "foreign": foreign + strange, "unequal": visitor.unequal}
