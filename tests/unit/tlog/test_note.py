"""Signed notes: the published examples, strict reading, and whose signatures count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.errors import ConfigError, EvidenceError, VerificationError
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.tlog.cosignature import CosignatureVerifier
from pytest_cutover.tlog.note import (
    ED25519,
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    NoteSigner,
    NoteVerifier,
    decode_base64,
    encode_base64,
    parse_note,
    parse_vkey,
    sign_note,
    verify_note,
)
from tests.unit.tlog.logs import OTHER, SIGNER, signer

# C2SP signed-note v1.0.0, "Example".
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""

# golang.org/x/mod/sumdb/note, its package documentation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_OTHER_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
GO = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=
"""
# A witness that runs since 2024; its key is in transparency-dev/formats, note_cosigv1_test.go.
WITNESS_KEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"


def verifier(vkey):
    name, kind, public = parse_vkey(vkey)
    assert kind == ED25519
    return NoteVerifier(name, public)


def note(*signers, text="text\n"):
    return sign_note(text, signers)


class TestPublishedNotes:
    @pytest.mark.parametrize(
        ("data", "keys"),
        [(C2SP, [C2SP_KEY]), (GO, [GO_KEY]), (GO, [GO_OTHER_KEY]), (GO, [GO_KEY, GO_OTHER_KEY])],
    )
    def test_they_verify(self, data, keys):
        read = parse_note(data.encode())

        assert [v.name for v in verify_note(read, map(verifier, keys))] == [k.split("+")[0] for k in keys]
        assert read.to_bytes() == data.encode()

    @pytest.mark.parametrize("vkey", [C2SP_KEY, GO_KEY, GO_OTHER_KEY, WITNESS_KEY])
    def test_their_keys_have_one_text(self, vkey):
        name, kind, public = parse_vkey(vkey)

        assert (NoteVerifier if kind == ED25519 else CosignatureVerifier)(name, public).vkey() == vkey

    def test_the_specification_s_first_example_is_a_note(self):
        """Its key is not published."""
        text = (
            "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
            "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj9"
            "9ihAQwaqP3ZekRwNtIc=\n"
        )
        read = parse_note(text.encode())

        assert read.text.endswith("raggio di sole:\n\ned è subito sera.\n")
        assert len(read.signatures[0].signature) == 64

    def test_every_flipped_bit_is_refused(self):
        """Whatever it hits: the text, the name, the key id, the signature, the newline at the end."""
        good, keys = C2SP.encode(), [verifier(C2SP_KEY)]
        for at in range(len(good)):
            for bit in range(8):
                bad = good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :]
                with pytest.raises(EvidenceError):
                    verify_note(parse_note(bad), keys)


LINE = C2SP.splitlines()[-1]


class TestReading:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\n\n",
            b"text\n",
            b"text\n\n",
            b"text",
            f"text\n{LINE}\n".encode(),  # no blank line
            f"text\n\n{LINE}".encode(),  # no newline at the end
            f"text\n\n{LINE}\n\n".encode(),
            f"text\n\n{LINE}\n \n".encode(),
            f"text\n\n{LINE}\r\n".encode(),
            f"te\txt\n\n{LINE}\n".encode(),
            f"te\0xt\n\n{LINE}\n".encode(),
            f"text\n\n{LINE.replace('— ', '- ')}\n".encode(),
            f"text\n\n{LINE.replace('— ', '—')}\n".encode(),
            f"text\n\n{LINE.replace(' ', '  ')}\n".encode(),
            f"text\n\n{LINE} \n".encode(),
            f"text\n\n{LINE.replace('foo', 'f+o')}\n".encode(),
            f"text\n\n{LINE.replace('foo', 'f o')}\n".encode(),
            ("text\n\n" + LINE.replace("foo", "f\u00a0o") + "\n").encode(),
            f"text\n\n{LINE.replace('example.com/foo ', ' ')}\n".encode(),
            f"text\n\n{LINE[:-1]}\n".encode(),  # no padding
            f"text\n\n{LINE.replace('aQM=', 'aQN=')}\n".encode(),  # free bits that are not 0
            f"text\n\n{LINE.replace('Uw2QOkn', 'Uw2Q_kn')}\n".encode(),
            "text\n\n— name AAAAAA==\n".encode(),  # a key id and nothing
            f"t\xffxt\n\n{LINE}\n".encode("latin-1", "replace"),
        ],
    )
    def test_what_is_not_exactly_a_note_is_refused(self, data):
        with pytest.raises(EvidenceError, match=r"^note: "):
            parse_note(data)

    def test_a_flood_is_refused(self):
        with pytest.raises(EvidenceError, match="at most 262144 bytes"):
            parse_note(b"x" * 300_000)
        with pytest.raises(EvidenceError, match="at most 64 signatures"):
            parse_note(("text\n\n" + f"{LINE}\n" * (MAX_SIGNATURES + 1)).encode())

    def test_sixteen_large_signatures_are_read(self):
        """Those of post-quantum schemes are up to 5 kB; every reader has to take sixteen signatures."""
        signatures = tuple(NoteSignature(f"w{n}", bytes(4), bytes(5000)) for n in range(16))

        assert parse_note(Note("text\n", signatures).to_bytes()).signatures == signatures

    @given(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80).map(
            lambda t: f"{t}\n"
        )
    )
    def test_what_is_signed_is_read_again(self, text):
        assert parse_note(sign_note(text, [signer()]).to_bytes()).text == text

    @pytest.mark.parametrize("text", ["", "no newline", "tab\there\n"])
    def test_what_cannot_be_a_text_is_not_signed(self, text):
        with pytest.raises(EvidenceError):
            sign_note(text, [signer()])


class TestWhoSigned:
    def test_signatures_of_strangers_are_ignored(self):
        signed = note(signer(), signer("stranger", OTHER))

        assert [v.name for v in verify_note(signed, [signer().verifier])] == [signer().name]

    def test_no_known_key_is_no_signature(self):
        signed = note(signer("stranger", OTHER))

        with pytest.raises(VerificationError, match="known key, got signatures of stranger"):
            verify_note(signed, [signer().verifier])
        with pytest.raises(VerificationError, match="known key"):
            verify_note(signed, [])

    @pytest.mark.parametrize("known", [signer(raw=OTHER), signer("other")], ids=["key", "name"])
    def test_the_same_name_or_the_same_key_alone_is_a_stranger(self, known):
        with pytest.raises(VerificationError, match="known key"):
            verify_note(note(signer()), [known.verifier])

    def test_one_bad_signature_of_a_known_key_refuses_the_note(self):
        """Also beside good ones, and beside a good one of its own."""
        good = note(signer(), signer("other", OTHER))
        first = good.signatures[0]
        bad = NoteSignature(first.name, first.key_id, bytes(64))
        for signatures in ((bad,), (bad, *good.signatures), (*good.signatures, bad)):
            with pytest.raises(VerificationError, match=f"signature of {first.name} does not fit"):
                verify_note(Note(good.text, signatures), [signer().verifier, signer("other", OTHER).verifier])

    def test_it_is_the_text_that_is_signed(self):
        signed = note(signer())

        with pytest.raises(VerificationError, match="does not fit the text"):
            verify_note(Note("other\n", signed.signatures), [signer().verifier])


class TestKeys:
    def test_its_text(self):
        own = signer().verifier

        assert parse_vkey(own.vkey()) == (own.name, ED25519, own.public)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "name",
            C2SP_KEY.replace("530d903a", "530d903b"),
            C2SP_KEY.replace("530d903a", "530D903A"),
            C2SP_KEY.replace("foo", "bar"),
            C2SP_KEY.replace("+Aeky", "+Beky"),
            C2SP_KEY + "AAAA",
            C2SP_KEY[:-1],
            " " + C2SP_KEY,
            C2SP_KEY + "\n",
            C2SP_KEY.replace("example.com/foo", ""),
            C2SP_KEY.replace("example.com", "exam ple.com"),
            "rekor.sigstore.dev+12345678+AwEB",
            "name+00000000+",
        ],
    )
    def test_what_is_not_exactly_a_verifier_key_is_refused(self, text):
        with pytest.raises(ConfigError, match=r"^verifier key: "):
            parse_vkey(text)

    def test_a_key_has_another_id_for_each_kind_of_signature(self):
        public = SIGNER.public

        assert NoteVerifier("n", public).key_id != CosignatureVerifier("n", public).key_id

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b"])
    def test_names_that_no_line_can_carry(self, name):
        with pytest.raises(ConfigError, match="key name"):
            NoteSigner(name, SIGNER)

    def test_keys_of_another_kind(self):
        ecdsa = load_private_pem(generate(KeyKind.ECDSA_P256), where="test")

        with pytest.raises(ConfigError, match="expected an Ed25519 key to sign notes with, got ecdsa-p256"):
            NoteSigner("name", ecdsa)


class TestBase64:
    @given(st.binary())
    def test_one_spelling(self, data):
        assert decode_base64(encode_base64(data)) == data

    @pytest.mark.parametrize(
        "text", ["A", "AA", "AA=", "AB==", "A===", "AAAA=", "AA==AA==", "A-AA", "AA\nAA", "äAAA", " "]
    )
    def test_any_other_is_refused(self, text):
        with pytest.raises(ValueError, match="base64"):
            decode_base64(text)
