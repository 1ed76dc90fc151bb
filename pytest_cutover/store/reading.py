"""Reading many objects of a store: from a bucket several at once, as each answer takes tens of milliseconds."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.s3 import THREADS, S3Objects
from pytest_cutover.store.document import read_document
from pytest_cutover.store.layout import DOCUMENT, HISTORY, by_run, is_whole, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_cutover.objects.protocol import Held, ObjectStore
    from pytest_cutover.store.document import EvidenceDocument

    Read = Callable[[], tuple[bytes, Held]]
    """Gives the bytes of one object, or raises what reading it did."""


def documents_in(store: ObjectStore) -> Iterator[tuple[EvidenceDocument, bytes]]:
    """The documents of the history that can be read, with their bytes; only those of whole runs."""
    runs = by_run(store.keys(HISTORY))
    keys = [key_of(run, DOCUMENT) for run, names in runs.items() if is_whole(names)]
    for key, read in zip(keys, read_each(store, keys), strict=True):
        with suppress(EvidenceError):
            data, _ = read()
            yield read_document(data, key), data


def read_runs(store: ObjectStore, runs: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, dict[str, Read]]]:
    """Each run with a read of each of its files, by name; in the order that is given."""
    reads = read_each(store, (key_of(run_id, name) for run_id, names in runs.items() for name in names))
    for run_id, names in runs.items():
        yield run_id, dict(zip(names, islice(reads, len(names)), strict=True))


def read_each(store: ObjectStore, keys: Iterable[str]) -> Iterator[Read]:
    """A read of each key, in their order; at most as many objects are under way, or in memory, as there are threads.

    From a folder each is read when it is asked for: nothing is waited for there.
    """
    if not isinstance(store, S3Objects):
        yield from (partial(store.read, key) for key in keys)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(THREADS)
    waiting: deque[Future[tuple[bytes, Held]]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(store.read, key))
            if len(waiting) == THREADS:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()
