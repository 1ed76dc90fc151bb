"""Everything `cutover check` finds for one plan and environment. Nothing is run, sent or written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import shard_verdict
from pytest_cutover.errors import ConfigError
from pytest_cutover.model import Runner, Verdict
from pytest_cutover.outlook.collection import collect
from pytest_cutover.outlook.expected import outlook
from pytest_cutover.outlook.matter import Matter, of_finding
from pytest_cutover.outlook.prospect import prospect
from pytest_cutover.outlook.seen import last_seen
from pytest_cutover.outlook.surroundings import Surroundings, unused_limits
from pytest_cutover.policy.load import load_policy, read_policy, shown_path
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_cutover.model import Decision, EffectivePolicy
    from pytest_cutover.outlook.collection import Collection
    from pytest_cutover.outlook.expected import Outlook
    from pytest_cutover.outlook.seen import Seen
    from pytest_cutover.policy.load import LoadedPolicy
    from pytest_cutover.run.context import RunOptions

_ORDER = list(Weight)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, worst first; `unknown` are (gate, where, why) that only a run can tell."""

    policy: EffectivePolicy
    matters: tuple[Matter, ...]
    unknown: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str], ...]
    ready: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.policy.plan,
            "environment": self.policy.environment,
            "policy": {
                "name": self.policy.name,
                "version": self.policy.version,
                "digest": self.policy.digest,
            },
            "ready": self.ready,
            "matters": [m.to_json() for m in self.matters],
            "unknown": [{"gate": g, "where": w, "why": y} for g, w, y in self.unknown],
            "facts": dict(self.facts),
        }


def plan_of(path: Path, plan: str | None) -> str:
    """The plan that was named, or the only one the policy has.

    Raises:
        ConfigError: it has several, and none was named.
    """
    if plan is not None:
        return plan
    plans = list(read_policy(path, now=None).document.plans)
    if len(plans) != 1:
        raise ConfigError(
            f"expected a plan, got none; {shown_path(path)} has {', '.join(plans) or 'none'}",
            hint="cutover check PLAN",
        )
    return plans[0]


def check(
    options: RunOptions, environ: Mapping[str, str], rootdir: Path, arguments: Sequence[str]
) -> Checked:
    """Look at all that a run would need.

    Raises:
        ConfigError: policy or trust file cannot be used.
        AdapterError: pytest cannot be started.
    """
    from pytest_cutover.keys.trust import find_anchor

    now = datetime.now(UTC)
    path = rootdir / (options.policy or environ.get("CUTOVER_POLICY") or "configs/policy.json")
    anchor = find_anchor(options.trust, environ, rootdir)
    environment = options.environment or environ.get("CUTOVER_ENV") or None
    loaded = load_policy(path, plan=plan_of(path, options.plan or None), environment=environment, anchor=anchor, now=now)  # fmt: skip
    surroundings = Surroundings(loaded, options, environ, rootdir, anchor, now)
    around = surroundings.around()
    collection = collect(loaded.effective, rootdir, arguments)
    seen = last_seen(rootdir, loaded.effective)
    unchanged = seen is not None and seen.gate_code_digest == around.gate_code_digest
    targets = loaded.profile.targets
    outlooks = [outlook(g, seen, targets, rootdir, unchanged=unchanged) for g in collection.gates]
    surroundings.times(collection)
    decision = prospect(loaded.effective, collection, outlooks, around, now)
    return _checked(loaded, collection, outlooks, decision, surroundings, seen, shown_path(path))


def _checked(
    loaded: LoadedPolicy,
    collection: Collection,
    outlooks: Sequence[Outlook],
    decision: Decision,
    surroundings: Surroundings,
    seen: Seen | None,
    file: str,
) -> Checked:
    policy = loaded.effective
    # Nothing was shown yet: what is owed stands among the facts.
    findings = [f for f in decision.findings if f.reason is not Reason.OBLIGATION_MET]
    matters = [of_finding(f, loaded, file, outlooks) for f in findings]
    if surroundings.subject_by_command:  # no waiver can be bound to a digest that nobody has asked for
        matters = [m for m in matters if m.code != Reason.WAIVER_FOREIGN.code]
    matters += surroundings.matters
    matters += [_refused(where) for where in collection.network]
    matters += unused_limits(loaded, collection, file)
    verdict = shard_verdict(decision)
    stopped = any(m.weight is not Weight.NOTE for m in surroundings.matters)
    return Checked(
        policy=policy,
        matters=tuple(sorted(matters, key=lambda m: _ORDER.index(m.weight))),
        unknown=tuple(_unknown(outlooks, seen)),
        facts=(*_facts(loaded, collection, outlooks), *surroundings.facts),
        ready=verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS) and not stopped,
    )


def _refused(where: str) -> Matter:
    return Matter(
        Weight.NOTE,
        "something reaches for the network while gates are collected, and was refused",
        where=where,
        hint="connect in a fixture or in the gate: an import should not depend on the network",
    )


def _unknown(outlooks: Sequence[Outlook], seen: Seen | None) -> Iterator[tuple[str, str, str]]:
    for each in outlooks:
        before = [m.name for m in each.measures if m.seen is not None]
        run = "" if seen is None else f"; last seen in run {seen.run_id}: {', '.join(before)}"
        for at, (where, why) in enumerate(each.unknown):
            yield each.gate.info.key, where, why + (run if before and at == 0 else "")


def _facts(
    loaded: LoadedPolicy, collection: Collection, outlooks: Sequence[Outlook]
) -> Iterator[tuple[str, str]]:
    policy = loaded.effective
    ids = {g.info.id for g in collection.gates}
    required = [r.gate for r in policy.requires]
    others = len(collection.gates) - sum(g.info.id in required for g in collection.gates)
    more = f", and {others} that the plan does not require" if others else ""
    yield "gates", f"{sum(r in ids for r in required)} of {len(required)} required collected{more}"
    limits = {(o.gate.info.key, name) for o in outlooks for name in policy.limits_for(o.gate.info)}
    in_source = {(o.gate.info.key, m.name) for o in outlooks for m in o.measures if m.seen is None}
    seen = {(o.gate.info.key, m.name) for o in outlooks for m in o.measures if m.seen is not None}
    rest = f", {len(limits & seen)} in the last run" if limits & seen else ""
    yield "limits", f"{len(limits)}; {len(limits & in_source)} measured in the source{rest}"
    if policy.runner is Runner.SUPERVISED:
        yield "runner", f"supervised alone counts: cutover run {policy.plan}"
    yield "policy", f"{policy.name}, version {policy.version}, {loaded.signature.state.value}"
