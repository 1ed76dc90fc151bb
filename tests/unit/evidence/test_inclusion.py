"""A decision that belongs into a transparency log counts only with the proof that it is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pytest_cutover.evidence.admit import Candidate, Question, admit
from pytest_cutover.evidence.fleet import shard_evidence
from pytest_cutover.evidence.inclusion import belongs_into_a_log, is_to_be_logged, logged_entry, verify_logged
from pytest_cutover.evidence.problems import ProblemCode as P
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.model import LOCAL_LOG, LogHead, Problem, Verdict
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.reasons import Reason
from pytest_cutover.tlog.cosignature import CosignatureSigner
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import Note, NoteSigner, parse_note
from tests.unit.evidence.fleets import fleet, sealed_fleet
from tests.unit.evidence.runs import (
    KEY,
    NOW,
    SHA,
    TRUSTED_POLICY_KEY,
    LyingRun,
    Run,
    anchor,
    sealed,
    signer,
    trusted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.keys.signer import PemSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey

ORIGIN = "log.example.org/shop"
EMPTY = LogHead(ORIGIN, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
LOG_KEY = signer()
LOGGED = Run(log=EMPTY, wanted_log=ORIGIN)
PLAIN = Run()


def log_key(**changes: object) -> TrustedKey:
    fields = {"roles": frozenset({"log"}), "origin": ORIGIN, "name": "log"} | changes
    return trusted(LOG_KEY, **fields)


def trust(*more: TrustedKey) -> Anchor:
    return anchor(trusted(KEY), TRUSTED_POLICY_KEY, *more)


TRUST = trust(log_key())


class Logged:
    """A log in a folder, and what a run put into it."""

    def __init__(self, folder: Path, before: int = 0, origin: str = ORIGIN) -> None:
        self.log = Log(FolderObjects(folder), origin, NoteSigner(origin, LOG_KEY))
        for at in range(before):
            self.log.append([b"%d" % at])

    def proof(self, run: Run, bundle: bytes) -> bytes:
        entry = logged_entry(bundle, run.run_id, run.environment, run.decided_at)
        return self.log.prove(self.log.append([entry]).first)


def codes(run: Run, proof: bytes | None, by: Anchor = TRUST, bundle: bytes | None = None) -> set[P]:
    made, report = sealed(run)
    return {p.code for p in verify_logged(bundle or made, report, proof, by).problems}


class TestWithItsProof:
    def test_it_is_valid_and_says_where(self, tmp_path: Path) -> None:
        bundle, report = sealed(LOGGED)
        found = verify_logged(bundle, report, Logged(tmp_path, 3).proof(LOGGED, bundle), TRUST)

        assert found.problems == ()
        assert found.position is not None
        assert (found.position.origin, found.position.index) == (ORIGIN, 3)
        assert found.to_json()["log"] == {"origin": ORIGIN, "index": 3}

    def test_a_decision_that_need_not_be_logged_may_be(self, tmp_path: Path) -> None:
        bundle, _ = sealed(PLAIN)

        assert codes(PLAIN, Logged(tmp_path).proof(PLAIN, bundle)) == set()


class TestWithoutIt:
    def test_what_the_policy_wants_logged_proves_nothing(self) -> None:
        assert codes(LOGGED, None) == {P.LOG_UNPROVEN}
        assert codes(LOGGED, None, trust()) == {P.LOG_UNPROVEN}

    def test_nor_does_what_the_trust_file_wants_logged(self) -> None:
        assert codes(PLAIN, None) == {P.LOG_UNPROVEN}
        assert codes(PLAIN, None, trust()) == set()

    @pytest.mark.parametrize(
        "key",
        [
            log_key(environments=frozenset({"staging"})),
            log_key(not_before=NOW + timedelta(days=1)),
            log_key(state=KeyState.RETIRED),
            log_key(origin=LOCAL_LOG),
        ],
        ids=["elsewhere", "since then", "retired", "this machine's"],
    )
    def test_a_log_that_was_none_of_its_is_not_wanted(self, key: TrustedKey) -> None:
        assert codes(PLAIN, None, trust(key)) == set()

    def test_a_no_go_that_no_log_took_says_so_and_is_valid(self) -> None:
        unlogged = replace(LOGGED, log=None)

        assert unlogged.decision().verdict is Verdict.NO_GO
        assert codes(unlogged, None) == set()

    def test_a_shard_is_never_logged(self) -> None:
        shard = replace(LOGGED, shard="eu", shards=("eu", "us"))

        assert codes(shard, None) == set()

    @pytest.mark.parametrize("wanted", [ORIGIN, None], ids=["the policy's log", "the trust file's"])
    def test_nor_is_a_run_of_a_fleet_that_is_no_shard_of_it(self, wanted: str | None) -> None:
        """Without a name (`shard.unnamed`) it is never more than a NO-GO."""
        run = Run(shards=("eu", "us"), wanted_log=wanted)
        found = verify_logged(*sealed(run), None, TRUST)

        assert found.problems == ()
        assert found.decision is not None
        assert (found.decision.verdict, found.decision.shard) == (Verdict.NO_GO, None)
        assert not is_to_be_logged(found)

    def test_it_has_to_be_the_report_that_was_signed(self) -> None:
        """What lies beside the bundle cannot say that it needs no proof."""
        red = replace(LOGGED, latency="9")
        bundle, report = sealed(red)
        for beside in (report, sealed(replace(red, shards=("eu", "us")))[1], None):
            found = verify_logged(bundle, beside, None, TRUST)
            assert P.LOG_UNPROVEN in {p.code for p in found.problems}

    def test_what_says_go_is_never_excused_as_one_of_a_fleet(self) -> None:
        """Whoever holds the decision key may leave the shards out of what it judges by, and put them into what it tells."""
        run = LyingRun(wanted_log=ORIGIN, shards=("eu", "us"), log=EMPTY, lie={"shards": None})
        assert run.decision().verdict is Verdict.GO
        assert codes(run, None) == {P.LOG_UNPROVEN, P.POLICY_DISAGREES}

        bundle, report = sealed(LOGGED)
        told = verify_logged(bundle, report, None, TRUST)
        assert told.report is not None
        fleet_s = replace(told.report, policy=replace(told.report.policy, shards=("eu", "us")))
        assert is_to_be_logged(replace(told, report=fleet_s))
        assert not is_to_be_logged(
            replace(verify_logged(*sealed(replace(LOGGED, latency="9")), None, TRUST), report=fleet_s)
        )

    def test_a_merge_is(self) -> None:
        """Also when it says NO-GO."""
        for is_go, made in ((True, sealed_fleet()), (False, sealed_fleet(log=ORIGIN))):
            found = verify_logged(*made, None, TRUST)

            assert P.LOG_UNPROVEN in {p.code for p in found.problems}
            assert found.decision is not None
            assert found.decision.is_go is is_go
            assert (
                is_to_be_logged(found) is not is_go
            )  # the policy of the first names none, only the trust file does


class TestAnotherProof:
    def test_of_another_bundle(self, tmp_path: Path) -> None:
        other = replace(LOGGED, run_id="20261121T084701Z-1a2b3c4d")

        assert codes(LOGGED, Logged(tmp_path).proof(other, sealed(other)[0])) == {P.LOG_PROOF}

    def test_of_the_same_bundle_under_another_name(self, tmp_path: Path) -> None:
        bundle, report = sealed(LOGGED)
        proof = Logged(tmp_path).proof(replace(LOGGED, environment="staging"), bundle)

        assert {p.code for p in verify_logged(bundle, report, proof, TRUST).problems} == {P.LOG_PROOF}

    @pytest.mark.parametrize("key", [None, log_key(environments=frozenset({"staging"}))])
    def test_by_a_log_that_is_not_trusted_here(self, key: TrustedKey | None, tmp_path: Path) -> None:
        bundle, report = sealed(LOGGED)
        proof = Logged(tmp_path).proof(LOGGED, bundle)
        found = verify_logged(bundle, report, proof, trust() if key is None else trust(key))

        assert {p.code for p in found.problems} == {P.LOG_PROOF}
        assert found.position is None

    def test_by_another_log_than_the_policy_s(self, tmp_path: Path) -> None:
        bundle, report = sealed(LOGGED)
        proof = Logged(tmp_path, origin="log.example.org/other").proof(LOGGED, bundle)
        other = trust(log_key(origin="log.example.org/other"))

        assert {p.code for p in verify_logged(bundle, report, proof, other).problems} >= {P.LOG_UNPROVEN}

    def test_by_this_machine_s_log_where_the_trust_file_names_another(self, tmp_path: Path) -> None:
        bundle, report = sealed(PLAIN)
        proof = Logged(tmp_path, origin=LOCAL_LOG).proof(PLAIN, bundle)
        both = trust(log_key(origin=LOCAL_LOG), trusted(signer(), roles=frozenset({"log"}), origin=ORIGIN))

        assert {p.code for p in verify_logged(bundle, report, proof, both).problems} == {P.LOG_UNPROVEN}
        alone = trust(log_key(origin=LOCAL_LOG))
        assert verify_logged(bundle, report, proof, alone).problems == ()

    @pytest.mark.parametrize(
        "end",
        [
            {"not_after": NOW + timedelta(minutes=5)},
            {
                "state": KeyState.GRACE,
                "rotated": Rotation(ORIGIN, 1, NOW),
                "grace_until": NOW + timedelta(minutes=5),
            },
        ],
        ids=["ended", "grace over"],
    )
    def test_by_a_key_whose_time_is_over_when_it_is_asked(self, end: dict[str, Any], tmp_path: Path) -> None:
        """Stolen then, it could have signed any log: what it says of the past admits nothing."""
        bundle, report = sealed(LOGGED)
        proof = Logged(tmp_path).proof(LOGGED, bundle)
        ended = trust(log_key(**end))

        def found(at: datetime | None) -> set[P]:
            return {p.code for p in verify_logged(bundle, report, proof, ended, at).problems}

        assert found(None) == found(NOW + timedelta(minutes=4)) == set()
        assert found(NOW + timedelta(minutes=6)) == {P.LOG_PROOF}

        def answer(minutes: int) -> bool:
            candidate = Candidate("run", lambda: bundle, lambda: report, proof=lambda: proof)
            at = NOW + timedelta(minutes=minutes)
            return admit(Question("sha256", SHA, "production", at), [candidate], ended).is_admitted

        assert answer(4)
        assert not answer(6)

    def test_at_a_place_the_run_had_seen_taken(self, tmp_path: Path) -> None:
        """The run saw five entries before it began, and is said to be the first."""
        run = replace(LOGGED, log=EMPTY._replace(size=5, root="ab" * 32))
        bundle, report = sealed(run)
        proof = Logged(tmp_path).proof(run, bundle)

        assert {p.code for p in verify_logged(bundle, report, proof, TRUST).problems} == {P.LOG_PROOF}

    def test_by_a_key_of_the_log_after_it_was_rotated(self, tmp_path: Path) -> None:
        bundle, report = sealed(LOGGED)
        proof = Logged(tmp_path, 3).proof(LOGGED, bundle)

        def found(size: int) -> set[P]:
            life = {"state": KeyState.GRACE, "grace_until": NOW + timedelta(days=9)}
            key = log_key(rotated=Rotation(ORIGIN, size, NOW), **life)
            return {p.code for p in verify_logged(bundle, report, proof, trust(key)).problems}

        assert found(4) == set()
        assert found(3) == {P.LOG_PROOF}

    @pytest.mark.parametrize("damage", [b"", b"\n", b"c2sp.org/tlog-proof@v2\n"])
    def test_that_is_none(self, damage: bytes) -> None:
        assert codes(LOGGED, damage) == {P.LOG_PROOF}


class TestBelongsIntoALog:
    def test_what_names_one_does(self) -> None:
        assert belongs_into_a_log(*sealed(LOGGED))

    def test_what_names_none_does_not(self) -> None:
        assert not belongs_into_a_log(*sealed(PLAIN))

    def test_a_no_go_that_none_took_does_not(self) -> None:
        assert not belongs_into_a_log(*sealed(replace(LOGGED, log=None)))

    @pytest.mark.parametrize("shard", ["eu", None])
    def test_a_run_of_a_fleet_does_not(self, shard: str | None) -> None:
        run = Run(shard=shard, shards=("eu", "us"), wanted_log=ORIGIN)

        assert not belongs_into_a_log(*sealed(run))
        assert not is_to_be_logged(verify_logged(*sealed(run), None, TRUST))

    def test_what_was_verified_says_the_same(self) -> None:
        for run in (LOGGED, PLAIN, replace(LOGGED, log=None), replace(LOGGED, latency="9")):
            bundle, report = sealed(run)
            found = verify_logged(bundle, report, None, TRUST)
            assert is_to_be_logged(found) is belongs_into_a_log(bundle, report)

    @pytest.mark.parametrize("damaged", [b"", b"{}", b"\xff\n"])
    def test_what_cannot_be_read_does(self, damaged: bytes) -> None:
        assert belongs_into_a_log(damaged, None)

    def test_a_merge_does_where_its_policy_names_one(self) -> None:
        assert belongs_into_a_log(*sealed_fleet(log=ORIGIN))
        assert not belongs_into_a_log(*sealed_fleet())

    def test_a_merge_whose_report_cannot_be_read_does(self) -> None:
        bundle, report = sealed_fleet()

        assert belongs_into_a_log(bundle, report[:-40])


class TestCosignatures:
    """A policy can ask for witnesses, so that one who holds the log's key alone cannot rewrite it."""

    WITNESSED = Run(log=EMPTY, wanted_log=ORIGIN, cosignatures=1)
    KEYS = tuple(signer() for _ in range(2))

    def proof(
        self, folder: Path, *names: str, keys: Sequence[PemSigner] = KEYS, run: Run = WITNESSED
    ) -> bytes:
        bundle, _ = sealed(run)
        logged = Logged(folder)
        entry = logged_entry(bundle, run.run_id, run.environment, NOW)
        appended = logged.log.append([entry])
        note = parse_note(appended.signed)
        cosigned = tuple(
            CosignatureSigner(name, key).sign(note.text, NOW) for name, key in zip(names, keys, strict=False)
        )
        return logged.log.prove(0, signed=Note(note.text, (*note.signatures, *cosigned)).to_bytes())

    def trust(self, **changes: object) -> Anchor:
        fields = {"roles": frozenset({"witness"}), "origin": "w.example", "name": "w"} | changes
        return trust(log_key(), trusted(self.KEYS[0], **fields))

    def test_with_as_many_it_is_valid(self, tmp_path: Path) -> None:
        assert codes(self.WITNESSED, self.proof(tmp_path, "w.example"), self.trust()) == set()

    def test_with_fewer_it_proves_nothing(self, tmp_path: Path) -> None:
        assert codes(self.WITNESSED, self.proof(tmp_path), self.trust()) == {P.LOG_UNPROVEN}
        two = replace(self.WITNESSED, cosignatures=2)
        assert codes(two, self.proof(tmp_path / "two", "w.example", run=two), self.trust()) == {
            P.LOG_UNPROVEN
        }

    def test_who_decides_cannot_leave_out_that_they_are_asked_for(self, tmp_path: Path) -> None:
        """The keys of decision and log in one hand are what witnesses are for."""
        lie = {"cosignatures": 0}
        run = LyingRun(log=EMPTY, wanted_log=ORIGIN, cosignatures=1, lie=lie)

        assert codes(run, self.proof(tmp_path, run=run), self.trust()) == {P.POLICY_DISAGREES}

    def test_who_decides_cannot_name_another_log(self, tmp_path: Path) -> None:
        run = LyingRun(log=EMPTY, wanted_log="log.example.org/theirs", lie={"log": ORIGIN})
        bundle, _ = sealed(run)

        assert codes(run, Logged(tmp_path).proof(run, bundle)) == {P.POLICY_DISAGREES}

    @pytest.mark.parametrize(
        "changes",
        [
            {"roles": frozenset({"log"})},
            {"origin": "other.example"},
            {"state": KeyState.REVOKED},
            {"not_before": NOW + timedelta(days=1)},
            {"not_after": NOW - timedelta(days=1)},
        ],
        ids=["another role", "another name", "revoked", "not yet", "no more"],
    )
    def test_of_one_who_is_no_witness_it_counts_for_nothing(
        self, changes: dict[str, object], tmp_path: Path
    ) -> None:
        found = codes(self.WITNESSED, self.proof(tmp_path, "w.example"), self.trust(**changes))

        assert found == {P.LOG_UNPROVEN}

    def test_of_one_whose_time_is_over_when_it_is_asked(self, tmp_path: Path) -> None:
        bundle, report = sealed(self.WITNESSED)
        proof = self.proof(tmp_path, "w.example")
        ended = self.trust(not_after=NOW + timedelta(minutes=5))

        def found(minutes: int) -> set[P]:
            at = NOW + timedelta(minutes=minutes)
            return {p.code for p in verify_logged(bundle, report, proof, ended, log_key_at=at).problems}

        assert found(4) == set()
        assert found(6) == {P.LOG_UNPROVEN}

    def test_the_log_is_not_its_own_witness(self, tmp_path: Path) -> None:
        proof = self.proof(tmp_path, "w.example", keys=[LOG_KEY])
        own = trusted(LOG_KEY, roles=frozenset({"witness"}), origin="w.example", name="w")

        assert codes(self.WITNESSED, proof, trust(log_key(), own)) == {P.LOG_UNPROVEN}

    def test_a_cosignature_that_does_not_fit_is_none(self, tmp_path: Path) -> None:
        proof = self.proof(tmp_path, "w.example")
        head, _, line = proof.rstrip(b"\n").rpartition(b" ")
        spoilt = (
            head + b" " + line[:-6] + (b"AAAA" if line[-6:-2] != b"AAAA" else b"BBBB") + line[-2:] + b"\n"
        )

        assert P.LOG_UNPROVEN in codes(self.WITNESSED, spoilt, self.trust())


class TestGrace:
    """What no log holds, of keys that were rotated since: whole is what admits nothing, as long as the grace lasts."""

    SHARD = replace(LOGGED, shard="eu", shards=("eu", "us"))
    UNLOGGED = replace(LOGGED, log=None)
    ENDS = NOW + timedelta(days=30)
    LIFE: ClassVar[dict[str, Any]] = {
        "state": KeyState.GRACE,
        "rotated": Rotation(ORIGIN, 5, NOW + timedelta(hours=1)),
        "grace_until": ENDS,
    }

    def found(
        self,
        made: tuple[bytes, bytes],
        grace_at: datetime | None = ENDS,
        proof: bytes | None = None,
        **life: Any,
    ) -> set[P]:
        keys = (replace(key, **(self.LIFE | life)) for key in (trusted(KEY), TRUSTED_POLICY_KEY))
        by = anchor(*keys, log_key())
        return {p.code for p in verify_logged(*made, proof, by, grace_at=grace_at).problems}

    @pytest.mark.parametrize(
        "run",
        [SHARD, replace(SHARD, latency="9"), Run(shards=("eu", "us")), UNLOGGED],
        ids=["a shard", "a red shard", "unnamed", "no log took it"],
    )
    def test_it_is_whole_until_the_grace_is_over(self, run: Run) -> None:
        assert self.found(sealed(run)) == set()
        for later in (None, self.ENDS + timedelta(seconds=1)):
            assert self.found(sealed(run), later) == {P.SIGNATURE_ROTATED, P.POLICY_SIGNATURE}
        ended = self.found(sealed(run), not_after=self.ENDS - timedelta(days=1))
        assert ended == {P.SIGNATURE_ROTATED, P.POLICY_SIGNATURE}

    def test_so_is_a_merge_that_no_log_took(self) -> None:
        told = fleet(problems=(Problem(Reason.LOG_UNAVAILABLE, "it is away"),))

        assert self.found(sealed_fleet(told)) == set()
        assert P.SIGNATURE_ROTATED in self.found(sealed_fleet(told), None)

    @pytest.mark.parametrize("state", [KeyState.RETIRED, KeyState.REVOKED])
    def test_what_retired_and_revoked_keys_signed_is_not(self, state: KeyState) -> None:
        code = P.SIGNATURE_RETIRED if state is KeyState.RETIRED else P.SIGNATURE_REVOKED

        assert self.found(sealed(self.SHARD), state=state) == {code, P.POLICY_SIGNATURE}

    @pytest.mark.parametrize(
        "run",
        [
            PLAIN,
            LOGGED,
            replace(LOGGED, latency="9"),
            LyingRun(wanted_log=ORIGIN, shards=("eu", "us"), log=EMPTY, lie={"shards": None}),
        ],
        ids=["a GO", "a GO for a log", "a NO-GO for a log", "a GO that calls itself one of a fleet"],
    )
    def test_nothing_that_a_log_has_to_hold_is(self, run: Run) -> None:
        assert {P.SIGNATURE_ROTATED, P.LOG_UNPROVEN} <= self.found(sealed(run))

    @pytest.mark.parametrize("log", [None, ORIGIN], ids=["GO", "NO-GO"])
    def test_nor_is_a_merge(self, log: str | None) -> None:
        assert {P.SIGNATURE_ROTATED, P.LOG_UNPROVEN} <= self.found(sealed_fleet(log=log))

    def test_what_says_where_it_is_logged_is_held_to_that(self, tmp_path: Path) -> None:
        made = sealed(self.UNLOGGED)

        assert self.found(made, proof=Logged(tmp_path / "4", 4).proof(self.UNLOGGED, made[0])) == set()
        for proof in (b"x", Logged(tmp_path / "5", 5).proof(self.UNLOGGED, made[0])):
            assert P.SIGNATURE_ROTATED in self.found(made, proof=proof)

    def test_what_was_changed_is_still_found(self) -> None:
        bundle, report = sealed(self.SHARD)

        assert P.REPORT_DIGEST in self.found((bundle, report.replace(b"eu", b"us")))

    def test_no_such_shard_is_merged(self) -> None:
        """A merge may be a GO by it, and whoever took the old key could sign another."""
        by = anchor(trusted(KEY, **self.LIFE), TRUSTED_POLICY_KEY)
        taken = shard_evidence("runs/eu", *sealed(self.SHARD), by, at=NOW + timedelta(minutes=1))

        assert (taken.decision, taken.problems) == (None, (P.SIGNATURE_ROTATED.code,))
