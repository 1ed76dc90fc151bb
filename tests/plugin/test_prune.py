"""`cutover prune` beside runs: real processes, at the same time."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.projects import Project

WAITS = """
import os, pathlib, time
import pytest

@pytest.mark.preflight
@pytest.mark.gate("db.ready")
def test_db(gate):
    pathlib.Path("waiting").touch()
    until = time.monotonic() + 60
    while not pathlib.Path(os.environ.get("GO_ON", "go-on")).exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    gate.measure("latency", 0.2, unit="s")
"""
LIMITS = {"db.ready": {"latency": {"at_most": 0.5, "unit": "s"}}}
ALL = ("prune", "--keep", "1", "--older-than", "0d")


def test_a_run_that_is_under_way_comes_to_its_end(empty: Project) -> None:
    """Also when a later run of the plan has come to its own before."""
    empty.policy(["db.ready"], LIMITS).gates(WAITS)
    command = empty.command("-m", "preflight", "gates")
    slow = subprocess.Popen(command, cwd=empty.folder, env=empty.env(), stdout=subprocess.DEVNULL)
    try:
        while not (empty.folder / "waiting").exists():
            assert slow.poll() is None
            time.sleep(0.02)
        (under_way,) = empty.runs()
        assert empty.pytest("-m", "preflight", "gates", GO_ON=".").code == 0

        said = empty.cutover(*ALL, "--dry-run").out
        assert empty.cutover(*ALL).code == 0
        (empty.folder / "go-on").touch()
        code = slow.wait(60)
    finally:
        slow.kill()
        slow.wait()

    assert f"{under_way.name}\n        under way, or killed less than a day ago" in said
    assert code == 0
    assert (under_way / "report.json").exists()
