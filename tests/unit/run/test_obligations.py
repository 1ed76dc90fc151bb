"""What earlier releases owe, where their evidence cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_cutover.errors import AdapterError
from pytest_cutover.run.obligations import find_owed
from tests.unit.evidence.runs import Run, anchor, sealed

if TYPE_CHECKING:
    from pathlib import Path


def write(runs: Path) -> Path:
    folder = runs / Run().run_id
    folder.mkdir(parents=True)
    bundle, report = sealed(Run())
    (folder / "bundle.intoto.jsonl").write_bytes(bundle)
    (folder / "report.json").write_bytes(report)
    return folder


def test_a_run_that_promised_nothing_owes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "20261121T085200Z-99999999").mkdir()

    assert find_owed(tmp_path, "production", anchor()) == ()


def test_a_run_that_cannot_be_read_may_owe_anything(tmp_path: Path) -> None:
    """To make it unreadable must not be a way to be rid of a promise."""
    report = write(tmp_path) / "report.json"
    report.unlink()
    report.symlink_to(report)

    with pytest.raises(AdapterError, match=r"cannot read .*report\.json"):
        find_owed(tmp_path, "production", anchor())
