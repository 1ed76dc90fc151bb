"""Obligations: gates that have to be green some time after a release went out with guards. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import Finding, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pytest_cutover.model import GateDecision


@dataclass(frozen=True, slots=True)
class Owed:
    """A gate (`id`, or `id[param]`) that the decision of an earlier run made due; `guard` asked for it.

    `shown_at` and `shown_by` are when, and in which later run, it was first shown green; None: not yet.
    """

    gate: str
    guard: str
    run_id: str
    decided_at: datetime
    due_at: datetime
    shown_at: datetime | None = None
    shown_by: str | None = None

    def is_overdue(self, now: datetime) -> bool:
        """Whether nothing has shown it green although its time is over."""
        return self.shown_at is None and now >= self.due_at

    def to_json(self) -> dict[str, Any]:
        """As the journal's first line holds it."""
        shown = (
            {} if self.shown_at is None else {"shown_at": rfc3339(self.shown_at), "shown_by": self.shown_by}
        )
        return {
            "gate": self.gate,
            "guard": self.guard,
            "run_id": self.run_id,
            "decided_at": rfc3339(self.decided_at),
            "due_at": rfc3339(self.due_at),
            **shown,
        }


_ASKED = frozenset({"gate", "guard", "run_id", "decided_at", "due_at"})
_SHOWN = frozenset({"shown_at", "shown_by"})


def read_owed(value: Any) -> Owed:
    """From its JSON form.

    Raises:
        TypeError, ValueError: malformed.
    """
    if not isinstance(value, dict) or set(value) not in (_ASKED, _ASKED | _SHOWN):
        raise ValueError(f"expected an obligation, got {value!r:.120}")
    if not all(type(text) is str for text in value.values()):
        raise TypeError("expected texts in an obligation")
    times = {
        name: parse_rfc3339(value[name]) for name in ("decided_at", "due_at", "shown_at") if name in value
    }
    return Owed(
        gate=value["gate"],
        guard=value["guard"],
        run_id=value["run_id"],
        decided_at=times["decided_at"],
        due_at=times["due_at"],
        shown_at=times.get("shown_at"),
        shown_by=value.get("shown_by"),
    )


def shows(owed: Owed, gates: Sequence[GateDecision]) -> bool:
    """Whether these gates show it green, by what was measured after the decision that asked for it."""
    asked = [g for g in gates if owed.gate in (g.key, g.key.partition("[")[0])]
    return bool(asked) and all(g.green and _is_since(g, owed.decided_at) for g in asked)


def _is_since(gate: GateDecision, at: datetime) -> bool:
    judged = [j.measurement.observed_at for j in gate.measurements if j.limit is not None]
    return bool(judged) and min(judged) >= at


def owed_findings(owed: Sequence[Owed], gates: Sequence[GateDecision], now: datetime) -> Iterator[Finding]:
    """What a run's gates make of what was owed before it: overdue is red, in every run of the environment."""
    for each in owed:
        if each.shown_at is not None:
            continue
        about = f"{each.gate} of guard {each.guard}, decided in run {each.run_id}"
        if shows(each, gates):
            late = f", {_span(each.due_at, now)} late" if now > each.due_at else ""
            yield Finding(Reason.OBLIGATION_MET, f"{about}: green{late}")
        elif each.is_overdue(now):
            since = f"was due at {each.due_at:%Y-%m-%d %H:%M} UTC, {_span(each.due_at, now)} ago"
            remedy = f"run a plan that has {each.gate}, in this environment"
            yield Finding(Reason.OBLIGATION_OVERDUE, f"{about}: {since}", remedy=remedy)
        else:
            yield Finding(Reason.OBLIGATION_PENDING, f"{about}: due at {each.due_at:%Y-%m-%d %H:%M} UTC")


def _span(begin: datetime, end: datetime) -> str:
    minutes = int((end - begin).total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
