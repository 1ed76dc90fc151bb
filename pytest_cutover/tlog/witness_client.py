"""Asking witnesses to cosign a checkpoint (C2SP tlog-witness, add-checkpoint). How requests are sent is the caller's."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError, EvidenceError, VerificationError
from pytest_cutover.objects.protocol import ObjectConflictError
from pytest_cutover.tlog.checkpoint import covering, parse_checkpoint
from pytest_cutover.tlog.note import Note, parse_note, verify_note
from pytest_cutover.tlog.proof import cosigners
from pytest_cutover.tlog.witness import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_cutover.tlog.checkpoint import Checkpoint
    from pytest_cutover.tlog.cosignature import CosignatureVerifier
    from pytest_cutover.tlog.log import Log

    Post = Callable[[str, bytes], tuple[int, bytes]]
    """Sends a body to a URL and gives back status and body; raises AdapterError when there is no answer."""

_ROUNDS = 5
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


def cosign(log: Log, urls: Sequence[str], known: Sequence[CosignatureVerifier], post: Post) -> bytes:
    """The checkpoint in force with the cosignatures of the witnesses at `urls`, which the log then keeps.

    Raises:
        AdapterError: a witness does not answer, or refuses: what it says is in the message.
        EvidenceError: it answers with no cosignature of a known witness, or the log has grown meanwhile.
    """
    checkpoint, signed = log.signed_checkpoint()
    for url in urls:
        signed = _added(signed, _ask(log, url, checkpoint, signed, known, post))
    return log.add_cosignatures(signed)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """The addresses of witnesses, the keys that count as witnesses', and how many of them have to cosign."""

    urls: tuple[str, ...]
    known: tuple[CosignatureVerifier, ...]
    wanted: int
    post: Post

    def cosigned(self, log: Log) -> bytes:
        """The newest checkpoint with the cosignatures of those who give one; the log keeps them, too.

        A witness that has seen a newer checkpoint refuses an older one: while the log grows, all are asked again.

        Raises:
            CutoverError: fewer cosigned than wanted; the message says why each did not.
        """
        for _ in range(_ROUNDS):
            checkpoint, signed = log.signed_checkpoint()
            refusals: list[str] = []
            for url in self.urls:
                try:
                    signed = _added(signed, _ask(log, url, checkpoint, signed, self.known, self.post))
                except (AdapterError, EvidenceError) as exc:
                    refusals.append(str(exc))
            with suppress(ObjectConflictError):
                log.add_cosignatures(signed)
            try:
                cosigners(signed, self.known, self.wanted)
            except VerificationError as exc:
                why = "; ".join([str(exc), *refusals])
                if log.checkpoint() == checkpoint:
                    break
            else:
                return signed
        raise VerificationError(
            why, hint="a release waits for its witnesses: are they running, and trusted as such?"
        )


def _added(signed: bytes, new: Note) -> bytes:
    """A signed checkpoint with further signatures; the newer one of a key stays."""
    note = parse_note(signed)
    added = {(s.name, s.key_id) for s in new.signatures}
    kept = tuple(s for s in note.signatures if (s.name, s.key_id) not in added)
    return Note(note.text, (*kept, *new.signatures)).to_bytes()


def _ask(
    log: Log,
    url: str,
    checkpoint: Checkpoint,
    signed: bytes,
    known: Sequence[CosignatureVerifier],
    post: Post,
) -> Note:
    """The cosignatures of one witness; what it knows of the log it is asked first, with an old size of 0."""
    where = f"{url.rstrip('/')}/add-checkpoint"
    status, body = post(where, Request(0, (), signed).to_bytes())
    if status == 409:
        found = _SIZE.fullmatch(body)
        old = -1 if found is None else int(found[1])
        if not 0 <= old <= checkpoint.size:
            raise EvidenceError(
                f"{url}: expected a log of at least {old} entries, got {checkpoint.size}: the witness has seen more",
                hint="were the newest entries dropped, or an older copy put in place?",
            )
        proof = tuple(log.consistency_proof(old, checkpoint))
        status, body = post(where, Request(old, proof, signed).to_bytes())
    if status != 200:
        said = body.decode("utf-8", "replace").strip()[:300]
        raise AdapterError(f"{url}: the witness refuses ({status}): {said}", hint="its answer says why")
    _, note = parse_checkpoint(signed)
    answer = parse_note(f"{note.text}\n".encode() + body, url)
    if answer.text != note.text:
        raise EvidenceError(f"{url}: expected signature lines, got something else")
    signers = {(v.name, v.key_id) for v in verify_note(answer, covering(known, checkpoint.size), url)}
    return Note(note.text, tuple(s for s in answer.signatures if (s.name, s.key_id) in signers))
