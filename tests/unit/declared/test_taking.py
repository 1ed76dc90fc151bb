"""One figure, or none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_cutover.declared import jsonpath, taking
from pytest_cutover.errors import SourceError


class TestFigure:
    @pytest.mark.parametrize(
        ("pattern", "text", "value"),
        [
            (r"v=(\S+)", "v=1", "1"),
            (r"v=(\S+)", "v=-1.50e3", "-1.50E+3"),
            (r"v=(\S+)", "v=+.5", "0.5"),
            (r"^(\d+)$", "x\n12\ny", "12"),
            (r"v=(\S+)", "v=1\nv=1", "1"),
            (r"v=(\S+)", "v=1\nv=1.0", "1"),
            (r"(\d+) of \d+", "3 of 12", "3"),
            (r"p95 (\d+)", "p95 12 ms", "12"),
            (r"(\d+)%", "12%", "12"),
            (r"(\d+)\.\d+", "12.9", "12"),
            (r"build-(\d+)", "build-7", "7"),
            (r": (\d+)$", "took: 5", "5"),
        ],
    )
    def test_is_the_one_number_that_was_printed(self, pattern, text, value):
        assert str(taking.figure(pattern, text, "x")) == str(Decimal(value))

    @pytest.mark.parametrize(
        ("pattern", "text", "message"),
        [
            (r"v=(\S+)", "", r"expected one match of 'v=\(\\\\S\+\)' in the output, found none"),
            (r"v=(\S+)", "v=1 v=2", "expected one figure from .* in the output, got 2: '1' and '2'"),
            (r"v=(\S+)", "v=nan", "expected a number from .*, got 'nan'"),
            (r"v=(\S+)", "v=inf", "got 'inf'"),
            (r"v=(\S+)", "v=1,5", "got '1,5'"),
            (r"v=(\S+)", "v=0x1f", "got '0x1f'"),
            (r"v=(\S+)", "v=1_000", "got '1_000'"),
            (r"v=(\S+)", "v=٣", "got '٣'"),
            (r"v=(\S+)", "v=1\nv=nan", "got 'nan'"),
            (r"v=(\S+)?", "v=", "got None"),
            (r"v=(\S+)", "v=1e999", "out of range"),
            (r"v=(\S+)", f"v={'1' * 65}", "65 digits"),
            (r"v=(\d+)", "v=1.9", "expected a whole number from .*, got '1' out of 'v?=?1.9'"),
            (r"v=(\d+)", "v=1,900", "got '1' out of"),
            (r"v=(\d+)", "v=1e9", "got '1' out of"),
            (r"v=(\d)", "v=19", "got '1' out of"),
            (r"v=.*(\d+)", "v=91", "got '1' out of '91'"),
            (r"v=.*?(\d+)$", "v=3.91", "got '91' out of '3.91'|got '3' out of"),
            (r"v=-?(\d+)", "v=-5", "got '5' out of"),
            (r"v=\S(\d+)", "v=\u22125", "got '5' out of"),
            (r"v=\.?(\d+)", "v=.5", "got '5' out of"),
            (r"(\d+)", "1,900", "got '1' out of"),
        ],
    )
    def test_anything_else_is_no_measurement(self, pattern, text, message):
        with pytest.raises(SourceError, match=message):
            taking.figure(pattern, text, "the output")


class TestText:
    def test_is_taken_once(self):
        assert taking.one_text(r"^version: (.*)$", "a\nversion: 1.2\nversion: 1.2\n", "x") == "1.2"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a", "found none"),
            ("version: 1\nversion: 2", "expected one text from .*, got 2: '1' and '2'"),
            ("version: ", "expected a text in x, got nothing"),
        ],
    )
    def test_several_or_none_are_no_measurement(self, text, message):
        with pytest.raises(SourceError, match=message):
            taking.one_text(r"^version: (.*)$", text, "x")

    def test_a_whole_output_ends_without_its_line_end(self):
        assert taking.whole_text("PONG\r\n", "x") == "PONG"

    def test_blanks_are_part_of_it(self):
        """The policy compares letter for letter."""
        assert taking.whole_text(" ready \n", "x") == " ready "

    def test_a_long_one_is_refused(self):
        with pytest.raises(SourceError, match="expected at most 500 characters in x, got 501"):
            taking.whole_text("x" * 501, "x")


class TestCount:
    def test_of_nothing_is_0(self):
        assert taking.count("x", "") == 0

    def test_of_lines(self):
        assert taking.count("^x", "x x\nx") == 2


class TestJson:
    @pytest.mark.parametrize(
        ("document", "value"), [({"v": 1}, 1), ({"v": Decimal("0.1")}, Decimal("0.1")), ({"v": "a"}, "a")]
    )
    def test_numbers_and_texts(self, document, value):
        assert taking.json_value(document, ("v",), "x") == value

    @pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false")])
    def test_true_and_false_are_texts(self, value, text):
        """A number they are not: true is not at most 1."""
        assert taking.json_value([value], (0,), "x") == text

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, r"expected a number or a text at \$\.v in x, got null"),
            ([1], "got a list"),
            ({}, "got an object"),
            ("", "expected a text in x, got nothing"),
        ],
    )
    def test_nothing_else(self, value, message):
        with pytest.raises(SourceError, match=message):
            taking.json_value({"v": value}, ("v",), "x")

    def test_an_absent_one(self):
        with pytest.raises(SourceError, match="no 'w' at"):
            taking.json_value({"v": 1}, ("w",), "x")

    def test_items_of_lists_and_objects(self):
        document = {"a": [1, 2], "b": {"c": 1}}

        assert taking.json_items(document, ("a",), "x") == 2
        assert taking.json_items(document, jsonpath.parse("$.b"), "x") == 1

    def test_items_of_anything_else(self):
        with pytest.raises(SourceError, match=r"expected a list or an object at \$\.a in x, got a text"):
            taking.json_items({"a": "bc"}, ("a",), "x")
