from __future__ import annotations

import json

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import read_statement
from pytest_cutover.evidence.envelope import POLICY_TYPE, STATEMENT_TYPE, read_envelope, sign_envelope
from pytest_cutover.evidence.statements import PREDICATES
from tests.unit.evidence.runs import POLICY, Run, signer

KEY = signer()


class TestSeal:
    def test_a_bundle_is_policy_result_evidence_decision_manifest(self) -> None:
        bundle = Run().seal(KEY, sign_envelope(POLICY, POLICY_TYPE, KEY)).bundle
        assert bundle is not None
        envelopes = [read_envelope(line) for line in bundle.splitlines()]

        assert bundle.endswith(b"\n")
        assert [e.payload_type for e in envelopes] == [POLICY_TYPE] + [STATEMENT_TYPE] * 4
        assert tuple(read_statement(e.payload).predicate_type for e in envelopes[1:]) == PREDICATES

    def test_without_a_key_there_is_no_bundle_and_the_report_says_so(self) -> None:
        sealed = Run().seal(None)

        assert sealed.bundle is None
        assert json.loads(sealed.report)["signed"] is False

    def test_the_policys_envelope_keeps_payload_and_signatures_and_loses_its_layout(self) -> None:
        line = sign_envelope(POLICY, POLICY_TYPE, KEY)
        pretty = {**json.loads(line), "comment": "signed at the summer party"}
        bundle = Run().seal(KEY, json.dumps(pretty, indent=2).encode() + b"\n").bundle
        assert bundle is not None

        assert bundle.splitlines()[0] == line

    def test_a_policy_envelope_that_is_none_is_an_error(self) -> None:
        with pytest.raises(EvidenceError):
            Run().seal(KEY, b"{}")

    def test_ed25519_evidence_is_the_same_bytes_every_time(self) -> None:
        assert Run().seal(KEY) == Run().seal(KEY)
