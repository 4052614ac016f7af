"""Session ids, their hashes and tickets, and when a session counts as abandoned."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.conversations import ids
from tests.conftest import ROOT

IDS = some.from_regex(r"ses_[A-Za-z0-9_-]{32}", fullmatch=True)


def test_ten_thousand_ids_are_well_formed_and_distinct() -> None:
    """R1: every id has the contract's form and none comes twice; nor do their refs."""
    made = [ids.new_session_id() for _ in range(10_000)]
    assert all(re.fullmatch(r"ses_[A-Za-z0-9_-]{32}", one) for one in made)
    assert len(set(made)) == len({ids.hash_session_id(one) for one in made}) == 10_000


def test_ids_use_every_letter_evenly() -> None:
    """The characters of many ids are spread over the whole alphabet, as a cryptographic generator spreads them."""
    letters = "".join(ids.new_session_id()[4:] for _ in range(4_000))
    counts = [letters.count(letter) for letter in sorted(set(letters))]
    assert len(counts) == 64
    assert 0.8 < min(counts) / 2_000 <= max(counts) / 2_000 < 1.2


def test_no_weak_source_of_names_is_imported() -> None:
    """R1: no module of the service draws from ``random`` or makes a clock's UUID."""
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        if path.name == "session.py":
            assert "secrets" in names
            assert not names & {"random", "uuid", "time"}
        assert "uuid" not in names or "uuid1" not in path.read_text(), path


@given(IDS)
def test_a_ref_shows_nothing_of_its_id(session_id: str) -> None:
    """A ref is 128 bits of hex, the same each time, and no part of the id stands in it."""
    ref = ids.hash_session_id(session_id)
    assert ref == ids.hash_session_id(session_id)
    assert ref
    assert re.fullmatch(r"[0-9a-f]{32}", ref)
    assert ids.session_tag(ref) == ref[:6]
    assert session_id[4:] not in ref


@given(some.text() | IDS.map(lambda one: one + "\n") | IDS.map(lambda one: one[:-1]) | IDS.map(str.upper))
def test_what_cannot_be_an_id_has_no_ref(text: str) -> None:
    """Anything else than an id, one letter more or less included, names no session."""
    assert ids.hash_session_id(text) is None
    assert ids.parse_ticket(text) is None


def test_nothing_has_no_ref() -> None:
    """The absence of an id is no id."""
    assert ids.hash_session_id(None) is None


@given(IDS)
def test_a_ticket_finds_its_session_and_opens_its_id(session_id: str) -> None:
    """A ticket read from a link names its session and unseals the id; what Redis holds of it opens nothing."""
    ref = ids.hash_session_id(session_id) or ""
    ticket = ids.new_ticket(ref)
    sealed = ticket.encrypt(session_id)
    read = ids.parse_ticket(ticket.text)
    assert read == ticket
    assert read.decrypt(sealed) == session_id
    assert session_id not in ticket.text
    assert session_id.encode().hex() not in sealed
    assert ticket.text not in ticket.hash
    assert re.fullmatch(r"tkt_[A-Za-z0-9_-]+", ticket.text)


def test_a_ticket_opens_no_other_seal() -> None:
    """What another ticket sealed, or the same one for another session, is refused."""
    session_id, other_id = ids.new_session_id(), ids.new_session_id()
    ticket = ids.new_ticket(ids.hash_session_id(session_id) or "")
    other = ids.new_ticket(ids.hash_session_id(session_id) or "")
    for sealed in (other.encrypt(session_id), ticket.encrypt(other_id), "00" * 36, "zz"):
        with pytest.raises(ValueError):
            ticket.decrypt(sealed)


def test_ten_thousand_tickets_are_distinct() -> None:
    """Tickets of one session never come twice, nor do their hashes."""
    ref = ids.hash_session_id(ids.new_session_id()) or ""
    tickets = [ids.new_ticket(ref) for _ in range(10_000)]
    assert len({one.text for one in tickets}) == len({one.hash for one in tickets}) == 10_000


TIMES = some.integers(0, 4_000_000_000_000)


@given(TIMES, some.integers(-3_600_000, 10**9), some.integers(1_000, 10**8))
def test_a_session_is_abandoned_when_it_was_not_seen_for_the_idle_time(seen: int, passed: int, idle: int) -> None:
    """Active before the idle time has passed, abandoned from then on, whatever the clock; ended is ended."""
    status = ids.session_status(ended=False, last_seen=seen, now=seen + passed, idle_timeout=idle)
    assert status == ("abandoned" if passed >= idle else "active")
    assert ids.session_status(ended=True, last_seen=seen, now=seen + passed, idle_timeout=idle) == "ended"


@given(some.integers(0, 4_000_000_000_000))
def test_times_are_rfc_3339_in_utc_with_milliseconds(ms: int) -> None:
    """A time is written to the millisecond with a Z and reads back as itself."""
    assert ids.timestamp(1769860800123) == "2026-01-31T12:00:00.123Z"
    text = ids.timestamp(ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert datetime.fromisoformat(text) - datetime.fromtimestamp(0, UTC) == timedelta(milliseconds=ms)
