"""Putting a finished run into a store, then `latest.json`.

The bundle of a GO goes last: a writer that was killed before leaves a run without one, which says nothing of what was
decided. Any other goes first, as it may take back a GO that is there. Putting a run again completes it, and writing the
same again changes nothing.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, CutoverError, EvidenceError
from pytest_cutover.evidence.envelope import read_envelope
from pytest_cutover.files import read_regular
from pytest_cutover.model import ExitCode
from pytest_cutover.objects.protocol import (
    ABSENT,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
)
from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.store.document import attachments_of, build_document, read_document, without_lost
from pytest_cutover.store.layout import (
    ATTACHMENTS,
    BUNDLE_FILE,
    DOCUMENT,
    INDEX_LOCK,
    INDEX_SIGNATURE,
    LATEST,
    PROOF_FILE,
    REPORT_FILE,
    key_of,
)
from pytest_cutover.store.reading import documents_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.objects.protocol import Absent, Held, ObjectStore
    from pytest_cutover.store.document import EvidenceDocument

_ATTEMPTS = 100
"""Writers that may move `latest.json` at the same time."""


@dataclass(frozen=True, slots=True)
class Put:
    """What was put: the document, and each object of the set as the store has it."""

    document: EvidenceDocument
    objects: tuple[Held, ...]
    is_latest: bool
    lost: tuple[str, ...] = ()
    """Attachments of a NO-GO that were not there any more."""


@dataclass(frozen=True, slots=True)
class RunSet:
    """A run as a store is to have it."""

    document: EvidenceDocument
    objects: dict[str, bytes]
    """By key; the document is one of them."""
    lost: tuple[str, ...] = ()
    """Attachments that a NO-GO is stored without."""

    @classmethod
    def of(cls, files: dict[str, bytes]) -> RunSet:
        """The set of these files, by name; **no signature is verified**.

        Raises:
            EvidenceError: the run is not signed or not whole.
        """
        whole, lost = without_lost(files)
        data = build_document(whole)
        document = read_document(data, DOCUMENT)
        named = whole | {DOCUMENT: data}
        return cls(document, {key_of(document.run_id, name): each for name, each in named.items()}, lost)

    def key(self, name: str) -> str:
        return key_of(self.document.run_id, name)

    @property
    def bundle(self) -> str:
        return self.key(BUNDLE_FILE)

    @property
    def order(self) -> list[str]:
        """The keys, as they are put: the bundle or, where that goes first, the document last."""
        ends = [self.bundle, self.key(DOCUMENT)]
        rest = sorted(self.objects.keys() - {*ends})
        return [ends[1], *rest, ends[0]] if self.is_go else [ends[0], *rest, ends[1]]

    @property
    def is_go(self) -> bool:
        return self.document.exit_code is ExitCode.GO


class Left(Enum):
    """What a store has of a run that was taken out of it."""

    NOTHING = "no bundle, so nothing that says what was decided"
    WHOLE = "all of it: the store does not let it go"
    UNKNOWN = "its bundle, perhaps, or not all that was asked for"


def put_run(store: ObjectStore, run_dir: Path, *, until: datetime | None = None) -> Put:
    """Put the run in the folder `run_dir` into `store`, and move `latest.json` when it is the newest.

    Every file is retained `until` then, if asked. Several processes may do so at once. **No signature is verified**: that
    is for `check_store`.

    Raises:
        EvidenceError: the run is not signed or not whole; or the store holds another run of that id
            (ObjectConflictError).
        ConfigError: a file of the run cannot be read.
        StoreUnavailableError: the store did not take or retain it; putting it again goes on.
    """
    return put_set(store, read_set(run_dir), until=until)


def put_set(store: ObjectStore, files: dict[str, bytes], *, until: datetime | None = None) -> Put:
    """The same for files that were read before, by name."""
    run = RunSet.of(files)
    refuse_another(store, run)
    held = tuple(put_object(store, run, key, until) for key in run.order)
    is_latest = move_latest(store, run.document, run.objects[run.key(DOCUMENT)])
    return Put(run.document, held, is_latest, run.lost)


def refuse_another(store: ObjectStore, run: RunSet) -> None:
    """See before the first write that nothing of another run of that id is there: with its files this one's would pass for whole.

    Raises:
        ObjectConflictError: there is.
        StoreUnavailableError: the store does not say.
    """
    for key in store.keys(run.key("")):
        if key in run.objects and store.read(key)[0] != run.objects[key]:
            raise _conflict(store, run, key)


def put_object(store: ObjectStore, run: RunSet, key: str, until: datetime | None) -> Held:
    """Put one object of the set and retain it; what it is as the store has it.

    Raises:
        ObjectConflictError: there is another under that key.
        StoreUnavailableError: the store did not take or retain it.
    """
    try:
        if isinstance(store, S3Objects):  # retained from the first moment on
            held = store.write(key, run.objects[key], expected=ABSENT, retain_until=until)
        else:
            held = store.write(key, run.objects[key], expected=ABSENT)
    except ObjectConflictError:
        raise _conflict(store, run, key) from None
    return held if until is None else store.retain(key, until)


def _conflict(store: ObjectStore, run: RunSet, key: str) -> ObjectConflictError:
    return ObjectConflictError(
        f"{store.where}: expected run {run.document.run_id} as it is here, {key} is another",
        hint="evidence is never rewritten; is this the run that was put, and whole?",
    )


def take_out(
    store: ObjectStore, run: RunSet, *, until: datetime | None = None, was_put: bool = False
) -> Left:
    """Remove what an attempt to put that run left, as far as the store lets it: half a set may not pass for evidence.

    WHOLE: it stays, and is retained `until` then where that was asked for: the index names it, or the store does not let
    it go, or (where it `was_put`) gives no answer any more. What others put there is not removed.
    """
    with ExitStack() as held:
        try:
            # Who makes the index meanwhile may have read what would be removed here, and would name it.
            held.enter_context(store.exclusive(INDEX_LOCK))
            found = {key: store.read(key) for key in store.keys(run.key(""))}
            is_indexed = _is_indexed(store, run.document.run_id)
        except Exception:  # whatever it was: nothing was removed
            return Left.WHOLE if was_put else Left.UNKNOWN
        return _take_out(store, run, found, until, is_indexed=is_indexed)


def _take_out(
    store: ObjectStore,
    run: RunSet,
    found: Mapping[str, tuple[bytes, Held]],
    until: datetime | None,
    *,
    is_indexed: bool,
) -> Left:
    there = {key: data for key, (data, _) in found.items()}
    if there.get(run.bundle) not in (None, run.objects[run.bundle]):
        return Left.NOTHING  # it is another run's
    if not is_indexed:
        try:
            store.delete(run.bundle)
        except ObjectLockedError:
            pass
        except Exception:  # whatever it was: it may be removed, and may not
            return Left.UNKNOWN
        else:
            _tidy(store, run, [key for key, data in there.items() if run.objects.get(key) == data])
            return Left.NOTHING
    is_whole = there.items() >= run.objects.items()
    if is_whole and all(_is_kept(found[key][1], until) for key in run.objects):
        return Left.WHOLE
    return Left.UNKNOWN if run.bundle in there else Left.NOTHING


def _is_kept(held: Held, until: datetime | None) -> bool:
    """Whether it is retained that long; what a bucket retains by itself may be much less."""
    return until is None or (held.retain_until is not None and held.retain_until >= until)


def _tidy(store: ObjectStore, run: RunSet, keys: Collection[str]) -> None:
    """Remove the rest, which says nothing without the bundle, and `latest.json` if it is of this run."""
    with suppress(CutoverError, OSError):
        for key in keys:
            with suppress(ObjectLockedError):
                store.delete(key)
        if settle_latest(store) is None and store.read(LATEST)[0] == run.objects[run.key(DOCUMENT)]:
            store.delete(LATEST)  # the store has no run, unless one was put meanwhile
            settle_latest(store)


def _is_indexed(store: ObjectStore, run_id: str) -> bool:
    """Whether the index names the run; one that cannot be read names nothing."""
    from pytest_cutover.store.index import read_index  # only a put that failed asks

    try:
        envelope = read_envelope(store.read(INDEX_SIGNATURE)[0].removesuffix(b"\n"))
        index = read_index(envelope.payload)
    except EvidenceError:
        return False
    return any(entry.key.startswith(key_of(run_id, "")) for entry in index.objects)


def read_set(run_dir: Path, bundle: bytes | None = None) -> dict[str, bytes]:
    """The files of a run that go into a store: report, bundle, proof if there is one, and attachments.

    `bundle`: that of a run whose folder has none yet.

    Raises:
        ConfigError: report, bundle or proof cannot be read.
        EvidenceError: the report is none.
    """
    files = {name: _read(run_dir / name) for name in (REPORT_FILE, BUNDLE_FILE, PROOF_FILE)}
    if bundle is not None:
        files[BUNDLE_FILE] = bundle
    found = {name: data for name, data in files.items() if data is not None}
    if REPORT_FILE in found:
        for _, fields in attachments_of(found):
            name = f"{ATTACHMENTS}{fields['file']}"
            with suppress(ConfigError):  # as good as gone, like one that is
                data = _read(run_dir / name)
                if data is not None:
                    found[name] = data
    return found


def _read(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from None


def move_latest(store: ObjectStore, document: EvidenceDocument, data: bytes) -> bool:
    """Make `latest.json` a copy of the document, unless a newer one is there; whether it is this one now.

    A damaged one is replaced by the newest of the history.

    Raises:
        EvidenceError: other writers were always faster.
    """
    for _ in range(_ATTEMPTS):
        expected: Absent | str = ABSENT
        try:
            there, held = store.read(LATEST)
            expected = held.tag
            if there == data:
                return True
            if read_document(there, LATEST).order > document.order:
                return False
        except ObjectMissingError:
            pass
        except EvidenceError:
            document, data = newest_document(store) or (document, data)
        try:
            store.write(LATEST, data, expected=expected)
        except ObjectConflictError:
            continue
        return True
    raise EvidenceError(f"{store.where}/{LATEST} changes all the time", hint="put the run again")


def settle_latest(store: ObjectStore, *, write: bool = True) -> str | None:
    """Point `latest.json` to the newest document that is there; the run it moves to, None when it stays.

    Unlike `move_latest` also back, from a document that is none of the store.

    Raises:
        ObjectConflictError: somebody else moved it meanwhile.
    """
    newest = newest_document(store)
    expected: Absent | str = ABSENT
    there = b""
    with suppress(ObjectMissingError):
        there, held = store.read(LATEST)
        expected = held.tag
    if newest is None or there == newest[1] or _is_newer(store, there, newest[0]):
        return None
    if write:
        store.write(LATEST, newest[1], expected=expected)
    return newest[0].run_id


def _is_newer(store: ObjectStore, data: bytes, than: EvidenceDocument) -> bool:
    """Whether these bytes are a newer document of the store: one that was put since the others were read."""
    try:
        document = read_document(data, LATEST)
        return document.order > than.order and store.read(key_of(document.run_id, DOCUMENT))[0] == data
    except EvidenceError:
        return False


def newest_document(store: ObjectStore) -> tuple[EvidenceDocument, bytes] | None:
    """The document of the history that was decided last, and its bytes; None when there is none that can be read."""
    return max(documents_in(store), key=lambda found: found[0].order, default=None)
