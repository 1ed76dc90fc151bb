"""Projects whose run is disturbed from outside, and what may never come of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.keys.trust import find_anchor
from tests.plugin.projects import Project, Ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

REPORT_OPTION = "--report=var/cutover/report.json"
VIEWS = ("report.html", "summary.md", "junit.xml")
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$")


def cannot(reason: str) -> NoReturn:
    """Skip, or fail where everything has to be real."""
    if os.environ.get("CUTOVER_REQUIRE_REAL") == "1":
        pytest.fail(f"CUTOVER_REQUIRE_REAL=1 demands it: {reason}")
    pytest.skip(reason)


def strace() -> str:
    """The path of a strace that may trace."""
    path = shutil.which("strace")
    if path is None:
        cannot("strace is not installed")
    if subprocess.run([path, "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        cannot("ptrace is not permitted here")
    return path


def copied(template: Project, folder: Path) -> Project:
    """A fresh copy of a project, its development key included."""
    shutil.copytree(template.folder, folder, dirs_exist_ok=True)
    return Project(folder, dict(template.environ), template.key)


def valid_go(project: Project, run: Path) -> bool:
    """Whether somebody who checks the run's evidence finds a GO that verifies."""
    bundle, report = run / BUNDLE_FILE, run / REPORT_FILE
    if not bundle.is_file():
        return False
    anchor = find_anchor(None, {}, project.folder)
    assert anchor is not None
    try:
        kept = report.read_bytes() if report.is_file() else None
        verification = verify_bundle(bundle.read_bytes(), kept, anchor, None)
    except Exception as exc:
        raise AssertionError(f"verify has to answer: {exc!r}") from exc
    return verification.is_valid and json.loads(report.read_bytes())["decision"]["verdict"] == "GO"


def assert_closed(project: Project, ran: Ran) -> None:
    """Exit 0 with whole evidence, or no 0 and no GO: never one without the other, and words instead of a traceback."""
    goes = [run for run in project.runs() if valid_go(project, run)]
    assert bool(goes) == (ran.code == 0), (ran.code, goes, ran.text)
    assert "Traceback" not in ran.text, ran.text
    assert "INTERNALERROR" not in ran.text, ran.text


class Traced:
    """A system call of a traced run: which one of its name it was in its process, and on what."""

    def __init__(self, line: str, process: int, number: int) -> None:
        found = _CALL.match(line)
        assert found is not None
        self.name, self.rest = found["name"], found["rest"]
        self.process = process  # 0 for the first process, 1 for the next
        self.number = number
        self.injected = "(INJECTED" in line
        self.sealed = False  # whether a view was written before it: a folder's sync does not say what for

    @property
    def on_evidence(self) -> bool:
        return self._on_the_run and not self.on_view

    @property
    def on_view(self) -> bool:
        """On a file that is made of the evidence, once that is sealed."""
        return self._on_the_run and (self.sealed or any(name in self._target for name in VIEWS))

    @property
    def _on_the_run(self) -> bool:
        return "/var/cutover/" in self._target and "/keys" not in self._target

    @property
    def _target(self) -> str:
        return self.rest if self.name.startswith("rename") else self.rest.split(">", 1)[0]


def traced(log: Path) -> Iterator[Traced]:
    """Every call in a log of strace."""
    processes: dict[str, int] = {}
    numbers: dict[tuple[str, str], int] = {}
    sealed: set[str] = set()
    for line in log.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        key = (found["pid"], found["name"])
        numbers[key] = numbers.get(key, 0) + 1
        call = Traced(line, processes.setdefault(found["pid"], len(processes)), numbers[key])
        call.sealed = found["pid"] in sealed
        if call.on_view:
            sealed.add(found["pid"])
        yield call


def under_strace(project: Project, command: Sequence[str], log: Path, inject: str | None = None) -> Ran:
    """Run a command under strace, which makes calls fail as `inject` says."""
    calls = "write,fsync,rename,renameat,renameat2"
    wanted = ["-e", f"inject={inject}"] if inject else []
    return project.run(
        [strace(), "-f", "-y", "-s", "64", "-o", str(log), "-e", f"trace={calls}", *wanted, "--", *command]
    )
