"""The table of what cannot be seen says the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.false_go.beyond import BEYOND, Beyond
from tests.false_go.harness import PAIR, Mode, execute

if TYPE_CHECKING:
    from pathlib import Path

    from tests.false_go.harness import Keys


@pytest.mark.parametrize("mode", PAIR, ids=lambda m: m.value)
@pytest.mark.parametrize("row", BEYOND, ids=lambda r: r.run.name)
def test_what_is_beyond_the_engine_comes_out_as_written(
    row: Beyond, mode: Mode, tmp_path: Path, keys: Keys
) -> None:
    seen = execute(row.run, mode, tmp_path, keys)

    assert f"{seen.exit} {'/'.join(seen.verdicts) or '-'}" == row.outcome(mode), seen.summary()


def test_each_row_says_what_stands_against_it() -> None:
    assert [row.run.name for row in BEYOND if not row.measure] == []
