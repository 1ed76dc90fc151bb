"""Each reason to stay by itself: with it a run stays, without it the same run goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pytest_cutover.retention.facts import Facts, Made
from pytest_cutover.retention.rules import Limits, choose
from tests.unit.evidence.runs import NOW

MADE = Made("preflight", "production", None)
LIMITS = Limits(1, timedelta(days=30))
TODAY = NOW + timedelta(days=90)


def run(day: int, **changes: Any) -> Facts:
    """A decided NO-GO about an artifact of its own."""
    at = NOW + timedelta(days=day)
    plain = Facts(
        name=f"{at:%Y%m%dT%H%M%S.000Z}-{day:08x}",
        begun=at,
        made=MADE,
        is_decided=True,
        has_bundle=True,
        changed=at,
        latest=at,
        go_since=None,
        in_force_until=at,
        about=frozenset({("production", f"sha256:{day}")}),
    )
    return replace(plain, **changes)


NEWEST = run(80)
OLD = run(1)


def gone(*runs: Facts, **more: Any) -> list[str]:
    return [r.name for r in choose(runs, LIMITS, TODAY, **more).removed]


class TestReasons:
    def test_with_none_it_goes(self) -> None:
        assert gone(OLD, NEWEST) == [OLD.name]

    @pytest.mark.parametrize(
        "changes",
        [
            {"problem": "it is a link"},
            {"begun": None},
            {"begun": TODAY - timedelta(days=29)},
            {"in_force_until": TODAY + timedelta(seconds=1)},
            {"is_decided": False, "changed": TODAY - timedelta(hours=23)},
            {"promises": True},
            {"made": None},
            {"made": Made("preflight", "staging", None)},
            {"made": Made("preflight", "production", "eu")},
            {"made": Made("canary", "production", None)},
        ],
        ids=lambda c: " ".join(c),
    )
    def test_with_one_it_stays(self, changes: dict[str, Any]) -> None:
        assert gone(replace(OLD, **changes), NEWEST) == []

    def test_a_killed_run_goes_a_day_later(self) -> None:
        killed = replace(OLD, is_decided=False, changed=TODAY - timedelta(hours=25))

        assert gone(killed, NEWEST) == [OLD.name]

    def test_what_is_needed_elsewhere_stays(self) -> None:
        assert gone(OLD, NEWEST, needed={OLD.name: "shows what another promised"}) == []

    def test_what_a_kept_run_names_stays_and_what_that_names(self) -> None:
        first, second = run(1), run(2, names=frozenset({OLD.name}))

        assert gone(first, second, run(80, names=frozenset({second.name}))) == []
        assert gone(first, second, NEWEST) == [first.name, second.name]

    def test_no_run_at_all_is_kept_by_nothing(self) -> None:
        assert gone() == []
        with pytest.raises(ValueError, match="at least the newest"):
            choose((), Limits(0, timedelta()), TODAY)


class TestTakingBack:
    GO = run(0, made=Made("canary", "production", None), go_since=NOW)

    def test_a_later_decision_about_the_same_stays_with_the_go(self) -> None:
        assert gone(self.GO, replace(OLD, about=self.GO.about), NEWEST) == []

    def test_one_about_something_else_goes(self) -> None:
        assert gone(self.GO, OLD, NEWEST) == [OLD.name]

    def test_one_that_could_be_about_anything_stays(self) -> None:
        assert gone(self.GO, replace(OLD, about=None), NEWEST) == []

    def test_an_earlier_one_goes(self) -> None:
        before = replace(OLD, about=self.GO.about, latest=NOW - timedelta(seconds=1))

        assert gone(self.GO, before, NEWEST) == [before.name]

    def test_unless_the_go_is_a_merge_s(self) -> None:
        before = replace(OLD, about=self.GO.about, latest=NOW - timedelta(seconds=1))

        assert gone(replace(self.GO, is_fleet=True), before, NEWEST) == []
        assert gone(replace(self.GO, is_fleet=True), replace(before, is_shard=False), NEWEST) != []

    def test_of_two_that_could_take_each_other_back_both_stay(self) -> None:
        """One of them may be forged, as whoever asks with other keys will see: which is gone first would decide."""
        go = replace(self.GO, made=MADE)
        other = replace(OLD, about=None, go_since=go.go_since, latest=go.latest + timedelta(days=1))

        assert gone(other, go, NEWEST) == []
        assert gone(replace(other, go_since=None), go, NEWEST) == [go.name, other.name]

    def test_a_go_that_goes_too_goes_first(self) -> None:
        go = replace(self.GO, made=MADE)
        no_go = replace(OLD, about=go.about)

        assert gone(no_go, go, NEWEST) == [go.name, no_go.name]
