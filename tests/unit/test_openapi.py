"""Rules of the OpenAPI document: complete, valid, and made from what the service itself uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask

from app import create_app
from app.api import chat, health, messages, openapi, sessions, sse, websocket
from app.api.schemas import NOT_BLANK, AppendMessageRequest
from app.config import Settings
from app.errors import ERRORS, InvalidRequest

BY_SESSION = {
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/messages"),
    ("GET", "/messages"),
    ("POST", "/messages/{message_id}/feedback"),
    ("POST", "/heartbeat"),
    ("POST", "/end"),
    ("POST", "/handoff"),
    ("POST", "/claim"),
    ("POST", "/stop"),
    ("GET", "/transcript"),
    ("GET", "/events"),
    ("GET", "/ws"),
}
OTHERS = {
    ("POST", "/api/session/create"),
    ("POST", "/api/session/resume"),
    ("POST", "/api/chat"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def build() -> Flask:
    """An application with the routes of the API, and no service behind them."""
    app = Flask(__name__)
    for module in (sessions, messages, chat, sse, websocket):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(health.blueprint(health.HealthInfo(dict, dict, "none", "1.2.3")))
    app.register_blueprint(openapi.blueprint(server="https://x.test", version="1.2.3", max_chars=77))
    return app


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.openapi_document(build(), server="https://x.test", version="1.2.3", max_chars=77)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_every_call_is_there(document: dict[str, Any]) -> None:
    """Each call stands under its path and method, in the plain and in the me form, and no other call does."""
    assert document["openapi"].startswith("3.1.")
    forms = {(method, base + tail) for method, tail in BY_SESSION
             for base in ("/api/session/{session_id}", "/api/session/me")}  # fmt: skip
    assert {(method, path) for path, method, _ in operations(document)} == forms | OTHERS


def test_names_are_unique(document: dict[str, Any]) -> None:
    """No two operations share a name; each has a summary and a tag that the document lists."""
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    assert all(operation["summary"] and set(operation["tags"]) <= tags for _, _, operation in operations(document))


def test_schemas_are_valid(document: dict[str, Any]) -> None:
    """Every $ref names a component, and every component is a valid schema of an object."""
    components = document["components"]["schemas"]
    for name in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in components
    for schema in components.values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema["type"] == "object"
    assert components["Answer"]["required"] == ["success", "answer", "citations", "session_id", "message_id"]
    assert components["AppendMessageRequest"]["properties"]["message"]["maxLength"] == 77


def test_path_parameters_are_declared(document: dict[str, Any]) -> None:
    """The parameters in a path are those that its operation declares, all of them required."""
    for path, _, operation in operations(document):
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path" and one["required"]}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_query_parameters_come_from_the_models(document: dict[str, Any]) -> None:
    """The bounds of a query parameter are those that the service checks."""
    [limit] = [
        parameter["schema"]
        for parameter in document["paths"]["/api/session/me/messages"]["get"]["parameters"]
        if parameter["name"] == "limit"
    ]
    assert limit == {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}


def test_links_lead_somewhere(document: dict[str, Any]) -> None:
    """Every link names an operation and gives only parameters that it has; create leads to every session call."""
    known = {operation["operationId"]: operation for _, _, operation in operations(document)}
    reached = set()
    for _, _, operation in operations(document):
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                target = known[link["operationId"]]
                names = {f"{one['in']}.{one['name']}" for one in target["parameters"]}
                assert {name.rpartition(".")[2] for name in link["parameters"]} <= {n.rpartition(".")[2] for n in names}
                assert {name for name in link["parameters"] if "." in name} <= names
                assert ("requestBody" in link) <= ("requestBody" in target)
                reached.add(link["operationId"])
    live = {"stream_events", "websocket"}  # a feed never ends, so no tester is led into one
    wanted = {operation["operationId"] for path, _, operation in operations(document) if "/session/" in path}
    assert wanted - {"create_session"} - live - {f"{name}_me" for name in live} <= reached


def test_me_forms_want_the_bearer(document: dict[str, Any]) -> None:
    """The me form of a call takes the session's id as bearer, and says that without one it is the same 404."""
    for path, _, operation in operations(document):
        if path.startswith("/api/session/me"):
            assert operation["security"] == [{"session": []}, {}]
            assert "session_not_found" in operation["responses"]["404"]["description"]
        elif "session_id" in path:
            assert {"session": []} not in operation.get("security", [])
    for scheme in ("session", "apiKey"):
        assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"


def test_error_responses_are_problems(document: dict[str, Any]) -> None:
    """Every error response is a problem with known codes, and a call with a body names all that a body can do wrong."""
    by_code = {error.code: error.status for error in ERRORS}
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and operation["operationId"] != "health":
                assert response["content"] == PROBLEM
                assert {by_code[code] for code in re.findall(r"`(\w+)`", response["description"])} == {int(status)}
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"])
        if operation["tags"] != ["Service"]:
            assert "503" in operation["responses"]


def test_examples_fit(document: dict[str, Any]) -> None:
    """Every body has an example that fits its schema."""
    bodies = [(name, operation["requestBody"]["content"]["application/json"])
              for name, _, operation in operations(document) if "requestBody" in operation]  # fmt: skip
    assert len(bodies) == 11
    for name, media in bodies:
        assert jsonschema_rs.is_valid({**media["schema"], "components": document["components"]}, media["example"]), name


WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"


@pytest.mark.parametrize(
    "text", [*WHITESPACE, WHITESPACE, "", "a", " a ", "\x00", "\x1c", "\u200b", "\ufeff", "\u00e4"], ids=ascii
)
def test_the_document_and_the_service_agree_on_blank_text(text: str) -> None:
    """The pattern in the document matches exactly the texts that the service takes."""
    try:
        AppendMessageRequest.parse({"message": text}, max_chars=99)
        is_taken = True
    except InvalidRequest:
        is_taken = False
    assert jsonschema_rs.is_valid({"type": "string", "pattern": NOT_BLANK}, text) == is_taken
    assert bool(re.search(NOT_BLANK, text)) == is_taken


def test_the_document_is_served(document: dict[str, Any]) -> None:
    """GET /openapi.json gives the document with this service's address and limits, and 304 to who has it."""
    client = build().test_client()
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    assert response.get_json() == json.loads(json.dumps(document))
    again = client.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_a_route_without_a_description_is_found() -> None:
    """A route under /api whose view declares no operation is reported; the service has none."""
    app = build()
    assert openapi.undescribed(app) == []
    app.add_url_rule("/api/forgotten", "forgotten", lambda: "")
    assert openapi.undescribed(app) == ["/api/forgotten"]


def test_the_desks_calls_are_described() -> None:
    """Where the desk is on, each of its calls has a name of its own, says who may make it, and its example fits."""
    app = create_app(Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1/0", "BATON_DESK": "on"}))
    assert openapi.undescribed(app) == []
    document = openapi.openapi_document(app, server="https://x.test", version="1.2.3", max_chars=77)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, _, operation in operations(document):
        if not path.startswith("/api/desk"):
            continue
        assert operation["tags"] == ["Desk"], path
        assert "401" in operation["responses"]
        if path != "/api/desk/login":
            assert operation["security"] == [{"desk": []}, {"apiKey": []}]
        for media in operation.get("requestBody", {"content": {}})["content"].values():
            schema = {**media["schema"], "components": document["components"]}
            assert jsonschema_rs.is_valid(schema, media["example"]), path
