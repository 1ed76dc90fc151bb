"""`Journal`: numbered lines that survive, and a damaged file that never grows a valid end."""

from __future__ import annotations

import errno
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.errors import AdapterError
from pytest_cutover.model import parse_rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold
from pytest_cutover.run.events import encode
from pytest_cutover.run.journal import Journal
from tests.unit import journals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def lines(journal: Journal) -> list[bytes]:
    return journal.path.read_bytes().splitlines(keepends=True)


def fields(event: journals.Event) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("event", "at")}


def begun(path: Path, **changes: Any) -> Journal:
    journal = Journal(path / "run/journal.jsonl")
    journal.write("run.started", **fields(journals.started(**changes)))
    journal.write("run.collected", **fields(journals.collected()))
    return journal


def failing(error: int, after: int = 0) -> Callable[[int, bytes], int]:
    """os.write that fails with `error` after so many good calls."""
    left = [after]
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(error, os.strerror(error))
        left[0] -= 1
        return real(fd, data)

    return write


class TestWriting:
    """What is written is a whole journal."""

    def test_a_whole_run_folds_without_problems(self, tmp_path: Path) -> None:
        """Numbers, counts, nonce and digest are those that the reader expects."""
        journal = begun(tmp_path)
        journal.started(journals.nodeid("ready"), "main")
        journal.finished(encode(fields(journals.gate_finished())))
        journal.problem("run.module-skipped", "skipped", "gates/x.py")
        journal.end(status=0, exit_status=None, nonce=journals.NONCE)
        journal.close()

        record = fold(lines(journal))

        assert record.complete
        assert [p.reason for p in record.problems] == [Reason.RUN_MODULE_SKIPPED]
        assert len(record.results) == 1

    def test_each_event_is_one_compact_line_with_its_time(self, tmp_path: Path) -> None:
        """JSON Lines: no blanks, no line breaks, UTC with microseconds."""
        journal = begun(tmp_path)
        journal.problem("run.not-clean", "two\nlines \u2028 and ümlauts")

        last = lines(journal)[-1]

        assert b'","' in last
        assert b'", "' not in last
        assert json.loads(last)["message"] == "two\nlines \u2028 and ümlauts"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", json.loads(last)["at"])

    def test_times_never_go_back(self, tmp_path: Path) -> None:
        """The second is formatted once and reused; the order stays."""
        journal = begun(tmp_path)
        for _ in range(200):
            journal.problem("run.not-clean", "x")
        at = [parse_rfc3339(json.loads(line)["at"]) for line in lines(journal)]

        assert at == sorted(at)

    def test_a_line_is_there_before_the_next_begins(self, tmp_path: Path) -> None:
        """kill -9 loses no finished line: nothing waits in a buffer."""
        journal = begun(tmp_path)

        assert [json.loads(line)["seq"] for line in lines(journal)] == [0, 1]

    def test_resumed_journal_goes_on_counting(self, tmp_path: Path) -> None:
        """The child goes on where its parent stopped, digest included."""
        begun(tmp_path).close()
        journal = Journal(tmp_path / "run/journal.jsonl", resume=True)
        journal.started(journals.nodeid("ready"), "main")
        journal.finished(encode(fields(journals.gate_finished())))
        journal.end(status=0, exit_status=None, nonce=journals.NONCE)

        assert fold(lines(journal)).problems == ()

    def test_nan_is_never_written(self, tmp_path: Path) -> None:
        """No reader of strict JSON could take it."""
        with pytest.raises(ValueError, match="Out of range"):
            begun(tmp_path).write("gate.finished", duration_s=float("nan"))


class TestOpening:
    """Whose journal it is."""

    def test_existing_journal_is_not_reused(self, tmp_path: Path) -> None:
        """Two runs never share a journal."""
        begun(tmp_path).close()

        with pytest.raises(AdapterError, match=r"cannot write the journal .*: File exists"):
            Journal(tmp_path / "run/journal.jsonl")

    def test_missing_journal_cannot_be_resumed(self, tmp_path: Path) -> None:
        """The parent begins it; a child that finds none has another folder."""
        with pytest.raises(AdapterError, match="No such file") as caught:
            Journal(tmp_path / "journal.jsonl", resume=True)
        assert caught.value.hint == "is the disk full, or the folder read-only?"

    def test_folder_that_is_a_file(self, tmp_path: Path) -> None:
        """The run folder cannot be made."""
        (tmp_path / "run").write_text("")

        with pytest.raises(AdapterError, match="cannot write the journal"):
            Journal(tmp_path / "run/journal.jsonl")


class TestFailing:
    """A journal that cannot be written says so once and is never whole again."""

    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
    def test_failed_write_breaks_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
    ) -> None:
        """No exception inside of a hook: the verdict says why."""
        journal = begun(tmp_path)
        monkeypatch.setattr(os, "write", failing(error))
        journal.started("x", "main")

        assert journal.broken == f"cannot write {journal.path}: {os.strerror(error)}"

    def test_nothing_follows_a_failed_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also when the disk has room again: no end may make the gap look whole."""
        journal = begun(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", failing(errno.ENOSPC))
            journal.started("x", "main")
        before = lines(journal)
        journal.end(status=0, exit_status=None, nonce=journals.NONCE)
        journal.close()

        assert lines(journal) == before
        assert not fold(before).complete

    def test_short_writes_are_completed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """write() may take a part only."""
        journal = begun(tmp_path)
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
        journal.started(journals.nodeid("ready"), "main")

        assert json.loads(lines(journal)[-1])["nodeid"] == journals.nodeid("ready")

    def test_line_cut_by_a_full_disk_is_damage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A short write, then none: the half line is not believed."""
        journal = begun(tmp_path)
        real = os.write
        answers = iter([lambda fd, data: real(fd, data[:9]), failing(errno.ENOSPC)])
        monkeypatch.setattr(os, "write", lambda fd, data: next(answers)(fd, data))
        journal.started("x", "main")

        assert Reason.RUN_JOURNAL_DAMAGED in {p.reason for p in fold(lines(journal)).problems}

    def test_failed_sync_breaks_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lines that may not be on the disk are no evidence."""
        journal = begun(tmp_path)

        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        journal.close()

        assert journal.broken == f"cannot sync {journal.path}: Input/output error"

    def test_closing_twice_is_nothing(self, tmp_path: Path) -> None:
        """And what is written after it is not."""
        journal = begun(tmp_path)
        journal.close()
        journal.close()
        journal.started("x", "main")

        assert len(lines(journal)) == 2
        assert journal.broken is None


class TestForking:
    """A gate that forks copies the run."""

    def test_copy_leaves_a_line_and_writes_no_more(self, tmp_path: Path) -> None:
        """The copy may not go on with the journal, and its trace makes the run NO-GO."""
        journal = begun(tmp_path)
        child = os.fork()
        if child == 0:
            journal.started("x", "main")
            journal.started("y", "main")
            journal.close()
            os._exit(0)
        os.waitpid(child, 0)

        assert len(lines(journal)) == 3
        assert Reason.RUN_FORKED in {p.reason for p in fold(lines(journal)).problems}
        assert journal.broken is None
