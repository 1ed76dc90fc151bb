"""Throw-away projects with gates, and the same tests as plain ones: only the marker in `-m` tells them apart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.timing import Command, clean_environ, peak_kib

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONFTEST = """
import pathlib
import resource

import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    result = yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pathlib.Path("loop-peak").write_text(str(peak))
    return result

class Nothing:
    def measure(self, name, value):
        pass

@pytest.fixture
def nothing():
    return Nothing()
"""
_INSTANCES = """
import pytest

@pytest.mark.{phase}
@pytest.mark.{mark}("bench.many")
@pytest.mark.parametrize("n", range({count}))
def test_many({fixture}, n):
    {fixture}.measure("n", n)
"""
_DISTINCT = """
@pytest.mark.{phase}
@pytest.mark.{mark}("bench.g{n}")
def test_{n}({fixture}):
    {fixture}.measure("n", {n})
"""
_WAITING = """
import asyncio

import pytest

@pytest.mark.{phase}
@pytest.mark.{mark}("bench.many")
@pytest.mark.parametrize("n", range({count}))
async def test_many({fixture}, n):
    await asyncio.sleep(1.0)
    {fixture}.measure("n", n)
"""
_GATES = {"phase": "preflight", "mark": "gate", "fixture": "gate"}
_PLAIN = {"phase": "plain", "mark": "other", "fixture": "nothing"}
_INI = "[pytest]\nmarkers =\n    plain: no gate\n    other(id): as long as a gate's marker\n"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of `count` gates with one measurement each, and as many tests that measure nothing."""

    folder: Path
    count: int

    def gates(self, *options: str) -> Command:
        """`pytest -m preflight`, signed with a key."""
        return self._pytest("-m", "preflight", "gates", "-p", "pytest_cutover", *options)

    def plain(self, *options: str) -> Command:
        """The same tests with a fixture that does nothing, and without the plugin."""
        return self._pytest("-m", "plain", "plain", *options)

    def _pytest(self, *options: str) -> Command:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        # Other plugins that happen to be installed would cost both sides the same, and hide what is measured.
        environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CUTOVER_KEY": str(self.folder / "key.pem")}
        return Command(argv, self.folder, environ)

    def loop_peak_kib(self) -> int:
        """Peak memory of the newest run when its last test had ended, before anything was judged."""
        return peak_kib(int((self.folder / "loop-peak").read_text(encoding="utf-8")))

    def last_run(self) -> Path:
        """The newest run folder."""
        return max((self.folder / "var/cutover/runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def instances(folder: Path, count: int) -> Project:
    """One parametrized gate with `count` instances."""
    texts = [_INSTANCES.format(count=count, **words) for words in (_GATES, _PLAIN)]
    return _project(folder, count, texts, [{"gate": "bench.many", "instances": count}], ["bench.many"])


def waiting(folder: Path, count: int) -> Project:
    """One parametrized async gate with `count` instances, of which each waits for a second."""
    texts = [_WAITING.format(count=count, **words) for words in (_GATES, _PLAIN)]
    return _project(folder, count, texts, [{"gate": "bench.many", "instances": count}], ["bench.many"])


def distinct(folder: Path, count: int) -> Project:
    """`count` gates, a function each."""
    texts = [
        "import pytest\n" + "".join(_DISTINCT.format(n=n, **words) for n in range(count))
        for words in (_GATES, _PLAIN)
    ]
    ids = [f"bench.g{n}" for n in range(count)]
    return _project(folder, count, texts, ids, ids)


def _project(
    folder: Path, count: int, texts: Sequence[str], requires: Sequence[object], ids: Sequence[str]
) -> Project:
    policy = {
        "format": 1,
        "name": "benchmark",
        "version": 1,
        "default_environment": "sandbox",
        "plans": {"preflight": {"requires": requires}},
        "limits": {gate: {"n": {"at_least": 0}} for gate in ids},
        "environments": {"sandbox": {"sandbox": True, "settings": {"run_deadline_s": 86400}}},
    }
    gates, plain = texts
    for name, text in (
        ("configs/policy.json", json.dumps(policy)),
        ("gates/test_gates.py", gates),
        ("plain/test_plain.py", plain),
        ("conftest.py", _CONFTEST),
        ("pytest.ini", _INI),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    trust = {"format": 1, "keys": [json.loads(_output(folder, "keys", "new", "key.pem"))]}
    (folder / "trust.json").write_text(json.dumps(trust), encoding="utf-8")
    return Project(folder, count)


def cutover(folder: Path, *arguments: str) -> Command:
    """`cutover …` in a folder."""
    return Command([sys.executable, "-m", "pytest_cutover", *arguments], folder)


def _output(folder: Path, *arguments: str) -> bytes:
    command = cutover(folder, *arguments)
    return subprocess.run(
        command.argv, cwd=folder, env=clean_environ(), check=True, capture_output=True
    ).stdout
