"""DSSE envelopes (DSSE v1.0.2): signing, a byte-exact reader for ours, a lenient one for others'.

Our form is one line: compact JSON, keys in one order, standard base64 with padding. The reader accepts
only the bytes the writer would have written, so no bit of an envelope can change unnoticed.
Both readers return **unverified** payloads; `verify_strict` and `verify_foreign` make them trustworthy.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.model import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

STATEMENT_TYPE = "application/vnd.in-toto+json"
POLICY_TYPE = "application/vnd.pytest-cutover.policy+json"

MAX_SIGNATURES = 64
"""Signers of one envelope; each costs a signature check, and nobody has more."""

_STANDARD = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class EnvelopeSigner(Protocol):
    """What signing needs of a key."""

    @property
    def keyid(self) -> str:
        """SHA-256 of the public key's SPKI DER, lowercase hex."""

    def sign(self, message: bytes) -> bytes:
        """The raw signature over `message`."""


class EnvelopeVerifier(Protocol):
    """What checking a signature needs of a key."""

    @property
    def keyid(self) -> str:
        """SHA-256 of the public key's SPKI DER, lowercase hex."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed `message`."""


_Key = TypeVar("_Key", bound=EnvelopeVerifier)


class Signature(NamedTuple):
    """One signature; `keyid` is the hint that came with it, not what was proven."""

    keyid: str | None
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope. Nothing in it is believed before a signature was checked."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def message(self) -> bytes:
        """What its signatures sign."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding of a DSSE payload.

    Both lengths count bytes, not characters: DSSE v1.0.2, protocol.md.
    """
    kind = payload_type.encode("utf-8", "surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(
    payload: bytes, payload_type: str, signer: EnvelopeSigner | Sequence[EnvelopeSigner]
) -> bytes:
    """The canonical line, without its newline, of an envelope over `payload`; several signers sign the same."""
    signers = signer if isinstance(signer, Sequence) else (signer,)
    if not signers:
        raise ValueError("an envelope needs a signer")
    message = pae(payload_type, payload)
    signatures = tuple(Signature(s.keyid, s.sign(message)) for s in signers)
    return format_envelope(Envelope(payload_type, payload, signatures))


def add_signature(envelope: Envelope, signer: EnvelopeSigner) -> Envelope:
    """The envelope with one more signature.

    Raises:
        EvidenceError: it carries one of this key already, or as many as an envelope may.
    """
    if any(s.keyid == signer.keyid for s in envelope.signatures):
        raise EvidenceError(f"it carries a signature of key {_short_id(signer.keyid)} already")
    if len(envelope.signatures) >= MAX_SIGNATURES:
        raise EvidenceError(f"it carries {MAX_SIGNATURES} signatures already, which is the most there may be")
    added = Signature(signer.keyid, signer.sign(envelope.message()))
    return Envelope(envelope.payload_type, envelope.payload, (*envelope.signatures, added))


def format_envelope(envelope: Envelope) -> bytes:
    """The one canonical line for `envelope`, without a newline; a missing keyid stays missing."""
    signatures = []
    for signature in envelope.signatures:
        hint = "" if signature.keyid is None else f'"keyid":{json.dumps(signature.keyid)},'
        signatures.append(f'{{{hint}"sig":"{_b64(signature.sig)}"}}')
    return (
        f'{{"payload":"{_b64(envelope.payload)}","payloadType":{json.dumps(envelope.payload_type)},'
        f'"signatures":[{",".join(signatures)}]}}'
    ).encode("ascii")


def envelope_digest(line: bytes) -> str:
    """SHA-256, lowercase hex, of a canonical line without its newline: how statements name envelopes."""
    return hashlib.sha256(line).hexdigest()


def read_envelope(line: bytes) -> Envelope:
    """An envelope in our own form, byte for byte; `line` comes without its newline.

    Raises:
        EvidenceError: anything `format_envelope` would not have written.
    """
    envelope = _parse(line, {"payload", "payloadType", "signatures"}, {"keyid", "sig"}, _decode_standard)
    if format_envelope(envelope) != line:
        raise EvidenceError("the envelope is not in canonical form: one line, compact JSON, padded base64")
    return envelope


def read_foreign_envelope(data: bytes) -> Envelope:
    """An envelope somebody else wrote: white space, unknown fields and URL-safe base64 are fine.

    Duplicate keys and base64 of both alphabets at once are not: two readers would see two things.

    Raises:
        EvidenceError: not a DSSE envelope.
    """
    return _parse(data, None, None, _decode_either)


def verify_strict(envelope: Envelope, keys: Iterable[_Key]) -> tuple[_Key, ...]:
    """The keys that signed, all of them: every signature names its key and every one holds.

    Raises:
        VerificationError: a signature without or with an unknown keyid, a wrong one, or a key used twice.
    """
    by_id = {key.keyid: key for key in keys}
    message = envelope.message()
    signed: dict[str, _Key] = {}
    for signature in envelope.signatures:
        key = by_id.get(signature.keyid or "")
        if key is None:
            raise VerificationError(f"no trusted key has the id {_short_id(signature.keyid)}")
        if key.keyid in signed:
            raise VerificationError(f"key {_short_id(key.keyid)} signed twice")
        if not key.verify(message, signature.sig):
            raise VerificationError(
                f"the signature is not one of key {_short_id(key.keyid)} over this payload"
            )
        signed[key.keyid] = key
    return tuple(signed.values())


def verify_foreign(envelope: Envelope, keys: Iterable[_Key], *, threshold: int = 1) -> tuple[_Key, ...]:
    """The keys that signed, each once; signatures of unknown keys are ignored, key ids are hints.

    Raises:
        VerificationError: fewer than `threshold` different keys signed.
        ValueError: a threshold under 1 would accept everything.
    """
    if threshold < 1:
        raise ValueError(f"a threshold is at least 1, got {threshold}")
    message = envelope.message()
    known = {key.keyid: key for key in keys}
    signed: dict[str, _Key] = {}
    for signature in envelope.signatures:
        hinted = known.get(signature.keyid or "")
        for key in [hinted] if hinted is not None else known.values():
            if key.keyid not in signed and key.verify(message, signature.sig):
                signed[key.keyid] = key
                break
    if len(signed) < threshold:
        raise VerificationError(
            f"expected signatures of {counted(threshold, 'trusted key')}, got {len(signed)} "
            f"({counted(len(envelope.signatures), 'signature')}, {counted(len(known), 'key')} may sign this)"
        )
    return tuple(signed.values())


def _parse(data: bytes, keys: set[str] | None, signature_keys: set[str] | None, decode: Any) -> Envelope:
    try:
        document = strictjson.loads(data)
    except ValueError as exc:
        raise EvidenceError(f"expected an envelope in JSON: {exc}") from None
    if not isinstance(document, dict):
        raise EvidenceError(f"expected an envelope, got {type(document).__name__}")
    if keys is not None and set(document) != keys:
        raise EvidenceError(f"expected the keys payload, payloadType and signatures, got {_names(document)}")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise EvidenceError(f"expected a list of 1 to {MAX_SIGNATURES} signatures")
    return Envelope(
        _text(document.get("payloadType"), "payloadType"),
        decode(_text(document.get("payload"), "payload"), "payload"),
        tuple(_signature(s, signature_keys, decode) for s in signatures),
    )


def _signature(value: object, keys: set[str] | None, decode: Any) -> Signature:
    if not isinstance(value, dict) or (keys is not None and not set(value) <= keys):
        raise EvidenceError("expected a signature with keyid and sig")
    keyid = value.get("keyid")
    if keyid is not None and not isinstance(keyid, str):
        raise EvidenceError("expected keyid to be a text")
    return Signature(keyid, decode(_text(value.get("sig"), "sig"), "sig"))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise EvidenceError(f"expected {name} to be a text, got {type(value).__name__}")
    return value


def _decode_standard(text: str, name: str) -> bytes:
    return _decode(text, name, _STANDARD)


def _decode_either(text: str, name: str) -> bytes:
    if _URL_SAFE.fullmatch(text):
        text = text.replace("-", "+").replace("_", "/")
    return _decode(text, name, _STANDARD)


def _decode(text: str, name: str, alphabet: re.Pattern[str]) -> bytes:
    if len(text) % 4 or not alphabet.fullmatch(text):
        raise EvidenceError(f"{name} is not padded base64")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise EvidenceError(f"{name} is not padded base64") from None


def _b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _short_id(keyid: str | None) -> str:
    if keyid is None:
        return "(none given)"
    return ascii(keyid)[1:-1] if len(keyid) <= 16 else f"{ascii(keyid[:16])[1:-1]}…"


def _names(document: dict[str, Any]) -> str:
    return ascii(sorted(document))[:200]
