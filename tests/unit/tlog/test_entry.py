"""Log entries: one spelling, nothing unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.tlog.entry import EntryKind, LogEntry, read_entry

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
ENTRY = LogEntry(EntryKind.DECISION, "ab" * 32, NOW, "20261121T183000Z-…", "production")


def spelled(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class TestEntry:
    @pytest.mark.parametrize("kind", EntryKind)
    def test_reading_is_the_inverse(self, kind):
        for environment in (None, "production"):
            entry = LogEntry(kind, "ab" * 32, NOW, "a name", environment)

            assert read_entry(entry.to_bytes()) == entry

    def test_its_bytes(self):
        assert LogEntry(EntryKind.POLICY, "00" * 32, NOW, "p").to_bytes() == (
            b'{"at":"2026-11-21T18:30:00.000000Z","format":1,"kind":"policy","name":"p","sha256":"'
            + b"00" * 32
            + b'"}'
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"kind": "else"},
            {"kind": 1},
            {"format": 2},
            {"format": True},
            {"sha256": "AB" * 32},
            {"sha256": "ab" * 31},
            {"sha256": None},
            {"name": ""},
            {"name": " "},
            {"name": "a\nb"},
            {"name": "x" * 501},
            {"name": 5},
            {"environment": ""},
            {"environment": None},
            {"at": "2026-11-21T18:30:00Z"},
            {"at": "yesterday"},
            {"at": 1},
            {"more": 1},
        ],
    )
    def test_anything_else_is_refused(self, change):
        with pytest.raises(EvidenceError, match=r"^entry 3: expected a log entry: "):
            read_entry(spelled({**json.loads(ENTRY.to_bytes()), **change}), "entry 3")

    @pytest.mark.parametrize("field", ["at", "format", "kind", "name", "sha256"])
    def test_every_field_but_the_environment_is_required(self, field):
        value = json.loads(ENTRY.to_bytes())
        del value[field]

        with pytest.raises(EvidenceError, match="missing or unknown field"):
            read_entry(spelled(value))

    def test_one_spelling_only(self):
        good = ENTRY.to_bytes()
        for other in (
            json.dumps(json.loads(good)).encode(),
            good + b"\n",
            good.replace(b"\\u2026", "…".encode()),
            good.replace(b'"at"', b'"\\u0061t"'),
            b'{"at":1,' + good[1:],
            b"[]",
            b"",
            b"\xff",
        ):
            with pytest.raises(EvidenceError):
                read_entry(other)

    def test_what_does_not_fit_is_not_written(self):
        with pytest.raises(EvidenceError):
            LogEntry(EntryKind.KEY, "x", NOW, "k").to_bytes()
        with pytest.raises(ValueError, match="timezone-aware"):
            LogEntry(EntryKind.KEY, "ab" * 32, NOW.replace(tzinfo=None), "k").to_bytes()
        assert LogEntry(EntryKind.KEY, "ab" * 32, NOW + timedelta(microseconds=1), "k").to_bytes()
