"""Signals that wait: a run that is being decided and sealed goes on to its end, and then hears of them."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def deferred(*numbers: signal.Signals) -> Iterator[list[str]]:
    """The names of the signals that came meanwhile. Only the first waits: who asks twice means it.

    Outside of the main thread, and for a signal that is ignored, nothing changes.
    """
    came: list[str] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.getsignal(n) for n in numbers}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)
        handler = before[signal.Signals(number)]
        if len(came) > 1 and callable(handler):
            handler(number, frame)

    held = [n for n, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in held:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number in held:
            signal.signal(number, before[number])
