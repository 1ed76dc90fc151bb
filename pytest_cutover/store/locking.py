"""From WIP to LOCKED: evidence that is proven is kept as it is until a time; a legal hold keeps it until it is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.errors import VerificationError
from pytest_cutover.objects.protocol import ObjectMissingError
from pytest_cutover.store.checking import check_run
from pytest_cutover.store.layout import HISTORY, INDEX_LOCK, by_run, is_whole, key_of, run_of

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.evidence.problems import EvidenceProblem
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import Held, ObjectStore


class NotLockedError(VerificationError):
    """What was to be locked does not verify: it would be kept wrong as it is."""

    def __init__(self, message: str, problems: tuple[EvidenceProblem, ...]) -> None:
        super().__init__(message, hint="cutover evidence verify says all of it")
        self.problems = problems


def lock_run(
    store: ObjectStore, run_id: str, until: datetime, anchor: Anchor, now: datetime
) -> tuple[Held, ...]:
    """Keep every file of a run as it is until then; it never ends earlier than was promised before.

    Raises:
        NotLockedError: something is wrong with the run; nothing of it was locked.
        ValueError: `until` is past.
        StoreUnavailableError: not all could be locked; locking again goes on.
    """
    if until <= now:
        raise ValueError("evidence is locked until a time to come")
    with store.exclusive(INDEX_LOCK):  # else what is locked could be half collected at the same time
        names = _names(store, run_id)
        problems = check_run(store, run_id, names, anchor, now)
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise NotLockedError(f"{store.where}: run {run_id} has {count}, and is not locked", problems)
        return tuple(store.retain(key_of(run_id, name), until) for name in names)


def hold_run(store: ObjectStore, run_id: str, on: bool) -> tuple[Held, ...]:
    """Set or lift the legal hold of every file of a run, whatever state it is in: evidence of a crime may be held too.

    Raises:
        ObjectMissingError: there is no such run.
        StoreUnavailableError: not all could be held; asking again goes on.
    """
    with store.exclusive(INDEX_LOCK):
        names = _names(store, run_id)
        if not names:
            raise ObjectMissingError(f"{store.where} holds no run {run_id!r:.80}")
        return tuple(store.hold(key_of(run_id, name), on) for name in names)


def runs_to_lock(store: ObjectStore) -> list[str]:
    """The whole runs of which some file was never locked."""
    listed = list(store.list(HISTORY))
    names = by_run(held.key for held in listed)
    found = {run_of(held.key) for held in listed if held.retain_until is None}
    return sorted({of[0] for of in found if of is not None and is_whole(names[of[0]])})


def _names(store: ObjectStore, run_id: str) -> list[str]:
    return by_run(store.keys(key_of(run_id, ""))).get(run_id, [])
