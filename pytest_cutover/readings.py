"""Readings that several gates share: taken once, before the first gate, side by side."""

from __future__ import annotations

import asyncio
import functools
import inspect
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Reading:
    """What the engine knows of one function that `reading` decorates."""

    names: frozenset[str] = frozenset()
    """Of all functions that were decorated in this process: a quick look before a thorough one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.arguments = tuple(inspect.signature(function).parameters)
        self.begun: Future[Any] | None = None
        self.taken_at: datetime | None = None
        Reading.names |= {function.__name__}

    def begin(self, submit: Callable[[Reading], Future[Any]]) -> None:
        """Begin to read before a gate's turn."""
        self.taken_at = datetime.now(UTC)
        self.begun = submit(self)

    def value(self, arguments: dict[str, Any]) -> Any:
        """What was read; it is read now when that had not begun."""
        if self.begun is not None:
            return self.begun.result()
        self.taken_at = datetime.now(UTC)
        result = self.function(**arguments)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    def forget(self) -> None:
        """Let go of what was read: the next run in this process reads again."""
        self.begun = self.taken_at = None


def reading(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A fixture for what several gates measure from: read once in a process, and all gates see the same.

    It may ask for sources (`http`, `readyz`, `command`, `targets`) and other readings; then it is begun
    before the first gate, in a thread (or on the event loop, if it is `async def`), beside all others.
    One that asks for any other fixture is read when the first gate asks for it. What it raises, each of
    its gates gets. A measurement of such a gate is as old as the reading, unless it says `observed_at`.

        @reading
        def metrics(http):
            return http.get("/metrics")

    Raises:
        TypeError: the function yields; a reading returns what it read.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"reading {function.__name__!r} must return what it read, and it yields")
    known = Reading(function)

    @functools.wraps(function)
    def fixture(**arguments: Any) -> Any:
        return known.value(arguments)

    fixture.cutover_reading = known  # type: ignore[attr-defined] # how the engine recognises it
    return pytest.fixture(scope="session")(fixture)
