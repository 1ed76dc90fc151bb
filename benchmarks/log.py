"""The transparency log beside pymerkle, in this process: appending, proving, auditing and starting, at a million entries.

pymerkle is GPL and belongs to the benchmark alone (group `bench`); without it our own figures stand alone.
"""

from __future__ import annotations

import importlib
import random
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Comparison, Figure
from benchmarks.timing import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pytest_cutover.tlog.log import Log

AIM_APPEND_US = 2.0
AIM_PROOF = 0.1
AIM_STARTUP = 1.5
"""A first append to a log a thousand times as long: one tile more is read, and the figures are small."""

BATCH = 10_000
SMALL = 1000
PROOFS = 2000


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """All of it; `quick` is a tenth of the entries."""
    count = 100_000 if quick else 1_000_000
    entries = [b"entry %d of a log, as long as one of ours is: %0180d" % (n, n) for n in range(count)]
    theirs = _pymerkle()
    yield from _in_memory(entries, theirs)
    yield from _in_folder(folder, entries, theirs)


def _pymerkle() -> Any:
    try:
        return importlib.import_module("pymerkle")
    except ImportError:
        return None


def _in_memory(entries: Sequence[bytes], theirs: Any) -> Iterator[Figure]:
    from pytest_cutover.tlog.merkle import Tree, leaf_hash, verify_inclusion

    count = len(entries)
    taken, tree = _timed(lambda: Tree(map(leaf_hash, entries)))
    append = taken / count * 1e6
    chosen = random.Random(1).sample(range(count), PROOFS)
    proof = _each(lambda index: tree.inclusion_proof(index), chosen)
    root = tree.root()
    verify = _each(
        lambda index: verify_inclusion(
            leaf_hash(entries[index]), index, count, tree.inclusion_proof(index), root
        ),
        chosen,
    )
    if theirs is None:
        yield Figure(f"append, {count} in memory (no pymerkle)", append, "µs", aim=AIM_APPEND_US)
        yield Figure("inclusion proof (no pymerkle)", proof, "µs")
    else:
        their_taken, their_tree = _timed(lambda: theirs.InmemoryTree.init_from_entries(entries))
        if their_tree.get_state() != root:
            raise BenchmarkError("pymerkle and we come to different root hashes")
        their_append = their_taken / count * 1e6
        # Its indices begin with 1; its cache is its own.
        their_proof = _each(lambda index: their_tree.prove_inclusion(index + 1), chosen)
        beside = ("µs", their_append, "pymerkle", Comparison.RATIO)
        yield Figure(f"append, {count} in memory", append, *beside)
        yield Figure("the same, alone", append, "µs", aim=AIM_APPEND_US)
        yield Figure("inclusion proof", proof, "µs", their_proof, "pymerkle", Comparison.RATIO, AIM_PROOF)
    yield Figure("inclusion proof made and verified", verify, "µs")
    yield Figure("inclusion proof, size", 32 * len(tree.inclusion_proof(0)), "bytes")


def _in_folder(folder: Path, entries: Sequence[bytes], theirs: Any) -> Iterator[Figure]:
    """Durably, in tiles; an audit is `Log.verify`, which reads and recomputes everything."""
    make = _logs()
    long, short = make(folder / "long"), make(folder / "short")
    taken, _ = _timed(
        lambda: [long.append(entries[at : at + BATCH]) for at in range(0, len(entries), BATCH)], wall=True
    )
    short.append(entries[:SMALL])
    yield Figure(f"durable append, batches of {BATCH}, wall time", taken / len(entries) * 1e6, "µs")
    singles = [_timed(lambda: short.append([b"one"]), wall=True)[0] for _ in range(50)]
    yield Figure("durable append of one entry, wall time", statistics.median(singles) * 1e3, "ms")
    audit, found = _timed(long.verify)
    if not found.is_valid:
        raise BenchmarkError(f"the log does not verify: {found.problems[:3]}")
    first = _first_appends(make, folder, ("long", "short"))
    if theirs is None:
        yield Figure("audit: read and recompute all (no pymerkle)", audit, "s")
    else:
        again, _ = _timed(lambda: theirs.InmemoryTree.init_from_entries(entries).get_state())
        yield Figure(
            "audit: read and recompute all", audit, "s", again, "pymerkle, from memory", Comparison.RATIO
        )
        beside = (again * 1e3, "pymerkle, loaded again", Comparison.RATIO)
        yield Figure("start-up: open the log, append an entry", first["long"], "ms", *beside)
    shorter = (first["short"], f"a log of {SMALL}", Comparison.RATIO, AIM_STARTUP)
    yield Figure("the same", first["long"], "ms", *shorter)


def _first_appends(make: Callable[[Path], Log], folder: Path, names: Sequence[str]) -> dict[str, float]:
    """Milliseconds of CPU time of each, in turn, as of a new process."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(25):
        for name in names:
            taken[name].append(_timed(partial(_append_one, make, folder / name))[0])
    return {name: statistics.median(each) * 1e3 for name, each in taken.items()}


def _append_one(make: Callable[[Path], Log], path: Path) -> None:
    make(path).append([b"one"])


def _logs() -> Callable[[Path], Log]:
    """Opens logs in folders, with one key."""
    from pytest_cutover.keys.signer import generate, load_private_pem
    from pytest_cutover.keys.verifier import KeyKind
    from pytest_cutover.objects.folder import FolderObjects
    from pytest_cutover.tlog.log import Log
    from pytest_cutover.tlog.note import NoteSigner

    signer = NoteSigner("log.example", load_private_pem(generate(KeyKind.ED25519), where="benchmark"))
    return lambda path: Log(FolderObjects(path), "log.example", signer)


def _timed(step: Callable[[], Any], *, wall: bool = False) -> tuple[float, Any]:
    clock = time.perf_counter if wall else time.process_time
    began = clock()
    result = step()
    return clock() - began, result


def _each(step: Callable[[int], object], chosen: Sequence[int]) -> float:
    """Microseconds of CPU time for each, none asked for twice."""

    def all_of_them() -> None:
        for index in chosen:
            step(index)

    return _timed(all_of_them)[0] / len(chosen) * 1e6
