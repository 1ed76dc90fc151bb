"""How a folder says what its run came to, and what is left of a GO that is not to stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_cutover.evidence.inclusion import PROOF_FILE
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE, UNFINISHED_FILE
from pytest_cutover.files import write_atomic
from pytest_cutover.run.ending import Ending
from tests.unit.evidence.fleets import decided, fleet

if TYPE_CHECKING:
    from pathlib import Path

GO = decided()
NO_GO = decided(fleet(fleet().shards[:2]))


class TestTakeBack:
    @pytest.mark.parametrize("name", [BUNDLE_FILE, UNFINISHED_FILE])
    def test_all_that_was_written_of_a_go_goes(self, tmp_path: Path, name: str) -> None:
        paths = [tmp_path / "run" / each for each in (name, PROOF_FILE, REPORT_FILE)]
        copies = [tmp_path / "out/report.json", tmp_path / "report.json"]
        for path in (*paths, *copies):
            write_atomic(path, b"go")

        Ending(tmp_path / "run", GO).take_back(*copies)

        assert not any(path.exists() for path in (*paths, *copies))

    @pytest.mark.parametrize("report", [None, b"this run's"])
    def test_a_copy_of_another_report_stays(self, tmp_path: Path, report: bytes | None) -> None:
        """It is an earlier run's: this one failed before it was written."""
        copy, folder = tmp_path / "report.json", tmp_path / "run"
        write_atomic(copy, b"an earlier run's")
        if report is not None:
            write_atomic(folder / REPORT_FILE, report)

        Ending(folder, GO).take_back(copy)

        assert copy.read_bytes() == b"an earlier run's"
        assert not (folder / REPORT_FILE).exists()

    def test_of_what_is_no_go_all_stays(self, tmp_path: Path) -> None:
        """It may have taken back an older GO."""
        paths = [tmp_path / name for name in (BUNDLE_FILE, PROOF_FILE, REPORT_FILE, "copy.json")]
        for path in paths:
            write_atomic(path, b"no-go")

        Ending(tmp_path, NO_GO).take_back(paths[-1])

        assert all(path.read_bytes() == b"no-go" for path in paths)
