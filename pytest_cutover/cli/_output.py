"""Standard output and error of `cutover`: what cannot be written is no traceback, and never a yes.

A pipe that was closed (`| head -1`), a full disk, a closed descriptor (`>&-`): the verb goes on to its end, so that
a run is still decided and sealed, and `end` turns a yes that nobody could read into another exit code.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable


class Output:
    """Stands in for both streams until `end` or `restore`."""

    def __init__(self) -> None:
        self._before = sys.stdout, sys.stderr
        _open_closed()
        self._out, self._err = _Stream(sys.stdout), _Stream(sys.stderr)
        sys.stdout, sys.stderr = cast("TextIO", self._out), cast("TextIO", self._err)

    def end(self, code: int, *, unwritten: int) -> int:
        """The exit code: `code`, or `unwritten` where `code` is a yes that could not be written."""
        self._out.flush()
        if self._out.broken is not None:
            self._err.write(f"error: cannot write standard output: {self._out.broken}\n")
        self.restore()
        return unwritten if code == 0 and self._out.broken is not None else code

    def restore(self) -> None:
        """Put the streams back; what could not be written is dropped, so that Python does not try again."""
        for stream in (self._out, self._err):
            stream.give_up()
        sys.stdout, sys.stderr = self._before


class _Stream:
    """A text stream that never raises for what its file cannot take, and remembers the first time."""

    def __init__(self, stream: TextIO | None) -> None:
        self.broken: str | None = None if stream is not None else "it is closed"
        self._stream = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 # lives as long as the process

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as exc:
            self._break(exc)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as exc:
            self._break(exc)

    def give_up(self) -> None:
        self.flush()
        if self.broken is None:
            return
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    def _break(self, exc: OSError) -> None:
        self.broken = self.broken or exc.strerror or type(exc).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_closed() -> None:
    """Give closed standard descriptors to /dev/null: else the next file that is opened would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
