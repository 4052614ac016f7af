"""The audit log: which operator did what to which conversation, and how it went. Never a text, a name or a token."""

from __future__ import annotations

import logging
from typing import Any

from app.auth.operators import Operator

_log = logging.getLogger("baton.audit")


def audit_line(
    action: str, status: int, operator: Operator | None, *, by_api_key: bool = False, **about: object
) -> None:
    """One line; ``about``: what else it concerns, such as the ``ref`` of a conversation."""
    fields: dict[str, Any] = {"action": action, "status": status, "operator": "-", "role": "-"}
    if operator is not None:
        fields |= {"operator": operator.id, "role": operator.role}
    if by_api_key:
        fields["by_api_key"] = True
    fields |= {name: str(value)[:64] for name, value in about.items()}
    _log.info("audit", extra=fields)
