"""The site's logo: an image file, or an image at an https address, fetched by the service and shown from it.

So browsers ask nobody else for it, and neither the visitor's address nor the page they are on goes elsewhere.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from flask import Blueprint, Response, abort, request

from app.config import LOGO_TYPES, MAX_LOGO_BYTES
from app.engines.base import CancelToken
from app.engines.sanitize import IdleTimer
from app.errors import EngineFailed
from app.extensions import services

if TYPE_CHECKING:
    import httpx2

    from app.engines.http_client import CallGuard

_log = logging.getLogger(__name__)

blueprint = Blueprint("logo", __name__)
MAX_SECONDS = 10.0
"""For the whole of a fetch, redirects included."""
MAX_REDIRECTS = 3
REFRESH_SECONDS = 3600.0
RETRY_SECONDS = 60.0
"""After a failed fetch."""
CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""An SVG opened as a page of its own runs no script and loads nothing."""


class LogoUnavailable(Exception):
    """The address gave no image that may be shown."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it is sent."""

    body: bytes
    content_type: str
    digest: str


def make_image(body: bytes, content_type: str) -> Image:
    """Raises LogoUnavailable for what is no image, or too large."""
    if content_type == "image/vnd.microsoft.icon":
        content_type = "image/x-icon"
    if content_type not in LOGO_TYPES.values():
        raise LogoUnavailable(f"not an image: {content_type[:60] or 'no content type'}")
    if not 0 < len(body) <= MAX_LOGO_BYTES:
        raise LogoUnavailable(f"{len(body)} bytes, allowed are 1 to {MAX_LOGO_BYTES}")
    return Image(body, content_type, hashlib.sha256(body).hexdigest()[:12])


def fetch_image(url: str, client: httpx2.Client) -> Image:
    """The image at an https address. Raises LogoUnavailable; takes no longer than MAX_SECONDS."""
    import httpx2

    from app.engines.http_client import CallGuard

    guard = CallGuard(CancelToken(), IdleTimer(MAX_SECONDS))
    try:
        with guard.activate():
            for _ in range(MAX_REDIRECTS + 1):
                if urlsplit(url).scheme != "https":
                    raise LogoUnavailable("a redirect to an address without https")
                response = client.send(client.build_request("GET", url, headers={"Accept": "image/*"}), stream=True)
                try:
                    if response.status_code not in (301, 302, 303, 307, 308):
                        return _read_image(response, guard)
                    url = urljoin(url, response.headers.get("location", ""))
                finally:
                    response.close()
    except (httpx2.HTTPError, httpx2.InvalidURL, EngineFailed, OSError, ValueError) as error:
        raise LogoUnavailable(type(error).__name__) from None
    raise LogoUnavailable(f"more than {MAX_REDIRECTS} redirects")


def _read_image(response: httpx2.Response, guard: CallGuard) -> Image:
    if response.status_code != 200:
        raise LogoUnavailable(f"status {response.status_code}")
    body = b""
    for block in response.iter_bytes():
        guard.timer.remaining()
        body += block
        if len(body) > MAX_LOGO_BYTES:
            raise LogoUnavailable(f"more than {MAX_LOGO_BYTES} bytes")
    return make_image(body, response.headers.get("content-type", "").partition(";")[0].strip().lower())


class RemoteLogo:
    """An image elsewhere, kept in memory, asked for again after an hour; the old one stays while a new one fails."""

    def __init__(self, url: str, client: httpx2.Client) -> None:
        self._url, self._client = url, client
        self._image: Image | None = None
        self._next_fetch = 0.0
        self._fetching = threading.Lock()

    def get(self) -> Image | None:
        """The image; None where it cannot be had. One caller fetches: others wait for the first image only."""
        max_wait = 0 if self._image else MAX_SECONDS
        if time.monotonic() < self._next_fetch or not self._fetching.acquire(timeout=max_wait):
            return self._image
        try:
            if time.monotonic() >= self._next_fetch:
                self._fetch()
        finally:
            self._fetching.release()
        return self._image

    def _fetch(self) -> None:
        try:
            self._image = fetch_image(self._url, self._client)
            self._next_fetch = time.monotonic() + REFRESH_SECONDS
        except LogoUnavailable as problem:
            self._next_fetch = time.monotonic() + RETRY_SECONDS
            _log.warning("BATON_LOGO cannot be shown: %s", problem)


@cache
def _remote(url: str) -> RemoteLogo:
    from app.engines.http_client import http_client  # loaded only for a logo elsewhere

    return RemoteLogo(url, http_client(public_only=True))


@cache
def _local(path: str, _changed: int) -> Image:
    file = Path(path)
    return make_image(file.read_bytes(), LOGO_TYPES[file.suffix.lower()])


def find_logo(logo: str | None) -> Image | None:
    """The image of the setting; None where there is none, or it cannot be had."""
    if logo is None:
        return None
    if logo.startswith("https://"):
        return _remote(logo).get()
    try:
        return _local(logo, Path(logo).stat().st_mtime_ns)
    except (OSError, LogoUnavailable):
        return None


@blueprint.get("/logo")
def logo() -> Response:
    """The site's logo, for pages of any site."""
    image = find_logo(services().config.logo)
    if image is None:
        abort(404)
    response = Response(image.body, content_type=image.content_type)
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Content-Security-Policy"] = CSP
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(image.digest)
    response.make_conditional(request)
    return response
