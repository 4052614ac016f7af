"""Rules of CORS that need no running service: who may write, and which paths are readable from elsewhere (R14)."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import error_handlers, middleware, origins

ALLOWED = "https://a.example.com"


def client(allowed: tuple[str, ...] | None) -> FlaskClient:
    app = Flask(__name__)
    origins.init_app(app, allowed=allowed, public_url="https://chat.example.com:443/baton")
    middleware.init_app(app)
    error_handlers.init_app(app)

    @app.post("/api/thing")
    def thing() -> dict[str, bool]:
        return {"success": True}

    @app.get("/health")
    @app.get("/widget.js", endpoint="widget")
    @app.get("/assets/panel.js", endpoint="panel")
    @app.get("/chat", endpoint="chat")
    def plain() -> tuple[str, dict[str, str]]:
        return "ok", {"Vary": "Accept-Encoding"}

    return app.test_client()


@pytest.fixture
def strict() -> FlaskClient:
    return client((ALLOWED, "http://localhost:3000"))


def cors(response: object) -> dict[str, str]:
    return {k: v for k, v in response.headers.items() if k.startswith("Access-Control")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_writing_call_of_another_origin_is_refused(strict: FlaskClient, method: str) -> None:
    """Whatever writes is 403 `origin_not_allowed` for an origin that is not allowed, also on paths that are none."""
    for path in ("/api/thing", "/api/nothing"):
        for origin in ("https://evil.test", "null", "", "https://A.example.com", "http://chat.example.com"):
            answer = strict.open(path, method=method, headers={"Origin": origin})
            assert (answer.status_code, answer.get_json()["code"]) == (403, "origin_not_allowed"), origin
    form = strict.post("/api/thing", data={"a": "b"}, headers={"Origin": "https://evil.test"})
    assert (form.status_code, form.get_json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ALLOWED},
        {"Origin": "https://chat.example.com"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {"Origin": "https://intern.example:8443", "Host": "intern.example:8443"},
    ],
)
def test_who_may_write(strict: FlaskClient, headers: dict[str, str]) -> None:
    """Servers without an origin, allowed origins, and the service's own by PUBLIC_URL or by the request's host."""
    assert strict.post("/api/thing", headers=headers).status_code == 200


def test_a_handshake_of_another_origin_is_refused(strict: FlaskClient) -> None:
    """A WebSocket handshake is a GET, and refused all the same; without a list every origin may write and connect."""
    headers = {"Origin": "https://evil.test", "Connection": "Upgrade", "Upgrade": "WebSocket"}
    assert strict.get("/health", headers=headers).get_json()["code"] == "origin_not_allowed"
    for allowed in (
        strict.get("/health", headers=headers | {"Origin": ALLOWED}),
        client(None).get("/health", headers=headers),
    ):
        assert allowed.get_json()["code"] == "invalid_request", "Flask finds no WebSocket at this path"
    assert client(None).post("/api/thing", headers={"Origin": "https://evil.test"}).status_code == 200


def test_no_cors_for_operators_and_servers(strict: FlaskClient) -> None:
    """Nothing under /api/desk and /v1 is readable from another origin."""
    for path in ("/api/desk", "/api/desk/login", "/v1/responses", "/healthy", "/apiary"):
        assert cors(strict.get(path, headers={"Origin": ALLOWED})) == {}
        assert cors(strict.options(path, headers={"Origin": ALLOWED, "Access-Control-Request-Method": "POST"})) == {}
    assert cors(strict.get("/api/desktop", headers={"Origin": ALLOWED})) != {}


def test_public_files(strict: FlaskClient) -> None:
    """The script and its parts may be loaded by any page; pages by none."""
    for path in ("/widget.js", "/assets/panel.js"):
        assert strict.get(path).headers["Access-Control-Allow-Origin"] == "*"
    assert cors(strict.get("/chat", headers={"Origin": ALLOWED})) == {}


def test_vary_is_joined(strict: FlaskClient) -> None:
    """What an answer varies by already stays beside the origin."""
    answer = strict.get("/health", headers={"Origin": ALLOWED})
    assert answer.headers.get_all("Vary") == ["Accept-Encoding, Origin"]
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
