from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.model import rfc3339
from tests.unit.evidence.runs import NOW, Run, sealed
from tests.unit.rejudge.conftest import write, write_policy

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(here: Path) -> None:
    """In a folder with a trust file."""


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return write(tmp_path / "run", *sealed())


def decide(*argv: str | Path) -> int:
    return main(["decide", *map(str, argv)])


class TestDecide:
    def test_a_tighter_limit_would_have_been_a_no_go(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        tight = write_policy(tmp_path / "tight.json", at_most=0.1)

        assert decide(go, "--policy", tight) == 1
        out = capsys.readouterr().out.splitlines()
        assert out[0].startswith("was       GO (exit 0) under shop v3")
        assert out[1].startswith("would be  NO-GO (exit 10) under shop v4")
        assert "signature trusted" in out[1]
        assert any(line.startswith("new       [limit.broken] service.ready: latency = 0.2 s") for line in out)
        assert "nothing was signed" in out[-1]

    def test_a_looser_limit_would_have_been_a_go(self, tmp_path: Path, capsys: Capture) -> None:
        red = write(tmp_path / "red", *sealed(Run(latency="0.9")))

        assert decide(red, "--policy", write_policy(tmp_path / "loose.json", at_most=1)) == 0
        out = capsys.readouterr().out
        assert "no longer [limit.broken]" in out
        assert "was       NO-GO (exit 10)" in out

    def test_it_judges_as_of_the_decision_unless_asked_about_another_time(
        self, go: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        policy = write_policy(tmp_path / "p.json", at_most=1)
        late = rfc3339(NOW + timedelta(days=1))

        assert decide(go, "--policy", policy) == 0
        assert decide(go, "--policy", policy, "--at", late) == 1
        out = capsys.readouterr().out
        assert "measurement.stale" in out
        assert f"as of     {late}, the time asked about" in out

    def test_it_writes_nothing(self, go: Path, tmp_path: Path) -> None:
        policy = write_policy(tmp_path / "p.json", at_most=1)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

        assert decide(go, "--policy", policy) == 0
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

    def test_json_says_what_was_and_what_would_be(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        assert decide(go, "--policy", write_policy(tmp_path / "p.json", at_most=0.1), "--json") == 1

        value = json.loads(capsys.readouterr().out)
        assert value["signed"] is False
        assert value["recorded"]["verdict"] == "GO"
        assert value["decided"]["verdict"] == "NO-GO"
        assert [f["code"] for f in value["findings"]["new"]] == ["limit.broken"]
        assert value["findings"]["gone"] == []
        assert value["policy"]["version"] == 4

    def test_another_environment_is_asked_about_by_name_and_said(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        """What was measured in the sandbox, judged as production would: an answer, and called what it is."""
        run = write(tmp_path / "run", *sealed(Run(environment="sandbox", sandbox=True)))
        policy = write_policy(tmp_path / "p.json", at_most=1)

        assert decide(run, "--policy", policy, "--environment", "production") == 0
        assert (
            "judged    as preflight → production: it was measured for preflight → sandbox"
            in capsys.readouterr().out
        )


class TestTheSignatureOfThePolicy:
    def test_counts_as_it_stands(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        draft = write_policy(tmp_path / "draft.json", at_most=1, signed=False)

        assert decide(go, "--policy", draft) == 1
        out = capsys.readouterr().out
        assert "policy.unsigned" in out
        assert "hint      --draft" in out

    def test_of_a_draft_is_taken_as_given_and_that_is_said(
        self, go: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        draft = write_policy(tmp_path / "draft.json", at_most=1, signed=False)

        assert decide(go, "--policy", draft, "--draft") == 0
        assert "as if it were signed (--draft)" in capsys.readouterr().out

    def test_that_no_longer_fits_is_untrusted(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        edited = write_policy(tmp_path / "p.json", at_most=1)
        edited.write_text(edited.read_text().replace('"version": 4', '"version": 5'))

        assert decide(go, "--policy", edited) == 1
        assert "policy.untrusted" in capsys.readouterr().out


class TestUnusable:
    def test_evidence_that_does_not_verify(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        policy = write_policy(tmp_path / "p.json", at_most=1)
        (go / REPORT_FILE).write_bytes((go / REPORT_FILE).read_bytes() + b" ")

        assert decide(go, "--policy", policy) == 2
        assert "does not verify" in capsys.readouterr().err

    def test_a_plan_the_policy_does_not_have(self, go: Path, tmp_path: Path, capsys: Capture) -> None:
        policy = write_policy(tmp_path / "p.json", at_most=1)

        assert decide(go, "--policy", policy, "--plan", "canary") == 2
        assert "expected one of the policy's plans" in capsys.readouterr().err

    def test_a_policy_that_is_not_there(self, go: Path, tmp_path: Path) -> None:
        assert decide(go, "--policy", tmp_path / "gone.json") == 2
        assert decide(go / BUNDLE_FILE, "--policy", go / BUNDLE_FILE) == 2
