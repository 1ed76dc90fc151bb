"""Random histories of writers that are killed anywhere, beside a list: the log never forks and never loses."""

from __future__ import annotations

import os
import random
from contextlib import suppress

import pytest

from pytest_cutover.objects.protocol import StoreUnavailableError
from pytest_cutover.tlog.checkpoint import Checkpoint, verify_extends
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.merkle import Tree, leaf_hash
from pytest_cutover.tlog.tiles import CHECKPOINT
from tests.unit.tlog.logs import ORIGIN, MemoryObjects, signer

HISTORIES = 3000 if os.environ.get("CUTOVER_SOAK") else 120
SIZES = (1, 1, 1, 2, 7, 100, 255, 256, 257, 600)


def history(seed):
    """Steps of writers that go on, are new, or die; after each the log is what the list says."""
    chosen = random.Random(seed)
    objects, kept, seen = MemoryObjects(), [], []
    writer = Log(objects, ORIGIN, signer())
    for step in range(chosen.randint(3, 12)):
        batch = [b"%d %d" % (step, n) for n in range(chosen.choice(SIZES))]
        dies = chosen.random() < 0.5
        objects.changes, objects.fail_at = 0, chosen.randint(1, 12) if dies else None
        objects.lost = chosen.random() < 0.5
        if dies or chosen.random() < 0.5:
            writer = Log(objects, ORIGIN, signer())
        told = False
        with suppress(StoreUnavailableError):
            writer.append(batch, pinned=seen)
            told = True
        objects.fail_at = None
        now = read(objects)
        assert now in ([kept + batch] if told else [kept, kept + batch])
        kept = now
        if kept:
            seen.append(writer.checkpoint())
    return objects, kept, seen


def read(objects):
    if CHECKPOINT not in objects.objects:
        return []
    log = Log(objects, ORIGIN, signer())
    return list(log.entries(0, log.checkpoint().size))


@pytest.mark.parametrize("first", range(0, HISTORIES, 40))
def test_random_histories(first):
    for seed in range(first, first + 40):
        objects, kept, seen = history(seed)
        log = Log(objects, ORIGIN, signer())
        log.append([b"last"])
        tree = Tree(map(leaf_hash, [*kept, b"last"]))
        now = log.checkpoint()

        assert now == Checkpoint(ORIGIN, len(kept) + 1, tree.root()), seed
        found = log.verify()
        assert (found.problems, found.beyond) == ((), ()), seed
        for old in seen:
            assert old.root == tree.root(old.size), seed
            verify_extends(old, now, log.consistency(old))
