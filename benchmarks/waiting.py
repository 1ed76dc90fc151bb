"""What gates that wait cost, side by side: beside asyncio alone, pytest-xdist, and one after another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import projects
from benchmarks.figures import Comparison, Figure
from benchmarks.timing import Command, alternate, median_wall_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AIM_OVER_START_S = 1.15
AIM_OF_XDIST = 0.25
AIM_MIB = 40.0
_GATHER = """
import asyncio
async def wait():
    await asyncio.sleep(1.0)
async def main():
    await asyncio.gather(*(wait() for _ in range({count})))
asyncio.run(main())
"""


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """30 gates of a second each, signed; wall time, since they wait."""
    thirty, one = projects.waiting(folder / "30", 30), projects.instances(folder / "1", 1)
    commands = {
        "gates": thirty.gates(),
        "start": one.gates(),
        "gather": Command([sys.executable, "-c", _GATHER.format(count=30)], folder),
        "xdist": thirty.gates("-p", "xdist", "-n", "8"),
    }
    costs = alternate(commands, 3 if quick else 7)
    wall = {name: median_wall_s(cost) for name, cost in costs.items()}
    name = "30 gates that wait 1 s"
    yield Figure(
        name,
        wall["gates"],
        "s",
        wall["start"],
        "a run of one plain gate",
        Comparison.DIFFERENCE,
        AIM_OVER_START_S,
    )
    yield Figure(name, wall["gates"], "s", wall["xdist"], "-n 8", Comparison.RATIO, AIM_OF_XDIST)
    yield Figure(name, wall["gates"], "s", wall["gather"], "asyncio.gather alone", Comparison.RATIO)
    serial = alternate({"serial": thirty.gates("--cutover-side-by-side=0")}, 1)
    yield Figure(
        name, wall["gates"], "s", median_wall_s(serial["serial"]), "one after another", Comparison.RATIO
    )
    peaks = {k: max(c.peak_kib for c in costs[k]) / 1024 for k in ("gates", "start")}
    yield Figure(
        f"{name}: memory", peaks["gates"], "MiB", peaks["start"], "a run of one plain gate", aim=AIM_MIB
    )
    hundreds = projects.waiting(folder / "300", 300)
    many = alternate({"gates": hundreds.gates("--cutover-side-by-side=300")}, 3)
    yield Figure(
        "300 gates that wait 1 s",
        median_wall_s(many["gates"]),
        "s",
        wall["start"],
        "a run of one plain gate",
        Comparison.DIFFERENCE,
    )
