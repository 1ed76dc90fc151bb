"""Mistakes in limits: what no value can satisfy, what nothing judges, what judges nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_cutover.model import Operator
from pytest_cutover.policy.document import GATE_KEY_PATTERN, LimitEntry
from pytest_cutover.policy.issues import did_you_mean, duplicates, is_number, mistake, note
from pytest_cutover.policy.positions import Node
from pytest_cutover.policy.requires import gate_of, known_gates, required_gates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.policy.issues import Issue
    from pytest_cutover.policy.positions import Path

OPERATORS = tuple(o.value for o in Operator)

_LIMIT_KEYS = frozenset(LimitEntry.model_fields)


def check_limits(root: Node) -> Iterator[Issue]:
    """The policy's limits and those of its environments, beside what its plans require."""
    for holder in (root, *root.children("environments")):
        yield from _limits(holder)
    for environment in root.children("environments"):
        yield from _limit_overrides(root, environment)
    yield from _instance_units(root)
    yield from _unjudged(root)
    yield from _unrequired(root)


def _limits(holder: Node) -> Iterator[Issue]:
    for gate in holder.children("limits"):
        if gate.value == {}:
            yield mistake(
                gate, "expected the limit of a measurement, got none", "add one, or remove the gate here"
            )
        for limit in gate.children():
            yield from _limit(limit)


def _limit(limit: Node) -> Iterator[Issue]:
    if not isinstance(limit.value, dict):
        return
    used = [o for o in OPERATORS if o in limit.value]
    # With an unknown key and no operator, the operator is misspelt: said once is enough.
    if len(used) > 1 or (not used and set(limit.value) <= _LIMIT_KEYS):
        got = " and ".join(used) or "none"
        hint = "a range is between [low, high]" if set(used) == {"at_least", "at_most"} else "keep one"
        hint = hint if used else 'add for example "at_most": 1, or "equals": "ready"'
        yield mistake(limit, f"expected exactly one of {', '.join(OPERATORS)}, got {got}", hint)
    ends = [e.value for e in limit.items("between")]
    if len(ends) == 2 and all(is_number(e) for e in ends) and ends[0] > ends[1]:
        yield mistake(
            limit,
            f"expected low before high, got between {ends[0]} and {ends[1]}: no value can satisfy that",
            f"write [{ends[1]}, {ends[0]}] if that is meant",
        )
    accepted = limit.get("one_of")
    values = [e.value for e in limit.items("one_of")]
    if accepted is not None and any(map(is_number, values)) and any(isinstance(v, str) for v in values):
        hint = "a measurement is one or the other; numbers stand without quotes"
        yield mistake(accepted, "expected all numbers or all texts, got both", hint)
    yield from duplicates(accepted, "list every value once")


def _unit(limit: Node) -> str | None:
    """The unit of a limit, or None when that is no text."""
    if not isinstance(limit.value, dict):
        return None
    unit = limit.value.get("unit", "1")
    return unit if isinstance(unit, str) else None


def _unit_change(limit: Node, base: Node | None, what: str) -> Iterator[Issue]:
    """A gate measures in one unit: with another one the limit would never judge anything."""
    if base is None:
        return
    old, new = _unit(base), _unit(limit)
    if old is None or new is None or old == new:
        return
    silent = "unit" not in limit.value
    message = f"expected the unit {old!r} of {what} on line {base.key_line}, got {new!r}"
    hint = (
        f'an override replaces the limit whole: add "unit": "{old}"' if silent else "change both, or neither"
    )
    yield mistake(limit, message + (" because none is written" if silent else ""), hint)


def _instance_units(root: Node) -> Iterator[Issue]:
    for holder in (root, *root.children("environments")):
        for gate, node in holder.members("limits"):
            if "[" in gate:
                for name, limit in node.members():
                    yield from _unit_change(
                        limit, _base_limit(root, holder, gate.partition("[")[0], name), "the gate's limit"
                    )


def _base_limit(root: Node, holder: Node, gate: str, name: str) -> Node | None:
    return holder.at("limits", gate, name) or root.at("limits", gate, name)


def _limit_overrides(root: Node, environment: Node) -> Iterator[Issue]:
    known = known_gates(root)
    for key, gate in environment.members("limits"):
        base = key.partition("[")[0]
        if base not in known:
            yield mistake(
                gate,
                f"expected a gate that this policy requires or limits, got {base!r}",
                did_you_mean(base, sorted(known), what="gates"),
            )
            continue
        names = {n for k in (key, base) for n, _ in root.members("limits", k)}
        for name, limit in gate.members():
            yield from _unit_change(limit, root.at("limits", key, name), "the limit it replaces")
            if names and name not in names:
                yield note(
                    limit,
                    f"judges {name!r}, which has a limit in this environment only",
                    did_you_mean(name, sorted(names), what=f"measurements of {base}"),
                )


# -- what is required must be judged, and the other way round


def _unjudged(root: Node) -> Iterator[Issue]:
    """A required gate without a limit could never be green: whatever it measures is unjudged."""
    found: dict[tuple[Path, str], list[str]] = {}
    environments = list(root.members("environments"))
    for environment, node in environments:
        judged = _judged(root) | _judged(node)
        for plan, base in root.members("plans"):
            override = node.at("plans", plan, "requires")
            for entry in (override or base.get("requires") or node).items():
                for missing in _missing_limits(entry, judged):
                    found.setdefault((entry.path, missing), []).append(environment)
    for (path, missing), names in found.items():
        everywhere = len(names) == len(environments) or path[0] == "environments"
        place = "" if everywhere else f" in environment {', '.join(names)}"
        hint = (
            f'add "{missing}" to limits, with what it measures; a measurement without a limit is never green'
        )
        yield mistake(Node(root.document, path, None), f"no limit judges {missing!r}{place}", hint)


def _judged(holder: Node) -> set[str]:
    return {key for key, limits in holder.members("limits") if limits.value}


def _missing_limits(entry: Node, judged: set[str]) -> list[str]:
    """The gate or instances of an entry that nothing judges."""
    gate = gate_of(entry)
    if gate is None or gate in judged:
        return []
    instances = [i.value for i in entry.items("instances") if isinstance(i.value, str)]
    if not instances:
        return [gate]
    missing = [f"{gate}[{i}]" for i in instances if f"{gate}[{i}]" not in judged]
    return [gate] if len(missing) == len(instances) else missing


def _unrequired(root: Node) -> Iterator[Issue]:
    required = required_gates(root)
    for key, gate in root.members("limits"):
        base = key.partition("[")[0]
        if not re.fullmatch(GATE_KEY_PATTERN, key):
            continue
        if base not in required:
            near = did_you_mean(base, sorted(required), what="required gates")
            hint = f"it judges the gate when it runs, and nobody notices when it does not; {near}"
            yield note(gate, f"no plan requires {base!r}", hint)
        elif base != key and key not in _named_instances(root, base):
            yield note(
                gate,
                f"no plan names the instance {key!r}",
                "add it to the gate's instances if it must be there",
            )


def _named_instances(root: Node, gate: str) -> set[str]:
    """Instances of a gate that some plan names; a gate required without names has any."""
    out: set[str] = set()
    for holder in (root, *root.children("environments")):
        for plan in holder.children("plans"):
            for entry in plan.items("requires"):
                if gate_of(entry) == gate:
                    out |= {f"{gate}[{i.value}]" for i in entry.items("instances")}
    return out
