from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.evidence.admit import Admission, Candidate, Question, admit, parse_digest
from pytest_cutover.evidence.envelope import POLICY_TYPE, sign_envelope
from pytest_cutover.evidence.fleet import seal_fleet
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.evidence.report import build_report
from pytest_cutover.evidence.statements import encode
from pytest_cutover.keys.trust import AnchorSource
from pytest_cutover.model import PolicySignature, SignerKind
from tests.unit.evidence.fleets import SHARDS, decided, evidence_of, fleet, policy, sealed_fleet, shard_run
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    NOW,
    POLICY,
    POLICY_DIGEST,
    POLICY_ENVELOPE,
    SHA,
    TRUSTED_POLICY_KEY,
    Run,
    anchor,
    sealed,
    signer,
    trusted,
)

if TYPE_CHECKING:
    from pytest_cutover.fleet import ShardEvidence
    from pytest_cutover.keys.trust import Anchor

P = ProblemCode
QUESTION = Question("sha256", SHA, "production", NOW + timedelta(minutes=10))
GO = Run()
LATER = NOW + timedelta(minutes=5)
EARLIER = NOW - timedelta(seconds=1)
NO_GO = Run(latency="9", run_id="20261121T085200Z-99999999", decided_at=LATER)
NEWER = Run(run_id="20261121T085100Z-77777777", decided_at=LATER)  # begun ten seconds before it decides
SANDBOX = Run(environment="sandbox", sandbox=True, signature=PolicySignature.UNSIGNED)


def found(name: str, bundle: bytes | None, report: bytes | None, run_id: str | None = None) -> Candidate:
    return Candidate(name, lambda: bundle, lambda: report, run_id)


def begun(run: Run, report: bytes | None = None, **changes: Any) -> Candidate:
    """A run without a bundle, and without a report unless one is given."""
    first = run.events()[0]
    kept = Candidate(run.run_id, lambda: None, lambda: report, run.run_id, lambda: first)
    return replace(kept, **changes)


def unsigned_report(run: Run) -> bytes:
    record = run.record()
    return build_report(run.events(), record, run.policy(), run.decision(), signed=False)


def candidate(run: Run, **changes: Any) -> Candidate:
    bundle, report = sealed(run)
    fields = {"name": run.run_id, "bundle": bundle, "report": report, "run_id": run.run_id}
    return found(**(fields | changes))


def ask(*candidates: Candidate, keys: Anchor = ANCHOR, **changes: Any) -> Admission:
    return admit(replace(QUESTION, **changes), candidates, keys)


def codes(answer: Admission) -> list[ProblemCode]:
    return [p.code for p in answer.problems]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class TestAdmitted:
    def test_a_verified_go_for_this_digest_here_and_now(self) -> None:
        answer = ask(candidate(GO))

        assert answer.is_admitted
        assert answer.problems == ()
        assert answer.chosen == GO.run_id

    def test_a_newer_go_replaces_an_older_no_go(self) -> None:
        older = Run(latency="9", decided_at=NOW - timedelta(minutes=5))

        assert ask(candidate(older), candidate(GO)).is_admitted

    def test_decisions_about_other_things_do_not_matter(self) -> None:
        other_digest = replace(NO_GO, subjects=[{"name": "shop", "digest": {"sha256": "0" * 64}}])
        other_place = replace(NO_GO, environment="staging")

        assert ask(candidate(other_digest), candidate(GO), candidate(other_place)).is_admitted

    def test_any_of_several_subjects(self) -> None:
        run = Run(
            subjects=[
                {"name": "db", "digest": {"gitCommit": "a" * 40}},
                {"name": "s", "digest": {"sha256": SHA}},
            ]
        )

        assert ask(candidate(run)).is_admitted
        assert ask(candidate(run), algorithm="gitCommit", digest="a" * 40).is_admitted
        assert not ask(candidate(run), algorithm="gitCommit", digest=SHA).is_admitted

    def test_the_policy_that_was_demanded(self) -> None:
        assert ask(candidate(GO), policy_digest=POLICY_DIGEST).is_admitted

    def test_the_sandbox_takes_its_own_evidence(self) -> None:
        keys = anchor(trusted(KEY), source=AnchorSource.DEVELOPMENT)
        bundle, report = sealed(SANDBOX, envelope=None)

        assert ask(found("run", bundle, report), keys=keys, environment="sandbox").is_admitted


class TestRefused:
    def test_evidence_that_is_another_when_it_is_verified(self) -> None:
        """A GO is read, and what is verified then is a whole bundle about something else."""
        other, report = sealed(replace(GO, subjects=[{"name": "db", "digest": {"sha256": "0" * 64}}]))
        read = iter([sealed(GO)[0], other])
        answer = ask(Candidate(GO.run_id, lambda: next(read), lambda: report, GO.run_id))

        assert codes(answer) == [P.EVIDENCE_DOUBTFUL]
        assert "it was changed while it was read" in answer.problems[0].message

    def test_without_any_evidence(self) -> None:
        assert codes(ask()) == [P.EVIDENCE_NONE]

    def test_with_unsigned_evidence_only(self) -> None:
        answer = ask(candidate(GO, bundle=None))

        assert codes(answer) == [P.EVIDENCE_NONE]
        assert "1 unsigned" in answer.problems[0].message

    def test_another_digest(self) -> None:
        assert codes(ask(candidate(GO), digest="0" * 64)) == [P.SUBJECT_MISMATCH]

    def test_another_environment(self) -> None:
        assert codes(ask(candidate(GO), environment="staging")) == [P.ENVIRONMENT_MISMATCH]

    def test_a_no_go(self) -> None:
        answer = ask(candidate(NO_GO))

        assert codes(answer) == [P.DECISION_NOT_GO]
        assert "NO-GO (exit 10): limit.broken" in answer.problems[0].message

    def test_a_go_that_a_newer_no_go_took_back(self) -> None:
        for order in ((GO, NO_GO), (NO_GO, GO)):
            answer = ask(*map(candidate, order))
            assert codes(answer) == [P.DECISION_NOT_GO]
            assert answer.chosen == NO_GO.run_id

    def test_a_no_go_takes_back_even_after_its_own_time(self) -> None:
        short, long = replace(NO_GO, ttl_s=60.0), replace(GO, ttl_s=7200.0)

        assert codes(ask(candidate(short), candidate(long))) == [P.DECISION_NOT_GO, P.DECISION_EXPIRED]

    def test_of_two_decisions_at_one_instant_the_no_go_counts(self) -> None:
        tie = replace(NO_GO, decided_at=NOW)

        for order in ((GO, tie), (tie, GO)):
            assert codes(ask(*map(candidate, order))) == [P.DECISION_NOT_GO]

    def test_an_expired_go(self) -> None:
        assert codes(ask(candidate(GO), at=NOW + timedelta(hours=1))) == [P.DECISION_EXPIRED]

    def test_a_go_from_the_future(self) -> None:
        assert codes(ask(candidate(GO), at=NOW - timedelta(minutes=1))) == [P.DECISION_NOT_YET]

    def test_another_policy(self) -> None:
        assert codes(ask(candidate(GO), policy_digest="sha256:" + "0" * 64)) == [P.POLICY_MISMATCH]

    def test_sandbox_evidence_outside_of_the_sandbox(self) -> None:
        """Whether the environment says so or only the evidence does."""
        bundle, report = sealed(SANDBOX, envelope=None)
        named = sealed(replace(SANDBOX, environment="production"), envelope=None)

        assert codes(ask(found("run", bundle, report))) == [P.ENVIRONMENT_MISMATCH, P.SANDBOX_EVIDENCE]
        assert codes(ask(found("run", *named))) == [P.SANDBOX_EVIDENCE]

    def test_a_development_key_outside_of_the_sandbox(self) -> None:
        keys = replace(ANCHOR, source=AnchorSource.DEVELOPMENT)

        assert codes(ask(candidate(GO), keys=keys)) == [P.TRUST_DEVELOPMENT]

    def test_a_signature_nobody_trusts(self) -> None:
        answer = ask(candidate(GO), keys=anchor(trusted(signer()), TRUSTED_POLICY_KEY))

        assert set(codes(answer)) >= {P.SIGNATURE_UNTRUSTED}
        assert not answer.is_admitted

    def test_a_key_that_may_not_decide_here(self) -> None:
        for changes, code in (
            ({"roles": frozenset({"policy"})}, P.SIGNATURE_ROLE),
            ({"environments": frozenset({"staging"})}, P.SIGNATURE_ENVIRONMENT),
            ({"not_after": NOW - timedelta(days=1)}, P.SIGNATURE_EXPIRED),
        ):
            answer = ask(candidate(GO), keys=anchor(trusted(KEY, **changes), TRUSTED_POLICY_KEY))
            assert codes(answer) == [P.EVIDENCE_DOUBTFUL, code]

    def test_a_key_that_was_retired_since(self) -> None:
        keys = anchor(trusted(KEY, not_after=NOW + timedelta(minutes=1)), TRUSTED_POLICY_KEY)

        assert codes(ask(candidate(GO), keys=keys)) == [P.SIGNATURE_EXPIRED]

    def test_a_go_without_its_report(self) -> None:
        assert codes(ask(candidate(GO, report=None))) == [P.EVIDENCE_DOUBTFUL, P.REPORT_MISSING]

    def test_the_report_of_a_run_without_subjects_is_nothing_to_deploy(self) -> None:
        import hashlib

        bundle, report = sealed(replace(SANDBOX, subjects=[]), envelope=None)
        digest = hashlib.sha256(report).hexdigest()

        assert codes(ask(found("run", bundle, report), digest=digest, environment="sandbox")) == [
            P.SUBJECT_MISMATCH
        ]


class TestDoubt:
    """Damaging a NO-GO must not bring an older GO back."""

    def test_every_place_of_damage_to_a_newer_no_go_refuses(self) -> None:
        bundle, report = sealed(NO_GO)
        good = candidate(GO)
        for at in range(0, len(bundle), 97):
            answer = ask(good, candidate(NO_GO, bundle=flipped(bundle, at)))
            assert not answer.is_admitted, at
            assert answer.problems[0].code is P.EVIDENCE_DOUBTFUL
        for report_ in (flipped(report, 10), report[:-1], b"", None):
            assert codes(ask(good, candidate(NO_GO, report=report_)))[0] is P.EVIDENCE_DOUBTFUL

    def test_so_does_cutting_it_short(self) -> None:
        bundle, _ = sealed(NO_GO)

        for length in range(0, len(bundle), 501):
            assert not ask(candidate(GO), candidate(NO_GO, bundle=bundle[:length])).is_admitted

    def test_so_does_a_name_that_says_nothing_about_its_age(self) -> None:
        bundle, _ = sealed(NO_GO)
        for name in (None, "copy", "20261399T999999Z-99999999"):
            damaged = candidate(NO_GO, bundle=flipped(bundle, len(bundle) - 300), run_id=name)
            assert not ask(candidate(GO), damaged).is_admitted

    def test_damage_to_what_is_surely_older_does_not(self) -> None:
        old = replace(NO_GO, decided_at=NOW - timedelta(days=2), run_id="20261119T084700Z-99999999")
        bundle, report = sealed(old)

        assert ask(candidate(GO), candidate(old, bundle=flipped(bundle, 3_000))).is_admitted
        assert ask(candidate(GO), candidate(old, report=flipped(report, 10))).is_admitted

    def test_damage_to_a_decision_about_something_else_does_not(self) -> None:
        """Its own signed words say so; only its report is damaged."""
        other = replace(NO_GO, environment="staging")
        _, report = sealed(other)

        assert ask(candidate(GO), candidate(other, report=flipped(report, 10))).is_admitted

    def test_evidence_of_strangers_does_not(self) -> None:
        """Unknown keys everywhere, as of another team's runs: not a damaged decision of ours."""
        for envelope in (None, POLICY_ENVELOPE, sign_envelope(POLICY, POLICY_TYPE, KEY)):
            bundle, report = sealed(NO_GO, key=signer(), envelope=envelope)
            assert ask(candidate(GO), found("theirs", bundle, report)).is_admitted


class TestANewerRunWithoutABundle:
    """A run that began after the GO was decided, about the same, and has not itself said GO."""

    def test_that_has_not_decided_takes_the_go_back(self) -> None:
        """Under way, or killed: nobody knows what it would have said."""
        answer = ask(candidate(GO), begun(NEWER))

        assert codes(answer) == [P.EVIDENCE_UNDECIDED]
        assert f"run {NEWER.run_id}, begun at 20" in answer.problems[0].message
        assert answer.chosen == GO.run_id

    def test_that_is_an_unsigned_no_go_takes_it_back(self) -> None:
        """Unsigned by choice, or its bundle was removed."""
        for kind in ("none", "configured"):
            run = replace(NEWER, latency="9", signer_kind=kind)
            assert codes(ask(candidate(GO), begun(run, sealed(run)[1]))) == [P.EVIDENCE_UNSIGNED_NO_GO]

    def test_that_is_an_unsigned_go_does_not(self) -> None:
        """A fork's run holds no key: it proves nothing, and takes nothing back."""
        run = replace(NEWER, signer_kind="none")

        assert ask(candidate(GO), begun(run, unsigned_report(run))).is_admitted

    def test_that_was_killed_between_its_report_and_its_bundle_takes_it_back(self) -> None:
        """Its report says GO and that it would be signed."""
        for report in (sealed(NEWER)[1], unsigned_report(NEWER)):
            assert codes(ask(candidate(GO), begun(NEWER, report))) == [P.EVIDENCE_UNDECIDED]

    def test_with_the_report_of_another_run_takes_it_back(self) -> None:
        run = replace(NEWER, signer_kind="none")
        other = unsigned_report(replace(run, run_id="20261121T080000Z-1a2b3c4d"))

        assert codes(ask(candidate(GO), begun(run, other))) == [P.EVIDENCE_UNDECIDED]

    def test_with_a_report_that_cannot_be_read_takes_it_back(self) -> None:
        assert codes(ask(candidate(GO), begun(NEWER, b"{"))) == [P.EVIDENCE_DOUBTFUL]

    def test_about_something_else_does_not(self) -> None:
        for changes in (
            {"environment": "staging"},
            {"subjects": []},
            {"subjects": [{"name": "shop", "digest": {"sha256": "0" * 64}}]},
        ):
            assert ask(candidate(GO), begun(replace(NEWER, **changes))).is_admitted  # type: ignore[arg-type] # Run's own

    def test_that_began_before_the_decision_does_not(self) -> None:
        """The journal's own time counts, whatever the folder is called."""
        older = replace(NEWER, decided_at=NOW)

        assert ask(candidate(GO), begun(older)).is_admitted
        assert ask(candidate(GO), begun(older, run_id="29990101T000000Z-00000000")).is_admitted

    @pytest.mark.parametrize("kind", ["none", "configured"])
    def test_that_began_before_the_decision_and_came_to_a_no_go_after_it_takes_it_back(
        self, kind: str
    ) -> None:
        """Unsigned, or killed before it had a bundle."""
        run = replace(NEWER, signer_kind=kind)
        red = replace(run, latency="9")

        assert codes(ask(candidate(GO), self.began(red, report_of=red))) == [P.EVIDENCE_UNSIGNED_NO_GO]
        assert ask(candidate(GO), self.began(run, report_of=run)).is_admitted
        assert ask(candidate(GO), self.began(red, report_of=replace(red, decided_at=EARLIER))).is_admitted

    def test_that_began_before_it_and_whose_report_cannot_be_read_does_for_a_day(self) -> None:
        assert codes(ask(candidate(GO), self.began(NEWER))) == [P.EVIDENCE_DOUBTFUL]
        assert ask(candidate(GO), self.began(NEWER, ago=timedelta(hours=25))).is_admitted

    @pytest.mark.parametrize("first", [b"", b"{"])
    def test_whose_journal_cannot_be_read_counts_by_its_report(self, first: bytes) -> None:
        """Its name says that it began before the GO."""
        red, name = replace(NEWER, latency="9"), "20261121T084700Z-00000000"
        for run, code in ((red, [P.EVIDENCE_DOUBTFUL]), (NEWER, []), (replace(red, decided_at=EARLIER), [])):
            there = begun(run, unsigned_report(run), first=lambda: first, run_id=name)
            assert codes(ask(candidate(GO), there)) == code

    @pytest.mark.parametrize("first", [None, b"", b"{"])
    def test_of_which_nothing_can_be_read_refuses_for_a_day(self, first: bytes | None) -> None:
        for ago, code in (("20261121T084700Z-0", [P.EVIDENCE_DOUBTFUL]), ("20261119T084700Z-0", [])):
            unreadable = begun(NEWER, b"{", first=lambda: first, run_id=ago)
            assert codes(ask(candidate(GO), unreadable)) == code

    @staticmethod
    def began(run: Run, *, ago: timedelta = timedelta(), report_of: Run | None = None) -> Candidate:
        """A run that began just before the GO was decided, or as long before it; without another its report is no report."""
        first = replace(run, decided_at=GO.decided_at - ago).events()[0]
        return begun(run, b"{" if report_of is None else unsigned_report(report_of), first=lambda: first)

    def test_whose_name_is_old_takes_it_back_all_the_same(self) -> None:
        assert not ask(candidate(GO), begun(NEWER, run_id="20200101T000000Z-00000000")).is_admitted

    @pytest.mark.parametrize("first", [b"", b"{", b"{}\n", b'{"seq":0}\n', b"\x00" * 100])
    def test_whose_journal_cannot_be_read_counts_by_its_name(self, first: bytes) -> None:
        for name, code in (
            (NEWER.run_id, [P.EVIDENCE_DOUBTFUL]),
            ("20261121T084800Z-00000000", [P.EVIDENCE_DOUBTFUL]),  # the very second of the decision
            ("20261121T084800.000Z-00000000", [P.EVIDENCE_DOUBTFUL]),
            ("copy", [P.EVIDENCE_DOUBTFUL]),
            ("20261399T999999Z-99999999", [P.EVIDENCE_DOUBTFUL]),
            ("20261121T084759Z-00000000", [P.EVIDENCE_DOUBTFUL]),  # ends where the decision was made
            ("20261121T084758Z-00000000", []),
            ("20261121T084759.998Z-00000000", []),
        ):
            assert codes(ask(candidate(GO), begun(NEWER, first=lambda: first, run_id=name))) == code, name

    def test_of_which_nothing_is_left_does_not(self) -> None:
        assert ask(candidate(GO), begun(NEWER, first=lambda: None)).is_admitted

    def test_is_taken_back_itself_by_a_newer_go(self) -> None:
        newest = replace(GO, run_id="20261121T085800Z-1a2b3c4d", decided_at=NOW + timedelta(minutes=9))

        assert ask(candidate(GO), begun(NEWER), candidate(newest)).is_admitted

    def test_says_nothing_where_no_decision_fits(self) -> None:
        assert codes(ask(begun(NEWER))) == [P.EVIDENCE_NONE]

    def test_stands_beside_what_is_wrong_with_the_decision(self) -> None:
        answer = ask(candidate(NO_GO), begun(replace(NEWER, decided_at=LATER + timedelta(minutes=1))))

        assert codes(answer) == [P.DECISION_NOT_GO, P.EVIDENCE_UNDECIDED]


class TestANewerRunWithoutAJournal:
    """In a store no run has one: what its report says it is about counts as what a journal says."""

    @staticmethod
    def left(run: Run, report: bytes | None = None, **changes: Any) -> Candidate:
        """A run of which its report is left, without another the one with which it was killed while it signed."""
        return begun(run, report or sealed(run)[1], **{"first": lambda: None, **changes})

    @pytest.mark.parametrize(
        "changes",
        [
            {"environment": "staging"},
            {"subjects": []},
            {"subjects": [{"name": "shop", "digest": {"sha256": "0" * 64}}]},
            {"decided_at": EARLIER},
        ],
        ids=["elsewhere", "nothing named", "another digest", "older"],
    )
    @pytest.mark.parametrize("latency", ["0.2", "9"])
    def test_about_something_else_or_older_does_not_refuse(
        self, changes: dict[str, Any], latency: str
    ) -> None:
        run = replace(NEWER, latency=latency, **changes)

        assert ask(candidate(GO), self.left(run, run_id="20991121T084700Z-00000000")).is_admitted

    def test_that_was_killed_while_it_signed_takes_the_go_back(self) -> None:
        """Whatever its folder is called."""
        for name in (NEWER.run_id, "20200101T000000Z-00000000", "copy"):
            found = ask(candidate(GO), self.left(NEWER, run_id=name))
            assert codes(found) == [P.EVIDENCE_UNDECIDED]
            assert f"run {NEWER.run_id}, begun at 20" in found.problems[0].message

    def test_that_is_an_unsigned_no_go_takes_it_back(self) -> None:
        for kind in ("none", "configured"):
            red = replace(NEWER, latency="9", signer_kind=kind)
            for report in (sealed(red)[1], unsigned_report(red)):
                assert codes(ask(candidate(GO), self.left(red, report))) == [P.EVIDENCE_UNSIGNED_NO_GO]

    def test_that_is_an_unsigned_go_does_not(self) -> None:
        run = replace(NEWER, signer_kind="none")

        assert ask(candidate(GO), self.left(run, unsigned_report(run))).is_admitted
        assert codes(ask(candidate(GO), self.left(run, sealed(run)[1]))) == [P.EVIDENCE_UNDECIDED]
        assert codes(ask(candidate(GO), self.left(NEWER, unsigned_report(NEWER)))) == [P.EVIDENCE_UNDECIDED]

    @pytest.mark.parametrize("cut", [b'"journal":[\n', b'"run.started"', b'"subjects":[', b"\n]}\n"])
    def test_whose_report_does_not_say_what_it_is_about_refuses_whatever_is_asked(self, cut: bytes) -> None:
        elsewhere = replace(NEWER, environment="staging")
        report = sealed(elsewhere)[1]
        assert report.count(cut) == 1 or cut == b'"subjects":['
        head, found, rest = report.rpartition(cut)
        for damaged in (head, head + found.swapcase() + b"?" + rest):
            assert codes(ask(candidate(GO), self.left(elsewhere, damaged))) == [P.EVIDENCE_DOUBTFUL]

    def test_whose_report_holds_no_journal_refuses(self) -> None:
        report = sealed(NEWER)[1]
        head = report[: report.index(b'"journal":[\n') + len(b'"journal":[\n')]

        assert codes(ask(candidate(GO), self.left(NEWER, head + b"\n]}\n"))) == [P.EVIDENCE_DOUBTFUL]


class TestANewerMergeWithoutABundle:
    """It has no journal: it was made without a key, or killed before log and store had it."""

    SINCE = candidate(replace(GO, run_id="20261121T084600Z-00000000", decided_at=NOW - timedelta(seconds=30)))
    OTHER = ({"name": "shop", "digest": {"sha256": "0" * 64}},)

    @staticmethod
    def left(report: bytes, run_id: str = "20261121T084830.000Z-f1ee7f1e") -> Candidate:
        return found("merge", None, report, run_id)

    @staticmethod
    def unsigned(**changes: Any) -> bytes:
        merge = fleet(**({"signer": SignerKind.NONE} | changes))
        return seal_fleet(merge, policy(), decided(merge), policy_envelope=None, signer=None).report

    def other(self) -> list[ShardEvidence]:
        return [evidence_of(shard_run(name, subjects=self.OTHER)) for name in SHARDS]

    def test_that_was_made_without_a_key_and_says_go_does_not_refuse(self) -> None:
        assert ask(self.SINCE, self.left(self.unsigned())).is_admitted

    def test_that_was_made_without_a_key_and_says_no_go_takes_the_go_back(self) -> None:
        red = [evidence_of(shard_run(name, latency="9")) for name in SHARDS]

        found = ask(self.SINCE, self.left(self.unsigned(shards=tuple(red))))
        assert codes(found) == [P.EVIDENCE_UNSIGNED_NO_GO]
        assert "run 20261121T084830.000Z-f1ee7f1e" in found.problems[0].message

    def test_that_was_killed_before_it_had_its_bundle_takes_it_back(self) -> None:
        for report in (sealed_fleet()[1], self.unsigned(signer=SignerKind.CONFIGURED)):
            assert codes(ask(self.SINCE, self.left(report))) == [P.EVIDENCE_UNDECIDED]

    def test_about_something_else_does_not(self) -> None:
        for report in (sealed_fleet(fleet(self.other()))[1], self.unsigned(shards=tuple(self.other()))):
            assert ask(self.SINCE, self.left(report)).is_admitted
            told = ask(self.SINCE, self.left(report), environment="staging")
            assert codes(told) == [P.ENVIRONMENT_MISMATCH]

    def test_that_began_before_does_not_unless_it_came_to_a_no_go_later(self) -> None:
        early: dict[str, Any] = {"run_id": "20261121T084600.000Z-f1ee7f1e"}
        red = fleet([evidence_of(shard_run(name, latency="9")) for name in SHARDS], **early)

        assert ask(self.SINCE, self.left(sealed_fleet(fleet(**early))[1])).is_admitted
        assert codes(ask(self.SINCE, self.left(sealed_fleet(red)[1]))) == [P.EVIDENCE_UNSIGNED_NO_GO]

    def test_whose_report_cannot_be_read_refuses_whatever_is_asked(self) -> None:
        report = sealed_fleet(fleet(self.other()))[1]
        nameless = sealed_fleet(fleet(self.other(), run_id="merge"))[1]
        for damaged in (report[:-40], report.replace(b'"fleet":', b'"fl33t":'), nameless):
            assert codes(ask(self.SINCE, self.left(damaged))) == [P.EVIDENCE_DOUBTFUL]

    def test_whose_report_lies_beside_a_run_s_journal_takes_the_go_back(self) -> None:
        """A merge has none."""
        run = replace(NEWER, signer_kind="none", run_id="20261121T084830.000Z-f1ee7f1e")

        assert codes(ask(self.SINCE, begun(run, self.unsigned()))) == [P.EVIDENCE_UNDECIDED]


class TestAnswer:
    def test_is_json(self) -> None:
        for answer in (ask(candidate(GO)), ask(candidate(NO_GO)), ask()):
            value = answer.to_json()
            assert encode(value)
            assert value["admitted"] is answer.is_admitted
            assert [p["code"] for p in value["problems"]] == [p.code.code for p in answer.problems]

    def test_many_reasons_are_counted_not_listed(self) -> None:
        class Bad(Run):
            def decision(self) -> Any:
                from pytest_cutover.model import Finding
                from pytest_cutover.reasons import Reason

                return replace(super().decision(), findings=tuple(Finding(r, "x") for r in list(Reason)[:9]))

        (problem,) = [p for p in ask(candidate(Bad(latency="9"))).problems if p.code is P.DECISION_NOT_GO]

        assert problem.message.endswith(" and 4 more")

    def test_a_naive_time_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="timezone-aware"):
            ask(candidate(GO), at=NOW.replace(tzinfo=None))


class TestParseDigest:
    @pytest.mark.parametrize("text", [f"sha256:{SHA}", "gitCommit:" + "a" * 40, "sha512:" + "0" * 128])
    def test_takes_in_totos_digests(self, text: str) -> None:
        assert ":".join(parse_digest(text)) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            SHA,
            "sha256:",
            f"sha256:{SHA[:-1]}",
            f"sha256:{SHA.upper()}",
            f"sha256:{SHA}\n",
            "md5:" + "0" * 32,
        ],
    )
    def test_refuses_other_spellings(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected"):
            parse_digest(text)
