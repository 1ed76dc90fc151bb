"""The vocabulary of a gate run: what is required, what was measured, what was decided.

Pure values: nothing here opens a file, reads a clock or knows pytest. Times are aware
datetimes in UTC, durations seconds, numbers `Decimal` so that a limit of 0.1 means 0.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_cutover.obligation import Owed
    from pytest_cutover.waiver import BoundGuard, GivenWaiver

_ADDED = frozenset({"waiver_persons", "shards", "log", "sections", "cosignatures"})
"""Fields that format 1 did not have at first: not there, they are what they were then. No waiver counts, no fleet, no log."""

SECTIONS = ("judges", "perf", "perf_judge", "canary")
"""The sections that an evidence document can have; gates provide them (`Gate.section`)."""

SECTION_TYPE = "application/vnd.pytest-cutover.section+json"
"""Media type of the attachment that is a section; its name is the section's."""

LOCAL_LOG = "cutover.local"
"""Origin of the transparency log that a machine keeps for itself, signed with its development key."""

SANDBOX = "sandbox"
"""The one environment whose evidence nobody else accepts."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things in words: `1 entry`, `2 entries`; the plural is left out where it only adds an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


class Verdict(Enum):
    GO = "GO"
    GO_WITH_GUARDS = "GO-WITH-GUARDS"
    NO_GO = "NO-GO"
    HOLD = "HOLD"


class ExitCode(IntEnum):
    """What a gate run exits with; pytest owns 0 to 6, this project 10 to 12."""

    GO = 0
    NO_GO = 10
    UNPROVEN = 11
    HOLD = 12


class Operator(Enum):
    """The one set of words for limits: in code, policy, TOML and reports."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BETWEEN = "between"  # inclusive on both sides
    EQUALS = "equals"
    ONE_OF = "one_of"


class ValueKind(Enum):
    NUMBER = "number"  # finite; `value` is its exact decimal text
    TEXT = "text"
    INVALID = "invalid"  # NaN, bool, None, a mock…: kept to show, never green


class Runner(Enum):
    IN_PROCESS = "in-process"
    SUPERVISED = "supervised"


class PolicySignature(Enum):
    """How far the policy's signature was proven before the run began."""

    TRUSTED = "trusted"
    UNSIGNED = "unsigned"
    UNTRUSTED = "untrusted"
    THRESHOLD = "threshold"  # trusted keys have signed it, and fewer persons than it takes
    OUTDATED = "outdated"  # signed or not: a newer version is the lowest that counts


class SignerKind(Enum):
    """Which kind of key will sign the decision of this run."""

    NONE = "none"
    DEVELOPMENT = "development"
    CONFIGURED = "configured"


Bound = Decimal | str


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measurement must satisfy.

    `bounds` holds one value (two, low then high, for BETWEEN; one or more for ONE_OF),
    all numbers or all texts. `max_age_s` and `min_samples` of None mean: the policy's default.
    """

    operator: Operator
    bounds: tuple[Bound, ...]
    unit: str = "1"
    min_samples: int | None = None
    max_age_s: float | None = None

    @property
    def kind(self) -> ValueKind:
        return ValueKind.TEXT if isinstance(self.bounds[0], str) else ValueKind.NUMBER

    def text(self) -> str:
        """The limit as people read it, e.g. `at most 1.5 x` or `one of ready, ok`."""
        values = [str(b) for b in self.bounds]
        unit = "" if self.unit == "1" else f" {self.unit}"
        if self.operator is Operator.BETWEEN:
            return f"between {values[0]} and {values[1]}{unit}"
        if self.operator is Operator.ONE_OF:
            return f"one of {', '.join(values)}{unit}"
        return f"{self.operator.value.replace('_', ' ')} {values[0]}{unit}"

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "operator": self.operator.value,
            "bounds": [str(b) for b in self.bounds],
            "kind": self.kind.value,
            "unit": self.unit,
        }
        if self.min_samples is not None:
            out["min_samples"] = self.min_samples
        if self.max_age_s is not None:
            out["max_age_s"] = self.max_age_s
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limit:
        """The inverse of `to_json`.

        Raises:
            KeyError, ValueError, ArithmeticError: malformed input; the caller says where.
        """
        operator, kind = Operator(data["operator"]), ValueKind(data["kind"])
        texts, unit = tuple(data["bounds"]), data["unit"]
        extra = {name: data[name] for name in ("min_samples", "max_age_s") if name in data}
        if not all(isinstance(t, str) for t in (*texts, unit)):
            raise TypeError("bounds and unit of a limit are texts")
        if any(type(n) not in (int, float, Decimal) for n in extra.values()):
            raise TypeError("min_samples and max_age_s of a limit are numbers")
        wanted = {Operator.BETWEEN: 2, Operator.ONE_OF: max(len(texts), 1)}.get(operator, 1)
        if len(texts) != wanted:
            raise ValueError(f"{operator.value} needs {wanted} bounds, got {len(texts)}")
        bounds = tuple(Decimal(t) for t in texts) if kind is ValueKind.NUMBER else texts
        if any(isinstance(b, Decimal) and not b.is_finite() for b in bounds):
            raise ValueError("a bound is not a finite number")
        return cls(operator, bounds, unit, **extra)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value a gate measured. `value` is the exact decimal text of a number, or the text itself."""

    name: str
    value: str
    kind: ValueKind
    unit: str
    observed_at: datetime
    samples: int | None = None
    source: str | None = None
    limit: Limit | None = None  # the one that stood in the gate's code
    information: bool = False


class Phase(NamedTuple):  # made six times for each gate, for a third of the price of a dataclass
    """One of setup, call, teardown; `outcome` is what pytest reported, `raised` what the code did.

    `raised` is None, or one of: assertion, error, skip, xfail, judged (the engine's own red), timeout,
    interrupt. Both are kept because a hook can turn the one into another without touching the other.
    """

    when: str
    outcome: str
    raised: str | None
    message: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class GateInfo:
    """A collected gate. `key` is its id, or `id[param]` for an instance of a parametrized one."""

    id: str
    key: str
    nodeid: str
    file: str
    line: int
    title: str
    category: str | None = None
    owner: str | None = None
    remedy: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """What happened when a gate ran; never whether that is good."""

    nodeid: str
    attempt: int
    phases: tuple[Phase, ...]
    measurements: tuple[Measurement, ...]
    measured: int  # how often the gate called measure(); a lost measurement shows
    reported: int  # how many phases pytest reported; a lost one shows
    notes: tuple[str, ...] = ()
    attachments: tuple[Mapping[str, str], ...] = ()
    worker: str = "main"
    duration_s: float = 0.0
    carried_from: str | None = None  # the id of the run in which it ran, when that was an earlier one


class Problem(NamedTuple):
    """Something that went wrong with the run itself, as the journal or its reading found it."""

    reason: Reason
    message: str
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is released: a name and its digests (in-toto DigestSet, lowercase hex)."""

    name: str
    digest: Mapping[str, str]


class Opened(NamedTuple):  # likewise
    """The earlier run that this one was opened from, and the SHA-256 of its evidence in hex."""

    run_id: str
    nonce: str
    report_digest: str
    bundle_digest: str


class LogHead(NamedTuple):  # a dataclass costs `cutover verify` five times as much to define
    """A transparency log as it stood at some moment: its name, how many entries, the root of their tree in hex."""

    origin: str
    size: int
    root: str

    def to_json(self) -> dict[str, Any]:
        return {"origin": self.origin, "size": self.size, "root": self.root}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What was expected, collected, run and measured in one run; never a verdict."""

    run_id: str
    nonce: str
    plan: str
    environment: str
    sandbox: bool
    runner: Runner
    signer: SignerKind
    policy_digest: str
    gate_code_digest: str
    subjects: tuple[Subject, ...]
    shard: str | None
    started_at: datetime
    finished_at: datetime | None
    versions: Mapping[str, str]
    collected: tuple[GateInfo, ...]
    deselected: tuple[GateInfo, ...]
    started: Mapping[str, int]  # node id -> how often it was started
    results: tuple[GateResult, ...]
    problems: tuple[Problem, ...]
    complete: bool  # the journal is whole: numbered, ended, counted
    target: Mapping[str, str] = field(default_factory=dict)
    authors: tuple[str, ...] = ()  # of the change that is released, as the run was told
    guards_confirmed: str | None = None  # `waiver.guards_digest` of the guards that were injected
    owed: tuple[Owed, ...] = ()  # obligations of earlier decisions in this environment
    opened: Opened | None = None  # where carried results come from; they stand among `results`
    log: LogHead | None = None  # the log the decision goes into, as it stood when the run began


class Requirement(NamedTuple):
    """A gate the plan requires; `instances` names or counts those of a parametrized one."""

    gate: str
    instances: tuple[str, ...] | int | None = None


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The policy as it stands for one plan and one environment, everything resolved.

    `limits` maps a gate id, or an instance `id[param]` that overrides it, to limits by measurement name.
    """

    name: str
    version: int
    digest: str  # "sha256:…" of the policy file's bytes
    signature: PolicySignature
    plan: str
    phase: str
    environment: str
    sandbox: bool
    requires: tuple[Requirement, ...]
    limits: Mapping[str, Mapping[str, Limit]]
    max_age_s: float
    decision_ttl_s: float
    gate_timeout_s: float
    run_deadline_s: float
    runner: Runner
    development_key: bool  # may a development key sign?
    min_samples: int | None = None
    gate_code_paths: tuple[str, ...] = ("gates", "conftest.py")
    gate_code_digest: str | None = None  # pinned; None pins nothing
    expires_at: datetime | None = None
    clock_tolerance_s: float = 5.0
    waiver_persons: int | None = None  # who must sign a waiver; None: no waiver counts
    shards: tuple[str, ...] | int | None = None  # that a fleet's decision needs; None: there is no fleet
    log: str | None = None  # the origin of the transparency log every signed decision goes into
    cosignatures: int = 0  # of witnesses that know the log, without which a decision in it counts for nothing
    sections: tuple[str, ...] = ()  # of the evidence document that gates have to provide

    def limits_for(self, info: GateInfo) -> dict[str, Limit]:
        """Limits by measurement name; an instance's own win over its gate's."""
        return {**self.limits.get(info.id, {}), **self.limits.get(info.key, {})}

    def to_json(self) -> dict[str, Any]:
        added = {} if self.waiver_persons is None else {"waiver_persons": self.waiver_persons}
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "signature": self.signature.value,
            "plan": self.plan,
            "phase": self.phase,
            "environment": self.environment,
            "sandbox": self.sandbox,
            "requires": [
                {
                    "gate": r.gate,
                    "instances": list(r.instances) if isinstance(r.instances, tuple) else r.instances,
                }
                for r in self.requires
            ],
            "limits": {g: {n: x.to_json() for n, x in m.items()} for g, m in self.limits.items()},
            "max_age_s": self.max_age_s,
            "decision_ttl_s": self.decision_ttl_s,
            "gate_timeout_s": self.gate_timeout_s,
            "run_deadline_s": self.run_deadline_s,
            "runner": self.runner.value,
            "development_key": self.development_key,
            "min_samples": self.min_samples,
            "gate_code_paths": list(self.gate_code_paths),
            "gate_code_digest": self.gate_code_digest,
            "expires_at": None if self.expires_at is None else rfc3339(self.expires_at),
            "clock_tolerance_s": self.clock_tolerance_s,
            **added,
            **self._shards_json(),
            **({} if self.log is None else {"log": self.log}),
            **({} if not self.cosignatures else {"cosignatures": self.cosignatures}),
            **({"sections": list(self.sections)} if self.sections else {}),
        }

    def _shards_json(self) -> dict[str, Any]:
        shards = self.shards
        return {} if shards is None else {"shards": list(shards) if isinstance(shards, tuple) else shards}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EffectivePolicy:
        """The inverse of `to_json`; refuses unknown and missing keys.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: malformed input; the caller says where.
        """
        fields = dict(data)
        missing = [f.name for f in dataclass_fields(cls) if f.name not in fields and f.name not in _ADDED]
        if missing:
            # A default would let a pin or a minimum vanish with its key.
            raise KeyError(missing[0])
        fields["signature"] = PolicySignature(fields["signature"])
        fields["requires"] = tuple(
            Requirement(
                r["gate"], tuple(r["instances"]) if isinstance(r["instances"], list) else r["instances"]
            )
            for r in fields["requires"]
        )
        fields["limits"] = {
            g: {n: Limit.from_json(x) for n, x in m.items()} for g, m in fields["limits"].items()
        }
        fields["runner"] = Runner(fields["runner"])
        fields["gate_code_paths"] = tuple(fields["gate_code_paths"])
        if fields["expires_at"] is not None:
            fields["expires_at"] = parse_rfc3339(fields["expires_at"])
        if "shards" in fields:
            fields["shards"] = _shards(fields["shards"])
        if not isinstance(fields.get("log", ""), str):
            raise TypeError("log is the origin of a log")
        if type(fields.get("cosignatures", 0)) is not int or fields.get("cosignatures", 0) < 0:
            raise TypeError("cosignatures is a number")
        if "sections" in fields:
            fields["sections"] = _names(fields["sections"], "sections are names")
        return cls(**fields)


def _shards(value: Any) -> tuple[str, ...] | int:
    if type(value) is int and value > 0:
        return value
    return _names(value, "shards are names, or their number")


def _names(value: Any, message: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise TypeError(message)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason the run is not simply green, with all a person needs to act on it."""

    reason: Reason
    message: str
    gate: str | None = None
    measurement: str | None = None
    measured: str | None = None
    unit: str | None = None
    limit: str | None = None
    distance: str | None = None  # how far beyond the limit, in the unit, as decimal text
    owner: str | None = None
    remedy: str | None = None
    where: str | None = None  # file:line, or the node id
    waived: str | None = None  # the ticket of the waiver that accepts it

    @property
    def weight(self) -> Weight:
        """What it does to the verdict: its reason's weight, and nothing once it is waived."""
        return self.reason.weight if self.waived is None else Weight.NOTE

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "code": self.reason.code,
            "weight": self.weight.value,
            "message": self.message,
        }
        for name in (
            "gate",
            "measurement",
            "measured",
            "unit",
            "limit",
            "distance",
            "owner",
            "remedy",
            "where",
            "waived",
        ):
            value = getattr(self, name)
            if value is not None:
                out[name] = value
        return out


@dataclass(frozen=True, slots=True)
class JudgedMeasurement:
    """A measurement beside the limit that judged it (None: information, or nothing to judge it by)."""

    measurement: Measurement
    limit: Limit | None
    green: bool


@dataclass(frozen=True, slots=True)
class GateDecision:
    """One gate judged; green means required or not, nothing is held against it."""

    key: str
    title: str
    required: bool
    green: bool
    category: str | None
    owner: str | None
    duration_s: float
    measurements: tuple[JudgedMeasurement, ...]
    findings: tuple[Finding, ...]
    carried_from: str | None = None  # as its result says

    @property
    def waived(self) -> bool:
        """Not green, and accepted by a waiver."""
        return not self.green and all(f.weight is Weight.NOTE for f in self.findings)


class Accepted(NamedTuple):
    """What waivers did: the gates with what is waived marked, why others did not count, what they ask for."""

    gates: tuple[GateDecision, ...]
    findings: tuple[Finding, ...] = ()
    waivers: tuple[GivenWaiver, ...] = ()
    guards: tuple[BoundGuard, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one run, and every reason for it; findings heaviest first.

    `waivers` are those that count, `guards` what they ask for, in order.
    """

    verdict: Verdict
    exit_code: ExitCode
    decided_at: datetime
    expires_at: datetime
    gates: tuple[GateDecision, ...]
    findings: tuple[Finding, ...]
    waivers: tuple[GivenWaiver, ...] = ()
    guards: tuple[BoundGuard, ...] = ()


def rfc3339(at: datetime) -> str:
    """UTC with `Z` and microseconds, e.g. `2026-11-21T08:48:00.000000Z`.

    Raises:
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("a time must be timezone-aware")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_RFC3339_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")
"""Python's `fromisoformat` reads week dates, times without seconds and a space before the `Z` besides."""


def one_person(name: str) -> str:
    """What two spellings of a person's name have in common: case and white space make no other person."""
    return " ".join(name.casefold().split())


def parse_rfc3339(text: str) -> datetime:
    """The inverse of `rfc3339`; also takes whole seconds, and cuts nanoseconds.

    Raises:
        ValueError: not RFC 3339 in UTC with `Z` (in-toto attestation: Timestamp).
    """
    if not isinstance(text, str) or _RFC3339_UTC.fullmatch(text) is None:
        raise ValueError(f"expected a UTC time such as 2026-11-21T08:48:00Z, got {text!r}")
    return datetime.fromisoformat(text)
