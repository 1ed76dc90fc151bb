"""Gates that were carried from an earlier run: what the journal says of them, and what is decided."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_cutover.model import Opened, Verdict, rfc3339
from tests.unit.journals import (
    NOW,
    OPENED,
    codes,
    collected,
    decision,
    finished,
    gate_carried,
    gate_finished,
    gate_started,
    gates,
    info,
    measurement,
    opened_run,
    phase,
    policy,
    record,
    started,
)

BOTH = policy("ready", "seen")


def ago(seconds):
    return rfc3339(NOW - timedelta(seconds=seconds))


def decided(*carried, **changes):
    return decision(opened_run(*carried), BOTH, **changes)


class TestRecord:
    def test_names_the_run_that_was_opened(self):
        run = record(opened_run())

        assert run.opened == Opened(OPENED["run_id"], OPENED["nonce"], "d" * 64, "e" * 64)
        assert run.complete

    def test_marks_a_carried_result(self):
        carried, fresh = record(opened_run()).results

        assert (carried.nodeid, carried.carried_from) == (info("seen")["nodeid"], OPENED["run_id"])
        assert fresh.carried_from is None

    def test_without_one_is_as_before(self):
        assert record([started(), collected(), *gates(), finished()]).opened is None

    @pytest.mark.parametrize(
        "events",
        [
            [started(), gate_carried("seen")],
            [started(opened=None), gate_carried("seen")],
            [started(opened={**OPENED, "carried": 2}), gate_carried("seen")],
            [started(opened={**OPENED, "carried": 2}), gate_carried("seen"), gate_carried("seen")],
            [started(opened=OPENED), gate_carried("seen"), gate_carried("ready")],
            [started(opened=OPENED)],
            [started(opened={**OPENED, "carried": 0})],
            [started(opened={**OPENED, "carried": True}), gate_carried("seen")],
            [started(opened={k: v for k, v in OPENED.items() if k != "report"}), gate_carried("seen")],
            [started(opened=OPENED), gate_carried("seen", run_id=None)],
            [started(opened=OPENED), gate_carried("seen", started_at="yesterday")],
            [started(opened=OPENED), gate_carried("seen", gate=info("ready"))],
        ],
        ids=lambda events: f"{len(events)}",
    )
    def test_of_a_beginning_that_announces_something_else_is_damaged(self, events):
        whole = [*events, collected("ready", "seen"), *gates("ready"), finished()]

        assert "run.journal-damaged" in codes(decision(whole, BOTH))
        assert decision(whole, BOTH).verdict is Verdict.NO_GO

    def test_takes_no_carried_gate_later(self):
        """Whoever writes the journal while gates run can carry nothing."""
        events = opened_run()
        first, carried, *rest = events
        late = [first, carried, *rest[:1], gate_carried("ready"), *rest[1:]]

        assert "run.journal-damaged" in codes(decision(late, BOTH))


class TestDecision:
    def test_is_go_with_a_carried_gate_that_is_green_and_fresh(self):
        found = decided()

        assert (found.verdict, found.findings) == (Verdict.GO, ())
        assert [g.carried_from for g in found.gates] == [None, OPENED["run_id"]]

    def test_judges_a_carried_measurement_like_any_other(self):
        assert codes(decided(gate_carried("seen", measurement(value="0.9")))) == {"limit.broken"}
        assert codes(decided(gate_carried("seen", measurement(unit="ms")))) == {"measurement.unit"}

    def test_judges_its_age_from_when_it_was_observed(self):
        old = gate_carried("seen", measurement(observed_at=ago(901)))

        assert codes(decided(old)) == {"measurement.stale"}

    def test_lasts_no_longer_than_a_decision_made_when_the_oldest_was_observed(self):
        found = decided(gate_carried("seen", measurement(observed_at=ago(800))))

        assert found.expires_at == NOW + timedelta(seconds=3600 - 800)

    def test_is_not_shortened_by_what_ran_now(self):
        events = [
            started(),
            collected(),
            gate_started(),
            gate_finished("ready", measurement(observed_at=ago(800))),
        ]

        assert decision([*events, finished()]).expires_at == NOW + timedelta(seconds=3600)

    def test_refuses_what_is_older_than_a_decision_lasts(self):
        found = decided(gate_carried("seen", measurement(observed_at=ago(600))), decision_ttl_s=600.0)

        assert codes(found) == {"carried.expired"}
        assert found.verdict is Verdict.NO_GO

    def test_refuses_a_gate_that_was_carried_and_ran(self):
        first, carried, listed, *rest = opened_run()
        events = [first, carried, listed, *gates("seen"), *rest]

        assert codes(decision(events, BOTH)) == {"gate.rerun"}

    def test_refuses_a_gate_that_was_carried_and_started(self):
        first, carried, listed, *rest = opened_run()
        events = [first, carried, listed, gate_started("seen"), *rest]

        assert "gate.not-finished" in codes(decision(events, BOTH))

    def test_refuses_an_attempt_that_was_not_the_first(self):
        again = gate_carried("seen")
        again["result"]["attempt"] = 2

        assert codes(decided(again)) == {"gate.rerun"}

    @pytest.mark.parametrize(
        "changes",
        [{"line": 13}, {"file": "gates/other.py"}, {"owner": None}, {"timeout_s": 5}, {"id": "other"}],
    )
    def test_refuses_a_gate_that_is_collected_otherwise(self, changes):
        then = gate_carried("seen", gate=info("seen", **changes))

        assert "carried.changed" in codes(decided(then))

    def test_refuses_a_gate_that_is_gone(self):
        first, carried, _, *rest = opened_run()
        found = decision([first, carried, collected("ready"), *rest], BOTH)

        assert codes(found) == {"carried.changed", "gate.not-collected"}

    def test_refuses_a_run_that_measured_nothing_itself(self):
        first = started(opened={**OPENED, "carried": 2})
        events = [first, gate_carried("ready"), gate_carried("seen"), collected("ready", "seen"), finished()]

        assert codes(decision(events, BOTH)) == {"run.nothing-selected"}

    def test_refuses_a_run_that_measured_nothing_but_skipped_what_does_not_apply(self):
        first, carried, *_ = opened_run()
        skipped = [phase("setup", "skipped", "skip"), phase("teardown")]
        ran = [gate_started("x"), gate_finished("x", phases=skipped, measurements=[], measured=0)]
        events = [first, carried, collected("seen", "x"), *ran, finished()]

        assert "run.nothing-selected" in codes(decision(events, policy("seen")))

    def test_does_not_run_what_was_carried_elsewhere(self):
        """Without its line a carried gate is one that never ran."""
        _, _, *rest = opened_run()

        assert "gate.not-run" in codes(decision([started(), *rest], BOTH))
