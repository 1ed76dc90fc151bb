"""The log in a bucket: several writers, answers that get lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_cutover.objects.protocol import StoreUnavailableError
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.proof import verify_proof
from tests.s3 import any_proxy, bucket, client, objects, objects_at, proxy, s3_endpoint, s3_environ
from tests.unit.tlog.logs import ORIGIN, entries, entry, signer

__all__ = ["any_proxy", "bucket", "client", "objects", "proxy", "s3_endpoint", "s3_environ"]


def opened(objects):
    return Log(objects, ORIGIN, signer())


class TestBucket:
    def test_a_log_grows_and_is_whole(self, objects):
        for start, stop in ((0, 3), (3, 300)):
            opened(objects).append(entries(start, stop))

        log = opened(objects)
        found = log.verify()
        assert (found.problems, found.beyond, found.checkpoint.size) == ((), (), 300)
        assert list(objects.keys("tile/0/000.p/")) == []
        assert verify_proof(log.prove(7), entry(7), [signer().verifier]).checkpoint.size == 300

    def test_writers_at_once(self, s3_endpoint, bucket):
        """One log: each has its own connection and lease."""

        def write(number):
            log = opened(objects_at(s3_endpoint, bucket, "log", retry_for_s=20))
            return [(log.append([b"%d %d" % (number, n)]).first, b"%d %d" % (number, n)) for n in range(2)]

        with ThreadPoolExecutor(2) as pool:
            told = dict(pair for pairs in pool.map(write, range(2)) for pair in pairs)

        log = opened(objects_at(s3_endpoint, bucket, "log"))
        assert list(log.entries(0, 99)) == [told[index] for index in range(4)]
        assert log.verify().is_valid

    def test_lost_answers(self, any_proxy, bucket):
        """Each PUT once: the store looks before it writes again, so nothing is appended twice."""
        objects = objects_at(any_proxy.endpoint, bucket)
        opened(objects).append(entries(0, 2))
        for path, how in (
            ("checkpoint", "lose-answer"),
            ("tile/0", "lose-request"),
            ("tile/entries", "half-answer"),
        ):
            size = opened(objects).checkpoint().size
            any_proxy.add("PUT", how, path=path)

            appended = opened(objects).append([entry(size)])

            assert (appended.first, opened(objects).checkpoint().size) == (size, size + 1)
        assert opened(objects).verify().problems == ()

    def test_a_server_that_stays_silent(self, any_proxy, bucket):
        objects = objects_at(any_proxy.endpoint, bucket, retry_for_s=0.5)
        opened(objects).append(entries(0, 2))
        any_proxy.add("PUT", "lose-request", times=1000, path="tile")

        with pytest.raises(StoreUnavailableError):
            opened(objects).append([b"x"])

        any_proxy.reset()
        log = opened(objects)
        assert log.append([b"next"]).first == 2
        assert log.verify().problems == ()
