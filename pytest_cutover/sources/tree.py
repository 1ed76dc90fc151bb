"""Scans of a source tree: how often patterns occur, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.errors import MeasurementError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_PLACES = 20


@dataclass(frozen=True, slots=True)
class TreeReading:
    """Counts by pattern name, how many files were read, and the first places as `file:line`."""

    counts: Mapping[str, int]
    files: int
    places: tuple[str, ...]
    observed_at: datetime

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def scan(root: Path, patterns: Mapping[str, str], *, suffixes: Sequence[str] = (".py",)) -> TreeReading:
    """Count every match of every pattern in the files below `root` with one of the suffixes.

    Raises:
        SourceError: no such file at all, or one that cannot be read whole: nothing found in nothing is no proof.
        MeasurementError: a pattern is no regular expression.
    """
    try:
        compiled = {name: re.compile(pattern) for name, pattern in patterns.items()}
    except re.error as exc:
        raise MeasurementError(f"not a regular expression: {exc}") from exc
    files = sorted(p for p in root.rglob("*") if p.suffix in suffixes and p.is_file())
    if not files:
        raise SourceError(f"expected files with suffix {', '.join(suffixes)} below {root}, found none")
    counts = dict.fromkeys(patterns, 0)
    places: list[str] = []
    for path in files:
        for number, line in enumerate(_text(path).splitlines(), start=1):
            for name, pattern in compiled.items():
                hits = len(pattern.findall(line))
                counts[name] += hits
                if hits and len(places) < MAX_PLACES:
                    places.append(f"{path.relative_to(root)}:{number}")
    return TreeReading(counts, len(files), tuple(places), datetime.now(UTC))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        return path.read_text("utf-8", "replace")
    except OSError as exc:
        raise SourceError(f"cannot read {path}: {exc.strerror}") from exc
