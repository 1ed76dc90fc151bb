"""The signatures of a policy: one DSSE envelope beside it, over the very bytes of the file.

Several persons sign the same envelope; the trust file says how many it takes, and which version is the lowest.

Loads no pydantic. What a good signature proves depends on where the keys came from: see `Anchor`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    add_signature,
    format_envelope,
    read_foreign_envelope,
    sign_envelope,
    verify_foreign,
)
from pytest_cutover.keys.trust import AnchorSource
from pytest_cutover.keys.trusted import persons_of
from pytest_cutover.model import SANDBOX, PolicySignature, one_person

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.evidence.envelope import Envelope, EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey

ROLE = "policy"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What was proven about a policy's signature, in words a person can act on."""

    state: PolicySignature
    detail: str
    hint: str | None = None
    proves: str | None = None  # where the trusted keys came from, and what a good signature so proves
    signers: tuple[TrustedKey, ...] = ()
    missing: tuple[TrustedKey, ...] = ()  # when it takes more persons: keys of those who have not signed
    carried: bool = False  # the envelope is well-formed and holds the policy: evidence may carry it


def envelope_path(policy: Path) -> Path:
    """Where the envelope of `policy` stands."""
    return policy.with_name(f"{policy.name}.dsse")


def sign_policy(raw: bytes, signer: EnvelopeSigner) -> bytes:
    """The bytes of the `.dsse` file for a policy; the caller has checked the policy."""
    return sign_envelope(raw, POLICY_TYPE, signer) + b"\n"


def sign_policy_too(raw: bytes, envelope: bytes | None, signer: EnvelopeSigner) -> bytes:
    """The bytes of the `.dsse` file with one more signature than `envelope` has; those before stay as they are.

    Raises:
        EvidenceError: there is no envelope over these bytes, or this key has signed it before.
    """
    if envelope is None:
        raise EvidenceError("expected a signed policy, got one that nobody has signed")
    parsed = read_foreign_envelope(envelope)
    if parsed.payload_type != POLICY_TYPE or parsed.payload != raw:
        raise EvidenceError("the signatures are over other bytes: the policy was changed after it was signed")
    return format_envelope(add_signature(parsed, signer)) + b"\n"


def verify_policy(
    raw: bytes,
    envelope: bytes | None,
    anchor: Anchor | None,
    *,
    name: str,
    version: int,
    environment: str,
    development_key: bool,
    now: datetime,
) -> SignatureReport:
    """Whether as many persons as it takes, who may sign policies for `environment`, have signed exactly `raw`.

    `name` and `version` are the policy's own, from the same bytes. A version below the trust file's lowest is
    outdated, signed or not. Signatures of keys that were rotated do not count: nothing shows yet when they were made.

    The development key of a machine counts in the sandbox, or where the policy itself accepts such
    keys (`development_key`); there it **proves only that nothing changed since that machine signed**.
    """
    report = _signed(raw, envelope, anchor, environment, development_key, now)
    if anchor is None or not anchor.is_outdated(name, version) or report.state is PolicySignature.UNTRUSTED:
        return report
    detail = f"version {version} of {name} is outdated: the lowest that counts is {anchor.floors[name]}"
    hint = "take the policy that is in force, or give this one a higher version and sign it"
    return replace(report, state=PolicySignature.OUTDATED, detail=detail, hint=hint)


def _signed(
    raw: bytes,
    envelope: bytes | None,
    anchor: Anchor | None,
    environment: str,
    development_key: bool,
    now: datetime,
) -> SignatureReport:
    if envelope is None:
        return SignatureReport(
            PolicySignature.UNSIGNED, "the policy carries no signature", "cutover policy sign FILE --key KEY"
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
    if anchor is None:
        return _untrusted(
            "the policy is signed, and no trusted keys are known",
            "give --trust or CUTOVER_TRUST",
            carried=True,
        )
    keys = _keys(anchor, environment, development_key, now)
    return _by_trusted_keys(parsed, anchor, keys, environment)


def _by_trusted_keys(
    envelope: Envelope, anchor: Anchor, keys: tuple[TrustedKey, ...], environment: str
) -> SignatureReport:
    if not keys:
        hint = f'add a key with role "{ROLE}" for {environment} to it, or see: cutover keys list'
        return _untrusted(
            f"no key of {anchor.where} may sign policies for {environment} now", hint, carried=True
        )
    try:
        signers = verify_foreign(envelope, keys)
    except VerificationError as exc:
        return _untrusted(
            f"no key of {anchor.where} that may sign policies has signed this one: {exc}",
            f"sign it with one of: {_names(keys)}",
            carried=True,
        )
    shortfall = anchor.shortfall(ROLE, signers)
    if shortfall is not None:
        persons = set(map(one_person, persons_of(signers)))
        missing = tuple(k for k in keys if k.person is not None and one_person(k.person) not in persons)
        more = f", with one of: {_names(missing)}" if missing else ""
        return SignatureReport(
            PolicySignature.THRESHOLD,
            shortfall,
            f"cutover policy sign FILE --add{more}",
            anchor.description,
            signers,
            missing,
            carried=True,
        )
    return SignatureReport(
        PolicySignature.TRUSTED,
        f"signed by {_names(signers)}",
        proves=anchor.description,
        signers=signers,
        carried=True,
    )


def _names(keys: tuple[TrustedKey, ...]) -> str:
    return ", ".join(f"{k.name} ({k.keyid[:16]}…)" for k in keys)


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
