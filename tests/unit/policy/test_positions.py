"""Strict JSON with positions."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.policy import positions
from pytest_cutover.policy.positions import UnreadableError, parse

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


class TestParse:
    def test_remembers_the_line_and_column_of_keys_and_values(self) -> None:
        located = parse(b'{\n  "a": {\n    "b":\n      [1,\n 2]\n  }\n}', "p.json")

        assert located.keys["a", "b"] == positions.Position(3, 5)
        assert located.values["a", "b"] == positions.Position(4, 7)
        assert located.line(("a", "b", 1)) == 5
        assert located.key_line(("a", "b", 1)) == 5

    def test_a_path_that_is_not_there_has_the_line_of_its_parent(self) -> None:
        located = parse(b'{\n"a": {\n}}', "p.json")

        assert located.line(("a", "nothing", "here")) == 2

    def test_columns_count_characters(self) -> None:
        located = parse('{"é€": 1, "b": 2}'.encode(), "p.json")

        assert located.keys["b",].column == 11

    def test_numbers_are_exact(self) -> None:
        value = parse(b'{"a": 0.1, "b": 1, "c": 1e3, "d": -0.0}', "p.json").value

        assert value == {"a": Decimal("0.1"), "b": 1, "c": Decimal("1e3"), "d": 0}
        assert [type(v) for v in value.values()] == [Decimal, int, Decimal, Decimal]

    @given(VALUES, st.sampled_from([None, 0, 1, 4]))
    def test_reads_what_json_writes(self, value: Any, indent: int | None) -> None:
        for ascii_only in (True, False):
            text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
            assert parse(text.encode(), "p.json").value == value

    @pytest.mark.parametrize(
        ("data", "message", "hint"),
        [
            (b'{\n"a": 1,\n"a": 2}', r"p\.json:3: duplicate key 'a', first on line 2", "keep one"),
            (b'{\n"a": NaN}', r"p\.json:2: expected a value, got 'NaN'", "NaN and Infinity are not JSON"),
            (b'{"a": -Infinity}', r"p\.json:1: expected a value, got '-Infinity'", "not JSON, and no limit"),
            (b'{"a": 1}\n\n{}', r"p\.json:3: expected the end of the file, got more content", "remove"),
            (b'{"a":\n"\xff"}', r"p\.json:2: expected UTF-8, got byte 0xff", "UTF-8"),
            (b"\xef\xbb\xbf{}", r"p\.json:1: expected JSON, got a byte order mark", "without BOM"),
            (b'{"a": 1' + b"0" * 80 + b"}", r"p\.json:1: number has 81 digits", "sensible size"),
            (b'{\n"a": 1e999}', r"p\.json:2: number 1e999 is out of range", "sensible size"),
            (b'{"a": 01}', r"p\.json:1: expected a value, got '01'", "write numbers as"),
            (b'{"a": +1}', r"p\.json:1: expected a value, got '\+1'", "write numbers as"),
            (b'{"a": .5}', r"p\.json:1: expected a value, got '\.5'", "write numbers as"),
            (b'{"a": True}', r"p\.json:1: expected a value, got 'True'", "small letters"),
            (b"{'a': 1}", r"p\.json:1: expected a key, got \"'\"", "double quotes"),
            (b'{"a": b}', r"p\.json:1: expected a value, got 'b'", "double quotes"),
            (b'{"a": 1,\n}', r"p\.json:2: expected a key, got '}'", "remove the comma"),
            (b'{"a": [1,\n]}', r"p\.json:2: expected a value, got ']'", "remove the comma"),
            (b'{"a": 1\n\n"b": 2}', r"p\.json:1: expected ',' or '}' after this, got '\"'", "comma missing"),
            (b'{"a"\n1}', r"p\.json:2: expected ':' after the key 'a', got '1'", "colon"),
            (b'{"a": "x', r"p\.json:1: Unterminated string", "close the text"),
            (b'{"a": "x\ny"}', r"p\.json:1: Invalid control character", "escape it"),
            (
                b'{"a": "\\ud800"}',
                r"p\.json:1: expected Unicode text, got half of a surrogate pair",
                "character",
            ),
            (b'{"a": // no\n1}', r"p\.json:1: expected a value, got '/'", "no comments"),
            (b'{"a": ', r"p\.json:1: expected a value, got the end of the file", "double quotes"),
            (b"", r"p\.json:1: expected a value, got the end of the file", "double quotes"),
            (b"[" * 2000, r"p\.json:1: expected at most 32 levels of nesting", "flatten"),
            (
                b" " * (positions.MAX_BYTES + 1),
                r"p\.json: expected at most 4194304 bytes",
                "really the policy",
            ),
        ],
    )
    def test_refuses_and_names_the_line(self, data: bytes, message: str, hint: str) -> None:
        with pytest.raises(UnreadableError, match=message) as caught:
            parse(data, "p.json")

        assert caught.value.hint is not None
        assert hint in caught.value.hint

    @given(st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(self, data: bytes) -> None:
        """Nothing but UnreadableError comes out, whatever goes in."""
        try:
            value = parse(data, "p.json").value
        except UnreadableError:
            return
        assert json.loads(data, parse_float=Decimal) == value


class TestNode:
    def test_missing_and_wrong_shaped_children_are_absent(self) -> None:
        root = parse(b'{"a": [1], "b": 2}', "p.json").root

        assert root.get("c") is None
        assert root.at("a", "b") is None
        assert [n.value for n in root.walk()] == [{"a": [1], "b": 2}, [1], 1, 2]
        assert list(root.get("b").members()) == []  # type: ignore[union-attr] # it is there
