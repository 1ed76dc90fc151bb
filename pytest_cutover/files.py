"""Files written so that a reader sees the whole new one or none of it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from pytest_cutover.errors import AdapterError


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path`: temporary file, fsync, rename, fsync of the folder.

    Raises:
        AdapterError: disk full, read-only folder, I/O error; `path` is then as it was.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as exc:
        raise AdapterError(
            f"cannot write {path}: {exc.strerror or exc}", hint="is the disk full, or the folder read-only?"
        ) from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> bool:
    """Put `data` at `path`, whole or not at all; False when the name is taken, by whatever it is.

    Raises:
        AdapterError: it cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike rename, never replaces
        except FileExistsError:
            return False
        sync_folder(path.parent)
    except OSError as exc:
        raise AdapterError(
            f"cannot write {path}: {exc.strerror or exc}", hint="is the disk full, or the folder read-only?"
        ) from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return True


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file: never those behind a link, and never waiting for what a pipe may bring.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (a rename alone is not)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
