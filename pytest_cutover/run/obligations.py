"""What releases of an environment still owe: obligations of past decisions, and the runs that showed them met."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_cutover.decision import decide
from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.unsigned import begun_between
from pytest_cutover.files import read_if_there
from pytest_cutover.model import Verdict, parse_rfc3339
from pytest_cutover.obligation import Owed, shows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.evidence.verify import Verification
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import GateDecision

_WITH_GUARDS = Verdict.GO_WITH_GUARDS.value.encode()

_OUTLIVED = frozenset(
    {
        ProblemCode.SIGNATURE_ROTATED,
        ProblemCode.SIGNATURE_RETIRED,
        ProblemCode.SIGNATURE_REVOKED,
        ProblemCode.SIGNATURE_PERSONS,
        ProblemCode.POLICY_SIGNATURE,
        ProblemCode.POLICY_PERSONS,
        ProblemCode.WAIVER_SIGNATURE,
        ProblemCode.LOG_UNPROVEN,
        ProblemCode.LOG_PROOF,
    }
)
"""What evidence may lack and still ask for what it promised: each can be brought about afterwards, to be rid of it."""


def find_owed(runs: Path, environment: str, anchor: Anchor | None) -> tuple[Owed, ...]:
    """Every obligation of this environment's decisions, oldest first, with the run that first showed it green.

    `runs` is the folder of runs. Both sides need evidence that `anchor` verifies: what nobody signed went
    nowhere and shows nothing; but a promise outlives the key that signed it. Runs that were moved away are not seen.

    Raises:
        AdapterError: a run cannot be read, and what it promised could be overdue.
    """
    if anchor is None:
        return ()
    names = sorted(p.name for p in runs.iterdir()) if runs.is_dir() else []
    folders = [runs / name for name in names if begun_between(name) is not None]
    asking = [f for f in folders if _WITH_GUARDS in (read_if_there(f / REPORT_FILE) or b"")]
    owed: list[Owed] = []
    for folder in asking:
        found = _found(folder, anchor)
        if found is not None and found.decision is not None and _still_asks(found):
            owed += _asked(found.decision, environment)
    return tuple(_settled(owed, folders, environment, anchor)) if owed else ()


def _asked(decision: DecisionClaims, environment: str) -> Iterator[Owed]:
    if decision.verdict is not Verdict.GO_WITH_GUARDS or decision.environment != environment:
        return
    for guard in decision.guards:
        if guard.get("obligation") is not None and guard.get("due_at") is not None:
            yield Owed(
                gate=str(guard["obligation"]["gate"]),
                guard=str(guard["name"]),
                run_id=decision.run_id,
                decided_at=decision.decided_at,
                due_at=parse_rfc3339(str(guard["due_at"])),
            )


def _settled(owed: list[Owed], folders: list[Path], environment: str, anchor: Anchor) -> Iterator[Owed]:
    """Each with the first later run that showed it, if one did."""
    first = min(o.decided_at for o in owed)
    shown: dict[Owed, tuple[datetime, str]] = {}
    for folder in folders:
        begun = begun_between(folder.name)
        if begun is None or begun[1] < first or len(shown) == len(owed):
            continue
        found = _found(folder, anchor)
        if (
            found is None
            or not found.is_valid
            or found.decision is None
            or found.decision.environment != environment
        ):
            continue
        gates = _judged(found)
        for each in owed:
            if each not in shown and shows(each, gates):
                shown[each] = found.decision.decided_at, found.decision.run_id
    for each in owed:
        at, by = shown.get(each, (None, None))
        yield replace(each, shown_at=at, shown_by=by)


def _judged(found: Verification) -> tuple[GateDecision, ...]:
    """The gates of a run as they were judged then, without its waivers: what was waived is not green."""
    if found.record is None or found.report is None or found.decision is None:
        return ()  # a merge: its shards' gates are in evidence of their own
    return decide(found.record, found.report.policy, found.decision.decided_at).gates


def _found(folder: Path, anchor: Anchor) -> Verification | None:
    bundle, report = read_if_there(folder / BUNDLE_FILE), read_if_there(folder / REPORT_FILE)
    if bundle is None or report is None:
        return None
    return verify_logged(bundle, report, read_if_there(folder / PROOF_FILE), anchor)


def _still_asks(found: Verification) -> bool:
    """Whether what a release promised holds: a key that ended since, or a proof that is gone, takes nothing back."""
    return all(problem.code in _OUTLIVED for problem in found.problems)
