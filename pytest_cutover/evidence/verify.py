"""Is this evidence whole, unchanged and signed by a trusted key, and does its verdict follow from it?

`verify_bundle` lists every problem it finds instead of stopping at the first. What no trusted key has
signed is not parsed beyond its envelope. Pure: bytes, keys and the time are arguments.

**Not verified:** that the gates told the truth about what they measured; that no newer evidence exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_cutover import strictjson
from pytest_cutover.decision import decide
from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence import statements
from pytest_cutover.evidence.claims import read_decision, read_manifest, read_statement
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    STATEMENT_TYPE,
    Envelope,
    envelope_digest,
    read_envelope,
    verify_foreign,
    verify_strict,
)
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.report import Report, is_fleet_report, read_report, run_summary
from pytest_cutover.keys.trusted import Refusal
from pytest_cutover.model import PolicySignature, rfc3339
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims, Manifest, Statement
    from pytest_cutover.evidence.fleet import FleetReport
    from pytest_cutover.keys.position import LogPosition, Position
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey
    from pytest_cutover.model import Decision, EffectivePolicy, RunRecord

_TOLERANCE = timedelta(seconds=5)
"""How far two honest clocks may be apart before a decision counts as made in the future."""

ROLE = "decision"
_NAMES = {
    statements.TEST_RESULT: "test result",
    statements.GATE_EVIDENCE: "gate evidence",
    statements.FLEET_EVIDENCE: "fleet evidence",
    statements.DECISION: "decision",
    statements.MANIFEST: "manifest",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `decision` is what a trusted key signed, even when other things are wrong."""

    problems: tuple[EvidenceProblem, ...]
    decision: DecisionClaims | None
    signers: tuple[TrustedKey, ...]
    report: Report | None
    record: RunRecord | None
    anchor: Anchor
    fleet: FleetReport | None = None  # in place of report and record, when a merge decided
    position: LogPosition | None = None  # where a log holds the bundle, when that was proven

    @property
    def is_valid(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "valid": self.is_valid,
            "decision": None if self.decision is None else self.decision.to_json(),
            "signers": [
                {"keyid": k.keyid, "name": k.name, "kind": k.public.kind.value} for k in self.signers
            ],
            "trust": {
                "source": self.anchor.source.value,
                "integrity_only": self.anchor.integrity_only,
                "description": self.anchor.description,
            },
            "log": None
            if self.position is None
            else {"origin": self.position.origin, "index": self.position.index},
            "problems": [p.to_json() for p in self.problems],
        }


def looks_like_bundle(data: bytes) -> bool:
    """Whether any line could be an envelope; False means another kind of file, not damaged evidence."""
    return any(line.startswith(b'{"payload') for line in data.split(b"\n"))


def verify_bundle(
    bundle: bytes,
    report: bytes | None,
    anchor: Anchor,
    at: datetime | None = None,
    position: Position | None = None,
) -> Verification:
    """Every problem of a bundle and its report, judged by the keys of `anchor`.

    With `at`, the decision must also be made before and expire after that time, and its key be valid then.
    `position` is where a log holds this bundle, as the caller has proven: what keys that were rotated signed
    counts by that alone.

    Raises:
        ValueError: `at` is naive.
    """
    if at is not None and at.tzinfo is None:
        raise ValueError("at must be timezone-aware")
    if report is not None and is_fleet_report(report):
        from pytest_cutover.evidence.fleet_verify import FleetVerifier

        return FleetVerifier(anchor, at, position).verify(bundle, report)
    return Verifier(anchor, at, position).verify(bundle, report)


def signed_decision(bundle: bytes, anchor: Anchor) -> DecisionClaims | None:
    """The decision in `bundle` that some key of `anchor` signed, without looking at anything else in it.

    Enough to tell what evidence is about. **Not verified:** whether the key may decide, and all the rest.
    """
    for raw in reversed(bundle.split(b"\n")):  # it is the last line but one; those before it can be large
        try:
            envelope = read_envelope(raw)
            if envelope.payload_type == STATEMENT_TYPE and verify_strict(envelope, anchor.keys):
                statement = read_statement(envelope.payload)
                if statement.predicate_type == statements.DECISION:
                    return read_decision(statement)
        except EvidenceError:
            continue
    return None


def floor_problems(policy: EffectivePolicy, anchor: Anchor) -> list[EvidenceProblem]:
    """What the anchor's lowest version holds against a policy: a decision under an older one is in force no more."""
    if not anchor.is_outdated(policy.name, policy.version):
        return []
    message = (
        f"version {policy.version} of {policy.name!r}, {anchor.where} asks for {anchor.floors[policy.name]}"
    )
    return [EvidenceProblem(ProblemCode.POLICY_FLOOR, message)]


def time_problems(
    decision: DecisionClaims, signers: Sequence[TrustedKey], at: datetime
) -> list[EvidenceProblem]:
    """What the time `at` holds against a decision: expired, made later, or signed by a key retired since."""
    out = []
    if at >= decision.expires_at:
        message = f"it expired at {rfc3339(decision.expires_at)}, the time asked about is {rfc3339(at)}"
        out.append(EvidenceProblem(ProblemCode.DECISION_EXPIRED, message))
    if decision.decided_at > at + _TOLERANCE:
        message = f"it was made at {rfc3339(decision.decided_at)}, the time asked about is {rfc3339(at)}"
        out.append(EvidenceProblem(ProblemCode.DECISION_NOT_YET, message))
    # A retired key that was stolen can sign an old date: so it must be valid at both times.
    for key in signers:
        if not key.is_valid_at(at):
            message = f"key {key.name!r} is not valid at {rfc3339(at)}"
            out.append(EvidenceProblem(ProblemCode.SIGNATURE_EXPIRED, message))
    return out


class _Line(NamedTuple):
    where: str
    raw: bytes
    envelope: Envelope


class Verifier:
    """One verification: collects problems as it goes."""

    predicates: tuple[str, ...] = statements.PREDICATES
    """The statements a bundle of this kind holds, one of each."""

    def __init__(self, anchor: Anchor, at: datetime | None, position: Position | None = None) -> None:
        self.anchor = anchor
        self.at = at
        self.position = position
        self.problems: list[EvidenceProblem] = []
        self.signers: dict[str, TrustedKey] = {}
        self.statements: dict[str, tuple[_Line, Statement]] = {}
        self.waivers: list[_Line] = []

    def problem(self, code: ProblemCode, message: str, where: str | None = None) -> None:
        self.problems.append(EvidenceProblem(code, message, where))

    def verify(self, bundle: bytes, report: bytes | None) -> Verification:
        raws, policy, claims = self.signed(bundle)
        parsed, record = self.report(report, claims)
        if claims is not None and parsed is not None and record is not None:
            self.policy(policy, parsed, claims)
            self.agreement(claims, parsed, record, raws)
            self.opened(claims, parsed, record)
        self.in_force(claims, None if parsed is None else parsed.policy)
        return Verification(
            tuple(self.problems), claims, tuple(self.signers.values()), parsed, record, self.anchor
        )

    def signed(self, bundle: bytes) -> tuple[list[bytes], _Line | None, DecisionClaims | None]:
        """The lines of the bundle; the policy among them; and the decision, when a trusted key signed it."""
        raws = self.split(bundle)
        lines = [line for line in map(self.line, range(len(raws)), raws) if line is not None]
        policy = self.policy_line(lines)
        self.sort_statements(lines)
        for kind in self.predicates:
            if kind not in self.statements:
                self.problem(ProblemCode.STATEMENT_MISSING, f"there is no trusted {_NAMES[kind]}")
        self.manifest(raws)
        return raws, policy, self.decision(raws, policy)

    def in_force(self, claims: DecisionClaims | None, policy: EffectivePolicy | None) -> None:
        """What the time that was asked about holds against the decision."""
        if self.at is None:
            return
        if claims is not None:
            self.problems += time_problems(claims, tuple(self.signers.values()), self.at)
        if policy is not None:
            self.problems += floor_problems(policy, self.anchor)

    # -- lines and signatures

    def split(self, bundle: bytes) -> list[bytes]:
        if not bundle.endswith(b"\n"):
            self.problem(ProblemCode.BUNDLE_MALFORMED, "the last line does not end: the bundle was cut off")
        return bundle.removesuffix(b"\n").split(b"\n")

    def line(self, index: int, raw: bytes) -> _Line | None:
        where = f"line {index + 1}"
        try:
            envelope = read_envelope(raw)
        except EvidenceError as exc:
            self.problem(ProblemCode.ENVELOPE_MALFORMED, str(exc), where)
            return None
        if envelope.payload_type not in (STATEMENT_TYPE, POLICY_TYPE):
            self.problem(
                ProblemCode.ENVELOPE_TYPE, f"payload type {ascii(envelope.payload_type)[:80]}", where
            )
            return None
        return _Line(where, raw, envelope)

    def policy_line(self, lines: Sequence[_Line]) -> _Line | None:
        found = [line for line in lines if line.envelope.payload_type == POLICY_TYPE]
        for line in found[1:]:
            self.problem(ProblemCode.STATEMENT_DUPLICATE, "a second policy", line.where)
        return found[0] if found else None

    def sort_statements(self, lines: Sequence[_Line]) -> None:
        """The manifest first, because it says which lines are waivers, signed by others for another purpose."""
        waivers: tuple[str, ...] = ()
        for line in (*lines[-1:], *lines[:-1]):
            if line.envelope.payload_type != STATEMENT_TYPE:
                continue
            if envelope_digest(line.raw) in waivers:
                self.waivers.append(line)
                continue
            self.statement(line)
            if line is lines[-1]:
                found = self.read_manifest()
                waivers = () if found is None else found.waivers

    def read_manifest(self) -> Manifest | None:
        """What the manifest lists; None when there is none, or it is malformed, of which `manifest` tells."""
        if statements.MANIFEST not in self.statements:
            return None
        try:
            return read_manifest(self.statements[statements.MANIFEST][1])
        except EvidenceError:
            return None

    def statement(self, line: _Line) -> None:
        """Check the signature, and only then parse; keep the statement under its predicate type."""
        if not self.signature(line):
            return
        try:
            statement = read_statement(line.envelope.payload)
        except EvidenceError as exc:
            self.problem(ProblemCode.STATEMENT_MALFORMED, str(exc), line.where)
            return
        kind = statement.predicate_type
        if kind not in self.predicates:
            self.problem(ProblemCode.STATEMENT_UNKNOWN, f"predicate type {ascii(kind)[:80]}", line.where)
        elif kind in self.statements:
            self.problem(ProblemCode.STATEMENT_DUPLICATE, f"a second {_NAMES[kind]}", line.where)
        else:
            self.statements[kind] = (line, statement)

    def signature(self, line: _Line) -> bool:
        # Role, environment and dates are held against the key once the decision says which ones count.
        keys = {key.keyid: key for key in self.anchor.keys}
        try:
            signed = verify_strict(line.envelope, keys.values())
        except VerificationError as exc:
            unknown = any(s.keyid not in keys for s in line.envelope.signatures)
            code = ProblemCode.SIGNATURE_UNTRUSTED if unknown else ProblemCode.SIGNATURE_INVALID
            self.problem(code, str(exc), line.where)
            return False
        self.signers.update((key.keyid, key) for key in signed)
        # Statement by statement: two persons who each signed another one have not signed the same.
        shortfall = self.anchor.shortfall(ROLE, signed)
        if shortfall is not None:
            self.problem(ProblemCode.SIGNATURE_PERSONS, shortfall, line.where)
        return True

    # -- the statements

    def manifest(self, raws: Sequence[bytes]) -> None:
        if statements.MANIFEST not in self.statements:
            self.problem(ProblemCode.MANIFEST_MISSING, "nothing signed says which lines belong together")
            return
        line, statement = self.statements[statements.MANIFEST]
        if line.raw is not raws[-1]:
            self.problem(ProblemCode.MANIFEST_MISSING, "the manifest is not the last line", line.where)
        try:
            listed = read_manifest(statement).envelopes
        except EvidenceError as exc:
            self.problem(ProblemCode.STATEMENT_MALFORMED, str(exc), line.where)
            return
        present = [envelope_digest(raw) for raw in raws if raw is not line.raw]
        if list(listed) != present:
            self.problem(ProblemCode.MANIFEST_MISMATCH, _difference(listed, present), line.where)

    def decision(self, raws: Sequence[bytes], policy: _Line | None) -> DecisionClaims | None:
        if statements.DECISION not in self.statements:
            return None
        line, statement = self.statements[statements.DECISION]
        try:
            claims = read_decision(statement)
        except EvidenceError as exc:
            self.problem(ProblemCode.STATEMENT_MALFORMED, str(exc), line.where)
            return None
        inputs = [*([] if policy is None else [policy]), *self.waivers]
        inputs += [self.statements[k][0] for k in self.predicates[:-2] if k in self.statements]
        own = [envelope_digest(i.raw) for i in inputs]
        if not self.rests_on(claims, own) or len(raws) != len(inputs) + 2:
            self.problem(
                ProblemCode.DECISION_INPUTS, "its inputs are not the other lines of this bundle", line.where
            )
        for key in self.signers.values():
            refused = self.refused(key, claims)
            if refused is not None:
                self.problem(*refused)
        return claims

    def rests_on(self, claims: DecisionClaims, own: list[str]) -> bool:
        """Whether the decision names the other envelopes of the bundle, `own`, as what it rests on."""
        return list(claims.inputs) == own

    def refused(self, key: TrustedKey, claims: DecisionClaims) -> tuple[ProblemCode, str] | None:
        """Why the key may not have signed that decision; None: it may."""
        refusal = self.anchor.refusal(
            key.keyid,
            role=ROLE,
            environment=claims.environment,
            at=claims.decided_at,
            position=self.position,
        )
        return None if refusal is None else _refused(refusal, key, claims)

    # -- the report

    def report(
        self, data: bytes | None, claims: DecisionClaims | None
    ) -> tuple[Report | None, RunRecord | None]:
        """The report and its record, when they are the ones a trusted key signed."""
        if data is None:
            self.problem(ProblemCode.REPORT_MISSING, "the bundle signs a report, and there is none beside it")
            return None, None
        if not self.is_the_signed(data, claims):
            return None, None
        try:
            parsed = read_report(data)
            record = fold(parsed.journal)
            if strictjson.loads(statements.encode(run_summary(record))) != parsed.run:
                self.problem(
                    ProblemCode.REPORT_DISAGREES, "its summary of the run is not that of its journal"
                )
        except (
            Exception
        ) as exc:  # the journal may hold anything, and whatever it does is no reason for a traceback
            self.problem(ProblemCode.REPORT_MALFORMED, told(exc))
            return None, None
        if not parsed.signed:
            self.problem(ProblemCode.REPORT_DISAGREES, "it calls itself unsigned")
        return parsed, record

    def is_the_signed(self, data: bytes, claims: DecisionClaims | None) -> bool:
        """Whether these bytes are the report that decision and manifest name."""
        signed = self.report_digests(claims)
        digest = hashlib.sha256(data).hexdigest()
        if any(expected != digest for expected in signed):
            self.problem(
                ProblemCode.REPORT_DIGEST, f"its SHA-256 is {digest[:16]}…, signed was {min(signed)[:16]}…"
            )
        return signed == {digest}

    def report_digests(self, claims: DecisionClaims | None) -> set[str]:
        signed = set() if claims is None else {claims.report_digest}
        found = self.read_manifest()
        return signed if found is None else signed | {found.report_digest}

    def policy(self, line: _Line | None, report: Report | FleetReport, claims: DecisionClaims) -> None:
        if claims.policy_digest != report.policy.digest:
            self.problem(ProblemCode.POLICY_DISAGREES, "the decision and the report name different policies")
        if line is None:
            if report.policy.signature is PolicySignature.TRUSTED:
                self.problem(ProblemCode.POLICY_MISSING, "the signed policy is not in the bundle")
            return
        if f"sha256:{hashlib.sha256(line.envelope.payload).hexdigest()}" != claims.policy_digest:
            self.problem(
                ProblemCode.POLICY_DISAGREES, "its digest is not the one the decision names", line.where
            )
        else:
            self.resolved(line, report)
        if report.policy.signature is PolicySignature.TRUSTED:
            keys = self.anchor.verifiers(
                role="policy",
                environment=claims.environment,
                at=claims.decided_at,
                position=self.position,
            )
            try:
                shortfall = self.anchor.shortfall("policy", verify_foreign(line.envelope, keys))
            except VerificationError as exc:
                self.problem(ProblemCode.POLICY_SIGNATURE, str(exc), line.where)
            else:
                if shortfall is not None:
                    self.problem(ProblemCode.POLICY_PERSONS, shortfall, line.where)

    def resolved(self, line: _Line, report: Report | FleetReport) -> None:
        """Whoever decided wrote what the policy comes to; what was signed says it again."""
        from pytest_cutover.evidence.policy_verify import policy_differences  # in the sandbox few are signed

        try:
            found = policy_differences(line.envelope.payload, report.policy)
        except Exception as exc:  # what others signed may hold anything; never a traceback
            found = [f"it cannot be resolved again: {told(exc)}"]
        for message in found:
            self.problem(ProblemCode.POLICY_DISAGREES, message, line.where)

    def agreement(
        self, claims: DecisionClaims, report: Report, record: RunRecord, raws: Sequence[bytes]
    ) -> None:
        """Judge the journal again, build every statement again, and compare."""
        try:
            again = decide(record, report.policy, claims.decided_at, report.waivers)
            self.waived(claims, report, again)
            self.verdicts(claims, report, again)
            self.same_statements(claims, report, record, again, raws)
        except Exception as exc:  # total functions on a journal that may hold anything; never a traceback
            self.problem(ProblemCode.REPORT_MALFORMED, f"it cannot be judged again: {told(exc)}")

    def waived(self, claims: DecisionClaims, report: Report, again: Decision) -> None:
        """The waivers of the report are those of the bundle, and who signed those that count is as it says."""
        if [w.envelope for w in report.waivers] != [line.raw for line in self.waivers]:
            self.problem(ProblemCode.REPORT_DISAGREES, "its waivers are not those of the bundle")
        if not again.waivers:
            return
        from pytest_cutover.evidence.waivers import given_waiver  # few runs were given any

        for told in again.waivers:
            found = given_waiver(
                told.envelope, self.anchor, at=claims.decided_at, where=told.where, position=self.position
            )
            if found.refused is not None:
                message = f"the waiver {told.waiver.ticket} of {told.waiver.gate}: {found.refused[1]}"
                self.problem(ProblemCode.WAIVER_SIGNATURE, message)
            elif found.persons != told.persons:
                message = f"{', '.join(found.persons)} signed the waiver {told.waiver.ticket}, told was {', '.join(told.persons)}"
                self.problem(ProblemCode.WAIVER_SIGNATURE, message)

    def opened(self, claims: DecisionClaims, report: Report, record: RunRecord) -> None:
        """The evidence of the run from which gates were carried, which is part of the report."""
        if record.opened is None and report.opened is None:
            return
        from pytest_cutover.evidence.opened_verify import opened_problems

        try:
            self.problems += opened_problems(self.anchor, claims, report, record, self.position)
        except Exception as exc:  # as above: a journal may hold anything
            self.problem(ProblemCode.OPENED_INVALID, told(exc))

    def verdicts(self, claims: DecisionClaims, report: Report | FleetReport, again: Decision) -> None:
        signed = (claims.verdict.value, int(claims.exit_code), rfc3339(claims.expires_at))
        judged = (again.verdict.value, int(again.exit_code), rfc3339(again.expires_at))
        if signed != judged:
            self.problem(
                ProblemCode.DECISION_DISAGREES,
                f"signed is {signed[0]} ({signed[1]}) until {signed[2]}, "
                f"judged again it is {judged[0]} ({judged[1]}) until {judged[2]}",
            )
        names = ("verdict", "exit_code", "decided_at", "expires_at")
        told = tuple(report.decision.get(name) for name in names)
        if told != (signed[0], signed[1], rfc3339(claims.decided_at), signed[2]):
            self.problem(ProblemCode.DECISION_DISAGREES, "the report holds another decision than was signed")
        codes = [f["code"] for f in report.decision["findings"]]
        if codes != [f["code"] for f in claims.findings]:
            self.problem(ProblemCode.DECISION_DISAGREES, "the report gives other reasons than were signed")
        green = [(g["gate"], g["green"]) for g in report.decision["gates"]]
        if green != [(g.key, g.green) for g in again.gates]:
            self.problem(ProblemCode.DECISION_DISAGREES, "the report's gates are not those of its journal")

    def same_statements(
        self,
        claims: DecisionClaims,
        report: Report,
        record: RunRecord,
        again: Decision,
        raws: Sequence[bytes],
    ) -> None:
        digest, policy = claims.report_digest, report.policy
        built = {
            statements.TEST_RESULT: statements.run_result(record, policy, again, digest),
            statements.GATE_EVIDENCE: statements.gate_evidence(record, policy, again, digest),
            statements.DECISION: statements.decision_summary(record, policy, again, digest, raws[:-2]),
            statements.MANIFEST: statements.manifest(
                record, policy, digest, raws[:-1], [w.envelope for w in report.waivers]
            ),
        }
        self.compare_all(built)

    def compare_all(self, built: Mapping[str, bytes]) -> None:
        """The signed statements beside those that follow from the report."""
        for kind, payload in built.items():
            if kind not in self.statements:
                continue
            line, statement = self.statements[kind]
            if line.envelope.payload != payload:
                self.compare(line, statement, read_statement(payload))

    def compare(self, line: _Line, signed: Statement, built: Statement) -> None:
        name = _NAMES[signed.predicate_type]
        if signed.subjects != built.subjects:
            self.problem(ProblemCode.STATEMENT_DISAGREES, f"the {name} is about other subjects", line.where)
        ours, theirs = _comparable(signed.predicate), _comparable(built.predicate)
        odd = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if odd:
            message = f"the {name} differs from the report in {', '.join(odd)}"
            self.problem(ProblemCode.STATEMENT_DISAGREES, ascii(message)[1:-1][:300], line.where)


def _refused(refusal: Refusal, key: TrustedKey, claims: DecisionClaims) -> tuple[ProblemCode, str]:
    """The problem of a decision signed by a key that may not decide."""
    name = f"key {key.name!r}"
    match refusal:
        case Refusal.REVOKED:
            return ProblemCode.SIGNATURE_REVOKED, f"{name} was revoked: {key.reason}"
        case Refusal.RETIRED:
            return ProblemCode.SIGNATURE_RETIRED, f"{name} is retired"
        case Refusal.ROLE:
            return ProblemCode.SIGNATURE_ROLE, f"{name} may sign {', '.join(sorted(key.roles))}"
        case Refusal.ENVIRONMENT:
            covered = ", ".join(sorted(key.environments))
            return (
                ProblemCode.SIGNATURE_ENVIRONMENT,
                f"{name} is for {covered}, not for {claims.environment}",
            )
        case Refusal.TIME:
            return (
                ProblemCode.SIGNATURE_EXPIRED,
                f"{name} was not valid at {rfc3339(claims.decided_at)}",
            )
        case Refusal.ROTATED:
            size = 0 if key.rotated is None else key.rotated.size
            message = f"{name} was rotated, and no proof shows this among the first {size} entries of the log"
            return ProblemCode.SIGNATURE_ROTATED, message


def _comparable(predicate: Any) -> dict[str, Any]:
    """A predicate without what may differ between versions of this project: its own version, and findings."""
    flat = {k: v for k, v in predicate.items() if k not in ("verifier", statements.DECISION_FIELD)}
    ours = predicate.get(statements.DECISION_FIELD, {})
    return flat | {k: v for k, v in ours.items() if k != "findings"}  # compared by `verdicts`


def _difference(listed: Sequence[str], present: Sequence[str]) -> str:
    gone, new = len(set(listed) - set(present)), len(set(present) - set(listed))
    if gone or new:
        return f"{gone} signed lines are missing or changed, {new} lines are not signed for"
    return "a line is there twice, or the lines are in another order"


def told(exc: Exception) -> str:
    """What an error says: our own its words, any other its kind and the beginning of its words in ASCII."""
    return str(exc) if isinstance(exc, EvidenceError) else f"{type(exc).__name__} {ascii(str(exc))[:100]}"
