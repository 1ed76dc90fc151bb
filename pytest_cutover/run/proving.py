"""The part of `cutover prove-red` in the process that runs gates: which of them run, and what their sources say.

Only the supervising parent can ask for it, through what it hands over; no variable or option of pytest does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.marker import InvalidMarkerError, gate_info
from pytest_cutover.sources import distortion
from pytest_cutover.sources.remembered import Adverse, Remembering

if TYPE_CHECKING:
    from collections.abc import Mapping


def prove(config: pytest.Config, asked: Mapping[str, Any], worker: str) -> None:
    """Put a distortion behind the sources, and leave out the gates that are not to be seen in this attempt.

    `asked`: the folder of the truthful attempt, the kind of adverse reading (None: the truth), whether it is made
    from fresh ones, the gate ids, and the node ids that were seen red already.
    """
    folder, kind = Path(asked["folder"]), asked["kind"]
    true = Remembering(folder, worker) if kind is None else None
    distortion.put(true or Adverse(folder, kind, again=asked["again"]))
    config.pluginmanager.register(
        Chosen(frozenset(asked["gates"]), frozenset(asked["done"])), "cutover-chosen"
    )


class Chosen:
    """Keeps only the gates of an attempt."""

    def __init__(self, gates: frozenset[str], done: frozenset[str]) -> None:
        self._gates = gates
        self._done = done

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Nothing but the chosen gates, in their order."""
        items[:] = [item for item in items if item.nodeid not in self._done and self._is_chosen(item)]

    def _is_chosen(self, item: pytest.Item) -> bool:
        try:
            info = gate_info(item)
        except InvalidMarkerError:
            return True  # the engine says what is wrong with it
        return info is not None and info.id in self._gates
