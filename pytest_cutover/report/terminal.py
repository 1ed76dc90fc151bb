"""The terminal: one line per gate as it ends, the verdict block last. Nothing is decided here."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from pytest_cutover.model import SignerKind, Verdict
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_cutover.model import (
        Decision,
        EffectivePolicy,
        Finding,
        GateDecision,
        JudgedMeasurement,
        Runner,
    )

_SIGNS = {"green": "✓", "red": "✗", "unproven": "!", "hold": "…", "waived": "⚑", "left": "–"}
_CARRIED = "↺"
"""The sign of a green gate that an earlier run measured."""

_ASCII = {
    "✓": "ok",
    "✗": "X",
    "!": "!",
    "…": "~",
    "⚑": "w",
    "–": "-",
    "↺": "c",
    "·": "|",
    "→": "->",
    "─": "-",
    "≤": "<=",
    "≥": ">=",
}
_COLOURS = {
    "green": "32",
    "red": "31",
    "unproven": "33",
    "hold": "36",
    "waived": "33",
    "left": "2",
    "bold": "1",
    "dim": "2",
}
_SHOWN_FINDINGS = 20
_SHOWN_NOTES = 5
_NOTE_CHARS = 200
_NAME_WIDTH = 20
_SKIPPED = {
    Reason.GATE_SKIPPED: "skipped",
    Reason.GATE_NOT_APPLICABLE: "skipped",
    Reason.GATE_XFAILED: "expected to fail",
}
"""What happened where the message is only the reason that the gate's author gave."""


class Signed(Protocol):
    """Whose key signed a run."""

    @property
    def keyid(self) -> str: ...
    @property
    def kind(self) -> SignerKind: ...


class Ran(Protocol):
    """What is shown of a run beside its decision, whether it ends now or is a past one."""

    @property
    def policy(self) -> EffectivePolicy: ...
    @property
    def run_dir(self) -> Path: ...
    @property
    def rootdir(self) -> Path: ...
    @property
    def runner(self) -> Runner: ...
    @property
    def gate_code_digest(self) -> str: ...
    @property
    def signer(self) -> Signed | None: ...


class Style:
    """Colour and characters a stream can show."""

    def __init__(self, *, colour: bool, unicode: bool) -> None:
        self._colour = colour
        self._unicode = unicode

    @classmethod
    def of(cls, encoding: str | None, *, colour: bool) -> Style:
        """The style for a stream with this encoding; without UTF-8 the signs are spelt in ASCII."""
        try:
            "".join(_ASCII).encode(encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return cls(colour=colour, unicode=False)
        return cls(colour=colour, unicode=True)

    def paint(self, text: str, *names: str) -> str:
        text = self.plain(text)
        return f"\x1b[{';'.join(_COLOURS[n] for n in names)}m{text}\x1b[0m" if self._colour else text

    def plain(self, text: str) -> str:
        """`text` without control characters (gate output is untrusted), and in ASCII where it must be."""
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        if self._unicode:
            return text
        for sign, ascii_ in _ASCII.items():
            text = text.replace(sign, ascii_)
        return text.encode("ascii", "backslashreplace").decode()


def state_of(gate: GateDecision) -> str:
    """green, red, unproven, hold, waived, or left (skipped and not required)."""
    if not gate.findings:
        return "green" if gate.measurements else "left"
    if gate.waived:
        return "waived"
    weights = {f.weight for f in gate.findings}
    for weight in (Weight.RED, Weight.UNPROVEN, Weight.HOLD):
        if weight in weights:
            return str(weight.value)
    return "green" if gate.measurements else "left"


def gate_line(gate: GateDecision, style: Style, *, duration_s: float, width: int | None = None) -> str:
    """✓ canary.health   burst 1.2 x · samples 300   0.21s

    The values of a green gate are counted where they would not fit into `width` columns.
    """
    state = state_of(gate)
    serious = [f for f in gate.findings if f.weight is not Weight.NOTE] or list(gate.findings)
    time = f"{duration_s:.2f}s" if gate.carried_from is None else f"observed {observed(gate):%H:%M:%S} UTC"
    name = f"{style.plain(gate.key):<{_NAME_WIDTH}}"
    if state == "green" or not serious:
        text = _values(gate.measurements, None if width is None else width - len(f"✓ {name}   {time}"))
    else:
        text = finding_text(serious[0])
        text += f" (and {len(serious) - 1} more)" if len(serious) > 1 else ""
    carried = gate.carried_from is not None and state == "green"
    sign = style.paint(_CARRIED if carried else _SIGNS[state], state)
    return f"{sign} {name} {style.plain(text)}  {style.paint(time, 'dim')}"


def _values(measurements: Sequence[JudgedMeasurement], width: int | None) -> str:
    """The first four values, or as many as fit and at least one; and how many more there are."""
    values = [_measured(j) for j in measurements]
    for shown in range(min(len(values), 4), 1, -1):
        text = _counted(values, shown)
        if width is None or len(text) <= width:
            return text
    return _counted(values, 1)


def _counted(values: Sequence[str], shown: int) -> str:
    more = len(values) - shown
    return " · ".join([*values[:shown], *([f"{more} more"] if more > 0 else [])])


def observed(gate: GateDecision) -> datetime:
    """When the oldest of its measurements was observed; the epoch for a gate that has none."""
    return min((j.measurement.observed_at for j in gate.measurements), default=datetime.fromtimestamp(0, UTC))


def gate_extras(
    notes: Sequence[str], attachments: Sequence[Mapping[str, str]], style: Style
) -> Iterator[str]:
    """What a gate that is not green had to say besides its measurements."""
    for note in notes[:_SHOWN_NOTES]:
        yield style.paint(f"      {note[:_NOTE_CHARS]}", "dim")
    if len(notes) > _SHOWN_NOTES:
        yield style.paint(f"      and {len(notes) - _SHOWN_NOTES} more notes in report.json", "dim")
    for attachment in attachments:
        yield style.paint(f"      attached: attachments/{attachment['file']}", "dim")


def _measured(judged: JudgedMeasurement) -> str:
    m = judged.measurement
    return f"{m.name} {_short(m.value)}{'' if m.unit == '1' else ' ' + m.unit}"


def _short(value: str) -> str:
    """A decimal text at a readable length; the evidence keeps it whole."""
    whole, _, fraction = value.partition(".")
    if len(fraction) <= 4 or not fraction.isdigit():
        return value[:60]
    zeros = 0 if whole.strip("-0") else len(fraction) - len(fraction.lstrip("0"))
    return f"{whole}.{fraction[: max(4, zeros + 2)]}"[:60]


def finding_text(finding: Finding) -> str:
    """The message's first line, with how far beyond the limit the value lies."""
    first = (finding.message.splitlines() or [""])[0]
    happened = _SKIPPED.get(finding.reason)
    if happened is not None and happened not in first:
        first = f"{happened}: {first}" if first else happened
    unit = "" if finding.unit in (None, "1") else f" {finding.unit}"
    return f"{first} ({finding.distance}{unit})" if finding.distance else first


def verdict_block(decision: Decision, ran: Ran, style: Style) -> Iterator[str]:
    """The last lines of a run: verdict, every reason, where the evidence is."""
    policy = ran.policy
    state = "green" if decision.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS) else "red"
    rule = style.plain("─" * 78)
    yield style.paint(rule, state)
    states = Counter(state_of(g) for g in decision.gates)
    judged = len(decision.gates) - states["left"] + len(_missing(decision, policy))
    left = "".join(
        f", {states[state]} {word}"
        for state, word in (("waived", "waived"), ("left", "not applicable"))
        if states[state]
    )
    carried = sum(g.carried_from is not None for g in decision.gates)
    left += f", {carried} carried" if carried else ""
    title = style.paint(decision.verdict.value, state, "bold")
    where = style.plain(f"{policy.plan} → {policy.environment}")
    yield f"{title}  {where}  {states['green']} of {judged} gates green{left}  exit {int(decision.exit_code)}"
    for _, findings in groupby(decision.findings[:_SHOWN_FINDINGS], key=lambda f: f.gate):
        yield from _group_lines(list(findings), style)
    hidden = len(decision.findings) - _SHOWN_FINDINGS
    if hidden > 0:
        yield f"  and {hidden} more in report.json"
    yield style.paint(rule, state)


def _missing(decision: Decision, policy: EffectivePolicy) -> set[str]:
    """The required gates that were not collected: they count among those that are not green."""
    required, known = {r.gate for r in policy.requires}, {g.key for g in decision.gates}
    told = {f.gate for f in decision.findings if f.gate is not None and f.where is None} - known
    return {gate for gate in told if gate.partition("[")[0] in required}


def _group_lines(findings: Sequence[Finding], style: Style) -> Iterator[str]:
    """Findings of one gate (or of the run), then once who owns it and what to do."""
    for finding in findings:
        name = "left" if finding.weight is Weight.NOTE else str(finding.weight.value)
        name = name if finding.waived is None else "waived"
        code = style.paint(f"[{finding.reason.code}]", "dim")
        yield f"  {style.paint(_SIGNS[name], name)} {style.plain(_titled(finding))}  {code}"
    serious = [f for f in findings if f.weight is not Weight.NOTE]
    about = dict.fromkeys(text for f in serious for text in _about(f))
    if about:
        yield style.paint(f"      {' · '.join(about)}", "dim")


def _about(finding: Finding) -> Iterator[str]:
    if finding.owner:
        yield f"owner {finding.owner}"
    if finding.remedy:
        yield f"remedy {finding.remedy}"
    if finding.where:
        yield finding.where


def _titled(finding: Finding) -> str:
    text = finding_text(finding)
    told = finding.gate is None or text.startswith((f"{finding.gate} ", f"{finding.gate}["))
    text = text if told else f"{finding.gate}: {text}"
    return text if finding.waived is None else f"{text}, waived by {finding.waived}"


def evidence_lines(
    decision: Decision,
    ran: Ran,
    style: Style,
    *,
    sealed: bool,
    kept: Sequence[tuple[str, str]] = (),
    doubts: Iterable[str] = (),
) -> Iterator[str]:
    """Where the evidence lies, who signed it, how long it holds; `doubts`: why nobody would believe that."""
    run = relative(ran.run_dir, ran.rootdir)
    policy = ran.policy
    pinned = "pinned" if policy.gate_code_digest else "not pinned"
    yield style.plain(f"policy    {policy.name} v{policy.version} ({policy.signature.value})")
    yield style.plain(f"runner    {ran.runner.value} · gate code {pinned}")
    carried = [g for g in decision.gates if g.carried_from is not None]
    if carried:
        oldest = min(map(observed, carried))
        runs = ", ".join(dict.fromkeys(str(g.carried_from) for g in carried))
        yield style.plain(f"carried   from {runs} · the oldest observed {oldest:%H:%M:%S} UTC")
    yield from _terms(decision, style)
    if not policy.gate_code_digest:
        yield style.plain(f"gate code {ran.gate_code_digest.removeprefix('sha256:')}")
    if not sealed:
        yield style.plain(f"evidence  none was sealed; the journal is in {run}")
        return
    if ran.signer is None:
        yield style.plain(f"evidence  {run}/report.json")
        yield style.plain("          UNSIGNED, admits nothing (no signing key)")
        return
    kind = "development key" if ran.signer.kind is SignerKind.DEVELOPMENT else "key"
    yield style.plain(f"evidence  {run}")
    yield style.plain(f"signed    with {kind} {ran.signer.keyid[:12]}")
    for doubt in doubts:
        yield style.paint(f"doubted   {doubt}: cutover verify and admit refuse this", "red")
    yield from (style.plain(f"{what:<9} {where}") for what, where in kept)
    sandbox = " · sandbox: counts nowhere else" if policy.sandbox else ""
    if decision.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS):
        yield style.plain(f"valid     until {decision.expires_at:%Y-%m-%d %H:%M:%S} UTC{sandbox}")
    elif decision.verdict is not Verdict.HOLD:
        yield style.plain(f"explain   cutover explain {run}")
    yield style.plain(f"verify    cutover verify {run}")


def _terms(decision: Decision, style: Style) -> Iterator[str]:
    """Who accepted what until when, and which guards that asks for."""
    for given in decision.waivers:
        waiver = given.waiver
        until = f"{waiver.expires_at:%Y-%m-%d %H:%M} UTC"
        yield style.plain(
            f"waiver    {waiver.ticket}: {waiver.gate} by {', '.join(given.persons)} until {until}, risk {waiver.risk}"
        )
    for bound in decision.guards:
        guard, due = bound.guard, bound.due_at
        settings = ", ".join(f"{name} {value}" for name, value in guard.settings.items())
        later = (
            ""
            if due is None or guard.obligation is None
            else f" · {guard.obligation.gate} green by {due:%Y-%m-%d %H:%M} UTC"
        )
        yield style.plain(f"guard     {guard.name}: {settings}{later}")


def relative(path: Path, rootdir: Path) -> str:
    return str(path.relative_to(rootdir)) if path.is_relative_to(rootdir) else str(path)
