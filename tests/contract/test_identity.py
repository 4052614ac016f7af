"""Conversations of signed-in visitors: only their owner's token opens them, the id alone does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.contract.conftest import PLAIN, RunningService

SECRET = "a secret of at least thirty-two bytes"


def token(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 60, "aud": "baton"}, SECRET, "HS256")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service whose site signs."""
    started = RunningService({**PLAIN, "BATON_IDENTITY_SECRET": SECRET})
    yield started.base
    started.stop()


def test_an_owned_conversation_opens_to_its_owner_alone(url: str) -> None:
    """Without the owner's token the id reads and writes nothing; with it everything works; another's token does not."""
    with httpx.Client(base_url=url) as caller:
        session = caller.post("/api/session/create", json={"user_token": token("ada")}).json()["session_id"]
        path = f"/api/session/{session}"
        for proof in ({}, {"Baton-User": token("eve")}):
            answers = [
                caller.get(path, headers=proof),
                caller.get(f"{path}/messages", headers=proof),
                caller.get(f"{path}/events", headers=proof),
                caller.get(f"{path}/transcript", headers=proof),
                caller.post(f"{path}/messages", json={"message": "hello"}, headers=proof),
                caller.post(f"{path}/handoff", headers=proof),
                caller.post(f"{path}/heartbeat", headers=proof),
                caller.post(f"{path}/stop", headers=proof),
                caller.post(f"{path}/end", headers=proof),
                caller.post("/api/chat", json={"session_id": session, "query": "hello"}, headers=proof),
                caller.post("/api/session/resume", json={"session": session}, headers=proof),
                caller.delete(path, headers=proof),
            ]
            assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "not_owner")] * len(answers)
        mine = {"Baton-User": token("ada")}
        assert caller.post(f"{path}/messages", json={"message": "hello"}, headers=mine).status_code == 201
        assert caller.post("/api/session/resume", json={"session": session, "user_token": token("ada")}).json()[
            "messages"
        ]
        assert caller.delete(path, headers=mine).status_code == 204


def test_a_token_that_does_not_verify_begins_nothing(url: str) -> None:
    """A conversation is not begun for somebody who cannot be believed: 403 `bad_token`."""
    refused = httpx.post(f"{url}/api/session/create", json={"user_token": "not.a.token"})
    assert (refused.status_code, refused.json()["code"]) == (403, "bad_token")


NAMING_NOBODY: list[dict[str, Any]] = [
    *({"sub": sub} for sub in ("\ud800", "", " ", "a\x00", "x" * 256, 5, ["a"])),
    *({"aud": aud} for aud in ("", [], None, "other", {"baton": 1})),
]


def test_a_signed_token_that_names_nobody_is_refused(url: str) -> None:
    """A token that the site did sign but that names no single user, or an empty or other audience: 403 `bad_token` in
    the body and in the header, on every call.
    """
    with httpx.Client(base_url=url) as caller:
        session = caller.post("/api/session/create").json()["session_id"]
        path = f"/api/session/{session}"
        for claims in NAMING_NOBODY:
            payload = {"sub": "guest", "exp": int(time.time()) + 60} | claims
            bad = jwt.PyJWS().encode(json.dumps(payload).encode(), SECRET, "HS256")
            header = {"Baton-User": bad}
            answers = [
                caller.post("/api/session/create", json={"user_token": bad}),
                caller.post("/api/session/create", headers=header),
                caller.post("/api/session/resume", json={"user_token": bad}),
                caller.post(f"{path}/claim", json={"user_token": bad}),
                caller.post(f"{path}/messages", json={"message": "hello"}, headers=header),
                caller.post("/api/chat", json={"session_id": session, "query": "hello"}, headers=header),
                caller.post(f"{path}/handoff", headers=header),
                caller.get(path, headers=header),
                caller.get(f"{path}/events", headers=header),
            ]
            body = [(one.status_code, one.json()["code"]) for one in answers]
            assert body == [(403, "bad_token")] * len(answers), claims
