"""A fleet is GO when every shard the policy requires is there once, proven, in force, fresh and green."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pytest_cutover.decision import shard_verdict
from pytest_cutover.fleet import ShardEvidence
from pytest_cutover.model import ExitCode, PolicySignature, Runner, SignerKind, Subject, Verdict
from pytest_cutover.reasons import Reason, Weight
from tests.unit.evidence.fleets import MERGED_AT, SHARDS, decided, evidence_of, fleet, shard_run
from tests.unit.evidence.runs import NOW, Run
from tests.unit.journals import clean_run, decision, gate_finished, measurement, started


def codes(found):
    return {f.reason.code for f in found.findings}


EU, US, AP = (evidence_of(shard_run(name)) for name in SHARDS)


def changed(**changes):
    """A fleet in which the decision of `us` says something else."""
    return fleet([EU, replace(US, decision=replace(US.decision, **changes)), AP])


OTHER = (Subject("shop", {"sha256": "e" * 64}),)
SCENARIOS = {
    "shard.missing": lambda: decided(fleet([EU, US])),
    "shard.missing counted": lambda: decided(fleet([EU, US]), shards=3),
    "shard.foreign": lambda: decided(fleet([EU, US, AP, evidence_of(shard_run("mars"))])),
    "shard.foreign counted": lambda: decided(shards=2),
    "shard.duplicate": lambda: decided(
        fleet([EU, US, AP, evidence_of(shard_run("eu", nonce="1" * 32, run_id="another"))])
    ),
    "shard.replayed": lambda: decided(fleet([EU, US, AP, EU])),
    "shard.replayed nonce": lambda: decided(changed(nonce=EU.decision.nonce)),
    "shard.replayed run id": lambda: decided(changed(run_id=EU.decision.run_id)),
    "shard.unverified": lambda: decided(fleet([EU, US, ShardEvidence("runs/ap", None, ("bundle.missing",))])),
    "shard.unverified yet decided": lambda: decided(
        fleet([EU, US, replace(AP, problems=("report.digest",))])
    ),
    "shard.red": lambda: decided(changed(verdict=Verdict.NO_GO, is_red=True)),
    "shard.unproven": lambda: decided(changed(verdict=Verdict.NO_GO)),
    "shard.hold": lambda: decided(changed(verdict=Verdict.HOLD)),
    "shard.expired": lambda: decided(changed(expires_at=MERGED_AT)),
    "shard.expired future": lambda: decided(changed(decided_at=MERGED_AT + timedelta(seconds=6))),
    "shard.stale": lambda: decided(at=NOW + timedelta(minutes=5)),
    "shard.subject": lambda: decided(changed(subjects=OTHER)),
    "shard.subject none": lambda: decided(changed(subjects=())),
    "shard.environment": lambda: decided(changed(environment="staging")),
    "shard.environment sandbox": lambda: decided(changed(sandbox=True)),
    "shard.plan": lambda: decided(changed(plan="canary")),
    "shard.policy": lambda: decided(changed(policy_digest="sha256:" + "9" * 64)),
    "shard.unnamed": lambda: decided(changed(shard=None)),
    "shard.not-required": lambda: decided(shards=None),
    "policy.unsigned": lambda: decided(signature=PolicySignature.UNSIGNED),
    "policy.untrusted": lambda: decided(signature=PolicySignature.UNTRUSTED),
    "policy.expired": lambda: decided(expires_at=NOW),
    "policy.changed": lambda: decided(fleet(plan="canary")),
    "policy.empty": lambda: decided(requires=()),
    "key.development": lambda: decided(fleet(signer=SignerKind.DEVELOPMENT), development_key=False),
    "subject.missing": lambda: decided(
        fleet([replace(s, decision=replace(s.decision, subjects=())) for s in (EU, US, AP)])
    ),
}


class TestDecideFleet:
    def test_every_required_shard_green_is_go(self):
        found = decided()

        assert (found.verdict, found.exit_code, found.findings) == (Verdict.GO, ExitCode.GO, ())

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_anything_else_is_not_and_says_why(self, name):
        found = SCENARIOS[name]()

        reason = Reason.of(name.split()[0])
        assert reason in {f.reason for f in found.findings}
        expected = {
            Weight.RED: ExitCode.NO_GO,
            Weight.UNPROVEN: ExitCode.UNPROVEN,
            Weight.HOLD: ExitCode.HOLD,
        }
        assert found.exit_code is expected[found.findings[0].reason.weight]
        assert found.exit_code is expected[reason.weight]

    def test_every_reason_of_a_shard_has_a_scenario(self):
        told = {name.split()[0] for name in SCENARIOS} | {"shard.partial"}

        assert {r.code for r in Reason if r.code.startswith("shard.")} - told == set()

    def test_no_shard_at_all_misses_every_one(self):
        found = decided(fleet([]))

        assert codes(found) == {"shard.missing", "subject.missing"}
        assert [f.message for f in found.findings if f.reason is Reason.SHARD_MISSING] == [
            f"shard {name} is required and is not there" for name in SHARDS
        ]

    def test_findings_name_the_shard(self):
        (found,) = decided(changed(verdict=Verdict.NO_GO, is_red=True)).findings

        assert found.where == "shard us"
        assert found.message.startswith("shard us: it is NO-GO: run ")

    def test_mixed_subjects_are_named_on_both_sides(self):
        (found,) = decided(changed(subjects=OTHER)).findings

        assert "eu, ap: sha256:" in found.message
        assert "us: sha256:eeeeeeeeeeee…" in found.message

    def test_it_never_outlives_a_shard(self):
        """A merge may not make an old decision younger."""
        soon = MERGED_AT + timedelta(seconds=90)

        assert decided(changed(expires_at=soon)).expires_at == soon
        assert decided().expires_at == NOW + timedelta(hours=1)
        assert decided(expires_at=soon).expires_at == soon
        assert decided(decision_ttl_s=60.0).expires_at == MERGED_AT + timedelta(seconds=60)

    def test_a_waived_shard_makes_it_go_with_guards(self):
        assert decided(changed(verdict=Verdict.GO_WITH_GUARDS)).verdict is Verdict.GO_WITH_GUARDS

    def test_its_runner_is_the_weakest_of_its_shards(self):
        assert fleet().runner is Runner.SUPERVISED
        assert changed(runner=Runner.IN_PROCESS).runner is Runner.IN_PROCESS
        assert fleet([]).runner is Runner.IN_PROCESS

    def test_a_naive_time_is_refused(self):
        with pytest.raises(ValueError, match="timezone-aware"):
            decided(at=datetime(2026, 11, 21))  # noqa: DTZ001 # on purpose


class TestTheRunOfAShard:
    """`decide` of one run under a policy that asks for shards."""

    def decide(self, shard, events=None, **changes):
        run = [started(shard=shard), *(events or clean_run())[1:]]
        return decision(run, **({"shards": SHARDS} | changes))

    @pytest.mark.parametrize("shards", [SHARDS, 3, 1, ("eu",)])
    def test_is_never_go_however_green(self, shards):
        """Not even where the fleet has but one shard: a merge says so."""
        found = self.decide("eu", shards=shards)

        assert (found.verdict, found.exit_code) == (Verdict.HOLD, ExitCode.HOLD)
        assert codes(found) == {"shard.partial"}
        assert shard_verdict(found) is Verdict.GO

    @pytest.mark.parametrize("shard", [None, 3, ["eu"]])
    def test_without_a_name_is_unproven(self, shard):
        found = self.decide(shard)

        assert (found.exit_code, codes(found)) == (ExitCode.UNPROVEN, {"shard.unnamed"})

    def test_of_a_name_the_policy_does_not_have_is_unproven(self):
        found = self.decide("mars")

        assert (found.exit_code, codes(found)) == (ExitCode.UNPROVEN, {"shard.foreign", "shard.partial"})
        assert shard_verdict(found) is Verdict.NO_GO

    def test_that_is_red_is_red_for_itself_too(self):
        events = clean_run()
        events[3] = gate_finished("ready", measurement(value="9"))
        found = self.decide("eu", events)

        assert found.exit_code is ExitCode.NO_GO
        assert shard_verdict(found) is Verdict.NO_GO

    def test_under_a_policy_without_shards_is_a_run_like_any_other(self):
        """A label nobody asked for; what was GO before there were fleets stays so."""
        assert self.decide("eu", shards=None).verdict is Verdict.GO


class TestThePolicyInEvidence:
    @pytest.mark.parametrize("shards", [None, SHARDS, 3])
    def test_comes_back_as_it_was(self, shards):
        policy = Run(shards=shards).policy()

        assert type(policy).from_json(policy.to_json()) == policy
        assert ("shards" in policy.to_json()) is (shards is not None)

    @pytest.mark.parametrize("shards", [None, 0, -1, True, 1.5, [], [1], [[]], "eu", {"eu": 1}])
    def test_asks_for_names_or_a_number_and_nothing_else(self, shards):
        """A null that meant "no fleet" would be a way to have none."""
        policy = Run().policy()

        with pytest.raises(TypeError, match="shards are names, or their number"):
            type(policy).from_json(policy.to_json() | {"shards": shards})
