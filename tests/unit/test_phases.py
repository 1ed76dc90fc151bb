"""Which phase `-m` asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.phases import PHASES, asked_phases, misspelt

REGISTERED = ["gate", "slow", *PHASES]


class TestAskedPhases:
    """Phases named positively."""

    @pytest.mark.parametrize(
        ("expression", "asked"),
        [
            ("preflight", {"preflight"}),
            ("preflight and not slow", {"preflight"}),
            ("not preflight", set()),
            ("not not preflight", {"preflight"}),
            ("not (preflight or slow)", set()),
            ("not (slow or not preflight)", {"preflight"}),
            ("not (not (not preflight))", set()),
            ("slow or (preflight)", {"preflight"}),
            ("preflight or canary", {"preflight", "canary"}),
            ("not preflight or canary", {"canary"}),
            ("(not preflight) and canary", {"canary"}),
            ("device(name='preflight')", set()),
            ("device(name='x', y=(1)) and preflight", {"preflight"}),
            ("preflight_slow", set()),
            ("True", set()),
            ("", set()),
            ("(((", set()),
            (")preflight", {"preflight"}),
            ("not", set()),
            ("preflight and and", {"preflight"}),
        ],
    )
    def test_expression(self, expression: str, asked: set[str]) -> None:
        """`not` counts through parentheses; pytest itself reports syntax errors."""
        assert asked_phases(expression) == asked

    @given(st.text(alphabet="not and()preflight='\"=,.0 ", max_size=40))
    def test_any_expression_is_accepted(self, expression: str) -> None:
        """A wrong one is pytest's to report."""
        assert asked_phases(expression) <= set(PHASES)


class TestMisspelt:
    """A typo must not run nothing and exit well."""

    @pytest.mark.parametrize(
        ("expression", "wrong"),
        [
            ("prefligth", ("prefligth", "preflight")),
            ("Preflight", ("Preflight", "preflight")),
            ("slow and postcut_over", ("postcut_over", "postcutover")),
            ("canery", ("canery", "canary")),
            ("not rehersal", ("rehersal", "rehearsal")),
        ],
    )
    def test_near_miss_names_the_phase(self, expression: str, wrong: tuple[str, str]) -> None:
        """What was meant."""
        assert misspelt(expression, REGISTERED) == wrong

    @pytest.mark.parametrize("expression", ["preflight", "slow", "unrelated", "", "fast and not flaky"])
    def test_others_are_left_to_pytest(self, expression: str) -> None:
        """A name that resembles no phase is none of ours."""
        assert misspelt(expression, REGISTERED) is None

    def test_registered_marker_may_resemble_a_phase(self) -> None:
        """A project's own marker is no typo."""
        assert misspelt("preflights", [*REGISTERED, "preflights"]) is None
