"""What would have to differ about the run as a whole: its runner, policy, signatures, fleet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_cutover.model import (
    SECTION_TYPE,
    LogHead,
    PolicySignature,
    Requirement,
    Runner,
    SignerKind,
    Subject,
    rfc3339,
)
from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits
from pytest_cutover.rejudge.proposal import Proposal, Recipe
from pytest_cutover.waiver import guards_digest

if TYPE_CHECKING:
    from pytest_cutover.model import Finding
    from pytest_cutover.rejudge.case import Case


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


RECIPES: dict[Reason, Recipe] = {
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
}
