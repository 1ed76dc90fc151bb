"""The index of a store: every file of every run with its SHA-256 and state, signed.

Derived: it can be made anew from the store at any time. What it adds is memory: it keeps the SHA-256 of what was there,
so a file that is another one later is `tampered`, also when everything that names it was changed along; and what was
promised about it, which a store can lose and never takes back. It stands as
canonical JSON in `index.json`, and as the payload of an envelope in `index.json.dsse`, which counts.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.claims import digest_of, fields_of, typed
from pytest_cutover.evidence.envelope import read_envelope, sign_envelope, verify_strict
from pytest_cutover.keys.signer import current
from pytest_cutover.keys.trusted import EVERYWHERE, Refusal
from pytest_cutover.model import parse_rfc3339, rfc3339
from pytest_cutover.objects.names import check_key
from pytest_cutover.objects.protocol import ABSENT, ObjectConflictError, ObjectMissingError
from pytest_cutover.store.document import read_document
from pytest_cutover.store.layout import (
    DOCUMENT,
    HISTORY,
    INDEX,
    INDEX_LOCK,
    INDEX_SIGNATURE,
    by_run,
    is_whole,
    key_of,
    run_of,
)
from pytest_cutover.store.reading import documents_in, read_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor, TrustedKey
    from pytest_cutover.objects.protocol import Absent, Held, ObjectStore
    from pytest_cutover.store.reading import Read

INDEX_TYPE: Final = "application/vnd.pytest-cutover.index+json"
FORMAT: Final = 1
KIND: Final = "pytest-cutover evidence index"

ROLES: Final = ("store", "decision")
"""Either may sign an index: it decides nothing, and what it says of files is checked."""

_TOLERANCE = timedelta(seconds=5)
"""How far two honest clocks may be apart."""

_ATTEMPTS = 3
"""How often a run is brought into the index before others are too many."""

_NAMES = ("key", "sha256", "bytes", "state", "tampered", "retain_until", "legal_hold")


@dataclass(frozen=True, slots=True)
class Indexed:
    """One file of a run; `sha256` is what it was when it was seen first, and what the run's document says."""

    key: str
    sha256: str
    bytes: int
    tampered: bool = False
    """It is another one now, or gone."""
    retain_until: datetime | None = None
    legal_hold: bool = False

    @property
    def state(self) -> str:
        """WIP until it was locked once."""
        return "WIP" if self.retain_until is None else "LOCKED"

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "state": self.state,
            "tampered": self.tampered,
            "retain_until": None if self.retain_until is None else rfc3339(self.retain_until),
            "legal_hold": self.legal_hold,
        }


@dataclass(frozen=True, slots=True)
class Collected:
    """A run that was taken away by garbage collection: without this the log would miss it."""

    run_id: str
    bundle: str
    """SHA-256 of its bundle, as the log names it; empty when it had none."""
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "bundle": self.bundle, "at": rfc3339(self.at)}


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says; `objects` in the order of their keys."""

    at: datetime
    objects: tuple[Indexed, ...]
    collected: tuple[Collected, ...] = ()

    def by_key(self) -> dict[str, Indexed]:
        return {entry.key: entry for entry in self.objects}

    def locked(self, now: datetime) -> int:
        """How many files are locked at that time: a lock that has ended keeps nothing."""
        return sum(entry.retain_until is not None and now < entry.retain_until for entry in self.objects)


# -- the file --------------------------------------------------------------------------------


def format_index(index: Index) -> bytes:
    """The only bytes that say this: one object a line, sorted by key."""
    head = f'{{"format":{FORMAT},"kind":{_json(KIND)},"at":{_json(rfc3339(index.at))},\n'
    gone = ",\n".join(_json(each.to_json()) for each in index.collected)
    there = ",\n".join(_json(each.to_json()) for each in index.objects)
    return f'{head}"collected":[\n{gone}\n],\n"objects":[\n{there}\n]}}\n'.encode("ascii")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def read_index(data: bytes, where: str = INDEX) -> Index:
    """The index in its bytes; **no signature is verified**.

    Raises:
        EvidenceError: not, byte for byte, an index of format 1; the message begins with `where`.
    """
    try:
        fields = fields_of(strictjson.loads(data), "index", ("format", "kind", "at", "collected", "objects"))
        index = Index(
            parse_rfc3339(fields["at"]),
            tuple(_indexed(each) for each in typed(fields["objects"], list)),
            tuple(_collected(each) for each in typed(fields["collected"], list)),
        )
    except (EvidenceError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise EvidenceError(f"{where}: expected an index: {ascii(str(exc))[1:-1]:.200}") from None
    keys = [entry.key for entry in index.objects]
    if format_index(index) != data or keys != sorted(set(keys)):
        raise EvidenceError(f"{where}: expected an index in canonical form, sorted by key")
    return index


def _indexed(value: object) -> Indexed:
    fields = fields_of(value, "object", _NAMES)
    if run_of("/".join(check_key(fields["key"]))) is None:
        raise EvidenceError(f"expected a file of a run, got {fields['key']!r:.100}")
    until = fields["retain_until"]
    return Indexed(
        fields["key"],
        digest_of({"sha256": fields["sha256"]}),
        typed(fields["bytes"], int),
        typed(fields["tampered"], bool),
        None if until is None else parse_rfc3339(until),
        typed(fields["legal_hold"], bool),
    )


def _collected(value: object) -> Collected:
    fields = fields_of(value, "collected run", ("run_id", "bundle", "at"))
    bundle = "" if fields["bundle"] == "" else digest_of({"sha256": fields["bundle"]})
    return Collected(typed(fields["run_id"], str), bundle, parse_rfc3339(fields["at"]))


# -- signatures ------------------------------------------------------------------------------


def signed_index(envelope: bytes, anchor: Anchor, environments: Collection[str], now: datetime) -> Index:
    """The index in its envelope, when a key signed it that may do so for every one of the environments.

    Raises:
        EvidenceError: it is malformed, or from the future.
        VerificationError: no such key signed it.
    """
    parsed = read_envelope(envelope.removesuffix(b"\n"))
    if parsed.payload_type != INDEX_TYPE or not envelope.endswith(b"\n"):
        raise EvidenceError(f"expected an envelope of type {INDEX_TYPE} and a newline")
    verify_strict(parsed, anchor.keys)  # nothing is read before somebody has signed it
    index = read_index(parsed.payload, INDEX_SIGNATURE)
    if index.at > now + _TOLERANCE:
        raise EvidenceError(f"it is of {rfc3339(index.at)}, which is yet to come")
    for environment in sorted(environments) or [EVERYWHERE]:
        keys = _keys(anchor, environment, index.at, now)
        if not keys:
            raise VerificationError(f"no key of {anchor.where} may sign an index with {environment}")
        lack = anchor.shortfall(ROLES[0], verify_strict(parsed, keys))
        if lack is not None:
            raise VerificationError(lack)
    return index


def _keys(anchor: Anchor, environment: str, at: datetime, now: datetime) -> list[TrustedKey]:
    found = {
        key.keyid: key
        for role in ROLES
        for key in anchor.keys
        if (why := key.refusal(role=role, environment=environment, at=at, position=None)) is None
        or (why is Refusal.ROTATED and key.is_in_grace_at(now))  # no log holds an index
    }
    return list(found.values())


# -- making it -------------------------------------------------------------------------------


def build_index(
    store: ObjectStore,
    before: Index | None,
    now: datetime,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Index:
    """The index of what is in the store now, beside what the index `before` remembers.

    Raises:
        EvidenceError: something in the store is no object.
        StoreUnavailableError: it cannot be read.
    """
    known = {} if before is None else before.by_key()
    runs = _indexable(by_run(store.keys(HISTORY)), known)
    found: dict[str, Indexed] = {}
    for done, (run_id, reads) in enumerate(read_runs(store, runs)):
        progress(done, len(runs))
        found.update(_of_run(run_id, reads, known))
    for key, entry in known.items():
        found.setdefault(key, replace(entry, tampered=True))
    return Index(
        now,
        tuple(found[key] for key in sorted(found)),
        () if before is None else before.collected,
    )


def _indexable(runs: Mapping[str, list[str]], known: Mapping[str, Indexed]) -> dict[str, list[str]]:
    """What a killed writer left is no evidence; what was whole when it was indexed has lost something."""
    named = by_run(known)
    return {run_id: names for run_id, names in runs.items() if is_whole(names) or run_id in named}


def _of_run(
    run_id: str, reads: Mapping[str, Read], known: Mapping[str, Indexed], *, released: bool = False
) -> Iterator[tuple[str, Indexed]]:
    taken = {name: read() for name, read in reads.items()}
    told = _told(taken[DOCUMENT][0]) if DOCUMENT in taken else {}  # what the others have to be
    for name, (data, held) in taken.items():
        key = key_of(run_id, name)
        digest = hashlib.sha256(data).hexdigest()
        first = known[key].sha256 if key in known else told.get(name, digest)
        entry = Indexed(key, first, held.size, digest != first, held.retain_until, held.legal_hold)
        yield key, _remembering(known.get(key), entry, released=released)


def _remembering(before: Indexed | None, entry: Indexed, *, released: bool) -> Indexed:
    """The entry with what was promised before: a promise that the store tells of no more was not taken back by that."""
    if before is None:
        return entry
    ends = [until for until in (before.retain_until, entry.retain_until) if until is not None]
    is_held = entry.legal_hold or (before.legal_hold and not released)
    return replace(entry, retain_until=max(ends, default=None), legal_hold=is_held)


def _told(document: bytes) -> dict[str, str]:
    try:
        return {n: f.sha256 for n, f in read_document(document, DOCUMENT).files.items()}
    except EvidenceError:
        return {}


@dataclass(frozen=True, slots=True)
class Before:
    """What the next index takes the place of: the index that is there, and the tags of its two objects."""

    index: Index | None
    """None: there is none, or what it says is to be forgotten."""
    data: Absent | str
    envelope: Absent | str


def forgotten(store: ObjectStore) -> Before:
    """An index, whatever it is, whose place is taken without going on from it.

    Raises:
        StoreUnavailableError: the store cannot be read.
    """
    return Before(None, _tag(store.stat(INDEX)), _tag(store.stat(INDEX_SIGNATURE)))


def _tag(held: Held | None) -> Absent | str:
    return ABSENT if held is None else held.tag


def index_before(
    store: ObjectStore, anchor: Anchor | None, environments: Collection[str], clock: Callable[[], datetime]
) -> Before:
    """The index that is there, to be gone on from.

    Raises:
        EvidenceError: it does not verify: signing what follows from it would make it look true.
    """
    data = _tag(store.stat(INDEX))
    try:
        envelope, held = store.read(INDEX_SIGNATURE)
    except ObjectMissingError:
        return Before(None, data, ABSENT)
    hint = "cutover evidence verify says more; --anew forgets what earlier indexes said"
    if anchor is None:
        raise VerificationError(f"{store.where}/{INDEX_SIGNATURE}: there is no trusted key", hint=hint)
    try:
        return Before(signed_index(envelope, anchor, environments, clock()), data, held.tag)
    except EvidenceError as exc:
        raise VerificationError(f"{store.where}/{INDEX_SIGNATURE}: {exc}", hint=hint) from None


def write_index(store: ObjectStore, index: Index, signer: EnvelopeSigner, before: Before) -> None:
    """Sign the index and put it in the place of the one before; the caller has the lock `INDEX_LOCK`.

    Of a key ring the key signs that is active by now: it may have been rotated while the lock was waited for.
    The envelope counts, so it goes last: until it is there the old index does.

    Raises:
        ConfigError: there is no key any more.
        ObjectConflictError: another one is there by now, as a lock can be lost by a process that was stopped for long.
        StoreUnavailableError: it cannot be written; the old one counts.
    """
    data = format_index(index)
    envelope = sign_envelope(data, INDEX_TYPE, current(signer)) + b"\n"
    try:
        store.write(INDEX, data, expected=before.data)
        store.write(INDEX_SIGNATURE, envelope, expected=before.envelope)
    except ObjectConflictError as exc:
        raise ObjectConflictError(
            f"{store.where}: somebody else wrote the index meanwhile: {exc}", hint="run it again"
        ) from None


def environments_in(store: ObjectStore) -> frozenset[str]:
    """The environments of the documents in a store; those that cannot be read have none."""
    return frozenset(document.environment for document, _ in documents_in(store))


def index_runs(
    store: ObjectStore,
    runs: Collection[str],
    environments: Collection[str],
    signer: EnvelopeSigner,
    anchor: Anchor | None,
    clock: Callable[[], datetime],
    *,
    released: bool = False,
) -> Index:
    """Bring runs that were put or locked into the index; what it says of others goes on. The first is made of them all.

    `environments`: those for which the index that is there has to be signed. `released`: their legal hold was lifted.

    Raises:
        EvidenceError: the index that is there does not verify; it stays as it is. Or others went on writing it.
        StoreUnavailableError: the store cannot be read or written.
    """

    def once() -> Index:
        with store.exclusive(INDEX_LOCK):
            before = index_before(store, anchor, environments, clock)
            # Asked behind the lock: the index of a writer that was waited for is not yet to come.
            index = _gone_on(store, before.index, runs, clock(), released=released)
            write_index(store, index, signer, before)
        return index

    for _ in range(_ATTEMPTS - 1):
        with suppress(ObjectConflictError):
            return once()
    return once()


def _gone_on(
    store: ObjectStore, before: Index | None, runs: Collection[str], now: datetime, *, released: bool
) -> Index:
    if before is None:
        return build_index(store, None, now)
    known = before.by_key()
    found = dict(known)
    there = {run_id: by_run(store.keys(key_of(run_id, ""))).get(run_id, []) for run_id in runs}
    for run_id, reads in read_runs(store, _indexable(there, known)):
        found.update(_of_run(run_id, reads, known, released=released))
    return replace(before, at=now, objects=tuple(found[key] for key in sorted(found)))
