"""Who may sign a policy, and what that proves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # public, re-exported without __all__

from pytest_cutover.evidence.envelope import POLICY_TYPE, read_envelope, sign_envelope
from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.model import PolicySignature
from pytest_cutover.policy.signature import SignatureReport, envelope_path, sign_policy, verify_policy
from tests.unit.policy.documents import NOW, anchor, signer

if TYPE_CHECKING:
    from datetime import datetime

RAW = b'{"format": 1}\n'
KEY = signer()


def verify(
    envelope: bytes | None,
    trusted: Anchor | None,
    *,
    raw: bytes = RAW,
    environment: str = "prod",
    development_key: bool = False,
    now: datetime = NOW,
) -> SignatureReport:
    return verify_policy(
        raw, envelope, trusted, environment=environment, development_key=development_key, now=now
    )


class TestSignPolicy:
    def test_writes_one_canonical_envelope_over_the_bytes(self) -> None:
        line = sign_policy(RAW, KEY)
        envelope = read_envelope(line.removesuffix(b"\n"))

        assert line.endswith(b"\n")
        assert envelope.payload == RAW
        assert envelope.payload_type == POLICY_TYPE

    def test_a_tool_of_others_verifies_it(self) -> None:
        import json

        envelope = ForeignEnvelope.from_dict(json.loads(sign_policy(RAW, KEY)))
        key = SSlibKey.from_dict(
            KEY.keyid,
            {
                "keytype": "ed25519",
                "scheme": "ed25519",
                "keyval": {"public": KEY.public.spki[-32:].hex()},
            },
        )

        assert list(envelope.verify([key], threshold=1)) == [KEY.keyid]

    def test_stands_beside_the_policy(self) -> None:
        assert envelope_path(Path("configs/policy.json")) == Path("configs/policy.json.dsse")


class TestVerifyPolicy:
    def test_a_trusted_key_over_these_bytes_is_trusted(self) -> None:
        report = verify(sign_policy(RAW, KEY), anchor(KEY))

        assert report.state is PolicySignature.TRUSTED
        assert report.carried
        assert [k.keyid for k in report.signers] == [KEY.keyid]
        assert report.proves is not None

    def test_no_envelope_is_unsigned(self) -> None:
        assert verify(None, anchor(KEY)).state is PolicySignature.UNSIGNED

    @pytest.mark.parametrize(
        ("envelope", "detail", "carried"),
        [
            (b"", "is no envelope", False),
            (b'{"payload":1}', "is no envelope", False),
            (sign_policy(RAW + b" ", KEY), "changed after it was signed", False),
            (sign_envelope(RAW, "application/vnd.in-toto+json", KEY), "expected payloadType", False),
            (sign_policy(RAW, signer()), "has signed this one", True),
        ],
    )
    def test_anything_else_is_untrusted(self, envelope: bytes, detail: str, carried: bool) -> None:
        report = verify(envelope, anchor(KEY))

        assert report.state is PolicySignature.UNTRUSTED
        assert detail in report.detail
        assert report.hint
        assert report.carried is carried

    @pytest.mark.parametrize(
        "trusted",
        [
            anchor(KEY, roles=("decision", "approval")),
            anchor(KEY, environments=("staging",)),
            anchor(KEY, not_after=NOW - timedelta(seconds=1)),
        ],
    )
    def test_a_key_for_something_else_is_untrusted(self, trusted: Anchor) -> None:
        report = verify(sign_policy(RAW, KEY), trusted)

        assert report.state is PolicySignature.UNTRUSTED
        assert "may sign policies for prod now" in report.detail

    def test_without_trusted_keys_a_signature_proves_nothing(self) -> None:
        report = verify(sign_policy(RAW, KEY), None)

        assert report.state is PolicySignature.UNTRUSTED
        assert "no trusted keys are known" in report.detail

    def test_one_of_several_signatures_is_enough(self) -> None:
        assert (
            verify(sign_envelope(RAW, POLICY_TYPE, [signer(), KEY]), anchor(KEY)).state
            is PolicySignature.TRUSTED
        )

    @pytest.mark.parametrize(
        ("environment", "development_key", "state"),
        [
            ("sandbox", True, PolicySignature.TRUSTED),
            ("sandbox", False, PolicySignature.TRUSTED),
            ("prod", False, PolicySignature.UNTRUSTED),
            ("prod", True, PolicySignature.TRUSTED),
        ],
    )
    def test_a_development_key_counts_where_it_is_accepted(
        self, environment: str, development_key: bool, state: PolicySignature
    ) -> None:
        trusted = anchor(KEY, environments=("sandbox",), source=AnchorSource.DEVELOPMENT)
        report = verify(
            sign_policy(RAW, KEY), trusted, environment=environment, development_key=development_key
        )

        assert report.state is state

    def test_a_development_anchor_for_everywhere_does_not_widen_that(self) -> None:
        trusted = anchor(KEY, source=AnchorSource.DEVELOPMENT)

        assert verify(sign_policy(RAW, KEY), trusted).state is PolicySignature.UNTRUSTED

    def test_any_flipped_bit_of_the_policy_is_untrusted(self) -> None:
        envelope = sign_policy(RAW, KEY)
        for at in range(len(RAW) * 8):
            changed = bytearray(RAW)
            changed[at // 8] ^= 1 << at % 8
            assert verify(envelope, anchor(KEY), raw=bytes(changed)).state is PolicySignature.UNTRUSTED
