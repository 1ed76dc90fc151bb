"""in-toto Statements v1 about one run: test result, gate evidence, decision, manifest.

Each builder is a pure function of record, policy and decision, so that a verifier builds the same
statement again and compares. Predicates of in-toto and SLSA keep their camelCase, ours are snake_case.
"""

from __future__ import annotations

import json
import re
from datetime import UTC
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, Protocol

from pytest_cutover import __version__
from pytest_cutover.decision import shard_verdict
from pytest_cutover.evidence.envelope import envelope_digest
from pytest_cutover.model import Verdict, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.model import (
        Decision,
        EffectivePolicy,
        Finding,
        JudgedMeasurement,
        Limit,
        LogHead,
        Requirement,
        Runner,
        RunRecord,
        SignerKind,
        Subject,
    )

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
GATE_EVIDENCE = "https://pytest-cutover.dev/attestation/gate-evidence/v1"
FLEET_EVIDENCE = "https://pytest-cutover.dev/attestation/fleet-evidence/v1"
DECISION = "https://slsa.dev/verification_summary/v1"
POLICY_URN = "urn:pytest-cutover:policy:"
DECISION_FIELD = "https://pytest-cutover.dev/attestation/decision/v1"
MANIFEST = "https://pytest-cutover.dev/attestation/bundle-manifest/v1"
PREDICATES = (TEST_RESULT, GATE_EVIDENCE, DECISION, MANIFEST)
"""Every bundle of a run holds exactly one statement of each, the manifest last."""

FLEET_PREDICATES = (FLEET_EVIDENCE, DECISION, MANIFEST)
"""The same of a fleet's bundle."""

VERIFIER = "https://pytest-cutover.dev/decide"
SLSA_VERSION = "1.0"
REPORT_NAME = "report.json"

_RESULTS = {Verdict.GO: "PASSED", Verdict.GO_WITH_GUARDS: "WARNED"}
LEVELS = {Verdict.GO: ["CUTOVER_GO"], Verdict.GO_WITH_GUARDS: ["CUTOVER_GO_WITH_GUARDS"]}
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_URN_SAFE = re.compile(r"[A-Za-z0-9._~-]+")


class Judged(Protocol):
    """What statements need to know of a run, or of a fleet."""

    @property
    def run_id(self) -> str: ...
    @property
    def nonce(self) -> str: ...
    @property
    def sandbox(self) -> bool: ...
    @property
    def runner(self) -> Runner: ...
    @property
    def signer(self) -> SignerKind: ...
    @property
    def shard(self) -> str | None: ...
    @property
    def subjects(self) -> tuple[Subject, ...]: ...
    @property
    def log(self) -> LogHead | None: ...


def encode(value: Any) -> bytes:
    """Compact JSON in ASCII: any text survives, unpaired surrogates too."""
    return _ENCODER.encode(value).encode("ascii")


def subjects_of(record: Judged, report_digest: str) -> list[dict[str, Any]]:
    """The `subject` of every statement: what is released, or the report itself when nothing was named."""
    if not record.subjects:
        return [{"name": REPORT_NAME, "digest": {"sha256": report_digest}}]
    return [{"name": text_of(s.name), "digest": texts(s.digest)} for s in record.subjects]


def texts(mapping: Mapping[Any, Any]) -> dict[str, str]:
    """Keys and values as text: a journal that gate code wrote to may hold anything."""
    return {str(key): text_of(value) for key, value in mapping.items()}


def text_of(value: Any) -> str:
    """A text as it is, a plain value in words, and of anything nested only what it is."""
    if value is None or isinstance(value, str | int | float):
        return str(value)
    return f"({type(value).__name__})"


def run_result(record: RunRecord, policy: EffectivePolicy, decision: Decision, report_digest: str) -> bytes:
    """in-toto test-result v0.1. It cannot say what is missing: `result` is PASSED only when the verdict is GO."""
    run: dict[str, Any] = {
        "name": "run",
        "uri": f"urn:pytest-cutover:run:{_urn(record.run_id)}",
        "annotations": {"run_id": record.run_id, "nonce": record.nonce, "environment": policy.environment},
    }
    configuration = [{"name": "policy", **_resource(_policy_uri(policy), policy.digest)}, run]
    if _SHA256.fullmatch(record.gate_code_digest):
        configuration.append({"name": "gate-code", **_resource(None, record.gate_code_digest)})
    predicate = {
        "result": _RESULTS.get(decision.verdict, "FAILED"),
        "configuration": configuration,
        "passedTests": [g.key for g in decision.gates if g.green],
        "warnedTests": [g.key for g in decision.gates if g.waived],
        "failedTests": [g.key for g in decision.gates if not g.green and not g.waived],
    }
    return statement(record, report_digest, TEST_RESULT, encode(predicate))


def gate_evidence(
    record: RunRecord, policy: EffectivePolicy, decision: Decision, report_digest: str
) -> bytes:
    """Our own predicate: what was expected, collected, run and measured, and under which limits."""
    ran = {result.nodeid for result in record.results}
    predicate = {
        "run_id": record.run_id,
        "nonce": record.nonce,
        "plan": policy.plan,
        "environment": policy.environment,
        "sandbox": is_sandbox(record, policy),
        "shard": None if record.shard is None else text_of(record.shard),
        "window": {
            "started_at": rfc3339(record.started_at),
            "finished_at": None if record.finished_at is None else rfc3339(record.finished_at),
        },
        "expected": [_requirement(r) for r in policy.requires],
        "collected": [info.key for info in record.collected],
        "deselected": [info.key for info in record.deselected],
        "not_run": [info.key for info in record.collected if info.nodeid not in ran],
        "runner": record.runner.value,
        "versions": texts(record.versions),
        "gate_code_digest": record.gate_code_digest,
        "complete": record.complete,
        **({"authors": list(record.authors)} if record.authors else {}),
        **({} if record.guards_confirmed is None else {"guards_confirmed": record.guards_confirmed}),
        **_opened(record, decision),
    }
    body = b'%b,"measurements":%b}' % (encode(predicate)[:-1], _measurements(decision))
    return statement(record, report_digest, GATE_EVIDENCE, body)


def _opened(record: RunRecord, decision: Decision) -> dict[str, Any]:
    """The run that was opened, and which gates come from which run; nothing where none was."""
    if record.opened is None:
        return {}
    opened = record.opened
    return {
        "opened": {
            "run_id": opened.run_id,
            "nonce": opened.nonce,
            "report": {"sha256": opened.report_digest},
            "bundle": {"sha256": opened.bundle_digest},
        },
        "carried": [{"gate": g.key, "run_id": g.carried_from} for g in decision.gates if g.carried_from],
    }


def decision_summary(
    record: Judged,
    policy: EffectivePolicy,
    decision: Decision,
    report_digest: str,
    envelopes: Sequence[bytes],
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """A SLSA Verification Summary v1 over `envelopes`, with our verdict in a field named by URI.

    `verificationResult` is PASSED for GO and GO-WITH-GUARDS alone. `more` are further fields of ours.
    """
    levels = LEVELS.get(decision.verdict, [])
    predicate = {
        "verifier": {"id": VERIFIER, "version": {"pytest-cutover": __version__}},
        "timeVerified": rfc3339(decision.decided_at),
        "resourceUri": environment_uri(policy.environment),
        "policy": _resource(_policy_uri(policy), policy.digest),
        "inputAttestations": [{"digest": {"sha256": envelope_digest(e)}} for e in envelopes],
        "verificationResult": "PASSED" if levels else "FAILED",
        "verifiedLevels": levels,
        "slsaVersion": SLSA_VERSION,
        DECISION_FIELD: {
            "verdict": decision.verdict.value,
            "exit_code": int(decision.exit_code),
            "decided_at": rfc3339(decision.decided_at),
            "expires_at": rfc3339(decision.expires_at),
            "environment": policy.environment,
            "sandbox": is_sandbox(record, policy),
            "run_id": record.run_id,
            "nonce": record.nonce,
            "plan": policy.plan,
            "runner": record.runner.value,
            "signer": record.signer.value,
            "findings": [finding_summary(f) for f in decision.findings],
            "report": {"sha256": report_digest},
            **accepted(decision),
            **({} if record.log is None else {"log": record.log.to_json()}),
            **_shard(record, policy, decision),
            **(more or {}),
        },
    }
    return statement(record, report_digest, DECISION, encode(predicate))


def _shard(record: Judged, policy: EffectivePolicy, decision: Decision) -> dict[str, Any]:
    """Which shard of a fleet was judged, and what it came to for itself; nothing where there is no fleet."""
    if policy.shards is None or record.shard is None:
        return {}
    return {"shard": {"name": text_of(record.shard), "verdict": shard_verdict(decision).value}}


def accepted(decision: Decision) -> dict[str, Any]:
    """The waivers that count and the guards they ask for; nothing where there are none."""
    if not decision.waivers:
        return {}
    return {
        "waivers": [
            {
                "sha256": given.digest,
                "gate": given.waiver.gate,
                "ticket": given.waiver.ticket,
                "risk": given.waiver.risk,
                "persons": list(given.persons),
                "expires_at": rfc3339(given.waiver.expires_at),
            }
            for given in decision.waivers
        ],
        "guards": [
            {
                **bound.guard.to_json(),
                "waiver": bound.given.digest,
                "due_at": None if bound.due_at is None else rfc3339(bound.due_at),
            }
            for bound in decision.guards
        ],
    }


def manifest(
    record: Judged,
    policy: EffectivePolicy,
    report_digest: str,
    envelopes: Sequence[bytes],
    waivers: Sequence[bytes] = (),
) -> bytes:
    """The exact lines of a bundle, in order, and the report that belongs to them.

    `waivers` are those of the lines that others signed: a verifier holds other keys against them.
    """
    predicate = {
        "run_id": record.run_id,
        "nonce": record.nonce,
        "environment": policy.environment,
        "envelopes": [{"sha256": envelope_digest(e)} for e in envelopes],
        "report": {"sha256": report_digest},
        **({"waivers": [{"sha256": envelope_digest(w)} for w in waivers]} if waivers else {}),
    }
    return statement(record, report_digest, MANIFEST, encode(predicate))


def finding_summary(finding: Finding) -> dict[str, str]:
    """A finding as the decision names it: the words are in the report."""
    out = {"code": finding.reason.code}
    if finding.gate is not None:
        out["gate"] = finding.gate
    if finding.measurement is not None:
        out["measurement"] = finding.measurement
    return out


# -- building blocks -------------------------------------------------------------------------


def statement(record: Judged, report_digest: str, predicate_type: str, predicate: bytes) -> bytes:
    head = {
        "_type": STATEMENT,
        "subject": subjects_of(record, report_digest),
        "predicateType": predicate_type,
    }
    return b'%b,"predicate":%b}' % (encode(head)[:-1], predicate)


def is_sandbox(record: Judged, policy: EffectivePolicy) -> bool:
    return policy.sandbox or record.sandbox  # either taints the evidence


def _resource(uri: str | None, digest: str) -> dict[str, Any]:
    out: dict[str, Any] = {} if uri is None else {"uri": uri}
    match = _SHA256.fullmatch(digest)
    if match is None:
        raise ValueError(f"expected sha256:HEX, got {digest!r}")
    return {**out, "digest": {"sha256": match[1]}}


def _policy_uri(policy: EffectivePolicy) -> str:
    return f"{POLICY_URN}{_urn(policy.name)}:{policy.version}"


def environment_uri(environment: str) -> str:
    """The `resourceUri` of a decision."""
    return f"urn:pytest-cutover:environment:{_urn(environment)}"


def _urn(text: str) -> str:
    """`text` with everything but RFC 3986's unreserved characters in percent encoding."""
    if _URN_SAFE.fullmatch(text):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if _URN_SAFE.fullmatch(chr(b)) else f"%{b:02X}" for b in raw)


def _requirement(requirement: Requirement) -> dict[str, Any]:
    instances = requirement.instances
    return {
        "gate": requirement.gate,
        "instances": list(instances) if isinstance(instances, tuple) else instances,
    }


# One text per measurement and no containers: 10 000 gates' worth of dicts would cost more in the
# garbage collector than in the encoder.


def _measurements(decision: Decision) -> bytes:
    """The `measurements` of the gate evidence, as a JSON array."""
    limits: dict[int, str] = {}
    parts = [
        _measurement(quote(gate.key), judged, limits)
        for gate in decision.gates
        for judged in gate.measurements
    ]
    return f"[{','.join(parts)}]".encode("ascii")


def _measurement(gate: str, judged: JudgedMeasurement, limits: dict[int, str]) -> str:
    m = judged.measurement
    samples = "null" if m.samples is None else m.samples
    source = "null" if m.source is None else quote(m.source)
    return (
        f'{{"gate":{gate},"name":{quote(m.name)},"value":{quote(m.value)},"unit":{quote(m.unit)},'
        f'"kind":"{m.kind.value}",{_limit(judged.limit, limits)},"samples":{samples},"source":{source},'
        f'"observed_at":"{_utc(m.observed_at)}"}}'
    )


def _utc(at: datetime) -> str:
    """`rfc3339`, at half its price for the times that a journal was read into."""
    return at.isoformat("T", "microseconds")[:-6] + "Z" if at.tzinfo is UTC else rfc3339(at)


def _limit(limit: Limit | None, known: dict[int, str]) -> str:
    text = known.get(id(limit))  # one limit often judges many instances of a gate
    if text is None:
        bounds, operator = ([str(b) for b in limit.bounds], limit.operator.value) if limit else (None, None)
        text = f'"limit":{_ENCODER.encode(bounds)},"operator":{_ENCODER.encode(operator)}'
        known[id(limit)] = text
    return text
