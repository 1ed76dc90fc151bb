"""The signature of a policy: one DSSE envelope beside it, over the very bytes of the file.

Loads no pydantic. What a good signature proves depends on where the keys came from: see `Anchor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import POLICY_TYPE, read_foreign_envelope, sign_envelope, verify_foreign
from pytest_cutover.keys.trust import AnchorSource
from pytest_cutover.model import SANDBOX, PolicySignature

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.evidence.envelope import Envelope, EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor, TrustedKey

ROLE = "policy"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What was proven about a policy's signature, in words a person can act on."""

    state: PolicySignature
    detail: str
    hint: str | None = None
    proves: str | None = None  # where the trusted keys came from, and what a good signature so proves
    signers: tuple[TrustedKey, ...] = ()
    carried: bool = False  # the envelope is well-formed and holds the policy: evidence may carry it


def envelope_path(policy: Path) -> Path:
    """Where the envelope of `policy` stands."""
    return policy.with_name(f"{policy.name}.dsse")


def sign_policy(raw: bytes, signer: EnvelopeSigner) -> bytes:
    """The bytes of the `.dsse` file for a policy; the caller has checked the policy."""
    return sign_envelope(raw, POLICY_TYPE, signer) + b"\n"


def verify_policy(
    raw: bytes,
    envelope: bytes | None,
    anchor: Anchor | None,
    *,
    environment: str,
    development_key: bool,
    now: datetime,
) -> SignatureReport:
    """Whether a key that may sign policies for `environment` has signed exactly `raw`.

    The development key of a machine counts in the sandbox, or where the policy itself accepts such
    keys (`development_key`); there it **proves only that nothing changed since that machine signed**.
    """
    if envelope is None:
        return SignatureReport(
            PolicySignature.UNSIGNED, "the policy carries no signature", "cutover policy sign FILE"
        )
    try:
        parsed = read_foreign_envelope(envelope)
    except EvidenceError as exc:
        return _untrusted(f"the signature beside the policy is no envelope: {exc}", "sign the policy again")
    if parsed.payload_type != POLICY_TYPE:
        return _untrusted(
            f"expected payloadType {POLICY_TYPE}, got {parsed.payload_type[:100]!a}",
            "sign it with `cutover policy sign`",
        )
    if parsed.payload != raw:
        return _untrusted(
            "the signature is over other bytes: the policy was changed after it was signed",
            "review the change and sign the policy again",
        )
    return _by_trusted_key(parsed, anchor, environment, development_key, now)


def _by_trusted_key(
    envelope: Envelope, anchor: Anchor | None, environment: str, development_key: bool, now: datetime
) -> SignatureReport:
    if anchor is None:
        return _untrusted(
            "the policy is signed, and no trusted keys are known",
            "give --trust or CUTOVER_TRUST",
            carried=True,
        )
    keys = _keys(anchor, environment, development_key, now)
    if not keys:
        hint = f'add a key with role "{ROLE}" for {environment} to it, or look at not_before and not_after'
        return _untrusted(
            f"no key of {anchor.where} may sign policies for {environment} now", hint, carried=True
        )
    try:
        signers = verify_foreign(envelope, keys)
    except VerificationError as exc:
        hint = f"sign it with one of: {', '.join(f'{k.name} ({k.keyid[:16]}…)' for k in keys)}"
        return _untrusted(
            f"no key of {anchor.where} that may sign policies has signed this one: {exc}", hint, carried=True
        )
    names = ", ".join(f"{k.name} ({k.keyid[:16]}…)" for k in signers)
    return SignatureReport(
        PolicySignature.TRUSTED,
        f"signed by {names}",
        proves=anchor.description,
        signers=signers,
        carried=True,
    )


def _keys(anchor: Anchor, environment: str, development_key: bool, now: datetime) -> tuple[TrustedKey, ...]:
    keys = anchor.verifiers(role=ROLE, environment=environment, at=now)
    if anchor.source is not AnchorSource.DEVELOPMENT:
        return keys
    # The policy says so itself, which is circular; but whoever relies on this anchor has no better one.
    if development_key:
        return keys or anchor.verifiers(role=ROLE, environment=SANDBOX, at=now)
    return keys if environment == SANDBOX else ()


def _untrusted(detail: str, hint: str, *, carried: bool = False) -> SignatureReport:
    return SignatureReport(PolicySignature.UNTRUSTED, detail, hint, carried=carried)
