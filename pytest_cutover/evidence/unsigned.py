"""Runs that no key signed: one begun, or decided, after a GO was, about the same, may be its taking back.

A run that is under way, was killed or lost its bundle has not said GO. Nothing here is signed, so nothing
here ever admits; it only refuses. Pure.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.report import read_report
from pytest_cutover.model import SignerKind, Verdict, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.model import RunRecord

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
    if first is None and report() is None:
        return None  # the folder is no run's
    head = None if first is None else _head(first)
    if head is None:
        named = begun_between(run_id)
        older = named is not None and named[1] < since and not _may_refuse_since(report(), named[1], since)
        message = "it could be a newer run about the same, and the beginning of its journal cannot be read"
        return None if older else EvidenceProblem(ProblemCode.EVIDENCE_DOUBTFUL, message, name)
    environment, algorithm, digest = about
    fits = head.environment == environment and any(s.digest.get(algorithm) == digest for s in head.subjects)
    if not fits:
        return None
    told = report()
    if head.started_at < since and not _may_refuse_since(told, head.started_at, since):
        return None
    found = _undecided(head, told)
    return None if found is None else EvidenceProblem(*found, name)


def _head(first: bytes) -> RunRecord | None:
    """What the first line says of the run; None when it does not say it."""
    record = fold((first,))
    return None if any(p.reason is Reason.RUN_JOURNAL_DAMAGED for p in record.problems) else record


def _may_refuse_since(report: bytes | None, begun: datetime, since: datetime) -> bool:
    """Whether a run that began before that time decided after it, and not for a GO; one that never decided does not."""
    if report is None:
        return False
    try:
        decision = strictjson.loads(report)["decision"]  # of a run, or of a merge
        return decision["verdict"] not in _GO and parse_rfc3339(decision["decided_at"]) >= since
    except (ValueError, TypeError, KeyError, AttributeError):
        return begun + LONGEST_RUN >= since


def _undecided(head: RunRecord, report: bytes | None) -> tuple[ProblemCode, str] | None:
    began = f"run {head.run_id}, begun at {rfc3339(head.started_at)},"
    if report is None:
        message = f"{began} has not decided: it is under way, or was killed"
        return ProblemCode.EVIDENCE_UNDECIDED, message
    try:
        read = read_report(report)
    except EvidenceError as exc:
        return ProblemCode.EVIDENCE_DOUBTFUL, f"{began} may be newer, and its report cannot be read: {exc}"
    verdict = read.decision.get("verdict")
    if verdict not in _GO:
        message = f"{began} came to {str(verdict)[:20]} later; it is not signed, or no longer"
        return ProblemCode.EVIDENCE_UNSIGNED_NO_GO, message
    if head.signer is not SignerKind.NONE or read.signed or read.run.get("run_id") != head.run_id:
        message = f"{began} came to an end later and its bundle is not there: it was killed while it signed, or lost its bundle"
        return ProblemCode.EVIDENCE_UNDECIDED, message
    return None
