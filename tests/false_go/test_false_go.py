"""No lie of the table is believed: never exit 0 together with a GO, always the documented code and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.false_go.harness import ALL, ENDS, SOAK, LyingRun, Mode, check, execute
from tests.false_go.projects import LIES
from tests.false_go.projects.bases import BASES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.false_go.harness import Keys


def modes_of(lie: LyingRun) -> tuple[Mode, ...]:
    """What runs every day: alone and under xdist, in-process and supervised, each once where it makes no difference."""
    return ENDS if lie.modes == ALL and not lie.by_mode and not SOAK else lie.modes


MATRIX = [pytest.param(lie, mode, id=f"{lie.name}[{mode.value}]") for lie in LIES for mode in modes_of(lie)]


@pytest.mark.parametrize(("lie", "mode"), MATRIX)
def test_a_lie_is_not_believed(lie: LyingRun, mode: Mode, tmp_path: Path, keys: Keys) -> None:
    seen = execute(lie, mode, tmp_path, keys)

    check(lie, mode, seen)


class TestTheTable:
    def test_holds_at_least_eighty_projects_under_names_of_their_own(self) -> None:
        names = [lie.name for lie in LIES]

        assert len(names) >= 80
        assert len(set(names)) == len(names)

    def test_says_why_a_mode_is_left_out(self) -> None:
        assert [lie.name for lie in LIES if lie.modes != ALL and not lie.reduced] == []

    def test_lets_no_supervised_run_end_with_0_unseen(self) -> None:
        """What an exit status cannot show in-process, the supervising parent must catch."""
        hidden = [
            lie.name for lie in LIES for mode in lie.modes if mode.supervised and lie.expected(mode).unseen
        ]

        assert hidden == []

    def test_starts_from_projects_that_are_controls(self) -> None:
        assert {lie.base.name for lie in LIES} <= {base.name for base in BASES}
