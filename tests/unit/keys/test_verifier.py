from __future__ import annotations

import hashlib
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind, PublicKey, load_public_key

KINDS = list(KeyKind)


def pem_of(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    public = private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class TestLoadPublicKey:
    @pytest.mark.parametrize("kind", KINDS)
    def test_parse_after_format_is_identity(self, kind: KeyKind) -> None:
        key = load_private_pem(generate(kind), where="key").public

        assert load_public_key(key.pem(), where="key") == key

    @pytest.mark.parametrize("kind", KINDS)
    def test_keyid_is_the_digest_openssl_gives_for_the_der(self, kind: KeyKind) -> None:
        key = load_private_pem(generate(kind), where="key").public
        der = subprocess.run(
            ["openssl", "pkey", "-pubin", "-outform", "DER"],
            input=key.pem().encode(),
            capture_output=True,
            check=True,
        ).stdout

        assert key.keyid == hashlib.sha256(der).hexdigest()

    def test_rsa_is_refused(self) -> None:
        with pytest.raises(
            ConfigError, match=r"k\.pem: expected an Ed25519 or ECDSA P-256 .* got an RSA key"
        ):
            load_public_key(pem_of(rsa.generate_private_key(65537, 2048)), where="k.pem")

    def test_another_curve_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="another curve"):
            load_public_key(pem_of(ec.generate_private_key(ec.SECP384R1())), where="k.pem")

    def test_a_point_off_the_curve_is_refused(self) -> None:
        """One flipped bit of y, which cryptography refuses as well, only later."""
        key = load_private_pem(generate(KeyKind.ECDSA_P256), where="key").public
        bad = PublicKey(key.kind, key.spki[:-1] + bytes([key.spki[-1] ^ 1]))

        with pytest.raises(ConfigError, match="one that is not"):
            load_public_key(bad.pem(), where="k.pem")
        assert not bad.verify(b"message", b"signature")

    def test_a_private_key_is_refused_without_being_shown(self) -> None:
        pem = generate(KeyKind.ED25519).decode()

        with pytest.raises(ConfigError, match="got a private one") as caught:
            load_public_key(pem, where="k.pem")
        assert pem.splitlines()[1] not in f"{caught.value} {caught.value.hint}"

    @pytest.mark.parametrize(
        ("pem", "message"),
        [
            ("", "got nothing"),
            ("hello", "without that frame"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "BEGIN CERTIFICATE"),
            ("-----BEGIN PUBLIC KEY-----\nA*AA\n-----END PUBLIC KEY-----", "not base64"),
            ("-----BEGIN PUBLIC KEY-----\nÄÄÄÄ\n-----END PUBLIC KEY-----", "not base64"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "something else"),
        ],
    )
    def test_other_text_is_refused(self, pem: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            load_public_key(pem, where="k.pem")


class TestVerify:
    @pytest.mark.parametrize("kind", KINDS)
    def test_accepts_the_signature_and_nothing_near_it(self, kind: KeyKind) -> None:
        signer = load_private_pem(generate(kind), where="key")
        signature = signer.sign(b"message")

        assert signer.public.verify(b"message", signature)
        assert not signer.public.verify(b"massage", signature)
        assert not signer.public.verify(b"message", signature[:-1])
        assert not signer.public.verify(b"message", signature + b"\0")
        assert not signer.public.verify(b"message", b"")

    def test_keys_of_one_kind_do_not_verify_for_each_other(self) -> None:
        one, other = (load_private_pem(generate(KeyKind.ED25519), where="key") for _ in range(2))

        assert not other.public.verify(b"message", one.sign(b"message"))
