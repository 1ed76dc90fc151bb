"""`cutover evidence upload`: put the runs of a store into another one, retained."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _policy_place, _store, _transfer
from pytest_cutover.cli._when import span
from pytest_cutover.errors import ConfigError
from pytest_cutover.files import write_atomic, write_new
from pytest_cutover.model import rfc3339
from pytest_cutover.store.transfer import format_manifest, upload

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

MANIFESTS = Path("var/cutover/uploads")
"""Below the folder of the project; git ignores `var/`."""


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Put every run of a store into another one, retained in COMPLIANCE mode, and read each file back by its "
        "version id. Nothing is overwritten; what was interrupted is run again. Without an option it is retained as the "
        "policy says that keeps its evidence there, and never for less."
    )
    parser.epilog = (
        "exit codes: 0 all of it is there, 1 something else is there or was read back, 2 unusable input or no answer, "
        "64 usage"
    )
    parser.add_argument("source", metavar="FROM", help="a folder, such as var/evidence")
    parser.add_argument("target", metavar="TO", help="s3://bucket/prefix")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--until", metavar="TIME", type=_evidence.time, help="retain until then: 2027-11-21T00:00:00Z"
    )
    kept.add_argument("--for", dest="span", metavar="SPAN", type=span, help="so long from now: 12h, 90d, 52w")
    kept.add_argument("--unprotected", action="store_true", help="retain only what is locked already")
    parser.add_argument(
        "--manifest", metavar="FILE", type=Path, help=f"where to write it (default: below {MANIFESTS})"
    )
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Upload; 0 all of it is there, 1 not."""
    now = datetime.now(UTC)
    source, target = _store.opened(options.source), _policy_place.open_place(options.target)
    until = _until(options, now)
    with _store.progress("uploaded") as told:
        moved = upload(source, target, retain_until=until, now=now, progress=told)
    file = _written(format_manifest(moved), options.manifest, now)
    kept = None if until is None else rfc3339(until)
    code = _transfer.told(
        moved, source.where, {"retain_until": kept, "manifest": str(file)}, as_json=options.json
    )
    if not options.json:
        print(f"retained {'only what is locked already' if kept is None else f'until {kept}'}")
        print(f"manifest {file}")
        print(f"sign its index: cutover evidence index --store {options.target}", file=sys.stderr)
    return code


def _written(manifest: bytes, asked: Path | None, now: datetime) -> Path:
    """Where the manifest was written: as asked, else beside those of other uploads, whose names are taken."""
    if asked is not None:
        write_atomic(asked, manifest)
        return asked
    file = MANIFESTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    while not write_new(file, manifest):
        file = MANIFESTS / f"{now:%Y%m%dT%H%M%SZ}-{token_hex(4)}.json"
    return file


def _until(options: Namespace, now: datetime) -> datetime | None:
    """Until when to retain: as asked, else as the policy says, which is the least."""
    rule = _policy_place.store_rule_of(options.target)
    least = None if rule is None or rule.retain_for is None else now + rule.retain_for
    asked = options.until or (now + options.span if options.span else None)
    if asked is not None and asked <= now:
        raise ConfigError(f"expected a time to come, got {rfc3339(asked)}")
    if least is None:
        if asked is None and not options.unprotected:
            raise ConfigError(
                "expected until when to retain, got nothing",
                hint="give --until, --for or --unprotected; or the policy's store a retention",
            )
        return asked
    if options.unprotected or (asked is not None and asked < least):
        said = "--unprotected" if asked is None else rfc3339(asked)
        raise ConfigError(
            f"{options.target}: expected retention until {rfc3339(least)} at least, as the policy says, got {said}",
            hint="leave the option away, or give a later time",
        )
    return asked or least
