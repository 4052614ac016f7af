"""Bytes that a page loads before the first click and after opening, beside three peers: `make bench BENCH=bundle_size`.

Each peer comes from npm as published (`npm pack`) and is embedded as its documentation says, in an empty page on a
static server that compresses with gzip. Chromium counts the bytes. Needs npm and the built widget.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PORT, OURS = 8790, 8791
CHROMIUM = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run"]


@dataclass(frozen=True)
class Widget:
    """A chat widget and how a page embeds it; ``opens`` is the button to press, if there is one."""

    name: str
    package: str
    paste: str
    opens: str = ""


PEERS = (
    Widget(
        "deep-chat",
        "deep-chat@2.4.2",
        '<script type="module" src="deep-chat/dist/deepChat.bundle.js"></script><deep-chat></deep-chat>',
    ),
    Widget(
        "Flowise",
        "flowise-embed@3.1.6",
        '<script type="module">import Chatbot from "./flowise-embed/dist/web.js";'
        'Chatbot.init({chatflowid: "x", apiHost: location.origin});</script>',
        "flowise-chatbot button",
    ),
    Widget(
        "n8n",
        "@n8n/chat@1.37.0",
        '<link href="n8n-chat/dist/style.css" rel="stylesheet"><script type="module">'
        'import {createChat} from "./n8n-chat/dist/chat.bundle.es.js";'
        'createChat({webhookUrl: location.origin + "/hook"});</script>',
        ".chat-window-toggle",
    ),
)
BATON = Widget("Baton", "", f'<script src="http://127.0.0.1:{OURS}/widget.js" defer></script>', "baton-widget button")


def fetch(folder: Path) -> None:
    """Downloads and unpacks the published peers."""
    for peer in PEERS:
        command = ["npm", "pack", "--silent", peer.package]
        packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        name = packed.stdout.strip().rpartition("\n")[2]
        target = folder / peer.package.lstrip("@").rpartition("@")[0].replace("/", "-")
        target.mkdir()
        subprocess.run(["tar", "xzf", name, "-C", str(target), "--strip-components=1"], cwd=folder, check=True)


def serve(folder: Path) -> None:
    """A static server that compresses its responses."""

    class GzipHandler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            if not path.is_file():
                self.send_error(404)
                return
            body = gzip.compress(path.read_bytes(), 9)
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the output clean."""

    server = socketserver.ThreadingTCPServer(("127.0.0.1", PORT), GzipHandler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


@contextlib.contextmanager
def service() -> Any:
    """Baton itself."""
    env = os.environ | {"PORT": str(OURS), "BATON_DATA_DIR": tempfile.mkdtemp()}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "app:create_app()"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{OURS}/health", timeout=1)
                break
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)


class LoadCounter:
    """Counts what a page loads, without the page itself."""

    def __init__(self, page: Page) -> None:
        self.bytes = self.requests = 0
        self.hosts: set[str] = set()
        self._own: set[str] = set()
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        client.on("Network.requestWillBeSent", self._on_request)
        client.on("Network.loadingFinished", self._on_finished)

    def _on_request(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        if event.get("type") == "Document" or not url.startswith("http") or url.endswith("favicon.ico"):
            self._own.add(event["requestId"])
            return
        self.requests += 1
        self.hosts.add(url.split("/")[2])

    def _on_finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] not in self._own:
            self.bytes += int(event["encodedDataLength"])

    def summary(self) -> str:
        """Kilobytes, requests, hosts."""
        return f"{self.bytes / 1000:9.1f} KB {self.requests:3} requests {len(self.hosts)} hosts"


def measure(browser: Browser, widget: Widget, folder: Path) -> None:
    """One row."""
    (folder / "page.html").write_text(f"<!doctype html><title>A page</title><body><h1>A page</h1>{widget.paste}")
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    count = LoadCounter(page)
    page.goto(f"http://127.0.0.1:{PORT}/page.html", wait_until="networkidle")
    before = count.summary()
    if widget.opens:
        page.locator(widget.opens).first.click()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1500)  # what loads after opening has no event of its own
    print(f"{widget.name:10} before the first click {before} | open {count.summary()}")
    page.context.close()


def main() -> None:
    """Prints a row for each."""
    folder = Path(tempfile.mkdtemp())
    fetch(folder)
    serve(folder)
    chromium = next(
        path for name in ("chromium", "google-chrome") for path in [f"/usr/bin/{name}"] if Path(path).exists()
    )
    with service(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        for widget in (BATON, *PEERS):
            measure(browser, widget, folder)
        browser.close()


if __name__ == "__main__":
    main()
