"""How a folder says what its run came to: by the bundle, under its name.

Only a GO has to wait for it until log and store have the bundle too. Anything else counts at once: it may take back an older
GO, and somebody may ask before the store has answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.inclusion import PROOF_FILE
from pytest_cutover.evidence.seal import BUNDLE_FILE, UNFINISHED_FILE
from pytest_cutover.files import move_atomic, read_regular, write_atomic
from pytest_cutover.keys.trust import is_there
from pytest_cutover.model import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.model import Decision


def write_bundle(folder: Path, bundle: bytes, decision: Decision) -> None:
    """Write the bundle; that of a GO without its name.

    Raises:
        CutoverError: it cannot be written.
    """
    write_atomic(folder / (UNFINISHED_FILE if _waits(decision) else BUNDLE_FILE), bundle)


def name_bundle(folder: Path, decision: Decision) -> None:
    """Give the bundle its name: from now on the folder says what was decided.

    Raises:
        CutoverError: it cannot be given.
    """
    if _waits(decision):
        complete(folder)


def unfinished(folder: Path) -> bytes | None:
    """The bundle of a GO whose run was killed before store and folder had it; None when there is none.

    Raises:
        ConfigError: it cannot be read; or nothing shows that the log has it.
    """
    path, proof = folder / UNFINISHED_FILE, folder / PROOF_FILE
    if is_there(folder / BUNDLE_FILE) or not is_there(path):
        return None
    if not is_there(proof):
        raise ConfigError(
            f"{folder}: its run was killed, and no {PROOF_FILE} shows that a log has its decision",
            hint="it counts for nothing: run the gates again; cutover log prove makes the proof if a log does have it",
        )
    try:
        return read_regular(path)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from None


def complete(folder: Path) -> None:
    """Give a bundle that has none its name.

    Raises:
        CutoverError: it cannot be given.
    """
    move_atomic(folder / UNFINISHED_FILE, folder / BUNDLE_FILE)


def _waits(decision: Decision) -> bool:
    return decision.exit_code is ExitCode.GO
