"""The files that browsers load: the script to paste, the built widget and the pages' own style and scripts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, abort, request

from app.extensions import services

blueprint = Blueprint("assets", __name__)
STATIC = Path(__file__).resolve().parent.parent / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".map": "application/json",
}
CACHE_IMMUTABLE = "public, max-age=31536000, immutable"
CACHE_SHORT = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file in memory, as it is sent. ``integrity`` is what a script tag may demand of it."""

    body: bytes
    gzipped: bytes
    content_type: str
    digest: str
    integrity: str


def get_asset(name: str) -> Asset | None:
    """The file ``name`` below the static folder; None where there is none or its type is not for browsers."""
    path = (STATIC / name).resolve() if "\0" not in name else STATIC
    if path.suffix not in TYPES or not path.is_relative_to(STATIC):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=128)
def _read(path: Path, _changed: int, _size: int) -> Asset:
    return _make_asset(path.read_bytes(), TYPES[path.suffix])


def _make_asset(body: bytes, content_type: str) -> Asset:
    return Asset(
        body=body,
        gzipped=gzip.compress(body, 9, mtime=0),
        content_type=content_type,
        digest=hashlib.sha256(body).hexdigest()[:12],
        integrity="sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode(),
    )


def asset_url(name: str) -> str:
    """The address of a built file by its plain name (``page.js``), as the build's manifest gives it."""
    manifest = get_asset("manifest.json")
    entry = json.loads(manifest.body).get(name) if manifest else None
    if isinstance(entry, dict):
        entry = entry.get("file") or entry.get("name")
    return f"/assets/{entry or name}"


def versioned_url(name: str) -> str:
    """The address of a hand-written file with its version, so that it may be cached for ever."""
    asset = get_asset(name)
    return f"/assets/{name}?v={asset.digest}" if asset else f"/assets/{name}"


OPTIONS_START = b"{__proto__:null,"
"""Where the options begin in the built script: what is written in here counts, unless the tag says otherwise."""


def widget_script(color: str | None, lang: str | None, theme: str) -> Asset | None:
    """The script to paste, with the site's colour, language and theme for the launcher; as built where none is set."""
    built = get_asset("widget.js")
    options = {"color": color, "lang": lang, "theme": None if theme == "auto" else theme}
    serialized = json.dumps({name: value for name, value in options.items() if value})
    return _with_options(built, serialized[1:-1]) if built and serialized != "{}" else built


@lru_cache(maxsize=4)
def _with_options(script: Asset, options: str) -> Asset:
    return _make_asset(
        script.body.replace(OPTIONS_START, OPTIONS_START + options.encode() + b",", 1), script.content_type
    )


@blueprint.get("/widget.js")
def widget() -> Response:
    """The script to paste: always the newest, revalidated after five minutes."""
    config = services().config
    return asset_response(widget_script(config.color, config.lang, config.theme), CACHE_SHORT)


@blueprint.get("/assets/<version>/widget.js")
def pinned_widget(version: str) -> Response:
    """The script as built, for a tag with an integrity hash; gone after the next release.

    It knows no settings, so that a changed colour does not make browsers refuse it.
    """
    asset = get_asset("widget.js")
    return asset_response(asset if asset and asset.digest == version else None, CACHE_IMMUTABLE)


@blueprint.get("/assets/<path:name>")
def file(name: str) -> Response:
    """A built or hand-written file; one whose address names its version is cached for ever.

    A page that was opened before a deploy may still ask for a part of the widget by its old name: it gets the new one.
    """
    asset = get_asset(name)
    if asset is None and _named_by_content(name):
        successor = asset_url(name.rpartition("-")[0] + ".js").removeprefix("/assets/")
        return asset_response(get_asset(successor), CACHE_SHORT)
    hashed = asset is not None and request.args.get("v") == asset.digest
    return asset_response(asset, CACHE_IMMUTABLE if hashed or _named_by_content(name) else CACHE_SHORT)


def _named_by_content(name: str) -> bool:
    stem = name.rpartition("/")[2].rpartition(".")[0]
    return len(stem.rpartition("-")[2]) >= 8 and "-" in stem


def asset_response(asset: Asset | None, cache_control: str) -> Response:
    """The file, gzipped where the browser takes that, cached as ``cache_control`` says; 404 where there is none."""
    if asset is None:
        abort(404)
    gzips = request.accept_encodings.quality("gzip") > 0
    response = Response(asset.gzipped if gzips else asset.body, content_type=asset.content_type)
    if gzips:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = cache_control
    # Pages of any site may load these. (flask-cors adds the CORS header, the middleware nosniff.)
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.set_etag(asset.digest + ("-gzip" if gzips else ""))
    response.make_conditional(request)
    return response
