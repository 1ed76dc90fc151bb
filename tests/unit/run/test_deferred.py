"""Signals that wait until a run is sealed."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

from pytest_cutover.run.deferred import deferred


@pytest.fixture(autouse=True)
def default() -> object:
    """Python's own handler, whatever the test run has."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class TestDeferred:
    def test_the_first_is_noted_and_nothing_is_raised(self) -> None:
        with deferred(signal.SIGINT) as came:
            ctrl_c()

            assert came == ["SIGINT"]

    def test_the_second_acts(self) -> None:
        """Whoever presses Ctrl-C twice does not want to wait."""
        with deferred(signal.SIGINT) as came:
            ctrl_c()
            with pytest.raises(KeyboardInterrupt):
                ctrl_c()

        assert came == ["SIGINT", "SIGINT"]

    def test_what_was_there_comes_back(self) -> None:
        with suppress(ValueError), deferred(signal.SIGINT):
            raise ValueError

        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_what_is_ignored_stays_ignored(self) -> None:
        """As in the background of a shell, or under nohup."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        with deferred(signal.SIGINT) as came:
            ctrl_c()

        assert came == []

    def test_another_thread_changes_nothing(self) -> None:
        """Python has signal handlers in the main thread only."""
        seen = []

        def work() -> None:
            with deferred(signal.SIGINT) as came:
                seen.append((came, signal.getsignal(signal.SIGINT)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        assert seen == [([], signal.default_int_handler)]
