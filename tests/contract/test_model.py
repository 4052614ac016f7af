"""A session against a model of it: whatever the order of calls, it answers as the documentation says."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.contract.api_client import ApiClient
from tests.contract.conftest import RunningService

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(lambda text: text.strip())
NAMES = st.sampled_from("abcd")


class Session(RuleBasedStateMachine):
    """The rules of a session, spoken to a service at ``base``."""

    base = ""
    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.visitor = ApiClient(self.base).create()
        self.texts: list[str] = []
        self.appended: dict[str, Any] = {}
        self.answered: dict[str, Any] = {}
        self.ended = self.erased = False
        self.spent: set[str] = set()

    def expected(self, fresh: int) -> int:
        return 404 if self.erased else 409 if self.ended else fresh

    @rule(text=TEXT, name=st.none() | NAMES)
    def append(self, text: str, name: str | None) -> None:
        known = self.appended.get(name or "")
        answer = self.visitor.say(text, **({"client_id": name} if name else {}))
        if known and not self.erased:
            assert answer.status_code == (200 if not self.ended else answer.status_code)
            if answer.status_code == 200:
                assert answer.json() == known
            return
        assert answer.status_code == self.expected(201)
        if answer.status_code == 201:
            self.texts.append(text)
            if name:
                self.appended[name] = answer.json()

    @rule(text=TEXT, name=st.none() | NAMES)
    def ask(self, text: str, name: str | None) -> None:
        query = "x " + text.replace("=", " ")
        known = self.answered.get(name or "")
        answer = self.visitor.ask(query, **({"client_id": name} if name else {}))
        if known and not self.erased:
            assert answer.status_code in ((200, 409) if self.ended else (200,))
            return
        if answer.status_code == 200:
            self.texts += [query, answer.json()["answer"]]
            if name:
                self.answered[name] = answer.json()
        else:
            assert answer.status_code == self.expected(502)
            self.texts += [] if self.ended or self.erased else [query]

    @rule(target=tickets, kind=st.sampled_from(["once", "share"]))
    def hand_off(self, kind: str) -> tuple[str, str]:
        answer = self.visitor.post("/handoff", {"kind": kind})
        assert answer.status_code == self.expected(200)
        return kind, answer.json().get("ticket", "none")

    @rule(ticket=tickets)
    def resume(self, ticket: tuple[str, str]) -> None:
        kind, secret = ticket
        answer = self.visitor.caller.resume(secret)
        gone = self.ended or self.erased or secret == "none" or secret in self.spent
        assert answer.status_code == (404 if gone else 200)
        if kind == "once":
            self.spent.add(secret)

    @rule()
    def heartbeat(self) -> None:
        assert self.visitor.post("/heartbeat").status_code == self.expected(200)

    @rule()
    def stop(self) -> None:
        answer = self.visitor.post("/stop")
        assert answer.status_code == (404 if self.erased else 200)
        if not self.erased:
            assert answer.json()["stopped"] is False

    @precondition(lambda self: len(self.texts) > 3)
    @rule()
    def end(self) -> None:
        assert self.visitor.post("/end").status_code == (404 if self.erased else 200)
        self.ended = True

    @precondition(lambda self: len(self.texts) > 5)
    @rule()
    def erase(self) -> None:
        assert self.visitor.erase().status_code == (404 if self.erased else 204)
        self.erased = True

    @invariant()
    def reads_as_sent(self) -> None:
        answer = self.visitor.get("/messages", params={"limit": 500})
        if self.erased:
            assert answer.status_code == 404
            return
        body = answer.json()
        assert [message["content"] for message in body["messages"]] == self.texts
        assert body["status"] == ("ended" if self.ended else "active")
        assert self.visitor.get().json()["message_count"] == len(self.texts)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_session_is_its_model(plain: RunningService) -> None:
    """Whatever the order of appends, questions, handoffs, resumes, heartbeats, ends and erases, the session says what
    the page says.
    """
    quick = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    run_state_machine_as_test(type("Here", (Session,), {"base": plain.base}), settings=quick)
