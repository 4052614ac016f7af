"""Whose call it is behind proxies: by the header that the trusted proxy sets."""

from __future__ import annotations

import pytest
from flask import Flask, request

from app import client_address


def seen(trusted_proxies: int, headers: dict[str, str]) -> str:
    """The address that a view sees, called from 10.0.0.1."""
    app = Flask(__name__)
    client_address.init_app(app, trusted_proxies=trusted_proxies)
    app.add_url_rule("/", view_func=lambda: str(request.remote_addr))
    return app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.1"}).text


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        (1, {"X-Real-IP": "198.51.100.7"}, "198.51.100.7"),
        (1, {"X-Real-IP": " 2001:db8::1 "}, "2001:db8::1"),
        (2, {"X-Real-IP": "198.51.100.7"}, "198.51.100.7"),
        (1, {"X-Real-IP": ""}, "10.0.0.1"),
        (1, {"X-Real-IP": "198.51.100.7, 203.0.113.9"}, "10.0.0.1"),
        (1, {"X-Real-IP": "unknown"}, "10.0.0.1"),
        (1, {"X-Forwarded-For": "198.51.100.7"}, "198.51.100.7"),
        (1, {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}, "198.51.100.7"),
        (2, {"X-Forwarded-For": "203.0.113.9, 198.51.100.7, 10.0.0.9"}, "198.51.100.7"),
        (1, {"X-Forwarded-For": "198.51.100.7", "X-Real-IP": "203.0.113.9"}, "198.51.100.7"),
        (1, {}, "10.0.0.1"),
        (0, {"X-Real-IP": "198.51.100.7", "X-Forwarded-For": "198.51.100.7"}, "10.0.0.1"),
    ],
)
def test_the_address_behind_proxies(proxies: int, headers: dict[str, str], address: str) -> None:
    """`X-Forwarded-For` counts from the right; `X-Real-IP` alone is taken where it is one address; else nothing."""
    assert seen(proxies, headers) == address
