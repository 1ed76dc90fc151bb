"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pytest_cutover.errors import AdapterError
from pytest_cutover.files import sync_folder, write_atomic, write_new


def fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestWriteAtomic:
    """A reader sees the whole new file or the old one."""

    def test_new_file_in_a_new_folder(self, tmp_path: Path) -> None:
        """Folders on the way are made."""
        write_atomic(tmp_path / "a/b/report.json", b"{}")

        assert (tmp_path / "a/b/report.json").read_bytes() == b"{}"
        assert os.listdir(tmp_path / "a/b") == ["report.json"]  # noqa: PTH208 # hidden files count

    def test_the_names_of_new_folders_are_on_the_disk_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a power cut a file is not there when the folder of its folder does not name that."""
        synced: list[Path] = []
        monkeypatch.setattr("pytest_cutover.files.sync_folder", synced.append)

        write_atomic(tmp_path / "a/b/report.json", b"{}")
        assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]

        synced.clear()
        write_atomic(tmp_path / "a/b/report.json", b"{}")
        assert synced == [tmp_path / "a/b"]

    def test_mode(self, tmp_path: Path) -> None:
        """Keys are not for everybody."""
        write_atomic(tmp_path / "key", b"x", mode=0o600)

        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600

    @pytest.mark.parametrize("call", ["fsync", "fchmod", "fdopen"])
    def test_failure_leaves_the_old_file_and_no_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """No half file, no temporary one."""
        path = tmp_path / "report.json"
        path.write_bytes(b"old")
        monkeypatch.setattr(os, call, fail)

        with pytest.raises(AdapterError, match=rf"cannot write {path}: No space left on device") as caught:
            write_atomic(path, b"new")

        assert caught.value.hint == "is the disk full, or the folder read-only?"
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["report.json"]  # noqa: PTH208 # hidden files count

    def test_failed_rename_leaves_the_old_file(self, tmp_path: Path) -> None:
        """A folder stands in the way."""
        (tmp_path / "report.json").mkdir()

        with pytest.raises(AdapterError, match="cannot write"):
            write_atomic(tmp_path / "report.json", b"new")

        assert os.listdir(tmp_path) == ["report.json"]  # noqa: PTH208 # hidden files count

    def test_parent_that_is_a_file(self, tmp_path: Path) -> None:
        """Nothing can be put below it."""
        (tmp_path / "var").write_text("")

        with pytest.raises(AdapterError, match="cannot write"):
            write_atomic(tmp_path / "var/report.json", b"new")


class TestWriteNew:
    """A name that is taken stays as it is."""

    def test_new_file_in_a_new_folder(self, tmp_path: Path) -> None:
        assert write_new(tmp_path / "a/gate.py", b"x", mode=0o640)

        assert (tmp_path / "a/gate.py").read_bytes() == b"x"
        assert stat.S_IMODE((tmp_path / "a/gate.py").stat().st_mode) == 0o640
        assert os.listdir(tmp_path / "a") == ["gate.py"]  # noqa: PTH208 # hidden files count

    @pytest.mark.parametrize("taken", ["file", "folder", "link", "broken link"])
    def test_whatever_is_there_is_kept(self, tmp_path: Path, taken: str) -> None:
        path, other = tmp_path / "gate.py", tmp_path / "other"
        if taken == "folder":
            path.mkdir()
        elif taken == "file":
            path.write_bytes(b"theirs")
        else:
            path.symlink_to(other)
        if taken == "link":
            other.write_bytes(b"theirs")
        before = sorted(tmp_path.iterdir())

        assert not write_new(path, b"ours")

        assert sorted(tmp_path.iterdir()) == before
        assert [p.read_bytes() for p in before if p.is_file()] in ([], [b"theirs"], [b"theirs"] * 2)

    @pytest.mark.parametrize("call", ["fsync", "fchmod", "fdopen", "link"])
    def test_failure_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        monkeypatch.setattr(os, call, fail)

        with pytest.raises(AdapterError, match=r"cannot write .*gate\.py: No space left on device"):
            write_new(tmp_path / "gate.py", b"ours")

        assert os.listdir(tmp_path) == []  # noqa: PTH208 # hidden files count


class TestSyncFolder:
    """A rename alone is not durable."""

    def test_missing_folder_is_an_error(self, tmp_path: Path) -> None:
        """The caller wraps it."""
        with pytest.raises(FileNotFoundError):
            sync_folder(tmp_path / "gone")

    def test_no_descriptor_stays_open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also when the sync fails."""
        before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            sync_folder(tmp_path)

        after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
        assert after == before
