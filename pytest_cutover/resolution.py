"""From a policy's plain JSON to the policy as it stands for one plan and one environment.

One function for the run, for `cutover policy show` and for `cutover verify`, which holds evidence against the policy
that was signed: what is shown and what was signed is what decides. Built-in < defaults < plan < environment.
Pure, and without pydantic.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_cutover.model import (
    LOCAL_LOG,
    SANDBOX,
    EffectivePolicy,
    Limit,
    Operator,
    Requirement,
    Runner,
    parse_rfc3339,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_cutover.model import PolicySignature

Path = tuple[str | int, ...]
"""Keys and list indexes from the root to a value."""


class GateFiles(NamedTuple):
    """Which files are the gates' code, and the SHA-256 it is pinned to, in hex."""

    paths: tuple[str, ...] = ("gates", "conftest.py")
    sha256: str | None = None


class BuiltIn(NamedTuple):
    """The settings that hold when a policy names none.

    They are part of format 1 of the policy: evidence is held against them, so another value makes old evidence disagree.
    """

    max_age_s: Decimal = Decimal(900)
    decision_ttl_s: Decimal = Decimal(3600)
    gate_timeout_s: Decimal = Decimal(60)
    run_deadline_s: Decimal = Decimal(1800)
    runner: str = "in-process"
    development_key: bool = False  # True in the sandbox
    min_samples: int | None = None
    gate_code: GateFiles = GateFiles()
    clock_tolerance_s: Decimal = Decimal(5)
    waiver_persons: int | None = None


class Layer(Enum):
    """Who set a value, weakest first."""

    BUILT_IN = "built-in"
    DEFAULTS = "defaults"
    PLAN = "plan"
    POLICY = "policy"  # requires of a plan, limits at the top of the file
    ENVIRONMENT = "environment"


class Source(NamedTuple):
    """Where a value stands in the document, and what it replaced; the path is None for what is built in."""

    layer: Layer
    path: Path | None
    instead_of: Any = None


Sources = dict[str | tuple[str, str], Source]


class Resolution(NamedTuple):
    """The effective policy and where each part of it stands.

    Keys of `sources`: a setting's name, or (gate, measurement) of a limit. `required` says the same of
    each entry of `requires`; `left_out` are gates of the plan that the environment does not require.
    """

    effective: EffectivePolicy
    sources: Sources
    required: tuple[Source, ...]
    left_out: tuple[str, ...]


def resolve(
    document: Mapping[str, Any], *, digest: str, signature: PolicySignature, plan: str, environment: str
) -> Resolution:
    """The policy of a checked document for one plan and environment, both of which it has.

    `document` is its JSON as `strictjson` reads it; `digest` and `signature` are what it cannot say about itself.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError, AttributeError: it was never checked; the caller says where.
    """
    stage, place = document["plans"][plan], document["environments"][environment]
    settings, sources = resolve_settings(document, plan, environment)
    limits, limit_sources = _limits(document, environment)
    requires, required = _requires(document, plan, environment)
    gate_code: GateFiles = settings["gate_code"]
    log, expires = place.get("log"), document.get("expires")
    effective = EffectivePolicy(
        name=document["name"],
        version=document["version"],
        digest=digest,
        signature=signature,
        plan=plan,
        phase=stage.get("phase") or plan,
        environment=environment,
        sandbox=place.get("sandbox", False),
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
        gate_code_digest=None if gate_code.sha256 is None else f"sha256:{gate_code.sha256}",
        expires_at=None if expires is None else parse_rfc3339(expires),
        clock_tolerance_s=float(settings["clock_tolerance_s"]),
        shards=_shards(stage, place, plan),
        waiver_persons=settings["waiver_persons"],
        log=None if log is None else log.get("origin", LOCAL_LOG),
        cosignatures=0 if log is None else log.get("cosignatures", 0),
        sections=tuple(stage.get("sections", ())),
    )
    return Resolution(
        effective, {**sources, **limit_sources}, required, _left_out(stage["requires"], requires)
    )


def resolve_settings(
    document: Mapping[str, Any], plan: str, environment: str
) -> tuple[dict[str, Any], Sources]:
    """Every setting by name, and who set it; as for `resolve`."""
    values: dict[str, Any] = BuiltIn()._asdict()
    # Named so and saying so: `check` holds both together.
    values["development_key"] = environment == SANDBOX
    sources: Sources = {name: Source(Layer.BUILT_IN, None) for name in values}
    layers: tuple[tuple[Layer, Path], ...] = (
        (Layer.DEFAULTS, ("defaults",)),
        (Layer.PLAN, ("plans", plan, "settings")),
        (Layer.ENVIRONMENT, ("environments", environment, "settings")),
    )
    for layer, path in layers:
        settings = _at(document, path)
        for name in values:
            value = settings.get(name)
            if value is not None:
                sources[name] = Source(layer, (*path, name), values[name])
                values[name] = _setting(name, value)
    return values, sources


def _setting(name: str, value: Any) -> Any:
    if name == "gate_code":
        return GateFiles(tuple(value.get("paths", GateFiles().paths)), value.get("sha256"))
    return Decimal(value) if name.endswith("_s") else value


def _at(document: Mapping[str, Any], path: Iterable[str | int]) -> Any:
    """The object at `path`; an empty one when there is none."""
    node: Any = document
    for key in path:
        node = node.get(key, {})
    return node


def _limits(document: Mapping[str, Any], environment: str) -> tuple[dict[str, dict[str, Limit]], Sources]:
    limits: dict[str, dict[str, Limit]] = {}
    sources: Sources = {}
    layers: tuple[tuple[Layer, Path], ...] = (
        (Layer.POLICY, ("limits",)),
        (Layer.ENVIRONMENT, ("environments", environment, "limits")),
    )
    for layer, path in layers:
        for gate, names in _at(document, path).items():
            for name, entry in names.items():
                replaced = limits.setdefault(gate, {}).get(name)
                limits[gate][name] = limit_of(entry)
                sources[gate, name] = Source(layer, (*path, gate, name), replaced)
    return limits, sources


def limit_of(entry: Mapping[str, Any]) -> Limit:
    """The limit an entry describes; `check` has seen to it that there is exactly one operator."""
    operator = next((o for o in Operator if entry.get(o.value) is not None), None)
    if operator is None:
        raise ValueError("a limit without an operator")
    value = entry[operator.value]
    max_age_s = entry.get("max_age_s")
    return Limit(
        operator=operator,
        bounds=tuple(map(_bound, value)) if isinstance(value, list) else (_bound(value),),
        unit=entry.get("unit", "1"),
        min_samples=entry.get("min_samples"),
        max_age_s=None if max_age_s is None else float(max_age_s),
    )


def _bound(value: Any) -> Any:
    return value if isinstance(value, str) else Decimal(value)


def _requires(
    document: Mapping[str, Any], plan: str, environment: str
) -> tuple[tuple[Requirement, ...], tuple[Source, ...]]:
    layer = Layer.ENVIRONMENT
    path: Path = ("environments", environment, "plans", plan)
    entries = _at(document, path).get("requires")
    if entries is None:
        layer, path = Layer.POLICY, ("plans", plan)
        entries = document["plans"][plan]["requires"]
    sources = tuple(Source(layer, (*path, "requires", at)) for at in range(len(entries)))
    return tuple(map(_requirement, entries)), sources


def _left_out(of_plan: Iterable[Any], requires: Iterable[Requirement]) -> tuple[str, ...]:
    required = {requirement.gate for requirement in requires}
    gates = dict.fromkeys(_requirement(entry).gate for entry in of_plan)
    return tuple(gate for gate in gates if gate not in required)


def _shards(stage: Mapping[str, Any], place: Mapping[str, Any], plan: str) -> tuple[str, ...] | int | None:
    own = _at(place, ("plans", plan)).get("shards")
    return _named_or_counted(stage.get("shards") if own is None else own)


def _requirement(entry: Any) -> Requirement:
    if isinstance(entry, str):
        return Requirement(entry)
    return Requirement(entry["gate"], _named_or_counted(entry.get("instances")))


def _named_or_counted(value: Any) -> tuple[str, ...] | int | None:
    return tuple(value) if isinstance(value, list) else value
