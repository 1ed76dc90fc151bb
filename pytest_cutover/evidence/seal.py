"""Sealing a run: the report, and the signed bundle that binds it.

Bundle, JSON Lines, each line an envelope in canonical form and a newline:
the signed policy if there is one, the waivers that were given, test result, gate evidence, decision, and
last the manifest of all of them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from pytest_cutover.evidence import statements
from pytest_cutover.evidence.envelope import (
    STATEMENT_TYPE,
    format_envelope,
    read_foreign_envelope,
    sign_envelope,
)
from pytest_cutover.evidence.report import build_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.evidence.opened import OpenedEvidence
    from pytest_cutover.model import Decision, EffectivePolicy, RunRecord
    from pytest_cutover.waiver import GivenWaiver

REPORT_FILE = "report.json"
BUNDLE_FILE = "bundle.intoto.jsonl"
UNFINISHED_FILE = f"{BUNDLE_FILE}.unfinished"
"""The bundle until log and store have it: it counts for nothing, and is what a run that was killed by then leaves."""


class Sealed(NamedTuple):
    """What goes to disk. `bundle` is None when there was no key; the report then says `"signed": false`."""

    report: bytes
    bundle: bytes | None


def seal(
    *,
    events: Sequence[bytes],
    record: RunRecord,
    policy: EffectivePolicy,
    policy_envelope: bytes | None,
    decision: Decision,
    signer: EnvelopeSigner | None,
    waivers: Sequence[GivenWaiver] = (),
    opened: OpenedEvidence | None = None,
) -> Sealed:
    """The report over the journal `events`, and the bundle that signs it.

    The report holds the evidence of the run that was `opened`, so that one cannot be kept without the other.

    The policy's envelope is kept in canonical form: same payload, same signatures, and what surrounds
    them, which no signature covers, written anew.

    Raises:
        EvidenceError: `policy_envelope` is not an envelope.
    """
    report = build_report(
        events, record, policy, decision, signed=signer is not None, waivers=waivers, opened=opened
    )
    if signer is None:
        return Sealed(report, None)
    digest = hashlib.sha256(report).hexdigest()
    lines = [] if policy_envelope is None else [format_envelope(read_foreign_envelope(policy_envelope))]
    given = [w.envelope for w in waivers]
    lines += given
    for build in (statements.run_result, statements.gate_evidence):
        lines.append(sign_envelope(build(record, policy, decision, digest), STATEMENT_TYPE, signer))
    summary = statements.decision_summary(record, policy, decision, digest, lines)
    lines.append(sign_envelope(summary, STATEMENT_TYPE, signer))
    lines.append(
        sign_envelope(statements.manifest(record, policy, digest, lines, given), STATEMENT_TYPE, signer)
    )
    return Sealed(report, b"".join(line + b"\n" for line in lines))
