"""Which of a key's versions counts: the same answer for every reader, whatever came on top. No I/O.

Some servers ignore If-None-Match on versioned buckets and refuse every If-Match there (Ceph 16 does both). What they all
have is an order of versions that never changes. So each version says in its metadata which version its writer had seen
(`follows`), and of several that follow the same one the oldest counts: the first write wins, and a late one, even one
that arrives minutes after its sender gave up, changes nothing. What somebody else put there, without that
field, counts only where it is all there is. That rests on writers that tell the truth; so of keys that are never
replaced the oldest version counts, whatever later ones say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTHING = "-"
"""What a first write follows; no version id."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one key, as a listing has it."""

    id: str
    tag: str
    size: int
    is_latest: bool = False


def current(versions: Iterable[Version], follows: Callable[[Version], str | None]) -> Version | None:
    """The version that counts; `versions` are all of the key, the newest first, and are read only as far as needed.

    A writer of ours follows only a version that counts. So one that follows its very neighbour counts, as no other can
    have come between; from there the chain is followed to its newest end.
    """
    newer: list[Version] = []
    older = iter(versions)
    found = next(older, None)
    if found is None:
        return None
    for before in older:
        if follows(found) == before.id:
            break
        newer.append(found)
        found = before
    for version in reversed(newer):
        if follows(version) == found.id:
            found = version
    return found


def oldest(versions: Iterable[Version]) -> Version | None:
    """The version that counts of a key that is written once; `versions` are all of the key, the newest first.

    Whoever may write can put any `follows` into a version of theirs.
    """
    last = deque(versions, maxlen=1)
    return last[0] if last else None
