"""The seam through which `cutover prove-red` hands gates adverse readings. In every other run nothing is behind it.

A process in which something was behind it never helps a run to a GO: the engine asks `was_used` and holds it
against the run (`run.prove-red`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Distortion(Protocol):
    """What stands between a source and the gate that asks it."""

    def reading(self, asked: tuple[str, ...], read: Callable[[], T]) -> T:
        """The reading that the gate gets; `read` takes the true one, `asked` says from where."""

    def taken(self, value: object) -> object:
        """The value that a gate of a TOML file takes from a reading."""


_behind: Distortion | None = None
_used = False


def put(distortion: Distortion) -> None:
    """Put something behind the seam, for the rest of this process."""
    global _behind  # one process, one seam: every source goes through it, whoever made it
    _behind = distortion


def was_used() -> bool:
    """Whether a reading of this process may have been distorted."""
    return _used or _behind is not None


def reading(asked: tuple[str, ...], read: Callable[[], T]) -> T:
    """What `read` returns, or what stands behind the seam makes of it."""
    global _used  # see `put`
    if _behind is None:
        return read()
    _used = True
    return _behind.reading(asked, read)


def taken(value: object) -> object:
    """`value`, or what stands behind the seam makes of it."""
    global _used  # see `put`
    if _behind is None:
        return value
    _used = True
    return _behind.taken(value)
