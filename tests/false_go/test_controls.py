"""Whole projects are GO in every mode: without these, a harness that never says GO would pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.false_go.harness import Base, LyingRun, Mode, check, execute, truly_go
from tests.false_go.projects.bases import BASES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.false_go.harness import Keys


def control(base: Base) -> LyingRun:
    """A base project as it stands."""
    return LyingRun(base.name, "", base, truly_go("nothing is wrong with it"))


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
@pytest.mark.parametrize("base", BASES, ids=lambda b: b.name)
def test_a_whole_project_is_go(base: Base, mode: Mode, tmp_path: Path, keys: Keys) -> None:
    run = control(base)

    check(run, mode, execute(run, mode, tmp_path, keys))
