"""Files that may grow no further, files in the way, a run removed by its own gates: by the kernel's real means."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import REPORT_OPTION, assert_closed, valid_go
from tests.faults.project import LEAN

if TYPE_CHECKING:
    from tests.plugin.projects import Project

LARGEST_WHOLE_FILE = 64 * 1024  # bytes; nothing that these two gates write is larger

BOTH = pytest.mark.parametrize("runner", ["in-process", "supervised"])


def command(project: Project, runner: str) -> list[str]:
    if runner == "supervised":
        return [sys.executable, "-m", "pytest_cutover", "run", "preflight", REPORT_OPTION, "--", *LEAN]
    return project.command(*LEAN, "-m", "preflight", REPORT_OPTION)


@BOTH
class TestFileSizeLimit:
    """RLIMIT_FSIZE: a real short write at a byte of our choosing, then EFBIG."""

    @pytest.mark.parametrize("limit", [1, 300, 700, 1600, 4000, 6000])
    def test_cut_at_any_byte_is_no_go(self, disturbed: Project, runner: str, limit: int) -> None:
        """Journal, report, bundle: whichever the limit cuts."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        script = (
            "import os, resource, sys\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {before[1]}))\n"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )

        ran = disturbed.run([sys.executable, "-c", script, *command(disturbed, runner)])

        assert ran.code in (2, 4, 11), ran.text
        assert_closed(disturbed, ran)
        assert (
            "File too large" in ran.text or "evidence.not-written" in ran.text or "incomplete" in ran.text
        ), ran.text

    def test_limit_that_is_never_reached(self, disturbed: Project, runner: str) -> None:
        """The limit alone disturbs nothing."""
        script = (
            "import os, resource, sys\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({LARGEST_WHOLE_FILE}, resource.RLIM_INFINITY))\n"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )

        ran = disturbed.run([sys.executable, "-c", script, *command(disturbed, runner)])

        assert ran.code == 0, ran.text
        assert_closed(disturbed, ran)


@BOTH
class TestInTheWay:
    """Files where folders should be."""

    def test_run_folder_cannot_be_made(self, disturbed: Project, runner: str) -> None:
        """Usage error with the path, and no gate runs."""
        disturbed.write("var/cutover/runs", "a file")

        ran = disturbed.run(command(disturbed, runner))

        assert ran.code in (2, 4)
        assert "var/cutover/runs" in ran.text
        assert "Traceback" not in ran.text

    def test_gate_that_removes_its_run(self, disturbed: Project, runner: str) -> None:
        """No journal to read, no evidence to write: unproven."""
        disturbed.write(
            "conftest.py",
            "import shutil, pathlib\n"
            "def pytest_runtest_logfinish(): shutil.rmtree('var/cutover/runs', ignore_errors=True)\n",
        )

        ran = disturbed.run(command(disturbed, runner))

        assert ran.code != 0
        assert_closed(disturbed, ran)


def test_terminal_that_is_full(disturbed: Project) -> None:
    """Output to /dev/full: the decision stands in its evidence, and Python itself ends with 120, never with 0."""
    done = subprocess.run(
        [*command(disturbed, "in-process")],
        cwd=disturbed.folder,
        env=disturbed.env(),
        stdout=os.open("/dev/full", os.O_WRONLY),
        stderr=subprocess.DEVNULL,
        check=False,
    )

    assert done.returncode != 0 or all(valid_go(disturbed, run) for run in disturbed.runs())
    assert len(disturbed.runs()) == 1
