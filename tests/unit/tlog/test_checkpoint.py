"""Checkpoints: the specification's example, strict reading, and which key may speak for which log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.tlog.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_text,
    pinned_checkpoint,
    verify_checkpoint,
    verify_extends,
)
from pytest_cutover.tlog.merkle import EMPTY_ROOT, Tree, leaf_hash
from pytest_cutover.tlog.note import NoteVerifier, encode_base64, sign_note
from tests.unit.tlog.logs import ORIGIN, OTHER, signer

# C2SP tlog-checkpoint v1.0.0.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
ROOT = bytes(range(32))
GOOD = Checkpoint(ORIGIN, 7, ROOT)


def signed(checkpoint=GOOD, *signers):
    return sign_note(checkpoint.text(), signers or [signer()]).to_bytes()


class TestReading:
    def test_the_specification_s_example(self):
        checkpoint, note = parse_checkpoint(EXAMPLE.encode())

        assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
        assert checkpoint.root.hex()[:8] == "0ac5186a"
        assert checkpoint.text() == note.text

    @given(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=40),
        st.integers(1, 2**63 - 1),
        st.binary(min_size=32, max_size=32),
    )
    def test_reading_is_the_inverse(self, origin, size, root):
        assert parse_text(Checkpoint(origin, size, root).text()) == Checkpoint(origin, size, root)

    def test_extension_lines_are_kept_and_signed(self):
        checkpoint = Checkpoint(ORIGIN, 7, ROOT, ("one", "two"))

        assert verify_checkpoint(signed(checkpoint), [signer().verifier]) == checkpoint

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "origin\n7\n",
            "origin\n7\n\n",
            f"\n7\n{encode_base64(ROOT)}\n",
            f"origin\n\n{encode_base64(ROOT)}\n",
            f"origin\n7\n{encode_base64(ROOT)}",
            f"origin\n7\n{encode_base64(ROOT)}\n\n",
            f"origin\n7\n{encode_base64(ROOT)}\n\nextension\n",
            f"origin\n07\n{encode_base64(ROOT)}\n",
            f"origin\n+7\n{encode_base64(ROOT)}\n",
            f"origin\n-7\n{encode_base64(ROOT)}\n",
            f"origin\n 7\n{encode_base64(ROOT)}\n",
            f"origin\n7.0\n{encode_base64(ROOT)}\n",
            f"origin\n0x7\n{encode_base64(ROOT)}\n",
            "origin\n\N{ARABIC-INDIC DIGIT SEVEN}\n" + encode_base64(ROOT) + "\n",
            f"origin\n{2**63}\n{encode_base64(ROOT)}\n",
            f"origin\n{10**30}\n{encode_base64(ROOT)}\n",
            f"origin\n7\n{encode_base64(ROOT[:-1])}\n",
            f"origin\n7\n{encode_base64(ROOT + ROOT)}\n",
            f"origin\n7\n{ROOT.hex()}\n",
            f"origin\n7\n{encode_base64(ROOT)[:-2]}9=\n",
        ],
    )
    def test_what_is_not_exactly_a_checkpoint_is_refused(self, text):
        with pytest.raises(EvidenceError, match=r"^checkpoint: "):
            parse_text(text)

    def test_the_empty_tree_has_one_root_hash(self):
        empty, other = Checkpoint(ORIGIN, 0, EMPTY_ROOT), Checkpoint(ORIGIN, 0, ROOT)

        assert verify_checkpoint(signed(empty), [signer().verifier]) == empty
        with pytest.raises(VerificationError, match="one root hash only"):
            verify_checkpoint(signed(other), [signer().verifier])
        with pytest.raises(VerificationError, match="one root hash only"):
            pinned_checkpoint(other.to_json(), "report")


class TestVerifying:
    def test_its_log_s_key(self):
        assert verify_checkpoint(signed(), [signer().verifier], origin=ORIGIN) == GOOD

    def test_another_log_s_checkpoint_is_refused(self):
        with pytest.raises(VerificationError, match="expected a checkpoint of other"):
            verify_checkpoint(signed(), [signer().verifier], origin="other")

    def test_a_known_key_of_another_log_does_not_speak_for_this_one(self):
        """Whoever runs one log could else sign what another never was."""
        other = signer("other", OTHER)

        with pytest.raises(VerificationError, match="known key"):
            verify_checkpoint(signed(GOOD, other), [signer().verifier, other.verifier], origin=ORIGIN)

    def test_a_rotated_key_signs_no_larger_tree(self):
        for largest, fits in ((6, False), (7, True), (8, True), (None, True)):
            old = NoteVerifier(ORIGIN, signer().verifier.public, max_size=largest)
            if fits:
                assert verify_checkpoint(signed(), [old]) == GOOD
            else:
                with pytest.raises(VerificationError, match="known key"):
                    verify_checkpoint(signed(), [old])

    def test_every_flipped_bit_is_refused(self):
        good, keys = signed(), [signer().verifier]
        for at in range(len(good)):
            for bit in range(8):
                bad = good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :]
                with pytest.raises(EvidenceError):
                    verify_checkpoint(bad, keys)


class TestExtends:
    """From one checkpoint to a later one; the Merkle side is in test_merkle."""

    TREE = Tree(leaf_hash(b"%d" % n) for n in range(9))

    def at(self, size, origin=ORIGIN):
        return Checkpoint(origin, size, self.TREE.root(size))

    @pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 9), (1, 9), (4, 9), (9, 9)])
    def test_a_log_that_goes_on(self, old, new):
        verify_extends(self.at(old), self.at(new), self.TREE.consistency_proof(old, new))

    def test_what_is_refused(self):
        proof = self.TREE.consistency_proof(4, 9)
        for old, new, hashes in (
            (self.at(4), self.at(9, "other"), proof),
            (self.at(9), self.at(4), proof),
            (self.at(4), self.at(9), []),
            (self.at(5), self.at(9), proof),
            (self.at(0), self.at(9), proof),
            (Checkpoint(ORIGIN, 0, ROOT), self.at(9), []),
            (Checkpoint(ORIGIN, 4, ROOT), self.at(9), proof),
        ):
            with pytest.raises(VerificationError):
                verify_extends(old, new, hashes)


class TestPinned:
    def test_reading_is_the_inverse(self):
        assert pinned_checkpoint(GOOD.to_json(), "report") == GOOD

    @pytest.mark.parametrize(
        "change",
        [
            {"size": "7"},
            {"size": True},
            {"size": -1},
            {"size": 7.0},
            {"root": ""},
            {"root": "AB" * 32},
            {"root": encode_base64(ROOT)},
            {"root": None},
            {"origin": ""},
            {"origin": "a\nb"},
            {"origin": None},
            {"more": 1},
        ],
    )
    def test_anything_else_is_refused(self, change):
        with pytest.raises(EvidenceError, match=r"^report: "):
            pinned_checkpoint({**GOOD.to_json(), **change}, "report")
        with pytest.raises(EvidenceError, match=r"^report: "):
            pinned_checkpoint([], "report")
