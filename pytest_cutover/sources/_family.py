"""Everything a command started, also what left its process group: found by a variable that children inherit.

Only Linux shows the environment of other processes; elsewhere nobody is found. **Not found is a process that
started with a cleared environment, or runs as another user.**
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "_CUTOVER_COMMAND"
ROUNDS = 10
"""A member may start another while it is being killed; somebody faster than this many rounds is left."""

_PROC = Path("/proc")


class Family:
    """The descendants of one command, known by a value that no other process has."""

    def __init__(self) -> None:
        self.environ = {VARIABLE: secrets.token_hex(16)}
        self._mark = f"{VARIABLE}={self.environ[VARIABLE]}".encode()

    def members(self, but: int) -> list[str]:
        """Those that are running, except the process `but`: their names with their ids."""
        return [f"{_name(pid)} ({pid})" for pid in self._pids() if pid != but]

    def kill(self) -> None:
        """End them all."""
        for _ in range(ROUNDS):
            pids = list(self._pids())
            if not pids:
                return
            for pid in pids:
                self._kill(pid)

    def _pids(self) -> Iterator[int]:
        try:
            entries = os.listdir(_PROC)  # noqa: PTH208 # names are all that is needed of some hundred entries
        except OSError:
            return
        for entry in entries:
            if entry.isdecimal() and self._is_member(entry):
                yield int(entry)

    def _is_member(self, pid: str) -> bool:
        # A process that has ended and waits to be collected has no environment any more.
        try:
            with (_PROC / pid / "environ").open("rb") as file:
                return self._mark in file.read().split(b"\0")
        except OSError:
            return False

    def _kill(self, pid: int) -> None:
        """Kill it, unless its number was given to somebody else since."""
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if self._is_member(str(pid)):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "a process"
