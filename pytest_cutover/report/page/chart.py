"""Small inline SVG: a measurement against its limit against the last run, and the run on a time line.

Shapes differ as well as colours: a disc is inside of its limit, a diamond outside, a ring is the last run.
The figures stand beside every chart as text, so charts are hidden from screen readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import Operator, ValueKind

if TYPE_CHECKING:
    from pytest_cutover.model import Limit

WIDTH, HEIGHT = 160, 22
_LEFT, _RIGHT = 8.0, WIDTH - 8.0
_LARGEST = 1e300
_OPEN = f'<svg class="c" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
_BEYOND = 3
"""A value that many times beyond its limit is drawn at the edge, so that the limit stays to be seen."""


def bullet(value: str, limit: Limit | None, last: str | None, *, green: bool) -> str:
    """The chart of one number; empty for what cannot be drawn."""
    now = _float(value)
    if now is None or limit is None or limit.kind is not ValueKind.NUMBER:
        return ""
    bounds = [b for b in map(_float, map(str, limit.bounds)) if b is not None]
    if len(bounds) != len(limit.bounds):
        return ""
    before = None if last is None else _float(last)
    low, high = _domain(now, bounds, before)
    scale = (_RIGHT - _LEFT) / (high - low)

    def x(v: float) -> float:
        return round(_LEFT + (min(max(v, low), high) - low) * scale, 1)

    left, right, marks = _allowed(limit.operator, bounds)
    a, b = _LEFT if left is None else x(left), _RIGHT if right is None else x(right)
    zone = f'<path class="z" d="M{a:g} 11H{b:g}"/>' if b > a else ""
    lines = "".join([f"M{x(m):g} 3V19" for m in marks])
    ring = "" if before is None else f'<circle class="o" cx="{x(before):g}" cy="11" r="4"/>'
    marker = _marker(x(now), inside=low <= now <= high, low=now < low, green=green)
    return f'{_OPEN}{zone}<path class="l" d="{lines}"/>{ring}{marker}</svg>'


def _float(value: str) -> float | None:
    """A number that can be drawn; a picture needs no exact decimals."""
    try:
        found = float(value)
    except ValueError:
        return None
    return found if abs(found) < _LARGEST else None  # false for NaN too


def _marker(at: float, *, inside: bool, low: bool, green: bool) -> str:
    side = "g" if green else "b"
    if not inside:  # an arrow: it lies further out than is drawn
        tip = -5 if low else 5
        return f'<path class="{side}" d="M{at - tip:g} 6L{at + tip:g} 11L{at - tip:g} 16z"/>'
    if green:
        return f'<circle class="g" cx="{at:g}" cy="11" r="4.5"/>'
    return f'<path class="b" d="M{at:g} 5l6 6-6 6-6-6z"/>'


def _allowed(operator: Operator, bounds: list[float]) -> tuple[float | None, float | None, list[float]]:
    """Where the green zone begins and ends (None: the edge of the chart), and where lines stand."""
    if operator is Operator.AT_MOST:
        return None, bounds[0], bounds
    if operator is Operator.AT_LEAST:
        return bounds[0], None, bounds
    if operator is Operator.BETWEEN:
        return bounds[0], bounds[1], bounds
    return bounds[0], bounds[0], list(dict.fromkeys(bounds))


def _domain(now: float, bounds: list[float], before: float | None) -> tuple[float, float]:
    """From and to; zero is in it where nothing is negative, and a value far beyond the limit is not."""
    lowest, highest = min(bounds), max(bounds)
    reach = _BEYOND * max(abs(lowest), abs(highest), highest - lowest)
    shown = [now] if before is None else [now, before]
    if reach:
        shown = [min(max(v, lowest - reach), highest + reach) for v in shown]
    low, high = min(lowest, *shown), max(highest, *shown)
    room = (high - low) / 8
    if low >= 0:
        return 0.0, high + (high / 8 or 1.0)
    return low - (room or 1.0), high + (room or 1.0)


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
