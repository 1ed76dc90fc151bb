"""Keys that AWS keeps: KMS signs without giving the key away, SSM hands over the text of one.

boto3 is imported when such a key is asked for. Endpoint, region and credentials come the usual boto3 way.
Nothing that AWS answers is believed: a signature is verified here, with our own verifier, before it is used.
"""

from __future__ import annotations

import binascii
import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_cutover.errors import AdapterError, ConfigError, MissingExtraError
from pytest_cutover.keys.signer import load_private_pem
from pytest_cutover.keys.verifier import KeyKind, PublicKey, load_public_key
from pytest_cutover.model import SignerKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_kms import KMSClient
    from mypy_boto3_ssm import SSMClient

    from pytest_cutover.keys.signer import PemSigner

MAX_RAW_BYTES = 4096
"""Of a message that KMS hashes itself; a longer one is sent as its digest (KMS API Reference, Sign)."""

_SPEC = "ECC_NIST_P256"
_ALGORITHM: Final = "ECDSA_SHA_256"
_TIMEOUT_S = 10.0
_TRIES = 4


@dataclass(frozen=True, slots=True, repr=False)
class KmsSigner:
    """An asymmetric KMS key (ECC_NIST_P256). IAM actions: kms:GetPublicKey, kms:Sign.

    A response that was lost and asked for again gives another signature, which is as good; several threads may sign.
    """

    public: PublicKey
    kind: SignerKind
    _key: str
    _client: KMSClient

    @property
    def keyid(self) -> str:
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, verified.

        Raises:
            AdapterError: KMS refuses, does not answer, or gives something that is no signature over this message.
        """
        is_short = len(message) <= MAX_RAW_BYTES
        answer = _asked(
            f"KMS key {self._key}",
            lambda: self._client.sign(
                KeyId=self._key,
                Message=message if is_short else hashlib.sha256(message).digest(),
                MessageType="RAW" if is_short else "DIGEST",
                SigningAlgorithm=_ALGORITHM,
            ),
        )
        signature = bytes(answer["Signature"])
        if not self.public.verify(message, signature):
            raise AdapterError(
                f"KMS key {self._key}: what KMS answered is not a signature of {self.keyid[:16]}… over this message",
                hint="is the endpoint AWS? moto hashes a digest once more, so it signs only messages of 4096 bytes",
            )
        return signature

    def public_pem(self) -> bytes:
        return self.public.pem().encode("ascii")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.public.kind.value} {self.keyid[:16]}>"


def kms_signer(key: str, environ: Mapping[str, str], *, client: KMSClient | None = None) -> KmsSigner:
    """The KMS key with that id, ARN or alias; its public half is fetched now, and once.

    Raises:
        MissingExtraError: boto3 is not installed.
        ConfigError: the key is of another kind, or not for signing.
        AdapterError: KMS refuses or does not answer.
    """
    client = client or _client("kms", environ)
    answer = _asked(f"KMS key {key}", lambda: client.get_public_key(KeyId=key))
    usage, algorithms = answer.get("KeyUsage"), answer.get("SigningAlgorithms", [])
    if usage != "SIGN_VERIFY" or _ALGORITHM not in algorithms:
        found = answer.get("KeySpec") or ", ".join(algorithms) or "another"
        raise ConfigError(
            f"KMS key {key}: expected a key of {_SPEC} for SIGN_VERIFY, got {found} for {usage}",
            hint=f"aws kms create-key --key-usage SIGN_VERIFY --key-spec {_SPEC}",
        )
    text = binascii.b2a_base64(answer["PublicKey"], newline=False).decode("ascii")
    pem = f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    public = load_public_key(pem, where=f"KMS key {key}")
    if public.kind is not KeyKind.ECDSA_P256:
        raise ConfigError(f"KMS key {key}: expected a P-256 key, got {public.kind.value}")
    return KmsSigner(public, SignerKind.CONFIGURED, key, client)


def ssm_signer(name: str, environ: Mapping[str, str], *, client: SSMClient | None = None) -> PemSigner:
    """The private key (PEM) in the SecureString parameter with that name.

    IAM actions: ssm:GetParameter, and kms:Decrypt for the key of the parameter.

    Raises:
        MissingExtraError: boto3 is not installed.
        ConfigError: the parameter is not a SecureString, or holds no usable key.
        AdapterError: SSM refuses or does not answer.
    """
    return load_private_pem(ssm_text(name, environ, client=client).encode(), where=f"SSM parameter {name}")


def ssm_text(name: str, environ: Mapping[str, str], *, client: SSMClient | None = None) -> str:
    """The text of a SecureString parameter; the caller prints none of it.

    Raises:
        MissingExtraError, ConfigError, AdapterError: as `ssm_signer`.
    """
    client = client or _client("ssm", environ)
    with _unlogged():
        answer = _asked(f"SSM parameter {name}", lambda: client.get_parameter(Name=name, WithDecryption=True))
    parameter = answer["Parameter"]
    if parameter.get("Type") != "SecureString":
        raise ConfigError(
            f"SSM parameter {name}: expected a SecureString, got {parameter.get('Type')}",
            hint="everybody who may read parameters has seen it: make a new key, and put it with --type SecureString",
        )
    return str(parameter["Value"])


@contextmanager
def _unlogged() -> Iterator[None]:
    """Nothing of botocore's below a warning is logged meanwhile: its debug log holds the answers, whole."""
    logger = logging.getLogger("botocore")
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


def _client(service: str, environ: Mapping[str, str]) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as exc:
        raise MissingExtraError(
            f"{service.upper()} needs boto3", hint="pip install 'pytest-cutover[aws]'"
        ) from exc
    endpoint = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL") or None
    config = Config(
        connect_timeout=_TIMEOUT_S,
        read_timeout=_TIMEOUT_S,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
    )
    try:
        session = boto3.session.Session(
            region_name=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
        )
        region = session.region_name or (None if endpoint is None else "us-east-1")
        return session.client(service, region_name=region, endpoint_url=endpoint, config=config)  # type: ignore[call-overload] # one of two services
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(f"{service.upper()}: {exc}", hint="set AWS_REGION, or a profile with one") from None


def _asked(what: str, call: Any) -> Any:
    """The answer; an error of AWS's says its code and words, and never what was sent."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as exc:
        error = exc.response.get("Error", {})
        raise AdapterError(
            f"{what}: AWS refused: {error.get('Code', 'no code')}: {error.get('Message', '')[:300]}",
            hint="aws sts get-caller-identity says who asks; docs/reference/keys.md lists the IAM actions",
        ) from None
    except BotoCoreError as exc:
        raise AdapterError(
            f"{what}: AWS did not answer: {type(exc).__name__}: {str(exc)[:300]}",
            hint="are credentials, region and endpoint set?",
        ) from None
