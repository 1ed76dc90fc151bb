"""From a report that was read back to the decision it holds: what was decided then, not what would be decided now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import (
    Decision,
    ExitCode,
    Finding,
    GateDecision,
    JudgedMeasurement,
    Verdict,
    parse_rfc3339,
)
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_cutover.evidence.report import Report
    from pytest_cutover.model import EffectivePolicy, GateInfo, GateResult, Limit, Measurement, RunRecord

_FINDING = (
    "gate",
    "measurement",
    "measured",
    "unit",
    "limit",
    "distance",
    "owner",
    "remedy",
    "where",
    "waived",
)


def decision_of(report: Report, record: RunRecord) -> Decision:
    """The decision in `report`; `record` is its journal, folded.

    Raises:
        EvidenceError: it is malformed, or its gates are not those of the journal.
    """
    try:
        return _decision(report, record)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise EvidenceError(f"the report's decision is malformed: {ascii(str(exc))[:100]}") from None


def _decision(report: Report, record: RunRecord) -> Decision:
    told = report.decision
    findings = tuple(_finding(f) for f in told["findings"])
    by_gate: dict[str | None, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_gate[finding.gate].append(finding)
    results = {result.nodeid: result for result in record.results}
    if [g["gate"] for g in told["gates"]] != [info.key for info in record.collected]:
        raise ValueError("its gates are not those of the journal")
    gates = tuple(
        _gate(gate, info, results.get(info.nodeid), report.policy, by_gate[info.key])
        for gate, info in zip(told["gates"], record.collected, strict=True)
    )
    return Decision(
        verdict=Verdict(told["verdict"]),
        exit_code=ExitCode(int(told["exit_code"])),
        decided_at=parse_rfc3339(told["decided_at"]),
        expires_at=parse_rfc3339(told["expires_at"]),
        gates=gates,
        findings=findings,
        **_terms(report, record, told),
    )


def _terms(report: Report, record: RunRecord, told: Mapping[str, Any]) -> dict[str, Any]:
    """Which waivers counted and what they asked for; the report holds all that were given."""
    if not report.waivers:
        return {}
    again = decide(record, report.policy, parse_rfc3339(told["decided_at"]), report.waivers)
    return {"waivers": again.waivers, "guards": again.guards}


def _finding(told: Mapping[str, Any]) -> Finding:
    fields = {name: told[name] for name in ("message", *_FINDING) if name in told}
    if not all(isinstance(value, str) for value in fields.values()):
        raise TypeError("a finding is made of texts")
    return Finding(reason=Reason.of(told["code"]), **fields)


def _gate(
    told: Mapping[str, Any],
    info: GateInfo,
    result: GateResult | None,
    policy: EffectivePolicy,
    findings: Sequence[Finding],
) -> GateDecision:
    measured = () if result is None else result.measurements
    limits = policy.limits_for(info)
    codes, where = set(told["findings"]), f"{info.file}:{info.line}"
    return GateDecision(
        key=info.key,
        title=info.title,
        required=bool(told["required"]),
        green=bool(told["green"]),
        category=info.category,
        owner=info.owner,
        duration_s=0.0 if result is None else result.duration_s,
        measurements=tuple(
            _judged(judged, m, limits.get(m.name))
            for judged, m in zip(told["measurements"], measured, strict=True)
        ),
        # The report lists a gate's codes; their sentences are among the findings of the run.
        findings=tuple(f for f in findings if f.reason.code in codes and f.where in (None, where)),
        carried_from=None if result is None else result.carried_from,
    )


def _judged(told: Mapping[str, Any], measured: Measurement, of_policy: Limit | None) -> JudgedMeasurement:
    text = told["limit"]
    candidates = (of_policy, measured.limit)
    limit = next((c for c in candidates if c is not None and c.text() == text), None)
    return JudgedMeasurement(measured, limit, bool(told["green"]))
