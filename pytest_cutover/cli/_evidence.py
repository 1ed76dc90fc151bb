"""What `cutover verify` and `admit` share: reading files within bounds, words that a terminal can take."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE, UNFINISHED_FILE
from pytest_cutover.evidence.unsigned import begun_between
from pytest_cutover.keys.trust import find_anchor, is_there
from pytest_cutover.model import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pytest_cutover.cli import Parser
    from pytest_cutover.evidence.problems import EvidenceProblem
    from pytest_cutover.keys.trust import Anchor

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Evidence of 100 000 gates is a fifth of this; more is a device or a mistake."""

_MAX_LINE_BYTES = 1024 * 1024
"""The first line of a journal names every subject: room for five thousand."""


def read(path: Path) -> bytes:
    """The bytes of the file at `path`.

    Raises:
        ConfigError: missing, unreadable or absurdly large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as exc:  # ValueError: a null byte in the name
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable file name"
        raise ConfigError(f"cannot read {path}: {reason}", hint="give a run folder or a bundle") from None
    except MemoryError:
        raise ConfigError(f"cannot read {path}: it does not fit into memory") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"cannot read {path}: it is larger than {MAX_FILE_BYTES} bytes")
    return data


def read_if_there(path: Path) -> bytes | None:
    """The bytes of the file at `path`; None when there surely is none.

    Raises:
        ConfigError: as `read`; also where this user may not look.
    """
    return read(path) if is_there(path) else None


def first_line(path: Path) -> bytes | None:
    """The first line of the file at `path`; None when there is none, empty when it cannot be read."""
    if not is_there(path):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.readline(_MAX_LINE_BYTES)
    except OSError:
        return b""


def bundle_of(evidence: Path) -> Path:
    """The bundle: the file itself, or the one in a run folder.

    Raises:
        ConfigError: it is one that counts for nothing.
    """
    if evidence.name == UNFINISHED_FILE:
        raise ConfigError(
            f"{evidence} counts for nothing: its run was killed before log and store had it",
            hint="run the gates again",
        )
    is_folder = os.path.isdir(evidence)  # noqa: PTH112 # Path.is_dir raises for names no file can have
    return evidence / BUNDLE_FILE if is_folder else evidence


def shards(names: Iterable[str]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Name, bundle and report of each run that was given, read one after the other; None: it is not there."""
    for name in names:
        bundle = bundle_of(Path(name))
        yield name, read_if_there(bundle), read_if_there(bundle.with_name(REPORT_FILE))


def newest_run(runs: Path) -> Path:
    """The run folder below `runs` that was begun last, going by its name.

    Raises:
        ConfigError: there is none.
    """
    with suppress(OSError):
        names = [e.name for e in os.scandir(runs) if begun_between(e.name) is not None and e.is_dir()]
        if names:
            return runs / max(names)
    raise ConfigError(f"{runs} holds no runs", hint="give a run folder, or ask where pytest ran")


def named_run(name: str, runs: Path) -> Path:
    """A path; or `last`, or the id of a run below `runs`.

    Raises:
        ConfigError: `last`, and there is none.
    """
    if "/" in name or os.path.lexists(name):
        return Path(name)
    if name == "last":
        return newest_run(runs)
    return runs / name if os.path.isdir(runs / name) else Path(name)  # noqa: PTH112 # Path.is_dir raises for names no file can have


def anchor(option: str | None) -> Anchor:
    """The trust anchor for a command run in this folder.

    Raises:
        ConfigError: there is nothing to trust, or it cannot be used.
    """
    found = find_anchor(option, os.environ, Path())
    if found is None:
        raise ConfigError(
            "there is no trusted key to verify with",
            hint="give --trust FILE (or CUTOVER_TRUST); `cutover keys show KEY` prints an entry for it",
        )
    return found


def add_time(parser: Parser, text: str) -> None:
    """The option --at, checked before any file is read."""
    parser.add_argument("--at", metavar="TIME", type=time, help=text)


def time(text: str) -> datetime:
    """A UTC time, for argparse."""
    import argparse

    try:
        return parse_rfc3339(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a UTC time such as 2026-11-21T08:48:00Z, got {text!r}"
        ) from None


def plain(text: str) -> str:
    """Text from evidence without what could steer or break a terminal: control and unpaired characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def show(lines: Iterable[str]) -> None:
    """Lines on standard output, whatever its encoding can say; on a terminal as they fit."""
    encoding = sys.stdout.encoding or "ascii"
    told = (plain(line).encode(encoding, "backslashreplace").decode(encoding) for line in lines)
    if sys.stdout.isatty():
        from pytest_cutover.report.fit import put

        put(told)
    else:
        for line in told:
            print(line)


def problem_lines(problems: Iterable[EvidenceProblem]) -> Iterable[str]:
    """One line per problem: its code, where, what."""
    for problem in problems:
        where = "" if problem.where is None else f"{problem.where}: "
        yield f"  {problem.code.code:<22} {where}{problem.message}"


def short(digest: str) -> str:
    """A hex digest as people compare it."""
    return f"{digest[:16]}…" if len(digest) > 16 else digest
