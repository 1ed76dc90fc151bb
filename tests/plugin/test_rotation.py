"""Keys that are rotated while a run goes on: its evidence is signed with the key of now, and counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.keys.ring import KeyRing

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {
    "format": 1,
    "name": "shop",
    "version": 1,
    "default_environment": "sandbox",
    "plans": {"preflight": {"requires": ["rotates"]}},
    "limits": {"rotates": {"code": {"equals": 0}}},
    "environments": {"sandbox": {"sandbox": True, "log": {}}},
}
GATE = """
import subprocess, sys
import pytest

@pytest.mark.preflight
@pytest.mark.gate("rotates")
def test_rotates(gate):
    command = [sys.executable, "-m", "pytest_cutover", "keys", "rotate", "ring", "--trust", "../trust.json"]
    gate.measure("code", subprocess.run(command, check=False).returncode)
"""


class Project:
    """A project whose gate rotates the key that will sign, and a trust file beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        for name, text in {"configs/policy.json": json.dumps(POLICY), "gates/test_it.py": GATE}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.environ = {n: v for n, v in os.environ.items() if not n.startswith(("CUTOVER_", "PYTEST_"))}
        self.environ |= {"CUTOVER_KEY": "ring", "CUTOVER_TRUST": "../trust.json"}
        made = ("keys", "new", "ring", "--ring", "--name", "release", "--trust", "../trust.json")
        assert self.cutover(*made).returncode == 0

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def cutover(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("pytest_cutover", *arguments)

    def trust_log(self) -> None:
        """The run has made the key of its log, which those who verify have to know."""
        shown = ("keys", "show", "var/cutover/keys/log.pub.pem", "--role", "log", "--origin", "cutover.local")
        entry = json.loads(self.cutover(*shown).stdout)
        path = self.root.parent / "trust.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "keys": [*document["keys"], entry]}))


@pytest.mark.parametrize(
    "command",
    [("pytest", "-m", "preflight", "gates"), ("pytest_cutover", "run", "preflight", "--", "gates")],
    ids=["in-process", "supervised"],
)
def test_a_run_signs_with_the_key_of_its_end(command: tuple[str, ...], tmp_path: Path) -> None:
    project = Project(tmp_path)
    old = KeyRing(project.root / "ring").active()

    done = project.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    project.trust_log()

    verified = project.cutover("verify", "--last", "--json")
    assert verified.returncode == 0, verified.stdout
    (signer,) = json.loads(verified.stdout)["signers"]
    assert signer["keyid"] == KeyRing(project.root / "ring").active() != old
