"""The decision sheet, with room for signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import counted
from pytest_cutover.report.page import sheet
from pytest_cutover.report.page.parts import heads, time
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.terminal import finding_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.page.sheet import Filled
    from pytest_cutover.report.view import GateView, View


def render(view: View) -> Iterator[str]:
    """The sheet as far as gates speak for its rows."""
    policy = view.policy
    yield '<section class="sheet" aria-labelledby="sheet"><h2 id="sheet">Decision sheet</h2>\n'
    yield (
        f"<p>{esc(policy.plan)} → {esc(policy.environment)} · run <code>{esc(view.record.run_id)}</code> · measured verdict "
        f"<b>{view.verdict.value}</b> at {time(view.decided_at)}. Rows without a gate are decided by hand.</p>\n"
    )
    yield '<div class="scroll"><table><thead><tr>'
    yield heads("#", "Question", "GO", "NO-GO", "Notes", "Decision maker", "Signature", "Time (UTC)").replace(
        "</thead><tbody>", "</thead>"
    )
    for category, rows in sheet.fill(view):
        yield f'<tbody><tr class="group"><th scope="rowgroup" colspan="8">{category}</th></tr>\n'
        for row in rows:
            yield _sheet_row(row)
        yield "</tbody>\n"
    yield "</table></div>\n"
    yield '<dl class="signs"><div><dt>Release manager</dt><dd></dd></div><div><dt>Signature</dt><dd></dd></div>'
    yield "<div><dt>Date and time (UTC)</dt><dd></dd></div></dl>\n</section>\n"


def _sheet_row(row: Filled) -> str:
    go = row.is_go
    number = "" if row.number is None else str(row.number)
    judged = [g for g in row.gates if g.state != "left"]
    if go is None:
        note = "no gate measured it" if not row.gates else "not applicable in this run"
        note = f'<span class="none">{note}</span>'
    elif go:
        note = f"{counted(len(judged), 'gate')} green"
    else:
        bad = [g for g in judged if g.state not in ("green", "waived")]
        note = "; ".join(esc(_short(g)) for g in bad[:3]) + (f"; {len(bad) - 3} more" if len(bad) > 3 else "")
    yes = _box(go is True, "GO")
    no = _box(go is False, "NO-GO")
    return (
        f'<tr><td class="n">{number}</td><th scope="row">{row.question}</th><td class="x">{yes}</td><td class="x">{no}</td>'
        f'<td class="nt">{note}</td><td></td><td class="sg"></td><td></td></tr>\n'
    )


def _short(gate: GateView) -> str:
    return f"{gate.name}: {finding_text(gate.serious[0])}"[:160] if gate.serious else gate.name


def _box(ticked: bool, word: str) -> str:
    mark = "☒" if ticked else "☐"
    said = f"measured: {word}" if ticked else "open"
    return f'<span aria-hidden="true">{mark}</span><span class="vh">{said}</span>'
