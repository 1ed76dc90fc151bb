"""What a store is made of: the keys of its objects, and what an object is by its key. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

LATEST: Final = "latest.json"
HISTORY: Final = "history/"
INDEX: Final = "index.json"
INDEX_SIGNATURE: Final = "index.json.dsse"
DOCUMENT: Final = "evidence.json"
PROOF_FILE: Final = f"{BUNDLE_FILE}.tlog-proof"
ATTACHMENTS: Final = "attachments/"

INDEX_LOCK: Final = "index"
"""Name of the lock among writers of the index."""

DEFAULT_STORE: Final = "var/evidence"

__all__ = ["BUNDLE_FILE", "REPORT_FILE"]


def key_of(run_id: str, name: str) -> str:
    """The key of a file of a run."""
    return f"{HISTORY}{run_id}/{name}"


def run_of(key: str) -> tuple[str, str] | None:
    """The run and the name of its file; None when `key` is none of a run."""
    run_id, slash, name = key.removeprefix(HISTORY).partition("/")
    return (run_id, name) if key.startswith(HISTORY) and slash else None


def by_run(keys: Iterable[str]) -> dict[str, list[str]]:
    """The names of the files of each run, in the order of the runs."""
    out: dict[str, list[str]] = {}
    for key in sorted(keys):
        found = run_of(key)
        if found is not None:
            out.setdefault(found[0], []).append(found[1])
    return out


def is_whole(names: Iterable[str]) -> bool:
    """Whether the files of a run are all there: who puts one never puts both its bundle and its document before the rest.

    What has less was left by a writer that was killed, or is being written; or somebody took it away, which the index shows.
    """
    return {DOCUMENT, BUNDLE_FILE} <= {*names}
