"""The `gate` fixture's object: what a gate author calls. It records and never decides."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import MeasurementError
from pytest_cutover.files import write_atomic
from pytest_cutover.model import SECTION_TYPE, SECTIONS, GateInfo, Limit, Measurement, Operator, ValueKind
from pytest_cutover.strictjson import MAX_DIGITS, MAX_EXPONENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.readings import Reading
    from pytest_cutover.redact import Redactor

MEASUREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PLAIN_DIGITS = 24  # up to here a number is written out: 53288960, not 5.328896E+7
MAX_ATTACHMENT_BYTES = 16 << 20


class Gate:
    """The `gate` fixture: records what one criterion measured. It never decides."""

    def __init__(
        self, info: GateInfo, folder: Path | None, redactor: Redactor, readings: Sequence[Reading] = ()
    ) -> None:
        self.info = info
        self._readings = readings
        self._folder = folder
        self._redact = redactor
        self.measurements: list[Measurement] = []
        self.measured = 0
        self.notes: list[str] = []
        self.attachments: list[dict[str, str]] = []

    def measure(
        self,
        name: str,
        value: object,
        *,
        unit: str = "1",
        samples: int | None = None,
        observed_at: datetime | None = None,
        source: str | None = None,
        information: bool = False,
        at_least: object = None,
        at_most: object = None,
        between: Sequence[object] | None = None,
        equals: object = None,
        one_of: Sequence[object] | None = None,
    ) -> None:
        """Record one measured value; the policy's limit (or else the one given here) judges it later.

        Args:
            name: unique within the gate.
            value: a finite int, float or Decimal, or a str judged by `equals`/`one_of`. Anything else
                (NaN, bool, None, a mock) is recorded as invalid, and the gate is not green.
            unit: compared letter for letter with the limit's, never converted.
            samples: how many observations the value rests on.
            observed_at: aware; when left out, now, or when the first shared reading that the gate asks
                for was begun.
            source: where it was read, for people.
            information: record it without a limit.

        Raises:
            MeasurementError: the call itself is wrong (a bad name or unit, two limits, a naive time).
        """
        self.measured += 1  # first, so that a refused call shows as a lost measurement
        words = {
            "at_least": at_least,
            "at_most": at_most,
            "between": between,
            "equals": equals,
            "one_of": one_of,
        }
        _check_name(name)
        _check_unit(unit)
        if self._redact.found_in_name(name) or self._redact.found_in_name(unit):
            raise MeasurementError("the name or unit of a measurement holds what looks like a secret")
        kind, text = _value(value)
        self.measurements.append(
            Measurement(
                name=name,
                value=text if kind is ValueKind.NUMBER else self._redact(text),
                kind=kind,
                unit=unit,
                observed_at=self._now() if observed_at is None else _check_time(observed_at),
                samples=None if samples is None else _check_samples(samples),
                source=None if source is None else self._redact(str(source)),
                limit=_limit(name, words, unit),
                information=bool(information),
            )
        )

    def _now(self) -> datetime:
        taken = [r.taken_at for r in self._readings if r.taken_at is not None]
        return min(taken) if taken else datetime.now(UTC)

    def conforms(self, document: Any, schema: Mapping[str, Any], *, name: str = "schema_errors") -> None:
        """Measure in how many places `document` breaks a JSON Schema; the limit is 0 unless the policy says other.

        Raises:
            MeasurementError: the schema itself is invalid.
        """
        import jsonschema

        validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            validator_class.check_schema(dict(schema))
        except jsonschema.SchemaError as exc:
            raise MeasurementError(f"the schema for {name} is invalid: {exc.message}") from exc
        errors = list(validator_class(dict(schema)).iter_errors(document))
        for error in errors[:5]:
            self.note(f"{name}: {error.json_path}: {error.message}")
        self.measure(name, len(errors), at_most=0)

    def note(self, text: str) -> None:
        """Keep a sentence with the gate; it judges nothing."""
        self.notes.append(self._redact(str(text)))

    def attach(self, name: str, content: bytes | str, *, media_type: str = "text/plain") -> Path | None:
        """Keep a file with the run; the evidence names its SHA-256. Secrets in text are redacted first.

        Returns where it is; None when the run has no folder.

        Raises:
            MeasurementError: more than 16 MiB.
            AdapterError: it cannot be written.
        """
        try:
            text = content if isinstance(content, str) else content.decode()
            data = self._redact(text).encode()
        except UnicodeDecodeError:
            data = bytes(content)  # type: ignore[arg-type] # a str never fails to decode
        if len(data) > MAX_ATTACHMENT_BYTES:
            raise MeasurementError(
                f"attachment {name!r} has {len(data)} bytes, at most {MAX_ATTACHMENT_BYTES}"
            )
        digest = hashlib.sha256(data).hexdigest()
        file = f"{digest[:12]}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-')[:80] or 'attachment'}"
        if self._folder is not None:
            write_atomic(self._folder / file, data)
        self.attachments.append(
            {
                "name": self._redact(name),
                "file": file,
                "sha256": digest,
                "media_type": media_type,
                "bytes": str(len(data)),
            }
        )
        return None if self._folder is None else self._folder / file

    def section(self, name: str, document: Mapping[str, Any]) -> Path | None:
        """Provide a section of the run's evidence document: judges, perf, perf_judge or canary.

        It is kept as an attachment, and judges nothing: what has a limit is measured too. Returns where it is.

        Raises:
            MeasurementError: no such section, provided before by this gate, or `document` is no JSON object.
            AdapterError: it cannot be written.
        """
        if name not in SECTIONS:
            raise MeasurementError(f"expected one of the sections {', '.join(SECTIONS)}, got {name!r:.80}")
        if any(a["name"] == name and a["media_type"] == SECTION_TYPE for a in self.attachments):
            raise MeasurementError(f"section {name!r} was provided before by this gate")
        try:
            if not isinstance(document, Mapping):
                raise TypeError(f"expected an object, got {type(document).__name__}")
            text = json.dumps(dict(document), allow_nan=False, indent=1, ensure_ascii=False, default=_exact)
        except (TypeError, ValueError, RecursionError) as exc:
            raise MeasurementError(f"section {name!r} cannot be written as JSON: {exc}") from None
        return self.attach(name, f"{text}\n", media_type=SECTION_TYPE)


def _exact(value: object) -> str:
    """A decimal as its text, as measurements have it."""
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not MEASUREMENT_NAME.fullmatch(name):
        raise MeasurementError(
            f"expected a measurement name of letters, digits, '.', '_' and '-', got {name!r:.80}"
        )


def _check_unit(unit: object) -> None:
    if not isinstance(unit, str) or not unit or unit != unit.strip() or len(unit) > 32:
        raise MeasurementError(f"expected a unit such as 's' or '1', got {unit!r:.80}")


def _check_time(at: object) -> datetime:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise MeasurementError(
            f"expected a timezone-aware observed_at, got {at!r:.80}",
            hint="datetime.now(UTC), not datetime.now()",
        )
    return at


def _check_samples(samples: object) -> int:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 0:
        raise MeasurementError(f"expected samples as a count of 0 or more, got {samples!r:.80}")
    return int(samples)


def _value(value: object) -> tuple[ValueKind, str]:
    """Kind and exact text of a measured value."""
    if isinstance(value, str):
        return ValueKind.TEXT, str.__str__(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return ValueKind.INVALID, f"{type(value).__name__} {_safe_repr(value)}"
    try:
        number = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    except (ArithmeticError, ValueError, TypeError):
        return ValueKind.INVALID, _safe_repr(value)
    if not number.is_finite():
        return ValueKind.INVALID, str(number)
    if len(number.as_tuple().digits) > MAX_DIGITS or abs(number.adjusted()) > MAX_EXPONENT:
        return ValueKind.INVALID, f"a number of {len(number.as_tuple().digits)} digits"
    text = str(number)
    return ValueKind.NUMBER, f"{number:f}" if "E" in text and abs(number.adjusted()) < PLAIN_DIGITS else text


def _safe_repr(value: object) -> str:
    try:
        return repr(value)[:80]
    except Exception as exc:  # a hostile __repr__ must not stop the record
        return f"<unprintable: {type(exc).__name__}>"


def _limit(name: str, words: Mapping[str, Any], unit: str) -> Limit | None:
    given = [word for word, bound in words.items() if bound is not None]
    if not given:
        return None
    if len(given) > 1:
        raise MeasurementError(f"{name}: expected one limit, got {' and '.join(given)}")
    operator = Operator(given[0])
    bound = words[given[0]]
    raw = list(bound) if operator in (Operator.BETWEEN, Operator.ONE_OF) else [bound]
    values = [_value(b) for b in raw]
    kinds = {kind for kind, _ in values}
    if len(kinds) != 1 or ValueKind.INVALID in kinds:
        raise MeasurementError(
            f"{name}: {given[0]} needs finite numbers or texts, not a mix, got {bound!r:.80}"
        )
    text = kinds == {ValueKind.TEXT}
    if text and operator not in (Operator.EQUALS, Operator.ONE_OF):
        raise MeasurementError(f"{name}: a text is judged by equals or one_of, got {given[0]}")
    bounds = tuple(t if text else Decimal(t) for _, t in values)
    if operator is Operator.BETWEEN and (len(bounds) != 2 or bounds[0] > bounds[1]):  # type: ignore[operator] # numbers
        raise MeasurementError(f"{name}: between needs low and high, got {bound!r:.80}")
    return Limit(operator, bounds, unit)
