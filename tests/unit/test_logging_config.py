"""Rules of the log: JSON lines that name what happened and never a secret or a visitor's words."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from flask.globals import request

from app import error_handlers, logging_config, middleware

CANARY = "ses_CANARYcanary0123456789_-CANARYca"
TICKET = "tkt_" + "TICKETticket0123456789" * 2


def line(message: str, *args: object, error: BaseException | None = None, **extra: object) -> dict[str, object]:
    """The line that a record becomes, read back."""
    record = logging.LogRecord("app.test", logging.INFO, __file__, 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    record.__dict__.update(extra)
    return json.loads(formatted(record))


def configured_handler(name: str = "stderr") -> logging.StreamHandler[io.StringIO]:
    """A handler with the filters and the formatter of the configured one, that writes into a text."""
    settings = logging_config.configure("debug")
    handler = logging.StreamHandler(io.StringIO())
    configured = settings["handlers"][name]
    for filter_name in configured.get("filters", []):
        handler.addFilter(settings["filters"][filter_name]["()"]())
    handler.setFormatter(settings["formatters"][configured["formatter"]]["()"]())
    return handler


def formatted(record: logging.LogRecord) -> str:
    """The line that the configured handler writes for a record."""
    handler = configured_handler()
    handler.handle(record)
    (text,) = handler.stream.getvalue().splitlines()
    return text


def raised(words: str) -> BaseException:
    """An exception with these words, that was raised from another with the same."""
    try:
        try:
            raise KeyError(words)
        except KeyError as cause:
            raise ValueError(words) from cause
    except ValueError as error:
        return error


@pytest.fixture
def access() -> Iterator[io.StringIO]:
    """The access lines, switched on."""
    handler = configured_handler("access")
    logger = logging_config.access_logger
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler.stream
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_line_is_an_object() -> None:
    """A record is one line of JSON with time, level, logger, message and what was given beside it."""
    found = line("turn %s took %d ms", "x", 5, turn="t-1")
    assert found["message"] == "turn x took 5 ms"
    assert (found["level"], found["logger"], found["turn"]) == ("info", "app.test", "t-1")
    assert str(found["time"]).endswith("Z")
    assert len(str(found["time"])) == len("2026-01-31T12:00:00.123Z")


@pytest.mark.parametrize("secret", [CANARY, TICKET])
def test_secrets_are_masked_everywhere(secret: str) -> None:
    """Ids and tickets are masked in messages, args, extras, nested things and percent-encoded forms (R7)."""
    every = "".join(f"%{ord(letter):02X}" for letter in secret)
    lower = "".join(f"%{ord(letter):02x}" for letter in secret)
    mixed = quote(secret).replace("_", "%5F").replace("C", "%43")
    for shape in (secret, f"/api/session/{secret}/messages?session={secret}&x=1", every, lower, mixed, f"x{secret}y"):
        for found in (
            line(f"asked {shape}"),
            line("asked %s", shape),
            line("asked %(path)s", {"path": shape}),
            line("asked", path=shape, deep={"list": [shape]}),
            line("asked", **{shape: 1}),
        ):
            text = json.dumps(found)
            assert secret[4:] not in text
            assert shape not in text
            assert "***" in text


def test_part_of_an_id_is_masked() -> None:
    """An id that was cut short is masked as well; the short ref of a session may be read."""
    assert logging_config.redact(CANARY[:24]) == "ses_***"
    assert logging_config.redact("session 0123456789 in ses_x") == "session 0123456789 in ses_x"


def test_credentials_are_masked() -> None:
    """Bearer credentials, passwords in addresses and identity tokens are masked."""
    assert logging_config.redact("Authorization: Bearer sk-abc.def") == "Authorization: Bearer ***"
    assert logging_config.redact("redis://user:pa55@host:6379/0") == "redis://user:***@host:6379/0"
    assert logging_config.redact("rediss://:pa55@host/0") == "rediss://:***@host/0"
    assert logging_config.redact("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln") == "token ***"


def test_tracebacks_hold_no_words() -> None:
    """A traceback names types, files and lines of the whole chain, and never the message (R30)."""
    found = line("it broke", error=raised("what the visitor wrote"))
    assert "what the visitor wrote" not in json.dumps(found)
    lines = found["traceback"]
    assert isinstance(lines, list)
    assert "builtins.ValueError" in lines
    assert "builtins.KeyError" in lines
    assert any("test_logging_config.py" in place and "raised" in place for place in lines)


def test_a_wrong_number_of_args_keeps_the_line() -> None:
    """A line whose args do not fit is still written."""
    assert line("only %s", 1, 2)["message"] == "only %s"


def app_with_routes() -> Flask:
    app = Flask(__name__)
    middleware.init_app(app)
    error_handlers.init_app(app)

    @app.get("/api/session/<session_id>/messages")
    def messages(session_id: str) -> dict[str, str]:
        request.environ["baton.session_ref"] = "0123456789abcdef"
        return {}

    @app.post("/api/boom")
    def boom() -> None:
        raise raised(f"visitor words {CANARY}")

    return app


def test_one_access_line(access: io.StringIO) -> None:
    """A request writes one line with method, path template, status, time taken, request id and session ref."""
    answer = app_with_routes().test_client().get(f"/api/session/{CANARY}/messages?session={CANARY}")
    written = access.getvalue().splitlines()
    assert len(written) == 1
    found = json.loads(written[0])
    assert found["route"] == "/api/session/<session_id>/messages"
    assert (found["method"], found["status"], found["session"]) == ("GET", 200, "0123456789")
    assert found["request_id"] == answer.headers["X-Request-Id"]
    assert isinstance(found["ms"], float)
    assert CANARY not in written[0]


def test_strange_requests_write_valid_lines(access: io.StringIO) -> None:
    """Paths that fit no route and methods that nobody knows are not repeated in the line."""
    client = app_with_routes().test_client()
    client.get(f'/no/"such"/{CANARY}')
    client.open("/api/boom", method='X"Y')
    lines = access.getvalue().splitlines()
    assert len(lines) == 2
    for written in lines:
        found = json.loads(written)
        assert CANARY not in written
        assert found["route"] == "-" or found["method"] in ("GET", "OTHER")
        assert found["method"] in ("GET", "OTHER")


def test_unforeseen_errors_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error is one line with its request id and without the visitor's text (R30)."""
    with caplog.at_level(logging.DEBUG):
        answer = app_with_routes().test_client().post("/api/boom", json={"message": "more visitor words"})
    assert answer.status_code == 500
    (record,) = [record for record in caplog.records if record.name != "baton.access"]
    text = formatted(record)
    assert "visitor words" not in text
    assert "ValueError" in text
    assert CANARY not in text
    assert "visitor words" not in answer.get_data(as_text=True)


STRAY = """
import logging.config, threading
from app.logging_config import configure, install_thread_excepthook
logging.config.dictConfig(configure("info"))
install_thread_excepthook()
def work():
    raise ValueError("what the visitor wrote")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_thread_that_fails_is_logged_without_words() -> None:
    """An exception that ends a thread is one line with its type and place, without its message (R30)."""
    ran = subprocess.run([sys.executable, "-c", STRAY], capture_output=True, text=True, check=True, timeout=60)
    assert "visitor" not in ran.stderr
    (written,) = ran.stderr.splitlines()
    assert "ValueError" in json.loads(written)["message"]


PROGRAM = f"""
import logging, logging.config
from app.logging_config import configure
logging.config.dictConfig(configure("Info"))
for name in "app.x gunicorn.error gunicorn.access werkzeug redis httpx openai baton.access any".split():
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(level, "%s at %d", "/chat?session={CANARY}", level)
"""


def test_the_whole_process() -> None:
    """Configured, a process writes JSON lines alone; libraries speak from warnings on, gunicorn's access log never."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == ""
    assert CANARY not in ran.stderr
    body = [(found["logger"], found["level"]) for found in map(json.loads, ran.stderr.splitlines())]
    ours = [(name, level) for name in ("app.x", "gunicorn.error") for level in ("info", "warning", "error")]
    theirs = [(name, level) for name in ("werkzeug", "redis", "httpx", "openai") for level in ("warning", "error")]
    access = [("baton.access", level) for level in ("info", "warning", "error")]
    assert body == [*ours, *theirs, *access, ("any", "warning"), ("any", "error")]


def test_a_terminal_gets_readable_lines() -> None:
    """At a terminal a record is one line for people: no JSON, and redacted like the others."""
    configured = logging_config.configure("info", readable=True)
    formatter = configured["formatters"]["json"]["()"]()
    record = logging.makeLogRecord(
        {"name": "app.x", "levelno": 30, "levelname": "WARNING", "msg": "lost ses_" + "a" * 32, "engine": "webhook"}
    )
    logging_config.RedactingFilter().filter(record)
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING lost ses_\*\*\* engine=webhook", formatter.format(record))
    fields = {"method": "GET", "route": "/api/session/<session_id>", "status": 200, "ms": 1.5, "request_id": "x"}
    access = logging.makeLogRecord({"name": "baton.access", "levelno": 20, "msg": "request", "fields": fields})
    assert formatter.format(access).endswith(" GET /api/session/<session_id> 200 1.5 ms")
