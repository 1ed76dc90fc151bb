"""What differs between two decisions, and between the runs and policies behind them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_cutover.model import Decision, EffectivePolicy, Finding, JudgedMeasurement, Limit, RunRecord
    from pytest_cutover.rejudge.case import Case

Identity = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings that only one of two decisions has; one that both have, with other figures, is in neither."""

    gone: tuple[Finding, ...]
    new: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {"gone": [f.to_json() for f in self.gone], "new": [f.to_json() for f in self.new]}


@dataclass(frozen=True, slots=True)
class Changed:
    """One named thing before and after; None: it was not, or is no longer, there."""

    name: str
    before: str | None
    after: str | None

    @property
    def text(self) -> str:
        return f"{self.name}: {_shown(self.before)} → {_shown(self.after)}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one gate before and after, beside the limit it was judged by."""

    gate: str
    name: str
    before: JudgedMeasurement | None
    after: JudgedMeasurement | None

    @property
    def text(self) -> str:
        """`service.ready  latency: 0.2 s → 0.9 s, limit at most 0.5 s: was green, is not`"""
        limits = [_limit(self.before), _limit(self.after)]
        known = [text for text in limits if text is not None]
        limit = ", no limit"
        if known:
            limit = (
                f", limit {known[-1]}"
                if len(set(limits)) == 1 or len(known) == 1
                else f", limit {known[0]} → {known[1]}"
            )
        return f"{self.gate}  {self.name}: {_value(self.before)} → {_value(self.after)}{limit}{self._turned}"

    @property
    def _turned(self) -> str:
        if self.before is None or self.after is None or self.before.green == self.after.green:
            return ""
        return ": was green, is not" if self.before.green else ": was not green, is"

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "name": self.name,
            "before": _judged_json(self.before),
            "after": _judged_json(self.after),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs between two runs; what is the same is not listed."""

    before: Decision
    after: Decision
    run: tuple[Changed, ...]
    appeared: tuple[str, ...]
    vanished: tuple[str, ...]
    measured: tuple[Measured, ...]
    findings: Findings
    policy: tuple[Changed, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both runs came to the same in the same way."""
        same = (self.before.verdict, self.before.exit_code) == (self.after.verdict, self.after.exit_code)
        listed = (*self.run, *self.appeared, *self.vanished, *self.measured, *self.policy)
        return same and not listed and not self.findings.gone and not self.findings.new

    def to_json(self) -> dict[str, Any]:
        return {
            "same": self.is_empty,
            "verdict": {
                "before": [self.before.verdict.value, int(self.before.exit_code)],
                "after": [self.after.verdict.value, int(self.after.exit_code)],
            },
            "run": [c.to_json() for c in self.run],
            "gates": {"appeared": list(self.appeared), "vanished": list(self.vanished)},
            "measured": [m.to_json() for m in self.measured],
            "findings": self.findings.to_json(),
            "policy": [c.to_json() for c in self.policy],
        }


def findings_between(before: Decision, after: Decision) -> Findings:
    """What was held against one and not the other, by code, gate and measurement."""
    return Findings(_only_in(before, after), _only_in(after, before))


def difference(before: Case, after: Case) -> Difference:
    """How the second run differs from the first, each judged by its own policy at its own time."""
    first, second = before.decide(), after.decide()
    had, has = {g.key for g in first.gates}, {g.key for g in second.gates}
    return Difference(
        first,
        second,
        tuple(_changed(_run_fields(before.record), _run_fields(after.record))),
        tuple(g.key for g in second.gates if g.key not in had),
        tuple(g.key for g in first.gates if g.key not in has),
        tuple(_measured(first, second)),
        findings_between(first, second),
        tuple(_changed(dict(_policy_fields(before.policy)), dict(_policy_fields(after.policy)))),
    )


def _only_in(one: Decision, other: Decision) -> tuple[Finding, ...]:
    left = Counter(_identity(f) for f in other.findings)
    out = []
    for finding in one.findings:
        identity = _identity(finding)
        if left[identity]:
            left[identity] -= 1
        else:
            out.append(finding)
    return tuple(out)


def _identity(finding: Finding) -> Identity:
    return finding.reason.code, finding.gate, finding.measurement


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield Changed(name, before.get(name), after.get(name))


def _run_fields(record: RunRecord) -> dict[str, str]:
    subjects = sorted(f"{s.name} {n}:{v}" for s in record.subjects for n, v in s.digest.items())
    return {
        "plan": record.plan,
        "environment": record.environment,
        "runner": record.runner.value,
        "signer": record.signer.value,
        "shard": "none" if record.shard is None else str(record.shard),
        "subjects": ", ".join(subjects) or "none",
        "gate code": record.gate_code_digest,
        **{f"version of {name}": str(value) for name, value in record.versions.items()},
        **{f"target {name}": str(value) for name, value in record.target.items()},
    }


def _policy_fields(policy: EffectivePolicy) -> Iterator[tuple[str, str]]:
    for name, value in policy.to_json().items():
        if name == "requires":
            for entry in value:
                yield f"requires {entry['gate']}", _instances(entry["instances"])
        elif name == "limits":
            for gate, limits in policy.limits.items():
                for measurement, limit in limits.items():
                    yield f"limit {gate} {measurement}", _limit_text(limit)
        elif name not in ("plan", "environment"):  # the run's own
            yield name, _plain(value)


def _instances(value: Any) -> str:
    if value is None:
        return "required"
    return f"{value} instances" if isinstance(value, int) else f"instances {', '.join(value)}"


def _limit_text(limit: Limit) -> str:
    samples = "" if limit.min_samples is None else f", {limit.min_samples} samples or more"
    age = "" if limit.max_age_s is None else f", at most {limit.max_age_s:g} s old"
    return f"{limit.text()}{samples}{age}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _measured(before: Decision, after: Decision) -> Iterator[Measured]:
    first, second = _by_name(before), _by_name(after)
    for gate, name in {**first, **second}:
        pair = first.get((gate, name)), second.get((gate, name))
        if _seen(pair[0]) != _seen(pair[1]):
            yield Measured(gate, name, *pair)


def _by_name(decision: Decision) -> dict[tuple[str, str], JudgedMeasurement]:
    return {(g.key, j.measurement.name): j for g in decision.gates for j in g.measurements}


def _seen(judged: JudgedMeasurement | None) -> tuple[object, ...] | None:
    """What of a measurement counts as a difference; when it was observed does not."""
    if judged is None:
        return None
    m = judged.measurement
    return m.value, m.kind, m.unit, m.samples, _limit(judged), judged.green


def _limit(judged: JudgedMeasurement | None) -> str | None:
    return None if judged is None or judged.limit is None else judged.limit.text()


def _value(judged: JudgedMeasurement | None) -> str:
    if judged is None:
        return "not measured"
    m = judged.measurement
    samples = "" if m.samples is None else f" ({m.samples} samples)"
    return f"{m.value}{'' if m.unit == '1' else ' ' + m.unit}{samples}"


def _judged_json(judged: JudgedMeasurement | None) -> dict[str, Any] | None:
    if judged is None:
        return None
    m = judged.measurement
    return {
        "measured": m.value,
        "unit": m.unit,
        "samples": m.samples,
        "limit": _limit(judged),
        "green": judged.green,
    }


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value
