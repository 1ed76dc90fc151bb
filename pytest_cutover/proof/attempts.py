"""The attempts of `cutover prove-red`: one truthful run of the gates, then one for each kind of adverse reading.

Each is a supervised child with a journal of its own below `var/cutover/proofs`, marked before the child starts: nothing
is decided about it, sealed or signed, and whoever folds its journal finds `run.prove-red`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.files import read_regular
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold
from pytest_cutover.run.begin import Begun, begin
from pytest_cutover.run.context import new_run_id
from pytest_cutover.run.supervisor import Child
from pytest_cutover.sources.adverse import KINDS
from pytest_cutover.sources.remembered import READS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_cutover.model import Decision, GateInfo
    from pytest_cutover.run.context import RunContext
    from pytest_cutover.run.handed import Handed

PROOFS = "var/cutover/proofs"
TRUTHFUL = "truthful"

_ALONE = ("--cutover-side-by-side", "0")
"""One gate after the other: whose reading it is shows in which one runs."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the engine judged of one attempt. `kind` is None for the truthful one."""

    kind: str | None
    decision: Decision
    collected: tuple[GateInfo, ...]


class Attempts:
    """Runs attempts; `close` ends the sandbox service and removes what gates have read."""

    def __init__(
        self, context: RunContext, gates: Sequence[str], arguments: Sequence[str], say: Callable[[str], None]
    ) -> None:
        now = datetime.now(UTC)
        self.folder = context.rootdir / PROOFS / new_run_id(now)
        self._context = replace(context, signer=None, report=None, waivers=(), unusable_waivers=())
        self._gates = list(gates)
        self._arguments = [*arguments, *_ALONE]
        self._say = say
        self._first: Begun | None = None

    def run(self, kind: str | None, done: Sequence[str], *, again: bool = False) -> Attempt:
        """One attempt, without the gates whose node ids are in `done`; `again`: with readings taken anew.

        Raises:
            KeyboardInterrupt: a signal told this process to stop.
            AdapterError: its folder cannot be written, or pytest or the sandbox service does not start.
        """
        name = f"{kind or TRUTHFUL}{'-again' if again else ''}"
        folder = self.folder / name
        targets = self._context.targets if self._first is None else self._first.targets
        context = replace(self._context, run_dir=folder, run_id=f"{self.folder.name}-{name}", targets=targets)
        begun = begin(context)
        if self._first is None:
            self._first = begun
            self.folder.chmod(0o700)  # what gates read and print is for whoever runs them
        asked = {
            "folder": str(self.folder / TRUTHFUL),
            "kind": kind,
            "again": again,
            "gates": self._gates,
            "done": list(done),
        }
        begun.journal.problem(Reason.RUN_PROVE_RED.code, KINDS.get(kind or "", "the truthful attempt"))
        begun.journal.close()
        begun.journal.require_whole()
        with (folder / "output.txt").open("wb") as output:
            say = self._say if kind is None else _nothing
            events = Child(context, _Proving(begun, asked), self._arguments, say, output).wait()
        if any(fields.get("code") == Reason.RUN_INTERRUPTED.code for _, fields in events):
            raise KeyboardInterrupt  # the child had it first: without this the next attempt would begin
        data = b""  # a journal that somebody removed is one of a run in which nothing happened
        with suppress(OSError):
            data = read_regular(folder / "journal.jsonl")
        record = fold(BytesIO(data).readlines())
        return Attempt(kind, decide(record, context.policy, datetime.now(UTC)), record.collected)

    def reads(self) -> Mapping[str, Mapping[str, int]]:
        """How often each gate of the truthful attempt, by node id, asked each source."""
        counts: dict[str, dict[str, int]] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            for line in (self.folder / TRUTHFUL / READS).read_text(encoding="utf-8").splitlines():
                read = json.loads(line)
                mine = counts.setdefault(str(read["gate"]), {})
                mine[str(read["source"])] = mine.get(str(read["source"]), 0) + 1
        return counts

    def close(self) -> None:
        """End the service; answers may hold secrets, so they do not stay."""
        if self._first is not None:
            self._first.stop()
        for path in self.folder.glob(f"{TRUTHFUL}/readings-*.pickle"):
            with suppress(OSError):
                path.unlink()


class _Proving(Begun):
    """A run that hands its child what is to be distorted."""

    def __init__(self, begun: Begun, asked: Mapping[str, Any]) -> None:
        super().__init__(begun.context, begun.journal)
        self.targets = begun.targets
        self._asked = asked

    def handed(self) -> Handed:
        return replace(super().handed(), prove_red=self._asked)


def _nothing(text: str) -> None:
    """What the truthful attempt has said need not be said again."""
