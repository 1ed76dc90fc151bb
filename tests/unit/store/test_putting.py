"""Runs put into a store: whole, once, by several writers, and nothing half after a failure."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_cutover.cli import main
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import (
    ABSENT,
    ObjectConflictError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.store.document import build_document, read_document
from pytest_cutover.store.index import build_index, index_runs
from pytest_cutover.store.putting import (
    Left,
    RunSet,
    newest_document,
    put_object,
    put_run,
    put_set,
    settle_latest,
    take_out,
)
from tests.unit.evidence.runs import KEY
from tests.unit.store.stores import LATER, checked, files_at, filled, run_at, trust, write_index

VECTOR = Path(__file__).parents[2] / "vectors/evidence-1"


@pytest.fixture
def store(tmp_path):
    return FolderObjects(tmp_path / "evidence")


def killed_before(store, run, name):
    """Put the run as far as a writer comes that is killed before this file."""
    order = run.order
    for key in order[: order.index(run.key(name))]:
        put_object(store, run, key, None)


def latest(store):
    return read_document(store.read("latest.json")[0], "latest.json").run_id


class TestPutRun:
    def test_every_file_of_the_set_and_the_document_are_there(self, store, tmp_path):
        run = run_at(0)
        put = put_run(store, run.write(tmp_path / "run"))

        files = run.files()
        expected = {**files, "evidence.json": build_document(files)}
        assert {h.key for h in store.list("history/")} == {f"history/{run.run_id}/{n}" for n in expected}
        for name, data in expected.items():
            assert store.read(f"history/{run.run_id}/{name}")[0] == data
        assert store.read("latest.json")[0] == expected["evidence.json"]
        assert put.is_latest
        assert put.document.run_id == run.run_id
        assert [h.key.rpartition("/")[2] for h in put.objects][-1] == "bundle.intoto.jsonl"

    def test_of_what_is_no_go_the_bundle_comes_first(self, store):
        """It may take back a GO that is there; whoever is killed then has said so."""
        put = put_set(store, run_at(0, latency="9").files())

        names = [h.key.rpartition("/")[2] for h in put.objects]
        assert (names[0], names[-1]) == ("bundle.intoto.jsonl", "evidence.json")

    def test_other_files_of_the_folder_stay_there(self, store, tmp_path):
        folder = run_at(0).write(tmp_path / "run")
        (folder / "journal.jsonl").write_bytes(b"{}")
        (folder / "attachments" / "unnamed").write_bytes(b"x")

        put_run(store, folder)

        names = {h.key.rpartition("/")[2] for h in store.list()}
        assert "journal.jsonl" not in names
        assert "unnamed" not in names

    def test_putting_it_again_changes_nothing(self, store, tmp_path):
        folder = run_at(0).write(tmp_path / "run")
        first = put_run(store, folder)
        before = [(h.key, h.tag) for h in store.list()]

        assert put_run(store, folder) == first
        assert [(h.key, h.tag) for h in store.list()] == before

    def test_old_evidence_can_be_put(self, store):
        put = put_run(store, VECTOR)

        assert set(put.document.files) == {"bundle.intoto.jsonl", "report.json"}

    def test_another_run_of_that_id_is_refused(self, store):
        put_set(store, files_at(0))

        with pytest.raises(
            ObjectConflictError, match=r"expected run .* as it is here, .* is another"
        ) as caught:
            put_set(store, run_at(0, title="Something else").files())
        assert "never rewritten" in str(caught.value.hint)

    def test_beside_files_of_another_run_of_that_id_nothing_is_put(self, store):
        """A NO-GO's bundle goes first: beside the document of the GO that it replaced both would pass for a whole run."""
        killed_before(store, RunSet.of(files_at(0)), "bundle.intoto.jsonl")
        before = list(store.keys())

        with pytest.raises(ObjectConflictError, match="is another"):
            put_set(store, run_at(0, latency="9").files())
        assert list(store.keys()) == before

    def test_an_unsigned_run_is_refused_and_nothing_is_written(self, store, tmp_path):
        folder = run_at(0).write(tmp_path / "run")
        (folder / "bundle.intoto.jsonl").unlink()

        with pytest.raises(EvidenceError, match="expected a decided and signed run"):
            put_run(store, folder)
        assert list(store.list()) == []

    def test_a_missing_attachment_is_said_and_nothing_is_written(self, store, tmp_path):
        folder = run_at(0).write(tmp_path / "run")
        next((folder / "attachments").iterdir()).unlink()

        with pytest.raises(EvidenceError, match="expected the attachment"):
            put_run(store, folder)
        assert list(store.list()) == []

    @pytest.mark.parametrize("lost", ["missing", "changed", "folder", "link"])
    def test_a_no_go_that_lost_an_attachment_is_put_without_it(self, store, tmp_path, lost):
        """It may take back a GO. A GO is refused."""
        put_set(store, files_at(0))
        folder = run_at(1, latency="9").write(tmp_path / "run")
        kept, gone = sorted((folder / "attachments").iterdir())
        gone.write_bytes(b"another one")
        if lost != "changed":
            gone.unlink()
        if lost == "folder":
            gone.mkdir()
        if lost == "link":
            gone.symlink_to(kept)

        done = put_run(store, folder)
        index_runs(store, [done.document.run_id], {"production"}, KEY, trust(), lambda: LATER)
        assert (done.lost, done.is_latest) == ((f"attachments/{gone.name}",), True)
        assert f"attachments/{kept.name}" in done.document.files
        assert checked(store).findings == ()
        path = Path(store.where) / f"history/{done.document.run_id}/attachments" / kept.name
        path.unlink()
        assert "store.file-missing" in {f.code.value for f in checked(store).findings}

    def test_an_id_that_would_lead_elsewhere_is_refused(self, store):
        for name in (f"{run_at(0).run_id}/attachments", "../x", "", "a b"):
            with pytest.raises(EvidenceError, match="expected a run's id"):
                put_set(store, replace(run_at(1), run_id=name).files())
        assert list(store.list()) == []

    def test_a_link_is_not_followed(self, store, tmp_path):
        folder = run_at(0).write(tmp_path / "run")
        (folder / "report.json").rename(tmp_path / "report.json")
        (folder / "report.json").symlink_to(tmp_path / "report.json")

        with pytest.raises(ConfigError, match="cannot read"):
            put_run(store, folder)


class TestTakeOut:
    def test_what_an_attempt_left_is_removed(self, store):
        put_set(store, files_at(0))
        index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)
        put_set(store, files_at(1))

        assert take_out(store, RunSet.of(run_at(1).files())) is Left.NOTHING

        assert list(store.keys(f"history/{run_at(1).run_id}/")) == []
        assert len(list(store.keys(f"history/{run_at(0).run_id}/"))) == 5

    def test_latest_goes_back_too(self, store):
        """Else it would show a decision that was taken back."""
        put_set(store, files_at(0))
        put_set(store, files_at(1))
        assert latest(store) == run_at(1).run_id

        take_out(store, RunSet.of(run_at(1).files()))
        assert latest(store) == run_at(0).run_id

        take_out(store, RunSet.of(run_at(0).files()))
        assert list(store.keys()) == []

    def test_latest_of_another_run_stays(self, store):
        for number in (0, 2, 1):
            put_set(store, files_at(number))

        take_out(store, RunSet.of(run_at(1).files()))

        assert latest(store) == run_at(2).run_id

    def test_a_run_that_the_index_names_stays(self, store):
        put_set(store, files_at(0))
        index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.WHOLE

        assert checked(store).findings == ()

    def test_another_run_of_that_id_stays_and_does_not_stand_for_this_one(self, store):
        """Whoever took the id first has neither to lose evidence nor to pass for what was not stored."""
        put_set(store, files_at(0))
        other = run_at(0, title="Something else").files()
        for is_indexed in (False, True):
            if is_indexed:
                index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)
            with pytest.raises(ObjectConflictError):
                put_set(store, other)

            assert take_out(store, RunSet.of(other)) is Left.NOTHING
            assert len(list(store.keys(f"history/{run_at(0).run_id}/"))) == 5
        assert checked(store).findings == ()

    def test_a_file_of_somebody_else_beside_it_does_not_stand_for_it(self, store):
        """The bundle says whose run it is: this one is still to go, or a GO would stay that nobody is told of."""
        run = RunSet.of(files_at(0))
        foreign = f"history/{run_at(0).run_id}/attachments/junk"
        store.write(foreign, b"junk", expected=ABSENT)
        put_set(store, files_at(0))

        assert take_out(store, run) is Left.NOTHING
        assert list(store.keys("history/")) == [foreign]

        put_set(store, files_at(0))
        store.retain(run.bundle, datetime.now(UTC) + timedelta(hours=1))
        assert take_out(store, run) is Left.WHOLE

    def test_an_index_that_names_what_is_not_there_does_not_stand_for_it(self, store):
        put_set(store, files_at(0))
        index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)
        (Path(store.where) / f"history/{run_at(0).run_id}/report.json").unlink()

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.UNKNOWN

    def test_what_may_not_be_removed_and_is_whole_stays(self, store):
        """Two verdicts of one run must not be left behind: the store cannot take its one back."""
        put_set(store, files_at(0))
        bundle = f"history/{run_at(0).run_id}/bundle.intoto.jsonl"
        store.retain(bundle, datetime.now(UTC) + timedelta(hours=1))

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.WHOLE
        assert len(list(store.keys("history/"))) == 5

        (Path(store.where) / f"history/{run_at(0).run_id}/evidence.json").unlink()
        assert take_out(store, RunSet.of(run_at(0).files())) is Left.UNKNOWN

    @pytest.mark.parametrize("days", [1, 30])
    def test_what_may_not_be_removed_has_to_be_retained_as_long_as_was_asked(self, store, days):
        run, until = RunSet.of(run_at(0).files()), datetime.now(UTC) + timedelta(days=30)
        put_set(store, run_at(0).files(), until=until - timedelta(days=30 - days))

        assert take_out(store, run, until=until) is (Left.WHOLE if days == 30 else Left.UNKNOWN)

    @pytest.mark.parametrize("was_put", [True, False])
    def test_of_a_store_that_gives_no_answer_only_the_put_is_known(self, store, was_put, monkeypatch):
        def away(*_):
            raise StoreUnavailableError("no answer")

        run = RunSet.of(run_at(0).files())
        put_set(store, run_at(0).files())
        monkeypatch.setattr(store, "keys", away)
        assert take_out(store, run, was_put=was_put) is (Left.WHOLE if was_put else Left.UNKNOWN)

        monkeypatch.undo()
        monkeypatch.setattr(store, "delete", away)
        assert take_out(store, run, was_put=was_put) is Left.UNKNOWN

    def test_when_the_bundle_is_gone_the_rest_may_fail(self, store, monkeypatch):
        delete = store.delete

        def away(key):
            if not key.endswith("bundle.intoto.jsonl"):
                raise StoreUnavailableError("no answer")
            delete(key)

        put_set(store, run_at(0).files())
        monkeypatch.setattr(store, "delete", away)

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.NOTHING

    def test_without_its_bundle_the_rest_may_stay(self, store):
        put_set(store, files_at(0))
        report = f"history/{run_at(0).run_id}/report.json"
        store.retain(report, datetime.now(UTC) + timedelta(hours=1))

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.NOTHING
        assert list(store.keys("history/")) == [report]

    def test_an_index_that_cannot_be_read_names_nothing(self, store):
        """What was taken back as it could not be indexed must not stay as if it had been."""
        put_set(store, files_at(0))
        (Path(store.where) / "index.json.dsse").write_bytes(b"{")

        assert take_out(store, RunSet.of(run_at(0).files())) is Left.NOTHING

        assert list(store.keys("history/")) == []


class TestWithoutItsBundle:
    """What a writer that was killed leaves."""

    def test_a_document_says_nothing(self, store):
        put_set(store, files_at(0))
        killed_before(store, RunSet.of(files_at(1)), "bundle.intoto.jsonl")

        assert newest_document(store)[0].run_id == run_at(0).run_id
        assert settle_latest(store) is None
        assert {f.code.value for f in checked(store).findings} >= {"bundle.missing"}

    @pytest.mark.parametrize("number", [0, 1])
    def test_it_is_told_and_nothing_that_an_index_has_to_know(self, store, number):
        """Else one killed writer would make a store invalid for good: what is retained cannot even be taken away."""
        go, no_go = RunSet.of(files_at(1)), RunSet.of(run_at(2, latency="9").files())
        put_set(store, files_at(0))
        killed_before(store, go, "bundle.intoto.jsonl")
        killed_before(store, no_go, "evidence.json")
        if number:
            index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)
        else:
            write_index(store, build_index(store, None, LATER), KEY)

        found = checked(store)
        assert found.findings == ()
        assert found.unfinished == (run_at(1).run_id, run_at(2).run_id)
        assert (found.runs, found.latest) == (1, run_at(0).run_id)

    def test_what_the_index_knows_as_whole_has_lost_it(self, store):
        put_set(store, files_at(0))
        put_set(store, files_at(1))
        before = build_index(store, None, LATER)
        (Path(store.where) / f"history/{run_at(1).run_id}/bundle.intoto.jsonl").unlink()

        for index in (before, build_index(store, before, LATER)):
            write_index(store, index, KEY)
            found = checked(store)
            assert {"bundle.missing", "store.file-missing"} <= {f.code.value for f in found.findings}
            assert found.unfinished == ()

    def test_putting_it_again_completes_it(self, store, tmp_path):
        for number in (0, 1):
            run = run_at(number, latency="9" if number else "0.1")
            killed_before(store, RunSet.of(run.files()), "evidence.json" if number else "bundle.intoto.jsonl")
            put_run(store, run.write(tmp_path / str(number)))
        write_index(store, build_index(store, None, LATER), KEY)

        assert checked(store).findings == ()

    def test_nothing_of_it_is_shown(self, store, capsys):
        killed_before(store, RunSet.of(files_at(1)), "bundle.intoto.jsonl")

        assert main(["evidence", "show", run_at(1).run_id, "--store", store.where]) == 2
        assert "GO" not in capsys.readouterr().out

    def test_it_is_listed_as_one_that_decided_nothing(self, store, capsys):
        killed_before(store, RunSet.of(files_at(1)), "bundle.intoto.jsonl")

        assert main(["evidence", "list", "--store", store.where]) == 0
        out = capsys.readouterr().out
        assert "GO" not in out
        assert "bundle.intoto.jsonl: nothing shows what was decided" in out


class TestLatest:
    def test_it_is_the_run_that_was_decided_last(self, store):
        for number in (1, 2, 0):
            put = put_set(store, files_at(number))
            assert put.is_latest is (number > 0)

        assert latest(store) == run_at(2).run_id

    def test_a_damaged_one_is_replaced_by_the_newest_of_the_history(self, store):
        for number in (0, 2):
            put_set(store, files_at(number))
        (Path(store.where) / "latest.json").write_bytes(b"{")

        put_set(store, files_at(1))

        assert latest(store) == run_at(2).run_id

    def test_another_writer_in_between_is_looked_at_again(self, store, monkeypatch):
        put_set(store, files_at(0))
        write = store.write

        def beaten(key, data, *, expected):
            if key == "latest.json" and expected is not ABSENT:
                monkeypatch.undo()
                put_set(store, files_at(2))
            return write(key, data, expected=expected)

        monkeypatch.setattr(store, "write", beaten)
        put = put_set(store, files_at(1))

        assert not put.is_latest
        assert latest(store) == run_at(2).run_id


class TestSettleLatest:
    @pytest.fixture
    def store(self, tmp_path):
        return filled(tmp_path / "evidence", (0, 1))

    def point(self, store, data):
        (Path(store.where) / "latest.json").write_bytes(data)

    def test_it_goes_forward_and_stays(self, store):
        self.point(store, build_document(files_at(0)))

        assert settle_latest(store, write=False) == run_at(1).run_id
        assert latest(store) == run_at(0).run_id
        assert settle_latest(store) == run_at(1).run_id
        assert settle_latest(store) is None
        assert latest(store) == run_at(1).run_id

    @pytest.mark.parametrize("what", ["of no run that is there", "damaged", "gone"])
    def test_it_goes_back_from_what_is_none_of_the_store(self, store, what):
        """Nobody else would move it: it says that it is newer."""
        data = build_document(files_at(7))
        self.point(store, {"of no run that is there": data, "damaged": b"{", "gone": b""}[what])
        if what == "gone":
            (Path(store.where) / "latest.json").unlink()

        assert settle_latest(store) == run_at(1).run_id
        assert latest(store) == run_at(1).run_id

    def test_a_run_that_is_put_meanwhile_counts(self, store, monkeypatch):
        newest = newest_document(store)
        put_set(store, files_at(7))
        monkeypatch.setattr("pytest_cutover.store.putting.newest_document", lambda _: newest)

        assert settle_latest(store) is None
        assert latest(store) == run_at(7).run_id

    def test_where_there_is_no_run_nothing_is_done(self, tmp_path):
        assert settle_latest(FolderObjects(tmp_path)) is None


def _put(path, number):
    put_set(FolderObjects(path), files_at(number))


class TestSeveralProcesses:
    def test_every_run_is_whole_and_the_newest_is_latest(self, tmp_path):
        numbers = range(6)
        for number in numbers:
            files_at(number)
        context = multiprocessing.get_context("fork")
        running = [context.Process(target=_put, args=(tmp_path, number)) for number in (*numbers, *numbers)]
        for process in running:
            process.start()
        for process in running:
            process.join(60)

        assert [process.exitcode for process in running] == [0] * 12
        store = FolderObjects(tmp_path)
        for number in numbers:
            for name, data in files_at(number).items():
                assert store.read(f"history/{run_at(number).run_id}/{name}")[0] == data
        assert latest(store) == run_at(5).run_id

    def test_no_run_is_lost_from_the_index(self, tmp_path):
        for number in range(5):
            files_at(number)
        context = multiprocessing.get_context("fork")
        running = [context.Process(target=_put_and_index, args=(tmp_path, number)) for number in range(5)]
        for process in running:
            process.start()
        for process in running:
            process.join(60)

        assert [process.exitcode for process in running] == [0] * 5
        assert checked(FolderObjects(tmp_path)).findings == ()


def _put_and_index(path, number):
    store = FolderObjects(path)
    put_set(store, files_at(number))
    index_runs(store, [run_at(number).run_id], {"production"}, KEY, trust(), lambda: LATER)


class TestFaults:
    def test_whichever_call_fails_the_run_can_be_put_again(self, tmp_path, monkeypatch):
        """A full disk leaves files that are whole, no document without its files, and the old latest.json."""
        calls = self._calls(tmp_path / "counted", monkeypatch)
        assert calls > 10
        for failing in range(calls):
            store = filled(tmp_path / str(failing), [0])
            self._fail(monkeypatch, failing)
            with pytest.raises(StoreUnavailableError, match="No space left"):
                put_set(store, files_at(1))
            monkeypatch.undo()

            self._is_sound(store)
            assert put_set(store, files_at(1)).is_latest
            assert latest(store) == run_at(1).run_id

    def _calls(self, folder, monkeypatch):
        store = filled(folder, [0])
        count = [0]
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (count.__setitem__(0, count[0] + 1), real(fd)))
        put_set(store, files_at(1))
        monkeypatch.undo()
        return count[0]

    def _fail(self, monkeypatch, failing):
        count = [0]
        real = os.fsync

        def fsync(fd):
            count[0] += 1
            if count[0] > failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def _is_sound(self, store):
        run = run_at(1).run_id
        files = files_at(1)
        for name, data in files.items():
            try:
                assert store.read(f"history/{run}/{name}")[0] == data
            except ObjectMissingError:
                assert store.stat(f"history/{run}/bundle.intoto.jsonl") is None
        assert latest(store) in (run_at(0).run_id, run)

    @pytest.mark.parametrize("at", [1, 4, 9, 12])
    def test_a_killed_writer_leaves_nothing_half(self, tmp_path, at):
        store = filled(tmp_path / "store", [0])
        folder = run_at(1).write(tmp_path / "run")
        code = (
            "import os, sys\nfrom pathlib import Path\n"
            "from pytest_cutover.objects.folder import FolderObjects\n"
            "from pytest_cutover.store.putting import put_run\n"
            "left, real = [int(sys.argv[3])], os.fsync\n"
            "def fsync(fd):\n    left[0] -= 1\n    os.kill(os.getpid(), 9) if left[0] == 0 else real(fd)\n"
            "os.fsync = fsync\nput_run(FolderObjects(Path(sys.argv[1])), Path(sys.argv[2]))"
        )
        done = subprocess.run([sys.executable, "-c", code, store.where, str(folder), str(at)], check=False)

        assert done.returncode == -9
        again = FolderObjects(Path(store.where))
        for name, data in run_at(1).files().items():
            held = again.stat(f"history/{run_at(1).run_id}/{name}")
            assert held is None or again.read(held.key)[0] == data
        assert put_run(again, folder).is_latest


def test_a_store_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises((EvidenceError, StoreUnavailableError)):
        put_set(FolderObjects(tmp_path / "file"), files_at(0))
