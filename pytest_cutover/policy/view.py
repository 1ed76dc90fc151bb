"""The effective policy as people and programs read it: every value beside where it comes from.

Nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_cutover.model import Limit, Requirement, Runner, ValueKind
from pytest_cutover.resolution import GateFiles, Layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from pytest_cutover.model import EffectivePolicy
    from pytest_cutover.policy.load import LoadedPolicy, LogRule, PlaceRule, StoreRule, SubjectRule
    from pytest_cutover.policy.resolve import Origin

Row = tuple[str, ...]


def as_text(loaded: LoadedPolicy, file: str, *, now: datetime) -> str:
    """The policy for one plan and environment as aligned tables, widest column last."""
    policy = loaded.effective
    blocks = [
        _table(None, _head(loaded, file, now)),
        _table((f"REQUIRED ({len(policy.requires)})", "INSTANCES", "FROM"), _required(loaded)),
        _table(("GATE", "MEASUREMENT", "LIMIT", "SAMPLES", "MAX AGE", "FROM"), _limits(loaded)),
        _table(("SETTING", "VALUE", "FROM"), _settings(loaded)),
    ]
    if loaded.profile.targets:
        blocks.append(_table(("TARGET", "ADDRESS"), sorted(loaded.profile.targets.items())))
    if loaded.profile.subjects:
        blocks.append(
            _table(("SUBJECT", "DIGEST FROM"), [(s.name, _source(s)) for s in loaded.profile.subjects])
        )
    return "\n\n".join(blocks)


def as_json(loaded: Sequence[LoadedPolicy], file: str) -> dict[str, Any]:
    """The same for programs; `origins` names a limit `gate/measurement`."""
    return {
        "file": file,
        "plans": {
            one.effective.plan: {
                "effective": one.effective.to_json(),
                "signature": {"detail": one.signature.detail, "proves": one.signature.proves},
                "required_from": [_origin_json(o, file) for o in one.resolved.required],
                "origins": {
                    _origin_key(k): _origin_json(o, file, k) for k, o in one.resolved.origins.items()
                },
                "targets": one.profile.targets,
                "subjects": [{"name": s.name, "from": _source(s)} for s in one.profile.subjects],
                "log": _log_json(one.profile.log),
                "store": _store_json(one.profile.store),
            }
            for one in loaded
        },
    }


def _origin_key(key: str | tuple[str, str]) -> str:
    return key if isinstance(key, str) else "/".join(key)


def _origin_json(origin: Origin, file: str, key: str | tuple[str, str] = "") -> dict[str, Any]:
    out: dict[str, Any] = {"from": origin.layer.value}
    if origin.line is not None:
        out |= {"file": file, "line": origin.line}
    if origin.instead_of is not None:
        out["instead_of"] = _value(key if isinstance(key, str) else "", origin.instead_of)
    return out


def _head(loaded: LoadedPolicy, file: str, now: datetime) -> list[Row]:
    policy, report = loaded.effective, loaded.signature
    expiry = "no end date"
    if policy.expires_at is not None:
        gone = policy.expires_at <= now
        expiry = f"{'EXPIRED' if gone else 'valid until'} {policy.expires_at:%Y-%m-%d %H:%M} UTC"
    kind = " (sandbox: nobody else accepts its evidence)" if policy.sandbox else ""
    rows: list[Row] = [
        ("policy", f"{policy.name}, version {policy.version}, {expiry}"),
        ("file", file),
        ("digest", policy.digest),
        ("plan", policy.plan if policy.plan == policy.phase else f"{policy.plan} (phase {policy.phase})"),
        ("environment", f"{policy.environment}{kind}"),
        *([] if policy.shards is None else [("shards", _shards(policy.shards))]),
        *([] if policy.log is None else [("log", _log(loaded))]),
        *([] if loaded.profile.store is None else [("store", _store(loaded.profile.store))]),
        *([("sections", ", ".join(policy.sections))] if policy.sections else []),
        ("signature", f"{report.state.value.upper()}: {report.detail}"),
    ]
    if report.proves:
        rows.append(("", report.proves))
    if report.hint:
        rows.append(("", f"hint: {report.hint}"))
    return rows


def _log(loaded: LoadedPolicy) -> str:
    policy, rule = loaded.effective, loaded.profile.log
    place = "" if rule is None else f" in {_place(rule)}"
    asked = f", asking {', '.join(rule.witnesses)}" if rule is not None and rule.witnesses else ""
    return (
        f"{policy.log}{place}"
        + (f", {policy.cosignatures} cosignatures" if policy.cosignatures else "")
        + asked
    )


def _place(rule: PlaceRule) -> str:
    server = "" if rule.endpoint is None else f" at {rule.endpoint}"
    return f"{rule.place}{server}{'' if rule.region is None else f', region {rule.region}'}"


def _place_json(rule: PlaceRule) -> dict[str, Any]:
    return {"place": rule.place, "endpoint": rule.endpoint, "region": rule.region}


def _store(rule: StoreRule) -> str:
    kept = "" if rule.retain_for is None else f", retained for {rule.retain_for.days} days at least"
    return f"{_place(rule)}{kept}"


def _log_json(rule: LogRule | None) -> dict[str, Any] | None:
    return None if rule is None else {**_place_json(rule), "witnesses": list(rule.witnesses)}


def _store_json(rule: StoreRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {**_place_json(rule), "retention_days": None if rule.retain_for is None else rule.retain_for.days}


def _shards(shards: tuple[str, ...] | int) -> str:
    return f"{shards} of them" if isinstance(shards, int) else ", ".join(shards)


def _required(loaded: LoadedPolicy) -> list[Row]:
    policy, resolved = loaded.effective, loaded.resolved
    rows: list[Row] = [
        (r.gate, _instances(r), _origin(o)) for r, o in zip(policy.requires, resolved.required, strict=True)
    ]
    return rows + [(f"({gate})", "", "left out by the environment") for gate in resolved.left_out]


def _instances(requirement: Requirement) -> str:
    if isinstance(requirement.instances, tuple):
        return ", ".join(requirement.instances)
    return "" if requirement.instances is None else f"{requirement.instances} of them"


def _limits(loaded: LoadedPolicy) -> list[Row]:
    policy = loaded.effective
    rows: list[Row] = []
    for gate in _gates_in_order(policy):
        name = gate
        for measurement, limit in policy.limits[gate].items():
            origin = loaded.resolved.origins[gate, measurement]
            rows.append(
                (
                    name,
                    measurement,
                    limit.text(),
                    _samples(limit, policy),
                    _age(limit, policy),
                    _origin(origin),
                )
            )
            name = ""  # once per gate is enough to read
        if gate.partition("[")[0] not in {r.gate for r in policy.requires}:
            rows.append(("", "(not required by this plan)", "", "", "", ""))
    return rows


def _gates_in_order(policy: EffectivePolicy) -> list[str]:
    """Required gates as the plan lists them, each followed by its instances; then the others."""
    order = [r.gate for r in policy.requires]
    position = {gate: at for at, gate in enumerate(order)}
    return sorted(policy.limits, key=lambda g: (position.get(g.partition("[")[0], len(order)), g))


def _samples(limit: Limit, policy: EffectivePolicy) -> str:
    # The setting is for numbers: a status has no samples.
    default = policy.min_samples if limit.kind is ValueKind.NUMBER else None
    minimum = limit.min_samples if limit.min_samples is not None else default
    return "any" if minimum is None else f"{minimum} or more"


def _age(limit: Limit, policy: EffectivePolicy) -> str:
    return duration(limit.max_age_s if limit.max_age_s is not None else policy.max_age_s)


def _settings(loaded: LoadedPolicy) -> list[Row]:
    policy, origins = loaded.effective, loaded.resolved.origins
    values = {
        "max_age_s": policy.max_age_s,
        "decision_ttl_s": policy.decision_ttl_s,
        "gate_timeout_s": policy.gate_timeout_s,
        "run_deadline_s": policy.run_deadline_s,
        "clock_tolerance_s": policy.clock_tolerance_s,
        "runner": policy.runner,
        "development_key": policy.development_key,
        "min_samples": policy.min_samples,
        "waiver_persons": policy.waiver_persons,
        "gate_code": GateFiles(
            paths=policy.gate_code_paths,
            sha256=(policy.gate_code_digest or "").removeprefix("sha256:") or None,
        ),
    }
    rows: list[Row] = []
    for name, value in values.items():
        text = _value(name, value)
        rows.append((name, text, _origin(origins[name], name, text)))
    return rows


def _origin(origin: Origin, name: str = "", value: str | None = None) -> str:
    """Line and layer; and what was replaced, unless it reads the same as `value`."""
    if origin.line is None:
        return origin.layer.value
    text = f"line {origin.line}"
    if origin.layer is not Layer.POLICY:
        text += f" ({origin.layer.value})"
    if origin.instead_of is None or _value(name, origin.instead_of) == value:
        return text
    return f"{text}, instead of {_value(name, origin.instead_of)}"


def _value(name: str, value: Any) -> str:
    if isinstance(value, Limit):
        return value.text()
    if isinstance(value, Runner):
        value = value.value
    if isinstance(value, GateFiles):
        return f"{', '.join(value.paths)} ({f'pinned to {value.sha256}' if value.sha256 else 'not pinned'})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_s"):
        return duration(value)
    if name == "runner":
        return "supervised only" if value == Runner.SUPERVISED.value else "any (in-process or supervised)"
    return "none" if value is None else str(value)


def duration(seconds: float | Decimal) -> str:
    """Seconds as people say them, exact: `900 s (15 min)`."""
    text = f"{seconds:f}".rstrip("0").rstrip(".") if "." in f"{seconds:f}" else f"{seconds:f}"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{text} s ({int(seconds // length)} {unit})"
    return f"{text} s"


def _source(rule: SubjectRule) -> str:
    if rule.sha256 is not None:
        return f"sha256 {rule.sha256}"
    if rule.files is not None:
        return f"files {rule.files}"
    if rule.command is not None:
        return f"command {' '.join(rule.command)}"
    return f"git {rule.git}"


def _table(head: Row | None, rows: Iterable[Row]) -> str:
    """Columns aligned by the widest cell; without columns that are empty, and trailing blanks."""
    body = list(rows)
    filled = [at for at in range(len(body[0])) if any(row[at] for row in body)]
    lines = [tuple(line[at] for at in filled) for line in ([head] if head else []) + body]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


__all__ = ["as_json", "as_text", "duration"]
