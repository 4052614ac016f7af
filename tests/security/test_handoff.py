"""R8, R9 and R12: the handoff by tickets and the page that they lead to."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.contract.api_client import ApiClient, at_once, bare, is_problem
from tests.resilience.proxy import Proxy
from tests.security.conftest import PUBLIC
from tests.security.target import Target

FORGED = {
    "Host": "evil.test",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "javascript",
    "X-Forwarded-Prefix": "//evil.test",
    "Forwarded": "host=evil.test;proto=http",
    "X-Original-URL": "https://evil.test/",
    "X-Rewrite-URL": "/evil.test",
    "X-Host": "evil.test",
    "X-Forwarded-Server": "evil.test",
    "X-HTTP-Method-Override": "DELETE",
}


def test_r08_one_of_fifty_over_two_services(target: Target, launch: Callable[..., Target]) -> None:
    """R8: fifty resumes at one instant through two services, one behind a slow Redis: one wins, no loser learns."""
    proxy = Proxy(target.redis.port)
    proxy.delay = 0.02
    other = launch(target, redis_url=proxy.url)
    visitor = ApiClient(target.base).create()
    visitor.said("private words")
    clients = [ApiClient(target.base), ApiClient(other.base)]
    for round_ in range(3):
        ticket = visitor.ticket()
        answers = at_once(50, lambda n, t=ticket, r=round_: clients[n % 2].resume(t, client_id=f"r{r}-{n}"))
        assert sorted(answer.status_code for answer in answers) == [200] + [404] * 49
        losers = {answer.content for answer in answers if answer.status_code == 404}
        assert len(losers) == 1
        assert b"private" not in losers.pop()
        is_problem(clients[round_ % 2].resume(ticket), 404, "session_not_found")
    proxy.close()


def test_r08_scanners_burn_nothing(target: Target, caller: ApiClient) -> None:
    """R8: every method but the POST of a resume, with every
    Purpose a preview may send: the link still works afterwards.
    """
    visitor = caller.create()
    link = visitor.post("/handoff").json()
    path = httpx.URL(link["url"]).raw_path.decode()
    bots: list[dict[str, str]] = [{}, {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch"}, {"User-Agent": "Slackbot"}]
    for headers in bots:
        for method in ("GET", "HEAD", "OPTIONS", "PROPFIND", "POST"):
            caller(method, path, headers=headers)
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            caller(method, f"/api/session/resume?session={link['ticket']}", headers=headers)
            caller(method, f"/api/session/{link['ticket']}", headers=headers)
            caller(method, "/api/session/me", headers={**headers, "Authorization": f"Bearer {link['ticket']}"})
        caller.post("/api/session/resume", data={"session": link["ticket"]}, headers=headers)
    assert caller.resume(link["ticket"]).json()["session_id"] == visitor.id


def test_r08_a_shared_link_stops_with_its_session(caller: ApiClient) -> None:
    """R8: a shared link works again and again, and stops with an end, and with an erasure, at once."""
    for close in ("end", "erase"):
        visitor = caller.create()
        shared = visitor.ticket("share")
        assert [caller.resume(shared).status_code for _ in range(3)] == [200] * 3
        assert (visitor.post("/end") if close == "end" else visitor.erase()).status_code in (200, 204)
        is_problem(caller.resume(shared), 404, "session_not_found")


def test_r09_the_page_is_no_oracle(target: Target, caller: ApiClient) -> None:
    """R9: the same bytes and headers for a live id, a good, a spent and a made-up ticket, markup, and a header line."""
    visitor = caller.create()
    spent = visitor.ticket()
    caller.resume(spent)
    asked = [
        visitor.id,
        visitor.ticket(),
        visitor.ticket("share"),
        spent,
        "tkt_" + "A" * 46,
        "",
        "x&color=%23123456",
        "%00%ff",
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%0d%0aX-Evil:%20yes",
        "'\"%3E%3Csvg/onload=1%3E",
        "{{7*7}}",
        "A" * 3000,
    ]
    seen = set()
    for one in asked:
        answer = bare(target.base, "GET", f"/chat?session={one}", [("Accept", "text/html")])
        kept = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
        seen.add((answer.status_code, answer.content, tuple(sorted(kept.items()))))
    assert len(seen) == 1
    status, content, headers = seen.pop()
    assert status == 200
    assert (dict(headers)["x-robots-tag"], dict(headers)["cache-control"]) == ("noindex", "no-store")
    assert "etag" not in dict(headers)
    assert "set-cookie" not in dict(headers)
    assert b"evil" not in content.lower()


def test_r12_a_forged_host_changes_nothing(target: Target, caller: ApiClient) -> None:
    """R12: every forged header on every route that builds an
    address, one at a time and together: byte for byte the same.
    """
    visitor = caller.create()
    for path in ("/", "/install", "/docs", "/chat", "/openapi.json", "/knowledge", "/widget.js", "/knowledge/"):
        honest = caller.get(path, follow_redirects=False)
        for forged in (*({name: value} for name, value in FORGED.items()), FORGED):
            answer = caller.get(path, headers=forged, follow_redirects=False)
            assert answer.content == honest.content, (path, forged)
            assert "evil" not in str(answer.headers)
    assert f"{PUBLIC}/widget.js" in caller.get("/install").text
    for forged in (*({name: value} for name, value in FORGED.items()), FORGED):
        link = visitor.post("/handoff", headers=forged).json()
        assert link["url"] == f"{PUBLIC}/chat?session={link['ticket']}"
        made = caller.post("/api/session/create", headers=forged)
        assert made.json()["chat_url"] == f"{PUBLIC}/chat"
        assert "evil" not in made.text + str(made.headers)
    for path in ("//evil.test/%2f..", "/knowledge//evil.test", "/chat/", "//evil.test", "/%5cevil.test"):
        answer = bare(target.base, "GET", path, [("Accept", "text/html")])
        assert answer.status_code in (200, 404), f"{path}: {answer.status_code} {answer.headers.get('location')}"
