"""A logo at an https address: fetched by the service, bounded, images only; and the launcher's looks in the script."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from app.config import MAX_LOGO_BYTES
from app.engines.http_client import http_client
from app.web import assets
from app.web.logo import LogoUnavailable, RemoteLogo, fetch_image

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class ImageServer:
    """An https server whose responses are given by path: status, headers, body."""

    def __init__(self, folder: Path) -> None:
        self.responses: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, headers, body = outer.responses[self.path]
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        self.trust = ssl.create_default_context(cafile=str(certificate))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageServer]:
    started = ImageServer(tmp_path_factory.mktemp("images"))
    yield started
    started.stop()


@pytest.fixture
def client(server: ImageServer) -> httpx2.Client:
    """A client that trusts the server's certificate."""
    return httpx2.Client(verify=server.trust)


def test_an_image_is_taken_over(server: ImageServer, client: httpx2.Client) -> None:
    """An image is taken as it is, also behind a redirect within https."""
    server.responses = {
        "/logo": (302, {"Location": "/logo.png"}, b""),
        "/logo.png": (200, {"Content-Type": "image/png; charset=binary"}, PNG),
    }
    image = fetch_image(f"{server.url}/logo", client)
    assert (image.body, image.content_type) == (PNG, "image/png")


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ((200, {"Content-Type": "text/html"}, b"<script>"), "not an image: text/html"),
        ((200, {}, PNG), "not an image"),
        ((404, {"Content-Type": "image/png"}, PNG), "status 404"),
        ((200, {"Content-Type": "image/png"}, b""), "0 bytes"),
        ((200, {"Content-Type": "image/png"}, bytes(MAX_LOGO_BYTES + 1)), f"more than {MAX_LOGO_BYTES} bytes"),
        ((302, {"Location": "/x"}, b""), "more than 3 redirects"),
        ((302, {"Location": "http://localhost/x"}, b""), "without https"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "without https"),
        ((302, {}, b""), "redirects"),
    ],
)
def test_anything_else_is_not(
    server: ImageServer, client: httpx2.Client, response: tuple[int, dict[str, str], bytes], why: str
) -> None:
    """What is no image, too large, an error, a chain of redirects or a way out of https is not shown."""
    server.responses = {"/x": response}
    with pytest.raises(LogoUnavailable, match=why):
        fetch_image(f"{server.url}/x", client)


def test_a_private_address_is_not_asked(server: ImageServer) -> None:
    """With the client that the service uses, an address within a private network is not connected to."""
    server.asked.clear()
    with pytest.raises(LogoUnavailable):
        fetch_image(f"{server.url}/x", http_client(public_only=True))
    assert server.asked == []


def test_it_is_fetched_once_for_many(server: ImageServer, client: httpx2.Client) -> None:
    """Many that ask at once cause one fetch; a failure is remembered too."""
    server.responses = {"/logo": (200, {"Content-Type": "image/png"}, PNG), "/no": (500, {}, b"")}
    server.asked.clear()
    logo, missing = RemoteLogo(f"{server.url}/logo", client), RemoteLogo(f"{server.url}/no", client)
    found: list[object] = []
    askers = [threading.Thread(target=lambda: found.append(logo.get())) for _ in range(8)]
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert [missing.get(), missing.get()] == [None, None]
    assert server.asked == ["/logo", "/no"]


def test_the_script_takes_the_looks_in_one_place() -> None:
    """The built script has exactly one place for the site's looks; unset, it is served as built."""
    built = assets.get_asset("widget.js")
    assert built is not None
    assert built.body.count(assets.OPTIONS_START) == 1
    assert assets.widget_script(None, None, "auto") is built
    served = assets.widget_script("#7c3aed", "de", "dark")
    assert served is not None
    assert b'{__proto__:null,"color": "#7c3aed", "lang": "de", "theme": "dark",...' in served.body
    assert served.digest != built.digest


@pytest.mark.parametrize("lang", [None, "de", "zh-Hant-TW", "sr-Latn-RS-ekavsk"])
@pytest.mark.parametrize("color", [None, "#7c3aed", "#A9c71e"])
@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_the_script_is_small_with_any_looks(color: str | None, lang: str | None, theme: str) -> None:
    """With colour, theme and language set, too, the script to paste is at most 2 KB over the wire."""
    served = assets.widget_script(color, lang, theme)
    assert served is not None
    assert len(served.gzipped) <= 2048
