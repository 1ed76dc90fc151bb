"""Small projects with gates, run by pytest in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lean import LEAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GATES = """
import pytest

pytestmark = pytest.mark.preflight

@pytest.mark.gate("db.ready", owner="dba", remedy="docs/db.md")
def test_db(gate):
    gate.measure("latency", 0.2, unit="s")

@pytest.mark.gate("api.ready")
def test_api(gate):
    gate.measure("status", "ready")
"""

LIMITS: dict[str, Any] = {
    "db.ready": {"latency": {"at_most": 0.5, "unit": "s"}},
    "api.ready": {"status": {"equals": "ready"}},
}


@dataclass
class Ran:
    """How a process ended, and what it left behind."""

    code: int
    out: str
    err: str
    runs: list[Path]

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def folder(self) -> Path:
        """The folder of the one run that this process made."""
        (one,) = self.runs
        return one

    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "report.json").read_bytes())
        return loaded

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "journal.jsonl").read_bytes().splitlines()
        return [e for e in map(json.loads, lines) if e["event"] == kind]

    def codes(self) -> set[str]:
        """Reason codes in the verdict block."""
        return {
            line.rsplit("[", 1)[1].rstrip("]")
            for line in self.out.splitlines()
            if line.endswith("]") and "[" in line
        }


@dataclass
class Project:
    """A folder with a policy and gates."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    key: str | None = "none"  # CUTOVER_KEY; None leaves it to the engine to make a development key

    def policy(
        self,
        requires: Sequence[Any] = ("db.ready", "api.ready"),
        limits: Mapping[str, Any] = LIMITS,
        **extra: Any,
    ) -> Project:
        """Write configs/policy.json with one plan, `preflight`, in the sandbox."""
        document = {
            "format": 1,
            "name": "test",
            "version": 1,
            "default_environment": "sandbox",
            "plans": {"preflight": {"requires": list(requires)}},
            "limits": limits,
            "environments": {"sandbox": {"sandbox": True}},
        }
        self.write("configs/policy.json", json.dumps(document | extra))
        return self

    def gates(self, text: str = GATES, name: str = "gates/test_gates.py") -> Project:
        self.write(name, text if "import pytest" in text else f"import pytest\n\n{text}")
        return self

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def env(self, **changes: str) -> dict[str, str]:
        """A plain environment without a signing key, in which nothing of this test run is left."""
        kept = {
            n: v
            for n, v in os.environ.items()
            if not n.startswith(("CUTOVER_", "PYTEST_", "GITHUB_", "PYTHON"))
            and n not in ("NO_COLOR", "FORCE_COLOR", "CI")
        }
        key = {} if self.key is None else {"CUTOVER_KEY": self.key}
        return kept | key | {"PYTHONIOENCODING": "utf-8"} | self.environ | changes

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *LEAN, *arguments]

    def pytest(self, *arguments: str, **environ: str) -> Ran:
        return self.run(self.command(*arguments), **environ)

    def cutover(self, *arguments: str, **environ: str) -> Ran:
        return self.run([sys.executable, "-m", "pytest_cutover", *arguments], **environ)

    def run(self, command: Sequence[str], **environ: str) -> Ran:
        before = set(self.runs())
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env(**environ),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, [r for r in self.runs() if r not in before])

    def runs(self) -> list[Path]:
        folder = self.folder / "var/cutover/runs"
        return sorted(folder.iterdir()) if folder.is_dir() else []
