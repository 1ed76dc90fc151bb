"""docs/guides/adopt.md, followed step by step."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.guides import GUIDES, Guide, blocks

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = GUIDES / "adopt.md"
ACTION: dict[str, Any] = YAML(typ="safe").load((GUIDES.parents[1] / "action.yml").read_text())


def test_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"

    Guide(GUIDE, home, {}, varies=((r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME"),)).follow()

    runs = sorted((home / "shop/var/cutover/runs").iterdir())
    verdicts = [json.loads((run / "report.json").read_text())["decision"]["verdict"] for run in runs]
    assert verdicts == ["GO", "NO-GO", "NO-GO", "GO"]


def test_leaves_out_the_installation_and_the_job_alone() -> None:
    left_out = [(b.language, b.note) for b in blocks(GUIDE.read_text()) if b.what == "not run"]

    assert [language for language, _ in left_out] == ["console", "yaml"]


def test_its_job_uses_what_the_action_has() -> None:
    (text,) = [b.text for b in blocks(GUIDE.read_text()) if b.language == "yaml"]
    _, gates, comment = YAML(typ="safe").load(text)["steps"]

    assert set(gates["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.gates\.outputs\.([\w-]+)", json.dumps(comment))) <= set(ACTION["outputs"])
    assert "${{" not in comment["run"]


def test_its_tables_list_every_input_and_output() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", GUIDE.read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}

    assert set(ACTION["inputs"]) | set(ACTION["outputs"]) <= listed
