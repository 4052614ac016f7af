"""Logs as JSON lines on stderr that never hold a session id, a ticket, a credential or a visitor's text.

gunicorn.conf.py loads this file alone, before gevent patches anything: what it imports has to be little.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import traceback
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

_log = logging.getLogger(__name__)

access_logger = logging.getLogger("baton.access")
"""Gets one line a request; switch it off by its level."""

_TAIL = r"(?:_|%5[Ff])(?:[A-Za-z0-9_-]|%[0-9A-Fa-f]{2}){16,}"
_TOKENS = (
    (re.compile(r"(?:r|%72)(?:e|%65)(?:s|%73)(?:p|%70)" + _TAIL), "resp_***"),
    (re.compile(r"(?:i|%69)(?:n|%6[Ee])(?:v|%76)" + _TAIL), "inv_***"),
    (re.compile(r"(?:d|%64)(?:s|%73)(?:k|%6[Bb])" + _TAIL), "dsk_***"),
    (re.compile(r"(?:s|%73)(?:e|%65)(?:s|%73)" + _TAIL), "ses_***"),
    (re.compile(r"(?:t|%74)(?:k|%6[Bb])(?:t|%74)" + _TAIL), "tkt_***"),
)
"""Sixteen characters are enough, so that an id cut short or run into other text is redacted as well."""
_CREDENTIAL = re.compile(
    r"(?P<bearer>\b[Bb]earer(?: |%20|\+))[^\s\"'\\,]+"
    r"|(?P<address>(?<![a-z+])[a-z+]++://[^\s/:@\"']*+:)[^\s/@\"']++(?=@)"
    r"|\beyJ[A-Za-z0-9_-]{8,}+(?P<token>\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)?"
)
_STANDARD_FIELDS = frozenset(RESERVED_ATTRS)


def redact(text: str) -> str:
    """The text without session ids, tickets, invitations, logins (also percent-encoded), bearers and URL passwords."""
    for token, mask in _TOKENS:
        text = token.sub(mask, text)
    return _CREDENTIAL.sub(_mask_credential, text)


def _mask_credential(match: re.Match[str]) -> str:
    if match[0].startswith("eyJ") and not match["token"]:
        return match[0]  # one part of three: matched all the same, so that its letters are not scanned again
    return (match["bearer"] or match["address"] or "") + "***"


def safe_traceback(error: BaseException) -> list[str]:
    """Types and code locations of an exception and of its causes, innermost last, without any message.

    A message may quote what a visitor wrote; file, line and function may not.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        lines += [f"  {f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(current.__traceback__)[-30:]]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


class RedactingFilter(logging.Filter):
    """Redacts a record in place: its message with the arguments, its extra fields, and its exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        record.msg, record.args = redact(_message(record)), None
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS}
        for name, value in extra.items():
            del record.__dict__[name]
            record.__dict__[redact(name)] = _redact_value(value)
        if record.exc_info and record.exc_info[1] is not None:
            record.traceback = _redact_value(safe_traceback(record.exc_info[1]))
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - whatever an argument's own str() raises must not lose the line
        return str(record.msg)


def _redact_value(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redact(str(name)): _redact_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_redact_value(item) for item in value]
    return redact(str(value))


class JsonFormatter(OrjsonFormatter):
    """One JSON object a record: time, level, logger, message, request_id and the extra fields."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        super().__init__([*names, "message"], rename_fields=names)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Adds the id of the current request."""
        super().add_fields(log_data, record, message_dict)
        log_data["level"] = log_data["level"].lower()
        if current := request_id():
            log_data["request_id"] = current


class AccessFormatter(JsonFormatter):
    """The same for access lines, whose fields (``record.fields``) the middleware made: nothing in them to redact."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Adds the fields as they are."""
        log_data["time"] = record.asctime
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["message"] = redact(record.message)
        log_data.update(record.__dict__.get("fields", message_dict))


class ReadableFormatter(logging.Formatter):
    """A line for people at a terminal: the time, the level where it is a warning or worse, the message, the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line; a traceback follows it."""
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS}
        fields = extra.pop("fields", {}) | extra
        traceback_lines = fields.pop("traceback", [])
        message = record.getMessage()
        if record.name == access_logger.name:
            names = ("method", "route", "status")
            message = " ".join(str(fields.pop(name, "-")) for name in names) + f" {fields.pop('ms', '-')} ms"
            fields.pop("request_id", None)
        level = f"{record.levelname} " if record.levelno >= logging.WARNING else ""
        head = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {level}{message}"
        line = " ".join([head, *(f"{name}={value}" for name, value in fields.items())])
        return "\n    ".join([redact(line).replace("\n", " "), *traceback_lines])


def request_id() -> str:
    """The id that the middleware gave the current request; "" outside of one."""
    from flask.globals import request  # not in gunicorn's master: see the top

    return str(request.environ.get("baton.request_id", "")) if request else ""


def install_thread_excepthook() -> None:
    """Logs exceptions that end a thread, unless another hook is installed already.

    Python itself would print their messages, which may quote a visitor.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_thread_exception


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        extra = {"traceback": safe_traceback(args.exc_value)}
        _log.error("a thread ended with %s", args.exc_type.__name__, extra=extra)


def configure(level: str, *, readable: bool = False) -> dict[str, Any]:
    """The ``logging.config.dictConfig`` for a whole process, from ``level`` upwards; ``readable``: for a terminal."""
    wanted = level.upper()
    quieter = "WARNING" if wanted in ("DEBUG", "INFO") else wanted
    to_stderr = {"handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": RedactingFilter}},
        "formatters": {
            "json": {"()": ReadableFormatter if readable else JsonFormatter},
            "access": {"()": ReadableFormatter if readable else AccessFormatter},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "json",
                "filters": ["redact"],
            },
            "access": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "access"},
        },
        "root": {"level": quieter, "handlers": ["stderr"]},
        "loggers": {
            "app": {"level": wanted, **to_stderr},
            "baton": {"level": wanted, **to_stderr},
            # Who did what at the desk is written whatever LOG_LEVEL says.
            "baton.audit": {"level": "INFO", **to_stderr},
            "baton.access": {"level": wanted, "handlers": ["access"], "propagate": False},
            # At a terminal one line of ours says that the service is up, and where.
            "gunicorn.error": {"level": quieter if readable else wanted, **to_stderr},
            # Its line would hold the query string and the Referer; the middleware writes one instead.
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            "werkzeug": {"level": quieter, **to_stderr},
            "redis": {"level": quieter, **to_stderr},
            # Below warning these two would log what visitors wrote.
            "httpx": {"level": quieter, **to_stderr},
            "openai": {"level": quieter, **to_stderr},
        },
    }
