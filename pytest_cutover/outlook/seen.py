"""What gates measured when they last ran, as the newest recorded run of a plan and environment says; **not verified**."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

from pytest_cutover.files import read_regular
from pytest_cutover.record import fold
from pytest_cutover.run.last import past_runs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_cutover.model import EffectivePolicy, Measurement

_MAX_TRIED = 20
"""Runs that are looked into for one in which a gate ran."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest run in which any gate ended: its measurements by gate key."""

    run_id: str
    gate_code_digest: str
    measurements: Mapping[str, tuple[Measurement, ...]]


def last_seen(rootdir: Path, policy: EffectivePolicy) -> Seen | None:
    """The newest recorded run of the policy's plan and environment; None when there is none."""
    wanted = (policy.plan, policy.environment)
    runs = (m for m in past_runs(rootdir / "var/cutover/runs") if (m.plan, m.environment) == wanted)
    for made in islice(runs, _MAX_TRIED):
        try:
            record = fold(BytesIO(read_regular(made.folder / "journal.jsonl")).readlines())
        except OSError:
            continue
        keys = {info.nodeid: info.key for info in record.collected}
        found = {keys[r.nodeid]: r.measurements for r in record.results if r.nodeid in keys}
        if found:
            return Seen(made.folder.name, record.gate_code_digest, found)
    return None
