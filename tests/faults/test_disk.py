"""A real disk that is full, read-only or failing under the run folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import COMMANDS, Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A tmpfs on `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def blocked(done: subprocess.CompletedProcess[str]) -> None:
    output = done.stdout + done.stderr
    assert done.returncode not in (0, 1), output
    assert "cannot write" in output, output
    assert "Traceback" not in output, output


@pytest.mark.parametrize("runner", COMMANDS)
class TestDisk:
    def test_full_disk_at_every_size_is_no_go(self, project: Project, runner: str) -> None:
        """From no room at all to just too little: NO-GO each time, until everything fits."""
        for blocks in range(1, 12):
            with mounted(project.root / "var", f"size={blocks * 4096}"):
                done = project.run(runner)
                if done.returncode == 0:
                    assert project.verified() == ["GO"]
                    assert blocks > 2
                    return
                blocked(done)
                assert project.verified() == []
        pytest.fail("the run never fitted")

    def test_read_only_folder_is_no_go(self, project: Project, runner: str) -> None:
        """A folder that cannot be written is said before any gate runs."""
        with mounted(project.root / "var", "ro"):
            done = project.run(runner)

            blocked(done)
            assert "first" not in done.stdout

    def test_failing_fsync_is_no_go(self, project: Project, runner: str) -> None:
        """The kernel says EIO to every fsync: what may not be on the disk is no evidence."""
        if shutil.which("strace") is None:
            pytest.skip("needs strace")
        command = [sys.executable, "-c", COMMANDS[runner].partition("injector.install(); ")[2]]
        inject = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync",
            "-e",
            "inject=fsync:error=EIO",
        ]
        done = project.execute([*inject, sys.executable, "-c", "import sys; " + command[2]])
        if "ptrace" in done.stderr:
            pytest.skip("needs ptrace")

        assert done.returncode in (2, 4, 10, 11), done.stdout + done.stderr
        assert "cannot " in done.stdout + done.stderr
        assert project.verified() == []


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_kill_in_the_middle_of_a_gate_is_no_go(project: Project, victim: str) -> None:
    """kill -9 of the supervising parent leaves nothing that verifies; of its child, a NO-GO that does."""
    (project.root / "gates/test_gates.py").write_text(
        (project.root / "gates/test_gates.py").read_text()
        + "\n\n@pytest.mark.gate('third')\ndef test_third(gate):\n"
        "    import os, pathlib, time\n"
        "    pathlib.Path('pids').write_text(f'{os.getpid()} {os.getppid()}')\n"
        "    time.sleep(20)\n"
    )
    environment = {**os.environ, "CUTOVER_KEY": str(project.key)}
    command = [sys.executable, "-P", "-m", "pytest_cutover", "run", "preflight"]
    pids = project.root / "pids"
    with subprocess.Popen(
        command,
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for _ in range(200):
            time.sleep(0.1)
            if pids.exists() and len(pids.read_text().split()) == 2:
                break
        child, parent = map(int, pids.read_text().split())
        os.kill(parent if victim == "parent" else child, signal.SIGKILL)
        if victim == "parent":
            os.kill(child, signal.SIGKILL)
        output, _ = process.communicate(timeout=30)

    if victim == "parent":
        assert process.returncode == -signal.SIGKILL
        assert project.verified() == []
    else:
        assert process.returncode == 11, output
        assert "run.journal-incomplete" in output
        assert project.verified() == ["NO-GO"]
