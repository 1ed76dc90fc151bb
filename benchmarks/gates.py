"""What recording and judging gates costs: one more gate, and ten thousand at once."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks import projects
from benchmarks.figures import Comparison, Figure
from benchmarks.timing import alternate, median_cpu_s, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.projects import Project
    from benchmarks.timing import Command, Cost

AIM_OF_JUNITXML = 0.5
AIM_OF_PLAIN = 1.05
AIM_KIB_PER_GATE = 1.0

_NO_VIEWS = ("--cutover-views", "none")
"""Page, summary and JUnit file have a benchmark of their own, `views`."""


def per_gate(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """One more gate beside one more test under `--junitxml`: the slope between two sizes, start-up left out."""
    few, many = (200, 1200) if quick else (500, 4500)
    for name, make, aim in (
        ("per gate: instances of one", projects.instances, AIM_OF_JUNITXML),
        ("per gate: a function each", projects.distinct, None),
    ):
        small, large = (make(folder / f"{make.__name__}-{n}", n) for n in (few, many))
        costs = alternate(_variants("small", small) | _variants("large", large), 3 if quick else 9)
        ours, junitxml = (
            1e6 * statistics.median(_added_s(costs, variant)) / (many - few)
            for variant in ("gates", "junitxml")
        )
        yield Figure(name, ours, "µs", junitxml, "--junitxml per test", Comparison.RATIO, aim)


def _variants(size: str, project: Project) -> dict[str, Command]:
    return {
        f"{size} plain": project.plain(),
        f"{size} gates": project.gates(*_NO_VIEWS),
        f"{size} junitxml": project.plain("--junitxml=junit.xml"),
    }


def _added_s(costs: dict[str, list[Cost]], variant: str) -> Iterator[float]:
    """Round by round: what the variant adds to plain tests, from the small project to the large one."""
    names = (f"large {variant}", "large plain", f"small {variant}", "small plain")
    for large, large_plain, small, small_plain in zip(*(costs[n] for n in names), strict=True):
        yield (large.cpu_s - large_plain.cpu_s) - (small.cpu_s - small_plain.cpu_s)


def many(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Ten thousand gates in one signed run, beside as many tests with a fixture that does nothing."""
    count = 1000 if quick else 10_000
    for what, make, aim in (
        (f"{count} instances of one gate", projects.instances, AIM_OF_PLAIN),
        (f"{count} gates, a function each", projects.distinct, None),
    ):
        project, small = make(folder / make.__name__, count), make(folder / f"{make.__name__}-small", 100)
        costs = alternate({"gates": project.gates(*_NO_VIEWS), "plain": project.plain()}, 3 if quick else 7)
        yield Figure(
            what,
            median_cpu_s(costs["gates"]),
            "s",
            median_cpu_s(costs["plain"]),
            "a fixture that does nothing",
            Comparison.RATIO,
            aim,
        )
        yield from _memory(what, project, small)


def _memory(what: str, large: Project, small: Project) -> Iterator[Figure]:
    """What one more gate adds to the peak of one more test: while gates run, and with the decision at the end."""
    (running, whole), (running_few, whole_few) = _added_kib(large), _added_kib(small)
    count = large.count - small.count
    yield Figure(f"{what}: memory each", (running - running_few) / count, "KiB", aim=AIM_KIB_PER_GATE)
    yield Figure(f"{what}: peak each, judged and signed", (whole - whole_few) / count, "KiB")


def _added_kib(project: Project) -> tuple[int, int]:
    peaks = []
    for command in (project.gates(*_NO_VIEWS), project.plain()):
        cost = run(command)
        peaks.append((project.loop_peak_kib(), cost.peak_kib))
    (running, whole), (running_plain, whole_plain) = peaks
    return running - running_plain, whole - whole_plain
