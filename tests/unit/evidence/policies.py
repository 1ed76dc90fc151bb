"""The document that comes to a given policy: what somebody has to have signed for evidence to be under it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import rfc3339

if TYPE_CHECKING:
    from pytest_cutover.model import EffectivePolicy, Limit

_NUMBER = "number "


def written(policy: EffectivePolicy) -> bytes:
    """A policy's file with one plan and one environment, which says everything that `policy` does."""
    environment: dict[str, Any] = {"sandbox": policy.sandbox}
    if policy.log is not None:
        environment["log"] = {"origin": policy.log, "cosignatures": policy.cosignatures}
    plan = {
        "phase": policy.phase,
        "requires": [r._asdict() for r in policy.requires],
        "shards": policy.shards,
        "sections": policy.sections,
        "settings": _settings(policy),
    }
    document = {
        "format": 1,
        "name": policy.name,
        "version": policy.version,
        "expires": None if policy.expires_at is None else rfc3339(policy.expires_at),
        "plans": {policy.plan: plan},
        "limits": {g: {n: _limit(x) for n, x in m.items()} for g, m in policy.limits.items()},
        "environments": {policy.environment: environment},
    }
    return re.sub(f'"{_NUMBER}([^"]*)"', r"\1", json.dumps(document)).encode()


def digest_of(document: bytes) -> str:
    return f"sha256:{hashlib.sha256(document).hexdigest()}"


def under_its_document(policy: EffectivePolicy) -> EffectivePolicy:
    """The same policy, with the digest of the document that comes to it."""
    return replace(policy, digest=digest_of(written(policy)))


def _settings(policy: EffectivePolicy) -> dict[str, Any]:
    names = ("max_age_s", "decision_ttl_s", "gate_timeout_s", "run_deadline_s", "clock_tolerance_s")
    pin = policy.gate_code_digest
    return {
        **{name: getattr(policy, name) for name in names},
        "runner": policy.runner.value,
        "development_key": policy.development_key,
        "min_samples": policy.min_samples,
        "waiver_persons": policy.waiver_persons,
        "gate_code": {
            "paths": policy.gate_code_paths,
            "sha256": None if pin is None else pin.removeprefix("sha256:"),
        },
    }


def _limit(limit: Limit) -> dict[str, Any]:
    bounds = [b if isinstance(b, str) else f"{_NUMBER}{b}" for b in limit.bounds]
    several = limit.operator.value in ("between", "one_of")
    return {
        limit.operator.value: bounds if several else bounds[0],
        "unit": limit.unit,
        "min_samples": limit.min_samples,
        "max_age_s": limit.max_age_s,
    }
