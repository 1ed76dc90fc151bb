"""Many objects of a bucket are read side by side: in order, bounded, and every error stays where it belongs."""

from __future__ import annotations

import threading

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ABSENT, StoreUnavailableError
from pytest_cutover.objects.s3 import THREADS, S3Objects
from pytest_cutover.store.index import build_index, environments_in
from pytest_cutover.store.putting import newest_document, put_set
from pytest_cutover.store.reading import read_each
from tests.unit.store.stores import LATER, checked, codes, files_at, filled, reindexed, run_at

KEYS = [f"history/{number:03}" for number in range(3 * THREADS)]


@pytest.fixture
def bucketed(monkeypatch):
    """A bucket without a server: what is under way, and the most that ever was."""
    objects = S3Objects(None, "bucket")
    objects.under_way, objects.most, objects.asked = 0, 0, []
    lock, full = threading.Lock(), threading.Event()

    def read(key):
        with lock:
            objects.asked.append(key)
            objects.under_way += 1
            objects.most = max(objects.most, objects.under_way)
            if objects.most == THREADS:
                full.set()
        assert full.wait(10)
        with lock:
            objects.under_way -= 1
        if key == KEYS[5]:
            raise EvidenceError("damaged")
        return key.encode(), None

    monkeypatch.setattr(objects, "read", read)
    return objects


def test_they_come_in_order_and_an_error_is_that_of_its_own_key(bucketed):
    reads = list(read_each(bucketed, KEYS))

    with pytest.raises(EvidenceError, match="damaged"):
        reads[5]()
    assert [read()[0].decode() for read in reads if read is not reads[5]] == [
        key for key in KEYS if key != KEYS[5]
    ]
    assert bucketed.most == THREADS


def test_no_more_is_taken_than_is_asked_for(bucketed):
    reads = read_each(bucketed, KEYS)
    next(reads)()
    reads.close()

    assert len(bucketed.asked) <= THREADS
    assert bucketed.under_way == 0


def test_a_folder_is_read_when_it_is_asked(tmp_path):
    store = FolderObjects(tmp_path)
    reads = list(read_each(store, ["a"]))
    store.write("a", b"1", expected=ABSENT)

    assert reads[0]()[0] == b"1"


class TestOfABucket:
    """What a folder and a bucket with the same in it come to is the same."""

    @pytest.fixture
    def both(self, objects, tmp_path):
        folder = filled(tmp_path)
        for number in (0, 1):
            put_set(objects, files_at(number))
        return folder, objects

    def test_index_and_check(self, both):
        folder, objects = (reindexed(store) for store in both)

        assert folder == objects
        assert all(checked(store).is_valid for store in both)
        assert {environments_in(store) for store in both} == {frozenset({"production"})}
        assert len({newest_document(store)[1] for store in both}) == 1

    def test_what_is_changed_is_named(self, objects, client, bucket):
        put_set(objects, files_at(0))
        reindexed(objects)
        key = f"history/{run_at(0).run_id}/report.json"
        objects.delete(key)
        client.put_object(Bucket=bucket, Key=f"some/where/{key}", Body=b"{}")

        assert ("store.file-changed", key) in codes(checked(objects))

    def test_a_server_that_is_gone_ends_it(self, both, monkeypatch):
        _, objects = both
        read = objects.read

        def gone(key, *, version=None):
            if key.endswith("report.json"):
                raise StoreUnavailableError("gone")
            return read(key, version=version)

        monkeypatch.setattr(objects, "read", gone)

        with pytest.raises(StoreUnavailableError):
            build_index(objects, None, LATER)
        with pytest.raises(StoreUnavailableError):
            checked(objects)
