"""For each reason the smallest change that would take it away. Whether it does is shown by deciding again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.model import (
    SECTION_TYPE,
    Limit,
    LogHead,
    Measurement,
    PolicySignature,
    Requirement,
    Runner,
    SignerKind,
    Subject,
    ValueKind,
    rfc3339,
)
from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits
from pytest_cutover.waiver import guards_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.model import Finding
    from pytest_cutover.rejudge.case import Case

_JOURNAL = (Reason.RUN_JOURNAL_DAMAGED, Reason.RUN_JOURNAL_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change, in words and as a function; `have` and `need` are what it changes from and to."""

    what: str
    apply: Callable[[Case], Case]
    have: str | None = None
    need: str | None = None
    by: str | None = None


def propose(case: Case, finding: Finding) -> Proposal | None:
    """The smallest change that should make this finding vanish, or None where nobody can say one.

    A finding of a gate is asked about in that gate's own case (`parts`).
    """
    if finding.gate is None and any(p.reason is finding.reason for p in case.record.problems):
        return _without_problems(case, finding)
    recipe = _RECIPES.get(finding.reason)
    return None if recipe is None else recipe(case, finding)


# -- the run ---------------------------------------------------------------------------------


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


def _incomplete(case: Case, finding: Finding) -> Proposal:
    return Proposal("the journal is whole", lambda c: edits.record(c, complete=True))


def _log(case: Case, finding: Finding) -> Proposal:
    origin = case.policy.log or ""
    seen = None if case.record.log is None else case.record.log.origin
    return Proposal(
        "the transparency log",
        lambda c: edits.record(c, log=LogHead(origin, 0, "")),
        seen or "none",
        origin,
    )


def _section(case: Case, finding: Finding) -> Proposal:
    def apply(case: Case) -> Case:
        given = [{"name": name, "media_type": SECTION_TYPE} for name in case.policy.sections]
        return edits.last_result(case, lambda r: replace(r, attachments=(*r.attachments, *given)))

    return Proposal("sections of the evidence document", apply, finding.message, "all the plan asks for")


def _owed(case: Case, finding: Finding) -> Proposal:
    overdue = [o for o in case.record.owed if o.is_overdue(case.at)]
    left = tuple(o for o in case.record.owed if o not in overdue)
    gates = ", ".join(dict.fromkeys(o.gate for o in overdue))
    return Proposal(
        "what earlier releases owe",
        lambda c: edits.record(c, owed=left),
        f"{len(overdue)} overdue",
        f"shown green in this environment: {gates}",
    )


def _runner(case: Case, finding: Finding) -> Proposal:
    return Proposal(
        "the runner",
        lambda c: edits.record(c, runner=Runner.SUPERVISED),
        case.record.runner.value,
        f"supervised: cutover run {case.policy.plan}",
    )


def _subject(case: Case, finding: Finding) -> Proposal:
    named = (Subject("subject", {"sha256": "0" * 64}),)
    return Proposal(
        "the digest of what is released",
        lambda c: edits.record(c, subjects=named),
        "none",
        "NAME@sha256:HEX",
    )


def _signature(case: Case, finding: Finding) -> Proposal:
    return Proposal(
        "the policy's signature",
        lambda c: edits.policy(c, signature=PolicySignature.TRUSTED),
        case.policy.signature.value,
        "by a key that is trusted for policies: cutover policy sign",
    )


def _expired(case: Case, finding: Finding) -> Proposal:
    ended = case.policy.expires_at
    return Proposal(
        "the policy's end date",
        lambda c: edits.policy(c, expires_at=c.at + timedelta(seconds=1)),
        None if ended is None else rfc3339(ended),
        f"later than {rfc3339(case.at)}",
    )


def _policy_changed(case: Case, finding: Finding) -> Proposal:
    policy = case.policy
    return Proposal(
        "the policy, plan and environment the run is started under",
        lambda c: edits.record(
            c,
            policy_digest=policy.digest,
            plan=policy.plan,
            environment=policy.environment,
            sandbox=policy.sandbox,
        ),
        f"{case.record.plan} for {case.record.environment} under {case.record.policy_digest[:19]}…",
        f"{policy.plan} for {policy.environment} under {policy.digest[:19]}…",
    )


def _policy_empty(case: Case, finding: Finding) -> Proposal | None:
    gates = dict.fromkeys(i.id for i in case.record.collected if i.key == i.id)
    if not gates:
        return None
    requires = tuple(Requirement(gate) for gate in gates)
    return Proposal(
        "gates that the plan requires", lambda c: edits.policy(c, requires=requires), "none", "at least one"
    )


def _gate_code(case: Case, finding: Finding) -> Proposal | None:
    pinned = case.policy.gate_code_digest
    if pinned is None:
        return None
    return Proposal(
        "the digest of the gate code",
        lambda c: edits.record(c, gate_code_digest=pinned),
        case.record.gate_code_digest,
        f"{pinned}, or the policy pins the new one",
    )


def _development_key(case: Case, finding: Finding) -> Proposal:
    return Proposal(
        "the signing key",
        lambda c: edits.record(c, signer=SignerKind.CONFIGURED),
        "development",
        "one that is configured: CUTOVER_KEY",
    )


def _guards(case: Case, finding: Finding) -> Proposal:
    digest = guards_digest(case.decide().guards)
    return Proposal(
        "the guards of the waivers",
        lambda c: edits.record(c, guards_confirmed=digest),
        "not confirmed" if case.record.guards_confirmed is None else "others confirmed",
        "put in place and confirmed: `guards` of the policy's environment",
    )


def _shard_name(case: Case, finding: Finding) -> Proposal:
    shards = case.policy.shards
    name = shards[0] if isinstance(shards, tuple) else "shard"
    need = f"one of {', '.join(shards[:5])}" if isinstance(shards, tuple) else "--shard NAME"
    have = "none" if case.record.shard is None else str(case.record.shard)
    return Proposal("the shard of the run", lambda c: edits.record(c, shard=name), have, need)


def _whole_fleet(case: Case, finding: Finding) -> Proposal:
    def apply(case: Case) -> Case:
        """As if this were all of the fleet; a run that is none of its shards does not become one by merging."""
        shards, name = case.policy.shards, case.record.shard
        is_one = name in shards if isinstance(shards, tuple) else name is not None
        return edits.policy(case, shards=None) if is_one else case

    return Proposal(
        "the fleet",
        apply,
        f"shard {case.record.shard} alone",
        f"every shard, merged: {finding.remedy}",
    )


# -- how a gate ran --------------------------------------------------------------------------


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


# -- what a gate measured --------------------------------------------------------------------


def _of(case: Case, finding: Finding) -> tuple[Measurement, Limit | None] | None:
    """The measurement a finding is about, and the limit that judges it."""
    results = case.record.results
    found = [m for m in results[-1].measurements if m.name == finding.measurement] if results else []
    if not found:
        return None
    limit = case.policy.limits_for(case.record.collected[0]).get(found[0].name)
    return found[0], limit or (None if found[0].information else found[0].limit)


def _value(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None:
        return None
    measured, limit = found
    if limit is None:  # recorded as information, and no number or text at all
        need = Proposal(measured.name, _set(measured.name, value="0", kind=ValueKind.NUMBER))
        return replace(need, have=measured.value, need="a finite number or a text")
    value = edits.needed_value(measured, limit)
    unit = "" if limit.unit == "1" else f" {limit.unit}"
    by = _difference(measured, value, limit)
    return Proposal(
        measured.name,
        _set(measured.name, value=value, kind=limit.kind),
        f"{measured.value}{'' if measured.unit == '1' else ' ' + measured.unit}",
        limit.text(),
        None if by is None else f"{by}{unit}",
    )


def _difference(measured: Measurement, value: str, limit: Limit) -> str | None:
    if measured.kind is not ValueKind.NUMBER or limit.kind is not ValueKind.NUMBER:
        return None
    try:
        return f"{Decimal(value) - Decimal(measured.value):+}"
    except ArithmeticError:
        return None


def _set(name: str, **changes: object) -> Callable[[Case], Case]:
    return lambda case: edits.measurement(case, name, **changes)


def _unit(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    return Proposal(
        f"the unit of {measured.name}", _set(measured.name, unit=limit.unit), measured.unit, limit.unit
    )


def _age(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    max_age_s = case.policy.max_age_s if limit.max_age_s is None else limit.max_age_s
    age_s = (case.at - measured.observed_at).total_seconds()
    since = case.at - timedelta(seconds=max_age_s)
    need = f"at most {max_age_s:g} s: observed at {rfc3339(since)} or later"
    if finding.reason is Reason.MEASUREMENT_FUTURE:
        since, need = case.at, f"observed at {rfc3339(case.at)} or earlier"
    return Proposal(
        f"the age of {measured.name}", _set(measured.name, observed_at=since), f"{age_s:.0f} s", need
    )


def _samples(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    wanted = case.policy.min_samples if limit.min_samples is None else limit.min_samples
    have = "none named" if measured.samples is None else str(measured.samples)
    short = (wanted or 0) - (measured.samples or 0)
    return Proposal(
        f"the samples of {measured.name}",
        _set(measured.name, samples=wanted),
        have,
        f"at least {wanted}",
        f"{short:+}",
    )


def _measure(case: Case, finding: Finding) -> Proposal | None:
    name = finding.measurement
    limit = case.policy.limits_for(case.record.collected[0]).get(name or "")
    if name is None or limit is None:
        return None
    new = edits.satisfying(name, limit, case)
    return Proposal(
        name, lambda c: edits.measurements(c, lambda found: [*found, new]), "not measured", limit.text()
    )


def _measure_something(case: Case, finding: Finding) -> Proposal:
    new = edits.satisfying("value", edits.ANY, case)
    return Proposal(
        "a measurement that a limit judges",
        lambda c: edits.measurements(c, lambda found: [*found, new]),
        "none",
        "at least one",
    )


def _judge_or_inform(case: Case, finding: Finding) -> Proposal | None:
    name = finding.measurement
    if name is None:
        return None
    return Proposal(name, _set(name, information=True), "no limit", "a limit, or recorded as information")


def _measure_once(case: Case, finding: Finding) -> Proposal:
    def first_of_each(found: list[Measurement]) -> list[Measurement]:
        by_name: dict[str, Measurement] = {}
        for measured in found:
            by_name.setdefault(measured.name, measured)
        return list(by_name.values())

    return Proposal(
        "measurements of one name",
        lambda c: edits.measurements(c, first_of_each),
        finding.message,
        "one",
    )


_RECIPES: dict[Reason, Callable[[Case, Finding], Proposal | None]] = {
    Reason.RUN_JOURNAL_INCOMPLETE: _incomplete,
    Reason.RUN_RUNNER: _runner,
    Reason.SUBJECT_MISSING: _subject,
    Reason.LOG_UNAVAILABLE: _log,
    Reason.SECTION_MISSING: _section,
    Reason.POLICY_UNSIGNED: _signature,
    Reason.POLICY_UNTRUSTED: _signature,
    Reason.POLICY_THRESHOLD: _signature,
    Reason.POLICY_OUTDATED: _signature,
    Reason.POLICY_EXPIRED: _expired,
    Reason.POLICY_CHANGED: _policy_changed,
    Reason.POLICY_EMPTY: _policy_empty,
    Reason.GATE_CODE_CHANGED: _gate_code,
    Reason.KEY_DEVELOPMENT: _development_key,
    Reason.GUARDS_UNCONFIRMED: _guards,
    Reason.OBLIGATION_OVERDUE: _owed,
    Reason.SHARD_UNNAMED: _shard_name,
    Reason.SHARD_FOREIGN: _shard_name,
    Reason.SHARD_PARTIAL: _whole_fleet,
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
    Reason.GATE_NO_MEASUREMENT: _measure_something,
    Reason.LIMIT_BROKEN: _value,
    Reason.MEASUREMENT_INVALID: _value,
    Reason.MEASUREMENT_KIND: _value,
    Reason.MEASUREMENT_UNIT: _unit,
    Reason.MEASUREMENT_STALE: _age,
    Reason.MEASUREMENT_FUTURE: _age,
    Reason.SAMPLES_MISSING: _samples,
    Reason.SAMPLES_LOW: _samples,
    Reason.LIMIT_UNMEASURED: _measure,
    Reason.MEASUREMENT_UNJUDGED: _judge_or_inform,
    Reason.MEASUREMENT_DUPLICATE: _measure_once,
}
