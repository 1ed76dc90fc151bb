"""A key ring: a folder with the key that signs now, rotated without a moment in which good signatures are refused.

`ring.json` names the active key, and is what makes a rotation visible to signers; the trust file says what
verifiers believe. A rotation goes through these steps, each atomic, and goes on where it was stopped:

1. the new key is made and named `next`;
2. the trust file lists it, so that verifiers know it before anything is signed with it;
3. `ring.json` makes it active: from here on nobody signs with the old one;
4. the rotation is logged; the log's size then is what no good signature of the old key can stand behind;
5. the trust file puts the old key into grace with that size, and the old private key is removed.

Nobody holds a lock while signing. Who signs logs it and then looks whether the key is still active
(`signer.sign_logged`): if it is, step 3 is yet to come, so the entry stands before the one of step 4; if not, he signs again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_cutover import strictjson
from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.life import (
    into_grace,
    into_retirement,
    into_revocation,
    key_in,
    with_successor,
)
from pytest_cutover.keys.signer import (
    generate,
    load_private_key,
    load_private_pem,
    public_path,
    write_new_private,
)
from pytest_cutover.keys.trust import read_trust
from pytest_cutover.keys.trusted import KeyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    from pytest_cutover.keys.signer import PemSigner
    from pytest_cutover.keys.trusted import TrustedKey
    from pytest_cutover.keys.verifier import KeyKind

RING_FILE = "ring.json"

_ATTEMPTS = 20
"""Rotations that one reading of the key may meet; more is a loop somewhere."""

_KEYID = re.compile(r"[0-9a-f]{64}")
_HINT = "cutover keys new FOLDER --ring makes one"


class KeyLog(Protocol):
    """Where key events are logged."""

    @property
    def origin(self) -> str:
        """The log's name."""

    def append(self, keyid: str, event: str, at: datetime) -> int:
        """The index of the event, which is in the log for good when this returns."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotation that is done."""

    old: TrustedKey
    new: TrustedKey
    was_begun: bool
    """The new key had been made active before, and only the rest was done now."""


@dataclass(frozen=True, slots=True)
class _State:
    """`ring.json`; at most one of `next` and `leaving` is set, and only while a rotation is under way."""

    active: str
    next: str | None = None
    leaving: str | None = None


class KeyRing:
    """The ring in `folder`. Reading takes no lock and sees every rotation at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def active(self) -> str:
        """The id of the key that signs now.

        Raises:
            ConfigError: there is no ring, or it cannot be read.
        """
        return self._read().active

    def is_unfinished(self) -> bool:
        """Whether a rotation was begun and not finished."""
        state = self._read()
        return state.next is not None or state.leaving is not None

    def is_prepared(self) -> bool:
        """Whether that rotation has not made the next key active yet, so that waiting does no harm."""
        return self._read().next is not None

    def signer(self) -> PemSigner:
        """The key that signs now, for one thing to sign: whoever signs the next one asks again.

        Raises:
            ConfigError: there is no ring, or its key cannot be used.
        """
        for _ in range(_ATTEMPTS):
            keyid = self.active()
            path = self._path(keyid)
            try:
                signer = load_private_key(path)
            except ConfigError:
                if keyid != self.active():
                    continue  # rotated since, and the old key removed
                raise
            if signer.keyid != keyid:
                raise ConfigError(f"{path}: expected the key {keyid[:16]}…, got {signer.keyid[:16]}…")
            return replace(signer, ring=self.folder.absolute())  # gates may change the working folder
        raise ConfigError(f"{self.folder}: the active key changed {_ATTEMPTS} times while it was read")

    def leaving(self) -> str:
        """The id of the key that leaves with the rotation that is under way, or with the next one.

        Raises:
            ConfigError: there is no ring, or it cannot be read.
        """
        state = self._read()
        return state.leaving or state.active

    def successor(self) -> PemSigner:
        """The key that comes after the one that leaves, in the rotation that is under way.

        Raises:
            ConfigError: none is under way, or the ring cannot be read.
        """
        state = self._read()
        if state.next is None and state.leaving is None:
            raise ConfigError(
                f"{self.folder}: no rotation is under way", hint="cutover keys rotate --prepare"
            )
        return load_private_key(self._path(state.next or state.active))

    def rotate(
        self, trust: Path, log: KeyLog, *, grace: timedelta, at: datetime, kind: KeyKind | None = None
    ) -> Rotated:
        """Make a new key active and put the old one into grace; a rotation that was stopped goes on.

        Raises:
            ConfigError: ring or trust file cannot be used, or the active key is not in the trust file.
            CutoverError: a file cannot be written or the event not logged; the same call again goes on from there.
        """
        with alone_in(self.folder):
            state = self._read()
            was_begun = state.leaving is not None
            if not was_begun:
                state = self._list_next(state, trust, at, kind)
                assert state.next is not None  # by now it is there
                state = _State(active=state.next, leaving=state.active)
                self._write(state)
            old, new = self._finish(state, trust, log, grace, at)
        return Rotated(old, new, was_begun)

    def prepare(self, trust: Path, *, at: datetime, kind: KeyKind | None = None) -> TrustedKey:
        """The next key, which the trust file lists from now on; `rotate` makes it active.

        In between the trust file can be handed to those who verify, so that none of them meets a key he does not know.

        Raises:
            ConfigError: as `rotate`; or a rotation is further than that already.
            AdapterError: a file cannot be written.
        """
        with alone_in(self.folder):
            state = self._read()
            if state.leaving is not None:
                raise ConfigError(
                    f"{self.folder}: a rotation is under way already", hint="cutover keys rotate finishes it"
                )
            state = self._list_next(state, trust, at, kind)
            assert state.next is not None  # by now it is there
            return _trusted(trust, state.next)

    def begin(self, kind: KeyKind) -> str:
        """Make a ring with its first key; the key's id.

        Raises:
            ConfigError: there is one already.
            AdapterError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise AdapterError(f"cannot make the ring {self.folder}: {exc.strerror or exc}") from exc
        with alone_in(self.folder):
            if (self.folder / RING_FILE).exists():
                raise ConfigError(
                    f"{self.folder} is a ring already", hint="cutover keys rotate makes a new key"
                )
            keyid = self._make(kind)
            self._write(_State(keyid))
            return keyid

    # -- the steps of a rotation

    def _make(self, kind: KeyKind) -> str:
        pem = generate(kind)
        signer = load_private_pem(pem, where=str(self.folder))
        path = self._path(signer.keyid)
        if not write_new_private(path, pem):
            raise ConfigError(f"{path} is already there", hint="keys are never overwritten")
        write_atomic(public_path(path), signer.public_pem())
        return signer.keyid

    def _list_next(self, state: _State, trust: Path, at: datetime, kind: KeyKind | None) -> _State:
        """Steps 1 and 2, as far as they are not done."""
        old = _trusted(trust, state.active)
        if state.next is None:
            state = replace(state, next=self._make(kind or old.public.kind))
            self._write(state)
        assert state.next is not None  # by now it is there
        signer = load_private_key(self._path(state.next))

        edit_trust(
            trust,
            lambda data: with_successor(data, old.keyid, signer.public, at=at, where=str(trust)),
        )
        return state

    def _finish(
        self, state: _State, trust: Path, log: KeyLog, grace: timedelta, at: datetime
    ) -> tuple[TrustedKey, TrustedKey]:
        """Steps 4 and 5. Logged twice, if a stop came between them: the later entry counts."""
        leaving = state.leaving
        assert leaving is not None  # the caller has just seen to it
        old, new = _trusted(trust, leaving), _trusted(trust, state.active)
        if old.state is not KeyState.GRACE:
            size = log.append(leaving, f"{old.name}: rotated to {new.name} ({new.keyid[:16]})", at)
            edit_trust(
                trust,
                lambda data: into_grace(
                    data, leaving, origin=log.origin, size=size, at=at, grace=grace, where=str(trust)
                ),
            )
        self._write(_State(state.active))
        self._path(leaving).unlink(missing_ok=True)
        return _trusted(trust, leaving), _trusted(trust, state.active)

    # -- ring.json

    def _path(self, keyid: str) -> Path:
        return self.folder / f"{keyid[:16]}.pem"

    def _read(self) -> _State:
        path = self.folder / RING_FILE
        try:
            document = strictjson.loads(path.read_bytes())
        except FileNotFoundError:
            raise ConfigError(f"{self.folder}: there is no key ring", hint=_HINT) from None
        except (OSError, ValueError) as exc:
            raise ConfigError(f"{path}: the key ring cannot be read: {exc}", hint=_HINT) from None
        return _state(document, path)

    def _write(self, state: _State) -> None:
        document = {"format": 1, "active": state.active}
        told = {"next": state.next, "leaving": state.leaving}
        document |= {name: keyid for name, keyid in told.items() if keyid is not None}
        write_atomic(self.folder / RING_FILE, f"{json.dumps(document, indent=1)}\n".encode(), mode=0o600)


def is_ring(path: Path) -> bool:
    """Whether a key ring stands in that folder."""
    return (path / RING_FILE).is_file()


# -- the trust file ---------------------------------------------------------------------------


def revoke(trust: Path, keyid: str, *, reason: str, at: datetime, log: KeyLog | None) -> TrustedKey:
    """Let a key count for nothing any more, and log that. The trust file first: that is what protects.

    Raises:
        ConfigError: no such key, or the file cannot be used.
        CutoverError: it cannot be written; or the event not logged, and the key is revoked all the same.
    """
    edit_trust(trust, lambda data: into_revocation(data, keyid, at=at, reason=reason, where=str(trust)))
    if log is not None:
        log.append(keyid, f"{_trusted(trust, keyid).name}: revoked: {reason}", at)
    return _trusted(trust, keyid)


def retire(trust: Path, keyid: str, *, at: datetime, log: KeyLog | None) -> TrustedKey:
    """End the grace of a key, and log that.

    Raises:
        ConfigError: no such key, or it is not in grace.
        CutoverError: it cannot be written or logged.
    """
    edit_trust(trust, lambda data: into_retirement(data, keyid, where=str(trust)))
    if log is not None:
        log.append(keyid, f"{_trusted(trust, keyid).name}: retired", at)
    return _trusted(trust, keyid)


def edit_trust(trust: Path, change: Callable[[bytes], bytes]) -> None:
    """Replace the trust file by what `change` makes of it: atomically, one writer at a time.

    Raises:
        ConfigError: there is none, or it cannot be read.
        AdapterError: it cannot be written.
    """
    path = trust.resolve()  # a link stays one
    with alone_in(path.parent):
        before = _read_trust(path)
        after = change(before)
        if after != before:
            write_atomic(path, after, mode=stat.S_IMODE(path.stat().st_mode))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only process that changes what stands in `folder`, among those that ask; waits for others.

    Who is that already, because ring and trust file share a folder, need not wait for himself.

    Raises:
        AdapterError: there is no such folder.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise AdapterError(f"cannot open the folder {folder}: {exc.strerror or exc}") from exc
    try:
        found = os.fstat(descriptor)
        place = (found.st_dev, found.st_ino)
        if place in _HELD.places:
            yield
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _HELD.places.add(place)
        try:
            yield
        finally:
            _HELD.places.remove(place)
    finally:
        os.close(descriptor)  # which ends the lock


class _Held(threading.local):
    """The folders that this thread has locked, by device and inode."""

    def __init__(self) -> None:
        self.places: set[tuple[int, int]] = set()


_HELD = _Held()


def _trusted(trust: Path, keyid: str) -> TrustedKey:
    return key_in(_read_trust(trust), keyid, where=str(trust))


def _read_trust(trust: Path) -> bytes:
    data = read_trust(trust)
    if data is None:
        raise ConfigError(
            f"{trust}: there is no trust file", hint="cutover keys new PATH --trust FILE makes one"
        )
    return data


def _state(document: Any, path: Path) -> _State:
    if not isinstance(document, dict) or document.get("format") != 1 or "active" not in document:
        raise ConfigError(f"{path}: expected a key ring of format 1", hint=_HINT)
    fields = {name: value for name, value in document.items() if name != "format"}
    if set(fields) - {"active", "next", "leaving"} or {"next", "leaving"} <= set(fields):
        raise ConfigError(f"{path}: expected active, and next or leaving, got {sorted(fields)}", hint=_HINT)
    if not all(isinstance(v, str) and _KEYID.fullmatch(v) for v in fields.values()):
        raise ConfigError(f"{path}: expected ids of keys, 64 hex digits each", hint=_HINT)
    return _State(**fields)
