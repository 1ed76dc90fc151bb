"""`cutover evidence index`: make the index of a store anew, and sign it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.store.index import Index, build_index, write_index
from pytest_cutover.store.putting import settle_latest

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.objects.protocol import ObjectStore

DONE, TAMPERED = 0, 1
SHOWN = 20


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Write the index of a store anew: every file with its SHA-256, size and state, signed. A file that is another "
        "one than an earlier index or its document says is marked tampered. latest.json is moved to the newest document."
    )
    parser.epilog = "exit codes: 0 done, 1 something was tampered with, 2 unusable input, 64 usage"
    _store.add_store(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written")
    parser.add_argument(
        "--anew", action="store_true", help="forget what earlier indexes said: for one that does not verify"
    )
    _store.add_key(parser)
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Write it; 0 done, 1 something was tampered with."""
    store = _store.opened(options.store, options.trust)
    with _store.at_index(options, store, anew=options.anew) as (there, signer):
        before = there.index
        with _store.progress("indexed") as told:
            index = build_index(store, before, _store.now(), progress=told)
        if signer is not None:
            write_index(store, index, signer, there)
    moves = settle_latest(store, write=not options.dry_run)
    if options.json:
        _print(options, store, before, index, moves)
    else:
        _evidence.show(_lines(options, store, before, index, moves))
    return TAMPERED if any(e.tampered for e in index.objects) else DONE


def _print(
    options: Namespace, store: ObjectStore, before: Index | None, index: Index, moves: str | None
) -> None:
    document = {
        "store": store.where,
        "written": not options.dry_run,
        "new": _new(before, index),
        "tampered": [e.key for e in index.objects if e.tampered],
        "latest": moves,
        "objects": [e.to_json() for e in index.objects],
    }
    print(json.dumps(document, indent=1))


def _new(before: Index | None, index: Index) -> int:
    known = set() if before is None else set(before.by_key())
    return sum(e.key not in known for e in index.objects)


def _lines(
    options: Namespace, store: ObjectStore, before: Index | None, index: Index, moves: str | None
) -> Iterator[str]:
    tampered = [e for e in index.objects if e.tampered]
    for entry in tampered[:SHOWN]:
        yield f"TAMPERED {entry.key}"
        yield f"         expected SHA-256 {entry.sha256}"
    if len(tampered) > SHOWN:
        yield f"TAMPERED and {len(tampered) - SHOWN} more: --json shows all"
    if moves is not None:
        yield f"latest   {'would move' if options.dry_run else 'moved'} to {moves}"
    locked = index.locked(index.at)
    said = "would write" if options.dry_run else "wrote"
    yield (
        f"{said} the index of {store.where}: {_store.counted(len(index.objects), 'file')}, "
        f"{_new(before, index)} of them new, {locked} locked, {len(tampered)} tampered"
    )
