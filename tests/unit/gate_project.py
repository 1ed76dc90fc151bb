"""A small project with gates, in a temporary folder, run as people run one: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.lean import ADDOPTS

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "import pytest\n\n"


class GateProject:
    """configs/policy.json, gates/ and what its runs left behind."""

    def __init__(
        self, folder: Path, gates: str, *, requires: list[Any], limits: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        policy = {
            "format": 1,
            "name": "test",
            "version": 1,
            "default_environment": "sandbox",
            "plans": {"preflight": {"requires": requires}},
            "limits": limits or {},
            "environments": {"sandbox": {"sandbox": True}},
        }
        self.write("configs/policy.json", json.dumps(policy))
        self.write("gates/test_gates.py", HEAD + gates)
        self.write("pytest.ini", "[pytest]\n")

    def write(self, name: str, text: str) -> Path:
        """Put a file into the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pytest -m preflight …`."""
        return self._run("pytest", "-m", "preflight", "-p", "no:cacheprovider", *arguments)

    def cutover(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`cutover …`."""
        return self._run("pytest_cutover", *arguments)

    def _run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CUTOVER_", "PYTEST_", "GITHUB_"))}
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=kept | {"PYTEST_ADDOPTS": ADDOPTS},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def run(self) -> Path:
        """The folder of the newest run."""
        return max((self.folder / "var/cutover/runs").iterdir(), key=lambda run: run.stat().st_mtime_ns)

    def journal(self) -> list[dict[str, Any]]:
        """The newest run's events."""
        lines = (self.run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def report(self) -> dict[str, Any]:
        """The newest run's report."""
        loaded: dict[str, Any] = json.loads((self.run / "report.json").read_text(encoding="utf-8"))
        return loaded
