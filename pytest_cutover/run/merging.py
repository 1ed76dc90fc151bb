"""The end of a merge: decide about the fleet, sign, write, log and store; what fails is NO-GO, as at the end of a run."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.errors import CutoverError
from pytest_cutover.evidence.fleet import seal_fleet
from pytest_cutover.evidence.seal import REPORT_FILE
from pytest_cutover.files import write_atomic
from pytest_cutover.fleet import decide_fleet
from pytest_cutover.keys.signer import sign_logged
from pytest_cutover.model import Problem
from pytest_cutover.reasons import Reason
from pytest_cutover.redact import Redactor
from pytest_cutover.run.deferred import deferred
from pytest_cutover.run.ending import Ending, Written
from pytest_cutover.store.layout import PROOF_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.fleet import FleetRecord
    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.model import Decision, EffectivePolicy
    from pytest_cutover.run.ending import Keeping
    from pytest_cutover.run.logged import RunLog


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge decides about, and with what, and where to, it writes that."""

    fleet: FleetRecord
    policy: EffectivePolicy
    policy_envelope: bytes | None
    folder: Path
    copies: Sequence[Path]
    """Where else its report goes."""

    signer: Signer | None
    log: RunLog | None
    keeping: Keeping | None

    def decide(self) -> Decision:
        """What the fleet comes to now: shards grow old while a thousand others are verified."""
        return decide_fleet(self.fleet, self.policy, datetime.now(UTC))

    def told(self, reason: Reason, message: str) -> Merge:
        """The same, of which something went wrong."""
        problem = Problem(reason, Redactor(os.environ)(message)[:2000])
        problems = tuple(dict.fromkeys((*self.fleet.problems, problem)))
        return replace(self, fleet=replace(self.fleet, problems=problems))


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to."""

    fleet: FleetRecord
    decision: Decision
    folder: Path | None
    """None: no evidence stands behind the decision."""

    signer: Signer | None = None
    """The key that signed it."""

    warnings: tuple[str, ...] = ()
    """What failed when the evidence was stored, or copied, though the decision stands."""


class _NotTakenError(Exception):
    """The decision is not to stand; `instead` is the merge that says why."""

    def __init__(self, instead: Merge) -> None:
        super().__init__()
        self.instead = instead


def conclude(merge: Merge) -> Merged:
    """Decide, write report and bundle, put it into log and store, and give the bundle its name last.

    A GO during whose writing something fails, or a first Ctrl-C comes, is taken back, and a NO-GO that says why is sealed in
    its place; Ctrl-C comes too late once the evidence is stored. Any other decision is not stopped.
    """
    with deferred(signal.SIGINT) as came:
        return _seal(merge, came)


def _seal(merge: Merge, came: Sequence[str]) -> Merged:
    ending = Ending(merge.folder, merge.decide())
    try:
        return _write(merge, ending, came)
    except _NotTakenError as exc:
        ending.take_back(*merge.copies)
        return _seal(exc.instead, came)
    except KeyboardInterrupt as exc:
        ending.take_back(*merge.copies)
        message = f"interrupted while the evidence was written ({exc})".removesuffix(" ()")
        return _unsealed(merge.told(Reason.RUN_INTERRUPTED, message))
    except Exception as exc:  # whatever went wrong, a GO without evidence must not leave this function
        ending.take_back(*merge.copies)
        again = merge.told(Reason.EVIDENCE_NOT_WRITTEN, _words(exc))
        return _seal(again, came) if ending.is_go else _unsealed(again)


def _unsealed(merge: Merge) -> Merged:
    return Merged(merge.fleet, merge.decide(), None)


def _words(exc: Exception) -> str:
    if not isinstance(exc, CutoverError):
        return f"{type(exc).__name__}: {exc}"
    return f"{exc}; {exc.hint}" if exc.hint else str(exc)


def _write(merge: Merge, ending: Ending, came: Sequence[str]) -> Merged:
    """Write the evidence, with a key that was active until the log had it, and keep it."""
    if merge.signer is None:
        written = _files(merge, ending, None)
        _stop_if(came, ending, merge)
        return Merged(merge.fleet, ending.decision, merge.folder, warnings=_said(written.warning))
    (signer, written), proof = sign_logged(
        merge.signer,
        lambda key: (key, _files(merge, ending, key)),
        lambda made: _log(merge, made[1].bundle or b""),
    )
    if proof is not None:
        write_atomic(merge.folder / PROOF_FILE, proof)
    _stop_if(came, ending, merge)
    warning = None
    if merge.keeping is not None:
        warning = _keep(merge, ending, merge.keeping, signer, written.bundle or b"")
    else:
        ending.name()
        _stop_if(came, ending, merge)
    return Merged(merge.fleet, ending.decision, merge.folder, signer, _said(warning, written.warning))


def _said(*warnings: str | None) -> tuple[str, ...]:
    return tuple(warning for warning in warnings if warning is not None)


def _stop_if(came: Sequence[str], ending: Ending, merge: Merge) -> None:
    """Somebody who interrupts does not want a GO, as long as nobody else has it."""
    if came and ending.is_go:
        message = f"interrupted while the evidence was written ({came[0]})"
        raise _NotTakenError(merge.told(Reason.RUN_INTERRUPTED, message))


def _files(merge: Merge, ending: Ending, signer: Signer | None) -> Written:
    """Write report and bundle, and then the copies of the report."""
    sealed = seal_fleet(
        merge.fleet, merge.policy, ending.decision, policy_envelope=merge.policy_envelope, signer=signer
    )
    write_atomic(merge.folder / REPORT_FILE, sealed.report)
    if sealed.bundle is not None:
        ending.write(sealed.bundle)
    return Written(sealed.bundle, ending.copy(sealed.report, merge.copies))


def _log(merge: Merge, bundle: bytes) -> bytes | None:
    """Put the decision into its log, if it has one; the proof.

    After the files, so that the log holds nothing that is nowhere; without its proof the bundle admits nothing.
    """
    if merge.log is None:
        return None
    try:
        return merge.log.prove(bundle)[1]
    except CutoverError as exc:
        raise _NotTakenError(replace(merge.told(Reason.LOG_UNAVAILABLE, _words(exc)), log=None)) from exc


def _keep(merge: Merge, ending: Ending, keeping: Keeping, signer: Signer, bundle: bytes) -> str | None:
    """Put the evidence into its store, and give the bundle its name; what failed though the decision stands."""
    from pytest_cutover.store.keeping import NotKeptError

    try:
        return ending.keep(bundle, signer, keeping)
    except NotKeptError as exc:
        if isinstance(exc.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt(str(exc)) from exc
        told = merge.told(Reason.EVIDENCE_NOT_STORED, _words(exc))
        raise _NotTakenError(replace(told, keeping=None)) from exc
