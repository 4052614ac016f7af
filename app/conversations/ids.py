"""The names of a session and the life it leads: a rule over times, not a job."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Status = Literal["active", "abandoned", "ended"]
TicketKind = Literal["once", "signed", "share"]

_ID = re.compile(r"ses_[A-Za-z0-9_-]{32}\Z")
_TICKET = re.compile(r"tkt_([A-Za-z0-9_-]{22})([A-Za-z0-9_-]{24})\Z")


def new_session_id() -> str:
    """A fresh session id: ``ses_`` and 192 random bits, a capability to one conversation."""
    return "ses_" + secrets.token_urlsafe(24)


def hash_session_id(session_id: str | None) -> str | None:
    """What Redis and logs know a session by: 128 bits of SHA-256 in hex; None for what cannot be an id."""
    if session_id is None or not _ID.match(session_id):
        return None
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def session_tag(session_hash: str) -> str:
    """Six characters that mark the message and event ids of a session as its own."""
    return session_hash[:6]


@dataclass(frozen=True, slots=True)
class HandoffTicket:
    """What a link carries in place of the id: where the session is, and a secret that opens its sealed id."""

    text: str
    session_hash: str

    @property
    def hash(self) -> str:
        """What Redis keeps of the ticket."""
        return hashlib.sha256(b"ticket:" + self.text.encode()).hexdigest()[:32]

    def encrypt(self, session_id: str, token: str = "") -> str:
        """The session id, and what proves its owner, readable only with this ticket; in hex."""
        return encrypt(f"{session_id} {token}".rstrip(), b"seal:" + self.text.encode())

    def decrypt(self, sealed: str) -> str:
        """The session id again. Raises ValueError where it was not sealed with this ticket."""
        return self.decrypt_with_token(sealed)[0]

    def decrypt_with_token(self, sealed: str) -> tuple[str, str]:
        """The session id and the owner's proof, empty where there is none. Raises ValueError as ``unseal`` does."""
        found, _, token = decrypt(sealed, b"seal:" + self.text.encode()).partition(" ")
        if hash_session_id(found) != self.session_hash:
            raise ValueError("not sealed with this ticket")
        return found, token


def encrypt(text: str, secret: bytes) -> str:
    """ASCII text that only the secret opens: a one-time pad drawn from it, in hex. One secret seals one text."""
    return _xor_keystream(text.encode("ascii"), secret).hex()


def decrypt(sealed: str, secret: bytes) -> str:
    """The text again; something else where it was sealed with another secret."""
    return _xor_keystream(bytes.fromhex(sealed), secret).decode("ascii", "replace")


def _xor_keystream(data: bytes, secret: bytes) -> bytes:
    pad = hashlib.shake_256(secret).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, pad, strict=True))


def new_ticket(session_hash: str) -> HandoffTicket:
    """A ticket of the session ``ref``: its place (not a secret) and 144 random bits."""
    place = base64.urlsafe_b64encode(bytes.fromhex(session_hash)).decode().rstrip("=")
    return HandoffTicket("tkt_" + place + secrets.token_urlsafe(18), session_hash)


def parse_ticket(text: str) -> HandoffTicket | None:
    """The ticket that ``text`` is, or None where it cannot be one."""
    found = _TICKET.match(text)
    if not found:
        return None
    try:
        return HandoffTicket(text, base64.urlsafe_b64decode(found[1] + "==").hex())
    except (binascii.Error, ValueError):
        return None


def session_status(*, ended: bool, seen: int, now: int, idle: int) -> Status:
    """The status at ``now``: a session not seen for ``idle`` is abandoned until it is seen again. All in ms."""
    if ended:
        return "ended"
    return "abandoned" if now - seen >= idle else "active"


def timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    """The date and time of this second; kept, for a busy worker asks thousands of times in it."""
    return datetime.fromtimestamp(whole, UTC).isoformat().removesuffix("+00:00")
