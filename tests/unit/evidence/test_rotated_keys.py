"""Evidence whose keys were rotated, retired or revoked since, and policies that fewer persons signed than it takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.evidence.admit import Candidate, Question, admit
from pytest_cutover.evidence.envelope import POLICY_TYPE, STATEMENT_TYPE, sign_envelope
from pytest_cutover.evidence.fleet_verify import verify_shards
from pytest_cutover.evidence.problems import ProblemCode as P
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.evidence.waivers import given_waiver, waiver_statement
from pytest_cutover.keys.position import LogPosition
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.reasons import Reason
from tests.unit.evidence.fleets import MERGED_AT, SHARDS, sealed_fleet, shard_run
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    NOW,
    POLICY,
    POLICY_KEY,
    SHA,
    TRUSTED_POLICY_KEY,
    anchor,
    sealed,
    signer,
    trusted,
)
from tests.unit.evidence.test_waivers import WAIVER

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey

LOG = "log.example.org/cutover"
BEFORE, AFTER = LogPosition(LOG, 4), LogPosition(LOG, 5)
ELSEWHERE = LogPosition("log.example.org/other", 4)
GRACE: dict[str, Any] = {
    "state": KeyState.GRACE,
    "rotated": Rotation(LOG, 5, NOW + timedelta(hours=1)),
    "grace_until": NOW + timedelta(days=30),
}
REVOKED: dict[str, Any] = {
    "state": KeyState.REVOKED,
    "revoked_at": NOW + timedelta(days=1),
    "reason": "it was on a stolen laptop",
}
BUNDLE, REPORT = sealed()
SECOND = signer()


def codes(trust: Anchor, position: LogPosition | None = None, at: datetime | None = None) -> set[P]:
    return {p.code for p in verify_bundle(BUNDLE, REPORT, trust, at, position).problems}


def of(**life: Any) -> Anchor:
    return anchor(trusted(KEY, **life), TRUSTED_POLICY_KEY)


class TestDecisionKey:
    def test_before_its_rotation_is_what_the_log_held_then(self) -> None:
        assert codes(of(**GRACE), BEFORE) == set()

    @pytest.mark.parametrize("position", [None, AFTER, ELSEWHERE])
    def test_without_that_proof_a_claimed_time_is_not_enough(self, position: LogPosition | None) -> None:
        """The decision says that it was made an hour before the rotation, which whoever has the key can say."""
        assert codes(of(**GRACE), position) == {P.SIGNATURE_ROTATED}

    def test_a_grace_that_is_over_is_over(self) -> None:
        trust = of(**GRACE | {"grace_until": NOW - timedelta(days=1)})

        assert codes(trust, BEFORE) == {P.SIGNATURE_EXPIRED}
        assert P.SIGNATURE_EXPIRED in codes(of(**GRACE), BEFORE, NOW + timedelta(days=31))

    @pytest.mark.parametrize("position", [None, BEFORE])
    @pytest.mark.parametrize(
        ("life", "code"),
        [
            ({"state": KeyState.RETIRED}, P.SIGNATURE_RETIRED),
            (GRACE | {"state": KeyState.RETIRED}, P.SIGNATURE_RETIRED),
            (REVOKED, P.SIGNATURE_REVOKED),
            (GRACE | REVOKED, P.SIGNATURE_REVOKED),
        ],
    )
    def test_retired_and_revoked_keys_prove_nothing(
        self, life: dict[str, Any], code: P, position: LogPosition | None
    ) -> None:
        assert codes(of(**life), position) == {code}

    def test_the_reason_of_a_revocation_is_told(self) -> None:
        (problem,) = verify_bundle(BUNDLE, REPORT, of(**REVOKED)).problems

        assert problem.message == "key 'release' was revoked: it was on a stolen laptop"

    @pytest.mark.parametrize("life", [GRACE, {"state": KeyState.RETIRED}, REVOKED])
    def test_nothing_is_admitted_by_it(self, life: dict[str, Any]) -> None:
        candidate = Candidate("run", lambda: BUNDLE, lambda: REPORT)
        question = Question("sha256", SHA, "production", NOW)

        assert admit(question, [candidate], ANCHOR).is_admitted
        assert not admit(question, [candidate], of(**life)).is_admitted

    def test_of_a_shard_too(self) -> None:
        bundle, report = sealed_fleet()

        def shards(position: LogPosition | None) -> set[P]:
            trust = replace(ANCHOR, keys=tuple(replace(k, **GRACE) for k in ANCHOR.keys))
            return {p.code for p in verify_bundle(bundle, report, trust, MERGED_AT, position).problems}

        assert shards(BEFORE) == set()
        assert {P.FLEET_SIGNATURE, P.SIGNATURE_ROTATED} <= shards(AFTER)

    def test_a_shard_s_own_evidence_stands_where_its_merge_does(self) -> None:
        merge = verify_bundle(*sealed_fleet(), ANCHOR)
        trust = replace(ANCHOR, keys=tuple(replace(k, **GRACE) for k in ANCHOR.keys))
        given = [(name, *sealed(shard_run(name))) for name in SHARDS]

        assert verify_shards(replace(merge, position=BEFORE), given, trust) == []
        for position in (None, AFTER, ELSEWHERE):
            found = verify_shards(replace(merge, position=position), given, trust)
            assert {p.code for p in found} == {P.FLEET_SHARD}


class TestPersons:
    """The trust file says how many persons it takes to decide."""

    ADA = trusted(KEY, person="Ada")
    GRACE = trusted(SECOND, person="Grace", name="second")

    def asked(self, signers: Any, *keys: TrustedKey) -> set[P]:
        trust = replace(anchor(*keys, TRUSTED_POLICY_KEY), thresholds={"decision": 2})
        return {p.code for p in verify_bundle(*sealed(key=signers), trust).problems}

    def test_two_sign_each_statement(self) -> None:
        assert self.asked([KEY, SECOND], self.ADA, self.GRACE) == set()

    @pytest.mark.parametrize("person", ["Ada", " ada", None])
    def test_one_person_does_not_stand_for_two(self, person: str | None) -> None:
        assert self.asked(KEY, self.ADA, self.GRACE) == {P.SIGNATURE_PERSONS}
        same = replace(self.GRACE, person=person)
        assert self.asked([KEY, SECOND], self.ADA, same) == {P.SIGNATURE_PERSONS}

    def test_nor_two_who_each_signed_something_else(self) -> None:
        bundle, report = sealed()
        other, _ = sealed(key=SECOND)
        first, *rest = bundle.splitlines(keepends=True)
        mixed = b"".join([first, other.splitlines(keepends=True)[1], *rest[1:]])
        trust = replace(anchor(self.ADA, self.GRACE, TRUSTED_POLICY_KEY), thresholds={"decision": 2})

        assert P.SIGNATURE_PERSONS in {p.code for p in verify_bundle(mixed, report, trust).problems}

    def test_nothing_is_admitted_by_one(self) -> None:
        trust = replace(anchor(self.ADA, TRUSTED_POLICY_KEY), thresholds={"decision": 2})
        candidate = Candidate("run", lambda: BUNDLE, lambda: REPORT)

        assert not admit(Question("sha256", SHA, "production", NOW), [candidate], trust).is_admitted

    def test_of_a_shard_too(self) -> None:
        bundle, report = sealed_fleet(key=[KEY, SECOND])
        trust = replace(anchor(self.ADA, self.GRACE, TRUSTED_POLICY_KEY), thresholds={"decision": 2})
        found = verify_bundle(bundle, report, trust)

        assert {p.code for p in found.problems} == {P.FLEET_SIGNATURE}
        assert "expected signatures of 2 persons in role decision, got 1 (Ada)" in found.problems[0].message


class TestPolicyKey:
    def trust(self, **changes: Any) -> Anchor:
        return anchor(trusted(KEY), replace(TRUSTED_POLICY_KEY, **changes))

    def test_the_bundle_that_holds_the_policy_shows_when_it_was_signed(self) -> None:
        assert codes(self.trust(**GRACE), BEFORE) == set()
        assert codes(self.trust(**GRACE), AFTER) == {P.POLICY_SIGNATURE}
        assert codes(self.trust(**GRACE)) == {P.POLICY_SIGNATURE}

    def test_a_revoked_one_counts_no_more(self) -> None:
        assert codes(self.trust(**REVOKED), BEFORE) == {P.POLICY_SIGNATURE}

    def test_one_person_does_not_stand_for_two(self) -> None:
        two = {"policy": 2}
        ada = self.trust(person="Ada")
        both = (*ada.keys, trusted(SECOND, person="Ada", name="second", roles=frozenset({"policy"})))
        envelope = sign_envelope(POLICY, POLICY_TYPE, [POLICY_KEY, SECOND])
        bundle, report = sealed(envelope=envelope)

        def asked(trust: Anchor) -> set[P]:
            return {p.code for p in verify_bundle(bundle, report, replace(trust, thresholds=two)).problems}

        assert asked(replace(ada, keys=both)) == {P.POLICY_PERSONS}
        grace = (*ada.keys, replace(both[-1], person="Grace"))
        assert asked(replace(ada, keys=grace)) == set()
        nobody = (*ada.keys, replace(both[-1], person=None))
        assert asked(replace(ada, keys=nobody)) == {P.POLICY_PERSONS}

    def test_a_decision_under_an_older_policy_is_in_force_no_more(self) -> None:
        """As evidence of what was decided it stays valid; nothing is admitted by it."""
        candidate = Candidate("run", lambda: BUNDLE, lambda: REPORT)
        found = verify_bundle(BUNDLE, REPORT, ANCHOR).report
        assert found is not None
        name, version = found.policy.name, found.policy.version
        floors = [replace(ANCHOR, floors={name: version + more}) for more in (0, 1)]

        assert [codes(trust) for trust in floors] == [set(), set()]
        assert [codes(trust, at=NOW) for trust in floors] == [set(), {P.POLICY_FLOOR}]
        admitted = [admit(Question("sha256", SHA, "production", NOW), [candidate], t) for t in floors]
        assert [a.is_admitted for a in admitted] == [True, False]
        assert [p.code for p in admitted[1].problems] == [P.POLICY_FLOOR]


class TestWaivers:
    def refused(self, trust: Anchor, position: LogPosition | None = None) -> Reason | None:
        envelope = sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, [KEY, SECOND])
        given = given_waiver(envelope, trust, at=NOW, where="w.dsse", position=position)
        return None if given.refused is None else given.refused[0]

    def trust(self, *lives: dict[str, Any], **thresholds: int) -> Anchor:
        roles = frozenset({"waiver"})
        keys = (trusted(k, roles=roles, **life) for k, life in zip((KEY, SECOND), lives, strict=True))
        return replace(anchor(*keys), thresholds=thresholds)

    def test_persons_of_the_trust_file_count_here_too(self) -> None:
        ada, grace = {"person": "Ada"}, {"person": "Grace"}

        assert self.refused(self.trust(ada, grace, waiver=2)) is None
        assert self.refused(self.trust(ada, ada, waiver=2)) is Reason.WAIVER_PERSONS
        assert self.refused(self.trust(ada, grace, waiver=3)) is Reason.WAIVER_PERSONS

    def test_a_rotated_key_signs_no_waiver_that_no_log_held(self) -> None:
        life = {"person": "Ada", **GRACE}
        trust = self.trust(life, life)

        assert self.refused(trust, BEFORE) is None
        assert self.refused(trust, AFTER) is Reason.WAIVER_UNTRUSTED
        assert self.refused(trust) is Reason.WAIVER_UNTRUSTED
