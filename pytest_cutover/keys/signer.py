"""Private keys: where they are looked for, and signing with them.

Nothing here prints, logs or puts into an error what a key file or variable holds.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.files import write_atomic, write_new
from pytest_cutover.keys.verifier import KeyKind, PublicKey, load_public_key
from pytest_cutover.model import SignerKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KMS_VARIABLE = "CUTOVER_KEY_KMS"
SSM_VARIABLE = "CUTOVER_KEY_SSM"
PEM_VARIABLE = "CUTOVER_KEY_PEM"
KEY_VARIABLE = "CUTOVER_KEY"
VARIABLES = (KMS_VARIABLE, SSM_VARIABLE, PEM_VARIABLE, KEY_VARIABLE)
"""What says which key signs, the first that is set: KMS or SSM, then the environment itself, then a file."""

NO_KEY = "none"
"""The word that asks for unsigned evidence."""

DEVELOPMENT_KEY = Path("var/cutover/keys/development.pem")
"""Below the root folder; git ignores `var/`."""

MAX_KEY_BYTES = 65_536
"""A PEM key is under 1 kB; more is another file."""

_ATTEMPTS = 20
"""Rotations that one signature may meet; more is a loop somewhere."""

_MAKE_ONE = "make a key with: cutover keys new PATH"

_Signed = TypeVar("_Signed")
_Logged = TypeVar("_Logged")
_Key = TypeVar("_Key")


class Signer(Protocol):
    """Something that holds a private key, here or elsewhere, and signs with it.

    `sign` returns the raw signature over `message` (Ed25519: 64 bytes, ECDSA: DER); it may be called
    from several threads and need not give the same bytes twice.
    """

    @property
    def keyid(self) -> str:
        """SHA-256 of the public key's SPKI DER, lowercase hex."""

    @property
    def kind(self) -> SignerKind:
        """Whether a person configured this key or this machine made it up."""

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`."""

    def public_pem(self) -> bytes:
        """The public key, PEM."""


@dataclass(frozen=True, slots=True, repr=False)
class PemSigner:
    """A private key that was read from PEM text into this process."""

    public: PublicKey
    kind: SignerKind
    _private: Any  # Ed25519PrivateKey | EllipticCurvePrivateKey, whose import is not free
    ring: Path | None = None  # the key ring that it was the active key of when it was read

    @property
    def keyid(self) -> str:
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        if self.public.kind is KeyKind.ED25519:
            return bytes(self._private.sign(message))
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return bytes(self._private.sign(message, ec.ECDSA(SHA256())))

    def public_pem(self) -> bytes:
        return self.public.pem().encode("ascii")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.public.kind.value} {self.keyid[:16]}>"


def load_signer(
    environ: Mapping[str, str], rootdir: Path, *, option: str | None, say: Callable[[str], None]
) -> Signer | None:
    """The key this run signs with; None when it was switched off or its variable is empty.

    Order: `option`, the first of VARIABLES that is set, else the development key of this machine, which is
    made when absent (and `say` told so). A key that was asked for and cannot be used is an error: nothing
    further down the order takes its place. A variable that is set but empty means no key: CI gives a fork's
    pull request empty secrets.

    Raises:
        CutoverError: a key was asked for and cannot be used.
    """
    if option is not None:
        return _from_choice(option, "--cutover-key")
    for one, other in ((KEY_VARIABLE, PEM_VARIABLE), (KMS_VARIABLE, SSM_VARIABLE)):
        if environ.get(one) and environ.get(other):
            raise ConfigError(f"expected {one} or {other}, got both", hint="unset one of them")
    chosen = chosen_variable(environ)
    if chosen is not None:
        return load_variable(chosen, environ)
    return None if is_key_set(environ) else development_signer(rootdir, say=say)


def current(signer: _Key) -> _Key | PemSigner:
    """The key to sign with now: of a key ring the one that is active by now, any other as it is.

    Raises:
        ConfigError: the ring is gone, or its key cannot be used.
    """
    if not isinstance(signer, PemSigner) or signer.ring is None:
        return signer
    from pytest_cutover.keys.ring import KeyRing

    return KeyRing(signer.ring).signer()


def sign_logged(
    signer: Signer, sign: Callable[[Signer], _Signed], log: Callable[[_Signed], _Logged]
) -> tuple[_Signed, _Logged]:
    """What `sign` makes with the key to sign with now, and what `log` gave back for it: surely before its rotation.

    Both may be called again, when a rotation came in between; what was logged before is then superseded.

    Raises:
        AdapterError: that happened again and again.
        ConfigError: as `current`.
    """
    for _ in range(_ATTEMPTS):
        now = current(signer)
        signed = sign(now)
        logged = log(signed)
        if current(signer).keyid == now.keyid:
            return signed, logged
    raise AdapterError(
        f"the key was rotated {_ATTEMPTS} times while one thing was signed", hint="what rotates it in a loop?"
    )


def is_key_set(environ: Mapping[str, str]) -> bool:
    """Whether any variable says something about the key, if only that there is none."""
    return any(name in environ for name in VARIABLES)


def chosen_variable(environ: Mapping[str, str]) -> str | None:
    """The variable that names the key; None when none is set, or all that are set are empty."""
    return next((name for name in VARIABLES if environ.get(name)), None)


def load_variable(name: str, environ: Mapping[str, str]) -> Signer | None:
    """The key that this variable names; None when it says that there is none.

    Raises:
        CutoverError: it cannot be used.
    """
    value = environ[name]
    if name == KEY_VARIABLE:
        return _from_choice(value, KEY_VARIABLE)
    if value.strip() in ("", NO_KEY):
        return None
    if name == PEM_VARIABLE:
        return load_private_pem(value.encode("utf-8", "surrogateescape"), where=PEM_VARIABLE)
    from pytest_cutover.keys.aws import kms_signer, ssm_signer

    return kms_signer(value, environ) if name == KMS_VARIABLE else ssm_signer(value, environ)


def load_private_key(
    path: Path, *, kind: SignerKind = SignerKind.CONFIGURED, where: str | None = None
) -> PemSigner:
    """The private key in the file `path`, which nobody but its owner may read; of a key ring, the active one.

    Raises:
        ConfigError: missing, unreadable, readable by others, or not a usable key.
    """
    if os.path.isdir(path):  # noqa: PTH112 # Path.is_dir raises for names no file can have
        from pytest_cutover.keys.ring import KeyRing

        return KeyRing(path).signer()
    where = where or str(path)
    return load_private_pem(_read_private(path, where), where=where, kind=kind)


def load_private_pem(pem: bytes, *, where: str, kind: SignerKind = SignerKind.CONFIGURED) -> PemSigner:
    """The Ed25519 or P-256 key in PEM text (PKCS #8, or SEC 1 for EC), without a passphrase.

    Raises:
        ConfigError: anything else; the message never repeats the text.
    """
    private = _parse_private(pem, where)
    public = private.public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    return PemSigner(load_public_key(text, where=where), kind, private)


def development_signer(rootdir: Path, *, say: Callable[[str], None]) -> PemSigner:
    """This machine's own key, made when absent; its public half is kept beside it.

    Raises:
        ConfigError: the file is there and cannot be used.
        AdapterError: it cannot be written.
    """
    path = rootdir / DEVELOPMENT_KEY
    # Two runs may start at once: both make a key, one gets the name, both use that one.
    if not os.path.lexists(path) and write_new_private(path, generate(KeyKind.ED25519)):
        say(
            f"no signing key is set: made the development key {DEVELOPMENT_KEY}; what it signs proves only that "
            "nothing changed since this machine signed"
        )
    signer = load_private_key(path, kind=SignerKind.DEVELOPMENT)
    public = public_path(path)
    if _read_or_none(public) != signer.public_pem():
        write_atomic(public, signer.public_pem())
    return signer


def _read_or_none(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def public_path(private: Path) -> Path:
    """Where the public half is kept: `release.pem` and `release` both give `release.pub.pem`."""
    return private.with_name(private.name.removesuffix(".pem") + ".pub.pem")


def generate(kind: KeyKind) -> bytes:
    """A new private key, PKCS #8 PEM without a passphrase."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    if kind is KeyKind.ED25519:
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_new_private(path: Path, pem: bytes) -> bool:
    """Put a private key at `path`, 0600, whole or not at all; False when the name is already taken.

    Raises:
        AdapterError: it cannot be written.
    """
    return write_new(path, pem, mode=0o600, folder_mode=0o700, what="key")


def _from_choice(value: str, where: str) -> PemSigner | None:
    if value.strip() in ("", NO_KEY):
        return None
    if "-----BEGIN" in value or "\n" in value:
        raise ConfigError(
            f"{where}: expected the path of a key file, got key text",
            hint=f"put the text itself into {PEM_VARIABLE}",
        )
    return load_private_key(Path(value), where=f"{where} {_shown(value)}")


def _shown(value: str) -> str:
    """The value, unless it could be a key that somebody put where a path belongs."""
    if len(value) > 200 or re.fullmatch(r"[A-Za-z0-9+/=_-]{40,}", value):
        return f"(a value of {len(value)} characters)"
    return value


def _read_private(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what was opened, not of what the name says later
            if stat.S_IMODE(mode) & 0o077:
                raise ConfigError(
                    f"{where}: expected a key only its owner may read, got mode {stat.S_IMODE(mode):04o}",
                    hint=f"chmod 600 the file, or hand the key over as {PEM_VARIABLE}",
                )
            data = file.read(MAX_KEY_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such key file", hint=_MAKE_ONE) from None
    except (OSError, ValueError) as exc:  # ValueError: a null byte in the name
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable file name"
        raise ConfigError(f"{where}: the key cannot be read: {reason}", hint=_MAKE_ONE) from None
    if len(data) > MAX_KEY_BYTES:
        raise ConfigError(
            f"{where}: expected a PEM private key, got more than {MAX_KEY_BYTES} bytes", hint=_MAKE_ONE
        )
    return data


def _parse_private(pem: bytes, where: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # `from None` throughout: a library's message may quote what it could not parse.
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(
            f"{where}: the private key is encrypted with a passphrase",
            hint="decrypt it where it is kept: openssl pkey -in KEY -out PLAIN, then chmod 600 PLAIN",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{where}: expected a PEM private key (PKCS #8), got {_looks_like(pem)}", hint=_MAKE_ONE
        ) from None
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private
    if isinstance(private, ec.EllipticCurvePrivateKey):
        if isinstance(private.curve, ec.SECP256R1):
            return private
        raise ConfigError(f"{where}: expected the curve P-256, got {private.curve.name}", hint=_MAKE_ONE)
    kind = type(private).__name__.lstrip("_").removesuffix("PrivateKey")
    raise ConfigError(f"{where}: expected an Ed25519 or ECDSA P-256 key, got {kind}", hint=_MAKE_ONE)


def _looks_like(pem: bytes) -> str:
    if b"OPENSSH PRIVATE KEY" in pem:
        return "an OpenSSH key"
    if b"PUBLIC KEY" in pem:
        return "a public key"
    if b"\\n" in pem and b"-----BEGIN" in pem:
        return r"PEM whose line ends became the two characters \n"
    if b"-----BEGIN" in pem:
        return "damaged PEM"
    return "something else"
