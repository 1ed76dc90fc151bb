"""The Merkle tree of RFC 6962 section 2.1 with SHA-256: hashes, proofs, and the tree kept in memory. No I/O.

Proofs are made from the hashes of complete subtrees, wherever those are kept: `Nodes(level, index)` is the hash
of the leaves from `index << level` up to `(index + 1) << level`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pytest_cutover.errors import VerificationError

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root hash of the tree without leaves: RFC 6962 section 2.1."""

Nodes = Callable[[int, int], bytes]

_KEPT: Final = 256
_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry): RFC 6962 section 2.1."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right): RFC 6962 section 2.1."""
    return _sha256(b"\x01" + left + right).digest()


def parents(hashes: bytes | bytearray) -> bytes:
    """The hashes one level up of an even number of hashes; all of them back to back."""
    # The hottest line of a long append: two hashes are one slice, and nothing else is made.
    return b"".join(
        [_sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 2 * HASH_SIZE)]
    )


def subtree(hashes: bytes | bytearray) -> bytes:
    """The root over a power of two of hashes, back to back."""
    while len(hashes) > HASH_SIZE:
        hashes = parents(hashes)
    return bytes(hashes)


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of decreasing size, as they stand from left to right."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def complete_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Level and index of the complete subtrees of which [begin, end) consists, from left to right.

    `begin` is a multiple of the largest of them, as it is for every subtree of RFC 6962.
    """
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def range_root(nodes: Nodes, begin: int, end: int) -> bytes:
    """MTH(D[begin:end]) of a subtree of RFC 6962; of the whole tree when `begin` is 0."""
    size = end - begin
    if size and size & (size - 1) == 0:
        level = size.bit_length() - 1
        return nodes(level, begin >> level)
    return fold([nodes(level, index) for level, index in complete_subtrees(begin, end)])


# -- making proofs -----------------------------------------------------------------------------


def inclusion_proof(
    nodes: Nodes, index: int, size: int, *, rest: Callable[[int, int], bytes] | None = None
) -> list[bytes]:
    """PATH(index, D[size]), from the leaf's sibling up: RFC 6962 section 2.1.1.

    `rest`: MTH(D[begin:size]) of what is no complete subtree, where it is known already.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"expected a leaf below the tree size {size}, got {index}")
    # Up to where the paths of this and of the last leaf meet, each sibling is complete, but for the topmost.
    apart = (index ^ (size - 1)).bit_length()
    siblings = [nodes(level, (index >> level) ^ 1) for level in range(apart - 1)]
    if apart:
        begin = ((index >> (apart - 1)) + 1) << (apart - 1)
        siblings.append(range_root(nodes, begin, size) if rest is None else rest(begin, size))
    above = index >> apart
    while above:
        if above & 1:
            siblings.append(nodes(apart, above - 1))
        apart, above = apart + 1, above >> 1
    return siblings


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]): RFC 6962 section 2.1.2. Empty from size 0, and from a size to itself.

    Raises:
        ValueError: the old tree is larger than the new one.
    """
    if not 0 <= old <= new:
        raise ValueError(f"expected an old size from 0 to {new}, got {old}")
    if old in (0, new):
        return []
    begin, end, parts, known = 0, new, [], True
    while end != old:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        if old <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((begin, middle))
            begin, known = middle, False
    # The old tree itself, when it is one complete subtree at the left, is known to whoever asks.
    if not known:
        parts.append((begin, end))
    return [range_root(nodes, *part) for part in reversed(parts)]


# -- verifying proofs --------------------------------------------------------------------------


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root hash that the proof leads to from a leaf hash: RFC 9162 section 2.1.3.2.

    Raises:
        VerificationError: there is no such leaf, or the proof has another length.
    """
    if not 0 <= index < size:
        raise VerificationError(f"expected a leaf index below the tree size {size}, got {index}")
    at, last, root, used = index, size - 1, leaf, 0
    _check_hashes((leaf, *proof))
    for sibling in proof:
        if last == 0:
            break
        used += 1
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while not at & 1:
                at >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        at >>= 1
        last >>= 1
    if last or used != len(proof):
        expected = inclusion_length(index, size)
        raise VerificationError(
            f"inclusion proof has wrong size: expected {expected} hashes, got {len(proof)} "
            f"(leaf {index}, tree size {size})",
            hint="fetch the proof again for the tree size in the checkpoint",
        )
    return root


def inclusion_length(index: int, size: int) -> int:
    """How many hashes an inclusion proof has."""
    length, begin, end = 0, 0, size
    while end - begin > 1:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        begin, end = (begin, middle) if index < middle else (middle, end)
        length += 1
    return length


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Prove that the tree of that size and root hash has that leaf hash at that index.

    Raises:
        VerificationError: it does not follow.
    """
    if root_of_inclusion(leaf, index, size, proof) != root:
        raise VerificationError(
            f"inclusion proof does not lead to the root hash of the checkpoint (leaf {index}, tree size {size})"
        )


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Prove that the tree of size `new` begins with all of the tree of size `old`: RFC 9162 section 2.1.4.2.

    From the empty tree to a larger one there is nothing to prove, and no proof: that is refused.

    Raises:
        VerificationError: it does not follow.
    """
    if not 0 <= old <= new:
        raise VerificationError(f"expected an old tree size from 0 to {new}, got {old}")
    if old == new:
        if proof:
            raise VerificationError(f"consistency proof has wrong size: expected 0 hashes, got {len(proof)}")
        if old_root != new_root or (new == 0 and new_root != EMPTY_ROOT):
            raise VerificationError(f"two root hashes for the tree size {old}")
        return
    if old == 0:
        raise VerificationError("expected an old tree with entries: every tree begins with the empty one")
    _check_hashes((old_root, new_root, *proof))
    if _roots_of_consistency(old, old_root, new, proof) != (old_root, new_root):
        raise VerificationError(f"the tree of size {new} does not begin with the tree of size {old}")


def _roots_of_consistency(old: int, old_root: bytes, new: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root hash that the proof leads to."""
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise VerificationError("consistency proof has wrong size: it is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old_hash = new_hash = path[0]
    for part in path[1:]:
        if last == 0:
            raise VerificationError("consistency proof has wrong size: it has too many hashes")
        if at & 1 or at == last:
            old_hash, new_hash = node_hash(part, old_hash), node_hash(part, new_hash)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            new_hash = node_hash(new_hash, part)
        at >>= 1
        last >>= 1
    if last:
        raise VerificationError("consistency proof has wrong size: it has too few hashes")
    return old_hash, new_hash


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for part in hashes:
        if len(part) != HASH_SIZE:
            raise VerificationError(f"expected hashes of {HASH_SIZE} bytes, got one of {len(part)}")


# -- the tree in memory ------------------------------------------------------------------------


class Tree:
    """Every complete subtree's hash in memory, 64 bytes per leaf: appends by the leaf or by the million."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._rests: dict[tuple[int, int], bytes] = {}  # which a tree of one size has one of for each level
        self.extend(leaves)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_SIZE

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes: one by one, or many of them back to back."""
        added: bytes | bytearray = b"".join(leaves)
        level = 0
        while added:
            if level == len(self._levels):
                self._levels.append(bytearray())
            hashes = self._levels[level]
            hashes += added
            level += 1
            above = len(self._levels[level]) if level < len(self._levels) else 0
            pairs = len(hashes) // (2 * HASH_SIZE)
            added = parents(hashes[2 * above : pairs * 2 * HASH_SIZE])

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree: a `Nodes`."""
        at = index * HASH_SIZE
        return bytes(self._levels[level][at : at + HASH_SIZE])

    def hashes(self, level: int, begin: int, end: int) -> bytes:
        """The hashes of consecutive complete subtrees of one level, back to back; those there are."""
        if level >= len(self._levels):
            return b""
        return bytes(self._levels[level][begin * HASH_SIZE : end * HASH_SIZE])

    def root(self, size: int | None = None) -> bytes:
        """The root hash, now or when the tree had that size."""
        return range_root(self.node, 0, self._sized(size))

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof that the tree of that size (default: all of it) has the leaf."""
        return inclusion_proof(self.node, index, self._sized(size), rest=self._rest)

    def _rest(self, begin: int, size: int) -> bytes:
        found = self._rests.get((begin, size))
        if found is None:
            if len(self._rests) > _KEPT:
                self._rests.clear()
            found = self._rests[begin, size] = range_root(self.node, begin, size)
        return found

    def consistency_proof(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the tree of size `new` (default: all of it) begins with that of size `old`."""
        return consistency_proof(self.node, old, self._sized(new))

    def _sized(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise ValueError(f"expected a tree size from 0 to {self.size}, got {size}")
        return size
