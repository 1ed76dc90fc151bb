"""Policies and waivers that the leaving key of a ring has signed, signed with the next one as well: before it leaves.

A run goes by what keys have signed that count now, and a rotated key counts only for what a log is proven to hold from before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    STATEMENT_TYPE,
    add_signature,
    format_envelope,
    read_foreign_envelope,
    verify_foreign,
)
from pytest_cutover.evidence.waivers import ROLE as WAIVER_ROLE
from pytest_cutover.evidence.waivers import read_waiver
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.policy.signature import ROLE as POLICY_ROLE
from pytest_cutover.policy.signature import envelope_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.evidence.envelope import Envelope
    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.keys.trusted import TrustedKey

_HINT = "name policies and waivers that this key has signed; cutover policy sign signs others"
_STATES = {KeyState.GRACE: "in grace", KeyState.RETIRED: "retired", KeyState.REVOKED: "revoked"}


def signed_by(leaving: TrustedKey, files: Sequence[Path], now: datetime) -> dict[Path, Envelope]:
    """The envelopes beside policies, or that are waivers, by their paths: each signed by `leaving`.

    Raises:
        ConfigError: `leaving` counts no more, so that its signature proves nothing; or a file is missing, was
            changed after it was signed, or has not been signed by `leaving`, or not in a role of its.
    """
    if leaving.state is not KeyState.ACTIVE or not leaving.is_valid_at(now):
        state = _STATES.get(leaving.state, "beyond its time")
        raise ConfigError(
            f"{leaving.name!r} is {state}: what it has signed may be anybody's",
            hint="rotate without --sign, review each file, then sign it: cutover policy sign FILE",
        )
    return dict(_signed_by(file, leaving) for file in files)


def sign_again(envelopes: Mapping[Path, Envelope], following: Signer) -> list[Path]:
    """Add the signature of `following` to envelopes that `signed_by` gave; the paths of those that lacked it.

    Raises:
        AdapterError: one cannot be written.
    """
    signed = {
        path: format_envelope(add_signature(envelope, following)) + b"\n"
        for path, envelope in envelopes.items()
        if all(s.keyid != following.keyid for s in envelope.signatures)
    }
    for path, data in signed.items():
        write_atomic(path, data)
    return list(signed)


def _signed_by(file: Path, leaving: TrustedKey) -> tuple[Path, Envelope]:
    """The envelope beside a policy, or that is a waiver, and its path."""
    is_envelope = file.suffix == ".dsse"
    path = file if is_envelope else envelope_path(file)
    try:
        envelope = read_foreign_envelope(path.read_bytes())
        if not is_envelope and (envelope.payload_type, envelope.payload) != (POLICY_TYPE, file.read_bytes()):
            raise EvidenceError("the policy was changed after it was signed")
        role = _role(envelope)
        if not leaving.has_role(role):
            raise EvidenceError(f"{leaving.name!r} has no role {role}")
        verify_foreign(envelope, [leaving])
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}", hint=_HINT) from None
    except VerificationError:
        raise ConfigError(f"{path}: {leaving.name!r} has not signed it", hint=_HINT) from None
    except EvidenceError as exc:
        raise ConfigError(f"{path}: {exc}", hint=_HINT) from None
    return path, envelope


def _role(envelope: Envelope) -> str:
    """The role in which this is signed: of decisions and other statements the next key vouches for none.

    Raises:
        EvidenceError: it is neither a policy nor a waiver.
    """
    if envelope.payload_type == POLICY_TYPE:
        return POLICY_ROLE
    if envelope.payload_type != STATEMENT_TYPE:
        raise EvidenceError(f"expected a policy or a waiver, got {envelope.payload_type[:100]!a}")
    read_waiver(envelope.payload)
    return WAIVER_ROLE
