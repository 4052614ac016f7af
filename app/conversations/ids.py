"""Session ids, handoff tickets, and a session's status computed from its timestamps (no cron job)."""

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
    """The name of a session in Redis and logs: 128 bits of SHA-256 in hex; None for what cannot be an id."""
    if session_id is None or not _ID.match(session_id):
        return None
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def hash_user_id(user_id: str) -> str:
    """What Redis knows of a signed-in user: 128 bits of SHA-256 in hex."""
    return hashlib.sha256(b"user:" + user_id.encode()).hexdigest()[:32]


def session_tag(session_hash: str) -> str:
    """Six characters at the end of a session's message and event ids, so that another session's are recognised."""
    return session_hash[:6]


@dataclass(frozen=True, slots=True)
class HandoffTicket:
    """What a link carries in place of the id: the session's hash, and a secret that decrypts the stored id."""

    text: str
    session_hash: str

    @property
    def hash(self) -> str:
        """All that Redis stores of the ticket itself."""
        return hashlib.sha256(b"ticket:" + self.text.encode()).hexdigest()[:32]

    def encrypt(self, session_id: str, token: str = "") -> str:
        """The session id and the owner's user token, readable only with this ticket; in hex."""
        return encrypt(f"{session_id} {token}".rstrip(), b"seal:" + self.text.encode())

    def decrypt(self, encrypted: str) -> str:
        """The session id. Raises ValueError where it was not encrypted with this ticket."""
        return self.decrypt_with_token(encrypted)[0]

    def decrypt_with_token(self, encrypted: str) -> tuple[str, str]:
        """The session id and the owner's user token, empty where there is none. Raises ValueError like ``decrypt``."""
        session_id, _, token = decrypt(encrypted, b"seal:" + self.text.encode()).partition(" ")
        if hash_session_id(session_id) != self.session_hash:
            raise ValueError("not encrypted with this ticket")
        return session_id, token


def encrypt(text: str, secret: bytes) -> str:
    """ASCII text XORed with a key stream (SHAKE-256) of the secret, in hex. A secret must encrypt one text only."""
    return _xor_keystream(text.encode("ascii"), secret).hex()


def decrypt(encrypted: str, secret: bytes) -> str:
    """The text; something else where it was encrypted with another secret."""
    return _xor_keystream(bytes.fromhex(encrypted), secret).decode("ascii", "replace")


def _xor_keystream(data: bytes, secret: bytes) -> bytes:
    pad = hashlib.shake_256(secret).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, pad, strict=True))


def new_ticket(session_hash: str) -> HandoffTicket:
    """A ticket: the session's hash (not a secret) and 144 random bits."""
    encoded_hash = base64.urlsafe_b64encode(bytes.fromhex(session_hash)).decode().rstrip("=")
    return HandoffTicket("tkt_" + encoded_hash + secrets.token_urlsafe(18), session_hash)


def parse_ticket(text: str) -> HandoffTicket | None:
    """The ticket that ``text`` is, or None where it cannot be one."""
    match = _TICKET.match(text)
    if not match:
        return None
    try:
        return HandoffTicket(text, base64.urlsafe_b64decode(match[1] + "==").hex())
    except (binascii.Error, ValueError):
        return None


def session_status(*, ended: bool, last_seen: int, now: int, idle_timeout: int) -> Status:
    """The status at ``now``: not seen for ``idle_timeout`` means abandoned, until it is seen again. All in ms."""
    if ended:
        return "ended"
    return "abandoned" if now - last_seen >= idle_timeout else "active"


def timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    second, milliseconds = divmod(ms, 1000)
    return f"{_second(second)}.{milliseconds:03d}Z"


@lru_cache(maxsize=64)
def _second(timestamp_s: int) -> str:
    """The date and time of this second; cached, since a busy worker asks thousands of times in it."""
    return datetime.fromtimestamp(timestamp_s, UTC).isoformat().removesuffix("+00:00")
