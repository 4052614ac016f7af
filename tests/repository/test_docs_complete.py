"""Nothing of the service is left out of its documents: routes, options, links, pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.api.openapi import openapi_document
from app.config import Settings
from tests.repository.snippets import DOCUMENTS, ROOT

PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")
EMBEDDING = (ROOT / "docs" / "embedding.md").read_text("utf-8")
INSTALL = (ROOT / "app" / "templates" / "install.html").read_text("utf-8")


@pytest.fixture(scope="module")
def service(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application with every route."""
    desk = {
        "BATON_DESK": "on",
        "BATON_API_KEY": "key-of-the-server-0123456789",
        "BATON_OIDC_ISSUER": "https://login.example.com",
        "BATON_OIDC_CLIENT_ID": "baton",
        "BATON_OIDC_CLIENT_SECRET": "secret",
        "BATON_OIDC_ROLES": '{"support": "operator"}',
    }
    folder = str(tmp_path_factory.mktemp("data"))
    return create_app(Settings.from_env({"REDIS_URL": redis_server, "BATON_DATA_DIR": folder, **desk}))


def test_every_route_is_documented(service: Flask) -> None:
    """Each route stands in docs/protocol.md; forms with `me` and other addresses of the icon are the same."""
    documented = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", PROTOCOL))
    routes = {
        f"{method} {path_in_docs(rule.rule)}"
        for rule in service.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if "/session/me" not in rule.rule
    }
    assert routes - documented == set()


def path_in_docs(rule: str) -> str:
    """A route's path as the documents write it."""
    path = rule.replace("<session_id>", "<id>").replace("<message_id>", "<message id>").replace("path:", "")
    return re.sub(r"^/assets/.*", "/assets/<file>", re.sub(r"^/favicon(\.ico)?$", "/favicon.svg", path))


def test_no_route_is_documented_that_is_not_there(service: Flask) -> None:
    """Each call named in docs/protocol.md is a route of the service."""
    rules = {re.sub(r"<[^>]*>", "<>", rule.rule) for rule in service.url_map.iter_rules()}
    rules |= {re.sub("<>(.*)", r"me\1", rule) for rule in rules if rule.startswith("/api/session/<>")}
    for call in re.findall(r"`(?:GET|POST|PUT|DELETE) (/[^`?]*)`", PROTOCOL):
        assert re.sub(r"<[^>]*>", "<>", call) in rules, call


def test_the_api_names_its_licence(service: Flask) -> None:
    """The description of the API has the version and the licence."""
    document = openapi_document(service, server="http://x.test", version="1.2.3", max_chars=10)
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}


def documented_options() -> set[str]:
    """The options in the table of docs/embedding.md, without `data-`."""
    table = EMBEDDING.partition("## Options of the tag")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `data-([a-z-]+)` \|", table, re.MULTILINE))


def test_every_option_of_the_widget_is_documented() -> None:
    """What widget/src/options.ts reads stands in the table of options; names with `_` come from /api/site alone."""
    source = (ROOT / "widget" / "src" / "options.ts").read_text("utf-8")
    names = set(re.findall(r"\braw\.(\w+)", source))
    names |= {name for row in re.findall(r"\[((?:\"\w+\",? ?)+)\]", source) for name in re.findall(r"\w+", row)}
    assert {"color", "sessionScope", "chatUrl"} <= names
    from_site = {"people"}  # and whatever has a "_": not to be set by a page
    own = {name for name in names - from_site if "_" not in name}
    dashed = {re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name) for name in own}
    assert dashed <= documented_options()


def test_the_install_page_offers_every_option() -> None:
    """Each option has a field on /install; `api-url` is what the page fills in itself."""
    form = INSTALL.partition('<form id="options"')[2].partition("</form>")[0]
    assert set(re.findall(r'\bname="([a-z-]+)"', form)) == documented_options() - {"api-url"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the repository, and its anchor a heading of that file."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="(?!\w+:)([^"]+)"', text):
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to), target


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and /knowledge make them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
