"""Runs that were opened from another, sealed as the engine seals them, with something changed on the way."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.evidence.opened import OpenedEvidence, carriable
from pytest_cutover.evidence.report import read_report
from pytest_cutover.evidence.seal import seal
from pytest_cutover.record import fold
from tests.unit.evidence.runs import KEY, NOW, Run, sealed
from tests.unit.journals import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.evidence.envelope import EnvelopeSigner

    Evidence = tuple[bytes, bytes]

GATES = ("one", "two")
BASE = Run(
    gates=GATES,
    decided_at=NOW - timedelta(seconds=40),
    run_id="20261121T084600.000Z-0a0b0c0d",
    nonce="3e" * 16,
)
"""A whole run that may be opened: its bundle and report are `sealed(BASE)`."""


def unchanged(value: Any) -> None:
    """Leave the journal's events as they are."""


@dataclass
class OpenedRun:
    """A run that measures `one` and carries `two`; `alter` may change its events before they are signed."""

    run: Run = field(default_factory=lambda: Run(gates=GATES))
    base: Evidence = field(default_factory=lambda: sealed(BASE))
    carried: tuple[str, ...] = ("two",)
    alter: Callable[[list[dict[str, Any]]], None] = unchanged
    kept: OpenedEvidence | None = None  # what the report holds in place of the base
    keep: bool = True  # whether the report holds it at all
    key: EnvelopeSigner = KEY

    def events(self) -> list[bytes]:
        bundle, report = self.base
        journal = read_report(report).journal
        known, first = carriable(journal), json.loads(journal[0])
        nodes = {f"gates/preflight.py::test_{key}" for key in self.carried}
        own = [json.loads(line) for line in self.run.events()]
        kept = [e for e in own if e.get("nodeid") not in nodes]
        for event in kept:
            del event["seq"]
        kept[0]["opened"] = {
            "run_id": first["run_id"],
            "nonce": first["nonce"],
            "report": hashlib.sha256(report).hexdigest(),
            "bundle": hashlib.sha256(bundle).hexdigest(),
            "carried": len(nodes),
        }
        lines = [{"event": "gate.carried", "at": kept[0]["at"], **known[node]} for node in sorted(nodes)]
        events = [kept[0], *lines, *kept[1:]]
        self.alter(events)
        return sign(events)

    def seal(self) -> Evidence:
        events, policy = self.events(), self.run.policy()
        record = fold(events)
        out = seal(
            events=events,
            record=record,
            policy=policy,
            policy_envelope=self.run.envelope(),
            decision=decide(record, policy, self.run.decided_at),
            signer=self.key,
            opened=(self.kept or OpenedEvidence(*self.base)) if self.keep else None,
        )
        assert out.bundle is not None
        return out.bundle, out.report


def chain(length: int) -> Evidence:
    """The evidence of the last of `length` runs, each opened from the one before."""
    evidence = sealed(BASE)
    for number in range(1, length):
        at = BASE.decided_at + timedelta(seconds=15 * number)
        run = replace(
            BASE, decided_at=at, run_id=f"20261121T0846{number:02}.000Z-0a0b0c0d", nonce=f"{number:032}"
        )
        evidence = OpenedRun(run, evidence).seal()
    return evidence
