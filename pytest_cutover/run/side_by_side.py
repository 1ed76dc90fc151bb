"""Async gates side by side: their bodies begin before the first gate, and each ends at its own turn.

pytest sets up one item at a time and a fixture has one value, so a body can begin early only when it asks for
nothing but the engine's own fixtures. Any other async gate runs when its turn comes, and a note says why.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.fixtures import SOURCES
from pytest_cutover.readings import Reading
from pytest_cutover.run.alarm import GateTimeout
from pytest_cutover.run.loop import Loop
from pytest_cutover.run.routing import KEPT, Kept, Routes

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from pytest_cutover.gate import Gate
    from pytest_cutover.run.recording import GateState, Recorder


_FOREIGN = ("asyncio", "anyio", "trio")
"""Markers of plugins that run async tests themselves."""

_UNSURE = ("skip", "skipif", "xfail", "usefixtures", "flaky")
"""Markers with which a body may not run at all, or not only once."""

_OURS = ("pytest_cutover.fixtures", "pytest_cutover.run.recording")


class Body:
    """One async gate's function, under way."""

    def __init__(self, state: GateState, gate: Gate, limit_s: float, kept: Kept | None) -> None:
        self.state = state
        self.gate = gate
        self.kept = kept
        self.raised: BaseException | None = None
        self.took_s: float | None = None
        self.future: Future[None] | None = None
        self._limit_s = limit_s

    async def run(
        self, function: Callable[..., Any], arguments: Mapping[str, Any], turn: asyncio.Semaphore
    ) -> None:
        """Await the function within its time; what it raises is kept for the gate's turn."""
        __tracebackhide__ = True
        KEPT.set(self.kept)
        async with turn:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._limit_s) as limit:
                    await function(**{name: await _value(given) for name, given in arguments.items()})
            except BaseException as exc:
                self.raised = exc
            self.took_s = time.perf_counter() - began
        if limit.expired():  # also when the function made something else of it
            self.raised = GateTimeout(f"took longer than its limit of {self._limit_s:g} s")


async def _value(given: Any) -> Any:
    """An argument; a reading is waited for, and goes on when the gate that waits for it is cancelled."""
    if not isinstance(given, Reading):
        return given
    assert given.begun is not None  # what asks for one that did not begin early does not begin early itself
    return await asyncio.shield(asyncio.wrap_future(given.begun))


class SideBySide:
    """The plugin object that begins bodies and readings early; registered only where there are some."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self._recorder = recorder
        self._sources = config.stash[SOURCES]
        self._routes = Routes(_log_handlers(config))
        self._late = _why_none_is_early(config)
        self._turn = asyncio.Semaphore(max(config.option.cutover_side_by_side, 1))
        self._loop: Loop | None = None
        self._early: list[pytest.Function] = []
        self._alone: dict[str, str] = {}  # by node id: why an async gate runs by itself
        self._readings: dict[
            Reading, dict[str, Reading]
        ] = {}  # those that begin early, with those they ask for
        self._seen: set[Reading] = set()
        self._bodies: dict[str, Body] = {}  # by node id: begun, and its turn has not come

    def take(self, items: Iterable[pytest.Item]) -> bool:
        """Look at what will run; whether there is anything for this object to do."""
        for item in items:
            state = self._recorder.states.get(item.nodeid)
            if state is None or not isinstance(item, pytest.Function):
                continue
            if not Reading.names.isdisjoint(item.fixturenames):
                state.readings = tuple(self._readings_of(item))
            if is_async(item) and not any(map(item.get_closest_marker, _FOREIGN)):
                why = self._late or _why_alone(item)
                if why is None:
                    self._early.append(item)
                else:
                    self._alone[item.nodeid] = why
        return bool(self._early or self._alone or self._seen)

    def _readings_of(self, item: pytest.Function) -> Iterator[Reading]:
        for name in item.fixturenames:
            found = _reading(item, name)
            if found is None:
                continue
            yield found
            self._seen.add(found)
            if self._late is None and _is_ready(item, name):
                asked = {a: _reading(item, a) for a in found.arguments}
                self._readings[found] = {a: other for a, other in asked.items() if other is not None}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Begin everything at the first setup: pytest captures output from here on."""
        early, self._early = self._early, []
        if early:
            self._routes.shadow()
        for found in self._readings:
            self._begin_reading(found)
        for item in early:
            self._bodies[item.nodeid] = self._begin(item, self._early_arguments(item), Kept())

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """At an async gate's turn wait for its body, or run it now."""
        __tracebackhide__ = True
        body = self._bodies.pop(pyfuncitem.nodeid, None)
        if body is None:
            if pyfuncitem.nodeid not in self._alone:
                return None
            given = {name: pyfuncitem.funcargs[name] for name in _argument_names(pyfuncitem)}
            body = self._begin(pyfuncitem, given, None)
            body.gate.note(f"ran by itself: {self._alone[pyfuncitem.nodeid]}")
        self._alone[pyfuncitem.nodeid] = "it ran before"  # a rerun finds no body
        self._wait(body)
        if body.raised is not None:
            raise body.raised
        return True

    def end(self) -> list[str]:
        """Cancel what never had its turn and let go of everything; the node ids of what was cancelled."""
        cancelled = [nodeid for nodeid, body in self._bodies.items() if body.state.attempt == 0]
        self._bodies.clear()
        if self._loop is not None:
            self._loop.stop()
            self._loop = None
        self._routes.end()
        self._sources.close()
        for found in self._seen:
            found.forget()
        return cancelled

    # how it is done

    def _begin(self, item: pytest.Function, arguments: dict[str, Any], kept: Kept | None) -> Body:
        state = self._recorder.states[item.nodeid]
        gate = self._recorder.new_gate(state)
        if "gate" in arguments:
            arguments["gate"] = gate
        limit_s = state.info.timeout_s or self._recorder.policy.gate_timeout_s
        body = Body(state, gate, limit_s, kept)
        body.future = self._submit(body.run(item.obj, arguments, self._turn))
        return body

    def _early_arguments(self, item: pytest.Function) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name in _argument_names(item):
            if _is_parameter(item, name):
                given[name] = item.callspec.params[name]
            elif name == "gate":
                given[name] = None  # its own, made when it begins
            else:
                given[name] = _reading(item, name) or getattr(self._sources, name)
        return given

    def _begin_reading(self, found: Reading) -> None:
        if found.begun is None:
            for other in self._readings[found].values():
                self._begin_reading(other)
            found.begin(lambda it: self._submit(self._read(it)))

    async def _read(self, found: Reading) -> Any:
        asked = self._readings[found]
        arguments = {a: await _value(asked.get(a) or getattr(self._sources, a)) for a in found.arguments}
        if inspect.iscoroutinefunction(found.function):
            return await found.function(**arguments)
        return await asyncio.to_thread(found.function, **arguments)

    def _submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        if self._loop is None:
            self._loop = Loop()
        return self._loop.submit(coroutine)

    def _wait(self, body: Body) -> None:
        """Until the body has ended or the gate's time is up; from here on what it measured counts."""
        __tracebackhide__ = True
        assert body.future is not None
        try:
            body.future.result()
        except BaseException:  # the alarm, or Ctrl-C
            body.future.cancel()
            if self._loop is not None and self._loop.is_blocked():
                body.gate.note("the event loop stands still: an async gate blocks instead of awaiting")
            raise
        finally:
            body.state.gate = body.gate
            body.state.body_s = body.took_s
            if body.kept is not None:
                body.kept.show(self._routes.handlers)


def is_async(item: pytest.Item) -> bool:
    """Whether a test is an `async def` function; unittest runs its own."""
    return isinstance(item, pytest.Function) and inspect.iscoroutinefunction(getattr(item, "function", None))


def _why_none_is_early(config: pytest.Config) -> str | None:
    option = config.option
    if hasattr(config, "workerinput"):
        return "a worker of pytest-xdist learns too late what it will run"
    if option.cutover_side_by_side < 1:
        return "--cutover-side-by-side=0"
    if option.setuponly or option.setupplan:
        return "pytest only sets up"
    return "a debugger is asked for" if option.usepdb or option.trace else None


def _why_alone(item: pytest.Function) -> str | None:
    """What keeps an async gate from beginning before its turn; None: nothing."""
    if item.cls is not None:
        return "it is a method of a class"
    marked = next((name for name in _UNSURE if item.get_closest_marker(name)), None)
    if marked is not None:
        return f"it is marked {marked}"
    if "request" in _argument_names(item):
        return "it asks for request"
    other = next((n for n in item.fixturenames if n != "request" and not _is_ready(item, n)), None)
    return None if other is None else f"it asks for the fixture {other!r}"


def _is_ready(item: pytest.Function, name: str) -> bool:
    """Whether a fixture's value is there before pytest sets the item up."""
    if _is_parameter(item, name) or getattr(_function(item, name), "__module__", None) in _OURS:
        return True
    found = _reading(item, name)
    return found is not None and all(_is_ready(item, a) and a != "gate" for a in found.arguments)


def _is_parameter(item: pytest.Function, name: str) -> bool:
    """Whether parametrize gives the value itself, and not to a fixture of that name (indirect)."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or name not in callspec.params:
        return False
    return (getattr(_function(item, name), "__module__", None) or "_pytest").startswith("_pytest")


def _reading(item: pytest.Function, name: str) -> Reading | None:
    return getattr(_function(item, name), "cutover_reading", None)


def _function(item: pytest.Function, name: str) -> Callable[..., Any] | None:
    """The function of the fixture that an item gets under a name: the nearest of those that override each other."""
    info = getattr(item, "_fixtureinfo", None)  # pytest has no public way to tell
    found = None if info is None else info.name2fixturedefs.get(name)
    return found[-1].func if found else None


def _argument_names(item: pytest.Function) -> tuple[str, ...]:
    return item._fixtureinfo.argnames  # as pytest's own pytest_pyfunc_call reads it


def _log_handlers(config: pytest.Config) -> Iterator[logging.Handler]:
    """Those of pytest's logging plugin that collect what a test logs, if it is there."""
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    for name in ("caplog_handler", "report_handler"):
        handler = getattr(plugin, name, None)
        if handler is not None:
            yield handler
