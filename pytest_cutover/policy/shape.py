"""Mistakes of shape: what pydantic finds in a document, said with file, line and a way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_cutover.policy.document import (
    ENDPOINT_PATTERN,
    FORMAT,
    GATE_KEY_PATTERN,
    ID_PATTERN,
    LOG_ORIGIN_PATTERN,
    MAX_SAMPLES,
    REGION_PATTERN,
    SHA256_PATTERN,
    TRIMMED_PATTERN,
    WITNESS_PATTERN,
    Change,
    Document,
    Environment,
    GateCode,
    Guards,
    LimitEntry,
    Log,
    Model,
    Plan,
    PlanOverride,
    RequireEntry,
    Retention,
    Settings,
    Store,
    Subject,
)
from pytest_cutover.policy.issues import Issue, did_you_mean, shown, where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_cutover.policy.positions import Located, Path

_HOMES: Mapping[type[Model], str] = {
    Document: "the top of the file",
    Settings: "defaults, or a plan's or environment's settings",
    GateCode: "gate_code",
    Plan: "a plan",
    RequireEntry: "an entry of requires",
    LimitEntry: "the limit of one measurement",
    Environment: "an environment",
    Subject: "an entry of subjects",
    Change: "an environment's change",
    Guards: "an environment's guards",
    Log: "an environment's log",
    Store: "an environment's store",
    Retention: "a store's retention",
}
"""Where the keys of each model belong, for a key that stands in the wrong place."""

_PARTS: Mapping[str, type[Model]] = {"change": Change, "guards": Guards, "log": Log, "store": Store}
"""Of an environment."""

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "number_type": "a number",
    "bound_type": "a number or a text",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "tuple_type": "a list",
    "requires_type": "a gate id, or an object with gate and instances",
    "instances_type": "a list of instance names, or their number",
    "shards_type": "a list of shard names, or their number",
}

_TAGS = ("<text>", "<object>", "<list>", "<count>")

_ID_HINT = "use small letters, digits, dots, dashes and underscores, beginning with a letter or digit"
_PATTERN_HINTS = {
    ID_PATTERN: ("an id such as service.ready", _ID_HINT),
    GATE_KEY_PATTERN: ("a gate id such as service.ready or region.ready[eu]", _ID_HINT),
    TRIMMED_PATTERN: (
        "one line of text without whitespace around it",
        "remove the whitespace, or write what is meant",
    ),
    SHA256_PATTERN: (
        "a SHA-256 as 64 small hex digits",
        "`sha256sum FILE` prints one; leave out any sha256: prefix",
    ),
    LOG_ORIGIN_PATTERN: (
        "the name of a log, without blanks and plus signs",
        "it stands in the first line of the log's checkpoints",
    ),
    ENDPOINT_PATTERN: (
        "the address of a server such as https://s3.example.org",
        "begin with http:// or https://; credentials come from the environment",
    ),
    WITNESS_PATTERN: (
        "the address of a witness such as https://witness.example.org",
        "begin with http:// or https://; a witness asks for no credentials",
    ),
    REGION_PATTERN: ("a region such as eu-central-1", "use small letters, digits and dashes"),
}

_MISSING_HINTS = {
    "format": f'add "format": {FORMAT}',
    "name": "give it a name that reports can show",
    "version": 'add "version": 1 and raise it with every change',
    "plans": 'add "plans": {"preflight": {"requires": [...]}}',
    "limits": 'add "limits": {"gate.id": {"measurement": {"at_most": 1}}}',
    "environments": 'add "environments": {"sandbox": {"sandbox": true}}',
    "requires": "list the gates that must be proven green",
    "gate": "name the gate by its id",
    "git": "name the range of commits, such as v1.4..HEAD",
    "command": 'add "command": ["./guards.sh"]',
    "days": "say how many days evidence is kept",
}


def check_shape(document: Located) -> tuple[Document | None, list[Issue]]:
    """The document as models, or None and every mistake of shape."""
    wrong_format = _check_format(document)
    if wrong_format is not None:
        return None, [wrong_format]
    issues = [
        _issue(document, node.path, "expected a value, got null", "leave the key out", key=True)
        for node in document.root.walk()
        if node.value is None
    ]
    try:
        model = Document.model_validate(document.value)
    except ValidationError as exc:
        issues += [
            i for i in (_translate(document, e) for e in exc.errors(include_url=False)) if i is not None
        ]
        return None, issues
    return (None if issues else model), issues


def _check_format(document: Located) -> Issue | None:
    """The format decides how the rest is read, so a wrong one is the only mistake worth telling."""
    if not isinstance(document.value, dict):
        return _issue(
            document, (), f"expected an object, got {shown(document.value)}", "a policy begins with {"
        )
    value = document.value.get("format", FORMAT)
    # Not `==`: true and 1.0 equal 1 as well.
    if type(value) is int and value == FORMAT:
        return None
    return _issue(
        document,
        ("format",),
        f"expected {FORMAT}, got {shown(value)}",
        f"this version reads format {FORMAT}; a newer format needs a newer pytest-cutover",
    )


def _issue(document: Located, path: Path, message: str, hint: str, *, key: bool = False) -> Issue:
    line = document.key_line(path) if key else document.line(path)
    return Issue(document.name, line, where(path), message, hint)


def _translate(document: Located, error: Any) -> Issue | None:
    path, key = _path(error)
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        hint = _unknown_key(path)
        return Issue(
            document.name, document.key_line(path), where(path[:-1]), f"unknown key {path[-1]!r}", hint
        )
    if kind == "missing":
        name = str(path[-1])
        return _issue(document, path[:-1], f"expected the key {name!r}, got none", _MISSING_HINTS[name])
    if kind in ("too_short", "too_long") and isinstance(value, list | dict):
        return _length(document, path, value, context)
    message, hint = _value_message(kind, path, value, context)
    if key:
        return _issue(document, path, f"expected {message}, got {shown(path[-1])}", hint, key=True)
    has_secrets = path[-1:] == ("endpoint",) and "@" in str(value)  # a password is not for a log
    got = "one with credentials" if has_secrets else shown(value)
    return _issue(document, path, f"expected {message}, got {got}", hint)


def _path(error: Mapping[str, Any]) -> tuple[Path, bool]:
    """pydantic's location without the marks of unions, and whether it speaks of the key itself."""
    loc, key = error["loc"], False
    if loc and loc[-1] == "[key]" and error["type"].startswith("string_"):
        loc, key = loc[:-1], True
    out: list[str | int] = []
    union = False  # the next part names a union's member: it follows an entry of requires, or instances
    for part in loc:
        if not (union and part in _TAGS):
            union = part == "instances" or (isinstance(part, int) and out[-1:] == ["requires"])
            out.append(part)
        else:
            union = False
    return tuple(out), key


def _unknown_key(path: Path) -> str:
    model, key = model_at(path[:-1]), str(path[-1])
    known = [f.alias or n for n, f in model.model_fields.items()]
    homes = [text for other, text in _HOMES.items() if other is not model and key in other.model_fields]
    if homes:
        return f"{key!r} belongs in {homes[0]}; known keys here: {', '.join(known)}"
    return did_you_mean(key, known, what="keys here")


def model_at(path: Path) -> type[Model]:
    """The model of the object at `path`."""
    match path:
        case (*_, "gate_code"):
            return GateCode
        case ("defaults",) | ("plans" | "environments", _, "settings"):
            return Settings
        case ("plans", _):
            return Plan
        case (*_, "requires", _):
            return RequireEntry
        case ("limits", _, _) | ("environments", _, "limits", _, _):
            return LimitEntry
        case ("environments", _):
            return Environment
        case ("environments", _, "plans", _):
            return PlanOverride
        case ("environments", _, "subjects", _):
            return Subject
        case ("environments", _, "store", "retention"):
            return Retention
        case ("environments", _, ("change" | "guards" | "log" | "store") as name):
            return _PARTS[name]
    return Document


def _length(document: Located, path: Path, value: Any, context: Mapping[str, Any]) -> Issue | None:
    low, high = context.get("min_length", 0), context.get("max_length")
    # pydantic also says "too short" when elements were dropped as invalid; those have their own message.
    if len(value) >= low and (high is None or len(value) <= high):
        return None
    got = f"{len(value)} of them" if value else shown(value)
    if path[-1] == "between":
        return _issue(
            document, path, f"expected [low, high], got {got}", "write both ends, the lower one first"
        )
    hints = {
        "requires": "a plan that requires nothing proves nothing: list its gates",
        "one_of": "list at least one value that is accepted",
        "instances": "name the instances, or give their number",
        "plans": "add a plan",
        "environments": "add an environment",
    }
    hint = hints.get(str(path[-1]), "add an entry, or leave the key out")
    return _issue(
        document, path, f"expected at least {low} {'entry' if low == 1 else 'entries'}, got {got}", hint
    )


def _value_message(kind: str, path: Path, value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    """What was expected, and the way out."""
    key = str(path[-1]) if path else ""
    if kind == "string_pattern_mismatch":
        return _pattern_message(path, value, str(context["pattern"]))
    if kind == "string_too_short":
        return (
            "a number or a text with something in it",
            "an absent value is never green; name the text that is",
        )
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters", "shorten it"
    if kind in ("greater_than_equal", "less_than_equal"):
        return _range_message(key, context)
    if kind == "literal_error":
        return f"one of {context['expected']}", did_you_mean(str(value), _literals(context), what="values")
    if kind == "number_type" and isinstance(value, str):
        if key in ("at_least", "at_most") or "between" in path:
            return "a number", "texts are judged by equals or one_of; numbers stand without quotes"
        return "a number", "numbers stand without quotes"
    if kind == "bound_type":
        return (
            "a number or a text",
            'a measurement is never true or false: measure a text such as "pass", or 1 and 0',
        )
    if kind == "int_type":
        return "a whole number", "write it without a fraction, an exponent or quotes"
    name = next((p for p in reversed(path) if isinstance(p, str)), "format")
    return _EXPECTED.get(kind, kind.replace("_", " ")), f"see docs/reference/policy.md, `{name}`"


def _pattern_message(path: Path, value: Any, pattern: str) -> tuple[str, str]:
    expected, hint = _PATTERN_HINTS[pattern]
    if pattern == ID_PATTERN and "requires" in path and re.fullmatch(GATE_KEY_PATTERN, str(value)):
        gate, _, instance = str(value).removesuffix("]").partition("[")
        return "a gate, not one of its instances", f'write {{"gate": "{gate}", "instances": ["{instance}"]}}'
    if path and path[-1] == "unit":
        return (
            expected,
            'leave the unit out when there is none; it is compared letter for letter, "s" is not "s "',
        )
    return expected, hint


def _range_message(key: str, context: Mapping[str, Any]) -> tuple[str, str]:
    low = context.get("ge")
    bound = str(low if low is not None else context["le"]).removeprefix("Decimal('").removesuffix("')")
    expected = f"at least {bound}" if low is not None else f"at most {bound}"
    if key.endswith("_s"):
        return f"{expected} seconds", "the unit is seconds"
    if key == "min_samples":
        return (
            expected,
            "leave it out when no samples are needed"
            if low is not None
            else f"nobody collects more than {MAX_SAMPLES}",
        )
    if key == "days":
        return f"{expected} days", "evidence is kept for a day to a century"
    return expected, "whole numbers count from 1"


def _literals(context: Mapping[str, Any]) -> list[str]:
    return [w.strip("' ") for w in str(context["expected"]).replace(" or ", ",").split(",")]
