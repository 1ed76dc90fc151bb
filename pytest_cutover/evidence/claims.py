"""Reading statements of ours: strictly, and only after their signatures were verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.statements import (
    DECISION_FIELD,
    LEVELS,
    SLSA_VERSION,
    STATEMENT,
    environment_uri,
    texts,
)
from pytest_cutover.model import (
    ExitCode,
    LogHead,
    Runner,
    SignerKind,
    Subject,
    Verdict,
    parse_rfc3339,
    rfc3339,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Statement(NamedTuple):  # a dataclass costs `cutover verify` five times as much to define
    """A parsed statement of ours; parse only what was verified."""

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DecisionClaims:
    """What a signed decision says."""

    verdict: Verdict
    exit_code: ExitCode
    decided_at: datetime
    expires_at: datetime
    environment: str
    sandbox: bool
    run_id: str
    nonce: str
    plan: str
    runner: Runner
    signer: SignerKind
    subjects: tuple[Subject, ...]
    policy_uri: str
    policy_digest: str
    findings: tuple[Mapping[str, str], ...]
    report_digest: str
    inputs: tuple[str, ...]
    waivers: tuple[Mapping[str, Any], ...] = ()
    guards: tuple[Mapping[str, Any], ...] = ()
    shard: str | None = None  # of a fleet; such a decision is never a GO
    shard_verdict: Verdict | None = None  # what the shard came to for itself
    log: LogHead | None = None  # the transparency log as the run saw it when it began

    @property
    def is_go(self) -> bool:
        return self.verdict in LEVELS

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "exit_code": int(self.exit_code),
            "decided_at": rfc3339(self.decided_at),
            "expires_at": rfc3339(self.expires_at),
            "environment": self.environment,
            "sandbox": self.sandbox,
            "run_id": self.run_id,
            "plan": self.plan,
            "runner": self.runner.value,
            "signer": self.signer.value,
            "subjects": [{"name": s.name, "digest": dict(s.digest)} for s in self.subjects],
            "policy": {"uri": self.policy_uri, "digest": self.policy_digest},
            "findings": [dict(f) for f in self.findings],
            "report": {"sha256": self.report_digest},
            **({"waivers": list(self.waivers), "guards": list(self.guards)} if self.waivers else {}),
            **({} if self.shard is None else {"shard": self.shard}),
            **({} if self.log is None else {"log": self.log.to_json()}),
        }


def read_statement(payload: bytes) -> Statement:
    """A statement as our builders write it: no unknown key, at least one subject with a digest.

    Raises:
        EvidenceError: anything else.
    """
    try:
        document = strictjson.loads(payload)
    except ValueError as exc:
        raise EvidenceError(f"expected a statement in JSON: {exc}") from None
    fields = fields_of(document, "statement", ("_type", "subject", "predicateType", "predicate"))
    if fields["_type"] != STATEMENT:
        raise EvidenceError(f"expected a statement of type {STATEMENT}, got {fields['_type']!r:.80}")
    subjects = fields["subject"]
    if not isinstance(subjects, list) or not subjects:
        raise EvidenceError("expected at least one subject")
    if not isinstance(fields["predicate"], dict) or not isinstance(fields["predicateType"], str):
        raise EvidenceError("expected a predicate and its type")
    return Statement(fields["predicateType"], tuple(subject_of(s) for s in subjects), fields["predicate"])


def read_decision(statement: Statement) -> DecisionClaims:
    """What a decision statement says; its two halves, SLSA's and ours, must agree.

    Raises:
        EvidenceError: not a decision as `decision_summary` writes it.
    """
    try:
        return _decision_claims(statement)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise EvidenceError(
            f"the decision is malformed: {type(exc).__name__} {ascii(str(exc))[:100]}"
        ) from None


def _decision_claims(statement: Statement) -> DecisionClaims:
    names = (
        "verifier",
        "timeVerified",
        "resourceUri",
        "policy",
        "inputAttestations",
        "verificationResult",
        "verifiedLevels",
        "slsaVersion",
        DECISION_FIELD,
    )
    summary = fields_of(statement.predicate, "decision", names)
    ours = fields_of(
        summary[DECISION_FIELD], DECISION_FIELD, _DECISION_NAMES, ("waivers", "guards", "shard", "log")
    )
    verdict = Verdict(ours["verdict"])
    levels = LEVELS.get(verdict, [])
    halves = {
        "timeVerified": ours["decided_at"],
        "resourceUri": environment_uri(ours["environment"]),
        "verificationResult": "PASSED" if levels else "FAILED",
        "verifiedLevels": levels,
        "slsaVersion": SLSA_VERSION,
    }
    for name, value in halves.items():
        if summary[name] != value:
            raise EvidenceError(f"the decision's {name} does not fit its verdict: {summary[name]!r:.80}")
    if (verdict is Verdict.GO and "waivers" in ours) or (
        verdict is Verdict.GO_WITH_GUARDS and not (ours.get("waivers") and ours.get("guards"))
    ):
        raise EvidenceError(f"the decision says {verdict.value}, and its waivers and guards do not fit that")
    if verdict in LEVELS and ours["exit_code"] != ExitCode.GO:
        raise EvidenceError(f"the decision says {verdict.value} with exit code {ours['exit_code']!r:.20}")
    shard, own_verdict = _shard(ours.get("shard"))
    if shard is not None and verdict in LEVELS:
        raise EvidenceError(f"the decision says {verdict.value} for shard {shard!r:.80} alone")
    policy = fields_of(summary["policy"], "policy", ("uri", "digest"))
    return DecisionClaims(
        verdict=verdict,
        exit_code=ExitCode(ours["exit_code"]),
        decided_at=parse_rfc3339(ours["decided_at"]),
        expires_at=parse_rfc3339(ours["expires_at"]),
        environment=typed(ours["environment"], str),
        sandbox=typed(ours["sandbox"], bool),
        run_id=typed(ours["run_id"], str),
        nonce=typed(ours["nonce"], str),
        plan=typed(ours["plan"], str),
        runner=Runner(ours["runner"]),
        signer=SignerKind(ours["signer"]),
        subjects=statement.subjects,
        policy_uri=typed(policy["uri"], str),
        policy_digest=f"sha256:{digest_of(policy['digest'])}",
        findings=tuple(texts(f) for f in ours["findings"]),
        report_digest=digest_of(ours["report"]),
        inputs=tuple(
            digest_of(fields_of(i, "input", ("digest",))["digest"]) for i in summary["inputAttestations"]
        ),
        waivers=tuple(typed(w, dict) for w in typed(ours.get("waivers", []), list)),
        guards=tuple(typed(g, dict) for g in typed(ours.get("guards", []), list)),
        shard=shard,
        shard_verdict=own_verdict,
        log=_log(ours.get("log")),
    )


def _log(value: object) -> LogHead | None:
    if value is None:
        return None
    fields = fields_of(value, "log", ("origin", "size", "root"))
    return LogHead(typed(fields["origin"], str), typed(fields["size"], int), typed(fields["root"], str))


def _shard(value: object) -> tuple[str | None, Verdict | None]:
    if value is None:
        return None, None
    fields = fields_of(value, "shard", ("name", "verdict"))
    return typed(fields["name"], str), Verdict(fields["verdict"])


_DECISION_NAMES = (
    "verdict",
    "exit_code",
    "decided_at",
    "expires_at",
    "environment",
    "sandbox",
    "run_id",
    "nonce",
    "plan",
    "runner",
    "signer",
    "findings",
    "report",
)


class Manifest(NamedTuple):  # likewise
    """The lines that belong together, by digest and in order; `waivers` are those that others signed."""

    envelopes: tuple[str, ...]
    report_digest: str
    waivers: tuple[str, ...]


def read_manifest(statement: Statement) -> Manifest:
    """What a manifest lists.

    Raises:
        EvidenceError: not a manifest as `manifest` writes it.
    """
    names = ("run_id", "nonce", "environment", "envelopes", "report")
    fields = fields_of(statement.predicate, "manifest", names, ("waivers",))
    waivers = fields.get("waivers", [])
    if not isinstance(fields["envelopes"], list) or not isinstance(waivers, list):
        raise EvidenceError("expected the manifest to list envelopes")
    return Manifest(
        tuple(digest_of(e) for e in fields["envelopes"]),
        digest_of(fields["report"]),
        tuple(digest_of(w) for w in waivers),
    )


def fields_of(
    value: object, what: str, names: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """The members of an object that must hold `names`, may hold `optional`, and nothing else.

    Raises:
        EvidenceError: it does not.
    """
    if not isinstance(value, dict):
        raise EvidenceError(f"expected the {what} to be an object, got {type(value).__name__}")
    if set(value) - set(optional) != set(names):
        odd = ascii(sorted((set(value) - set(optional)) ^ set(names)))
        raise EvidenceError(f"expected the {what} to hold {', '.join(names)}; missing or unknown: {odd:.200}")
    return value


def digest_of(value: object) -> str:
    text = fields_of(value, "digest", ("sha256",))["sha256"]
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{64}", text):
        raise EvidenceError(f"expected a SHA-256 in lowercase hex, got {text!r:.80}")
    return text


def subject_of(value: object) -> Subject:
    fields = fields_of(value, "subject", ("name", "digest"))
    name, digest = fields["name"], fields["digest"]
    if not isinstance(name, str) or not isinstance(digest, dict) or not digest:
        raise EvidenceError("expected a subject with name and digest")
    if not all(isinstance(v, str) for v in digest.values()):
        raise EvidenceError(f"expected the digests of subject {name!r:.80} to be texts")
    return Subject(name, digest)


def typed(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
