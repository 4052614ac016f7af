"""Rules of the API's description: whole, sound and true to the contract's codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask

from app.api import openapi, openapi_operations, schemas
from app.api.json_body import SPACE
from app.api.openapi import Operation, describes, document

BY_SESSION: dict[str, tuple[str, Operation]] = {
    "": ("GET", openapi_operations.READ),
    "/": ("DELETE", openapi_operations.ERASE),
    "/messages": ("POST", openapi_operations.ADD),
    "/messages/": ("GET", openapi_operations.HISTORY),
    "/messages/<message_id>/feedback": ("POST", openapi_operations.FEEDBACK),
    "/heartbeat": ("POST", openapi_operations.BEAT),
    "/end": ("POST", openapi_operations.END),
    "/handoff": ("POST", openapi_operations.HANDOFF),
    "/claim": ("POST", openapi_operations.CLAIM),
    "/stop": ("POST", openapi_operations.STOP),
    "/transcript": ("GET", openapi_operations.TRANSCRIPT),
    "/events": ("GET", openapi_operations.EVENTS),
    "/ws": ("GET", openapi_operations.SOCKET),
}
ALONE = {
    "/api/session/create": ("POST", openapi_operations.CREATE),
    "/api/session/resume": ("POST", openapi_operations.RESUME),
    "/api/chat": ("POST", openapi_operations.CHAT),
    "/health": ("GET", openapi_operations.HEALTH),
    "/metrics": ("GET", openapi_operations.METRICS),
}


def build() -> Flask:
    """An application with every rule of the contract, each described, and none that works."""
    app = Flask(__name__)

    def add(rules: list[str], method: str, operation: Operation) -> None:
        def view(**_: str) -> str:
            raise AssertionError("never called")

        for rule in rules:
            app.add_url_rule(rule, operation.name, describes(operation)(view), methods=[method])

    for tail, (method, operation) in BY_SESSION.items():
        clean = tail.rstrip("/")
        add([f"/api/session/<session_id>{clean}", f"/api/session/me{clean}"], method, operation)
    for rule, (method, operation) in ALONE.items():
        add([rule], method, operation)
    app.register_blueprint(
        openapi.blueprint(openapi_operations.DOCUMENT, server="https://x.test", version="1.2.3", most_chars=77)
    )
    return app


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return document(build(), server="https://x.test", version="1.2.3")


def each(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_call_is_there(told: dict[str, Any]) -> None:
    """Each call stands under its path and method, in the plain and in the me form."""
    assert told["openapi"].startswith("3.1.")
    found = {(path, method.upper()) for path, method, _ in each(told)}
    for tail, (method, _) in BY_SESSION.items():
        for base in ("/api/session/{session_id}", "/api/session/me"):
            assert (base + tail.rstrip("/").replace("<message_id>", "{message_id}"), method) in found
    assert {(rule, method) for rule, (method, _) in ALONE.items()} <= found
    assert ("/openapi.json", "GET") in found


def test_every_operation_has_a_view() -> None:
    """No operation is written down that no view of the contract carries."""
    written = {id(one) for one in vars(openapi_operations).values() if isinstance(one, Operation)}
    carried = {id(operation) for _, operation in [*BY_SESSION.values(), *ALONE.values()]} | {
        id(openapi_operations.DOCUMENT)
    }
    assert written == carried


def test_names_are_unique(told: dict[str, Any]) -> None:
    """No two operations share a name."""
    names = [operation["operationId"] for _, _, operation in each(told)]
    assert len(names) == len(set(names))
    assert all(operation["summary"] and operation["tags"] for _, _, operation in each(told))


def test_references_lead_somewhere(told: dict[str, Any]) -> None:
    """Every $ref names a component, and every component is a sound schema."""
    for name in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(told)):
        assert name in told["components"]["schemas"]
    for name, schema in schemas.COMPONENTS.items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema.get("type") == "object" or name == "Value"


def test_path_parameters_are_declared(told: dict[str, Any]) -> None:
    """The parameters in a path are those that its operation declares, all of them required."""
    for path, _, operation in each(told):
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path" and one["required"]}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_links_lead_somewhere(told: dict[str, Any]) -> None:
    """Every link names an operation and gives only parameters that it has; create leads to every session call."""
    known = {operation["operationId"]: operation for _, _, operation in each(told)}
    reached = set()
    for _, _, operation in each(told):
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                target = known[link["operationId"]]
                names = {f"{one['in']}.{one['name']}" for one in target["parameters"]}
                assert {name.rpartition(".")[2] for name in link["parameters"]} <= {n.rpartition(".")[2] for n in names}
                assert {name for name in link["parameters"] if "." in name} <= names
                assert ("requestBody" in link) <= ("requestBody" in target)
                reached.add(link["operationId"])
    live = {"followEvents", "followSocket"}  # a feed never ends, so no checker is led into one
    wanted = {operation.name for _, operation in BY_SESSION.values()} - live
    assert wanted | {f"{name}OfBearer" for name in wanted} <= reached


def test_me_forms_want_the_bearer(told: dict[str, Any]) -> None:
    """The me form of a call takes the session's id as bearer, and says that without one it is the same 404."""
    for path, _, operation in each(told):
        if path.startswith("/api/session/me"):
            assert operation["security"] == [{"session": []}, {}]
            assert "session_not_found" in operation["responses"]["404"]["description"]
        elif "session_id" in path:
            assert {"session": []} not in operation.get("security", [])
    for kind in ("session", "apiKey"):
        assert told["components"]["securitySchemes"][kind]["scheme"] == "bearer"


def test_errors_are_those_of_the_contract(told: dict[str, Any]) -> None:
    """Every error answer is a problem, and a call with a body names all that a body can do wrong."""
    for _, _, operation in each(told):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and operation["operationId"] != "health":
                assert response["content"] == {"application/problem+json": {"schema": schemas.ref("Problem")}}
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"])
        if operation["tags"] != ["Service"]:
            assert "503" in operation["responses"]


def test_examples_fit(told: dict[str, Any]) -> None:
    """Each example of a body fits the schema beside it."""
    shown = 0
    for _, _, operation in each(told):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in media:
                schema = {**media["schema"], "components": told["components"]}
                assert jsonschema_rs.is_valid(schema, media["example"]), operation["operationId"]
                shown += 1
    assert shown == 11


@pytest.mark.parametrize("text", [*SPACE, SPACE, "", "a", " a ", "\x00", "\x1c", "\u200b", "\ufeff", "ä", "😀"])
def test_the_pattern_of_text_is_the_rule_of_the_reader(text: str) -> None:
    """The description and the reader agree on which text is white space alone."""
    assert jsonschema_rs.is_valid(schemas.spoken(10), text[:10]) == bool(text[:10].strip(SPACE))


def test_the_document_is_served(told: dict[str, Any]) -> None:
    """GET /openapi.json gives the document with this service's address and bounds, and 304 to who has it."""
    client = build().test_client()
    answer = client.get("/openapi.json")
    assert answer.content_type == "application/json"
    served = answer.get_json()
    assert served["servers"] == [{"url": "https://x.test"}]
    assert served["paths"].keys() == told["paths"].keys()
    assert '"maxLength": 77' in answer.get_data(as_text=True)
    again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_nothing_is_left_undescribed() -> None:
    """A route under /api without a description is found."""
    app = Flask(__name__)
    app.add_url_rule("/api/forgotten", "forgotten", lambda: "")
    assert openapi.operations(app) == [("/api/forgotten", "GET", None)]
    assert all(operation is not None for _, _, operation in openapi.operations(build()))
