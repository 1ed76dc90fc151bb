"""From WIP to LOCKED, and legal holds."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.objects.protocol import (
    ABSENT,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.store.layout import INDEX_LOCK
from pytest_cutover.store.locking import NotLockedError, hold_run, lock_run, runs_to_lock
from pytest_cutover.store.putting import Left, RunSet, put_set, take_out
from tests.unit.store.stores import LATER, files_at, filled, run_at, trust

RUN, OTHER = run_at(0).run_id, run_at(1).run_id
UNTIL = LATER + timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    return filled(tmp_path / "evidence", now=LATER)


def retained(store, run):
    return {held.retain_until for held in store.list(f"history/{run}/")}


class TestLock:
    def test_every_file_is_kept_as_it_is(self, store):
        held = lock_run(store, RUN, UNTIL, trust(), LATER)

        assert len(held) == 5
        assert retained(store, RUN) == {UNTIL}
        assert retained(store, OTHER) == {None}
        for each in held:
            with pytest.raises(ObjectLockedError):
                store.delete(each.key)
            with pytest.raises(ObjectLockedError):
                store.write(each.key, b"x", expected=each.tag)
            with pytest.raises(ObjectConflictError):
                store.write(each.key, b"x", expected=ABSENT)

    def test_it_can_be_put_again_and_not_taken_out(self, store):
        lock_run(store, RUN, UNTIL, trust(), LATER)

        put_set(store, files_at(0))
        assert take_out(store, RunSet.of(files_at(0))) is Left.WHOLE

        assert len(list(store.list(f"history/{RUN}/"))) == 5

    def test_it_is_put_off_and_never_brought_forward(self, store):
        lock_run(store, RUN, UNTIL, trust(), LATER)
        lock_run(store, RUN, UNTIL - timedelta(hours=1), trust(), LATER)
        assert retained(store, RUN) == {UNTIL}

        lock_run(store, RUN, UNTIL + timedelta(hours=1), trust(), LATER)
        assert retained(store, RUN) == {UNTIL + timedelta(hours=1)}

    @pytest.mark.parametrize("name", [*files_at(0), "evidence.json"])
    def test_what_does_not_verify_is_not_locked(self, store, name):
        file = Path(store.where) / f"history/{RUN}/{name}"
        file.write_bytes(file.read_bytes() + b" ")

        with pytest.raises(NotLockedError, match=f"run {RUN} has .* and is not locked") as caught:
            lock_run(store, RUN, UNTIL, trust(), LATER)
        assert caught.value.problems
        assert retained(store, RUN) == {None}

    def test_what_is_not_there_is_not_locked(self, store):
        with pytest.raises(NotLockedError):
            lock_run(store, "20261121T084700Z-ffffffff", UNTIL, trust(), LATER)

    def test_a_time_that_is_past_is_refused(self, store):
        with pytest.raises(ValueError, match="a time to come"):
            lock_run(store, RUN, LATER, trust(), LATER)

    def test_after_a_failure_it_goes_on(self, store, monkeypatch):
        retain, left = store.retain, [2]

        def fails(key, until):
            left[0] -= 1
            if left[0] < 0:
                raise StoreUnavailableError("the disk is full")
            return retain(key, until)

        monkeypatch.setattr(store, "retain", fails)
        with pytest.raises(StoreUnavailableError):
            lock_run(store, RUN, UNTIL, trust(), LATER)
        assert RUN in runs_to_lock(store)
        monkeypatch.undo()

        lock_run(store, RUN, UNTIL, trust(), LATER)
        assert retained(store, RUN) == {UNTIL}


class TestHold:
    def test_it_holds_until_it_is_lifted(self, store):
        hold_run(store, RUN, True)
        assert {h.legal_hold for h in store.list(f"history/{RUN}/")} == {True}
        with pytest.raises(ObjectLockedError):
            store.delete(f"history/{RUN}/report.json")

        hold_run(store, RUN, False)
        store.delete(f"history/{RUN}/report.json")

    def test_damaged_evidence_can_be_held(self, store):
        (Path(store.where) / f"history/{RUN}/report.json").write_bytes(b"{}")

        assert len(hold_run(store, RUN, True)) == 5

    def test_what_is_not_there_is_not_held(self, store):
        with pytest.raises(ObjectMissingError):
            hold_run(store, "20261121T084700Z-ffffffff", True)


def test_nothing_is_collected_meanwhile(store, monkeypatch):
    """Else a part of the run could be gone before the rest is locked or held."""
    inside, held, asked = [False], store.exclusive, []

    @contextmanager
    def exclusive(name):
        assert name == INDEX_LOCK
        with held(name):
            inside[0] = True
            yield
            inside[0] = False

    for name in ("retain", "hold"):
        real = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *given, real=real: (asked.append(inside[0]), real(*given))[1])
    monkeypatch.setattr(store, "exclusive", exclusive)
    lock_run(store, RUN, UNTIL, trust(), LATER)
    hold_run(store, RUN, True)

    assert asked == [True] * 10


def test_what_was_never_locked_is_listed(store):
    assert runs_to_lock(store) == [RUN, OTHER]
    lock_run(store, RUN, UNTIL, trust(), LATER)
    assert runs_to_lock(store) == [OTHER]
