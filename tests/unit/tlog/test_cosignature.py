"""Cosignatures: a real one, and how many witnesses a proof has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.tlog.checkpoint import parse_checkpoint
from pytest_cutover.tlog.cosignature import (
    CosignatureSigner,
    CosignatureVerifier,
    cosigned_message,
)
from pytest_cutover.tlog.note import COSIGNATURE_V1, Note, NoteSignature, parse_vkey, verify_note
from pytest_cutover.tlog.proof import cosigners, verify_proof
from tests.unit.tlog.logs import entry, log_of, signer

# A checkpoint that a CT log and five witnesses of the public network signed on 23 May 2026.
REAL = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""
REAL_KEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)


def witness(name, raw=None):
    return CosignatureSigner(name, raw or load_private_pem(generate(KeyKind.ED25519), where=name))


WITNESSES = [witness(f"witness{n}.example") for n in range(3)]


def cosigned(signed, *witnesses):
    _, note = parse_checkpoint(signed)
    return Note(note.text, (*note.signatures, *(w.sign(note.text, NOW) for w in witnesses))).to_bytes()


class TestRealOne:
    def verifier(self):
        name, kind, public = parse_vkey(REAL_KEY)
        assert kind == COSIGNATURE_V1
        return CosignatureVerifier(name, public)

    def test_a_public_witness_s_cosignature_verifies(self):
        checkpoint, note = parse_checkpoint(REAL.encode())

        assert [v.name for v in verify_note(note, [self.verifier()])] == ["remora.n621.de"]
        assert checkpoint.size == 1432088532
        stamped = int.from_bytes(note.signatures[4].signature[:8], "big")
        assert stamped == datetime(2026, 5, 23, 21, 50, 24, tzinfo=UTC).timestamp()
        assert self.verifier().vkey() == REAL_KEY

    def test_and_no_other_text_or_time(self):
        _, note = parse_checkpoint(REAL.encode())
        text, good = note.text, note.signatures[4].signature
        own = self.verifier()
        assert own.verify(text, good)

        assert not own.verify(text.replace("1432088532", "1432088531"), good)
        for at in range(len(good)):
            assert not own.verify(text, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        for other in (b"", good[:8], good[8:], good + b"\0"):
            assert not own.verify(text, other)


class TestFormat:
    def test_the_specification_s_message(self):
        text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

        assert cosigned_message(text, 1679315147) == (b"cosignature/v1\ntime 1679315147\n" + text.encode())

    def test_a_time_of_0_or_beyond_the_range_is_no_cosignature(self):
        one = WITNESSES[0]
        for timestamp in (0, 2**63):
            message = cosigned_message("text\n", timestamp)
            assert not one.verifier.verify("text\n", timestamp.to_bytes(8, "big") + one.signer.sign(message))

    def test_a_log_s_signature_is_no_cosignature(self):
        """Nor the reverse: the same key has another id for each."""
        raw = WITNESSES[0].signer
        plain = signer("witness0.example", raw)
        text = log_of(3).checkpoint().text()

        assert not WITNESSES[0].verifier.verify(text, plain.sign(text).signature)
        assert not plain.verifier.verify(text, WITNESSES[0].sign(text, NOW).signature)
        assert plain.verifier.key_id != WITNESSES[0].verifier.key_id


class TestThreshold:
    LOG = log_of(9)
    KNOWN = tuple(w.verifier for w in WITNESSES)

    def proof(self, *witnesses):
        return self.LOG.prove(4, signed=cosigned(self.LOG.signed_checkpoint()[1], *witnesses))

    def test_enough_witnesses(self):
        done = verify_proof(
            self.proof(*WITNESSES[:2]), entry(4), [signer().verifier], witnesses=self.KNOWN, threshold=2
        )

        assert done.witnesses == ("witness0.example", "witness1.example")

    @pytest.mark.parametrize(
        "cosigners",
        [[], WITNESSES[:1], [WITNESSES[0], WITNESSES[0]], [WITNESSES[0], witness("stranger")]],
        ids=["none", "one", "one twice", "a stranger"],
    )
    def test_too_few(self, cosigners):
        with pytest.raises(VerificationError, match="expected cosignatures of 2 witnesses, got"):
            verify_proof(
                self.proof(*cosigners), entry(4), [signer().verifier], witnesses=self.KNOWN, threshold=2
            )

    def test_one_key_under_two_names_is_one_witness(self):
        alias = witness("alias.example", WITNESSES[0].signer)
        signed = cosigned(self.LOG.signed_checkpoint()[1], WITNESSES[0], alias)

        with pytest.raises(VerificationError, match="of 2 witnesses, got 1"):
            cosigners(signed, [WITNESSES[0].verifier, alias.verifier], 2)

    def test_two_keys_of_one_name_are_one_witness(self):
        again = witness("witness0.example")
        signed = cosigned(self.LOG.signed_checkpoint()[1], WITNESSES[0], again)

        with pytest.raises(VerificationError, match="of 2 witnesses, got 1"):
            cosigners(signed, [WITNESSES[0].verifier, again.verifier], 2)

    def test_what_hangs_together_by_keys_and_names_is_one_witness(self):
        """Three names and three keys, and yet whoever has the first key is all of them."""
        one, names = WITNESSES[0], ("b.example", "c.example")
        all_of_one = [one, *(witness(one.name) for _ in names), *(witness(n, one.signer) for n in names)]
        signed = cosigned(self.LOG.signed_checkpoint()[1], *all_of_one)

        with pytest.raises(VerificationError, match="of 2 witnesses, got 1"):
            cosigners(signed, [w.verifier for w in all_of_one], 2)

    def test_a_rotated_witness_counts_for_no_larger_tree(self):
        old = CosignatureVerifier(WITNESSES[0].name, WITNESSES[0].verifier.public, max_size=8)
        signed = cosigned(self.LOG.signed_checkpoint()[1], WITNESSES[0])

        assert cosigners(signed, [old]) == ()

    def test_a_known_witness_s_cosignature_that_does_not_fit_refuses_all(self):
        signed = self.LOG.signed_checkpoint()[1]
        _, note = parse_checkpoint(signed)
        good = WITNESSES[0].sign(note.text, NOW)
        bad = NoteSignature(good.name, good.key_id, good.signature[:-1] + b"\xff")
        proof = self.LOG.prove(4, signed=Note(note.text, (*note.signatures, bad)).to_bytes())

        with pytest.raises(EvidenceError, match=r"signature of witness0\.example does not fit"):
            verify_proof(proof, entry(4), [signer().verifier], witnesses=self.KNOWN)

    def test_a_witness_does_not_speak_for_the_log(self):
        _, note = parse_checkpoint(self.LOG.signed_checkpoint()[1])
        alone = Note(note.text, (WITNESSES[0].sign(note.text, NOW),)).to_bytes()

        with pytest.raises(VerificationError, match="known key"):
            verify_proof(
                with_checkpoint(self.LOG, alone),
                entry(4),
                [signer().verifier],
                witnesses=self.KNOWN,
                threshold=1,
            )


def with_checkpoint(log, signed):
    good = log.prove(4)
    return good.partition(b"\n\n")[0] + b"\n\n" + signed
