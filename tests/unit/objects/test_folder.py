"""Objects in a folder: whole, durable, one writer at a time, never through a link."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_cutover import files
from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import (
    ABSENT,
    Held,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def objects(tmp_path, clock):
    return FolderObjects(tmp_path / "var" / "evidence", now=clock)


def tag(data):
    return hashlib.sha256(data).hexdigest()


def mode(objects, key):
    return stat.S_IMODE((Path(objects.where) / key).stat().st_mode)


class TestReadAndWrite:
    def test_what_was_written_is_read_with_its_tag(self, objects):
        held = objects.write("a/b.json", b"{}", expected=ABSENT)

        assert held == Held("a/b.json", 2, tag(b"{}"))
        assert objects.read("a/b.json") == (b"{}", held)
        assert objects.stat("a/b.json") == held

    def test_nothing_is_made_before_the_first_write(self, objects, tmp_path):
        assert objects.stat("a") is None
        assert list(objects.list()) == []
        with pytest.raises(ObjectMissingError, match="there is no"):
            objects.read("a")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_keeps_no_versions(self, objects):
        objects.write("a", b"1", expected=ABSENT)

        with pytest.raises(ObjectMissingError, match="a folder keeps no versions"):
            objects.read("a", version="1")

    def test_a_first_write_replaces_nothing(self, objects):
        objects.write("a", b"1", expected=ABSENT)

        with pytest.raises(ObjectConflictError, match="expected nothing at"):
            objects.write("a", b"2", expected=ABSENT)
        assert objects.read("a")[0] == b"1"

    def test_writing_the_same_again_is_no_conflict(self, objects):
        objects.write("a", b"1", expected=ABSENT)

        assert objects.write("a", b"1", expected=ABSENT).tag == tag(b"1")
        assert objects.write("a", b"1", expected="something old").tag == tag(b"1")

    def test_what_was_expected_is_replaced(self, objects):
        objects.write("a", b"1", expected=ABSENT)

        objects.write("a", b"2", expected=tag(b"1"))

        assert objects.read("a")[0] == b"2"

    @pytest.mark.parametrize("there", [b"1", None])
    def test_what_was_not_expected_stays(self, objects, there):
        if there:
            objects.write("a", there, expected=ABSENT)

        with pytest.raises(ObjectConflictError, match="expected the object"):
            objects.write("a", b"3", expected=tag(b"2"))
        assert (objects.stat("a") or None) == (there and Held("a", 1, tag(there)))

    def test_a_write_costs_two_fsyncs_once_its_folder_is_known(self, objects, monkeypatch):
        """The log writes thousands of small objects."""
        objects.write("tile/0/000", b"x", expected=ABSENT)
        synced = []
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(fd) or real(fd))

        objects.write("tile/0/001", b"x", expected=ABSENT)

        assert len(synced) == 2

    def test_every_new_folder_is_synced_into_the_one_above(self, objects, monkeypatch, tmp_path):
        """A file whose folder is gone after a power cut is gone too."""
        synced = []
        real = files.sync_folder
        monkeypatch.setattr(
            "pytest_cutover.objects.folder.sync_folder", lambda f: synced.append(f) or real(f)
        )

        objects.write("a/b/c", b"x", expected=ABSENT)

        root = tmp_path / "var" / "evidence"
        assert synced == [tmp_path, tmp_path / "var", root, root / "a"]

    def test_no_leftover_lies_beside(self, objects):
        objects.write("a/b", b"1", expected=ABSENT)
        objects.write("a/b", b"2", expected=tag(b"1"))
        with pytest.raises(ObjectConflictError):
            objects.write("a/b", b"3", expected=ABSENT)

        assert os.listdir(Path(objects.where) / "a") == ["b"]  # noqa: PTH208 # hidden files count

    @pytest.mark.parametrize("expected", [ABSENT, tag(b"old")])
    def test_a_full_disk_leaves_what_was_there(self, objects, monkeypatch, expected):
        if expected is not ABSENT:
            objects.write("a", b"old", expected=ABSENT)
        else:
            objects.write("b", b"old", expected=ABSENT)

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StoreUnavailableError, match="No space left on device"):
                objects.write("a", b"new", expected=expected)

        assert [h.key for h in objects.list()] == ["a" if expected is not ABSENT else "b"]
        assert objects.stat("a") is None or objects.read("a")[0] == b"old"

    def test_too_much_is_refused_on_both_ways(self, objects, monkeypatch):
        objects.write("a", b"12345", expected=ABSENT)
        monkeypatch.setattr("pytest_cutover.objects.protocol.MAX_OBJECT_BYTES", 4)

        with pytest.raises(EvidenceError, match="expected at most 4 bytes, b has 5"):
            objects.write("b", b"12345", expected=ABSENT)
        with pytest.raises(EvidenceError, match=r"expected at most 4 bytes, .*/a has 5"):
            objects.read("a")


class TestStrangeNames:
    @pytest.mark.parametrize("key", ["../a", "/etc/passwd", ".objects/kept/x", "a/../../b", ""])
    def test_no_key_leads_out_or_into_what_is_the_store_s_own(self, objects, key):
        for ask in (
            lambda: objects.read(key),
            lambda: objects.stat(key),
            lambda: objects.write(key, b"", expected=ABSENT),
            lambda: objects.delete(key),
            lambda: objects.retain(key, UNTIL),
            lambda: objects.hold(key, True),
            lambda: objects.exclusive(key).__enter__(),
        ):
            with pytest.raises(EvidenceError, match="expected names of letters"):
                ask()

    def test_a_link_is_neither_read_nor_written_nor_listed(self, objects, tmp_path):
        objects.write("b", b"1", expected=ABSENT)
        (tmp_path / "secret").write_bytes(b"s")
        (Path(objects.where) / "a").symlink_to(tmp_path / "secret")

        for ask in (
            lambda: objects.read("a"),
            lambda: objects.write("a", b"x", expected=ABSENT),
            lambda: objects.write("a", b"x", expected=tag(b"s")),
            lambda: list(objects.list()),
            lambda: objects.delete("a"),
            lambda: objects.retain("a", UNTIL),
        ):
            with pytest.raises(EvidenceError, match=r"something else|is a link"):
                ask()
        assert (tmp_path / "secret").read_bytes() == b"s"

    def test_a_folder_on_the_way_that_is_a_link_is_refused(self, objects, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        objects.write("b", b"1", expected=ABSENT)
        (Path(objects.where) / "a").symlink_to(tmp_path / "elsewhere")

        for ask in (lambda: objects.read("a/x"), lambda: objects.write("a/x", b"", expected=ABSENT)):
            with pytest.raises(EvidenceError, match=r"expected a folder, .*/a is a link"):
                ask()
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_pipe_is_not_waited_for(self, objects):
        objects.write("b", b"1", expected=ABSENT)
        os.mkfifo(Path(objects.where) / "a")

        with pytest.raises(EvidenceError, match="something else"):
            objects.read("a")
        with pytest.raises(EvidenceError, match="'a' is a special file"):
            list(objects.list())

    def test_a_name_that_no_key_has_is_said_when_listed(self, objects):
        objects.write("b", b"1", expected=ABSENT)
        (Path(objects.where) / "a b").write_bytes(b"")

        with pytest.raises(EvidenceError, match="'a b' is no name of ours"):
            list(objects.list())

    def test_the_store_itself_may_be_behind_a_link(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "evidence").symlink_to(tmp_path / "disk")

        FolderObjects(tmp_path / "evidence").write("a", b"1", expected=ABSENT)

        assert (tmp_path / "disk" / "a").read_bytes() == b"1"


class TestList:
    def test_everything_below_in_the_order_of_the_keys(self, objects):
        for key in ("b", "a/z", "a-b", "a/b/c", "c/d"):
            objects.write(key, key.encode(), expected=ABSENT)

        assert [h.key for h in objects.list()] == ["a-b", "a/b/c", "a/z", "b", "c/d"]
        assert [h.key for h in objects.list("a/")] == ["a/b/c", "a/z"]
        assert [h.key for h in objects.list("a")] == ["a-b", "a/b/c", "a/z"]
        assert [h.key for h in objects.list("a/b/")] == ["a/b/c"]
        assert list(objects.list("x/y/")) == []

    def test_the_keys_alone_are_the_same_and_no_file_is_read(self, objects, monkeypatch):
        for key in ("b", "a/z", "a-b"):
            objects.write(key, b"x", expected=ABSENT)
        listed = [h.key for h in objects.list()]
        monkeypatch.setattr(objects, "read", None)

        assert list(objects.keys()) == listed
        assert list(objects.keys("a/")) == ["a/z"]

    def test_what_a_killed_writer_left_is_no_object(self, objects):
        objects.write("a/b", b"1", expected=ABSENT)
        (Path(objects.where) / "a" / ".b.xyz").write_bytes(b"half")

        assert [h.key for h in objects.list()] == ["a/b"]


class TestDelete:
    def test_it_is_gone_with_the_folders_that_are_empty_then(self, objects):
        objects.write("a/b/c", b"1", expected=ABSENT)
        objects.write("a/d", b"1", expected=ABSENT)

        objects.delete("a/b/c")
        objects.delete("a/b/c")

        assert [h.key for h in objects.list()] == ["a/d"]
        assert not (Path(objects.where) / "a" / "b").exists()

    def test_a_key_can_be_written_again(self, objects):
        objects.write("a/b", b"1", expected=ABSENT)
        objects.delete("a/b")

        assert objects.write("a/b", b"2", expected=ABSENT).tag == tag(b"2")


class TestFence:
    def test_it_leaves_what_is_as_it_was_expected(self, tmp_path):
        """Nobody loses a lock here: whoever had it before has written all it ever will."""
        objects = FolderObjects(tmp_path)
        held = objects.write("a", b"1", expected=ABSENT)

        assert objects.fence("a", held.state) == held
        for key, state in (("a", "0" * 64), ("b", held.state)):
            with pytest.raises(ObjectConflictError):
                objects.fence(key, state)

    def test_a_version_is_none_of_its_own(self, tmp_path):
        objects = FolderObjects(tmp_path)
        objects.write("a", b"1", expected=ABSENT)

        objects.delete("a", version="v1")

        assert objects.read("a")[0] == b"1"


class TestProtection:
    def protect(self, objects, how):
        objects.write("a/b", b"1", expected=ABSENT)
        return objects.retain("a/b", UNTIL) if how == "retain" else objects.hold("a/b", True)

    @pytest.mark.parametrize("how", ["retain", "hold"])
    def test_it_is_neither_replaced_nor_removed(self, objects, how):
        held = self.protect(objects, how)

        assert held.is_protected(NOW)
        assert objects.stat("a/b") == held == next(iter(objects.list()))
        with pytest.raises(ObjectLockedError, match="it cannot be replaced"):
            objects.write("a/b", b"2", expected=held.tag)
        with pytest.raises(ObjectLockedError, match="it cannot be removed"):
            objects.delete("a/b")
        assert objects.read("a/b")[0] == b"1"

    @pytest.mark.parametrize("how", ["retain", "hold"])
    def test_the_file_is_read_only(self, objects, how):
        self.protect(objects, how)

        assert mode(objects, "a/b") == 0o444

    def test_it_holds_in_another_process_too(self, objects, clock):
        self.protect(objects, "retain")

        with pytest.raises(ObjectLockedError, match="retained until 2026-11-22 12:00 UTC"):
            FolderObjects(Path(objects.where), now=clock).delete("a/b")

    def test_retention_ends_with_its_time(self, objects, clock):
        self.protect(objects, "retain")
        clock.now = UNTIL

        objects.delete("a/b")

        assert objects.stat("a/b") is None

    def test_retention_is_never_shortened(self, objects):
        self.protect(objects, "retain")

        assert objects.retain("a/b", NOW).retain_until == UNTIL
        assert objects.retain("a/b", UNTIL + timedelta(1)).retain_until == UNTIL + timedelta(1)

    def test_a_hold_is_independent_of_retention(self, objects, clock):
        self.protect(objects, "retain")
        objects.hold("a/b", True)
        clock.now = UNTIL + timedelta(1)

        with pytest.raises(ObjectLockedError, match="is held"):
            objects.delete("a/b")
        assert objects.hold("a/b", False).retain_until == UNTIL
        assert mode(objects, "a/b") == 0o644
        objects.delete("a/b")

    @pytest.mark.parametrize("ask", [lambda o: o.retain("a", UNTIL), lambda o: o.hold("a", True)])
    def test_what_is_not_there_cannot_be_kept(self, objects, ask):
        with pytest.raises(ObjectMissingError):
            ask(objects)

    def test_a_time_without_a_zone_is_refused(self, objects):
        with pytest.raises(ValueError, match="timezone-aware"):
            objects.retain("a", UNTIL.replace(tzinfo=None))

    def test_a_damaged_promise_protects(self, objects):
        self.protect(objects, "hold")
        (promise,) = (Path(objects.where) / ".objects" / "kept").rglob("*.json")
        promise.write_bytes(promise.read_bytes().replace(b"true", b"null"))

        for ask in (lambda: objects.delete("a/b"), lambda: objects.read("a/b")):
            with pytest.raises(EvidenceError, match="what is promised about a/b is damaged"):
                ask()

    def test_an_object_written_where_one_was_removed_is_free(self, objects, clock):
        self.protect(objects, "retain")
        clock.now = UNTIL
        objects.delete("a/b")
        clock.now = NOW

        assert not objects.write("a/b", b"2", expected=ABSENT).is_protected(NOW)


def _write_mine(path, number, key, ready):
    ready.wait()
    try:
        FolderObjects(path).write(key, b"%d" % number, expected=ABSENT)
    except ObjectConflictError:
        return
    (path.parent / f"won-{number}").touch()


def _count_up(path, times):
    objects = FolderObjects(path)
    for _ in range(times):
        while True:
            data, held = objects.read("count")
            try:
                # Two that write the same bytes would both be right.
                objects.write("count", b"%d %d" % (int(data.split()[0]) + 1, os.getpid()), expected=held.tag)
            except ObjectConflictError:
                continue
            break


def _count_up_alone(path, times):
    objects = FolderObjects(path)
    for _ in range(times):
        with objects.exclusive("counter"):
            file = path / "plain"
            file.write_text(str(int(file.read_text()) + 1))


def _all(target, arguments):
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=target, args=a) for a in arguments]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * len(running)


class TestManyProcesses:
    def test_one_first_write_wins(self, tmp_path):
        path = tmp_path / "store"
        ready = multiprocessing.get_context("fork").Event()
        ready.set()
        _all(_write_mine, [(path, number, "a/b", ready) for number in range(6)])

        won = [p.name for p in tmp_path.glob("won-*")]
        assert len(won) == 1
        assert FolderObjects(path).read("a/b")[0] == won[0].removeprefix("won-").encode()

    def test_no_replacement_is_lost(self, tmp_path):
        FolderObjects(tmp_path).write("count", b"0", expected=ABSENT)

        _all(_count_up, [(tmp_path, 15)] * 4)

        assert FolderObjects(tmp_path).read("count")[0].split()[0] == b"60"

    def test_only_one_is_exclusive(self, tmp_path):
        (tmp_path / "plain").write_text("0")

        _all(_count_up_alone, [(tmp_path, 25)] * 4)

        assert (tmp_path / "plain").read_text() == "100"

    def test_threads_are_writers_too(self, tmp_path):
        (tmp_path / "plain").write_text("0")
        threads = [threading.Thread(target=_count_up_alone, args=(tmp_path, 20)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (tmp_path / "plain").read_text() == "60"


class TestExclusive:
    def test_waiting_ends_with_its_time(self, objects):
        with (
            objects.exclusive("log"),
            pytest.raises(StoreUnavailableError, match=r"another process has had this lock for 0.02 s"),
            objects.exclusive("log", timeout_s=0.02),
        ):
            pass

    def test_another_name_is_free(self, objects):
        with objects.exclusive("log"), objects.exclusive("other/log", timeout_s=0):
            pass

    def test_it_is_given_back_after_an_error(self, objects):
        with pytest.raises(KeyError), objects.exclusive("log"):
            raise KeyError
        with objects.exclusive("log", timeout_s=0):
            pass

    def test_a_killed_process_has_it_no_more(self, objects):
        code = (
            "import os, sys\nfrom pathlib import Path\nfrom pytest_cutover.objects.folder import FolderObjects\n"
            f"FolderObjects(Path({objects.where!r})).exclusive('log').__enter__()\nos.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False)

        assert done.returncode == -9
        with objects.exclusive("log", timeout_s=0):
            pass

    def test_a_folder_that_cannot_be_written_is_said(self, tmp_path):
        (tmp_path / "file").write_text("")

        with (
            pytest.raises(StoreUnavailableError, match="cannot write"),
            FolderObjects(tmp_path / "file").exclusive("log"),
        ):
            pass
