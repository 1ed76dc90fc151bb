"""From the document to the policy as it stands for one plan and one environment.

One function answers both "what applies" and "where does it come from", so that what `cutover policy
show` prints is what decides. Built-in < defaults < plan < environment. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import (
    SANDBOX,
    EffectivePolicy,
    Limit,
    Operator,
    PolicySignature,
    Requirement,
    Runner,
    parse_rfc3339,
)
from pytest_cutover.policy.document import GateCode, RequireEntry

if TYPE_CHECKING:
    from pytest_cutover.policy.document import Document, LimitEntry
    from pytest_cutover.policy.positions import Located, Path


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The settings that hold when a policy names none."""

    max_age_s: Decimal = Decimal(900)
    decision_ttl_s: Decimal = Decimal(3600)
    gate_timeout_s: Decimal = Decimal(60)
    run_deadline_s: Decimal = Decimal(1800)
    runner: str = "in-process"
    development_key: bool = False  # True in the sandbox
    min_samples: int | None = None
    gate_code: GateCode = field(default_factory=GateCode)
    clock_tolerance_s: Decimal = Decimal(5)
    waiver_persons: int | None = None


class Layer(Enum):
    """Who set a value, weakest first."""

    BUILT_IN = "built-in"
    DEFAULTS = "defaults"
    PLAN = "plan"
    POLICY = "policy"  # requires of a plan, limits at the top of the file
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, and what it replaced; the line is None for what is built in."""

    layer: Layer
    line: int | None
    instead_of: Any = None


Origins = dict[str | tuple[str, str], Origin]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The effective policy and where each part of it comes from.

    Keys of `origins`: a setting's name, or (gate, measurement) of a limit. `required` says the same of
    each entry of `requires`; `left_out` are gates of the plan that the environment does not require.
    """

    effective: EffectivePolicy
    origins: Origins
    required: tuple[Origin, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the document cannot say about itself."""

    digest: str
    signature: PolicySignature


def resolve(
    document: Document, located: Located, identity: Identity, *, plan: str, environment: str
) -> Resolved:
    """The policy of a checked document for one plan and environment, both of which it has."""
    settings, origins = resolve_settings(document, located, plan, environment)
    limits, limit_origins = _limits(document, located, environment)
    requires, required = _requires(document, located, plan, environment)
    origins.update(limit_origins)
    gate_code: GateCode = settings["gate_code"]
    pin = gate_code.sha256
    log = document.environments[environment].log
    effective = EffectivePolicy(
        name=document.name,
        version=document.version,
        digest=identity.digest,
        signature=identity.signature,
        plan=plan,
        phase=document.plans[plan].phase or plan,
        environment=environment,
        sandbox=document.environments[environment].sandbox,
        requires=requires,
        limits=limits,
        max_age_s=float(settings["max_age_s"]),
        decision_ttl_s=float(settings["decision_ttl_s"]),
        gate_timeout_s=float(settings["gate_timeout_s"]),
        run_deadline_s=float(settings["run_deadline_s"]),
        runner=Runner(settings["runner"]),
        development_key=settings["development_key"],
        min_samples=settings["min_samples"],
        gate_code_paths=gate_code.paths,
        gate_code_digest=None if pin is None else f"sha256:{pin}",
        expires_at=None if document.expires is None else parse_rfc3339(document.expires),
        clock_tolerance_s=float(settings["clock_tolerance_s"]),
        shards=_shards(document, plan, environment),
        waiver_persons=settings["waiver_persons"],
        log=None if log is None else log.origin,
        cosignatures=0 if log is None else log.cosignatures,
        sections=document.plans[plan].sections,
    )
    left_out = {_requirement(e).gate: None for e in document.plans[plan].requires}
    for requirement in requires:
        left_out.pop(requirement.gate, None)
    return Resolved(effective, origins, required, tuple(left_out))


def resolve_settings(
    document: Document, located: Located, plan: str, environment: str
) -> tuple[dict[str, Any], Origins]:
    """Every setting by name, and who set it."""
    values: dict[str, Any] = {f.name: getattr(BuiltIn(), f.name) for f in fields(BuiltIn)}
    # Named so and saying so: `check` holds both together.
    values["development_key"] = environment == SANDBOX
    origins: Origins = {name: Origin(Layer.BUILT_IN, None) for name in values}
    layers: tuple[tuple[Layer, Any, Path], ...] = (
        (Layer.DEFAULTS, document.defaults, ("defaults",)),
        (Layer.PLAN, document.plans[plan].settings, ("plans", plan, "settings")),
        (
            Layer.ENVIRONMENT,
            document.environments[environment].settings,
            ("environments", environment, "settings"),
        ),
    )
    for layer, settings, path in layers:
        for name in values:
            value = getattr(settings, name)
            if value is not None:
                origins[name] = Origin(layer, located.key_line((*path, name)), values[name])
                values[name] = value
    return values, origins


def _limits(
    document: Document, located: Located, environment: str
) -> tuple[dict[str, dict[str, Limit]], Origins]:
    limits: dict[str, dict[str, Limit]] = {}
    origins: Origins = {}
    layers: tuple[tuple[Layer, Any, Path], ...] = (
        (Layer.POLICY, document.limits, ("limits",)),
        (
            Layer.ENVIRONMENT,
            document.environments[environment].limits,
            ("environments", environment, "limits"),
        ),
    )
    for layer, entries, path in layers:
        for gate, names in entries.items():
            for name, entry in names.items():
                replaced = limits.setdefault(gate, {}).get(name)
                limits[gate][name] = limit_of(entry)
                origins[gate, name] = Origin(layer, located.key_line((*path, gate, name)), replaced)
    return limits, origins


def limit_of(entry: LimitEntry) -> Limit:
    """The limit an entry describes; `check` has seen to it that there is exactly one operator."""
    operator = next(o for o in Operator if getattr(entry, o.value) is not None)
    value = getattr(entry, operator.value)
    return Limit(
        operator=operator,
        bounds=value if isinstance(value, tuple) else (value,),
        unit=entry.unit,
        min_samples=entry.min_samples,
        max_age_s=None if entry.max_age_s is None else float(entry.max_age_s),
    )


def _requires(
    document: Document, located: Located, plan: str, environment: str
) -> tuple[tuple[Requirement, ...], tuple[Origin, ...]]:
    override = document.environments[environment].plans.get(plan)
    if override is not None and override.requires is not None:
        layer, entries = Layer.ENVIRONMENT, override.requires
        path: Path = ("environments", environment, "plans", plan, "requires")
    else:
        layer, entries = Layer.POLICY, document.plans[plan].requires
        path = ("plans", plan, "requires")
    origins = tuple(Origin(layer, located.line((*path, at))) for at in range(len(entries)))
    return tuple(_requirement(e) for e in entries), origins


def _shards(document: Document, plan: str, environment: str) -> tuple[str, ...] | int | None:
    override = document.environments[environment].plans.get(plan)
    own = None if override is None else override.shards
    return document.plans[plan].shards if own is None else own


def _requirement(entry: str | RequireEntry) -> Requirement:
    if isinstance(entry, str):
        return Requirement(entry)
    return Requirement(entry.gate, entry.instances)
