"""Writes logs as JSON lines that never hold a session id, a ticket or a credential."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

from flask import has_request_context
from flask.globals import request

from app.batch import Batch
from app.conversations.ids import timestamp

_log = logging.getLogger(__name__)

ACCESS = logging.getLogger("baton.access")
"""Where the one line a request goes; switch it off by its level."""

_TAIL = r"(?:_|%5[Ff])(?:[A-Za-z0-9_-]|%[0-9A-Fa-f]{2}){16,}"
_TOKENS = (
    (re.compile(r"(?:s|%73)(?:e|%65)(?:s|%73)" + _TAIL), "ses_***"),
    (re.compile(r"(?:t|%74)(?:k|%6[Bb])(?:t|%74)" + _TAIL), "tkt_***"),
)
"""Sixteen characters suffice, so that an id cut short or run into other text is masked as well."""
_CREDENTIAL = re.compile(
    r"(?P<bearer>\b[Bb]earer(?: |%20|\+))[^\s\"'\\,]+"
    r"|(?P<address>(?<![a-z+])[a-z+]++://[^\s/:@\"']*+:)[^\s/@\"']++(?=@)"
    r"|\beyJ[A-Za-z0-9_-]{8,}+(?P<token>\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)?"
)
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """The text with session ids, tickets (also percent-encoded), bearer credentials and URL passwords masked."""
    for token, mask in _TOKENS:
        text = token.sub(mask, text)
    return _CREDENTIAL.sub(_mask_credential, text)


def _mask_credential(match: re.Match[str]) -> str:
    if match[0].startswith("eyJ") and not match["token"]:
        return match[0]  # one part of three: matched all the same, so that nobody looks at its letters again
    return (match["bearer"] or match["address"] or "") + "***"


def frames(error: BaseException) -> list[str]:
    """Types and places of an exception and of what caused it, innermost place last, without any message.

    A message may quote what a visitor wrote; file, line and function may not.
    """
    told: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        told.append(f"{type(current).__module__}.{type(current).__qualname__}")
        told += [f"  {f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(current.__traceback__)[-30:]]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return told


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, request_id, what was given as ``extra``, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, redacted as a whole, so that nothing in args, extras or tracebacks slips by."""
        entry: dict[str, Any] = {
            "time": timestamp(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if has_request_context():
            entry["request_id"] = request_id()
        entry.update((name, value) for name, value in record.__dict__.items() if name not in _OWN)
        if record.exc_info and record.exc_info[1] is not None:
            entry["traceback"] = frames(record.exc_info[1])
        return redact(json.dumps(entry, ensure_ascii=False, default=str))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - whatever an argument's own str() raises must not lose the line
        return str(record.msg)


def tell_strays() -> None:
    """Have exceptions that end a thread told as any other, unless somebody else listens for them already.

    Python itself would print their messages, which may quote a visitor.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _stray


def _stray(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        places = {"traceback": frames(told.exc_value)}
        _log.error("a thread ended with %s", told.exc_type.__name__, extra=places)


def request_id() -> str:
    """The id of the current request, given by us; "" outside of one."""
    return str(request.environ.get("baton.request_id", "")) if has_request_context() else ""


def _write(lines: list[str]) -> None:
    sys.stderr.write("".join(lines))
    sys.stderr.flush()


ACCESS_LINES = Batch(_write, "access-log")


def access_line(method: str, route: str, status: str, seconds: float, known: Mapping[str, Any]) -> None:
    """Note one line on a request: its path template, never its path; ``seconds`` until the answer began.

    ``known`` is the request's environ, where ``baton.session_ref`` names the session once it is known.
    Built by hand: a log record takes far longer.
    """
    ref = known.get("baton.session_ref")
    ACCESS_LINES.add(
        f'{{"time": "{timestamp(int(time.time() * 1000))}", "level": "info", "logger": "baton.access", '
        f'"message": "request", "method": "{method}", "route": "{route}", "status": {status}, '
        f'"ms": {seconds * 1000:.1f}, "request_id": "{known["baton.request_id"]}"'
        + (f', "session": "{ref[:10]}"}}\n' if ref else "}\n")
    )


def configure(level: str) -> dict[str, Any]:
    """The ``logging.config.dictConfig`` for a whole process: JSON lines on stderr from ``level`` upwards.

    Fit for gunicorn's ``logconfig_dict`` too, but gunicorn then builds an access line of its own for every request,
    also when nobody reads it: better give this to ``dictConfig`` yourself and leave gunicorn's access log off.
    """
    wanted = level.upper()
    quieter = "WARNING" if wanted in ("DEBUG", "INFO") else wanted
    ours = {"handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "app.logging_config.JsonLines"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}},
        "root": {"level": quieter, "handlers": ["stderr"]},
        "loggers": {
            "app": {"level": wanted, **ours},
            "baton": {"level": wanted, **ours},
            "gunicorn.error": {"level": wanted, **ours},
            # Its line holds the query string and the Referer; ours stands in for it.
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            "werkzeug": {"level": quieter, **ours},
            "redis": {"level": quieter, **ours},
            # Below warning these two would print what visitors wrote.
            "httpx": {"level": quieter, **ours},
            "openai": {"level": quieter, **ours},
        },
    }
