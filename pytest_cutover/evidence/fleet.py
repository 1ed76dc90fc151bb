"""Evidence of a merge: what is taken from each shard's evidence, the fleet's report, and the bundle that signs it.

The report holds every shard's signed decision as it was, so that who verifies the fleet checks those signatures
again and decides again from them. The shards' own reports are bound by digest and stay where they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.decision import decide
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence import statements
from pytest_cutover.evidence.claims import read_decision, read_statement
from pytest_cutover.evidence.envelope import (
    STATEMENT_TYPE,
    envelope_digest,
    format_envelope,
    read_envelope,
    read_foreign_envelope,
    sign_envelope,
)
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.evidence.report import FLEET_KIND, FORMAT, by_line, is_fleet_report, policy_of
from pytest_cutover.evidence.seal import Sealed
from pytest_cutover.evidence.statements import encode
from pytest_cutover.evidence.verify import Verification, verify_bundle
from pytest_cutover.fleet import TOLD, FleetRecord, ShardDecision, ShardEvidence
from pytest_cutover.model import ExitCode, Problem, SignerKind, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.keys.position import LogPosition
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import Decision, EffectivePolicy

_NAMES = ("format", "kind", "signed", "fleet", "policy", "decision", "shards")
_NAMES_WITH_PROBLEMS = (*_NAMES[:-1], "problems", "shards")
_FLEET_NAMES = (
    *("run_id", "nonce", "plan", "environment", "sandbox", "signer", "policy_digest", "versions"),
    *("merged", "runner", "subjects"),
)
_PROBLEM_NAMES = ("reason", "message")
_SHARD_NAMES = ("source", "shard", "verdict", "bundle", "problems", "fresh_until", "decision")


# -- from a shard's evidence -------------------------------------------------------------------


def shard_evidence(
    source: str,
    bundle: bytes | None,
    report: bytes | None,
    anchor: Anchor,
    *,
    at: datetime | None = None,
    position: LogPosition | None = None,
) -> ShardEvidence:
    """What a merge takes from one run: its signed decision, if all of its evidence verifies.

    `at` is when it is merged: the keys have to be valid then, too, as an ended one that was stolen can sign an old
    date. `position` is where a log holds the merge, when that is what is verified.
    """
    if bundle is None:
        missing = ProblemCode.EVIDENCE_NONE if report is None else ProblemCode.BUNDLE_MISSING
        return ShardEvidence(source, None, (missing.code,))
    digest = hashlib.sha256(bundle).hexdigest()
    found = verify_bundle(bundle, report, anchor, position=position)
    codes = tuple(dict.fromkeys(p.code.code for p in found.problems))
    if at is not None and not all(key.is_valid_at(at) for key in found.signers):
        codes = (*codes, ProblemCode.SIGNATURE_EXPIRED.code)
    if codes or found.decision is None:
        return ShardEvidence(source, digest, codes or (ProblemCode.STATEMENT_MISSING.code,))
    line = _decision_line(bundle)
    if found.fleet is not None or line is None:  # a fleet is no shard of another
        return ShardEvidence(source, digest, (ProblemCode.FLEET_SHARD.code,))
    return ShardEvidence(source, digest, (), shard_decision(found.decision), line, _fresh_until(found))


def shard_decision(claims: DecisionClaims) -> ShardDecision:
    """A signed decision as the fleet is decided by it."""
    return ShardDecision(
        shard=claims.shard,
        verdict=claims.verdict if claims.shard_verdict is None else claims.shard_verdict,
        run_id=claims.run_id,
        nonce=claims.nonce,
        plan=claims.plan,
        environment=claims.environment,
        sandbox=claims.sandbox,
        runner=claims.runner,
        policy_digest=claims.policy_digest,
        subjects=tuple(s for s in claims.subjects if s.digest.get("sha256") != claims.report_digest),
        decided_at=claims.decided_at,
        expires_at=claims.expires_at,
        is_red=claims.exit_code is ExitCode.NO_GO,
        waivers=claims.waivers,
        guards=claims.guards,
    )


def _decision_line(bundle: bytes) -> bytes | None:
    """The line of a verified bundle that holds the decision: the last but one."""
    *_, line, _ = bundle.removesuffix(b"\n").split(b"\n")
    statement = read_statement(read_envelope(line).payload)
    return line if statement.predicate_type == statements.DECISION else None


def _fresh_until(found: Verification) -> datetime | None:
    """When the first of the judged measurements is older than the policy allows; None when there is none."""
    if found.report is None or found.record is None or found.decision is None:
        return None
    policy = found.report.policy
    ends = [
        j.measurement.observed_at
        + timedelta(seconds=policy.max_age_s if j.limit.max_age_s is None else j.limit.max_age_s)
        for gate in decide(found.record, policy, found.decision.decided_at).gates
        for j in gate.measurements
        if j.limit is not None
    ]
    return min(ends, default=None)


# -- the fleet's statements ---------------------------------------------------------------------


def _fleet_evidence(fleet: FleetRecord, policy: EffectivePolicy, report_digest: str) -> bytes:
    """Our own predicate: which shards were required, and what each that was merged came to."""
    shards = policy.shards
    predicate = {
        "run_id": fleet.run_id,
        "nonce": fleet.nonce,
        "plan": policy.plan,
        "environment": policy.environment,
        "sandbox": statements.is_sandbox(fleet, policy),
        "expected": list(shards) if isinstance(shards, tuple) else shards,
        "versions": statements.texts(fleet.versions),
        "shards": [_shard_statement(s) for s in fleet.shards],
    }
    return statements.statement(fleet, report_digest, statements.FLEET_EVIDENCE, encode(predicate))


def _shard_statement(shard: ShardEvidence) -> dict[str, Any]:
    out: dict[str, Any] = {
        "source": shard.source,
        "bundle": None if shard.bundle_digest is None else {"sha256": shard.bundle_digest},
        "problems": list(shard.problems),
    }
    decision = shard.decision
    if decision is None or shard.envelope is None:
        return out
    return out | {
        "shard": decision.shard,
        "verdict": decision.verdict.value,
        "run_id": decision.run_id,
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
        "fresh_until": None if shard.fresh_until is None else rfc3339(shard.fresh_until),
        "decision": {"sha256": envelope_digest(shard.envelope)},
    }


@dataclass(frozen=True, slots=True)
class FleetStatements:
    """Builds each statement of a merge; a decision needs the lines before it, a manifest all of them."""

    fleet: FleetRecord
    policy: EffectivePolicy
    of: Decision
    report_digest: str

    def evidence(self) -> bytes:
        return _fleet_evidence(self.fleet, self.policy, self.report_digest)

    def decision(self, own: list[bytes]) -> bytes:
        """The summary over the bundle's own lines and every shard's decision."""
        inputs = [*own, *(s.envelope for s in self.fleet.shards if s.envelope is not None)]
        return statements.decision_summary(
            self.fleet, self.policy, self.of, self.report_digest, inputs, self._accepted()
        )

    def manifest(self, lines: list[bytes]) -> bytes:
        return statements.manifest(self.fleet, self.policy, self.report_digest, lines)

    def _accepted(self) -> dict[str, Any]:
        """Waivers that count in any shard, each once, and the guards they ask for."""
        waivers: dict[str, Mapping[str, Any]] = {}
        guards: dict[str, Mapping[str, Any]] = {}
        for decision in self.fleet.decisions:
            waivers.update((encode(w).decode(), w) for w in decision.waivers)
            guards.update((encode(g).decode(), g) for g in decision.guards)
        return {"waivers": list(waivers.values()), "guards": list(guards.values())} if waivers else {}


# -- the fleet's report ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetReport:
    """A merge's report that was read back. Believe it only after its digest was found in a verified bundle."""

    signed: bool
    policy: EffectivePolicy
    decision: Mapping[str, Any]
    fleet: FleetRecord
    summary: Mapping[str, Any]


def build_fleet_report(
    fleet: FleetRecord, policy: EffectivePolicy, decision: Decision, *, signed: bool
) -> bytes:
    """The report's bytes, one shard a line."""
    verdict = {
        "verdict": decision.verdict.value,
        "exit_code": int(decision.exit_code),
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
    }
    findings = [encode(f.to_json()).decode("ascii") for f in decision.findings]
    problems = [encode(_problem_json(p)).decode("ascii") for p in fleet.problems]
    shards = [encode(_shard_json(s)).decode("ascii") for s in fleet.shards]
    return b"".join(
        (
            b'{"format":%d,\n"kind":%b,\n"signed":%b,\n' % (FORMAT, encode(FLEET_KIND), encode(signed)),
            b'"fleet":%b,\n' % encode(fleet_summary(fleet)),
            b'"policy":%b,\n' % encode(policy.to_json()),
            b'"decision":%b,\n' % encode(verdict)[:-1],
            b'"findings":%b,\n"gates":[]},\n' % by_line(findings),
            b'"problems":%b,\n' % by_line(problems) if problems else b"",
            b'"shards":%b}\n' % by_line(shards),
        )
    )


def fleet_summary(fleet: FleetRecord) -> dict[str, Any]:
    """The merge in short."""
    return {
        "run_id": fleet.run_id,
        "nonce": fleet.nonce,
        "plan": fleet.plan,
        "environment": fleet.environment,
        "sandbox": fleet.sandbox,
        "signer": fleet.signer.value,
        "policy_digest": fleet.policy_digest,
        "versions": statements.texts(fleet.versions),
        "merged": len(fleet.shards),
        "runner": fleet.runner.value,
        "subjects": [{"name": s.name, "digest": dict(s.digest)} for s in fleet.subjects],
    }


def _problem_json(problem: Problem) -> dict[str, str]:
    return {"reason": problem.reason.code, "message": problem.message}


def _shard_json(shard: ShardEvidence) -> dict[str, Any]:
    decision = shard.decision
    return {
        "source": shard.source,
        "shard": None if decision is None else decision.shard,
        "verdict": None if decision is None else decision.verdict.value,
        "bundle": shard.bundle_digest,
        "problems": list(shard.problems),
        "fresh_until": None if shard.fresh_until is None else rfc3339(shard.fresh_until),
        "decision": None if shard.envelope is None else shard.envelope.decode("ascii"),
    }


def read_fleet_report(data: bytes) -> FleetReport:
    """The report in `data`. **Not verified:** the signatures of the decisions in it.

    Raises:
        EvidenceError: not a fleet report of format 1.
    """
    if not is_fleet_report(data):
        raise EvidenceError(f"expected a {FLEET_KIND} of format {FORMAT}")
    try:
        document = strictjson.loads(data)
    except ValueError as exc:
        raise EvidenceError(f"expected a report in JSON: {exc}") from None
    if not isinstance(document, dict) or tuple(document) not in (_NAMES, _NAMES_WITH_PROBLEMS):
        raise EvidenceError(f"expected a fleet report with {', '.join(_NAMES)}")
    for name, kind in (("signed", bool), ("fleet", dict), ("decision", dict), ("shards", list)):
        if not isinstance(document[name], kind):
            raise EvidenceError(f"expected {name} to be of type {kind.__name__}")
    try:
        fleet = _fleet(
            document["fleet"],
            tuple(_shard(s) for s in document["shards"]),
            _problems(document["problems"]) if "problems" in document else (),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise EvidenceError(f"the fleet report is malformed: {ascii(str(exc))[:100]}") from None
    return FleetReport(
        document["signed"], policy_of(document["policy"]), document["decision"], fleet, document["fleet"]
    )


def _fleet(
    summary: Mapping[str, Any], shards: tuple[ShardEvidence, ...], problems: tuple[Problem, ...]
) -> FleetRecord:
    if tuple(summary) != _FLEET_NAMES:
        raise ValueError(f"expected the fleet to hold {', '.join(_FLEET_NAMES)}")
    texts = ("run_id", "nonce", "plan", "environment", "policy_digest")
    if not all(isinstance(summary[n], str) for n in texts) or not isinstance(summary["sandbox"], bool):
        raise TypeError("the fleet has a field of the wrong type")
    return FleetRecord(
        **{name: summary[name] for name in texts},
        sandbox=summary["sandbox"],
        signer=SignerKind(summary["signer"]),
        shards=shards,
        versions=dict(summary["versions"]),
        problems=problems,
    )


def _problems(value: Any) -> tuple[Problem, ...]:
    """Where nothing went wrong a report says nothing of it."""
    if not isinstance(value, list) or not value:
        raise ValueError("expected a list of problems")
    return tuple(map(_problem, value))


def _problem(value: Any) -> Problem:
    if not isinstance(value, dict) or tuple(value) != _PROBLEM_NAMES:
        raise ValueError(f"expected a problem with {', '.join(_PROBLEM_NAMES)}")
    reason, message = Reason.of(value["reason"]), value["message"]
    if reason not in TOLD or not isinstance(message, str):
        raise ValueError(f"expected what can go wrong with a merge, got {reason.code}")
    return Problem(reason, message)


def _shard(value: Any) -> ShardEvidence:
    if not isinstance(value, dict) or tuple(value) != _SHARD_NAMES:
        raise ValueError(f"expected a shard with {', '.join(_SHARD_NAMES)}")
    line, fresh = value["decision"], value["fresh_until"]
    envelope = None if line is None else line.encode("ascii")
    claims = None if envelope is None else read_decision(read_statement(read_envelope(envelope).payload))
    shard = ShardEvidence(
        value["source"],
        value["bundle"],
        tuple(value["problems"]),
        None if claims is None else shard_decision(claims),
        envelope,
        None if fresh is None else parse_rfc3339(fresh),
    )
    if _shard_json(shard) != value:
        raise ValueError(f"shard {value['source']!r:.60} says something else than its decision")
    return shard


# -- sealing -----------------------------------------------------------------------------------


def seal_fleet(
    fleet: FleetRecord,
    policy: EffectivePolicy,
    decision: Decision,
    *,
    policy_envelope: bytes | None,
    signer: EnvelopeSigner | None,
) -> Sealed:
    """The fleet's report, and the bundle that signs it: policy, fleet evidence, decision, manifest.

    Raises:
        EvidenceError: `policy_envelope` is not an envelope.
    """
    report = build_fleet_report(fleet, policy, decision, signed=signer is not None)
    if signer is None:
        return Sealed(report, None)
    build = FleetStatements(fleet, policy, decision, hashlib.sha256(report).hexdigest())
    lines = [] if policy_envelope is None else [format_envelope(read_foreign_envelope(policy_envelope))]
    lines.append(sign_envelope(build.evidence(), STATEMENT_TYPE, signer))
    lines.append(sign_envelope(build.decision(lines), STATEMENT_TYPE, signer))
    lines.append(sign_envelope(build.manifest(lines), STATEMENT_TYPE, signer))
    return Sealed(report, b"".join(line + b"\n" for line in lines))
