"""Checkpoints: what a log says about itself at one size (C2SP tlog-checkpoint v1.0.0). No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.tlog.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from pytest_cutover.tlog.note import Note, decode_base64, encode_base64, parse_note, verify_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.tlog.note import Verifier

MAX_SIZE: Final = 2**63 - 1

_HEX = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Origin, tree size and root hash; extension lines are kept and mean nothing to us."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text of the note."""
        return "\n".join((self.origin, str(self.size), encode_base64(self.root), *self.extensions, ""))

    def to_json(self) -> dict[str, Any]:
        """Origin, size and root hash (hex), as a decision pins them."""
        return {"origin": self.origin, "size": self.size, "root": self.root.hex()}


def pinned_checkpoint(value: object, where: str) -> Checkpoint:
    """The checkpoint in what `to_json` wrote.

    Raises:
        EvidenceError: not that; the message begins with `where`.
    """
    if not isinstance(value, dict) or set(value) != {"origin", "size", "root"}:
        raise EvidenceError(f"{where}: expected origin, size and root of a checkpoint, got {value!r}"[:300])
    origin, size, root = value["origin"], value["size"], value["root"]
    if not all(isinstance(text, str) for text in (origin, root)) or type(size) is not int:
        raise EvidenceError(f"{where}: expected origin and root as text and size as a number")
    if _HEX.fullmatch(root) is None:
        raise EvidenceError(f"{where}: expected a root hash of {HASH_SIZE} bytes in lowercase hex")
    return _with_a_root(_checkpoint(origin, str(size), encode_base64(bytes.fromhex(root)), (), where), where)


def parse_text(text: str, where: str = "checkpoint") -> Checkpoint:
    """The checkpoint in the text of a note; **nothing is verified here**.

    Raises:
        EvidenceError: not exactly a checkpoint; the message begins with `where`.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise EvidenceError(f"{where}: expected origin, tree size and root hash, each a line of its own")
    origin, size, root, *extensions = lines[:-1]
    return _checkpoint(origin, size, root, tuple(extensions), where)


def _checkpoint(origin: str, size: str, root: str, extensions: tuple[str, ...], where: str) -> Checkpoint:
    if not origin or "\n" in origin:
        raise EvidenceError(f"{where}: expected an origin in one line, got {origin!r}")
    if _SIZE.fullmatch(size) is None or int(size) > MAX_SIZE:
        raise EvidenceError(
            f"{where}: expected a tree size in decimal without leading zeros, got {size[:40]!r}"
        )
    try:
        digest = decode_base64(root)
    except ValueError as exc:
        raise EvidenceError(f"{where}: root hash: {exc}") from None
    if len(digest) != HASH_SIZE:
        raise EvidenceError(f"{where}: expected a root hash of {HASH_SIZE} bytes, got {len(digest)}")
    return Checkpoint(origin, int(size), digest, extensions)


def parse_checkpoint(data: bytes, where: str = "checkpoint") -> tuple[Checkpoint, Note]:
    """A signed checkpoint and its note; **nothing is verified here**.

    Raises:
        EvidenceError: not exactly a note, or not of a checkpoint.
    """
    note = parse_note(data, where)
    return parse_text(note.text, where), note


def verify_checkpoint(
    data: bytes, verifiers: Sequence[Verifier], *, origin: str | None = None, where: str = "checkpoint"
) -> Checkpoint:
    """A checkpoint that one of the known keys of its log signed.

    A key counts under the name that is the origin of the checkpoint; `origin`: which log it has to be.

    Raises:
        EvidenceError: not exactly a checkpoint.
        VerificationError: it is of another log, or no known key of the log signed it.
    """
    checkpoint, note = parse_checkpoint(data, where)
    if origin is not None and checkpoint.origin != origin:
        raise VerificationError(f"{where}: expected a checkpoint of {origin}, got one of {checkpoint.origin}")
    # A key of another log, known here too, must not speak for this one.
    verify_note(note, [v for v in covering(verifiers, checkpoint.size) if v.name == checkpoint.origin], where)
    return _with_a_root(checkpoint, where)


def _with_a_root(checkpoint: Checkpoint, where: str) -> Checkpoint:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise VerificationError(f"{where}: a tree of size 0 has one root hash only, and this is another")
    return checkpoint


def verify_extends(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Prove that the log of one checkpoint goes on to the other; from an empty log with an empty proof.

    Raises:
        VerificationError: it does not follow.
    """
    if old.origin != new.origin:
        raise VerificationError(f"expected a checkpoint of {old.origin}, got one of {new.origin}")
    if old.size or not new.size:
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    elif proof or old.root != EMPTY_ROOT:
        raise VerificationError("expected the root hash of the empty tree, and a proof without hashes")


def covering(verifiers: Sequence[Verifier], size: int) -> tuple[Verifier, ...]:
    """The keys that may sign a checkpoint of that tree size: a rotated one none of later."""
    return tuple(v for v in verifiers if v.max_size is None or size <= v.max_size)
