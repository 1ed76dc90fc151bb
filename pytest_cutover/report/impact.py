"""The criterion that weighs most in a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.reasons import Weight
from pytest_cutover.report.numbers import amount, limit_used, number
from pytest_cutover.report.terminal import finding_text

if TYPE_CHECKING:
    from pytest_cutover.model import Finding
    from pytest_cutover.report.view import View

MAX_LABEL_CHARS = 50
"""GitHub refuses longer labels."""


@dataclass(frozen=True, slots=True)
class Impact:
    """The criterion that weighs most in a verdict: the worst red one, or in a GO the one nearest to its limit."""

    gate: str
    text: str
    label: str


def top_impact(view: View) -> Impact | None:
    """The criterion that weighs most; None when nothing can be named.

    Of the heaviest findings the one furthest beyond its limit, as a share of the limit; without a
    finding, the measurement that is nearest to its limit.
    """
    heavy = [f for f in view.findings if f.weight is not Weight.NOTE]
    if heavy:
        heaviest = [f for f in heavy if f.weight is heavy[0].weight]
        worst = max(heaviest, key=_overshoot)  # the first of equals
        return _impact(worst.gate or "run", finding_text(worst))
    return _nearest(view)


def _overshoot(finding: Finding) -> Decimal:
    distance, measured = number(finding.distance or ""), number(finding.measured or "")
    if distance is None or measured is None:
        return Decimal(0)
    limit = abs(measured - distance)
    return abs(distance) / limit if limit else Decimal("Infinity") if distance else Decimal(0)


def _nearest(view: View) -> Impact | None:
    used = [
        (share, gate.key, judged)
        for gate in view.gates
        for judged in gate.judged.measurements
        if judged.limit is not None and (share := limit_used(judged)) is not None
    ]
    if not used:
        return None
    share, key, judged = max(used, key=lambda u: u[0])
    m = judged.measurement
    assert judged.limit is not None
    how = "at its limit" if share == 1 else f"{share * 100:.0f} % of the way to its limit"
    text = f"{m.name} {amount(m.value, m.unit)} is {how} ({judged.limit.text()})"
    return _impact(key, text)


def _impact(gate: str, text: str) -> Impact:
    label = "top-impact: " + "".join(c for c in gate if c.isprintable() and c != ",")
    return Impact(gate, text, label[:MAX_LABEL_CHARS])
