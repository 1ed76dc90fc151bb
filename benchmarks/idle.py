"""What an installed plugin costs those who do not use it."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from benchmarks.figures import Comparison, Figure
from benchmarks.timing import Command, alternate, median_cpu_s, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODULES = """
import json, sys
import pytest
status = pytest.main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(sorted(sys.modules), file)
sys.exit(status)
"""
_OURS = "pytest_cutover"
AIM_MODULES = 3
AIM_MS = 5.0


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """pytest over one test that is no gate, with the plugin and without."""
    test = "def test_one():\n    pass\n"
    (folder / "test_one.py").write_text(test, encoding="utf-8")
    (folder / "test_many.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_many(n):\n    pass\n",
        encoding="utf-8",
    )
    without = ["-p", f"no:{_OURS}"]
    added = modules(folder, []) - modules(folder, without)
    yield Figure("idle: modules", len(added), "modules", aim=AIM_MODULES)
    costs = alternate(
        {"with": _pytest(folder, "test_one.py"), "without": _pytest(folder, "test_one.py", *without)},
        9 if quick else 41,
    )
    yield Figure(
        "idle: start-up",
        median_cpu_s(costs["with"]) * 1000,
        "ms",
        median_cpu_s(costs["without"]) * 1000,
        "without the plugin",
        Comparison.DIFFERENCE,
        AIM_MS,
    )
    costs = alternate(
        {"with": _pytest(folder, "test_many.py"), "without": _pytest(folder, "test_many.py", *without)},
        3 if quick else 9,
    )
    yield Figure(
        "idle: 2000 tests that are no gates",
        median_cpu_s(costs["with"]) * 1000,
        "ms",
        median_cpu_s(costs["without"]) * 1000,
        "without the plugin",
        Comparison.RATIO,
    )


def modules(folder: Path, options: list[str]) -> set[str]:
    """The modules that are loaded after pytest ran one test."""
    listing = folder / "modules.json"
    argv = [sys.executable, "-c", _MODULES, str(listing), *_quiet(), *options, "test_one.py"]
    run(Command(argv, folder))
    return set(json.loads(listing.read_text(encoding="utf-8")))


def _pytest(folder: Path, *arguments: str) -> Command:
    return Command([sys.executable, "-m", "pytest", *_quiet(), *arguments], folder)


def _quiet() -> list[str]:
    """Options that leave out every installed plugin but ours; pytest still looks for plugins, as it does for users."""
    others = {e.name for e in entry_points(group="pytest11")} - {_OURS}
    return ["-q", *(f"-pno:{name}" for name in sorted({"cacheprovider", *others}))]
