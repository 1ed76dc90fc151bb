"""What a run that was opened rests on: the evidence of the earlier run, and what of it may be carried. Pure.

Used twice: by the process that begins such a run, and by whoever verifies its evidence. What a run may carry
follows from the journal of the run that was opened alone, so both come to the same lines.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import Runner, SignerKind
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_cutover.model import RunRecord, Subject

MAX_CHAIN = 8
"""Runs that may be opened one from the other; then everything is measured again."""

_WRITTEN_ANEW = ("seq", "event", "at")
"""Fields of a carried gate's line that are the carrying run's own."""

_WORDS = {
    "gate_code_digest": "gate code",
    "policy_digest": "policy",
    "sandbox": "kind of environment",
    "versions": "versions",
}


@dataclass(frozen=True, slots=True)
class OpenedEvidence:
    """Bundle and report of the run that was opened, byte for byte."""

    bundle: bytes
    report: bytes


@dataclass(frozen=True, slots=True)
class MadeFor:
    """What a run was made for: all of it must be the same for a gate to be carried from one run into another."""

    plan: str
    environment: str
    sandbox: bool
    shard: str | None
    subjects: tuple[Subject, ...]
    policy_digest: str
    gate_code_digest: str
    versions: Mapping[str, str]
    runner: Runner
    signer: SignerKind

    @classmethod
    def of(cls, record: RunRecord) -> MadeFor:
        """What this run was made for."""
        return cls(**{field.name: getattr(record, field.name) for field in fields(cls)})


def unfit(opened: RunRecord, now: MadeFor) -> str | None:
    """Why no gate of `opened` may be carried into a run that is made for `now`; None when they may."""
    then = MadeFor.of(opened)
    for field in fields(MadeFor):
        was, is_ = getattr(then, field.name), getattr(now, field.name)
        if field.name == "subjects":
            was, is_ = _named(was), _named(is_)
        if field.name not in ("runner", "signer") and was != is_:
            return (
                f"it was made for another {_WORDS.get(field.name, field.name.rstrip('s'))}{_shown(was, is_)}"
            )
    if now.runner is Runner.SUPERVISED and then.runner is not Runner.SUPERVISED:
        return f"it was {then.runner.value}, and this run is supervised"
    if now.signer is SignerKind.CONFIGURED and then.signer is not SignerKind.CONFIGURED:
        return "it was signed with a development key"
    return None if opened.complete else "its journal is not whole"


def troubled(findings: Sequence[Mapping[str, str]]) -> str | None:
    """Why no gate may be carried from a run with these signed findings; None when they are about single gates.

    Nobody can say which of its gates a crash, an interruption or a clock that went back has touched.
    """
    for finding in findings:
        code = finding["code"]
        if "gate" not in finding and Reason.of(code).weight in (Weight.RED, Weight.UNPROVEN):
            return f"it was not a whole, clean run: {code}"
    return None


def _named(subjects: Sequence[Subject]) -> list[tuple[str, list[tuple[str, str]]]]:
    return sorted((s.name, sorted(s.digest.items())) for s in subjects)


def _shown(was: object, is_: object) -> str:
    """Both values where they are short enough to be compared by eye."""
    if not isinstance(was, str) or not isinstance(is_, str):
        return ""
    return f": {was[:19]}, not {is_[:19]}"


def carriable(journal: Sequence[bytes]) -> dict[str, dict[str, Any]]:
    """By node id, the line with which each gate of a run would be carried, without what is the new run's own.

    Only of gates that started once and ended once, in this run or in one that it was itself opened from.

    Raises:
        EvidenceError: a line cannot be read.
    """
    try:
        return _carriable([json.loads(line) for line in journal])
    except (LookupError, TypeError, ValueError, RecursionError) as exc:
        raise EvidenceError(f"the journal of the opened run: {ascii(str(exc))[:100]}") from None


def _carriable(events: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    run_id = events[0]["run_id"]
    gates = {g["nodeid"]: g for e in events if e["event"] == "run.collected" for g in e["gates"]}
    starts = {e["nodeid"]: e["at"] for e in events if e["event"] == "gate.started"}
    told = Counter((e["event"], e["nodeid"]) for e in events if "nodeid" in e)
    out = {e["gate"]["nodeid"]: _own(e) for e in events if e["event"] == "gate.carried"}
    for event in (e for e in events if e["event"] == "gate.finished"):
        nodeid = event["nodeid"]
        once = told["gate.started", nodeid] == told["gate.finished", nodeid] == 1
        if nodeid in out or not once or nodeid not in gates:
            out.pop(nodeid, None)
            continue
        out[nodeid] = {
            "run_id": run_id,
            "gate": gates[nodeid],
            "started_at": starts[nodeid],
            "finished_at": event["at"],
            "result": _own(event),
        }
    return out


def _own(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in _WRITTEN_ANEW}


def altered(journal: Sequence[bytes], opened: Sequence[bytes]) -> list[str]:
    """Node ids of gates that the run with this `journal` carries otherwise than the journal of `opened` has them.

    Raises:
        EvidenceError: a line cannot be read.
    """
    known = carriable(opened)
    out: list[str] = []
    for line in journal[1:]:
        try:
            event = json.loads(line)
            if event["event"] != "gate.carried":
                return out
            nodeid = event["gate"]["nodeid"]
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            raise EvidenceError(f"a carried gate cannot be read: {ascii(str(exc))[:100]}") from None
        if nodeid not in known or _text(known[nodeid]) != _text(_own(event)):
            out.append(str(nodeid))
    return out


def _text(value: Mapping[str, Any]) -> str:
    """A value in one spelling, in which true is not 1."""
    return json.dumps(value, sort_keys=True)
