"""Policies and waivers that the leaving key of a ring has signed, signed with the next one as well: before it leaves.

A run goes by what keys have signed that count now, and a rotated key counts only for what a log is proven to hold from before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    add_signature,
    format_envelope,
    read_foreign_envelope,
    verify_foreign,
)
from pytest_cutover.files import write_atomic
from pytest_cutover.policy.signature import envelope_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.evidence.envelope import Envelope
    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.keys.trusted import TrustedKey


def sign_again(files: Sequence[Path], leaving: TrustedKey, following: Signer) -> list[Path]:
    """Add the signature of `following` to each of `files`: policies, or waivers. Those that it has changed.

    Nothing is written when one of them cannot be signed. What carries that signature already stays as it is.

    Raises:
        ConfigError: one is missing, was changed after it was signed, or `leaving` has not signed it.
        AdapterError: one cannot be written.
    """
    signed = {}
    for file in files:
        beside, envelope = _signed_by(file, leaving)
        if all(s.keyid != following.keyid for s in envelope.signatures):
            signed[beside] = format_envelope(add_signature(envelope, following)) + b"\n"
    for path, data in signed.items():
        write_atomic(path, data)
    return list(signed)


def _signed_by(file: Path, leaving: TrustedKey) -> tuple[Path, Envelope]:
    """The envelope beside a policy, or that is a waiver, and its path."""
    hint = "name policies and waivers that this key has signed; cutover policy sign signs others"
    is_envelope = file.suffix == ".dsse"
    path = file if is_envelope else envelope_path(file)
    try:
        envelope = read_foreign_envelope(path.read_bytes())
        if not is_envelope and (envelope.payload_type, envelope.payload) != (POLICY_TYPE, file.read_bytes()):
            raise EvidenceError("the policy was changed after it was signed")
        verify_foreign(envelope, [leaving])
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}", hint=hint) from None
    except VerificationError:
        raise ConfigError(f"{path}: {leaving.name!r} has not signed it", hint=hint) from None
    except EvidenceError as exc:
        raise ConfigError(f"{path}: {exc}", hint=hint) from None
    return path, envelope
