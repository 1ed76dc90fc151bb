"""`cutover evidence gc`: take runs out of a store that nobody needs any more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.cli._when import age
from pytest_cutover.cli.prune import number
from pytest_cutover.store.collecting import Limits, Plan, collect, index_without, plan
from pytest_cutover.store.index import build_index, write_index

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from datetime import datetime

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.store.index import Index

DONE = 0


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Take old runs out of a store. Kept are the newest of each plan, environment and shard, the newest GO of each "
        "artifact, what is locked or held, decisions in force, what releases promised and what may have shown it, what "
        "was tampered with, and whatever takes back a GO that is kept. The index remembers what was taken out."
    )
    parser.epilog = "exit codes: 0 done, 2 a run cannot be taken out, 64 usage"
    _store.add_store(parser)
    parser.add_argument(
        "--keep",
        metavar="N",
        type=number,
        default=20,
        help="how many of each plan, environment and shard are kept, whatever their age (default: %(default)s)",
    )
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        type=age,
        default="30d",
        help="take out only what is older: 12h, 30d, 8w (default: %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would become of each run, and why"
    )
    _store.add_key(parser)
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Take runs out, or say which; 0 done."""
    store = _store.opened(options.store, options.trust)
    with _store.at_index(options, store) as (before, signer):
        now = _store.now()
        found = _plan(options, store, before.index, now)
        gone = [found.runs[each.name] for each in found.choice.removed]
        if signer is not None and gone:
            # First in the index: what a killed process leaves is then known to be on its way out.
            index = index_without(build_index(store, before.index, now), gone, now)
            write_index(store, index, signer, before)
            for stored in gone:
                collect(store, stored, _store.now())
    if options.json:
        print(json.dumps(_document(options, store, found), indent=1))
    else:
        _evidence.show(_lines(options, store, found))
    return DONE


def _plan(options: Namespace, store: ObjectStore, before: Index | None, now: datetime) -> Plan:
    limits = Limits(options.keep, options.older_than)
    with _store.progress("looked at") as told:
        return plan(store, _store.anchor(options.trust), limits, now, before, progress=told)


def _document(options: Namespace, store: ObjectStore, found: Plan) -> dict[str, object]:
    return {
        "store": store.where,
        "dry_run": options.dry_run,
        "kept": dict(sorted(found.choice.kept.items(), reverse=True)),
        "removed": [run.name for run in found.choice.removed],
        "bytes": found.bytes,
    }


def _lines(options: Namespace, store: ObjectStore, found: Plan) -> Iterator[str]:
    removed = {run.name: run for run in found.choice.removed}
    if options.dry_run:
        for name in sorted(found.runs, reverse=True):
            yield f"{'remove' if name in removed else 'keep  '}  {name}"
            yield f"        {removed[name].made if name in removed else found.choice.kept[name]}"
    else:
        yield from (f"removed  {name}  {run.made}" for name, run in removed.items())
    said = "would remove" if options.dry_run else "removed"
    runs = _store.counted(len(found.runs), "run")
    yield f"{said} {len(removed)} of {runs} in {store.where}, {found.bytes} bytes"
