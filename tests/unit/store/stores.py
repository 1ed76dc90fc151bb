"""Finished runs and stores of them: small real runs, sealed by the real functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_cutover.evidence.inclusion import PROOF_FILE, logged_entry
from pytest_cutover.model import SECTION_TYPE
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store.checking import Checked, Wanted, check_store
from pytest_cutover.store.index import Index, build_index, forgotten
from pytest_cutover.store.index import write_index as write_next
from pytest_cutover.store.putting import put_set
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from tests.unit.evidence.runs import KEY, NOW, TRUSTED_POLICY_KEY, Run, anchor, sealed, signer, trusted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import EffectivePolicy
    from pytest_cutover.objects.protocol import ObjectStore

LATER = NOW + timedelta(hours=2)
"""When stores are checked."""

SECTION = b'{\n "p95": 0.10,\n "window": "5 min"\n}\n'


@dataclass
class StoredRun(Run):
    """A run whose gate attached files."""

    attached: Sequence[tuple[str, bytes, str]] = (
        ("perf", SECTION, SECTION_TYPE),
        ("log", b"ok\n", "text/plain"),
    )
    sections: tuple[str, ...] = ("perf",)

    def _finished(self, nodeid: str, at: str) -> dict[str, Any]:
        attachments = [
            {
                "name": name,
                "file": file_of(name, data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "media_type": media_type,
                "bytes": str(len(data)),
            }
            for name, data, media_type in self.attached
        ]
        return {**super()._finished(nodeid, at), "attachments": attachments}

    def told_policy(self) -> EffectivePolicy:
        return replace(super().told_policy(), sections=self.sections)

    def files(self) -> dict[str, bytes]:
        """The set of the run, by name."""
        bundle, report = sealed(self, KEY)
        attached = {f"attachments/{file_of(name, data)}": data for name, data, _ in self.attached}
        return {"bundle.intoto.jsonl": bundle, "report.json": report, **attached}

    def write(self, folder: Path) -> Path:
        """A run folder."""
        for name, data in self.files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder


def file_of(name: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]}-{name}"


def trust(**changes: Any) -> Anchor:
    """The key of the test runs, for decisions and for the index."""
    return anchor(trusted(KEY, roles=frozenset({"decision", "store"}), **changes), TRUSTED_POLICY_KEY)


def run_at(number: int, **changes: Any) -> StoredRun:
    """A run that was decided `number` minutes after others."""
    at = NOW + timedelta(minutes=number)
    return StoredRun(run_id=run_id(at, number), decided_at=at, **changes)


def run_id(at: datetime, number: int) -> str:
    return f"{at - timedelta(minutes=1):%Y%m%dT%H%M%SZ}-{number:08x}"


@cache
def files_at(number: int) -> dict[str, bytes]:
    return run_at(number).files()


def filled(folder: Path, numbers: Sequence[int] = (0, 1), now: datetime = NOW) -> FolderObjects:
    """A store in a folder with those runs."""
    store = FolderObjects(folder, now=lambda: now)
    for number in numbers:
        put_set(store, files_at(number))
    return store


# -- with an index and a log -------------------------------------------------------------------

NO_LOG = ("bundle.intoto.jsonl", "report.json")
"""What every run has."""

ORIGIN = "log.example/test"
LOG_KEY = signer()


def full_trust() -> Anchor:
    """Whoever decides, signs policies and indexes, and the log's key."""
    log = trusted(LOG_KEY, name="log", roles=frozenset({"log"}), origin=ORIGIN)
    return anchor(trusted(KEY, roles=frozenset({"decision", "store"})), TRUSTED_POLICY_KEY, log)


def new_log(folder: Path) -> Log:
    return Log(FolderObjects(folder), ORIGIN, NoteSigner(ORIGIN, LOG_KEY))


def put_logged(store: ObjectStore, log: Log, run: StoredRun) -> None:
    """Log the decision of a run, and put it with its proof."""
    put_set(store, logged(log, run))


def logged(log: Log, run: StoredRun) -> dict[str, bytes]:
    """The set of a run whose decision is in the log, with its proof."""
    files = run.files()
    bundle = files["bundle.intoto.jsonl"]
    entry = logged_entry(bundle, run.run_id, run.environment, run.decided_at)
    appended = log.append([entry])
    return files | {PROOF_FILE: log.prove(appended.first, signed=appended.signed)}


def reindexed(store: ObjectStore, now: datetime = LATER, before: Index | None = None) -> Index:
    """Write the index of what is there."""
    index = build_index(store, before, now)
    write_index(store, index, KEY)
    return index


def write_index(store: ObjectStore, index: Index, key: Signer) -> None:
    """In the place of whatever index is there."""
    write_next(store, index, key, forgotten(store))


def checked(store: ObjectStore, log: Log | None = None, **wanted: Any) -> Checked:
    """By keys that include the log's when there is one."""
    keys = trust() if log is None else full_trust()
    return check_store(store, keys, lambda: LATER, Wanted(log=log, **wanted))


def codes(found: Checked) -> list[tuple[str, str | None]]:
    """Code and file of each finding, sorted."""
    return sorted({(f.code.code, f.where) for f in found.findings})
