"""The decision that a run would come to if everything it measures were green; pure.

A record is made up in which each collected gate ran cleanly and measured what it is known to measure, every value
within its limit. What `decide` still holds against it is what would be unproven: check can say nothing else than
the engine does. The record goes nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.errors import MeasurementError
from pytest_cutover.gate import Gate
from pytest_cutover.model import (
    SECTION_TYPE,
    GateResult,
    Limit,
    LogHead,
    Phase,
    Runner,
    RunRecord,
    ValueKind,
)
from pytest_cutover.outlook.expected import Expected
from pytest_cutover.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pytest_cutover.model import Decision, EffectivePolicy, Measurement, SignerKind, Subject
    from pytest_cutover.obligation import Owed
    from pytest_cutover.outlook.collection import Collection
    from pytest_cutover.outlook.expected import Outlook
    from pytest_cutover.waiver import GivenWaiver

_MANY = 10**12
"""Samples: whether there are enough shows only when the gate runs."""

_WHEN = {"skip": "setup", "setup": "setup", "xfail": "call", "error": "call"}


@dataclass(frozen=True, slots=True)
class Around:
    """What a run would know besides its gates."""

    signer: SignerKind
    subjects: tuple[Subject, ...]
    shard: str | None
    authors: tuple[str, ...]
    waivers: tuple[GivenWaiver, ...]
    gate_code_digest: str
    owed: tuple[Owed, ...] = ()
    log: str | None = None  # origin of the transparency log that could be signed


def prospect(
    policy: EffectivePolicy,
    collection: Collection,
    outlooks: Sequence[Outlook],
    around: Around,
    now: datetime,
) -> Decision:
    """What is held against a run in which all that can be measured is green."""
    infos = tuple(o.gate.info for o in outlooks)
    record = RunRecord(
        run_id="",
        nonce="",
        plan=policy.plan,
        environment=policy.environment,
        sandbox=policy.sandbox,
        runner=Runner.SUPERVISED,  # it was collected as `cutover run` would
        signer=around.signer,
        policy_digest=policy.digest,
        gate_code_digest=around.gate_code_digest,
        subjects=around.subjects,
        shard=around.shard,
        started_at=now,
        finished_at=now,
        versions={},
        collected=infos,
        deselected=collection.deselected,
        started={info.nodeid: 1 for info in infos},
        results=tuple(_result(o, policy, now) for o in outlooks),
        problems=collection.problems,
        complete=True,
        authors=around.authors,
        owed=around.owed,
        log=None if around.log is None else LogHead(around.log, 0, ""),
    )
    return decide(record, policy, now, around.waivers)


def _result(outlook: Outlook, policy: EffectivePolicy, now: datetime) -> GateResult:
    info = outlook.gate.info
    limits = policy.limits_for(info)
    gate = Gate(info, None, Redactor({}))
    broken: str | None = None
    for expected in outlook.measures:
        try:
            _measure(gate, expected, limits.get(expected.name), now)
        except MeasurementError as exc:
            broken = f"{expected.where}: {exc}"
    if outlook.unknown:
        measured = {m.name for m in outlook.measures}
        for name in (n for n in limits if n not in measured):
            _measure(gate, Expected(name, "", limits[name].unit, limits[name].kind), limits[name], now)
    stops = outlook.stops or (None if broken is None else ("error", broken))
    measurements: tuple[Measurement, ...] = tuple(gate.measurements)
    sections = policy.sections if outlook.unknown else outlook.sections
    return GateResult(
        info.nodeid,
        1,
        tuple(_phases(stops)),
        measurements,
        len(measurements),
        3,
        attachments=tuple({"name": name, "media_type": SECTION_TYPE} for name in sections),
    )


def _phases(stops: tuple[str, str] | None) -> list[Phase]:
    bad = None if stops is None else _WHEN[stops[0]]
    out = []
    for when in ("setup", "call", "teardown"):
        if stops is not None and when == bad:
            raised = "error" if stops[0] == "setup" else stops[0]
            out.append(
                Phase(when, "skipped" if raised in ("skip", "xfail") else "failed", raised, stops[1], 0.0)
            )
        else:
            out.append(Phase(when, "passed", None, "", 0.0))
    return out


def _measure(gate: Gate, expected: Expected, limit: Limit | None, now: datetime) -> None:
    """Record a value within the limit, of the kind and unit that the gate is known to measure."""
    given: dict[str, Any] = dict(expected.limits)
    unit = expected.unit if expected.unit is not None else "1" if limit is None else limit.unit
    probe = Gate(gate.info, None, Redactor({}))
    probe.measure(expected.name, 0, unit=unit, **given)
    judging = limit or probe.measurements[0].limit
    gate.measure(
        expected.name,
        _within(judging, expected.kind),
        unit=unit,
        samples=_MANY if expected.samples is not False else None,
        observed_at=now,
        information=judging is None if expected.information is None else expected.information,
        **given,
    )


def _within(limit: Limit | None, kind: ValueKind | None) -> object:
    if limit is None or (kind is not None and kind is not limit.kind):
        return "text" if kind is ValueKind.TEXT else 0
    return limit.bounds[0]


__all__ = ["Around", "prospect"]
