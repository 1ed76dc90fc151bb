"""Taking a run away: out of the runs in one step, then deleted. No link is followed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from pytest_cutover.errors import AdapterError
from pytest_cutover.files import sync_folder

PLACE = ".removed"
"""The folder among the runs in which they are deleted: always on the same disk, so that one rename takes a run away."""


class Removal:
    """Takes runs out of a folder while its block lasts; what an earlier one left half deleted goes first.

    A run that is partly deleted may not lie beside the others: evidence that is damaged refuses a GO. Nothing looks
    for runs a level deeper.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._place = runs / PLACE
        self._lock = -1

    def __enter__(self) -> Self:
        """Make the folder in which runs are deleted.

        Raises:
            AdapterError: it cannot be made or emptied, or another process uses it.
        """
        try:
            self._place.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in self._place.iterdir():
                shutil.rmtree(left)
        except OSError as exc:
            self._close()
            reason = "another process uses it" if exc.errno == errno.EWOULDBLOCK else exc.strerror or exc
            raise AdapterError(
                f"cannot use {self._place}: {reason}",
                hint="runs are deleted in this folder, which is no link",
            ) from exc
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._place.rmdir()
        self._close()

    def _close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remove(self, name: str) -> None:
        """Take one run away; afterwards it is gone, also after a power cut.

        Raises:
            AdapterError: it is still there, or its files are, in the folder that the error names.
        """
        run = self._runs / name
        try:
            if not stat.S_ISDIR(run.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder any more")
            grave = Path(tempfile.mkdtemp(dir=self._place))
            run.rename(grave / name)
            sync_folder(self._runs)
        except OSError as exc:
            raise AdapterError(
                f"cannot take {run} away: {exc.strerror or exc}", hint="is the folder writable?"
            ) from exc
        try:
            shutil.rmtree(grave)
        except OSError as exc:
            raise AdapterError(
                f"{name} is taken out of {self._runs}, and its files cannot be deleted: {exc.strerror or exc}",
                hint=f"delete {grave}",
            ) from exc
