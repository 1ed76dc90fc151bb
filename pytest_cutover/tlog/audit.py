"""Verifying a whole log, and auditing it: against checkpoints pinned elsewhere and documents that ought to be in it.

**A log that verifies may still have lost its newest entries, or be an older copy: only a checkpoint that was kept
outside of it shows that.**
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.objects.protocol import ObjectMissingError
from pytest_cutover.tlog.entry import known_entry
from pytest_cutover.tlog.merkle import HASH_SIZE, Tree, leaf_hash
from pytest_cutover.tlog.problems import LogProblem, LogProblemCode
from pytest_cutover.tlog.tiles import (
    CHECKPOINT,
    HEIGHT,
    WIDTH,
    Tile,
    parse_bundle,
    parse_path,
    tells_of_later_checkpoints,
    tiles_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.tlog.checkpoint import Checkpoint
    from pytest_cutover.tlog.log import Log

_ATTEMPTS = 3
"""Readings of a log that grows meanwhile."""


@dataclass(frozen=True, slots=True)
class LogVerification:
    """What a log is worth, read whole."""

    checkpoint: Checkpoint | None
    problems: tuple[LogProblem, ...]
    beyond: tuple[str, ...] = ()
    """Tiles beyond the checkpoint: of a writer at work, or one that was killed. Nothing vouches for them."""

    tree: Tree | None = None
    """All of it, when nothing is wrong."""

    @property
    def is_valid(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Pinned:
    """A checkpoint that was kept outside of the log, and where."""

    checkpoint: Checkpoint
    where: str


@dataclass(frozen=True, slots=True)
class Audit:
    """A verified log beside what others know of it."""

    verification: LogVerification
    pinned: int
    documents: int
    inclusion_gap: int | None
    """Documents that are not in the log; None when the log cannot say, because something is wrong with it."""

    problems: tuple[LogProblem, ...]

    @property
    def is_valid(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        checkpoint = self.verification.checkpoint
        return {
            "checkpoint": None if checkpoint is None else checkpoint.to_json(),
            "pinned": self.pinned,
            "documents": self.documents,
            "tlog_inclusion_gap": self.inclusion_gap,
            "beyond_checkpoint": list(self.verification.beyond),
            "problems": [problem.to_json() for problem in self.problems],
        }


def audit(log: Log, pinned: Sequence[Pinned] = (), documents: Mapping[str, str] | None = None) -> Audit:
    """Verify the log, then that it goes on from every pinned checkpoint and holds every document.

    `documents`: SHA-256 in hex to what to call the document.

    Raises:
        StoreUnavailableError: the log cannot be read, so nothing is known.
        VerificationError: it was changed meanwhile.
    """
    documents = documents or {}
    verification = log.verify()
    problems = list(verification.problems)
    tree, checkpoint = verification.tree, verification.checkpoint
    if tree is not None and checkpoint is not None:
        problems += [p for pin in pinned if (p := _against(pin, checkpoint, tree)) is not None]
    gap = None
    if not problems:
        known = map(known_entry, verified_entries(log, verification))
        logged = frozenset(entry.sha256 for entry in known if entry is not None)
        missing = {digest: name for digest, name in documents.items() if digest not in logged}
        gap = len(missing)
        problems += [
            LogProblem(LogProblemCode.NOT_LOGGED, f"no entry of the log names {digest}", name)
            for digest, name in missing.items()
        ]
    return Audit(verification, len(pinned), len(documents), gap, tuple(problems))


def _against(pin: Pinned, now: Checkpoint, tree: Tree) -> LogProblem | None:
    then = pin.checkpoint
    if then.origin != now.origin:
        return LogProblem(
            LogProblemCode.PINNED_INVALID,
            f"it is a checkpoint of {then.origin}, not of {now.origin}",
            pin.where,
        )
    if then.size > now.size:
        message = f"the log held {then.size} entries then and holds {now.size}: the newest were dropped"
        return LogProblem(LogProblemCode.ROLLED_BACK, message, pin.where)
    if tree.root(then.size) != then.root:
        message = f"the first {then.size} entries are others than then: the log was forked or rewritten"
        return LogProblem(LogProblemCode.FORKED, message, pin.where)
    return None


def verified_entries(log: Log, verification: LogVerification) -> Iterator[bytes]:
    """The entries of a log that verified, read again, each the one that was verified.

    Raises:
        VerificationError: one is another by now, or gone.
    """
    checkpoint, tree = verification.checkpoint, verification.tree
    if checkpoint is None or tree is None:
        raise VerificationError(f"{log.where}: expected a log that verifies, got one with problems")
    at = 0
    for at, entry in enumerate(log.entries(0, checkpoint.size), 1):
        if leaf_hash(entry) != tree.node(0, at - 1):
            raise VerificationError(
                f"{log.where}: entry {at - 1} is another than was verified", hint="who writes there?"
            )
        yield entry
    if at != checkpoint.size:
        raise VerificationError(f"{log.where}: expected {checkpoint.size} entries, got {at}")


def verify_log(log: Log) -> LogVerification:
    """Everything recomputed from the entries, and every file compared with that."""
    for _ in range(_ATTEMPTS):
        problems: list[LogProblem] = []
        keys = _keys(log, problems)  # before the checkpoint: what is written meanwhile is not beyond it
        try:
            checkpoint = log.checkpoint()
        except ObjectMissingError as exc:
            problem = LogProblem(LogProblemCode.CHECKPOINT_MISSING, str(exc), f"{log.where}/{CHECKPOINT}")
            return LogVerification(None, (problem,))
        except EvidenceError as exc:
            problem = LogProblem(LogProblemCode.CHECKPOINT_INVALID, str(exc), f"{log.where}/{CHECKPOINT}")
            return LogVerification(None, (problem,))
        verification = _Verifying(log.objects, checkpoint, keys, problems).run()
        # A writer tidies tiles away while it is read: then what is missing belongs to an older checkpoint.
        if verification.is_valid or not _has_moved(log, checkpoint):
            break
    return verification


def _keys(log: Log, problems: list[LogProblem]) -> list[str]:
    keys: list[str] = []
    try:
        keys.extend(log.objects.keys(""))
    except EvidenceError as exc:  # a link, or a name that no key has
        problems.append(LogProblem(LogProblemCode.FILE_UNKNOWN, str(exc), log.where))
    return keys


def _has_moved(log: Log, checkpoint: Checkpoint) -> bool:
    try:
        return log.checkpoint() != checkpoint
    except EvidenceError:
        return False


@dataclass(slots=True)
class _Verifying:
    """One verification of all files below one checkpoint."""

    objects: ObjectStore
    checkpoint: Checkpoint
    keys: Sequence[str]
    problems: list[LogProblem]
    known: dict[Tile, bytes | None] = field(default_factory=dict)
    """Hashes of tiles, and of the entries of bundles; None when there are not as many as there have to be."""

    def run(self) -> LogVerification:
        tree = self._tree()
        beyond = self._compare(tree)
        if tree.root() != self.checkpoint.root:
            message = f"the {self.checkpoint.size} entries do not lead to the root hash it signs"
            self._problem(LogProblemCode.ROOT, message, CHECKPOINT)
        return LogVerification(self.checkpoint, tuple(self.problems), beyond, None if self.problems else tree)

    def _problem(self, code: LogProblemCode, message: str, path: str) -> None:
        where = self.objects.where
        self.problems.append(LogProblem(code, message, f"{where}/{path}" if path else where))

    def _tree(self) -> Tree:
        """The tree of the entries or, where only their tiles fit the checkpoint, of those."""
        bundles, tiles = [], []
        for tile in tiles_of(self.checkpoint.size):
            if tile.level is None:
                nothing = bytes(tile.width * HASH_SIZE)
                hashes = Tile(0, tile.index, tile.width)
                self.known[tile], self.known[hashes] = self._hashes(tile), self._hashes(hashes)
                bundles.append(self.known[tile] or self.known[hashes] or nothing)
                tiles.append(self.known[hashes] or self.known[tile] or nothing)
        tree = Tree(bundles)
        if bundles != tiles and tree.root() != self.checkpoint.root:
            other = Tree(tiles)
            return other if other.root() == self.checkpoint.root else tree
        return tree

    def _hashes(self, tile: Tile) -> bytes | None:
        if tile in self.known:
            return self.known[tile]
        try:
            data, _ = self.objects.read(tile.path)
            if tile.level is None:
                data = b"".join(map(leaf_hash, parse_bundle(data, tile.width, tile.path)))
        except EvidenceError:
            return None
        return data if len(data) == tile.width * HASH_SIZE else None

    def _compare(self, tree: Tree) -> tuple[str, ...]:
        """Every file with what the tree says of it; gives back what lies beyond the checkpoint."""
        needed = list(tiles_of(self.checkpoint.size))
        beyond: list[Tile] = []
        others: list[Tile] = []
        for key in self.keys:
            try:
                tile = parse_path(key)
            except EvidenceError:
                if key != CHECKPOINT:
                    self._problem(LogProblemCode.FILE_UNKNOWN, "no such file belongs into a log", key)
                continue
            (beyond if tile.end > self.checkpoint.size else others).append(tile)
        known = set(needed)
        for tile in [*needed, *(tile for tile in others if tile not in known)]:
            self._check(tile, tree, is_needed=tile in known)
        if tells_of_later_checkpoints(beyond):
            message = f"there are entries of later appends than its {self.checkpoint.size}: it was set back"
            self._problem(LogProblemCode.ROLLED_BACK, message, CHECKPOINT)
        return tuple(tile.path for tile in beyond)

    def _check(self, tile: Tile, tree: Tree, *, is_needed: bool) -> None:
        begin = tile.index * WIDTH
        expected = tree.hashes(HEIGHT * (tile.level or 0), begin, begin + tile.width)
        if self._hashes(tile) == expected:
            return
        is_missing = self._is_missing(tile.path)
        if is_missing and not is_needed:
            return  # tidied away meanwhile
        if tile.level is None:
            code = LogProblemCode.ENTRIES_MISSING if is_missing else LogProblemCode.ENTRIES_CHANGED
            message = "the entries are not those that the log's tiles and checkpoint stand for"
        else:
            code = LogProblemCode.TILE_MISSING if is_missing else LogProblemCode.TILE_CHANGED
            message = "it does not hold the hashes of the tree"
        self._problem(code, "it is missing" if is_missing else message, tile.path)

    def _is_missing(self, path: str) -> bool:
        try:
            return self.objects.stat(path) is None
        except EvidenceError:  # something is there, and it is no file
            return False
