"""`cutover evidence restore`: put everything of a store into another one, as after the loss of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.cli import _policy_place, _store, _transfer
from pytest_cutover.store.transfer import restore

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Put everything of a store into another one, with what is promised about it, and read each file back. "
        "Nothing is overwritten; what was interrupted is run again. Nothing is verified: "
        "`cutover evidence verify --store TO` does that."
    )
    parser.epilog = (
        "exit codes: 0 all of it is there, 1 something else is there or was read back, 2 unusable input or no answer, "
        "64 usage"
    )
    parser.add_argument("source", metavar="FROM", help="s3://bucket/prefix")
    parser.add_argument("target", metavar="TO", help="a folder that is empty, or holds a part of it")
    parser.add_argument(
        "--manifest", metavar="FILE", help="of the upload: read those versions, whatever is on top of them"
    )
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Restore; 0 all of it is there, 1 not."""
    manifest = _transfer.manifest_at(options.manifest)
    source, target = _store.opened(options.source), _policy_place.open_place(options.target)
    with _store.progress("restored") as told:
        moved = restore(source, target, manifest=manifest, progress=told)
    return _transfer.told(moved, source.where, {}, as_json=options.json)
