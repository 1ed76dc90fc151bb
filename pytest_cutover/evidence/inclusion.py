"""Is a decision in the transparency log it belongs to? Evidence that should be logged proves nothing without its proof.

What is logged is a small entry that follows from the bundle alone, so a verifier needs the bundle, the
`.tlog-proof` beside it and the log's public key, and no log.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import read_decision, read_statement
from pytest_cutover.evidence.envelope import read_envelope
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.report import is_fleet_report
from pytest_cutover.evidence.statements import DECISION, POLICY_URN
from pytest_cutover.evidence.verify import signed_decision, verify_bundle
from pytest_cutover.model import LOCAL_LOG, rfc3339
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.evidence.report import Report
    from pytest_cutover.evidence.verify import Verification
    from pytest_cutover.keys.position import LogPosition
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.tlog.entry import EntryKind
    from pytest_cutover.tlog.note import NoteVerifier, Verifier
    from pytest_cutover.tlog.proof import Proven

_Key = TypeVar("_Key", bound="Verifier")

PROOF_FILE = "bundle.intoto.jsonl.tlog-proof"
"""Beside the bundle, in a run's folder and in a store."""


def logged_entry(bundle: bytes, run_id: str, environment: str, decided_at: datetime) -> bytes:
    """What the log holds of a bundle: its digest, and which run decided what for where."""
    from pytest_cutover.tlog.entry import EntryKind, LogEntry

    digest = hashlib.sha256(bundle).hexdigest()
    return LogEntry(EntryKind.DECISION, digest, decided_at, run_id, environment).to_bytes()


def verify_logged(
    bundle: bytes,
    report: bytes | None,
    proof: bytes | None,
    anchor: Anchor,
    at: datetime | None = None,
    *,
    log_key_at: datetime | None = None,
    grace_at: datetime | None = None,
) -> Verification:
    """`verify_bundle`, and whether the bundle is in the log that the policy, or the anchor, asks for.

    The keys of log and witnesses have to be valid when the decision was made and, with `at`, then too; `log_key_at`
    asks that alone. With `grace_at`, what no log has to hold and admits nothing, as one run of a fleet, is also taken from a
    key that is in grace then: **for those who only ask whether evidence is whole**. Who goes on from it asks without.

    Raises:
        ValueError: `at` is naive.
    """
    proven: Proven | None = None
    problem: EvidenceProblem | None = None
    claims = None if proof is None else signed_decision(bundle, anchor)
    if proof is not None and claims is not None:
        try:
            proven = _prove(bundle, proof, claims, anchor, log_key_at or at)
        except EvidenceError as exc:
            problem = EvidenceProblem(ProblemCode.LOG_PROOF, str(exc), PROOF_FILE)
    position = None if proven is None else _position(proven)
    found = verify_bundle(bundle, report, anchor, at, position)
    if found.decision is None:
        return found
    if grace_at is not None and proof is None and not found.is_valid:
        found = _in_grace(found, bundle, report, at, grace_at)
    problems = [problem] if problem is not None else list(_held_against(found, position, anchor))
    if proof is not None and position is not None:
        problems += _uncosigned(found, proof, position, anchor, log_key_at or at)
    return replace(found, problems=(*found.problems, *problems), position=position)


def _in_grace(
    found: Verification, bundle: bytes, report: bytes | None, at: datetime | None, grace_at: datetime
) -> Verification:
    """The verification, with what keys in grace signed; as it was found where none did, or a log has to hold it."""
    in_grace = any(key.is_in_grace_at(grace_at) for key in found.anchor.keys)
    if not in_grace or found.decision is None or not _is_never_logged(found.decision, found.report):
        return found
    from pytest_cutover.keys.position import NeverLogged

    return verify_bundle(bundle, report, found.anchor, at, NeverLogged(grace_at))


def _position(proven: Proven) -> LogPosition:
    from pytest_cutover.keys.position import LogPosition

    return LogPosition(proven.checkpoint.origin, proven.index)


def is_to_be_logged(found: Verification) -> bool:
    """Whether a log has to hold a decision, going by the policy that was signed for."""
    if found.decision is None:
        return True
    judged = found.report or found.fleet
    asked = judged is not None and judged.policy.log is not None
    return asked and not _is_never_logged(found.decision, found.report)


def belongs_into_a_log(bundle: bytes, report: bytes | None) -> bool:
    """Whether its decision names a log, or cannot be read. **Not verified**: of a bundle that lies, `verify` says so.

    That of a merge names none: there the policy in its report counts.
    """
    claims = claimed(bundle)
    if claims is None:
        return True
    if _is_never_logged(claims, None):
        return False
    return claims.log is not None or (report is not None and _is_of_a_logged_fleet(report))


def _is_of_a_logged_fleet(report: bytes) -> bool:
    if not is_fleet_report(report):
        return False
    from pytest_cutover.evidence.fleet import read_fleet_report

    try:
        return read_fleet_report(report).policy.log is not None
    except EvidenceError:
        return True


def claimed(bundle: bytes) -> DecisionClaims | None:
    """The decision in a bundle, as far as it can be read. **Not verified**."""
    for raw in reversed(bundle.split(b"\n")):
        try:
            statement = read_statement(read_envelope(raw).payload)
            if statement.predicate_type == DECISION:
                return read_decision(statement)
        except EvidenceError:
            continue
    return None


def documents_behind(claims: DecisionClaims) -> list[tuple[EntryKind, str, str, str | None]]:
    """What a decision rests on and its log has to hold before it: the policy, and each waiver that counts.

    Of each its kind, its SHA-256 in hex, what people call it, and the environment it is about.
    """
    from urllib.parse import unquote

    from pytest_cutover.tlog.entry import EntryKind

    name, _, version = claims.policy_uri.removeprefix(POLICY_URN).rpartition(":")
    digest = claims.policy_digest.removeprefix("sha256:")
    policy = (EntryKind.POLICY, digest, f"{unquote(name)} version {version}", None)
    waivers = [
        (EntryKind.WAIVER, str(w.get("sha256")), f"{w.get('ticket')}, {w.get('gate')}", claims.environment)
        for w in claims.waivers
    ]
    return [policy, *waivers]


def _is_never_logged(claims: DecisionClaims, run: Report | None) -> bool:
    """Whether no log holds it, and none has to; never a GO, so it admits nothing.

    It says so itself, or is about one run of a fleet, of which only the merge is logged. `run` is the report that was
    signed, None for that of a merge: a run that does not say which shard it is has no more than its policy to tell it by.
    """
    if claims.is_go:
        return False
    of_a_fleet = claims.shard is not None or (run is not None and run.policy.shards is not None)
    return of_a_fleet or says_not_logged(claims)


def says_not_logged(claims: DecisionClaims) -> bool:
    """Whether a decision is none that admits, and says itself that no log took it, or not to its end."""
    return not claims.is_go and Reason.LOG_UNAVAILABLE.code in {f.get("code") for f in claims.findings}


def log_verifiers(anchor: Anchor, environment: str, at: datetime) -> list[NoteVerifier]:
    """The keys whose checkpoints count for an environment; one that was rotated only for the log as it was then."""
    if not any(key.has_role("log") for key in anchor.keys):
        return []  # without loading what reads notes
    from pytest_cutover.tlog.known import log_keys

    return list(log_keys(anchor, at, environment=environment))


def _prove(
    bundle: bytes, proof: bytes, claims: DecisionClaims, anchor: Anchor, at: datetime | None
) -> Proven:
    from pytest_cutover.tlog.proof import verify_proof

    verifiers = _counting(lambda t: log_verifiers(anchor, claims.environment, t), claims.decided_at, at)
    if not verifiers:
        when = "" if at is None else f" at {rfc3339(claims.decided_at)} and at {rfc3339(at)}"
        raise EvidenceError(f"no key of {anchor.where} may sign a log for {claims.environment}{when}")
    entry = logged_entry(bundle, claims.run_id, claims.environment, claims.decided_at)
    return verify_proof(proof, entry, verifiers, where="the proof")


def _counting(keys: Callable[[datetime], Sequence[_Key]], then: datetime, at: datetime | None) -> list[_Key]:
    """The keys that counted then and, where a time is asked about, still do.

    One that is stolen when its time is over can sign a log of any past.
    """
    still = None if at is None else {key.key_id for key in keys(at)}
    return [key for key in keys(then) if still is None or key.key_id in still]


def _held_against(
    found: Verification, position: LogPosition | None, anchor: Anchor
) -> Iterator[EvidenceProblem]:
    """What is wrong with where the log holds a decision, or that no log does."""
    claims = found.decision
    assert claims is not None  # the caller has seen one
    judged = found.report or found.fleet
    wanted = _wanted_logs(None if judged is None else judged.policy.log, claims, anchor)
    if position is None and _is_never_logged(claims, found.report):
        return
    if wanted and (position is None or position.origin not in wanted):
        where = "no proof shows that this one is" if position is None else f"this one is in {position.origin}"
        message = f"decisions of {claims.environment} are in the log {' or '.join(wanted)}, and {where}"
        yield EvidenceProblem(ProblemCode.LOG_UNPROVEN, message, PROOF_FILE)
    seen = None if found.record is None else found.record.log
    if position is None or seen is None:
        return
    if seen.origin != position.origin or seen.size > position.index:
        message = (
            f"the run saw {seen.size} entries in {seen.origin} when it began, "
            f"and is said to be entry {position.index} of {position.origin}"
        )
        yield EvidenceProblem(ProblemCode.LOG_PROOF, message, PROOF_FILE)


def _uncosigned(
    found: Verification, proof: bytes, position: LogPosition, anchor: Anchor, at: datetime | None
) -> Iterator[EvidenceProblem]:
    """That fewer witnesses cosigned what a decision is in than its policy asks for."""
    judged, claims = found.report or found.fleet, found.decision
    wanted = 0 if judged is None else judged.policy.cosignatures
    if not wanted or claims is None:
        return
    from pytest_cutover.tlog.known import witness_keys
    from pytest_cutover.tlog.proof import cosigners, parse_proof

    known = _counting(lambda t: witness_keys(anchor, t, position.origin), claims.decided_at, at)
    try:
        cosigners(parse_proof(proof).checkpoint, known, wanted, where="the proof")
    except EvidenceError as exc:
        yield EvidenceProblem(ProblemCode.LOG_UNPROVEN, str(exc), PROOF_FILE)


def _wanted_logs(named: str | None, claims: DecisionClaims, anchor: Anchor) -> list[str]:
    """The log that the policy names, else those that the anchor does: one of them has to hold the decision."""
    if named is not None:
        return [named]
    known = log_verifiers(anchor, claims.environment, claims.decided_at)
    return sorted({v.name for v in known} - {LOCAL_LOG})
