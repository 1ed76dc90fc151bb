"""Mistakes of meaning: values that are well-formed alone and wrong together.

Works on the located tree, so it also finds them in a document that has mistakes of shape: whatever
is missing or of the wrong type is passed over here and reported by `shape`. Pure: `now` is given.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_cutover.model import SANDBOX, Operator, parse_rfc3339, rfc3339
from pytest_cutover.phases import PHASES
from pytest_cutover.policy.document import GATE_KEY_PATTERN, LimitEntry
from pytest_cutover.policy.issues import Issue, did_you_mean, shown
from pytest_cutover.policy.positions import Node
from pytest_cutover.policy.shape import check_shape, where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pytest_cutover.policy.document import Document
    from pytest_cutover.policy.positions import Located, Path

OPERATORS = tuple(o.value for o in Operator)

SUBJECT_SOURCES = ("sha256", "files", "command", "git")

_LIMIT_KEYS = frozenset(LimitEntry.model_fields)

EMBEDDED = "embedded"
"""The target that means: start our own sandbox service."""


def check(located: Located, *, now: datetime | None) -> tuple[Document | None, list[Issue]]:
    """The document, and every mistake and note in file order.

    The document is None when an issue is a mistake (not only notes). With `now` of None the end date is
    not judged: `decide` does that, with a reason code of its own.
    """
    document, issues = check_shape(located)
    if document is not None or isinstance(located.root.value, dict):
        issues = _without_repeats([*issues, *_meaning(located.root, now)])
    issues.sort(key=lambda i: i.line)
    return (None if any(not i.note for i in issues) else document), issues


def _without_repeats(issues: Iterable[Issue]) -> list[Issue]:
    return list(dict.fromkeys(issues))


def _meaning(root: Node, now: datetime | None) -> Iterator[Issue]:
    yield from _texts(root)
    yield from _expiry(root, now)
    yield from _default_environment(root)
    yield from _plans(root)
    for holder in (root, *_children(root, "environments")):
        yield from _limits(holder)
    for holder in (root, *_children(root, "plans"), *_children(root, "environments")):
        yield from _settings(holder)
    for name, environment in _members(root, "environments"):
        yield from _sandbox(name, environment)
        yield from _targets(name, environment)
        yield from _subjects(environment)
        yield from _plan_overrides(root, environment)
        yield from _limit_overrides(root, environment)
    yield from _instance_units(root)
    yield from _unjudged(root)
    yield from _unrequired(root)


def _error(node: Node, message: str, hint: str) -> Issue:
    return Issue(node.document.name, node.key_line, where(node.path), message, hint)


def _note(node: Node, message: str, hint: str) -> Issue:
    return Issue(node.document.name, node.key_line, where(node.path), message, hint, note=True)


def _members(node: Node, *keys: str) -> Iterator[tuple[str, Node]]:
    child = node.at(*keys)
    if child is not None:
        yield from child.members()


def _children(node: Node, *keys: str) -> Iterator[Node]:
    for _, child in _members(node, *keys):
        yield child


def _elements(node: Node, *keys: str) -> Iterator[Node]:
    child = node.at(*keys)
    if child is not None:
        yield from child.items()


# -- texts, times, names


def _texts(root: Node) -> Iterator[Issue]:
    """Control characters would let a policy write to the terminal of whoever reads about it."""
    for node in root.walk():
        keys = [k for k, _ in node.members()]
        for text in [*keys, *([node.value] if isinstance(node.value, str) else [])]:
            found = next((c for c in text if ord(c) < 32 or 127 <= ord(c) < 160), None)
            if found is not None and not ("command" in node.path and found in "\n\t"):
                yield _error(
                    node, f"expected plain text, got the control character U+{ord(found):04X}", "remove it"
                )


def _expiry(root: Node, now: datetime | None) -> Iterator[Issue]:
    node = root.get("expires")
    if node is None or not isinstance(node.value, str):
        return
    try:
        expires = parse_rfc3339(node.value)
    except ValueError:
        yield _error(
            node, f"expected a UTC time, got {shown(node.value)}", "write it as 2030-01-01T00:00:00Z"
        )
        return
    if now is not None and expires <= now:
        yield _error(
            node,
            f"expected a time after {rfc3339(now)}, got {node.value}: the policy has expired",
            "review the policy, raise its version, move the date and sign it again",
        )


def _default_environment(root: Node) -> Iterator[Issue]:
    node = root.get("default_environment")
    known = [name for name, _ in _members(root, "environments")]
    if node is not None and isinstance(node.value, str) and node.value not in known:
        yield _error(
            node,
            f"expected an environment of this policy, got {node.value!r}",
            did_you_mean(node.value, known, what="environments"),
        )


# -- plans


def _plans(root: Node) -> Iterator[Issue]:
    for name, plan in _members(root, "plans"):
        if plan.get("phase") is None and name not in PHASES:
            yield _error(
                plan,
                f"expected a phase, because {name!r} is none itself",
                f'add "phase": "…"; {did_you_mean(name, PHASES, what="phases")}',
            )
        yield from _requires(plan)


def _requires(plan: Node) -> Iterator[Issue]:
    seen: dict[str, int] = {}
    for entry in _elements(plan, "requires"):
        gate = gate_of(entry)
        if gate is None:
            continue
        if gate in seen:
            hint = "remove one; several instances go into one entry's instances"
            yield _error(entry, f"gate {gate!r} is required twice, first on line {seen[gate]}", hint)
        seen.setdefault(gate, entry.key_line)
        yield from _duplicates(entry.get("instances"), "an instance is either named once or not at all")


def gate_of(entry: Node) -> str | None:
    """The gate id an entry of `requires` names, if it does."""
    value = entry.value.get("gate") if isinstance(entry.value, dict) else entry.value
    return value if isinstance(value, str) else None


def _duplicates(node: Node | None, hint: str) -> Iterator[Issue]:
    """Values that stand in a list more than once; 1 and 1.0 are the same."""
    if node is None:
        return
    values = [i.value for i in node.items() if isinstance(i.value, str | int | Decimal)]
    for value, count in Counter(values).items():
        if count > 1:
            yield _error(node, f"expected different values, got {shown(value)} {count} times", hint)


# -- limits


def _limits(holder: Node) -> Iterator[Issue]:
    for gate in _children(holder, "limits"):
        if gate.value == {}:
            yield _error(
                gate, "expected the limit of a measurement, got none", "add one, or remove the gate here"
            )
        for limit in _children(gate):
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
        yield _error(limit, f"expected exactly one of {', '.join(OPERATORS)}, got {got}", hint)
    ends = [e.value for e in _elements(limit, "between")]
    if len(ends) == 2 and all(_is_number(e) for e in ends) and ends[0] > ends[1]:
        yield _error(
            limit,
            f"expected low before high, got between {ends[0]} and {ends[1]}: no value can satisfy that",
            f"write [{ends[1]}, {ends[0]}] if that is meant",
        )
    accepted = limit.get("one_of")
    values = [e.value for e in _elements(limit, "one_of")]
    if accepted is not None and any(map(_is_number, values)) and any(isinstance(v, str) for v in values):
        hint = "a measurement is one or the other; numbers stand without quotes"
        yield _error(accepted, "expected all numbers or all texts, got both", hint)
    yield from _duplicates(accepted, "list every value once")


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


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
    yield _error(limit, message + (" because none is written" if silent else ""), hint)


def _instance_units(root: Node) -> Iterator[Issue]:
    for holder in (root, *_children(root, "environments")):
        for gate, node in _members(holder, "limits"):
            if "[" in gate:
                for name, limit in node.members():
                    yield from _unit_change(
                        limit, _base_limit(root, holder, gate.partition("[")[0], name), "the gate's limit"
                    )


def _base_limit(root: Node, holder: Node, gate: str, name: str) -> Node | None:
    return holder.at("limits", gate, name) or root.at("limits", gate, name)


def _limit_overrides(root: Node, environment: Node) -> Iterator[Issue]:
    known = _known_gates(root)
    for key, gate in _members(environment, "limits"):
        base = key.partition("[")[0]
        if base not in known:
            yield _error(
                gate,
                f"expected a gate that this policy requires or limits, got {base!r}",
                did_you_mean(base, sorted(known), what="gates"),
            )
            continue
        names = {n for k in (key, base) for n, _ in _members(root, "limits", k)}
        for name, limit in gate.members():
            yield from _unit_change(limit, root.at("limits", key, name), "the limit it replaces")
            if names and name not in names:
                yield _note(
                    limit,
                    f"judges {name!r}, which has a limit in this environment only",
                    did_you_mean(name, sorted(names), what=f"measurements of {base}"),
                )


def _known_gates(root: Node) -> set[str]:
    """Gates that any plan requires, here or in an environment, or that the policy's own limits name."""
    limited = {key.partition("[")[0] for key, _ in _members(root, "limits")}
    return limited | _required_gates(root)


def _required_gates(root: Node) -> set[str]:
    holders = [root, *_children(root, "environments")]
    plans = [plan for holder in holders for plan in _children(holder, "plans")]
    return {g for plan in plans for e in _elements(plan, "requires") if (g := gate_of(e)) is not None}


# -- what is required must be judged, and the other way round


def _unjudged(root: Node) -> Iterator[Issue]:
    """A required gate without a limit could never be green: whatever it measures is unjudged."""
    found: dict[tuple[Path, str], list[str]] = {}
    environments = list(_members(root, "environments"))
    for environment, node in environments:
        judged = _judged(root) | _judged(node)
        for plan, base in _members(root, "plans"):
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
        yield _error(Node(root.document, path, None), f"no limit judges {missing!r}{place}", hint)


def _judged(holder: Node) -> set[str]:
    return {key for key, limits in _members(holder, "limits") if limits.value}


def _missing_limits(entry: Node, judged: set[str]) -> list[str]:
    """The gate or instances of an entry that nothing judges."""
    gate = gate_of(entry)
    if gate is None or gate in judged:
        return []
    instances = [i.value for i in _elements(entry, "instances") if isinstance(i.value, str)]
    if not instances:
        return [gate]
    missing = [f"{gate}[{i}]" for i in instances if f"{gate}[{i}]" not in judged]
    return [gate] if len(missing) == len(instances) else missing


def _unrequired(root: Node) -> Iterator[Issue]:
    required = _required_gates(root)
    for key, gate in _members(root, "limits"):
        base = key.partition("[")[0]
        if not re.fullmatch(GATE_KEY_PATTERN, key):
            continue
        if base not in required:
            near = did_you_mean(base, sorted(required), what="required gates")
            hint = f"it judges the gate when it runs, and nobody notices when it does not; {near}"
            yield _note(gate, f"no plan requires {base!r}", hint)
        elif base != key and key not in _named_instances(root, base):
            yield _note(
                gate,
                f"no plan names the instance {key!r}",
                "add it to the gate's instances if it must be there",
            )


def _named_instances(root: Node, gate: str) -> set[str]:
    """Instances of a gate that some plan names; a gate required without names has any."""
    out: set[str] = set()
    for holder in (root, *_children(root, "environments")):
        for plan in _children(holder, "plans"):
            for entry in _elements(plan, "requires"):
                if gate_of(entry) == gate:
                    out |= {f"{gate}[{i.value}]" for i in _elements(entry, "instances")}
    return out


# -- settings


def _settings(holder: Node) -> Iterator[Issue]:
    settings = holder.get("settings") or holder.get("defaults")
    if settings is None:
        return
    paths = settings.at("gate_code", "paths")
    for path in _elements(settings, "gate_code", "paths"):
        if isinstance(path.value, str):
            yield from _gate_path(path)
    yield from _duplicates(paths, "list every path once")
    timeout, deadline = settings.get("gate_timeout_s"), settings.get("run_deadline_s")
    if timeout is None or deadline is None or not (_is_number(timeout.value) and _is_number(deadline.value)):
        return
    if deadline.value < timeout.value:
        message = f"the run ends after {deadline.value} s, before one gate's {timeout.value} s are over"
        yield _note(deadline, message, "raise run_deadline_s above gate_timeout_s")


def _gate_path(path: Node) -> Iterator[Issue]:
    text = PurePosixPath(path.value)
    hint = "write it relative to the project, with forward slashes, such as gates"
    if text.is_absolute() or path.value[1:3] in (":\\", ":/"):
        yield _error(path, f"expected a path inside the project, got the absolute {path.value!r}", hint)
    elif ".." in text.parts or "\\" in path.value:
        yield _error(path, f"expected a path inside the project, got {path.value!r}", hint)
    elif not text.parts:
        hint = "name the folders of the gates; the whole project includes what a run itself writes"
        yield _error(path, f"expected a file or folder, got {path.value!r}", hint)


# -- environments


def _sandbox(name: str, environment: Node) -> Iterator[Issue]:
    flag = environment.get("sandbox")
    says = flag is not None and flag.value is True
    if name == SANDBOX and not says:
        hint = f'add "sandbox": true; the name {SANDBOX!r} is kept for it'
        yield _error(flag or environment, 'expected "sandbox": true in the environment named sandbox', hint)
    if name != SANDBOX and says and flag is not None:
        hint = f"only the environment named {SANDBOX!r} may be one: elsewhere it would switch checks off"
        yield _error(flag, f"expected no sandbox, got true for {name!r}", hint)
    key = environment.at("settings", "development_key")
    if name != SANDBOX and key is not None and key.value is True:
        hint = "anybody who can write to the machine can make such a key; give CUTOVER_KEY instead"
        yield _note(key, f"a development key may sign for {name!r}", hint)


def _targets(name: str, environment: Node) -> Iterator[Issue]:
    for target in _children(environment, "targets"):
        if not isinstance(target.value, str):
            continue
        if target.value == EMBEDDED:
            if name != SANDBOX:
                hint = "it starts this project's own sandbox service, which tells nothing about others"
                yield _error(target, f"expected an address, got {EMBEDDED!r} outside of the sandbox", hint)
            continue
        yield from _address(target)


def _address(target: Node) -> Iterator[Issue]:
    try:
        parts = urlsplit(target.value)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        usable, secret = False, False
    if secret:
        # Not quoted: it would put the password into a log.
        hint = "a policy is public within the team: give credentials to the source, through the environment"
        yield _error(target, "expected an address without credentials, got one with", hint)
    elif not usable or " " in target.value:
        hint = 'write it as https://shop.example, or "embedded" in the sandbox'
        yield _error(target, f"expected an http or https address, got {target.value!r}", hint)


def _subjects(environment: Node) -> Iterator[Issue]:
    names: dict[str, int] = {}
    for subject in _elements(environment, "subjects"):
        if not isinstance(subject.value, dict):
            continue
        used = [s for s in SUBJECT_SOURCES if s in subject.value]
        if len(used) != 1:
            hint = "keep one: a subject has one digest" if used else 'add for example "files": "dist/*.whl"'
            got = " and ".join(used) or "none"
            yield _error(subject, f"expected exactly one of {', '.join(SUBJECT_SOURCES)}, got {got}", hint)
        name = subject.value.get("name")
        if isinstance(name, str):
            if name in names:
                hint = "give each subject its own name"
                yield _error(subject, f"subject {name!r} is listed twice, first on line {names[name]}", hint)
            names.setdefault(name, subject.key_line)
        yield from _subject_source(subject)


def _subject_source(subject: Node) -> Iterator[Issue]:
    revision, files, command = subject.get("git"), subject.get("files"), subject.get("command")
    if revision is not None and isinstance(revision.value, str) and revision.value.startswith("-"):
        # It would be read by git as an option.
        yield _error(
            revision, f"expected a revision, got {revision.value!r}", "write a branch, tag, commit or HEAD"
        )
    if files is not None and isinstance(files.value, str) and _leaves_project(files.value):
        yield _error(
            files, f"expected a glob inside the project, got {files.value!r}", "write it as dist/*.whl"
        )
    first = next(command.items(), None) if command is not None else None
    if first is not None and isinstance(first.value, str) and not first.value.strip():
        yield _error(
            first, "expected a program, got an empty text", "the list begins with the program's name"
        )


def _leaves_project(text: str) -> bool:
    path = PurePosixPath(text)
    return path.is_absolute() or ".." in path.parts


def _plan_overrides(root: Node, environment: Node) -> Iterator[Issue]:
    known = [name for name, _ in _members(root, "plans")]
    for name, plan in _members(environment, "plans"):
        if name not in known:
            yield _error(
                plan, f"expected a plan of this policy, got {name!r}", did_you_mean(name, known, what="plans")
            )
        yield from _requires(plan)
