"""The criterion that weighs most: the one to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import Operator
from pytest_cutover.reasons import Weight
from pytest_cutover.rejudge.case import blocking

if TYPE_CHECKING:
    from pytest_cutover.model import Decision, Finding, GateDecision, JudgedMeasurement

_HEAVIEST = {weight: at for at, weight in enumerate(Weight)}


@dataclass(frozen=True, slots=True)
class Impact:
    """One criterion (a gate, or the run itself) and what is held against it."""

    gate: str | None  # None: the run
    title: str
    owner: str | None
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        return "the run" if self.gate is None else self.gate

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "title": self.title,
            "owner": self.owner,
            "findings": [f.reason.code for f in self.findings],
        }


def top_impact(decision: Decision) -> Impact | None:
    """The criterion that weighs most against a GO, or None when nothing does.

    Measured red before unproven before hold; then the farthest beyond its limit, relative to the limit;
    then the most findings; then as the decision lists them.
    """
    by_gate: dict[str | None, list[Finding]] = {}
    for finding in blocking(decision.findings):
        by_gate.setdefault(finding.gate, []).append(finding)
    if not by_gate:
        return None
    gates = {g.key: g for g in decision.gates}
    chosen = min(by_gate, key=lambda gate: _rank(by_gate[gate], gates.get(gate or "")))
    judged = gates.get(chosen or "")
    return Impact(
        chosen,
        "" if judged is None else judged.title,
        by_gate[chosen][0].owner,
        tuple(by_gate[chosen]),
    )


def _rank(findings: list[Finding], gate: GateDecision | None) -> tuple[int, Decimal, int]:
    heaviest = min(_HEAVIEST[f.weight] for f in findings)
    beyond = {f.measurement: f.distance for f in findings if f.distance is not None}
    judged = () if gate is None else gate.measurements
    shares = [_share(j, beyond[j.measurement.name]) for j in judged if j.measurement.name in beyond]
    return heaviest, -max(shares, default=Decimal(0)), -len(findings)


def _share(judged: JudgedMeasurement, distance: str | None) -> Decimal:
    """How far beyond its limit a value lies, in parts of the bound (1 where the bound is 0)."""
    limit = judged.limit
    if limit is None or distance is None:
        return Decimal(0)
    gap = Decimal(distance)
    bounds = [b for b in limit.bounds if isinstance(b, Decimal)]
    bound = bounds[-1] if limit.operator is Operator.BETWEEN and gap > 0 else bounds[0]
    return abs(gap / bound) if bound else abs(gap)
