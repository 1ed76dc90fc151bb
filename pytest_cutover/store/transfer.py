"""Evidence from one store into another: uploaded and retained, or restored; every byte is read back.

Nothing is overwritten. What was interrupted is run again: what is there already is read back and not sent again. Each object
is read back by the version id that the store gave it, so what was verified is what is retained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import fields_of, typed
from pytest_cutover.model import parse_rfc3339, rfc3339
from pytest_cutover.objects.names import check_key
from pytest_cutover.objects.protocol import ABSENT, Held, ObjectMissingError, StoreUnavailableError
from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.store.document import read_document
from pytest_cutover.store.layout import BUNDLE_FILE, DOCUMENT, HISTORY, LATEST, run_of
from pytest_cutover.store.putting import move_latest

if TYPE_CHECKING:
    from pytest_cutover.objects.protocol import ObjectStore

THREADS = 16
"""Objects under way at once: S3 answers in tens of milliseconds, and takes many requests side by side."""

FORMAT = 1
KIND = "pytest-cutover transfer manifest"

T = TypeVar("T")
Progress = Callable[[int, int], None]


def _quiet(done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One object as it was read back from where it was put."""

    key: str
    sha256: str
    bytes: int
    version: str | None
    """The store's id of this very version; None in a folder."""
    retain_until: datetime | None
    is_new: bool
    """False: it was there already, the same."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of each object, in the order of their keys; `problems` name key and reason."""

    place: str
    moved: tuple[Moved, ...]
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def new(self) -> int:
        return sum(each.is_new for each in self.moved)

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.moved)


def upload(
    source: ObjectStore,
    target: ObjectStore,
    *,
    retain_until: datetime | None,
    now: datetime,
    threads: int = THREADS,
    progress: Progress = _quiet,
) -> Transfer:
    """Put every run of `source` into `target`, retained until then, and move `latest.json` there if it is newer.

    The index is not sent: it says what its own store promises, and is signed there.

    Raises:
        StoreUnavailableError: a store does not answer; running it again goes on.
    """
    there = {held.key: held for held in _listed(target, HISTORY)}
    keys = tuple(source.keys(HISTORY))

    def put(key: str) -> Moved:
        data, held = source.read(key)
        promised = (t for t in (held.retain_until, retain_until) if t is not None and t > now)
        until = max(promised, default=None)
        return _put(target, key, data, there.get(key), until, legal_hold=held.legal_hold)

    moved, problems = _each(keys, put, threads, progress)
    problems = tuple(sorted((*problems, *_outrun(target, HISTORY, moved))))
    if not problems:
        _move_latest(source, target)
    return Transfer(target.where, moved, problems)


def _outrun(target: ObjectStore, prefix: str, moved: Iterable[Moved]) -> Iterator[tuple[str, str]]:
    """What was sent, and does not count: somebody else wrote another version first, at the same time."""
    if not isinstance(target, S3Objects):
        return  # a folder says so at once
    counts = {held.key: held.version for held in _listed(target, prefix)}
    for each in moved:
        if each.is_new and counts.get(each.key) != each.version:
            yield each.key, f"another version counts: {counts.get(each.key)}, sent was {each.version}"


def restore(
    source: ObjectStore,
    target: ObjectStore,
    *,
    manifest: Transfer | None = None,
    threads: int = THREADS,
    progress: Progress = _quiet,
) -> Transfer:
    """Put everything of `source` into `target`, with what is promised about it.

    With the manifest of an upload each object is read by its version id and has to have its SHA-256, whatever was put on
    top of it since.

    Raises:
        StoreUnavailableError: a store does not answer; running it again goes on.
    """
    told = {} if manifest is None else {each.key: each for each in manifest.moved}
    listed = {held.key: held.version for held in _listed(source, "")}
    there = {held.key: held for held in _listed(target, "")}

    def get(key: str) -> Moved:
        expected = told.get(key)
        version = listed.get(key) if expected is None else expected.version
        data, held = source.read(key, version=version)
        if expected is not None and _sha256(data) != expected.sha256:
            raise EvidenceError(
                f"its SHA-256 is {_sha256(data)[:16]}…, the manifest says {expected.sha256[:16]}…"
            )
        if run_of(key) is None:  # it moves; what a bucket promises about everything is not about this
            return _put(target, key, data, there.get(key), None, legal_hold=False)
        return _put(target, key, data, there.get(key), held.retain_until, legal_hold=held.legal_hold)

    moved, problems = _each({*listed, *told}, get, threads, progress)
    return Transfer(target.where, moved, tuple(sorted((*problems, *_outrun(target, "", moved)))))


def _put(
    target: ObjectStore,
    key: str,
    data: bytes,
    there: Held | None,
    until: datetime | None,
    *,
    legal_hold: bool,
) -> Moved:
    """Put one object, unless it was `there` when that was listed, and read it back."""
    if isinstance(target, S3Objects) and until is not None and until <= datetime.now(UTC):
        until = None  # a lock that has ended; a bucket takes no time that is past
    version = there.version if there is not None else _written(target, key, data, until).version
    again, held = target.read(key, version=version)
    if again != data:
        happened = "what was sent is read back" if there is None else "something else is there"
        raise EvidenceError(f"{happened} as SHA-256 {_sha256(again)[:16]}…, expected {_sha256(data)[:16]}…")
    if until is not None and (held.retain_until is None or held.retain_until < until):
        held = target.retain(key, until)
    if legal_hold and not held.legal_hold:
        held = target.hold(key, True)
    return Moved(key, _sha256(data), len(data), version, held.retain_until, there is None)


def _written(target: ObjectStore, key: str, data: bytes, until: datetime | None) -> Held:
    if isinstance(target, S3Objects):
        return target.write_unconfirmed(key, data, retain_until=until)
    return target.write(key, data, expected=ABSENT)


def _listed(store: ObjectStore, prefix: str) -> Iterable[Held]:
    return store.list(prefix, protection=False) if isinstance(store, S3Objects) else store.list(prefix)


def _move_latest(source: ObjectStore, target: ObjectStore) -> None:
    try:
        data, _ = source.read(LATEST)
    except ObjectMissingError:
        return
    move_latest(target, read_document(data, LATEST), data)


def _in_turn(keys: Collection[str]) -> Iterator[list[str]]:
    """The keys as they may be moved side by side: a run's document and then its bundle after the rest, the newest runs first.

    So what was broken off holds no bundle without the rest of its run, and what moves last says which runs there are.
    """
    names = {key: found[1] for key in keys if (found := run_of(key)) is not None}
    rest = [key for key, name in names.items() if name not in (DOCUMENT, BUNDLE_FILE)]
    yield sorted(rest)
    for last in (DOCUMENT, BUNDLE_FILE):
        yield sorted((key for key, name in names.items() if name == last), reverse=True)
    yield sorted(key for key in keys if key not in names)


def _each(
    keys: Collection[str], move: Callable[[str], Moved], threads: int, progress: Progress
) -> tuple[tuple[Moved, ...], tuple[tuple[str, str], ...]]:
    """`move` of every key, several at once; a store that does not answer ends it, a wrong object does not."""
    moved: dict[str, Moved] = {}
    problems: dict[str, str] = {}
    with ThreadPoolExecutor(threads) as pool:
        try:
            for some in _in_turn(keys):
                under_way = {pool.submit(move, key): key for key in some}
                for future in as_completed(under_way):
                    key = under_way[future]
                    try:
                        moved[key] = future.result()
                    except EvidenceError as exc:
                        problems[key] = str(exc)
                    progress(len(moved) + len(problems), len(keys))
        except BaseException as exc:
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(exc, StoreUnavailableError):
                hint = "run it again: what is there is not sent again"
                raise StoreUnavailableError(
                    f"{exc}; {len(moved)} of {len(keys)} are done", hint=hint
                ) from exc
            raise
    return tuple(moved[key] for key in sorted(moved)), tuple(sorted(problems.items()))


# -- the manifest ------------------------------------------------------------------------------


def format_manifest(transfer: Transfer) -> bytes:
    """What was put where, with version ids; one object a line."""
    head = {"format": FORMAT, "kind": KIND, "place": transfer.place}
    lines = ",\n".join(json.dumps(_entry(each), separators=(",", ":")) for each in transfer.moved)
    return f'{json.dumps(head)[:-1]}, "objects": [\n{lines}\n]}}\n'.encode("ascii")


def read_manifest(data: bytes, where: str) -> Transfer:
    """The manifest in its bytes. **Nothing signs it**: it says where to look, the evidence itself proves.

    Raises:
        EvidenceError: no manifest of format 1.
    """
    try:
        fields = fields_of(strictjson.loads(data), "manifest", ("format", "kind", "place", "objects"))
        if (fields["format"], fields["kind"]) != (FORMAT, KIND):
            raise EvidenceError(f"expected a {KIND} of format {FORMAT}")
        moved = tuple(_moved(each) for each in typed(fields["objects"], list))
        return Transfer(typed(fields["place"], str), moved)
    except (EvidenceError, ValueError, TypeError) as exc:
        raise EvidenceError(f"{where}: {exc}") from None


def _entry(moved: Moved) -> dict[str, Any]:
    return {
        "key": moved.key,
        "sha256": moved.sha256,
        "bytes": moved.bytes,
        "version": moved.version,
        "retain_until": None if moved.retain_until is None else rfc3339(moved.retain_until),
    }


def _moved(value: Any) -> Moved:
    fields = fields_of(value, "object", ("key", "sha256", "bytes", "version", "retain_until"))
    check_key(typed(fields["key"], str))
    version, until = fields["version"], fields["retain_until"]
    return Moved(
        fields["key"],
        typed(fields["sha256"], str),
        typed(fields["bytes"], int),
        None if version is None else typed(version, str),
        None if until is None else parse_rfc3339(typed(until, str)),
        False,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
