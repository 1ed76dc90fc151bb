"""A merge says GO of exactly the fleets that are whole, and nothing that is taken from one, or gets worse, helps.

What the inputs of a merge cannot show: that whoever merged left a run out that nobody requires. `cutover admit`
looks at that (tests/unit/evidence/test_cli_merge.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_cutover.evidence.fleet import read_fleet_report
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.fleet import FleetRecord, ShardDecision, ShardEvidence, decide_fleet
from pytest_cutover.model import EffectivePolicy, Runner, SignerKind, Subject, Verdict
from tests.properties.cases import Choices, assume, cases
from tests.properties.evidence import remembering
from tests.properties.strategies import rank
from tests.unit.evidence.fleets import MERGED_AT, policy, sealed_fleet
from tests.unit.evidence.runs import ANCHOR, POLICY_DIGEST, joined, resealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_cutover.model import Decision

NAMES = ("eu", "us", "ap", "mars")
SHOP = (Subject("shop", {"sha256": "a" * 64}),)
OTHER = (Subject("shop", {"sha256": "b" * 64}),)
GREEN = (Verdict.GO, Verdict.GO_WITH_GUARDS)


@dataclass
class Merge:
    """A merge to be, and what decides it."""

    shards: list[ShardEvidence]
    policy: EffectivePolicy

    def decided(self, shards: Sequence[ShardEvidence] | None = None, late_s: float = 0.0) -> Decision:
        given = self.shards if shards is None else shards
        record = FleetRecord(
            run_id="merge",
            nonce="n",
            plan="preflight",
            environment="production",
            sandbox=False,
            signer=SignerKind.CONFIGURED,
            policy_digest=POLICY_DIGEST,
            shards=tuple(given),
        )
        return decide_fleet(record, self.policy, MERGED_AT + timedelta(seconds=late_s))


def _decision(shard: str, number: int) -> ShardDecision:
    return ShardDecision(
        shard=shard,
        verdict=Verdict.GO,
        run_id=f"run-{number}",
        nonce=f"nonce-{number}",
        plan="preflight",
        environment="production",
        sandbox=False,
        runner=Runner.SUPERVISED,
        policy_digest=POLICY_DIGEST,
        subjects=SHOP,
        decided_at=MERGED_AT - timedelta(seconds=10 + number),
        expires_at=MERGED_AT + timedelta(minutes=30 + number),
        is_red=False,
    )


def _evidence(decision: ShardDecision | None, number: int, *problems: str) -> ShardEvidence:
    fresh = MERGED_AT + timedelta(minutes=5 + number)
    digest = hashlib.sha256(f"{number}".encode()).hexdigest()
    return ShardEvidence(f"runs/{number}", digest, problems, decision, None if problems else b"{}", fresh)


def whole(rng: Choices) -> Merge:
    """A fleet in which every required shard is there once and green."""
    names = NAMES[: rng.randint(1, 4)]
    required: Any = names if rng.random() < 0.7 else len(names)
    shards = [_evidence(_decision(name, n), n) for n, name in enumerate(names)]
    if rng.random() < 0.2:
        at = rng.randrange(len(shards))
        shards[at] = _with(shards[at], verdict=Verdict.GO_WITH_GUARDS)
    rng.shuffle(shards)
    return Merge(shards, replace(policy(shards=required), digest=POLICY_DIGEST))


def any_merge(rng: Choices) -> Merge:
    """A fleet of which some shards are worse, gone, doubled or foreign."""
    merge = whole(rng)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(merge.shards)) if merge.shards else None
        if at is None or rng.random() < 0.2:
            number = 10 + len(merge.shards)
            merge.shards.append(_evidence(_decision(rng.choice(NAMES), number), number))
        elif rng.random() < 0.3:
            del merge.shards[at]
        else:
            merge.shards[at] = worse(rng, merge.shards[at], merge.policy)
    return merge


def _with(one: ShardEvidence, /, **changes: Any) -> ShardEvidence:
    assume(one.decision is not None)
    assert one.decision is not None
    return replace(one, decision=replace(one.decision, **changes))


def _is_no_go(shard: ShardEvidence) -> bool:
    return shard.decision is None or shard.decision.verdict is Verdict.NO_GO


_WORSE: tuple[Callable[[ShardEvidence], ShardEvidence], ...] = (
    lambda s: replace(s, decision=None, envelope=None, problems=("report.digest",)),
    lambda s: replace(s, problems=("signature.invalid",)),
    lambda s: _with(s, verdict=Verdict.NO_GO, is_red=True),
    lambda s: _with(s, verdict=Verdict.NO_GO, is_red=False),
    lambda s: s if _is_no_go(s) else _with(s, verdict=Verdict.HOLD),
    lambda s: _with(s, expires_at=MERGED_AT - timedelta(seconds=1)),
    lambda s: _with(s, decided_at=MERGED_AT + timedelta(minutes=1)),
    lambda s: replace(s, fresh_until=MERGED_AT - timedelta(seconds=1)),
    lambda s: _with(s, environment="staging"),
    lambda s: _with(s, sandbox=True),
    lambda s: _with(s, plan="canary"),
    lambda s: _with(s, policy_digest="sha256:" + "9" * 64),
    lambda s: _with(s, shard=None),
    lambda s: _with(s, shard="unheard of"),
)


def worse(rng: Choices, shard: ShardEvidence, of: EffectivePolicy) -> ShardEvidence:
    """The shard with one thing about it that is wrong; where shards are only counted, any name is as good."""
    return rng.choice(_WORSE if isinstance(of.shards, tuple) else _WORSE[:-1])(shard)


class TestGo:
    @cases(whole)
    def test_is_said_of_a_whole_fleet_in_any_order(self, merge: Merge, rng: Choices) -> None:
        first = merge.decided()
        again = merge.decided(rng.sample(merge.shards, len(merge.shards)))

        assert first.verdict in GREEN
        assert first.findings == ()
        assert (again.verdict, again.expires_at) == (first.verdict, first.expires_at)

    @cases(any_merge)
    def test_is_said_of_nothing_else(self, merge: Merge, rng: Choices) -> None:
        """Beside a second opinion that knows nothing of findings."""
        decisions = [s.decision for s in merge.shards if s.decision is not None and not s.problems]
        names = sorted(d.shard or "" for d in decisions)
        required = merge.policy.shards
        named = names == sorted(required) if isinstance(required, tuple) else len(set(names)) == required
        fits = (
            len(decisions) == len(merge.shards)
            and named
            and len(set(names)) == len(names)
            and all(d.verdict in GREEN and d.shard for d in decisions)
            and all(d.decided_at <= MERGED_AT < d.expires_at for d in decisions)
            and all(s.fresh_until is None or s.fresh_until >= MERGED_AT for s in merge.shards)
            and all(
                (d.plan, d.environment, d.sandbox, d.policy_digest)
                == ("preflight", "production", False, POLICY_DIGEST)
                for d in decisions
            )
        )

        assert (merge.decided().verdict in GREEN) == fits


class TestLess:
    @cases(whole)
    def test_of_a_whole_fleet_is_never_go(self, merge: Merge, rng: Choices) -> None:
        """Any shards taken from a GO."""
        gone = rng.subset(len(merge.shards))

        left = merge.decided([s for i, s in enumerate(merge.shards) if i not in gone])

        assert left.verdict is Verdict.NO_GO
        assert "shard.missing" in {f.reason.code for f in left.findings}

    @cases(any_merge)
    def test_of_any_required_shard_never_helps(self, merge: Merge, rng: Choices) -> None:
        """The only run of a shard that the policy names, whatever it came to."""
        required = merge.policy.shards
        assume(isinstance(required, tuple))
        names = [s.decision.shard for s in merge.shards if s.decision is not None]
        assert isinstance(required, tuple)
        single = [n for n in required if names.count(n) == 1]
        gone = rng.one_of(single)

        left = [s for s in merge.shards if s.decision is None or s.decision.shard != gone]

        assert merge.decided(left).verdict is Verdict.NO_GO


class TestWorse:
    @cases(any_merge)
    def test_one_shard_never_helps(self, merge: Merge, rng: Choices) -> None:
        assume(merge.shards)
        at = rng.randrange(len(merge.shards))
        changed = [*merge.shards[:at], worse(rng, merge.shards[at], merge.policy), *merge.shards[at + 1 :]]

        assert merge.decided(changed).verdict not in GREEN
        assert rank(merge.decided(changed)) <= rank(merge.decided())

    @cases(whole)
    def test_subjects_of_one_shard_are_no_go(self, merge: Merge, rng: Choices) -> None:
        assume(len(merge.shards) > 1)
        at = rng.randrange(len(merge.shards))
        changed = [*merge.shards[:at], _with(merge.shards[at], subjects=OTHER), *merge.shards[at + 1 :]]

        assert merge.decided(changed).verdict is Verdict.NO_GO

    @cases(any_merge)
    def test_a_run_given_again_is_no_go(self, merge: Merge, rng: Choices) -> None:
        again = rng.one_of(merge.shards)
        if rng.random() < 0.5:
            again = replace(again, source="elsewhere")

        assert merge.decided([*merge.shards, again]).verdict is Verdict.NO_GO

    @cases(any_merge)
    def test_time_never_helps_once_every_shard_was_decided(self, merge: Merge, rng: Choices) -> None:
        assume(all(s.decision is None or s.decision.decided_at <= MERGED_AT for s in merge.shards))

        assert rank(merge.decided(late_s=rng.uniform(0, 7200))) <= rank(merge.decided())

    @cases(whole)
    def test_a_go_never_holds_longer_than_any_shard_s(self, merge: Merge, rng: Choices) -> None:
        ends = [s.decision.expires_at for s in merge.shards if s.decision is not None]

        assert merge.decided().expires_at <= min(ends)


@cache
def _sealed() -> tuple[bytes, bytes]:
    return sealed_fleet()


TRUST = remembering(ANCHOR)


class TestTampering:
    def test_the_untouched_evidence_is_valid(self) -> None:
        """Else the tests below would prove nothing."""
        assert verify_bundle(*_sealed(), TRUST).is_valid

    @cases()
    def test_any_flipped_bit_is_found(self, rng: Choices) -> None:
        bundle, report = _sealed()
        which = rng.random() < 0.5
        data = bytearray(bundle if which else report)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        changed = (bytes(data), report) if which else (bundle, bytes(data))

        assert not verify_bundle(*changed, TRUST).is_valid

    @cases()
    def test_any_lines_lost_doubled_or_moved_are_found(self, rng: Choices) -> None:
        bundle, report = _sealed()
        lines = bundle.splitlines()
        changed = [rng.choice(lines) for _ in range(rng.randint(0, 6))] if rng.random() < 0.5 else lines[:]
        rng.shuffle(changed)
        assume(changed != lines)

        assert not verify_bundle(joined(changed), report, TRUST).is_valid

    @cases()
    def test_a_shard_taken_from_the_report_by_who_signs_is_found(self, rng: Choices) -> None:
        """He holds the key, leaves a shard's line out of the report and makes every digest fit."""
        bundle, report = _sealed()
        lines = report.splitlines(keepends=True)
        shards = [i for i, line in enumerate(lines) if line.startswith(b'{"source"')]
        del lines[rng.choice(shards[:-1])]
        shorter = b"".join(lines).replace(b'"merged":3', b'"merged":2')
        read_fleet_report(shorter)
        old, new = (hashlib.sha256(r).hexdigest().encode() for r in (report, shorter))

        found = verify_bundle(resealed(bundle, old, new), shorter, TRUST)

        assert "decision.disagrees" in {p.code.code for p in found.problems}
