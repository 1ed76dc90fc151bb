"""What would have to differ about how a gate ran."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits
from pytest_cutover.rejudge.proposal import Proposal, Recipe

if TYPE_CHECKING:
    from pytest_cutover.model import Finding
    from pytest_cutover.rejudge.case import Case


def _run_clean(case: Case, finding: Finding) -> Proposal:
    """Setup, call and teardown each passed once, within the gate's time."""
    limit_s = case.record.collected[0].timeout_s or case.policy.gate_timeout_s

    def apply(case: Case) -> Case:
        return edits.last_result(
            case,
            lambda r: replace(
                r, phases=edits.CLEAN, reported=len(edits.CLEAN), duration_s=min(r.duration_s, limit_s)
            ),
        )

    need = (
        f"at most {limit_s:g} s" if finding.reason is Reason.GATE_TIMEOUT else "setup, call and teardown pass"
    )
    return Proposal("the gate's run", apply, _first_line(finding.message), need)


def _first_line(message: str) -> str:
    return (message.splitlines() or [""])[0][:200]


def _run_at_all(case: Case, finding: Finding) -> Proposal:
    info = case.record.collected[0]

    def apply(case: Case) -> Case:
        results = case.record.results or (edits.clean_result(info, case),)
        return edits.record(case, results=results, started={info.nodeid: len(results)})

    return Proposal(
        "the gate's run", apply, finding.message, "started once, ended once, with its measurements"
    )


def _run_once(case: Case, finding: Finding) -> Proposal:
    def apply(case: Case) -> Case:
        last = tuple(replace(r, attempt=1, carried_from=None) for r in case.record.results[-1:])
        return edits.record(case, results=last, started={r.nodeid: 1 for r in last} or case.record.started)

    return Proposal("the gate's run", apply, finding.message, "one clean run")


def _run_anew(case: Case, finding: Finding) -> Proposal:
    def apply(case: Case) -> Case:
        fresh = _run_once(case, finding).apply(case)
        return edits.measurements(fresh, lambda found: [replace(m, observed_at=case.at) for m in found])

    return Proposal("the gate's run", apply, finding.message, "run anew, not carried")


def _recorded_whole(case: Case, finding: Finding) -> Proposal:
    def apply(case: Case) -> Case:
        counts = Counter(r.nodeid for r in case.record.results)
        whole = edits.last_result(
            case, lambda r: replace(r, measured=len(r.measurements), reported=len(r.phases))
        )
        return edits.record(
            whole, started={n: max(c, counts[n]) for n, c in {**counts, **whole.record.started}.items()}
        )

    return Proposal("the gate's record", apply, finding.message, "every measurement and report it counted")


def _one_holder(case: Case, finding: Finding) -> Proposal:
    kept = case.record.collected[0]

    def apply(case: Case) -> Case:
        return edits.record(
            case,
            collected=(kept,),
            results=tuple(r for r in case.record.results if r.nodeid == kept.nodeid),
            started={n: c for n, c in case.record.started.items() if n == kept.nodeid},
        )

    return Proposal("tests that carry this id", apply, str(len(case.record.collected)), "1")


def _inside_pinned_code(case: Case, finding: Finding) -> Proposal:
    paths = case.policy.gate_code_paths
    return Proposal(
        "the gate's file",
        lambda c: edits.record(c, collected=tuple(replace(i, file=paths[0]) for i in c.record.collected)),
        case.record.collected[0].file,
        f"below {', '.join(paths)}",
    )


RECIPES: dict[Reason, Recipe] = {
    Reason.GATE_FAILED: _run_clean,
    Reason.SUBTEST_FAILED: _run_clean,
    Reason.GATE_PHASE_MISSING: _run_clean,
    Reason.GATE_SKIPPED: _run_clean,
    Reason.GATE_XFAILED: _run_clean,
    Reason.GATE_SETUP_FAILED: _run_clean,
    Reason.GATE_ERROR: _run_clean,
    Reason.GATE_TEARDOWN_FAILED: _run_clean,
    Reason.GATE_TIMEOUT: _run_clean,
    Reason.GATE_INTERRUPTED: _run_clean,
    Reason.GATE_ALTERED: _run_clean,
    Reason.GATE_NOT_RUN: _run_at_all,
    Reason.GATE_NOT_FINISHED: _run_at_all,
    Reason.GATE_RERUN: _run_once,
    Reason.CARRIED_EXPIRED: _run_anew,
    Reason.GATE_RECORD_INCOMPLETE: _recorded_whole,
    Reason.GATE_DUPLICATE: _one_holder,
    Reason.GATE_CODE_OUTSIDE: _inside_pinned_code,
}
