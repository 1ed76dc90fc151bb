"""A trusted key: what it may be used for, where and when, and what is left of that after a rotation.

A rotated key is in grace: its signatures count for what the log held before the rotation, which an
inclusion proof shows and a claimed time does not. Retired and revoked keys prove nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from pytest_cutover.model import one_person

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pytest_cutover.keys.position import Position
    from pytest_cutover.keys.verifier import PublicKey

ROLES = ("policy", "decision", "approval", "waiver", "log", "witness", "store")
NOTE_ROLES = frozenset({"log", "witness"})
"""Their signatures stand in signed notes, where a key is known by a name: `origin`."""

EVERYWHERE = "*"


class KeyState(Enum):
    """Where a key stands in its life; it moves down this list and never up."""

    ACTIVE = "active"
    GRACE = "grace"
    RETIRED = "retired"
    REVOKED = "revoked"


class Refusal(Enum):
    """Why a key may not act; the first that applies, the one that no position or time can heal first."""

    REVOKED = "revoked"
    RETIRED = "retired"
    ROLE = "role"
    ENVIRONMENT = "environment"
    TIME = "time"
    ROTATED = "rotated"


class Rotation(NamedTuple):  # a dataclass costs `cutover verify` five times as much to define
    """When a key stopped signing: the log and its size then. What has a smaller index was signed before."""

    origin: str
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One public key and what it may be used for."""

    public: PublicKey
    keyid: str
    name: str
    roles: frozenset[str]
    environments: frozenset[str]
    person: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    origin: str | None = None  # the key's name in signed notes; set exactly when it has a role of NOTE_ROLES
    state: KeyState = KeyState.ACTIVE
    rotated: Rotation | None = None  # always set in grace
    grace_until: datetime | None = None  # always set in grace
    revoked_at: datetime | None = None  # set exactly when revoked
    reason: str | None = None  # of the revocation

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def covers(self, environment: str) -> bool:
        return EVERYWHERE in self.environments or environment in self.environments

    @property
    def ends_at(self) -> datetime | None:
        """The last moment at which it counts: the end of its grace, or `not_after`; None: no end was set."""
        ends = [end for end in (self.not_after, self.grace_until) if end is not None]
        return min(ends, default=None)

    def is_valid_at(self, at: datetime) -> bool:
        """Whether `at` lies between not_before and the end, both inclusive."""
        if self.not_before is not None and at < self.not_before:
            return False
        return (self.not_after is None or at <= self.not_after) and (
            self.grace_until is None or at <= self.grace_until
        )

    def is_in_grace_at(self, at: datetime) -> bool:
        """Whether it was rotated, and its grace, and its own time, still last then."""
        return self.state is KeyState.GRACE and self.is_valid_at(at)

    def signed_in_time(self, position: Position | None) -> bool:
        """Whether `position` shows that something was signed before the key was rotated; None shows nothing."""
        if self.rotated is None:
            return self.state is KeyState.ACTIVE
        return position is not None and position.is_in_time(self)

    def refusal(
        self, *, role: str, environment: str, at: datetime, position: Position | None
    ) -> Refusal | None:
        """Why it may not act in `role` for `environment` at that time and position; None: it may."""
        if self.state is KeyState.REVOKED:
            return Refusal.REVOKED
        if self.state is KeyState.RETIRED:
            return Refusal.RETIRED
        if not self.has_role(role):
            return Refusal.ROLE
        if not self.covers(environment):
            return Refusal.ENVIRONMENT
        if not self.is_valid_at(at):
            return Refusal.TIME
        return None if self.signed_in_time(position) else Refusal.ROTATED

    def verify(self, message: bytes, signature: bytes) -> bool:
        return self.public.verify(message, signature)


def persons_of(keys: Iterable[TrustedKey]) -> tuple[str, ...]:
    """Who holds the keys, each person once, in the order of the keys; keys that belong to nobody are left out."""
    persons: dict[str, str] = {}
    for key in keys:
        if key.person is not None:
            persons.setdefault(one_person(key.person), key.person)
    return tuple(persons.values())
