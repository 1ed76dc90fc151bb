"""Evidence in a real S3 server with Object Lock: Ceph's gateway, killed and restarted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import (
    ABSENT,
    ObjectConflictError,
    ObjectLockedError,
    StoreUnavailableError,
)
from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.objects.s3_client import s3_client
from pytest_cutover.store.transfer import restore, upload
from pytest_cutover.store.worm import ATTEMPTS, check_worm
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from tests.real.ceph import Ceph
from tests.real.servers import wait_until
from tests.s3 import FaultProxy
from tests.unit.evidence.runs import signer

if TYPE_CHECKING:
    from pathlib import Path

UNTIL = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, ceph: Ceph) -> None:
    for name, value in ceph.environ().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(ceph: Ceph) -> str:
    return ceph.bucket()


@pytest.fixture
def objects(environ: None, bucket: str) -> S3Objects:
    return S3Objects(s3_client(), bucket, "evidence")


def versions(ceph: Ceph, bucket: str, prefix: str) -> list[str]:
    """The keys of all versions."""
    pages = ceph.client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Versions", [])]


def documents(folder: Path, count: int) -> FolderObjects:
    """A store of runs, each a small document and a larger report."""
    for number in range(count):
        run = folder / f"history/20261121T{number:06}Z-{number:08x}"
        run.mkdir(parents=True)
        (run / "evidence.json").write_bytes(b'{"run":%d}' % number)
        (run / "report.json").write_bytes(b"%08d" % number * 512)
    return FolderObjects(folder)


def contents(store: FolderObjects | S3Objects) -> dict[str, bytes]:
    return {held.key: store.read(held.key)[0] for held in store.list("history/")}


class TestWorm:
    def test_it_is_worm(self, objects):
        check = check_worm(objects, now=datetime.now(UTC))

        assert [(a.name, a.denied) for a in check.attempts] == [(name, True) for name in ATTEMPTS]
        assert check.unproven == ()
        assert check.is_worm

    def test_the_command_says_so(self, ceph, environ, bucket):
        done = command("evidence", "check-store", f"s3://{bucket}/evidence")

        assert done.returncode == 0, done.stderr
        assert "\nWORM: each attempt was denied\n" in done.stdout

    def test_a_bucket_without_object_lock_is_not(self, ceph, environ):
        bucket = ceph.bucket(lock=False)

        assert not check_worm(S3Objects(s3_client(), bucket), now=datetime.now(UTC)).is_worm
        assert command("evidence", "check-store", f"s3://{bucket}").returncode == 1


class TestWriteOnce:
    def test_of_many_first_writers_one_wins(self, objects, ceph, bucket):
        """This server ignores If-None-Match where versions are kept."""
        won, lost = race(objects, lambda store, n: store.write("once", b"%d" % n, expected=ABSENT))

        assert (len(won), len(lost)) == (1, 7)
        assert objects.read("once")[0] == b"%d" % won[0]
        assert versions(ceph, bucket, "evidence/once") == ["evidence/once"]

    def test_of_many_replacements_one_wins(self, objects):
        """This server refuses every If-Match where versions are kept."""
        tag = objects.write("moves", b"first", expected=ABSENT).tag
        won, lost = race(objects, lambda store, n: store.write("moves", b"%d" % n, expected=tag))

        assert (len(won), len(lost)) == (1, 7)
        assert objects.read("moves")[0] == b"%d" % won[0]

    def test_a_counter_loses_nothing(self, objects):
        """Each writer adds one as often as it takes, and signs: two may not take one another's write for theirs."""
        objects.write("counter", b"0", expected=ABSENT)

        def add(store, writer):
            for _ in range(3):
                while True:
                    data, held = store.read("counter")
                    try:
                        counted = int(data.split()[0]) + 1
                        store.write("counter", b"%d by %d" % (counted, writer), expected=held.tag)
                        break
                    except ObjectConflictError:
                        continue

        race(objects, add, writers=4)

        assert objects.read("counter")[0].split()[0] == b"12"

    def test_one_has_the_lease(self, objects):
        inside = []

        def work(store, n):
            with store.exclusive("x", timeout_s=30):
                inside.append(n)
                assert inside == [n]
                inside.remove(n)

        won, lost = race(objects, work, writers=3)
        assert (len(won), lost) == (3, [])


def race(objects, work, writers=8):
    """Numbers of those who got through, and of those who met a conflict."""
    won, lost = [], []
    begin = threading.Barrier(writers)

    def one(number):
        store = S3Objects(objects.bucket.client, objects.bucket.name, "evidence")
        store.stat("warm")
        begin.wait()
        try:
            work(store, number)
            won.append(number)
        except ObjectConflictError:
            lost.append(number)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


class TestLog:
    def test_writers_that_append_at_once_never_fork_it(self, objects):
        origin, key = "log.example/test", signer()

        def log(store):
            return Log(store, origin, NoteSigner(origin, key))

        def append(store, writer):
            for number in range(3):
                log(store).append([b"%d of %d" % (number, writer)])

        race(objects, append, writers=3)

        found = log(objects).verify()
        assert (found.checkpoint.size, found.problems) == (9, ())
        entries = sorted(log(objects).entries(0, 9))
        assert entries == sorted(b"%d of %d" % (n, w) for w in range(3) for n in range(3))


class TestRetention:
    def test_what_is_retained_stays_and_what_is_on_top_hides_nothing(self, objects, ceph, bucket):
        held = objects.write("a", b"1", expected=ABSENT, retain_until=UNTIL)
        client = ceph.client()
        client.put_object(Bucket=bucket, Key="evidence/a", Body=b"forged")
        client.delete_object(Bucket=bucket, Key="evidence/a")

        assert objects.read("a")[0] == b"1"
        assert objects.stat("a").retain_until == UNTIL
        for refused in (lambda: objects.delete("a"), lambda: objects.bucket.remove("a", held.version)):
            with pytest.raises(ObjectLockedError):
                refused()

    def test_a_hold_is_set_and_lifted(self, objects):
        objects.write("a", b"1", expected=ABSENT)
        objects.hold("a", True)
        with pytest.raises(ObjectLockedError):
            objects.bucket.remove("a", objects.stat("a").version)
        objects.hold("a", False)
        objects.delete("a")

        assert objects.stat("a") is None

    def test_it_ends(self, objects):
        until = datetime.now(UTC) + timedelta(seconds=4)
        held = objects.write("a", b"1", expected=ABSENT, retain_until=until)
        with pytest.raises(ObjectLockedError):
            objects.bucket.remove("a", held.version)
        threading.Event().wait((until - datetime.now(UTC)).total_seconds() + 1.2)  # it is rounded up
        objects.delete("a")

        assert objects.stat("a") is None


class TestSilence:
    @pytest.mark.parametrize("how", ["lose-answer", "lose-request", "slow-down"])
    def test_a_write_without_an_answer_happens_once(self, ceph, environ, bucket, how):
        with FaultProxy(ceph.endpoint) as proxy:
            store = S3Objects(s3_client(endpoint=proxy.endpoint), bucket, "evidence")
            first = store.write("a", b"1", expected=ABSENT)
            fault = proxy.add("PUT", how)
            store.write("a", b"2", expected=first.tag)
            store.write("b", b"1", expected=ABSENT, retain_until=UNTIL)

            assert fault.times == 0
            assert store.read("a")[0] == b"2"
        assert versions(ceph, bucket, "evidence/") == ["evidence/a", "evidence/a", "evidence/b"]

    def test_a_wrong_clock_is_said_and_nothing_is_written(self, objects, ceph, bucket, monkeypatch):
        import botocore.auth

        objects.stat("warm")
        now = botocore.auth.get_current_datetime
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda *a, **k: now(*a, **k) + timedelta(hours=2)
        )

        with pytest.raises(StoreUnavailableError, match="this machine's clock is"):
            objects.write("a", b"1", expected=ABSENT)
        monkeypatch.undo()
        assert versions(ceph, bucket, "") == []

    def test_a_write_that_arrives_late_changes_nothing(self, ceph, environ, bucket):
        with FaultProxy(ceph.endpoint) as proxy:
            store = S3Objects(s3_client(endpoint=proxy.endpoint), bucket, "evidence")
            zero = store.write("a", b"0", expected=ABSENT)
            first = store.write("a", b"1", expected=zero.tag)  # finds out that If-Match is of no use here
            fault = proxy.add("PUT", "late")
            second = store.write("a", b"2", expected=first.tag)
            store.write("a", b"3", expected=second.tag)
            fault.release()

            assert len(versions(ceph, bucket, "evidence/a")) == 5
            assert store.read("a")[0] == b"3"


class TestKilled:
    """kill -9 in the middle."""

    def test_a_gateway_that_comes_back_is_waited_for(self, ceph, objects, bucket, tmp_path):
        source = documents(tmp_path / "source", 60)
        killed = []

        def kill(done, total):
            if not killed and done == 40:
                ceph.kill_gateway()
                killed.append(done)
                threading.Event().wait(0.5)  # others are writing meanwhile
                ceph.start_gateway()

        done = upload(source, objects, retain_until=UNTIL, now=datetime.now(UTC), progress=kill)

        assert (killed, done.problems) == ([40], ())
        assert contents(objects) == contents(source)
        assert versions(ceph, bucket, "") == [f"evidence/{key}" for key in contents(source)]

    def test_one_that_stays_away_ends_it_and_running_it_again_goes_on(self, ceph, objects, bucket, tmp_path):
        source = documents(tmp_path / "source", 20)
        impatient = S3Objects(objects.bucket.client, bucket, "evidence", retry_for_s=0.5)

        def kill(done, total):
            if done == 10:
                ceph.kill_gateway()

        try:
            with pytest.raises(StoreUnavailableError, match=r"of 40 are done"):
                upload(source, impatient, retain_until=UNTIL, now=datetime.now(UTC), progress=kill)
        finally:
            ceph.start_gateway()
        upload(source, objects, retain_until=UNTIL, now=datetime.now(UTC))

        assert contents(objects) == contents(source)
        assert len(versions(ceph, bucket, "")) == 40

    def test_an_upload_that_was_killed_is_run_again(self, ceph, environ, objects, bucket, tmp_path):
        source = documents(tmp_path / "source", 200)
        words = ["evidence", "upload", str(tmp_path / "source"), f"s3://{bucket}/evidence", "--for", "1d"]
        first = subprocess.Popen(
            [sys.executable, "-m", "pytest_cutover", *words], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: len(versions(ceph, bucket, "")) > 10, "the first files")
        first.kill()
        first.wait()
        halfway = len(versions(ceph, bucket, ""))
        done = command(*words, "--json", cwd=tmp_path)

        assert halfway < 400
        assert done.returncode == 0, done.stderr
        assert 0 < json.loads(done.stdout)["new"] <= 400 - halfway  # some were still on their way
        assert versions(ceph, bucket, "") == [f"evidence/{held.key}" for held in source.list()]

    def test_what_was_acknowledged_survives_the_end_of_everything(self, tmp_path, monkeypatch):
        """Monitor, OSD and gateway are killed at once, and start again on what is on the disk."""
        source = documents(tmp_path / "source", 25)
        with Ceph(tmp_path / "ceph", backend="bluestore") as ceph:
            for name, value in ceph.environ().items():
                monkeypatch.setenv(name, value)
            bucket = ceph.bucket()
            store = S3Objects(s3_client(), bucket, "evidence")
            sent = upload(source, store, retain_until=UNTIL, now=datetime.now(UTC))
            ceph.kill()
            ceph.start()
            folder = FolderObjects(tmp_path / "restored")

            assert restore(store, folder, manifest=sent).problems == ()
            assert contents(folder) == contents(source)
            assert {held.retain_until for held in folder.list()} == {UNTIL}
            assert versions(ceph, bucket, "") == [f"evidence/{key}" for key in contents(source)]
            with pytest.raises(ObjectLockedError):
                store.bucket.remove(sent.moved[0].key, sent.moved[0].version)


def command(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_cutover", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
