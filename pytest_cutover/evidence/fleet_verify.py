"""Is the evidence of a merge whole, signed, and does its verdict follow from the shards' signed decisions?

The decision of every shard stands in the fleet's report as it was signed; its signature is checked here again.
**Not verified without the shards' own bundles** (`verify_shards`): that those decisions follow from their journals.
Whoever merged has verified that, and signed so.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pytest_cutover import strictjson
from pytest_cutover.errors import VerificationError
from pytest_cutover.evidence import statements
from pytest_cutover.evidence.claims import read_decision, read_statement
from pytest_cutover.evidence.envelope import read_envelope, verify_strict
from pytest_cutover.evidence.fleet import (
    FleetReport,
    FleetStatements,
    fleet_summary,
    read_fleet_report,
    shard_evidence,
)
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.verify import ROLE, Verification, Verifier, told
from pytest_cutover.fleet import decide_fleet
from pytest_cutover.model import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.fleet import ShardEvidence
    from pytest_cutover.keys.trust import Anchor


class FleetVerifier(Verifier):
    """One verification of a merge's bundle and report."""

    predicates = statements.FLEET_PREDICATES

    def verify(self, bundle: bytes, report: bytes | None) -> Verification:
        raws, policy, claims = self.signed(bundle)
        for line in self.waivers:
            self.problem(ProblemCode.STATEMENT_UNKNOWN, "a merge is given no waivers of its own", line.where)
        parsed = self.fleet_report(report, claims)
        if claims is not None and parsed is not None:
            self.policy(policy, parsed, claims)
            for shard in parsed.fleet.shards:
                self.shard(shard, claims.decided_at)
            self.follows(claims, parsed, raws)
        self.in_force(claims, None if parsed is None else parsed.policy)
        return Verification(
            tuple(self.problems), claims, tuple(self.signers.values()), None, None, self.anchor, parsed
        )

    def rests_on(self, claims: DecisionClaims, own: list[str]) -> bool:
        """Its own lines first; the shards' decisions after them are compared with the report (`follows`)."""
        return list(claims.inputs)[: len(own)] == own

    def fleet_report(self, data: bytes | None, claims: DecisionClaims | None) -> FleetReport | None:
        """The report, when it is the one that a trusted key signed."""
        if data is None or not self.is_the_signed(data, claims):
            return None
        try:
            parsed = read_fleet_report(data)
            summary = strictjson.loads(statements.encode(fleet_summary(parsed.fleet)))
        except Exception as exc:  # what others signed may hold anything, and is no reason for a traceback
            self.problem(ProblemCode.REPORT_MALFORMED, told(exc))
            return None
        if summary != parsed.summary:
            self.problem(ProblemCode.REPORT_DISAGREES, "its summary is not that of its shards")
        if not parsed.signed:
            self.problem(ProblemCode.REPORT_DISAGREES, "it calls itself unsigned")
        return parsed

    def shard(self, shard: ShardEvidence, merged_at: datetime) -> None:
        """The signature of a shard's decision, by a key that could decide for its environment then, and still when merged."""
        if shard.envelope is None:
            return
        where = f"shard {shard.name}"
        envelope = read_envelope(shard.envelope)
        try:
            signers = verify_strict(envelope, self.anchor.keys)
        except VerificationError as exc:
            self.problem(ProblemCode.FLEET_SIGNATURE, str(exc), where)
            return
        shortfall = self.anchor.shortfall(ROLE, signers)
        if shortfall is not None:
            self.problem(ProblemCode.FLEET_SIGNATURE, shortfall, where)
        claims = read_decision(read_statement(envelope.payload))
        for key in signers:
            refused = self.refused(key, claims)
            if refused is not None:
                self.problem(ProblemCode.FLEET_SIGNATURE, refused[1], where)
            elif not key.is_valid_at(merged_at):
                message = f"key {key.name!r} was not valid any more at {rfc3339(merged_at)}"
                self.problem(ProblemCode.FLEET_SIGNATURE, message, where)

    def follows(self, claims: DecisionClaims, report: FleetReport, raws: Sequence[bytes]) -> None:
        """Decide again from the shards' decisions, build every statement again, and compare."""
        try:
            again = decide_fleet(report.fleet, report.policy, claims.decided_at)
            self.verdicts(claims, report, again)
            build = FleetStatements(report.fleet, report.policy, again, claims.report_digest)
            built = {
                statements.FLEET_EVIDENCE: build.evidence(),
                statements.DECISION: build.decision(list(raws[:-2])),
                statements.MANIFEST: build.manifest(list(raws[:-1])),
            }
            self.compare_all(built)
        except Exception as exc:  # as for a run: total functions on what others wrote; never a traceback
            self.problem(ProblemCode.REPORT_MALFORMED, f"it cannot be decided again: {told(exc)}")


def verify_shards(
    merge: Verification, given: Iterable[tuple[str, bytes | None, bytes | None]], anchor: Anchor
) -> list[EvidenceProblem]:
    """What is wrong with the shards' own evidence (name, bundle, report), beside what the merge took from it.

    Every shard whose evidence was merged has to be given, byte for byte as it was, and verify. Where a log holds the
    merge, which names their bundles, they were signed before that.

    Raises:
        ValueError: it is not the verification of a merge.
    """
    if merge.fleet is None:
        raise ValueError("expected the verification of a merge, got that of a run")
    at = None if merge.decision is None else merge.decision.decided_at
    merged = {s.bundle_digest: s for s in merge.fleet.fleet.shards if s.bundle_digest is not None}
    seen: set[str] = set()
    out = []
    for name, bundle, own_report in given:
        digest = None if bundle is None else hashlib.sha256(bundle).hexdigest()
        shard = None if digest is None else merged.get(digest)
        if digest is None or shard is None:
            out.append(EvidenceProblem(ProblemCode.FLEET_SHARD, "it is not among what was merged", name))
            continue
        seen.add(digest)
        found = shard_evidence(shard.source, bundle, own_report, anchor, at=at, position=merge.position)
        if found != shard:
            why = ", ".join(found.problems) or "its decision, or how long it is fresh, is another"
            message = f"the merge took something else from it: {why}"
            out.append(EvidenceProblem(ProblemCode.FLEET_SHARD, message, name))
    for digest, shard in merged.items():
        if digest not in seen:
            message = f"shard {shard.name} was merged, and its bundle (SHA-256 {digest[:16]}…) was not given"
            out.append(EvidenceProblem(ProblemCode.FLEET_SHARD, message, shard.source))
    return out
