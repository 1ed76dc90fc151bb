"""`Gate`: what a gate author calls. Everything is recorded; nothing is decided."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.errors import AdapterError, MeasurementError
from pytest_cutover.gate import MAX_ATTACHMENT_BYTES, Gate
from pytest_cutover.model import SECTION_TYPE, Limit, Measurement, Operator, ValueKind
from pytest_cutover.record import gate_info
from pytest_cutover.redact import MARK, Redactor
from tests.unit import journals

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2hunter2"


def made(folder: Path | None = None) -> Gate:
    return Gate(gate_info(journals.info()), folder, Redactor({"SHOP_TOKEN": SECRET}))


def measured(value: object, **changes: Any) -> Measurement:
    gate = made()
    gate.measure("m", value, **changes)
    (one,) = gate.measurements
    return one


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Loud(int):
    def __repr__(self) -> str:
        return "0"


class TestValues:
    """What a value is recorded as."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (3, "3"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-7, "0.0000001"),
            (5.328896e7, "53288960.0"),
            (Decimal("5.328896E+7"), "53288960"),
            (Decimal("1.50"), "1.50"),
            (1e300, "1E+300"),
            (10**63, "1" + "0" * 63),
            (Loud(7), "7"),
        ],
    )
    def test_finite_number_is_exact_decimal_text(self, value: object, text: str) -> None:
        """0.1 means 0.1."""
        one = measured(value)

        assert (one.kind, one.value) == (ValueKind.NUMBER, text)

    @pytest.mark.parametrize(
        "value",
        [
            *(
                float("nan"),
                float("inf"),
                -float("inf"),
                Decimal("NaN"),
                Decimal("sNaN"),
                Decimal("-Infinity"),
            ),
            *(True, False, None, b"ready", [1], {}, Fraction(1, 2), 1j, MagicMock(), Hostile(), 10**64),
            *(Decimal("1e401"), Decimal("1e-401"), datetime.now(UTC)),
        ],
        ids=lambda v: type(v).__name__,
    )
    def test_anything_else_is_invalid(self, value: object) -> None:
        """Recorded to show, never green; a mock or a hostile repr stops nothing."""
        one = measured(value, at_least=0)

        assert one.kind is ValueKind.INVALID
        assert one.value

    def test_text_is_itself(self) -> None:
        """A subclass cannot show another text than it holds."""
        assert measured("ready").kind is ValueKind.TEXT
        assert measured(Text("ready")).value == "ready"

    def test_text_is_redacted(self) -> None:
        """Also a value may hold a secret."""
        assert measured(f"got {SECRET}").value == f"got {MARK}"

    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**60), 10**60))
    def test_number_comes_back(self, value: float) -> None:
        """The text is the number, digit for digit."""
        one = measured(value)

        assert Decimal(one.value) == Decimal(repr(value))

    @given(st.from_type(type).flatmap(st.from_type) | st.text() | st.binary())
    def test_any_value_is_recorded(self, value: object) -> None:
        """One call, one measurement."""
        assert measured(value).name == "m"


class TestMeasure:
    """What stands beside the value."""

    def test_defaults(self) -> None:
        """Unit 1, observed now, nothing else claimed."""
        one = measured(1)

        assert datetime.now(UTC) - one.observed_at < timedelta(seconds=5)
        assert (one.unit, one.samples, one.source, one.limit, one.information) == (
            "1",
            None,
            None,
            None,
            False,
        )

    def test_everything_given(self) -> None:
        """Source text is redacted, the rest kept."""
        at = datetime(2026, 11, 21, tzinfo=UTC)
        one = measured(
            1, unit="ms", samples=3, observed_at=at, source=f"https://x/?{SECRET}", information=True
        )

        assert (one.unit, one.samples, one.observed_at) == ("ms", 3, at)
        assert one.source == f"https://x/?{MARK}"
        assert one.information

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [
            ({"at_least": 3}, Limit(Operator.AT_LEAST, (Decimal(3),))),
            ({"at_most": 0.1}, Limit(Operator.AT_MOST, (Decimal("0.1"),))),
            ({"at_most": 0}, Limit(Operator.AT_MOST, (Decimal(0),))),
            ({"between": (1, 2)}, Limit(Operator.BETWEEN, (Decimal(1), Decimal(2)))),
            ({"equals": "ready"}, Limit(Operator.EQUALS, ("ready",))),
            ({"one_of": ["a", "b"]}, Limit(Operator.ONE_OF, ("a", "b"))),
            ({"one_of": [1, 2.5]}, Limit(Operator.ONE_OF, (Decimal(1), Decimal("2.5")))),
        ],
        ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
    )
    def test_limit_in_the_code(self, limit: dict[str, Any], expected: Limit) -> None:
        """The same words as in the policy."""
        assert measured(1, **limit).limit == expected

    @pytest.mark.parametrize(
        ("name", "value", "changes", "message"),
        [
            ("", 1, {}, "expected a measurement name of letters"),
            ("a b", 1, {}, "got 'a b'"),
            (7, 1, {}, "got 7"),
            ("m", 1, {"unit": ""}, "expected a unit such as 's' or '1', got ''"),
            ("m", 1, {"unit": " s"}, "expected a unit"),
            ("m", 1, {"unit": "s" * 33}, "expected a unit"),
            ("m", 1, {"unit": None}, "expected a unit"),
            (f"login.{SECRET}", 1, {}, "looks like a secret"),
            ("m", 1, {"unit": SECRET}, "looks like a secret"),
            ("m", 1, {"observed_at": datetime(2026, 1, 1)}, "expected a timezone-aware observed_at"),  # noqa: DTZ001
            ("m", 1, {"observed_at": "now"}, "expected a timezone-aware observed_at"),
            ("m", 1, {"samples": -1}, "samples as a count of 0 or more, got -1"),
            ("m", 1, {"samples": True}, "samples as a count"),
            ("m", 1, {"samples": 1.5}, "samples as a count"),
            ("m", 1, {"at_least": 1, "at_most": 2}, "m: expected one limit, got at_least and at_most"),
            ("m", 1, {"at_most": float("nan")}, "at_most needs finite numbers or texts"),
            ("m", 1, {"at_most": True}, "needs finite numbers"),
            ("m", 1, {"one_of": [1, "a"]}, "not a mix"),
            ("m", 1, {"one_of": []}, "one_of needs"),
            ("m", 1, {"at_most": "a"}, "a text is judged by equals or one_of, got at_most"),
            ("m", 1, {"between": (2, 1)}, "between needs low and high"),
            ("m", 1, {"between": (1,)}, "between needs low and high"),
            ("m", 1, {"between": (1, 2, 3)}, "between needs low and high"),
        ],
    )
    def test_wrong_call(self, name: Any, value: object, changes: dict[str, Any], message: str) -> None:
        """Said at once, and counted: a measurement that was refused shows as a lost one."""
        gate = made()

        with pytest.raises(MeasurementError, match=message):
            gate.measure(name, value, **changes)

        assert (gate.measured, len(gate.measurements)) == (1, 0)

    def test_same_name_twice_is_recorded_twice(self) -> None:
        """decide() says measurement.duplicate; the record hides nothing."""
        gate = made()
        gate.measure("m", 1)
        gate.measure("m", 2)

        assert [m.value for m in gate.measurements] == ["1", "2"]


class TestConforms:
    """A document against a JSON Schema, as a measurement."""

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["id"],
    }

    def test_errors_are_counted_and_noted(self) -> None:
        """The limit is 0, and the places stand in the notes."""
        gate = made()
        gate.conforms({"n": "x"}, self.SCHEMA)

        (one,) = gate.measurements
        assert (one.name, one.value, one.limit) == (
            "schema_errors",
            "2",
            Limit(Operator.AT_MOST, (Decimal(0),)),
        )
        assert any("$.n: 'x' is not of type 'integer'" in n for n in gate.notes)

    def test_conforming_document(self) -> None:
        """0, under a name of one's own."""
        gate = made()
        gate.conforms({"id": 1}, self.SCHEMA, name="order.schema")

        assert [(m.name, m.value) for m in gate.measurements] == [("order.schema", "0")]
        assert gate.notes == []

    def test_invalid_schema_is_the_gates_mistake(self) -> None:
        """A schema that checks nothing must not pass everything."""
        with pytest.raises(MeasurementError, match="the schema for schema_errors is invalid"):
            made().conforms({}, {"type": "nonsense"})


class TestNotes:
    """Sentences kept with the gate."""

    def test_note_is_redacted(self) -> None:
        """And is text, whatever it was."""
        gate = made()
        gate.note(f"with {SECRET}")
        gate.note(7)  # type: ignore[arg-type] # on purpose

        assert gate.notes == [f"with {MARK}", "7"]


class TestAttach:
    """Files kept with the run."""

    def test_text_is_redacted_and_named_by_its_digest(self, tmp_path: Path) -> None:
        """The evidence names what is on the disk."""
        gate = made(tmp_path)
        gate.attach("out/log.txt", f"token {SECRET}\n")

        (one,) = gate.attachments
        kept = (tmp_path / one["file"]).read_bytes()
        assert kept == f"token {MARK}\n".encode()
        assert one["sha256"] == hashlib.sha256(kept).hexdigest()
        assert one["file"] == f"{one['sha256'][:12]}-out-log.txt"
        assert (one["media_type"], one["bytes"]) == ("text/plain", str(len(kept)))

    def test_text_in_bytes_is_redacted_too(self, tmp_path: Path) -> None:
        """Bytes that are UTF-8 are text."""
        gate = made(tmp_path)
        gate.attach("log", SECRET.encode())

        assert (tmp_path / gate.attachments[0]["file"]).read_bytes() == MARK.encode()

    def test_binary_is_kept_as_it_is(self, tmp_path: Path) -> None:
        """A picture is no text."""
        gate = made(tmp_path)
        gate.attach("shot.png", b"\x89PNG\xff", media_type="image/png")

        assert (tmp_path / gate.attachments[0]["file"]).read_bytes() == b"\x89PNG\xff"

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "", "a\x00b", "x" * 500])
    def test_name_cannot_lead_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        """The file lies in the run's folder, whatever it is called."""
        gate = made(tmp_path / "attachments")
        gate.attach(name, "x")

        assert os.listdir(tmp_path / "attachments") == [gate.attachments[0]["file"]]  # noqa: PTH208
        assert os.listdir(tmp_path) == ["attachments"]  # noqa: PTH208

    def test_too_much_is_refused(self, tmp_path: Path) -> None:
        """A run is no file store."""
        with pytest.raises(MeasurementError, match="attachment 'big' has 16777217 bytes, at most 16777216"):
            made(tmp_path).attach("big", b"\xff" * (MAX_ATTACHMENT_BYTES + 1))

    def test_unwritable_folder_is_an_error(self, tmp_path: Path) -> None:
        """An attachment that is not there is not listed."""
        (tmp_path / "attachments").write_text("")
        gate = made(tmp_path / "attachments")

        with pytest.raises(AdapterError, match="cannot write"):
            gate.attach("log", "x")
        assert gate.attachments == []


class TestSection:
    def test_is_kept_as_an_attachment_of_its_own_type(self, tmp_path: Path) -> None:
        gate = made(tmp_path)
        path = gate.section("perf", {"p95_s": Decimal("0.1"), "windows": [1, 2]})

        assert path is not None
        assert json.loads(path.read_text()) == {"p95_s": "0.1", "windows": [1, 2]}
        assert [(a["name"], a["media_type"]) for a in gate.attachments] == [("perf", SECTION_TYPE)]

    @pytest.mark.parametrize(
        ("name", "document", "says"),
        [
            ("performance", {}, "expected one of the sections judges, perf, perf_judge, canary"),
            ("perf", [1], "expected an object, got list"),
            ("perf", {"p95": float("nan")}, "cannot be written as JSON"),
            ("perf", {"p95": object()}, "object has no form in JSON"),
            ("perf", {"p95": Decimal("NaN")}, "Decimal has no form in JSON"),
        ],
    )
    def test_is_one_json_object_of_a_known_name(self, name: str, document: Any, says: str) -> None:
        with pytest.raises(MeasurementError, match=says):
            made().section(name, document)

    def test_is_provided_once(self) -> None:
        gate = made()
        gate.section("perf", {})

        with pytest.raises(MeasurementError, match="was provided before by this gate"):
            gate.section("perf", {})
