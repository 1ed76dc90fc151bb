"""A run's evidence on its way into the store that the policy names: put, retained, indexed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError, CutoverError, EvidenceError
from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.store.index import index_before, index_runs
from pytest_cutover.store.layout import DOCUMENT
from pytest_cutover.store.putting import Left, RunSet, move_latest, put_object, refuse_another, take_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore


class NotKeptError(AdapterError):
    """A run is not in the store; if it is not known whether its GO is, the message says so."""


class NotWholeError(NotKeptError):
    """A GO lacks something that its report names; there is nothing wrong with the store."""


def keep_run(
    store: ObjectStore,
    files: dict[str, bytes],
    environment: str,
    signer: EnvelopeSigner,
    anchor: Anchor | None,
    last: Callable[[], None],
    *,
    until: datetime | None = None,
) -> str | None:
    """Put the run of these files, by name, into `store`, bring it into the index, and do what comes `last`.

    Every file is retained `until` then, if asked. Two verdicts of one run must not be left behind: of a GO, what fails
    before the bundle is there, or lets all of it be taken out again, is an error; after that the decision stands, and what
    failed is the answer. Any other stands whatever fails: it may have taken back a GO, and is never taken out.

    Raises:
        NotKeptError: the GO is not there, for whatever reason: that is its cause. Before anything was sent, as the run is
            not whole: NotWholeError.
    """
    was_sent = was_put = False
    try:
        run = RunSet.of(files)
    except EvidenceError as exc:
        raise NotWholeError(str(exc)) from exc
    try:
        if run.is_go and (until is not None or isinstance(store, S3Objects)):
            # Before: what is retained, as a bucket may do by itself, cannot be taken out again.
            index_before(store, anchor, [environment], _now)
        refuse_another(store, run)
        for key in run.order:
            was_sent = was_sent or key == run.bundle
            put_object(store, run, key, until)
        was_put = True
        move_latest(store, run.document, run.objects[run.key(DOCUMENT)])
        index_runs(store, [run.document.run_id], [environment], signer, anchor, _now)
        last()
    except BaseException as exc:
        why = str(exc) if isinstance(exc, CutoverError) else f"{type(exc).__name__}: {exc}"
        if not run.is_go:
            return f"{store.where} may not have all of it: {why}; cutover evidence put and index complete it"
        left = _take_out(store, run, exc, until, was_sent=was_sent, was_put=was_put)
        if left is Left.WHOLE:
            with suppress(CutoverError):  # if it is this that failed, it is told
                last()
            return f"{store.where} has all of it, and then: {why}; cutover evidence index completes it"
        if was_sent and left is Left.UNKNOWN:
            why += (
                f"; {store.where} MAY HOLD A GO of this run, which counts there until a newer run is stored"
            )
        raise NotKeptError(why) from exc
    if run.lost:
        return f"{store.where} has it without {', '.join(run.lost)}, which is not what was attached any more"
    return None


def _now() -> datetime:
    return datetime.now(UTC)


def _take_out(
    store: ObjectStore,
    run: RunSet,
    why: BaseException,
    until: datetime | None,
    *,
    was_sent: bool,
    was_put: bool,
) -> Left:
    """What the store has of the run after all of it was asked back."""
    try:
        left = take_out(store, run, until=until, was_put=was_put)
    except BaseException:  # somebody who is tired of waiting: how far it came, nobody knows
        return Left.UNKNOWN
    is_refused = isinstance(why, EvidenceError)
    is_under_way = was_sent and not was_put and not is_refused
    # A bucket may yet take what it gave no answer to.
    return Left.UNKNOWN if left is Left.NOTHING and is_under_way and isinstance(store, S3Objects) else left
