"""The Merkle tree against RFC 6962's definitions, other implementations' vectors, and every small tree there is."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.errors import VerificationError
from pytest_cutover.tlog import merkle
from pytest_cutover.tlog.merkle import (
    EMPTY_ROOT,
    Tree,
    inclusion_length,
    leaf_hash,
    node_hash,
    root_of_inclusion,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc6962"

# The leaves and root hashes of certificate-transparency's own tests (merkletree/tree_hasher_test.cc).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(b"%d" % n) for n in range(300)]
TREE = Tree(HASHES)


@cache
def mth(begin, end):
    """MTH(D[begin:end]) word for word: RFC 6962 section 2.1."""
    if end - begin == 0:
        return hashlib.sha256(b"").digest()
    if end - begin == 1:
        return HASHES[begin]
    k = 1
    while 2 * k < end - begin:
        k *= 2
    return hashlib.sha256(b"\x01" + mth(begin, begin + k) + mth(begin + k, end)).digest()


def flipped(data, bit=0):
    return data[:-1] + bytes([data[-1] ^ (1 << bit)])


class TestConstants:
    def test_the_hashes_of_the_rfc(self):
        assert leaf_hash(b"") == hashlib.sha256(b"\0").digest()
        assert (
            leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
        )
        assert (
            node_hash(b"N123", b"N456").hex()
            == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
        )
        assert EMPTY_ROOT.hex() == ROOTS[0]

    @pytest.mark.parametrize("size", range(9))
    def test_the_root_hashes_of_certificate_transparency(self, size):
        assert Tree(map(leaf_hash, LEAVES[:size])).root().hex() == ROOTS[size]


def vectors(kind):
    lines = (VECTORS / f"{kind}.jsonl").read_text("utf-8").splitlines()
    return [pytest.param(v, id=v["file"]) for v in map(json.loads, lines)]


def decoded(value):
    return base64.b64decode(value or "")


def accepted(check, *arguments):
    try:
        check(*arguments)
    except VerificationError:
        return False
    return True


class TestVectors:
    """transparency-dev/merkle: what it accepts is accepted, what it refuses is refused."""

    @pytest.mark.parametrize("v", vectors("inclusion"))
    def test_inclusion(self, v):
        proof = [decoded(part) for part in v["proof"] or []]
        arguments = decoded(v["leafHash"]), v["leafIdx"], v["treeSize"], proof, decoded(v["root"])

        assert accepted(verify_inclusion, *arguments) is not v["wantErr"]

    @pytest.mark.parametrize("v", vectors("consistency"))
    def test_consistency(self, v):
        proof = [decoded(part) for part in v["proof"] or []]
        arguments = v["size1"], decoded(v["root1"]), v["size2"], decoded(v["root2"]), proof

        assert accepted(verify_consistency, *arguments) is not v["wantErr"]


class TestEverySmallTree:
    def test_every_root(self):
        assert [TREE.root(size) for size in range(301)] == [mth(0, size) for size in range(301)]

    def test_every_inclusion_proof_below_300(self):
        for size in range(1, 300):
            for index in range(size):
                proof = TREE.inclusion_proof(index, size)

                assert root_of_inclusion(HASHES[index], index, size, proof) == mth(0, size)
                assert len(proof) == inclusion_length(index, size)

    def test_every_consistency_pair_below_120(self):
        for new in range(1, 120):
            for old in range(1, new + 1):
                verify_consistency(old, mth(0, old), new, mth(0, new), TREE.consistency_proof(old, new))

    def test_no_inclusion_proof_holds_for_another_leaf_index_size_or_length(self):
        for size in range(1, 20):
            root = TREE.root(size)
            for index in range(size):
                proof = TREE.inclusion_proof(index, size)
                wrong = [(HASHES[index], at, n, proof) for at in range(20) for n in range(20)]
                wrong = [w for w in wrong if w[1:3] != (index, size)]
                # A proof without a hash of its own says nothing of the size: {leaf} is the root of {leaf}.
                roots = [w for w in wrong if accepted(verify_inclusion, *w, root)]
                assert all(mth_of(w) == root for w in roots), (index, size)
                leaf = HASHES[index]
                for other in (proof[:-1], [*proof, root], proof[1:]) if proof else ([root],):
                    assert not accepted(verify_inclusion, leaf, index, size, other, root)
                assert not accepted(verify_inclusion, flipped(leaf), index, size, proof, root)
                assert not accepted(verify_inclusion, leaf, index, size, proof, flipped(root))

    def test_no_consistency_proof_holds_for_another_root_or_length(self):
        for new in range(1, 60):
            for old in range(1, new):
                roots, proof = (TREE.root(old), TREE.root(new)), TREE.consistency_proof(old, new)
                for other in (proof[:-1], [*proof, roots[0]], proof[1:], []):
                    assert not accepted(verify_consistency, old, roots[0], new, roots[1], other)
                for one, two in ((flipped(roots[0]), roots[1]), (roots[0], flipped(roots[1]))):
                    assert not accepted(verify_consistency, old, one, new, two, proof)
                for at in range(len(proof)):
                    changed = [*proof[:at], flipped(proof[at], at % 8), *proof[at + 1 :]]
                    assert not accepted(verify_consistency, old, roots[0], new, roots[1], changed)

    def test_a_tree_that_was_forked_has_no_consistency_proof(self):
        fork = Tree([*HASHES[:20], leaf_hash(b"another"), *HASHES[21:64]])
        for old in range(21, 64):
            proof = fork.consistency_proof(old, 64)

            assert not accepted(verify_consistency, old, TREE.root(old), 64, fork.root(), proof)


def mth_of(arguments):
    """The root that an accepted proof stands for; sizes that have the same shape above one leaf are one statement."""
    leaf, index, size, proof = arguments
    return root_of_inclusion(leaf, index, size, proof)


class TestEdges:
    def test_the_same_size_needs_the_same_root_and_no_proof(self):
        root = TREE.root(5)
        verify_consistency(5, root, 5, root, [])

        with pytest.raises(VerificationError, match="two root hashes for the tree size 5"):
            verify_consistency(5, root, 5, flipped(root), [])
        with pytest.raises(VerificationError, match="expected 0 hashes, got 1"):
            verify_consistency(5, root, 5, root, [root])

    def test_the_empty_tree_has_one_root(self):
        verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])

        with pytest.raises(VerificationError, match="two root hashes for the tree size 0"):
            verify_consistency(0, TREE.root(1), 0, TREE.root(1), [])

    def test_from_the_empty_tree_there_is_nothing_to_prove(self):
        """As in other libraries: whoever asks for a proof has to know of an entry."""
        for proof in ([], [EMPTY_ROOT]):
            with pytest.raises(VerificationError, match="every tree begins with the empty one"):
                verify_consistency(0, EMPTY_ROOT, 5, TREE.root(5), proof)

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
    def test_a_leaf_that_no_tree_has(self, index, size):
        with pytest.raises(VerificationError, match="leaf index below the tree size"):
            root_of_inclusion(HASHES[0], index, size, [])
        with pytest.raises(ValueError, match="leaf below the tree size"):
            merkle.inclusion_proof(TREE.node, index, size)

    @pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
    def test_an_old_tree_that_is_no_older(self, old, new):
        with pytest.raises(VerificationError, match="old tree size from 0 to 5"):
            verify_consistency(old, EMPTY_ROOT, new, TREE.root(5), [])
        with pytest.raises(ValueError, match="old size from 0 to 5"):
            TREE.consistency_proof(old, new)

    def test_hashes_of_another_length(self):
        """Else bytes could move between neighbours: `ab ‖ c` hashes as `a ‖ bc`."""
        proof = TREE.inclusion_proof(1, 4)
        with pytest.raises(VerificationError, match="hashes of 32 bytes, got one of 31"):
            verify_inclusion(HASHES[1], 1, 4, [proof[0][:-1], proof[1]], TREE.root(4))
        with pytest.raises(VerificationError, match="hashes of 32 bytes"):
            verify_consistency(1, TREE.root(1), 2, TREE.root(2), [b""])

    def test_the_message_says_what_was_expected(self):
        with pytest.raises(
            VerificationError, match=r"expected 4 hashes, got 0 \(leaf 17, tree size 23\)"
        ) as caught:
            verify_inclusion(HASHES[17], 17, 23, [], TREE.root(23))
        assert caught.value.hint is not None

    def test_a_size_it_never_had(self):
        with pytest.raises(ValueError, match="tree size from 0 to 300"):
            TREE.root(301)
        assert TREE.hashes(60, 0, 1) == b""


class TestTree:
    @given(st.lists(st.integers(1, 40), max_size=12))
    def test_it_is_the_same_however_it_grew(self, batches):
        tree, size = Tree(), 0
        for batch in batches:
            tree.extend(leaf_hash(b"%d" % n) for n in range(size, size + batch))
            size += batch

        assert tree.size == size
        assert tree.root() == Tree(leaf_hash(b"%d" % n) for n in range(size)).root()
