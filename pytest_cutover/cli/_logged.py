"""The option by which a document that was made or signed goes into a transparency log, too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pytest_cutover.tlog.entry import EntryKind


def add_log(action: argparse.ArgumentParser) -> None:
    """Declare it."""
    action.add_argument(
        "--log",
        metavar="PLACE",
        help="log it too, in this folder or s3://…, with the key CUTOVER_KEY_LOG; its proof is written beside it",
    )


def log_file(place: str, path: Path, kind: EntryKind, name: str, environment: str | None = None) -> str:
    """Log the SHA-256 of a file and write its `.tlog-proof`; what to tell about it.

    Raises:
        CutoverError: there is no key for the log, or it cannot be used; the file stays as it is.
    """
    import hashlib

    from pytest_cutover.cli._evidence import read
    from pytest_cutover.cli._log_of import LogChoice, writable_log
    from pytest_cutover.files import write_atomic
    from pytest_cutover.tlog.entry import LogEntry, entry_name
    from pytest_cutover.tlog.proof import SUFFIX

    log = writable_log(LogChoice(place, None, None, None), None)
    digest = hashlib.sha256(read(path)).hexdigest()
    entry = LogEntry(kind, digest, datetime.now(UTC), entry_name(name), environment).to_bytes()
    appended = log.append([entry])
    write_atomic(
        path.with_name(path.name + SUFFIX), log.prove(appended.first, signed=appended.signed, extra=entry)
    )
    return f"entry {appended.first} of {log.origin}"
