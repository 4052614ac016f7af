"""CORS: the origins in `ALLOWED_ORIGINS` and no other, on errors too."""

from __future__ import annotations

import pytest
import websocket

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import RunningService
from tests.contract.feeds import WsFeed

ALLOWED = ["https://a.example.com", "http://localhost:1234"]
OTHERS = [
    "http://a.example.com",
    "https://a.example.com:444",
    "https://a.example.com.evil.test",
    "https://evil.test",
    "null",
    "https://A.EXAMPLE.COM",
    "https://a.example.com@evil.test",
    "https://user@a.example.com",
    "https://a.example.com.",
    "https://xa.example.com",
    "https://example.com",
    "https://b.a.example.com",
    "https://aXexample.com",
    "http://localhost",
    "http://localhost:12345",
    "*",
    "https://a.example.com, https://evil.test",
    "https://a.example.com/",
    "file://",
    "https://a.example.com%60.evil.test",
]
CALLS = [
    ("POST", "/api/session/create", {"json": 1}),
    ("GET", "/api/session/ses_" + "A" * 32, {}),
    ("GET", "/api/nowhere", {}),
    ("PUT", "/api/chat", {}),
    ("POST", "/api/chat", {"json": {}}),
    ("POST", "/api/chat", {"content": b"x"}),
]


def cors(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.startswith("access-control-")}  # type: ignore[call-overload]


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize(("method", "path", "more"), CALLS)
def test_allowed(brief: RunningService, origin: str, method: str, path: str, more: dict[str, object]) -> None:
    """An allowed origin gets its own origin and `Vary: Origin`, on errors too; no credentials; the useful headers
    exposed.
    """
    answer = ApiClient(brief.base)(method, path, headers={"Origin": origin}, **more)
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("retry-after", "location", "ratelimit"))


@pytest.mark.parametrize("origin", OTHERS)
def test_others_get_nothing(brief: RunningService, origin: str) -> None:
    """Everything else gets nothing, and no cache may mix the two up."""
    caller = ApiClient(brief.base)
    for method, path, more in CALLS:
        answer = caller(method, path, headers={"Origin": origin}, **more)
        assert cors(answer.headers) == {}
        assert "origin" in answer.headers.get("vary", "").lower()
    preflight = caller("OPTIONS", "/api/chat", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert cors(preflight.headers) == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/chat"),
        ("POST", "/api/session/create"),
        ("DELETE", "/api/session/me"),
        ("GET", "/api/session/me/events"),
        ("POST", "/api/session/me/messages"),
        ("POST", "/api/nowhere"),  # or a browser would hide that there is nothing
    ],
)
def test_preflights(brief: RunningService, method: str, path: str) -> None:
    """Preflights are cacheable for 2 h and allow these methods and headers, no others."""
    asked = {
        "Origin": ALLOWED[0],
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,last-event-id,baton-user,x-other",
    }
    answer = ApiClient(brief.base)("OPTIONS", path, headers=asked)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == ALLOWED[0]
    assert answer.headers["access-control-max-age"] == "7200"
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert allowed == {"authorization", "content-type", "last-event-id", "baton-user"}
    assert set(answer.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST", "DELETE"}
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", OTHERS)
def test_a_writing_call_of_others_is_refused(brief: RunningService, origin: str) -> None:
    """A writing call or a WebSocket handshake with an `Origin` outside `ALLOWED_ORIGINS` is 403 `origin_not_allowed`,
    and nothing is done; the service's own origin and reading are not refused.
    """
    caller = ApiClient(brief.base, headers={"X-Forwarded-For": f"192.0.2.{OTHERS.index(origin)}"})
    visitor = caller.create()
    stranger = Visitor(ApiClient(brief.base, headers={"Origin": origin}), visitor.id)
    is_problem(stranger.caller.post("/api/session/create"), 403, "origin_not_allowed")
    is_problem(stranger.say("hello"), 403, "origin_not_allowed")
    is_problem(stranger.caller.post("/api/chat", json={"query": "hello"}), 403, "origin_not_allowed")
    is_problem(stranger.erase(), 403, "origin_not_allowed")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        WsFeed(f"{brief.base}/api/session/{visitor.id}/ws", headers={"Origin": origin})
    assert refused.value.status_code == 403
    assert stranger.get("/messages").json()["messages"] == []
    for own in (brief.base, ALLOWED[0]):
        assert ApiClient(brief.base, headers={"Origin": own}).post("/api/chat", json={}).status_code == 422


def test_any_origin_when_unset(caller: ApiClient) -> None:
    """Any origin when `ALLOWED_ORIGINS` is unset, without credentials."""
    for origin in ("https://a.example.com", "https://anything.test:8443", "http://127.0.0.1:5000"):
        answer = caller.post("/api/session/create", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] in ("*", origin)
        assert "access-control-allow-credentials" not in answer.headers
        refused = caller.post("/api/chat", json={}, headers={"Origin": origin})
        assert refused.headers["access-control-allow-origin"] in ("*", origin)


def test_feeds_and_limits(brief: RunningService) -> None:
    """Feeds and 429s carry the same headers, so that a browser can read them."""
    caller = ApiClient(brief.base, headers={"X-Forwarded-For": "192.0.2.250", "Origin": ALLOWED[0]})
    visitor = caller.create()
    from tests.contract.feeds import SseFeed

    with SseFeed(brief.base + "/api/session/me/events", headers=visitor.bearer | {"Origin": ALLOWED[0]}) as feed:
        assert feed.headers["access-control-allow-origin"] == ALLOWED[0]
    answers = [caller.post("/api/session/create") for _ in range(20)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["access-control-allow-origin"] == ALLOWED[0]


def test_the_frame(brief: RunningService, caller: ApiClient) -> None:
    """`/chat` may be framed by `ALLOWED_ORIGINS` (any when unset), the other pages by none."""

    def ancestors(one: ApiClient, path: str) -> str:
        policy = one.get(path).headers["content-security-policy"]
        return next(
            part.strip().removeprefix("frame-ancestors ") for part in policy.split(";") if "frame-ancestors" in part
        )

    assert set(ancestors(ApiClient(brief.base), "/chat").split()) - {"'self'"} == set(ALLOWED)
    assert "*" in ancestors(caller, "/chat")
    for path in ("/", "/install", "/docs"):
        assert ancestors(caller, path) in ("'none'", "'self'"), path
