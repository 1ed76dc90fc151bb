"""A view as plain JSON (`cutover show --json`), for scripts. It is not evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_cutover.model import rfc3339
from pytest_cutover.report.impact import top_impact
from pytest_cutover.report.view import STATES

if TYPE_CHECKING:
    from pytest_cutover.model import JudgedMeasurement
    from pytest_cutover.report.view import GateView, View


def to_json(view: View) -> dict[str, Any]:
    """The view in plain JSON, for scripts. It is not evidence."""
    impact = top_impact(view)
    record, policy = view.record, view.policy
    return {
        "verdict": view.verdict.value,
        "exit_code": view.exit_code,
        "decided_at": rfc3339(view.decided_at),
        "expires_at": rfc3339(view.expires_at),
        "run_id": record.run_id,
        "plan": policy.plan,
        "environment": policy.environment,
        "runner": record.runner.value,
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
        "subjects": [{"name": s.name, "digest": dict(s.digest)} for s in record.subjects],
        "evidence": {
            "folder": view.evidence.folder,
            "sealed": view.evidence.sealed,
            "signer": view.evidence.signer,
            "keyid": view.evidence.keyid,
            "problems": None if view.evidence.problems is None else list(view.evidence.problems),
        },
        "counts": {state: view.counts[state] for state in STATES},
        "top_impact": None
        if impact is None
        else {"gate": impact.gate, "text": impact.text, "label": impact.label},
        "last_run": None
        if view.last is None
        else {
            "run_id": view.last.run_id,
            "verdict": view.last.verdict.value,
            "decided_at": rfc3339(view.last.decided_at),
        },
        "findings": [f.to_json() for f in view.findings],
        "gates": [_gate_json(view, gate) for gate in view.gates],
    }


def _gate_json(view: View, gate: GateView) -> dict[str, Any]:
    judged, info = gate.judged, gate.info
    return {
        "gate": judged.key,
        "title": judged.title,
        "state": gate.state,
        "required": judged.required,
        "category": judged.category,
        "owner": judged.owner,
        "remedy": None if info is None else info.remedy,
        "file": None if info is None else view.path_of(info),
        "line": None if info is None else info.line,
        "duration_s": judged.duration_s,
        "carried_from": judged.carried_from,
        "measurements": [_measurement_json(view, gate.key, j) for j in judged.measurements],
        "findings": [f.reason.code for f in judged.findings],
        "notes": [] if gate.result is None else list(gate.result.notes),
    }


def _measurement_json(view: View, key: str, judged: JudgedMeasurement) -> dict[str, Any]:
    m = judged.measurement
    last = view.last_of(key, m)
    return {
        "name": m.name,
        "measured": m.value,
        "unit": m.unit,
        "limit": None if judged.limit is None else judged.limit.text(),
        "green": judged.green,
        "samples": m.samples,
        "last": None if last is None else last.value,
    }
