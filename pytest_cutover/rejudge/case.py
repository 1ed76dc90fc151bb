"""What is judged, by what, and when: everything `decide` is asked about, in one value."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_cutover.decision import decide
from pytest_cutover.model import Requirement
from pytest_cutover.reasons import Weight

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pytest_cutover.model import Decision, EffectivePolicy, Finding, RunRecord
    from pytest_cutover.waiver import GivenWaiver


@dataclass(frozen=True, slots=True)
class Case:
    """A record, the policy that judges it, the time it is judged at, and the waivers that were given."""

    record: RunRecord
    policy: EffectivePolicy
    at: datetime
    waivers: tuple[GivenWaiver, ...] = ()

    def decide(self) -> Decision:
        """What the one function that says GO makes of it."""
        return decide(self.record, self.policy, self.at, self.waivers)

    def under(self, policy: EffectivePolicy, at: datetime) -> Case:
        """The same measurements judged by another policy.

        The record says which policy, plan and environment it was made for; asking about others would
        otherwise be answered with `policy.changed` alone.
        """
        record = replace(
            self.record,
            policy_digest=policy.digest,
            plan=policy.plan,
            environment=policy.environment,
            sandbox=policy.sandbox,
        )
        return replace(self, record=record, policy=policy, at=at)


def blocking(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that keep a verdict from being GO."""
    return [f for f in findings if f.weight is not Weight.NOTE]


def parts(case: Case, keys: Iterable[str]) -> dict[str, Case]:
    """For each of these gates a case of its own, in which nothing but that gate can be held against the run.

    What is true of one gate does not depend on another, so thousands of gates can be asked about one by one.
    """
    wanted = set(keys)
    infos, results, dropped = defaultdict(list), defaultdict(list), defaultdict(list)
    nodes = {}
    for info in case.record.collected:
        if info.key in wanted:
            infos[info.key].append(info)
            nodes[info.nodeid] = info.key
    for result in case.record.results:
        if result.nodeid in nodes:
            results[nodes[result.nodeid]].append(result)
    for info in case.record.deselected:
        dropped[info.key].append(info)
    required = {r.gate for r in case.policy.requires}
    out = {}
    for key in wanted:
        own = dict.fromkeys(i.nodeid for i in infos[key])
        record = replace(
            case.record,
            collected=tuple(infos[key]),
            deselected=tuple(dropped[key]),
            started={n: case.record.started[n] for n in own if n in case.record.started},
            results=tuple(results[key]),
            problems=(),
            owed=(),
            complete=True,
        )
        gate = infos[key][0].id if infos[key] else key
        requires = (_only(gate, key),) if gate in required else ()
        out[key] = replace(case, record=record, policy=replace(case.policy, requires=requires))
    return out


def _only(gate: str, key: str) -> Requirement:
    return Requirement(gate, None if key == gate else (key[len(gate) + 1 : -1],))
