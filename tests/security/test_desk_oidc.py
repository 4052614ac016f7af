"""R33: login through an OpenID Connect provider, against a real one on this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser

from tests.contract.desk_client import DeskClient, cookie_of
from tests.contract.launch import ROOT, RedisProcess, Service, eventually
from tests.ports import free_port
from tests.security.conftest import API_KEY, SETTINGS

ROLES = '{"support": "operator", "heads": "lead", "owners": "admin"}'
LIES = {
    "aud": "InvalidClaimError",
    "iss": "InvalidClaimError",
    "nonce": "InvalidClaimError",
    "exp": "ExpiredTokenError",
    "future": "InvalidClaimError",
    "sub": "InvalidClaimError",
    "no sub": "MissingClaimError",
    "key": "BadSignatureError",
    "none": "UnsupportedAlgorithmError",
    "hs256": "UnsupportedAlgorithmError",
    "missing": "ValueError",
    "userinfo": "ValueError",
    "error": "HTTPStatusError",
    "garbage": "ValueError",
    "long": "ReadError",
    "redirect": "HTTPStatusError",
}
"""What the provider sends wrong, and what the log says of it."""


@dataclass(frozen=True)
class Login:
    """A provider, and a service whose operators log in with it."""

    issuer: str
    service: Service

    def person(self, sub: str, **claims: object) -> None:
        """Makes a person known to the provider."""
        assert httpx.put(f"{self.issuer}/users/{sub}", json=claims, timeout=10).status_code == 204

    def lie(self, kind: str) -> None:
        """Makes the provider's next answers wrong."""
        assert httpx.put(f"{self.issuer}/lie", json={"kind": kind}, timeout=10).status_code == 204

    def start(self) -> tuple[str, str]:
        """Where the browser is sent, and the cookie that it keeps."""
        answer = httpx.get(f"{self.service.base}/desk/oidc/login", timeout=20)
        assert answer.status_code == 302, answer.text
        (cookie,) = answer.headers.get_list("set-cookie")
        return answer.headers["location"], cookie.partition(";")[0]

    def consent(self, address: str, sub: str, **form: str) -> str:
        """What a person does at the provider; where the browser is sent back to."""
        answer = httpx.post(address, data={"sub": sub, **form}, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def come_back(self, address: str, cookie: str) -> httpx.Response:
        """The browser comes back."""
        return httpx.get(address, headers={"Cookie": cookie, "Accept": "text/html"}, timeout=20)

    def whole(self, sub: str) -> httpx.Response:
        """The whole way."""
        address, cookie = self.start()
        return self.come_back(self.consent(address, sub), cookie)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The issuer: a provider in a process of its own."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "tests.security.oidc_provider", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://localhost:{port}"
    assert eventually(lambda: answers(issuer), 30), "the provider did not start"
    yield issuer
    process.kill()
    process.wait(10)


def answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/.well-known/openid-configuration", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def login(provider: str) -> Iterator[Login]:
    """A service that the provider knows, with the secret that it was given."""
    redis, port = RedisProcess(), free_port()
    base = f"http://127.0.0.1:{port}"
    known = httpx.post(f"{provider}/oauth2/clients", json={"redirect_uris": [f"{base}/desk/oidc/callback"]}, timeout=10)
    settings = SETTINGS | {
        "PORT": str(port), "BATON_PUBLIC_URL": base, "BATON_DESK": "on", "BATON_OIDC_ISSUER": provider,
        "BATON_OIDC_CLIENT_ID": known.json()["client_id"], "BATON_OIDC_CLIENT_SECRET": known.json()["client_secret"],
        "BATON_OIDC_ROLES": ROLES, "BATON_ALLOWED_ORIGINS": "", "WEB_CONCURRENCY": "1",
    }  # fmt: skip
    service = Service(redis.url, wait=False, **settings)
    service.port, service.base = port, base
    service.await_health()
    yield Login(provider, service)
    service.remove()
    redis.stop()
    assert "Traceback" not in service.last_words


def test_r33_a_person_of_a_mapped_group_is_logged_in(login: Login) -> None:
    """R33: the highest role of their groups, their name, the same operator each time, a new login each time."""
    login.person("anna", name="Anna Adler", groups=["support", "canteen"])
    first = login.whole("anna")
    assert first.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/desk"' in first.text
    assert "content-security-policy" in first.headers
    cookies = {one.partition("=")[0]: one for one in first.headers.get_list("set-cookie")}
    assert "SameSite=Strict" in cookies["baton-desk"]
    assert "HttpOnly" in cookies["baton-desk"]
    assert "Max-Age=0" in cookies["baton-login"]
    anna = DeskClient(login.service.base, cookie_of(first))
    body = anna.get("/me").json()["operator"]
    assert (body["name"], body["role"]) == ("Anna Adler", "operator")
    login.person("anna", name="Anna A.\nAdler" + "x" * 99, groups=["support", "heads"])
    second = DeskClient(login.service.base, cookie_of(login.whole("anna")))
    changed = second.get("/me").json()["operator"]
    assert (changed["id"], changed["role"], len(changed["name"])) == (body["id"], "lead", 60)
    assert "\n" not in changed["name"]
    assert second.cookie != anna.cookie
    assert anna.get("/me").json()["operator"] == changed, "the role that the provider named last counts everywhere"


def test_r33_without_a_mapped_group_nobody_gets_in(login: Login) -> None:
    """R33: no group, an unmapped one, a role's own name, or what is no list of names: 403 and no login."""
    for groups in (None, [], ["canteen"], ["admin"], [{"support": 1}], "supp", 7, {"support": "admin"}):
        login.person("otto", name="Otto", groups=groups)
        answer = login.whole("otto")
        assert answer.status_code == 403, groups
        assert cookie_of(answer) == ""
        assert "no role" in answer.text
    login.person("otto", name="Otto", groups="support")
    assert login.whole("otto").status_code == 200, "some providers send a single group bare"


def test_r33_the_way_there_carries_state_nonce_and_pkce(login: Login) -> None:
    """R33: each is new for each login; the verifier and the nonce lie encrypted in a Lax cookie for ten minutes."""
    answers = [httpx.get(f"{login.service.base}/desk/oidc/login", timeout=20) for _ in range(2)]
    asked = [parse_qs(urlsplit(answer.headers["location"]).query) for answer in answers]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) >= 20
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["response_type"] == ["code"]
    assert asked[0]["redirect_uri"] == [f"{login.service.base}/desk/oidc/callback"]
    (cookie,) = answers[0].headers.get_list("set-cookie")
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"} <= set(cookie.split("; "))
    assert asked[0]["state"][0] not in cookie
    assert answers[0].headers["cache-control"] == "no-store"


def test_r33_an_answer_that_nobody_asked_for_is_refused(login: Login) -> None:
    """R33: without this browser's own cookie, with another's, a forged or spent one, or a state that differs: 401."""
    login.person("anna", name="Anna", groups=["support"])
    address, cookie = login.start()
    _, other = login.start()
    back = login.consent(address, "anna")
    state = parse_qs(urlsplit(back).query)["state"][0]
    flipped = cookie[:-9] + ("A" if cookie[-9] != "A" else "B") + cookie[-8:]
    for wrong in ("", other, flipped, "baton-login=", "baton-login=e30=", f"baton-login={'A' * 400}", "baton-login=é"):
        answer = httpx.get(back, headers={"Cookie": wrong.encode()}, timeout=20)
        assert (answer.status_code, cookie_of(answer)) == (401, "")
    for path in (back.replace(state, state + "x"), back.replace(f"state={state}", "x=1"), back.partition("?")[0],
                 f"{back}&iss=https%3A%2F%2Fevil.example", f"{back}&error=access_denied",
                 re.sub("code=[^&]*", "code=made-up", back), re.sub("code=[^&]*", "code=", back)):  # fmt: skip
        answer = login.come_back(path, cookie)
        assert (answer.status_code, cookie_of(answer)) == (401, ""), path
    assert login.come_back(back, cookie).status_code == 200
    assert login.come_back(back, cookie).status_code == 401, "a code is good once"
    denied = login.consent(login.start()[0], "anna", action="deny")
    assert login.come_back(denied, cookie).status_code == 401


@pytest.mark.parametrize(("kind", "error"), LIES.items())
def test_r33_a_token_that_is_wrong_logs_nobody_in(login: Login, kind: str, error: str) -> None:
    """R33: another audience, issuer, nonce, key or time, no signature, an answer that is none: 401, nothing broken."""
    login.person("anna", name="Anna", groups=["support"])
    address, cookie = login.start()
    back = login.consent(address, "anna")
    if kind == "userinfo":
        login.person("anna", groups=["support"])  # the name has to be asked for
    login.lie(kind)
    try:
        answer = login.come_back(back, cookie)
    finally:
        login.lie("")
    assert (answer.status_code, cookie_of(answer)) == (401, "")
    failures = re.findall("login through the provider failed: (\\w+)", login.service.log())
    assert failures[-1] == error, "refused for another reason"
    assert login.whole("anna").status_code == 200


@pytest.mark.parametrize("kind", ["another issuer", "plain http", "away"])
def test_r33_a_provider_that_cannot_be_trusted_or_reached_is_not_used(provider: str, kind: str) -> None:
    """R33: its description is checked before anything is sent there; the login fails with a page, soon."""
    redis = RedisProcess()
    issuer = provider if kind != "away" else f"http://127.0.0.1:{free_port()}"
    settings = SETTINGS | {"BATON_DESK": "on", "BATON_OIDC_ISSUER": issuer, "BATON_OIDC_CLIENT_ID": "baton",
                           "BATON_OIDC_CLIENT_SECRET": "secret-of-baton", "BATON_OIDC_ROLES": ROLES}  # fmt: skip
    service = Service(redis.url, **{**settings, "WEB_CONCURRENCY": "1"})
    try:
        httpx.put(f"{provider}/lie", json={"kind": kind}, timeout=10)
        answer = httpx.get(f"{service.base}/desk/oidc/login", timeout=20)
        assert (answer.status_code, cookie_of(answer)) == (401, "")
        assert "location" not in answer.headers
        httpx.put(f"{provider}/lie", json={"kind": ""}, timeout=10)
        again = httpx.get(f"{service.base}/desk/oidc/login", timeout=20)
        assert again.status_code == (401 if kind == "away" else 302), "a description that was refused is not kept"
        assert "Traceback" not in service.log()
    finally:
        httpx.put(f"{provider}/lie", json={"kind": ""}, timeout=10)
        service.remove()
        redis.stop()


def test_r33_no_log_holds_what_the_provider_sent(login: Login) -> None:
    """R33: neither code, state, token nor name stands in a log line; each login and each failure has an audit line."""
    login.person("lena", name="Lena Unmistakable", groups=["support"])
    address, cookie = login.start()
    back = login.consent(address, "lena")
    answer = login.come_back(back, cookie)
    assert login.come_back(back, cookie).status_code == 401
    log = login.service.log()
    given = parse_qs(urlsplit(back).query)
    for secret in (given["code"][0], given["state"][0], cookie.partition("=")[2], cookie_of(answer).partition("=")[2]):
        assert secret not in log
    assert "Unmistakable" not in log
    audit = [line for line in log.splitlines() if '"logger":"baton.audit"' in line and '"by":"oidc"' in line]
    assert any('"status":200' in line for line in audit)
    assert any('"status":401' in line and '"reason":"provider"' in line for line in audit)


def test_r33_in_a_browser_the_strict_cookie_comes_along(login: Login, browser: Browser) -> None:
    """R33: from the service to the provider, another site, and back: the page moves on to the desk by itself, and the
    desk's own calls carry the login.
    """
    login.person("bea", name="Bea", groups=["owners"])
    page = browser.new_context().new_page()
    try:
        page.goto(f"{login.service.base}/desk/oidc/login")
        assert urlsplit(page.url).hostname == "localhost"
        page.get_by_placeholder("sub").fill("bea")
        with page.expect_navigation(url=re.compile("/desk$")):
            page.get_by_role("button", name="Authorize").click()
        me = page.evaluate("() => fetch('/api/desk/me').then((answer) => answer.json())")
        assert me["operator"]["name"] == "Bea"
        assert page.evaluate("document.cookie") == ""
        names = {one["name"]: one for one in page.context.cookies()}
        assert set(names) == {"baton-desk"}
        assert (names["baton-desk"]["httpOnly"], names["baton-desk"]["sameSite"]) == (True, "Strict")
    finally:
        page.context.close()


def test_r33_a_removed_person_of_the_provider_is_out(login: Login) -> None:
    """R33: removed by an admin they are out at once; while their group is mapped they may come back as the same."""
    login.person("max", name="Max", groups=["support"])
    person = DeskClient(login.service.base, cookie_of(login.whole("max")))
    operator_id = person.get("/me").json()["operator"]["id"]
    removed = httpx.delete(
        f"{login.service.base}/api/desk/operators/{operator_id}",
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=10,
    )
    assert removed.status_code == 204
    assert person.get("/me").status_code == 401
    again = DeskClient(login.service.base, cookie_of(login.whole("max")))
    assert again.get("/me").json()["operator"]["id"] == operator_id
    assert person.get("/me").status_code == 401


def test_what_signs_and_calls_is_loaded_only_where_it_is_used() -> None:
    """A service without OpenID Connect, tokens of visitors and calls elsewhere does not pay for them, desk or not."""
    code = "import sys, app; app.create_app(); print(*(x for x in ('authlib', 'jwt', 'httpx2') if x in sys.modules))"
    loaded = {}
    for issuer in ("", "https://login.example"):
        environ = {"REDIS_URL": "redis://127.0.0.1:1/0", "BATON_DESK": "on"}
        if issuer:
            environ |= {"BATON_OIDC_ISSUER": issuer, "BATON_OIDC_CLIENT_ID": "baton", "BATON_OIDC_CLIENT_SECRET": "x",
                        "BATON_OIDC_ROLES": ROLES}  # fmt: skip
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stderr
        loaded[issuer] = run.stdout.split()
    assert loaded == {"": [], "https://login.example": ["authlib", "httpx2"]}
