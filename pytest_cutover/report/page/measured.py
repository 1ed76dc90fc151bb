"""Everything that was measured, in a table for each category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import ValueKind, counted
from pytest_cutover.report.numbers import amount, change
from pytest_cutover.report.page.chart import bullet
from pytest_cutover.report.page.parts import SIGNS, heads
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.terminal import finding_text, observed
from pytest_cutover.report.view import STATES, WORDS, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.model import JudgedMeasurement
    from pytest_cutover.report.view import GateView, View

CHUNK = 100
"""Rows of one table: the browser lays out only those that are seen."""

_COLUMNS = "<colgroup>" + "".join(f'<col class="k{n}">' for n in range(1, 7)) + "</colgroup>"


def render(view: View) -> Iterator[str]:
    """Nothing when no gate was collected."""
    if not view.gates:
        return
    yield '<section aria-labelledby="measured"><h2 id="measured">What was measured</h2>\n'
    yield (
        '<p class="key" aria-hidden="true"><svg class="i" width="22" height="22"><circle class="g" cx="11" cy="11" r="4.5"/>'
        '</svg>within its limit <svg class="i" width="22" height="22"><path class="b" d="M11 5l6 6-6 6-6-6z"/></svg>outside '
        '<svg class="i" width="22" height="22"><circle class="o" cx="11" cy="11" r="4"/></svg>last run '
        '<svg class="i" width="34" height="22"><path class="z" d="M4 11H17"/><path class="l" d="M17 3V19"/></svg>allowed, limit</p>\n'
    )
    groups: dict[str, list[GateView]] = {}
    for gate in worst_first(view.gates):
        groups.setdefault(gate.judged.category or "without a category", []).append(gate)
    for category, gates in groups.items():
        yield f'<h3 class="cat">{esc(category)} <small>{_tally(gates)}</small></h3>\n'
        for at in range(0, len(gates), CHUNK):
            part = gates[at : at + CHUNK]
            rows = sum(max(len(g.judged.measurements), 1) for g in part)
            size = "s" if rows < 5 else "m" if rows < 30 else "l" if rows < 150 else "x"
            yield f'<div class="scroll cv {size}"><table class="m"><caption class="vh">{esc(category)}</caption>{_COLUMNS}<thead><tr>'
            yield heads("Gate", "Measured", "", "Value", "Limit", "Last run")
            for gate in part:
                yield _rows(view, gate)
            yield "</tbody></table></div>\n"
    yield "</section>\n"


def _tally(gates: Sequence[GateView]) -> str:
    states = [g.state for g in gates]
    return ", ".join(f"{states.count(s)} {WORDS[s]}" for s in STATES if s in states)


def _rows(view: View, gate: GateView) -> str:
    judged = gate.judged
    measured = judged.measurements
    span = f' rowspan="{len(measured)}"' if len(measured) > 1 else ""
    seconds = f"{judged.duration_s:.2f} s" if gate.result is not None else "not run"
    if gate.carried:
        seconds = (
            f'<span title="{esc(gate.carried)}">carried, observed {observed(judged):%H:%M:%S} UTC</span>'
        )
    name = "" if judged.title == gate.name else f"{esc(gate.name)} · "
    head = (
        f'<th scope="row"{span}><b class="dot" role="img" aria-label="{WORDS[gate.state]}">{SIGNS[gate.state]}</b>'
        f"{esc(judged.title)}<small>{name}{seconds}</small></th>"
    )
    if not measured:
        why = esc(finding_text(gate.serious[0])) if gate.serious else "nothing"
        return f'<tr class="{gate.state}">{head}<td colspan="5">{why}</td></tr>\n'
    cells = [_cells(view, gate, one) for one in measured]
    rows = [f'<tr class="{gate.state}">{head}{cells[0]}</tr>\n']
    rows += [f"<tr>{c}</tr>\n" for c in cells[1:]]
    return "".join(rows)


def _cells(view: View, gate: GateView, judged: JudgedMeasurement) -> str:
    m, limit = judged.measurement, judged.limit
    before = None if view.last is None else view.last_of(gate.key, m)
    last = moved = chart = ""
    if before is not None:
        last = esc(amount(before.value, before.unit))
        if m.kind is ValueKind.NUMBER and (text := change(m.value, before.value)):
            moved = f" <small>{text}</small>"
    if limit is not None and m.kind is ValueKind.NUMBER:
        chart = bullet(m.value, limit, None if before is None else before.value, green=judged.green)
    bound = (
        "information"
        if limit is None and m.information
        else "no limit"
        if limit is None
        else esc(limit.text())
    )
    samples = f" <small>{counted(m.samples, 'sample')}</small>" if m.samples is not None else ""
    value = esc(amount(m.value, m.unit))
    shown = value if judged.green else f'<b class="bad">{value}</b>'
    return f'<td>{esc(m.name)}{samples}</td><td class="ch">{chart}</td><td class="n">{shown}</td><td>{bound}</td><td class="n">{last}{moved}</td>'
