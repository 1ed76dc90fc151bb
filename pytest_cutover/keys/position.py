"""What shows that a key which was rotated signed something in time. Apart, as most verifications meet none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.keys.trusted import TrustedKey


class Position(Protocol):
    """What shows it."""

    def is_in_time(self, key: TrustedKey) -> bool:
        """Whether the signature of a rotated key counts."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a log holds something, as an inclusion proof has shown: the log's origin and the entry's index."""

    origin: str
    index: int

    def is_in_time(self, key: TrustedKey) -> bool:
        """Whether it was logged before the rotation."""
        rotated = key.rotated
        return rotated is not None and self.origin == rotated.origin and 0 <= self.index < rotated.size


@dataclass(frozen=True, slots=True)
class NeverLogged:
    """No log has to hold it, **and it admits nothing**, as the caller has seen; so nothing more than the grace is asked for."""

    now: datetime

    def is_in_time(self, key: TrustedKey) -> bool:
        """Whether its grace lasts."""
        return key.is_in_grace_at(self.now)
