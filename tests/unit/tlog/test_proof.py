"""`.tlog-proof`: the specification's example, strict reading, and everything that proves nothing."""

from __future__ import annotations

import re

import pytest

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.tlog.note import NoteVerifier
from pytest_cutover.tlog.proof import TlogProof, parse_proof, verify_proof
from tests.unit.tlog.logs import ORIGIN, OTHER, entry, log_of, signer

# C2SP tlog-proof; its signatures are abridged there.
EXAMPLE = """c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog hI2DJw[...]1roloI=
"""
LOG = log_of(23)
KEYS = [signer().verifier]
PROOF, ENTRY = LOG.prove(17), entry(17)


def proven(data=PROOF, what=ENTRY, keys=KEYS, **options):
    return verify_proof(data, what, keys, **options)


class TestReading:
    def test_the_specification_s_example(self):
        # The extra line that was published is no base64: it was abridged too.
        proof = parse_proof(EXAMPLE.replace("FyLmd6kYXJ3aW4tYXJ\n", "FyLmd6\n").encode())

        assert (proof.index, len(proof.hashes)) == (73894, 5)
        assert proof.extra is not None
        assert proof.extra.startswith(b"age-v1.2.1-darwin-arm64.tar.gz")
        assert proof.checkpoint.startswith(b"example.com/fancylog\n109482\n")

    @pytest.mark.parametrize("extra", [None, b"", b"more"])
    def test_reading_is_the_inverse(self, extra):
        data = LOG.prove(3, extra=extra)

        assert parse_proof(data).to_bytes() == data
        assert parse_proof(data).extra == extra

    def test_a_tree_of_one_has_no_hashes(self):
        data = log_of(1).prove(0)

        assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example/cutover\n1\n")
        assert verify_proof(data, entry(0), KEYS).checkpoint.size == 1

    HASH = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ="

    @pytest.mark.parametrize(
        "head",
        [
            "",
            "c2sp.org/tlog-proof@v1",
            "c2sp.org/tlog-proof@v2\nindex 0",
            "C2sp.org/tlog-proof@v1\nindex 0",
            "c2sp.org/tlog-proof@v1 \nindex 0",
            "c2sp.org/tlog-proof@v1\nindex",
            "c2sp.org/tlog-proof@v1\nindex ",
            "c2sp.org/tlog-proof@v1\nindex 00",
            "c2sp.org/tlog-proof@v1\nindex -1",
            "c2sp.org/tlog-proof@v1\nindex +1",
            "c2sp.org/tlog-proof@v1\nindex 1 ",
            "c2sp.org/tlog-proof@v1\nindex x",
            f"c2sp.org/tlog-proof@v1\nindex {2**63}",
            "c2sp.org/tlog-proof@v1\nindex 0\nindex 0",
            "c2sp.org/tlog-proof@v1\nextra !\nindex 0",
            "c2sp.org/tlog-proof@v1\nextra AB==\nindex 0",
            "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA",
            "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0",
            "c2sp.org/tlog-proof@v1\nindex 0\nAAAA",
            f"c2sp.org/tlog-proof@v1\nindex 0\n{HASH} ",
            f"c2sp.org/tlog-proof@v1\nindex 0\n{HASH[:-2]}R=",
            f"c2sp.org/tlog-proof@v1\r\nindex 0\n{HASH}",
            "c2sp.org/tlog-proof@v1\nindex 0\n" + "\n".join([HASH] * 64),
            "c2sp.org/tlog-proof@v1\nindex \N{ARABIC-INDIC DIGIT ONE}",
        ],
    )
    def test_what_is_not_exactly_a_proof_is_refused(self, head):
        checkpoint = LOG.signed_checkpoint()[1]

        with pytest.raises(EvidenceError, match=r"^proof: "):
            parse_proof(f"{head}\n\n".encode() + checkpoint)

    def test_a_flood_is_refused(self):
        with pytest.raises(EvidenceError, match="at most"):
            parse_proof(b"c2sp.org/tlog-proof@v1\n" * 100_000)


class TestVerifying:
    def test_the_entry_is_in_the_log(self):
        done = proven(origin=ORIGIN)

        assert (done.index, done.checkpoint, done.witnesses) == (17, LOG.checkpoint(), ())

    def test_another_entry_is_not_proven(self):
        with pytest.raises(
            VerificationError, match=r"^proof: inclusion proof does not lead to the root hash"
        ):
            proven(what=entry(16))

    def test_nor_by_a_log_that_is_not_known(self):
        for keys in ([], [signer(raw=OTHER).verifier], [signer("other").verifier]):
            with pytest.raises(VerificationError, match="known key"):
                proven(keys=keys)
        with pytest.raises(VerificationError, match="expected a checkpoint of other"):
            proven(origin="other")

    def test_nor_by_a_rotated_key_for_a_larger_tree(self):
        with pytest.raises(VerificationError, match="known key"):
            proven(keys=[NoteVerifier(ORIGIN, KEYS[0].public, max_size=22)])

    def test_nor_for_another_place(self):
        with pytest.raises(VerificationError, match="root hash"):
            proven(PROOF.replace(b"index 17", b"index 16"))
        with pytest.raises(VerificationError, match="below the tree size"):
            proven(PROOF.replace(b"index 17", b"index 23"))

    def test_nor_with_another_log_s_checkpoint(self):
        proof = parse_proof(PROOF)
        other = log_of(24).signed_checkpoint()[1]

        with pytest.raises(VerificationError):
            proven(TlogProof(proof.index, proof.hashes, other).to_bytes())

    def test_every_flipped_bit_is_refused(self):
        for at in range(len(PROOF)):
            for bit in range(8):
                with pytest.raises(EvidenceError):
                    proven(PROOF[:at] + bytes([PROOF[at] ^ (1 << bit)]) + PROOF[at + 1 :])

    def test_every_line_that_is_missing_or_doubled_is_refused(self):
        lines = PROOF.splitlines(keepends=True)
        for at in range(len(lines)):
            for changed in (lines[:at] + lines[at + 1 :], [*lines[: at + 1], *lines[at:]]):
                if changed[-1] == changed[-2] and changed[-1].startswith("—".encode()):
                    continue  # a signature twice is still a signature
                with pytest.raises(EvidenceError):
                    proven(b"".join(changed))

    def test_the_extra_line_is_not_authenticated(self):
        """Nor believed: it is handed on as it is."""
        data = re.sub(rb"\nindex", b"\nextra bWFkZSB1cA==\nindex", PROOF)

        assert proven(data).index == 17
