"""Readings made adverse: refused, late, with other figures, words, lines or items; pure.

Numbers that look like a time since 1970 stay: a document from another century is refused for other reasons
than the ones a gate is there for.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.sources.command import CommandReading
from pytest_cutover.sources.http import Headers, HttpReading
from pytest_cutover.sources.tree import TreeReading

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {
    "refused": "status 503, exit code 1",
    "failed": "status 500, exit code 125",
    "high": "every figure far up",
    "late": "every answer after 1000 s",
    "more": "1000 more lines, items and matches",
    "zero": "every figure 0",
    "negative": "every figure far below 0",
    "fewer": "no lines, items or matches",
    "other": "other words, true and false exchanged",
    "taken-high": "every value taken from it far up, or another word",
    "taken-low": "every value taken from it far below 0, or another word",
}
"""Kinds of adverse readings, in the order in which they are tried, and what they are for people."""

WORD = "prove-red"
MANY = 1000
_UNITS = r"(?:ms|us|ns|s|m|h|[kKMGTP]?i?[bB]|[kKMG])"
_FIGURE = re.compile(
    rf"(?<![\w.\"':/+-])[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?={_UNITS}?(?![\w\"':/-])(?!\.\d))", re.ASCII
)
_NUMERIC = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)

_SCALES: dict[str, Callable[[float], float]] = {
    "high": lambda x: abs(x) * MANY + MANY,
    "zero": lambda x: 0,
    "negative": lambda x: -abs(x) * MANY - MANY,
}


def distorted(reading: Any, kind: str) -> Any:
    """The reading of a source as `kind` makes it, observed now."""
    now = datetime.now(UTC)
    if isinstance(reading, HttpReading):
        return replace(_http(reading, kind), observed_at=now)
    if isinstance(reading, CommandReading):
        return replace(_command(reading, kind), observed_at=now)
    if isinstance(reading, TreeReading):
        return replace(_tree(reading, kind), observed_at=now)
    return reading


def value(taken: object, kind: str) -> object:
    """A value taken from a reading as `kind` makes it."""
    if kind not in ("taken-high", "taken-low"):
        return taken
    if isinstance(taken, str):
        return WORD
    scale = _SCALES["high" if kind == "taken-high" else "negative"]
    try:
        return int(scale(float(taken)))  # type: ignore[arg-type] # whatever it is, it is a number or stays
    except (TypeError, ValueError, OverflowError):
        return taken


def _http(reading: HttpReading, kind: str) -> HttpReading:
    if kind == "refused":
        return replace(reading, status_code=200 if reading.status_code >= 500 else 503)
    if kind == "failed":
        return replace(reading, status_code=204 if reading.status_code == 500 else 500)
    if kind == "late":
        return replace(reading, latency_s=reading.latency_s + MANY)
    body = _bytes(reading.body, kind)
    if kind != "other":
        return replace(reading, body=body)
    kept = {"content-type", "content-length"}
    headers = Headers(tuple((n, v if n in kept else WORD) for n, v in reading.headers.items()))
    return replace(reading, body=body, headers=headers)


def _command(reading: CommandReading, kind: str) -> CommandReading:
    if kind == "refused":
        return replace(reading, exit_code=0 if reading.exit_code else 1)
    if kind == "failed":
        return replace(reading, exit_code=2 if reading.exit_code == 125 else 125)
    if kind == "late":
        return replace(reading, duration_s=reading.duration_s + MANY)
    out, err = _bytes(reading.stdout_bytes, kind), _bytes(reading.stderr_bytes, kind)
    return replace(
        reading,
        stdout=out.decode("utf-8", "backslashreplace"),
        stderr=err.decode("utf-8", "backslashreplace"),
        stdout_bytes=out,
        stderr_bytes=err,
    )


def _tree(reading: TreeReading, kind: str) -> TreeReading:
    if kind in ("high", "more"):
        return replace(
            reading,
            counts={name: count + MANY for name, count in reading.counts.items()},
            places=reading.places or (f"{WORD}:1",),
        )
    if kind in ("zero", "fewer"):
        return replace(reading, counts=dict.fromkeys(reading.counts, 0), places=())
    return reading


def _bytes(data: bytes, kind: str) -> bytes:
    """A body or an output; one that is no text stays as it is."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _text(text, kind).encode()
    return json.dumps(_json(document, kind)).encode() + (b"\n" if text.endswith("\n") else b"")


def _text(text: str, kind: str) -> str:
    if kind == "more":
        last = next((line for line in reversed(text.splitlines()) if line.strip()), WORD)
        return text + ("" if not text or text.endswith("\n") else "\n") + f"{last}\n" * MANY
    if kind == "fewer":
        return ""
    if kind == "other":
        return f"{WORD}\n"
    if kind not in _SCALES:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line if line.startswith("#") else _FIGURE.sub(lambda m: _number(m[0], kind), line) for line in lines)  # fmt: skip


def _number(text: str, kind: str) -> str:
    scaled = _scaled(float(text), kind)
    if "." not in text or ("e" in text.lower() and scaled == int(scaled)):
        return f"{scaled:.0f}"
    whole, _, rest = f"{scaled:.6f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


def _scaled(number: float, kind: str) -> float:
    if 1e9 <= number < 3e9 or 1e12 <= number < 3e12:
        return number
    return _SCALES[kind](number)


def _json(node: Any, kind: str) -> Any:
    if isinstance(node, dict):
        return {key: _json(child, kind) for key, child in node.items()}
    if isinstance(node, list):
        if kind == "fewer":
            return []
        more = [node[-1] if node else WORD] * MANY if kind == "more" else []
        return [_json(child, kind) for child in node] + more
    return _leaf(node, kind)


def _leaf(node: Any, kind: str) -> Any:
    if isinstance(node, bool):
        return not node if kind == "other" else node
    if isinstance(node, int | float) and kind in _SCALES:
        try:
            scaled = _scaled(float(node), kind)
        except OverflowError:
            return node
        return int(scaled) if isinstance(node, int) else scaled
    if isinstance(node, str):
        if kind in _SCALES and _NUMERIC.fullmatch(node):
            return _number(node, kind)
        return WORD if kind == "other" else node
    return node
