"""The plain model of a run that every view renders: a record, its policy, its decision, and the run before it.

Made from a run that has just ended or from a report that was read back. Nothing is decided here, and a
view changes nothing: what a run came to stands in its evidence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import GateDecision, Verdict
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.report.terminal import finding_text, observed, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pytest_cutover.model import (
        Decision,
        EffectivePolicy,
        Finding,
        GateInfo,
        GateResult,
        Measurement,
        RunRecord,
    )

STATES = ("red", "unproven", "hold", "waived", "green", "left")
"""The states of a gate, worst first; `left` was skipped and is not required."""

WORDS = {
    "red": "red",
    "unproven": "unproven",
    "hold": "on hold",
    "waived": "waived",
    "green": "green",
    "left": "not applicable",
}


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate: how it was judged, where it stands, what it left. `info` is None when it was not collected."""

    state: str
    judged: GateDecision
    info: GateInfo | None = None
    result: GateResult | None = None
    name: str = ""
    """Unique within the run: the key, numbered where two tests carry one id."""

    @property
    def key(self) -> str:
        return self.judged.key

    @property
    def carried(self) -> str:
        """From which run it is carried and when its oldest value was observed; empty when it ran in this one."""
        if self.judged.carried_from is None:
            return ""
        return f"carried from {self.judged.carried_from}, observed {observed(self.judged):%H:%M:%S} UTC"

    @property
    def serious(self) -> list[Finding]:
        """What is held against it; notes only when there is nothing else."""
        findings = self.judged.findings
        return [f for f in findings if f.weight is not Weight.NOTE] or list(findings)


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest earlier run of the same plan and environment whose bundle verifies."""

    run_id: str
    verdict: Verdict
    decided_at: datetime
    values: Mapping[str, Mapping[str, Measurement]]
    """Measurements by gate key, then name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind the view, as far as whoever made the view knows."""

    folder: str
    """The run folder as people type it."""

    sealed: bool
    keyid: str | None = None
    signer: str = "none"
    report_sha256: str | None = None
    problems: tuple[str, ...] | None = None
    """None: sealed by this very process. Otherwise what verifying it again found; empty is good."""

    url: str | None = None
    """Where the folder can be looked at, in a CI system."""

    kept: tuple[tuple[str, str], ...] = ()
    """Where else it is, `log` and `store`, and where there."""

    @property
    def folder_name(self) -> str:
        """The folder's own name, which is the run's id."""
        name = self.folder.rstrip("/").rpartition("/")[2]
        return name if all(c.isalnum() or c in ".-" for c in name) else "evidence"


@dataclass(frozen=True, slots=True)
class WaiverView:
    """A waiver that was given to the run; `refused` says why it does not count."""

    gate: str
    reason: str
    persons: tuple[str, ...]
    risk: str
    ticket: str
    expires_at: datetime
    accepts: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class GuardView:
    """Something that has to be in place while the release goes out."""

    name: str
    kind: str
    text: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class ObligationView:
    """A gate that has to be green later; `met` is None until somebody has looked."""

    gate: str
    text: str
    due_at: datetime | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Everything a view of a run may show."""

    verdict: Verdict
    exit_code: int
    decided_at: datetime
    expires_at: datetime
    record: RunRecord
    policy: EffectivePolicy
    gates: tuple[GateView, ...]
    findings: tuple[Finding, ...]
    evidence: Evidence
    last: LastRun | None = None
    starts: Mapping[str, datetime] = field(default_factory=dict)
    """When each gate started, by node id; empty for a run too large to draw."""

    prefix: str = ""
    """From the repository's root to pytest's root folder, with its slash: annotators want paths from the former."""

    waivers: tuple[WaiverView, ...] = ()
    guards: tuple[GuardView, ...] = ()
    obligations: tuple[ObligationView, ...] = ()

    @property
    def is_go(self) -> bool:
        return self.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS)

    @property
    def counts(self) -> Counter[str]:
        return Counter(g.state for g in self.gates)

    @property
    def run_findings(self) -> list[Finding]:
        """Findings about the run as a whole."""
        return [f for f in self.findings if f.gate is None]

    @property
    def carried(self) -> list[GateView]:
        """The gates that an earlier run measured."""
        return [g for g in self.gates if g.carried]

    def path_of(self, info: GateInfo) -> str:
        """The gate's file from the repository's root, as annotators look it up."""
        return self.prefix + info.file

    def last_of(self, key: str, measured: Measurement) -> Measurement | None:
        """The same measurement in the last run, when it can be compared: same name, kind and unit."""
        if self.last is None:
            return None
        found = self.last.values.get(key, {}).get(measured.name)
        same = found is not None and (found.kind, found.unit) == (measured.kind, measured.unit)
        return found if same else None


def build(
    record: RunRecord, policy: EffectivePolicy, decision: Decision, evidence: Evidence, **more: Any
) -> View:
    """The view of a run; `more` are the fields of View that have a default."""
    more = _accepted(decision) | more
    return View(
        verdict=decision.verdict,
        exit_code=int(decision.exit_code),
        decided_at=decision.decided_at,
        expires_at=decision.expires_at,
        record=record,
        policy=policy,
        gates=tuple(_gates(record, policy, decision)),
        findings=decision.findings,
        evidence=evidence,
        **more,
    )


def _accepted(decision: Decision) -> dict[str, Any]:
    """Waivers, guards and obligations of a decision, as fields of View."""
    confirmed = all(f.reason is not Reason.GUARDS_UNCONFIRMED for f in decision.findings)
    waivers = [
        WaiverView(
            gate=given.waiver.gate,
            reason=given.waiver.reason,
            persons=given.persons,
            risk=given.waiver.risk,
            ticket=given.waiver.ticket,
            expires_at=given.waiver.expires_at,
            accepts=tuple(sorted(r.code for r in given.waiver.accepts)),
        )
        for given in decision.waivers
    ]
    guards = [
        GuardView(g.guard.name, g.guard.kind.value.replace("_", " "), _settings(g.guard.settings), confirmed)
        for g in decision.guards
    ]
    obligations = [
        ObligationView(g.guard.obligation.gate, f"from guard {g.guard.name}", g.due_at)
        for g in decision.guards
        if g.guard.obligation is not None
    ]
    return {"waivers": tuple(waivers), "guards": tuple(guards), "obligations": tuple(obligations)}


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def values_of(record: RunRecord) -> dict[str, dict[str, Measurement]]:
    """What a run measured, by gate key and name; of a gate that ran again, the last attempt."""
    keys = {info.nodeid: info.key for info in record.collected}
    return {
        keys[result.nodeid]: {m.name: m for m in result.measurements}
        for result in record.results
        if result.nodeid in keys
    }


def _gates(record: RunRecord, policy: EffectivePolicy, decision: Decision) -> Iterable[GateView]:
    """Every gate that was collected, in its order, then those that are missing."""
    results = {result.nodeid: result for result in record.results}
    names: Counter[str] = Counter()
    about: dict[str, list[Finding]] = {}  # what the plan, and not a gate's own run, holds against a gate
    for finding in decision.findings:
        if finding.gate is not None and finding.where is None:
            about.setdefault(finding.gate, []).append(finding)
    for info, judged in zip(record.collected, decision.gates, strict=True):
        if judged.key in about:
            more = [f for f in about[judged.key] if f not in judged.findings]
            judged = replace(judged, findings=(*judged.findings, *more))
        yield GateView(state_of(judged), judged, info, results.get(info.nodeid), _unique(judged.key, names))
    known = {judged.key for judged in decision.gates}
    dropped = {info.key: info for info in record.deselected} | {info.id: info for info in record.deselected}
    for key, findings in about.items():
        if key in known:
            continue
        gone = dropped.get(key)
        judged = GateDecision(
            key=key,
            title=key if gone is None else gone.title,
            required=any(r.gate == key.partition("[")[0] for r in policy.requires),
            green=False,
            category=None if gone is None else gone.category,
            owner=None if gone is None else gone.owner,
            duration_s=0.0,
            measurements=(),
            findings=tuple(findings),
        )
        yield GateView(state_of(judged), judged, gone, None, _unique(key, names))


def _unique(key: str, seen: Counter[str]) -> str:
    seen[key] += 1
    return key if seen[key] == 1 else f"{key} ({seen[key]})"


def carried_words(view: View) -> str:
    """How many gates are carried, from which runs, and how old the oldest is; empty where none is."""
    carried = [g.judged for g in view.carried]
    if not carried:
        return ""
    runs = ", ".join(dict.fromkeys(str(g.carried_from) for g in carried))
    gates = "1 gate" if len(carried) == 1 else f"{len(carried)} gates"
    return f"{gates} from {runs}, the oldest observed {min(map(observed, carried)):%Y-%m-%d %H:%M:%S} UTC"


def worst_first(gates: Iterable[GateView]) -> list[GateView]:
    """Red, unproven, on hold, waived, green, not applicable; within a state as they were collected."""
    return sorted(gates, key=lambda g: STATES.index(g.state))


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that keeps the run from being simply green, for views that list places in files."""

    state: str
    name: str
    title: str
    findings: tuple[Finding, ...]
    file: str | None
    line: int | None

    @property
    def message(self) -> str:
        """The first finding, and how many more there are."""
        more = len(self.findings) - 1
        return finding_text(self.findings[0]) + (f" (and {more} more)" if more else "")


def troubles(view: View) -> list[Trouble]:
    """What is not green, worst first: findings of the run as a whole, then gates."""
    out = []
    for finding in view.run_findings:
        if finding.weight is not Weight.NOTE:
            file, line = _place(finding.where)
            state, code = str(finding.weight.value), finding.reason.code
            out.append(
                Trouble(state, code, finding.reason.meaning, (finding,), file and view.prefix + file, line)
            )
    for gate in view.gates:
        if gate.state in ("red", "unproven", "hold") and gate.serious:
            file = None if gate.info is None else view.path_of(gate.info)
            line = None if gate.info is None else gate.info.line
            out.append(Trouble(gate.state, gate.name, gate.judged.title, tuple(gate.serious), file, line))
    return sorted(out, key=lambda t: STATES.index(t.state))


def _place(where: str | None) -> tuple[str | None, int | None]:
    """File and line of a finding's place, which may be `file:line`, a node id or a file."""
    if not where:
        return None, None
    file, _, rest = where.partition("::")
    name, colon, line = file.rpartition(":")
    if not rest and colon and line.isdecimal():
        return name, int(line)
    return (file, None) if file.endswith((".py", ".toml")) else (None, None)
