"""What a model's or a webhook's server says when it refuses a call: for the log, for /health, and to learn from."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.engines.sanitize import one_line
from app.errors import EngineFailed, EngineRefused

MAX_REASON_CHARS = 300
_MAX_READ_CHARS = 4_000
_FINAL_STATUSES = (401, 402, 403, 404, 405, 410)
"""The key, the account, the address or the name of the model is wrong: the same for every question."""
_FINAL_CODES = re.compile(
    r"invalid_api_key|insufficient_quota|billing|account_deactivated|model_not_found", re.IGNORECASE
)
_MODERATED = re.compile(r"flagged|moderat|content policy|safety", re.IGNORECASE)
_REFUSED = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields|parameters)"
    r"|extra_forbidden|not (?:permitted|allowed|accepted)|instead|additional propert"
    r"|invalid (?:parameter|argument|field)",
    re.IGNORECASE,
)
_SYSTEM_ROLE = re.compile(r"\bsystem\b.{0,40}\b(?:role|message)|\brole\b.{0,40}\bsystem\b", re.IGNORECASE | re.DOTALL)
_SECRET = re.compile(
    r"\b(?:sk|pk|key|gsk|hf|xai|AIza)[-_][^\s'\",;]{3,300}|\bBearer\s+\S{1,300}|[A-Za-z0-9_*+/=-]{24,300}"
)
_PRIVATE_WORDS = 4
"""A run of this many words of a visitor's text is not repeated in the log."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that is an error. ``reason`` is the server's own, in one line, without secrets and questions."""

    status: int
    """0 for an error inside a stream that names none."""
    reason: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.status or ''} {self.reason}".strip()

    @property
    def is_final(self) -> bool:
        """Whether the server refuses every call, until somebody changes a setting or pays a bill."""
        if self.status == 403 and _MODERATED.search(self.reason):
            return False
        return self.status in _FINAL_STATUSES or bool(_FINAL_CODES.search(self.code))

    def as_error(self, who: str, wait: str = "") -> EngineFailed:
        """The error in words that a visitor may see. ``who`` is "The model"; ``wait`` the header Retry-After."""
        if self.is_final:
            return EngineRefused(f"{who} cannot be used just now. The site's operator has to look into it.")
        if self.status == 429:
            return EngineFailed(
                f"{who} is too busy just now.", retry_after=int(min(retry_after(wait) or 1, 3_600)) or 1
            )
        if self.status >= 500:
            return EngineFailed(f"{who} is in trouble just now.")
        return EngineFailed(f"{who} refused the question.")


def status_in(body: object) -> int:
    """The HTTP status that an error inside a stream names as its ``code`` or ``status``; 0 where it names none."""
    fields = body if isinstance(body, Mapping) else {}
    match = re.fullmatch(r"[45][0-9]{2}", str(fields.get("code") or fields.get("status") or ""))
    return int(match[0]) if match else 0


def read_refusal(status: int, body: object, *, secrets: Iterable[str] = (), private: Sequence[str] = ()) -> Refusal:
    """What the body of an error says. ``secrets`` and what visitors wrote (``private``) are taken out of it."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    fields = error if isinstance(error, Mapping) else {"message": error}
    candidates = [fields.get(name) for name in ("message", "detail", "msg", "error_description", "title")]
    reason = " ".join(filter(None, map(_sentence, candidates)))[:_MAX_READ_CHARS]
    code = " ".join(str(fields[name]) for name in ("code", "type") if isinstance(fields.get(name), str))[:200]
    parameter = fields.get("param")
    if isinstance(parameter, str) and parameter not in reason:
        reason = f"{reason} ({parameter})"
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "…")
    reason = _without_private(_SECRET.sub("…", reason), private)
    return Refusal(status, one_line(reason, MAX_REASON_CHARS), code)


def _sentence(value: object) -> str:
    """A message; of a list of errors as pydantic writes them, where each is and what it says, never its input."""
    if isinstance(value, str):
        return "" if value.lstrip().startswith("<") else value  # a web page
    if isinstance(value, list):
        entries = [entry for entry in value[:5] if isinstance(entry, Mapping)]
        return "; ".join(f"{'.'.join(map(str, entry.get('loc') or ()))}: {entry.get('msg', '')}" for entry in entries)
    return ""


def _without_private(reason: str, private: Sequence[str]) -> str:
    """The reason without what visitors wrote: cut before the first run of words that stands in one of their texts."""
    theirs: set[tuple[str, ...]] = set()
    for text in private:
        words = re.findall(r"\w+", text.lower())[:2_000]
        size = min(_PRIVATE_WORDS, len(words))
        theirs.update(tuple(words[at : at + size]) for at in range(len(words) - size + 1) if size)
    found = list(re.finditer(r"\w+", reason))
    words = [match[0].lower() for match in found]
    for at in range(len(words)):
        for size in range(1, _PRIVATE_WORDS + 1):
            run = tuple(words[at : at + size])
            if run in theirs and (size == _PRIVATE_WORDS or len("".join(run)) > 12):
                return reason[: found[at].start()] + "…"
    return reason


@dataclass(frozen=True, slots=True)
class ChatParameters:
    """What a model's server is sent beside the model's name and the question, as far as it takes it."""

    max_tokens: int
    limit_names: tuple[str, ...]
    """Names for the limit of an answer that have not been refused yet; the first one is used."""
    usage: bool = True
    """Whether it is asked to count tokens."""
    system_role: bool = True

    def arguments(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """The arguments of the call."""
        arguments: dict[str, Any] = {"messages": messages if self.system_role else _without_system_role(messages)}
        if self.limit_names:
            arguments[self.limit_names[0]] = self.max_tokens
        if self.usage:
            arguments["stream_options"] = {"include_usage": True}
        return arguments

    def after(self, refusal: Refusal) -> ChatParameters | None:
        """What the server may take instead; None where it refuses none of these parameters."""
        if refusal.status not in (400, 404, 422, 500) or not _REFUSED.search(refusal.reason):
            return None
        if self.usage and "stream_options" in refusal.reason:
            return replace(self, usage=False)
        if self.limit_names and re.search(rf"\b{self.limit_names[0]}\b", refusal.reason):
            return replace(self, limit_names=self.limit_names[1:])
        if self.system_role and _SYSTEM_ROLE.search(refusal.reason):
            return replace(self, system_role=False)
        return None


def _without_system_role(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages for a model without a system role: its rules begin the user's first message."""
    system, *rest = messages
    at = next(number for number, message in enumerate(rest) if message["role"] == "user")
    first = {"role": "user", "content": f"{system['content']}\n\n{rest[at]['content']}"}
    return [*rest[:at], first, *rest[at + 1 :]]


def retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, a number or a date; None where there is none."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
