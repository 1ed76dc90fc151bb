"""No lie of the table is believed: never exit 0 together with a GO, always the documented code and reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.false_go.harness import ALL, PAIR, SOAK, LyingRun, Mode, check, execute
from tests.false_go.projects import LIES
from tests.false_go.projects.bases import BASES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.false_go.harness import Keys


OTHERS = (Mode.ALONE_N2, Mode.SUPERVISED, Mode.SUPERVISED_N2)


def modes_of(lie: LyingRun, turn: int) -> tuple[Mode, ...]:
    """What runs every day. Where all modes see the same: in-process, behind which nobody stands, and another in turn."""
    if SOAK or lie.by_mode or lie.modes not in (ALL, PAIR):
        return lie.modes
    other = OTHERS[turn % len(OTHERS)]
    return (Mode.ALONE, other) if other in lie.modes else (Mode.ALONE,)


MATRIX = [
    pytest.param(lie, mode, id=f"{lie.name}[{mode.value}]")
    for turn, lie in enumerate(LIES)
    for mode in modes_of(lie, turn)
]


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

    def test_runs_each_mode_every_day(self) -> None:
        """And the whole of it under CUTOVER_SOAK=1."""
        in_turn = [mode for turn, lie in enumerate(LIES) for mode in modes_of(lie, turn) if not lie.by_mode]

        assert min(Counter(in_turn)[mode] for mode in Mode) >= 25

    def test_lets_no_supervised_run_end_with_0_unseen(self) -> None:
        """What an exit status cannot show in-process, the supervising parent must catch."""
        hidden = [
            lie.name for lie in LIES for mode in lie.modes if mode.supervised and lie.expected(mode).unseen
        ]

        assert hidden == []

    def test_starts_from_projects_that_are_controls(self) -> None:
        assert {lie.base.name for lie in LIES} <= {base.name for base in BASES}
