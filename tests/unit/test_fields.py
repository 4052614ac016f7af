"""Rules of fields: text comes back as it was sent, and what is wrong is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api import json_body
from app.errors import InvalidRequest


@given(st.text(min_size=1, max_size=200))
def test_text_comes_back_as_sent(value: str) -> None:
    """Text that is more than white space is given back exactly, control characters and all (R20)."""
    sent = {"message": value}
    found = json_body.parse_object(json.dumps(sent).encode())
    if value.strip(json_body.SPACE):
        assert json_body.text(found, "message", 200) == value
    else:
        with pytest.raises(InvalidRequest):
            json_body.text(found, "message", 200)


@pytest.mark.parametrize("value", ["\x00", "\x1c\x1f", "\u200b", "\u202e", " \ufeff ", "‍", "  x  "])
def test_odd_text_is_text(value: str) -> None:
    """Control characters, joiners and bidi marks are text, and nothing is trimmed."""
    assert json_body.text({"message": value}, "message", 10) == value


@pytest.mark.parametrize(
    "value", [None, 1, True, [], {}, ["a"], "", " ", "\t\n\r\v\f", "\u00a0\u3000\u2028", "\ud800", "a\udfffb"]
)
def test_text_refused(value: Any) -> None:
    """What is missing, not a string, empty, white space alone or not encodable is 422 and names the field."""
    with pytest.raises(InvalidRequest) as caught:
        json_body.text({"message": value}, "message", 10)
    assert caught.value.errors[0]["field"] == "message"


def test_text_bounds() -> None:
    """Length is counted in characters; a field that is not required may be absent, null or empty but not wrong."""
    assert json_body.text({"a": "😀" * 10}, "a", 10) == "😀" * 10
    with pytest.raises(InvalidRequest):
        json_body.text({"a": "x" * 11}, "a", 10)
    with pytest.raises(InvalidRequest):
        json_body.text({}, "a", 10)
    assert json_body.text({}, "a", 10, required=False) == ""
    assert json_body.text({"a": None}, "a", 10, required=False) == ""
    assert (
        json_body.text({"a": ""}, "a", 10, required=False)
        == json_body.text({"a": " \n"}, "a", 10, required=False)
        == ""
    )
    with pytest.raises(InvalidRequest):
        json_body.text({"a": " " * 11}, "a", 10, required=False)
    with pytest.raises(InvalidRequest):
        json_body.text({"a": 5}, "a", 10, required=False)


def test_metadata() -> None:
    """Metadata is an object of at most 4 KiB as compact JSON in UTF-8; absent and null are none."""
    assert json_body.metadata({}) is None
    assert json_body.metadata({"metadata": None}) is None
    fits = {"k": "ä" * 2044}  # with {"k":""} around it: 4096 bytes
    assert json_body.metadata({"metadata": fits}) == fits
    for wrong in ({"k": "ä" * 2044 + "x"}, {"k": "\ud800"}, {"\udfff": 1}, {"k": 10**30}, [], "x", 1, False):
        with pytest.raises(InvalidRequest) as caught:
            json_body.metadata({"metadata": wrong})
        assert caught.value.errors[0]["field"] == "metadata"


def test_client_id() -> None:
    """A client id is 1 to 64 of its letters; absent and null are none."""
    assert json_body.client_id({"client_id": "Az09_.:-"}) == "Az09_.:-"
    assert json_body.client_id({"client_id": "x" * 64}) == "x" * 64
    assert json_body.client_id({}) is None
    assert json_body.client_id({"client_id": None}) is None
    for wrong in ("", "x" * 65, "a b", "ä", "a\n", "a/b", 1, True, [], {}):
        with pytest.raises(InvalidRequest):
            json_body.client_id({"client_id": wrong})


def test_choice() -> None:
    """A choice is one of its words, exactly; absent and null mean the default."""
    assert json_body.choice({"kind": "share"}, "kind", ("once", "share"), "once") == "share"
    assert json_body.choice({}, "kind", ("once", "share"), "once") == "once"
    assert json_body.choice({"kind": None}, "kind", ("once", "share"), "once") == "once"
    for wrong in ("Once", "", "on", 1, [], {}, True):
        with pytest.raises(InvalidRequest):
            json_body.choice({"kind": wrong}, "kind", ("once", "share"), "once")


def test_whole() -> None:
    """A number in the query is plain digits within its bounds."""
    assert json_body.whole({}, "limit", 100, 1, 500) == 100
    assert json_body.whole({"limit": "500"}, "limit", 100, 1, 500) == 500
    for wrong in ("abc", "0", "501", "-1", "+5", " 5", "1e2", "5.0", "", "٥", "9" * 5000):
        with pytest.raises(InvalidRequest) as caught:
            json_body.whole({"limit": wrong}, "limit", 100, 1, 500)
        assert caught.value.errors[0]["field"] == "limit"


def test_all_wrong_fields_are_named() -> None:
    """Several wrong fields are told in one answer."""
    sent = {"message": "", "client_id": "a b", "metadata": {}}
    with pytest.raises(InvalidRequest) as caught:
        json_body.together(
            lambda: json_body.text(sent, "message", 10),
            lambda: json_body.client_id(sent),
            lambda: json_body.metadata(sent),
        )
    assert [error["field"] for error in caught.value.errors] == ["message", "client_id"]
    assert json_body.together(lambda: 1, lambda: 2) == [1, 2]
