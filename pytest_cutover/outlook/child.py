"""The pytest plugin of the process that collects for `cutover check`: it notes what is there, and refuses the network.

Gate files and conftests are imported, as every collection does. What was collected goes to the parent through a
descriptor of its own, as JSON, when pytest ends; what a conftest prints or returns is no part of it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.marker import InvalidMarkerError, gate_info
from pytest_cutover.plugin import SURVEY
from pytest_cutover.run.begin import CHILD_FD

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVES = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_SOURCES = frozenset({"http", "readyz"})


class NetworkRefusedError(OSError):
    """Something reached for the network while gates were collected."""


class NoNetwork:
    """An audit hook that refuses every address that is not a file, and remembers who asked."""

    def __init__(self, root: Path) -> None:
        self._root = str(root) + os.sep
        self.asked: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _RESOLVES or (event in _CONNECTS and args[0].family != socket.AF_UNIX):
            self.asked.append(self._where())
            raise NetworkRefusedError(f"cutover check refuses the network ({event})")

    def _where(self) -> str:
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._root):
                return f"{frame.f_code.co_filename.removeprefix(self._root)}:{frame.f_lineno}"
            if frame.f_back is None:
                break
            frame = frame.f_back
        return "a plugin"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any file of the project is imported: refuse the network, and begin to listen."""
    with os.fdopen(int(os.environ.pop(CHILD_FD)), "rb") as file:
        handed = json.loads(file.read())
    os.set_inheritable(handed["answer"], False)
    network = NoNetwork(Path(handed["rootdir"]))
    sys.addaudithook(network)
    early_config.pluginmanager.register(Listing(handed, network), "cutover-listing")


class Listing:
    """Notes what was collected."""

    def __init__(self, handed: Mapping[str, Any], network: NoNetwork) -> None:
        self._phase = handed["phase"]
        self._answer = handed["answer"]
        self._network = network
        self.gates: list[dict[str, Any]] = []
        self.deselected: list[dict[str, Any]] = []
        self.problems: list[tuple[str, str, str | None]] = []
        self.status: int | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Tell the engine to begin no run."""
        config.stash[SURVEY] = True

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note which gates of the phase somebody left out."""
        self.deselected += self._described(i for i in items if i.get_closest_marker(self._phase))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note files that could not be collected, or skipped themselves."""
        if report.failed:
            why = f"{report.nodeid or 'the session'} could not be collected: {_last(str(report.longrepr))}"
            self.problems.append(("run.collect-error", why, report.nodeid))
        elif report.skipped:
            self.problems.append(("run.module-skipped", f"{report.nodeid} skipped itself", report.nodeid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Note what would run, after every hook of a conftest."""
        result = yield
        self.gates = list(self._described(session.items))
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Keep pytest's own status."""
        self.status = int(exitstatus)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Hand over the answer."""
        answer = {
            "gates": self.gates,
            "deselected": self.deselected,
            "problems": self.problems,
            "network": list(dict.fromkeys(self._network.asked)),
            "status": self.status,
        }
        with os.fdopen(self._answer, "wb") as file:
            file.write(json.dumps(answer).encode())

    def _described(self, items: Iterator[pytest.Item] | Sequence[pytest.Item]) -> Iterator[dict[str, Any]]:
        for item in items:
            try:
                info = gate_info(item)
            except InvalidMarkerError as exc:
                self.problems.append(("gate.invalid", str(exc), item.nodeid))
                continue
            if info is not None:
                fields = {name: getattr(info, name) for name in info.__slots__}
                yield {"info": fields, **_about(item)}


def _about(item: pytest.Item) -> dict[str, Any]:
    """What pytest knows of a gate beside its marker."""
    fixtures = getattr(item, "_fixtureinfo", None)
    known: dict[str, Any] = {} if fixtures is None else fixtures.name2fixturedefs
    names = list(getattr(item, "fixturenames", ()))
    given = getattr(getattr(item, "callspec", None), "params", {})
    return {
        "path": str(item.path),
        "name": getattr(item, "originalname", None) or item.name,
        "stopped": _stopped(item),
        "unknown_fixtures": [n for n in names if n not in known and n not in given and n != "request"],
        "measuring_fixtures": [n for n, defs in known.items() if n != "gate" and "gate" in defs[-1].argnames],
        "over_http": not _SOURCES.isdisjoint(names),
    }


def _stopped(item: pytest.Item) -> str | None:
    """`skip` or `xfail` when a mark says so whatever happens; a condition in words is not looked into."""
    for mark in item.iter_markers():
        conditions = [*mark.args, mark.kwargs.get("condition")]
        if mark.name == "skip" or (mark.name == "skipif" and True in conditions):
            return "skip"
        if mark.name == "xfail" and False not in conditions:
            return "xfail"
    return None


def _last(text: str) -> str:
    """The line of a failed collection that says why."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or [line.strip() for line in lines] or ["no reason given"])[-1][:300]
