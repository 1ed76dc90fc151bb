"""Makes one chosen system call of the engine fail, in the real process: imported before the run, driven by FAULT.

`FAULT=OPERATION:NUMBER:KIND`, e.g. `journal.write:3:ENOSPC`. Kinds: ENOSPC, EIO, EROFS, short (half of it is written,
then the disk is full), partial (half is written, and that is no error), kill (SIGKILL in the middle of it), interrupt
(Ctrl-C in the middle of it, which by itself goes well).
With `FAULT_COUNT=FILE` nothing fails and the operations are listed in FILE.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

_seen: Counter[str] = Counter()
_OPERATION, _NUMBER, _KIND = (os.environ.pop("FAULT", "none:0:none")).split(":")
_LIST = os.environ.pop("FAULT_COUNT", None)


def _fault(operation: str) -> str | None:
    """The kind of fault that this call of the operation meets, if any."""
    _seen[operation] += 1
    if _LIST is not None:
        with Path(_LIST).open("a") as file:
            file.write(f"{operation}\n")
    return _KIND if operation == _OPERATION and _seen[operation] == int(_NUMBER) else None


def _strike(kind: str) -> None:
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        return
    code = getattr(errno, "ENOSPC" if kind == "short" else kind)
    raise OSError(code, os.strerror(code))


class _Os:
    """The module `os`, for one module of the engine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(os, attribute)

    def write(self, descriptor: int, data: bytes) -> int:
        kind = _fault(f"{self._name}.write")
        if kind in ("short", "partial", "kill"):
            written = os.write(descriptor, data[: len(data) // 2])
            if kind == "partial":
                return written
        if kind:
            _strike(kind)
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        kind = _fault(f"{self._name}.fsync")
        if kind:
            _strike(kind)
        os.fsync(descriptor)

    def fdopen(self, descriptor: int, mode: str) -> Any:
        return _File(os.fdopen(descriptor, mode), self._name)


class _File:
    """A file whose writes can fail; each is flushed, so that the fault is met where it is asked for."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._file, attribute)

    def write(self, data: bytes) -> int:
        kind = _fault(f"{self._name}.write")
        if kind in ("short", "kill"):
            self._file.write(data[: len(data) // 2])
            self._file.flush()
        if kind:
            _strike(kind)
        self._file.write(data)
        self._file.flush()
        return len(data)


class _Path(type(Path())):  # type: ignore[misc] # the concrete class of this system
    def replace(self, target: Any) -> Any:
        kind = _fault("files.replace")
        if kind:
            _strike(kind)
        return super().replace(target)


def install() -> None:
    """Put the faults under the journal and under the atomic files."""
    from pytest_cutover import files
    from pytest_cutover.run import journal

    for module, name in ((journal, "journal"), (files, "files")):
        vars(module)["os"] = _Os(name)
    vars(files)["Path"] = _Path
