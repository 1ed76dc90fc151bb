"""Past runs of a project: which there are, what each was for, and the newest whose evidence verifies."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.files import read_or_none, read_regular
from pytest_cutover.report.view import LastRun, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_cutover.keys.trust import Anchor

_MAX_FIRST_LINE = 1024 * 1024
_MAX_TRIED = 20
"""Runs whose evidence is looked into: old folders that do not verify must not make each run slower."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run was begun for, as its journal's first line says; **not verified**."""

    folder: Path
    plan: str
    environment: str
    shard: str | None


def past_runs(folder: Path, before: str | None = None) -> Iterator[Made]:
    """The runs in a folder of runs, newest first; `before` is the id of a run that does not count, nor any later."""
    try:
        names = sorted((path.name for path in folder.iterdir()), reverse=True)
    except OSError:
        return
    for name in names:
        if before is None or name < before:
            made = _made(folder / name)
            if made is not None:
                yield made


def _made(folder: Path) -> Made | None:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with (folder / "journal.jsonl").open("rb") as file:
            head = json.loads(file.readline(_MAX_FIRST_LINE))
        return Made(folder, str(head["plan"]), str(head["environment"]), head["shard"])
    return None


def last_run(
    folder: Path, *, plan: str, environment: str, shard: str | None, before: str, anchor: Anchor
) -> LastRun | None:
    """The newest run before `before` of the same plan, environment and shard whose bundle verifies."""
    wanted = (plan, environment, shard)
    tried = 0
    for made in past_runs(folder, before):
        if (made.plan, made.environment, made.shard) != wanted:
            continue
        found = _verified(made.folder, anchor)
        tried += 1
        if found is not None:
            return found
        if tried == _MAX_TRIED:
            return None
    return None


def _verified(folder: Path, anchor: Anchor) -> LastRun | None:
    try:
        bundle, report = read_regular(folder / BUNDLE_FILE), read_regular(folder / REPORT_FILE)
    except OSError:
        return None
    found = verify_logged(bundle, report, read_or_none(folder / PROOF_FILE), anchor)
    if not found.is_valid or found.decision is None or found.record is None:
        return None
    decision = found.decision
    return LastRun(decision.run_id, decision.verdict, decision.decided_at, values_of(found.record))
