"""What the journal keeps of a gate, as JSON; `record` reads it back.

The line of a gate's end is formatted here and not by an encoder: building containers for it would double its price.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import GateInfo, rfc3339

if TYPE_CHECKING:
    from pytest_cutover.model import GateResult, Measurement, Phase

encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
"""Compact JSON in ASCII: any text survives, unpaired surrogates too."""


def ended(result: GateResult) -> str:
    """A gate's result as a JSON object: the fields of the journal's gate.finished."""
    return (
        f'{{"nodeid":{quote(result.nodeid)},"worker":{quote(result.worker)},"attempt":{result.attempt}'
        f',"phases":[{",".join([_phase(p) for p in result.phases])}],"reported":{result.reported}'
        f',"measurements":[{",".join([_measurement(m) for m in result.measurements])}]'
        f',"measured":{result.measured},"notes":{encode(result.notes) if result.notes else "[]"}'
        f',"attachments":{encode(result.attachments) if result.attachments else "[]"}'
        f',"duration_s":{round(result.duration_s, 6)}}}'
    )


def _phase(p: Phase) -> str:
    # "" for what raised nothing: a field that was taken away (null) must not read as a clean pass.
    raised, message = quote(p.raised or ""), quote(p.message)
    return f"[{quote(p.when)},{quote(p.outcome)},{raised},{message},{p.duration_s}]"


def _measurement(m: Measurement) -> str:
    text = (
        f'{{"name":{quote(m.name)},"value":{quote(m.value)},"kind":"{m.kind.value}","unit":{quote(m.unit)}'
        f',"observed_at":"{rfc3339(m.observed_at)}"'
    )
    if m.samples is not None:
        text += f',"samples":{m.samples}'
    if m.source is not None:
        text += f',"source":{quote(m.source)}'
    if m.limit is not None:
        text += f',"limit":{encode(m.limit.to_json())}'
    return text + (',"information":true}' if m.information else "}")


def info_json(info: GateInfo) -> dict[str, Any]:
    """A collected gate as plain values: an entry of the journal's run.collected; `timeout_s` 0: the policy's."""
    return {name: getattr(info, name) for name in GateInfo.__slots__} | {"timeout_s": info.timeout_s or 0}
