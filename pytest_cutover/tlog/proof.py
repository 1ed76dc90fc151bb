"""Proofs that an entry is in a log, to be verified offline (C2SP tlog-proof v1). No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.tlog.checkpoint import MAX_SIZE, Checkpoint, covering, parse_checkpoint, verify_checkpoint
from pytest_cutover.tlog.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from pytest_cutover.tlog.note import (
    MAX_NOTE_BYTES,
    decode_base64,
    encode_base64,
    known_signatures,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.tlog.note import Verifier

SUFFIX: Final = ".tlog-proof"
HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
"""Of a proof: C2SP tlog-proof and tlog-witness allow as many levels as a tree of fewer than 2**63 entries has."""

MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 131_072

_INDEX = re.compile(r"index (?P<index>0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof as it was read; **it proves nothing until `verify_proof` returned**."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The signed checkpoint, byte for byte."""

    extra: bytes | None = None
    """Whatever the writer put there; nothing authenticates it."""

    def to_bytes(self) -> bytes:
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


@dataclass(frozen=True, slots=True)
class Proven:
    """What a verified proof says."""

    index: int
    checkpoint: Checkpoint
    witnesses: tuple[str, ...] = ()
    """Names of the known witnesses that cosigned the checkpoint."""


def parse_proof(data: bytes, where: str = "proof") -> TlogProof:
    """A proof, read strictly; **nothing is verified here**.

    Raises:
        EvidenceError: not exactly a proof; the message begins with `where`.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise EvidenceError(f"{where}: expected at most {MAX_PROOF_BYTES} bytes, got {len(data)}")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise EvidenceError(f"{where}: expected ASCII before the checkpoint") from None
    if first != HEADER or not blank:
        raise EvidenceError(
            f"{where}: expected {HEADER!r} as its first line and a checkpoint, got {first[:60]!r}"
        )
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0).removeprefix("extra "), where)
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None or int(found["index"]) > MAX_SIZE:
        raise EvidenceError(f"{where}: expected a line 'index N' in decimal without leading zeros")
    return TlogProof(int(found["index"]), parse_hashes(lines, where), checkpoint, extra)


def parse_hashes(lines: Sequence[str], where: str) -> tuple[bytes, ...]:
    """The hashes of an inclusion or consistency proof, a line of base64 each.

    Raises:
        EvidenceError: not that, or more than any tree has; the message begins with `where`.
    """
    if len(lines) > MAX_HASHES:
        raise EvidenceError(f"{where}: expected at most {MAX_HASHES} hashes, got {len(lines)}")
    hashes = tuple(_base64(line, where) for line in lines)
    if any(len(h) != HASH_SIZE for h in hashes):
        raise EvidenceError(f"{where}: expected hashes of {HASH_SIZE} bytes")
    return hashes


def _base64(text: str, where: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as exc:
        raise EvidenceError(f"{where}: {exc}") from None


def verify_proof(
    data: bytes,
    entry: bytes,
    verifiers: Sequence[Verifier],
    *,
    origin: str | None = None,
    witnesses: Sequence[Verifier] = (),
    threshold: int = 0,
    where: str = "proof",
) -> Proven:
    """Prove that `entry` is in the log of one of the keys `verifiers`, and that enough witnesses saw it.

    `origin`: which log it has to be. `threshold`: how many of `witnesses` have to have cosigned; each counts
    once, by its public key.

    Raises:
        EvidenceError: not exactly a proof.
        VerificationError: it does not prove that.
    """
    proof = parse_proof(data, where)
    checkpoint = verify_checkpoint(proof.checkpoint, verifiers, origin=origin, where=where)
    try:
        verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    except VerificationError as exc:
        raise VerificationError(f"{where}: {exc}", hint=exc.hint) from None
    return Proven(proof.index, checkpoint, cosigners(proof.checkpoint, witnesses, threshold, where=where))


def cosigners(
    checkpoint: bytes, witnesses: Sequence[Verifier], threshold: int = 0, *, where: str = "checkpoint"
) -> tuple[str, ...]:
    """The names of the known witnesses that cosigned.

    Raises:
        VerificationError: fewer than `threshold`, or the cosignature of one of them does not fit.
    """
    body, note = parse_checkpoint(checkpoint, where)
    signed = known_signatures(note, covering(witnesses, body.size), where)
    count = _witnesses(signed)
    if count < threshold:
        raise VerificationError(
            f"{where}: expected cosignatures of {threshold} witnesses, got {count}",
            hint="ask the witnesses again: cutover log checkpoint --witness URL",
        )
    return tuple(dict.fromkeys(v.name for v in signed))


def _witnesses(signed: Sequence[Verifier]) -> int:
    """How many these are: one key under two names is one witness, and so are two keys under one name."""
    groups: list[set[str]] = []
    for verifier in signed:
        known_by = {f"name {verifier.name}", f"key {verifier.public.keyid}"}
        same = [group for group in groups if group & known_by]
        groups = [*(group for group in groups if group not in same), known_by.union(*same)]
    return len(groups)
