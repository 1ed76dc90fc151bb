"""Before the gates of a sandbox run: something to restore, and a drill that restored it.

Elsewhere drills are started by those who operate the store (`cutover evidence drill`); in the sandbox one command has to be
enough on the first day. What it does there is the same: a real store, real evidence, a real drill.
"""

from __future__ import annotations

import secrets
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import CutoverError, EvidenceError
from pytest_cutover.files import write_atomic
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.place import absolute
from pytest_cutover.store.drill import DRILLS, newest_drill, run_drill, sign_drill
from pytest_cutover.store.layout import HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.run.context import RunContext


def ready_store(context: RunContext, say: Callable[[str], None]) -> None:
    """Give an empty store its first evidence, and drill the store when no drill of it is fresh.

    What goes wrong is said and no more: the gates find what is missing.
    """
    store = context.store
    if store is None or not context.policy.sandbox or context.signer is None:
        return
    try:
        if next(iter(store.list(HISTORY)), None) is None:
            _found(context)
            say(f"the store {_shown(store, context)} was empty: put a first, empty run into it")
        if not _is_drilled(context, store):
            say(_drilled(context, store))
    except CutoverError as exc:
        say(f"the store {_shown(store, context)} cannot be drilled: {exc}")


def _found(context: RunContext) -> None:
    """Put a run in which nothing ran into the store: NO-GO, signed and logged as any other."""
    from pytest_cutover.run.begin import write_first
    from pytest_cutover.run.conclude import judge, seal
    from pytest_cutover.run.context import new_run_id
    from pytest_cutover.run.journal import Journal

    folder = context.rootdir / "var/cutover"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".first-", dir=folder) as temporary:
        run_id = new_run_id(datetime.now(UTC))
        first = replace(
            context,
            run_id=run_id,
            nonce=secrets.token_hex(16),
            run_dir=Path(temporary) / run_id,
            report=None,
            opening=None,
        )
        journal = Journal(first.run_dir / "journal.jsonl")
        write_first(journal, first, first.targets)
        journal.end(status=5, exit_status=None, nonce=first.nonce)
        journal.close()
        sealed = seal(judge(first), first)
        kept = dict(sealed.kept)
        if "store" not in kept:
            # The log may have it: from its folder it can be put.
            context.run_dir.parent.mkdir(parents=True, exist_ok=True)
            first.run_dir.rename(context.run_dir.parent / run_id)
            raise EvidenceError(kept.get("warning", sealed.decision.findings[0].message))


def _is_drilled(context: RunContext, store: ObjectStore) -> bool:
    """Whether a drill of this store passed and is not stale."""
    if context.anchor is None:
        return False
    now = datetime.now(UTC)
    with suppress(EvidenceError):
        found = newest_drill(context.rootdir / DRILLS, context.anchor, now)
        return (
            found is not None
            and found.passed
            and not found.is_stale(now)
            and found.store == absolute(store.where)
        )
    return False


def _drilled(context: RunContext, store: ObjectStore) -> str:
    """Drill, keep the signed result, and say what it came to."""
    if context.anchor is None or context.signer is None:
        raise EvidenceError("there is no trusted key")
    folder = context.rootdir / DRILLS
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restored-", dir=folder) as temporary:
        drill = run_drill(
            store, FolderObjects(Path(temporary)), None, context.anchor, clock=lambda: datetime.now(UTC)
        )
    write_atomic(folder / drill.file_name, sign_drill(drill, context.signer))
    word = "PASS" if drill.passed else "FAIL"
    return (
        f"restore drill of {_shown(store, context)}: {word}, {drill.restored} files in {drill.rto_s:.1f} s, "
        f"{drill.rpo_files} lost"
    )


def _shown(store: ObjectStore, context: RunContext) -> str:
    return store.where.removeprefix(f"{context.rootdir}/")
