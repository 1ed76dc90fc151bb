"""What the journal keeps of a gate, as plain values; `record` reads them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_cutover.model import GateInfo, rfc3339

if TYPE_CHECKING:
    from pytest_cutover.model import GateResult, Measurement


def payload(result: GateResult) -> dict[str, Any]:
    """A gate's result as plain values: the fields of the journal's gate.finished."""
    return {
        "nodeid": result.nodeid,
        "worker": result.worker,
        "attempt": result.attempt,
        # "" for what raised nothing: a field that was taken away (null) must not read as a clean pass.
        "phases": [[p.when, p.outcome, p.raised or "", p.message, p.duration_s] for p in result.phases],
        "reported": result.reported,
        "measurements": [_measurement_json(m) for m in result.measurements],
        "measured": result.measured,
        "notes": list(result.notes),
        "attachments": [dict(a) for a in result.attachments],
        "duration_s": round(result.duration_s, 6),
    }


def _measurement_json(m: Measurement) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": m.name,
        "value": m.value,
        "kind": m.kind.value,
        "unit": m.unit,
        "observed_at": rfc3339(m.observed_at),
    }
    if m.samples is not None:
        out["samples"] = m.samples
    if m.source is not None:
        out["source"] = m.source
    if m.limit is not None:
        out["limit"] = m.limit.to_json()
    if m.information:
        out["information"] = True
    return out


def info_json(info: GateInfo) -> dict[str, Any]:
    """A collected gate as plain values: an entry of the journal's run.collected; `timeout_s` 0: the policy's."""
    return {name: getattr(info, name) for name in GateInfo.__slots__} | {"timeout_s": info.timeout_s or 0}
