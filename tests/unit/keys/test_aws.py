"""Keys in KMS and SSM: moto where it is right, a client of our own where it is not (it hashes a digest again)."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope, sign_envelope, verify_strict
from pytest_cutover.keys.aws import MAX_RAW_BYTES, kms_signer, ssm_signer
from pytest_cutover.keys.signer import generate, load_signer
from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.keys.trusted import TrustedKey
from pytest_cutover.keys.verifier import KeyKind, load_public_key
from pytest_cutover.model import SignerKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEM = generate(KeyKind.ED25519).decode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environ(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which moto is AWS."""
    given = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1"}
    for name, value in {**given, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    return given


def client(service: Any, environ: dict[str, str]) -> Any:
    import boto3

    return boto3.client(service, endpoint_url=environ["AWS_ENDPOINT_URL"], region_name=environ["AWS_REGION"])


def new_key(environ: dict[str, str], **changes: Any) -> str:
    wanted = {"KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256", **changes}
    return str(client("kms", environ).create_key(**wanted)["KeyMetadata"]["KeyId"])


class Kms:
    """KMS as AWS describes it, with one key; `broken` says how it is not."""

    def __init__(self, broken: str = "", **changes: Any) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.broken, self.changes = broken, changes
        self.asked: list[dict[str, Any]] = []

    def get_public_key(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        spki = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found = {"PublicKey": spki, "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256"}
        return {**found, "SigningAlgorithms": ["ECDSA_SHA_256"], **self.changes}

    def sign(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        message = asked["Message"]
        if asked["MessageType"] == "RAW":
            assert len(message) <= 4096
            return {"Signature": self.private.sign(message, ec.ECDSA(SHA256()))}
        assert len(message) == 32
        if self.broken == "hashes the digest again":
            return {"Signature": self.private.sign(message, ec.ECDSA(SHA256()))}
        if self.broken == "signs with another key":
            other = ec.generate_private_key(ec.SECP256R1())
            return {"Signature": other.sign(message, ec.ECDSA(utils.Prehashed(SHA256())))}
        if self.broken == "gives nonsense":
            return {"Signature": b"nonsense"}
        return {"Signature": self.private.sign(message, ec.ECDSA(utils.Prehashed(SHA256())))}


class TestKmsWithMoto:
    def test_what_it_signs_verifies_offline(self, environ: dict[str, str], tmp_path: Path) -> None:
        key = new_key(environ)
        signer = load_signer(
            {**environ, "CUTOVER_KEY_KMS": key, "CUTOVER_KEY": "nowhere"}, tmp_path, option=None, say=print
        )
        assert signer is not None
        public = load_public_key(signer.public_pem().decode(), where="kms")
        line = sign_envelope(b"{}", STATEMENT_TYPE, signer)

        assert signer.kind is SignerKind.CONFIGURED
        assert verify_strict(read_envelope(line), [_trusted(public)])[0].keyid == signer.keyid
        assert not (tmp_path / "var").exists()

    def test_a_message_that_moto_signs_wrongly_is_noticed(self, environ: dict[str, str]) -> None:
        signer = kms_signer(new_key(environ), environ)

        assert signer.sign(b"x" * MAX_RAW_BYTES)
        with pytest.raises(AdapterError, match="is not a signature of"):
            signer.sign(b"x" * (MAX_RAW_BYTES + 1))

    def test_an_alias_is_as_good(self, environ: dict[str, str]) -> None:
        key = new_key(environ)
        client("kms", environ).create_alias(AliasName="alias/release", TargetKeyId=key)

        assert kms_signer("alias/release", environ).keyid == kms_signer(key, environ).keyid

    @pytest.mark.parametrize(
        "changes",
        [
            {"KeySpec": "RSA_2048"},
            {"KeySpec": "ECC_NIST_P384"},
            {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
        ],
    )
    def test_a_key_of_another_kind_is_refused(self, environ: dict[str, str], changes: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match="expected a key of ECC_NIST_P256 for SIGN_VERIFY"):
            kms_signer(new_key(environ, **changes), environ)

    def test_a_key_that_is_not_there_is_an_error_and_nothing_takes_its_place(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        with pytest.raises(AdapterError, match="KMS key alias/none: AWS refused: NotFoundException"):
            load_signer(
                {**environ, "CUTOVER_KEY_KMS": "alias/none", "CUTOVER_KEY_PEM": PEM},
                tmp_path,
                option=None,
                say=print,
            )

    def test_an_endpoint_that_is_away_is_an_error(self, environ: dict[str, str]) -> None:
        with pytest.raises(AdapterError, match="AWS did not answer: EndpointConnectionError"):
            kms_signer("alias/x", {**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})


class TestKms:
    @pytest.mark.parametrize("size", [0, MAX_RAW_BYTES, MAX_RAW_BYTES + 1, 100_000])
    def test_long_messages_are_sent_as_their_digest(self, size: int) -> None:
        kms = Kms()
        signer = kms_signer("k", {}, client=kms)  # type: ignore[arg-type] # what is asked of one
        message = b"x" * size

        assert signer.public.verify(message, signer.sign(message))
        assert kms.asked[-1]["MessageType"] == ("RAW" if size <= 4096 else "DIGEST")

    def test_the_public_key_is_asked_for_once(self) -> None:
        kms = Kms()
        signer = kms_signer("k", {}, client=kms)  # type: ignore[arg-type] # what is asked of one
        for _ in range(3):
            signer.sign(b"x")

        assert [asked for asked in kms.asked if "Message" not in asked] == [{"KeyId": "k"}]

    @pytest.mark.parametrize(
        "broken", ["hashes the digest again", "signs with another key", "gives nonsense"]
    )
    def test_what_is_no_signature_is_never_handed_on(self, broken: str) -> None:
        signer = kms_signer("k", {}, client=Kms(broken))  # type: ignore[arg-type] # what is asked of one

        with pytest.raises(AdapterError, match=r"is not a signature of .* over this message"):
            signer.sign(b"x" * 5000)

    def test_a_key_that_is_not_what_kms_calls_it_is_refused(self) -> None:
        ed = load_public_key(_public(PEM), where="x").spki
        with pytest.raises(ConfigError, match="expected a P-256 key, got ed25519"):
            kms_signer("k", {}, client=Kms(PublicKey=ed))  # type: ignore[arg-type] # what is asked of one
        with pytest.raises(ConfigError, match="for SIGN_VERIFY, got ECC_NIST_P256 for"):
            kms_signer("k", {}, client=Kms(SigningAlgorithms=["ECDSA_SHA_384"]))  # type: ignore[arg-type] # what is asked of one


class TestSsm:
    def put(self, environ: dict[str, str], name: str, kind: Any = "SecureString", text: str = PEM) -> None:
        client("ssm", environ).put_parameter(Name=name, Value=text, Type=kind, Overwrite=True)

    def test_the_key_in_a_secure_string_signs(self, environ: dict[str, str], tmp_path: Path) -> None:
        self.put(environ, "/cutover/key")
        signer = load_signer({**environ, "CUTOVER_KEY_SSM": "/cutover/key"}, tmp_path, option=None, say=print)

        assert signer is not None
        assert signer.public_pem().decode() == _public(PEM)

    def test_a_parameter_that_is_not_secret_is_refused(self, environ: dict[str, str]) -> None:
        self.put(environ, "/cutover/open", kind="String")

        with pytest.raises(ConfigError, match="expected a SecureString, got String"):
            ssm_signer("/cutover/open", environ)

    def test_nothing_private_is_logged_told_or_in_a_traceback(
        self, environ: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """botocore logs the whole answer at DEBUG."""
        broken = PEM.replace("-----END", "-----ENDE")
        self.put(environ, "/cutover/good")
        self.put(environ, "/cutover/broken", text=broken)
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        secret = PEM.splitlines()[1]

        signer = ssm_signer("/cutover/good", environ)
        with pytest.raises(ConfigError, match="SSM parameter /cutover/broken: expected a PEM") as caught:
            ssm_signer("/cutover/broken", environ)

        told = "".join(traceback.format_exception(caught.value))
        assert secret not in told + caplog.text + repr(signer) + str(caught.value.hint)
        logging.getLogger("botocore").debug("as before")
        assert "as before" in caplog.text

    def test_a_parameter_that_is_not_there_is_an_error(self, environ: dict[str, str]) -> None:
        with pytest.raises(AdapterError, match="SSM parameter /none: AWS refused: ParameterNotFound"):
            ssm_signer("/none", environ)


def _public(pem: str) -> str:
    from pytest_cutover.keys.signer import load_private_pem

    return load_private_pem(pem.encode(), where="x").public_pem().decode()


def _trusted(public: Any) -> TrustedKey:
    anchor = Anchor(
        (TrustedKey(public, public.keyid, "kms", frozenset({"decision"}), frozenset({"*"})),),
        AnchorSource.GIVEN,
        "trust.json",
    )
    return anchor.keys[0]
