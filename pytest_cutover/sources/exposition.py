"""Prometheus text exposition, read strictly; pure.

Formats: text 0.0.4 and OpenMetrics 1.0 sample lines (timestamps and exemplars are read over,
comments too). Numbers are exact `Decimal`; NaN and infinities stay floats, so that nothing
downstream takes them for a measured number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.strictjson import parse_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SPECIAL = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_TAIL = re.compile(r"(?:[ \t]+[+-]?\d+(?:\.\d+)?)?(?:[ \t]+#.*)?[ \t]*", re.ASCII)
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One series: its name, labels and value (finite: `Decimal`; NaN, infinite: float)."""

    name: str
    labels: Mapping[str, str]
    value: Decimal | float

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it has this name and at least these labels."""
        return self.name == name and all(self.labels.get(key) == wanted for key, wanted in labels.items())

    def text(self) -> str:
        """The series as people write it, e.g. `requests_total{method="GET"}`."""
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()))
        return f"{self.name}{{{inside}}}" if inside else self.name


def parse(text: str) -> tuple[Sample, ...]:
    """All samples, in order.

    Raises:
        ValueError: a line is no sample, or a series occurs twice; the message names the line.
    """
    samples: list[Sample] = []
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        try:
            sample = _sample(stripped)
        except ValueError as exc:
            raise ValueError(f"line {number}: {exc}") from None
        series = (sample.name, tuple(sorted(sample.labels.items())))
        if series in seen:
            raise ValueError(f"line {number}: series {sample.text()} occurs twice")
        seen.add(series)
        samples.append(sample)
    return tuple(samples)


def one(samples: Iterable[Sample], name: str, labels: Mapping[str, str]) -> Sample:
    """The only sample with this name and at least these labels.

    Raises:
        ValueError: none, or more than one; the message names up to five.
    """
    found = [s for s in samples if s.matches(name, labels)]
    wanted = Sample(name, dict(labels), 0.0).text()
    if not found:
        raise ValueError(f"expected one series {wanted}, found none")
    if len(found) > 1:
        some = "; ".join(s.text() for s in found[:5])
        raise ValueError(f"expected one series {wanted}, found {len(found)}: {some}")
    return found[0]


def _sample(line: str) -> Sample:
    name, at = _metric_name(line)
    labels: dict[str, str] = {}
    if line.startswith("{", at):
        quoted, labels, at = _labels(line, at + 1)
        name = name or quoted
    if not name:
        raise ValueError("expected a metric name")
    rest = line[at:].lstrip(" \t")
    if len(rest) == len(line[at:]) and not line[at - 1 : at] == "}":
        raise ValueError(f"expected a space after the name {name!r}")
    match = _NUMBER.match(rest) or _SPECIAL.match(rest)
    if match is None or not _TAIL.fullmatch(rest, match.end()):
        raise ValueError(f"expected a number for {name!r}, got {rest[:40]!r}")
    return Sample(name, labels, _figure(match[0]))


def _figure(text: str) -> Decimal | float:
    return float(text) if _SPECIAL.fullmatch(text) else parse_decimal(text)


def _metric_name(line: str) -> tuple[str, int]:
    match = _NAME.match(line)
    return (match[0], match.end()) if match else ("", 0)


def _labels(line: str, at: int) -> tuple[str, dict[str, str], int]:
    """Labels from after `{` to after `}`; a lone quoted string is the metric's name (UTF-8 names)."""
    name = ""
    labels: dict[str, str] = {}
    while True:
        at = _skip(line, at)
        if line.startswith("}", at):
            return name, labels, at + 1
        key, quoted, at = _key(line, at)
        if line.startswith("=", at):
            at = _skip(line, at + 1)
            value = _QUOTED.match(line, at)
            if value is None:
                raise ValueError(f"expected a quoted value for label {key!r}")
            if key in labels:
                raise ValueError(f"label {key!r} occurs twice")
            labels[key], at = _unescape(value[1]), _skip(line, value.end())
        elif quoted and not name:
            name = key
        else:
            raise ValueError(f"expected = after label {key!r}")
        if line.startswith(",", at):
            at += 1
        elif not line.startswith("}", at):
            raise ValueError("expected , or } after a label")


def _key(line: str, at: int) -> tuple[str, bool, int]:
    quoted = _QUOTED.match(line, at)
    match = quoted or _LABEL.match(line, at)
    if match is None:
        raise ValueError("expected a label name")
    return (_unescape(match[1]) if quoted else match[0]), quoted is not None, _skip(line, match.end())


def _skip(line: str, at: int) -> int:
    while line.startswith((" ", "\t"), at):
        at += 1
    return at


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0]), text)
