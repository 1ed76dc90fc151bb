"""What the actions of `cutover evidence` share: their store, their key, and words."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _policy_place
from pytest_cutover.errors import ConfigError
from pytest_cutover.store.layout import DEFAULT_STORE, HISTORY, LATEST, by_run

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator, Sequence

    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.store.index import Before

_EVERY_S = 0.2
"""How often a terminal is told of progress."""


def add_store(parser: ArgumentParser) -> None:
    """The option --store."""
    parser.add_argument(
        "--store",
        metavar="PLACE",
        default=DEFAULT_STORE,
        help="where the evidence is kept (default: %(default)s)",
    )


def add_json(parser: ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_trust(parser: ArgumentParser) -> None:
    """The option --trust."""
    parser.add_argument(
        "--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)"
    )


def add_key(parser: ArgumentParser) -> None:
    """The option --key."""
    parser.add_argument(
        "--key",
        metavar="PATH",
        help="private key that signs the index (else CUTOVER_KEY, CUTOVER_KEY_PEM)",
    )


def opened(place: str, trust: str | None = None) -> ObjectStore:
    """The store at `place`, which is there; `trust` is the trust file that was given.

    Raises:
        ConfigError: there is none.
    """
    store = _policy_place.open_place(place, trust)
    if store.stat(LATEST) is None and next(iter(store.keys()), None) is None:
        raise ConfigError(f"{store.where} holds no evidence", hint="give the store with --store PLACE")
    return store


def runs_in(store: ObjectStore) -> dict[str, list[str]]:
    """The runs in a store, oldest first by name, with the names of their files."""
    return by_run(store.keys(HISTORY))


def signer(key: str | None) -> Signer:
    """The key that signs the index.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    from pytest_cutover.keys.signer import load_private_key, load_signer

    if key is not None:
        return load_private_key(Path(key), where=f"--key {key}")
    found = load_signer(os.environ, Path.cwd(), option=None, say=lambda line: print(line, file=sys.stderr))
    if found is None:
        raise ConfigError(
            "expected a private key to sign the index with, got none", hint="give --key PATH or CUTOVER_KEY"
        )
    return found


def shown(place: str) -> str:
    """An absolute place as seen from this folder, where it is below it."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")


def now() -> datetime:
    """The time, to be asked when something is compared with it."""
    return datetime.now(UTC)


def counted(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def chosen(store: ObjectStore, names: Sequence[str]) -> list[str]:
    """The runs that are named, each once; `latest`, or `last`, is the one that `latest.json` names.

    Raises:
        ConfigError: the store has no such run.
    """
    from pytest_cutover.store.document import read_document

    there = runs_in(store)
    out = []
    for name in names:
        run = read_document(store.read(LATEST)[0], LATEST).run_id if name in ("latest", "last") else name
        if run not in there:
            raise ConfigError(
                f"{store.where} holds no run {run!r:.80}", hint="cutover evidence list names them"
            )
        out.append(run)
    return list(dict.fromkeys(out))


def anchor(option: str | None) -> Anchor | None:
    """The trust anchor; None when there is nothing to trust.

    Raises:
        ConfigError: it cannot be used.
    """
    from pytest_cutover.keys.trust import find_anchor

    return find_anchor(option, os.environ, Path())


@contextmanager
def at_index(
    options: Namespace, store: ObjectStore, *, anew: bool = False
) -> Iterator[tuple[Before, Signer | None]]:
    """The index to be gone on from and the key for the next one, locked; with --dry-run only looked at, without a key.

    Raises:
        EvidenceError: the index does not verify.
        ConfigError: there is no key.
    """
    from pytest_cutover.store.index import environments_in, forgotten, index_before
    from pytest_cutover.store.layout import INDEX_LOCK

    def before() -> Before:
        if anew:
            return forgotten(store)
        return index_before(store, anchor(options.trust), environments_in(store), now)

    if options.dry_run:
        yield before(), None
        return
    key = signer(options.key)
    with store.exclusive(INDEX_LOCK):
        yield before(), key


@contextmanager
def progress(word: str) -> Iterator[Callable[[int, int], None]]:
    """Tells on a terminal how far long work has come; the line is gone when the block ends."""
    shows = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    last = 0.0

    def told(done: int, total: int) -> None:
        nonlocal last
        if shows and time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            sys.stderr.write(f"\r{word} {done} of {total}\x1b[K")
            sys.stderr.flush()

    try:
        yield told
    finally:
        if last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
