"""Is everything in a store whole, unchanged, signed, locked as promised, and all there?

Nothing is taken from what was computed before: every file is read and hashed, every bundle verified and judged again,
every document made again. The first thing that is wrong does not end it: each finding names a code, a file and a reason.

**Not seen without a log and a checkpoint that was kept elsewhere:** that a whole store was replaced by an older one.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.envelope import read_envelope
from pytest_cutover.evidence.inclusion import is_to_be_logged, says_not_logged, verify_logged
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.verify import signed_decision, verify_bundle
from pytest_cutover.model import rfc3339
from pytest_cutover.objects.protocol import ObjectMissingError
from pytest_cutover.store.document import build_document, read_document
from pytest_cutover.store.index import Index, Indexed, read_index, signed_index
from pytest_cutover.store.layout import (
    BUNDLE_FILE,
    DOCUMENT,
    HISTORY,
    INDEX,
    INDEX_SIGNATURE,
    LATEST,
    PROOF_FILE,
    REPORT_FILE,
    by_run,
    is_whole,
    key_of,
    run_of,
)
from pytest_cutover.store.reading import read_each, read_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.verify import Verification
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import Held, ObjectStore
    from pytest_cutover.store.document import EvidenceDocument
    from pytest_cutover.store.reading import Read
    from pytest_cutover.tlog.audit import Pinned
    from pytest_cutover.tlog.log import Log

_TOP = frozenset({LATEST, INDEX, INDEX_SIGNATURE})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a store beside that it is whole."""

    sections: Collection[str] = ()
    """That the document of every run has to have, beside those that its own policy asks for."""
    environments: Collection[str] = ()
    """The only ones whose evidence may be in it; empty: any."""
    log: Log | None = None
    """The log that has to hold what is in the store, and nothing of its environments beyond."""
    pinned: Sequence[Pinned] = ()
    """Checkpoints that were kept elsewhere, which the log has to go on from."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found; valid only when nothing was."""

    findings: tuple[EvidenceProblem, ...]
    runs: int
    files: int
    latest: str | None
    index: Index | None
    """Verified; None when there is none that does."""
    logged: int | None
    """Decisions of the store that the log holds; None: no log was asked."""
    anchor: Anchor
    unfinished: tuple[str, ...] = ()
    """Runs that are not whole and that the index does not name: their writers were killed, or are writing. They admit nothing."""

    @property
    def is_valid(self) -> bool:
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        return {
            "valid": self.is_valid,
            "runs": self.runs,
            "files": self.files,
            "latest": self.latest,
            "index": None if self.index is None else {"at": rfc3339(self.index.at)},
            "logged": self.logged,
            "unfinished": list(self.unfinished),
            "trust": {
                "source": self.anchor.source.value,
                "integrity_only": self.anchor.integrity_only,
                "description": self.anchor.description,
            },
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_store(
    store: ObjectStore,
    anchor: Anchor,
    clock: Callable[[], datetime],
    wanted: Wanted = Wanted(),  # frozen
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Checked:
    """Everything that is wrong with the store, judged by the keys of `anchor`.

    The `clock` is asked when the index is read: it may have been written while all else was.

    Raises:
        StoreUnavailableError: it cannot be read, so nothing is known.
    """
    return _Check(store, anchor, clock, wanted).check(progress)


def check_run(
    store: ObjectStore, run_id: str, names: Sequence[str], anchor: Anchor, now: datetime
) -> tuple[EvidenceProblem, ...]:
    """What is wrong with one run by itself, beside all others.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    check = _Check(store, anchor, lambda: now, Wanted())
    for _, reads in read_runs(store, {run_id: names}):
        check.run(run_id, reads)
    return tuple(check.findings)


class _Check:
    """One check: collects findings as it goes."""

    def __init__(
        self, store: ObjectStore, anchor: Anchor, clock: Callable[[], datetime], wanted: Wanted
    ) -> None:
        self._store, self._anchor, self._clock, self._wanted = store, anchor, clock, wanted
        self.findings: list[EvidenceProblem] = []
        self._named: set[tuple[ProblemCode, str]] = set()
        self._seen: dict[str, tuple[str, Held]] = {}
        self._documents: dict[str, tuple[EvidenceDocument, bytes]] = {}  # that can be read, right or wrong
        self._proofs: dict[str, bytes] = {}  # verified, by key
        self._refused: set[str] = set()  # SHA-256 of bundles of runs that are not whole
        self._unlogged: set[str] = set()  # runs that came to a NO-GO which says that no log took it
        self._bundles: dict[str, tuple[str, bool]] = {}  # of runs by which nothing is wrong

    def check(self, progress: Callable[[int, int], None]) -> Checked:
        keys = self._keys()
        found = by_run(keys)
        runs = {run_id: names for run_id, names in found.items() if is_whole(names)}
        for done, (run_id, reads) in enumerate(read_runs(self._store, runs)):
            progress(done, len(found))
            self.run(run_id, reads)
        if not runs:
            self._find(ProblemCode.EVIDENCE_NONE, self._store.where, "there is no run in this store")
        latest = self._latest()
        index = self._index()
        known = set(found)
        if index is not None:
            known = {
                *by_run(entry.key for entry in index.objects),
                *(each.run_id for each in index.collected),
            }
        rest = found.keys() - runs.keys()
        no_gos = dict(self._no_gos(sorted(r for r in rest - known if BUNDLE_FILE in found[r])))
        self._refused = set(no_gos.values())
        # No writer leaves the bundle of a GO without its document: somebody took that away, or put this here.
        unfinished = sorted(r for r in rest - known if r in no_gos or BUNDLE_FILE not in found[r])
        for run_id, reads in read_runs(self._store, {r: found[r] for r in sorted(rest - {*unfinished})}):
            self.run(run_id, reads)
        if index is not None:
            self._compare(index)
        logged = None if self._wanted.log is None else self._logged(self._wanted.log, index)
        return Checked(
            tuple(self.findings),
            len(runs),
            len(keys),
            latest,
            index,
            logged,
            self._anchor,
            tuple(unfinished),
        )

    def _no_gos(self, runs: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The runs whose bundle says NO-GO, as a trusted key has signed, and its SHA-256: it needs nothing else to say it."""
        reads = read_each(self._store, (key_of(run_id, BUNDLE_FILE) for run_id in runs))
        for run_id, read in zip(runs, reads, strict=True):
            with suppress(EvidenceError):
                bundle, _ = read()
                decision = signed_decision(bundle, self._anchor)
                if decision is not None and not decision.is_go:
                    self._excuse(run_id, verify_bundle(bundle, None, self._anchor))
                    yield run_id, hashlib.sha256(bundle).hexdigest()

    def _excuse(self, run_id: str, found: Verification) -> None:
        """Remember where a run says itself why no log holds what it came to, and only its report may be missing."""
        wrong = [p for p in found.problems if p.code is not ProblemCode.REPORT_MISSING]
        decision = found.decision
        if decision is not None and decision.run_id == run_id and says_not_logged(decision) and not wrong:
            self._unlogged.add(run_id)

    def _find(self, code: ProblemCode, where: str, message: str) -> None:
        if (code, where) not in self._named:
            self._named.add((code, where))
            self.findings.append(EvidenceProblem(code, message, where))

    # -- files ---------------------------------------------------------------------------------

    def _keys(self) -> list[str]:
        try:
            keys = list(self._store.keys())
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_UNREADABLE, self._store.where, str(exc))
            keys = self._indexed_keys()
        for key in keys:
            if key not in _TOP and run_of(key) is None:
                self._find(ProblemCode.STORE_FILE_UNKNOWN, key, "no such file belongs into a store")
        return keys

    def _indexed_keys(self) -> list[str]:
        """What an index names that may be nobody's: where to look when the store cannot be listed."""
        try:
            envelope = read_envelope(self._store.read(INDEX_SIGNATURE)[0].removesuffix(b"\n"))
            return [entry.key for entry in read_index(envelope.payload).objects]
        except EvidenceError:
            return []

    def _read(self, key: str, read: Read | None = None) -> bytes | None:
        """The bytes under `key`; None, and a finding, when there are none to be had."""
        try:
            data, held = self._store.read(key) if read is None else read()
        except ObjectMissingError:
            self._find(ProblemCode.STORE_FILE_MISSING, key, "it is not there")
            return None
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_UNREADABLE, key, str(exc))
            return None
        self._seen[key] = hashlib.sha256(data).hexdigest(), held
        return data

    # -- one run -------------------------------------------------------------------------------

    def run(self, run_id: str, reads: Mapping[str, Read]) -> None:
        """Find what is wrong with a run by itself."""
        before = len(self.findings)
        taken = {name: self._read(key_of(run_id, name), read) for name, read in reads.items()}
        files = {name: data for name, data in taken.items() if data is not None}
        stored = files.pop(DOCUMENT, None)
        document = self._document(run_id, stored, files)
        found = self._evidence(run_id, files)
        if document is None or stored is None or found is None or len(self.findings) > before:
            return
        self._again(run_id, stored, files)
        self._sections(run_id, document, found)
        if found.position is not None:
            self._proofs[key_of(run_id, PROOF_FILE)] = files[PROOF_FILE]
        bundle = document.files[BUNDLE_FILE].sha256
        self._bundles[run_id] = bundle, document.log is not None or is_to_be_logged(found)
        if len(self.findings) == before:
            self._excuse(run_id, found)

    def _document(
        self, run_id: str, data: bytes | None, files: Mapping[str, bytes]
    ) -> EvidenceDocument | None:
        key = key_of(run_id, DOCUMENT)
        if data is None:
            message = f"{len(files)} files of run {run_id} are there without it"
            self._find(ProblemCode.STORE_DOCUMENT_MISSING, key, message)
            return None
        try:
            document = read_document(data, DOCUMENT)
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_DOCUMENT_MALFORMED, key, str(exc))
            return None
        self._documents[run_id] = document, data
        for name, told in document.files.items():
            if name not in files:
                message = f"the document of run {run_id} names it"
                self._find(ProblemCode.STORE_FILE_MISSING, key_of(run_id, name), message)
            elif hashlib.sha256(files[name]).hexdigest() != told.sha256:
                self._changed(key_of(run_id, name), told.sha256)
        for name in sorted(files.keys() - document.files.keys()):
            message = f"the document of run {run_id} does not name it"
            self._find(ProblemCode.STORE_FILE_UNKNOWN, key_of(run_id, name), message)
        if document.run_id != run_id:
            message = f"it is the document of run {document.run_id}"
            self._find(ProblemCode.STORE_DOCUMENT_DISAGREES, key, message)
        return document

    def _changed(self, key: str, expected: str) -> None:
        found = self._seen[key][0]
        message = f"its SHA-256 is {found[:16]}…, expected {expected[:16]}…"
        self._find(ProblemCode.STORE_FILE_CHANGED, key, message)

    def _evidence(self, run_id: str, files: Mapping[str, bytes]) -> Verification | None:
        """The bundle, report and proof, verified and judged again."""
        bundle = files.get(BUNDLE_FILE)
        if bundle is None:
            self._find(
                ProblemCode.BUNDLE_MISSING, key_of(run_id, BUNDLE_FILE), "nothing shows what was decided"
            )
            return None
        report, proof = files.get(REPORT_FILE), files.get(PROOF_FILE)
        found = verify_logged(bundle, report, proof, self._anchor, grace_at=self._clock())
        for problem in found.problems:
            name = PROOF_FILE if problem.where == PROOF_FILE else _file_of(problem)
            line = f"{problem.where}: " if problem.where and problem.where != PROOF_FILE else ""
            # One code may tell of several lines of one file.
            self.findings.append(
                EvidenceProblem(problem.code, f"{line}{problem.message}", key_of(run_id, name))
            )
        decision = found.decision
        if decision is not None and decision.run_id != run_id:
            message = f"it is the evidence of run {decision.run_id}"
            self._find(ProblemCode.STORE_DOCUMENT_DISAGREES, key_of(run_id, BUNDLE_FILE), message)
        allowed = self._wanted.environments
        if decision is not None and allowed and decision.environment not in allowed:
            message = (
                f"it was decided for {decision.environment}, the store is one of {', '.join(sorted(allowed))}"
            )
            self._find(ProblemCode.ENVIRONMENT_MISMATCH, key_of(run_id, BUNDLE_FILE), message)
        return found

    def _again(self, run_id: str, stored: bytes, files: Mapping[str, bytes]) -> None:
        key = key_of(run_id, DOCUMENT)
        try:
            same = build_document(files) == stored
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_DOCUMENT_DISAGREES, key, str(exc))
            return
        if not same:
            self._find(
                ProblemCode.STORE_DOCUMENT_DISAGREES, key, "its files give another document than this one"
            )

    def _sections(self, run_id: str, document: EvidenceDocument, found: Verification) -> None:
        key = key_of(run_id, DOCUMENT)
        is_go = found.decision is not None and found.decision.is_go
        # A NO-GO admits nothing, with or without; the sections of a merge are those of its shards.
        own = found.report.policy.sections if found.report is not None and is_go else ()
        asked = () if found.fleet is not None else self._wanted.sections
        for name in dict.fromkeys((*own, *asked)):
            if not document.sections.get(name):
                who = f"plan {document.plan}" if name in own else "the question"
                self.findings.append(
                    EvidenceProblem(ProblemCode.STORE_SECTION_MISSING, f"{who} asks for section {name}", key)
                )
        for name, parts in document.sections.items():
            for part in parts:
                if part.content is None:
                    message = f"section {name} of gate {part.gate} ({part.file}) is no JSON object"
                    self.findings.append(EvidenceProblem(ProblemCode.STORE_SECTION_MALFORMED, message, key))

    # -- what holds for all of them ------------------------------------------------------------

    def _latest(self) -> str | None:
        if not self._seen:
            return None
        data = self._read(LATEST)
        newest = max(self._documents.values(), key=lambda found: found[0].order, default=None)
        if data is None or newest is None:
            return None
        if data != newest[1]:
            message = f"the newest document is that of run {newest[0].run_id}"
            self._find(ProblemCode.STORE_LATEST, LATEST, f"{message}, this is {_told(data)}")
        return newest[0].run_id

    def _index(self) -> Index | None:
        if not self._seen:
            return None
        try:
            envelope = self._store.read(INDEX_SIGNATURE)[0]
        except ObjectMissingError:
            self._find(ProblemCode.STORE_INDEX_MISSING, INDEX_SIGNATURE, "there is no signed index")
            return None
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_UNREADABLE, INDEX_SIGNATURE, str(exc))
            return None
        environments = {document.environment for document, _ in self._documents.values()}
        try:
            index = signed_index(envelope, self._anchor, environments, self._clock())
        except EvidenceError as exc:
            self._find(ProblemCode.STORE_INDEX_INVALID, INDEX_SIGNATURE, str(exc))
            return None
        data = self._read(INDEX)
        if data is not None and data != read_envelope(envelope[:-1]).payload:
            self._find(ProblemCode.STORE_INDEX_INVALID, INDEX, f"it is not what {INDEX_SIGNATURE} signs")
        return index

    def _compare(self, index: Index) -> None:
        entries = index.by_key()
        for key, entry in entries.items():
            if key not in self._seen:
                if (ProblemCode.STORE_UNREADABLE, key) not in self._named:
                    message = f"the index of {rfc3339(index.at)} names it"
                    self._find(ProblemCode.STORE_FILE_MISSING, key, message)
            elif self._seen[key][0] != entry.sha256:
                self._changed(key, entry.sha256)
            else:
                self._promised(entry, self._seen[key][1])
        gone = {each.run_id: each for each in index.collected}
        new = by_run(key for key in self._seen if key not in entries)
        for run_id, names in new.items():
            where = f"{HISTORY}{run_id}"
            if run_id in gone:
                message = (
                    f"it was collected at {rfc3339(gone[run_id].at)}, and is still there: cutover evidence gc"
                )
                self._find(ProblemCode.STORE_FILE_UNKNOWN, where, message)
            else:
                count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
                self._find(ProblemCode.STORE_INDEX_STALE, where, f"{count} not in the index")

    def _logged(self, log: Log, index: Index | None) -> int:
        from pytest_cutover.store.completeness import InStore, check_log  # few checks are given a log

        bundles = {sha for key, (sha, _) in self._seen.items() if key.endswith(f"/{BUNDLE_FILE}")}
        collected = {} if index is None else {each.run_id: each.bundle for each in index.collected}
        found = InStore(
            self._bundles,
            bundles | self._refused | {*collected.values()},
            self._unlogged,
            collected,
            self._proofs,
            {document.environment for document, _ in self._documents.values()}
            | set(self._wanted.environments),
        )
        problems, logged = check_log(log, self._wanted.pinned, found)
        self.findings += problems
        return logged

    def _promised(self, entry: Indexed, held: Held) -> None:
        until, promised = held.retain_until, entry.retain_until
        is_short = promised is not None and (until is None or until < promised)
        if promised is not None and is_short and promised > self._clock():
            state = "not retained" if until is None else f"retained until {rfc3339(until)}"
            message = f"it is {state}, the index says until {rfc3339(promised)}"
            self._find(ProblemCode.STORE_UNLOCKED, entry.key, message)
        elif entry.legal_hold and not held.legal_hold:
            message = "it is not held, the index says so: cutover evidence lock RUN --hold, or --release"
            self._find(ProblemCode.STORE_UNLOCKED, entry.key, message)
        elif entry.legal_hold != held.legal_hold or (until != promised and not is_short):
            self._find(ProblemCode.STORE_INDEX_STALE, entry.key, "it was locked or held since")
        elif entry.tampered:
            self._find(ProblemCode.STORE_INDEX_STALE, entry.key, "it is called tampered, and is whole")


def _findings(found: Verification) -> Sequence[Mapping[str, str]]:
    return () if found.decision is None or found.decision.is_go else found.decision.findings


def _file_of(problem: EvidenceProblem) -> str:
    is_of_the_report = problem.code.code.startswith("report.") and problem.where is None
    return REPORT_FILE if is_of_the_report else BUNDLE_FILE


def _told(data: bytes) -> str:
    try:
        return f"that of run {read_document(data, LATEST).run_id}, or was changed"
    except EvidenceError as exc:
        return str(exc)
