"""Behind the seam of `cutover prove-red`: readings are taken once, remembered in a file, and handed out distorted.

The file is written and read by processes that run gates, as their own; the parent that judges never opens it.
"""

from __future__ import annotations

import json
import os
import pickle
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_cutover.errors import SourceError
from pytest_cutover.sources import adverse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

READS = "reads.jsonl"
"""Beside the readings: which gate asked which source, for people."""


class Remembering:
    """Takes true readings, and remembers each."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._readings = folder / f"readings-{worker}.pickle"
        self._reads = folder / READS
        self._lock = threading.Lock()

    def reading(self, asked: tuple[str, ...], read: Callable[[], T]) -> T:
        try:
            found = read()
        except SourceError as exc:
            self._keep(asked, None, str(exc))
            raise
        self._keep(asked, found, None)
        return found

    def taken(self, value: object) -> object:
        return value

    def _keep(self, asked: tuple[str, ...], found: object, failed: str | None) -> None:
        gate = _running()
        line = json.dumps({"gate": gate, "source": asked[0]}) + "\n"
        with self._lock:
            with open(self._readings, "ab", opener=_private) as file:  # Path.open takes no opener
                pickle.dump((gate, asked, found, failed), file)
            with self._reads.open("a", encoding="utf-8") as text:
                text.write(line)


class Adverse:
    """Hands out what was remembered, distorted in one way.

    Nothing is read again, unless `again`: then answers over HTTP and scans are, and commands still are not.
    """

    def __init__(self, folder: Path, kind: str, *, again: bool = False) -> None:
        self._kind = kind
        self._again = again
        self._lock = threading.Lock()
        self._by_words: dict[tuple[str, ...], list[tuple[object, str | None]]] = defaultdict(list)
        self._asked: dict[tuple[str, ...], int] = defaultdict(int)
        for gate, asked, found, failed in _remembered(folder):
            for key in _keys(gate, asked):
                self._by_words[key].append((found, failed))

    def reading(self, asked: tuple[str, ...], read: Callable[[], T]) -> T:
        """The reading of the truthful attempt that is nearest: the same question of the same gate, in order.

        Raises:
            SourceError: it failed then, or nothing like it was read.
        """
        if self._again and asked[0] != "command":
            fresh: T = adverse.distorted(read(), self._kind)
            return fresh
        with self._lock:
            key = next((k for k in _keys(_running(), asked) if k in self._by_words), None)
            if key is None:
                raise SourceError(f"nothing like {asked[0]} was read in the truthful attempt")
            kept = self._by_words[key]
            found, failed = kept[min(self._asked[key], len(kept) - 1)]
            self._asked[key] += 1
        if failed is not None:
            raise SourceError(failed)
        distorted: T = adverse.distorted(found, self._kind)
        return distorted

    def taken(self, value: object) -> object:
        return adverse.value(value, self._kind)


def _keys(gate: str, asked: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Under what a reading is found again, nearest first: requests that carry a random id are never the same."""
    yield ("same", gate, *asked)
    yield ("anywhere", *asked)
    yield ("like it", gate, *asked[:2])
    yield ("like it anywhere", *asked[:2])
    yield ("of the source", asked[0])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # answers may hold what nobody else should read


def _running() -> str:
    """The node id of the gate that runs; empty before the first."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]


def _remembered(folder: Path) -> Iterator[tuple[str, tuple[str, ...], Any, str | None]]:
    for path in sorted(folder.glob("readings-*.pickle")):
        with path.open("rb") as file, suppress(EOFError):
            while True:
                yield pickle.load(file)  # noqa: S301 # written by the same gates, in the attempt before
