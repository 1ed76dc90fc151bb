"""The log in a bucket: several writers, answers that get lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest

from pytest_cutover.errors import CutoverError
from pytest_cutover.objects.protocol import ABSENT, StoreUnavailableError
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.proof import verify_proof
from tests.s3 import (
    any_proxy,
    bucket,
    client,
    new_bucket,
    objects,
    objects_at,
    proxy,
    s3_endpoint,
    s3_environ,
)
from tests.unit.tlog.logs import ORIGIN, entries, entry, signer

SOAK = bool(os.environ.get("CUTOVER_SOAK"))

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


class Slept:
    """A writer whose machine sleeps before one of its requests, long enough to lose its lease, and does not notice."""

    def __init__(self, endpoint, bucket, at=None, meanwhile=lambda: None):
        self.objects, self.requests = objects_at(endpoint, bucket), count(1)
        self.made = 0
        calls = self.objects._calls
        once = calls.once

        def ask(what, operation):
            self.made = next(self.requests)
            if self.made == at:
                meanwhile()
            return once(what, operation)

        calls.once = ask

    def append(self, *entries):
        return opened(self.objects).append(entries)


@pytest.fixture
def forgotten(monkeypatch):
    """Every lease is old, by the server's clock."""
    monkeypatch.setattr("pytest_cutover.objects.s3.S3Objects.age_s", lambda *_: 31.0)


def killed(objects):
    """What a writer leaves that is killed before it writes the checkpoint."""
    other = Log(objects, ORIGIN, signer())
    with objects.exclusive("log"):
        edge = other._read_edge(other.checkpoint())
        for tile, data in edge.grow([b"of a killed writer"]):
            objects.write(tile.path, data, expected=ABSENT)


@pytest.mark.usefixtures("forgotten")
class TestAWriterThatLostItsLease:
    """Whatever it does then, what a checkpoint names stays as it is, and the log goes on."""

    def start(self, client, leftovers):
        bucket = new_bucket(client)
        objects = objects_at(client.meta.endpoint_url, bucket)
        opened(objects).append(entries(0, 2))
        if leftovers:
            killed(objects)
        return bucket, opened(objects)

    @pytest.mark.parametrize(("leftovers", "others", "at"), [(True, 1, 30), (False, 2, 18)])
    def test_it_replaces_nothing(self, client, s3_endpoint, leftovers, others, at):
        """It sleeps before one of its requests; in a soak before each in turn."""
        made = at
        for slept_at in range(1, 1000) if SOAK else [at]:
            if slept_at <= made:
                made = self.sleep_before(slept_at, client, s3_endpoint, leftovers, others)

    def sleep_before(self, at, client, s3_endpoint, leftovers, others):
        """How many requests it made."""
        bucket, log = self.start(client, leftovers)
        between = entries(2, 2 + others)
        told = {}
        slept = Slept(s3_endpoint, bucket, at, lambda: told.update(first=log.append(between).first))
        with suppress(CutoverError):
            told["late"] = slept.append(b"late").first

        assert log.verify().problems == (), at
        logged = list(log.entries(0, 99))
        assert logged[told["first"] : told["first"] + others] == between, at
        assert (b"late" in logged) == ("late" in told), at
        assert log.append([b"next"]).first == len(logged), at
        assert log.verify().problems == (), at
        return slept.made
