"""What would have to differ for a GO: the smallest changes, each shown to work by deciding again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import Verdict
from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits
from pytest_cutover.rejudge.case import Case, blocking, parts
from pytest_cutover.rejudge.impact import Impact, top_impact
from pytest_cutover.rejudge.recipes import propose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_cutover.model import Decision, Finding, GateInfo, Requirement

_REQUIREMENT = (Reason.GATE_NOT_COLLECTED, Reason.GATE_DESELECTED, Reason.GATE_INSTANCES)
_MOST_STEPS = 200
"""Changes to one gate, or to the run, before explaining is given up; each reason needs one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would have to differ, and which finding it answers.

    `shown`: with it (and those before it) the finding was gone when decided again. `follows`: it is
    needed only once the changes before it are made, as a gate that stopped early has not measured.
    """

    finding: Finding
    what: str
    have: str | None
    need: str | None
    by: str | None
    shown: bool
    follows: bool = False

    @property
    def text(self) -> str:
        """`burst: 2.1 x → at most 1.5 x (-0.6 x)`"""
        need = self.need or "it has to be so"
        change = need if self.have is None else f"{self.have} → {need}"
        return f"{self.what}: {change}{'' if self.by is None else f' ({self.by})'}"

    def to_json(self) -> dict[str, Any]:
        fields = {
            "gate": self.finding.gate,
            "measurement": self.finding.measurement,
            "what": self.what,
            "have": self.have,
            "need": self.need,
            "by": self.by,
        }
        named = {k: v for k, v in fields.items() if v is not None}
        return {"code": self.finding.reason.code, **named, "follows": self.follows, "shown": self.shown}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the smallest changes for a GO, and what was decided with all of them made."""

    decision: Decision
    changes: tuple[Change, ...]
    after: Decision
    top: Impact | None

    @property
    def is_proven(self) -> bool:
        """Whether deciding again with every change came to a GO."""
        return self.after.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.decision.verdict.value,
            "exit_code": int(self.decision.exit_code),
            "top_impact": None if self.top is None else self.top.to_json(),
            "changes": [c.to_json() for c in self.changes],
            "with_all_changes": {
                "verdict": self.after.verdict.value,
                "findings": [f.reason.code for f in blocking(self.after.findings)],
            },
        }


def explain(case: Case) -> Explanation:
    """Every change that a GO would need, smallest first to last: gates, then the run."""
    decision = case.decide()
    known = {_identity(f) for f in blocking(decision.findings)}
    whole, changes = _with_required_gates(case, decision)
    whole, of_gates = _with_clean_gates(whole)
    whole, of_run = _with_clean_run(whole)
    found = [*changes, *of_gates, *of_run]
    marked = tuple(replace(c, follows=_identity(c.finding) not in known) for c in found)
    return Explanation(decision, marked, whole.decide(), top_impact(decision))


def _identity(finding: Finding) -> tuple[Reason, str | None, str | None]:
    return finding.reason, finding.gate, finding.measurement


# -- gates that are not there ----------------------------------------------------------------


def _with_required_gates(case: Case, decision: Decision) -> tuple[Case, list[Change]]:
    """The case with exactly the gates, and instances of them, that the plan requires."""
    by_gate: dict[str, list[Finding]] = defaultdict(list)
    for finding in decision.findings:
        if finding.reason in _REQUIREMENT and finding.gate is not None:
            by_gate[finding.gate.partition("[")[0]].append(finding)
    if not by_gate:
        return case, []
    collected: dict[str, list[GateInfo]] = defaultdict(list)
    for info in case.record.collected:
        collected[info.id].append(info)
    changes = []
    new: list[GateInfo] = []
    gone: set[str] = set()
    policy = case.policy
    for requirement in case.policy.requires:
        findings = by_gate.get(requirement.gate)
        if findings is None:
            continue
        wanted, named = _wanted(requirement, [i.key for i in collected[requirement.gate]])
        policy = replace(policy, requires=tuple(named if r == requirement else r for r in policy.requires))
        have = {i.key: i for i in collected[requirement.gate]}
        missing = [key for key in wanted if key not in have]
        extra = [key for key in have if key not in wanted]
        new += [edits.imagined(key, requirement.gate, case) for key in missing]
        gone |= {have[key].nodeid for key in extra}
        changes.append((findings[0], requirement, named, missing, extra))
    after = _collected(replace(case, policy=policy), new, gone)
    left = {f.gate for f in after.decide().findings if f.reason in _REQUIREMENT}
    return after, [_requirement_change(after, *c, shown=c[1].gate not in _ids(left)) for c in changes]


def _ids(gates: Iterable[str | None]) -> set[str]:
    return {g.partition("[")[0] for g in gates if g is not None}


def _wanted(requirement: Requirement, keys: Sequence[str]) -> tuple[list[str], Requirement]:
    """The instances there have to be, and the requirement as it has to stand in the policy."""
    gate, instances = requirement.gate, requirement.instances
    if isinstance(instances, tuple):
        return [f"{gate}[{i}]" for i in instances], requirement
    if isinstance(instances, int):
        kept = [k for k in dict.fromkeys(keys) if k != gate][:instances]
        names = (f"{gate}[{n}]" for n in range(instances + len(kept)))
        added = [name for name in names if name not in kept]
        return [*kept, *added][:instances], requirement
    if keys and gate not in keys:  # parametrized, and the policy does not say so
        named = tuple(dict.fromkeys(k[len(gate) + 1 : -1] for k in keys))
        return list(keys), requirement._replace(instances=named)
    return [gate], requirement


def _collected(case: Case, new: Sequence[GateInfo], gone: set[str]) -> Case:
    """The case with these gates run cleanly, and without those."""
    record = case.record
    keys = {i.key for i in new}
    return edits.record(
        case,
        collected=(*(i for i in record.collected if i.nodeid not in gone), *new),
        deselected=tuple(i for i in record.deselected if i.key not in keys),
        results=(
            *(r for r in record.results if r.nodeid not in gone),
            *(edits.clean_result(i, case) for i in new),
        ),
        started={n: c for n, c in record.started.items() if n not in gone} | {i.nodeid: 1 for i in new},
    )


def _requirement_change(
    case: Case,
    finding: Finding,
    requirement: Requirement,
    named: Requirement,
    missing: list[str],
    extra: list[str],
    *,
    shown: bool,
) -> Change:
    if named != requirement:
        instances = ", ".join(named.instances) if isinstance(named.instances, tuple) else ""
        return Change(finding, "the policy's instances of this gate", "none named", instances, None, shown)
    have = "deselected" if finding.reason is Reason.GATE_DESELECTED else "not run"
    said = [f"{_some(missing)} collected and run{_measuring(requirement.gate, case)}"] if missing else []
    said += [f"{_some(extra)} left out, or named in the policy"] if extra else []
    return Change(finding, "the gate", have if missing else "run", "; ".join(said), None, shown)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")


def _measuring(gate: str, case: Case) -> str:
    limits = case.policy.limits.get(gate, {})
    texts = [f"{name} {limit.text()}" for name, limit in limits.items()]
    return f", measuring {', '.join(texts)}" if texts else ""


# -- gates that are there --------------------------------------------------------------------


def _with_clean_gates(case: Case) -> tuple[Case, list[Change]]:
    """The case with nothing held against any gate: each in a case of its own, then put together."""
    keys = list(dict.fromkeys(f.gate for f in blocking(case.decide().findings) if f.gate is not None))
    changes: list[Change] = []
    after: dict[str, Case] = {}
    own = parts(case, keys)
    for key in keys:
        if own[key].record.collected:
            after[key], made = _cleared(own[key], lambda f, key=key: f.gate == key)  # type: ignore[misc] # bound now
            changes += made
    return _together(case, after), changes


def _together(case: Case, after: dict[str, Case]) -> Case:
    """The whole record with the records of some gates in place of what it said of them."""
    record = case.record
    replaced = {i.nodeid for i in record.collected if i.key in after}
    changed = [part.record for part in after.values()]
    collected = [i for i in record.collected if i.nodeid not in replaced]
    results = [r for r in record.results if r.nodeid not in replaced]
    started = {n: c for n, c in record.started.items() if n not in replaced}
    for part in changed:
        collected += part.collected
        results += part.results
        started |= part.started
    return edits.record(case, collected=tuple(collected), results=tuple(results), started=started)


def _with_clean_run(case: Case) -> tuple[Case, list[Change]]:
    return _cleared(case, lambda f: f.gate is None)


# -- one finding after the other -------------------------------------------------------------


def _cleared(case: Case, concerns: Callable[[Finding], bool]) -> tuple[Case, list[Change]]:
    """The case with the findings that concern us taken away, one change each, and none that is not needed."""
    steps: list[tuple[Change, Callable[[Case], Case]]] = []
    now, stuck = case, set()
    for _ in range(_MOST_STEPS):
        open_ = [f for f in _open(now, concerns) if _identity(f) not in stuck]
        if not open_:
            break
        # With two tests under one id nothing can be said about either.
        finding = next((f for f in open_ if f.reason is Reason.GATE_DUPLICATE), open_[0])
        proposal = propose(now, finding)
        after = now if proposal is None else proposal.apply(now)
        if proposal is None or _identity(finding) in {_identity(f) for f in _open(after, concerns)}:
            stuck.add(_identity(finding))
            what = finding.message if proposal is None else proposal.what
            steps.append((Change(finding, what, None, None, None, shown=False), lambda c: c))
            continue
        now = after
        made = Change(finding, proposal.what, proposal.have, proposal.need, proposal.by, shown=True)
        steps.append((made, proposal.apply))
    needed = _needed(case, steps, concerns) if not stuck else steps
    for _, apply in needed:
        case = apply(case)
    return case, [change for change, _ in needed]


def _open(case: Case, concerns: Callable[[Finding], bool]) -> list[Finding]:
    return [f for f in blocking(case.decide().findings) if concerns(f)]


def _needed(
    case: Case,
    steps: list[tuple[Change, Callable[[Case], Case]]],
    concerns: Callable[[Finding], bool],
) -> list[tuple[Change, Callable[[Case], Case]]]:
    """The steps without those that the others make superfluous, as one clean run undoes a lost report."""
    at = 0
    while at < len(steps) and len(steps) > 1:
        without = case
        for _, apply in [*steps[:at], *steps[at + 1 :]]:
            without = apply(without)
        if _open(without, concerns):
            at += 1
        else:
            steps = [*steps[:at], *steps[at + 1 :]]
    return steps


__all__ = ["Change", "Explanation", "explain"]
