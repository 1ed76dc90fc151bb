"""A log in an ObjectStore: what it writes, what it proves, what it refuses, and what failing writes leave."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pytest_cutover.errors import ConfigError, EvidenceError, VerificationError
from pytest_cutover.objects.protocol import ObjectMissingError, StoreUnavailableError
from pytest_cutover.tlog.checkpoint import Checkpoint, verify_extends
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.merkle import EMPTY_ROOT, Tree, leaf_hash
from pytest_cutover.tlog.proof import verify_proof
from pytest_cutover.tlog.tiles import CHECKPOINT, tiles_of
from tests.unit.tlog.logs import ORIGIN, OTHER, MemoryObjects, entries, entry, log_of, signer

EMPTY = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
SIZES = [1, 2, 3, 5, 255, 256, 257, 300, 511, 512, 600, 770]


def tree(size):
    return Tree(map(leaf_hash, entries(0, size)))


class TestAppend:
    def test_its_checkpoints_are_those_of_the_tree(self):
        """However the entries were divided into batches."""
        log, before = log_of(), 0
        for size in SIZES:
            appended = log.append(entries(before, size))

            assert appended.first == before
            assert appended.checkpoint.size == size
            assert appended.checkpoint.root == tree(size).root()
            assert log.checkpoint() == appended.checkpoint
            before = size

    @pytest.mark.parametrize("size", [1, 255, 256, 257, 513, 65_536, 65_793])
    def test_the_same_tiles_whatever_the_batches(self, size):
        at_once = log_of(size).objects.objects
        in_two = log_of(size // 2 or 1, size).objects.objects if size > 1 else at_once

        wanted = {tile.path for tile in tiles_of(size)}
        assert set(at_once) == wanted | {CHECKPOINT}
        assert {path: in_two[path] for path in wanted} == {path: at_once[path] for path in wanted}

    def test_it_goes_on_in_another_process(self):
        objects = MemoryObjects()
        for number in range(520):
            Log(objects, ORIGIN, signer()).append([entry(number)])

        log = log_of(objects=objects)
        assert log.checkpoint().root == tree(520).root()
        assert list(log.entries(0, 520)) == entries(0, 520)

    def test_partial_tiles_go_when_the_tile_is_full(self):
        log = log_of(*range(1, 257))

        assert set(log.objects.objects) == {tile.path for tile in tiles_of(256)} | {CHECKPOINT}

    def test_what_it_reads_to_go_on_does_not_depend_on_its_size(self):
        """Start-up: the checkpoint, and one tile per level."""
        objects = log_of(70_000).objects
        objects.reads.clear()

        Log(objects, ORIGIN, signer()).append([b"one more"])

        assert len(objects.reads) <= 5

    def test_the_first_checkpoint_is_that_of_the_empty_tree(self):
        """So that tiles without a checkpoint mean that somebody removed it."""
        objects = MemoryObjects()
        objects.fail_at = 2
        with pytest.raises(StoreUnavailableError):
            log_of(1, objects=objects)

        assert log_of(objects=objects).checkpoint().size == 0

    @pytest.mark.parametrize("bad", [[], [b"x" * 65_536]])
    def test_what_is_no_entry_is_refused(self, bad):
        with pytest.raises(ValueError, match="at least one entry"):
            log_of(3).append(bad)

    def test_the_longest_entry_fits(self):
        log = log_of(2)
        log.append([b"x" * 65_535, b""])

        assert list(log.entries(2, 9)) == [b"x" * 65_535, b""]

    def test_without_a_key_it_only_reads(self):
        objects = log_of(5).objects
        log = Log(objects, ORIGIN, verifiers=[signer().verifier])

        assert log.checkpoint().size == 5
        with pytest.raises(ConfigError, match="key of the log"):
            log.append([b"x"])

    def test_a_key_of_another_name_is_refused(self):
        with pytest.raises(ConfigError, match=r"expected a key with the name of the log"):
            Log(MemoryObjects(), ORIGIN, signer("other.example"))

    def test_another_key_signs_on_after_a_rotation(self):
        objects = log_of(5).objects
        new = signer(raw=OTHER)
        with pytest.raises(VerificationError, match="known key"):
            Log(objects, ORIGIN, new).append([entry(5)])

        log = Log(objects, ORIGIN, new, verifiers=[signer().verifier])

        assert log.append([entry(5)]).checkpoint.root == tree(6).root()


class TestRefusals:
    def test_nothing_is_appended_to_a_log_without_its_checkpoint(self):
        log = log_of(5)
        del log.objects.objects[CHECKPOINT]

        with pytest.raises(EvidenceError, match="tiles and no checkpoint"):
            log_of(objects=log.objects).append([b"x"])
        with pytest.raises(ObjectMissingError, match="there is no checkpoint"):
            log.checkpoint()

    @pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"])
    def test_nothing_is_appended_to_a_changed_edge(self, path):
        log = log_of(300)
        log.objects.objects[path] = b"\x00" + log.objects.objects[path][1:-1] + b"\xff"
        before = dict(log.objects.objects)

        with pytest.raises(EvidenceError):
            log_of(objects=log.objects).append([b"x"])
        assert log.objects.objects == before

    def test_nothing_is_appended_to_a_log_of_another_origin(self):
        objects = log_of(5).objects

        with pytest.raises(VerificationError, match="expected a checkpoint of other"):
            Log(objects, "other", signer("other")).append([b"x"])

    def test_nothing_is_appended_to_an_older_copy(self):
        """Whoever knows a later checkpoint does not sign a fork."""
        old, pinned = dict(log_of(5).objects.objects), log_of(9).checkpoint()

        log = log_of(objects=MemoryObjects(old))
        with pytest.raises(EvidenceError, match="newest entries were dropped"):
            log.append([b"x"], pinned=[pinned])
        log.append([b"x"], pinned=[log_of(4).checkpoint()])

    @pytest.mark.parametrize(
        ("then", "later"), [(3, (4, 5)), (250, (251, 252)), (250, (251, 256)), (255, (256, 300, 301))]
    )
    def test_nothing_is_appended_or_removed_when_the_checkpoint_was_set_back(self, then, later):
        """Without a pin too, where it shows: nobody but a writer that went on leaves the tiles of two appends."""
        log = log_of(then, *later)
        log.objects.objects[CHECKPOINT] = log_of(then).objects.objects[CHECKPOINT]
        before = dict(log.objects.objects)

        with pytest.raises(EvidenceError, match=r"it was set back|there is no tile|tile/"):
            log_of(objects=log.objects).append([b"x"])
        assert log.objects.objects == before

    def test_nor_to_another_log_of_that_size(self):
        pinned = log_of(4).checkpoint()
        log = log_of()
        log.append([b"other", *entries(1, 9)])

        with pytest.raises(VerificationError, match="does not begin with"):
            log.append([b"x"], pinned=[pinned])


class TestProve:
    @pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
    def test_each_entry_is_proven(self, size):
        log = log_of(size)
        for index in {0, 1, size // 2, size - 1} & set(range(size)):
            proven = verify_proof(log.prove(index), entry(index), [signer().verifier], origin=ORIGIN)

            assert (proven.index, proven.checkpoint) == (index, log.checkpoint())

    def test_for_an_older_checkpoint_too(self):
        log = log_of(3, 255, 700)
        _, signed = log_of(255).signed_checkpoint()

        proof = log.prove(2, signed=signed)

        assert verify_proof(proof, entry(2), [signer().verifier]).checkpoint.size == 255

    def test_what_is_not_there_is_not_proven(self):
        log = log_of(3)
        for index in (-1, 3):
            with pytest.raises(EvidenceError, match="there is no entry"):
                log.prove(index)

    def test_tiles_that_do_not_fit_the_checkpoint_prove_nothing(self):
        log = log_of(3)
        log.objects.objects["tile/0/000.p/3"] = log_of(4).objects.objects["tile/0/000.p/4"][32:]

        with pytest.raises(VerificationError, match="do not lead to the root hash"):
            log.prove(1)

    @pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 300), (256, 600), (255, 256), (7, 7)])
    def test_it_goes_on_from_its_older_checkpoints(self, old, new):
        before, log = log_of(old).checkpoint(), log_of(new)

        verify_extends(before, log.checkpoint(), log.consistency(before))

    def test_and_from_the_empty_one(self):
        log = log_of(7)

        verify_extends(EMPTY, log.checkpoint(), log.consistency(EMPTY))

    @pytest.mark.parametrize(
        ("path", "index"),
        [("tile/0/000", 0), ("tile/0/001", 300), ("tile/0/002.p/88", 512), ("tile/1/000.p/2", 300)],
    )
    def test_a_proof_that_proves_nothing_is_not_given(self, path, index):
        """Whether the tile that was changed is one of those at the edge of the tree or not."""
        log = log_of(600)
        good = log.objects.objects[path]
        log.objects.objects[path] = bytes(32) + good[32:]

        with pytest.raises(
            VerificationError, match="memory: the tiles do not lead to the root hash"
        ) as caught:
            log.prove(index)
        assert caught.value.hint == "cutover log verify names what was changed"

    def test_entries_that_do_not_fit_their_tile_are_refused(self):
        log = log_of(3)
        log.objects.objects["tile/entries/000.p/3"] = log.objects.objects["tile/entries/000.p/3"].replace(
            b"entry 1", b"entry 7"
        )

        with pytest.raises(VerificationError, match="entry 1 does not fit"):
            list(log.entries(0, 3))


class TestFailingWrites:
    """Each change of an append fails, and all that follow: as a kill leaves it, or a disk that stays full."""

    @pytest.mark.parametrize("lost", [False, True], ids=["not made", "answer lost"])
    @pytest.mark.parametrize(("before", "batch"), [(0, 1), (3, 1), (250, 20), (255, 1), (256, 1), (255, 520)])
    def test_it_is_the_old_log_or_the_new_one_and_goes_on(self, before, batch, lost):
        whole = log_of(*([before] if before else []), before + batch)
        count = whole.objects.changes
        start = log_of(before).objects.changes if before else 0
        assert count > start + 2
        for fail_at in range(start + 1, count + 1):
            objects = log_of(*([before] if before else [])).objects
            objects.fail_at, objects.lost = fail_at, lost
            with suppress(StoreUnavailableError):
                log_of(objects=objects).append(entries(before, before + batch))
            objects.fail_at = None

            log = log_of(objects=objects)
            size = log.checkpoint().size if CHECKPOINT in objects.objects else 0
            assert size in (before, before + batch)
            log.append([b"next", *entries(900, 903)])
            assert list(log.entries(0, 2000)) == [*entries(0, size), b"next", *entries(900, 903)]
            stays = {tile.path for tile in tiles_of(size + 4)} | {CHECKPOINT}
            assert stays <= set(objects.objects)

    def test_failures_while_leftovers_are_removed(self):
        """The first file of a killed writer goes last: until then the next writer knows that there is more."""
        for first in range(1, 12):
            for second in range(1, 14):
                objects = log_of(250).objects
                for fail_at, batch in ((first, entries(250, 790)), (second, [b"a"])):
                    objects.changes, objects.fail_at = 0, fail_at
                    with suppress(StoreUnavailableError):
                        log_of(objects=objects).append(batch)
                objects.fail_at = None
                log = log_of(objects=objects)
                size = log.checkpoint().size
                log.append([b"next"])

                assert list(log.entries(size, 999)) == [b"next"]
                assert log.verify().problems == ()
