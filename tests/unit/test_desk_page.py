"""The operators' page as it is sent: off unless it is switched on, and closed to frames, caches and foreign scripts."""

from __future__ import annotations

import json
import re

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.web import assets


@pytest.fixture
def ask(redis_url: str) -> FlaskClient:
    """A client of a service with a desk."""
    return create_app(Settings.from_env({"REDIS_URL": redis_url, "BATON_DESK": "on"})).test_client()


def test_without_the_setting_there_is_no_desk(redis_url: str) -> None:
    """GET /desk is 404 like any path that is not there."""
    app = create_app(Settings.from_env({"REDIS_URL": redis_url}))
    assert app.test_client().get("/desk").status_code == 404


def test_nothing_frames_it_keeps_it_or_runs_in_it(ask: FlaskClient) -> None:
    """A strict policy, no store, no index; one module of its own is all that it loads."""
    page = ask.get("/desk")
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    scripts = re.findall(r"<script([^>]*)>", page.text)
    assert scripts == [f' type="module" src="{assets.asset_url("desk.js")}"']
    assert ask.get(assets.asset_url("desk.js")).status_code == 200


def test_it_says_that_nobody_is_logged_in(ask: FlaskClient) -> None:
    """So that the page need not ask and be refused; after a link from elsewhere, which brings no cookie, it has to."""
    assert 'data-signed_out="true"' in ask.get("/desk").text
    ask.set_cookie("baton-desk", "dsk_" + "x" * 43)
    assert 'data-signed_out="true"' in ask.get("/desk").text
    assert "data-signed_out" not in ask.get("/desk", headers={"Sec-Fetch-Site": "cross-site"}).text


def test_no_visitor_loads_anything_of_the_desk() -> None:
    """Neither the script to paste nor the panel knows its file; its texts are in files of their own."""
    manifest = json.loads(assets.STATIC.joinpath("manifest.json").read_text())
    for name in ("widget.js", "panel.js", "messages.js", "page.js"):
        assert manifest["desk.js"] not in assets.STATIC.joinpath(manifest[name]).read_text(), name
    assert {"desk-locale-de.js", "desk-locale-ar.js"} <= set(manifest)
