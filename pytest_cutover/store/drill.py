"""A restore drill: bring everything back into an empty folder, prove it, and say how long it took and what was lost.

RTO is the time from the first request to a folder that is restored and verified. RPO is the number of files that existed
before and are not restored as they were: what existed is taken from somewhere else than the store that is drilled, or
from its signed index. The result is a signed in-toto Statement that ends: evidence of a drill goes stale.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pytest_cutover import __version__
from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.claims import fields_of, read_statement, typed
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope, sign_envelope, verify_strict
from pytest_cutover.evidence.statements import STATEMENT, encode
from pytest_cutover.files import read_regular
from pytest_cutover.keys.trusted import EVERYWHERE
from pytest_cutover.model import parse_rfc3339, rfc3339
from pytest_cutover.objects.place import absolute
from pytest_cutover.store.checking import Wanted, check_store
from pytest_cutover.store.index import ROLES, environments_in
from pytest_cutover.store.layout import HISTORY, INDEX, INDEX_SIGNATURE, LATEST
from pytest_cutover.store.reading import read_each
from pytest_cutover.store.settling import is_at_work, settled
from pytest_cutover.store.transfer import THREADS, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.store.checking import Checked
    from pytest_cutover.store.index import Index
    from pytest_cutover.store.transfer import Transfer

RESTORE_DRILL: Final = "https://pytest-cutover.dev/attestation/restore-drill/v1"
FORMAT: Final = 1

RTO_LIMIT_S: Final = 900.0
RPO_LIMIT_FILES: Final = 1
VALID_FOR: Final = timedelta(days=7)
"""Defaults: a quarter of an hour, one file, a week."""

DRILLS: Final = "var/cutover/drills"
"""Where results are kept, below the folder of the project; git ignores `var/`."""

SUFFIX: Final = ".intoto.jsonl"

_SHOWN = 100
"""Findings and names that a statement lists; it counts all of them."""


@dataclass(frozen=True, slots=True)
class Before:
    """What existed before: keys of runs' files with their SHA-256, and where that is known from."""

    source: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a drill has to keep to."""

    rto_s: float = RTO_LIMIT_S
    rpo_files: int = RPO_LIMIT_FILES


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill came to."""

    store: str
    """A folder by its absolute path: a relative one would be another store in every project."""
    environments: tuple[str, ...]
    """Whose evidence it was; the signing key has to be one for all of them."""
    started_at: datetime
    finished_at: datetime
    expires_at: datetime
    rto_s: Decimal
    rto_limit_s: Decimal
    rpo_files: int
    rpo_limit_files: int
    before: str
    existed: int
    restored: int
    bytes: int
    tree: str
    """SHA-256 over the lines `SHA-256, two spaces, key` of everything that was restored: what `sha256sum` prints."""
    lost: tuple[str, ...]
    """Their names, or the first of them."""
    finding_count: int
    findings: tuple[str, ...]
    """The first of them."""
    tool: str = f"pytest-cutover {__version__}"

    @property
    def passed(self) -> bool:
        """Whether all is proven, in time, and no more is lost than may be; nothing restored is no success."""
        return (
            self.finding_count == 0
            and self.restored > 0
            and self.existed > 0
            and self.rto_s <= self.rto_limit_s
            and self.rpo_files <= self.rpo_limit_files
        )

    def is_stale(self, now: datetime) -> bool:
        return now >= self.expires_at

    @property
    def file_name(self) -> str:
        """Of its signed statement: names sort as the drills ended."""
        return f"{self.finished_at:%Y%m%dT%H%M%SZ}-{self.tree[:8]}{SUFFIX}"


def known_before(store: ObjectStore) -> Before:
    """What is in another store now: every file of every run, read and hashed."""
    keys = list(store.keys(HISTORY))
    reads = zip(keys, read_each(store, keys), strict=True)
    return Before(store.where, {key: hashlib.sha256(read()[0]).hexdigest() for key, read in reads})


def run_drill(
    store: ObjectStore,
    folder: ObjectStore,
    before: Before | None,
    anchor: Anchor,
    *,
    limits: Limits = Limits(),  # frozen
    wanted: Wanted | None = None,
    valid_for: timedelta = VALID_FOR,
    clock: Callable[[], datetime],
    threads: int = THREADS,
    progress: Callable[[int, int], None] = lambda done, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Drill:
    """Restore `store` into the empty `folder`, verify all of it there, and measure.

    What is put or taken away meanwhile is restored again, as the files of two moments do not fit together; that takes
    its time, too. Without `before` the signed index that was restored says what existed; without that nothing does, and the drill fails.

    Raises:
        EvidenceError: the folder is not empty.
        StoreUnavailableError: the store does not answer.
    """
    if next(iter(folder.keys()), None) is not None:
        raise EvidenceError(
            f"expected an empty folder, {folder.where} holds files", hint="drill into a new one"
        )
    started_at, began = clock(), time.monotonic()

    def look() -> tuple[Transfer, Checked]:
        restored = {*folder.keys()}
        for key in restored and (restored - {*store.keys()}) | {LATEST, INDEX, INDEX_SIGNATURE}:
            folder.delete(key)  # of the look before: what was taken away since, and what moves
        moved = restore(store, folder, threads=threads, progress=progress)
        return moved, check_store(folder, anchor, clock, wanted or Wanted())

    moved, checked = settled(
        store, look, lambda seen: bool(seen[0].problems) or is_at_work(seen[1]), sleep=sleep
    )
    rto_s = Decimal(f"{time.monotonic() - began:.3f}")
    finished_at = clock()
    before = before or _indexed(checked.index)
    there = {each.key: each.sha256 for each in moved.moved}
    lost = tuple(sorted(key for key, sha in before.files.items() if there.get(key) != sha))
    findings = (
        *(f"{key}: {reason}" for key, reason in moved.problems),
        *(f"[{finding.code.code}] {finding.where}: {finding.message}" for finding in checked.findings),
    )
    return Drill(
        store=absolute(store.where),
        environments=tuple(sorted(environments_in(folder))),
        started_at=started_at,
        finished_at=finished_at,
        expires_at=finished_at + valid_for,
        rto_s=rto_s,
        rto_limit_s=Decimal(str(limits.rto_s)),
        rpo_files=len(lost),
        rpo_limit_files=limits.rpo_files,
        before=before.source,
        existed=len(before.files),
        restored=len(moved.moved),
        bytes=moved.bytes,
        tree=_tree(moved),
        lost=lost[:_SHOWN],
        finding_count=len(findings),
        findings=findings[:_SHOWN],
    )


def _indexed(index: Index | None) -> Before:
    if index is None:
        return Before("nothing", {})
    return Before(
        f"the signed index of {rfc3339(index.at)}", {entry.key: entry.sha256 for entry in index.objects}
    )


def _tree(moved: Transfer) -> str:
    lines = "".join(f"{each.sha256}  {each.key}\n" for each in moved.moved)
    return hashlib.sha256(lines.encode("ascii")).hexdigest()


# -- the statement -----------------------------------------------------------------------------


def sign_drill(drill: Drill, signer: EnvelopeSigner) -> bytes:
    """One line: an envelope over the in-toto Statement about what was restored."""
    return sign_envelope(drill_statement(drill), STATEMENT_TYPE, signer) + b"\n"


def drill_statement(drill: Drill) -> bytes:
    """in-toto Statement v1 with our predicate; its subject is everything that was restored."""
    return encode(
        {
            "_type": STATEMENT,
            "subject": [{"name": drill.store, "digest": {"sha256": drill.tree}}],
            "predicateType": RESTORE_DRILL,
            "predicate": {
                "format": FORMAT,
                "tool": drill.tool,
                "environments": list(drill.environments),
                "result": "PASS" if drill.passed else "FAIL",
                "started_at": rfc3339(drill.started_at),
                "finished_at": rfc3339(drill.finished_at),
                "expires_at": rfc3339(drill.expires_at),
                "rto": {"seconds": str(drill.rto_s), "limit": str(drill.rto_limit_s)},
                "rpo": {
                    "files": drill.rpo_files,
                    "limit": drill.rpo_limit_files,
                    "before": drill.before,
                    "existed": drill.existed,
                    "lost": list(drill.lost),
                },
                "restored": {"files": drill.restored, "bytes": drill.bytes},
                "findings": {"count": drill.finding_count, "first": list(drill.findings)},
            },
        }
    )


def read_drill(line: bytes, anchor: Anchor, now: datetime) -> Drill:
    """A drill that a trusted key signed, and that still counts. Whether it passed and is still fresh is for the caller to ask.

    Raises:
        EvidenceError: no envelope of ours, malformed, or from the future.
        VerificationError: no key that may sign for stores, then and now, signed it; or too few persons did.
    """
    envelope = read_envelope(line.removesuffix(b"\n"))
    if envelope.payload_type != STATEMENT_TYPE or not line.endswith(b"\n"):
        raise EvidenceError(f"expected one line, an envelope of type {STATEMENT_TYPE}")
    signed = verify_strict(envelope, anchor.keys)
    drill = _read(envelope.payload)
    if drill.finished_at > now + timedelta(seconds=5):
        raise EvidenceError(f"the drill is of {rfc3339(drill.finished_at)}, which is yet to come")
    for environment in drill.environments or (EVERYWHERE,):
        able = {
            key.keyid
            for role in ROLES
            for key in anchor.verifiers(role=role, environment=environment, at=drill.finished_at)
            if key.is_valid_at(now)
        }
        if not all(key.keyid in able for key in signed):
            raise VerificationError(
                f"expected a key of {anchor.where} that may sign for {environment}, when it was drilled and now"
            )
    lack = anchor.shortfall(ROLES[0], signed)
    if lack is not None:
        raise VerificationError(lack)
    return drill


def newest_drill(folder: Path, anchor: Anchor, now: datetime) -> Drill | None:
    """The newest drill in a folder, by name; None when there is none. An older one never stands in for it.

    Raises:
        EvidenceError: it cannot be read, or does not verify.
    """
    try:
        names = sorted((path.name for path in folder.iterdir() if path.name.endswith(SUFFIX)), reverse=True)
        return read_drill(read_regular(folder / names[0]), anchor, now) if names else None
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise EvidenceError(f"cannot read the newest drill in {folder}: {exc.strerror or exc}") from None


def _read(payload: bytes) -> Drill:
    statement = read_statement(payload)
    if statement.predicate_type != RESTORE_DRILL:
        raise EvidenceError(f"expected a restore drill, got {statement.predicate_type!r:.100}")
    try:
        drill = _drill(
            statement.subjects[0].name, statement.subjects[0].digest["sha256"], statement.predicate
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as exc:
        raise EvidenceError(f"the drill is malformed: {str(exc)!a:.100}") from None
    if drill_statement(drill) != payload:
        raise EvidenceError("the drill is not as it was written, or its result is not what it measured")
    return drill


def _drill(store: str, tree: str, predicate: Mapping[str, Any]) -> Drill:
    names = ("format", "tool", "environments", "result", "started_at", "finished_at", "expires_at")
    told = fields_of(predicate, "drill", (*names, "rto", "rpo", "restored", "findings"))
    rto, rpo, restored, findings = told["rto"], told["rpo"], told["restored"], told["findings"]
    return Drill(
        store=store,
        environments=tuple(typed(name, str) for name in told["environments"]),
        started_at=parse_rfc3339(told["started_at"]),
        finished_at=parse_rfc3339(told["finished_at"]),
        expires_at=parse_rfc3339(told["expires_at"]),
        rto_s=Decimal(typed(rto["seconds"], str)),
        rto_limit_s=Decimal(typed(rto["limit"], str)),
        rpo_files=typed(rpo["files"], int),
        rpo_limit_files=typed(rpo["limit"], int),
        before=typed(rpo["before"], str),
        existed=typed(rpo["existed"], int),
        restored=typed(restored["files"], int),
        bytes=typed(restored["bytes"], int),
        tree=tree,
        lost=tuple(rpo["lost"]),
        finding_count=typed(findings["count"], int),
        findings=tuple(findings["first"]),
        tool=typed(told["tool"], str),
    )
