"""What is not green: findings of the run, then a card for each gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.reasons import Weight
from pytest_cutover.report.numbers import amount
from pytest_cutover.report.page.chart import bullet
from pytest_cutover.report.page.parts import SIGNS
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.terminal import finding_text
from pytest_cutover.report.view import WORDS, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.model import Finding, JudgedMeasurement
    from pytest_cutover.report.view import GateView, View

_MOST_CARDS = 200


def render(view: View) -> Iterator[str]:
    """Nothing when all is green."""
    heavy = [f for f in view.run_findings if f.weight is not Weight.NOTE]
    notes = [f for f in view.run_findings if f.weight is Weight.NOTE]
    bad = [g for g in worst_first(view.gates) if g.state in ("red", "unproven", "hold")]
    if heavy or bad:
        yield '<section aria-labelledby="bad"><h2 id="bad">What stands against it</h2>\n'
        for finding in heavy:
            yield _run_finding(finding)
        for gate in bad[:_MOST_CARDS]:
            yield from _card(view, gate)
        if len(bad) > _MOST_CARDS:
            yield f"<p>and {len(bad) - _MOST_CARDS} more in the tables below</p>\n"
        yield "</section>\n"
    if notes:
        yield '<section aria-labelledby="notes"><h2 id="notes">Notes</h2>\n<ul class="notes">\n'
        for finding in notes[:_MOST_CARDS]:
            yield f"<li>{esc(finding_text(finding))} <code>{finding.reason.code}</code></li>\n"
        yield "</ul></section>\n"


def _run_finding(finding: Finding) -> str:
    state = str(finding.weight.value)
    where = f" <code>{esc(finding.where)}</code>" if finding.where else ""
    remedy = f'<p class="about"><b>Remedy</b> {esc(finding.remedy)}</p>' if finding.remedy else ""
    return (
        f'<article class="card {state}"><h3><span class="dot" aria-hidden="true">{SIGNS[state]}</span>The run'
        f'<span class="state">{WORDS[state]}</span></h3><ul class="why"><li>{esc(finding_text(finding))}{where} '
        f"<code>{finding.reason.code}</code></li></ul>{remedy}</article>\n"
    )


def _card(view: View, gate: GateView) -> Iterator[str]:
    judged, info = gate.judged, gate.info
    name = "" if judged.title == gate.name else f"<code>{esc(gate.name)}</code>"
    about = [
        name,
        esc(judged.category or ""),
        "" if judged.required else "not required by the plan, and counts all the same",
    ]
    yield (
        f'<article class="card {gate.state}"><h3><span class="dot" aria-hidden="true">{SIGNS[gate.state]}</span>'
        f'{esc(judged.title)}<span class="state">{WORDS[gate.state]}</span></h3>\n<p class="id">{" · ".join(filter(None, about))}</p>\n<ul class="why">'
    )
    for finding in gate.serious:
        yield f"<li>{esc(finding_text(finding))} <code>{finding.reason.code}</code></li>"
    yield "</ul>\n"
    shown = [j for j in judged.measurements if not j.green]
    if shown:
        yield '<div class="charts">'
        for one in shown[:8]:
            yield _figure(view, gate, one)
        yield "</div>\n"
    facts = [("Owner", judged.owner), ("Remedy", None if info is None else info.remedy)]
    facts.append(("Where", None if info is None else f"{view.path_of(info)}:{info.line}"))
    told = "".join(f"<div><dt>{word}</dt><dd>{esc(text)}</dd></div>" for word, text in facts if text)
    if told:
        yield f'<dl class="about">{told}</dl>\n'
    if gate.result is not None:
        yield from _left_behind(gate)
    yield "</article>\n"


def _left_behind(gate: GateView) -> Iterator[str]:
    """Notes and attachments of a gate."""
    assert gate.result is not None
    for note in gate.result.notes[:10]:
        yield f'<p class="note">{esc(note[:1000])}</p>\n'
    if len(gate.result.notes) > 10:
        yield f'<p class="note">and {len(gate.result.notes) - 10} more notes in report.json</p>\n'
    for attached in gate.result.attachments[:10]:
        yield f'<p class="note">attached: <code>attachments/{esc(str(attached.get("file", "")))}</code></p>\n'


def _figure(view: View, gate: GateView, judged: JudgedMeasurement) -> str:
    """One measurement as words and, for numbers, a chart."""
    m, limit = judged.measurement, judged.limit
    before = view.last_of(gate.key, m)
    chart = bullet(m.value, limit, None if before is None else before.value, green=judged.green)
    bound = "no limit" if limit is None else limit.text()
    last = (
        ""
        if before is None
        else f'<span class="last">last run {esc(amount(before.value, before.unit))}</span>'
    )
    return (
        f'<figure><figcaption>{esc(m.name)}</figcaption><b class="now">{esc(amount(m.value, m.unit))}</b>{chart}'
        f'<span class="lim">{esc(bound)}</span>{last}</figure>'
    )
