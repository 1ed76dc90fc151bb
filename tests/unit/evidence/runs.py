"""Journals, policies and keys to seal: small real runs, folded and decided by the real functions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    STATEMENT_TYPE,
    envelope_digest,
    read_envelope,
    sign_envelope,
)
from pytest_cutover.evidence.seal import Sealed, seal
from pytest_cutover.evidence.statements import encode
from pytest_cutover.keys.signer import PemSigner, generate, load_private_pem
from pytest_cutover.keys.trust import Anchor, AnchorSource, TrustedKey
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import (
    EffectivePolicy,
    Limit,
    LogHead,
    Operator,
    PolicySignature,
    Requirement,
    Runner,
    rfc3339,
)
from pytest_cutover.record import fold
from tests.unit.evidence.policies import digest_of, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.model import Decision, RunRecord

NOW = datetime(2026, 11, 21, 8, 48, tzinfo=UTC)
SHA = hashlib.sha256(b"shop 1.0").hexdigest()
GATE_CODE = f"sha256:{hashlib.sha256(b'gates').hexdigest()}"


def signer(kind: KeyKind = KeyKind.ED25519) -> PemSigner:
    return load_private_pem(generate(kind), where="a test key")


def trusted(key: PemSigner, **changes: Any) -> TrustedKey:
    fields: dict[str, Any] = {
        "public": key.public,
        "keyid": key.keyid,
        "name": "release",
        "roles": frozenset({"decision"}),
        "environments": frozenset({"*"}),
    }
    return TrustedKey(**(fields | changes))


def anchor(*keys: TrustedKey, source: AnchorSource = AnchorSource.GIVEN) -> Anchor:
    return Anchor(keys, source, "trust.json")


@dataclass
class Run:
    """One run to be: change a field, then `seal` it."""

    environment: str = "production"
    sandbox: bool = False
    latency: str = "0.2"
    gates: Sequence[str] = ("service.ready",)
    subjects: Sequence[dict[str, Any]] = field(
        default_factory=lambda: [{"name": "shop", "digest": {"sha256": SHA}}]
    )
    run_id: str = "20261121T084700Z-1a2b3c4d"
    decided_at: datetime = NOW
    title: str = "The service is ready"
    signature: PolicySignature = PolicySignature.TRUSTED
    signer_kind: str = "configured"
    ttl_s: float = 3600.0
    nonce: str = "5f" * 16
    shard: str | None = None
    shards: tuple[str, ...] | int | None = None
    log: LogHead | None = None  # as the run saw it when it began
    wanted_log: str | None = None  # the policy's
    cosignatures: int = 0
    policy_gates: Sequence[str] | None = None  # that the policy requires, where they are not those of the run

    def events(self) -> list[bytes]:
        at = rfc3339(self.decided_at - timedelta(seconds=10))
        infos = [self._info(key) for key in self.gates]
        bodies: list[dict[str, Any]] = [
            {
                "event": "run.started",
                "format": 1,
                "run_id": self.run_id,
                "nonce": self.nonce,
                "plan": "preflight",
                "environment": self.environment,
                "sandbox": self.sandbox,
                "runner": "supervised",
                "signer": self.signer_kind,
                "policy_digest": self.policy().digest,
                "gate_code_digest": GATE_CODE,
                "subjects": list(self.subjects),
                "shard": self.shard,
                "versions": {"python": "3.11.7", "pytest": "9.2.0"},
                "target": {"app": "https://shop.example"},
                "pid": 4711,
                **({} if self.log is None else {"log": self.log.to_json()}),
            },
            {"event": "run.collected", "worker": "main", "gates": infos, "deselected": [], "others": []},
        ]
        for info in infos:
            bodies.append({"event": "gate.started", "nodeid": info["nodeid"], "worker": "main"})
            bodies.append(self._finished(info["nodeid"], at))
        lines = [
            json.dumps({"seq": seq, "at": at, **body}, separators=(",", ":")).encode() + b"\n"
            for seq, body in enumerate(bodies)
        ]
        tail = {
            "seq": len(lines),
            "at": at,
            "event": "run.finished",
            "status": 0,
            "exit": 0,
            "nonce": self.nonce,
            "counts": {"started": len(infos), "finished": len(infos), "problems": 0},
            "sha256": hashlib.sha256(b"".join(lines)).hexdigest(),
        }
        exited = {"seq": len(lines) + 1, "at": at, "event": "run.exited", "status": 0}
        return [*lines, *(json.dumps(e, separators=(",", ":")).encode() + b"\n" for e in (tail, exited))]

    def _info(self, key: str) -> dict[str, Any]:
        return {
            "id": key,
            "key": key,
            "nodeid": f"gates/preflight.py::test_{key}",
            "file": "gates/preflight.py",
            "line": 12,
            "title": self.title,
            "category": "service",
            "owner": "sre",
            "remedy": None,
            "timeout_s": 0,
        }

    def _finished(self, nodeid: str, at: str) -> dict[str, Any]:
        return {
            "event": "gate.finished",
            "nodeid": nodeid,
            "worker": "main",
            "attempt": 1,
            "phases": [[when, "passed", "", "", 0.01] for when in ("setup", "call", "teardown")],
            "measurements": [
                {
                    "name": "latency",
                    "value": self.latency,
                    "kind": "number",
                    "unit": "s",
                    "observed_at": at,
                    "samples": 3,
                    "source": "https://shop.example/readyz",
                }
            ],
            "measured": 1,
            "reported": 3,
            "notes": [],
            "attachments": [],
            "duration_s": 0.03,
        }

    def policy(self) -> EffectivePolicy:
        return replace(self.told_policy(), digest=digest_of(self.document()))

    def document(self) -> bytes:
        """The policy's file, as it was signed."""
        return written(self.told_policy())

    def envelope(self) -> bytes:
        """The policy's file, signed."""
        return sign_envelope(self.document(), POLICY_TYPE, POLICY_KEY)

    def told_policy(self) -> EffectivePolicy:
        """The policy that the run goes by, without the digest of what was signed."""
        gates = self.gates if self.policy_gates is None else self.policy_gates
        return EffectivePolicy(
            name="shop",
            version=3,
            digest="",
            signature=self.signature,
            plan="preflight",
            phase="preflight",
            environment=self.environment,
            sandbox=self.sandbox,
            requires=tuple(Requirement(key) for key in gates),
            limits={
                key: {"latency": Limit(Operator.AT_MOST, (Decimal("0.5"),), unit="s", max_age_s=60.5)}
                for key in gates
            },
            max_age_s=900.0,
            decision_ttl_s=self.ttl_s,
            gate_timeout_s=60.0,
            run_deadline_s=1800.0,
            runner=Runner.SUPERVISED,
            development_key=True,
            shards=self.shards,
            log=self.wanted_log,
            cosignatures=self.cosignatures,
        )

    def record(self) -> RunRecord:
        return fold(self.events())

    def decision(self) -> Decision:
        return decide(self.record(), self.policy(), self.decided_at)

    def seal(self, key: EnvelopeSigner | None, policy_envelope: bytes | None = None) -> Sealed:
        return seal(
            events=self.events(),
            record=self.record(),
            policy=self.policy(),
            policy_envelope=policy_envelope,
            decision=self.decision(),
            signer=key,
        )


@dataclass
class LyingRun(Run):
    """A run whose report tells the policy with a `lie`; the rest of the evidence is made to fit."""

    lie: dict[str, Any] = field(default_factory=dict)

    def told_policy(self) -> EffectivePolicy:
        return replace(super().told_policy(), **self.lie)

    def document(self) -> bytes:
        return written(super().told_policy())


POLICY_KEY = signer()
KEY = signer()
TRUSTED_POLICY_KEY = trusted(POLICY_KEY, name="policies", roles=frozenset({"policy"}))
ANCHOR = anchor(trusted(KEY), TRUSTED_POLICY_KEY)
POLICY = Run().document()
POLICY_DIGEST = Run().policy().digest
POLICY_ENVELOPE = Run().envelope()
_OWN = b"the run's own"


def sealed(
    run: Run | None = None, key: EnvelopeSigner = KEY, envelope: bytes | None = _OWN
) -> tuple[bytes, bytes]:
    """Bundle and report of a run under its signed policy."""
    run = run or Run()
    out = run.seal(key, run.envelope() if envelope is _OWN else envelope)
    assert out.bundle is not None
    return out.bundle, out.report


def joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def signed(document: Any, key: EnvelopeSigner = KEY) -> bytes:
    return sign_envelope(encode(document), STATEMENT_TYPE, key)


def document_of(line: bytes) -> dict[str, Any]:
    """The statement in an envelope, to be changed."""
    document = json.loads(read_envelope(line).payload)
    assert isinstance(document, dict)
    return document


def resealed(bundle: bytes, old: bytes, new: bytes, key: EnvelopeSigner = KEY) -> bytes:
    """`bundle` signed again with `old` replaced by `new` in every statement, and every digest made to fit."""
    renamed = {old: new}
    lines: list[bytes] = []
    for line in bundle.splitlines():
        envelope = read_envelope(line)
        payload = envelope.payload
        for before, after in renamed.items():
            payload = payload.replace(before, after)
        changed = payload != envelope.payload and envelope.payload_type == STATEMENT_TYPE
        lines.append(sign_envelope(payload, STATEMENT_TYPE, key) if changed else line)
        renamed[envelope_digest(line).encode()] = envelope_digest(lines[-1]).encode()
    return joined(lines)
