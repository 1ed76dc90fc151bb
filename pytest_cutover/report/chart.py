"""Small inline SVG: a measurement against its limit against the last run, and the run on a time line.

Shapes differ as well as colours: a disc is inside of its limit, a diamond outside, a ring is the last run.
The figures stand beside every chart as text, so charts are hidden from screen readers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_cutover.model import Operator
from pytest_cutover.report.view import number, numbers

if TYPE_CHECKING:
    from pytest_cutover.model import Limit

WIDTH, HEIGHT = 160, 22
_LEFT, _RIGHT, _MIDDLE = 8.0, WIDTH - 8.0, HEIGHT / 2
_BEYOND = 3
"""A value that many times beyond its limit is drawn at the edge, so that the limit stays to be seen."""


def bullet(value: str, limit: Limit | None, last: str | None, *, green: bool) -> str:
    """The chart of one number; empty for what cannot be drawn."""
    now = number(value)
    bounds = numbers(limit) if limit is not None else []
    if now is None or limit is None or not bounds:
        return ""
    before = None if last is None else number(last)
    low, high = _domain(now, bounds, before)
    if high <= low:
        return ""
    span = high - low

    def x(v: Decimal) -> float:
        share = min(max(float((v - low) / span), 0.0), 1.0)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    left, right = _allowed(limit.operator, bounds)
    a = _LEFT if left is None else x(left)
    b = _RIGHT if right is None else x(right)
    marks = [x(v) for v in bounds] if limit.operator in (Operator.EQUALS, Operator.ONE_OF) else []
    marks += [a] if left is not None and not marks else []
    marks += [b] if right is not None and not marks[1:] and right != left else []
    parts = [f'<svg class="c" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" aria-hidden="true">']
    parts.append(f'<path class="t" d="M{_LEFT} {_MIDDLE}H{_RIGHT}"/>')
    if b > a:
        parts.append(f'<path class="z" d="M{a} {_MIDDLE}H{b}"/>')
    parts.append(
        '<path class="l" d="' + "".join(f"M{m} 3V{HEIGHT - 3}" for m in dict.fromkeys(marks)) + '"/>'
    )
    if before is not None:
        parts.append(f'<circle class="o" cx="{x(before)}" cy="{_MIDDLE}" r="4"/>')
    parts.append(_marker(x(now), inside=low <= now <= high, low=now < low, green=green))
    parts.append("</svg>")
    return "".join(parts)


def _marker(at: float, *, inside: bool, low: bool, green: bool) -> str:
    if not inside:  # an arrow: it lies further out than is drawn
        tip, side = -5 if low else 5, "g" if green else "b"
        return f'<path class="{side}" d="M{at - tip} {_MIDDLE - 5}L{at + tip} {_MIDDLE}L{at - tip} {_MIDDLE + 5}z"/>'
    if green:
        return f'<circle class="g" cx="{at}" cy="{_MIDDLE}" r="4.5"/>'
    return f'<path class="b" d="M{at} {_MIDDLE - 6}l6 6-6 6-6-6z"/>'


def _allowed(operator: Operator, bounds: list[Decimal]) -> tuple[Decimal | None, Decimal | None]:
    """Where the green zone begins and ends; None is the edge of the chart."""
    if operator is Operator.AT_MOST:
        return None, bounds[0]
    if operator is Operator.AT_LEAST:
        return bounds[0], None
    if operator is Operator.BETWEEN:
        return bounds[0], bounds[1]
    return bounds[0], bounds[0]


def _domain(now: Decimal, bounds: list[Decimal], before: Decimal | None) -> tuple[Decimal, Decimal]:
    """From and to; zero is in it where nothing is negative, and a value far beyond the limit is not."""
    lowest, highest = min(bounds), max(bounds)
    reach = max(abs(lowest), abs(highest), highest - lowest)
    shown = [v for v in (now, before) if v is not None]
    if reach:
        shown = [min(max(v, lowest - _BEYOND * reach), highest + _BEYOND * reach) for v in shown]
    low, high = min(lowest, *shown), max(highest, *shown)
    if low >= 0:
        low = Decimal(0)
    room = (high - low) / 8 or Decimal(1)
    return (low if low == 0 else low - room), high + room


def timeline(bars: list[tuple[float, float, str]], total_s: float, row: int = 20) -> list[str]:
    """One bar per gate: begin and length in seconds, and its state; lines of SVG, one per bar."""
    out = []
    for begin, length, state in bars:
        x = round(600 * begin / total_s, 1)
        w = max(round(600 * length / total_s, 1), 2.0)
        out.append(
            f'<svg class="tl" viewBox="0 0 600 {row}" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="t" width="600" height="2" y="{row // 2 - 1}"/>'
            f'<rect class="s-{state}" x="{min(x, 598.0)}" width="{w}" y="4" height="{row - 8}" rx="2"/></svg>'
        )
    return out
