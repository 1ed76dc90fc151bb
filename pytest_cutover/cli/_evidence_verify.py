"""`cutover evidence verify`: prove that a store is whole, unchanged, signed and complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.model import SECTIONS, rfc3339
from pytest_cutover.store.checking import Checked, Wanted, check_store
from pytest_cutover.store.index import environments_in

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.tlog.audit import Pinned
    from pytest_cutover.tlog.log import Log

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
    parser.add_argument("--log", metavar="PLACE", help="the transparency log that has to hold every decision")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        action="append",
        default=[],
        help="a checkpoint of the log that was kept elsewhere",
    )
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Verify the store; 0 valid, 1 invalid."""
    if options.checkpoint and options.log is None:
        raise ConfigError(
            "a checkpoint says something about a log, and there is none", hint="give --log PLACE"
        )
    store = _store.opened(options.store)
    anchor = _evidence.anchor(options.trust)
    now = datetime.now(UTC)
    wanted = Wanted(
        options.section,
        options.environment,
        None if options.log is None else _log(options, store, anchor, now),
        [_pinned(name) for name in options.checkpoint],
    )
    with _store.progress("verified") as told:
        found = check_store(store, anchor, now, wanted, progress=told)
    if options.json:
        print(json.dumps({"store": store.where, **found.to_json()}, indent=1))
    else:
        _evidence.show(_lines(store.where, found))
    return VALID if found.is_valid else INVALID


def _log(options: Namespace, store: ObjectStore, anchor: Anchor, now: datetime) -> Log:
    """The log, of which a trusted key has to sign the checkpoint."""
    from pytest_cutover.evidence.inclusion import log_verifiers
    from pytest_cutover.objects.place import open_objects
    from pytest_cutover.tlog.checkpoint import parse_checkpoint
    from pytest_cutover.tlog.log import Log
    from pytest_cutover.tlog.tiles import CHECKPOINT

    objects = open_objects(options.log)
    try:
        origin = parse_checkpoint(objects.read(CHECKPOINT)[0], CHECKPOINT)[0].origin
    except EvidenceError as exc:
        raise ConfigError(f"{objects.where} is no transparency log: {exc}", hint="give its place") from None
    places = options.environment or environments_in(store)
    found = {v.key_id: v for place in sorted(places) for v in log_verifiers(anchor, place, now)}
    verifiers = [v for v in found.values() if v.name == origin]
    if not verifiers:
        raise ConfigError(
            f"{anchor.where}: no key in the role log has the origin {origin}",
            hint="the trust file names the key of the log: role log, and its origin",
        )
    return Log(objects, origin, verifiers=verifiers)


def _pinned(name: str) -> Pinned:
    from pytest_cutover.tlog.audit import Pinned
    from pytest_cutover.tlog.checkpoint import parse_checkpoint

    try:
        return Pinned(parse_checkpoint(_evidence.read(Path(name)), name)[0], name)
    except EvidenceError as exc:
        raise ConfigError(str(exc), hint="a checkpoint is what the log serves under that name") from None


def _lines(where: str, found: Checked) -> Iterator[str]:
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
        locked = len({e.key for e in found.index.objects if e.retain_until is not None})
        yield f"index    of {rfc3339(found.index.at)}, {locked} of {len(found.index.objects)} files locked"
    if found.logged is not None:
        yield f"logged   {_store.counted(found.logged, 'decision')} of the store"
    yield f"trust    {found.anchor.description}"
