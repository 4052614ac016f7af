"""Rules of fields: text comes back as it was sent, and what is wrong is refused by name, never quoted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.json_body import parse_json_object
from app.api.schemas import (
    AppendMessageRequest,
    CreateSessionRequest,
    HandoffRequest,
    ListMessagesQuery,
    RateMessageRequest,
    RequestModel,
    ResumeRequest,
    TranscriptQuery,
)
from app.errors import InvalidRequest

UNICODE_WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000"


def errors_of(model: type[RequestModel], fields: dict[str, Any], max_chars: int = 10) -> dict[str, str]:
    """What is wrong with these fields, by name."""
    with pytest.raises(InvalidRequest) as caught:
        model.parse(fields, max_chars=max_chars)
    assert caught.value.errors
    return {error["field"]: error["detail"] for error in caught.value.errors}


def message(fields: dict[str, Any], max_chars: int = 10) -> AppendMessageRequest:
    return AppendMessageRequest.parse(fields, max_chars=max_chars)


@given(st.text(min_size=1, max_size=200))
def test_text_comes_back_as_sent(value: str) -> None:
    """Text that is more than white space is given back exactly, control characters and all (R20)."""
    fields = parse_json_object(json.dumps({"message": value}).encode())
    if value.strip("".join(map(chr, range(0x2000, 0x200B))) + UNICODE_WHITESPACE):
        assert message(fields, 200).message == value
    else:
        assert errors_of(AppendMessageRequest, fields, 200) == {"message": "must not be empty"}


@pytest.mark.parametrize("value", ["\x00", "\x1c\x1f", "\u200b", "\u202e", " \ufeff ", "\u200d", "  x  "])
def test_odd_text_is_text(value: str) -> None:
    """Control characters, joiners and bidi marks are text, and nothing is trimmed."""
    assert message({"message": value}).message == value


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        *((value, "must be a string") for value in (None, 1, True, [], {}, ["a"])),
        *((value, "must not be empty") for value in ("", " ", "\t\n\r\v\f", "\u00a0\u3000\u2028")),
        *((value, "holds half of a surrogate pair, which is not a character") for value in ("\ud800", "a\udfffb")),
        ("x" * 11, "must have at most 10 characters"),
    ],
)
def test_text_refused(value: Any, detail: str) -> None:
    """What is not a string, empty, white space alone, too long or not encodable is 422 and names the field."""
    assert errors_of(AppendMessageRequest, {"message": value}) == {"message": detail}


def test_text_bounds() -> None:
    """Length is counted in characters; a missing field is named."""
    assert message({"message": "\U0001f600" * 10}).message == "\U0001f600" * 10
    assert errors_of(AppendMessageRequest, {}) == {"message": "is missing"}


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_optional_text_may_be_blank(value: str | None) -> None:
    """An optional text may be absent, null or blank, which is the same; but not too long or of another type."""
    assert CreateSessionRequest.parse({"user_token": value}).user_token is None
    assert RateMessageRequest.parse({"rating": "up", "comment": value}).comment is None
    for wrong in (" " * 4097, 5, "\ud800"):
        assert list(errors_of(CreateSessionRequest, {"user_token": wrong})) == ["user_token"]


def test_metadata() -> None:
    """Metadata is an object of at most 4 KiB as compact JSON in UTF-8; absent and null are none."""
    assert CreateSessionRequest.parse({}).metadata is None
    assert CreateSessionRequest.parse({"metadata": None}).metadata is None
    fits = {"k": "\u00e4" * 2044}  # with {"k":""} around it: 4096 bytes
    assert CreateSessionRequest.parse({"metadata": fits}).metadata == fits
    for wrong in ({"k": "\u00e4" * 2044 + "x"}, {"k": "\ud800"}, {"\udfff": 1}, {"k": 10**30}, [], "x", 1, False):
        assert list(errors_of(CreateSessionRequest, {"metadata": wrong})) == ["metadata"]


def test_client_id() -> None:
    """A client id is 1 to 64 of its letters; absent and null are none."""
    for good in ("Az09_.:-", "x" * 64, None):
        assert message({"message": "x", "client_id": good}).client_id == good
    for wrong in ("", "x" * 65, "a b", "\u00e4", "a\n", "a/b", 1, True, [], {}):
        assert list(errors_of(AppendMessageRequest, {"message": "x", "client_id": wrong})) == ["client_id"]


def test_choices() -> None:
    """A choice is one of its words, exactly; absent and null mean the default."""
    assert HandoffRequest.parse({"kind": "share"}).kind == "share"
    assert HandoffRequest.parse({}).kind is HandoffRequest.parse({"kind": None}).kind is None
    assert TranscriptQuery.parse({}).format == "md"
    for wrong in ("Once", "", "on", 1, [], {}, True):
        assert errors_of(HandoffRequest, {"kind": wrong}) == {"kind": "must be 'once' or 'share'"}


def test_a_rating_may_be_null_but_not_absent() -> None:
    """null takes a rating back, so that leaving it out is a mistake."""
    assert RateMessageRequest.parse({"rating": None}).rating is None
    assert errors_of(RateMessageRequest, {}) == {"rating": "is missing"}


def test_limit() -> None:
    """A number in the query is plain digits within its bounds."""
    assert ListMessagesQuery.parse({}).limit == 100
    assert ListMessagesQuery.parse({"limit": "500"}).limit == 500
    for wrong in ("abc", "0", "501", "-1", "+5", " 5", "1e2", "5.0", "", "\u0665", "9" * 5000):
        assert list(errors_of(ListMessagesQuery, {"limit": wrong})) == ["limit"]


def test_one_direction_of_paging() -> None:
    """``after`` and ``before`` exclude each other; ``before`` is the one refused."""
    assert errors_of(ListMessagesQuery, {"after": "a", "before": "b"}) == {
        "before": "cannot be used together with after"
    }


def test_all_wrong_fields_are_named() -> None:
    """Several wrong fields are named in one answer."""
    fields = {"message": "", "client_id": "a b", "metadata": {}}
    assert list(errors_of(AppendMessageRequest, fields)) == ["message", "client_id"]


MODELS = [AppendMessageRequest, CreateSessionRequest, HandoffRequest, ResumeRequest, TranscriptQuery, ListMessagesQuery]


@given(st.sampled_from(MODELS), st.data())
def test_no_error_quotes_the_request(model: type[RequestModel], data: st.DataObject) -> None:
    """Whatever a field holds, the error names the field and says in our own words what it must be."""
    json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3)
    name = data.draw(st.sampled_from(list(model.model_fields)))
    value = data.draw(json_values | st.just("zebra" * 2000))
    try:
        model.parse({"message": "x", name: value}, max_chars=100)
    except InvalidRequest as error:
        details = {entry["field"]: entry["detail"] for entry in error.errors}
        assert set(details) <= {name, "message"}
        for detail in details.values():
            assert "zebra" not in detail
            assert re.match(r"(must|holds|is missing|cannot)", detail), detail
