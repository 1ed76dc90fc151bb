"""summary.md: the run in Markdown, for a pull request's comment and a CI job's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import Verdict
from pytest_cutover.reasons import Weight
from pytest_cutover.report.impact import top_impact
from pytest_cutover.report.numbers import amount, change
from pytest_cutover.report.safe import code
from pytest_cutover.report.terminal import finding_text
from pytest_cutover.report.view import STATES, WORDS, carried_words, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.model import JudgedMeasurement
    from pytest_cutover.report.view import GateView, View

MARK = "<!-- pytest-cutover summary -->"
"""First line: whoever posts comments finds the one to replace by it."""

MAX_CHARS = 60_000
"""GitHub refuses comments of more than 65 536 characters."""

_SIGNS = {"red": "❌", "unproven": "⚠️", "hold": "⏳", "waived": "🟡", "green": "✅", "left": "⚪"}
_VERDICTS = {Verdict.GO: "✅", Verdict.GO_WITH_GUARDS: "🟡", Verdict.NO_GO: "❌", Verdict.HOLD: "⏳"}
_SHOWN_BAD = 50
_SHOWN_GREEN = 200


def render(view: View) -> str:
    """The whole file; rows that would not fit into a comment are counted instead."""
    head, tail = "\n".join(_head(view)), "\n".join(_tail(view))
    room = MAX_CHARS - len(head) - len(tail)
    ordered = worst_first(view.gates)
    bad = [g for g in ordered if g.state not in ("green", "left")]
    good = [g for g in ordered if g.state in ("green", "left")]
    parts = [head]
    if bad:
        table = _table(view, bad, _SHOWN_BAD, room * 2 // 3)
        parts.append(table)
        room -= len(table)
    if good:
        count = f"{len(good)} gate{'s' if len(good) > 1 else ''} green or not applicable"
        table = _table(view, good, _SHOWN_GREEN, room - 200)
        parts.append(f"<details><summary>{count}</summary>\n\n{table}\n</details>\n")
    parts.append(tail)
    return "\n".join(parts) + "\n"


def _head(view: View) -> Iterator[str]:
    plan, environment = code(view.policy.plan), code(view.policy.environment)
    yield MARK
    yield f"## {_VERDICTS[view.verdict]} {view.verdict.value}: {plan} → {environment}"
    yield ""
    counts = view.counts
    told = [f"**{counts[state]} {WORDS[state]}**" for state in STATES if counts[state]]
    yield f"{', '.join(told) or 'No gate was run'} · exit {view.exit_code} · decided {view.decided_at:%Y-%m-%d %H:%M} UTC"
    if view.is_go:
        sandbox = " · sandbox: no other environment accepts it" if view.policy.sandbox else ""
        yield f"· valid until {view.expires_at:%Y-%m-%d %H:%M} UTC{sandbox}"
    yield ""
    impact = top_impact(view)
    if impact is not None:
        lead = "Nearest to its limit" if view.is_go else "Top impact"
        yield f"{lead}: {code(impact.gate)}: {code(impact.text)}"
        yield ""
        yield f"Label: {code(impact.label)}"
        yield ""
    for finding in view.run_findings[:_SHOWN_BAD]:
        sign = "🔹" if finding.weight is Weight.NOTE else _SIGNS[str(finding.weight.value)]
        yield f"- {sign} {code(finding_text(finding))} ({finding.reason.code})"
    hidden = len(view.run_findings) - _SHOWN_BAD
    if hidden > 0:
        yield f"- and {hidden} more in report.json"
    for waiver in view.waivers:
        who = " and ".join(code(p) for p in waiver.persons)
        yield (
            f"- 🟡 {code(waiver.gate)} is waived by {who} until {waiver.expires_at:%Y-%m-%d %H:%M} UTC:"
            f" {code(waiver.reason)} ({code(waiver.ticket)}, risk {code(waiver.risk)})"
        )
    for guard in view.guards:
        said = "in place" if guard.confirmed else "**not confirmed**"
        yield f"- guard {code(guard.name)}: {code(guard.text)}, {said}"
    for duty in view.obligations:
        due = "" if duty.due_at is None else f" by {duty.due_at:%Y-%m-%d %H:%M} UTC"
        yield f"- owed: {code(duty.gate)} green{due}"
    yield ""


def _table(view: View, gates: list[GateView], most: int, room: int) -> str:
    lines = [
        "| | gate | finding | measured | limit | last run | owner |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    used, shown = sum(map(len, lines)) + 100, 0
    for gate in gates[:most]:
        row = _row(view, gate)
        used += len(row) + 1
        if used > room:
            break
        lines.append(row)
        shown += 1
    if shown < len(gates):
        lines.append(f"\nand {len(gates) - shown} more in report.html")
    return "\n".join(lines) + "\n"


def _row(view: View, gate: GateView) -> str:
    first = gate.serious[0] if gate.state != "green" and gate.serious else None
    judged = _shown(gate)
    measured = limit = last = ""
    if judged is not None:
        m = judged.measurement
        measured = code(f"{m.name} {amount(m.value, m.unit)}", 80)
        limit = "" if judged.limit is None else code(judged.limit.text(), 80)
        before = view.last_of(gate.key, m)
        moved = "" if before is None else change(m.value, before.value)
        last = (
            ""
            if before is None
            else code(amount(before.value, before.unit), 40) + (f" ({moved})" if moved else "")
        )
    more = len(gate.judged.measurements) - 1
    if more > 0 and measured:
        measured += f" and {more} more"
    finding = "" if first is None else code(finding_text(first))
    sign = f"{_SIGNS[gate.state]} {WORDS[gate.state]}" + (", carried" if gate.carried else "")
    cells = (sign, code(gate.name, 80), finding, measured, limit, last, code(gate.judged.owner or "", 40))
    return f"| {' | '.join(cells)} |"


def _shown(gate: GateView) -> JudgedMeasurement | None:
    """The measurement that stands for a gate: the first that is not green, else the first with a limit."""
    measured = gate.judged.measurements
    not_green = [j for j in measured if not j.green]
    limited = [j for j in measured if j.limit is not None]
    return next(iter([*not_green, *limited, *measured]), None)


def _tail(view: View) -> Iterator[str]:
    evidence, policy = view.evidence, view.policy
    for subject in view.record.subjects[:10]:
        digests = ", ".join(f"{name}:{value}" for name, value in subject.digest.items())
        yield f"- subject {code(subject.name, 80)} {code(digests)}"
    hidden = len(view.record.subjects) - 10
    if hidden > 0:
        yield f"- and {hidden} more subjects in report.json"
    yield f"- policy {code(policy.name)} v{policy.version}, {policy.signature.value}, {code(policy.digest)}"
    if view.last is None:
        yield "- last run: none of this plan and environment whose evidence verifies"
    else:
        last = view.last
        yield f"- last run: {last.verdict.value}, {last.decided_at:%Y-%m-%d %H:%M} UTC, {code(last.run_id)}"
    if view.carried:
        yield f"- carried: {code(carried_words(view))}"
    where = code(evidence.folder) if evidence.url is None else f"[{evidence.folder_name}]({evidence.url})"
    yield f"- evidence: {where}, {signed_words(view)}"
    yield from (f"- {what}: {code(where)}" for what, where in evidence.kept)
    if evidence.sealed and evidence.keyid is not None:
        yield f"- verify: {code('cutover verify ' + evidence.folder)}"


def signed_words(view: View) -> str:
    """Who stands behind the evidence, in one phrase."""
    evidence = view.evidence
    if not evidence.sealed:
        return "**none was sealed**"
    if evidence.keyid is None:
        return "**unsigned, admits nothing**"
    kind = "development key" if evidence.signer == "development" else "key"
    said = f"signed with {kind} {code(evidence.keyid[:12])}"
    if evidence.problems is None:
        return said
    return f"{said}, verified" if not evidence.problems else f"{said}, **does not verify**"
