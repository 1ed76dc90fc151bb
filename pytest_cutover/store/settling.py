"""Checking a store that others write to: what looks wrong only because a run is being put is looked at again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.store.checking import Checked, Wanted, check_store
from pytest_cutover.store.layout import INDEX_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore

_Seen = TypeVar("_Seen")

PAUSE_S = 1.0
"""A run is put and indexed in less, unless the store is large or far away."""

ATTEMPTS = 5

_AT_WORK = frozenset(
    {
        ProblemCode.BUNDLE_MISSING,
        ProblemCode.STORE_DOCUMENT_MISSING,
        ProblemCode.STORE_FILE_MISSING,
        ProblemCode.STORE_DECISION_MISSING,
        ProblemCode.STORE_INDEX_INVALID,
        ProblemCode.STORE_INDEX_STALE,
        ProblemCode.STORE_LATEST,
    }
)
"""What a check finds between the first and the last write of somebody else, among other things."""


def check_settled(
    store: ObjectStore,
    anchor: Anchor,
    clock: Callable[[], datetime],
    wanted: Wanted,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Checked:
    """`check_store`, as `settled` repeats it.

    Raises:
        StoreUnavailableError: the store cannot be read, so nothing is known.
    """
    return settled(
        store, lambda: check_store(store, anchor, clock, wanted, progress=progress), is_at_work, sleep=sleep
    )


def is_at_work(found: Checked) -> bool:
    """Whether something was found that a writer leaves between its first and its last write."""
    return any(f.code in _AT_WORK for f in found.findings)


def settled(
    store: ObjectStore,
    look: Callable[[], _Seen],
    is_moving: Callable[[_Seen], bool],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> _Seen:
    """What is seen of a store, and again as long as it looks as if somebody were at work, and the store goes on changing.

    Never better than the last look: nothing that was found is taken back but by looking at all of it again.
    """
    for attempt in range(ATTEMPTS):
        before = _state(store)
        seen = look()
        if attempt == ATTEMPTS - 1 or not is_moving(seen):
            break
        sleep(PAUSE_S)
        if _state(store) == before:
            break
    return seen


def _state(store: ObjectStore) -> object:
    try:
        held = store.stat(INDEX_SIGNATURE)
        return list(store.keys()), None if held is None else held.tag
    except EvidenceError as exc:
        return str(exc)
