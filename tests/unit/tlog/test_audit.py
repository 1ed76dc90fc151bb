"""Verifying a whole log: every change of every file is named; and what only a pinned checkpoint shows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from pytest_cutover.errors import VerificationError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.audit import Pinned, audit
from pytest_cutover.tlog.checkpoint import Checkpoint
from pytest_cutover.tlog.entry import EntryKind, LogEntry
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.problems import LogProblemCode as Code
from pytest_cutover.tlog.tiles import CHECKPOINT
from tests.unit.tlog.logs import ORIGIN, OTHER, MemoryObjects, entries, log_of, signer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def found(log):
    return [(p.code, p.where.removeprefix("memory/")) for p in log.verify().problems]


def copy_of(log):
    return log_of(objects=MemoryObjects(log.objects.objects))


class TestVerify:
    @pytest.mark.parametrize("sizes", [(1,), (255,), (256,), (257,), (2, 5, 300, 601), (66_000,)])
    def test_a_whole_log_is_valid(self, sizes):
        verification = log_of(*sizes).verify()

        assert verification.problems == ()
        assert verification.beyond == ()
        assert verification.checkpoint.size == sizes[-1]
        assert verification.tree.root() == verification.checkpoint.root

    @pytest.mark.parametrize("sizes", [(2, 3), (256, 260)])
    def test_every_flipped_bit_of_every_file_is_named(self, sizes):
        """Of small files all bits; of each file of the larger log a bit of every 61st byte."""
        log = log_of(*sizes)
        objects = log.objects.objects
        for path, good in dict(objects).items():
            for at in range(0, len(good), 1 if sizes[-1] < 9 else 61):
                for bit in range(8) if sizes[-1] < 9 else [at % 8]:
                    objects[path] = good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :]

                    named = found(log)

                    assert [where for _, where in named] == [path], (path, at, bit, named)
            objects[path] = good
        assert found(log) == []

    def test_every_missing_file_is_named(self):
        log = log_of(600)
        for path in list(log.objects.objects):
            copy = copy_of(log)
            del copy.objects.objects[path]

            assert [where for _, where in found(copy)] == [path]

    def test_a_file_that_is_cut_off_is_named(self):
        log = log_of(600)
        for path, data in log.objects.objects.items():
            for cut in (b"", data[:-1], data[:32], data + b"\0"):
                copy = copy_of(log)
                copy.objects.objects[path] = cut

                assert [where for _, where in found(copy)] == [path]

    def test_swapped_tiles_are_both_named(self):
        log = log_of(600)
        for one, two in [("tile/0/000", "tile/0/001"), ("tile/entries/000", "tile/entries/001")]:
            copy = copy_of(log)
            objects = copy.objects.objects
            objects[one], objects[two] = objects[two], objects[one]

            assert [where for _, where in found(copy)] == [one, two]

    def test_bundle_and_tile_changed_alike_are_both_named(self):
        """Whoever changes an entry and its hashes would have to change the signed root hash too."""
        log = log_of(600)
        other = log_of()
        other.append([b"another", *entries(1, 600)])
        for path in ("tile/0/000", "tile/entries/000"):
            log.objects.objects[path] = other.objects.objects[path]

        assert {code for code, _ in found(log)} >= {Code.ROOT}
        for path in ("tile/1/000.p/2",):
            log.objects.objects[path] = other.objects.objects[path]
        assert found(log) == [(Code.ROOT, CHECKPOINT)]

    def test_a_file_that_does_not_belong_there_is_named(self):
        log = log_of(600)
        objects = log.objects.objects
        strange = {"notes.txt": b"", "tile/0/0": b"", "tile/0/000.p/300": log.verify().tree.hashes(0, 0, 300)}
        objects.update(strange)

        assert found(log) == [(Code.FILE_UNKNOWN, path) for path in strange]

    def test_links_in_a_folder_are_named_and_never_followed(self, tmp_path):
        log = Log(FolderObjects(tmp_path / "log"), ORIGIN, signer())
        log.append(entries(0, 3))
        tile = tmp_path / "log/tile/0/000.p/3"
        tile.rename(tmp_path / "elsewhere")
        tile.symlink_to(tmp_path / "elsewhere")

        assert {p.code for p in log.verify().problems} == {Code.FILE_UNKNOWN, Code.TILE_CHANGED}

    def test_what_lies_beyond_the_checkpoint_is_said_and_no_problem(self):
        log, larger = log_of(3), log_of(5)
        log.objects.objects = {**larger.objects.objects, **log.objects.objects}

        assert log.verify().beyond == ("tile/0/000.p/5", "tile/entries/000.p/5")
        assert log.verify().is_valid

    def test_a_checkpoint_that_was_set_back_beyond_one_append_is_seen_without_a_pin(self):
        """One killed writer leaves each bundle once."""
        log = log_of(3, 4, 5)
        log.objects.objects[CHECKPOINT] = log_of(3).objects.objects[CHECKPOINT]

        assert found(log) == [(Code.ROLLED_BACK, CHECKPOINT)]

    def test_no_checkpoint_and_one_of_another_key(self):
        log = log_of(3)
        stranger = Log(log.objects, ORIGIN, verifiers=[signer(raw=OTHER).verifier])
        assert found(stranger) == [(Code.CHECKPOINT_INVALID, CHECKPOINT)]
        del log.objects.objects[CHECKPOINT]

        assert found(log) == [(Code.CHECKPOINT_MISSING, CHECKPOINT)]
        assert log.verify().tree is None

    def test_it_is_read_again_when_it_grew_meanwhile(self):
        """A reader needs no lock: what a writer tidied away meanwhile is no problem."""
        log = log_of(255)
        grown = log_of(300).objects.objects
        plain = log.objects.keys

        def grow(prefix=""):
            listed = list(plain(prefix))
            log.objects.objects = grown
            return listed

        log.objects.keys = grow

        verification = log.verify()

        assert (verification.problems, verification.checkpoint.size) == ((), 300)


class TestAudit:
    def test_a_log_that_goes_on_from_what_was_pinned(self):
        log = log_of(3, 255, 600)
        pins = [Pinned(log_of(size).checkpoint(), f"pin {size}") for size in (1, 3, 256, 600)]

        done = audit(log, pins)

        assert done.is_valid
        assert done.to_json() == {
            "checkpoint": log.checkpoint().to_json(),
            "pinned": 4,
            "documents": 0,
            "tlog_inclusion_gap": 0,
            "beyond_checkpoint": [],
            "problems": [],
        }

    def test_the_newest_entries_were_dropped(self):
        """A valid older copy of the log: the log alone cannot show it."""
        log = log_of(599)
        assert log.verify().is_valid

        done = audit(log, [Pinned(log_of(600).checkpoint(), "decision 7")])

        assert [(p.code, p.where) for p in done.problems] == [(Code.ROLLED_BACK, "decision 7")]
        assert done.inclusion_gap is None

    def test_the_log_was_rewritten_with_its_own_key(self):
        log = log_of()
        log.append([b"another", *entries(1, 600)])

        done = audit(log, [Pinned(log_of(300).checkpoint(), "decision 7")])

        assert [(p.code, p.where) for p in done.problems] == [(Code.FORKED, "decision 7")]

    def test_a_pinned_checkpoint_of_another_log_proves_nothing(self):
        log = log_of(3)
        pin = Checkpoint("other.example", 3, log.checkpoint().root)

        assert [p.code for p in audit(log, [Pinned(pin, "x")]).problems] == [Code.PINNED_INVALID]

    def test_documents_that_are_not_logged_are_the_gap(self):
        digests = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(3)]
        log = log_of(2)
        log.append([LogEntry(EntryKind.DECISION, d, NOW, "run").to_bytes() for d in digests[:2]])

        done = audit(log, documents={digest: f"run {n}" for n, digest in enumerate(digests)})

        assert done.inclusion_gap == 1
        assert [(p.code, p.where) for p in done.problems] == [(Code.NOT_LOGGED, "run 2")]
        assert audit(log, documents=dict.fromkeys(digests[:2], "")).inclusion_gap == 0

    def test_entries_that_are_others_than_were_verified_are_no_documents_of_it(self):
        """Tile and bundle are exchanged together, after the log was verified and before its entries are read."""
        digest = hashlib.sha256(b"never logged").hexdigest()
        log, other = log_of(2), log_of()
        named = LogEntry(EntryKind.DECISION, digest, NOW, "run").to_bytes()
        other.append([named, named])
        verify = log.verify

        def exchanged():
            verification = verify()
            for path in ("tile/0/000.p/2", "tile/entries/000.p/2"):
                log.objects.objects[path] = other.objects.objects[path]
            return verification

        log.verify = exchanged

        with pytest.raises(VerificationError, match="entry 0 is another than was verified"):
            audit(log, documents={digest: "run"})

    def test_the_gap_of_a_damaged_log_is_unknown_and_never_0(self):
        log = log_of(2)
        log.objects.objects["tile/0/000.p/2"] = bytes(64)

        assert audit(log).inclusion_gap is None
