"""The time limit of a gate and of the whole run, inside of the process that runs the gates."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import FrameType

AGAIN_S = 10.0  # a gate that swallowed the alarm gets another; teardown gets this long


class GateTimeout(BaseException):
    """A gate's time is up; not an `Exception`, so that a gate's own `except Exception` cannot swallow it."""


class Alarm:
    """Raises GateTimeout in the main thread when a gate's, or the whole run's, time is up.

    Somebody else's alarm (pytest-timeout) is left alone, and a thread that is not the main one cannot
    have any; `decide` still sees the duration, and a supervising parent ends what hangs.
    """

    def __init__(self, default_s: float, deadline: float) -> None:
        self._default_s = default_s
        self._deadline = deadline
        self._limit_s: float | None = None  # of the gate under way; None: the run's own end comes first
        self._set = False
        self._handler = self._ring  # one object, so that it can be recognised
        self._usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        if self._usable and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self._handler)

    def set(self, limit_s: float | None) -> None:
        if not self._usable or signal.getsignal(signal.SIGALRM) is not self._handler:
            return
        limit_s = limit_s or self._default_s
        run_left_s = self._deadline - time.monotonic()
        self._limit_s = limit_s if limit_s <= run_left_s else None
        signal.setitimer(signal.ITIMER_REAL, max(min(limit_s, run_left_s), 0.001), AGAIN_S)
        self._set = True

    def stop(self) -> None:
        if self._set:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._set = False

    def _ring(self, _: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        while frame is not None:
            # pytest catches what is raised in here; anywhere else the exception would take it down.
            if frame.f_code is pytest.CallInfo.from_call.__func__.__code__:  # type: ignore[attr-defined] # classmethod
                if self._limit_s is None:
                    raise GateTimeout("the time of the whole run was up")
                raise GateTimeout(f"took longer than its limit of {self._limit_s:g} s")
            frame = frame.f_back
