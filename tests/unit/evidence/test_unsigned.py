"""When a run was begun, going by its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.evidence.unsigned import begun_between


class TestBegunBetween:
    def test_a_name_says_it_to_the_millisecond(self) -> None:
        at = datetime(2026, 11, 21, 8, 47, 50, 125000, tzinfo=UTC)

        assert begun_between("20261121T084750.125Z-1a2b3c4d") == (at, at + timedelta(milliseconds=1))

    @pytest.mark.parametrize(
        "name", ["notes", "20261321T084750.125Z-1a2b3c4d", "99991231T235959.999Z-1a2b3c4d"]
    )
    def test_what_names_no_time_is_no_run_s_name(self, name: str) -> None:
        assert begun_between(name) is None
