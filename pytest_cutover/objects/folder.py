"""Objects as files of a folder, which any static file server can serve.

A first write takes no lock: it is a link to a finished file, which the file system grants to one writer only. What
replaces, removes, retains or holds goes one after the other, behind a lock of the folder. A write costs two fsyncs, the
file's and its folder's; a folder that this process did not use before costs one more.

What is promised about an object stands in `.objects/kept`; the file itself is made read-only. **That keeps programs and
people from mistakes, not whoever owns the folder**: the signed index shows what they did, and Object Lock prevents it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from pytest_cutover.errors import AdapterError, EvidenceError
from pytest_cutover.files import read_regular, sync_folder, write_atomic, write_new
from pytest_cutover.objects.filelock import file_locked
from pytest_cutover.objects.names import check_key, is_name
from pytest_cutover.objects.promise import Promise, format_promise, read_promise
from pytest_cutover.objects.protocol import (
    ABSENT,
    Absent,
    Held,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
    check_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

OWN = ".objects"
"""Locks and promises; its name is no key's."""

_OPEN, _READ_ONLY = 0o644, 0o444
_LOCK_TIMEOUT_S = 60.0
_ATTEMPTS = 5
"""A folder may be removed as empty by another process between its making and the first file in it."""


class FolderObjects:
    """An ObjectStore in a folder, which is made by the first write."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._durable: set[str] = set()  # folders whose own names are known to be on the disk

    @property
    def where(self) -> str:
        """The folder's path."""
        return str(self._path)

    def read(self, key: str, *, version: str | None = None) -> tuple[bytes, Held]:
        """The bytes under `key`.

        Raises:
            ObjectMissingError: there are none, or a version was asked for: a folder keeps one only.
            EvidenceError: it is a link or no file, or what is promised about it cannot be read.
            StoreUnavailableError: it cannot be read.
        """
        if version is not None:
            raise ObjectMissingError(f"{self.where}/{key}: a folder keeps no versions, asked is {version!r}")
        path = self._locate(key)
        try:
            check_size(str(path), path.lstat().st_size)
            data = read_regular(path)
        except OSError as exc:
            _raise_unread(path, exc)
        return data, self._held(key, data)

    def stat(self, key: str) -> Held | None:
        """What is under `key`; its bytes are read for the tag.

        Raises:
            EvidenceError, StoreUnavailableError: as `read`.
        """
        try:
            return self.read(key)[1]
        except ObjectMissingError:
            return None

    def write(self, key: str, data: bytes, *, expected: Absent | str) -> Held:
        """Put `data` under `key`, whole and durable, if what is there is what was expected.

        Raises:
            ObjectConflictError, ObjectLockedError: as the protocol says.
            EvidenceError: a link, or no file, is in the way.
            StoreUnavailableError: it cannot be written.
        """
        check_size(key, len(data))
        if expected is ABSENT:
            self._write_new(key, data)
        else:
            with self._changing():
                self._replace(key, data, expected)
        return self._held(key, data)

    def list(self, prefix: str = "") -> Iterator[Held]:
        """Everything below `prefix`, in the order of the keys; every file is read for its tag.

        Raises:
            EvidenceError, StoreUnavailableError: as `keys`; or a file cannot be read.
        """
        for key in self.keys(prefix):
            held = self.stat(key)
            if held is not None:  # else another process has removed it meanwhile
                yield held

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys alone; hidden names are leftovers of killed writers.

        Raises:
            EvidenceError: something there is a link, no file, or has a name that no key has.
            StoreUnavailableError: a folder cannot be read.
        """
        yield from sorted(self._keys(prefix))

    def fence(self, key: str, expected: str) -> Held:
        """What is under `key`, if it is what was expected: nobody loses a lock here who writes on.

        Raises:
            ObjectConflictError: it is another.
        """
        held = self.stat(key)
        if held is None or held.tag != expected:
            raise ObjectConflictError(f"expected the object {expected:.16} at {self.where}/{key}")
        return held

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Take `key` away, and folders that are empty then; a named version is none of a folder's.

        Raises:
            ObjectLockedError: it is retained or held.
            EvidenceError, StoreUnavailableError: as `read`.
        """
        path = self._locate(key)
        with self._changing():
            held = self.stat(key)
            if held is None or version is not None:
                return
            self._refuse_protected(held, "removed")
            try:
                path.unlink()
                sync_folder(path.parent)
                promise = self._promise_path(key)
                promise.unlink(missing_ok=True)
                _remove_empty(promise.parent)
                self._durable.discard(str(promise.parent))
                for folder in path.parents[: len(check_key(key)) - 1]:
                    _remove_empty(folder)
                    self._durable.discard(str(folder))
            except OSError as exc:
                _raise_unavailable(path, exc)

    def retain(self, key: str, until: datetime) -> Held:
        """Keep `key` as it is until then; never shortens what was promised.

        Raises:
            ObjectMissingError: there is nothing to keep.
            ValueError: `until` is naive.
        """
        if until.tzinfo is None:
            raise ValueError("a time must be timezone-aware")
        with self._changing():
            data, held = self.read(key)
            kept = until if held.retain_until is None else max(until, held.retain_until)
            return self._promise(key, data, Promise(kept, held.legal_hold))

    def hold(self, key: str, on: bool) -> Held:
        """Set or lift the legal hold.

        Raises:
            ObjectMissingError: there is nothing to hold.
        """
        with self._changing():
            data, held = self.read(key)
            return self._promise(key, data, Promise(held.retain_until, on))

    @contextmanager
    def exclusive(self, name: str, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[Callable[[], None]]:
        """Be the only writer of that name among all processes and threads that ask; a killed one has it no more.

        A stopped one has it still, so what this gives never raises.

        Raises:
            EvidenceError: the name cannot stand in a key.
            StoreUnavailableError: another one had it for all of `timeout_s`, or the folder cannot be written.
        """
        check_key(name)
        with self._locked(name.replace("/", "+"), timeout_s):
            yield lambda: None

    @contextmanager
    def _locked(self, name: str, timeout_s: float) -> Iterator[None]:
        path = self._path / OWN / "locks" / name
        lock = file_locked(path, timeout_s=timeout_s)
        try:
            self._make(path.parent)
            lock.__enter__()
        except OSError as exc:
            _raise_unavailable(path, exc)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _changing(self) -> AbstractContextManager[None]:
        return self._locked(".change", _LOCK_TIMEOUT_S)

    # -- names ---------------------------------------------------------------------------------

    def _locate(self, key: str) -> Path:
        """Where `key` is; no folder on the way there is a link."""
        names = check_key(key)
        folder = self._path
        for name in names[:-1]:
            folder /= name
            try:
                mode = folder.lstat().st_mode
            except FileNotFoundError:
                break
            except OSError as exc:
                _raise_unread(folder, exc)
            if not stat.S_ISDIR(mode):
                raise EvidenceError(f"expected a folder, {folder} is {_kind(mode)}")
        return self._path.joinpath(*names)

    def _keys(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        waiting = [folder]
        while waiting:
            folder = waiting.pop()
            for name, mode in self._entries(folder):
                key = f"{folder}/{name}" if folder else name
                if not key.startswith(prefix) and not prefix.startswith(f"{key}/"):
                    continue
                if not is_name(name) or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                    kind = _kind(mode) if is_name(name) else "no name of ours"
                    raise EvidenceError(f"expected files and folders in {self.where}, {key!a:.200} is {kind}")
                if stat.S_ISDIR(mode):
                    waiting.append(key)
                else:
                    yield key

    def _entries(self, folder: str) -> tuple[tuple[str, int], ...]:
        path = self._locate(f"{folder}/x").parent if folder else self._path
        try:
            with os.scandir(path) as found:
                entries = [e for e in found if not e.name.startswith(".")]
                return tuple((e.name, e.stat(follow_symlinks=False).st_mode) for e in entries)
        except FileNotFoundError:
            return ()
        except OSError as exc:
            _raise_unread(path, exc)

    # -- writing -------------------------------------------------------------------------------

    def _write_new(self, key: str, data: bytes) -> None:
        path = self._locate(key)
        for attempt in range(_ATTEMPTS):
            try:
                self._make(path.parent)
                is_ours = write_new(path, data, mode=_OPEN)
            except OSError as exc:
                _raise_unavailable(path, exc)
            except AdapterError as exc:
                cause = exc.__cause__
                vanished = isinstance(cause, OSError) and cause.errno == errno.ENOENT
                if not vanished or attempt == _ATTEMPTS - 1:
                    raise StoreUnavailableError(str(exc), hint=exc.hint) from exc
                self._durable.clear()
                continue
            break
        if not is_ours and self.read(key)[0] != data:
            raise ObjectConflictError(f"expected nothing at {path}, and something else is there")

    def _replace(self, key: str, data: bytes, expected: str) -> None:
        held = self.stat(key)
        path = self._locate(key)
        if held is None:
            raise ObjectConflictError(f"expected the object {expected:.16} at {path}, and there is none")
        if held.tag == _tag(data):
            _sync(path.parent)  # whoever wrote it may have been killed before doing so
            return
        if held.tag != expected:
            raise ObjectConflictError(f"expected the object {expected:.16} at {path}, got {held.tag:.16}")
        self._refuse_protected(held, "replaced")
        _write(path, data, _OPEN)

    def _make(self, folder: Path) -> None:
        """The folder, with every name on the way to it on the disk, whoever made it."""
        if str(folder) in self._durable:
            return
        is_inside = self._path in folder.parents
        if is_inside or not folder.parent.is_dir():
            self._make(folder.parent)
        if is_inside or not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
        self._durable.add(str(folder))

    # -- promises ------------------------------------------------------------------------------

    def _held(self, key: str, data: bytes) -> Held:
        promise = self._promised(key)
        return Held(
            key,
            len(data),
            _tag(data),
            retain_until=promise.retain_until,
            legal_hold=promise.legal_hold,
        )

    def _promise_path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._path / OWN / "kept" / name[:2] / f"{name}.json"

    def _promised(self, key: str) -> Promise:
        path = self._promise_path(key)
        try:
            data = read_regular(path)
        except FileNotFoundError:
            return Promise()
        except OSError as exc:
            _raise_unread(path, exc)
        return read_promise(key, data, where=str(path))

    def _promise(self, key: str, data: bytes, promise: Promise) -> Held:
        path = self._promise_path(key)
        try:
            self._make(path.parent)
            _write(path, format_promise(key, promise), _OPEN)
            held = self._held(key, data)
            (self._path / key).chmod(_READ_ONLY if held.is_protected(self._now()) else _OPEN)
        except OSError as exc:
            _raise_unavailable(path, exc)
        return held

    def _refuse_protected(self, held: Held, what: str) -> None:
        if held.is_protected(self._now()):
            why = "held" if held.legal_hold else f"retained until {held.retain_until:%Y-%m-%d %H:%M} UTC"
            raise ObjectLockedError(f"{self.where}/{held.key} is {why}: it cannot be {what}")


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISREG, "a file"))
    return next((kind for matches, kind in kinds if matches(mode)), "a special file")


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        write_atomic(path, data, mode=mode)
    except AdapterError as exc:
        raise StoreUnavailableError(str(exc), hint=exc.hint) from exc


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


def _sync(folder: Path) -> None:
    try:
        sync_folder(folder)
    except OSError as exc:
        _raise_unavailable(folder, exc)


def _raise_unread(path: Path, exc: OSError) -> NoReturn:
    if exc.errno == errno.ENOENT:
        raise ObjectMissingError(f"there is no {path}") from None
    if exc.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ENXIO):
        raise EvidenceError(f"expected a file, {path} is something else: {exc.strerror or exc}") from None
    raise StoreUnavailableError(f"cannot read {path}: {exc.strerror or exc}") from exc


def _raise_unavailable(path: Path, exc: OSError) -> NoReturn:
    raise StoreUnavailableError(
        f"cannot write {path}: {exc.strerror or exc}", hint="is the disk full, or the folder read-only?"
    ) from exc
