"""Files written so that a reader sees the whole new one or none of it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path`: temporary file, fsync, rename, fsync of the folder, and of those above that had to be made.

    Raises:
        AdapterError: disk full, read-only folder, I/O error; `path` is then as it was.
    """
    with _beside(path, data, mode) as temporary:
        temporary.replace(path)


def move_atomic(source: Path, target: Path) -> None:
    """Give what is at `source` the name `target`, in the same folder, durably.

    Raises:
        AdapterError: it cannot be moved, or it is not sure that the name lasts.
    """
    try:
        Path(source).replace(target)
        sync_folder(target.parent)
    except OSError as exc:
        raise AdapterError(
            f"cannot write {target}: {exc.strerror or exc}", hint="is the disk full, or the folder read-only?"
        ) from exc


def write_new(
    path: Path, data: bytes, *, mode: int = 0o644, folder_mode: int = 0o777, what: str | None = None
) -> bool:
    """Put `data` at `path`, whole or not at all; False when the name is taken, by whatever it is.

    `what` it is, for the error.

    Raises:
        AdapterError: it cannot be written.
    """
    with _beside(path, data, mode, folder_mode, what) as temporary:
        try:
            os.link(temporary, path)  # unlike rename, never replaces
        except FileExistsError:
            return False
    return True


@contextmanager
def _beside(
    path: Path, data: bytes, mode: int, folder_mode: int = 0o777, what: str | None = None
) -> Iterator[Path]:
    """`data` in a file of its own beside `path`, durable; then whatever was made of its name is, and the rest is removed."""
    temporary: Path | None = None
    try:
        make_folder(path.parent, mode=folder_mode)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        sync_folder(path.parent)
    except OSError as exc:
        named = path if what is None else f"the {what} {path}"
        raise AdapterError(
            f"cannot write {named}: {exc.strerror or exc}", hint="is the disk full, or the folder read-only?"
        ) from exc
    finally:
        if temporary is not None:
            with suppress(OSError):  # what became of `path` is said already
                temporary.unlink(missing_ok=True)


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


def read_or_none(path: Path) -> bytes | None:
    """The same; None where it cannot be read."""
    try:
        return read_regular(path)
    except OSError:
        return None


def read_if_there(path: Path) -> bytes | None:
    """The same; None when there surely is none.

    Raises:
        AdapterError: something is there, or may be, and cannot be read.
    """
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise AdapterError(
            f"cannot read {path}: {exc.strerror or exc}", hint="let this user read it, or move it away"
        ) from None


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make `folder`, and those above it as usual; the names of all that were missing are on the disk afterwards.

    Raises:
        OSError: one cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (a rename alone is not)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
