"""Where one value stands in a JSON document: the singular queries of RFC 9535 (names and indexes). Pure.

Wildcards, slices and filters may select several values or none; a measurement is one.
"""

from __future__ import annotations

import re
from typing import Any

Query = tuple[str | int, ...]

_STEP = re.compile(
    r"\.(?P<name>[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)"
    r"|\[\s*(?:(?P<index>0|-?[1-9][0-9]{0,8})|'(?P<single>(?:[^'\\]|\\['\\])*)'|\"(?P<double>(?:[^\"\\]|\\[\"\\])*)\")\s*\]",
    re.ASCII,
)


def parse(text: str) -> Query:
    """The names and indexes of a query such as `$.checks[0]['disk.free']`.

    Raises:
        ValueError: it is none, or could select more than one value.
    """
    if not text.startswith("$"):
        raise ValueError("a path begins with $")
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"cannot read {text[at:][:20]!r}")
        at = step.end()
        if step["index"] is not None:
            steps.append(int(step["index"]))
        else:
            quoted = step["single"] if step["single"] is not None else step["double"]
            steps.append(step["name"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    return tuple(steps)


def select(document: Any, query: Query) -> Any:
    """The value at `query`.

    Raises:
        LookupError: there is none; the message says how far the path led.
    """
    value = document
    for depth, step in enumerate(query):
        there = shown(query[:depth])
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                known = f"it has {', '.join(list(value)[:10])}" if isinstance(value, dict) else kind(value)
                raise LookupError(f"no {step!r} at {there} ({known})")
            value = value[step]
        else:
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                known = f"it has {len(value)} items" if isinstance(value, list) else kind(value)
                raise LookupError(f"no item {step} at {there} ({known})")
            value = value[step]
    return value


def shown(query: Query) -> str:
    """A query as people write it."""
    parts = (
        f"[{s}]" if isinstance(s, int) else f".{s}" if re.fullmatch(r"[A-Za-z_]\w*", s) else f"[{s!r}]"
        for s in query
    )
    return "$" + "".join(parts)


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a text" if isinstance(value, str) else "a number"
