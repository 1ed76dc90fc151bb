"""docs/reference/toml-gates.md says what the reader reads."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_cutover.declared import shapes
from pytest_cutover.declared.reader import read
from pytest_cutover.sources import tree
from tests.unit.declared.documents import gate
from tests.unit.test_docs import tables

PAGE = Path(__file__).parents[3] / "docs/reference/toml-gates.md"
TEXT = PAGE.read_text(encoding="utf-8")
TABLES = tables(TEXT)


class TestPage:
    def test_lists_the_keys_of_a_file(self):
        assert TABLES["The file"] == {*shapes.TOP, "format", "gate"}

    def test_lists_the_keys_of_a_gate(self):
        assert TABLES["A gate"] == {*shapes.GATE, *shapes.KINDS, "measure"}

    def test_lists_what_goes_with_each_kind(self):
        assert TABLES["Commands"] == set(shapes.COMMAND)
        assert TABLES["URLs"] == {"url", *shapes.KINDS["url"].options}
        assert TABLES["Readiness endpoints"] == {"readyz", *shapes.KINDS["readyz"].options}
        assert TABLES["Scans"] == {"scan", *shapes.KINDS["scan"].options}

    def test_lists_what_can_be_measured_of_what_and_in_which_unit(self):
        documented = {}
        for words, kinds, unit in re.findall(r"^\| (`[^|]+`) \| ([a-z, ]+) \| (\w+) \|", TEXT, re.MULTILINE):
            for word in re.findall(r"`(\w+)`", words):
                documented |= {(kind, word): unit for kind in kinds.split(", ")}
        known = {
            (name, word): unit for name, kind in shapes.KINDS.items() for word, unit in kind.words.items()
        }

        assert documented == known

    def test_lists_what_is_taken_of_what(self):
        section = TEXT.partition("### What is taken")[2].partition("###")[0]
        documented = {
            take: set(kinds.split(", "))
            for take, kinds in re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", section, re.MULTILINE)
        }
        takes = {take: {n for n, k in shapes.KINDS.items() if take in k.takes} for take in shapes.TAKES}

        assert documented == takes | {"of": {"all"}}

    def test_lists_what_stands_beside_it(self):
        assert TABLES["Beside it"] == set(shapes.MEASURE)

    def test_names_the_folders_that_are_never_read(self):
        assert all(f"`{name}`" in TEXT for name in tree.NEVER_READ)

    def test_its_examples_are_read(self):
        whole, part = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)

        assert [c.id for c in read(whole.encode(), "f")] == ["db.migration"]
        assert len(read(gate(f'command = ["x"]\n{part}').encode(), "f")[0].measures) == 2
