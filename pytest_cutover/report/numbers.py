"""Measured numbers for people: as amounts, as changes since the last run, as a share of their limit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from pytest_cutover.model import Operator, ValueKind

if TYPE_CHECKING:
    from pytest_cutover.model import JudgedMeasurement, Limit


def number(value: str) -> Decimal | None:
    """A measured text as the number it is; None when it is none that can be drawn."""
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < 300 else None


def numbers(limit: Limit) -> list[Decimal]:
    """The bounds of a limit when all of them are numbers that can be drawn; else none."""
    found = [number(str(b)) for b in limit.bounds] if limit.kind is ValueKind.NUMBER else [None]
    return [b for b in found if b is not None] if None not in found else []


def amount(value: str, unit: str) -> str:
    """`1.5 x`; long fractions are cut after four digits that count, the evidence keeps them whole."""
    whole, _, fraction = value.partition(".")
    if len(fraction) > 4 and fraction.isdecimal():
        zeros = 0 if whole.strip("-0") else len(fraction) - len(fraction.lstrip("0"))
        value = f"{whole}.{fraction[: zeros + 4]}"
    return value[:120] if unit == "1" else f"{value[:120]} {unit}"


def change(now: str, before: str) -> str:
    """How a number moved since the last run, such as `+12 %`; empty when that says nothing."""
    new, old = number(now), number(before)
    if new is None or old is None:
        return ""
    if new == old:
        return "same"
    if old == 0 or (new < 0) != (old < 0):
        return ""
    percent = (new - old) / abs(old) * 100
    return f"{percent:+.1f} %" if abs(percent) < 10 else f"{percent:+.0f} %" if abs(percent) < 10000 else ""


def limit_used(judged: JudgedMeasurement) -> Decimal | None:
    """How far a number is on the way to its limit: 1 is at it. None where nearer is not worse.

    A value that is exactly the least demanded is as it should be, and near nothing. A share has a ceiling too: of 99.9 %
    where at least 99.5 % are demanded a fifth of what may be lost is lost.
    """
    value, limit = number(judged.measurement.value), judged.limit
    if value is None or limit is None or limit.kind is not ValueKind.NUMBER:
        return None
    bounds = numbers(limit)
    if not bounds:
        return None
    if limit.operator is Operator.AT_MOST and bounds[0] > 0 and value >= 0:
        return value / bounds[0]
    if limit.operator is Operator.AT_LEAST and 0 < bounds[0] < value:
        ceiling = {"%": Decimal(100), "1": Decimal(1)}.get(limit.unit)
        if ceiling is not None and value <= ceiling:
            return (ceiling - value) / (ceiling - bounds[0])
        return bounds[0] / value
    if limit.operator is Operator.BETWEEN and bounds[0] < bounds[1]:
        middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
        return abs(value - middle) / half
    return None
