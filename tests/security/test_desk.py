"""R33, R34: the desk's logins, roles, calls from other sites; what it never shows; that all of it is off when off."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from werkzeug.routing import Rule

from app import cli, create_app
from app.api.desk_auth import RENEW_SECONDS
from app.config import ROLES, Role, Settings
from app.conversations.ids import hash_session_id
from tests.conftest import until
from tests.contract.api_client import ApiClient, is_problem
from tests.contract.desk_client import DeskClient, ServerClient, cookie_of, send
from tests.contract.launch import ROOT, RedisProcess, Service, eventually
from tests.security.conftest import ALLOWED, API_KEY, PUBLIC, SETTINGS
from tests.security.target import Target
from tests.security.test_credential import OF_A_SESSION

OF_A_CONVERSATION = "/conversations/<ref>"
LEAST_ROLE: dict[tuple[str, str], Role] = {
    ("GET", "/me"): "viewer",
    ("POST", "/me"): "viewer",
    ("POST", "/logout"): "viewer",
    ("GET", "/operators"): "admin",
    ("POST", "/operators"): "admin",
    ("DELETE", "/operators/<operator_id>"): "admin",
    ("GET", "/replies"): "viewer",
    ("PUT", "/replies"): "lead",
    ("GET", "/conversations"): "viewer",
    ("GET", "/events"): "viewer",
    ("GET", OF_A_CONVERSATION): "viewer",
    ("DELETE", OF_A_CONVERSATION): "lead",
    ("GET", f"{OF_A_CONVERSATION}/messages"): "viewer",
    ("POST", f"{OF_A_CONVERSATION}/messages"): "operator",
    ("GET", f"{OF_A_CONVERSATION}/events"): "viewer",
    ("GET", f"{OF_A_CONVERSATION}/transcript"): "viewer",
    ("POST", f"{OF_A_CONVERSATION}/take"): "operator",
    ("POST", f"{OF_A_CONVERSATION}/release"): "operator",
    ("POST", f"{OF_A_CONVERSATION}/notes"): "operator",
    ("POST", f"{OF_A_CONVERSATION}/end"): "operator",
    ("POST", f"{OF_A_CONVERSATION}/typing"): "operator",
    ("POST", f"{OF_A_CONVERSATION}/read"): "operator",
    ("GET", "/analytics"): "lead",
    ("GET", "/questions"): "lead",
    ("DELETE", "/questions"): "lead",
    ("DELETE", "/questions/<question_id>"): "lead",
}
"""Every call of the desk but the login, below /api/desk, with the smallest role that may make it."""
SERVER_MAY_ALONE = {("POST", "/operators"), ("DELETE", "/operators/<operator_id>")}
"""What the API key may write without naming an operator."""
OWN_SITE: list[dict[str, str]] = [
    {"Origin": PUBLIC, "Sec-Fetch-Site": ""},
    {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"},
    {"Origin": "SELF", "Sec-Fetch-Site": ""},
    {"Origin": "", "Sec-Fetch-Site": "same-origin"},
]
OTHER_SITES: list[dict[str, str]] = [
    {"Origin": "", "Sec-Fetch-Site": ""},
    {"Origin": "", "Sec-Fetch-Site": "none"},
    {"Origin": "", "Sec-Fetch-Site": "same-site"},
    {"Origin": "", "Sec-Fetch-Site": "cross-site"},
    {"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ALLOWED, "Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": PUBLIC, "Sec-Fetch-Site": "cross-site"},
    {"Origin": PUBLIC, "Sec-Fetch-Site": "same-site"},
    {"Origin": "null", "Sec-Fetch-Site": ""},
    {"Origin": PUBLIC.replace("https", "http"), "Sec-Fetch-Site": ""},
    {"Origin": f"{PUBLIC}.evil.example", "Sec-Fetch-Site": ""},
    {"Origin": f"{PUBLIC}:8443", "Sec-Fetch-Site": ""},
    {"Origin": "ftp://[", "Sec-Fetch-Site": ""},
]


@pytest.fixture(scope="session")
def desk() -> Iterator[Target]:
    """A service with the desk switched on, without limits, whose public address is ``https://chat.example``."""
    redis = RedisProcess()
    service = Service(redis.url, **{**SETTINGS, "BATON_DESK": "on"})
    yield Target(service, redis)
    service.remove()
    redis.stop()
    assert [line for line in service.last_words.splitlines() if "Traceback (most" in line] == []


@pytest.fixture
def server(desk: Target) -> ServerClient:
    """A server with the API key."""
    return ServerClient(desk.base, API_KEY)


def rules(**settings: str) -> list[tuple[str, Rule]]:
    """The routes of a service with these settings, a method each."""
    app = create_app(Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1/0", **settings}))
    methods = [(rule, (rule.methods or set()) - {"HEAD", "OPTIONS"}) for rule in app.url_map.iter_rules()]
    return [(method, rule) for rule, found in methods for method in sorted(found)]


def desk_calls() -> list[tuple[str, str]]:
    """Method and path of every route below /api/desk but the login."""
    found = [(method, rule.rule) for method, rule in rules(BATON_DESK="on") if rule.rule.startswith("/api/desk")]
    return sorted((method, path.removeprefix("/api/desk")) for method, path in found if path != "/api/desk/login")


def concrete(path: str) -> str:
    """A path that names what is not there."""
    return (
        path.replace("<ref>", "cnv_" + "0" * 24)
        .replace("<operator_id>", "op_nobody")
        .replace("<question_id>", "q_0")
        .replace("<question_id>", "0")
    )


def status_of(client: DeskClient | ServerClient, method: str, path: str) -> int:
    """The status of a call; of a feed, that of its head."""
    if not path.endswith("/events"):
        body = {"json": {}} if method != "GET" else {}
        return client.call(method, concrete(path), **body).status_code
    cookie = client.cookie if isinstance(client, DeskClient) else ""
    headers = {"Cookie": cookie} if cookie else {}
    with httpx.stream("GET", f"{client.base}/api/desk{concrete(path)}", headers=headers, timeout=10) as answer:
        return answer.status_code


def test_r33_every_route_of_the_desk_is_classified() -> None:
    """R33: the map of URLs holds the calls of the desk that are classified here, and no others."""
    assert desk_calls() == sorted(LEAST_ROLE)


def test_r33_without_a_login_every_call_is_401(desk: Target) -> None:
    """R33: whatever it is about, also what does not exist; neither an id of an operator nor a wrong key helps."""
    for method, path in desk_calls():
        for headers in ({}, {"Baton-Operator": "op_1"}, {"Authorization": f"Bearer {API_KEY}x"}, {"Cookie": "a=b"}):
            answer = DeskClient(desk.base).call(
                method, concrete(path), headers, **({"json": {}} if method != "GET" else {})
            )
            is_problem(answer, 401, "login_required")


def test_r33_each_role_may_what_it_may_and_no_more(desk: Target, server: ServerClient) -> None:
    """R33: every route by every role: a smaller role is 403, before anything else is looked at; the others pass."""
    for role in ROLES:
        operator = server.log_in(f"Somebody {role}", role)
        for method, path in desk_calls():
            if path == "/logout":
                continue
            status = status_of(operator, method, path)
            if ROLES.index(role) < ROLES.index(LEAST_ROLE[method, path]):
                assert status == 403, (role, method, path)
            else:
                assert status not in (401, 403, 415, 500), (role, method, path, status)
        assert operator.post("/logout").status_code == 200


def test_r33_a_server_acts_with_the_operators_role(desk: Target, server: ServerClient) -> None:
    """R33: the key with an operator's id has that operator's role, also before their invitation is used; the key alone
    reads everything and manages operators; an unknown operator and an Origin are refused.
    """
    ids = {role: server.invite(f"Bridge {role}", role)[0] for role in ROLES}
    for method, path in desk_calls():
        if path.endswith("/events"):
            continue
        for role in ROLES:
            status = status_of(server.acting_as(ids[role]), method, path)
            allowed = ROLES.index(role) >= ROLES.index(LEAST_ROLE[method, path])
            assert (status not in (401, 403, 415, 500)) if allowed else status == 403, (role, method, path, status)
        if method == "GET" or (method, path) in SERVER_MAY_ALONE:
            assert status_of(server, method, path) not in (401, 403, 415, 500), (method, path)
        else:
            assert status_of(server, method, path) == 422, (method, path)
        assert status_of(server.acting_as("op_nobody"), method, path) == 403
        assert server.call(method, concrete(path), {"Origin": PUBLIC}).status_code == 403


def test_r33_calls_from_other_sites_are_refused(desk: Target, server: ServerClient) -> None:
    """R33: every writing call wants its own site and JSON, whatever else is right; nothing is changed by the others."""
    admin = server.log_in("Admin", "admin")
    writes = [(method, path) for method, path in desk_calls() if method != "GET" and path != "/logout"]
    for method, path in [*writes, ("POST", "/login")]:
        for site in OTHER_SITES:
            answer = admin.call(method, concrete(path), site, json={"available": True, "replies": []})
            is_problem(answer, 403, "not_allowed")
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            answer = admin.call(method, concrete(path), {"Content-Type": media}, content=b"{}")
            assert answer.status_code == 415, (method, path, media)
        for site in OWN_SITE:
            own = {name: desk.base if value == "SELF" else value for name, value in site.items()}
            status = admin.call(method, concrete(path), own, json={}).status_code
            assert status not in (403, 415, 500), (method, path, site)
            assert path == "/login" or status != 401
    assert admin.get("/me").json()["available"] is False
    assert admin.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert admin.get("/me").status_code == 200


def test_r33_no_other_origin_may_read_the_desk(desk: Target, server: ServerClient) -> None:
    """R33: no CORS below /api/desk, for the allowed origins neither, on preflights and errors neither."""
    admin = server.log_in("Admin", "admin")
    for method, path in desk_calls():
        if path.endswith("/events"):
            continue
        for origin in (ALLOWED, PUBLIC, "https://evil.example"):
            preflight = {"Origin": origin, "Access-Control-Request-Method": method}
            answers = [send("OPTIONS", f"{desk.base}/api/desk{concrete(path)}", headers=preflight)]
            if method == "GET":
                answers += [admin.get(concrete(path), headers={"Origin": origin})]
                answers += [DeskClient(desk.base).get(concrete(path), headers={"Origin": origin})]
            for answer in answers:
                assert [name for name in answer.headers if name.startswith("access-control-")] == []
    assert admin.get("/me").headers["cache-control"] == "no-store"


def test_r33_forged_cookies_open_nothing(desk: Target, server: ServerClient) -> None:
    """R33: neither made-up values nor hashes, ids and invitations in the cookie's place are a login."""
    admin = server.log_in("Admin", "admin")
    operator_id, invitation = server.invite("Anna", "admin")
    name, _, value = admin.cookie.partition("=")
    with desk.redis.client() as look:
        hashes = list(look.hgetall("baton:desk:{desk}:logins"))
    forged = [
        "", "dsk_", "dsk_" + "A" * 43, value[:-1], value + "A", value.upper(), value.replace("dsk_", "inv_"),
        f'"{value}x"', operator_id, invitation, API_KEY, *hashes, "x" * 5000, "%00", "dsk_" + "é" * 43,
    ]  # fmt: skip
    for one in forged:
        answer = DeskClient(desk.base).get("/me", headers={"Cookie": f"{name}={one}".encode()})
        is_problem(answer, 401, "login_required")
    other_name = DeskClient(desk.base, f"baton-desk={value}")
    assert other_name.get("/me").status_code == 401, "over https only the cookie that this host set itself counts"
    assert admin.get("/me").status_code == 200


def test_r33_a_login_is_new_each_time_and_ends_when_it_is_ended(desk: Target, server: ServerClient) -> None:
    """R33: a planted cookie does not become a login; a second login voids the first; after logout a copy is dead."""
    operator_id, first = server.invite("Anna", "operator")
    name = "__Host-baton-desk"
    planted = "dsk_" + "P" * 43
    login = DeskClient(desk.base, f"{name}={planted}").post("/login", {"invite": first})
    assert login.json()["operator"] == {"id": operator_id, "name": "Anna", "role": "operator"}
    assert planted not in cookie_of(login)
    assert DeskClient(desk.base, f"{name}={planted}").get("/me").status_code == 401
    old = DeskClient(desk.base, cookie_of(login))
    _, second = server.invite("Anna", "operator", id=operator_id)
    new = DeskClient(desk.base, cookie_of(old.post("/login", {"invite": second})))
    assert old.get("/me").status_code == 401
    assert new.get("/me").status_code == 200
    gone = new.post("/logout")
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert new.get("/me").status_code == 401
    is_problem(new.post("/logout"), 401, "login_required")


def test_r33_expired_and_idle_logins_are_dead(desk: Target, server: ServerClient) -> None:
    """R33: a login that has idled for half an hour, or has lasted twelve, is 401, although its cookie is still sent."""
    logins = "baton:desk:{desk}:logins"
    for change in ({"used": -30 * 60_000 - 1000}, {"till": -12 * 3_600_000}):
        with desk.redis.client() as look:
            known = set(look.hgetall(logins))
            operator = server.log_in("Anna", "operator")
            (own,) = set(look.hgetall(logins)) - known
            person, used, till = look.hget(logins, own).split()
            times = (int(used) + change.get("used", 0), int(till) + change.get("till", 0))
            assert int(till) - int(used) == 12 * 3_600_000
            look.hset(logins, own, f"{person} {times[0]} {times[1]}")
        is_problem(operator.get("/me"), 401, "login_required")
        with desk.redis.client() as look:
            assert not look.hexists(logins, own)
            assert look.pttl(logins) > 0


def test_r33_a_removed_operator_is_out_at_once(desk: Target, server: ServerClient) -> None:
    """R33: on every worker, by every login and by the API key; a smaller role counts at once too."""
    anna, berta = server.log_in("Anna", "admin"), server.log_in("Berta", "admin")
    assert anna.get("/operators").status_code == 200
    server.invite("Anna", "viewer", id=anna.operator_id)
    assert {anna.get("/operators").status_code for _ in range(20)} == {403}
    assert berta.delete(f"/operators/{anna.operator_id}").status_code == 204
    assert {anna.get("/me").status_code for _ in range(20)} == {401}
    assert server.acting_as(anna.operator_id).call("GET", "/me").status_code == 403
    assert berta.get("/me").status_code == 200
    is_problem(berta.delete(f"/operators/{anna.operator_id}"), 404, "not_found")
    assert anna.operator_id not in desk.redis.client().hgetall("baton:desk:{desk}:operators")


def test_r33_open_feeds_of_a_removed_operator_end(desk: Target, server: ServerClient) -> None:
    """R33: the desk's feed and a conversation's end when their operator is removed, on whichever worker they are.

    What is said a quarter of a second after that does not come by them any more.
    """
    visitor = ApiClient(desk.base).create()
    visitor.said("somebody there?")
    admin = server.log_in("Admin", "admin")
    ref = eventually(lambda: admin.get("/conversations?view=bot").json()["conversations"])[0]["ref"]
    anna = server.log_in("Anna", "viewer")
    paths = ["/events", f"/conversations/{ref}/events"] * 2
    opened, ended, received = threading.Semaphore(0), [], []

    def follow(path: str) -> None:
        with httpx.stream("GET", f"{desk.base}/api/desk{path}", headers={"Cookie": anna.cookie}, timeout=40) as feed:
            for number, data in enumerate(feed.iter_raw()):
                received.append(data)
                if number == 0:
                    opened.release()
        ended.append(path)

    with ThreadPoolExecutor(len(paths)) as pool:
        followers = [pool.submit(follow, path) for path in paths]
        for _ in paths:
            assert opened.acquire(timeout=20)
        assert ended == []
        assert admin.delete(f"/operators/{anna.operator_id}").status_code == 204
        removed_at = time.monotonic()
        until(lambda: time.monotonic() - removed_at > RENEW_SECONDS, 5, "the feeds to ask for the login again")
        visitor.said("after the removal")
        for follower in followers:
            follower.result(30)
    assert sorted(ended) == sorted(paths)
    assert b"after the removal" not in b"".join(received)
    assert {anna.get(path).status_code for path in paths} == {401}


def test_r33_an_invitation_is_good_once(desk: Target, server: ServerClient) -> None:
    """R33: of twenty who race with one link a single one is logged in; nobody is afterwards; no GET spends it."""
    _, token = server.invite("Anna", "operator")
    for path in ("/desk", "/api/desk/login", "/api/desk/me"):
        for headers in ({}, {"Accept": "text/html"}):
            send("GET", f"{desk.base}{path}", params={"invite": token}, headers=headers)
            send("HEAD", f"{desk.base}{path}", params={"invite": token}, headers=headers)
    assert DeskClient(desk.base).call("GET", "/login").status_code == 405
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: DeskClient(desk.base).post("/login", {"invite": token}), range(20)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers if answer not in won} <= {401, 429}
    assert {cookie_of(answer) for answer in answers if answer not in won} == {""}
    assert DeskClient(desk.base, cookie_of(won[0])).get("/me").status_code == 200
    forget_failures(desk)


def forget_failures(desk: Target) -> None:
    """Lets this address fail again."""
    with desk.redis.client() as look:
        for name in look.scan_iter("baton:desk:{desk}:failures:*"):
            look.delete(name)


def test_r33_an_expired_invitation_is_dead(desk: Target, server: ServerClient) -> None:
    """R33: after 24 hours a link opens nothing, and the operator can be given a new one."""
    invitations = "baton:desk:{desk}:invitations"
    operator_id, token = server.invite("Anna", "operator")
    with desk.redis.client() as look:
        (own,) = [name for name, entry in look.hgetall(invitations).items() if entry.startswith(operator_id)]
        till = int(look.hget(invitations, own).split()[1])
        assert 0 < till - time.time() * 1000 <= 24 * 3_600_000 + 1000
        look.hset(invitations, own, f"{operator_id} {till - 24 * 3_600_000 - 1000}")
    is_problem(DeskClient(desk.base).post("/login", {"invite": token}), 401, "login_required")
    _, new = server.invite("Anna", "operator", id=operator_id)
    assert DeskClient(desk.base).post("/login", {"invite": new}).status_code == 200
    forget_failures(desk)


def test_r33_guesses_of_an_invitation_are_limited(desk: Target, server: ServerClient) -> None:
    """R33: ten failures a minute from one address, then 429 with the time to wait; a wrong body is no guess."""
    forget_failures(desk)
    _, token = server.invite("Anna", "operator")
    guess = DeskClient(desk.base)
    for body in ({}, {"invite": 1}, {"invite": ""}, {"invite": "x" * 201}, {"invite": None}):
        is_problem(guess.post("/login", body), 422, "invalid_request")
    for number in range(10):
        is_problem(guess.post("/login", {"invite": f"inv_{number:043d}"}), 401, "login_required")
    limited = guess.post("/login", {"invite": token})
    is_problem(limited, 429, "rate_limited")
    assert 0 < int(limited.headers["retry-after"]) <= 60
    forget_failures(desk)
    assert guess.post("/login", {"invite": token}).status_code == 200


@pytest.mark.parametrize(
    ("public_url", "name", "secure"),
    [("https://chat.example", "__Host-baton-desk", True), ("http://127.0.0.1:8000", "baton-desk", False)],
)
def test_r33_the_cookie_is_out_of_reach(redis_url: str, public_url: str, name: str, secure: bool) -> None:
    """R33: HttpOnly, SameSite=Strict, this host's alone; over https Secure, and no subdomain can set it."""
    app = create_app(Settings(redis_url=redis_url, desk=True, public_url=public_url, api_key=API_KEY))  # type: ignore[arg-type]
    client = app.test_client()
    key = {"Authorization": f"Bearer {API_KEY}"}
    invited = client.post("/api/desk/operators", json={"name": "Anna", "role": "admin"}, headers=key).get_json()
    assert invited["url"].startswith(f"{public_url}/desk#invite=inv_")
    token = invited["url"].partition("=")[2]
    answer = client.post("/api/desk/login", json={"invite": token}, headers={"Origin": public_url})
    (header,) = answer.headers.getlist("Set-Cookie")
    value, *attributes = header.split("; ")
    assert value.startswith(f"{name}=dsk_")
    wanted = {"HttpOnly", "Path=/", "SameSite=Strict", "Max-Age=43200"} | ({"Secure"} if secure else set())
    assert {one for one in attributes if not one.startswith("Expires=")} == wanted
    assert token not in answer.get_data(as_text=True)
    assert "dsk_" not in answer.get_data(as_text=True)


def test_r33_neither_logs_nor_metrics_nor_redis_hold_a_login(desk: Target, server: ServerClient) -> None:
    """R33: an invitation and a login stand in no log line, metric, error or key, wherever a caller puts them."""
    _, token = server.invite("Anna", "operator")
    _, waiting = server.invite("Berta", "operator")
    anna = DeskClient(desk.base, cookie_of(DeskClient(desk.base).post("/login", {"invite": token})))
    cookie = anna.cookie.partition("=")[2]
    output = ""
    for secret in (token, waiting, cookie):
        for path in (
            f"/api/desk/{secret}",
            f"/api/desk/operators/{secret}",
            f"/api/desk/conversations/{secret}",
            "/desk",
        ):
            answer = send("GET", f"{desk.base}{path}", params={"invite": secret}, headers={"Referer": secret})
            output += answer.text
            output += anna.delete(path.removeprefix("/api/desk")).text
        output += anna.post("/me", {"available": secret}).text
    output += send("GET", f"{desk.base}/metrics").text + desk.service.log() + desk.everything()
    assert '"action":"login"' in desk.service.log()
    for secret in (token, waiting, cookie):
        assert secret[4:] not in output
    assert anna.get("/me").status_code == 200


def test_r33_each_act_leaves_an_audit_line(desk: Target, server: ServerClient) -> None:
    """R33: who logged in, invited, removed or failed to stands in the log, by their id, with the outcome."""
    admin = server.log_in("Admin", "admin")
    operator_id, _ = server.invite("Anna", "operator")
    admin.delete(f"/operators/{operator_id}")
    viewer = server.log_in("Vera", "viewer")
    viewer.delete(f"/operators/{admin.operator_id}")
    lines = [line for line in desk.service.log().splitlines() if '"logger":"baton.audit"' in line]
    removed = [line for line in lines if '"action":"remove operator"' in line and operator_id in line]
    assert any('"status":204' in line and admin.operator_id in line for line in removed)
    assert any('"status":403' in line and viewer.operator_id in line for line in lines)
    assert any('"action":"login"' in line and viewer.operator_id in line for line in lines)
    assert viewer.get("/operators").status_code == 403
    log = desk.service.log().splitlines()
    (refused,) = [line for line in log if viewer.operator_id in line and "list_operators" in line]
    assert '"status":403' in refused
    assert not any("Anna" in line or "Vera" in line for line in lines), "no name of a person"


def test_r33_while_the_desk_is_off_all_of_it_is_404(target: Target) -> None:
    """R33: every route that the desk adds is the 404 of any path that is not there, with key, cookie and Origin too."""
    off = {(method, rule.rule) for method, rule in rules()}
    added = [(method, rule.rule) for method, rule in rules(BATON_DESK="on") if (method, rule.rule) not in off]
    assert len(added) >= 9
    assert not any(path.startswith("/api/desk") or path == "/desk" for _, path in off)
    live = ApiClient(target.base).create()
    for method, path in added:
        where = concrete(path).replace("<session_id>", live.id)
        own = {"Authorization": f"Bearer {live.id}"} if "/session/me" in where else {}
        for headers in ({}, {"Origin": "https://evil.example"}, {"Cookie": "__Host-baton-desk=dsk_" + "A" * 43}):
            answer = send(method, target.base + where, json={}, headers={**own, **headers})
            if path.startswith("/api/session") and "Origin" in headers:
                assert answer.status_code == 403
                continue
            is_problem(answer, 404, "not_found")
        if not own:
            key = {"Authorization": f"Bearer {API_KEY}", "Baton-Operator": "op_1"}
            is_problem(send(method, target.base + where, json={}, headers=key), 404, "not_found")
    assert send("GET", f"{target.base}/api/site").json()["people"] == "off"
    assert target.names("desk") == []


def test_r34_a_ref_opens_nothing_outside_of_the_desk(desk: Target, server: ServerClient) -> None:
    """R34: in the place of a session id, a ticket or a key, by path, bearer and body, a ref is what is not there."""
    visitor = ApiClient(desk.base).create()
    visitor.said("private words")
    admin = server.log_in("Admin", "admin")
    ref = listed(admin, "private words")["ref"]
    for method, path in sorted(OF_A_SESSION - {("GET", "/ws")}):
        tail = path.replace("<message_id>", "msg_1")
        for place, headers in ((ref, {}), ("me", {"Authorization": f"Bearer {ref}"})):
            answer = send(method, f"{desk.base}/api/session/{place}{tail}", headers=headers, json={})
            is_problem(answer, 404, "session_not_found")
    caller = ApiClient(desk.base)
    is_problem(caller.post("/api/session/resume", json={"session": ref}), 404, "session_not_found")
    is_problem(caller.post("/api/chat", json={"query": "x", "session_id": ref}), 404, "session_not_found")
    ticket = visitor.post("/handoff").json()["ticket"]
    for other in (visitor.id, ticket, ref.upper(), f"{ref}0", "me", "cnv_", "%00"):
        is_problem(admin.get(f"/conversations/{other}"), 404, "not_found")
    assert visitor.texts() == ["private words"]


def listed(operator: DeskClient, words: str) -> dict[str, Any]:
    """The row of the conversation whose last message holds these words, once it is listed."""

    def look() -> list[dict[str, Any]]:
        answers = [operator.get(f"/conversations?view={view}").json() for view in ("bot", "queue")]
        rows = [row for answer in answers for row in answer["conversations"]]
        return [row for row in rows if words in str(row["last_message"])]

    found = eventually(look)
    assert found, "not listed"
    return found[0]


def test_r34_the_desk_shows_no_session_id_and_no_ticket(desk: Target, server: ServerClient) -> None:
    """R34: whatever an operator reads or does, lists, history, transcript, feeds and errors: no id, no link,
    and not the hash under which Redis knows the conversation.
    """
    visitor = ApiClient(desk.base).create()
    tickets = [visitor.post("/handoff", json={"kind": kind}).json()["ticket"] for kind in ("once", "share")]
    visitor.ask("cite tokens=3")
    visitor.said("the last words of R34")
    lead = server.log_in("Lea", "lead")
    ref = listed(lead, "the last words of R34")["ref"]
    output: list[str] = []

    def follow(path: str) -> None:
        with httpx.stream("GET", f"{desk.base}/api/desk{path}", headers={"Cookie": lead.cookie}, timeout=20) as feed:
            for chunk in feed.iter_text():
                output.append(chunk)
                if "the end of R34" in "".join(output) and len(output) > 3:
                    return

    with ThreadPoolExecutor(2) as pool:
        feeds = [pool.submit(follow, path) for path in (f"/conversations/{ref}/events?after=0", "/events")]
        eventually(lambda: len(output) >= 2)
        acts: list[tuple[str, object]] = [
            ("take", {}), ("messages", {"message": "Hello"}), ("notes", {"message": "a note"}), ("typing", {}),
            ("read", {}), ("release", {"to": "queue"}), ("release", {"to": "nobody"}), ("take", {"force": True}),
            ("messages", {"message": "the end of R34"}),
        ]  # fmt: skip
        output += [lead.post(f"/conversations/{ref}/{act}", body).text for act, body in acts]
        output += [lead.get(f"/conversations?view={view}").text for view in ("queue", "mine", "open", "bot", "ended")]
        output += [lead.get(f"/conversations/{ref}{path}").text for path in ("", "/messages")]
        output += [lead.get(f"/conversations/{ref}/transcript?format={form}").text for form in ("md", "txt", "json")]
        for feed in feeds:
            feed.result(30)
    output += [lead.post(f"/conversations/{ref}/end").text, lead.delete(f"/conversations/{ref}").text]
    whole = "".join(output)
    assert "the last words of R34" in whole
    for secret in (visitor.id, *tickets, hash_session_id(visitor.id) or "-", "ses_", "tkt_"):
        assert secret not in whole


def test_people_come_and_go(launch: Callable[..., Target]) -> None:
    """The site says whether somebody can answer: nobody yet, nobody switched on, somebody, nobody any more."""
    launched = launch(BATON_DESK="on")
    server = ServerClient(launched.base, API_KEY)

    def people() -> str:
        return str(send("GET", f"{launched.base}/api/site").json()["people"])

    assert people() == "away"
    viewer, anna = server.log_in("Vera", "viewer"), server.log_in("Anna", "operator")
    assert viewer.post("/me", {"available": True}).json()["available"] is True
    assert people() == "away"
    assert anna.get("/me").json() == {
        "success": True,
        "operator": {"id": anna.operator_id, "name": "Anna", "role": "operator"},
        "available": False,
    }
    assert anna.post("/me", {"available": True}).json()["available"] is True
    assert people() == "online"
    assert anna.post("/me", {"available": False}).json()["available"] is False
    assert people() == "away"
    for wrong in ({}, {"available": "yes"}, {"available": 1}, {"available": None}):
        is_problem(anna.post("/me", wrong), 422, "invalid_request")
    anna.post("/me", {"available": True})
    anna.post("/logout")
    assert people() == "away"
    bridge = server.acting_as(anna.operator_id)
    assert bridge.call("GET", "/me").json()["available"] is True
    assert people() == "online", "named by the API key they stay as last set"
    listed = server.call("GET", "/operators").json()["operators"]
    assert [(one["name"], one["available"]) for one in listed] == [("Anna", True), ("Vera", False)]


def test_canned_replies_are_shared(desk: Target, server: ServerClient) -> None:
    """Set by a lead, as an object or a bare list, they are there for every operator; a wrong entry is named."""
    lead, viewer = server.log_in("Lea", "lead"), server.log_in("Vera", "viewer")
    replies = [{"shortcut": "hello", "text": "Hello,\nhow can I help?"}, {"shortcut": "grüß", "text": "Servus"}]
    for body in ({"replies": replies[:1]}, replies):
        assert lead.put("/replies", body).status_code == 200
    assert viewer.get("/replies").json() == {"success": True, "replies": replies}
    many = [{"shortcut": f"s{number}", "text": "x"} for number in range(201)]
    wrong: list[object] = [
        {}, {"replies": 1}, [1], [{"shortcut": "a"}], [{"shortcut": "a b", "text": "x"}],
        [{"shortcut": "/a", "text": "x"}], [{"shortcut": "a", "text": "  "}],
        [{"shortcut": "a", "text": "x"}, {"shortcut": "A", "text": "y"}], many,
    ]  # fmt: skip
    for body in wrong:
        is_problem(lead.put("/replies", body), 422, "invalid_request")
    is_problem(lead.call("PUT", "/replies", content=b"1"), 400, "invalid_json")
    assert viewer.get("/replies").json()["replies"] == replies


def invite(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command of that name."""
    command = [sys.executable, "-m", "app", "desk", "invite", *arguments]
    given = {"BATON_PUBLIC_URL": PUBLIC, "BATON_DESK": "on", **environ}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line_prints_a_login_link(desk: Target) -> None:
    """`python -m app desk invite` makes an operator; again, with the same name, a new link for the same one.

    The link alone stands on standard output; standard error names the operator, with the id for `Baton-Operator`.
    """
    first = invite("Erika Ärmel", "--role", "admin", REDIS_URL=desk.redis.url)
    assert first.returncode == 0
    assert re.fullmatch(r"Erika Ärmel, admin, op_[0-9a-f]{16}\. The link works once, within 24 hours:\n", first.stderr)
    assert re.fullmatch(rf"{PUBLIC}/desk#invite=inv_[A-Za-z0-9_-]{{43}}\n", first.stdout)
    again = invite("Erika Ärmel", "--role", "lead", REDIS_URL=desk.redis.url, BATON_DESK="off")
    assert "BATON_DESK" in again.stderr
    links = [run.stdout.strip().partition("#invite=")[2] for run in (first, again)]
    is_problem(DeskClient(desk.base).post("/login", {"invite": links[0]}), 401, "login_required")
    operator = DeskClient(desk.base).post("/login", {"invite": links[1]}).json()["operator"]
    assert (operator["name"], operator["role"]) == ("Erika Ärmel", "lead")
    forget_failures(desk)


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (("Anna",), {}, 2, "--role"),
        (("Anna", "--role", "boss"), {}, 2, "boss"),
        (("a\nb", "--role", "admin"), {}, 2, "NAME must be one line"),
        ((" ", "--role", "admin"), {}, 2, "NAME must be one line"),
        (("Anna", "--role", "admin"), {"BATON_QUEUE_TIMEOUT": "soon"}, 2, "BATON_QUEUE_TIMEOUT"),
        (("Anna", "--role", "admin"), {"REDIS_URL": "redis://127.0.0.1:1/0"}, 1, "Redis cannot be used"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    arguments: tuple[str, ...],
    environ: dict[str, str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong role, name or setting is 2, a Redis that is away 1; stdout stays empty."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        ended = cli.main(["desk", "invite", *arguments])
    except SystemExit as left:  # argparse's own way
        ended = left.code
    printed = capsys.readouterr()
    assert (ended, printed.out) == (code, "")
    assert said in printed.err


def test_an_operators_name_is_one_line(desk: Target, server: ServerClient) -> None:
    """A name is shown to visitors: one to sixty characters, no line break, nothing that turns the writing around."""
    for name in ("", "  ", "x" * 61, "a\nb", "a\u202eb", "a\x00b"):
        answer = server.call("POST", "/operators", json={"name": name, "role": "operator"})
        is_problem(answer, 422, "invalid_request")
    for body in ({}, {"name": "Anna"}, {"role": "admin"}, {"name": "Anna", "role": "boss"}, {"id": "x"}):
        is_problem(server.call("POST", "/operators", json=body), 422, "invalid_request")
    is_problem(server.call("POST", "/operators", json={"id": "op_nobody"}), 404, "not_found")
