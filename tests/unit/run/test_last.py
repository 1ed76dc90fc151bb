"""The newest earlier run whose evidence verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.run.last import last_run, past_runs
from tests.unit.evidence.runs import ANCHOR, Run, anchor, sealed, signer, trusted

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.report.view import LastRun


def put(folder: Path, run: Run) -> Path:
    """A run as it lies in the folder of runs."""
    path = folder / run.run_id
    path.mkdir()
    bundle, report = sealed(run)
    (path / "journal.jsonl").write_bytes(b"".join(run.events()))
    (path / "report.json").write_bytes(report)
    (path / "bundle.intoto.jsonl").write_bytes(bundle)
    return path


def last(folder: Path, trust: Anchor = ANCHOR, **changes: Any) -> LastRun | None:
    wanted: dict[str, Any] = {"plan": "preflight", "environment": "production", "shard": None}
    return last_run(folder, anchor=trust, **(wanted | {"before": "20261121T09"} | changes))


OLD, NEW = "20261121T080000.000Z-aaaaaaaa", "20261121T083000.000Z-bbbbbbbb"


class TestLastRun:
    def test_the_newest(self, tmp_path: Path) -> None:
        """With what it measured."""
        put(tmp_path, Run(run_id=OLD, latency="0.1"))
        put(tmp_path, Run(run_id=NEW, latency="0.3"))
        found = last(tmp_path)

        assert found is not None
        assert found.run_id == NEW
        assert found.values["service.ready"]["latency"].value == "0.3"

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("report.json", b'"0.3"', b'"0.1"'),
            ("bundle.intoto.jsonl", b'"sig":"', b'"sig":"A'),
        ],
    )
    def test_changed_evidence_does_not_count(self, tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
        """The one before it does."""
        put(tmp_path, Run(run_id=OLD))
        file = put(tmp_path, Run(run_id=NEW, latency="0.3")) / name
        assert old in file.read_bytes()
        file.write_bytes(file.read_bytes().replace(old, new))
        found = last(tmp_path)

        assert found is not None
        assert found.run_id == OLD

    @pytest.mark.parametrize("change", [{"plan": "canary"}, {"environment": "staging"}, {"shard": "eu"}])
    def test_of_the_same_plan_environment_and_shard(self, tmp_path: Path, change: dict[str, Any]) -> None:
        """Figures of another one say nothing here."""
        put(tmp_path, Run(run_id=NEW))

        assert last(tmp_path, **change) is None

    def test_before_this_run(self, tmp_path: Path) -> None:
        """Neither this one nor a later one."""
        put(tmp_path, Run(run_id=NEW))

        assert last(tmp_path, before=NEW) is None

    def test_signed_by_somebody_who_is_trusted(self, tmp_path: Path) -> None:
        """Anybody can write a folder."""
        put(tmp_path, Run(run_id=NEW))

        assert last(tmp_path, anchor(trusted(signer()))) is None

    def test_what_lies_about_is_passed_over(self, tmp_path: Path) -> None:
        """Files, empty folders, journals that are none."""
        put(tmp_path, Run(run_id=OLD))
        (tmp_path / "20261121T084000.000Z-file").write_text("x")
        (tmp_path / "20261121T084100.000Z-empty").mkdir()
        odd = tmp_path / "20261121T084200.000Z-odd"
        odd.mkdir()
        (odd / "journal.jsonl").write_text("[1]\n")
        found = last(tmp_path)

        assert found is not None
        assert found.run_id == OLD

    def test_no_folder_no_run(self, tmp_path: Path) -> None:
        """The first run of all."""
        assert last(tmp_path / "nowhere") is None
        assert list(past_runs(tmp_path / "nowhere")) == []
