"""A store that others write to while it is checked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.store import settling
from pytest_cutover.store.checking import Wanted
from pytest_cutover.store.index import index_runs
from pytest_cutover.store.putting import put_set
from pytest_cutover.store.settling import ATTEMPTS, check_settled
from tests.unit.evidence.runs import KEY
from tests.unit.store.stores import LATER, codes, files_at, filled, reindexed, run_at, trust


@pytest.fixture
def store(tmp_path):
    made = filled(tmp_path / "evidence")
    reindexed(made)
    return made


class Pauses:
    """Counts pauses; `then` is what others do in each."""

    def __init__(self, *then):
        self.then = list(then)
        self.count = 0

    def __call__(self, seconds):
        self.count += 1
        if self.then:
            self.then.pop(0)()


def checked(store, pauses):
    return check_settled(store, trust(), lambda: LATER, Wanted(), sleep=pauses)


def index(store):
    index_runs(store, [run_at(2).run_id], {"production"}, KEY, trust(), lambda: LATER)


def test_a_whole_store_is_checked_once(store):
    pauses = Pauses()

    assert checked(store, pauses).findings == ()
    assert pauses.count == 0


def test_a_run_that_is_just_being_put_is_not_waited_for_until_it_is_whole(store):
    run = Path(store.where) / f"history/{run_at(2).run_id}"
    run.mkdir()
    (run / "report.json").write_bytes(files_at(2)["report.json"])
    pauses = Pauses(lambda: index(store))

    found = checked(store, pauses)
    assert (found.findings, found.unfinished, pauses.count) == ((), (run_at(2).run_id,), 0)

    put_set(store, files_at(2))
    found = checked(store, pauses)
    assert (found.findings, found.unfinished, pauses.count) == ((), (), 1)


def test_what_stays_as_it_is_is_not_waited_for_twice(store):
    put_set(store, files_at(2))
    pauses = Pauses()

    assert codes(checked(store, pauses)) == [("store.index-stale", f"history/{run_at(2).run_id}")]
    assert pauses.count == 1


def test_what_no_writer_leaves_is_said_at_once(store):
    (Path(store.where) / f"history/{run_at(0).run_id}/report.json").write_bytes(b"x")
    pauses = Pauses()

    assert not checked(store, pauses).is_valid
    assert pauses.count == 0


def test_tampering_under_cover_of_a_writer_is_found(store):
    put_set(store, files_at(2))
    report = Path(store.where) / f"history/{run_at(0).run_id}/report.json"
    pauses = Pauses(lambda: (index(store), report.write_bytes(b"x")))

    found = {code for code, _ in codes(checked(store, pauses))}
    assert "store.file-changed" in found


def test_a_store_that_never_settles_is_not_waited_for_for_ever(store, monkeypatch):
    put_set(store, files_at(2))
    states = iter(range(100))
    monkeypatch.setattr(settling, "_state", lambda _: next(states))
    pauses = Pauses()

    assert not checked(store, pauses).is_valid
    assert pauses.count == ATTEMPTS - 1


def test_a_store_that_cannot_be_listed_is_said(store):
    put_set(store, files_at(2))
    (Path(store.where) / "a b").write_bytes(b"")
    pauses = Pauses()

    assert "store.unreadable" in {code for code, _ in codes(checked(store, pauses))}
    assert pauses.count <= 1


def test_an_index_that_was_written_while_the_files_were_read_is_not_yet_to_come(store):
    """However long that takes, and however often."""
    now = [LATER]

    def slow(done, total):
        now.append(now[-1] + timedelta(minutes=1))
        reindexed(store, now[-1])

    found = check_settled(store, trust(), lambda: now[-1], Wanted(), progress=slow, sleep=Pauses())
    assert (found.findings, found.index.at) == ((), now[-1])


def test_one_that_is_yet_to_come_is_found(store):
    reindexed(store, LATER + timedelta(seconds=6))

    assert codes(checked(store, Pauses())) == [("store.index-invalid", "index.json.dsse")]
