"""JSON read strictly."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover import strictjson


class TestLoads:
    """What Python's json lets pass."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": 1, "a": 1}', "duplicate key 'a'"),
            ('[{"b": {"c": 1, "d": 2, "c": 3}}]', "duplicate key 'c'"),
            ("NaN", "NaN is not JSON"),
            ("[Infinity]", "Infinity is not JSON"),
            ("-Infinity", "-Infinity is not JSON"),
            ("1e401", "out of range"),
            ("1e-999", "out of range"),
            ("1" * 65, "number has 65 digits, at most 64 are accepted"),
            ("0." + "1" * 64, "number has 66 digits"),
            ("{} {}", "Extra data"),
            ("{}\x00", "Extra data"),
            ("", "Expecting value"),
            ("\ufeff{}", "Expecting value"),
            ("{'a': 1}", "Expecting property name"),
            ("[1,]", "Illegal trailing comma|Expecting value"),
            ("[" * 100_000, "nested too deeply"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        """With what is wrong."""
        with pytest.raises(ValueError, match=message):
            strictjson.loads(text)

    @pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\x80"', "{}".encode("utf-16")])
    def test_bytes_have_to_be_utf8(self, data: bytes) -> None:
        """Python's json would guess the encoding."""
        with pytest.raises(ValueError, match=r"utf-8|Expecting|Extra"):
            strictjson.loads(data)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("0.1", Decimal("0.1")),
            ("1e3", Decimal("1e3")),
            ("-0.0", Decimal("-0.0")),
            ("1e400", Decimal("1e400")),
            ("1" * 64, int("1" * 64)),
            ("true", True),
            (' {"a": [null]}\n', {"a": [None]}),
        ],
    )
    def test_accepted(self, text: str, value: object) -> None:
        """Fractions are exact."""
        loaded = strictjson.loads(text)

        assert loaded == value
        assert type(loaded) is type(value)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(10**60), 10**60) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        )
    )
    def test_what_json_writes_is_read(self, value: Any) -> None:
        """Strict is not narrow: every document without floats comes back as it was."""
        assert strictjson.loads(json.dumps(value)) == value

    @given(st.binary(max_size=60))
    def test_noise_is_a_value_error_or_a_value(self, data: bytes) -> None:
        """Nothing else escapes."""
        try:
            value = strictjson.loads(data)
        except ValueError:
            return
        assert strictjson.loads(data) == value
