"""A small project with a key, run through the real commands with a fault in it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GATES = """
import pytest

pytestmark = pytest.mark.preflight


@pytest.mark.gate("first")
def test_first(gate):
    gate.measure("value", 1, at_most=2)


@pytest.mark.gate("second")
def test_second(gate):
    gate.measure("value", 1)
"""
POLICY = """
{"format": 1, "name": "faults", "version": 1, "default_environment": "sandbox",
 "plans": {"preflight": {"requires": ["first", "second"]}},
 "limits": {"first": {"value": {"at_most": 2}}, "second": {"value": {"at_most": 2}}},
 "environments": {"sandbox": {"sandbox": true}}}
"""
START = "import sys; sys.path.insert(0, {here!r}); import injector; injector.install(); "
COMMANDS = {
    "in-process": START
    + "import pytest; sys.exit(pytest.main(['-m', 'preflight', '-p', 'no:cacheprovider']))",
    "supervised": START
    + "from pytest_cutover.cli import main; sys.exit(main(['run', 'preflight', '--', '-p', 'no:cacheprovider']))",
}


@dataclass(frozen=True)
class Project:
    """`root` holds gates and policy; key and trust file stand outside of it."""

    root: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Project:
        made = cls(folder / "project", folder / "key.pem")
        for name, text in {
            "gates/test_gates.py": GATES,
            "configs/policy.json": POLICY,
            "pytest.ini": "[pytest]\n",
        }.items():
            (made.root / name).parent.mkdir(parents=True, exist_ok=True)
            (made.root / name).write_text(text)
        made.cutover("keys", "new", str(made.key))
        return made

    def cutover(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.execute([sys.executable, "-P", "-m", "pytest_cutover", *arguments])

    def run(self, runner: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.execute([sys.executable, "-c", COMMANDS[runner].format(here=str(HERE))], **variables)

    def execute(self, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "FAULT"))}
        environment = kept | {"CUTOVER_KEY": str(self.key)} | variables
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def verified(self) -> list[str]:
        """Verdicts of the bundles in the project that verify."""
        trust = self.root.parent / "trust.json"
        trust.write_text(f'{{"format": 1, "keys": [{self.cutover("keys", "show", str(self.key)).stdout}]}}')
        out = []
        for bundle in (self.root / "var/cutover/runs").glob("*/bundle.intoto.jsonl"):
            done = self.cutover("verify", str(bundle.parent), "--trust", str(trust))
            assert done.returncode in (0, 1), done.stderr
            if done.returncode == 0:
                out.append(next(x for x in done.stdout.splitlines() if x.startswith("verdict")).split()[1])
        return out
