"""`events`: a gate's result as the journal keeps it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.model import (
    GateInfo,
    GateResult,
    Limit,
    Measurement,
    Operator,
    Phase,
    ValueKind,
)
from pytest_cutover.record import gate_info, gate_result
from pytest_cutover.run.events import encode, ended, info_json

ODD = 'two\nlines "quoted" \\ \u2028 ümlaut \ud800 \x00'
LIMITS = st.none() | st.builds(
    Limit, st.just(Operator.AT_MOST), st.tuples(st.decimals(allow_nan=False, allow_infinity=False))
)
TEXTS = st.text(st.characters(), max_size=20)
MEASUREMENTS = st.builds(
    Measurement,
    TEXTS,
    TEXTS,
    st.sampled_from(ValueKind),
    TEXTS,
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.integers(0),
    st.none() | TEXTS,
    LIMITS,
    st.booleans(),
)
DURATIONS = st.floats(0, 1e6).map(lambda s: round(s, 6))
RAISED = st.none() | TEXTS.filter(bool)
RESULTS = st.builds(
    GateResult,
    TEXTS,
    st.integers(0),
    st.lists(st.builds(Phase, TEXTS, TEXTS, RAISED, TEXTS, DURATIONS), max_size=4).map(tuple),
    st.lists(MEASUREMENTS, max_size=3).map(tuple),
    st.integers(0),
    st.integers(0),
    st.lists(TEXTS, max_size=2).map(tuple),
    st.lists(st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2).map(tuple),
    TEXTS,
    DURATIONS,
)


class TestEnded:
    """What is written is what is read back."""

    @given(RESULTS)
    def test_comes_back_as_it_was(self, result: GateResult) -> None:
        """Through JSON and `record`, whatever the texts hold."""
        assert gate_result(json.loads(ended(result))) == result

    @given(RESULTS)
    def test_is_what_an_encoder_would_write(self, result: GateResult) -> None:
        """One line of compact ASCII: an end that had to be changed is written by the encoder."""
        text = ended(result)

        assert encode(json.loads(text)) == text
        assert text.isascii()
        assert "\n" not in text

    @pytest.mark.parametrize("duration_s", [float("nan"), float("inf")])
    def test_duration_that_is_no_number(self, duration_s: float) -> None:
        """No reader of strict JSON takes it, so that the run is not whole."""
        text = ended(GateResult("n", 1, (Phase("call", "passed", None, "", duration_s),), (), 0, 1))

        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(text)

    def test_all_fields_at_once(self) -> None:
        """As `docs/reference/formats.md` lists them; nothing raised is "", what was not said is left out."""
        limit = Limit(Operator.AT_MOST, (Decimal("0.5"),), "s", min_samples=3)
        at = datetime(2026, 11, 21, 8, 48, tzinfo=UTC)
        full = Measurement("a", ODD, ValueKind.TEXT, "s", at, 3, ODD, limit, information=True)
        bare = Measurement("b", "1", ValueKind.NUMBER, "1", at)
        result = GateResult(
            "g.py::t",
            1,
            (Phase("call", "failed", "error", ODD, 0.25),),
            (full, bare),
            2,
            1,
            (ODD,),
            ({"name": ODD},),
        )

        assert json.loads(ended(result)) == {
            "nodeid": "g.py::t",
            "worker": "main",
            "attempt": 1,
            "phases": [["call", "failed", "error", ODD, 0.25]],
            "reported": 1,
            "measurements": [
                {
                    "name": "a",
                    "value": ODD,
                    "kind": "text",
                    "unit": "s",
                    "observed_at": "2026-11-21T08:48:00.000000Z",
                    "samples": 3,
                    "source": ODD,
                    "limit": limit.to_json(),
                    "information": True,
                },
                {
                    "name": "b",
                    "value": "1",
                    "kind": "number",
                    "unit": "1",
                    "observed_at": "2026-11-21T08:48:00.000000Z",
                },
            ],
            "measured": 2,
            "notes": [ODD],
            "attachments": [{"name": ODD}],
            "duration_s": 0.0,
        }


class TestInfoJson:
    """A collected gate."""

    @pytest.mark.parametrize("timeout_s", [None, 2.5])
    def test_comes_back_as_it_was(self, timeout_s: float | None) -> None:
        """No time limit of its own is 0."""
        info = GateInfo("a", "a[x]", "g.py::t[x]", "g.py", 3, "title", owner="me", timeout_s=timeout_s)

        assert gate_info(json.loads(encode(info_json(info)))) == info
