"""Files of gates, read strictly."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from pytest_cutover.declared.criteria import Command, Measure, Readyz, Scan, Take, Url
from pytest_cutover.declared.reader import MAX_BYTES, GateFileError, read
from tests.unit.declared.documents import BAD, GOOD, HEAD, ONLY_READ, gate, measuring


def criterion(text):
    (one,) = read(text.encode(), "gates/x.toml")
    return one


class TestGood:
    @pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
    def test_is_read(self, text):
        assert criterion(text).id == "one"

    def test_a_gate_says_what_its_marker_says(self):
        one = criterion(GOOD["every key of a command"])

        assert (one.title, one.category, one.owner, one.remedy) == ("t", "c", "o", "r")
        assert (one.phase, one.timeout_s, one.line) == ("preflight", 2.5, 4)

    def test_a_command(self):
        assert criterion(GOOD["every key of a command"]).probe == Command(
            argv=("x",),
            is_shell=False,
            folder="a",
            env={"A": ""},
            env_from=("B",),
            env_targets={"C": "app"},
            exit_codes=(0, 1),
            leaves_processes=True,
            max_output_bytes=10,
        )

    def test_a_line_for_the_shell_runs_in_bash_that_hides_no_failure(self):
        probe = criterion(GOOD["shell"]).probe

        assert probe.is_shell
        assert probe.argv[:-1] == (
            *("bash", "--noprofile", "--norc", "-O", "inherit_errexit", "-euo", "pipefail", "-c"),
        )
        assert probe.argv[-1] == "set -x\nmake | tee log\n"

    def test_a_url(self):
        assert criterion(GOOD["every key of a URL"]).probe == Url(
            "/x", "t", "HEAD", {"A": ""}, {"B": "TOKEN"}, 3, follow=True
        )

    def test_a_readiness_endpoint(self):
        assert criterion(GOOD["readyz"]).probe == Readyz("/readyz", "t", 1)

    def test_a_scan(self):
        assert criterion(GOOD["scan"]).probe == Scan(("a", "b"), ("*.py",), ("c/",))

    def test_a_measurement(self):
        (measure,) = criterion(GOOD["figure"]).measures

        assert measure == Measure(
            name="v",
            line=7,
            take=Take("figure", r"v=(\d+)", stream="stderr"),
            unit="ms",
            limit={"at_most": Decimal("1.5")},
        )

    def test_limits_are_exact(self):
        """0.1 means 0.1, as in the policy."""
        (measure,) = criterion(measuring("{ of = 'exit_code', at_most = 0.1 }")).measures

        assert measure.limit == {"at_most": Decimal("0.1")}

    @pytest.mark.parametrize(
        ("kind", "word", "unit"),
        [
            ('command = ["x"]', "duration", "s"),
            ('command = ["x"]', "lines", "1"),
            ('url = "/"', "latency", "s"),
            ('url = "/"', "size", "B"),
            ('readyz = "/"', "latency", "s"),
        ],
    )
    def test_a_word_has_its_unit(self, kind, word, unit):
        (measure,) = criterion(measuring(f'"{word}"', kind)).measures

        assert measure.unit == unit

    def test_what_the_file_says_holds_where_the_gate_says_nothing(self):
        one = criterion(GOOD["top"])
        own = criterion(GOOD["top"].replace("measure.v", 'owner = "p"\nenv = { A = "1" }\nmeasure.v'))

        assert (one.owner, one.timeout_s) == ("o", 3.0)
        assert (one.probe.env_from, one.probe.folder) == (("A",), "f")
        assert (own.owner, own.probe.env, own.probe.env_from) == ("p", {"A": "1"}, ())

    def test_gates_come_in_file_order(self):
        text = gate('command = ["x"]\nmeasure.v = "lines"') + gate(
            'command = ["x"]\nmeasure.v = "lines"', head="", name="a"
        )

        assert [c.id for c in read(text.encode(), "f")] == ["one", "a"]

    def test_carriage_returns_count_as_ends_of_lines(self):
        text = GOOD["command"].replace("\n", "\r\n")

        assert criterion(text).measures[0].line == 7


class TestBad:
    @pytest.mark.parametrize(("text", "line", "message"), [*BAD.values(), *ONLY_READ.values()], ids=[*BAD, *ONLY_READ])  # fmt: skip
    def test_is_refused_with_its_line(self, text, line, message):
        with pytest.raises(GateFileError, match=message) as caught:
            read(text.encode(), "gates/x.toml")

        assert caught.value.mistakes[0].line == line
        assert re.search(rf"^gates/x\.toml:{line}: ", str(caught.value), re.MULTILINE)

    def test_a_limit_where_it_does_not_belong_is_sent_to_the_policy(self):
        with pytest.raises(GateFileError, match="at_most") as caught:
            read(BAD["limit of the gate"][0].encode(), "f")

        assert caught.value.hint == "a limit belongs to a measurement: into the policy, under limits"

    def test_a_misspelt_word_gets_a_suggestion(self):
        with pytest.raises(GateFileError, match="exitcode") as caught:
            read(BAD["unknown word"][0].encode(), "f")

        assert "did you mean 'exit_code'?" in caught.value.hint

    def test_all_mistakes_are_told_at_once(self):
        text = HEAD + "[[gate]]\nid = 3\ncommand = 4\nmeasure.v = 'lines'\n[[gate]]\nid = 'b'\n"

        with pytest.raises(GateFileError, match="3 mistakes in f") as caught:
            read(text.encode(), "f")

        assert [m.line for m in caught.value.mistakes] == [4, 5, 7]

    def test_other_bytes_than_utf8(self):
        with pytest.raises(GateFileError, match="f:2: expected UTF-8, got byte 0xff"):
            read(b"format = 1\n# \xff", "f")

    def test_too_much(self):
        with pytest.raises(GateFileError, match="expected at most 1048576 bytes, got 1048577"):
            read(b"#" * (MAX_BYTES + 1), "f")

    def test_nested_too_deeply(self):
        with pytest.raises(GateFileError, match=r"nested too deeply|expected TOML"):
            read(b"format = " + b"[" * 100_000, "f")
