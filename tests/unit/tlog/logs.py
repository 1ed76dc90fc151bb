"""Logs in memory, and what they are signed with."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager

from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.objects.protocol import (
    ABSENT,
    Held,
    ObjectConflictError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner

ORIGIN = "log.example/cutover"
SIGNER = load_private_pem(generate(KeyKind.ED25519), where="test")
OTHER = load_private_pem(generate(KeyKind.ED25519), where="test")


class MemoryObjects:
    """An ObjectStore in a dictionary. `fail_at` N: the Nth change is not made and raises, and so do all later ones.

    With `lost` it is made, and its answer is lost.
    """

    where = "memory"

    def __init__(self, objects=()):
        self.objects = dict(objects)
        self.changes = 0
        self.fail_at = None
        self.lost = False
        self.locked = False
        self.reads = []

    def read(self, key, *, version=None):
        self.reads.append(key)
        if key not in self.objects:
            raise ObjectMissingError(f"there is no {key}")
        return self.objects[key], self._held(key)

    def stat(self, key):
        return self._held(key) if key in self.objects else None

    def write(self, key, data, *, expected):
        assert self.locked, "a log is written by one writer"
        there = self.objects.get(key)
        if there != data:
            tag = None if there is None else hashlib.sha256(there).hexdigest()
            if (None if expected is ABSENT else expected) != tag:
                raise ObjectConflictError(f"{key} is another")
            if there is not None:
                assert key == "checkpoint", "only the checkpoint is ever replaced"
            self._change(lambda: self.objects.update({key: bytes(data)}))
        return self._held(key)

    def fence(self, key, expected):
        assert self.locked
        if self._held(key).tag != expected:
            raise ObjectConflictError(f"{key} is another")
        return self._held(key)

    def delete(self, key, *, version=None):
        assert self.locked
        assert version is None, "it keeps none"
        self._change(lambda: self.objects.pop(key, None))

    def keys(self, prefix=""):
        yield from [key for key in sorted(self.objects) if key.startswith(prefix)]

    @contextmanager
    def exclusive(self, name, *, timeout_s=60.0):
        assert not self.locked
        self.locked = True
        try:
            yield lambda: None
        finally:
            self.locked = False

    def _change(self, change):
        self.changes += 1
        fails = self.fail_at is not None and self.changes >= self.fail_at
        if not fails or (self.lost and self.changes == self.fail_at):
            change()
        if fails:
            raise StoreUnavailableError("the disk is full")

    def _held(self, key):
        data = self.objects[key]
        return Held(key, len(data), hashlib.sha256(data).hexdigest())


def signer(name=ORIGIN, raw=SIGNER):
    return NoteSigner(name, raw)


def entry(number):
    return b"entry %d" % number


def entries(start, stop):
    return [entry(n) for n in range(start, stop)]


def log_of(*sizes, objects=None):
    """A log in memory, grown to each of the sizes in turn."""
    log = Log(MemoryObjects() if objects is None else objects, ORIGIN, signer())
    before = 0
    for size in sizes:
        log.append(entries(before, size))
        before = size
    return log
