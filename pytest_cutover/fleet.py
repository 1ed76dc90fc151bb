"""Many jobs, one decision: what shards came to, and what that makes of the fleet. Pure and total, as `decide` is.

A shard's own run never says GO where the policy asks for a fleet (`shard.partial`): only what is decided here does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_cutover.decision import key_findings, outcome, policy_findings
from pytest_cutover.model import Decision, Finding, Runner, Verdict
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from pytest_cutover.model import EffectivePolicy, LogHead, Problem, SignerKind, Subject

_SHOWN = 5
"""Names that a message lists; the report lists every shard."""

TOLD = (
    Reason.EVIDENCE_NOT_WRITTEN,
    Reason.EVIDENCE_NOT_STORED,
    Reason.LOG_UNAVAILABLE,
    Reason.RUN_INTERRUPTED,
)
"""What can go wrong with a merge itself. Each is NO-GO, whatever the shards came to."""


@dataclass(frozen=True, slots=True)
class ShardDecision:
    """What a shard's signed and verified decision says."""

    shard: str | None
    verdict: Verdict  # of the shard for itself, were it the whole fleet
    run_id: str
    nonce: str
    plan: str
    environment: str
    sandbox: bool
    runner: Runner
    policy_digest: str
    subjects: tuple[Subject, ...]
    decided_at: datetime
    expires_at: datetime
    is_red: bool  # not GO because something was measured red
    waivers: tuple[Mapping[str, Any], ...] = ()
    guards: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ShardEvidence:
    """One run that was given to a merge. `decision` is None where its evidence does not verify.

    `fresh_until` is when the first of its measurements grows older than the policy allows.
    """

    source: str  # where it lay, for people
    bundle_digest: str | None  # SHA-256 of the bundle's bytes; None: there was none
    problems: tuple[str, ...]  # codes of `evidence.problems`
    decision: ShardDecision | None = None
    envelope: bytes | None = None  # the signed decision itself, one line
    fresh_until: datetime | None = None

    @property
    def name(self) -> str:
        """The shard's name where it is known, else where its evidence lay."""
        known = None if self.decision is None else self.decision.shard
        return self.source if known is None else known


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """What a merge was made for and given; never a verdict."""

    run_id: str
    nonce: str
    plan: str
    environment: str
    sandbox: bool
    signer: SignerKind
    policy_digest: str
    shards: tuple[ShardEvidence, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    """What went wrong when an earlier decision of this merge was written, with a reason of TOLD."""

    @property
    def shard(self) -> str | None:
        """None: a fleet is no shard."""
        return None

    @property
    def log(self) -> LogHead | None:
        """None: no gate runs in a merge, so nothing is seen of the log before the decision is put into it."""
        return None

    @property
    def decisions(self) -> list[ShardDecision]:
        return [s.decision for s in self.shards if s.decision is not None]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What any shard is about; where they differ, a NO-GO is about all of it."""
        named = (s for d in self.decisions for s in d.subjects)
        return tuple({(s.name, *sorted(s.digest.items())): s for s in named}.values())

    @property
    def runner(self) -> Runner:
        """Supervised only if every shard was."""
        runners = {d.runner for d in self.decisions}
        return Runner.SUPERVISED if runners == {Runner.SUPERVISED} else Runner.IN_PROCESS


def decide_fleet(fleet: FleetRecord, policy: EffectivePolicy, now: datetime) -> Decision:
    """GO only if every shard the policy requires is there once, proven, in force, fresh and green, and nothing went wrong.

    It never holds longer than the decision of any of its shards.

    Raises:
        ValueError: `now` is naive.
    """
    if now.tzinfo is None:
        raise ValueError("now must be timezone-aware")
    findings = [
        *(Finding(problem.reason, problem.message) for problem in fleet.problems),
        *policy_findings(policy, now),
        *key_findings(fleet.signer, policy),
        *_fleet_findings(fleet, policy),
        *(f for shard in fleet.shards for f in _shard_findings(shard, policy, now)),
    ]
    decisions = fleet.decisions
    verdict, exit_code, ordered = outcome(findings)
    if verdict is Verdict.GO and any(d.verdict is Verdict.GO_WITH_GUARDS for d in decisions):
        verdict = Verdict.GO_WITH_GUARDS
    ends = [now + timedelta(seconds=policy.decision_ttl_s), *(d.expires_at for d in decisions)]
    if policy.expires_at is not None:
        ends.append(policy.expires_at)
    return Decision(verdict, exit_code, now, min(ends), (), ordered)


# -- the fleet -------------------------------------------------------------------------------


def _fleet_findings(fleet: FleetRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    made_for = (fleet.policy_digest, fleet.plan, fleet.environment, fleet.sandbox)
    if made_for != (policy.digest, policy.plan, policy.environment, policy.sandbox):
        yield Finding(Reason.POLICY_CHANGED, "the merge was made for another policy, plan or environment")
    if not fleet.subjects and not policy.sandbox:
        yield Finding(Reason.SUBJECT_MISSING, "no shard names a digest of what is released")
    yield from _required(fleet, policy)
    yield from _doubled(fleet)
    yield from _mixed_subjects(fleet)


def _required(fleet: FleetRecord, policy: EffectivePolicy) -> Iterator[Finding]:
    named = {d.shard for d in fleet.decisions if d.shard is not None}
    required = policy.shards
    if required is None:
        yield Finding(
            Reason.SHARD_NOT_REQUIRED,
            f"plan {policy.plan} asks for no shards: there is no fleet to decide about",
            remedy='"shards" of the plan in the policy',
        )
    elif isinstance(required, int):
        if len(named) < required:
            yield Finding(Reason.SHARD_MISSING, f"{len(named)} shards are there, {required} are required")
        if len(named) > required:
            yield Finding(Reason.SHARD_FOREIGN, f"{len(named)} shards are there, {required} are required")
    else:
        for name in (n for n in required if n not in named):
            yield Finding(
                Reason.SHARD_MISSING, f"shard {name} is required and is not there", where=_where(name)
            )


def _doubled(fleet: FleetRecord) -> Iterator[Finding]:
    """One run given twice, and two runs of one shard: nobody may choose the better of two."""
    runs: dict[str, set[str]] = defaultdict(set)
    seen: dict[tuple[str, str], str] = {}
    for shard in fleet.shards:
        decision = shard.decision
        marks = [("bundle", shard.bundle_digest)]
        if decision is not None:
            marks += [("run", decision.run_id), ("nonce", decision.nonce)]
            if decision.shard is not None:
                runs[decision.shard].add(decision.run_id)
        known = [(kind, mark) for kind, mark in marks if mark]
        again = next((m for m in known if m in seen), None)
        if again is not None:
            message = f"{shard.source} is the run that {seen[again]} is: the same {again[0]}"
            yield Finding(Reason.SHARD_REPLAYED, message, where=_where(shard.name))
        for mark in known:
            seen.setdefault(mark, shard.source)
    for name, ids in runs.items():
        if len(ids) > 1:
            message = f"shard {name} is there {len(ids)} times: {_some(sorted(ids))}"
            yield Finding(Reason.SHARD_DUPLICATE, message, where=_where(name))


def _mixed_subjects(fleet: FleetRecord) -> Iterator[Finding]:
    by_subjects: dict[frozenset[tuple[str, str]], list[str]] = defaultdict(list)
    for shard in fleet.shards:
        if shard.decision is not None:
            digests = (tuple(sorted(s.digest.items())) for s in shard.decision.subjects)
            by_subjects[frozenset(d for pairs in digests for d in pairs)].append(shard.name)
    if len(by_subjects) < 2:
        return
    told = (f"{_some(names)}: {_digests(subjects)}" for subjects, names in by_subjects.items())
    yield Finding(Reason.SHARD_SUBJECT, f"the shards are about different things: {'; '.join(told)}"[:600])


def _digests(subjects: frozenset[tuple[str, str]]) -> str:
    return _some([f"{algorithm}:{digest[:12]}…" for algorithm, digest in sorted(subjects)]) or "nothing named"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _where(name: str) -> str:
    return f"shard {name}"


# -- one shard -------------------------------------------------------------------------------


def _shard_findings(shard: ShardEvidence, policy: EffectivePolicy, now: datetime) -> Iterator[Finding]:
    where = _where(shard.name)
    decision = shard.decision
    if decision is None or shard.problems:
        why = _some(shard.problems) or "it holds no decision"
        yield Finding(
            Reason.SHARD_UNVERIFIED, f"the evidence in {shard.source} does not verify: {why}", where=where
        )
        return
    said = [*_belongs(decision, policy), *_in_force(shard, decision, policy, now), *_green(decision)]
    yield from (Finding(reason, f"shard {shard.name}: {message}", where=where) for reason, message in said)


def _belongs(decision: ShardDecision, policy: EffectivePolicy) -> Iterable[tuple[Reason, str]]:
    """Whether it was decided for this plan and environment, under this policy, as one of its shards."""
    required = policy.shards
    if decision.shard is None:
        yield Reason.SHARD_UNNAMED, f"run {decision.run_id} does not say which shard it is"
    elif isinstance(required, tuple) and decision.shard not in required:
        yield Reason.SHARD_FOREIGN, "the policy names no such shard"
    if (decision.environment, decision.sandbox) != (policy.environment, policy.sandbox):
        yield (
            Reason.SHARD_ENVIRONMENT,
            f"decided for environment {decision.environment}, the fleet's is {policy.environment}",
        )
    if decision.plan != policy.plan:
        yield Reason.SHARD_PLAN, f"decided for plan {decision.plan}, the fleet's is {policy.plan}"
    if decision.policy_digest != policy.digest:
        yield (
            Reason.SHARD_POLICY,
            f"decided under {decision.policy_digest[:19]}…, the fleet's policy is {policy.digest[:19]}…",
        )


def _in_force(
    shard: ShardEvidence, decision: ShardDecision, policy: EffectivePolicy, now: datetime
) -> Iterable[tuple[Reason, str]]:
    if decision.expires_at <= now:
        yield Reason.SHARD_EXPIRED, f"its decision expired at {decision.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if decision.decided_at > now + timedelta(seconds=policy.clock_tolerance_s):
        yield (
            Reason.SHARD_EXPIRED,
            f"its decision was made later than the merge: {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC",
        )
    if shard.fresh_until is not None and shard.fresh_until < now:
        yield (
            Reason.SHARD_STALE,
            f"what it measured was fresh until {shard.fresh_until:%Y-%m-%d %H:%M:%S} UTC",
        )


def _green(decision: ShardDecision) -> Iterable[tuple[Reason, str]]:
    if decision.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS):
        return
    reason = Reason.SHARD_RED if decision.is_red else Reason.SHARD_UNPROVEN
    if decision.verdict is Verdict.HOLD:
        reason = Reason.SHARD_HOLD
    yield reason, f"it is {decision.verdict.value}: run {decision.run_id}"
