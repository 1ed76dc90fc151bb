"""A small project with a key, run through the real commands with a fault in it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from tests.lean import UNUSED, without
from tests.unit.evidence.runs import anchor, trusted

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
LEAN = without("cacheprovider", *UNUSED, "xdist")

START = "import sys; sys.path.insert(0, {here!r}); import injector; injector.install(); "
COMMANDS = {
    "in-process": START + f"import pytest; sys.exit(pytest.main({['-m', 'preflight', *LEAN]!r}))",
    "supervised": START
    + f"from pytest_cutover.cli import main; sys.exit(main({['run', 'preflight', '--', *LEAN]!r}))",
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
        made.key.write_bytes(generate(KeyKind.ED25519))
        made.key.chmod(0o600)
        return made

    def run(self, runner: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.execute([sys.executable, "-c", COMMANDS[runner].format(here=str(HERE))], **variables)

    def execute(self, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "FAULT"))}
        environment = kept | {"CUTOVER_KEY": str(self.key), "CUTOVER_VIEWS": "none"} | variables
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def verified(self) -> list[str]:
        """Verdicts of the bundles in the project that verify."""
        own = anchor(trusted(load_private_pem(self.key.read_bytes(), where=str(self.key))))
        out = []
        for bundle in (self.root / "var/cutover/runs").glob("*/bundle.intoto.jsonl"):
            report = bundle.with_name("report.json")
            kept = report.read_bytes() if report.exists() else None
            verification = verify_bundle(bundle.read_bytes(), kept, own, None)
            if verification.is_valid and verification.decision is not None:
                out.append(verification.decision.verdict.value)
        return out
