"""Stored responses of the OpenAI protocol: which turn of which session an id stands for.

A response is a turn, and its id a random name for it. The entry in Redis holds the session id encrypted under the API
key, so that it opens nothing by itself; it counts as none once the session is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from app.conversations.names import NameStore
from app.errors import PathNotFound

_ID = re.compile(r"resp_[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What a response's id stands for."""

    id: str
    session_id: str
    turn_id: str
    start: int
    """The number of the event before the turn's first."""
    created_at: int
    """Unix time."""
    model: str
    background: bool = False
    previous_id: str | None = None
    truncation: str = "disabled"
    continued: bool = False
    """Whether another response went on in this one's session."""


class ResponseDirectory:
    """Finds responses by their ids."""

    def __init__(self, entries: NameStore, api_key: str, *, max_age: int) -> None:
        """``max_age`` of a session, in seconds: no entry lives longer."""
        self._entries = entries
        self._max_age = max_age
        self._secret = hmac.digest(api_key.encode(), b"response:", "sha256")

    def new_id(self) -> str:
        """An id that nobody can guess."""
        return f"resp_{secrets.token_urlsafe(24)}"

    def save(self, response: StoredResponse) -> None:
        """Stores the entry of a new response."""
        self._replace(b"", response)

    def find(self, response_id: str) -> StoredResponse:
        """Raises PathNotFound."""
        return self._read(response_id)[1]

    def claim(self, response_id: str) -> bool:
        """Whether the caller, and nobody else, may go on in the session of this response. Raises PathNotFound."""
        sealed, response = self._read(response_id)
        return not response.continued and self._replace(sealed, replace(response, continued=True))

    def _read(self, response_id: str) -> tuple[bytes, StoredResponse]:
        sealed = self._entries.get_name(_entry(response_id)) if _ID.fullmatch(response_id) else b""
        try:
            fields: dict[str, Any] = orjson.loads(Aead(self._secret).decrypt(sealed, _entry(response_id).encode()))
        except (CryptoError, ValueError):
            raise PathNotFound("There is no such response.") from None
        return sealed, StoredResponse(**fields)

    def _replace(self, known: bytes, response: StoredResponse) -> bool:
        entry = _entry(response.id)
        sealed = Aead(self._secret).encrypt(orjson.dumps(asdict(response)), entry.encode())
        expires_at = (response.created_at + self._max_age) * 1000
        return self._entries.set_name(entry, known, bytes(sealed), response.created_at * 1000, expires_at)

    def delete(self, response_id: str) -> None:
        """Forgets the id."""
        self._entries.delete_name(_entry(response_id))


def _entry(response_id: str) -> str:
    return f"baton:response:{{{hashlib.sha256(response_id.encode()).hexdigest()[:32]}}}"
