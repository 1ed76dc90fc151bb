"""Runs that no key signed: one begun, or decided, after a GO was, about the same, may be its taking back.

A run that is under way, was killed or lost its bundle has not said GO. Nothing here is signed, so nothing
here ever admits; it only refuses. Pure.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.report import is_fleet_report, read_report
from pytest_cutover.model import SignerKind, Verdict, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.model import Subject

_RUN_ID = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})([.][0-9]{3})?Z-[0-9a-f]+"
)
LONGEST_RUN = timedelta(days=1)
"""A run begun longer ago than this was decided before; policies end runs after 30 minutes by default."""

_GO = (Verdict.GO.value, Verdict.GO_WITH_GUARDS.value)


def begun_between(run_id: str | None) -> tuple[datetime, datetime] | None:
    """Between which instants a run with this name was begun; None when it is no run's name."""
    name = None if run_id is None else _RUN_ID.fullmatch(run_id)
    if name is None:
        return None
    try:
        at = parse_rfc3339("{}-{}-{}T{}:{}:{}{}Z".format(*name.groups(default="")))
        return at, at + (timedelta(seconds=1) if name[7] is None else timedelta(milliseconds=1))
    except (ValueError, OverflowError):  # the end of the last year there is
        return None


def taken_back(
    name: str,
    run_id: str | None,
    first: bytes | None,
    report: Callable[[], bytes | None],
    *,
    about: tuple[str, str, str],
    since: datetime,
) -> EvidenceProblem | None:
    """Why a run without a bundle refuses a GO decided at `since`; None when it does not.

    `first` is the first line of its journal, None when it has no journal; `about` is the environment, the
    digest's algorithm and the digest.
    """
    told = report() if first is None else None
    if first is None and told is None:
        return None  # the folder is no run's
    begun = _begun(first, told)
    if begun is not None and not begun.is_about(*about):
        return None
    if first is not None:
        told = report()  # only now: it may be large, and most runs are about something else
    started = _latest_start(begun, run_id)
    if started is not None and started < since and not _may_refuse_since(told, started, since):
        return None
    found = _unknown(first) if begun is None else _undecided(begun, told)
    return None if found is None else EvidenceProblem(*found, name)


class _Begun(NamedTuple):
    """What a run said when it began; a merge, what it was made of."""

    run_id: str
    environment: str
    signer: SignerKind
    subjects: tuple[Subject, ...]
    started_at: datetime

    def is_about(self, environment: str, algorithm: str, digest: str) -> bool:
        named = any(s.digest.get(algorithm) == digest for s in self.subjects)
        return self.environment == environment and named


class _Told(NamedTuple):
    """What a report says that no signature binds."""

    begun: _Begun | None
    verdict: object
    signed: bool


def _begun(first: bytes | None, report: bytes | None) -> _Begun | None:
    """What the journal says, where there is none the report; None when it does not say it."""
    if first is not None:
        return _head(first)
    try:
        return None if report is None else _told(report).begun
    except EvidenceError:
        return None


def _head(first: bytes) -> _Begun | None:
    """What the first line of a journal says of the run; None when it does not say it."""
    record = fold((first,))
    if any(p.reason is Reason.RUN_JOURNAL_DAMAGED for p in record.problems):
        return None
    return _Begun(record.run_id, record.environment, record.signer, record.subjects, record.started_at)


def _told(report: bytes) -> _Told:
    """What the report of a run, or of a merge, says.

    Raises:
        EvidenceError: it is neither.
    """
    if not is_fleet_report(report):
        run = read_report(report)
        begun = _head(run.journal[0]) if run.journal else None
        return _Told(begun, run.decision.get("verdict"), run.signed)
    from pytest_cutover.evidence.fleet import read_fleet_report  # few runs are merges

    merge = read_fleet_report(report)
    fleet, named = merge.fleet, begun_between(merge.fleet.run_id)
    begun = None
    if named is not None:
        begun = _Begun(fleet.run_id, fleet.environment, fleet.signer, fleet.subjects, named[1])
    return _Told(begun, merge.decision.get("verdict"), merge.signed)


def _latest_start(begun: _Begun | None, run_id: str | None) -> datetime | None:
    """When a run was begun at the latest; its folder's name counts where nothing else says it."""
    if begun is not None:
        return begun.started_at
    named = begun_between(run_id)
    return None if named is None else named[1]


def _may_refuse_since(report: bytes | None, begun: datetime, since: datetime) -> bool:
    """Whether a run that began before that time decided after it, and not for a GO; one that never decided does not."""
    if report is None:
        return False
    try:
        decision = strictjson.loads(report)["decision"]  # of a run, or of a merge
        return decision["verdict"] not in _GO and parse_rfc3339(decision["decided_at"]) >= since
    except (ValueError, TypeError, KeyError, AttributeError):
        return begun + LONGEST_RUN >= since


def _unknown(first: bytes | None) -> tuple[ProblemCode, str]:
    where = (
        "its report does not say, and it has no journal" if first is None else "its journal cannot be read"
    )
    return ProblemCode.EVIDENCE_DOUBTFUL, f"it could be a newer run about the same: {where}"


def _undecided(begun: _Begun, report: bytes | None) -> tuple[ProblemCode, str] | None:
    began = f"run {begun.run_id}, begun at {rfc3339(begun.started_at)},"
    if report is None:
        message = f"{began} has not decided: it is under way, or was killed"
        return ProblemCode.EVIDENCE_UNDECIDED, message
    try:
        told = _told(report)
    except EvidenceError as exc:
        return ProblemCode.EVIDENCE_DOUBTFUL, f"{began} may be newer, and its report cannot be read: {exc}"
    if told.verdict not in _GO:
        message = f"{began} came to {str(told.verdict)[:20]} later; it is not signed, or no longer"
        return ProblemCode.EVIDENCE_UNSIGNED_NO_GO, message
    if begun.signer is not SignerKind.NONE or told.signed or told.begun != begun:
        message = f"{began} came to an end later and its bundle is not there: it was killed while it signed, or lost its bundle"
        return ProblemCode.EVIDENCE_UNDECIDED, message
    return None
