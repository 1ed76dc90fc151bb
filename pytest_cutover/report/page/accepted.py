"""Waivers, guards and obligations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.report.page.parts import chip, heads, line, time
from pytest_cutover.report.safe import html as esc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.view import View


def render(view: View) -> Iterator[str]:
    """A table for each that the decision names."""
    if view.waivers:
        yield '<section aria-labelledby="waivers"><h2 id="waivers">Waivers</h2>\n<div class="scroll"><table><thead><tr>'
        yield heads("Gate", "Accepted because", "Signed by", "Risk", "Ticket", "Until", "Counts")
        for w in view.waivers:
            counts = "yes" if w.refused is None else f"no: {w.refused}"
            accepts = f" <small>{esc(', '.join(w.accepts))}</small>" if w.accepts else ""
            cells = (esc(w.reason) + accepts, esc(", ".join(w.persons)), esc(w.risk), esc(w.ticket))
            yield line(f"<code>{esc(w.gate)}</code>", *cells, time(w.expires_at), esc(counts))
        yield "</tbody></table></div></section>\n"
    if view.guards:
        yield '<section aria-labelledby="guards"><h2 id="guards">Guards</h2>\n<div class="scroll"><table><thead><tr>'
        yield heads("Guard", "Kind", "What it does", "In place")
        for g in view.guards:
            state = "green" if g.confirmed else "hold"
            said = chip(state, "confirmed" if g.confirmed else "not confirmed")
            yield line(esc(g.name), esc(g.kind), esc(g.text), said)
        yield "</tbody></table></div></section>\n"
    if view.obligations:
        yield '<section aria-labelledby="owed"><h2 id="owed">Obligations</h2>\n<div class="scroll"><table><thead><tr>'
        yield heads("Gate that has to be green", "Why", "By", "State")
        for o in view.obligations:
            met = {None: ("hold", "owed"), True: ("green", "met"), False: ("red", "not met")}[o.met]
            due = "" if o.due_at is None else time(o.due_at)
            yield line(f"<code>{esc(o.gate)}</code>", esc(o.text), due, chip(*met))
        yield "</tbody></table></div></section>\n"
