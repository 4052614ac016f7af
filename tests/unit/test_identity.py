"""Tokens of signed-in visitors (BATON_IDENTITY_SECRET): which are accepted, and whom they name."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import orjson
import pytest

from app.auth.user_tokens import parse_secrets, verify_user_token
from app.errors import Forbidden

SECRET = "a secret of at least thirty-two bytes"


def user_id_from_token(token: str, secrets: Mapping[str, str]) -> str:
    return verify_user_token(token, secrets).user


def token(secret: str = SECRET, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token that verifies, but for what is said otherwise."""
    payload = {"sub": "visitor-1", "exp": int(time.time()) + 3600} | claims
    return jwt.encode({k: v for k, v in payload.items() if v is not None}, secret, "HS256", headers=headers)


def raw(**claims: Any) -> str:
    """A token with these claims, signed as they are: the library's own encoder refuses some of them."""
    payload = {"sub": "visitor-1", "exp": int(time.time()) + 3600} | claims
    return jwt.PyJWS().encode(json.dumps(payload).encode(), SECRET, "HS256")


BAD_SUBJECTS = [
    "\ud800",
    "",
    " ",
    "\u2003\n",
    "a\x00b",
    "a\nb",
    "a\x7f",
    "a\x85",
    "x" * 256,
    0,
    True,
    None,
    [],
    ["a"],
    {},
]
BAD_AUDIENCES: list[Any] = ["", [], None, 0, {}, [""], ["other"], "BATON", "baton2", [["baton"]], {"other": 1}, 5]
BAD_TOKENS = [
    "",
    "x",
    "a.b.c",
    token(exp=1),
    token(exp=None),
    token(sub=None),
    token(aud="another service"),
    token(jti=5),
    jwt.PyJWS().encode(json.dumps({"sub": 5, "exp": int(time.time()) + 3600}).encode(), SECRET, "HS256"),
    token("another secret of thirty-two bytes or more"),
    jwt.encode({"sub": "visitor-1", "exp": int(time.time()) + 3600}, "", "none"),
    jwt.encode({"sub": "visitor-1", "exp": int(time.time()) + 3600}, SECRET * 2, "HS512"),
    *(raw(sub=sub) for sub in BAD_SUBJECTS),
    *(raw(aud=aud) for aud in BAD_AUDIENCES),
    raw(exp="soon"),
    raw(exp=1e400),
    raw(exp=float("nan")),
    jwt.PyJWS().encode(b"[" * 5000, SECRET, "HS256"),
    ".".join(["W1tb" * 3000, "e30", "x"]),
]


def test_one_user_is_one_owner() -> None:
    """Two tokens of one user name the same owner, another user's another, and the name itself is not in it."""
    secrets = parse_secrets(SECRET)
    mine = user_id_from_token(token(), secrets)
    assert mine == user_id_from_token(token(exp=int(time.time()) + 600, aud="baton"), secrets)
    assert mine != user_id_from_token(token(sub="visitor-2"), secrets)
    assert "visitor" not in mine


@pytest.mark.parametrize("wrong", BAD_TOKENS, ids=range(len(BAD_TOKENS)))
def test_what_does_not_verify_is_refused(wrong: str) -> None:
    """Expired, endless, nameless, for another service, signed by another or by nobody: one and the same refusal."""
    with pytest.raises(Forbidden) as refused:
        user_id_from_token(wrong, parse_secrets(SECRET))
    assert refused.value.code == "bad_token"


@pytest.mark.parametrize("good", [{"aud": "baton"}, {"aud": ["other", "baton"]}, {"sub": "x" * 255}, {"sub": "Zoë 😀"}])
def test_what_verifies_is_believed(good: dict[str, Any]) -> None:
    """Our audience alone or among others, a long name and one in any script."""
    assert len(user_id_from_token(raw(**good), parse_secrets(SECRET))) == 32


def test_a_name_cut_within_an_emoji_is_stored_as_text() -> None:
    """What operators see of a user can always be read again, whatever the site's token holds."""
    user = verify_user_token(raw(name="Zo\u00eb \ud83d", email="\udc00@example.com"), parse_secrets(SECRET))
    assert orjson.loads(user.profile) == {"id": "visitor-1", "name": "Zo\u00eb ?", "email": "?@example.com"}


def test_no_secret_believes_nobody() -> None:
    """Without a secret no token verifies."""
    with pytest.raises(Forbidden):
        user_id_from_token(token(), {})


def test_secrets_rotate_by_their_id() -> None:
    """Each token is checked with the secret that its kid names, and with no other."""
    old, new = SECRET + " old", SECRET + " new"
    secrets = parse_secrets(f"2025={old},2026={new}")
    assert user_id_from_token(token(old, {"kid": "2025"}), secrets) == user_id_from_token(
        token(new, {"kid": "2026"}), secrets
    )
    for wrong in (token(old, {"kid": "2026"}), token(old), token(old, {"kid": "2024"})):
        with pytest.raises(Forbidden):
            user_id_from_token(wrong, secrets)
