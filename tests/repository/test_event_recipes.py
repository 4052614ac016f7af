"""The recipes of docs/events.md, run as they stand: a chat of one's own hears of visitors, and answers them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from tests.conftest import free_port, until
from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import API_KEY, NO_LIMITS, SCRIPTED
from tests.contract.desk_client import ServerClient
from tests.contract.launch import RedisProcess, Service
from tests.event_receiver import SECRET
from tests.repository.snippets import snippet_with

RECIPES = ("bridge", "slack", "telegram", "mailer", "mail_in")
CHAT_SECRET = "secret-of-the-chat-0123"


@dataclass
class Chat:
    """Slack's and Telegram's API and a mail server as far as the recipes need them: what they received."""

    port: int = 0
    mail_port: int = 0
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)

    def texts(self) -> list[str]:
        return [str(fields.get("text", "")) for path, fields in self.calls if "essage" in path]


@pytest.fixture
def chat() -> Iterator[Chat]:
    one = Chat()

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            fields = json.loads(body) if "json" in self.headers["content-type"] else dict(parse_qsl(body))
            one.calls.append((self.path, fields))
            root = next((f for path, f in one.calls if path.endswith("chat.postMessage")), {})
            answer = json.dumps({"ok": True, "ts": "100.5", "messages": [root]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line.strip().upper()
                self.wfile.write({b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
                if word == b"DATA":
                    text = b"".join(iter(self.rfile.readline, b".\r\n"))
                    mail = message_from_bytes(text, policy=policy.default)
                    assert isinstance(mail, EmailMessage)
                    one.mails.append(mail)
                    self.wfile.write(b"250 ok\r\n")

    socketserver.ThreadingTCPServer.daemon_threads = True
    api, smtp = ThreadingHTTPServer(("127.0.0.1", 0), Api), socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp)
    one.port, one.mail_port = api.server_address[1], smtp.server_address[1]
    for server in (api, smtp):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield one
    for server in (api, smtp):
        server.shutdown()
        server.server_close()


@dataclass
class Bridged:
    """A service whose events go to a bridge."""

    base: str
    bridge: str
    server: ServerClient
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def waiting(self) -> tuple[Visitor, str]:
        """A visitor who asks for a person, and their conversation's ref."""
        visitor = ApiClient(self.base).create()
        visitor.ask("What does shipping cost?")
        assert visitor.post("/human", {}).json()["handler"] == "queue"
        rows: list[dict[str, Any]] = []
        until(lambda: rows.extend(self.server.call("GET", "/conversations?view=queue").json()["conversations"]) or rows)
        return visitor, str(rows[0]["ref"])


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Service, int]]:
    """A service with the desk, and the port at which it expects the bridge."""
    redis, port = RedisProcess(), free_port()
    settings = {
        "BATON_API_KEY": API_KEY, "BATON_DESK": "on", "BATON_EVENTS_SECRET": SECRET,
        "BATON_EVENTS_URL": f"http://127.0.0.1:{port}/baton", "BATON_WEBHOOK_ALLOW_PRIVATE": "on",
    }  # fmt: skip
    one = Service(redis.url, **NO_LIMITS, **SCRIPTED, **settings)
    yield one, port
    one.remove()
    redis.stop()


@pytest.fixture
def bridged(service: tuple[Service, int], tmp_path: Path, chat: Chat) -> Iterator[Any]:
    """Starts the recipe's code in a process of its own."""
    with contextlib.ExitStack() as stack:

        def start(recipe: str) -> Bridged:
            for name in RECIPES:
                (tmp_path / f"{name}.py").write_text(snippet_with(f'"""{name}.py:', "python"))
            base, port = service[0].base, service[1]
            server = ServerClient(base, API_KEY)
            environ = {
                "PATH": os.environ["PATH"], "CHAT_URL": base, "BATON_API_KEY": API_KEY,
                "BATON_EVENTS_SECRET": SECRET, "OPERATOR_ID": server.invite("Support", "operator")[0],
                "SLACK_URL": f"http://127.0.0.1:{chat.port}", "SLACK_TOKEN": "xoxb-1", "SLACK_SECRET": CHAT_SECRET,
                "SLACK_CHANNEL": "C1", "TELEGRAM_URL": f"http://127.0.0.1:{chat.port}", "TELEGRAM_TOKEN": "1:a",
                "TELEGRAM_CHAT": "-100", "TELEGRAM_SECRET": CHAT_SECRET, "MAIL_FROM": "chat@example.com",
                "MAIL_TO": "support@example.com", "MAIL_SERVER": f"127.0.0.1:{chat.mail_port}",
            }  # fmt: skip
            run = f"import {recipe} as r; r.bridge.available(True); r.app.run(port={port}, threaded=True)"
            process = subprocess.Popen(
                [sys.executable, "-c", run], cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            bridge = f"http://127.0.0.1:{port}"

            def is_up() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return httpx.get(bridge, timeout=5).status_code == 404
                return False

            until(is_up, 20, "the bridge")
            return Bridged(base, bridge, server, tmp_path, environ)

        yield start


def last_word(visitor: Visitor) -> tuple[str, str]:
    """Who said the last message, and what it is."""
    last = visitor.history()[-1]
    return last.get("author", {}).get("name", last["role"]), last["content"]


def handler(visitor: Visitor) -> str:
    return str(visitor.get().json()["handler"])


def test_slack(bridged: Any, chat: Chat) -> None:
    """A thread in Slack hears the question and what follows; a reply there takes over, ` /bot` gives back."""
    one: Bridged = bridged("slack")
    visitor, ref = one.waiting()
    until(lambda: chat.texts(), 15, "Slack to hear of it")
    assert ref in chat.texts()[0]
    assert "user: What does shipping cost?" in chat.texts()[0]

    def event(text: str, ts: str, **more: Any) -> httpx.Response:
        sent = {"type": "message", "channel": "C1", "thread_ts": "100.5", "ts": ts, "text": text, **more}
        body, stamp = json.dumps({"event": sent}), str(int(time.time()))
        signed = hmac.new(CHAT_SECRET.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signed}"}
        return httpx.post(f"{one.bridge}/slack", content=body, headers=headers, timeout=10)

    for _ in range(2):  # Slack sends an event again when it had no answer
        assert event("Five euros.", "101.1").status_code == 200
    assert event("I am the bot itself", "101.2", bot_id="B1").status_code == 200
    assert [one["content"] for one in visitor.history() if one["role"] == "assistant"][1:] == ["Five euros."]
    assert last_word(visitor) == ("Support", "Five euros.")
    assert handler(visitor) == "human"
    assert visitor.ask("And abroad?").status_code == 202
    until(lambda: any("And abroad?" in text for text in chat.texts()), 15, "Slack to hear the next question")
    assert chat.calls[-1][1]["thread_ts"] == "100.5"
    assert event(" /bot", "101.3").status_code == 200
    assert handler(visitor) == "bot"
    forged = httpx.post(f"{one.bridge}/slack", content="{}", headers={"X-Slack-Signature": "v0=00"}, timeout=10)
    assert forged.status_code == 401
    assert httpx.post(f"{one.bridge}/baton", content="{}", timeout=10).status_code == 401


def test_telegram(bridged: Any, chat: Chat) -> None:
    """A group in Telegram hears the question; a reply to that message takes over, `/bot` gives back."""
    one: Bridged = bridged("telegram")
    visitor, ref = one.waiting()
    until(lambda: chat.texts(), 15, "Telegram to hear of it")
    assert chat.calls[0][0] == "/bot1:a/sendMessage"

    def update(text: str, number: int, secret: str = CHAT_SECRET, chat_id: int = -100) -> httpx.Response:
        parent = {"text": chat.texts()[0], "from": {"is_bot": True}}
        message = {"message_id": number, "chat": {"id": chat_id}, "text": text, "reply_to_message": parent}
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
        return httpx.post(f"{one.bridge}/telegram", json={"message": message}, headers=headers, timeout=10)

    assert update("no", 1, secret="wrong").status_code == 401
    assert update("from another group", 2, chat_id=-7).status_code == 200
    assert update("Five euros.", 3).status_code == 200
    assert last_word(visitor) == ("Support", "Five euros.")
    assert handler(visitor) == "human"
    assert update("/bot", 4).status_code == 200
    assert handler(visitor) == "bot"
    assert ref in chat.texts()[0]


def test_mail(bridged: Any, chat: Chat) -> None:
    """A mail holds the question; a reply's new lines go to the visitor; a made-up subject opens nothing."""
    one: Bridged = bridged("mailer")
    visitor, ref = one.waiting()
    until(lambda: chat.mails, 15, "a mail")
    notification = chat.mails[0]
    assert notification["To"] == "support@example.com"
    assert "user: What does shipping cost?" in notification.get_content()

    def answer(subject: str, text: str, number: int) -> int:
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["Message-ID"] = subject, "anna@example.com", f"<{number}@example.com>"
        mail.set_content(f"{text}\n\nOn Monday chat@example.com wrote:\n> {ref}\n")
        ran = subprocess.run([sys.executable, "mail_in.py"], cwd=one.folder, env=one.environ, input=bytes(mail))
        return ran.returncode

    assert answer(f"Re: {notification['Subject']}", "Five euros.\nAnything else?", 1) == 0
    assert last_word(visitor) == ("Support", "Five euros.\nAnything else?")
    forged = re.sub(r"[0-9a-f]{16}$", "0" * 16, str(notification["Subject"]))
    assert answer(f"Re: {forged}", "Send me money", 2) == 77
    assert answer("Hello", "Send me money", 3) == 77
    assert last_word(visitor)[1].startswith("Five")
    assert answer(f"AW: {notification['Subject']}", "/bot", 4) == 0
    assert handler(visitor) == "bot"
