"""Every write of journal, report and bundle fails in turn: no GO, no torn file that verifies, a clear message."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

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
IN_PROCESS = START + "import pytest; sys.exit(pytest.main(['-m', 'preflight', '-p', 'no:cacheprovider']))"
SUPERVISED = START + (
    "from pytest_cutover.cli import main; sys.exit(main(['run', 'preflight', '--', '-p', 'no:cacheprovider']))"
)
COMMANDS = {"in-process": IN_PROCESS, "supervised": SUPERVISED}

OPERATIONS = {
    # run.started, run.collected, two lines for each of two gates, run.finished
    "in-process": {
        "journal.write": 7,
        "journal.fsync": 1,
        "files.write": 2,
        "files.fsync": 4,
        "files.replace": 2,
    },
    # The parent writes run.started and run.exited; the lines between are the child's.
    "supervised": {
        "journal.write": 2,
        "journal.fsync": 2,
        "files.write": 2,
        "files.fsync": 4,
        "files.replace": 2,
    },
}
LAST = ("files.fsync", 4)
"""The sync of the folder after the bundle has its name: what dies here has sealed already."""

KINDS = {
    "journal.write": ("ENOSPC", "short", "kill"),
    "journal.fsync": ("EIO", "kill"),
    "files.write": ("ENOSPC", "short", "EROFS", "kill"),
    "files.fsync": ("EIO", "kill"),
    "files.replace": ("EIO", "kill"),
}
FAULTS = [
    pytest.param(runner, operation, number, kind, id=f"{runner}-{operation}-{number}-{kind}")
    for runner, operations in OPERATIONS.items()
    for operation, count in operations.items()
    for number in range(1, count + 1)
    for kind in KINDS[operation]
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "gates").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "gates/test_gates.py").write_text(GATES)
    (tmp_path / "configs/policy.json").write_text(POLICY)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    cutover(tmp_path, "keys", "new", str(tmp_path / "key.pem"))
    return tmp_path


def cutover(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return execute(project, [sys.executable, "-P", "-m", "pytest_cutover", *arguments])


def execute(project: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "FAULT"))}
    key = {"CUTOVER_KEY": str(project / "key.pem")}
    return subprocess.run(
        command,
        cwd=project,
        env=kept | key | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(project: Path, runner: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return execute(project, [sys.executable, "-c", COMMANDS[runner].format(here=str(HERE))], **variables)


def trust(project: Path) -> str:
    """A trust file that stands outside of the project."""
    shown = cutover(project, "keys", "show", str(project / "key.pem")).stdout
    file = project.parent / f"{project.name}-trust.json"
    file.write_text(f'{{"format": 1, "keys": [{shown}]}}')
    return str(file)


def verified(project: Path) -> list[str]:
    """Verdicts of the bundles in the project that verify."""
    out = []
    for bundle in (project / "var/cutover/runs").glob("*/bundle.intoto.jsonl"):
        done = cutover(project, "verify", str(bundle.parent), "--trust", trust(project))
        assert done.returncode in (0, 1), done.stderr
        if done.returncode == 0:
            out.append(next(x for x in done.stdout.splitlines() if x.startswith("verdict")).split()[1])
    return out


@pytest.mark.parametrize("runner", COMMANDS)
class TestControl:
    def test_no_fault_is_go(self, project: Path, runner: str) -> None:
        """The harness itself changes nothing: GO, and evidence that verifies."""
        done = run(project, runner)

        assert done.returncode == 0, done.stdout + done.stderr
        assert verified(project) == ["GO"]

    def test_every_operation_is_known(self, project: Path, runner: str) -> None:
        """A new write must get its faults: the table names every operation there is."""
        listed = project / "operations.txt"
        run(project, runner, FAULT_COUNT=str(listed))

        assert Counter(listed.read_text().split()) == OPERATIONS[runner]

    def test_partial_write_is_no_fault(self, project: Path, runner: str) -> None:
        """A write that takes two system calls loses nothing."""
        done = run(project, runner, FAULT="journal.write:1:partial")

        assert done.returncode == 0, done.stdout + done.stderr
        assert verified(project) == ["GO"]


@pytest.mark.parametrize(("runner", "operation", "number", "kind"), FAULTS)
def test_fault_is_never_go(project: Path, runner: str, operation: str, number: int, kind: str) -> None:
    """Blocking exit, no signed GO, a sentence that says what could not be written, and no traceback."""
    done = run(project, runner, FAULT=f"{operation}:{number}:{kind}")
    output = done.stdout + done.stderr

    if (operation, number, kind) == (*LAST, "kill"):
        assert done.returncode == -9
        assert verified(project) == ["GO"]  # whole and durable but for the folder's own sync
        return
    assert done.returncode == (-9 if kind == "kill" else done.returncode)
    assert done.returncode != 0, output
    assert "GO" not in verified(project) or (operation, number) == LAST, output
    if kind != "kill":
        assert "cannot " in output, output
        assert "Traceback" not in output, output
        assert "\nGO " not in output, output
