"""Reads a policy from disk, judges its signature and resolves it for one plan and environment.

The bytes are read once: what was verified is what is parsed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.policy.check import check
from pytest_cutover.policy.issues import Issue, PolicyError, did_you_mean
from pytest_cutover.policy.positions import MAX_BYTES, UnreadableError, parse
from pytest_cutover.policy.resolve import Identity, resolve
from pytest_cutover.policy.signature import SignatureReport, envelope_path, verify_policy
from pytest_cutover.resolution import resolve_settings

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import EffectivePolicy
    from pytest_cutover.policy.document import Document, Environment
    from pytest_cutover.policy.positions import Located
    from pytest_cutover.policy.resolve import Resolved

MAX_ENVELOPE_BYTES = 4 * MAX_BYTES
"""Base64 takes four bytes for three; the rest is signatures."""


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """How to learn a subject's SHA-256: exactly one of the four is set."""

    name: str
    sha256: str | None = None
    files: str | None = None
    command: tuple[str, ...] | None = None
    git: str | None = None


@dataclass(frozen=True, slots=True)
class GuardRule:
    """The command that puts guards in place, and its time limit in seconds."""

    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """Where something is kept, and of a bucket the server and region that the policy names."""

    place: str
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class LogRule(PlaceRule):
    """Where the transparency log is kept, and the addresses of the witnesses that are asked to cosign it."""

    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreRule(PlaceRule):
    """Where evidence is put, and how long it is kept as it is from then on, at least; None: until somebody locks it."""

    retain_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What an environment says about the outside world; nothing of it limits anything."""

    targets: dict[str, str]
    subjects: tuple[SubjectRule, ...]
    change_git: str | None = None  # the range of commits that is released
    guards: GuardRule | None = None
    log: LogRule | None = None
    store: StoreRule | None = None


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy ready to judge by, with the bytes that were verified.

    `envelope` is None too when what stands beside the policy is no envelope over these bytes.
    """

    effective: EffectivePolicy
    raw: bytes
    envelope: bytes | None
    profile: Profile
    resolved: Resolved
    signature: SignatureReport
    notes: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy file as read: its bytes, what stands where, and the document."""

    path: Path
    raw: bytes
    located: Located
    document: Document
    notes: tuple[Issue, ...]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.raw).hexdigest()}"


def load_policy(
    path: Path, *, plan: str, environment: str | None, anchor: Anchor | None, now: datetime
) -> LoadedPolicy:
    """The policy at `path` for one plan and environment (None: the policy's default one).

    An end date in the past and a missing or wrong signature are no errors here: both stand in the
    effective policy, and `decide` turns them into NO-GO with their own reason.

    Raises:
        UnreadableError: missing, too big, not strict JSON.
        PolicyError: mistakes in the policy; `issues` holds all of them.
        ConfigError: the policy has no such plan or environment.
    """
    file = read_policy(path, now=None)
    environment = choose_environment(file, environment)
    if plan not in file.document.plans:
        raise _unknown(file, "plans", "plan", plan, list(file.document.plans))
    envelope = read_envelope(path)
    settings, _ = resolve_settings(file.located.value, plan, environment)
    report = verify_policy(
        file.raw,
        envelope,
        anchor,
        name=file.document.name,
        version=file.document.version,
        environment=environment,
        development_key=settings["development_key"],
        now=now,
    )
    identity = Identity(file.digest, report.state)
    resolved = resolve(file.located, identity, plan=plan, environment=environment)
    profile = _profile(file.document.environments[environment])
    # An envelope that holds something else would make the evidence contradict itself.
    carried = envelope if report.carried else None
    return LoadedPolicy(resolved.effective, file.raw, carried, profile, resolved, report, file.notes)


def read_policy(path: Path, *, now: datetime | None) -> PolicyFile:
    """The checked policy file at `path`; with `now`, an end date in the past is a mistake too.

    Raises:
        UnreadableError: missing, too big, not strict JSON.
        PolicyError: mistakes in the policy.
    """
    raw = read_bytes(path)
    located = parse(raw, shown_path(path))
    document, issues = check(located, now=now)
    if document is None:
        raise PolicyError(issues)
    return PolicyFile(path, raw, located, document, tuple(issues))


def read_bytes(path: Path) -> bytes:
    """The bytes of a policy file.

    Raises:
        UnreadableError: missing, a folder, not permitted, too big.
    """
    return _read(path, MAX_BYTES, "the policy", "give the path of a policy, such as configs/policy.json")


def read_envelope(path: Path) -> bytes | None:
    """The bytes of the signature beside the policy at `path`, or None when there is none.

    Raises:
        UnreadableError: there is one, and it cannot be read. Taking it for absent would hide that.
    """
    beside = envelope_path(path)
    if not beside.exists() and not beside.is_symlink():
        return None
    return _read(beside, MAX_ENVELOPE_BYTES, "the policy's signature", "restore it, or sign the policy again")


def _read(path: Path, limit: int, what: str, hint: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable file name"
        raise UnreadableError(f"{shown_path(path)}: cannot read {what}: {reason}", hint=hint) from exc
    if len(data) > limit:
        raise UnreadableError(f"{shown_path(path)}: expected at most {limit} bytes, got more", hint=hint)
    return data


def shown_path(path: Path) -> str:
    """The path as errors name it: relative where that is shorter, so that editors and people find it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def choose_environment(file: PolicyFile, environment: str | None) -> str:
    """The environment asked for, or the policy's default one.

    Raises:
        ConfigError: there is no such environment, or none was asked for and none is the default.
    """
    known = list(file.document.environments)
    chosen = environment if environment is not None else file.document.default_environment
    if chosen is None:
        raise ConfigError(
            f"{file.located.name}: expected an environment, got none, and the policy names no default",
            hint=f"give --environment or CUTOVER_ENV; known environments: {', '.join(known)}",
        )
    if chosen not in known:
        raise _unknown(file, "environments", "environment", chosen, known)
    return chosen


def _unknown(file: PolicyFile, key: str, what: str, got: str, known: list[str]) -> ConfigError:
    place = f"{file.located.name}:{file.located.key_line((key,))}"
    return ConfigError(
        f"{place}: expected one of the policy's {key}, got the {what} {got!r}",
        hint=did_you_mean(got, known, what=key),
    )


def _profile(environment: Environment) -> Profile:
    rules = (SubjectRule(s.name, s.sha256, s.files, s.command, s.git) for s in environment.subjects)
    guards = environment.guards
    return Profile(
        dict(environment.targets),
        tuple(rules),
        None if environment.change is None else environment.change.git,
        None if guards is None else GuardRule(guards.command, float(guards.timeout_s)),
        log_rule(environment),
        store_rule(environment),
    )


def log_rule(environment: Environment) -> LogRule | None:
    """What an environment says about its transparency log; None when it has none."""
    log = environment.log
    return None if log is None else LogRule(log.place, log.endpoint, log.region, log.witnesses)


def store_rule(environment: Environment) -> StoreRule | None:
    """What an environment says about its evidence store; None when it has none."""
    store = environment.store
    if store is None:
        return None
    retain_for = None if store.retention is None else timedelta(days=store.retention.days)
    return StoreRule(store.place, store.endpoint, store.region, retain_for)


__all__ = [
    "GuardRule",
    "LoadedPolicy",
    "LogRule",
    "PlaceRule",
    "PolicyFile",
    "Profile",
    "StoreRule",
    "SubjectRule",
    "choose_environment",
    "load_policy",
    "read_bytes",
    "read_envelope",
    "read_policy",
    "shown_path",
    "store_rule",
]
