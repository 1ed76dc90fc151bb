"""What `cutover` costs on the command line, beside an interpreter that does nothing; and what sealing a run costs."""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import projects
from benchmarks.figures import Comparison, Figure
from benchmarks.projects import cutover
from benchmarks.timing import Command, alternate, median_cpu_s, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.projects import Project

AIM_VERIFY_MS = 80.0
AIM_HELP_MS = 120.0


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """`cutover --help`, and `cutover verify` of one gate's run and of ten thousand gates'."""
    count = 1000 if quick else 10_000
    one, many = projects.instances(folder / "one", 1), projects.instances(folder / "many", count)
    bare = Command([sys.executable, "-c", "pass"], folder)
    commands = {"bare": bare, "help": cutover(folder, "--help"), "one": _verify(one)}
    costs = alternate(commands, 9 if quick else 41)
    bare_ms, help_ms, one_ms = (1000 * median_cpu_s(costs[name]) for name in commands)
    beside = (bare_ms, "python -c pass", Comparison.DIFFERENCE)
    yield Figure("cutover verify, 1 gate", one_ms, "ms", *beside, AIM_VERIFY_MS)
    yield Figure("cutover --help", help_ms, "ms", bare_ms, "python -c pass", aim=AIM_HELP_MS)
    costs = alternate({"bare": bare, "many": _verify(many)}, 3 if quick else 9)
    yield Figure(f"cutover verify, {count} gates", 1000 * median_cpu_s(costs["many"]), "ms", *beside)
    yield from _sealing(many, 3 if quick else 9)


def _verify(project: Project) -> Command:
    run(project.gates())
    return cutover(project.folder, "verify", str(project.last_run()), "--trust", "trust.json")


def _sealing(project: Project, rounds: int) -> Iterator[Figure]:
    """The end of a run, step by step, from its journal."""
    from pytest_cutover.decision import decide
    from pytest_cutover.evidence.report import read_report
    from pytest_cutover.evidence.seal import seal
    from pytest_cutover.keys.signer import load_private_key
    from pytest_cutover.record import fold

    report = read_report((project.last_run() / "report.json").read_bytes())
    signer = load_private_key(project.folder / "key.pem")
    policy, lines, now = report.policy, report.journal, datetime.now(UTC)
    record = fold(lines)
    decision = decide(record, policy, now)
    steps: dict[str, Callable[[], object]] = {
        "read the journal back": lambda: fold(lines),
        "decide": lambda: decide(record, policy, now),
        "report, sign, bundle": lambda: seal(
            events=lines, record=record, policy=policy, policy_envelope=None, decision=decision, signer=signer
        ),
    }
    for name, step in steps.items():
        yield Figure(f"{name}, {project.count} gates", median_ms(step, rounds), "ms")


def median_ms(step: Callable[[], object], rounds: int) -> float:
    """CPU time of a step in this process, the median of some."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        step()
        taken.append(1000 * (time.process_time() - began))
    return statistics.median(taken)
