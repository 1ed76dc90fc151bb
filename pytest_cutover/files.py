"""Files written so that a reader sees the whole new one or none of it."""

from __future__ import annotations

import os
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


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (a rename alone is not)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
