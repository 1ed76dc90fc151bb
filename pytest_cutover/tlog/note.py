"""Signed notes: text, a blank line, signature lines (C2SP signed-note v1.0.0). Keys are Ed25519. No I/O."""

from __future__ import annotations

import binascii
import hashlib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from pytest_cutover.errors import ConfigError, EvidenceError, VerificationError
from pytest_cutover.keys.verifier import KeyKind, PublicKey, ed25519_key, load_public_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ED25519: Final = 0x01
"""Signature type of an Ed25519 signature over the note's text."""

COSIGNATURE_V1: Final = 0x04
"""Signature type of a timestamped Ed25519 cosignature: C2SP tlog-cosignature."""

MAX_NOTE_BYTES: Final = 262_144
"""Sixteen post-quantum signatures of 5 kB, which every reader has to take, are a third of it."""

MAX_SIGNATURES: Final = 64

_KEY_ID_SIZE = 4
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")
_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: whose it claims to be, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line with its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read; **the text means nothing until `verify_note` returned**."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        return f"{self.text}\n{''.join(s.line() for s in self.signatures)}".encode()


@dataclass(frozen=True, slots=True)
class Verifier(ABC):
    """A known Ed25519 key under the name it has in notes; each kind says what its signatures cover.

    Raises:
        ConfigError: a key of another kind, or a name that no signature line can carry.
    """

    kind: ClassVar[int]
    """Signature type."""

    name: str
    public: PublicKey
    max_size: int | None = None
    """The largest tree whose checkpoint it may sign: the log's size when the key was rotated."""

    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        check_note_key(self.public, self.name)
        object.__setattr__(self, "key_id", _key_id(self.name, self.kind, self.public))

    def vkey(self) -> str:
        """`name+hex(key id)+base64(type ‖ public key)`: the text by which it is handed on."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.kind]) + self.public.raw)}"

    @abstractmethod
    def verify(self, text: str, signature: bytes) -> bool:
        """Whether the bytes after the key id are this key's signature of a note with that text."""


class RawSigner(Protocol):
    """What a note is signed with: a private Ed25519 key, such as `keys.signer.PemSigner`."""

    def sign(self, message: bytes) -> bytes: ...

    def public_pem(self) -> bytes: ...


class NoteVerifier(Verifier):
    """A key that signs the text of notes, such as a log's its checkpoints."""

    __slots__ = ()
    kind = ED25519

    def verify(self, text: str, signature: bytes) -> bool:
        return self.public.verify(text.encode(), signature)


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs notes under a name with a private Ed25519 key.

    Raises:
        ConfigError: a key of another kind, or a name that no signature line can carry.
    """

    name: str
    signer: RawSigner
    verifier: NoteVerifier = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verifier", NoteVerifier(self.name, public_of(self.signer, self.name)))

    def sign(self, text: str) -> NoteSignature:
        """The signature of a note with that text."""
        return NoteSignature(self.name, self.verifier.key_id, self.signer.sign(text.encode()))


def public_of(signer: RawSigner, where: str) -> PublicKey:
    """The public half of a signer."""
    return load_public_key(signer.public_pem().decode("ascii"), where=where)


def _key_id(name: str, kind: int, public: PublicKey) -> bytes:
    """SHA-256(name ‖ newline ‖ signature type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public.raw).digest()[:_KEY_ID_SIZE]


def parse_vkey(text: str, where: str = "verifier key") -> tuple[str, int, PublicKey]:
    """Name, signature type and key of a verifier key.

    Raises:
        ConfigError: not of that form, of a type that is not Ed25519's, or its key id is not its own.
    """
    form = "name+hex8+base64, e.g. example.com/foo+530d903a+AekyeRrm…"
    found = _VKEY.fullmatch(text)
    if found is None:
        raise ConfigError(f"{where}: expected a verifier key {form}, got {text[:80]!r}")
    try:
        material = decode_base64(found["key"])
    except ValueError as exc:
        raise ConfigError(f"{where}: {exc}", hint=f"a verifier key is {form}") from None
    if len(material) != 33 or material[0] not in (ED25519, COSIGNATURE_V1):
        raise ConfigError(
            f"{where}: expected an Ed25519 key (type 01 or 04, 32 bytes), got type {material[:1].hex()} with "
            f"{len(material) - 1} bytes"
        )
    name, kind, public = found["name"], material[0], ed25519_key(material[1:])
    own_id = _key_id(name, kind, public).hex()
    if own_id != found["id"]:
        raise ConfigError(
            f"{where}: expected the key id {own_id}, got {found['id']}",
            hint="name or key were changed: copy the whole text again",
        )
    return name, kind, public


def parse_note(data: bytes, where: str = "note") -> Note:
    """A note, read strictly: **nothing is verified here**.

    Raises:
        EvidenceError: not exactly a note; the message begins with `where`.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise EvidenceError(f"{where}: expected at most {MAX_NOTE_BYTES} bytes, got {len(data)}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise EvidenceError(f"{where}: expected UTF-8") from None
    if _CONTROL.search(whole):
        raise EvidenceError(f"{where}: a note may not hold control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise EvidenceError(
            f"{where}: expected text, a blank line and signature lines, each ending in a newline"
        )
    signatures = tuple(_signature(line, where) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise EvidenceError(f"{where}: expected at most {MAX_SIGNATURES} signatures, got {len(signatures)}")
    return Note(f"{text}\n", signatures)


def _signature(line: str, where: str) -> NoteSignature:
    found = _LINE.fullmatch(line)
    if found is None:
        raise EvidenceError(f"{where}: expected a signature line '— NAME BASE64', got {line[:80]!r}")
    try:
        signature = decode_base64(found["signature"])
    except ValueError as exc:
        raise EvidenceError(f"{where}: signature of {found['name']}: {exc}") from None
    if len(signature) <= _KEY_ID_SIZE:
        raise EvidenceError(f"{where}: signature of {found['name']}: it is too short")
    return NoteSignature(found["name"], signature[:_KEY_ID_SIZE], signature[_KEY_ID_SIZE:])


def verify_note(note: Note, verifiers: Iterable[Verifier], where: str = "note") -> tuple[Verifier, ...]:
    """The known keys that signed the note; signatures of others are ignored.

    Raises:
        VerificationError: a known key's signature does not fit, or no known key signed.
    """
    signed = known_signatures(note, verifiers, where)
    if not signed:
        names = ", ".join(s.name for s in note.signatures)
        raise VerificationError(
            f"{where}: expected the signature of a known key, got signatures of {names}",
            hint="is the key, with this name, in the trust file?",
        )
    return signed


def known_signatures(note: Note, verifiers: Iterable[Verifier], where: str = "note") -> tuple[Verifier, ...]:
    """Those of the known keys that signed; none when none did.

    Raises:
        VerificationError: a known key's signature does not fit.
    """
    known = {(v.name, v.key_id): v for v in verifiers}
    signed: dict[tuple[str, bytes], Verifier] = {}
    for signature in note.signatures:
        name = (signature.name, signature.key_id)
        verifier = known.get(name)
        if verifier is None:
            continue
        if not verifier.verify(note.text, signature.signature):
            raise VerificationError(f"{where}: the signature of {signature.name} does not fit the text")
        signed[name] = verifier
    return tuple(signed.values())


def sign_note(text: str, signers: Sequence[NoteSigner]) -> Note:
    """A note of that text.

    Raises:
        EvidenceError: the text cannot be that of a note.
    """
    note = Note(text, tuple(signer.sign(text) for signer in signers))
    if parse_note(note.to_bytes()) != note:
        raise EvidenceError("expected the text of a note to end in a newline, without another after it")
    return note


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding: RFC 4648 section 4."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str) -> bytes:
    """The inverse of `encode_base64`, and of nothing else.

    Raises:
        ValueError: not standard base64, or not its only spelling.
    """
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"expected standard base64, got {text[:60]!r}") from None
    # Bits after the last byte are free in base64: two texts would mean the same.
    if encode_base64(data) != text:
        raise ValueError(f"expected base64 in its only spelling, got {text[:60]!r}")
    return data


def _check_name(name: str) -> None:
    """Refuse a name that no signature line can carry."""
    if not name or re.search(r"[\s+\x00-\x1f]", name):
        raise ConfigError(f"expected a key name without spaces and plus signs, got {name!r}")


def check_note_key(public: PublicKey, where: str) -> None:
    """Refuse a key that is not Ed25519.

    Raises:
        ConfigError: it is not; `where` begins the message.
    """
    if public.kind is not KeyKind.ED25519:
        raise ConfigError(
            f"{where}: expected an Ed25519 key to sign notes with, got {public.kind.value}",
            hint="make one: cutover keys new PATH",
        )
