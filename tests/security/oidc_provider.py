"""An OpenID Connect provider in a process of its own: oidc-provider-mock, which checks PKCE too, and lies when told to.

``PUT /lie {"kind": "aud"}`` makes the next tokens wrong in one way; ``{"kind": ""}`` ends that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import oidc_provider_mock
import werkzeug.serving
from joserfc import jwt
from joserfc.jwk import RSAKey

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
lie = {"kind": ""}
challenges: dict[str, str] = {}
BROKEN = ("error", "garbage", "long", "redirect")
"""Lies that are no token at all."""


def application() -> flask.Flask:
    """The provider, with a hand on its answers."""
    app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True)
    app.debug = False

    @app.put("/lie")
    def set_lie() -> tuple[str, int]:
        lie.update(flask.request.get_json())
        return "", 204

    @app.before_request
    def check_verifier() -> Any:
        if flask.request.path == "/oauth2/token" and (kind := lie["kind"]) in BROKEN:
            if kind == "redirect":
                return flask.redirect("http://127.0.0.1:1/")
            text = {"error": '{"error": "server_error"}', "garbage": "<p>", "long": f'"{"x" * 2_000_000}"'}[kind]
            return text, (500 if kind == "error" else 200), {"Content-Type": "application/json"}
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form.get("code_verifier", "").encode()).digest()
            wanted = challenges.pop(flask.request.form.get("code", ""), None)
            if wanted != base64.urlsafe_b64encode(digest).decode().rstrip("="):
                return flask.jsonify({"error": "invalid_grant"}), 400
        return None

    @app.after_request
    def look(answer: flask.Response) -> flask.Response:
        path = flask.request.path
        if path == "/oauth2/authorize" and answer.status_code == 302:
            code = parse_qs(urlsplit(answer.location).query).get("code", [""])[0]
            if flask.request.args.get("code_challenge_method") == "S256":
                challenges[code] = flask.request.args["code_challenge"]
        if not lie["kind"] or answer.status_code != 200 or lie["kind"] in BROKEN:
            return answer
        if path.startswith("/.well-known"):
            return changed(answer, bad_metadata)
        if path == "/oauth2/token":
            return changed(answer, bad_token)
        if path == "/userinfo" or path.endswith("/userinfo"):
            return changed(answer, lambda info: info | ({"sub": "somebody else"} if lie["kind"] == "userinfo" else {}))
        return answer

    return app


def changed(answer: flask.Response, change: Any) -> flask.Response:
    """The answer with its JSON changed."""
    answer.set_data(json.dumps(change(json.loads(answer.get_data()))))
    return answer


def bad_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The provider's metadata with one wrong value."""
    wrong: dict[str, dict[str, Any]] = {
        "another issuer": {"issuer": "https://evil.example"},
        "plain http": {"token_endpoint": "ftp://127.0.0.1/token"},
        "hs256": {"id_token_signing_alg_values_supported": ["HS256", "none", "RS256"], "verify": False},
        "none": {"id_token_signing_alg_values_supported": ["HS256", "none", "RS256"], "follow_redirects": True},
    }
    return metadata | wrong.get(lie["kind"], {})


def bad_token(token: dict[str, Any]) -> dict[str, Any]:
    """The token with an ID token that is wrong in one way."""
    kind = lie["kind"]
    if kind == "missing":
        return {name: value for name, value in token.items() if name != "id_token"}
    storage = flask.g.oidc_provider_mock_storage
    key = RSAKey.import_key(storage.jwk.as_dict(is_private=True))
    claims = jwt.decode(token["id_token"], key).claims
    header = {"alg": "RS256"}
    now = int(time.time())
    claims |= {
        "aud": {"aud": ["another client"], "azp": claims["aud"]},
        "iss": {"iss": "https://evil.example"},
        "nonce": {"nonce": "another"},
        "exp": {"iat": now - 7200, "exp": now - 3600},
        "future": {"iat": now + 3600, "exp": now + 7200},
        "sub": {"sub": 42},
    }.get(kind, {})
    if kind == "no sub":
        del claims["sub"]
    if kind == "key":
        key = RSAKey.generate_key(2048)
    if kind == "none":
        return token | {"id_token": ".".join([encoded({"alg": "none"}), encoded(claims), ""])}
    if kind == "hs256":  # signed with the public key, as if it were a shared secret
        parts = f"{encoded({'alg': 'HS256', 'kid': key.kid})}.{encoded(claims)}"
        signature = hmac.digest(key.as_pem(private=False), parts.encode(), "sha256")
        return token | {"id_token": f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"}
    return token | {"id_token": jwt.encode(header, claims, key)}


def encoded(part: dict[str, Any]) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


if __name__ == "__main__":
    werkzeug.serving.make_server("localhost", int(sys.argv[1]), application(), threaded=True).serve_forever()
