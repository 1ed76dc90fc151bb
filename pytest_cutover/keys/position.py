"""Where a log holds something: what counts of a key that was rotated. Apart, as most verifications meet none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a log holds something, as an inclusion proof has shown: the log's origin and the entry's index."""

    origin: str
    index: int
