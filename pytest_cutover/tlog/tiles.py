"""Tiles and entry bundles: their paths and what is in them (C2SP tlog-tiles). No I/O.

A tile of level `l` holds up to 256 hashes, each over 256**l leaves; its index counts tiles of that level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_cutover.errors import EvidenceError
from pytest_cutover.tlog.merkle import HASH_SIZE, Nodes, fold, subtree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes of a full tile, and entries of a full bundle."""

LEVELS: Final = 8
"""Levels of tiles that a tree of less than 2**63 entries can have."""

MAX_ENTRY_BYTES: Final = 65_535
"""A bundle prefixes each entry with its length in two bytes."""

CHECKPOINT: Final = "checkpoint"
FOLDER: Final = "tile/"

_ENTRIES = "entries"
_PATH = re.compile(
    r"tile/(?P<level>[0-9]|[1-5][0-9]|6[0-3]|entries)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile, or a bundle of entries (`level` None), by its place in the tree."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`, e.g. `tile/0/x001/x234/067`."""
        rest, last = divmod(self.index, 1000)
        groups = [f"{last:03d}"]
        while rest:
            rest, group = divmod(rest, 1000)
            groups.insert(0, f"x{group:03d}")
        level = _ENTRIES if self.level is None else str(self.level)
        return f"tile/{level}/{'/'.join(groups)}" + ("" if self.is_full else f".p/{self.width}")

    @property
    def is_full(self) -> bool:
        return self.width == WIDTH

    @property
    def full(self) -> Tile:
        return replace(self, width=WIDTH)

    @property
    def end(self) -> int:
        """The least tree size of which it is a part."""
        return (self.index * WIDTH + self.width) << (HEIGHT * (self.level or 0))


def parse_path(path: str) -> Tile:
    """The tile under a path.

    Raises:
        EvidenceError: not the path of a tile, spelled in the one way there is.
    """
    found = _PATH.fullmatch(path)
    if found is not None:
        level = None if found["level"] == _ENTRIES else int(found["level"])
        width = WIDTH if found["width"] is None else int(found["width"])
        tile = Tile(level, int(found["index"].replace("x", "").replace("/", "")), width)
        if tile.path == path and width <= WIDTH:
            return tile
    raise EvidenceError(f"expected the path of a tile such as tile/0/x001/x234/067.p/12, got {path!r}")


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle of a tree of that size, each in the width it has there."""
    for index in range(0, size, WIDTH):
        yield Tile(None, index // WIDTH, min(WIDTH, size - index))
    level, hashes = 0, size
    while hashes:
        for begin in range(0, hashes, WIDTH):
            yield Tile(level, begin // WIDTH, min(WIDTH, hashes - begin))
        level, hashes = level + 1, hashes // WIDTH


def edge_of(size: int) -> Iterator[Tile]:
    """The partial tile of each level of a tree of that size, from level 0 up; what an append goes on from."""
    level, hashes = 0, size
    while hashes:
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)
        level, hashes = level + 1, hashes // WIDTH


def tells_of_later_checkpoints(beyond: Iterable[Tile]) -> bool:
    """Whether tiles beyond a checkpoint are of more than one append: then there was a later checkpoint.

    An append writes each bundle once, and a writer removes what another left before it writes its own.
    """
    bundles = [tile.index for tile in beyond if tile.level is None]
    return len(bundles) != len(set(bundles))


def tile_of_node(level: int, index: int, size: int) -> tuple[Tile, slice]:
    """The tile of a tree of that size that holds a complete subtree's hashes, and where they are in its bytes."""
    above, inside = divmod(level, HEIGHT)
    first = index << inside
    tile = Tile(above, first // WIDTH)
    there = (size >> (HEIGHT * above)) - tile.index * WIDTH
    begin = first % WIDTH
    where = slice(begin * HASH_SIZE, (begin + (1 << inside)) * HASH_SIZE)
    return replace(tile, width=min(WIDTH, there)), where


def nodes_of(read: Callable[[Tile], bytes], size: int) -> Nodes:
    """The hashes of complete subtrees of a tree of that size, from its tiles as `read` gives them."""

    def node(level: int, index: int) -> bytes:
        tile, where = tile_of_node(level, index, size)
        return subtree(read(tile)[where])

    return node


def edge_root(edge: Sequence[bytes | bytearray]) -> bytes:
    """The root hash of a tree from its edge: the partial tile of each level from 0 up, empty where there is none."""
    subtrees = []
    for hashes in reversed(edge):
        begin, width = 0, len(hashes) // HASH_SIZE
        for bit in reversed(range(HEIGHT)):
            if width & (1 << bit):
                end = begin + (HASH_SIZE << bit)
                subtrees.append(subtree(hashes[begin:end]))
                begin = end
    return fold(subtrees)


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as they stand in a bundle: each after its length in two bytes, big-endian."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def parse_bundle(data: bytes, width: int, where: str) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        EvidenceError: it does not hold exactly `width` entries; the message begins with `where`.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data) or begin > len(data):
            raise EvidenceError(f"{where}: the bundle was cut off in entry {len(entries)}")
        entries.append(data[begin:at])
    if len(entries) != width:
        raise EvidenceError(f"{where}: expected {width} entries, got {len(entries)}")
    return entries
