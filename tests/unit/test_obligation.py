"""What is owed, and what shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pytest_cutover.model import (
    GateDecision,
    JudgedMeasurement,
    Limit,
    Measurement,
    Operator,
    ValueKind,
    rfc3339,
)
from pytest_cutover.obligation import Owed, owed_findings, read_owed, shows
from pytest_cutover.reasons import Reason

DECIDED = datetime(2026, 11, 21, 9, tzinfo=UTC)
DUE = DECIDED + timedelta(hours=1)
OWED = Owed("errors", "watch", "run-1", DECIDED, DUE)
LIMIT = Limit(Operator.AT_MOST, (Decimal(1),), "1")


def judged(
    key: str = "errors", *, green: bool = True, at: datetime = DUE, limit: Limit | None = LIMIT
) -> GateDecision:
    measurement = Measurement("v", "1", ValueKind.NUMBER, "1", at)
    return GateDecision(
        key=key,
        title=key,
        required=True,
        green=green,
        category=None,
        owner=None,
        duration_s=0.1,
        measurements=(JudgedMeasurement(measurement, limit, green),),
        findings=(),
    )


class TestShows:
    def test_a_green_gate_measured_since(self) -> None:
        assert shows(OWED, [judged("other", green=False), judged()])

    @pytest.mark.parametrize(
        "gates",
        [
            [],
            [judged("other")],
            [judged("errors2")],
            [judged(green=False)],
            [judged(at=DECIDED - timedelta(microseconds=1))],
            [judged(limit=None)],
            [judged("errors[eu]"), judged("errors[us]", green=False)],
        ],
        ids=["none", "other", "longer-name", "red", "measured-before", "unjudged", "one-instance-red"],
    )
    def test_anything_else_does_not(self, gates: list[GateDecision]) -> None:
        assert not shows(OWED, gates)

    def test_an_instance_is_shown_by_itself(self) -> None:
        eu = replace(OWED, gate="errors[eu]")

        assert shows(eu, [judged("errors[eu]"), judged("errors[us]", green=False)])
        assert not shows(eu, [judged("errors[us]")])


class TestFindings:
    @pytest.mark.parametrize(
        ("owed", "gates", "now", "expected"),
        [
            (OWED, [], DUE - timedelta(seconds=1), Reason.OBLIGATION_PENDING),
            (OWED, [], DUE, Reason.OBLIGATION_OVERDUE),
            (OWED, [judged(green=False)], DUE, Reason.OBLIGATION_OVERDUE),
            (OWED, [judged(at=DECIDED)], DUE, Reason.OBLIGATION_MET),
            (OWED, [judged()], DUE + timedelta(days=9), Reason.OBLIGATION_MET),
        ],
    )
    def test_one_each(self, owed: Owed, gates: list[GateDecision], now: datetime, expected: Reason) -> None:
        (finding,) = owed_findings([owed], gates, now)

        assert finding.reason is expected

    def test_what_was_shown_is_silent(self) -> None:
        shown = replace(OWED, shown_at=DUE, shown_by="run-2")

        assert list(owed_findings([shown], [], DUE + timedelta(days=9))) == []

    def test_the_message_says_how_late(self) -> None:
        (finding,) = owed_findings([OWED], [], DUE + timedelta(minutes=90))

        assert finding.message == (
            "errors of guard watch, decided in run run-1: was due at 2026-11-21 10:00 UTC, 90 min ago"
        )
        assert finding.remedy == "run a plan that has errors, in this environment"


class TestJson:
    @pytest.mark.parametrize("owed", [OWED, replace(OWED, shown_at=DUE, shown_by="run-2")])
    def test_comes_back(self, owed: Owed) -> None:
        assert read_owed(owed.to_json()) == owed

    @pytest.mark.parametrize(
        "changes",
        [
            {"gate": 1},
            {"due_at": "soon"},
            {"more": "x"},
            {"shown_at": rfc3339(DUE)},
            {"shown_by": "run-2"},
            {"decided_at": None},
        ],
    )
    def test_anything_else_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises((TypeError, ValueError)):
            read_owed(OWED.to_json() | changes)

    @pytest.mark.parametrize("value", [None, [], "x", {}])
    def test_no_object_is_refused(self, value: Any) -> None:
        with pytest.raises(ValueError, match="expected an obligation"):
            read_owed(value)
