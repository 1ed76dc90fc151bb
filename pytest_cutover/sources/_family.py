"""Everything a command started, also what left its process group: found by a variable that children inherit.

Only Linux shows the environment of other processes; elsewhere nobody is found. **Not found is a process that
started with a cleared environment, or runs as another user.**
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "_CUTOVER_COMMAND"
ROUNDS = 10
"""A member may start another while it is being killed; somebody faster than this many rounds is left."""

LOOKS = 50
"""At the processes that came since the last look; on a machine where some always come, there has to be an end."""

FORMING_S = 0.002
"""Between two looks at a process that is just becoming another program: it has no environment for a moment."""

_PROC = Path("/proc")


class Family:
    """The descendants of one command, known by a value that no other process has."""

    def __init__(self) -> None:
        self.environ = {VARIABLE: secrets.token_hex(16)}
        self._mark = f"{VARIABLE}={self.environ[VARIABLE]}".encode()
        self._began = _ticks_now()

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
        """The members; looks until nobody is new, as one may end behind the look at it and leave a child."""
        known: set[str] = set()
        for _ in range(LOOKS):
            new = {entry for entry in _entries() if entry not in known}
            if not new:
                return
            forming = set()
            for pid in new:
                environ = _environ(pid)
                if self._mark in environ:
                    yield int(pid)
                elif environ == [b""] and self._may_be_forming(pid):
                    forming.add(pid)
            known |= new - forming
            if forming:
                time.sleep(FORMING_S)

    def _is_member(self, pid: str) -> bool:
        return self._mark in _environ(pid)

    def _may_be_forming(self, pid: str) -> bool:
        """Whether it began since the command did and has not ended: only then can it be a member without an environment."""
        stat = _stat(pid)
        return stat is not None and stat.state not in "ZX" and stat.started >= self._began

    def _kill(self, pid: int) -> None:
        """Kill it, unless its number was given to somebody else since."""
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if self._is_member(str(pid)):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


class _Stat(NamedTuple):
    state: str
    started: int  # in clock ticks since the machine began


def _stat(pid: str) -> _Stat | None:
    try:
        fields = (_PROC / pid / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return _Stat(fields[0], int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _ticks_now() -> int:
    """The time in the unit of `_Stat.started`, rounded down."""
    try:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) - 1
    except (AttributeError, OSError, ValueError):
        return 0


def _entries() -> list[str]:
    """The ids of all processes; none where the machine does not show them."""
    try:
        return [entry for entry in os.listdir(_PROC) if entry.isdecimal()]  # noqa: PTH208 # names are all that is needed
    except OSError:
        return []


def _environ(pid: str) -> list[bytes]:
    """`NAME=value` of each variable; nothing of a process that has ended or is somebody else's."""
    try:
        found = _variables(_PROC / pid)
    except PermissionError:
        return []
    except OSError:
        found = []
    if any(found):
        return found
    # A process goes on when its first thread has ended, and then only the others show this.
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            others = _variables(_PROC / pid / "task" / thread)
            if any(others):
                return others
    return found


def _variables(folder: Path) -> list[bytes]:
    with (folder / "environ").open("rb") as file:
        return file.read().split(b"\0")


def _threads(pid: str) -> list[str]:
    try:
        return os.listdir(_PROC / pid / "task")  # noqa: PTH208 # names are all that is needed
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "a process"
