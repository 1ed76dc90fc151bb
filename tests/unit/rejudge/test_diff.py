from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from pytest_cutover.model import Operator, Requirement
from pytest_cutover.rejudge.diff import difference, findings_between
from tests.unit.journals import (
    NOW,
    clean_run,
    collected,
    finished,
    gate_finished,
    gate_started,
    limit,
    measurement,
    policy,
    problem,
    started,
)
from tests.unit.rejudge.cases import case


def measured(*values, **changes):
    events = [gate_started(), gate_finished("ready", *values, **changes)]
    return [started(), collected(), *events, finished()]


class TestDifference:
    def test_of_a_run_and_itself_is_empty(self):
        found = difference(case(), case())

        assert found.is_empty
        assert found.to_json()["same"] is True

    def test_of_two_runs_alike_is_empty_whenever_they_were_made(self):
        later = [started(run_id="another", nonce="6f" * 16), *clean_run()[1:-1], finished(nonce="6f" * 16)]
        second = case(later)

        assert difference(case(), second).is_empty

    def test_names_the_verdict_the_value_and_the_limit(self):
        before = case(measured(measurement(value="0.2")))
        after = case(measured(measurement(value="0.9", samples=3)))

        found = difference(before, after)

        assert not found.is_empty
        assert [m.text for m in found.measured] == [
            "ready  latency: 0.2 s → 0.9 s (3 samples), limit at most 0.5 s: was green, is not"
        ]
        assert [f.reason.code for f in found.findings.new] == ["limit.broken"]
        assert found.to_json()["verdict"] == {"before": ["GO", 0], "after": ["NO-GO", 10]}

    @pytest.mark.parametrize(
        ("before", "after", "text"),
        [
            (
                [],
                [measurement(value="1", information=True)],
                "ready  latency: not measured → 1 s, limit at most 0.5 s",
            ),
            ([measurement("x", information=True)], [], "ready  x: 0.2 s → not measured, no limit"),
        ],
    )
    def test_names_what_was_measured_only_once(self, before, after, text):
        two = [measurement("other", information=True)]
        found = difference(case(measured(*two, *before)), case(measured(*two, *after)))

        assert [m.text for m in found.measured] == [text]

    def test_names_gates_that_appeared_and_vanished(self):
        found = difference(case(clean_run("a", "b"), policy("a")), case(clean_run("b", "c"), policy("b")))

        assert (found.appeared, found.vanished) == (("c",), ("a",))
        assert [c.text for c in found.policy if c.name.startswith("requires")] == [
            "requires a: required → (none)",
            "requires b: (none) → required",
        ]

    def test_names_what_changed_in_the_policy(self):
        loose = limit(Operator.AT_MOST, Decimal(2), min_samples=3, max_age_s=60.0)
        after = case(
            requires=(Requirement("ready", ("eu", "us")),),
            limits={"ready": {"latency": loose}},
            max_age_s=60.0,
        )

        assert [c.text for c in difference(case(), after).policy] == [
            "requires ready: required → instances eu, us",
            "limit ready latency: at most 0.5 s → at most 2 s, 3 samples or more, at most 60 s old",
            "max_age_s: 900 → 60",
        ]

    def test_shows_a_limit_that_moved_beside_the_value(self):
        after = case(limits={"ready": {"latency": limit(Operator.AT_MOST, Decimal("0.1"))}})

        (one,) = difference(case(), after).measured

        assert (
            one.text
            == "ready  latency: 0.2 s → 0.2 s, limit at most 0.5 s → at most 0.1 s: was green, is not"
        )

    def test_names_what_changed_about_the_run(self):
        other = {"name": "shop", "digest": {"sha256": "e" * 64}}
        after = case([started(subjects=[other], shard="eu", versions={"pytest": "9.3"}), *clean_run()[1:]])

        found = {c.name: c.after for c in difference(case(), after).run}

        assert found == {"subjects": f"shop sha256:{'e' * 64}", "shard": "eu", "version of pytest": "9.3"}


class TestFindings:
    def test_that_both_have_are_in_neither_whatever_their_figures(self):
        before = case(measured(measurement(value="0.9"))).decide()
        after = case(measured(measurement(value="5"))).decide()

        found = findings_between(before, after)

        assert (found.gone, found.new) == ((), ())

    def test_are_counted_one_more_of_a_kind_is_new(self):
        once = case([*clean_run()[:-1], problem("run.not-clean"), finished()]).decide()
        twice = case(
            [*clean_run()[:-1], problem("run.not-clean"), problem("run.not-clean"), finished()]
        ).decide()

        assert [f.reason.code for f in findings_between(once, twice).new] == ["run.not-clean"]
        assert [f.reason.code for f in findings_between(twice, once).gone] == ["run.not-clean"]


class TestUnderAnotherPolicy:
    def test_a_case_is_not_told_that_its_policy_changed(self):
        other = policy(digest="sha256:" + "9" * 64, environment="staging", sandbox=False)

        assert case().under(other, NOW).decide().verdict.value == "GO"

    def test_a_case_is_judged_at_the_time_asked_about(self):
        late = case().under(policy(), NOW + timedelta(days=1)).decide()

        assert {f.reason.code for f in late.findings} == {"measurement.stale"}
