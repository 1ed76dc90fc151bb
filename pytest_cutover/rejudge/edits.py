"""A record with one thing changed: what a counterfactual is made of. Every edit gives a new case."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import GateInfo, GateResult, Limit, Measurement, Operator, Phase, ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_cutover.model import RunRecord
    from pytest_cutover.rejudge.case import Case

CLEAN = tuple(Phase(when, "passed", None, "", 0.0) for when in ("setup", "call", "teardown"))

ANY = Limit(Operator.AT_LEAST, (Decimal(0),))
"""Stands for a limit that nobody has set yet."""


def record(case: Case, **changes: Any) -> Case:
    """The case with other fields of its record."""
    return replace(case, record=replace(case.record, **changes))


def policy(case: Case, **changes: Any) -> Case:
    """The case with other fields of its policy."""
    return replace(case, policy=replace(case.policy, **changes))


def last_result(case: Case, change: Callable[[GateResult], GateResult]) -> Case:
    """The case with its last result changed; one that has none stays as it is."""
    results = case.record.results
    return record(case, results=(*results[:-1], change(results[-1]))) if results else case


def measurements(case: Case, change: Callable[[list[Measurement]], Iterable[Measurement]]) -> Case:
    """The case with the measurements of its last result changed, and counted as they are then."""

    def changed(result: GateResult) -> GateResult:
        new = tuple(change(list(result.measurements)))
        lost = result.measured - len(result.measurements)
        return replace(result, measurements=new, measured=len(new) + lost)

    return last_result(case, changed)


def measurement(case: Case, name: str, **changes: Any) -> Case:
    """The case with one measurement changed, by name."""
    return measurements(case, lambda found: [replace(m, **changes) if m.name == name else m for m in found])


def satisfying(name: str, limit: Limit, case: Case) -> Measurement:
    """A measurement that this limit accepts, observed now, with as many samples as are asked for."""
    minimum = case.policy.min_samples if limit.min_samples is None else limit.min_samples
    return Measurement(
        name, str(limit.bounds[0]), limit.kind, limit.unit, case.at, samples=minimum, limit=limit
    )


def clean_result(info: GateInfo, case: Case) -> GateResult:
    """A single clean run of a gate, in which everything that is limited lies within its limit."""
    limits = case.policy.limits_for(info) or {"value": ANY}
    measured = tuple(satisfying(name, limit, case) for name, limit in limits.items())
    return GateResult(info.nodeid, 1, CLEAN, measured, len(measured), len(CLEAN), worker=_worker(case.record))


def _worker(of: RunRecord) -> str:
    return of.results[0].worker if of.results else "main"


def imagined(key: str, gate: str, case: Case) -> GateInfo:
    """A gate that was not collected, as it would have been."""
    return GateInfo(gate, key, f"({key})", case.policy.gate_code_paths[0], 0, "")


def nearest(value: Decimal, limit: Limit) -> Decimal:
    """The value nearest to this one that the limit accepts."""
    bounds = [b for b in limit.bounds if isinstance(b, Decimal)]
    if limit.operator is Operator.BETWEEN:
        return min(max(value, bounds[0]), bounds[1])
    return min(bounds, key=lambda b: abs(value - b))


def needed_value(measured: Measurement, limit: Limit) -> str:
    """What would have to be measured in its place."""
    if measured.kind is ValueKind.NUMBER and limit.kind is ValueKind.NUMBER:
        try:
            return str(nearest(Decimal(measured.value), limit))
        except ArithmeticError:
            pass  # a journal may hold a number that is none
    return str(limit.bounds[0])
