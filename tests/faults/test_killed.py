"""kill -9 of every process that has a part in a run, at every stage: no GO comes of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.record import fold
from tests.faults.harness import REPORT_OPTION, assert_closed, copied, traced, under_strace, valid_go
from tests.faults.project import LEAN

if TYPE_CHECKING:
    from tests.plugin.projects import Project

STAGES = {
    "after the start": "def pytest_collection_modifyitems(): {kill}",
    "mid-gate": "import pytest\n@pytest.fixture(autouse=True)\ndef f(request):\n"
    "    yield\n    request.node.name == 'test_api' and {kill}",
    "between gates": "def pytest_runtest_logfinish(nodeid): 'test_db' in nodeid and {kill}",
    "after the last gate": "def pytest_sessionfinish(): {kill}",
}
ITSELF = "__import__('os').kill(__import__('os').getpid(), 9)"
ITS_PARENT = "__import__('os').kill(__import__('os').getppid(), 9)"


@pytest.mark.parametrize("stage", STAGES)
class TestKilledByItsGates:
    """A process dies at a stage of the run."""

    def test_pytest_alone(self, disturbed: Project, stage: str) -> None:
        """The shell sees the signal; nothing was decided, whatever the journal says by then."""
        disturbed.write("conftest.py", STAGES[stage].format(kill=ITSELF))

        ran = disturbed.pytest(*LEAN, "-m", "preflight")

        assert ran.code == -9
        assert not valid_go(disturbed, ran.folder)
        assert not (ran.folder / "report.json").exists()
        assert disturbed.cutover("verify", str(ran.folder)).code != 0

    def test_supervised_child(self, disturbed: Project, stage: str) -> None:
        """The parent lives, says what it saw, and seals the NO-GO."""
        disturbed.write("conftest.py", STAGES[stage].format(kill=ITSELF))

        ran = disturbed.cutover("run", "preflight", "--", *LEAN)

        assert ran.code == 11
        assert_closed(disturbed, ran)
        assert [e["signal"] for e in ran.events("run.exited")] == [9]
        assert ran.codes() & {"run.journal-incomplete", "run.exit-status"}
        assert disturbed.cutover("verify", str(ran.folder)).code == 0

    def test_supervising_parent(self, disturbed: Project, stage: str) -> None:
        """Nobody is left to decide: no bundle, and the child's journal alone is no end."""
        disturbed.write("conftest.py", STAGES[stage].format(kill=ITS_PARENT))

        ran = disturbed.cutover("run", "preflight", "--", *LEAN)

        assert ran.code == -9
        assert not (ran.folder / "bundle.intoto.jsonl").exists()
        assert not fold((ran.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)).complete

    def test_xdist_worker(self, disturbed: Project, stage: str) -> None:
        """The controller lives and sees a worker gone."""
        here = "__import__('os').environ.get('PYTEST_XDIST_WORKER') == 'gw0' and "
        disturbed.write("conftest.py", STAGES[stage].format(kill=here + ITSELF))

        ran = disturbed.pytest("-m", "preflight", "-n", "2")

        reached = "gw0" in ran.text or ran.code != 0  # with two gates, gw0 may not come to every stage
        assert ran.code in (0, 11)
        assert_closed(disturbed, ran)
        assert reached or ran.code == 0


KILLS_SUPERVISOR = """
import os, pathlib, signal, subprocess, time
import pytest

pytestmark = pytest.mark.preflight

def parents():
    pid = os.getpid()
    while True:
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        yield pid

@pytest.mark.gate("db.ready")
def test_db(gate):
    helper = subprocess.Popen(["sleep", "30"])
    supervisor = next(p for p in parents() if b"pytest_cutover\\0run" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes())
    pathlib.Path("pids").write_text(f"{os.getpid()} {os.getppid()} {helper.pid}")
    os.kill(supervisor, signal.SIGKILL)
    time.sleep(30)
    pathlib.Path("went-on").touch()

@pytest.mark.gate("api.ready")
def test_api(gate):
    gate.measure("status", "ready")
"""


class TestOrphaned:
    """A supervised child whose parent is gone: nobody will read what it measures."""

    @pytest.mark.parametrize("workers", [["-pno:xdist"], ["-n", "2"]], ids=["alone", "xdist"])
    @pytest.mark.skipif(sys.platform != "linux", reason="finds the supervisor in /proc")
    def test_ends_with_its_parent(self, disturbed: Project, workers: list[str]) -> None:
        """With its workers and whatever the gates started, in the middle of a gate."""
        disturbed.gates(KILLS_SUPERVISOR)
        began = time.monotonic()

        ran = disturbed.cutover("run", "preflight", "--", *LEAN[:-1], *workers)

        assert ran.code == -9
        pids = [int(pid) for pid in (disturbed.folder / "pids").read_text().split()]
        while any(map(alive, pids)) and time.monotonic() - began < 15:
            time.sleep(0.05)
        assert not any(map(alive, pids))
        assert time.monotonic() - began < 15
        assert not (disturbed.folder / "went-on").exists()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def whole(template: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the log of an undisturbed run."""
    folder = tmp_path_factory.mktemp("killed")
    project = copied(template, folder / "whole")
    copied(template, folder / "before").pytest(*LEAN, "-m", "preflight")  # writes the bytecode
    ran = under_strace(
        project, project.command(*LEAN, "-m", "preflight", REPORT_OPTION), folder / "whole.log"
    )
    assert ran.code == 0
    return folder


class TestInterruptedWhileSealing:
    """SIGINT at each write, sync and rename of the journal's end, report and bundle."""

    @pytest.mark.parametrize("call", ["write", "fsync", "rename"])
    def test_interrupt(self, template: Project, whole: Path, call: str) -> None:
        """Ctrl-C while sealing: never 0 without its evidence, never a GO with another code."""
        calls = [c for c in traced(whole / "whole.log") if c.on_evidence and c.name == call]
        for one in calls[-4:]:  # of the writes: the end of the journal, the report, its copy, the bundle
            name = f"int-{call}-{one.number}"
            project = copied(template, whole / name)
            command = project.command(*LEAN, "-m", "preflight", REPORT_OPTION)
            ran = under_strace(
                project, command, whole / f"{name}.log", f"{call}:signal=INT:when={one.number}"
            )

            assert ran.code == 11, (name, ran.code, ran.text)
            assert "run.interrupted" in ran.codes(), (name, ran.text)
            assert_closed(project, ran)


def test_next_run_is_not_disturbed_by_a_dead_one(disturbed: Project) -> None:
    """What a killed run left behind stays its own."""
    disturbed.write("conftest.py", STAGES["mid-gate"].format(kill=ITSELF))
    assert disturbed.pytest(*LEAN, "-m", "preflight").code == -9
    (disturbed.folder / "conftest.py").unlink()

    ran = disturbed.pytest(*LEAN, "-m", "preflight")

    assert ran.code == 0
    assert valid_go(disturbed, ran.folder)
