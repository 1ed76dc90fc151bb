"""The top of the page: the verdict, what it is about, and how many gates are in which state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import Verdict
from pytest_cutover.report.impact import top_impact
from pytest_cutover.report.page.parts import SIGNS, evidence_words, time
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.view import STATES, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.model import Subject
    from pytest_cutover.report.view import View

_SHOWN_SUBJECTS = 3


def render(view: View) -> Iterator[str]:
    """The verdict, the facts, and what weighs most."""
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
    yield f"<div><dt>Decided</dt><dd>{time(view.decided_at)}</dd></div>\n"
    if view.is_go:
        yield f"<div><dt>Valid until</dt><dd>{time(view.expires_at)}</dd></div>\n"
    yield f"<div><dt>Evidence</dt><dd>{evidence_words(view)}</dd></div>\n"
    if view.last is not None:
        yield f"<div><dt>Last run</dt><dd>{view.last.verdict.value}, {time(view.last.decided_at)}</dd></div>\n"
    if policy.sandbox:
        yield "<div><dt>Sandbox</dt><dd>Counts nowhere else.</dd></div>\n"
    yield "</dl>\n"
    carried = f", {len(view.carried)} carried" if view.carried else ""
    yield f'<p class="sum"><b>{counts["green"]}</b> of <b>{judged}</b> gates green{carried}</p>\n{_bar(view)}'
    yield '<ul class="counts">'
    for state in STATES:
        if counts[state]:
            yield f'<li class="{state}"><span class="dot" aria-hidden="true">{SIGNS[state]}</span>{counts[state]} {WORDS[state]}</li>'
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
