"""`cutover evidence drilled`: what the newest restore drill came to, and whether it still counts."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store, _transfer
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.model import rfc3339
from pytest_cutover.objects.place import absolute
from pytest_cutover.store.drill import DRILLS, drill_statement, newest_drill

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.store.drill import Drill

COUNTS, COUNTS_NOT = 0, 1


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Say what the newest restore drill came to: whether it passed, is signed by a trusted key and is not stale yet. "
        "An older one never stands in for it."
    )
    parser.epilog = "exit codes: 0 PASS and fresh, 1 it failed, is stale or of another store, 2 there is none that can be read, 64 usage"
    parser.add_argument(
        "--drills",
        metavar="FOLDER",
        type=Path,
        default=Path(DRILLS),
        help="where drills are kept (%(default)s)",
    )
    parser.add_argument(
        "--store", metavar="PLACE", help="it has to be of this store (default: whichever was drilled)"
    )
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Look; 0 it counts, 1 it does not."""
    now = datetime.now(UTC)
    try:
        drill = newest_drill(options.drills, _evidence.anchor(options.trust), now)
    except EvidenceError as exc:
        print(f"error: the newest drill does not verify: {exc}", file=sys.stderr)
        return COUNTS_NOT
    if drill is None:
        raise ConfigError(f"there is no drill in {options.drills}", hint="cutover evidence drill makes one")
    is_stale = drill.is_stale(now)
    if options.store is not None and drill.store != (asked := absolute(options.store)):
        where = "" if drill.store == absolute(drill.store) else ", which does not say where"
        print(f"error: expected a drill of {asked}, the newest is of {drill.store}{where}", file=sys.stderr)
        return COUNTS_NOT
    if options.json:
        print(json.dumps(json.loads(drill_statement(drill)) | {"stale": is_stale}, indent=1))
    else:
        _evidence.show(_lines(drill, is_stale=is_stale))
    return COUNTS if drill.passed and not is_stale else COUNTS_NOT


def _lines(drill: Drill, *, is_stale: bool) -> Iterator[str]:
    word = "STALE" if is_stale else "PASS" if drill.passed else "FAIL"
    yield f"{word:<8} {_store.shown(drill.store)}, drilled {rfc3339(drill.finished_at)}"
    yield f"restored {_store.counted(drill.restored, 'file')}, {_transfer.size(drill.bytes)}"
    yield f"RTO      {drill.rto_s:.1f} s, at most {drill.rto_limit_s:.0f} s"
    yield f"RPO      {drill.rpo_files} of {_store.counted(drill.existed, 'file')} lost, at most {drill.rpo_limit_files}"
    yield f"stale    from {rfc3339(drill.expires_at)} on"
