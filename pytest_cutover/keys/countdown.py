"""How long the trusted keys last, and whether each is where it should be in its life. Pure: now is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_cutover.keys.trusted import KeyState, persons_of
from pytest_cutover.model import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey

_DAY = timedelta(days=1)
_TOLERANCE = timedelta(seconds=5)
"""How far two honest clocks may be apart."""


class Severity(Enum):
    """How bad it is; anything but fine is red, and these differ in how loudly it is said."""

    FINE = "fine"
    WARN = "warn"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class KeyFinding:
    """How it stands with one key, or with a role (then there is no key)."""

    severity: Severity
    name: str
    message: str
    key: TrustedKey | None = None

    def to_json(self) -> dict[str, Any]:
        key = self.key
        of_key = (
            {}
            if key is None
            else {
                "keyid": key.keyid,
                "state": key.state.value,
                "ends_at": None if key.ends_at is None else rfc3339(key.ends_at),
            }
        )
        return {"severity": self.severity.value, "name": self.name, "message": self.message, **of_key}


def check_keys(
    anchor: Anchor, now: datetime, *, warn: timedelta, critical: timedelta
) -> tuple[KeyFinding, ...]:
    """How it stands with every key and role of the anchor, in its order; `warn` and `critical` are time left."""
    keys = [_key(key, now, warn, critical) for key in anchor.keys]
    return (*keys, *_roles(anchor, now), *_thresholds(anchor, now))


def _key(key: TrustedKey, now: datetime, warn: timedelta, critical: timedelta) -> KeyFinding:
    if key.state is KeyState.ACTIVE:
        return KeyFinding(*_active(key, now, warn, critical), key=key)
    if _is_ahead(key, now):
        message = f"{key.state.value} since a time that is yet to come: a clock is wrong"
        return KeyFinding(Severity.CRITICAL, key.name, message, key)
    if key.state is not KeyState.GRACE:
        said = f": {key.reason}" if key.reason else ""
        return KeyFinding(Severity.FINE, key.name, f"{key.state.value}{said}", key)
    left = _end(key) - now
    if left < timedelta():
        message = f"its grace was over {_time(-left)} ago: cutover keys retire"
        return KeyFinding(Severity.CRITICAL, key.name, message, key)
    return KeyFinding(Severity.FINE, key.name, f"in grace for another {_time(left)}", key)


def _active(
    key: TrustedKey, now: datetime, warn: timedelta, critical: timedelta
) -> tuple[Severity, str, str]:
    if key.not_before is not None and now < key.not_before:
        return Severity.FINE, key.name, f"begins in {_time(key.not_before - now)}"
    if key.not_after is None:
        return Severity.FINE, key.name, "has no end"
    left = key.not_after - now
    if left < timedelta():
        # Whether that is bad is said by role: a key that was replaced stays, for what it signed.
        return Severity.FINE, key.name, f"ended {_time(-left)} ago"
    severity = Severity.CRITICAL if left <= critical else Severity.WARN if left <= warn else Severity.FINE
    return severity, key.name, f"ends in {_time(left)}"


def _roles(anchor: Anchor, now: datetime) -> Iterator[KeyFinding]:
    """Roles in which nobody can act any more, where somebody could."""
    places = {(role, place) for key in anchor.keys for role in key.roles for place in key.environments}
    for role, place in sorted(places):
        if not any(key.covers(place) for key in _acting(anchor, role, now)):
            where = "anywhere" if place == "*" else f"for {place}"
            message = f"no active key may act in it {where} now"
            yield KeyFinding(Severity.CRITICAL, f"role {role}", message)


def _thresholds(anchor: Anchor, now: datetime) -> Iterator[KeyFinding]:
    """Thresholds that the persons there are cannot reach."""
    for role, needed in anchor.thresholds.items():
        there = len(persons_of(_acting(anchor, role, now)))
        if there < needed:
            message = f"it takes {needed} persons, and active keys belong to {there}"
            yield KeyFinding(Severity.CRITICAL, f"role {role}", message)


def _acting(anchor: Anchor, role: str, now: datetime) -> Iterable[TrustedKey]:
    return (k for k in anchor.keys if k.state is KeyState.ACTIVE and k.has_role(role) and k.is_valid_at(now))


def _is_ahead(key: TrustedKey, now: datetime) -> bool:
    times = [key.revoked_at, None if key.rotated is None else key.rotated.at]
    return any(at is not None and at > now + _TOLERANCE for at in times)


def _end(key: TrustedKey) -> datetime:
    assert key.ends_at is not None  # a key in grace has an end
    return key.ends_at


def _time(span: timedelta) -> str:
    if span >= 2 * _DAY:
        return f"{span // _DAY} days"
    hours = span // timedelta(hours=1)
    return f"{hours} hours" if hours >= 2 else f"{span // timedelta(minutes=1)} minutes"
