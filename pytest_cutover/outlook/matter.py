"""One thing worth acting on before a run: what, where, and the way out."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_cutover.model import Finding
    from pytest_cutover.outlook.expected import Outlook
    from pytest_cutover.policy.load import LoadedPolicy

_HINTS = {
    Reason.GATE_NOT_COLLECTED: "is its file below what pytest was given, with the marker of the phase?",
    Reason.GATE_DESELECTED: "which option, marker or hook leaves it out?",
    Reason.GATE_CODE_OUTSIDE: "move it, or add its folder to gate_code in the policy",
    Reason.GATE_DUPLICATE: "give one of them another id",
    Reason.GATE_ERROR: "put it there, or correct the gate",
    Reason.GATE_INSTANCES: 'the policy names or counts them: {"gate": …, "instances": […]}',
    Reason.GATE_INVALID: '@pytest.mark.gate("some.id") and one phase; docs/reference/marker.md',
    Reason.GATE_NO_MEASUREMENT: "gate.measure(…), and a limit in the policy",
    Reason.GATE_SETUP_FAILED: "is it spelt so, in a conftest that these gates see?",
    Reason.GATE_SKIPPED: "what does not apply belongs out of the plan",
    Reason.GATE_XFAILED: "take the mark away: a gate that is expected to fail proves nothing",
    Reason.LIMIT_UNMEASURED: "measure it, or take the limit out of the policy",
    Reason.MEASUREMENT_UNJUDGED: "give it a limit in the policy, or information=True",
    Reason.MEASUREMENT_UNIT: "write the same unit in both places",
    Reason.MEASUREMENT_KIND: "measure a number, or limit a text with equals or one_of",
    Reason.SAMPLES_MISSING: "gate.measure(…, samples=N)",
    Reason.LIMIT_DIFFERS: "the policy's counts; take the one in the code away",
    Reason.RUN_COLLECT_ERROR: "pytest --collect-only shows the whole error",
    Reason.RUN_EXIT_STATUS: "pytest --collect-only shows what it printed",
    Reason.RUN_NOTHING_SELECTED: "cutover check PLAN -- FOLDER names where the gates are",
    Reason.SHARD_FOREIGN: "--shard NAME, as the policy spells it",
    Reason.POLICY_EMPTY: "name gates under requires",
    Reason.POLICY_UNTRUSTED: "sign it again, or give the right --trust",
    Reason.POLICY_THRESHOLD: "cutover policy sign FILE --add; cutover policy verify FILE says who is missing",
    Reason.POLICY_OUTDATED: "take the policy that is in force",
    Reason.POLICY_EXPIRED: "set a new end date, and sign it again",
}


@dataclass(frozen=True, slots=True)
class Matter:
    """What a run would hold against itself, or a person should know. `code` where a reason code exists."""

    weight: Weight
    message: str
    code: str | None = None
    gate: str | None = None
    where: str | None = None
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"weight": self.weight.value, "message": self.message}
        said = {"code": self.code, "gate": self.gate, "where": self.where, "hint": self.hint}
        return out | {name: value for name, value in said.items() if value is not None}


def of_finding(finding: Finding, loaded: LoadedPolicy, file: str, outlooks: Sequence[Outlook]) -> Matter:
    """A finding of the decision with the lines that it is about, in the policy and in the gates."""
    key = finding.gate or ""
    gate_id = key.partition("[")[0]
    mine = next((o for o in outlooks if o.gate.info.key == key), None)
    places = [] if finding.gate is None else list(_places(finding, mine))
    line = _policy_line(loaded, finding, key, gate_id)
    if line is not None:
        places.append(f"{file}:{line}")
    if not places and finding.where is not None:
        places.append(finding.where)
    return Matter(
        weight=finding.weight,
        message=finding.message,
        code=finding.reason.code,
        gate=finding.gate,
        where=", ".join(places) or None,
        hint=_hint(finding, outlooks, mine),
    )


def _places(finding: Finding, mine: Outlook | None) -> Iterable[str]:
    if mine is not None and finding.measurement is not None:
        yield from (m.where for m in mine.measures if m.name == finding.measurement)
    elif finding.where is not None:
        yield finding.where


def _policy_line(loaded: LoadedPolicy, finding: Finding, key: str, gate_id: str) -> int | None:
    origins = loaded.resolved.origins
    if finding.measurement is not None:
        origin = origins.get((key, finding.measurement)) or origins.get((gate_id, finding.measurement))
        return None if origin is None else origin.line
    if finding.reason in (Reason.GATE_NOT_COLLECTED, Reason.GATE_INSTANCES, Reason.GATE_DESELECTED):
        required = zip(loaded.effective.requires, loaded.resolved.required, strict=True)
        return next((origin.line for r, origin in required if r.gate == gate_id), None)
    return None


def _hint(finding: Finding, outlooks: Sequence[Outlook], mine: Outlook | None) -> str | None:
    if finding.gate is None and finding.remedy is not None:
        return finding.remedy
    near = {
        Reason.GATE_NOT_COLLECTED: (finding.gate, [o.gate.info.id for o in outlooks], "collected"),
        Reason.LIMIT_UNMEASURED: (finding.measurement, [m.name for m in mine.measures] if mine else [], "measured"),
    }  # fmt: skip
    if finding.reason in near:
        word, known, verb = near[finding.reason]
        found = difflib.get_close_matches(word or "", known, n=1, cutoff=0.6)
        if found:
            return f"did you mean {found[0]!r}, which is {verb}?"
    return _HINTS.get(finding.reason)
