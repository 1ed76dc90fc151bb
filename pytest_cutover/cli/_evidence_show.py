"""`cutover evidence show`: one evidence document, for people."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import rfc3339
from pytest_cutover.store.document import read_document
from pytest_cutover.store.layout import BUNDLE_FILE, DOCUMENT, key_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.objects.protocol import Held
    from pytest_cutover.store.document import EvidenceDocument

SHOWN = 8
"""Subjects printed."""


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Show the evidence document of a run. Nothing is verified: see cutover evidence verify."
    )
    parser.epilog = "exit codes: 0 shown, 2 unusable input, 64 usage"
    parser.add_argument(
        "run", metavar="RUN", nargs="?", default="latest", help="its id, or latest (the default), or last"
    )
    _store.add_store(parser)
    parser.add_argument("--json", action="store_true", help="print the document itself")


def run(options: Namespace) -> int:
    """Show it."""
    store = _store.opened(options.store)
    (run_id,) = _store.chosen(store, [options.run])
    if store.stat(key_of(run_id, BUNDLE_FILE)) is None:
        raise EvidenceError(
            f"{store.where}: expected {key_of(run_id, BUNDLE_FILE)}, it is not there: nothing shows what was decided",
            hint="its writer was killed or is at work; cutover evidence verify says more",
        )
    key = key_of(run_id, DOCUMENT)
    data, held = store.read(key)
    document = read_document(data, key)
    if options.json:
        sys.stdout.write(data.decode())
    else:
        _evidence.show(_lines(document, held))
    return 0


def _lines(document: EvidenceDocument, held: Held) -> Iterator[str]:
    yield f"run      {document.run_id}"
    yield f"claimed  {document.verdict.value} (exit {int(document.exit_code)})"
    yield f"decided  {rfc3339(document.decided_at)}, expires {rfc3339(document.expires_at)}"
    yield f"for      environment {document.environment}; plan {document.plan}"
    subjects = [f"{s.name} {name}:{value}" for s in document.subjects for name, value in s.digest.items()]
    yield from (f"subject  {subject}" for subject in subjects[:SHOWN])
    if len(subjects) > SHOWN:
        yield f"subject  and {len(subjects) - SHOWN} more: --json shows all"
    yield f"policy   {document.policy_digest}"
    if document.log is not None:
        yield f"log      {document.log.origin}, entry {document.log.index}"
    for name, parts in document.sections.items():
        yield f"section  {name}, by {', '.join(part.gate for part in parts)}"
    for name, file in document.files.items():
        yield f"file     {name}  {file.bytes} bytes  {file.sha256[:16]}…"
    yield f"state    {_state(held, datetime.now(UTC))}"


def _state(held: Held, now: datetime) -> str:
    said = []
    if held.retain_until is not None:
        word = "LOCKED until" if now < held.retain_until else "the lock ended at"
        said.append(f"{word} {rfc3339(held.retain_until)}")
    if held.legal_hold:
        said.append("under legal hold")
    return ", ".join(said) or "WIP: not locked yet"
