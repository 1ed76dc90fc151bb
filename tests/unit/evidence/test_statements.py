from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2  # type: ignore[import-untyped]
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2  # type: ignore[import-untyped]
from in_toto_attestation.v1 import statement_pb2  # type: ignore[import-untyped]
from in_toto_attestation.v1.statement import Statement as ForeignStatement  # type: ignore[import-untyped]

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence import claims, statements
from pytest_cutover.model import ExitCode, Subject, Verdict
from tests.unit.evidence.runs import GATE_CODE, NOW, POLICY_DIGEST, SHA, Run

REPORT = hashlib.sha256(b"report").hexdigest()
ENVELOPES = [b"one", b"two"]


def payloads(run: Run, verdict: Verdict | None = None) -> dict[str, bytes]:
    record, policy, decision = run.record(), run.policy(), run.decision()
    if verdict is not None:
        decision = replace(decision, verdict=verdict)
    return {
        statements.TEST_RESULT: statements.run_result(record, policy, decision, REPORT),
        statements.GATE_EVIDENCE: statements.gate_evidence(record, policy, decision, REPORT),
        statements.DECISION: statements.decision_summary(record, policy, decision, REPORT, ENVELOPES),
        statements.MANIFEST: statements.manifest(record, policy, REPORT, ENVELOPES),
    }


def predicate(kind: str, run: Run | None = None, verdict: Verdict | None = None) -> dict[str, Any]:
    value = json.loads(payloads(run or Run(), verdict)[kind])["predicate"]
    assert isinstance(value, dict)
    return value


def changed(kind: str, **changes: Any) -> claims.Statement:
    document = json.loads(payloads(Run())[kind])
    document["predicate"].update(changes)
    return claims.read_statement(statements.encode(document))


class TestEveryStatement:
    @pytest.mark.parametrize("kind", statements.PREDICATES)
    def test_is_one_for_the_in_toto_library(self, kind: str) -> None:
        parsed = json_format.Parse(payloads(Run())[kind], statement_pb2.Statement())
        foreign = ForeignStatement.copy_from_pb(parsed)
        foreign.validate()

        assert foreign.pb.predicate_type == kind
        assert foreign.pb.subject[0].digest["sha256"] == SHA

    @pytest.mark.parametrize("kind", statements.PREDICATES)
    def test_is_about_its_report_when_nothing_was_named(self, kind: str) -> None:
        (subject,) = claims.read_statement(payloads(Run(subjects=[]))[kind]).subjects

        assert subject == Subject("report.json", {"sha256": REPORT})

    @pytest.mark.parametrize("kind", statements.PREDICATES)
    def test_survives_any_text(self, kind: str) -> None:
        run = Run(gates=['g"\ud800\x1b\u2028<é'], environment="prod\ud800 %/ü", title="\udfff")

        assert claims.read_statement(payloads(run)[kind]).predicate_type == kind

    def test_subjects_of_a_hostile_journal_are_texts(self) -> None:
        run = Run(subjects=[{"name": 5, "digest": {"sha256": ["x"]}}])

        assert statements.subjects_of(run.record(), REPORT) == [{"name": "5", "digest": {"sha256": "(list)"}}]


class TestRunResult:
    def test_is_a_test_result_for_the_in_toto_library(self) -> None:
        value = json.dumps(predicate(statements.TEST_RESULT))
        parsed = json_format.Parse(value, test_result_pb2.TestResult())

        assert list(parsed.passed_tests) == ["service.ready"]
        assert parsed.configuration[0].digest["sha256"] == POLICY_DIGEST.removeprefix("sha256:")
        assert f"sha256:{parsed.configuration[2].digest['sha256']}" == GATE_CODE

    @pytest.mark.parametrize(
        ("verdict", "result"),
        [
            (Verdict.GO, "PASSED"),
            (Verdict.GO_WITH_GUARDS, "WARNED"),
            (Verdict.HOLD, "FAILED"),
            (Verdict.NO_GO, "FAILED"),
        ],
    )
    def test_passed_means_go(self, verdict: Verdict, result: str) -> None:
        """A gate that is missing appears in no list, so the result alone must say NO."""
        assert predicate(statements.TEST_RESULT, verdict=verdict)["result"] == result

    def test_a_red_gate_failed(self) -> None:
        value = predicate(statements.TEST_RESULT, Run(latency="9"))

        assert (value["passedTests"], value["failedTests"]) == ([], ["service.ready"])

    def test_an_unknown_gate_code_digest_is_left_out(self) -> None:
        run = Run()
        record = replace(run.record(), gate_code_digest="")
        value = json.loads(statements.run_result(record, run.policy(), run.decision(), REPORT))

        assert [c["name"] for c in value["predicate"]["configuration"]] == ["policy", "run"]


class TestGateEvidence:
    def test_holds_what_was_measured_and_its_limit(self) -> None:
        assert predicate(statements.GATE_EVIDENCE)["measurements"] == [
            {
                "gate": "service.ready",
                "name": "latency",
                "value": "0.2",
                "unit": "s",
                "kind": "number",
                "limit": ["0.5"],
                "operator": "at_most",
                "samples": 3,
                "source": "https://shop.example/readyz",
                "observed_at": "2026-11-21T08:47:50.000000Z",
            }
        ]

    def test_holds_what_was_expected_and_what_did_not_run(self) -> None:
        run = Run(gates=("a", "b"))
        record = replace(run.record(), results=run.record().results[:1])
        value = json.loads(statements.gate_evidence(record, run.policy(), run.decision(), REPORT))[
            "predicate"
        ]

        assert value["expected"] == [{"gate": "a", "instances": None}, {"gate": "b", "instances": None}]
        assert (value["collected"], value["not_run"], value["deselected"]) == (["a", "b"], ["b"], [])

    def test_a_measurement_without_limit_sources_or_samples_has_nulls(self) -> None:
        run = Run()
        decision = run.decision()
        judged = decision.gates[0].measurements[0]
        bare = replace(judged, limit=None, measurement=replace(judged.measurement, samples=None, source=None))
        decision = replace(decision, gates=(replace(decision.gates[0], measurements=(bare,)),))
        payload = statements.gate_evidence(run.record(), run.policy(), decision, REPORT)
        (value,) = json.loads(payload)["predicate"]["measurements"]

        assert [value[n] for n in ("limit", "operator", "samples", "source")] == [None] * 4

    def test_either_side_taints_it_as_sandbox(self) -> None:
        run = Run()
        record = replace(run.record(), sandbox=True)
        payload = statements.gate_evidence(record, run.policy(), run.decision(), REPORT)

        assert json.loads(payload)["predicate"]["sandbox"] is True


class TestDecisionSummary:
    def test_is_a_verification_summary_for_the_in_toto_library(self) -> None:
        value = predicate(statements.DECISION)
        levels = value.pop("verifiedLevels")  # a list in SLSA's text, a single string in the library's schema
        parsed = json_format.ParseDict(value, vsa_pb2.VerificationSummary(), ignore_unknown_fields=True)

        assert (parsed.verification_result, levels) == ("PASSED", ["CUTOVER_GO"])
        assert parsed.resource_uri == "urn:pytest-cutover:environment:production"
        assert parsed.policy.uri == "urn:pytest-cutover:policy:shop:3"
        assert parsed.time_verified.ToJsonString() == "2026-11-21T08:48:00Z"

    @pytest.mark.parametrize(
        ("verdict", "levels"),
        [
            (Verdict.GO, ["CUTOVER_GO"]),
            (Verdict.GO_WITH_GUARDS, ["CUTOVER_GO_WITH_GUARDS"]),
            (Verdict.HOLD, []),
            (Verdict.NO_GO, []),
        ],
    )
    def test_passes_for_go_alone(self, verdict: Verdict, levels: list[str]) -> None:
        value = predicate(statements.DECISION, verdict=verdict)

        assert value["verificationResult"] == ("PASSED" if levels else "FAILED")
        assert value["verifiedLevels"] == levels

    def test_names_environments_as_rfc_3986_has_it(self) -> None:
        uri = predicate(statements.DECISION, Run(environment="eu/1 ü"))["resourceUri"]

        assert uri == "urn:pytest-cutover:environment:eu%2F1%20%C3%BC"

    def test_names_the_envelopes_it_rests_on(self) -> None:
        assert predicate(statements.DECISION)["inputAttestations"] == [
            {"digest": {"sha256": hashlib.sha256(e).hexdigest()}} for e in ENVELOPES
        ]

    def test_a_policy_without_a_digest_is_a_mistake_of_the_caller(self) -> None:
        run = Run()

        with pytest.raises(ValueError, match="expected sha256:HEX"):
            statements.decision_summary(
                run.record(), replace(run.policy(), digest="x"), run.decision(), REPORT, []
            )


class TestReadDecision:
    def test_gives_back_what_was_decided(self) -> None:
        run = Run(latency="9")
        found = claims.read_decision(claims.read_statement(payloads(run)[statements.DECISION]))

        assert (found.verdict, found.exit_code, found.is_go) == (Verdict.NO_GO, ExitCode.NO_GO, False)
        assert (found.decided_at, found.expires_at) == (NOW, NOW + timedelta(hours=1))
        assert found.findings == (
            {"code": "limit.broken", "gate": "service.ready", "measurement": "latency"},
        )
        assert (found.policy_digest, found.report_digest) == (POLICY_DIGEST, REPORT)
        assert found.subjects == (Subject("shop", {"sha256": SHA}),)

    @pytest.mark.parametrize(
        "changes",
        [
            {"verificationResult": "FAILED"},
            {"verifiedLevels": []},
            {"verifiedLevels": ["CUTOVER_GO", "SLSA_BUILD_LEVEL_3"]},
            {"timeVerified": "2026-11-21T08:49:00Z"},
            {"resourceUri": "urn:pytest-cutover:environment:staging"},
            {"slsaVersion": "0.9"},
            {"extra": 1},
            {"policy": {"uri": "x"}},
            {"policy": {"uri": 5, "digest": {"sha256": "0" * 64}}},
            {"policy": {"uri": "x", "digest": {"sha256": "0" * 63}}},
            {"inputAttestations": [{}]},
            {"inputAttestations": 5},
        ],
    )
    def test_both_halves_must_say_the_same(self, changes: dict[str, Any]) -> None:
        with pytest.raises(EvidenceError):
            claims.read_decision(changed(statements.DECISION, **changes))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("verdict", "NO-GO"),
            ("verdict", "go"),
            ("verdict", ["GO"]),
            ("exit_code", 10),
            ("exit_code", 99),
            ("decided_at", "yesterday"),
            ("expires_at", None),
            ("environment", 5),
            ("sandbox", 0),
            ("findings", ["x"]),
            ("findings", None),
            ("report", {}),
            ("runner", "someone"),
            ("extra", 1),
        ],
    )
    def test_refuses_a_malformed_half(self, name: str, value: object) -> None:
        ours = {**predicate(statements.DECISION)[statements.DECISION_FIELD], name: value}

        with pytest.raises(EvidenceError):
            claims.read_decision(changed(statements.DECISION, **{statements.DECISION_FIELD: ours}))


class TestReadStatement:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"_type": "https://in-toto.io/Statement/v0.1"}, "expected a statement of type"),
            ({"subject": []}, "at least one subject"),
            ({"subject": [{"name": "x"}]}, "missing or unknown: .*digest"),
            ({"subject": [{"name": "x", "digest": {}}]}, "with name and digest"),
            ({"subject": [{"name": "x", "digest": {"sha256": 5}}]}, "to be texts"),
            ({"predicate": []}, "a predicate and its type"),
            ({"predicateType": 5}, "a predicate and its type"),
            ({"extra": 1}, "missing or unknown: .*extra"),
        ],
    )
    def test_is_strict(self, changes: dict[str, Any], message: str) -> None:
        document = {**json.loads(payloads(Run())[statements.MANIFEST]), **changes}

        with pytest.raises(EvidenceError, match=message):
            claims.read_statement(statements.encode(document))

    def test_refuses_two_documents(self) -> None:
        with pytest.raises(EvidenceError, match="Extra data"):
            claims.read_statement(payloads(Run())[statements.MANIFEST] + b"{}")


class TestReadManifest:
    def test_gives_back_the_lines_in_order(self) -> None:
        statement = claims.read_statement(payloads(Run())[statements.MANIFEST])

        assert claims.read_manifest(statement) == claims.Manifest(
            tuple(hashlib.sha256(e).hexdigest() for e in ENVELOPES),
            REPORT,
            (),
        )

    @pytest.mark.parametrize(
        "changes", [{"waivers": 5}, {"envelopes": 5}, {"envelopes": [5]}, {"report": None}, {"extra": 1}]
    )
    def test_is_strict(self, changes: dict[str, Any]) -> None:
        with pytest.raises(EvidenceError):
            claims.read_manifest(changed(statements.MANIFEST, **changes))
