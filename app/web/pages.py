"""The pages that people look at: demo, full page, install, the API and the rendered knowledge folder."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, render_template

from app.errors import ERRORS
from app.kept import Kept
from app.web import assets
from app.web.markdown import Rendered, render

blueprint = Blueprint("pages", __name__, template_folder="../templates")
blueprint.register_blueprint(assets.blueprint)
KNOWLEDGE = "/knowledge"
_RENDERED: Kept[Rendered] = Kept(32 * 1024 * 1024)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors {framed_by}"
)
TOLD = {
    404: "There is nothing at this address.",
    405: "This address does not take what was sent to it.",
    429: "That was a little too often. Please wait a moment and try again.",
    503: "The service is not quite there at the moment. Please try again shortly.",
}


def _baton() -> Any:
    return current_app.extensions["baton"]


def _page(body: str, *, status: int = 200, framed_by: str = "'none'", keep: str = "no-cache") -> Response:
    """A page under the strict policy: nothing loads from elsewhere, nothing inline runs.

    The headers that every answer of the service carries are added at the edge.
    """
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY.format(framed_by=framed_by)
    response.headers["Cache-Control"] = keep
    if framed_by == "'none'":
        response.headers["X-Frame-Options"] = "DENY"
    return response


@blueprint.app_context_processor
def _addresses() -> dict[str, Any]:
    return {"versioned": assets.versioned, "built": assets.built, "has_page": _has_page}


def _has_page(path: str) -> bool:
    """Whether the knowledge folder holds this page: it may be about something else than Baton."""
    return bool(_baton().knowledge.has(path))


@blueprint.get("/")
def demo() -> Response:
    """A site about Baton, with the widget on it."""
    loader = assets.asset("widget.js")
    weight = f"{len(loader.packed) / 1024:.1f} KB" if loader else "under 2 KB"
    config = _baton().config
    return _page(render_template("demo.html", weight=weight, public_url=config.public_url, chat_page=config.chat_page))


@blueprint.get("/chat")
def chat() -> Response:
    """The full page: the same bytes for everybody; what it carries on with is the browser's own affair."""
    origins = _baton().config.allowed_origins
    framed_by = "*" if origins is None else " ".join(origins) or "'none'"
    response = _page(render_template("chat.html"), framed_by=framed_by, keep="no-store")
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@blueprint.get("/install")
def install() -> Response:
    """The tag to paste. Its address comes from the settings, never from what the request claims to be."""
    config = _baton().config
    loader = assets.asset("widget.js")
    return _page(
        render_template(
            "install.html",
            public_url=config.public_url,
            chat_page=config.chat_page,
            origins=config.allowed_origins,
            loader=loader,
        )
    )


@blueprint.get("/docs")
def api() -> Response:
    """The API, drawn from /openapi.json by our own script."""
    return _page(render_template("api.html", public_url=_baton().config.public_url, errors=ERRORS))


@blueprint.get(KNOWLEDGE, defaults={"path": ""}, strict_slashes=False)
@blueprint.get(f"{KNOWLEDGE}/<path:path>")
def knowledge(path: str) -> Response:
    """A page of the knowledge folder, where a citation opens."""
    engine = _baton().knowledge
    page = engine.page(path.rstrip("/"))
    if page is None:
        return missing("There is no such page here. It may have been renamed or taken away.")
    rendered = _RENDERED.get(
        (page.file, page.version),
        lambda: render(page.markdown, page.file, KNOWLEDGE, engine.slug),
        lambda made: 4 * (len(made.html) + len(made.opening)),
    )
    contents = [heading for heading in rendered.headings if heading.level in (2, 3)]
    return _page(render_template("knowledge.html", title=page.title, page=rendered, contents=contents))


@blueprint.get("/favicon.ico")
@blueprint.get("/favicon.svg")
@blueprint.get("/favicon")
def favicon() -> Response:
    """The mark, for browser tabs."""
    return assets.send(assets.asset("site/mark.svg"), assets.FOR_MINUTES)


def missing(detail: str = TOLD[404], status: int = 404) -> Response:
    """A kind page for an address that leads nowhere, or for whatever else went wrong outside the API."""
    return _page(render_template("missing.html", detail=detail, status=status), status=status)


def error_page(status: int) -> Response | None:
    """The page for people that says ``status`` kindly; the edge asks for it outside /api."""
    return missing(TOLD.get(status, "The page could not be shown. Please try again in a moment."), status)
