"""Being the only writer, in a store that has no locks: a small object that says who has it, replaced by compare-and-swap.

Its age is told by the server's own clock. A holder renews it; one that was stopped for longer than `LEASE_S` may lose it, and
is told when it asks and at the end. **A machine that was suspended may not notice**, and what it sent before arrives whenever it
does. So a lease spares writers from each other; what keeps them from harm is that each write says what it follows.
"""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from pytest_cutover.errors import CutoverError
from pytest_cutover.objects.protocol import (
    ABSENT,
    Absent,
    Held,
    LockLostError,
    ObjectConflictError,
    ObjectMissingError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEASE_S = 30.0
_SURE = 2 / 3
"""Of a lease: the rest is for the request that follows, and for servers that tell the time in whole seconds."""

_POLL_S = 0.1


class LeaseStore(Protocol):
    """What a lease needs of the store."""

    @property
    def where(self) -> str: ...
    def read(self, key: str) -> tuple[bytes, Held]: ...
    def write(self, key: str, data: bytes, *, expected: Absent | str) -> Held: ...
    def age_s(self, key: str) -> float | None: ...
    def forget_older(self, key: str) -> None: ...


@contextmanager
def leased(
    store: LeaseStore,
    key: str,
    *,
    timeout_s: float,
    lease_s: float = LEASE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Callable[[], None]]:
    """Hold the lease under `key` for as long as the block runs.

    Gives a function that raises LockLostError where it may be another's by now; it asks nobody.

    Raises:
        StoreUnavailableError: another one had it for all of `timeout_s`, or it was lost meanwhile.
    """
    lease = _Lease(store, key, lease_s)
    lease.acquire(timeout_s, sleep)
    done = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(done,), daemon=True)
    renewing.start()
    try:
        yield lease.check_age
    finally:
        done.set()
        renewing.join()
        lease.release()
    lease.check()


class _Lease:
    def __init__(self, store: LeaseStore, key: str, lease_s: float) -> None:
        self._store = store
        self._key = key
        self._lease_s = lease_s
        self._holder = token_hex(8)
        self._serial = 0
        self._tag = ""
        self._renewed_at = 0.0
        self._is_lost = False

    def acquire(self, timeout_s: float, sleep: Callable[[float], None]) -> None:
        until = time.monotonic() + timeout_s
        while True:
            expected = self._free()
            if expected is not None:
                with suppress(ObjectConflictError):
                    self._tag = self._write(expected, free=False)
                    return
            if time.monotonic() >= until:
                raise StoreUnavailableError(
                    f"{self._store.where}: another writer had {self._key} for {timeout_s:g} s",
                    hint="wait for it to end; one that died is forgotten after half a minute",
                )
            sleep(_POLL_S * random.uniform(0.5, 2))  # noqa: S311 # spreads writers over time

    def renew_until(self, done: threading.Event) -> None:
        while not done.wait(self._lease_s / 3):
            try:
                self._tag = self._write(self._tag, free=False)
                self._store.forget_older(self._key)
            except ObjectConflictError:
                self._is_lost = True
                return
            except CutoverError:
                continue  # the store may come back before the lease has ended

    def release(self) -> None:
        """Give it back; where that fails its age ends it."""
        if self._is_lost:
            return
        try:
            self._write(self._tag, free=True)
            self._store.forget_older(self._key)
        except ObjectConflictError:
            self._is_lost = True
        except CutoverError:
            return

    def check_age(self) -> None:
        self.check()
        age_s = _clock_s() - self._renewed_at
        if age_s > self._lease_s * _SURE:
            raise LockLostError(
                f"{self._store.where}: {self._key} was not renewed for {age_s:.0f} s: another writer may have taken it",
                hint="was this process stopped, or the store away? Nothing more was written; begin again",
            )

    def check(self) -> None:
        if self._is_lost:
            raise LockLostError(
                f"{self._store.where}: another writer took {self._key} while this one held it for longer than {self._lease_s:g} s",
                hint="look at what was written, and begin again",
            )

    def _free(self) -> Absent | str | None:
        """What a write has to expect where nobody has it; None where somebody does."""
        try:
            data, held = self._store.read(self._key)
        except ObjectMissingError:
            return ABSENT
        age_s = self._store.age_s(self._key)
        is_old = age_s is not None and age_s > self._lease_s
        return held.tag if is_old or _is_free(data) else None

    def _write(self, expected: Absent | str, *, free: bool) -> str:
        self._serial += 1
        body: dict[str, Any] = {"holder": self._holder, "serial": self._serial, "free": free}
        at = _clock_s()  # before: the server's clock counts from some time in between
        tag = self._store.write(self._key, json.dumps(body).encode(), expected=expected).tag
        self._renewed_at = at
        return tag


def _clock_s() -> float:
    """Goes on while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _is_free(data: bytes) -> bool:
    try:
        body = json.loads(data)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("free") is True
