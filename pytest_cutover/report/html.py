"""report.html: one self-contained page for the meeting and the printer. No script, no external resource.

Built from plain strings: a template engine would cost more at import than five thousand rows. The style sheet is
allowed by its digest in the page's own Content-Security-Policy, and nothing else is: whatever a gate
smuggled into the page could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from pytest_cutover.model import SignerKind, ValueKind, Verdict, counted
from pytest_cutover.reasons import Weight
from pytest_cutover.report import sheet
from pytest_cutover.report.chart import bullet, timeline
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.style import CSS
from pytest_cutover.report.terminal import finding_text, observed
from pytest_cutover.report.view import STATES, WORDS, amount, carried_words, change, top_impact, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pytest_cutover.model import Finding, JudgedMeasurement, Subject
    from pytest_cutover.report.sheet import Filled
    from pytest_cutover.report.view import GateView, View

CHUNK = 100
"""Rows of one table: the browser lays out only those that are seen."""

_SIGNS = {"red": "✗", "unproven": "!", "hold": "…", "waived": "~", "green": "✓", "left": "–"}
_COLUMNS = "<colgroup>" + "".join(f'<col class="k{n}">' for n in range(1, 7)) + "</colgroup>"
_MOST_CARDS = 200
_MOST_SLOW = 40
_SHOWN_SUBJECTS = 3


def render(view: View) -> str:
    """The whole page."""
    style = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    title = f"{view.verdict.value}: {view.policy.plan} → {view.policy.environment}"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
    ]
    parts += _header(view)
    parts.append("<main>\n")
    parts += _bad(view)
    parts += _accepted(view)
    parts += _measured(view)
    parts += _sheet(view)
    parts += _timeline(view)
    parts += _provenance(view)
    parts += _verify(view)
    parts.append("</main>\n")
    parts.append(
        "<footer><p>This page is a view of the run. It is not evidence and carries no signature: "
        "what counts is the signed bundle.</p></footer>\n</body>\n</html>\n"
    )
    return "".join(parts)


# -- the top ---------------------------------------------------------------------------------


def _header(view: View) -> Iterator[str]:
    kind = "go" if view.is_go else "hold" if view.verdict is Verdict.HOLD else "nogo"
    guards = " guards" if view.verdict is Verdict.GO_WITH_GUARDS else ""
    policy, counts = view.policy, view.counts
    judged = len(view.gates) - counts["left"]
    sign = {"go": "✓", "hold": "…", "nogo": "✗"}[kind]
    yield f'<header class="top {kind}{guards}">\n<div class="v"><span class="sign" aria-hidden="true">{sign}</span>'
    yield f"<div><h1>{view.verdict.value}</h1>\n"
    yield f'<p class="where">{esc(policy.plan)} <span aria-label="for">→</span> {esc(policy.environment)}</p></div></div>\n'
    yield '<dl class="facts">\n'
    yield _release(view.record.subjects)
    yield f"<div><dt>Decided</dt><dd>{_time(view.decided_at)}</dd></div>\n"
    if view.is_go:
        yield f"<div><dt>Valid until</dt><dd>{_time(view.expires_at)}</dd></div>\n"
    yield f"<div><dt>Evidence</dt><dd>{_evidence_words(view)}</dd></div>\n"
    if view.last is not None:
        yield f"<div><dt>Last run</dt><dd>{view.last.verdict.value}, {_time(view.last.decided_at)}</dd></div>\n"
    if policy.sandbox:
        yield "<div><dt>Sandbox</dt><dd>Counts nowhere else.</dd></div>\n"
    yield "</dl>\n"
    carried = f", {len(view.carried)} carried" if view.carried else ""
    yield f'<p class="sum"><b>{counts["green"]}</b> of <b>{judged}</b> gates green{carried}</p>\n{_bar(view)}'
    yield '<ul class="counts">'
    for state in STATES:
        if counts[state]:
            yield f'<li class="{state}"><span class="dot" aria-hidden="true">{_SIGNS[state]}</span>{counts[state]} {WORDS[state]}</li>'
    yield "</ul>\n"
    impact = top_impact(view)
    if impact is not None:
        lead = "Nearest to its limit" if view.is_go else "Weighs most"
        yield f'<p class="impact"><span>{lead}</span> <b>{esc(impact.gate)}</b> {esc(impact.text)}</p>\n'
    if view.evidence.problems:
        yield '<div class="warn"><p><b>This evidence does not verify.</b> Do not rely on it.</p><ul>'
        for problem in view.evidence.problems[:20]:
            yield f"<li>{esc(problem)}</li>"
        yield "</ul></div>\n"
    yield "</header>\n"


def _release(subjects: Sequence[Subject]) -> str:
    """What is released: the first three, and how many more there are."""
    if not subjects:
        return ""
    told = []
    for subject in subjects[:_SHOWN_SUBJECTS]:
        name, value = next(iter(subject.digest.items()), ("", ""))
        told.append(f"<dd>{esc(subject.name)} <code>{esc(f'{name}:{value[:16]}…')}</code></dd>")
    more = len(subjects) - _SHOWN_SUBJECTS
    if more > 0:
        told.append(f"<dd>and {more} more, under Provenance</dd>")
    wide = ' class="wide"' if len(told) > 1 else ""
    return f"<div{wide}><dt>Release</dt>{''.join(told)}</div>\n"


def _bar(view: View) -> str:
    """The shares of the states as one bar."""
    total = len(view.gates)
    if not total:
        return ""
    parts = ['<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">']
    at = 0.0
    for state in STATES:
        width = 1000 * view.counts[state] / total
        if width:
            parts.append(
                f'<rect class="s-{state}" x="{at:.1f}" width="{max(width - 2, 1):.1f}" height="10"/>'
            )
            at += width
    return "".join(parts) + "</svg>\n"


def _evidence_words(view: View) -> str:
    evidence = view.evidence
    if not evidence.sealed:
        return "<b>none was sealed</b>"
    if evidence.keyid is None:
        return "<b>unsigned</b>, admits nothing"
    kind = "development key" if evidence.signer == SignerKind.DEVELOPMENT.value else "key"
    told = f"signed with {kind} <code>{esc(evidence.keyid[:12])}</code>"
    if evidence.problems is None:
        return told
    return told + (", <b>does not verify</b>" if evidence.problems else ", verified")


def _time(at: datetime) -> str:
    return f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M:%S} UTC</time>'


# -- what is not green -----------------------------------------------------------------------


def _bad(view: View) -> Iterator[str]:
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
        f'<article class="card {state}"><h3><span class="dot" aria-hidden="true">{_SIGNS[state]}</span>The run'
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
        f'<article class="card {gate.state}"><h3><span class="dot" aria-hidden="true">{_SIGNS[gate.state]}</span>'
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


# -- waivers, guards, obligations ------------------------------------------------------------


def _accepted(view: View) -> Iterator[str]:
    if view.waivers:
        yield '<section aria-labelledby="waivers"><h2 id="waivers">Waivers</h2>\n<div class="scroll"><table><thead><tr>'
        yield _heads("Gate", "Accepted because", "Signed by", "Risk", "Ticket", "Until", "Counts")
        for w in view.waivers:
            counts = "yes" if w.refused is None else f"no: {w.refused}"
            accepts = f" <small>{esc(', '.join(w.accepts))}</small>" if w.accepts else ""
            cells = (esc(w.reason) + accepts, esc(", ".join(w.persons)), esc(w.risk), esc(w.ticket))
            yield _line(f"<code>{esc(w.gate)}</code>", *cells, _time(w.expires_at), esc(counts))
        yield "</tbody></table></div></section>\n"
    if view.guards:
        yield '<section aria-labelledby="guards"><h2 id="guards">Guards</h2>\n<div class="scroll"><table><thead><tr>'
        yield _heads("Guard", "Kind", "What it does", "In place")
        for g in view.guards:
            state = "green" if g.confirmed else "hold"
            said = _chip(state, "confirmed" if g.confirmed else "not confirmed")
            yield _line(esc(g.name), esc(g.kind), esc(g.text), said)
        yield "</tbody></table></div></section>\n"
    if view.obligations:
        yield '<section aria-labelledby="owed"><h2 id="owed">Obligations</h2>\n<div class="scroll"><table><thead><tr>'
        yield _heads("Gate that has to be green", "Why", "By", "State")
        for o in view.obligations:
            met = {None: ("hold", "owed"), True: ("green", "met"), False: ("red", "not met")}[o.met]
            due = "" if o.due_at is None else _time(o.due_at)
            yield _line(f"<code>{esc(o.gate)}</code>", esc(o.text), due, _chip(*met))
        yield "</tbody></table></div></section>\n"


def _heads(*names: str) -> str:
    return "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr></thead><tbody>\n"


def _line(first: str, *cells: str) -> str:
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>\n'


def _chip(state: str, text: str) -> str:
    return (
        f'<span class="chip {state}"><span class="dot" aria-hidden="true">{_SIGNS[state]}</span>{text}</span>'
    )


# -- everything that was measured ------------------------------------------------------------


def _measured(view: View) -> Iterator[str]:
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
            yield _heads("Gate", "Measured", "", "Value", "Limit", "Last run")
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
        f'<th scope="row"{span}><b class="dot" role="img" aria-label="{WORDS[gate.state]}">{_SIGNS[gate.state]}</b>'
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


# -- the decision sheet ----------------------------------------------------------------------


def _sheet(view: View) -> Iterator[str]:
    policy = view.policy
    yield '<section class="sheet" aria-labelledby="sheet"><h2 id="sheet">Decision sheet</h2>\n'
    yield (
        f"<p>{esc(policy.plan)} → {esc(policy.environment)} · run <code>{esc(view.record.run_id)}</code> · measured verdict "
        f"<b>{view.verdict.value}</b> at {_time(view.decided_at)}. Rows without a gate are decided by hand.</p>\n"
    )
    yield '<div class="scroll"><table><thead><tr>'
    yield _heads(
        "#", "Question", "GO", "NO-GO", "Notes", "Decision maker", "Signature", "Time (UTC)"
    ).replace("</thead><tbody>", "</thead>")
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


# -- timeline --------------------------------------------------------------------------------


def _timeline(view: View) -> Iterator[str]:
    record = view.record
    ended = record.finished_at
    yield '<section aria-labelledby="time"><h2 id="time">Timeline</h2>\n<ol class="steps">\n'
    yield f"<li>{_time(record.started_at)} run began</li>\n"
    if ended is not None:
        taken = (ended - record.started_at).total_seconds()
        yield f"<li>{_time(ended)} last gate ended, after {taken:.1f} s</li>\n"
    yield f"<li>{_time(view.decided_at)} decided: <b>{view.verdict.value}</b></li>\n"
    if view.is_go:
        yield f"<li>{_time(view.expires_at)} the decision expires</li>\n"
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
    yield _heads("Gate", "When", "Took")
    for gate, svg in zip(drawn, timeline(bars, total), strict=True):
        name, took = esc(gate.name), f"{gate.judged.duration_s:.2f} s"
        yield f'<tr><th scope="row"><code>{name}</code></th><td class="w">{svg}</td><td class="n">{took}</td></tr>\n'
    yield "</tbody></table>\n"


# -- where it comes from, and how to check it ------------------------------------------------


def _provenance(view: View) -> Iterator[str]:
    record, policy, evidence = view.record, view.policy, view.evidence
    pinned = "pinned by the policy" if policy.gate_code_digest else "not pinned"
    rows = [
        ("Run", f"<code>{esc(record.run_id)}</code> · {record.runner.value}"),
        ("Plan, environment", f"{esc(policy.plan)} → {esc(policy.environment)}"),
        (
            "Policy",
            f"{esc(policy.name)} v{policy.version}, {policy.signature.value} <code>{esc(policy.digest)}</code>",
        ),
        ("Gate code", f"{pinned} <code>{esc(record.gate_code_digest)}</code>"),
        (
            "Signed by",
            _evidence_words(view) + (f" <code>{esc(evidence.keyid)}</code>" if evidence.keyid else ""),
        ),
    ]
    rows += [(what.capitalize(), esc(where)) for what, where in evidence.kept]
    for subject in record.subjects[:50]:
        digests = " ".join(f"<code>{esc(f'{n}:{v}')}</code>" for n, v in subject.digest.items())
        rows.append(("Release", f"{esc(subject.name)} {digests}"))
    if len(record.subjects) > 50:
        rows.append(("Release", f"and {len(record.subjects) - 50} more in report.json"))
    if not record.subjects:
        rows.append(("Release", "no digest was named"))
    if view.carried:
        rows.append(("Carried", esc(carried_words(view))))
    if record.shard is not None:
        rows.append(("Shard", esc(str(record.shard))))
    rows += [("Target", f"{esc(n)} {esc(u)}") for n, u in record.target.items()]
    rows.append(("Versions", esc(", ".join(f"{n} {v}" for n, v in record.versions.items()))))
    if view.last is not None:
        last = view.last
        rows.append(
            (
                "Compared with",
                f"<code>{esc(last.run_id)}</code>, {last.verdict.value}, {_time(last.decided_at)}",
            )
        )
    else:
        rows.append(("Compared with", "no earlier run of this plan and environment whose evidence verifies"))
    yield '<section aria-labelledby="from"><h2 id="from">Provenance</h2>\n<dl class="prov">\n'
    yield from (f"<div><dt>{name}</dt><dd>{text}</dd></div>\n" for name, text in rows)
    yield "</dl></section>\n"


def _verify(view: View) -> Iterator[str]:
    evidence = view.evidence
    yield '<section aria-labelledby="check"><h2 id="check">How to verify</h2>\n'
    if not evidence.sealed:
        yield "<p>Nothing was sealed: there is nothing to verify, and no deploy step admits this run.</p></section>\n"
        return
    if evidence.keyid is None:
        yield "<p>The evidence is not signed: nobody can tell whether it was changed, and no deploy step admits it.</p></section>\n"
        return
    link = f' <a href="{esc(evidence.url)}" rel="noreferrer">Where it is kept</a>.' if evidence.url else ""
    yield f"<p>Do not trust this page: ask the evidence.{link}</p>\n"
    lines = [f"cutover verify {evidence.folder}"]
    for subject in view.record.subjects[:1]:
        sha = subject.digest.get("sha256")
        if sha:
            lines.append(f"cutover admit --digest sha256:{sha} --environment {view.policy.environment}")
    yield f"<pre>{esc(chr(10).join(lines))}</pre>\n"
    yield (
        "<p>The keys to trust come from outside of the repository that is released (<code>--trust</code>, "
        "<code>CUTOVER_TRUST</code>). Without this tool: each line of <code>bundle.intoto.jsonl</code> is a DSSE envelope, which "
        "<code>openssl</code> checks against the public key"
    )
    if evidence.report_sha256 is not None:
        yield f"; and <code>sha256sum report.json</code> prints</p>\n<pre>{esc(evidence.report_sha256)}</pre>\n"
    else:
        yield ".</p>\n"
    yield "</section>\n"
