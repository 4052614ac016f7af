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

blueprint = Blueprint("assets", __name__)
STATIC = Path(__file__).resolve().parent.parent / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".map": "application/json",
}
FOR_EVER = "public, max-age=31536000, immutable"
FOR_MINUTES = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file in memory, as it is sent. ``integrity`` is what a script tag may demand of it."""

    body: bytes
    packed: bytes
    kind: str
    digest: str
    integrity: str


def asset(name: str) -> Asset | None:
    """The file ``name`` below the static folder; None where there is none or its kind is not for browsers."""
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
    body = path.read_bytes()
    return Asset(
        body=body,
        packed=gzip.compress(body, 9, mtime=0),
        kind=TYPES[path.suffix],
        digest=hashlib.sha256(body).hexdigest()[:12],
        integrity="sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode(),
    )


def built(name: str) -> str:
    """The address of a built file by its plain name (``page.js``), as the build's manifest gives it."""
    manifest = asset("manifest.json")
    entry = json.loads(manifest.body).get(name) if manifest else None
    if isinstance(entry, dict):
        entry = entry.get("file") or entry.get("name")
    return f"/assets/{entry or name}"


def versioned(name: str) -> str:
    """The address of a hand-written file with its version, so that it may be kept for ever."""
    found = asset(name)
    return f"/assets/{name}?v={found.digest}" if found else f"/assets/{name}"


@blueprint.get("/widget.js")
def widget() -> Response:
    """The script to paste: always the newest, looked at again after five minutes."""
    return send(asset("widget.js"), FOR_MINUTES)


@blueprint.get("/assets/<version>/widget.js")
def pinned_widget(version: str) -> Response:
    """The script to paste at one version, for a tag with an integrity hash; gone after the next release."""
    found = asset("widget.js")
    return send(found if found and found.digest == version else None, FOR_EVER)


@blueprint.get("/assets/<path:name>")
def file(name: str) -> Response:
    """A built or hand-written file; one whose address names its version is kept for ever.

    A page that was opened before a deploy may still ask for a part of the widget by its old name: it gets the new one.
    """
    found = asset(name)
    if found is None and _named_by_content(name):
        successor = built(name.rpartition("-")[0] + ".js").removeprefix("/assets/")
        return send(asset(successor), FOR_MINUTES)
    hashed = found is not None and request.args.get("v") == found.digest
    return send(found, FOR_EVER if hashed or _named_by_content(name) else FOR_MINUTES)


def _named_by_content(name: str) -> bool:
    stem = name.rpartition("/")[2].rpartition(".")[0]
    return len(stem.rpartition("-")[2]) >= 8 and "-" in stem


def send(found: Asset | None, keep: str) -> Response:
    """The file, packed where the browser takes that, kept as ``keep`` says; 404 where there is none."""
    if found is None:
        abort(404)
    packs = request.accept_encodings.quality("gzip") > 0
    response = Response(found.packed if packs else found.body, content_type=found.kind)
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = keep
    # Pages of any site may load these. (The edge adds the CORS header and nosniff.)
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.set_etag(found.digest + ("-gzip" if packs else ""))
    response.make_conditional(request)
    return response
