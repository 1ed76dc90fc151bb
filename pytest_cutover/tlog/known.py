"""The keys of a trust file under the names they have in notes: those of logs, and those of witnesses. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.tlog.note import NoteVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey
    from pytest_cutover.tlog.cosignature import CosignatureVerifier


def log_keys(anchor: Anchor, at: datetime, *, environment: str | None = None) -> tuple[NoteVerifier, ...]:
    """The keys that may sign checkpoints; a rotated one those of the log as it was then.

    `environment`: whose decisions are asked about; None: any.

    Raises:
        ValueError: `at` is naive.
    """
    return tuple(
        NoteVerifier(name, key.public, None if key.rotated is None else key.rotated.size)
        for name, key in _named(anchor, "log", at)
        if environment is None or key.covers(environment)
    )


def witness_keys(anchor: Anchor, at: datetime, origin: str) -> tuple[CosignatureVerifier, ...]:
    """The keys that may cosign checkpoints of the log `origin`: none of its own, which would be its own witness."""
    from pytest_cutover.tlog.cosignature import CosignatureVerifier  # most verifications ask no witness

    own = {key.keyid for name, key in _named(anchor, "log", at) if name == origin}
    return tuple(
        CosignatureVerifier(name, key.public, None if key.rotated is None else key.rotated.size)
        for name, key in _named(anchor, "witness", at)
        # What a rotation says of the size of one log says nothing of another's.
        if key.keyid not in own and (key.rotated is None or key.rotated.origin == origin)
    )


def _named(anchor: Anchor, role: str, at: datetime) -> Iterator[tuple[str, TrustedKey]]:
    if at.tzinfo is None:
        raise ValueError("a time must be timezone-aware")
    for key in anchor.keys:
        counts = key.state in (KeyState.ACTIVE, KeyState.GRACE) and key.is_valid_at(at)
        if key.origin is None or not key.has_role(role) or not counts:
            continue
        if role == "witness" or key.rotated is None or key.rotated.origin == key.origin:
            yield key.origin, key
