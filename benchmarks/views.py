"""What the views of a large run cost: to make, within a run, and to open in a browser."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import projects
from benchmarks.commands import median_ms
from benchmarks.figures import Comparison, Figure
from benchmarks.timing import BenchmarkError, Command, alternate, median_cpu_s, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.projects import Project
    from pytest_cutover.report.view import View

AIM_OPEN_MS = 1000.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FRAME = """<!doctype html><body><script>
const frame = document.createElement("iframe"), began = performance.now();
frame.width = 1200; frame.height = 900; frame.src = "URL";
frame.onload = () => {
  const height = frame.contentDocument.body.offsetHeight;  // asks for the layout
  document.title = height;
  document.body.dataset.took = `opened in ${performance.now() - began} ms`;
};
document.body.append(frame);
</script>"""
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--dump-dom"),
)


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """A run of 5 000 gates, a function each, signed, compared with the run before it."""
    count = 500 if quick else 5_000
    rounds = 3 if quick else 7
    project = projects.distinct(folder / "gates", count)
    run(project.gates("--cutover-trust", "trust.json"))
    costs = alternate({way: _gates(project, way) for way in ("summary,html,junit", "html", "none")}, rounds)
    none = median_cpu_s(costs["none"])
    for way in ("summary,html,junit", "html"):
        yield Figure(
            f"{count} gates with {way}",
            median_cpu_s(costs[way]),
            "s",
            none,
            "--cutover-views none",
            Comparison.RATIO,
        )
    yield from _steps(project, rounds)
    yield from _opening(folder, project, rounds)


def _gates(project: Project, views: str) -> Command:
    return project.gates("--cutover-trust", "trust.json", "--cutover-views", views)


def _steps(project: Project, rounds: int) -> Iterator[Figure]:
    from pytest_cutover.report import html, junitfile, summary

    seen = _view(project)
    steps: dict[str, Callable[[View], str]] = {
        "report.html": html.render,
        "junit.xml": junitfile.render,
        "summary.md": summary.render,
    }
    for name, step in steps.items():
        yield Figure(f"{name}, {project.count} gates", median_ms(partial(step, seen), rounds), "ms")
    yield Figure(f"the model, {project.count} gates", median_ms(lambda: _view(project), rounds), "ms")
    yield Figure("report.html", len(html.render(seen).encode()) / 1024, "KiB")


def _view(project: Project) -> View:
    from pytest_cutover.decision import decide
    from pytest_cutover.evidence.report import read_report
    from pytest_cutover.record import fold
    from pytest_cutover.report.view import Evidence, build

    report = read_report((project.last_run() / "report.json").read_bytes())
    record = fold(report.journal)
    decision = decide(record, report.policy, datetime.now(UTC))
    return build(record, report.policy, decision, Evidence("runs/1", sealed=True))


def _opening(folder: Path, project: Project, rounds: int) -> Iterator[Figure]:
    """From asking for the page until it is loaded and laid out, as Chromium itself takes the time."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print("  no Chromium here: how long the page takes to open was not measured")
        return
    run(_gates(project, "html"))
    pages = {"page": project.last_run() / "report.html", "empty": folder / "empty.html"}
    pages["empty"].write_text("<!doctype html><title>empty</title>", encoding="utf-8")
    taken: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(rounds):
        for name, path in pages.items():
            frame = folder / "frame.html"
            frame.write_text(_FRAME.replace("URL", path.as_uri()), encoding="utf-8")
            taken[name].append(_opened_ms([browser, *_OPTIONS, frame.as_uri()]))
    page_ms, empty_ms = (statistics.median(taken[name]) for name in pages)
    name = f"Chromium opens the page of {project.count} gates"
    yield Figure(name, page_ms, "ms", empty_ms, "an empty page", aim=AIM_OPEN_MS)


def _opened_ms(argv: list[str]) -> float:
    printed = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False).stdout
    match = re.search(r"opened in ([0-9.]+) ms", printed)
    if match is None:
        raise BenchmarkError(f"{argv[0]} did not say how long it took: {printed[-200:]}")
    return float(match[1])
