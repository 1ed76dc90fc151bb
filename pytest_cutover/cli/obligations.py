"""`cutover obligations`: what releases of an environment still owe."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _runs
from pytest_cutover.errors import ConfigError
from pytest_cutover.report.terminal import Style
from pytest_cutover.run.obligations import find_owed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.obligation import Owed


def run(argv: Sequence[str]) -> int:
    """List obligations; 0 none is overdue, 1 one is, 2 unusable."""
    options = _parser().parse_args(argv)
    folder = _runs.folder_of(options)
    anchor = _runs.trust(options.trust)
    if anchor is None:
        raise ConfigError("there is no trusted key to verify decisions with", hint="give --trust FILE")
    now = datetime.now(UTC)
    owed = find_owed(folder, options.environment, anchor)
    if options.json:
        print(json.dumps([each.to_json() | {"state": state(each, now)} for each in owed], indent=1))
    else:
        style = Style.of(sys.stdout.encoding, colour=False)
        for line in _lines(owed, now):
            print(style.plain(line))
        if not owed:
            print(f"no release of {options.environment} owes anything")
    return int(any(each.is_overdue(now) for each in owed))


def state(owed: Owed, now: datetime) -> str:
    """overdue, due, met or met late."""
    if owed.shown_at is not None:
        return "met" if owed.shown_at <= owed.due_at else "met late"
    return "overdue" if owed.is_overdue(now) else "due"


def _lines(owed: Sequence[Owed], now: datetime) -> Iterator[str]:
    rank = ("overdue", "due", "met late", "met")
    for each in sorted(owed, key=lambda o: rank.index(state(o, now))):
        yield f"{state(each, now):<8}  {each.gate}  by {each.due_at:%Y-%m-%d %H:%M} UTC"
        shown = "" if each.shown_at is None else f", shown {each.shown_at:%Y-%m-%d %H:%M} by {each.shown_by}"
        yield f"          guard {each.guard} of run {each.run_id}{shown}"


def _parser() -> Parser:
    parser = Parser(
        prog="cutover obligations",
        description="List the gates that have to be green because a release went out with guards, "
        "and the runs that showed them. Only evidence that verifies counts.",
        epilog="exit codes: 0 nothing is overdue, 1 something is, 2 unusable input, 64 usage",
    )
    add = parser.add_argument
    add("environment", metavar="ENVIRONMENT", help="whose releases")
    _runs.add_folder(parser)
    add("--json", action="store_true", help="print them as JSON")
    add("--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)")
    return parser
