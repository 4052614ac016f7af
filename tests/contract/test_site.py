"""What visitors see is set once on the server, and which pages it shows (S1, S2)."""

from __future__ import annotations

import re

import httpx
import pytest

from app import create_app
from app.config import PAGES, Settings
from tests.contract.conftest import BRANDING, LOGO, RunningService

ORIGIN = {"Origin": "https://teehaus.example"}


def get(service: RunningService, path: str, **headers: str) -> httpx.Response:
    return httpx.get(service.base + path, headers=headers, timeout=10)


def test_the_settings_have_the_names_of_the_contract(branded: RunningService) -> None:
    """GET /api/site has each setting, may be kept for a minute, and is readable by the allowed origins alone."""
    answer = get(branded, "/api/site", **ORIGIN)
    assert answer.status_code == 200
    logo_url = f"{branded.base}/logo"
    assert answer.json() == {
        "success": True,
        "title": "Teehaus Grün",
        "greeting": "Grüß Gott! Was möchten Sie wissen?",
        "suggestions": ["Wann haben Sie offen?", "Was kostet der Versand?"],
        "color": "#7c3aed",
        "theme": "dark",
        "lang": "de",
        "assistant_name": "Matcha",
        "logo_url": logo_url,
        "contact_url": "mailto:hallo@teehaus.example",
        "people": "off",
    }
    assert "max-age=60" in answer.headers["Cache-Control"]
    assert "no-store" not in answer.headers["Cache-Control"]
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    other = get(branded, "/api/site", Origin="https://other.example")
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Origin" in other.headers["Vary"]
    assert get(branded, "/api/site").headers["Vary"] == answer.headers["Vary"]


def test_without_settings_it_has_the_defaults(plain: RunningService) -> None:
    """Unset, a text is null, the theme is auto and the assistant is called Assistant; any origin may read it."""
    answer = get(plain, "/api/site", **ORIGIN)
    body = answer.json()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Origin" in answer.headers["Vary"]
    unset = {name: body[name] for name in ("title", "greeting", "color", "lang", "logo_url", "contact_url")}
    assert set(unset.values()) == {None}
    assert (body["suggestions"], body["theme"], body["assistant_name"], body["people"]) == (
        [],
        "auto",
        "Assistant",
        "off",
    )


def test_only_the_face_may_be_kept(plain: RunningService) -> None:
    """Everything else under /api, an error on the path of /api/site included, is not stored."""
    assert httpx.post(f"{plain.base}/api/site").headers["Cache-Control"] == "no-store"
    assert get(plain, "/api/sites").headers["Cache-Control"] == "no-store"


def test_the_logo_is_served_without_a_way_to_run_anything(branded: RunningService) -> None:
    """The logo comes from the service: for pages of any site, as the image it is, and sandboxed when opened alone."""
    answer = get(branded, "/logo")
    assert answer.status_code == 200
    assert answer.text == LOGO
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    policy = [part.strip() for part in answer.headers["Content-Security-Policy"].split(";")]
    assert {"sandbox", "default-src 'none'"} <= set(policy)
    again = get(branded, "/logo", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_without_a_logo_there_is_none(plain: RunningService) -> None:
    """A service without a logo answers 404 for it."""
    assert get(plain, "/logo").status_code == 404


@pytest.mark.parametrize("path", ["/install", "/metrics"])
def test_pages_that_are_switched_off_are_not_there(branded: RunningService, path: str) -> None:
    """BATON_PAGES: a page that it does not name is 404."""
    assert get(branded, path).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/knowledge", "/chat", "/widget.js", "/health"])
def test_pages_that_are_named_and_those_always_served(branded: RunningService, path: str) -> None:
    """The named pages are served; the full page, the script and the health check always are."""
    assert get(branded, path).status_code == 200


def test_without_the_demo_site_the_start_is_the_full_page(branded: RunningService) -> None:
    """Without `demo`, / redirects (302) to /chat."""
    answer = get(branded, "/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/chat")


def test_pages_link_to_no_page_that_is_switched_off(branded: RunningService) -> None:
    """The links around a page lead only to pages that are served."""
    for path in ("/knowledge", "/docs", "/no-such-page"):
        links = set(re.findall(r'href="(/[^"#?]*)"', get(branded, path, Accept="text/html").text))
        assert links
        assert {link: status for link in links if (status := get(branded, link).status_code) >= 400} == {}, path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_alone_links_to_no_other(page: str) -> None:
    """Whichever page is the only one that is served, nothing on it or on an error page leads to one that is not."""
    app = create_app(Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1/0", "BATON_PAGES": page}))
    client = app.test_client()
    for path in (f"/{page}".removesuffix("demo"), "/no-such-page"):
        links = set(re.findall(r'href="(/[^"#?]*)"', client.get(path, headers={"Accept": "text/html"}).text))
        assert {link for link in links if client.get(link).status_code == 404} == set(), path


def test_the_script_carries_colour_language_and_theme(branded: RunningService, plain: RunningService) -> None:
    """/widget.js as served gives the launcher its colour, language and theme; unset, it is the file as built."""
    served = get(branded, "/widget.js")
    for value in (BRANDING["BATON_COLOR"], BRANDING["BATON_LANG"], BRANDING["BATON_THEME"]):
        assert f'"{value}"' in served.text
    assert served.headers["ETag"] != get(plain, "/widget.js").headers["ETag"]
    assert get(branded, "/widget.js", **{"If-None-Match": served.headers["ETag"]}).status_code == 304
    assert BRANDING["BATON_COLOR"] not in get(plain, "/widget.js").text


def test_the_demo_site_says_nothing_over_the_settings(branded: RunningService, plain: RunningService) -> None:
    """A site that has branding of its own is not given the words of the demo site, nor a page the wrong direction."""
    assert 'data-title="Ask Baton"' in get(plain, "/").text
    page = get(branded, "/knowledge/operating", Accept="text/html").text
    assert '<html lang="de" dir="ltr" data-theme="dark">' in page
    assert re.search(r'<article class="prose"[^>]* dir="auto">', page)
    assert "<title>" in page
    assert "· Teehaus Grün</title>" in page
