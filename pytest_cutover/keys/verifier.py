"""Public keys: Ed25519 (RFC 8032) and ECDSA P-256 with SHA-256, known by the SHA-256 of their SPKI.

Read by hand and not with cryptography's `serialization`, which costs three times the start-up of
`cutover verify`; both kinds have exactly one DER form here (fixed prefix, uncompressed point), so two
spellings of one key, and with them two key ids, cannot exist.
"""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass
from enum import Enum

from pytest_cutover.errors import ConfigError

_BEGIN = "-----BEGIN PUBLIC KEY-----"
_END = "-----END PUBLIC KEY-----"

# SubjectPublicKeyInfo up to the key itself: RFC 8410 section 4 and RFC 5480 section 2.1.1.1.
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_ED25519_LENGTH = 32
_P256_LENGTH = 65

# The field and the coefficient of P-256: NIST SP 800-186 section 3.2.1.3.
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

_RSA_OID = bytes.fromhex("06092a864886f70d0101")
_EC_OID = bytes.fromhex("06072a8648ce3d0201")

_ACCEPTED = "Ed25519 and ECDSA P-256 keys are accepted: cutover keys new PATH makes one"


class KeyKind(Enum):
    """The signature schemes this project signs and verifies with."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"  # SHA-256, signature in DER


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that can verify; `spki` is its only DER form."""

    kind: KeyKind
    spki: bytes

    @property
    def keyid(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in DER, lowercase hex."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def raw(self) -> bytes:
        """The key without what says its kind: 32 bytes of Ed25519, or the uncompressed point of P-256."""
        return self.spki[len(_ED25519_PREFIX if self.kind is KeyKind.ED25519 else _P256_PREFIX) :]

    def pem(self) -> str:
        """The key as PEM, lines of 64 characters, newline at the end."""
        text = binascii.b2a_base64(self.spki, newline=False).decode("ascii")
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return "\n".join((_BEGIN, *lines, _END, ""))

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` was made with this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            if self.kind is KeyKind.ED25519:
                self._verify_ed25519(message, signature)
            else:
                self._verify_p256(message, signature)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _verify_ed25519(self, message: bytes, signature: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        Ed25519PublicKey.from_public_bytes(self.spki[len(_ED25519_PREFIX) :]).verify(signature, message)

    def _verify_p256(self, message: bytes, signature: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        point = self.spki[len(_P256_PREFIX) :]
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        key.verify(signature, message, ec.ECDSA(SHA256()))


def ed25519_key(raw: bytes) -> PublicKey:
    """The Ed25519 key of 32 bytes.

    Raises:
        ValueError: it is not that long.
    """
    if len(raw) != _ED25519_LENGTH:
        raise ValueError(f"expected {_ED25519_LENGTH} bytes of an Ed25519 key, got {len(raw)}")
    return PublicKey(KeyKind.ED25519, _ED25519_PREFIX + raw)


def p256_key(point: bytes, *, where: str) -> PublicKey:
    """The P-256 key of an uncompressed point.

    Raises:
        ConfigError: it is none of the curve; `where` begins the message.
    """
    if len(point) != _P256_LENGTH:
        raise ConfigError(f"{where}: expected {_P256_LENGTH} bytes of a point on P-256, got {len(point)}")
    return _on_curve(PublicKey(KeyKind.ECDSA_P256, _P256_PREFIX + point), where)


def load_public_key(pem: str, *, where: str) -> PublicKey:
    """The one public key in `pem`.

    Raises:
        ConfigError: not one PEM block, or not an Ed25519 or P-256 key; `where` begins the message.
    """
    der = _pem_body(pem, where)
    if der.startswith(_ED25519_PREFIX) and len(der) == len(_ED25519_PREFIX) + _ED25519_LENGTH:
        return PublicKey(KeyKind.ED25519, der)
    if der.startswith(_P256_PREFIX) and len(der) == len(_P256_PREFIX) + _P256_LENGTH:
        return _on_curve(PublicKey(KeyKind.ECDSA_P256, der), where)
    raise ConfigError(
        f"{where}: expected an Ed25519 or ECDSA P-256 public key, got {_family(der)}", hint=_ACCEPTED
    )


def _on_curve(key: PublicKey, where: str) -> PublicKey:
    """The key, whose point satisfies the curve's equation: checked here so that a bad trust file says so."""
    point = key.spki[len(_P256_PREFIX) :]
    x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
    if point[0] != 4 or x >= _P or y >= _P or (y * y - (x * x * x - 3 * x + _B)) % _P:
        raise ConfigError(
            f"{where}: expected a point on the curve P-256, got one that is not",
            hint="the key is damaged: copy it again",
        )
    return key


def _family(der: bytes) -> str:
    if _RSA_OID in der:
        return "an RSA key"
    if _EC_OID in der:
        return "an EC key on another curve, or a compressed point"
    return "something else"


def _pem_body(pem: str, where: str) -> bytes:
    if "PRIVATE KEY" in pem:
        raise ConfigError(
            f"{where}: expected a public key, got a private one",
            hint="remove it from this file, treat it as leaked, and use the .pub.pem beside it",
        )
    lines = [line.strip() for line in pem.strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ConfigError(
            f"{where}: expected PEM from {_BEGIN!r} to {_END!r}, got {_opening(lines)}", hint=_ACCEPTED
        )
    try:
        return binascii.a2b_base64("".join(lines[1:-1]).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ConfigError(f"{where}: the PEM text is not base64", hint="copy the whole file again") from None


def _opening(lines: list[str]) -> str:
    if not lines or not lines[0]:
        return "nothing"
    return repr(lines[0]) if lines[0].startswith("-----BEGIN") else "text without that frame"
