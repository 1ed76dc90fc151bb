"""The right edge of a log: what an append goes on from, in memory. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.tlog.merkle import HASH_SIZE, leaf_hash, subtree
from pytest_cutover.tlog.tiles import HEIGHT, WIDTH, Tile, bundle, edge_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(slots=True)
class Edge:
    """The partial bundle, and the partial tile of each level from 0 up (empty where there is none)."""

    size: int
    tiles: list[bytearray]
    entries: bytearray

    def root(self) -> bytes:
        """The root hash of the tree."""
        return edge_root(self.tiles)

    def grow(self, entries: Sequence[bytes]) -> Iterator[tuple[Tile, bytes]]:
        """Append; the bundles and tiles to be written, of which the first is always the bundle that grew."""
        before, at = self.size, 0
        while at < len(entries):
            index, width = divmod(self.size, WIDTH)
            taken = entries[at : at + WIDTH - width]
            at += len(taken)
            self.size += len(taken)
            self.entries += bundle(taken)
            yield Tile(None, index, width + len(taken)), bytes(self.entries)
            self._level(0).extend(b"".join(map(leaf_hash, taken)))
            if width + len(taken) == WIDTH:
                self.entries.clear()
                yield from self._close()
        yield from self._partials(before)

    def _level(self, level: int) -> bytearray:
        if level == len(self.tiles):
            self.tiles.append(bytearray())
        return self.tiles[level]

    def _close(self) -> Iterator[tuple[Tile, bytes]]:
        """Tiles that became full, from level 0 up; each is one hash in the level above."""
        level = 0
        while len(self.tiles[level]) == WIDTH * HASH_SIZE:
            full = bytes(self.tiles[level])
            yield Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1), full
            self.tiles[level].clear()
            level += 1
            self._level(level).extend(subtree(full))

    def _partials(self, before: int) -> Iterator[tuple[Tile, bytes]]:
        """The partial tile of each level that is another than it was."""
        for level, hashes in enumerate(self.tiles):
            count = self.size >> (HEIGHT * level)
            if hashes and count != before >> (HEIGHT * level):
                yield Tile(level, count // WIDTH, count % WIDTH), bytes(hashes)
