"""Journals and policies in parts: build a run, change one thing, fold and decide it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.model import (
    EffectivePolicy,
    Limit,
    Operator,
    PolicySignature,
    Requirement,
    Runner,
    rfc3339,
)
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_cutover.model import Decision, RunRecord

Event = dict[str, Any]

NOW = datetime(2026, 11, 21, 8, 48, tzinfo=UTC)
AT = rfc3339(NOW - timedelta(seconds=10))
NONCE = "5f" * 16
POLICY_DIGEST = "sha256:" + "a" * 64
GATE_CODE = "sha256:" + "b" * 64
SUBJECT = {"name": "shop", "digest": {"sha256": "c" * 64}}


def limit(operator: Operator = Operator.AT_MOST, *bounds: Decimal | str, **changes: Any) -> Limit:
    return Limit(operator, bounds or (Decimal("0.5"),), **({"unit": "s"} | changes))


def policy(*required: str, **changes: Any) -> EffectivePolicy:
    """A sandbox policy that requires these gates (else `ready`), each with a latency of at most 0.5 s."""
    gates = required or ("ready",)
    fields: dict[str, Any] = {
        "name": "shop",
        "version": 1,
        "digest": POLICY_DIGEST,
        "signature": PolicySignature.TRUSTED,
        "plan": "preflight",
        "phase": "preflight",
        "environment": "sandbox",
        "sandbox": True,
        "requires": tuple(Requirement(gate) for gate in gates),
        "limits": {gate: {"latency": limit()} for gate in gates},
        "max_age_s": 900.0,
        "decision_ttl_s": 3600.0,
        "gate_timeout_s": 60.0,
        "run_deadline_s": 1800.0,
        "runner": Runner.IN_PROCESS,
        "development_key": True,
    }
    return EffectivePolicy(**(fields | changes))


def started(**changes: Any) -> Event:
    return {
        "event": "run.started",
        "format": 1,
        "at": AT,
        "run_id": "20261121T084750Z-1a2b3c4d",
        "nonce": NONCE,
        "plan": "preflight",
        "environment": "sandbox",
        "sandbox": True,
        "runner": "in-process",
        "signer": "configured",
        "policy_digest": POLICY_DIGEST,
        "gate_code_digest": GATE_CODE,
        "subjects": [SUBJECT],
        "shard": None,
        "versions": {"pytest": "9.2.0"},
        "target": {},
        "pid": 4711,
        **changes,
    }


def nodeid(key: str) -> str:
    return f"gates/test_gates.py::test_{key}"


def info(key: str = "ready", **changes: Any) -> Event:
    """An entry of run.collected; `ready[eu]` is an instance of `ready`."""
    return {
        "id": key.split("[")[0],
        "key": key,
        "nodeid": nodeid(key),
        "file": "gates/test_gates.py",
        "line": 12,
        "title": f"{key} holds",
        "category": "service",
        "owner": "sre",
        "remedy": "docs/remedy.md",
        "timeout_s": 0,
        **changes,
    }


def collected(*keys: str | Event, worker: str = "main", **changes: Any) -> Event:
    gates = [info(k) if isinstance(k, str) else k for k in keys or ("ready",)]
    return {
        "event": "run.collected",
        "at": AT,
        "worker": worker,
        "gates": gates,
        "deselected": [],
        "others": [],
        **changes,
    }


def measurement(name: str = "latency", value: str = "0.2", **changes: Any) -> Event:
    return {"name": name, "value": value, "kind": "number", "unit": "s", "observed_at": AT, **changes}


def phase(
    when: str, outcome: str = "passed", raised: str = "", message: str = "", duration_s: float = 0.01
) -> list[Any]:
    return [when, outcome, raised, message, duration_s]


CLEAN = (phase("setup"), phase("call"), phase("teardown"))


def gate_started(key: str = "ready", **changes: Any) -> Event:
    return {"event": "gate.started", "at": AT, "nodeid": nodeid(key), "worker": "main", **changes}


def gate_finished(
    key: str = "ready", *measured: Event, phases: Sequence[Any] = CLEAN, **changes: Any
) -> Event:
    measurements = list(measured) or [measurement()]
    return {
        "event": "gate.finished",
        "at": AT,
        "nodeid": nodeid(key),
        "worker": "main",
        "attempt": 1,
        "phases": [list(p) for p in phases],
        "reported": len(phases),
        "measurements": measurements,
        "measured": len(measurements),
        "notes": [],
        "attachments": [],
        "duration_s": 0.03,
        **changes,
    }


OPENED = {
    "run_id": "20261121T084000.000Z-0a0b0c0d",
    "nonce": "3e" * 16,
    "report": "d" * 64,
    "bundle": "e" * 64,
    "carried": 1,
}
"""What a run that carries one gate says in its first line."""


def gate_carried(key: str = "ready", *measured: Event, gate: Event | None = None, **changes: Any) -> Event:
    """A gate that ran in the run that was opened, and is green by what it measured there."""
    result = {k: v for k, v in gate_finished(key, *measured).items() if k not in ("event", "at")}
    return {
        "event": "gate.carried",
        "at": AT,
        "run_id": OPENED["run_id"],
        "gate": gate or info(key),
        "started_at": AT,
        "finished_at": AT,
        "result": result,
        **changes,
    }


def opened_run(*carried: Event) -> list[Event]:
    """A run in which `ready` ran, and `seen` (or these) was carried."""
    given = list(carried) or [gate_carried("seen")]
    first = started(opened={**OPENED, "carried": len(given)})
    return [first, *given, collected("ready", "seen"), *gates("ready"), finished()]


def problem(code: str, message: str = "something happened", where: str | None = None) -> Event:
    return {"event": "run.problem", "at": AT, "code": code, "message": message, "where": where}


def finished(**changes: Any) -> Event:
    """The end of the run; `sign` fills in counts and digest."""
    return {"event": "run.finished", "at": AT, "status": 0, "exit": None, "nonce": NONCE, **changes}


def exited(**changes: Any) -> Event:
    return {"event": "run.exited", "at": AT, **(changes or {"status": 11})}


def gates(*keys: str) -> list[Event]:
    return [event for key in keys or ("ready",) for event in (gate_started(key), gate_finished(key))]


def clean_run(*keys: str) -> list[Event]:
    """Every event of a run in which these gates (else `ready`) are green."""
    return [started(), collected(*keys), *gates(*keys), finished()]


def encode(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def sign(events: Iterable[Event]) -> list[bytes]:
    """Journal lines as the writer makes them: numbered, counted, digested. Also what a forger would do."""
    lines: list[bytes] = []
    counts = {"started": 0, "finished": 0, "problems": 0}
    counted = {"gate.started": "started", "gate.finished": "finished", "run.problem": "problems"}
    for seq, event in enumerate(events):
        fields = {"seq": seq, **event}
        kind = event.get("event")
        if kind == "run.finished":
            fields |= {"counts": counts, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
        elif kind in counted:
            counts[counted[kind]] += 1
        lines.append(encode(fields))
    return lines


def record(events: Iterable[Event]) -> RunRecord:
    return fold(sign(events))


def decision(events: Iterable[Event], judged_by: EffectivePolicy | None = None, **changes: Any) -> Decision:
    """The decision on these events, under `judged_by` or `policy()` with `changes`."""
    return decide(record(events), replace(judged_by or policy(), **changes), NOW)


def codes(decided: Decision) -> set[str]:
    return {finding.reason.code for finding in decided.findings}
