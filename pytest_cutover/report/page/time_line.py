"""When what happened, and how long each gate took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.report.page.chart import timeline
from pytest_cutover.report.page.parts import heads, time
from pytest_cutover.report.safe import html as esc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.view import View

_MOST_SLOW = 40


def render(view: View) -> Iterator[str]:
    """Steps of the run, then a bar for each gate."""
    record = view.record
    ended = record.finished_at
    yield '<section aria-labelledby="time"><h2 id="time">Timeline</h2>\n<ol class="steps">\n'
    yield f"<li>{time(record.started_at)} run began</li>\n"
    if ended is not None:
        taken = (ended - record.started_at).total_seconds()
        yield f"<li>{time(ended)} last gate ended, after {taken:.1f} s</li>\n"
    yield f"<li>{time(view.decided_at)} decided: <b>{view.verdict.value}</b></li>\n"
    if view.is_go:
        yield f"<li>{time(view.expires_at)} the decision expires</li>\n"
    yield "</ol>\n"
    yield from _bars(view)
    yield "</section>\n"


def _bars(view: View) -> Iterator[str]:
    record = view.record
    drawn = [g for g in view.gates if g.info is not None and g.info.nodeid in view.starts]
    if drawn:
        begins = [(view.starts[g.info.nodeid] - record.started_at).total_seconds() for g in drawn if g.info]
        bars = [(max(b, 0.0), g.judged.duration_s, g.state) for b, g in zip(begins, drawn, strict=True)]
        total = max(max(b + d for b, d, _ in bars), 0.001)
        caption = f"Gates over {total:.1f} s"
    else:
        slow = sorted(view.gates, key=lambda g: -g.judged.duration_s)[:_MOST_SLOW]
        drawn = [g for g in slow if g.judged.duration_s > 0 and not g.carried]
        if not drawn:
            return
        bars = [(0.0, g.judged.duration_s, g.state) for g in drawn]
        total = bars[0][1]
        caption = f"The {len(drawn)} slowest gates, of {len(view.gates)}"
    yield f'<table class="gantt"><caption>{caption}</caption><thead class="vh"><tr>'
    yield heads("Gate", "When", "Took")
    for gate, svg in zip(drawn, timeline(bars, total), strict=True):
        name, took = esc(gate.name), f"{gate.judged.duration_s:.2f} s"
        yield f'<tr><th scope="row"><code>{name}</code></th><td class="w">{svg}</td><td class="n">{took}</td></tr>\n'
    yield "</tbody></table>\n"
