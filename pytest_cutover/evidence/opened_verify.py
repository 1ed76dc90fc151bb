"""Does what a run carries come from a run that verifies, was made for the same, and says it in the same words?

The evidence of the run that was opened is part of the report, so nothing else has to be at hand.

**Not verified:** that no newer run lay beside it when it was opened.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.opened import MAX_CHAIN, MadeFor, OpenedEvidence, altered, troubled, unfit
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.report import chain_length
from pytest_cutover.evidence.verify import Verification, Verifier
from pytest_cutover.model import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.evidence.report import Report
    from pytest_cutover.keys.position import Position
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import Opened, RunRecord


def opened_problems(
    anchor: Anchor,
    claims: DecisionClaims,
    report: Report,
    record: RunRecord,
    position: Position | None = None,
) -> Iterator[EvidenceProblem]:
    """What is wrong with what a run carries; `claims`, `report`, `record` and `position` are that run's own."""
    told, evidence = record.opened, report.opened
    if told is None or evidence is None:
        message = "the journal and the report do not agree on whether a run was opened"
        yield EvidenceProblem(ProblemCode.OPENED_MISSING, message)
        return
    where = f"opened run {ascii(told.run_id)[1:-1][:60]}"
    for code, message in _problems(anchor, claims, report, record, told, evidence, position):
        yield EvidenceProblem(code, message, where)


def _problems(
    anchor: Anchor,
    claims: DecisionClaims,
    report: Report,
    record: RunRecord,
    told: Opened,
    evidence: OpenedEvidence,
    position: Position | None,
) -> Iterator[tuple[ProblemCode, str]]:
    digests = [hashlib.sha256(data).hexdigest() for data in (evidence.report, evidence.bundle)]
    if digests != [told.report_digest, told.bundle_digest]:
        yield ProblemCode.OPENED_DISAGREES, "the report holds the evidence of another run"
    if chain_length(evidence.report) >= MAX_CHAIN:
        yield ProblemCode.OPENED_UNFIT, f"more than {MAX_CHAIN} runs were opened in a row"
        return
    # The log holds it within the run's own evidence, so it was signed before that was logged.
    found = Verifier(anchor, None, position).verify(evidence.bundle, evidence.report)
    for problem in found.problems:
        yield ProblemCode.OPENED_INVALID, f"{problem.code.code}: {problem.message}"
    for key in found.signers:
        # A retired key that was stolen can sign an old date, so it must have been valid when the gates were carried.
        if not key.is_valid_at(claims.decided_at):
            message = f"key {key.name!r} was not valid any more at {rfc3339(claims.decided_at)}"
            yield ProblemCode.OPENED_INVALID, message
    yield from _disagreement(report, record, told, found)


def _disagreement(
    report: Report, record: RunRecord, told: Opened, found: Verification
) -> Iterator[tuple[ProblemCode, str]]:
    opened, decision = found.record, found.decision
    if opened is None or found.report is None or decision is None:
        return  # it does not verify
    if (told.run_id, told.nonce) != (opened.run_id, opened.nonce):
        yield ProblemCode.OPENED_DISAGREES, f"it is run {ascii(opened.run_id)[1:-1][:60]}"
    why = unfit(opened, MadeFor.of(record)) or troubled(decision.findings)
    if why is not None:
        yield ProblemCode.OPENED_UNFIT, ascii(why)[1:-1]
    if decision.decided_at > record.started_at:
        yield ProblemCode.OPENED_UNFIT, "it was decided after this run had begun"
    try:
        for nodeid in altered(report.journal, found.report.journal):
            message = f"{ascii(nodeid)[1:-1][:120]} is carried with another line than it has there"
            yield ProblemCode.OPENED_DISAGREES, message
    except EvidenceError as exc:
        yield ProblemCode.OPENED_DISAGREES, str(exc)
