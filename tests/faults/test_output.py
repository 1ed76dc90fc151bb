"""Output that cannot be written: a closed pipe, a full disk, a closed descriptor. No traceback, and no yes that nobody saw."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import cannot, copied, valid_go
from tests.faults.project import LEAN
from tests.plugin.projects import LIMITS

if TYPE_CHECKING:
    from tests.plugin.projects import Project

SUBJECT = f"shop@sha256:{'ab' * 32}"
RUN = ["run", "preflight", "--subject", SUBJECT]
ADMIT = ["admit", "--digest", SUBJECT.partition("@")[2], "--environment"]
CLOSED = {
    "full": "exec {stream}>/dev/full",
    "closed": "exec {stream}>&-",
    "pipe": "exec {stream}>&9",
}


def ended(
    project: Project, arguments: list[str], closed: str, stream: int
) -> subprocess.CompletedProcess[str]:
    """`cutover` with one of its streams broken; its exit code, and what it wrote to the other."""
    if closed == "full" and not Path("/dev/full").exists():
        cannot("there is no /dev/full")
    read, write = os.pipe()
    os.close(read)
    script = f'exec 9>&{write}; {CLOSED[closed].format(stream=stream)}; exec 9>&-; exec "$@"'
    command = [sys.executable, "-P", "-m", "pytest_cutover", *arguments]
    try:
        return subprocess.run(
            ["bash", "-c", script, "bash", *command],
            cwd=project.folder,
            env=project.env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            pass_fds=(write,),
        )
    finally:
        os.close(write)


@pytest.fixture(scope="module")
def decided(template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a signed GO."""
    project = copied(template, tmp_path_factory.mktemp("decided"))
    assert project.cutover(*RUN, "--", *LEAN).code == 0
    return project


@pytest.mark.parametrize("closed", CLOSED)
class TestVerbs:
    """Those that answer with yes or no."""

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["verify", "{run}"], 2),
            (["verify", "--json", "{run}"], 2),
            ([*ADMIT, "sandbox"], 2),
            ([*ADMIT, "production"], 1),
            (["policy", "show", "configs/policy.json"], 2),
            (["keys", "show"], 2),
            (["--help"], 2),
            (["verify", "--help"], 2),
            (["--nope"], 64),
            (["verify", "nowhere"], 2),
        ],
        ids=lambda a: " ".join(a[:2]) if isinstance(a, list) else None,
    )
    def test_without_standard_output_is_never_yes(
        self, decided: Project, closed: str, arguments: list[str], code: int
    ) -> None:
        """A no stays a no, and standard error says what was wrong."""
        done = ended(decided, [a.format(run=decided.runs()[0]) for a in arguments], closed, 1)

        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if code != 64 and "nowhere" not in arguments:
            assert "error: cannot write standard output: " in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [(["verify", "{run}"], 0), ([*ADMIT, "production"], 1), (["--nope"], 64), (["verify", "nowhere"], 2)],
        ids=lambda a: " ".join(a[:2]) if isinstance(a, list) else None,
    )
    def test_without_standard_error_answers_all_the_same(
        self, decided: Project, closed: str, arguments: list[str], code: int
    ) -> None:
        """What it says there is help, not the answer; and it does not turn up in the answer."""
        done = ended(decided, [a.format(run=decided.runs()[0]) for a in arguments], closed, 2)

        assert done.returncode == code
        assert "error:" not in done.stdout
        assert done.stdout.startswith("VALID" if code == 0 else "REFUSED" if code == 1 else "")


@pytest.mark.parametrize("closed", CLOSED)
class TestSupervisor:
    """`cutover run`: pytest itself may not survive the loss of its terminal, the decision does."""

    def test_without_standard_output_is_decided_and_never_0(self, disturbed: Project, closed: str) -> None:
        done = ended(disturbed, [*RUN, "--", *LEAN], closed, 1)
        (run,) = disturbed.runs()

        assert done.returncode == (2 if valid_go(disturbed, run) else 11), done.stderr
        assert disturbed.cutover("verify", str(run)).code == 0
        assert "error: cannot write standard output: " in done.stderr
        assert "pytest_cutover/cli" not in done.stderr  # a traceback of ours; pytest's own is pytest's

    def test_a_no_go_keeps_its_code(self, disturbed: Project, closed: str) -> None:
        """Whether it was measured or is what became of pytest without a terminal."""
        disturbed.policy(limits=LIMITS | {"db.ready": {"latency": {"at_most": 0.1, "unit": "s"}}})

        done = ended(disturbed, [*RUN, "--", *LEAN], closed, 1)

        assert done.returncode in ((10,) if closed == "closed" else (10, 11))

    def test_without_standard_error_says_go(self, disturbed: Project, closed: str) -> None:
        done = ended(disturbed, [*RUN, "--", *LEAN], closed, 2)

        assert done.returncode == 0
        assert "\nGO " in done.stdout
