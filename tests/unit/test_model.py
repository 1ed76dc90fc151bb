"""Times as they are written, and as they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_cutover.model import parse_rfc3339, rfc3339

AT = datetime(2026, 11, 21, 8, 48, 0, 125_000, tzinfo=UTC)


class TestTimes:
    def test_reading_is_the_inverse_of_writing(self) -> None:
        assert parse_rfc3339(rfc3339(AT)) == AT

    @pytest.mark.parametrize("text", ["2026-11-21T08:48:00.125Z", "2026-11-21T08:48:00.125000999Z"])
    def test_fewer_and_more_digits_are_read(self, text: str) -> None:
        assert parse_rfc3339(text) == AT

    def test_whole_seconds_are_read(self) -> None:
        assert parse_rfc3339("2026-11-21T08:48:00Z") == AT.replace(microsecond=0)

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-21T08:48:00 Z",
            "2026-11-21T08:48:00.000000 Z",
            "2026-11-21T08:48:00.Z",
            "2026-11-21T08:48:00,5Z",
            "2026-11-21T08:48Z",
            "20261121T084800Z",
            "2026-W47-6T08:48:00Z",
            "2026-11-21 08:48:00Z",
            "2026-11-21T08:48:00Z\n",
            "2026-11-21T08:48:00+00:00",
            "2026-11-21T08:48:00+01:00Z",
            "٢026-11-21T08:48:00Z",
            "2026-13-21T08:48:00Z",
            "2026-11-21T08:48:61Z",
            "",
            None,
            0,
        ],
    )
    def test_every_other_spelling_is_refused(self, text: Any) -> None:
        with pytest.raises(
            ValueError, match=r"expected a UTC time|must be in|Invalid isoformat|out of range"
        ):
            parse_rfc3339(text)

    def test_a_naive_time_is_not_written(self) -> None:
        with pytest.raises(ValueError, match="timezone-aware"):
            rfc3339(datetime(2026, 11, 21))  # noqa: DTZ001 - naive is the point
