"""The pages for people: demo site, full page, install, the API and the rendered knowledge folder."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request

from app.cache import ByteBoundedCache
from app.engines.base import Citation
from app.engines.knowledge import Page, PageEntry
from app.engines.knowledge.reader import parse_source, readable_name
from app.errors import ERRORS
from app.extensions import services
from app.rate_limit import address_limit
from app.web import assets, branding, logo
from app.web.markdown import RenderedPage, render

blueprint = Blueprint("pages", __name__, template_folder="../templates")
blueprint.register_blueprint(assets.blueprint)
blueprint.register_blueprint(logo.blueprint)
blueprint.register_blueprint(branding.blueprint)
VIEWS = {
    "demo": ["pages.demo"],
    "install": ["pages.install"],
    "docs": ["pages.api", "openapi.openapi"],
    "knowledge": ["pages.knowledge", "pages.knowledge_list"],
    "metrics": ["health.metrics_view"],
}
"""The views of each name in BATON_PAGES."""
KNOWLEDGE_PATH = "/knowledge"
MAX_QUERY_CHARS = 300
MAX_RESULTS = 10
MAX_LISTED = 1_000
"""Pages in a list; the search finds the others."""
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action {form_action}; base-uri 'none'; frame-ancestors {frame_ancestors}"
)
_rendered: ByteBoundedCache[RenderedPage] = ByteBoundedCache(32 * 1024 * 1024)


def init_app(app: Flask, *, shown: Collection[str]) -> None:
    """Takes away the pages that are not ``shown``: 404, and for the demo site a redirect to the full page."""
    for name, endpoints in VIEWS.items():
        if name not in shown:
            replacement = _redirect_to_chat if name == "demo" else _not_found
            app.view_functions.update(dict.fromkeys(endpoints, replacement))


def _not_found(**_: Any) -> Response:
    abort(404)


def _redirect_to_chat() -> Any:
    return redirect("/chat", 302)


def page_response(
    body: str,
    *,
    status: int = 200,
    frame_ancestors: str = "'none'",
    cache_control: str = "no-cache",
    form_action: str = "'none'",
) -> Response:
    """A page under a strict content security policy: nothing loads from elsewhere, nothing inline runs."""
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = CSP.format(frame_ancestors=frame_ancestors, form_action=form_action)
    response.headers["Cache-Control"] = cache_control
    if frame_ancestors == "'none'":
        response.headers["X-Frame-Options"] = "DENY"
    return response


@blueprint.app_context_processor
def template_functions() -> dict[str, Any]:
    """What every template can call. ``has_page``: the knowledge folder may be about something else than Baton."""
    config = services().config
    return {
        "versioned": assets.versioned_url,
        "built": assets.asset_url,
        "has_page": services().knowledge.has if "knowledge" in config.pages else lambda _: False,
        **branding.template_values(config),
    }


def _render_english(template: str, **values: Any) -> str:
    """A page that is written in English, whatever the language of the site."""
    return render_template(template, **branding.template_values(services().config, english=True), **values)


@blueprint.get("/")
def demo() -> Response:
    """A site about Baton, with the widget on it."""
    loader = assets.get_asset("widget.js")
    weight = f"{len(loader.gzipped) / 1024:.1f} KB" if loader else "under 2 KB"
    config = services().config
    return page_response(
        _render_english("demo.html", weight=weight, public_url=config.public_url, chat_page=config.chat_page)
    )


@blueprint.get("/chat")
def chat() -> Response:
    """The full page: the same bytes for everybody; the browser restores the conversation."""
    config = services().config
    origins = config.allowed_origins
    frame_ancestors = "*" if origins is None else " ".join(origins) or "'none'"
    response = page_response(
        render_template("chat.html", options=branding.chat_options(config)),
        frame_ancestors=frame_ancestors,
        cache_control="no-store",
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@blueprint.get("/install")
def install() -> Response:
    """The tag to paste. Its address comes from the settings, never from the Host header."""
    config = services().config
    return page_response(
        _render_english(
            "install.html",
            public_url=config.public_url,
            chat_page=config.chat_page,
            origins=config.allowed_origins,
            loader=assets.get_asset("widget.js"),
        )
    )


@blueprint.get("/docs")
def api() -> Response:
    """The API, drawn from /openapi.json by our own script."""
    return page_response(_render_english("api.html", public_url=services().config.public_url, errors=ERRORS))


@blueprint.get(KNOWLEDGE_PATH, strict_slashes=False)
def knowledge_list() -> Response:
    """All pages of the knowledge folder, or those that answer ``?q=``; after the folder's own README, if it has one."""
    knowledge = services().knowledge
    query = " ".join(request.args.get("q", "").split())[:MAX_QUERY_CHARS]
    start = knowledge.page("") if not query and knowledge.has("") else None
    return _knowledge_response(
        start,
        query=query,
        results=_search(query) if query else [],
        groups=_grouped(knowledge.pages(), ""),
    )


@blueprint.get(f"{KNOWLEDGE_PATH}/<path:path>")
def knowledge(path: str) -> Response:
    """A page of the knowledge folder, where a citation opens; for a folder without a README, its pages."""
    page = services().knowledge.page(path)
    if page is not None:
        return _knowledge_response(page) if page.path else knowledge_list()
    below = f"{path.strip('/')}/"
    pages = [entry for entry in services().knowledge.pages() if entry.path.startswith(below)]
    if not pages:
        return error_page(404, branding.TRANSLATIONS["error_no_page"][branding.language(services().config.lang)])
    return _knowledge_response(None, title=readable_name(f"{path.strip('/')}.md"), groups=_grouped(pages, below))


@address_limit
def _search(query: str) -> list[Citation]:
    """What answers a question, best first. It counts against RATE_LIMIT_ADDRESS, since it is work."""
    results: list[Citation] = services().knowledge.find(query, MAX_RESULTS)
    return results


def _knowledge_response(page: Page | None, **values: Any) -> Response:
    links = services().knowledge.links
    rendered = contents = None
    if page is not None:
        rendered = _rendered.get(
            (links.version, page.path, page.version),
            lambda: render(parse_source(page.source, page.name, links)),
            lambda result: 4 * (len(result.html) + len(result.opening)),
        )
        contents = [heading for heading in rendered.headings if heading.level in (2, 3)]
    return page_response(
        render_template("knowledge.html", document=page, page=rendered, contents=contents or [], **values),
        form_action="'self'" if "groups" in values else "'none'",
    )


def _grouped(pages: list[PageEntry], below: str) -> list[tuple[str, list[PageEntry]]]:
    """The pages by the next folder of their path, each with its title: that of the folder's own page, else its name."""
    listed = [(entry, entry.path.removeprefix(below)) for entry in pages[:MAX_LISTED] if entry.path]
    folders = {path.partition("/")[0] for _, path in listed if "/" in path}
    groups: dict[str, list[PageEntry]] = {}
    titles: dict[str, str] = {}
    for entry, path in listed:
        folder = path.partition("/")[0]
        groups.setdefault(folder if folder in folders else "", []).append(entry)
        if path in folders:
            titles[path] = entry.title
    named = [
        (titles.get(folder) or readable_name(f"{folder}.md"), entries) for folder, entries in groups.items() if folder
    ]
    return ([("", groups[""])] if "" in groups else []) + named


@blueprint.get("/favicon.ico")
@blueprint.get("/favicon.svg")
@blueprint.get("/favicon")
def favicon() -> Response:
    """The icon of browser tabs."""
    return assets.asset_response(assets.get_asset("site/mark.svg"), assets.CACHE_SHORT)


def error_page(status: int, detail: str = "") -> Response:
    """The page for people that explains ``status``, for whatever is outside of /api."""
    detail = detail or branding.error_text(status, services().config)
    return page_response(render_template("error.html", detail=detail, status=status), status=status)
