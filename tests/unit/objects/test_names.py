"""Keys that every store can hold."""

from __future__ import annotations

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.names import check_key


class TestCheckKey:
    @pytest.mark.parametrize(
        "key",
        ["latest.json", "tile/0/x001/067", "tile/0/000.p/5", "history/20261121T084800Z-1a2b3c4d/_a-b.json"],
    )
    def test_plain_names_with_slashes_are_a_key(self, key):
        assert check_key(key) == tuple(key.split("/"))

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            ".hidden",
            "a/.b",
            "a b",
            "a\nb",
            "a\x00b",
            "ä",
            "-a",
            "a\\b",
            "C:a",
            "a" * 201,
            "/".join(["a" * 100] * 11),
            "a/b\n",
        ],
    )
    def test_what_could_lead_elsewhere_or_be_read_in_two_ways_is_none(self, key):
        with pytest.raises(EvidenceError, match="expected names of letters"):
            check_key(key)
