"""A run's evidence on its way into the store that the policy names: put, retained, indexed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.store.index import index_before, index_runs
from pytest_cutover.store.layout import BUNDLE_FILE
from pytest_cutover.store.putting import put_set

if TYPE_CHECKING:
    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.store.putting import Put


def keep_run(
    store: ObjectStore,
    files: dict[str, bytes],
    environment: str,
    signer: EnvelopeSigner,
    anchor: Anchor | None,
    *,
    until: datetime | None = None,
) -> None:
    """Put the run of these files, by name, into `store`, retain it `until` then if asked, and bring it into the index.

    What an error leaves is for `take_out`.

    Raises:
        EvidenceError: the run, or the index that is there, does not do.
        StoreUnavailableError: the store did not take it, or does not retain it.
    """
    if until is not None or isinstance(store, S3Objects):
        # Before: what is retained, as a bucket may do by itself, cannot be taken out again.
        index_before(store, anchor, [environment], datetime.now(UTC))
    put = put_set(store, files)
    if until is not None:
        retain_put(store, put, until)
    index_runs(store, [put.document.run_id], [environment], signer, anchor, datetime.now(UTC))


def retain_put(store: ObjectStore, put: Put, until: datetime) -> None:
    """Keep what was put as it is until then; the bundle last: as long as it may go, all of it may.

    Raises:
        EvidenceError, StoreUnavailableError: the store does not retain it.
    """
    for held in sorted(put.objects, key=lambda held: held.key.endswith(f"/{BUNDLE_FILE}")):
        store.retain(held.key, until)
