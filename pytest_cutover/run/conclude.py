"""The end of a run: read the journal back, decide, sign, write. The same for both runners."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.decision import decide
from pytest_cutover.errors import CutoverError
from pytest_cutover.files import read_regular, write_atomic
from pytest_cutover.keys.signer import current, sign_logged
from pytest_cutover.model import Decision, ExitCode, Finding, Verdict
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.record import fold
from pytest_cutover.redact import Redactor
from pytest_cutover.run.ending import Ending, Keeping, Written
from pytest_cutover.run.gcpause import gc_paused
from pytest_cutover.run.guards import are_awaited, inject
from pytest_cutover.run.journal import Journal
from pytest_cutover.store.layout import PROOF_FILE, REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.model import RunRecord
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.run.context import RunContext


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a run came to. `sealed` is false when no evidence stands behind the decision."""

    decision: Decision
    record: RunRecord
    lines: Sequence[bytes]
    sealed: bool = False
    is_told: bool = True
    """Whether the journal says why; else no evidence can stand behind the decision."""
    kept: tuple[tuple[str, str], ...] = ()
    """Where else the evidence is, for people: `log` and `store`, and where there."""


def judge(context: RunContext) -> Conclusion:
    """Decide; when only guards are missing for a GO-WITH-GUARDS, put them in place and decide again."""
    concluded = _judge(context)
    why = _outdated(context, concluded.record)
    if why is not None:
        if _tell(context, Reason.CARRIED_OUTDATED, why) is not None:
            return unsealed(concluded, Reason.CARRIED_OUTDATED, why)
        concluded = _judge(context)
    if not are_awaited(concluded.decision):
        return concluded
    broken = inject(context, concluded.decision)
    if broken is not None:
        return unsealed(concluded, Reason.EVIDENCE_NOT_WRITTEN, broken)
    return _judge(context)


def _outdated(context: RunContext, record: RunRecord) -> str | None:
    """Why what is carried counts no more, if nothing has said so yet."""
    if context.opening is None or any(p.reason is Reason.CARRIED_OUTDATED for p in record.problems):
        return None
    from pytest_cutover.run.opening import outdated

    return outdated(context)


def _judge(context: RunContext) -> Conclusion:
    """Decide on the journal as it stands on disk; what cannot be read counts as not there."""
    try:
        data = read_regular(context.run_dir / "journal.jsonl")
    except OSError:
        data = b""
    lines = BytesIO(data).readlines()  # unlike splitlines() it leaves a carriage return inside of a line
    with gc_paused():
        record = fold(lines)
        return Conclusion(decide(record, context.policy, datetime.now(UTC), context.waivers), record, lines)


def seal(conclusion: Conclusion, context: RunContext, came: Sequence[str] = ()) -> Conclusion:
    """Write report and bundle, put it into log and store, and give the bundle its name last; what fails is NO-GO.

    `came`: signals that came so far. A GO during whose writing one came is taken back, and its NO-GO sealed in its place;
    one that comes while the evidence is stored comes too late. What the journal does not tell is not sealed.
    """
    if not conclusion.is_told:
        return conclusion
    try:
        return replace(conclusion, sealed=True, kept=_write(conclusion, context, came))
    except _NotTakenError as exc:
        take_back(conclusion, context)
        return seal(add_problem(context, exc.reason, str(exc)), exc.context, came)
    except CutoverError as exc:
        take_back(conclusion, context)
        return unsealed(conclusion, Reason.EVIDENCE_NOT_WRITTEN, str(exc), remedy=exc.hint)
    except KeyboardInterrupt as exc:
        take_back(conclusion, context)
        message = f"interrupted while the evidence was written ({exc})".removesuffix(" ()")
        return unsealed(conclusion, Reason.RUN_INTERRUPTED, message)
    except Exception as exc:  # whatever went wrong, a GO without evidence must not leave this function
        take_back(conclusion, context)
        return unsealed(conclusion, Reason.EVIDENCE_NOT_WRITTEN, f"{type(exc).__name__}: {exc}")


class _NotTakenError(Exception):
    """The decision is not to stand; `context` is what the one that says why has to be sealed with."""

    def __init__(self, reason: Reason, message: str, context: RunContext) -> None:
        super().__init__(message)
        self.reason = reason
        self.context = context


def _write(conclusion: Conclusion, context: RunContext, came: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Write the evidence, with a key that was active until the log had it, and keep it; where else it is."""
    logged = None
    if context.signer is None:
        written = _files(conclusion, context)
    else:
        written, logged = sign_logged(
            context.signer,
            lambda signer: _files(conclusion, replace(context, signer=signer)),
            lambda made: _log(context, made.bundle),
        )
    kept: tuple[tuple[str, str], ...] = ()
    if logged is not None and context.log is not None:
        kept = (("log", f"entry {logged} of {context.log.head.origin}"),)
    warned = () if written.warning is None else (("warning", written.warning),)
    _stop_if(came, conclusion.decision, context)
    if written.bundle is None or context.signer is None:
        return (*kept, *warned)
    ending = Ending(context.run_dir, conclusion.decision)
    if context.store is not None:
        stored = _keep(ending, context, context.store, context.signer, written.bundle)
        return (*kept, *stored, *warned)
    ending.name()
    _stop_if(came, conclusion.decision, context)
    return (*kept, *warned)


def _stop_if(came: Sequence[str], decision: Decision, context: RunContext) -> None:
    """Somebody who interrupts does not want a GO, as long as nobody else has it."""
    if came and decision.exit_code is ExitCode.GO:
        message = f"interrupted while the evidence was written ({came[0]})"
        raise _NotTakenError(Reason.RUN_INTERRUPTED, message, context)


def _files(conclusion: Conclusion, context: RunContext) -> Written:
    """Write report and bundle, and then the copy of the report."""
    from pytest_cutover.evidence.seal import seal as make

    sealed = make(
        events=conclusion.lines,
        record=conclusion.record,
        policy=context.policy,
        policy_envelope=context.policy_envelope,
        decision=conclusion.decision,
        signer=context.signer,
        waivers=context.waivers,
        opened=None if context.opening is None else context.opening.evidence,
    )
    with suppress(FileNotFoundError):
        (context.run_dir / PROOF_FILE).unlink()  # of the one before, where this one takes its place
    write_atomic(context.run_dir / REPORT_FILE, sealed.report)
    ending = Ending(context.run_dir, conclusion.decision)
    if sealed.bundle is not None:
        ending.write(sealed.bundle)
    return Written(sealed.bundle, ending.copy(sealed.report, _copies(conclusion, context)))


def _copies(conclusion: Conclusion, context: RunContext) -> list[Path]:
    """Where a copy of the report was asked for."""
    if context.report is None:
        return []
    return [context.rootdir / report_path(context.report, conclusion.decision.decided_at)]


def _log(context: RunContext, bundle: bytes | None) -> int | None:
    """Put the decision into its log, if it has one, and the proof beside it; the index.

    After the files, so that the log holds nothing that is nowhere; without its proof the bundle admits nothing.
    """
    if context.log is None or bundle is None:
        return None
    try:
        index, proof = context.log.prove(bundle)
        write_atomic(context.run_dir / PROOF_FILE, proof)
    except CutoverError as exc:
        raise _NotTakenError(Reason.LOG_UNAVAILABLE, str(exc), replace(context, log=None)) from exc
    return index


def _keep(
    ending: Ending, context: RunContext, store: ObjectStore, signer: Signer, bundle: bytes
) -> tuple[tuple[str, str], ...]:
    """Put the evidence into its store, and give the bundle its name: the end, as what the store keeps is not taken back.

    What the store does not take is NO-GO, sealed again and saying so.
    """
    from pytest_cutover.store.keeping import NotKeptError, NotWholeError

    keeping = Keeping(store, context.policy.environment, context.anchor, context.retain_for)
    try:
        warning = ending.keep(bundle, current(signer), keeping)
    except NotKeptError as exc:
        if isinstance(exc.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt(str(exc)) from exc
        without = context if isinstance(exc, NotWholeError) else replace(context, store=None)
        raise _NotTakenError(Reason.EVIDENCE_NOT_STORED, str(exc), without) from exc
    kept = ("store", store.where.removeprefix(f"{context.rootdir}/"))
    if warning is None:
        return (kept,)
    # Of a GO the store has all; of anything else perhaps nothing.
    return (kept, ("warning", warning)) if ending.is_go else (("warning", warning),)


def add_problem(context: RunContext, reason: Reason, message: str) -> Conclusion:
    """The conclusion after something went wrong behind the journal's end: it is told there, and all is judged again."""
    broken = _tell(context, reason, message)
    concluded = judge(context)
    return concluded if broken is None else unsealed(concluded, Reason.EVIDENCE_NOT_WRITTEN, broken)


def _tell(context: RunContext, reason: Reason, message: str) -> str | None:
    """Write a problem behind the journal's end; why that cannot be done, or None."""
    try:
        journal = Journal(context.run_dir / "journal.jsonl", resume=True)
    except CutoverError as exc:
        return str(exc)
    journal.problem(reason.code, Redactor(os.environ)(message)[:2000])
    journal.close()
    return journal.broken


def take_back(conclusion: Conclusion, context: RunContext) -> None:
    """Remove a GO whose writing did not come to its end, also where a copy of its report was asked for."""
    Ending(context.run_dir, conclusion.decision).take_back(*_copies(conclusion, context))


def unsealed(
    conclusion: Conclusion, reason: Reason, message: str, *, remedy: str | None = None
) -> Conclusion:
    """The conclusion when something broke after the decision: never better than NO-GO, and without evidence."""
    old = conclusion.decision
    red = any(f.weight is Weight.RED for f in old.findings)
    decision = replace(
        old,
        verdict=Verdict.NO_GO,
        exit_code=ExitCode.NO_GO if red else ExitCode.UNPROVEN,
        findings=(Finding(reason, message, remedy=remedy), *old.findings),
    )
    return replace(conclusion, decision=decision, sealed=False, is_told=False)


def report_path(pattern: str, at: datetime) -> Path:
    """`--report` with YYYYMMDD and HHMM replaced by the decision's UTC time (requirement A7)."""
    return Path(pattern.replace("YYYYMMDD", f"{at:%Y%m%d}").replace("HHMM", f"{at:%H%M}"))
