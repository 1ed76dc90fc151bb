"""Evidence of a merge: taken from shards, sealed, read back, verified with and without the shards' own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence import statements
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope, sign_envelope
from pytest_cutover.evidence.fleet import (
    build_fleet_report,
    read_fleet_report,
    seal_fleet,
    shard_evidence,
)
from pytest_cutover.evidence.fleet_verify import verify_shards
from pytest_cutover.evidence.report import read_report
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.fleet import TOLD, ShardEvidence
from pytest_cutover.model import ExitCode, Problem, Verdict
from pytest_cutover.reasons import Reason
from tests.unit.evidence.fleets import (
    MERGED_AT,
    SHARDS,
    decided,
    evidence_of,
    fleet,
    policy,
    sealed_fleet,
    shard_run,
)
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    NOW,
    POLICY_ENVELOPE,
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


def problems(bundle, report, trust=ANCHOR, at=None):
    return {p.code.code for p in verify_bundle(bundle, report, trust, at).problems}


def given(**changes):
    """Name, bundle and report of every shard."""
    return [(name, *changes.get(name, sealed(shard_run(name)))) for name in SHARDS]


class TestShardEvidence:
    def test_holds_the_signed_decision_and_how_long_it_is_fresh(self):
        bundle, report = sealed(shard_run("eu"))

        found = shard_evidence("runs/eu", bundle, report, ANCHOR)

        assert found.problems == ()
        assert found.bundle_digest == hashlib.sha256(bundle).hexdigest()
        assert found.envelope == bundle.splitlines()[-2]
        assert found.decision is not None
        assert (found.decision.shard, found.decision.verdict) == ("eu", Verdict.GO)
        # Observed ten seconds before the decision, and the limit allows 60.5 s.
        assert found.fresh_until == NOW + timedelta(seconds=50.5)

    @pytest.mark.parametrize(
        ("bundle", "report", "code"),
        [
            (None, None, "evidence.none"),
            (None, b"{}", "bundle.missing"),
            (b"", b"", "bundle.malformed"),
        ],
    )
    def test_of_nothing_is_a_problem(self, bundle, report, code):
        found = shard_evidence("runs/eu", bundle, report, ANCHOR)

        assert code in found.problems
        assert found.decision is None

    def test_that_was_changed_is_a_problem_and_nothing_of_it_is_taken(self):
        bundle, report = sealed(shard_run("eu"))

        found = shard_evidence("runs/eu", bundle, report + b" ", ANCHOR)

        assert (found.problems, found.decision, found.envelope) == (("report.digest",), None, None)
        assert found.name == "runs/eu"

    def test_of_a_stranger_is_a_problem(self):
        bundle, report = sealed(shard_run("eu"), signer())

        assert shard_evidence("x", bundle, report, ANCHOR).decision is None

    def test_of_another_fleet_is_no_shard(self):
        assert shard_evidence("x", *sealed_fleet(), ANCHOR).problems == ("fleet.shard",)

    def test_of_a_run_outside_of_a_fleet_names_no_shard(self):
        found = evidence_of(Run())

        assert found.decision is not None
        assert found.decision.shard is None

    def test_a_key_that_ended_before_the_merge_does_not_count(self):
        """Whoever finds it can sign an old date."""
        other = signer()
        given = sealed(shard_run("ap"), other)
        trust = anchor(trusted(other, not_after=NOW + timedelta(seconds=5)), *ANCHOR.keys)

        in_time, late = (shard_evidence("x", *given, trust, at=NOW + timedelta(seconds=s)) for s in (5, 6))

        assert (in_time.problems, in_time.name) == ((), "ap")
        assert (late.problems, late.decision) == (("signature.expired",), None)


class TestTheStatements:
    def test_of_a_shard_s_run_say_which_and_never_passed(self):
        bundle, _ = sealed(shard_run("eu"))
        decision = document_of(bundle.splitlines()[-2])["predicate"]

        assert decision["verificationResult"] == "FAILED"
        assert decision["verifiedLevels"] == []
        assert decision[statements.DECISION_FIELD]["shard"] == {"name": "eu", "verdict": "GO"}
        assert decision[statements.DECISION_FIELD]["verdict"] == "HOLD"

    def test_of_a_run_without_a_fleet_are_as_they_were(self):
        bundle, _ = sealed(Run(shard="eu"))

        assert "shard" not in document_of(bundle.splitlines()[-2])["predicate"][statements.DECISION_FIELD]

    def test_of_a_merge_rest_on_its_own_lines_and_every_shard_s_decision(self):
        merged = fleet()
        bundle, report = sealed_fleet(merged)
        policy_line, evidence, decision, manifest = bundle.splitlines()

        inputs = [i["digest"]["sha256"] for i in document_of(decision)["predicate"]["inputAttestations"]]
        assert inputs == [
            hashlib.sha256(line).hexdigest()
            for line in (policy_line, evidence, *(s.envelope for s in merged.shards))
        ]
        assert document_of(decision)["predicate"]["verificationResult"] == "PASSED"
        told = document_of(evidence)
        assert told["predicateType"] == statements.FLEET_EVIDENCE
        assert told["predicate"]["expected"] == list(SHARDS)
        assert [s["shard"] for s in told["predicate"]["shards"]] == list(SHARDS)
        assert [s["bundle"]["sha256"] for s in told["predicate"]["shards"]] == [
            s.bundle_digest for s in merged.shards
        ]
        assert document_of(manifest)["predicate"]["report"] == {"sha256": hashlib.sha256(report).hexdigest()}

    def test_of_a_merge_are_about_what_its_shards_are_about(self):
        bundle, _ = sealed_fleet()

        assert document_of(bundle.splitlines()[-2])["subject"] == [
            {"name": "shop", "digest": {"sha256": SHA}}
        ]


SHA = hashlib.sha256(b"shop 1.0").hexdigest()


class TestTheReport:
    def test_comes_back_as_it_was(self):
        merged = fleet([*fleet().shards[:2], ShardEvidence("runs/ap", None, ("evidence.none",))])

        found = read_fleet_report(build_fleet_report(merged, policy(), decided(merged), signed=True))

        assert (found.fleet, found.policy, found.signed) == (merged, policy(), True)
        assert found.decision["verdict"] == "NO-GO"

    def test_is_json_with_a_line_for_each_shard(self):
        _, report = sealed_fleet()

        assert [s["shard"] for s in json.loads(report)["shards"]] == list(SHARDS)
        assert sum(line.startswith(b'{"source"') for line in report.splitlines()) == 3

    def test_says_what_went_wrong_with_the_merge_only_where_something_did(self):
        told = fleet(problems=(Problem(Reason.EVIDENCE_NOT_STORED, "no \udcffanswer"),))
        report = build_fleet_report(told, policy(), decided(told), signed=True)

        assert read_fleet_report(report).fleet == told
        assert tuple(json.loads(report)) == (*tuple(json.loads(sealed_fleet()[1]))[:-1], "problems", "shards")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'{"reason":"log.unavailable","message":"away"}', b""),
            (b'"log.unavailable","message"', b'"log.gone","message"'),
            (b'"log.unavailable","message"', b'"key.missing","message"'),
            (b'"log.unavailable","message"', b'["log.unavailable"],"message"'),
            (b'"message":"away"', b'"message":7'),
            (b'"message":"away"', b'"message":"away","where":null'),
            (b'{"reason":"log.unavailable","message":"away"}', b'"log.unavailable"'),
            (b'[\n{"reason":"log.unavailable","message":"away"}]', b'{"reason":"log.unavailable"}'),
        ],
    )
    def test_that_says_something_else_where_problems_are_is_refused(self, old, new):
        _, report = sealed_fleet(fleet(problems=(Problem(Reason.LOG_UNAVAILABLE, "away"),)))
        before, after = report.rsplit(b'"problems":[\n{"reason"', 1)
        told = b'"problems":[\n{"reason"' + after
        assert old in told

        with pytest.raises(EvidenceError, match="malformed"):
            read_fleet_report(before + told.replace(old, new, 1))

    def test_is_not_the_report_of_a_run_nor_the_other_way_round(self):
        _, report = sealed_fleet()
        with pytest.raises(EvidenceError, match="expected a report"):
            read_report(report)
        with pytest.raises(EvidenceError, match="expected a pytest-cutover fleet report"):
            read_fleet_report(sealed()[1])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"shard":"eu"', b'"shard":"us"'),
            (b'"verdict":"GO","bundle"', b'"verdict":"NO-GO","bundle"'),
            (b'"signed":true', b'"signed":1'),
            (b'"source":"runs/eu",', b""),
            (b'"fleet":{', b'"fleet":{"more":1,'),
            (b'"fresh_until":"2026', b'"fresh_until":"x026'),
            (b'"shards":[', b'"shards":[[],'),
            (b'"shards":[\n', b'"shards":[[],\n'),
            (b"}]}\n", b"}"),
        ],
    )
    def test_that_contradicts_itself_is_refused(self, old, new):
        _, report = sealed_fleet()
        assert old in report

        with pytest.raises(EvidenceError):
            read_fleet_report(report.replace(old, new, 1))


class TestVerify:
    def test_a_merge_that_is_whole_is_valid(self):
        found = verify_bundle(*sealed_fleet(), ANCHOR, MERGED_AT)

        assert found.problems == ()
        assert found.decision is not None
        assert (found.decision.verdict, found.decision.shard) == (Verdict.GO, None)
        assert found.fleet is not None
        assert found.report is None

    def test_a_no_go_is_valid_too(self):
        found = verify_bundle(*sealed_fleet(fleet(fleet().shards[:2])), ANCHOR)

        assert found.is_valid
        assert found.decision is not None
        assert [f["code"] for f in found.decision.findings] == ["shard.missing"]

    def test_it_expires_with_its_shards(self):
        assert problems(*sealed_fleet(), at=NOW + timedelta(hours=1)) == {"decision.expired"}

    def test_without_its_report_it_proves_nothing(self):
        bundle, _ = sealed_fleet()

        assert "report.missing" in problems(bundle, None)

    def test_a_verdict_that_does_not_follow_is_found(self):
        """Whoever holds the key signs a GO over a fleet of which a shard is missing."""
        merged = fleet(fleet().shards[:2])
        said = replace(decided(), findings=())
        out = seal_fleet(merged, policy(), said, policy_envelope=POLICY_ENVELOPE, signer=KEY)

        assert "decision.disagrees" in problems(out.bundle, out.report)

    @pytest.mark.parametrize("reason", TOLD, ids=lambda r: r.code)
    def test_what_went_wrong_with_a_merge_is_no_go_and_decided_again(self, reason):
        found = verify_bundle(*sealed_fleet(fleet(problems=(Problem(reason, "so it is"),))), ANCHOR)

        assert found.is_valid
        assert found.decision is not None
        assert (found.decision.verdict, found.decision.exit_code) == (Verdict.NO_GO, ExitCode.UNPROVEN)
        assert found.decision.findings == ({"code": reason.code},)

    def test_a_go_that_is_said_in_spite_of_it_is_found(self):
        told = fleet(problems=(Problem(Reason.LOG_UNAVAILABLE, "away"),))
        out = seal_fleet(told, policy(), decided(), policy_envelope=POLICY_ENVELOPE, signer=KEY)

        assert "decision.disagrees" in problems(out.bundle, out.report)

    def test_a_shard_s_decision_signed_by_a_stranger_is_found(self):
        """The fleet's own signer is trusted; a decision of a shard in it is forged."""
        other = signer()
        forged = shard_evidence(
            "runs/ap", *sealed(shard_run("ap"), other), anchor(trusted(other), *ANCHOR.keys)
        )
        bundle, report = sealed_fleet(fleet([*fleet().shards[:2], forged]))

        assert problems(bundle, report) == {"fleet.signature"}

    @pytest.mark.parametrize(
        "changes",
        [
            {"roles": frozenset({"policy"})},
            {"environments": frozenset({"staging"})},
            {"not_after": NOW - timedelta(days=1)},
            {"not_after": MERGED_AT - timedelta(seconds=1)},  # since then: stolen, it could sign an old date
        ],
    )
    def test_a_shard_s_decision_by_a_key_that_could_not_decide_it_is_found(self, changes):
        other = signer()
        shard = shard_evidence(
            "runs/ap", *sealed(shard_run("ap"), other), anchor(trusted(other), *ANCHOR.keys)
        )
        bundle, report = sealed_fleet(fleet([*fleet().shards[:2], shard]))

        assert problems(bundle, report, anchor(trusted(other, **changes), *ANCHOR.keys)) == {
            "fleet.signature"
        }

    def test_statements_of_a_run_do_not_belong_into_it(self):
        bundle, report = sealed_fleet()
        run, _ = sealed()
        lines = bundle.splitlines()
        mixed = joined([lines[0], run.splitlines()[1], *lines[1:]])

        assert {"statement.unknown", "manifest.mismatch", "decision.inputs"} <= problems(mixed, report)

    def test_a_fleet_s_evidence_does_not_belong_into_a_run_s(self):
        bundle, report = sealed()
        lines = bundle.splitlines()
        mixed = joined([lines[0], sealed_fleet()[0].splitlines()[1], *lines[1:]])

        assert "statement.unknown" in problems(mixed, report)

    def test_the_report_of_a_run_beside_it_is_not_its_report(self):
        bundle, _ = sealed_fleet()

        assert "report.digest" in problems(bundle, sealed()[1])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"expected":["eu","us","ap"]', b'"expected":["eu","us"]'),
            (b'"verdict":"GO","run_id"', b'"verdict":"GO-WITH-GUARDS","run_id"'),
            (b'"problems":[]', b'"problems":["x"]'),
        ],
    )
    def test_evidence_signed_again_with_another_word_is_found(self, old, new):
        bundle, report = sealed_fleet()
        payloads = b"".join(read_envelope(line).payload for line in bundle.splitlines())
        assert old in payloads

        assert "statement.disagrees" in problems(resealed(bundle, old, new), report)

    def test_an_input_that_was_left_out_is_found(self):
        bundle, report = sealed_fleet()
        *before, decision, manifest = bundle.splitlines()
        document = document_of(decision)
        document["predicate"]["inputAttestations"].pop()
        changed = signed(document)
        listed = document_of(manifest)
        listed["predicate"]["envelopes"][-1] = {"sha256": hashlib.sha256(changed).hexdigest()}

        assert problems(joined([*before, changed, signed(listed)]), report) == {"statement.disagrees"}

    def test_a_report_that_was_signed_and_says_nonsense_is_no_traceback(self):
        bundle, report = sealed_fleet()
        broken = report.replace(b'"nonce":"', b'"nonce":7,"x":"', 1)
        old, new = (hashlib.sha256(r).hexdigest().encode() for r in (report, broken))

        assert "report.malformed" in problems(resealed(bundle, old, new), broken)


class TestVerifyShards:
    def found(self, shards):
        return verify_shards(verify_bundle(*sealed_fleet(), ANCHOR), shards, ANCHOR)

    def test_all_of_them_as_they_were_merged_are_fine(self):
        assert self.found(given()) == []

    def test_one_that_is_not_given_is_named(self):
        (problem,) = self.found(given()[:2])

        assert problem.code.code == "fleet.shard"
        assert "shard ap was merged, and its bundle" in problem.message

    def test_one_whose_report_was_changed_is_found(self):
        bundle, report = sealed(shard_run("us"))

        (problem,) = self.found(given(us=(bundle, report.replace(b"0.2", b"0.1"))))
        assert "the merge took something else from it: report.digest" in problem.message
        assert problem.where == "us"

    def test_one_whose_bundle_was_changed_is_another_run(self):
        bundle, report = sealed(shard_run("us"))

        found = self.found(given(us=(bundle + b"\n", report)))
        assert [p.where for p in found] == ["us", "runs/us"]

    @pytest.mark.parametrize("nothing", [(None, None), (b"", b"")])
    def test_one_that_is_not_there_is_found(self, nothing):
        assert {p.code.code for p in self.found(given(us=nothing))} == {"fleet.shard"}

    def test_one_that_was_never_merged_is_found(self):
        found = self.found([*given(), ("mars", *sealed(shard_run("mars")))])

        assert [(p.where, p.message) for p in found] == [("mars", "it is not among what was merged")]


class TestADecisionOfAShard:
    def test_that_says_go_for_the_environment_is_malformed(self):
        """Nobody writes one: it would admit a shard as the fleet."""
        bundle, report = sealed(shard_run("eu"))
        *before, decision, manifest = bundle.splitlines()
        document = document_of(decision)
        ours = document["predicate"][statements.DECISION_FIELD]
        ours |= {"verdict": "GO", "exit_code": 0}
        document["predicate"] |= {"verificationResult": "PASSED", "verifiedLevels": ["CUTOVER_GO"]}
        forged = sign_envelope(statements.encode(document), STATEMENT_TYPE, KEY)
        listed = document_of(manifest)
        listed["predicate"]["envelopes"][-1] = {"sha256": hashlib.sha256(forged).hexdigest()}

        found = verify_bundle(joined([*before, forged, signed(listed)]), report, ANCHOR)

        assert not found.is_valid
        assert found.decision is None
        assert any("for shard 'eu' alone" in p.message for p in found.problems)
