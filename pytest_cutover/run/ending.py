"""How a folder says what its run came to: by the bundle, under its name.

Only a GO has to wait for it until log and store have the bundle too. Anything else counts at once: it may take back an older
GO, and somebody may ask before the store has answered.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pytest_cutover.errors import CutoverError
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE, UNFINISHED_FILE
from pytest_cutover.files import move_atomic, read_or_none, write_atomic
from pytest_cutover.model import ExitCode
from pytest_cutover.store.layout import PROOF_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from pathlib import Path

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import Decision
    from pytest_cutover.objects.protocol import ObjectStore


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where a run's evidence goes in the end: the store of its environment, and for how long it is retained there."""

    store: ObjectStore
    environment: str
    anchor: Anchor | None
    retain_for: timedelta | None = None


class Written(NamedTuple):
    """What was written in the folder of a run: the bundle, if it is signed, and why a copy of the report is not there."""

    bundle: bytes | None
    warning: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run in its folder."""

    folder: Path
    decision: Decision

    @property
    def is_go(self) -> bool:
        return self.decision.exit_code is ExitCode.GO

    def write(self, bundle: bytes) -> None:
        """Write the bundle; that of a GO without its name.

        Raises:
            CutoverError: it cannot be written.
        """
        write_atomic(self.folder / (UNFINISHED_FILE if self.is_go else BUNDLE_FILE), bundle)

    def copy(self, report: bytes, copies: Iterable[Path]) -> str | None:
        """Put copies of the report where they were asked for, behind the bundle; why one is not there.

        Raises:
            CutoverError: the same of a GO. Anything else stands without.
        """
        try:
            for path in copies:
                write_atomic(path, report)
        except CutoverError as exc:
            if self.is_go:
                raise
            return f"no copy of the report: {exc}"
        return None

    def name(self) -> None:
        """Give the bundle its name: from now on the folder says what was decided.

        Raises:
            CutoverError: it cannot be given.
        """
        if self.is_go:
            move_atomic(self.folder / UNFINISHED_FILE, self.folder / BUNDLE_FILE)

    def keep(self, bundle: bytes, signer: EnvelopeSigner, keeping: Keeping) -> str | None:
        """Put the evidence into its store, and give the bundle its name; what failed though the decision stands.

        Raises:
            NotKeptError: the store did not take it; a GO counts nowhere, or the message says where it may.
        """
        from pytest_cutover.store.keeping import keep_run  # many runs have no store
        from pytest_cutover.store.putting import read_set

        until = None if keeping.retain_for is None else datetime.now(UTC) + keeping.retain_for
        files = read_set(self.folder, bundle)
        about = (keeping.store, files, keeping.environment, signer, keeping.anchor)
        return keep_run(*about, self.name, until=until)

    def take_back(self, *copies: Path) -> None:
        """Remove a GO whose writing did not come to its end: it and the exit code must not differ.

        What is no GO stays until another takes its place: without it an older GO would count again. Of the `copies` of its
        report only what is one goes: nothing may have been written yet, and an earlier run's be there.
        """
        if not self.is_go:
            return
        for name in (UNFINISHED_FILE, BUNDLE_FILE, PROOF_FILE):
            _remove(self.folder / name)
        report = read_or_none(self.folder / REPORT_FILE)
        if report is None:
            return
        for path in (*(copy for copy in copies if read_or_none(copy) == report), self.folder / REPORT_FILE):
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
