"""What was promised, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.promise import Promise, format_promise, read_promise

UNTIL = datetime(2027, 1, 1, tzinfo=UTC)


class TestPromise:
    @pytest.mark.parametrize(
        "promise", [Promise(), Promise(UNTIL), Promise(None, True), Promise(UNTIL, True)]
    )
    def test_what_is_written_is_read(self, promise):
        assert read_promise("a/b", format_promise("a/b", promise), where="x") == promise

    def test_no_flipped_bit_is_read(self):
        """A damaged promise must not become none."""
        data = format_promise("a", Promise(UNTIL, True))
        for bit in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(EvidenceError, match=r"kept/x: what is promised about a is damaged"):
                read_promise("a", bytes(flipped), where="kept/x")

    def test_another_objects_promise_is_damaged(self):
        with pytest.raises(EvidenceError, match="what is promised about b is damaged"):
            read_promise("b", format_promise("a", Promise()), where="x")
