"""What may leave a store: never what is locked, held, the newest GO, or what takes back a GO that stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ObjectLockedError, StoreUnavailableError
from pytest_cutover.store.checking import check_store
from pytest_cutover.store.collecting import Limits, collect, index_without, plan
from pytest_cutover.store.index import build_index
from pytest_cutover.store.locking import hold_run, lock_run
from pytest_cutover.store.putting import put_set
from tests.unit.evidence.runs import KEY, sealed, signer
from tests.unit.store.stores import (
    LATER,
    checked,
    files_at,
    filled,
    full_trust,
    new_log,
    put_logged,
    run_at,
    trust,
    write_index,
)

NOW = LATER + timedelta(days=60)
OLD = Limits(1, timedelta(days=30))
GO = {"latency": "0.2"}
NO_GO = {"latency": "0.9"}


@pytest.fixture
def store(tmp_path):
    """Five GO of one kind."""
    return filled(tmp_path / "evidence", range(5), now=NOW)


def runs(store, *numbers, **changes):
    for number in numbers:
        put_set(store, run_at(number, **changes).files())


def removed(store, limits=OLD, now=NOW, **more):
    found = plan(store, trust(), limits, now, **more)
    return [int(run.name[-8:], 16) for run in found.choice.removed]


def why(store, number, limits=OLD, now=NOW, **more):
    return plan(store, trust(), limits, now, **more).choice.kept[run_at(number).run_id]


class TestPlan:
    def test_old_ones_go_the_oldest_first(self, store):
        assert removed(store) == [0, 1, 2, 3]
        assert removed(store, Limits(3, timedelta(days=30))) == [0, 1]

    def test_young_ones_stay(self, store):
        assert removed(store, Limits(1, timedelta(days=90))) == []
        assert removed(store, now=LATER) == []

    def test_nothing_is_changed(self, store):
        before = [(h.key, h.tag) for h in store.list()]

        plan(store, trust(), OLD, NOW)

        assert [(h.key, h.tag) for h in store.list()] == before

    def test_it_says_how_much_is_freed(self, store):
        found = plan(store, trust(), OLD, NOW)

        sizes = [h.size for number in range(4) for h in store.list(f"history/{run_at(number).run_id}/")]
        assert found.bytes == sum(sizes)

    def test_what_is_locked_stays_as_long(self, store):
        lock_run(store, run_at(1).run_id, NOW + timedelta(hours=1), trust(), NOW)

        assert why(store, 1).startswith("locked until 20")
        assert 1 not in removed(store)
        assert 1 in removed(store, now=NOW + timedelta(hours=2))

    def test_one_locked_file_is_enough(self, store):
        store.retain(f"history/{run_at(1).run_id}/report.json", NOW + timedelta(hours=1))

        assert 1 not in removed(store)

    def test_what_is_held_stays_for_ever(self, store):
        hold_run(store, run_at(1).run_id, True)

        assert why(store, 1, now=NOW + timedelta(days=9999)) == "under legal hold"
        hold_run(store, run_at(1).run_id, False)
        assert 1 in removed(store)

    def test_the_newest_go_stays_behind_newer_no_gos(self, tmp_path):
        store = FolderObjects(tmp_path)
        runs(store, 0, 1, **GO)
        runs(store, 2, 3, **NO_GO)

        assert why(store, 1) == "the newest GO for production"
        assert why(store, 2) == f"takes back a GO: {run_at(1).run_id}"
        assert removed(store) == [0]

    def test_each_environment_keeps_its_own(self, tmp_path):
        store = FolderObjects(tmp_path)
        runs(store, 0, 1, environment="staging")
        runs(store, 2, 3)

        assert removed(store) == [0, 2]

    def test_what_was_tampered_with_stays(self, store):
        before = build_index(store, None, NOW)
        (Path(store.where) / f"history/{run_at(0).run_id}/attachments").rename(
            tmp := Path(store.where).with_name("x")
        )
        index = build_index(store, before, NOW)
        assert tmp.is_dir()

        assert why(store, 0, index=index) == "the index calls it tampered"

    @pytest.mark.parametrize("how", ["locked", "held"])
    def test_what_the_index_promises_stays_though_the_store_lost_its_promise(self, store, how):
        """As where a store was copied without its hidden files."""
        run = run_at(1).run_id
        if how == "locked":
            lock_run(store, run, NOW + timedelta(hours=1), trust(), NOW)
        else:
            hold_run(store, run, True)
        index = build_index(store, None, NOW)
        shutil.rmtree(Path(store.where) / ".objects/kept")

        assert why(store, 1, index=index) == "the index says that it is locked or held"
        assert 1 not in removed(store, index=index)
        if how == "locked":
            assert 1 in removed(store, now=NOW + timedelta(hours=2), index=index)

    def test_a_document_that_nobody_signed_does_not_displace_the_newest_go(self, tmp_path):
        store = FolderObjects(tmp_path / "s")
        runs(store, 0, **GO)
        runs(store, 2, 3, **NO_GO)
        files = run_at(5, **GO).files()
        bundle, report = sealed(run_at(5, **GO), signer())
        put_set(store, files | {"bundle.intoto.jsonl": bundle, "report.json": report})

        assert why(store, 0) == "the newest GO for production"

    def test_what_cannot_be_read_stays(self, store, tmp_path):
        file = Path(store.where) / f"history/{run_at(0).run_id}/evidence.json"
        file.rename(tmp_path / "x")
        file.symlink_to(tmp_path / "x")
        with pytest.raises(EvidenceError):
            plan(store, trust(), OLD, NOW)

    def test_without_trusted_keys_hardly_anything_goes(self, store):
        """What a bundle is about is believed only when somebody trusted signed it."""
        runs(store, 7, **NO_GO)
        found = plan(store, None, OLD, NOW).choice

        assert run_at(4).run_id in found.kept
        assert run_at(7).run_id in found.kept

    def test_progress_is_told(self, store):
        told = []

        plan(store, trust(), OLD, NOW, progress=lambda done, total: told.append((done, total)))

        assert told[-1] == (4, 5)


class TestCollect:
    def collected(self, store, now=NOW):
        found = plan(store, trust(), OLD, now)
        gone = [found.runs[run.name] for run in found.choice.removed]
        write_index(store, index_without(build_index(store, None, now), gone, now), KEY)
        for run in gone:
            collect(store, run, NOW)

    def test_what_is_left_is_whole(self, store):
        self.collected(store)

        assert {h.key.split("/")[1] for h in store.list("history/")} == {run_at(4).run_id}
        assert check_store(store, trust(), lambda: NOW).findings == ()

    def test_the_log_does_not_miss_them(self, tmp_path):
        store, log = FolderObjects(tmp_path / "s"), new_log(tmp_path / "l")
        for number in range(3):
            put_logged(store, log, run_at(number))
        found = plan(store, full_trust(), OLD, NOW)
        gone = [found.runs[run.name] for run in found.choice.removed]
        write_index(store, index_without(build_index(store, None, LATER), gone, LATER), KEY)
        for run in gone:
            collect(store, run, NOW)

        assert len(gone) == 2
        assert checked(store, log).findings == ()

    def test_what_was_locked_meanwhile_stays_whole(self, store):
        found = plan(store, trust(), OLD, NOW)
        run = found.runs[run_at(0).run_id]
        lock_run(store, run_at(0).run_id, NOW + timedelta(hours=1), trust(), NOW)

        with pytest.raises(ObjectLockedError):
            collect(store, run, NOW)
        assert len(list(store.list(f"history/{run_at(0).run_id}/"))) == 5

    def test_one_file_that_was_held_meanwhile_keeps_the_whole_run(self, store):
        run = plan(store, trust(), OLD, NOW).runs[run_at(0).run_id]
        store.hold(f"history/{run_at(0).run_id}/report.json", True)

        with pytest.raises(ObjectLockedError, match="is under legal hold: it cannot be removed"):
            collect(store, run, NOW)
        assert len(list(store.list(f"history/{run_at(0).run_id}/"))) == 5

    def test_after_a_failure_it_goes_on(self, store, monkeypatch):
        """Wherever it was killed, what is left is known for what it is, and goes with the next collection."""
        run = plan(store, trust(), OLD, NOW).runs[run_at(0).run_id]
        for fails_at in range(len(run.names)):
            put_set(store, files_at(0))
            left, delete = [fails_at], store.delete

            def fails(key, left=left, delete=delete):
                left[0] -= 1
                if left[0] < 0:
                    raise StoreUnavailableError("killed")
                delete(key)

            monkeypatch.setattr(store, "delete", fails)
            with pytest.raises(StoreUnavailableError):
                collect(store, run, NOW)
            monkeypatch.undo()

            assert 0 in removed(store)
        collect(store, run, NOW)
        assert list(store.list(f"history/{run_at(0).run_id}/")) == []

    def test_the_index_remembers_each_once(self, store):
        found = plan(store, trust(), OLD, NOW)
        gone = [found.runs[run.name] for run in found.choice.removed]
        once = index_without(build_index(store, None, NOW), gone, NOW)

        assert [c.run_id for c in once.collected] == [run_at(number).run_id for number in range(4)]
        assert index_without(once, gone, LATER) == replace(once, at=LATER)
        assert all(run_at(4).run_id in e.key for e in once.objects)
