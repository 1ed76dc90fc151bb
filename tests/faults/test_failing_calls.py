"""Every write, sync and rename of a run's evidence fails once: no GO comes of it, and somebody is told why.

strace makes the system call itself fail, in the real program. A first, undisturbed run shows which
calls there are; then each of them fails in a run of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.evidence.inclusion import claimed
from pytest_cutover.evidence.seal import BUNDLE_FILE, UNFINISHED_FILE
from tests.faults.harness import REPORT_OPTION, Traced, assert_closed, copied, traced, under_strace, valid_go
from tests.faults.project import LEAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.plugin.projects import Project, Ran

WORDS = {"ENOSPC": "No space left on device", "EIO": "Input/output error"}
RUNNERS: dict[str, Callable[[Project], list[str]]] = {
    "in-process": lambda p: p.command(*LEAN, "-m", "preflight", REPORT_OPTION),
    "supervised": lambda p: [
        sys.executable,
        "-m",
        "pytest_cutover",
        "run",
        "preflight",
        REPORT_OPTION,
        "--",
        *LEAN,
    ],
}


class Sweep:
    """The calls of an undisturbed run, and runs in which one of them fails."""

    def __init__(self, template: Project, runner: str, folder: Path) -> None:
        self.template = template
        self.runner = runner
        self.folder = folder
        self.run("before")  # the first run after a change writes bytecode, and later ones have fewer calls
        ran = self.run("undisturbed")
        assert ran[1].code == 0, ran[1].text
        assert_closed(*ran)
        calls = list(traced(folder / "undisturbed.log"))
        self.calls = [c for c in calls if c.on_evidence]
        self.on_views = [c for c in calls if c.on_view]

    def run(self, name: str, inject: str | None = None) -> tuple[Project, Ran]:
        project = copied(self.template, self.folder / name)
        command = RUNNERS[self.runner](project)
        return project, under_strace(project, command, self.folder / f"{name}.log", inject)

    def injected(self, name: str) -> list[Traced]:
        return [c for c in traced(self.folder / f"{name}.log") if c.injected]

    def numbers(self, call: str) -> Sequence[int]:
        return sorted({c.number for c in self.calls if c.name == call})


@pytest.fixture(scope="module", params=RUNNERS)
def sweep(
    request: pytest.FixtureRequest, template: Project, tmp_path_factory: pytest.TempPathFactory
) -> Sweep:
    return Sweep(template, request.param, tmp_path_factory.mktemp(f"sweep-{request.param}"))


class TestFailingCalls:
    """One failing call per run."""

    def test_the_undisturbed_run_writes_what_is_to_fail(self, sweep: Sweep) -> None:
        """Journal lines, report, its copy, bundle: else this file would test nothing."""
        written = [c.rest for c in sweep.calls if c.name == "write"]

        for name in ("journal.jsonl", "/.report.json", "/.bundle.intoto.jsonl"):
            assert any(name in w for w in written)
        assert len([w for w in written if "journal.jsonl" in w]) >= 7
        assert len(sweep.numbers("fsync")) >= 5
        assert len(sweep.numbers("rename")) == 4

    @pytest.mark.parametrize(
        ("sweep", "call", "error"),
        [
            ("in-process", "write", "ENOSPC"),
            ("in-process", "fsync", "EIO"),
            ("in-process", "rename", "ENOSPC"),
            ("supervised", "write", "ENOSPC"),  # the parent seals by the same code
        ],
        indirect=["sweep"],
    )
    def test_no_failing_call_leaves_a_go(self, sweep: Sweep, call: str, error: str) -> None:
        """Each in turn: not 0, nothing that verifies as GO, the reason in words."""
        numbers = sweep.numbers(call)
        aside = 0
        for number in numbers:
            name = f"{call}-{error}-{number}"
            project, ran = sweep.run(name, f"{call}:error={error}:when={number}")

            assert sweep.injected(name), name
            if not all(c.on_evidence for c in sweep.injected(name)):
                # Parent and child count for themselves: the other one's terminal failed, and says so as Python does.
                aside += 1
                assert ran.code != 0, name
                assert not any(valid_go(project, run) for run in project.runs()), name
                continue
            assert ran.code in (2, 4, 11), (name, ran.code, ran.text)
            assert_closed(project, ran)
            told = WORDS[error] in ran.text or "evidence.not-written" in ran.text
            assert told or "run.journal-incomplete" in ran.text, (name, ran.text)
        assert aside <= (len(numbers) // 2 if sweep.runner == "supervised" else 0)

    def test_a_failing_view_changes_no_verdict(self, sweep: Sweep) -> None:
        """What is made of sealed evidence may be missing, and it is said."""
        renames = [c for c in sweep.on_views if c.name == "rename"]
        assert len(renames) == 3
        for call in renames:
            project, ran = sweep.run(f"view-{call.number}", f"rename:error=ENOSPC:when={call.number}")

            assert ran.code == 0
            assert_closed(project, ran)
            assert WORDS["ENOSPC"] in ran.text

    def test_disk_that_stays_full(self, sweep: Sweep) -> None:
        """From one call on every write fails, those to the terminal too: there is nobody to tell, and no GO.

        The last may be that of the copy of the report: without it a NO-GO stands.
        """
        for number in (sweep.numbers("write")[0], sweep.numbers("write")[-1]):
            project, ran = sweep.run(f"full-{number}", f"write:error=ENOSPC:when={number}+")

            assert ran.code != 0
            bundles = [run / BUNDLE_FILE for run in project.runs() if (run / BUNDLE_FILE).exists()]
            claims = [claimed(bundle.read_bytes()) for bundle in bundles]
            assert not any(claim is None or claim.is_go for claim in claims)
            assert not any((run / UNFINISHED_FILE).exists() for run in project.runs())
