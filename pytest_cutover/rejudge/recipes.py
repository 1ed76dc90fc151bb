"""For each reason the smallest change that would take it away. Whether it does is shown by deciding again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits, recipes_gate, recipes_measured, recipes_run
from pytest_cutover.rejudge.proposal import Proposal

if TYPE_CHECKING:
    from pytest_cutover.model import Finding
    from pytest_cutover.rejudge.case import Case

_JOURNAL = (Reason.RUN_JOURNAL_DAMAGED, Reason.RUN_JOURNAL_INCOMPLETE)

_RECIPES = recipes_run.RECIPES | recipes_gate.RECIPES | recipes_measured.RECIPES


def propose(case: Case, finding: Finding) -> Proposal | None:
    """The smallest change that should make this finding vanish, or None where nobody can say one.

    A finding of a gate is asked about in that gate's own case (`parts`).
    """
    if finding.gate is None and any(p.reason is finding.reason for p in case.record.problems):
        return _without_problems(case, finding)
    recipe = _RECIPES.get(finding.reason)
    return None if recipe is None else recipe(case, finding)


def _without_problems(case: Case, finding: Finding) -> Proposal:
    reason = finding.reason
    count = sum(p.reason is reason for p in case.record.problems)

    def apply(case: Case) -> Case:
        left = tuple(p for p in case.record.problems if p.reason is not reason)
        return edits.record(case, problems=left, complete=not any(p.reason in _JOURNAL for p in left))

    words = _RUN_WORDS.get(reason, f"what {reason.code} stands for")
    return Proposal(words, apply, _times(count), "never")


_RUN_WORDS = {
    Reason.RUN_NOT_CLEAN: "tests and collectors that fail beside the gates",
    Reason.RUN_COLLECT_ERROR: "test files that cannot be collected",
    Reason.RUN_INTERRUPTED: "interruptions of the run",
    Reason.RUN_INTERNAL_ERROR: "crashes of pytest or a plugin",
    Reason.RUN_DEADLINE: "running longer than the policy allows",
    Reason.RUN_WORKER_CRASHED: "crashes of an xdist worker",
    Reason.RUN_WORKERS_DISAGREE: "xdist workers that tell different things",
    Reason.RUN_FORKED: "gates that fork",
    Reason.RUN_JOURNAL_INCOMPLETE: "journals that end before the run does",
    Reason.RUN_JOURNAL_DAMAGED: "journal lines that cannot be read",
    Reason.RUN_EXIT_STATUS: "exit statuses that nothing explains",
    Reason.RUN_ASSERTS_OFF: "running with assertions off",
    Reason.RUN_PROVE_RED: "readings distorted to see gates red",
    Reason.RUN_CLOCK: "clocks that go backwards during the run",
    Reason.GATE_CODE_CHANGED: "changing the gate code while the run is under way",
    Reason.GATE_INVALID: "gates whose marker cannot be used",
    Reason.GATE_CANCELLED: "gates that are cancelled before their turn",
    Reason.CARRIED_OUTDATED: "runs that begin while carried gates wait for a decision",
    Reason.LOG_UNAVAILABLE: "decisions that the transparency log does not take",
    Reason.LOG_REWRITTEN: "changes to the transparency log other than new entries",
    Reason.CARRIED_CHANGED: "carried gates that are not collected as they were",
}


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
