from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.seal import REPORT_FILE
from tests.unit.evidence.runs import NOW, Run, sealed
from tests.unit.rejudge.conftest import write, write_policy

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(here: Path) -> Path:
    """Three past runs, a day apart; the last one was red."""
    for day, latency in enumerate(("0.2", "0.4", "0.9")):
        run = Run(latency=latency, decided_at=NOW - timedelta(days=3 - day), run_id=f"run-{day}")
        write(here / "runs" / f"run-{day}", *sealed(run))
    return here / "runs"


def backtest(*argv: str | Path) -> int:
    return main(["backtest", *map(str, argv)])


class TestBacktest:
    def test_a_policy_that_changes_no_verdict_is_0(self, runs: Path, here: Path, capsys: Capture) -> None:
        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.5)) == 0
        assert capsys.readouterr().out.startswith("0 of 3 verdicts would change under ")

    def test_a_tighter_one_is_1_and_names_run_turn_and_reason(
        self, runs: Path, here: Path, capsys: Capture
    ) -> None:
        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.3)) == 1
        out = capsys.readouterr().out
        assert out.startswith("1 of 3 verdicts would change")
        assert "run-1  GO → NO-GO (exit 10)" in out
        assert "new       [limit.broken] service.ready: latency = 0.4 s" in out
        assert "run-0  " not in out
        assert "nothing was signed" in out

    def test_a_looser_one_shows_what_it_would_have_let_through(
        self, runs: Path, here: Path, capsys: Capture
    ) -> None:
        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=1)) == 1
        assert "run-2  NO-GO (exit 10) → GO" in capsys.readouterr().out

    def test_runs_are_judged_as_of_their_own_time(self, runs: Path, here: Path) -> None:
        """Days later every measurement is stale; judged as of its decision none is."""
        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.5)) == 0

    def test_a_draft_is_tried_before_it_is_signed(self, runs: Path, here: Path, capsys: Capture) -> None:
        draft = write_policy(here / "p.json", at_most=0.5, signed=False)

        assert backtest(runs, "--policy", draft) == 1
        assert "policy.unsigned" in capsys.readouterr().out
        assert backtest(runs, "--policy", draft, "--draft") == 0
        assert "as if it were signed (--draft)" in capsys.readouterr().out

    def test_json_lists_every_run(self, runs: Path, here: Path, capsys: Capture) -> None:
        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.3), "--json") == 1

        value = json.loads(capsys.readouterr().out)
        assert (value["judged"], value["changed"]) == (3, 1)
        assert value["turns"] == {"GO → NO-GO (exit 10)": 1}
        assert [r["run"] for r in value["runs"] if r["changed"]] == ["run-1"]


class TestWhatIsLeftOut:
    def test_evidence_that_does_not_verify_is_named_and_not_counted(
        self, runs: Path, here: Path, capsys: Capture
    ) -> None:
        report = runs / "run-0" / REPORT_FILE
        report.write_bytes(report.read_bytes() + b" ")

        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.5)) == 0
        out = capsys.readouterr().out
        assert out.startswith("0 of 2 verdicts")
        assert "left out  run-0: bundle.intoto.jsonl does not verify: report.digest its SHA-256 is " in out

    def test_a_run_of_a_plan_the_policy_does_not_have(self, runs: Path, here: Path, capsys: Capture) -> None:
        write(runs / "run-9", *sealed(Run(environment="staging")))

        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.5)) == 0
        assert "left out  run-9: " in capsys.readouterr().out

    def test_a_run_that_never_decided_has_no_verdict_to_change(
        self, runs: Path, here: Path, capsys: Capture
    ) -> None:
        (runs / "killed").mkdir()

        assert backtest(runs, "--policy", write_policy(here / "p.json", at_most=0.5)) == 0
        assert "killed" not in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["empty", "gone", "a\0b"])
    def test_no_run_at_all_is_2(self, name: str, here: Path) -> None:
        (here / "empty").mkdir()

        assert backtest(str(here / name), "--policy", write_policy(here / "p.json", at_most=1)) == 2

    def test_a_policy_with_mistakes_is_2(self, runs: Path, here: Path, capsys: Capture) -> None:
        (here / "p.json").write_text("{}")

        assert backtest(runs, "--policy", here / "p.json") == 2
        assert "can be judged by" in capsys.readouterr().err
