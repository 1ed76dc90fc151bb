"""`cutover evidence check-store`: whether a store keeps what it was told to keep."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _policy_place, _store
from pytest_cutover.model import rfc3339
from pytest_cutover.store.layout import DEFAULT_STORE
from pytest_cutover.store.worm import PROBES, RETAINED_S, check_worm

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.store.worm import WormCheck

WORM, NOT_WORM = 0, 1


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Show whether a store enforces retention (WORM): throw-away objects are retained for five minutes, and "
        "everything that could get rid of them is tried. Each attempt must be denied."
    )
    parser.epilog = "exit codes: 0 WORM, 1 not WORM, 2 the store cannot be asked, 64 usage"
    parser.add_argument(
        "place", metavar="PLACE", nargs="?", default=DEFAULT_STORE, help="s3://bucket/prefix, or a folder"
    )
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Check it; 0 WORM, 1 not."""
    check = check_worm(_policy_place.open_place(options.place), now=datetime.now(UTC))
    if options.json:
        fields = asdict(check) | {"checked_at": rfc3339(check.checked_at), "worm": check.is_worm}
        print(json.dumps(fields, indent=1))
    else:
        _evidence.show(_lines(check))
    return WORM if check.is_worm else NOT_WORM


def _lines(check: WormCheck) -> Iterator[str]:
    lock = "on" if check.object_lock else "off"
    yield check.place
    yield f"versioning {check.versions.lower()}, Object Lock {lock}, {_default(check)}"
    for attempt in check.attempts:
        yield f"{'denied' if attempt.denied else 'ALLOWED':<8} {attempt.name:<45} {attempt.answer}"
    for reason in check.unproven:
        yield f"unproven {reason}"
    if check.is_worm:
        yield "WORM: each attempt was denied"
    elif check.holes:
        yield f"not WORM: {_store.counted(len(check.holes), 'attempt')} allowed"
    elif check.unproven:
        yield "not WORM: the refusals prove nothing"
    else:
        yield f"not WORM: {'versioning' if check.object_lock else 'Object Lock'} is off"
    if check.attempts and check.object_lock:
        until = check.checked_at + timedelta(seconds=RETAINED_S)
        yield f"throw-away objects in {PROBES} go with the next check after {until:%H:%M} UTC"


def _default(check: WormCheck) -> str:
    return "no default retention" if check.default_retention is None else f"default {check.default_retention}"
