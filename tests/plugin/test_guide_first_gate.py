"""docs/guides/first-gate.md, followed step by step."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from tests.guides import GUIDES, Guide, blocks

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = GUIDES / "first-gate.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"

    Guide(GUIDE, home, {8000: free_port()}).follow()

    runs = sorted((home / "first-gate/var/cutover/runs").iterdir())
    verdicts = [json.loads((run / "report.json").read_text())["decision"]["verdict"] for run in runs]
    assert verdicts == ["NO-GO", "GO"]


def test_leaves_out_the_installation_alone() -> None:
    left_out = [block.text for block in blocks(GUIDE.read_text()) if block.what == "not run"]

    assert left_out == ["$ pip install pytest-cutover\n"]
