"""The D-1 decision sheet (requirement F7): twelve rows in four categories, signed by people the day before.

A row that gates of the run speak for says what they found. One that no gate speaks for is decided by hand, and its
boxes stay empty: a sheet never ticks what nothing has measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_cutover.report.view import GateView, View

CATEGORIES = ("infrastructure", "security", "canary", "ops")


@dataclass(frozen=True, slots=True)
class Row:
    """One question of the sheet. A gate speaks for it whose id is one of `ids`, or begins with one and a dot."""

    category: str
    question: str
    ids: tuple[str, ...]


ROWS = (
    Row("infrastructure", "The service is ready", ("service", "readyz")),
    Row("infrastructure", "Clocks agree", ("clock",)),
    Row("infrastructure", "The ops API and its cache answer", ("ops-api",)),
    Row("security", "Operators have no more rights than they need", ("rbac",)),
    Row("security", "No key runs out", ("keys",)),
    Row("security", "Every policy is signed", ("policies", "policy")),
    Row("security", "The PII breaker is on and works", ("pii",)),
    Row("canary", "Promotion is by hand", ("promotion",)),
    Row("canary", "The canary is healthy", ("canary",)),
    Row("canary", "Two rehearsals passed, the last one lately", ("rehearsals",)),
    Row("ops", "Dashboard, alerts and people are ready", ("dashboard", "alerts", "team")),
    Row("ops", "Baseline, evidence and restore are in place", ("baseline", "evidence", "dr")),
)

_ALSO = {
    "infra": "infrastructure",
    "platform": "infrastructure",
    "network": "infrastructure",
    "database": "infrastructure",
    "capacity": "infrastructure",
    "performance": "infrastructure",
    "sovereignty": "security",
    "compliance": "security",
    "rollout": "canary",
    "operations": "ops",
    "observability": "ops",
    "quality": "ops",
    "change": "ops",
}
"""Other words for the four categories, as gates use them."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A row with the gates that speak for it; `number` is None for gates that none of the twelve covers."""

    number: int | None
    question: str
    gates: tuple[GateView, ...]

    @property
    def is_go(self) -> bool | None:
        """GO, NO-GO, or None: nothing measured it."""
        counted = [g for g in self.gates if g.state != "left"]
        return all(g.state in ("green", "waived") for g in counted) if counted else None


def fill(view: View) -> list[tuple[str, list[Filled]]]:
    """The sheet by category; gates that no row covers are counted in one below those of their category."""
    by_row: dict[int, list[GateView]] = {}
    others: dict[str, list[GateView]] = {}
    for gate in view.gates:
        row = _row_of(gate.key)
        if row is None:
            others.setdefault(_category(gate), []).append(gate)
        else:
            by_row.setdefault(row, []).append(gate)
    out = []
    for category in CATEGORIES:
        rows = [
            Filled(number, row.question, tuple(by_row.get(number, ())))
            for number, row in enumerate(ROWS, 1)
            if row.category == category
        ]
        if category in others:
            rows.append(Filled(None, "Further gates of this run", tuple(others[category])))
        out.append((category, rows))
    return out


def _category(gate: GateView) -> str:
    word = (gate.judged.category or "").lower()
    return word if word in CATEGORIES else _ALSO.get(word, "ops")


def _row_of(key: str) -> int | None:
    gate = key.partition("[")[0]
    for number, row in enumerate(ROWS, 1):
        if any(gate == name or gate.startswith(f"{name}.") for name in row.ids):
            return number
    return None
