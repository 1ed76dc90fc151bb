"""`cutover evidence drill`: restore a store into an empty folder, prove it, measure, and sign what came of it."""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store, _store_log, _transfer
from pytest_cutover.cli._when import span
from pytest_cutover.files import write_atomic
from pytest_cutover.model import rfc3339
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store.checking import Wanted
from pytest_cutover.store.drill import (
    DRILLS,
    RPO_LIMIT_FILES,
    RTO_LIMIT_S,
    VALID_FOR,
    Limits,
    drill_statement,
    known_before,
    run_drill,
    sign_drill,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.store.drill import Drill

PASS, FAIL = 0, 1


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Restore a store into an empty folder, verify everything there, and measure: RTO, the time until it is proven, "
        "and RPO, the files that existed before and are lost. The result is signed, and goes stale."
    )
    parser.epilog = "exit codes: 0 PASS, 1 FAIL, 2 unusable input or no answer, 64 usage"
    _store.add_store(parser)
    parser.add_argument(
        "--before",
        metavar="PLACE",
        help="a store that says what existed, such as var/evidence (default: the signed index)",
    )
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, help="keep what is restored in this empty folder"
    )
    parser.add_argument(
        "--rto",
        metavar="S",
        type=_positive,
        default=RTO_LIMIT_S,
        help="at most so many seconds (%(default)g)",
    )
    parser.add_argument(
        "--rpo",
        metavar="N",
        type=_count,
        default=RPO_LIMIT_FILES,
        help="at most so many files lost (%(default)s)",
    )
    parser.add_argument(
        "--valid-for", metavar="SPAN", type=span, default=VALID_FOR, help="until it is stale: 12h, 30d (7d)"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help=f"where to write it (default: below {DRILLS})"
    )
    _store_log.add_log(parser)
    _store.add_key(parser)
    _store.add_trust(parser)
    _store.add_json(parser)


def _positive(text: str) -> float:
    try:
        if 0 < float(text) < 1e9:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected seconds, got {text!r}")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of files, got {text!r}")
    return int(text)


def run(options: Namespace) -> int:
    """Drill; 0 PASS, 1 FAIL."""
    store = _store.opened(options.store, options.trust)
    signer, anchor = _store.signer(options.key), _evidence.anchor(options.trust)
    log, pinned = _store_log.asked(options, store, anchor, datetime.now(UTC), ())
    before = None if options.before is None else known_before(_store.opened(options.before, options.trust))
    with _into(options.into) as folder, _store.progress("restored") as told:
        drill = run_drill(
            store,
            FolderObjects(folder),
            before,
            anchor,
            limits=Limits(options.rto, options.rpo),
            wanted=Wanted(log=log, pinned=pinned),
            valid_for=options.valid_for,
            clock=lambda: datetime.now(UTC),
            progress=told,
        )
    file = options.out or Path(DRILLS) / drill.file_name
    write_atomic(file, sign_drill(drill, signer))
    if options.json:
        print(json.dumps(json.loads(drill_statement(drill)) | {"file": str(file)}, indent=1))
    else:
        _evidence.show(_lines(drill, file))
    return PASS if drill.passed else FAIL


@contextmanager
def _into(kept: Path | None) -> Iterator[Path]:
    """The folder to restore into; one that nobody asked to keep is removed afterwards."""
    if kept is not None:
        yield kept
        return
    import tempfile

    Path(DRILLS).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".restored-", dir=DRILLS))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lines(drill: Drill, file: Path) -> Iterator[str]:
    files = _store.counted(drill.restored, "file")
    yield f"{'PASS' if drill.passed else 'FAIL':<8} {_store.shown(drill.store)}"
    yield f"restored {files}, {_transfer.size(drill.bytes)}"
    yield f"RTO      {drill.rto_s:.1f} s, at most {drill.rto_limit_s:.0f} s"
    yield f"RPO      {drill.rpo_files} of {_store.counted(drill.existed, 'file')} lost, at most {drill.rpo_limit_files}"
    yield f"before   as {drill.before} says"
    for name in drill.lost[: _transfer.SHOWN]:
        yield f"LOST     {name}"
    for finding in drill.findings[: _transfer.SHOWN]:
        yield f"WRONG    {finding}"
    if drill.finding_count > _transfer.SHOWN:
        yield f"and {drill.finding_count - _transfer.SHOWN} more findings"
    yield f"stale    from {rfc3339(drill.expires_at)} on"
    yield f"signed   {file}"
