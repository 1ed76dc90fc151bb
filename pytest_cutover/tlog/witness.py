"""A witness: cosigns checkpoints of logs it knows, each consistent with the last it cosigned (C2SP tlog-witness).

What it cosigned last is kept in an ObjectStore, `<SHA-256 of the origin>/checkpoint`, before anybody gets the cosignature. It
refuses forks and rollbacks; no HTTP here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.objects.protocol import ABSENT, ObjectMissingError
from pytest_cutover.tlog.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    covering,
    parse_checkpoint,
    verify_extends,
)
from pytest_cutover.tlog.merkle import EMPTY_ROOT
from pytest_cutover.tlog.note import MAX_NOTE_BYTES, Note, encode_base64, verify_note
from pytest_cutover.tlog.proof import parse_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.tlog.cosignature import CosignatureSigner
    from pytest_cutover.tlog.note import NoteVerifier

MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES + 8192

TEXT: Final = "text/plain; charset=utf-8"
SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of an answer that says which size the witness knows."""

_OLD = re.compile(r"old (?P<size>0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Request:
    """The body of add-checkpoint: from which size, the consistency proof, the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    signed: bytes

    def to_bytes(self) -> bytes:
        lines = [f"old {self.old}", *map(encode_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.signed


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and body."""

    status: int
    body: bytes
    media_type: str = TEXT


def parse_request(data: bytes) -> Request:
    """The body of add-checkpoint, read strictly.

    Raises:
        EvidenceError: not exactly that.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise EvidenceError(f"expected at most {MAX_REQUEST_BYTES} bytes")
    head, blank, signed = data.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    found = _OLD.fullmatch(first)
    if found is None or not blank or int(found["size"]) > MAX_SIZE:
        raise EvidenceError("expected a line 'old N', proof lines, an empty line and a checkpoint")
    return Request(int(found["size"]), parse_hashes(lines, "consistency proof"), signed)


class Witness:
    """One witness; several processes may share its store."""

    def __init__(
        self,
        objects: ObjectStore,
        signer: CosignatureSigner,
        logs: Sequence[NoteVerifier],
        now: Callable[[], datetime],
    ) -> None:
        self._objects, self._signer, self._logs, self._now = objects, signer, tuple(logs), now

    @property
    def vkey(self) -> str:
        """The key that cosigns, as others are configured with it."""
        return self._signer.verifier.vkey()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Cosign a checkpoint, or say why not.

        Raises:
            StoreUnavailableError: it cannot be remembered; then there is no cosignature.
            EvidenceError: what was remembered is not what this witness wrote.
        """
        try:
            request = parse_request(body)
            new, note = parse_checkpoint(request.signed)
        except EvidenceError as exc:
            return _refused(400, exc)
        keys = [key for key in self._logs if key.name == new.origin]
        if not keys:
            return _refused(404, f"this witness does not know the log {new.origin}")
        try:
            signed_by = verify_note(note, covering(keys, new.size))
        except VerificationError as exc:
            return _refused(403, exc)
        if request.old > new.size:
            return _refused(400, f"expected an old size of at most {new.size}, got {request.old}")
        known = {(key.name, key.key_id) for key in signed_by}
        own = Note(note.text, tuple(s for s in note.signatures if (s.name, s.key_id) in known))
        return self._extend(request, new, own)

    def _extend(self, request: Request, new: Checkpoint, note: Note) -> Answer:
        """Compare with what was cosigned last and remember the new one, in one step."""
        key = _key(new.origin)
        with self._objects.exclusive(key.partition("/")[0]):
            last, tag = self._last(key, new.origin)
            if request.old != last.size:
                return Answer(409, f"{last.size}\n".encode(), SIZE_TYPE)
            try:
                verify_extends(last, new, request.proof)
            except VerificationError as exc:
                return _refused(422, exc)
            cosignature = self._signer.sign(note.text, self._now())
            kept = Note(note.text, (*note.signatures, cosignature))
            self._objects.write(key, kept.to_bytes(), expected=ABSENT if tag is None else tag)
        return Answer(200, cosignature.line().encode())

    def _last(self, key: str, origin: str) -> tuple[Checkpoint, str | None]:
        """What was cosigned last: it carries this witness's own signature, else it is not believed."""
        try:
            data, held = self._objects.read(key)
        except ObjectMissingError:
            return Checkpoint(origin, 0, EMPTY_ROOT), None
        where = f"{self._objects.where}/{key}"
        checkpoint, note = parse_checkpoint(data, where)
        verify_note(note, [self._signer.verifier], where)
        if checkpoint.origin != origin:
            raise VerificationError(
                f"{where}: expected a checkpoint of {origin}, got one of {checkpoint.origin}"
            )
        return checkpoint, held.tag

    def latest(self, origin_hash: str) -> bytes | None:
        """The checkpoint last cosigned of the log whose origin has that SHA-256 (hex); None: there is none."""
        if re.fullmatch(r"[0-9a-f]{64}", origin_hash) is None:
            return None
        try:
            return self._objects.read(f"{origin_hash}/checkpoint")[0]
        except ObjectMissingError:
            return None


def _key(origin: str) -> str:
    return f"{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


def _refused(status: int, why: object) -> Answer:
    return Answer(status, f"{why}\n".encode())
