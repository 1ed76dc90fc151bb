"""What would have to differ about what a gate measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.model import Limit, Measurement, ValueKind, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.rejudge import edits
from pytest_cutover.rejudge.proposal import Proposal, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.model import Finding
    from pytest_cutover.rejudge.case import Case


def _of(case: Case, finding: Finding) -> tuple[Measurement, Limit | None] | None:
    """The measurement a finding is about, and the limit that judges it."""
    results = case.record.results
    found = [m for m in results[-1].measurements if m.name == finding.measurement] if results else []
    if not found:
        return None
    limit = case.policy.limits_for(case.record.collected[0]).get(found[0].name)
    return found[0], limit or (None if found[0].information else found[0].limit)


def _value(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None:
        return None
    measured, limit = found
    if limit is None:  # recorded as information, and no number or text at all
        need = Proposal(measured.name, _set(measured.name, value="0", kind=ValueKind.NUMBER))
        return replace(need, have=measured.value, need="a finite number or a text")
    value = edits.needed_value(measured, limit)
    unit = "" if limit.unit == "1" else f" {limit.unit}"
    by = _difference(measured, value, limit)
    return Proposal(
        measured.name,
        _set(measured.name, value=value, kind=limit.kind),
        f"{measured.value}{'' if measured.unit == '1' else ' ' + measured.unit}",
        limit.text(),
        None if by is None else f"{by}{unit}",
    )


def _difference(measured: Measurement, value: str, limit: Limit) -> str | None:
    if measured.kind is not ValueKind.NUMBER or limit.kind is not ValueKind.NUMBER:
        return None
    try:
        return f"{Decimal(value) - Decimal(measured.value):+}"
    except ArithmeticError:
        return None


def _set(name: str, **changes: object) -> Callable[[Case], Case]:
    return lambda case: edits.measurement(case, name, **changes)


def _unit(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    return Proposal(
        f"the unit of {measured.name}", _set(measured.name, unit=limit.unit), measured.unit, limit.unit
    )


def _age(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    max_age_s = case.policy.max_age_s if limit.max_age_s is None else limit.max_age_s
    age_s = (case.at - measured.observed_at).total_seconds()
    since = case.at - timedelta(seconds=max_age_s)
    need = f"at most {max_age_s:g} s: observed at {rfc3339(since)} or later"
    if finding.reason is Reason.MEASUREMENT_FUTURE:
        since, need = case.at, f"observed at {rfc3339(case.at)} or earlier"
    return Proposal(
        f"the age of {measured.name}", _set(measured.name, observed_at=since), f"{age_s:.0f} s", need
    )


def _samples(case: Case, finding: Finding) -> Proposal | None:
    found = _of(case, finding)
    if found is None or found[1] is None:
        return None
    measured, limit = found[0], found[1]
    wanted = case.policy.min_samples if limit.min_samples is None else limit.min_samples
    have = "none named" if measured.samples is None else str(measured.samples)
    short = (wanted or 0) - (measured.samples or 0)
    return Proposal(
        f"the samples of {measured.name}",
        _set(measured.name, samples=wanted),
        have,
        f"at least {wanted}",
        f"{short:+}",
    )


def _measure(case: Case, finding: Finding) -> Proposal | None:
    name = finding.measurement
    limit = case.policy.limits_for(case.record.collected[0]).get(name or "")
    if name is None or limit is None:
        return None
    new = edits.satisfying(name, limit, case)
    return Proposal(
        name, lambda c: edits.measurements(c, lambda found: [*found, new]), "not measured", limit.text()
    )


def _measure_something(case: Case, finding: Finding) -> Proposal:
    new = edits.satisfying("value", edits.ANY, case)
    return Proposal(
        "a measurement that a limit judges",
        lambda c: edits.measurements(c, lambda found: [*found, new]),
        "none",
        "at least one",
    )


def _judge_or_inform(case: Case, finding: Finding) -> Proposal | None:
    name = finding.measurement
    if name is None:
        return None
    return Proposal(name, _set(name, information=True), "no limit", "a limit, or recorded as information")


def _measure_once(case: Case, finding: Finding) -> Proposal:
    def first_of_each(found: list[Measurement]) -> list[Measurement]:
        by_name: dict[str, Measurement] = {}
        for measured in found:
            by_name.setdefault(measured.name, measured)
        return list(by_name.values())

    return Proposal(
        "measurements of one name",
        lambda c: edits.measurements(c, first_of_each),
        finding.message,
        "one",
    )


RECIPES: dict[Reason, Recipe] = {
    Reason.GATE_NO_MEASUREMENT: _measure_something,
    Reason.LIMIT_BROKEN: _value,
    Reason.MEASUREMENT_INVALID: _value,
    Reason.MEASUREMENT_KIND: _value,
    Reason.MEASUREMENT_UNIT: _unit,
    Reason.MEASUREMENT_STALE: _age,
    Reason.MEASUREMENT_FUTURE: _age,
    Reason.SAMPLES_MISSING: _samples,
    Reason.SAMPLES_LOW: _samples,
    Reason.LIMIT_UNMEASURED: _measure,
    Reason.MEASUREMENT_UNJUDGED: _judge_or_inform,
    Reason.MEASUREMENT_DUPLICATE: _measure_once,
}
