"""Tiles and bundles: the specification's own examples, one spelling for each path, strict contents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.errors import EvidenceError
from pytest_cutover.tlog.merkle import EMPTY_ROOT, Tree, leaf_hash
from pytest_cutover.tlog.tiles import (
    Tile,
    bundle,
    edge_of,
    edge_root,
    nodes_of,
    parse_bundle,
    parse_path,
    tiles_of,
)

TREE = Tree(leaf_hash(b"%d" % n) for n in range(70_000))


def content(tile):
    begin = tile.index * 256
    return TREE.hashes(8 * tile.level, begin, begin + tile.width)


class TestPaths:
    @pytest.mark.parametrize(
        ("tile", "path"),
        [
            (Tile(0, 1_234_067), "tile/0/x001/x234/067"),  # the specification's example
            (Tile(0, 0), "tile/0/000"),
            (Tile(63, 999, 1), "tile/63/999.p/1"),
            (Tile(None, 1000, 255), "tile/entries/x001/000.p/255"),
            (Tile(1, 10**9), "tile/1/x001/x000/x000/000"),
        ],
    )
    def test_the_form_of_the_specification(self, tile, path):
        assert tile.path == path
        assert parse_path(path) == tile

    @given(st.none() | st.integers(0, 63), st.integers(0, 2**62), st.integers(1, 256))
    def test_reading_is_the_inverse(self, level, index, width):
        assert parse_path(Tile(level, index, width).path) == Tile(level, index, width)

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "tile/0/",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/x000/001",  # a leading group of zeros: another spelling of 001
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/X001/002",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/257",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p/5/",
            "tile/0/000\n",
            "tile/0/00\N{ARABIC-INDIC DIGIT ONE}",  # a digit, and none of ours
            "tile/data/000",
            "tile/entries/000.P/3",
            "../tile/0/000",
            "/tile/0/000",
        ],
    )
    def test_any_other_is_refused(self, path):
        with pytest.raises(EvidenceError, match="path of a tile"):
            parse_path(path)


class TestLayout:
    def test_the_specification_s_tree_of_70_000(self):
        tiles = [t for t in tiles_of(70_000) if t.level is not None]

        assert sum(t.level == 0 and t.is_full for t in tiles) == 273
        assert [t for t in tiles if not t.is_full] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
        assert [t for t in tiles if t.level == 1 and t.is_full] == [Tile(1, 0)]
        assert list(edge_of(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]

    def test_the_specification_s_tree_of_256(self):
        assert list(tiles_of(256)) == [Tile(None, 0), Tile(0, 0), Tile(1, 0, 1)]
        assert list(edge_of(256)) == [Tile(1, 0, 1)]
        assert list(tiles_of(0)) == list(edge_of(0)) == []

    @pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 69_999])
    def test_every_hash_comes_from_the_tiles(self, size):
        edge = [bytearray()] * 8
        for tile in edge_of(size):
            edge[tile.level] = bytearray(content(tile))
        there = set(tiles_of(size))

        def read(tile):
            assert tile in there
            return content(tile)

        nodes = nodes_of(read, size)
        assert edge_root(edge) == TREE.root(size)
        for level in range(size.bit_length()):
            for index in {0, (size >> level) // 2, (size >> level) - 1} & set(range(size >> level)):
                assert nodes(level, index) == TREE.node(level, index)

    def test_no_edge_is_the_empty_tree(self):
        assert edge_root([]) == edge_root([bytearray(), bytearray()]) == EMPTY_ROOT

    def test_where_a_tile_ends(self):
        assert [Tile(None, 1, 3).end, Tile(0, 1, 3).end, Tile(1, 1, 3).end] == [259, 259, 259 * 256]


class TestBundles:
    @given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
    def test_reading_is_the_inverse(self, entries):
        assert parse_bundle(bundle(entries), len(entries), "b") == entries

    def test_its_form(self):
        assert bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"

    @pytest.mark.parametrize(
        "data", [b"", b"\x00", b"\x00\x03ab", b"\x00\x02ab\x00", b"\x00\x02ab\x00\x00\x00\x00"]
    )
    def test_any_other_number_of_entries_is_refused(self, data):
        with pytest.raises(EvidenceError, match=r"^b: (expected 2 entries|the bundle was cut off)"):
            parse_bundle(data, 2, "b")
