"""Every write of journal, report and bundle fails in turn: no GO, no torn file that verifies, a clear message."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.project import COMMANDS, Project

OPERATIONS = {
    # Four syncs are for the names of new folders, from the project's to the run's own.
    # run.started, run.collected, two lines for each of two gates, run.finished
    "in-process": {
        "journal.write": 7,
        "journal.fsync": 1,
        "files.write": 2,
        "files.fsync": 9,
        "files.replace": 3,
    },
    # The parent writes run.started and run.exited; the lines between are the child's.
    "supervised": {
        "journal.write": 2,
        "journal.fsync": 2,
        "files.write": 2,
        "files.fsync": 9,
        "files.replace": 3,
    },
}
LAST = ("files.fsync", 9)
"""The sync of the folder after the bundle has its name: what dies here has sealed already."""

KINDS = {
    "journal.write": ("ENOSPC", "short", "kill", "interrupt"),
    "journal.fsync": ("EIO", "kill", "interrupt"),
    "files.write": ("ENOSPC", "short", "EROFS", "kill", "interrupt"),
    "files.fsync": ("EIO", "kill", "interrupt"),
    "files.replace": ("EIO", "kill", "interrupt"),
}
FAULTS = [
    pytest.param(runner, operation, number, kind, id=f"{runner}-{operation}-{number}-{kind}")
    for runner, operations in OPERATIONS.items()
    for operation, count in operations.items()
    for number in range(1, count + 1)
    for kind in KINDS[operation]
]


@pytest.mark.parametrize("runner", COMMANDS)
class TestControl:
    def test_no_fault_is_go(self, project: Project, runner: str) -> None:
        """The harness itself changes nothing: GO, and evidence that verifies."""
        done = project.run(runner)

        assert done.returncode == 0, done.stdout + done.stderr
        assert project.verified() == ["GO"]

    def test_every_operation_is_known(self, project: Project, runner: str) -> None:
        """A new write must get its faults: the table names every operation there is."""
        listed = project.root / "operations.txt"
        project.run(runner, FAULT_COUNT=str(listed))

        assert Counter(listed.read_text().split()) == OPERATIONS[runner]

    def test_partial_write_is_no_fault(self, project: Project, runner: str) -> None:
        """A write that takes two system calls loses nothing."""
        done = project.run(runner, FAULT="journal.write:1:partial")

        assert done.returncode == 0, done.stdout + done.stderr
        assert project.verified() == ["GO"]


@pytest.mark.parametrize(("runner", "operation", "number", "kind"), FAULTS)
def test_fault_is_never_go(project: Project, runner: str, operation: str, number: int, kind: str) -> None:
    """Blocking exit, no signed GO, a sentence that says what could not be written, and no traceback."""
    done = project.run(runner, FAULT=f"{operation}:{number}:{kind}")
    output = done.stdout + done.stderr

    if (operation, number, kind) == (*LAST, "kill"):
        assert done.returncode == -9
        assert project.verified() == ["GO"]  # whole and durable but for the folder's own sync
        return
    assert done.returncode == (-9 if kind == "kill" else done.returncode)
    assert done.returncode != 0, output
    assert "GO" not in project.verified(), output
    if kind == "interrupt":
        assert "Traceback" not in output, output
        assert "\nGO " not in output, output
        assert "interrupt" in output.lower(), output  # before a gate run began it is pytest that says so
    elif kind != "kill":
        assert "cannot " in output, output
        assert "Traceback" not in output, output
        assert "\nGO " not in output, output
