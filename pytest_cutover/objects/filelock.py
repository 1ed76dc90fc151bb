"""A lock between processes and threads of one machine: `flock` on a file that stays."""

from __future__ import annotations

import fcntl
import os
import random
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_cutover.objects.protocol import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def file_locked(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Be the only one that has the lock `path` while the block runs; whoever is killed has it no more.

    The file is never removed: a lock on a removed file keeps nobody out.

    Raises:
        StoreUnavailableError: another one had it for all of `timeout_s`.
        OSError: the file cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _await(descriptor, path, timeout_s)
        try:
            yield
        finally:
            with suppress(OSError):  # closing gives it back too
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may still have it open
    finally:
        os.close(descriptor)


def _await(descriptor: int, path: Path, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise StoreUnavailableError(
                    f"{path}: another process has had this lock for {timeout_s:g} s",
                    hint="is a writer stopped? its lock ends with it",
                ) from None
            time.sleep(random.uniform(0.0002, 0.004))  # noqa: S311 # so that those who wait do not ask in step
        else:
            return
