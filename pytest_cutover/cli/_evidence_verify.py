"""`cutover evidence verify`: prove that a store is whole, unchanged, signed and complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store, _store_log
from pytest_cutover.model import SECTIONS, rfc3339
from pytest_cutover.store.checking import Checked, Wanted
from pytest_cutover.store.settling import check_settled

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

VALID, INVALID = 0, 1
SHOWN = 20
"""Findings printed; --json has all of them."""


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Prove that everything in a store is there, unchanged, signed by trusted keys and locked as promised. "
        "Every file is read and hashed, every bundle verified and judged again. "
        "An older copy of a whole store is found with --log and --checkpoint."
    )
    parser.epilog = "exit codes: 0 valid, 1 invalid, 2 unusable input, 64 usage"
    _store.add_store(parser)
    parser.add_argument(
        "--environment", metavar="NAME", action="append", default=[], help="only its evidence may be there"
    )
    parser.add_argument(
        "--section",
        action="append",
        choices=SECTIONS,
        default=[],
        help="every document has to have it, beside those that its own plan asks for",
    )
    _store_log.add_log(parser)
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Verify the store; 0 valid, 1 invalid."""
    store = _store.opened(options.store, options.trust)
    anchor = _evidence.anchor(options.trust)
    now = datetime.now(UTC)
    log, pinned = _store_log.asked(options, store, anchor, now, options.environment)
    wanted = Wanted(options.section, options.environment, log, pinned)
    with _store.progress("verified") as told:
        found = check_settled(store, anchor, lambda: datetime.now(UTC), wanted, progress=told)
    if options.json:
        print(json.dumps({"store": store.where, **found.to_json()}, indent=1))
    else:
        _evidence.show(_lines(store.where, found, now))
    return VALID if found.is_valid else INVALID


def _lines(where: str, found: Checked, now: datetime) -> Iterator[str]:
    size = f"{_store.counted(found.runs, 'run')}, {_store.counted(found.files, 'file')}"
    if found.is_valid:
        yield f"VALID    {where}: {size}, whole, unchanged and signed"
    else:
        yield f"INVALID  {where}: {_store.counted(len(found.findings), 'finding')} in {size}"
        for finding in found.findings[:SHOWN]:
            yield f"  {finding.code.code:<22} {finding.where}"
            yield f"    {finding.message}"
        if len(found.findings) > SHOWN:
            yield f"  and {len(found.findings) - SHOWN} more: --json shows all"
        yield "do not rely on this store"
    if found.latest is not None:
        yield f"latest   {found.latest}"
    if found.index is not None:
        locked = found.index.locked(now)
        yield f"index    of {rfc3339(found.index.at)}, {locked} of {len(found.index.objects)} files locked"
    for run_id in found.unfinished[:SHOWN]:
        yield f"not whole {run_id}, whose writer was killed or is at it: it admits nothing"
    if found.unfinished:
        yield "         cutover evidence put completes those whose folder still has its bundle, by its name"
    if found.logged is not None:
        yield f"logged   {_store.counted(found.logged, 'decision')} of the store"
    yield f"trust    {found.anchor.description}"
