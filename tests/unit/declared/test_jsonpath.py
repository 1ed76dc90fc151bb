"""Paths of one JSON value."""

from __future__ import annotations

import pytest

from pytest_cutover.declared import jsonpath

DOCUMENT = {"a": {"b c": [1, {"d": 2}]}, "": 3, "it's": 4, "ü": 5}


class TestPath:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("$", DOCUMENT),
            ("$.a['b c'][0]", 1),
            ('$.a["b c"][-1].d', 2),
            ("$['']", 3),
            (r"$['it\'s']", 4),
            ("$.ü", 5),
            ("$[ 'a' ]['b c'][1]['d']", 2),
        ],
    )
    def test_leads_to_one_value(self, text, value):
        assert jsonpath.select(DOCUMENT, jsonpath.parse(text)) == value

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a.b", "a path begins with"),
            ("", "a path begins with"),
            ("$a", "cannot read 'a'"),
            ("$.", "cannot read '.'"),
            ("$..a", "cannot read '..a'"),
            ("$.*", r"cannot read '\.\*'"),
            ("$[*]", r"cannot read"),
            ("$[1:2]", r"cannot read"),
            ("$[?@.a]", r"cannot read"),
            ("$[01]", r"cannot read"),
            ("$[-0]", r"cannot read"),
            ("$['a]", r"cannot read"),
            ("$.a b", r"cannot read ' b'"),
            ("$[1,2]", r"cannot read"),
        ],
    )
    def test_anything_that_may_be_several_is_refused(self, text, message):
        with pytest.raises(ValueError, match=message):
            jsonpath.parse(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("$.b", "no 'b' at \\$ \\(it has a, "),
            ("$.a.b", r"no 'b' at \$\.a \(it has b c\)"),
            ("$.a['b c'][2]", r"no item 2 at \$\.a\['b c'\] \(it has 2 items\)"),
            ("$.a['b c'][0].x", r"no 'x' at \$\.a\['b c'\]\[0\] \(a number\)"),
            ("$.a[0]", r"no item 0 at \$\.a \(an object\)"),
        ],
    )
    def test_where_it_ends_is_said(self, text, message):
        with pytest.raises(LookupError, match=message):
            jsonpath.select(DOCUMENT, jsonpath.parse(text))
