"""Times child processes by their CPU time, in turn with what they are compared with.

CPU time (user and system) of a finished child is the kernel's own accounting; on a machine that does other
things too it is far steadier than wall time. Quote ratios from one run only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

# PYTHONDONTWRITEBYTECODE would triple the price of `import pytest`; the others change what is measured.
_SCRUBBED = ("PYTHON", "PYTEST_", "CUTOVER_", "COV_")


class BenchmarkError(Exception):
    """A command that was to be timed did not do what it is timed for."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to time. A run that ends with another code than `expect` is an error, never a figure."""

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    expect: int = 0
    before: Callable[[], object] | None = None  # not timed


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a command took."""

    cpu_s: float
    peak_kib: int
    wall_s: float


def run(command: Command) -> Cost:
    """Run a command once.

    Raises:
        BenchmarkError: it ended with another exit code than the expected one; the message quotes its output.
    """
    if command.before is not None:
        command.before()
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=clean_environ() | dict(command.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != command.expect:
            output.seek(0)
            tail = output.read()[-2000:].decode(errors="replace")
            raise BenchmarkError(
                f"{' '.join(command.argv)}: expected exit {command.expect}, got {child.returncode}\n{tail}"
            )
    return Cost(usage.ru_utime + usage.ru_stime, peak_kib(usage.ru_maxrss), wall_s)


def peak_kib(ru_maxrss: int) -> int:
    """`ru_maxrss` in KiB: macOS counts bytes."""
    return ru_maxrss // 1024 if sys.platform == "darwin" else ru_maxrss


def clean_environ() -> dict[str, str]:
    """This process's environment without what changes how Python, pytest or this project behave."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_SCRUBBED)}


def alternate(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Cost]]:
    """Each command `rounds` times, in turn (A B A B …), after one run of each that is not counted."""
    for command in commands.values():
        run(command)  # writes byte code, warms the page cache
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            costs[name].append(run(command))
    return costs


def median_cpu_s(costs: Iterable[Cost]) -> float:
    return statistics.median(cost.cpu_s for cost in costs)


def median_wall_s(costs: Iterable[Cost]) -> float:
    """For what mostly waits; anything else is timed by its CPU time."""
    return statistics.median(cost.wall_s for cost in costs)
