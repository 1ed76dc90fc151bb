"""Which gates of an earlier run are carried. Whole runs are opened in tests/false_go/test_open.py."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_cutover.decision import decide
from pytest_cutover.evidence.opened import MadeFor, carriable
from pytest_cutover.model import rfc3339
from pytest_cutover.record import fold
from pytest_cutover.run.opening import choose
from tests.unit.journals import (
    NOW,
    collected,
    finished,
    gate_finished,
    gate_started,
    gates,
    limit,
    measurement,
    phase,
    policy,
    sign,
    started,
)

ALL = policy("a", "b", "c")


def ago(seconds):
    return measurement(observed_at=rfc3339(NOW - timedelta(seconds=seconds)))


def ended(key, *measured, **changes):
    return [gate_started(key), gate_finished(key, *measured, **changes)]


def chosen(*events, judged_by=ALL):
    lines = sign([started(), collected("a", "b", "c"), *events, finished()])
    record = fold(lines)
    nodes = choose(record, decide(record, judged_by, NOW), carriable(lines), judged_by, NOW)
    return [node.rpartition("_")[2] for node in nodes]


class TestChoose:
    def test_takes_what_is_green(self):
        assert chosen(*gates("a"), *ended("b", measurement(value="9")), *gates("c")) == ["a", "c"]

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [gate_started("b")],
            [*gates("b"), *gates("b")],
            ended("b", attempt=2),
            ended("b", phases=[phase("setup"), phase("call", "failed", "error"), phase("teardown")]),
            ended(
                "b",
                phases=[phase("setup", "skipped", "skip"), phase("teardown")],
                measurements=[],
                measured=0,
            ),
            ended("b", measurement(unit="ms")),
            ended("b", measurement(), measured=2),
            ended("b", measurement(information=True, name="other")),
        ],
    )
    def test_takes_nothing_else(self, events):
        assert chosen(*gates("a"), *events) == ["a"]

    def test_takes_a_gate_whose_limit_only_differs_from_its_code(self):
        own = limit().to_json() | {"bounds": ["0.4"]}

        assert chosen(*ended("a", measurement(limit=own))) == ["a"]

    def test_looks_at_the_age_now(self):
        assert chosen(*ended("a", ago(901)), *ended("b", ago(800))) == ["b"]

    def test_leaves_time_for_the_run_itself(self):
        assert chosen(*ended("a", ago(896)), *ended("b", ago(890))) == ["b"]

    def test_leaves_time_for_the_gates_that_run_again(self):
        slow = ended("c", measurement(value="9"), duration_s=50.0)

        assert chosen(*ended("a", ago(860)), *ended("b", ago(800)), *slow) == ["b"]

    def test_leaves_time_for_those_that_run_again_because_of_that(self):
        """`c` leaves no time for `b`, and `b` then none for `a`."""
        slow = ended("c", measurement(value="9"), duration_s=50.0)

        assert chosen(*ended("a", ago(820)), *ended("b", ago(860), duration_s=40.0), *slow) == []

    def test_takes_nothing_that_is_older_than_a_decision_lasts(self):
        brief = policy("a", "b", "c", decision_ttl_s=100.0)

        assert chosen(*ended("a", ago(99)), *ended("b", ago(50)), judged_by=brief) == ["b"]

    def test_knows_the_limit_of_a_measurement_that_may_be_younger_only(self):
        young = policy("a", "b", "c", limits={k: {"latency": limit(max_age_s=60.0)} for k in "abc"})

        assert chosen(*ended("a", ago(58)), *ended("b", ago(30)), judged_by=young) == ["b"]


def test_what_a_run_is_made_for_are_fields_of_its_record():
    record = fold(sign([started(), finished()]))

    assert MadeFor.of(record).plan == "preflight"
