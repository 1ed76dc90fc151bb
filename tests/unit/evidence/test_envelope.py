from __future__ import annotations

import base64
import copy
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.exceptions import VerificationError as ForeignError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined] # they are its public names

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import (
    MAX_SIGNATURES,
    STATEMENT_TYPE,
    Envelope,
    Signature,
    format_envelope,
    pae,
    read_envelope,
    read_foreign_envelope,
    sign_envelope,
    verify_foreign,
    verify_strict,
)
from pytest_cutover.keys.verifier import KeyKind
from tests.unit.evidence.runs import signer, trusted

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.keys.signer import PemSigner

KEY, OTHER = signer(), signer(KeyKind.ECDSA_P256)
LINE = sign_envelope(b'{"a":1}', STATEMENT_TYPE, KEY)


def as_json(line: bytes = LINE) -> dict[str, Any]:
    document = json.loads(line)
    assert isinstance(document, dict)
    return document


def line_of(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def signature_of(line: bytes) -> Signature:
    return read_envelope(line).signatures[0]


class TestPae:
    def test_is_the_example_of_the_specification(self) -> None:
        """DSSE v1.0.2, protocol.md."""
        assert pae("http://example.com/HelloWorld", b"hello world") == (
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        )

    def test_lengths_count_bytes(self) -> None:
        assert pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


class TestSignEnvelope:
    def test_writes_one_compact_line_with_keys_in_order(self) -> None:
        assert LINE.startswith(
            b'{"payload":"eyJhIjoxfQ==","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"'
        )
        assert b"\n" not in LINE
        assert b" " not in LINE

    def test_several_signers_sign_the_same_payload(self) -> None:
        envelope = read_envelope(sign_envelope(b"x", STATEMENT_TYPE, [KEY, OTHER]))

        assert verify_strict(envelope, [KEY.public, OTHER.public]) == (KEY.public, OTHER.public)

    def test_nobody_is_no_signer(self) -> None:
        with pytest.raises(ValueError, match="needs a signer"):
            sign_envelope(b"x", STATEMENT_TYPE, [])


class TestReadEnvelope:
    """Ours, byte for byte."""

    @pytest.mark.parametrize(
        "line",
        [
            LINE + b"\n",
            b" " + LINE,
            LINE.replace(b'"payload":', b'"payload": ', 1),
            LINE.replace(b"==", b"=", 1),
            LINE.replace(b"fQ==", b"fR==", 1),  # other bits after the last byte: the same bytes decoded
            LINE.replace(b"/vnd", b"\\/vnd", 1),
            line_of({**as_json(), "extra": 1}),
            line_of(dict(reversed(as_json().items()))),
            line_of({**as_json(), "signatures": []}),
            line_of({**as_json(), "signatures": as_json()["signatures"] * (MAX_SIGNATURES + 1)}),
            line_of({**as_json(), "signatures": [{**as_json()["signatures"][0], "cert": "x"}]}),
            line_of({**as_json(), "payload": 1}),
            line_of({**as_json(), "payloadType": None}),
            LINE.replace(b'{"payload":', b'{"payload":"","payload":', 1),
            b"[]",
            b"",
            b"\xff",
            b"[" * 100_000,
        ],
    )
    def test_refuses_every_other_spelling(self, line: bytes) -> None:
        with pytest.raises(EvidenceError):
            read_envelope(line)

    def test_refuses_url_safe_base64(self) -> None:
        line = format_envelope(Envelope("t", b"\xfb\xff", (Signature(None, b"s"),)))

        assert read_envelope(line).payload == b"\xfb\xff"
        with pytest.raises(EvidenceError, match="payload is not padded base64"):
            read_envelope(line.replace(b"+/8=", b"-_8="))


class TestReadForeignEnvelope:
    def test_takes_white_space_unknown_fields_and_url_safe_base64(self) -> None:
        document = as_json()
        document["payload"] = base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode()
        document["signatures"][0]["cert"] = "…"
        document["extra"] = None
        envelope = read_foreign_envelope(json.dumps(document, indent=2).encode() + b"\n")

        assert envelope.payload == b"\xfb\xff\xfe"

    @pytest.mark.parametrize("payload", ["+_8=", "YQ", "YQ=", "Y Q==", "YQ==\n", "ü", "Y", "=AAA"])
    def test_refuses_what_two_readers_would_read_differently(self, payload: str) -> None:
        with pytest.raises(EvidenceError, match="payload is not padded base64"):
            read_foreign_envelope(line_of({**as_json(), "payload": payload}))

    def test_refuses_duplicate_keys(self) -> None:
        with pytest.raises(EvidenceError, match="duplicate key 'payload'"):
            read_foreign_envelope(LINE.replace(b'{"payload":', b'{"payload":"","payload":', 1))


class TestVerifyStrict:
    def test_names_a_key_that_is_not_trusted(self) -> None:
        with pytest.raises(VerificationError, match=f"no trusted key has the id {KEY.keyid[:16]}"):
            verify_strict(read_envelope(LINE), [OTHER.public])

    def test_a_keyid_is_never_a_hint(self) -> None:
        """The right key under another id, or none, proves nothing in our own form."""
        sig = signature_of(LINE).sig
        for keyid in (None, "", OTHER.keyid, KEY.keyid.upper()):
            envelope = Envelope(STATEMENT_TYPE, b'{"a":1}', (Signature(keyid, sig),))
            with pytest.raises(VerificationError):
                verify_strict(envelope, [KEY.public, OTHER.public])

    def test_another_payload_or_type_does_not_fit_the_signature(self) -> None:
        for envelope in (
            Envelope(STATEMENT_TYPE, b'{"a":2}', (signature_of(LINE),)),
            Envelope("application/json", b'{"a":1}', (signature_of(LINE),)),
        ):
            with pytest.raises(VerificationError, match="not one of key"):
                verify_strict(envelope, [KEY.public])

    def test_a_signature_more_is_refused(self) -> None:
        """Twice the same, or one of nobody: the bytes changed, so the evidence did."""
        good = signature_of(LINE)
        for extra in (good, Signature("00", b"x")):
            with pytest.raises(VerificationError):
                verify_strict(Envelope(STATEMENT_TYPE, b'{"a":1}', (good, extra)), [KEY.public])


class TestVerifyForeign:
    def test_a_threshold_counts_keys_not_signatures(self) -> None:
        good = signature_of(LINE)
        again = Signature("another id", KEY.sign(pae(STATEMENT_TYPE, b'{"a":1}')))
        envelope = Envelope(STATEMENT_TYPE, b'{"a":1}', (good, again, good))

        assert verify_foreign(envelope, [KEY.public, OTHER.public]) == (KEY.public,)
        with pytest.raises(VerificationError, match="expected signatures of 2 trusted keys, got 1"):
            verify_foreign(envelope, [KEY.public, OTHER.public], threshold=2)

    def test_one_key_listed_twice_counts_once(self) -> None:
        twice = [trusted(KEY, name="a"), trusted(KEY, name="b")]

        with pytest.raises(VerificationError, match="got 1"):
            verify_foreign(read_envelope(LINE), twice, threshold=2)

    def test_two_keys_reach_a_threshold_of_two(self) -> None:
        envelope = read_foreign_envelope(sign_envelope(b"x", "t", [KEY, OTHER]))

        assert set(verify_foreign(envelope, [OTHER.public, KEY.public], threshold=2)) == {
            KEY.public,
            OTHER.public,
        }

    def test_a_missing_or_wrong_hint_does_not_matter(self) -> None:
        sig = signature_of(LINE).sig
        for keyid in (None, "", "release-key"):
            envelope = Envelope(STATEMENT_TYPE, b'{"a":1}', (Signature(keyid, sig),))
            assert verify_foreign(envelope, [OTHER.public, KEY.public]) == (KEY.public,)

    def test_signatures_of_strangers_are_ignored(self) -> None:
        envelope = Envelope(STATEMENT_TYPE, b'{"a":1}', (Signature("00", b"x"), signature_of(LINE)))

        assert verify_foreign(envelope, [KEY.public]) == (KEY.public,)

    def test_no_threshold_accepts_nothing_at_all(self) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            verify_foreign(read_envelope(LINE), [KEY.public], threshold=0)
        with pytest.raises(VerificationError):
            verify_foreign(read_envelope(LINE), [])


class TestOthersVerifyOurs:
    """Tools this project did not write agree."""

    @pytest.mark.parametrize("key", [KEY, OTHER], ids=["ed25519", "ecdsa-p256"])
    def test_securesystemslib(self, key: PemSigner) -> None:
        document = as_json(sign_envelope(b'{"a":1}', STATEMENT_TYPE, key))
        foreign = ForeignEnvelope.from_dict(copy.deepcopy(document))  # from_dict empties what it is given
        public = SSlibKey.from_crypto(_crypto(key), keyid=key.keyid)
        stranger = SSlibKey.from_crypto(_crypto(signer()), keyid=key.keyid)

        assert list(foreign.verify([public], 1)) == [key.keyid]
        with pytest.raises(ForeignError):
            foreign.verify([stranger], 1)

    @pytest.mark.parametrize("key", [KEY, OTHER], ids=["ed25519", "ecdsa-p256"])
    def test_openssl(self, key: PemSigner, tmp_path: Path) -> None:
        envelope = read_envelope(sign_envelope(b'{"a":1}', STATEMENT_TYPE, key))
        names = {"key": key.public_pem(), "sig": envelope.signatures[0].sig, "message": envelope.message()}
        for name, data in names.items():
            (tmp_path / name).write_bytes(data)
        command = (
            [
                "openssl",
                "pkeyutl",
                "-verify",
                "-pubin",
                "-inkey",
                "key",
                "-rawin",
                "-sigfile",
                "sig",
                "-in",
                "message",
            ]
            if key.public.kind is KeyKind.ED25519
            else ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "sig", "message"]
        )

        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        (tmp_path / "message").write_bytes(envelope.message() + b" ")
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0

    def test_we_verify_securesystemslib(self) -> None:
        from pytest_cutover.keys.verifier import load_public_key

        private = CryptoSigner.generate_ed25519()
        foreign = ForeignEnvelope(b"payload", "text/plain", {})
        foreign.sign(private)
        public = load_public_key(_pem(private.public_key), where="theirs")

        assert verify_foreign(read_foreign_envelope(json.dumps(foreign.to_dict()).encode()), [public]) == (
            public,
        )


def _crypto(key: PemSigner) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(key.public_pem())


def _pem(key: Any) -> str:
    text = key.keyval["public"]
    if text.startswith("-----"):
        return str(text)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
