"""A fleet of three shards: their runs sealed, merged and sealed by the real functions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover.evidence.envelope import POLICY_TYPE, sign_envelope
from pytest_cutover.evidence.fleet import seal_fleet, shard_evidence
from pytest_cutover.fleet import FleetRecord, decide_fleet
from pytest_cutover.model import SignerKind
from tests.unit.evidence.policies import under_its_document, written
from tests.unit.evidence.runs import ANCHOR, KEY, NOW, POLICY_KEY, Run, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.fleet import ShardEvidence
    from pytest_cutover.model import Decision, EffectivePolicy

SHARDS = ("eu", "us", "ap")
MERGED_AT = NOW + timedelta(seconds=30)
"""Within the time that the measurements of `Run` are fresh."""


def shard_run(name: str | None, **changes: Any) -> Run:
    """A shard's run; each shard has a run id and nonce of its own."""
    mark = hashlib.sha256(repr(name).encode()).hexdigest()
    fields: dict[str, Any] = {
        "shard": name,
        "shards": SHARDS,
        "nonce": mark[:32],
        "run_id": f"20261121T084700.000Z-{mark[:8]}",
    }
    return Run(**(fields | changes))


def evidence_of(run: Run, key: EnvelopeSigner = KEY) -> ShardEvidence:
    """What a merge takes from it."""
    return shard_evidence(f"runs/{run.shard}", *sealed(run, key), ANCHOR)


def policy(**changes: Any) -> EffectivePolicy:
    return under_its_document(replace(Run(shards=SHARDS).policy(), **changes))


def envelope(**changes: Any) -> bytes:
    """The signed file of the policy; `changes` are the policy's."""
    return sign_envelope(written(policy(**changes)), POLICY_TYPE, POLICY_KEY)


def fleet(shards: Sequence[ShardEvidence] | None = None, **changes: Any) -> FleetRecord:
    """A merge of these shards, else of all three, green."""
    given = [evidence_of(shard_run(name)) for name in SHARDS] if shards is None else shards
    fields: dict[str, Any] = {
        "run_id": "20261121T084830.000Z-f1ee7f1e",
        "nonce": "7e" * 16,
        "plan": "preflight",
        "environment": "production",
        "sandbox": False,
        "signer": SignerKind.CONFIGURED,
        "policy_digest": policy().digest,
        "shards": tuple(given),
        "versions": {"pytest-cutover": "0.1.0"},
    }
    return FleetRecord(**(fields | changes))


def decided(record: FleetRecord | None = None, at: datetime = MERGED_AT, **changes: Any) -> Decision:
    return decide_fleet(record or fleet(), policy(**changes), at)


def sealed_fleet(
    record: FleetRecord | None = None, key: EnvelopeSigner = KEY, at: datetime = MERGED_AT, **changes: Any
) -> tuple[bytes, bytes]:
    """Bundle and report of a merge under the signed policy; `changes` are the policy's."""
    record = record or fleet()
    out = seal_fleet(
        record,
        policy(**changes),
        decided(record, at, **changes),
        policy_envelope=envelope(**changes),
        signer=key,
    )
    assert out.bundle is not None
    return out.bundle, out.report
