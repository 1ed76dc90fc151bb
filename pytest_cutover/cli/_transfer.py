"""What `cutover evidence upload` and `restore` share: the manifest, and how a transfer is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.store.transfer import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.store.transfer import Transfer

DONE, PROBLEMS = 0, 1
SHOWN = 20
"""Problems printed; --json has all of them."""


def manifest_at(name: str | None) -> Transfer | None:
    """The manifest in a file, if one is named.

    Raises:
        ConfigError, EvidenceError: it cannot be read, or is none.
    """
    return None if name is None else read_manifest(_evidence.read(Path(name)), name)


def told(transfer: Transfer, where: str, more: dict[str, Any], *, as_json: bool) -> int:
    """Print what became of a transfer; the exit code."""
    if as_json:
        problems = [{"key": key, "reason": reason} for key, reason in transfer.problems]
        counts = {"files": len(transfer.moved), "new": transfer.new, "bytes": transfer.bytes}
        document = {"from": where, "to": transfer.place, **counts, "problems": problems}
        print(json.dumps(document | more, indent=1))
    else:
        _evidence.show(_lines(transfer, where))
    return DONE if transfer.moved and not transfer.problems else PROBLEMS


def _lines(transfer: Transfer, where: str) -> Iterator[str]:
    count = len(transfer.moved)
    yield f"from     {where}"
    yield f"to       {transfer.place}"
    yield (
        f"moved    {_store.counted(transfer.new, 'file')}, {count - transfer.new} were there already; "
        f"{size(transfer.bytes)} in all"
    )
    versions = " by version id" if any(each.version for each in transfer.moved) else ""
    yield f"read     {_store.counted(count, 'file')} back{versions}, every byte the same"
    if not transfer.moved and not transfer.problems:
        yield f"NOTHING  {where} holds no runs"
    for key, reason in transfer.problems[:SHOWN]:
        yield f"WRONG    {key}"
        yield f"  {reason}"
    if len(transfer.problems) > SHOWN:
        yield f"and {len(transfer.problems) - SHOWN} more: --json shows all"


def size(number: int) -> str:
    """`1.2 MB`."""
    amount, unit = float(number), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
