"""`cutover prune`: take away old runs that nobody needs any more."""

from __future__ import annotations

import argparse
import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _store
from pytest_cutover.cli._evidence import show
from pytest_cutover.cli._when import age
from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.trust import find_anchor
from pytest_cutover.retention.facts import LATEST, Facts, facts
from pytest_cutover.retention.removal import PLACE, Removal
from pytest_cutover.retention.rules import Choice, Limits, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.keys.trust import Anchor

DONE = 0
RUNS = "var/cutover/runs"
_MAX_LINE_BYTES = 1024 * 1024


def run(argv: Sequence[str]) -> int:
    """Take runs away, or say which; 0 done, 2 some could not be taken away."""
    options = _parser().parse_args(argv)
    runs = _folder(options.runs)
    anchor = find_anchor(options.trust, os.environ, Path())
    found = [_facts(runs, name, anchor) for name in _names(runs)]
    limits = Limits(options.keep, options.older_than)
    choice = choose(found, limits, datetime.now(UTC), _showing(runs, found, anchor))
    if options.dry_run:
        show(_plan(choice))
    else:
        _remove(runs, choice)
    gone = len(choice.removed)
    said = "would remove" if options.dry_run else "removed"
    show([f"{said} {gone} of {_store.counted(gone + len(choice.kept), 'run')} in {options.runs}"])
    return DONE


def _parser() -> Parser:
    parser = Parser(
        prog="cutover prune",
        description="Take away old runs. Kept are the newest of each plan, environment and shard, decisions in force, "
        "runs that may be under way, what releases promised and what showed it, runs that a kept one names, and whatever takes "
        "back a GO that is kept.",
        epilog="exit codes: 0 done, 2 a run cannot be taken away, 64 usage",
    )
    add = parser.add_argument
    add("runs", metavar="FOLDER", nargs="?", default=RUNS, help="a folder of runs (default: %(default)s)")
    add(
        "--keep",
        metavar="N",
        type=number,
        default=20,
        help="how many of each plan, environment and shard are kept, whatever their age (default: %(default)s)",
    )
    add(
        "--older-than",
        metavar="AGE",
        type=age,
        default="30d",
        help="take away only what is older: 12h, 30d, 8w (default: %(default)s)",
    )
    add("--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)")
    add("--dry-run", action="store_true", help="only say what would become of each run, and why")
    return parser


def number(text: str) -> int:
    """How many runs, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of runs from 1 on, got {text!r}")
    return int(text)


# -- what is there ---------------------------------------------------------------------------


def _folder(name: str) -> Path:
    """The folder itself: a link to it is where it leads."""
    try:
        folder = Path(name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        folder = None
    if folder is None or not folder.is_dir():
        said = "is not a folder of runs" if os.path.lexists(name) else "is not there: nothing was run yet"
        raise ConfigError(f"{name} {said}", hint="give a folder of runs, or ask where pytest ran")
    return folder


def _names(runs: Path) -> list[str]:
    """Everything that `cutover admit` would look into, oldest first by name."""
    try:
        return sorted(entry.name for entry in os.scandir(runs) if entry.is_dir() and entry.name != PLACE)
    except OSError as exc:
        raise ConfigError(f"cannot list {runs}: {exc.strerror}") from None


def _facts(runs: Path, name: str, anchor: Anchor | None) -> Facts:
    folder = runs / name
    journal = folder / "journal.jsonl"
    try:
        head = _read(journal, line=True)
        return facts(
            name,
            head=head,
            bundle=_read(folder / BUNDLE_FILE),
            report=_read(folder / REPORT_FILE),
            changed=LATEST if head is None else datetime.fromtimestamp(journal.stat().st_mtime, UTC),
            anchor=anchor,
            problem="it is a link" if folder.is_symlink() else None,
        )
    except OSError as exc:
        return Facts(name, problem=f"it cannot be read: {exc.strerror or exc}")


def _showing(runs: Path, found: Sequence[Facts], anchor: Anchor | None) -> dict[str, str]:
    """The runs that showed what others promised: without them it would be overdue again."""
    places = {run.made.environment for run in found if run.promises and run.made is not None}
    if not places:
        return {}
    from pytest_cutover.run.obligations import find_owed

    owed = [each for place in places for each in find_owed(runs, place, anchor)]
    return {each.shown_by: f"shows what {each.run_id} promised" for each in owed if each.shown_by is not None}


def _read(path: Path, *, line: bool = False) -> bytes | None:
    """The bytes of a file or of its first line, also behind a link, as `cutover admit` reads it; None: there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, f"{path.name} is no file")
        return file.readline(_MAX_LINE_BYTES) if line else file.read()


# -- what becomes of it ----------------------------------------------------------------------


def _plan(choice: Choice) -> Iterator[str]:
    said = {name: ("keep  ", reason) for name, reason in choice.kept.items()}
    said |= {run.name: ("remove", str(run.made)) for run in choice.removed}
    for name in sorted(said, reverse=True):
        word, more = said[name]
        yield f"{word}  {name}"
        yield f"        {more}"


def _remove(runs: Path, choice: Choice) -> None:
    """In the order of the choice; the first that cannot be taken away is the end."""
    if not choice.removed:
        return
    with Removal(runs) as removal:
        for run in choice.removed:
            removal.remove(run.name)
            show([f"removed  {run.name}  {run.made}"])
