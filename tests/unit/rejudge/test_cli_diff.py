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


@pytest.fixture
def pair(here: Path) -> tuple[Path, Path]:
    red = Run(latency="0.9", run_id="20261121T094700Z-1a2b3c4d", gates=("service.ready", "extra"))
    return write(here / "a", *sealed()), write(here / "b", *sealed(red))


def diff(*argv: str | Path) -> int:
    return main(["diff", *map(str, argv)])


class TestDiff:
    def test_two_runs_that_differ_are_1_with_every_difference(
        self, pair: tuple[Path, Path], capsys: Capture
    ) -> None:
        assert diff(*pair) == 1
        out = capsys.readouterr().out
        assert out.startswith("verdict   changed: GO (exit 0) → NO-GO (exit 10)\n")
        assert "before    20261121T084700Z-1a2b3c4d  verified" in out
        assert "gate new  extra" in out
        assert (
            "measured  service.ready  latency: 0.2 s (3 samples) → 0.9 s (3 samples), limit at most 0.5 s"
            in out
        )
        assert "new       [limit.broken] service.ready" in out
        assert "policy    requires extra: (none) → required" in out

    def test_a_run_and_itself_are_0_by_whatever_of_its_files(
        self, pair: tuple[Path, Path], capsys: Capture
    ) -> None:
        assert diff(pair[0], pair[0] / BUNDLE_FILE) == 0
        assert diff(pair[0] / REPORT_FILE, pair[0]) == 0
        assert "nothing differs but the time" in capsys.readouterr().out

    def test_json_holds_both_runs(self, pair: tuple[Path, Path], capsys: Capture) -> None:
        assert diff(*pair, "--json") == 1

        value = json.loads(capsys.readouterr().out)
        assert value["same"] is False
        assert value["before"]["standing"] == value["after"]["standing"] == "verified"
        assert value["gates"] == {"appeared": ["extra"], "vanished": []}
        assert value["measured"][0]["after"]["measured"] == "0.9"

    def test_unsigned_runs_are_compared_and_called_so(
        self, pair: tuple[Path, Path], here: Path, capsys: Capture
    ) -> None:
        unsigned = Run().seal(None)

        assert diff(pair[0], write(here / "c", unsigned.bundle, unsigned.report)) == 0
        assert "UNSIGNED" in capsys.readouterr().out

    def test_evidence_that_does_not_verify_is_2(self, pair: tuple[Path, Path], capsys: Capture) -> None:
        bundle = pair[1] / BUNDLE_FILE
        bundle.write_bytes(bundle.read_bytes()[:-1])

        assert diff(*pair) == 2
        assert "bundle.malformed" in capsys.readouterr().err
        assert diff(*pair, "--unverified") == 1

    def test_long_lists_are_counted(self, here: Path, pair: tuple[Path, Path], capsys: Capture) -> None:
        many = write(here / "many", *sealed(Run(gates=[f"g.{n}" for n in range(60)])))

        assert diff(pair[0], many) == 1
        assert "gate new  and 20 more: --json shows all" in capsys.readouterr().out
