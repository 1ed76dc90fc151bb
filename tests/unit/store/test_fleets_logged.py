"""A store of a fleet and its log: only the merge is logged, and nothing else is missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.evidence.inclusion import PROOF_FILE, logged_entry
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.model import LogHead
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store.checking import Wanted, check_store
from pytest_cutover.store.locking import NotLockedError, lock_run
from pytest_cutover.store.putting import put_set
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from tests.unit.evidence.fleets import MERGED_AT, SHARDS, fleet, sealed_fleet, shard_run
from tests.unit.evidence.runs import KEY, Run, sealed, signer, trusted
from tests.unit.store.stores import LATER, ORIGIN, checked, codes, full_trust, new_log, reindexed

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.keys.trust import Anchor

MONTHS = timedelta(days=60)
MERGE = f"history/{fleet([]).run_id}/bundle.intoto.jsonl"
UNNAMED = Run(shards=SHARDS, wanted_log=ORIGIN)


class Kept:
    """The runs of a fleet in a store, and a log."""

    def __init__(self, folder: Path) -> None:
        self.store, self.log = FolderObjects(folder / "s"), new_log(folder / "l")
        self.log.append([b"something else"])
        for shard in ("eu", "us"):
            self.put(shard_run(shard, wanted_log=ORIGIN))

    def put(self, run: Run) -> None:
        self.put_files(*sealed(run), {})

    def put_files(self, bundle: bytes, report: bytes, proof: dict[str, bytes]) -> None:
        put_set(self.store, {"bundle.intoto.jsonl": bundle, "report.json": report, **proof})
        reindexed(self.store)

    def merge(self, *, logged: bool) -> None:
        """Of shards under another policy: that it is NO-GO does not excuse it."""
        record = fleet()
        bundle, report = sealed_fleet(record, log=ORIGIN)
        entry = logged_entry(bundle, record.run_id, record.environment, MERGED_AT)
        proof = {PROOF_FILE: self.log.prove(self.log.append([entry]).first)} if logged else {}
        self.put_files(bundle, report, proof)

    def found(self) -> list[tuple[str, str | None]]:
        return codes(checked(self.store, self.log))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_shards_are_not_missed_in_the_log(kept: Kept) -> None:
    assert kept.found() == []


def test_nor_is_a_run_that_does_not_say_which_shard_it_is(kept: Kept) -> None:
    kept.put(UNNAMED)

    assert kept.found() == []


def test_the_merge_is(kept: Kept) -> None:
    kept.merge(logged=True)
    assert kept.found() == []


def test_a_merge_without_its_proof_is_invalid(kept: Kept) -> None:
    kept.merge(logged=False)

    assert kept.found() == [("log.unproven", f"{MERGE}.tlog-proof")]


def test_a_run_of_no_fleet_without_its_proof_is_invalid_unless_it_says_that_no_log_took_it(
    kept: Kept,
) -> None:
    kept.put(Run(wanted_log=ORIGIN))
    assert kept.found() == []

    seen = LogHead(ORIGIN, 0, "ab" * 32)
    kept.put(Run(wanted_log=ORIGIN, latency="9", run_id="20261121T084701Z-1a2b3c4d", log=seen))
    assert [code for code, _ in kept.found()] == ["log.unproven"]


def test_a_merge_that_another_log_of_this_name_holds_is_named(kept: Kept, tmp_path: Path) -> None:
    own, kept.log = kept.log, new_log(tmp_path / "other")
    kept.merge(logged=True)
    kept.log = own

    assert ("store.log-invalid", f"{MERGE}.tlog-proof") in kept.found()


def test_a_merge_that_only_another_log_holds_is_named(tmp_path: Path) -> None:
    other, key = "log.example/other", signer()
    store, log = (
        FolderObjects(tmp_path / "s"),
        Log(FolderObjects(tmp_path / "o"), other, NoteSigner(other, key)),
    )
    this = new_log(tmp_path / "l")
    this.append([b"something else"])
    record = fleet()
    bundle, report = sealed_fleet(record, log=other)
    entry = logged_entry(bundle, record.run_id, record.environment, MERGED_AT)
    proof = log.prove(log.append([entry]).first)
    put_set(store, {"bundle.intoto.jsonl": bundle, "report.json": report, PROOF_FILE: proof})
    reindexed(store)
    both = full_trust()
    keys = replace(both, keys=(*both.keys, trusted(key, name="o", roles=frozenset({"log"}), origin=other)))

    assert codes(check_store(store, keys, lambda: LATER, Wanted(log=log))) == []
    assert codes(check_store(store, keys, lambda: LATER, Wanted(log=this))) == [("store.not-logged", MERGE)]


def rotated(size: int, grace: timedelta = timedelta(days=30)) -> Anchor:
    """Who decides has another key since the log had that size; the old one is in grace."""
    before = full_trust()
    life = {
        "state": KeyState.GRACE,
        "rotated": Rotation(ORIGIN, size, LATER),
        "grace_until": LATER + grace,
    }
    old = [replace(key, **life) if key.public == KEY.public else key for key in before.keys]
    new = trusted(signer(), name="new", roles=frozenset({"decision", "store"}))
    return replace(before, keys=(*old, new))


def test_a_rotation_after_the_merge_leaves_all_of_them_whole(kept: Kept) -> None:
    kept.put(UNNAMED)
    kept.merge(logged=True)
    wanted = Wanted(log=kept.log)

    assert codes(check_store(kept.store, rotated(2), lambda: LATER, wanted)) == []
    assert lock_run(kept.store, UNNAMED.run_id, LATER + timedelta(days=1), rotated(2), LATER)

    over = {code for code, _ in codes(check_store(kept.store, rotated(2), lambda: LATER + MONTHS, wanted))}
    assert {"signature.rotated", "store.index-invalid"} <= over
    with pytest.raises(NotLockedError):
        lock_run(kept.store, shard_run("eu").run_id, LATER + 2 * MONTHS, rotated(2), LATER + MONTHS)


def test_a_merge_that_came_after_it_is_not(kept: Kept) -> None:
    """Only the position in the log counts there, whatever its time."""
    kept.merge(logged=True)

    found = codes(check_store(kept.store, rotated(1), lambda: LATER, Wanted(log=kept.log)))
    assert {where for _, where in found} == {MERGE}
    assert ("signature.rotated", MERGE) in found
