"""The transparency log that a store is held against, for `cutover evidence verify` and `drill`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli._policy_place import open_place
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.store.index import environments_in

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Collection
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.tlog.audit import Pinned
    from pytest_cutover.tlog.log import Log


def add_log(parser: ArgumentParser) -> None:
    """The options --log and --checkpoint."""
    parser.add_argument("--log", metavar="PLACE", help="the transparency log that has to hold every decision")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        action="append",
        default=[],
        help="a checkpoint of the log, or a .tlog-proof, that was kept elsewhere",
    )


def asked(
    options: Namespace, store: ObjectStore, anchor: Anchor, now: datetime, environments: Collection[str]
) -> tuple[Log | None, list[Pinned]]:
    """The log, if one was asked for, and the checkpoints it has to go on from.

    Raises:
        ConfigError: it is none, nobody who is trusted signs for it, or there are checkpoints and no log.
    """
    if options.checkpoint and options.log is None:
        raise ConfigError(
            "a checkpoint says something about a log, and there is none", hint="give --log PLACE"
        )
    if options.log is None:
        return None, []
    from pytest_cutover.cli._log_of import pinned_in

    objects = open_place(options.log, options.trust)
    log = _log(objects, anchor, environments or environments_in(store), now)
    return log, [pinned_in(Path(name)) for name in options.checkpoint]


def _log(objects: ObjectStore, anchor: Anchor, environments: Collection[str], now: datetime) -> Log:
    """The log, of which a trusted key has to sign the checkpoint."""
    from pytest_cutover.evidence.inclusion import log_verifiers
    from pytest_cutover.tlog.checkpoint import parse_checkpoint
    from pytest_cutover.tlog.log import Log
    from pytest_cutover.tlog.tiles import CHECKPOINT

    try:
        origin = parse_checkpoint(objects.read(CHECKPOINT)[0], CHECKPOINT)[0].origin
    except EvidenceError as exc:
        raise ConfigError(f"{objects.where} is no transparency log: {exc}", hint="give its place") from None
    found = {v.key_id: v for name in sorted(environments) for v in log_verifiers(anchor, name, now)}
    verifiers = [v for v in found.values() if v.name == origin]
    if not verifiers:
        raise ConfigError(
            f"{anchor.where}: no key in the role log has the origin {origin}",
            hint="the trust file names the key of the log: role log, and its origin",
        )
    return Log(objects, origin, verifiers=verifiers)
