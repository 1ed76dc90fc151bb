"""Mistakes in plans: their phase, and the gates they require."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.phases import PHASES
from pytest_cutover.policy.issues import did_you_mean, duplicates, mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.policy.issues import Issue
    from pytest_cutover.policy.positions import Node


def check_plans(root: Node) -> Iterator[Issue]:
    """The policy's plans, and what environments put in their place."""
    yield from _plans(root)
    for environment in root.children("environments"):
        yield from _plan_overrides(root, environment)


def gate_of(entry: Node) -> str | None:
    """The gate id an entry of `requires` names, if it does."""
    value = entry.value.get("gate") if isinstance(entry.value, dict) else entry.value
    return value if isinstance(value, str) else None


def known_gates(root: Node) -> set[str]:
    """Gates that any plan requires, here or in an environment, or that the policy's own limits name."""
    limited = {key.partition("[")[0] for key, _ in root.members("limits")}
    return limited | required_gates(root)


def required_gates(root: Node) -> set[str]:
    """Gates that any plan requires, here or in an environment."""
    holders = [root, *root.children("environments")]
    plans = [plan for holder in holders for plan in holder.children("plans")]
    return {g for plan in plans for e in plan.items("requires") if (g := gate_of(e)) is not None}


def _plans(root: Node) -> Iterator[Issue]:
    for name, plan in root.members("plans"):
        if plan.get("phase") is None and name not in PHASES:
            yield mistake(
                plan,
                f"expected a phase, because {name!r} is none itself",
                f'add "phase": "…"; {did_you_mean(name, PHASES, what="phases")}',
            )
        yield from _requires(plan)
        yield from _shards(plan)


def _shards(plan: Node) -> Iterator[Issue]:
    yield from duplicates(plan.get("shards"), "a shard is named once: its run is merged once")


def _requires(plan: Node) -> Iterator[Issue]:
    seen: dict[str, int] = {}
    for entry in plan.items("requires"):
        gate = gate_of(entry)
        if gate is None:
            continue
        if gate in seen:
            hint = "remove one; several instances go into one entry's instances"
            yield mistake(entry, f"gate {gate!r} is required twice, first on line {seen[gate]}", hint)
        seen.setdefault(gate, entry.key_line)
        yield from duplicates(entry.get("instances"), "an instance is either named once or not at all")


def _plan_overrides(root: Node, environment: Node) -> Iterator[Issue]:
    known = [name for name, _ in root.members("plans")]
    for name, plan in environment.members("plans"):
        if name not in known:
            yield mistake(
                plan, f"expected a plan of this policy, got {name!r}", did_you_mean(name, known, what="plans")
            )
        if plan.value == {}:
            hint = "add what differs here, or remove the plan from the environment"
            yield mistake(plan, "expected requires or shards, got neither", hint)
        yield from _requires(plan)
        yield from _shards(plan)
