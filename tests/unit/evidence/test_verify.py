from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.evidence import statements
from pytest_cutover.evidence.envelope import POLICY_TYPE, sign_envelope
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.evidence.verify import Verification, looks_like_bundle, verify_bundle
from pytest_cutover.keys.trust import AnchorSource
from pytest_cutover.model import PolicySignature, Verdict
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    NOW,
    POLICY,
    POLICY_ENVELOPE,
    POLICY_KEY,
    TRUSTED_POLICY_KEY,
    Run,
    anchor,
    document_of,
    joined,
    resealed,
    sealed,
    signed,
    signer,
    trusted,
)

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor

BUNDLE, REPORT = sealed()
LINES = BUNDLE.splitlines()
POLICY_LINE, RESULT, EVIDENCE, DECISION, MANIFEST = range(5)
P = ProblemCode


def verify(
    bundle: bytes = BUNDLE,
    report: bytes | None = REPORT,
    keys: Anchor = ANCHOR,
    at: datetime | None = None,
) -> Verification:
    return verify_bundle(bundle, report, keys, at)


def codes(found: Verification) -> set[ProblemCode]:
    return {p.code for p in found.problems}


def without(*indexes: int) -> bytes:
    return joined([line for i, line in enumerate(LINES) if i not in indexes])


def with_line(index: int, line: bytes) -> bytes:
    return joined([*LINES[:index], line, *LINES[index + 1 :]])


def with_predicate(index: int, **changes: Any) -> bytes:
    document = document_of(LINES[index])
    document["predicate"].update(changes)
    return with_line(index, signed(document))


def with_report(report: bytes) -> tuple[bytes, bytes]:
    """The bundle signed again for other report bytes, as a dishonest signer would."""
    old, new = (hashlib.sha256(r).hexdigest().encode() for r in (REPORT, report))
    return resealed(BUNDLE, old, new), report


class TestValidEvidence:
    def test_a_go_has_no_problem(self) -> None:
        found = verify()

        assert found.problems == ()
        assert found.is_valid
        assert found.decision is not None
        assert found.decision.verdict is Verdict.GO
        assert [k.name for k in found.signers] == ["release"]

    def test_an_intact_no_go_is_valid_too(self) -> None:
        found = verify(*sealed(Run(latency="9")))

        assert found.is_valid
        assert found.decision is not None
        assert found.decision.verdict is Verdict.NO_GO

    def test_a_run_that_was_cut_short_is_valid_evidence_of_a_no_go(self) -> None:
        """The journal of a killed run: its last line torn, its end missing."""

        class Killed(Run):
            def events(self) -> list[bytes]:
                return [*super().events()[:3], b'{"seq":3,"at']

        found = verify(*sealed(Killed()))

        assert found.problems == ()
        assert found.decision is not None
        assert found.decision.verdict is Verdict.NO_GO

    def test_no_journal_at_all_is_valid_evidence_of_a_no_go(self) -> None:
        class Empty(Run):
            def events(self) -> list[bytes]:
                return []

        assert verify(*sealed(Empty())).problems == ()

    def test_an_unsigned_policy_of_the_sandbox_is_valid(self) -> None:
        run = Run(environment="sandbox", sandbox=True, signature=PolicySignature.UNSIGNED, subjects=[])

        assert verify(*sealed(run, envelope=None)).problems == ()

    def test_it_says_what_the_anchor_proves(self) -> None:
        weak = verify(keys=anchor(trusted(KEY), TRUSTED_POLICY_KEY, source=AnchorSource.REPOSITORY))

        assert weak.is_valid
        assert weak.to_json()["trust"] == {
            "source": "repository",
            "integrity_only": True,
            "description": weak.anchor.description,
        }


class TestLines:
    def test_the_last_line_must_end(self) -> None:
        assert codes(verify(BUNDLE[:-1])) == {P.BUNDLE_MALFORMED}

    @pytest.mark.parametrize("extra", [b"\n", b"{}\n", b"\r\n", b"x"])
    def test_nothing_may_follow(self, extra: bytes) -> None:
        assert P.ENVELOPE_MALFORMED in codes(verify(BUNDLE + extra))

    def test_nothing_at_all_misses_everything(self) -> None:
        assert {P.BUNDLE_MALFORMED, P.STATEMENT_MISSING, P.MANIFEST_MISSING} <= codes(verify(b""))

    def test_every_problem_is_listed(self) -> None:
        """Three lines damaged in three ways, and the report changed."""
        lines = [LINES[0], LINES[1][:-1], LINES[2].replace(b"a", b"b", 1), LINES[3], LINES[4]]
        found = verify(joined(lines), REPORT + b" ")

        assert {p.where for p in found.problems} >= {"line 2", "line 3", "line 5"}
        assert {P.ENVELOPE_MALFORMED, P.MANIFEST_MISMATCH, P.STATEMENT_MISSING, P.REPORT_DIGEST} <= codes(
            found
        )

    def test_another_payload_type_does_not_belong(self) -> None:
        assert P.ENVELOPE_TYPE in codes(verify(with_line(RESULT, sign_envelope(b"{}", "text/plain", KEY))))


class TestSignatures:
    def test_a_key_nobody_trusts_proves_nothing(self) -> None:
        found = verify(keys=anchor(trusted(signer()), TRUSTED_POLICY_KEY))

        assert P.SIGNATURE_UNTRUSTED in codes(found)
        assert found.decision is None

    def test_no_key_at_all_proves_nothing(self) -> None:
        assert P.SIGNATURE_UNTRUSTED in codes(verify(keys=anchor()))

    def test_another_payload_under_the_signature_is_invalid(self) -> None:
        one, other = sealed(Run(latency="0.1"))[0].splitlines(), LINES
        mixed = other[EVIDENCE][: other[EVIDENCE].index(b'"payloadType"')]
        forged = mixed + one[EVIDENCE][one[EVIDENCE].index(b'"payloadType"') :]

        assert P.SIGNATURE_INVALID in codes(verify(with_line(EVIDENCE, forged)))

    def test_a_policy_key_signs_no_decisions(self) -> None:
        assert codes(verify(*sealed(key=POLICY_KEY))) == {P.SIGNATURE_ROLE}

    def test_a_staging_key_signs_nothing_for_production(self) -> None:
        keys = anchor(trusted(KEY, environments=frozenset({"staging"})), TRUSTED_POLICY_KEY)

        assert codes(verify(keys=keys)) == {P.SIGNATURE_ENVIRONMENT}

    @pytest.mark.parametrize(
        "dates", [{"not_after": NOW - timedelta(seconds=1)}, {"not_before": NOW + timedelta(seconds=1)}]
    )
    def test_a_key_must_have_been_valid_when_it_decided(self, dates: dict[str, Any]) -> None:
        assert codes(verify(keys=anchor(trusted(KEY, **dates), TRUSTED_POLICY_KEY))) == {P.SIGNATURE_EXPIRED}

    def test_a_key_retired_since_then_still_verifies_old_evidence(self) -> None:
        """Unless a time is asked about: a stolen key can sign an old date."""
        keys = anchor(trusted(KEY, not_after=NOW + timedelta(seconds=1)), TRUSTED_POLICY_KEY)

        assert verify(keys=keys).is_valid
        assert codes(verify(keys=keys, at=NOW + timedelta(minutes=1))) == {P.SIGNATURE_EXPIRED}

    def test_a_development_key_has_two_entries_and_the_right_one_counts(self) -> None:
        keys = anchor(trusted(KEY), trusted(KEY, roles=frozenset({"policy"})), TRUSTED_POLICY_KEY)

        assert verify(keys=keys).is_valid


class TestManifest:
    def test_without_it_nothing_says_what_belongs_together(self) -> None:
        assert {P.MANIFEST_MISSING, P.STATEMENT_MISSING} <= codes(verify(without(MANIFEST)))

    def test_it_is_the_last_line(self) -> None:
        moved = joined([LINES[MANIFEST], *LINES[:MANIFEST]])

        assert P.MANIFEST_MISSING in codes(verify(moved))

    def test_it_lists_exactly_the_lines(self) -> None:
        other = sealed(Run(latency="0.1"))[0].splitlines()

        assert P.MANIFEST_MISMATCH in codes(verify(without(POLICY_LINE)))
        assert P.MANIFEST_MISMATCH in codes(verify(with_line(EVIDENCE, other[EVIDENCE])))
        swapped = joined([LINES[0], LINES[2], LINES[1], *LINES[3:]])
        assert P.MANIFEST_MISMATCH in codes(verify(swapped))

    def test_parts_of_two_runs_make_no_evidence(self) -> None:
        """Every line is signed by the right key; together they were never signed."""
        other, report = sealed(Run(latency="9"))
        mixed = joined([*other.splitlines()[:DECISION], *LINES[DECISION:]])

        assert {P.MANIFEST_MISMATCH, P.DECISION_INPUTS} <= codes(verify(mixed))
        assert P.REPORT_DIGEST in codes(verify(BUNDLE, report))


class TestStatements:
    @pytest.mark.parametrize("index", [RESULT, EVIDENCE, DECISION, MANIFEST])
    def test_each_must_be_there(self, index: int) -> None:
        assert P.STATEMENT_MISSING in codes(verify(without(index)))

    @pytest.mark.parametrize("index", range(5))
    def test_none_may_be_there_twice(self, index: int) -> None:
        twice = joined([*LINES[: index + 1], *LINES[index:]])

        assert P.STATEMENT_DUPLICATE in codes(verify(twice))

    def test_another_predicate_does_not_belong(self) -> None:
        document = {**document_of(LINES[RESULT]), "predicateType": "https://slsa.dev/provenance/v1"}

        assert P.STATEMENT_UNKNOWN in codes(verify(with_line(RESULT, signed(document))))

    @pytest.mark.parametrize("index", [RESULT, EVIDENCE, DECISION, MANIFEST])
    def test_a_signed_payload_that_is_no_statement_is_malformed(self, index: int) -> None:
        assert P.STATEMENT_MALFORMED in codes(verify(with_line(index, signed([]))))

    @pytest.mark.parametrize("index", [DECISION, MANIFEST])
    def test_an_unknown_field_is_malformed(self, index: int) -> None:
        assert P.STATEMENT_MALFORMED in codes(verify(with_predicate(index, extra=1)))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"value":"0.2"', b'"value":"0.1"'),
            (b'"collected":["service.ready"]', b'"collected":[]'),
            (b'"runner":"supervised","versions"', b'"runner":"in-process","versions"'),
            (b'"passedTests":["service.ready"]', b'"passedTests":[]'),
            (b'"name":"shop"', b'"name":"shed"'),
            (b'"nonce":"5f', b'"nonce":"6f'),
            (b'"run_id":"20261121T084700Z-1a2b3c4d"', b'"run_id":"20261121T084700Z-00000000"'),
            (b'"environment":"production"', b'"environment":"elsewhere"'),
            (b'"plan":"preflight"', b'"plan":"postflight"'),
        ],
    )
    def test_a_signer_that_contradicts_its_own_report_is_found_out(self, old: bytes, new: bytes) -> None:
        assert {P.STATEMENT_DISAGREES, P.STATEMENT_MALFORMED} & codes(verify(resealed(BUNDLE, old, new)))


class TestReport:
    def test_without_it_there_is_nothing_to_judge_again(self) -> None:
        assert codes(verify(report=None)) == {P.REPORT_MISSING}

    def test_it_is_the_one_that_was_signed(self) -> None:
        assert codes(verify(report=REPORT + b" ")) == {P.REPORT_DIGEST}

    def test_one_that_two_statements_name_differently_is_neither(self) -> None:
        document = document_of(LINES[MANIFEST])
        document["predicate"]["report"]["sha256"] = "0" * 64

        assert codes(verify(with_line(MANIFEST, signed(document)))) == {P.REPORT_DIGEST}

    def test_one_that_is_no_report_is_malformed(self) -> None:
        assert codes(verify(*with_report(b"{}"))) == {P.REPORT_MALFORMED}

    def test_its_summary_is_that_of_its_journal(self) -> None:
        changed = REPORT.replace(b'"collected":1,', b'"collected":2,', 1)

        assert codes(verify(*with_report(changed))) == {P.REPORT_DISAGREES}

    def test_a_signed_one_does_not_call_itself_unsigned(self) -> None:
        changed = REPORT.replace(b'"signed":true', b'"signed":false', 1)

        assert codes(verify(*with_report(changed))) == {P.REPORT_DISAGREES}

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"max_age_s":900.0', b'"max_age_s":1e300'),
            (b'"gate_timeout_s":60.0', b'"gate_timeout_s":"x"'),
            (b'"decision_ttl_s":3600.0', b'"decision_ttl_s":1e300'),
            (b'"findings":[],\n', b'"findings":[5],\n'),
            (b'"gates":[\n', b'"gates":[5,\n'),
            (b'"verdict":"GO",', b'"verdict":{},'),
            (b'"clock_tolerance_s":5.0', b'"clock_tolerance_s":null'),
        ],
    )
    def test_nonsense_in_it_is_a_problem_never_a_traceback(self, old: bytes, new: bytes) -> None:
        assert old in REPORT
        report = REPORT.replace(old, new, 1)

        assert not verify(*with_report(report)).is_valid


class TestPolicy:
    def test_a_signed_policy_is_in_the_bundle(self) -> None:
        assert codes(verify(*sealed(envelope=None))) == {P.POLICY_MISSING}

    def test_it_is_the_one_that_was_decided_under(self) -> None:
        other = sign_envelope(b"{}", POLICY_TYPE, POLICY_KEY)

        assert codes(verify(*sealed(envelope=other))) == {P.POLICY_DISAGREES}

    def test_the_verifier_must_trust_its_signer_too(self) -> None:
        """The run may have trusted a key of the repository; whoever admits has his own list."""
        assert codes(verify(keys=anchor(trusted(KEY)))) == {P.POLICY_SIGNATURE}
        assert codes(verify(*sealed(envelope=sign_envelope(POLICY, POLICY_TYPE, KEY)))) == {
            P.POLICY_SIGNATURE
        }

    def test_a_key_for_other_environments_does_not_count(self) -> None:
        elsewhere = replace(TRUSTED_POLICY_KEY, environments=frozenset({"staging"}))

        assert codes(verify(keys=anchor(trusted(KEY), elsewhere))) == {P.POLICY_SIGNATURE}

    def test_decision_and_report_name_the_same(self) -> None:
        document = document_of(LINES[DECISION])
        document["predicate"]["policy"]["digest"]["sha256"] = "0" * 64

        assert P.POLICY_DISAGREES in codes(verify(with_line(DECISION, signed(document))))


class TestDecision:
    def test_a_verdict_that_does_not_follow_from_the_journal_is_found_out(self) -> None:
        """A signer that says GO over a red journal: everything fits but the judgement."""
        red, green = Run(latency="9"), Run()

        class Liar(Run):
            def decision(self) -> Any:
                return replace(green.decision(), gates=red.decision().gates)

        found = verify(*sealed(Liar(latency="9")))

        assert P.DECISION_DISAGREES in codes(found)
        assert "judged again it is NO-GO (10)" in str(found.problems)

    def test_a_longer_life_than_the_policys_is_found_out(self) -> None:
        class Greedy(Run):
            def decision(self) -> Any:
                return replace(super().decision(), expires_at=NOW + timedelta(days=365))

        assert P.DECISION_DISAGREES in codes(verify(*sealed(Greedy())))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"decision":{"verdict":"GO"', b'"decision":{"verdict":"NO-GO"'),
            (b'"green":true,"category"', b'"green":false,"category"'),
            (b'"findings":[],\n', b'"findings":[{"code":"gate.failed"}],\n'),
        ],
    )
    def test_a_report_that_tells_another_story_is_found_out(self, old: bytes, new: bytes) -> None:
        assert old in REPORT

        assert codes(verify(*with_report(REPORT.replace(old, new, 1)))) == {P.DECISION_DISAGREES}

    def test_its_inputs_are_the_other_envelopes(self) -> None:
        assert P.DECISION_INPUTS in codes(verify(with_predicate(DECISION, inputAttestations=[])))
        assert P.DECISION_INPUTS in codes(verify(without(POLICY_LINE)))
        assert P.DECISION_INPUTS in codes(verify(joined([*LINES[:3], POLICY_ENVELOPE, *LINES[3:]])))

    def test_the_halves_of_the_summary_must_agree(self) -> None:
        found = verify(with_predicate(DECISION, verificationResult="FAILED"))

        assert P.STATEMENT_MALFORMED in codes(found)
        assert found.decision is None


class TestTime:
    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            (timedelta(seconds=-6), {P.DECISION_NOT_YET}),
            (timedelta(seconds=-4), set()),
            (timedelta(0), set()),
            (timedelta(hours=1, microseconds=-1), set()),
            (timedelta(hours=1), {P.DECISION_EXPIRED}),
        ],
    )
    def test_a_decision_is_in_force_until_it_expires(
        self, after: timedelta, expected: set[ProblemCode]
    ) -> None:
        assert codes(verify(at=NOW + after)) == expected

    def test_without_a_time_nothing_expires(self) -> None:
        assert verify(at=None).is_valid

    def test_a_naive_time_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="timezone-aware"):
            verify(at=NOW.replace(tzinfo=None))


class TestToJson:
    def test_is_json_and_holds_everything(self) -> None:
        value = verify(report=None).to_json()

        assert statements.encode(value)
        assert value["valid"] is False
        assert value["decision"]["verdict"] == "GO"
        assert value["problems"] == [
            {"code": "report.missing", "message": "the bundle signs a report, and there is none beside it"}
        ]


class TestLooksLikeBundle:
    def test_damaged_evidence_does_and_other_files_do_not(self) -> None:
        assert looks_like_bundle(BUNDLE[:500])
        assert looks_like_bundle(b"\n\n" + LINES[0])
        assert not looks_like_bundle(REPORT)
        assert not looks_like_bundle(b"")
