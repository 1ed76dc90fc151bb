"""The guides about evidence that is there already: merged, and judged again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.guides import GUIDES, Guide, blocks

if TYPE_CHECKING:
    from pathlib import Path


def test_many_jobs_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"

    Guide(GUIDES / "many-jobs.md", home, {}).follow()

    reports = [json.loads(p.read_text()) for p in sorted(home.glob("var/cutover/runs/*/report.json"))]
    told = [(r["kind"].split()[1], r["decision"]["verdict"]) for r in reports]
    assert told == [("fleet", "GO"), ("fleet", "NO-GO"), ("evidence", "NO-GO"), ("fleet", "GO")]


def test_many_jobs_leaves_out_the_workflow_alone() -> None:
    left_out = [b.language for b in blocks((GUIDES / "many-jobs.md").read_text()) if b.what == "not run"]

    assert left_out == ["yaml"]


def test_judging_again_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"

    Guide(GUIDES / "judging-again.md", home, {}).follow()

    reports = [json.loads(p.read_text()) for p in sorted(home.glob("var/cutover/runs/*/report.json"))]
    assert [r["decision"]["verdict"] for r in reports] == ["GO", "GO", "NO-GO"]
