"""What evidence and the transparency log need of the place they are kept in.

A key is a relative path of `/`-separated names (`history/RUN/report.json`, `tile/0/x001/067`). What is
written is whole and durable when `write` returns, and a reader never sees half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from pytest_cutover.errors import AdapterError, EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime


MAX_OBJECT_BYTES: Final = 512 * 1024 * 1024
"""Evidence of 100 000 gates is a fifth of this; more is a device or a mistake. One PUT takes ten times that."""


class ObjectMissingError(EvidenceError):
    """There is nothing under that key."""


class ObjectConflictError(EvidenceError):
    """What is under that key is not what the writer expected: somebody else wrote first."""


class ObjectLockedError(EvidenceError):
    """The store refuses: the object is retained or held."""


class StoreUnavailableError(AdapterError):
    """The store did not answer, or answered that it cannot: nothing is known about what was asked."""


class LockLostError(StoreUnavailableError):
    """Another writer may have the lock by now."""


class Absent(Enum):
    """`expected` of a first write: there must be nothing yet."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


def check_size(where: str, size: int) -> None:
    """Return where an object is small enough to be read or written.

    Raises:
        EvidenceError: it is larger than `MAX_OBJECT_BYTES`.
    """
    if size > MAX_OBJECT_BYTES:
        raise EvidenceError(f"expected at most {MAX_OBJECT_BYTES} bytes, {where} has {size}")


@dataclass(frozen=True, slots=True)
class Held:
    """What a store says about one object; it proves nothing until the bytes were read and hashed."""

    key: str
    size: int
    tag: str
    """Changes whenever the bytes do: an ETag, or in a folder the SHA-256."""

    version: str | None = None
    """The store's id of this very version; None where it keeps only one."""

    retain_until: datetime | None = None
    legal_hold: bool = False

    @property
    def state(self) -> str:
        """What `write` may expect: the version where the store has them, which is never the same again, or the tag."""
        return self.version or self.tag

    def is_protected(self, now: datetime) -> bool:
        """Whether the store has to refuse to remove it at that time."""
        return self.legal_hold or (self.retain_until is not None and now < self.retain_until)


class ObjectStore(Protocol):
    """A place for objects. Every method raises StoreUnavailableError when nothing is known about the outcome."""

    @property
    def where(self) -> str:
        """For messages: the folder's path, or `s3://bucket/prefix`; never credentials."""

    def read(self, key: str, *, version: str | None = None) -> tuple[bytes, Held]:
        """The bytes under `key`, of that version if one is named.

        Raises:
            ObjectMissingError: there are none.
        """

    def stat(self, key: str) -> Held | None:
        """What is under `key`, without its bytes."""

    def write(self, key: str, data: bytes, *, expected: Absent | str) -> Held:
        """Put `data` under `key` if what is there has the tag, or is the version, `expected` (ABSENT: if there is nothing).

        Writing the same bytes again is no conflict: a writer that lost the answer may ask once more.

        Raises:
            ObjectConflictError: something else is there; it is unchanged.
            ObjectLockedError: what is there must not be replaced.
        """

    def list(self, prefix: str = "") -> Iterator[Held]:
        """Everything below `prefix`, in the order of the keys."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys alone of what `list` gives, which may cost much less."""

    def fence(self, key: str, expected: str) -> Held:
        """Leave the bytes under `key`, whose `state` is expected, and refuse whoever goes on from that state any more.

        Where a writer may lose its lock unnoticed, what it sent before may still arrive: it does no more after this.

        Raises:
            ObjectConflictError: it is in another state, or perhaps: the answer was lost.
        """

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Take `key` away, or that version of it alone; nothing happens when it is not there.

        Raises:
            ObjectLockedError: it is retained or held.
        """

    def retain(self, key: str, until: datetime) -> Held:
        """Keep `key` as it is until then; never shortens what was promised.

        Raises:
            ObjectMissingError: there is nothing to keep.
        """

    def hold(self, key: str, on: bool) -> Held:
        """Set or lift the legal hold.

        Raises:
            ObjectMissingError: there is nothing to hold.
        """

    def exclusive(self, name: str, *, timeout_s: float = 60.0) -> AbstractContextManager[Callable[[], None]]:
        """Be the only writer of that name among all processes that ask, as long as the block runs.

        Gives a function that raises LockLostError where another may be the one by now.

        Raises:
            StoreUnavailableError: another one had it for all of `timeout_s`.
        """
