"""Cosignatures: a witness saw this checkpoint, consistent with all it saw before (C2SP tlog-cosignature, v1). No I/O.

Ed25519 with signature type 0x04. The signed message does not hold the witness's name: a key is one witness, whatever it is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_cutover.tlog.note import COSIGNATURE_V1, NoteSignature, Verifier, public_of

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.tlog.note import RawSigner

_TIME_SIZE: Final = 8
_MAX_TIME: Final = 2**63 - 1


def cosigned_message(text: str, timestamp: int) -> bytes:
    """What a witness signs: a header, the POSIX time, and the whole text of the checkpoint."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


class CosignatureVerifier(Verifier):
    """A witness's key; **the time in its signatures is a claim of the witness**."""

    __slots__ = ()
    kind = COSIGNATURE_V1

    def verify(self, text: str, signature: bytes) -> bool:
        timestamp = int.from_bytes(signature[:_TIME_SIZE], "big")
        # A time of 0 would say nothing of when; the witness protocol forbids it.
        if not 0 < timestamp <= _MAX_TIME:
            return False
        return self.public.verify(cosigned_message(text, timestamp), signature[_TIME_SIZE:])


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """Cosigns under a name with a private Ed25519 key, which must be no other witness's.

    Raises:
        ConfigError: a key of another kind, or a name that no signature line can carry.
    """

    name: str
    signer: RawSigner
    verifier: CosignatureVerifier = field(init=False)

    def __post_init__(self) -> None:
        public = public_of(self.signer, self.name)
        object.__setattr__(self, "verifier", CosignatureVerifier(self.name, public))

    def sign(self, text: str, at: datetime) -> NoteSignature:
        """The cosignature of a checkpoint with that text, as of a time, in whole seconds."""
        timestamp = int(at.timestamp())
        signature = self.signer.sign(cosigned_message(text, timestamp))
        stamped = timestamp.to_bytes(_TIME_SIZE, "big") + signature
        return NoteSignature(self.name, self.verifier.key_id, stamped)
