"""`decide(record, policy, now)`: the one place where GO is said.

Pure and total. The rule behind every line: what is not proven green is not green, and taking
evidence away never helps (docs/adr/0003-absence-is-no-go.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.model import (
    SECTION_TYPE,
    Accepted,
    Decision,
    ExitCode,
    Finding,
    GateDecision,
    GateInfo,
    GateResult,
    JudgedMeasurement,
    Limit,
    Measurement,
    Operator,
    Phase,
    PolicySignature,
    Runner,
    SignerKind,
    ValueKind,
    Verdict,
    counted,
)
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from pytest_cutover.model import EffectivePolicy, Requirement, RunRecord
    from pytest_cutover.waiver import GivenWaiver

_WEIGHTS = list(Weight)
_OUTCOME = {
    Weight.RED: (Verdict.NO_GO, ExitCode.NO_GO),
    Weight.UNPROVEN: (Verdict.NO_GO, ExitCode.UNPROVEN),
    Weight.HOLD: (Verdict.HOLD, ExitCode.HOLD),
    Weight.NOTE: (Verdict.GO, ExitCode.GO),
}


def decide(
    record: RunRecord, policy: EffectivePolicy, now: datetime, waivers: Sequence[GivenWaiver] = ()
) -> Decision:
    """GO only if everything the policy requires is proven green, and nothing else is red.

    GO-WITH-GUARDS if what is not green is accepted by `waivers` that count, and their guards are in place.

    Raises:
        ValueError: `now` is naive.
    """
    if now.tzinfo is None:
        raise ValueError("now must be timezone-aware")
    accepted = Accepted(tuple(_gates(record, policy, now)))
    if waivers:
        from pytest_cutover.waiver import accept  # few runs are given any

        accepted = accept(accepted.gates, waivers, record, policy, now, _keeps)
    gates = accepted.gates
    findings = [*_run_findings(record, policy, now), *_requirement_findings(record, policy)]
    findings += [*(f for g in gates for f in g.findings), *accepted.findings]
    if record.owed:
        from pytest_cutover.obligation import owed_findings  # nearly every run owes nothing

        findings += owed_findings(record.owed, gates, now)
    verdict, exit_code, ordered = outcome(findings)
    if verdict is Verdict.GO and accepted.waivers:
        verdict = Verdict.GO_WITH_GUARDS
    ends = [now + timedelta(seconds=policy.decision_ttl_s), *(w.waiver.expires_at for w in accepted.waivers)]
    if policy.expires_at is not None:
        ends.append(policy.expires_at)
    ends += [bears_until(j, policy) for g in gates if g.carried_from for j in g.measurements if j.limit]
    return Decision(verdict, exit_code, now, min(ends), gates, ordered, accepted.waivers, accepted.guards)


def outcome(findings: Iterable[Finding]) -> tuple[Verdict, ExitCode, tuple[Finding, ...]]:
    """What the heaviest finding makes of a run, and the findings heaviest first."""
    ordered = tuple(sorted(findings, key=lambda f: _WEIGHTS.index(f.weight)))
    return *_OUTCOME[ordered[0].weight if ordered else Weight.NOTE], ordered


def shard_verdict(decision: Decision) -> Verdict:
    """What a shard's run would have come to, were the shard the whole fleet."""
    verdict, _, _ = outcome(f for f in decision.findings if f.reason is not Reason.SHARD_PARTIAL)
    return Verdict.GO_WITH_GUARDS if verdict is Verdict.GO and decision.waivers else verdict


def _keeps(measurement: Measurement, limit: Limit) -> bool:
    """Whether a value lies within the limit of a waiver."""
    return measurement.unit == limit.unit and not _against(measurement, limit)[0]


# -- the run ---------------------------------------------------------------------------------


def _run_findings(record: RunRecord, policy: EffectivePolicy, now: datetime) -> Iterator[Finding]:
    for problem in record.problems:
        yield Finding(problem.reason, problem.message, where=problem.where)
    if not record.complete and not any(p.reason.weight is Weight.UNPROVEN for p in record.problems):
        yield Finding(Reason.RUN_JOURNAL_INCOMPLETE, "the record is not complete")
    if not record.results and not record.started:
        yield Finding(Reason.RUN_NOTHING_SELECTED, "no gate was run")
    idle = [r for r in record.results if r.carried_from is not None or _skipped(r)]
    if len(idle) == len(record.results) and any(r.carried_from is not None for r in idle):
        yield Finding(Reason.RUN_NOTHING_SELECTED, "nothing was measured: every gate was carried or skipped")
    if policy.runner is Runner.SUPERVISED and record.runner is not Runner.SUPERVISED:
        yield Finding(
            Reason.RUN_RUNNER,
            f"the policy demands a supervised run, this one was {record.runner.value}",
            remedy=f"cutover run {policy.plan}",
        )
    if not record.subjects and not policy.sandbox:
        yield Finding(
            Reason.SUBJECT_MISSING,
            "no digest of what is released",
            remedy="--cutover-subject NAME@sha256:HEX, or subjects in the policy's environment",
        )
    yield from policy_findings(policy, now)
    yield from _made_for(record, policy)
    yield from key_findings(record.signer, policy)
    yield from _log_findings(record, policy)
    yield from _section_findings(record, policy)
    yield from _shard_findings(record, policy)


def _log_findings(record: RunRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    """A decision that is signed goes into the log the policy names; whether it did, its inclusion proof shows."""
    if policy.log is None or policy.shards is not None or record.signer is SignerKind.NONE:
        return  # of a fleet only the merge is logged
    seen = None if record.log is None else record.log.origin
    if seen != policy.log:
        found = "the run had none" if seen is None else f"the run had {seen}"
        yield Finding(
            Reason.LOG_UNAVAILABLE, f"decisions of {policy.environment} go into {policy.log}, {found}"
        )


def _section_findings(record: RunRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    if not policy.sections:
        return
    attached = (a for r in record.results for a in r.attachments)
    given = {a.get("name") for a in attached if a.get("media_type") == SECTION_TYPE}
    for name in policy.sections:
        if name not in given:
            yield Finding(
                Reason.SECTION_MISSING,
                f"plan {policy.plan} asks for section {name}, and no gate provided it",
                remedy=f"gate.section({name!r}, {{…}}) in the gate that measures it",
            )


def _skipped(result: GateResult) -> bool:
    return not result.measurements and any(p.raised == "skip" for p in result.phases)


def policy_findings(policy: EffectivePolicy, now: datetime) -> Iterator[Finding]:
    """What is held against the policy itself, whatever it judges."""
    if not policy.requires:
        yield Finding(Reason.POLICY_EMPTY, f"plan {policy.plan} requires no gate")
    if policy.signature is PolicySignature.UNTRUSTED:
        yield Finding(Reason.POLICY_UNTRUSTED, "no trusted policy key has signed the policy as it stands")
    if policy.signature is PolicySignature.THRESHOLD:
        yield Finding(
            Reason.POLICY_THRESHOLD,
            "fewer persons have signed the policy than the trust file asks for",
            remedy="cutover policy sign FILE --add",
        )
    if policy.signature is PolicySignature.OUTDATED:
        yield Finding(
            Reason.POLICY_OUTDATED,
            f"version {policy.version} of the policy is older than the lowest that counts",
        )
    # The sandbox's evidence is accepted nowhere else, so a first gate needs no key ceremony.
    if policy.signature is PolicySignature.UNSIGNED and not policy.sandbox:
        yield Finding(Reason.POLICY_UNSIGNED, "the policy is not signed", remedy="cutover policy sign FILE")
    if policy.expires_at is not None and policy.expires_at <= now:
        yield Finding(Reason.POLICY_EXPIRED, f"the policy ended at {policy.expires_at:%Y-%m-%d %H:%M} UTC")


def _made_for(record: RunRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    of_run = (record.policy_digest, record.plan, record.environment, record.sandbox)
    if of_run != (policy.digest, policy.plan, policy.environment, policy.sandbox):
        yield Finding(
            Reason.POLICY_CHANGED,
            f"the run was made for plan {record.plan!r}, environment {record.environment!r},"
            f" policy {record.policy_digest[:19]!r}",
        )
    pinned = policy.gate_code_digest
    if pinned is not None and pinned != record.gate_code_digest:
        yield Finding(
            Reason.GATE_CODE_CHANGED,
            "the gate code is not the one the policy pins",
            measured=record.gate_code_digest,
            limit=f"equals {pinned}",
            remedy="review the change, then pin the new digest and sign the policy",
        )


def key_findings(signer: SignerKind, policy: EffectivePolicy) -> Iterator[Finding]:
    """What is held against the key that will sign."""
    if signer is SignerKind.DEVELOPMENT and not policy.development_key:
        yield Finding(
            Reason.KEY_DEVELOPMENT,
            f"environment {policy.environment} refuses development keys",
            remedy="set CUTOVER_KEY, or settings.development_key in the policy",
        )
    if signer is SignerKind.NONE:
        yield Finding(Reason.KEY_MISSING, "no signing key: the evidence is unsigned and admits nothing")


def _shard_findings(record: RunRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    """A run under a fleet's policy is one shard of it, and never the fleet."""
    required, shard = policy.shards, record.shard
    if required is None:
        return
    if not isinstance(shard, str):  # a journal may hold anything
        yield Finding(
            Reason.SHARD_UNNAMED,
            f"plan {policy.plan} asks for shards, and the run does not say which one it is",
            remedy="--shard NAME (--cutover-shard, CUTOVER_SHARD)",
        )
        return
    if isinstance(required, tuple) and shard not in required:
        yield Finding(
            Reason.SHARD_FOREIGN,
            f"the policy names no shard {shard}",
            measured=shard,
            limit=", ".join(required),
        )
    yield Finding(
        Reason.SHARD_PARTIAL,
        f"this is shard {shard} alone: the fleet is decided by a merge",
        remedy=f"cutover merge RUN… --plan {policy.plan}",
    )


# -- what the plan requires ------------------------------------------------------------------


def _requirement_findings(record: RunRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    present = defaultdict(set)
    for info in record.collected:
        present[info.id].add(info.key)
    dropped = {info.key for info in record.deselected} | {info.id for info in record.deselected}
    for requirement in policy.requires:
        yield from _missing(requirement, present[requirement.gate], dropped)


def _missing(requirement: Requirement, keys: set[str], dropped: set[str]) -> Iterator[Finding]:
    gate, wanted = requirement.gate, requirement.instances
    if not keys:
        if gate in dropped:
            yield Finding(Reason.GATE_DESELECTED, f"{gate} is required and was deselected", gate=gate)
        else:
            yield Finding(Reason.GATE_NOT_COLLECTED, f"{gate} is required and was not collected", gate=gate)
        return
    if wanted is None:
        if keys != {gate}:
            yield Finding(
                Reason.GATE_INSTANCES,
                f"{gate} is parametrized: collected {', '.join(sorted(keys))}",
                gate=gate,
                remedy='name or count its instances in the policy: {"gate": …, "instances": […]}',
            )
    elif isinstance(wanted, int):
        if len(keys) != wanted or gate in keys:
            yield Finding(
                Reason.GATE_INSTANCES,
                f"{gate} has {counted(len(keys), 'instance')}, the policy requires {wanted}",
                gate=gate,
            )
    else:
        for instance in wanted:
            key = f"{gate}[{instance}]"
            if key not in keys:
                reason = Reason.GATE_DESELECTED if key in dropped else Reason.GATE_INSTANCES
                yield Finding(reason, f"{key} is required and was not run", gate=key)
        for key in sorted(keys - {f"{gate}[{i}]" for i in wanted}):
            yield Finding(Reason.GATE_INSTANCES, f"{key} is an instance the policy does not name", gate=key)


# -- one gate --------------------------------------------------------------------------------


def _gates(record: RunRecord, policy: EffectivePolicy, now: datetime) -> Iterator[GateDecision]:
    results = defaultdict(list)
    for result in record.results:
        results[result.nodeid].append(result)
    holders = Counter(info.key for info in record.collected)
    required = {r.gate for r in policy.requires}
    for info in record.collected:
        ran = results[info.nodeid]
        run = _how_it_ran(info, ran, record.started.get(info.nodeid, 0))
        if holders[info.key] > 1:
            run.append((Reason.GATE_DUPLICATE, f"{holders[info.key]} tests carry the id {info.key}"))
        if policy.gate_code_digest is not None and not _inside(info.file, policy.gate_code_paths):
            run.append(
                (Reason.GATE_CODE_OUTSIDE, f"{info.file} is not among {', '.join(policy.gate_code_paths)}")
            )
        yield judge_gate(info, ran[-1] if ran else None, policy, now, run=run, required=info.id in required)


def _inside(file: str, paths: Iterable[str]) -> bool:
    return any(file == p or file.startswith(p.rstrip("/") + "/") for p in paths)


def _how_it_ran(info: GateInfo, results: Sequence[GateResult], started: int) -> list[tuple[Reason, str]]:
    """What the number of starts and ends says, before any of them is looked into."""
    out = []
    started += sum(r.carried_from is not None for r in results)  # in the run that they come from
    if not started and not results:
        out.append((Reason.GATE_NOT_RUN, "collected, but never started"))
    if started > len(results):
        out.append((Reason.GATE_NOT_FINISHED, f"started {_times(started)}, ended {_times(len(results))}"))
    if len(results) > started:
        out.append(
            (Reason.GATE_RECORD_INCOMPLETE, f"ended {_times(len(results))}, started {_times(started)}")
        )
    attempts = max([started, len(results), *(r.attempt for r in results)])
    if attempts > 1:
        out.append((Reason.GATE_RERUN, f"run {_times(attempts)}; only a single clean run counts"))
    return out


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def judge_gate(
    info: GateInfo,
    result: GateResult | None,
    policy: EffectivePolicy,
    now: datetime,
    *,
    run: Sequence[tuple[Reason, str]] = (),
    required: bool = True,
) -> GateDecision:
    """What is held against one gate: how it ran (`run`), its phases, its measurements.

    Used live for the terminal line and again by `decide`, so that both say the same.
    """
    raw: list[tuple[Reason, str, dict[str, str | None]]] = [(r, m, {}) for r, m in run]
    judged: list[JudgedMeasurement] = []
    if result is not None:
        phases = list(_phase_reasons(result, info.timeout_s or policy.gate_timeout_s))
        raw += [(r, m, {}) for r, m in phases]
        limits = policy.limits_for(info)
        for measurement in result.measurements:
            reasons = _measurement_reasons(measurement, limits.get(measurement.name), policy, now)
            limit = limits.get(measurement.name) or (None if measurement.information else measurement.limit)
            green = not reasons or all(r.weight is Weight.NOTE for r, _, _ in reasons)
            judged.append(JudgedMeasurement(measurement, limit, green))
            raw += reasons
        raw += [(r, m, {}) for r, m in _completeness(result, judged)]
        if result.carried_from is not None:
            raw += [(r, m, {}) for r, m in _borne(judged, policy, now)]
        if not phases:  # else what stopped it says it all
            raw += _absent(result, limits, judged)
    if not required and {reason for reason, _, _ in raw} == {Reason.GATE_SKIPPED}:
        # Not applicable exists only as absence from the plan, and here the plan does not ask.
        raw = [(Reason.GATE_NOT_APPLICABLE, message, extra) for _, message, extra in raw]
    findings = tuple([_finding(info, reason, message, extra) for reason, message, extra in raw])
    return GateDecision(
        key=info.key,
        title=info.title,
        required=required,
        green=result is not None and (not findings or all(f.weight is Weight.NOTE for f in findings)),
        category=info.category,
        owner=info.owner,
        duration_s=0.0 if result is None else result.duration_s,
        measurements=tuple(judged),
        findings=findings,
        carried_from=None if result is None else result.carried_from,
    )


def _finding(info: GateInfo, reason: Reason, message: str, extra: dict[str, str | None]) -> Finding:
    return Finding(
        reason,
        message,
        gate=info.key,
        owner=info.owner,
        remedy=info.remedy,
        where=f"{info.file}:{info.line}",
        **extra,
    )


_RAISED = {
    "skip": (Reason.GATE_SKIPPED,) * 3,
    "xfail": (Reason.GATE_XFAILED,) * 3,
    "timeout": (Reason.GATE_TIMEOUT,) * 3,
    "interrupt": (Reason.GATE_INTERRUPTED,) * 3,
    "assertion": (Reason.GATE_SETUP_FAILED, Reason.GATE_FAILED, Reason.GATE_TEARDOWN_FAILED),
    "subtest": (Reason.GATE_SETUP_FAILED, Reason.SUBTEST_FAILED, Reason.GATE_TEARDOWN_FAILED),
    "error": (Reason.GATE_SETUP_FAILED, Reason.GATE_ERROR, Reason.GATE_TEARDOWN_FAILED),
}
_WHEN = {"setup": 0, "call": 1, "teardown": 2}


def _phase_reasons(result: GateResult, timeout_s: float) -> Iterator[tuple[Reason, str]]:
    """What setup, call and teardown say; nothing when each passed cleanly."""
    stopped = False
    for phase in result.phases:
        if phase.outcome == "passed" and phase.raised is None:
            continue
        if phase.raised == "judged":  # the measurements say why, under whatever policy judges now
            if phase.outcome == "passed":
                yield Reason.GATE_ALTERED, f"{phase.when} was red and was reported as passed"
            continue
        stopped = True
        yield from _bad_phase(phase)
    seen = {p.when for p in result.phases}
    missing = [w for w in _WHEN if w not in seen]
    if missing and not stopped:
        yield Reason.GATE_PHASE_MISSING, f"{' and '.join(missing)} of the gate never ran"
    if result.duration_s > timeout_s and not any(p.raised == "timeout" for p in result.phases):
        yield Reason.GATE_TIMEOUT, f"took {result.duration_s:.1f} s, its limit is {timeout_s:g} s"


def _bad_phase(phase: Phase) -> Iterator[tuple[Reason, str]]:
    by_when = _RAISED.get(phase.raised or "", _RAISED["error"])
    if phase.raised is None and phase.outcome == "skipped":
        by_when = _RAISED["skip"]
    reason = by_when[_WHEN.get(phase.when, 1)]
    yield reason, phase.message or f"{phase.when} was reported as {phase.outcome}"
    if phase.outcome == "passed":
        yield Reason.GATE_ALTERED, f"{phase.when} ended with {phase.raised} and was reported as passed"


def _completeness(result: GateResult, judged: Sequence[JudgedMeasurement]) -> Iterator[tuple[Reason, str]]:
    if result.measured != len(result.measurements):
        yield (
            Reason.GATE_RECORD_INCOMPLETE,
            f"the gate measured {_times(result.measured)}, {len(result.measurements)} measurements are recorded",
        )
    if result.reported != len(result.phases):
        yield (
            Reason.GATE_RECORD_INCOMPLETE,
            f"the gate was reported {_times(result.reported)}, {len(result.phases)} reports are recorded",
        )
    if len(judged) < 2:
        return
    names = Counter(j.measurement.name for j in judged)
    for name in (n for n, count in names.items() if count > 1):
        yield Reason.MEASUREMENT_DUPLICATE, f"{name} was measured {_times(names[name])}"


def _absent(
    result: GateResult, limits: dict[str, Limit], judged: Sequence[JudgedMeasurement]
) -> Iterator[tuple[Reason, str, dict[str, str | None]]]:
    names = {m.name for m in result.measurements}
    for name in [n for n in limits if n not in names]:
        text = limits[name].text()
        yield Reason.LIMIT_UNMEASURED, f"{name} was not measured", {"measurement": name, "limit": text}
    if not limits and not any(j.limit is not None for j in judged):
        yield Reason.GATE_NO_MEASUREMENT, "passed without a measurement that a limit judges", {}


def bears_until(judged: JudgedMeasurement, policy: EffectivePolicy) -> datetime:
    """Until when a decision can rest on a carried measurement: carrying it gives it no second life."""
    return judged.measurement.observed_at + timedelta(seconds=policy.decision_ttl_s)


def _borne(
    judged: Sequence[JudgedMeasurement], policy: EffectivePolicy, now: datetime
) -> Iterator[tuple[Reason, str]]:
    for j in judged:
        if j.limit is not None and bears_until(j, policy) <= now:
            age_s = (now - j.measurement.observed_at).total_seconds()
            yield (
                Reason.CARRIED_EXPIRED,
                f"{j.measurement.name} was observed {age_s:.0f} s ago, a decision lasts {policy.decision_ttl_s:g} s",
            )


# -- one measurement -------------------------------------------------------------------------


def _measurement_reasons(
    m: Measurement, limit: Limit | None, policy: EffectivePolicy, now: datetime
) -> list[tuple[Reason, str, dict[str, str | None]]]:
    reasons: list[tuple[Reason, str]] = []
    distance: str | None = None
    if m.kind is ValueKind.INVALID:
        text = f"{m.name} is {m.value}, not a finite number or a text"
        reasons.append((Reason.MEASUREMENT_INVALID, text))
    if limit is not None and m.limit is not None and m.limit.text() != limit.text():
        text = f"{m.name}: the code says {m.limit.text()}, the policy {limit.text()}"
        reasons.append((Reason.LIMIT_DIFFERS, text))
    if limit is None and not m.information:
        limit = m.limit
        if limit is None:
            reasons.append((Reason.MEASUREMENT_UNJUDGED, f"{m.name} = {m.value} has no limit"))
    if limit is not None:
        reasons += _standing(m, limit, policy, now)
        # A value in another unit is not comparable: it is neither inside nor outside of the limit.
        if m.kind is not ValueKind.INVALID and m.unit == limit.unit:
            against, distance = _against(m, limit)
            reasons += against
    if not reasons:
        return []
    extra = {"measurement": m.name, "measured": m.value, "unit": m.unit}
    about: dict[str, str | None] = {**extra, "limit": None if limit is None else limit.text()}
    return [(r, t, about | {"distance": distance} if r is Reason.LIMIT_BROKEN else about) for r, t in reasons]


def _standing(
    m: Measurement, limit: Limit, policy: EffectivePolicy, now: datetime
) -> Iterator[tuple[Reason, str]]:
    """Whether the measurement may be judged at all: its unit, age and samples."""
    if m.unit != limit.unit:
        yield Reason.MEASUREMENT_UNIT, f"{m.name} is measured in {m.unit!r}, its limit is in {limit.unit!r}"
    max_age_s = policy.max_age_s if limit.max_age_s is None else limit.max_age_s
    age_s = (now - m.observed_at).total_seconds()
    if age_s > max_age_s:
        yield (
            Reason.MEASUREMENT_STALE,
            f"{m.name} was observed {age_s:.0f} s ago, at most {max_age_s:g} s are allowed",
        )
    if age_s < -policy.clock_tolerance_s:
        yield Reason.MEASUREMENT_FUTURE, f"{m.name} was observed {-age_s:.0f} s in the future"
    wanted = policy.min_samples if limit.min_samples is None else limit.min_samples
    if wanted is None or (limit.kind is ValueKind.TEXT and limit.min_samples is None):
        return
    if m.samples is None:
        yield Reason.SAMPLES_MISSING, f"{m.name} names no samples, at least {wanted} are needed"
    elif m.samples < wanted:
        yield Reason.SAMPLES_LOW, f"{m.name} rests on {m.samples} samples, at least {wanted} are needed"


def _against(m: Measurement, limit: Limit) -> tuple[list[tuple[Reason, str]], str | None]:
    """What is wrong with the value itself, and how far it lies beyond the limit."""
    if m.kind is not limit.kind:
        message = (
            f"{m.name} = {m.value!r} is a {m.kind.value}, its limit ({limit.text()}) a {limit.kind.value}"
        )
        return [(Reason.MEASUREMENT_KIND, message)], None
    distance = None
    if m.kind is ValueKind.TEXT:
        # decide() is total: an ordering of texts, which no checked policy holds, is never satisfied.
        if limit.operator in (Operator.EQUALS, Operator.ONE_OF) and m.value in limit.bounds:
            return [], None
    else:
        try:
            beyond = _beyond(Decimal(m.value), limit)
        except ArithmeticError:  # decide() is total: a journal may hold what measure() would not record
            return [(Reason.MEASUREMENT_INVALID, f"{m.name} is {m.value}, not a number")], None
        if beyond is None:
            return [], None
        if limit.operator not in (Operator.EQUALS, Operator.ONE_OF):
            distance = _plain(beyond)
    unit = "" if m.unit == "1" else f" {m.unit}"
    return [(Reason.LIMIT_BROKEN, f"{m.name} = {m.value}{unit}, limit {limit.text()}")], distance


def _beyond(value: Decimal, limit: Limit) -> Decimal | None:
    """How far `value` lies outside the limit (positive above, negative below); None when inside."""
    if not value.is_finite():
        raise ArithmeticError
    bounds = [b for b in limit.bounds if isinstance(b, Decimal)]
    if limit.operator is Operator.AT_LEAST:
        return None if value >= bounds[0] else value - bounds[0]
    if limit.operator is Operator.AT_MOST:
        return None if value <= bounds[0] else value - bounds[0]
    if limit.operator is Operator.BETWEEN:
        low, high = bounds
        return None if low <= value <= high else value - (low if value < low else high)
    return None if value in bounds else min((value - b for b in bounds), key=abs)


def _plain(value: Decimal) -> str:
    text = f"{value:+f}" if abs(value.adjusted()) < 40 else f"{value.normalize():+e}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
