"""What each collected gate will measure, as far as its source, its TOML file or its last run says; nothing is run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.declared.criteria import Command, Readyz, Scan, Url
from pytest_cutover.declared.reader import GateFileError, read
from pytest_cutover.model import Operator, ValueKind
from pytest_cutover.outlook.calls import calls_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_cutover.declared.criteria import Criterion, Measure, Probe
    from pytest_cutover.model import Limit, Measurement
    from pytest_cutover.outlook.collection import CollectedGate
    from pytest_cutover.outlook.seen import Seen

_TEXTS = frozenset({"text", "header", "body", "stdout", "stderr", "check"})


@dataclass(frozen=True, slots=True)
class Expected:
    """One measurement a gate will make. None means: not known. `seen` is the run that says so, if no source does."""

    name: str
    where: str
    unit: str | None
    kind: ValueKind | None = None
    samples: bool | None = None
    information: bool | None = False
    limits: tuple[tuple[str, Any], ...] = ()
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """A gate before it runs. `unknown`: (file:line, why) of what it may measure besides; `stops`: why it cannot pass."""

    gate: CollectedGate
    measures: tuple[Expected, ...]
    unknown: tuple[tuple[str, str], ...] = ()
    stops: tuple[str, str] | None = None  # the word of `model.Phase.raised`, and why
    sections: tuple[str, ...] = ()  # of the evidence document


def outlook(
    gate: CollectedGate, seen: Seen | None, targets: Mapping[str, str], root: Path, *, unchanged: bool
) -> Outlook:
    """What is known of one gate. `unchanged`: the gates' code is what it was in the run that was seen."""
    made = _of_toml(gate, targets, root) if gate.path.endswith(".toml") else _of_python(gate, targets, root)
    if seen is None:
        return made
    before = {m.name: m for m in seen.measurements.get(gate.info.key, ())}
    measures = [_with_kind(m, before.get(m.name)) if unchanged else m for m in made.measures]
    if made.unknown:
        known = {m.name for m in measures}
        measures += [_seen(m, made.unknown[0][0], seen.run_id) for n, m in before.items() if n not in known]
    return Outlook(gate, tuple(measures), made.unknown, made.stops)


def _with_kind(expected: Expected, before: Measurement | None) -> Expected:
    if before is None or before.kind is ValueKind.INVALID or expected.kind is not None:
        return expected
    unit = before.unit if expected.unit is None else expected.unit
    return Expected(
        expected.name, expected.where, unit, before.kind, expected.samples, expected.information, expected.limits
    )  # fmt: skip


def _seen(before: Measurement, where: str, run_id: str) -> Expected:
    kind = None if before.kind is ValueKind.INVALID else before.kind
    samples = before.samples is not None
    limit = before.limit
    given = () if limit is None else ((limit.operator.value, _bound(limit)),)
    return Expected(before.name, where, before.unit, kind, samples, before.information, given, run_id)


def _bound(limit: Limit) -> object:
    is_list = limit.operator in (Operator.BETWEEN, Operator.ONE_OF)
    return list(limit.bounds) if is_list else limit.bounds[0]


# -- gates in Python


def _of_python(gate: CollectedGate, targets: Mapping[str, str], root: Path) -> Outlook:
    file, line = gate.info.file, gate.info.line
    try:
        source = (root / file).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return Outlook(gate, (), ((f"{file}:{line}", "its file cannot be read"),), _stops(gate, targets))
    found = calls_in(source, line)
    measures = tuple(
        Expected(c.name, f"{file}:{c.line}", c.unit, _kind(c.value), c.samples, c.information, c.limits)
        for c in found.calls
    )
    unknown = [(f"{file}:{at}", why) for at, why in found.unknown]
    unknown += [(f"{file}:{line}", f"its fixture {f} measures") for f in gate.measuring_fixtures]
    return Outlook(gate, _once(measures), tuple(unknown), _stops(gate, targets), found.sections)


def _kind(value: object) -> ValueKind | None:
    """Of a value that is written out; of anything else only a run can tell."""
    if isinstance(value, str):
        return ValueKind.TEXT
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return ValueKind.NUMBER if is_number else None


def _once(measures: Sequence[Expected]) -> tuple[Expected, ...]:
    """Each name once: two calls are two branches as often as a mistake, and only a run can tell."""
    return tuple({m.name: m for m in reversed(measures)}.values())[::-1]


def _stops(gate: CollectedGate, targets: Mapping[str, str]) -> tuple[str, str] | None:
    if gate.stopped is not None:
        return gate.stopped, f"it is marked {gate.stopped}"
    if gate.unknown_fixtures:
        return "setup", f"it asks for a fixture that is not there: {', '.join(gate.unknown_fixtures)}"
    if gate.over_http and not targets:
        return "error", "it reads over HTTP, and the environment names no targets"
    return None


# -- gates in TOML


def _of_toml(gate: CollectedGate, targets: Mapping[str, str], root: Path) -> Outlook:
    file = gate.info.file
    try:
        criteria = read(Path(gate.path).read_bytes(), file)
        criterion = next(c for c in criteria if c.id == gate.info.id)
    except (OSError, GateFileError, StopIteration):
        return Outlook(gate, (), ((f"{file}:{gate.info.line}", "its file changed just now"),))
    measures = tuple(_measure(m, criterion, file) for m in criterion.measures)
    missing = next(_missing(criterion.probe, targets, root), None)
    stops = _stops(gate, {"": ""}) or (None if missing is None else ("error", missing))
    return Outlook(gate, measures, (), stops)


def _measure(measure: Measure, criterion: Criterion, file: str) -> Expected:
    limits = tuple(measure.limit.items())
    is_scan = isinstance(criterion.probe, Scan)
    what = measure.take.what
    kind: ValueKind | None = ValueKind.TEXT if what in _TEXTS else ValueKind.NUMBER
    if what == "json":
        kind = None
    elif what == "status" and isinstance(criterion.probe, Readyz):
        kind = ValueKind.TEXT
    samples = is_scan or measure.samples is not None
    return Expected(
        measure.name, f"{file}:{measure.line}", measure.unit, kind, samples, measure.information, limits
    )


def _missing(probe: Probe, targets: Mapping[str, str], root: Path) -> Iterator[str]:
    """What a gate of a file needs and is not there."""
    if isinstance(probe, Url | Readyz) and probe.target not in targets:
        yield f"it reads the target {probe.target!r}, which the environment does not name"
    if isinstance(probe, Url):
        yield from _unset(probe.headers_from.values())
    if isinstance(probe, Scan):
        yield from (
            f"there is no {name} to look through" for name in probe.roots if not (root / name).exists()
        )
    if isinstance(probe, Command):
        folder = root / probe.folder
        if not folder.is_dir():
            yield f"there is no folder {probe.folder} to run its command in"
        elif not _is_there(probe.argv[0], folder):
            yield f"there is no command {Path(probe.argv[0]).name!r}"
        yield from _unset(probe.env_from)
        yield from (
            f"it needs the target {t!r}, which the environment does not name"
            for t in probe.env_targets.values()
            if t not in targets
        )


def _is_there(program: str, folder: Path) -> bool:
    if os.sep in program:
        return os.access(folder / program, os.X_OK)
    return shutil.which(program) is not None


def _unset(names: Sequence[str] | Any) -> Iterator[str]:
    for name in names:
        if not os.environ.get(name):
            yield f"it needs the environment variable {name}, which is not set"
