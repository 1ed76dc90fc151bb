"""Lines of keys in TOML."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.declared.positions import Positions

DOCUMENT = '''# a comment with [[gate]] in it
format = 1
text = """
[[gate]]
id = "not a gate"
""" # behind
'quoted key'.inner = 'x # no comment'

[[gate]]
id = "a"
command = [
  "x",   # , ]
  "]",
]
measure.one = { figure = '(\\d)', unit = "}" }

  [[ gate ]]
  id = \'\'\'
b\'\'\'
  [gate.measure]
  "two\\u0021" = "x"
  [gate.measure.three]
  of = 1979-05-27T07:32:00Z

[[gate.part]]
n = [{ a = 1 }, { b.c = [2,
 3] }]
[[gate.part]]
n = -1_0.5e3
'''


class TestPositions:
    @pytest.mark.parametrize(
        ("path", "line"),
        [
            ((), 1),
            (("format",), 2),
            (("text",), 3),
            (("quoted key",), 7),
            (("quoted key", "inner"), 7),
            (("gate",), 9),
            (("gate", 0), 9),
            (("gate", 0, "id"), 10),
            (("gate", 0, "command"), 11),
            (("gate", 0, "command", 1), 13),
            (("gate", 0, "measure"), 15),
            (("gate", 0, "measure", "one", "unit"), 15),
            (("gate", 1), 17),
            (("gate", 1, "id"), 18),
            (("gate", 1, "measure"), 20),
            (("gate", 1, "measure", "two!"), 21),
            (("gate", 1, "measure", "three"), 22),
            (("gate", 1, "measure", "three", "of"), 23),
            (("gate", 1, "part", 0), 25),
            (("gate", 1, "part", 0, "n", 1, "b", "c"), 26),
            (("gate", 1, "part", 0, "n", 1, "b", "c", 1), 27),
            (("gate", 1, "part", 1, "n"), 29),
        ],
    )
    def test_every_key_has_the_line_on_which_it_stands(self, path, line):
        tomllib.loads(DOCUMENT)

        assert Positions(DOCUMENT).line(path) == line

    def test_what_is_not_there_has_the_line_of_what_is_around_it(self):
        positions = Positions(DOCUMENT)

        assert positions.line(("gate", 1, "measure", "four", "of")) == 20
        assert positions.line(("nothing",)) == 1

    @pytest.mark.parametrize("text", ["", "a", "= 1", "[[", "a = [", 'a = "', "[a\nb = {", "a = '''", "]"])
    def test_other_text_ends_as_well(self, text):
        """It is only given what tomllib has read; but no mistake may hang it."""
        assert Positions(text).line(("a", "b")) >= 1


_KEYS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6
) | st.sampled_from(["gate", "a", "b", "#", "[[gate]]", '"', "'", "=", "\\"])
_SCALARS = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
)
_VALUES = st.recursive(_SCALARS, lambda v: st.lists(v, max_size=3), max_leaves=6)
_TREES = st.dictionaries(_KEYS, st.recursive(_VALUES, lambda v: st.dictionaries(_KEYS, v, max_size=3), max_leaves=8), max_size=5)  # fmt: skip


def quoted(text):
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def written(value):
    """A value in TOML; texts of several lines stand on several lines."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[ # ]\n" + "".join(f"{written(v)},\n" for v in value) + "]"
    return f'"""{quoted(value)[1:-1]}\n"""' if len(value) > 4 else quoted(value)


def lines_of(tree, path=()):
    """A document, and the line of every key in it."""
    text, lines = "", {}

    def emit(table, path):
        nonlocal text
        for key, value in table.items():
            if not isinstance(value, dict):
                lines[*path, key] = text.count("\n") + 1
                text += f"{quoted(key)} = {written(value)} # x = 1\n"
        for key, value in table.items():
            if isinstance(value, dict):
                here = (*path, key)
                lines[here] = text.count("\n") + 1
                text += f"[{'.'.join(map(quoted, here))}]\n"
                emit(value, here)

    emit(tree, path)
    return text, lines


@given(_TREES)
def test_holds_for_any_document(tree):
    text, lines = lines_of(tree)
    tomllib.loads(text)
    positions = Positions(text)

    assert {path: positions.line(path) for path in lines} == lines
