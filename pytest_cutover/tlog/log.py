"""A log of its own in an ObjectStore: tiles that any static file server can serve, and a signed checkpoint.

What is appended becomes part of the log with the write of the checkpoint, which is the last; until then nobody can
see it. A writer that was killed before leaves tiles beyond the checkpoint, which the next one removes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_cutover.errors import ConfigError, CutoverError, EvidenceError, VerificationError
from pytest_cutover.objects.protocol import (
    ABSENT,
    LockLostError,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.tlog.checkpoint import Checkpoint, verify_checkpoint, verify_extends
from pytest_cutover.tlog.edge import Edge
from pytest_cutover.tlog.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of_inclusion,
)
from pytest_cutover.tlog.note import Note, parse_note, sign_note
from pytest_cutover.tlog.proof import TlogProof
from pytest_cutover.tlog.tiles import (
    CHECKPOINT,
    FOLDER,
    HEIGHT,
    LEVELS,
    MAX_ENTRY_BYTES,
    WIDTH,
    Tile,
    bundle,
    edge_of,
    nodes_of,
    parse_bundle,
    parse_path,
    tells_of_later_checkpoints,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_cutover.objects.protocol import Held, ObjectStore
    from pytest_cutover.tlog.audit import LogVerification
    from pytest_cutover.tlog.merkle import Nodes
    from pytest_cutover.tlog.note import NoteSigner, Verifier

LOCK: Final = "log"
"""Name of the lock among writers."""

WAIT_S: Final = 60.0
_CACHED_TILES: Final = 64


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the first of the entries stands, and the checkpoint that covers them all."""

    first: int
    checkpoint: Checkpoint
    signed: bytes
    """The checkpoint as a note, byte for byte as it was written."""


class Log:
    """A transparency log; several processes may append at once, and everything else needs no lock.

    Without a signer it only reads. `verifiers`: further keys that sign or signed this log's checkpoints, such as the
    one before a rotation.
    """

    def __init__(
        self,
        objects: ObjectStore,
        origin: str,
        signer: NoteSigner | None = None,
        *,
        verifiers: Sequence[Verifier] = (),
        wait_s: float = WAIT_S,
    ) -> None:
        if signer is not None and signer.name != origin:
            raise ConfigError(
                f"expected a key with the name of the log, {origin}, got {signer.name}",
                hint="a log signs its checkpoints under its origin",
            )
        self._objects, self.origin, self._signer = objects, origin, signer
        own = () if signer is None else (signer.verifier,)
        self._verifiers: tuple[Verifier, ...] = (*own, *verifiers)
        self._wait_s = wait_s
        self._known: tuple[Edge, str] | None = None  # as this writer left it, and the checkpoint's state

    @property
    def where(self) -> str:
        """The place, for people."""
        return self._objects.where

    @property
    def objects(self) -> ObjectStore:
        """What its files are in."""
        return self._objects

    @property
    def signer(self) -> NoteSigner | None:
        """Who signs its checkpoints; None: it is only read."""
        return self._signer

    # -- reading -------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """The checkpoint in force, its signature verified.

        Raises:
            ObjectMissingError: nothing was appended yet, or the checkpoint was removed.
            EvidenceError: malformed, of another log, or not signed by a known key.
        """
        return self.signed_checkpoint()[0]

    def signed_checkpoint(self) -> tuple[Checkpoint, bytes]:
        """The same, and the note it stands in, byte for byte."""
        checkpoint, data, _ = self._read_checkpoint()
        return checkpoint, data

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries from index `start` up to `stop`, as far as the log goes; each fits its leaf hash.

        Raises:
            EvidenceError: a bundle is missing, malformed, or not what its tile says.
        """
        size = self.checkpoint().size
        for index in range(start // WIDTH, -(-min(stop, size) // WIDTH)):
            begin = index * WIDTH
            tile = Tile(None, index, min(WIDTH, size - begin))
            listed = self._tile(Tile(0, index, tile.width))
            for at, entry in enumerate(self._bundle(tile), begin):
                there = (at - begin) * HASH_SIZE
                if leaf_hash(entry) != listed[there : there + HASH_SIZE]:
                    raise VerificationError(
                        f"{self.where}/{tile.path}: entry {at} does not fit its leaf hash"
                    )
                if start <= at < stop:
                    yield entry

    def prove(self, index: int, *, signed: bytes | None = None, extra: bytes | None = None) -> bytes:
        """The `.tlog-proof` that the entry at `index` is in the log.

        `signed`: a signed checkpoint to prove it for, with the cosignatures it carries; the one in force when left
        out.

        Raises:
            EvidenceError: there is no such entry, or the tiles do not lead to the root hash of the checkpoint.
        """
        if signed is None:
            checkpoint, signed = self.signed_checkpoint()
        else:
            checkpoint = verify_checkpoint(signed, self._verifiers, origin=self.origin)
        if not 0 <= index < checkpoint.size:
            raise EvidenceError(
                f"{self.where}: there is no entry {index}: the log holds {checkpoint.size}",
                hint="the first entry has index 0",
            )
        nodes = self._nodes(checkpoint.size)
        hashes = inclusion_proof(nodes, index, checkpoint.size)
        if root_of_inclusion(nodes(0, index), index, checkpoint.size, hashes) != checkpoint.root:
            raise self._other_root(checkpoint)
        return TlogProof(index, tuple(hashes), signed, extra).to_bytes()

    def consistency(self, old: Checkpoint, new: Checkpoint | None = None) -> list[bytes]:
        """The proof that the log goes on from `old`; verify it with `checkpoint.verify_extends`.

        Raises:
            EvidenceError: `old` is of another log, or larger.
        """
        new = new or self.checkpoint()
        if old.origin != new.origin:
            raise EvidenceError(
                f"{self.where}: expected a checkpoint of {new.origin}, got one of {old.origin}"
            )
        if old.size > new.size:
            raise EvidenceError(
                f"{self.where}: expected a log of at least {old.size} entries, got {new.size}: "
                "the newest entries were dropped",
                hint="was an older copy put in place?",
            )
        return self.consistency_proof(old.size, new)

    def consistency_proof(self, old: int, new: Checkpoint) -> list[bytes]:
        """The proof that the tree of `new` begins with that of size `old`, whatever its root hash was.

        Raises:
            ValueError: it is smaller.
        """
        return consistency_proof(self._nodes(new.size), old, new.size)

    def _nodes(self, size: int) -> Nodes:
        """The hashes of a tree of that size; a tile is read once."""
        cache: dict[Tile, bytes] = {}

        def read(tile: Tile) -> bytes:
            if tile not in cache:
                if len(cache) >= _CACHED_TILES:
                    cache.clear()
                cache[tile] = self._tile(tile)
            return cache[tile]

        return nodes_of(read, size)

    def _other_root(self, checkpoint: Checkpoint) -> VerificationError:
        return VerificationError(
            f"{self.where}: the tiles do not lead to the root hash of the checkpoint ({checkpoint.size} entries)",
            hint="cutover log verify names what was changed",
        )

    def _tile(self, tile: Tile) -> bytes:
        data, path = self._read(tile)
        width = tile.width if path == tile.path else WIDTH
        if len(data) != width * HASH_SIZE:
            raise EvidenceError(
                f"{self.where}/{path}: expected {width} hashes of {HASH_SIZE} bytes, got {len(data)} bytes"
            )
        return data[: tile.width * HASH_SIZE]

    def _bundle(self, tile: Tile) -> list[bytes]:
        data, path = self._read(tile)
        width = tile.width if path == tile.path else WIDTH
        return parse_bundle(data, width, f"{self.where}/{path}")[: tile.width]

    def _read(self, tile: Tile) -> tuple[bytes, str]:
        """The bytes and where they were: of the full one when the partial was tidied away."""
        try:
            return self._objects.read(tile.path)[0], tile.path
        except ObjectMissingError:
            if tile.is_full:
                raise
        return self._objects.read(tile.full.path)[0], tile.full.path

    def _read_checkpoint(self) -> tuple[Checkpoint, bytes, str]:
        try:
            data, held = self._objects.read(CHECKPOINT)
        except ObjectMissingError:
            raise ObjectMissingError(
                f"{self.where}: there is no checkpoint: nothing was logged here, or it was removed"
            ) from None
        where = f"{self.where}/{CHECKPOINT}"
        return verify_checkpoint(data, self._verifiers, origin=self.origin, where=where), data, held.state

    def verify(self) -> LogVerification:
        """Everything recomputed from the entries; every problem named, none raised but that the store is away.

        Raises:
            StoreUnavailableError: it cannot be read, so nothing is known.
        """
        from pytest_cutover.tlog.audit import verify_log

        return verify_log(self)

    # -- appending -----------------------------------------------------------------------------

    def append(self, entries: Sequence[bytes], *, pinned: Sequence[Checkpoint] = ()) -> Appended:
        """Append all of them in one step: durable when this returns.

        When it raises, none of them is in the log, unless the store did not answer to the very last write: `entries`
        shows. `pinned`: checkpoints seen before; the log is not signed on when it does not go on from them.

        Raises:
            ConfigError: the log was opened without a signer.
            ValueError: no entry, or one that is longer than an entry can be.
            EvidenceError: what is there is not the log this key signed, or not the pinned one.
            StoreUnavailableError: another writer never ended, or the store does not take it.
        """
        signer = self._signer
        if signer is None:
            raise ConfigError(f"{self.where}: expected the key of the log to append with, got none")
        if not entries or any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
            raise ValueError(f"expected at least one entry, each of at most {MAX_ENTRY_BYTES} bytes")
        appended: Appended | None = None
        try:
            with self._objects.exclusive(LOCK, timeout_s=self._wait_s) as check_lock:
                appended = self._append(entries, signer, pinned, check_lock)
        except StoreUnavailableError:
            if appended is None:  # else it is in the log, though the lock was lost by then
                raise
        return appended

    def _append(
        self,
        entries: Sequence[bytes],
        signer: NoteSigner,
        pinned: Sequence[Checkpoint],
        check_lock: Callable[[], None],
    ) -> Appended:
        edge, state = self._current(signer, pinned, check_lock)
        first = edge.size
        written: list[tuple[Tile, Held]] = []
        try:
            for tile, data in edge.grow(entries):
                check_lock()
                written.append((tile, self._objects.write(tile.path, data, expected=ABSENT)))
            checkpoint = Checkpoint(self.origin, edge.size, edge.root())
            signed = sign_note(checkpoint.text(), [signer]).to_bytes()
            check_lock()
            self._known = edge, self._objects.write(CHECKPOINT, signed, expected=state).state
        except (ObjectConflictError, LockLostError):
            with suppress(CutoverError):
                self._take_back(written)
            raise
        with suppress(CutoverError):  # the entries are in the log, whatever becomes of old tiles
            self._tidy(first, edge.size)
        return Appended(first, checkpoint, signed)

    def _current(
        self, signer: NoteSigner, pinned: Sequence[Checkpoint], check_lock: Callable[[], None]
    ) -> tuple[Edge, str]:
        """The edge of the log and the state of its checkpoint, read in O(log size); killed writers' tiles removed."""
        known, self._known = self._known, None  # whatever fails, the next append reads anew
        try:
            checkpoint, _, state = self._read_checkpoint()
        except ObjectMissingError:
            checkpoint, state = self._begin(signer)
        for old in pinned:
            verify_extends(old, checkpoint, self.consistency(old, checkpoint))
        edge = known[0] if known is not None and known[1] == state else self._read_edge(checkpoint)
        leftovers = self._leftovers(checkpoint.size)
        if leftovers:
            state = self._remove_leftovers(leftovers, state, check_lock)
        return edge, state

    def _read_edge(self, checkpoint: Checkpoint) -> Edge:
        edge = Edge(checkpoint.size, [], bytearray())
        for tile in edge_of(checkpoint.size):
            edge.tiles += [bytearray() for _ in range((tile.level or 0) - len(edge.tiles))]
            edge.tiles.append(bytearray(self._tile(tile)))
        if edge.root() != checkpoint.root:
            raise self._other_root(checkpoint)
        index, width = divmod(checkpoint.size, WIDTH)
        if width:
            entries = self._bundle(Tile(None, index, width))
            if b"".join(map(leaf_hash, entries)) != edge.tiles[0]:
                path = Tile(None, index, width).path
                raise VerificationError(f"{self.where}/{path}: the entries do not fit their leaf hashes")
            edge.entries += bundle(entries)
        return edge

    def _begin(self, signer: NoteSigner) -> tuple[Checkpoint, str]:
        """The first checkpoint, of the empty tree: so tiles without a checkpoint mean that it was removed."""
        if next(iter(self._objects.keys(FOLDER)), None) is not None:
            raise EvidenceError(
                f"{self.where}: there are tiles and no checkpoint: it was removed",
                hint="put it back, from a copy or out of the newest .tlog-proof; a new one would fork the log",
            )
        checkpoint = Checkpoint(self.origin, 0, EMPTY_ROOT)
        signed = sign_note(checkpoint.text(), [signer]).to_bytes()
        return checkpoint, self._objects.write(CHECKPOINT, signed, expected=ABSENT).state

    def add_cosignatures(self, signed: bytes) -> bytes:
        """Keep the checkpoint in force with further signatures, and give back what is kept.

        Raises:
            EvidenceError: it is not a checkpoint of this log.
            ObjectConflictError: the log has grown since.
        """
        verify_checkpoint(signed, self._verifiers, origin=self.origin)
        note = parse_note(signed)
        with self._objects.exclusive(LOCK, timeout_s=self._wait_s):
            _, data, state = self._read_checkpoint()
            kept = parse_note(data)
            if kept.text != note.text:
                raise ObjectConflictError(
                    f"{self.where}: the log has grown since it was cosigned", hint="ask again"
                )
            known = {(s.name, s.key_id) for s in note.signatures}
            others = tuple(s for s in kept.signatures if (s.name, s.key_id) not in known)
            merged = Note(note.text, (*others, *note.signatures)).to_bytes()
            parse_note(merged)  # not too many
            self._objects.write(CHECKPOINT, merged, expected=state)
        return merged

    # -- tidying -------------------------------------------------------------------------------

    def _tidy(self, before: int, size: int) -> None:
        """Remove the partial tiles of those that became full; what is protected stays, and does no harm."""
        level = 0
        while size // WIDTH > before // WIDTH:
            if before % WIDTH:
                full = Tile(level, before // WIDTH)
                self._remove(self._partials(full))
                if level == 0:
                    self._remove(self._partials(Tile(None, full.index)))
            level, before, size = level + 1, before // WIDTH, size // WIDTH

    def _take_back(self, written: Iterable[tuple[Tile, Held]]) -> None:
        """Of a writer that was late: remove the partial tiles of sizes that the log has grown past without it."""
        size = self.checkpoint().size
        for tile, held in written:
            if tile.index * WIDTH + tile.width < size >> (HEIGHT * (tile.level or 0)) and not tile.is_full:
                with suppress(ObjectLockedError):
                    self._objects.delete(tile.path, version=held.version)

    def _leftovers(self, size: int) -> list[Tile]:
        """What a killed writer put beyond the checkpoint, as it wrote it.

        Raises:
            EvidenceError: more than one writer did: it is the checkpoint that is older than they are.
        """
        bundles = self._beyond(None, size)
        if not bundles:
            return []
        index, width = divmod(size, WIDTH)
        tidied = width and self._objects.stat(Tile(None, index, width).path) is None
        if tidied or tells_of_later_checkpoints(bundles):
            raise EvidenceError(
                f"{self.where}: there are entries of later appends than the checkpoint's {size}: it was set back",
                hint="put the newest checkpoint back, from a copy or out of the newest .tlog-proof",
            )
        return [*bundles, *(t for level in range(LEVELS) for t in self._beyond(level, size))]

    def _remove_leftovers(self, tiles: Sequence[Tile], state: str, check_lock: Callable[[], None]) -> str:
        """Remove them, the first thing that was written last; the state of the checkpoint then.

        Whoever wrote them may only have been stopped, and so may this writer be. So first nobody may go on from the
        checkpoint as they saw it, and then those very versions go: no checkpoint names them, and none will.
        """
        found = [held for tile in tiles if (held := self._objects.stat(tile.path)) is not None]
        check_lock()
        state = self._objects.fence(CHECKPOINT, state).state
        for held in reversed(found):
            check_lock()
            with suppress(ObjectLockedError):
                self._objects.delete(held.key, version=held.version)
        return state

    def _beyond(self, level: int | None, size: int) -> list[Tile]:
        """What is there of one level beyond a tree of that size; a writer leaves no gaps."""
        index, width = divmod(size >> (HEIGHT * (level or 0)), WIDTH)
        tiles: list[Tile] = []
        while found := [t for t in self._there(Tile(level, index)) if t.is_full or t.width > width]:
            tiles += found
            index, width = index + 1, 0
        return tiles

    def _there(self, full: Tile) -> list[Tile]:
        """The tile in every width that is there."""
        whole = [] if self._objects.stat(full.path) is None else [full]
        return whole + self._partials(full)

    def _partials(self, full: Tile) -> list[Tile]:
        return [parse_path(key) for key in self._objects.keys(f"{full.path}.p/")]

    def _remove(self, tiles: Iterable[Tile]) -> None:
        for tile in tiles:
            with suppress(ObjectLockedError):
                self._objects.delete(tile.path)
