from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from tests.unit.evidence.runs import Run, sealed
from tests.unit.rejudge.conftest import write

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(here: Path) -> None:
    """In a folder with a trust file."""


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return write(tmp_path / "run", *sealed(Run(latency="0.9")))


def explain(*argv: str | Path) -> int:
    return main(["explain", *map(str, argv)])


class TestExplain:
    @pytest.mark.parametrize("name", ["", BUNDLE_FILE, REPORT_FILE])
    def test_a_no_go_is_1_and_says_the_smallest_change(self, red: Path, name: str, capsys: Capture) -> None:
        assert explain(red / name) == 1

        out = capsys.readouterr().out
        assert out.startswith("NO-GO (exit 10)\n")
        assert "evidence  verified: whole, unchanged, signed by release" in out
        assert "weighs most: service.ready, owner sre (limit.broken)" in out
        assert "  service.ready  latency: 0.9 s → at most 0.5 s (-0.4 s)  [limit.broken]" in out
        assert "shown by deciding again: with it the verdict is GO" in out
        assert "nothing was signed" in out

    def test_a_go_is_0_and_needs_nothing(self, tmp_path: Path, capsys: Capture) -> None:
        assert explain(write(tmp_path / "run", *sealed())) == 0
        assert "nothing would have to differ" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["last", "20261121T084800", "20261121T084800.125Z-1a2b3c4d"])
    def test_a_run_is_named_as_for_show(self, name: str, here: Path, capsys: Capture) -> None:
        """By its id, the beginning of one, or as the last."""
        write(here / "var/cutover/runs/20261121T084800.125Z-1a2b3c4d", *sealed(Run(latency="0.9")))

        assert explain(name) == 1
        assert explain("2020") == 2
        assert "no run begins with '2020'" in capsys.readouterr().err

    def test_last_where_nothing_was_run(self, capsys: Capture) -> None:
        """No file of that name is looked for."""
        assert explain("last") == 2
        assert "var/cutover/runs holds no runs" in capsys.readouterr().err

    def test_json_holds_the_same(self, red: Path, capsys: Capture) -> None:
        assert explain(red, "--json") == 1

        value = json.loads(capsys.readouterr().out)
        assert value["standing"] == "verified"
        assert value["top_impact"]["gate"] == "service.ready"
        assert [c["need"] for c in value["changes"]] == ["at most 0.5 s"]
        assert value["with_all_changes"] == {"verdict": "GO", "findings": []}

    def test_a_long_list_is_counted_and_whole_in_json(self, tmp_path: Path, capsys: Capture) -> None:
        folder = write(tmp_path / "run", *sealed(Run(latency="9", gates=[f"g.{n}" for n in range(40)])))

        assert explain(folder) == 1
        assert "and 10 more: --json shows all" in capsys.readouterr().out
        assert explain(folder, "--json") == 1
        assert len(json.loads(capsys.readouterr().out)["changes"]) == 40


class TestWhatIsBelieved:
    def test_unsigned_evidence_is_explained_and_called_unsigned(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        unsigned = Run(latency="0.9").seal(None)

        assert explain(write(tmp_path / "run", unsigned.bundle, unsigned.report)) == 1
        assert "evidence  UNSIGNED: anybody can have written this report" in capsys.readouterr().out

    def test_evidence_that_does_not_verify_is_refused(self, red: Path, capsys: Capture) -> None:
        report = red / REPORT_FILE
        report.write_bytes(report.read_bytes().replace(b'"value":"0.9"', b'"value":"0.1"'))

        assert explain(red) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "does not verify" in said.err
        assert "report.digest" in said.err

        assert explain(red, "--unverified") == 1
        assert "NOT VERIFIED, it proves nothing: report.digest" in capsys.readouterr().out

    def test_a_verdict_that_does_not_follow_from_the_journal_is_said(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        unsigned = Run(latency="0.9").seal(None)
        report = unsigned.report.replace(b'"verdict":"NO-GO"', b'"verdict":"GO"')

        assert explain(write(tmp_path / "run", None, report)) == 1
        assert "the report claims GO: its own journal does not give that" in capsys.readouterr().out

    def test_a_report_whose_bundle_was_removed_is_not_taken_for_unsigned(
        self, red: Path, capsys: Capture
    ) -> None:
        (red / BUNDLE_FILE).unlink()

        assert explain(red) == 2
        assert "says that it was signed" in capsys.readouterr().err
        assert explain(red, "--unverified") == 1

    def test_without_a_trusted_key_nothing_signed_is_read(
        self, red: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CUTOVER_TRUST")

        assert explain(red) == 2
        assert "no trusted key" in capsys.readouterr().err
        assert explain(red, "--unverified") == 1
        assert "NOT VERIFIED: there is no trusted key" in capsys.readouterr().out

    @pytest.mark.parametrize("data", [b"", b"hello", b"{}", b'{"format":1}\n'])
    def test_what_is_no_report_is_2(self, data: bytes, tmp_path: Path) -> None:
        folder = write(tmp_path / "run", None, data)

        assert explain(folder) == 2
        assert explain(folder, "--unverified") == 2

    def test_no_such_file_is_2(self, tmp_path: Path, capsys: Capture) -> None:
        for path in (tmp_path / "gone", tmp_path, "a\0b", "x" * 5000, tmp_path / "gone.json"):
            assert explain(path) == 2
        assert "give a run folder" in capsys.readouterr().err

    def test_hostile_text_does_not_reach_the_terminal(self, tmp_path: Path, capsys: Capture) -> None:
        run = Run(environment="prod\x1b[2K\r", run_id="a\nGO (exit 0) b", latency="0.9")
        explain(write(tmp_path / "run", *sealed(run)))

        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert [line for line in out.splitlines() if line.startswith("GO")] == []
