"""Who may sign a policy, and what that proves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # public, re-exported without __all__

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.envelope import POLICY_TYPE, read_envelope, sign_envelope
from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.model import PolicySignature
from pytest_cutover.policy.signature import (
    SignatureReport,
    envelope_path,
    sign_policy,
    sign_policy_too,
    verify_policy,
)
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
    version: int = 3,
) -> SignatureReport:
    return verify_policy(
        raw,
        envelope,
        trusted,
        name="shop",
        version=version,
        environment=environment,
        development_key=development_key,
        now=now,
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


SECOND, THIRD = signer(), signer()


def persons(*names: str | None, threshold: int = 2) -> Anchor:
    """The first keys, each of that person, and how many persons it takes."""
    keys = zip((KEY, SECOND, THIRD), names, strict=False)
    trusted = tuple(replace(anchor(k).keys[0], name=f"key {i}", person=p) for i, (k, p) in enumerate(keys))
    return replace(anchor(KEY), keys=trusted, thresholds={"policy": threshold})


class TestSeveralPersons:
    BOTH = sign_policy_too(RAW, sign_policy(RAW, KEY), SECOND)

    def test_two_persons_are_two(self) -> None:
        report = verify(self.BOTH, persons("Ada", "Grace"))

        assert report.state is PolicySignature.TRUSTED
        assert [k.person for k in report.signers] == ["Ada", "Grace"]
        assert report.missing == ()

    @pytest.mark.parametrize(
        ("envelope", "names"),
        [
            (sign_policy(RAW, KEY), ("Ada", "Grace")),
            (BOTH, ("Ada", "Ada")),
            (BOTH, ("Ada", None)),
            (BOTH, (None, None)),
            (BOTH, ("Ada",)),
            (sign_policy_too(RAW, BOTH, THIRD), ("Ada", "Ada", "Ada")),
        ],
    )
    def test_fewer_are_too_few(self, envelope: bytes, names: tuple[str | None, ...]) -> None:
        report = verify(envelope, persons(*names))

        assert report.state is PolicySignature.THRESHOLD
        assert "expected signatures of 2 persons in role policy" in report.detail
        assert report.carried

    def test_it_says_who_is_missing(self) -> None:
        report = verify(sign_policy(RAW, KEY), persons("Ada", "Grace", "Linus"))

        assert [k.person for k in report.missing] == ["Grace", "Linus"]
        assert report.hint is not None
        assert report.hint.startswith("cutover policy sign FILE --add, with one of: key 1 (")

    def test_who_has_signed_is_not_missing_under_another_spelling(self) -> None:
        report = verify(sign_policy(RAW, KEY), persons("Ada  Lovelace", "ada lovelace", "Grace"))

        assert [k.person for k in report.missing] == ["Grace"]

    def test_a_signature_twice_is_one(self) -> None:
        twice = sign_envelope(RAW, POLICY_TYPE, [KEY, KEY])

        assert verify(twice, persons("Ada", "Grace")).state is PolicySignature.THRESHOLD

    def test_an_expired_key_is_nobody(self) -> None:
        trust = persons("Ada", "Grace")
        late = replace(trust.keys[1], not_after=NOW - timedelta(seconds=1))

        report = verify(self.BOTH, replace(trust, keys=(trust.keys[0], late)))

        assert report.state is PolicySignature.THRESHOLD

    def test_another_signature_needs_the_same_bytes_and_another_key(self) -> None:
        with pytest.raises(EvidenceError, match="nobody has signed"):
            sign_policy_too(RAW, None, SECOND)
        with pytest.raises(EvidenceError, match="changed after it was signed"):
            sign_policy_too(RAW + b" ", self.BOTH, THIRD)
        with pytest.raises(EvidenceError, match=r"carries a signature of key .* already"):
            sign_policy_too(RAW, self.BOTH, SECOND)
        with pytest.raises(EvidenceError, match="changed after it was signed"):
            sign_policy_too(RAW, sign_envelope(RAW, "application/json", KEY), SECOND)


class TestRotatedKey:
    GRACE = replace(
        anchor(KEY).keys[0],
        state=KeyState.GRACE,
        rotated=Rotation("log", 5, NOW),
        grace_until=NOW + timedelta(days=1),
    )

    def test_counts_no_more(self) -> None:
        trust = replace(anchor(KEY), keys=(self.GRACE,))

        assert verify(sign_policy(RAW, KEY), trust).state is PolicySignature.UNTRUSTED


class TestFloor:
    def test_an_older_version_is_outdated_whoever_signed_it(self) -> None:
        trust = replace(anchor(KEY), floors={"shop": 4})

        assert verify(sign_policy(RAW, KEY), trust).state is PolicySignature.OUTDATED
        assert verify(sign_policy(RAW, KEY), trust, version=4).state is PolicySignature.TRUSTED

    def test_taking_the_signature_away_does_not_make_it_younger(self) -> None:
        """An unsigned policy is enough in the sandbox; one that is outdated is not."""
        trust = replace(anchor(KEY), floors={"shop": 4})

        assert verify(None, trust, environment="sandbox").state is PolicySignature.OUTDATED

    def test_of_another_policy_it_is_not(self) -> None:
        trust = replace(anchor(KEY), floors={"another": 4})

        assert verify(sign_policy(RAW, KEY), trust).state is PolicySignature.TRUSTED

    def test_what_nobody_trusted_signed_stays_that(self) -> None:
        trust = replace(anchor(KEY), floors={"shop": 4})

        assert verify(sign_policy(RAW, SECOND), trust).state is PolicySignature.UNTRUSTED
