"""What a waiver does to a decision, and when it does nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.decision import decide
from pytest_cutover.model import ExitCode, Limit, Operator, Subject, Verdict, one_person
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.record import fold
from pytest_cutover.waiver import (
    WAIVABLE,
    GivenWaiver,
    Guard,
    GuardKind,
    Obligation,
    Waiver,
    guards_digest,
)
from tests.unit.journals import (
    AT,
    NOW,
    SUBJECT,
    collected,
    finished,
    gate_finished,
    gate_started,
    measurement,
    policy,
    sign,
    started,
)

if TYPE_CHECKING:
    from pytest_cutover.model import Decision, EffectivePolicy, RunRecord

SHOP = (Subject("shop", SUBJECT["digest"]),)
WATCH = Guard("watch", GuardKind.OBSERVATION_WINDOW, {"seconds": 600}, Obligation("later.ok", 3600))


def given(**changes: Any) -> GivenWaiver:
    about: dict[str, Any] = {
        "gate": "a",
        "environment": "production",
        "subjects": SHOP,
        "accepts": frozenset({Reason.LIMIT_BROKEN}),
        "reason": "batch job",
        "risk": "low",
        "ticket": "OPS-1",
        "issued_at": NOW - timedelta(hours=1),
        "expires_at": NOW + timedelta(minutes=20),
        "guards": (WATCH,),
    }
    outer = {k: changes.pop(k) for k in ("persons", "refused", "envelope") if k in changes}
    return GivenWaiver(
        Waiver(**(about | changes)), **({"envelope": b"e", "persons": ("Bea",), "where": "w.dsse"} | outer)
    )


def limited(**more: Any) -> EffectivePolicy:
    limits = {"a": {"v": Limit(Operator.AT_MOST, (Decimal(1),), "s")}}
    return replace(
        policy("a", limits=limits, environment="production", sandbox=False), waiver_persons=1, **more
    )


def run(
    *measured: Any, confirmed: str | None = None, authors: tuple[str, ...] = ("Ann",), **changes: Any
) -> RunRecord:
    events = [
        started(environment="production", sandbox=False, authors=list(authors)),
        collected("a"),
        gate_started("a"),
        gate_finished("a", *(measured or (measurement("v", "5"),)), **changes),
        finished(),
    ]
    return replace(fold(sign(events)), guards_confirmed=confirmed)


def decided(*waivers: GivenWaiver, record: RunRecord | None = None, **more: Any) -> Decision:
    """With the guards of these waivers in place, unless the record says other."""
    if record is None:
        held = decide(run(), limited(**more), NOW, waivers)
        record = run(confirmed=guards_digest(held.guards))
    return decide(record, limited(**more), NOW, waivers)


def codes(decision: Decision) -> list[str]:
    return [f.reason.code for f in decision.findings]


class TestAWaiverThatCounts:
    def test_turns_no_go_into_go_with_guards(self) -> None:
        decision = decided(given())

        assert (decision.verdict, decision.exit_code) == (Verdict.GO_WITH_GUARDS, ExitCode.GO)
        assert [(f.reason, f.weight, f.waived) for f in decision.findings] == [
            (Reason.LIMIT_BROKEN, Weight.NOTE, "OPS-1")
        ]

    def test_leaves_the_gate_red_in_view(self) -> None:
        (gate,) = decided(given()).gates

        assert (gate.green, gate.waived) == (False, True)

    def test_ends_the_decision_with_itself(self) -> None:
        assert decided(given()).expires_at == NOW + timedelta(minutes=20)

    def test_is_named_with_its_guards(self) -> None:
        decision = decided(given())

        assert decision.waivers == (given(),)
        assert [(g.guard, g.due_at) for g in decision.guards] == [(WATCH, NOW + timedelta(hours=1))]

    def test_that_is_not_needed_changes_nothing(self) -> None:
        record = run(measurement("v", "1"))
        decision = decide(record, limited(), NOW, [given()])

        assert (decision.verdict, decision.waivers, decision.guards) == (Verdict.GO, (), ())

    def test_holds_until_its_guards_are_confirmed(self) -> None:
        decision = decided(given(), record=run())

        assert (decision.verdict, decision.exit_code) == (Verdict.HOLD, ExitCode.HOLD)
        assert "guards.unconfirmed" in codes(decision)

    def test_holds_when_other_guards_were_confirmed(self) -> None:
        other = decided(given(guards=(replace(WATCH, name="other"),)), record=run())

        assert decided(given(), record=run(confirmed=guards_digest(other.guards))).verdict is Verdict.HOLD

    def test_accepts_a_value_within_its_own_limit(self) -> None:
        within = {"v": Limit(Operator.AT_MOST, (Decimal(5),), "s")}

        assert decided(given(within=within)).verdict is Verdict.GO_WITH_GUARDS


class TestAWaiverThatDoesNotCount:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"environment": "staging"}, "waiver.foreign"),
            ({"subjects": (Subject("shop", {"sha256": "cd" * 32}),)}, "waiver.foreign"),
            ({"expires_at": NOW}, "waiver.expired"),
            ({"issued_at": NOW + timedelta(seconds=6)}, "waiver.expired"),
            ({"persons": ("ann",)}, "waiver.self-signed"),
            ({"persons": ("Bea", " ANN ")}, "waiver.self-signed"),
            ({"refused": (Reason.WAIVER_UNTRUSTED, "unknown key")}, "waiver.untrusted"),
            ({"within": {"v": Limit(Operator.AT_MOST, (Decimal(4),), "s")}}, "waiver.beyond"),
        ],
    )
    def test_leaves_the_verdict_and_says_why(self, changes: dict[str, Any], code: str) -> None:
        decision = decided(given(**changes), record=run())

        assert (decision.verdict, decision.exit_code) == (Verdict.NO_GO, ExitCode.NO_GO)
        assert codes(decision) == ["limit.broken", code]
        assert (decision.waivers, decision.guards) == ((), ())

    def test_without_authors(self) -> None:
        assert codes(decided(given(), record=run(authors=()))) == ["limit.broken", "waiver.authors-unknown"]

    @pytest.mark.parametrize(("persons", "code"), [(None, "waiver.not-allowed"), (2, "waiver.persons")])
    def test_for_the_policy(self, persons: int | None, code: str) -> None:
        decision = decide(run(), replace(limited(), waiver_persons=persons), NOW, [given()])

        assert codes(decision) == ["limit.broken", code]

    def test_one_person_with_two_spellings_is_one(self) -> None:
        decision = decide(run(), replace(limited(), waiver_persons=2), NOW, [given(persons=("Bea", "BEA "))])

        assert codes(decision) == ["limit.broken", "waiver.persons"]

    def test_all_of_a_gate_or_nothing(self) -> None:
        """A second reason that nobody accepted leaves the first one red as well."""
        decision = decided(given(), record=run(measurement("v", "5"), measurement("w", "1"), measured=2))

        assert decision.exit_code is ExitCode.NO_GO
        assert {f.waived for f in decision.findings} == {None}

    def test_two_waivers_of_one_gate_accept_together(self) -> None:
        record = run(
            measurement("v", "5"),
            phases=[
                ["setup", "passed", "", "", 0.0],
                ["call", "failed", "error", "x", 0.0],
                ["teardown", "passed", "", "", 0.0],
            ],
        )
        both = [given(), given(accepts=frozenset({Reason.GATE_ERROR}), ticket="OPS-2", envelope=b"f")]

        held = decide(record, limited(), NOW, both)
        assert held.verdict is Verdict.HOLD
        assert [w.waiver.ticket for w in held.waivers] == ["OPS-1", "OPS-2"]
        assert decide(record, limited(), NOW, both[:1]).verdict is Verdict.NO_GO

    def test_nothing_about_run_policy_or_keys_can_be_waived(self) -> None:
        assert {r.code.split(".")[0] for r in WAIVABLE} == {"limit", "gate", "measurement"}
        assert WAIVABLE.isdisjoint(
            {Reason.GATE_SKIPPED, Reason.GATE_NOT_COLLECTED, Reason.GATE_ALTERED, Reason.MEASUREMENT_INVALID}
        )


class TestGuardsConfirmed:
    def events(self, *more: dict[str, Any], runner: str = "in-process") -> list[dict[str, Any]]:
        return [
            started(runner=runner),
            collected("a"),
            gate_started("a"),
            gate_finished("a", measurement("v", "1")),
            *more,
        ]

    def confirmed(self) -> dict[str, Any]:
        return {"event": "guards.confirmed", "at": AT, "guards": "sha256:0", "file": "sha256:1"}

    def test_is_read_after_the_end(self) -> None:
        record = fold(sign([*self.events(finished()), self.confirmed()]))

        assert (record.guards_confirmed, record.complete) == ("sha256:0", True)

    def test_before_the_end_is_damage(self) -> None:
        record = fold(sign(self.events(self.confirmed(), finished())))

        assert (record.guards_confirmed, record.complete) == (None, False)

    def test_of_a_supervised_child_is_damage(self) -> None:
        events = [*self.events(finished(exit=11), runner="supervised"), self.confirmed()]

        assert fold(sign(events)).guards_confirmed is None

    def test_twice_is_damage(self) -> None:
        record = fold(sign([*self.events(finished()), self.confirmed(), self.confirmed()]))

        assert not record.complete


def test_a_person_is_compared_without_case_and_stray_blanks() -> None:
    assert one_person("  Bea   BOSS ") == one_person("bea boss") != one_person("beaboss")
