"""How a folder says what its run came to: by the bundle, under its name.

Only a GO has to wait for it until log and store have the bundle too. Anything else counts at once: it may take back an older
GO, and somebody may ask before the store has answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.evidence.seal import BUNDLE_FILE, UNFINISHED_FILE
from pytest_cutover.files import move_atomic, write_atomic
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
        move_atomic(folder / UNFINISHED_FILE, folder / BUNDLE_FILE)


def _waits(decision: Decision) -> bool:
    return decision.exit_code is ExitCode.GO
