"""The journal: one JSON line per event, written as it happens, so that `kill -9` loses no finished line."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import AdapterError
from pytest_cutover.files import make_folder, read_regular
from pytest_cutover.run.events import encode

if TYPE_CHECKING:
    from pathlib import Path

_HINT = "is the disk full, or the folder read-only?"


class _Clock:
    """Now, as `model.rfc3339` writes it; formats the second only when it changes."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._text}{nanosecond // 1000:06d}Z"


_now = _Clock()


class Journal:
    """Appends numbered events to one file; only the process that opened it may.

    Durability: each line is one `write`; `close` syncs the file. After a failed write nothing
    more is written (`broken` says why), so a damaged journal never grows a valid end.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Create the journal, or `resume` the one the supervising parent began.

        Raises:
            AdapterError: the file exists already, or cannot be written.
        """
        self.path = path
        self.broken: str | None = None
        self.counts = {"started": 0, "finished": 0, "problems": 0}
        self._pid = os.getpid()
        self._digest = hashlib.sha256()
        self._seq = 0
        flags = (
            os.O_WRONLY
            | os.O_APPEND
            | os.O_CLOEXEC
            | os.O_NOFOLLOW
            | (0 if resume else os.O_CREAT | os.O_EXCL)
        )
        try:
            if resume:
                written = read_regular(path)
                self._digest.update(written)
                self._seq = written.count(b"\n")
            else:
                make_folder(path.parent)
            self._fd = os.open(path, flags, 0o644)
        except OSError as exc:
            raise AdapterError(
                f"cannot write the journal {path}: {exc.strerror}",
                hint=_HINT,
            ) from exc

    def write(self, event: str, **fields: Any) -> None:
        """Append one event. Never raises: a run must end with a verdict even when its journal cannot be written."""
        self._event(event, encode(fields)[1:-1])

    def _event(self, event: str, fields: str) -> None:
        if os.getpid() != self._pid:
            self._disown()
            return
        line = f'{{"seq":{self._seq},"event":"{event}","at":"{_now()}",{fields}}}\n'
        self._append(line.encode())

    def started(self, nodeid: str, worker: str) -> None:
        self.counts["started"] += 1
        self._event("gate.started", f'"nodeid":{quote(nodeid)},"worker":{quote(worker)}')

    def finished(self, gate: str) -> None:
        """`gate`: its result, as `events.ended` formats it."""
        self.counts["finished"] += 1
        self._event("gate.finished", gate[1:-1])

    def problem(self, code: str, message: str, where: str | None = None) -> None:
        self.counts["problems"] += 1
        self.write("run.problem", code=code, message=message, where=where)

    def end(self, *, status: int, exit_status: int | None, nonce: str) -> None:
        """The line that makes the journal whole: what was counted, and the digest of all before it."""
        digest = self._digest.hexdigest()
        self.write(
            "run.finished", status=status, exit=exit_status, nonce=nonce, counts=self.counts, sha256=digest
        )

    def close(self) -> None:
        """Sync and close; a failure shows in `broken`."""
        if self._fd < 0 or os.getpid() != self._pid:
            return
        try:
            os.fsync(self._fd)
        except OSError as exc:
            self.broken = self.broken or f"cannot sync {self.path}: {exc.strerror}"
        os.close(self._fd)
        self._fd = -1

    def require_whole(self) -> None:
        """Raise what broke the journal.

        Raises:
            AdapterError: an earlier write or sync failed.
        """
        if self.broken is not None:
            raise AdapterError(self.broken, hint=_HINT)

    def _append(self, line: bytes) -> None:
        if self.broken is not None or self._fd < 0:
            return
        try:
            left = line
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as exc:
            self.broken = f"cannot write {self.path}: {exc.strerror}"
            return
        self._digest.update(line)
        self._seq += 1

    def _disown(self) -> None:
        """A forked copy of the run wants to write: leave a line that makes the journal unusable."""
        if self.broken is None:
            self.broken = "this process is a forked copy of the run"
            os.write(self._fd, _forked_line())


def disown(path: Path) -> None:
    """Make the journal at `path` unusable: for the forked copy of an xdist worker, which has no journal of its own."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, _forked_line())
    os.close(descriptor)


def _forked_line() -> bytes:
    message = "a gate forked, and the copy of the process went on"
    line = {"event": "run.problem", "code": "run.forked", "message": message, "where": None}
    return (json.dumps({"seq": -1, "at": _now(), **line}) + "\n").encode()
