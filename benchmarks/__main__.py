"""`python -m benchmarks`: measure, print each figure beside its baseline, and say which aims are met."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks import commands, drill, fleet, gates, idle, log, views, waiting
from benchmarks.figures import Figure, machine, to_json
from benchmarks.timing import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Benchmark(Protocol):
    """Measures in an empty folder; `quick` trades steadiness for time."""

    def __call__(self, folder: Path, *, quick: bool) -> Iterator[Figure]: ...


BENCHMARKS: Mapping[str, Benchmark] = {
    "idle": idle.figures,
    "gate": gates.per_gate,
    "many": gates.many,
    "commands": commands.figures,
    "fleet": fleet.figures,
    "views": views.figures,
    "waiting": waiting.figures,
    "drill": drill.figures,
    "log": log.figures,
}


def main() -> int:
    """0 measured, 1 something that was to be timed failed; a missed aim is printed and changes no exit code."""
    options = _parser().parse_args()
    for key, value in machine().items():
        print(f"{key:<16}{value}")
    measured = []
    try:
        for name in options.name or BENCHMARKS:
            print(f"\n{name}", flush=True)
            with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
                for figure in BENCHMARKS[name](Path(folder), quick=options.quick):
                    print(f"  {figure.line()}", flush=True)
                    measured.append(figure)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(to_json(measured), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what pytest-cutover costs: medians of CPU time, in turn with the baseline.",
    )
    parser.add_argument(
        "name", nargs="*", choices=[*BENCHMARKS, []], help=f"any of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs: minutes become seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
