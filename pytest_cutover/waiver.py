"""Waivers and guards: a criterion accepted although it is not green, by whom, until when, and on what terms.

Pure values and the one question about them: does this waiver count in this run, now? Whether its
signatures hold was found out before (`evidence.waivers`), because that needs keys.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import Accepted, Finding, Limit, Subject, counted, one_person, rfc3339
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.model import EffectivePolicy, GateDecision, Measurement, RunRecord

LONGEST_WAIVER = timedelta(days=30)
"""A waiver that is needed for longer is a change of the policy."""

WAIVABLE = frozenset(
    {
        Reason.LIMIT_BROKEN,
        Reason.GATE_FAILED,
        Reason.SUBTEST_FAILED,
        Reason.GATE_ERROR,
        Reason.GATE_TIMEOUT,
        Reason.LIMIT_UNMEASURED,
        Reason.MEASUREMENT_STALE,
        Reason.SAMPLES_LOW,
        Reason.SAMPLES_MISSING,
    }
)
"""What a person can take responsibility for: the gate ran, and what it came to is known.

Never a gate that did not run, a record that was altered, or anything about the run, the policy or its keys.
"""


class GuardKind(Enum):
    """What is done to a release that goes out although something is not green."""

    CANARY_PLAN = "canary_plan"
    OBSERVATION_WINDOW = "observation_window"
    FLAGS = "flags"


@dataclass(frozen=True, slots=True)
class Obligation:
    """A gate that has to be green later: `within_s` seconds after the decision."""

    gate: str
    within_s: int


@dataclass(frozen=True, slots=True)
class Guard:
    """One thing that has to be in place while the release goes out; `settings` are JSON values."""

    name: str
    kind: GuardKind
    settings: Mapping[str, Any]
    obligation: Obligation | None = None

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"name": self.name, "kind": self.kind.value, **self.settings}
        if self.obligation is not None:
            out["obligation"] = {"gate": self.obligation.gate, "within_s": self.obligation.within_s}
        return out


@dataclass(frozen=True, slots=True)
class Waiver:
    """One gate accepted for one change set in one environment.

    `gate` is a gate's key (`id`, or `id[param]`), `accepts` the reasons it may be red for. `within` are
    limits by measurement name that a broken limit must still keep; a measurement it leaves out may have
    any value. `risk` is one of low, medium, high.
    """

    gate: str
    environment: str
    subjects: tuple[Subject, ...]
    accepts: frozenset[Reason]
    reason: str
    risk: str
    ticket: str
    issued_at: datetime
    expires_at: datetime
    guards: tuple[Guard, ...]
    within: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GivenWaiver:
    """A waiver that was given to a run. `persons` signed it; `refused` says why that proves nothing.

    `digest` is the SHA-256 of `envelope`, its canonical line.
    """

    waiver: Waiver
    envelope: bytes
    persons: tuple[str, ...]
    where: str
    refused: tuple[Reason, str] | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.envelope).hexdigest()


def refusal(
    given: GivenWaiver, record: RunRecord, policy: EffectivePolicy, now: datetime
) -> tuple[Reason, str] | None:
    """Why the waiver does not count in this run now, or None when it does."""
    waiver = given.waiver
    if given.refused is not None:
        return given.refused
    if waiver.environment != record.environment:
        return Reason.WAIVER_FOREIGN, f"it is for {waiver.environment}, this run is for {record.environment}"
    if _digests(waiver.subjects) != _digests(record.subjects):
        return Reason.WAIVER_FOREIGN, "it is for another change set than what is released here"
    if policy.waiver_persons is None:
        return Reason.WAIVER_NOT_ALLOWED, f"the policy allows no waivers in {record.environment}"
    return _time(waiver, policy, now) or _persons(given, record, policy.waiver_persons)


def _time(waiver: Waiver, policy: EffectivePolicy, now: datetime) -> tuple[Reason, str] | None:
    if now >= waiver.expires_at:
        return Reason.WAIVER_EXPIRED, f"it ended at {rfc3339(waiver.expires_at)}"
    if (waiver.issued_at - now).total_seconds() > policy.clock_tolerance_s:
        return Reason.WAIVER_EXPIRED, f"it begins at {rfc3339(waiver.issued_at)}"
    return None


def _persons(given: GivenWaiver, record: RunRecord, wanted: int) -> tuple[Reason, str] | None:
    authors = {one_person(a) for a in record.authors}
    if not authors:
        return (
            Reason.WAIVER_AUTHORS_UNKNOWN,
            "the run does not name the authors of the change, so any of them could have signed",
        )
    own = sorted(p for p in given.persons if one_person(p) in authors)
    if own:
        return Reason.WAIVER_SELF_SIGNED, f"{own[0]} is an author of the change"
    persons = {one_person(p) for p in given.persons}
    if len(persons) < wanted:
        return (
            Reason.WAIVER_PERSONS,
            f"signed by {counted(len(persons), 'person')}, the policy wants {wanted}",
        )
    return None


@dataclass(frozen=True, slots=True)
class BoundGuard:
    """A guard that a decision depends on, with the waiver that asks for it."""

    given: GivenWaiver
    guard: Guard
    due_at: datetime | None  # of its obligation


def accept(
    gates: tuple[GateDecision, ...],
    waivers: Sequence[GivenWaiver],
    record: RunRecord,
    policy: EffectivePolicy,
    now: datetime,
    keeps: Callable[[Measurement, Limit], bool],
) -> Accepted:
    """Mark what the waivers that count accept; `keeps` says whether a value lies within a limit.

    A gate is waived as a whole or not at all: one reason that nobody accepts leaves all of them standing.
    """
    counting: dict[str, list[GivenWaiver]] = {}
    notes: list[Finding] = []
    for given in waivers:
        refused = refusal(given, record, policy, now)
        if refused is None:
            counting.setdefault(given.waiver.gate, []).append(given)
        else:
            notes.append(_note(given, *refused))
    used: set[str] = set()
    out = []
    for gate in gates:
        marked, by, beyond = _waived(gate, counting.get(gate.key, ()), keeps)
        out.append(marked)
        notes += beyond
        used.update(given.digest for given in by)
    counted = tuple({w.digest: w for w in waivers if w.digest in used}.values())
    guards = tuple(BoundGuard(w, guard, _due(guard, now)) for w in counted for guard in w.waiver.guards)
    if guards and record.guards_confirmed != guards_digest(guards):
        names = ", ".join(g.guard.name for g in guards)
        notes.append(Finding(Reason.GUARDS_UNCONFIRMED, f"nothing confirmed that {names} are in place"))
    return Accepted(tuple(out), tuple(notes), counted, guards)


def _waived(
    gate: GateDecision, waivers: Sequence[GivenWaiver], keeps: Callable[[Measurement, Limit], bool]
) -> tuple[GateDecision, list[GivenWaiver], list[Finding]]:
    """The gate with its findings marked, by which waivers, and what lay beyond them."""
    serious = [f for f in gate.findings if f.weight is not Weight.NOTE]
    beyond: list[Finding] = []
    by: dict[int, GivenWaiver] = {}
    for finding in serious if waivers else ():
        for given in (w for w in waivers if finding.reason in w.waiver.accepts):
            limit = _broken_limit(given, finding, gate, keeps)
            if limit is None:
                by[id(finding)] = given
                break
            message = f"{finding.measurement} = {finding.measured}, the waiver accepts {limit.text()}"
            beyond.append(_note(given, Reason.WAIVER_BEYOND, message))
    if not serious or len(by) < len(serious):
        return gate, [], beyond
    marked = [
        replace(f, waived=by[id(f)].waiver.ticket) if id(f) in by else f  # others are notes already
        for f in gate.findings
    ]
    return replace(gate, findings=tuple(marked)), list(by.values()), []


def _broken_limit(
    given: GivenWaiver, finding: Finding, gate: GateDecision, keeps: Callable[[Measurement, Limit], bool]
) -> Limit | None:
    """The limit of the waiver that the finding's measurement breaks too, if any."""
    limit = given.waiver.within.get(finding.measurement or "")
    if limit is None or finding.reason is not Reason.LIMIT_BROKEN:
        return None
    values = [j.measurement for j in gate.measurements if j.measurement.name == finding.measurement]
    return None if values and all(keeps(m, limit) for m in values) else limit


def _due(guard: Guard, now: datetime) -> datetime | None:
    return None if guard.obligation is None else now + timedelta(seconds=guard.obligation.within_s)


def _note(given: GivenWaiver, reason: Reason, message: str) -> Finding:
    waiver = given.waiver
    return Finding(
        reason,
        f"the waiver {waiver.ticket} of {waiver.gate} does not count: {message}",
        gate=waiver.gate,
        where=given.where,
    )


def guards_digest(guards: Iterable[BoundGuard]) -> str:
    """`sha256:…` of the guards in order, each with its waiver: what a hook confirms is exactly these."""
    listed = [{"waiver": g.given.digest, **g.guard.to_json()} for g in guards]
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def _digests(subjects: Sequence[Subject]) -> frozenset[tuple[tuple[str, str], ...]]:
    return frozenset(tuple(sorted((str(k), str(v)) for k, v in s.digest.items())) for s in subjects)
