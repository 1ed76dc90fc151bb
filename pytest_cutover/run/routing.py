"""What a gate prints and logs before its turn is kept, and shown when pytest reports that gate."""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable


class Kept:
    """The output of one gate that runs before its turn."""

    def __init__(self) -> None:
        self.texts: list[tuple[bool, str]] = []  # whether it went to stderr, and the text
        self.records: list[logging.LogRecord] = []

    def show(self, handlers: Iterable[logging.Handler]) -> None:
        """Print and log it now, where pytest captures it for the gate whose turn it is."""
        for is_error, text in self.texts:
            (sys.stderr if is_error else sys.stdout).write(text)
        for record in self.records:
            for handler in handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)


KEPT: ContextVar[Kept | None] = ContextVar("cutover_kept", default=None)
"""Set in the context of a gate that runs before its turn, and in threads that it starts by `asyncio.to_thread`."""


class Routes:
    """Stands in the way of everything that is written and logged while gates run before their turn.

    pytest puts streams of its own in the place of `sys.stdout` for each phase, so a proxy there would not
    last: the `write` of each stream is shadowed instead. What bypasses Python (a child process that
    inherits the descriptor) goes where it went before.
    """

    def __init__(self, handlers: Iterable[logging.Handler]) -> None:
        self.handlers = tuple(handlers)
        self._streams: list[Any] = []
        for handler in self.handlers:
            handler.addFilter(_is_of_the_turn)

    def shadow(self) -> None:
        """Take the streams that are in use now; each is taken once."""
        pairs = ((sys.stdout, False), (sys.__stdout__, False), (sys.stderr, True), (sys.__stderr__, True))
        for stream, is_error in pairs:
            if stream is None or any(stream is taken for taken in self._streams):
                continue
            with suppress(AttributeError):  # a stream without attributes of its own is left as it is
                stream.write = _routed(stream.write, is_error=is_error)  # type: ignore[method-assign]
                self._streams.append(stream)

    def end(self) -> None:
        """Leave every stream and handler as it was."""
        for stream in self._streams:
            del stream.write
        self._streams.clear()
        for handler in self.handlers:
            handler.removeFilter(_is_of_the_turn)


def _routed(write: Callable[[str], int], *, is_error: bool) -> Callable[[str], int]:
    def routed(text: str) -> int:
        kept = KEPT.get()
        if kept is None:
            return write(text)
        kept.texts.append((is_error, text))
        return len(text)

    return routed


def _is_of_the_turn(record: logging.LogRecord) -> bool:
    """Keep a record for later when its gate's turn has not come; each of pytest's handlers asks."""
    kept = KEPT.get()
    if kept is None:
        return True
    if not hasattr(record, "cutover_kept"):
        record.cutover_kept = True
        kept.records.append(record)
    return False
