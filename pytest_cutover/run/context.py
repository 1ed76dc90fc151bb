"""What one gate run is made for: policy, environment, subject, key and folder, resolved before anything runs."""

from __future__ import annotations

import glob
import hashlib
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.model import EffectivePolicy, Runner, SignerKind, Subject
from pytest_cutover.run.doubts import doubt_of_key, doubt_of_log_key
from pytest_cutover.run.gate_code import digest_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from pytest_cutover.keys.signer import Signer
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.obligation import Owed
    from pytest_cutover.policy.load import GuardRule, StoreRule, SubjectRule
    from pytest_cutover.run.logged import RunLog
    from pytest_cutover.run.opening import Opening
    from pytest_cutover.waiver import GivenWaiver

RUNS = "var/cutover/runs"
"""Below the root of the project."""

EMBEDDED = "embedded"
"""A target that is our own sandbox service, started by the run."""

_SUBJECT = re.compile(r"(?:(?P<name>[^@\s]+)@)?sha256:(?P<hex>[0-9a-f]{64})")
_COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for; None leaves the choice to the environment variable, then to the policy."""

    plan: str
    environment: str | None = None
    subjects: Sequence[str] = ()
    shard: str | None = None
    policy: str | None = None
    key: str | None = None
    trust: str | None = None
    report: str | None = None
    waivers: Sequence[str] = ()
    authors: Sequence[str] = ()
    only_open: bool = False


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run, ready to begin. `targets` still says "embedded" where the sandbox service is to be started."""

    run_id: str
    nonce: str
    rootdir: Path
    run_dir: Path
    policy: EffectivePolicy
    policy_path: Path
    policy_envelope: bytes | None
    targets: Mapping[str, str]
    subjects: tuple[Subject, ...]
    shard: str | None
    runner: Runner
    signer: Signer | None
    gate_code_digest: str
    report: str | None = None
    key: str | None = None  # as the option gave it, for the sandbox service's own check
    versions: Mapping[str, str] = field(default_factory=dict)
    waivers: tuple[GivenWaiver, ...] = ()
    unusable_waivers: tuple[tuple[str, str], ...] = ()  # file, reason
    authors: tuple[str, ...] = ()  # of the change that is released
    owed: tuple[Owed, ...] = ()  # obligations of earlier decisions in this environment
    guards: GuardRule | None = None
    opening: Opening | None = None  # the run that gates are carried from
    log: RunLog | None = None  # the transparency log that the decision goes into
    store: ObjectStore | None = None  # that the evidence is put into
    retain_for: timedelta | None = None  # how long it is kept as it is there, at least
    anchor: Anchor | None = None  # the keys that are trusted

    def places(self) -> dict[str, str]:
        """Where what a decision leaves behind is kept: `store` and `log`, those there are, and the log's `origin`."""
        found = {"store": None if self.store is None else self.store.where}
        found["log"] = None if self.log is None else self.log.log.where
        found["origin"] = None if self.log is None else self.log.log.origin
        return {name: where for name, where in found.items() if where is not None}

    def doubts(self, at: datetime) -> Iterator[str]:
        """Why those who verify with this run's own trust file would not believe what it signs; a gate is not held to it."""
        if self.anchor is None or self.signer is None:
            return
        environment = self.policy.environment
        found = [doubt_of_key(self.anchor, self.signer.keyid, environment, at)]
        note = None if self.log is None else self.log.log.signer
        if note is not None:
            found.append(doubt_of_log_key(self.anchor, note.name, note.verifier.public, environment, at))
        yield from filter(None, found)

    @property
    def signer_kind(self) -> SignerKind:
        return SignerKind.NONE if self.signer is None else self.signer.kind


def prepare(
    options: RunOptions,
    environ: Mapping[str, str],
    rootdir: Path,
    *,
    runner: Runner,
    now: datetime,
    say: Callable[[str], None],
) -> RunContext:
    """Resolve everything a run needs. Nothing is written but, where there is no key at all, a development key.

    Raises:
        ConfigError: policy, key, trust file, subject or environment cannot be used; or nothing is open.
        CutoverError: the transparency log that the policy names cannot be used.
    """
    from pytest_cutover.keys.signer import load_signer
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.policy.load import load_policy
    from pytest_cutover.run.obligations import find_owed
    from pytest_cutover.run.waivers import find_authors, find_waivers

    anchor = find_anchor(options.trust, environ, rootdir)
    policy_path = rootdir / (options.policy or environ.get("CUTOVER_POLICY") or "configs/policy.json")
    loaded = load_policy(
        policy_path,
        plan=options.plan,
        environment=options.environment or environ.get("CUTOVER_ENV") or None,
        anchor=anchor,
        now=now,
    )
    policy = loaded.effective
    # After the policy: a mistake there should not leave a fresh development key behind.
    signer = load_signer(environ, rootdir, option=options.key, say=say)
    if anchor is not None and signer is not None:
        anchor.refuse_old(signer.keyid)
    given = list(options.subjects) or listed(environ.get("CUTOVER_SUBJECT"))
    waivers, unusable = find_waivers(
        options.waivers or listed(environ.get("CUTOVER_WAIVERS")), rootdir, anchor, now
    )
    log = None
    if policy.log is not None and signer is not None and policy.shards is None:
        from pytest_cutover.run.logged import open_policy_log

        log = open_policy_log(loaded, rootdir, environ, anchor, now=now, say=say)
    authors = find_authors(options.authors, environ, loaded.profile.change_git, rootdir) if waivers else []
    run_id = new_run_id(now)
    context = RunContext(
        run_id=run_id,
        nonce=secrets.token_hex(16),
        rootdir=rootdir,
        run_dir=rootdir / RUNS / run_id,
        policy=policy,
        policy_path=policy_path,
        policy_envelope=loaded.envelope,
        targets=loaded.profile.targets,
        subjects=tuple(map(parse_subject, given)) or tuple(subjects_of(loaded.profile.subjects, rootdir)),
        shard=options.shard or environ.get("CUTOVER_SHARD") or None,
        runner=runner,
        signer=signer,
        gate_code_digest=digest_code(rootdir, policy.gate_code_paths),
        report=options.report,
        key=options.key,
        versions=_versions(),
        waivers=waivers,
        unusable_waivers=unusable,
        authors=tuple(authors),
        owed=find_owed(rootdir / RUNS, policy.environment, anchor),
        guards=loaded.profile.guards,
        log=log,
        store=None if signer is None else open_store(loaded.profile.store, rootdir),
        retain_for=None if loaded.profile.store is None else loaded.profile.store.retain_for,
        anchor=find_anchor(options.trust, environ, rootdir),  # again: keys may have been made meanwhile
    )
    if not options.only_open:
        return context
    from pytest_cutover.run.opening import opened

    return opened(context, anchor, now, say)


def open_store(rule: StoreRule | None, rootdir: Path) -> ObjectStore | None:
    """The evidence store of the policy; a folder is relative to the project."""
    if rule is None:
        return None
    from pytest_cutover.objects.place import open_below

    return open_below(rootdir, rule.place, endpoint=rule.endpoint, region=rule.region)


def new_run_id(now: datetime) -> str:
    """A run's name that nobody else has; to the millisecond, so that names sort as the runs were begun."""
    begun = now.astimezone(UTC)
    return f"{begun:%Y%m%dT%H%M%S}.{begun.microsecond // 1000:03}Z-{secrets.token_hex(4)}"


def parse_subject(text: str) -> Subject:
    """`NAME@sha256:HEX` or `sha256:HEX`.

    Raises:
        ConfigError: anything else.
    """
    match = _SUBJECT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"expected a subject NAME@sha256:HEX with 64 lower-case hex digits, got {text!r:.120}",
            hint="sha256sum FILE prints the digest of a file",
        )
    return Subject(match["name"] or "subject", {"sha256": match["hex"]})


def listed(text: str | None) -> list[str]:
    """The parts of an environment variable that holds several, separated by commas or blanks."""
    return [part for part in (text or "").replace(",", " ").split() if part]


def subjects_of(rules: Sequence[SubjectRule], rootdir: Path) -> Iterator[Subject]:
    """The subjects that a policy's rules lead to.

    Raises:
        ConfigError: no such file or revision, or a command that prints no digest.
    """
    for rule in rules:
        if rule.sha256 is not None:
            yield Subject(rule.name, {"sha256": rule.sha256})
        elif rule.files is not None:
            yield from _files_subjects(rule.name, rule.files, rootdir)
        elif rule.command is not None:
            yield Subject(rule.name, {"sha256": _digest_printed_by(list(rule.command), rootdir)})
        elif rule.git is not None:
            revision = output_of(["git", "rev-parse", "--verify", f"{rule.git}^{{commit}}"], rootdir)
            yield Subject(rule.name, {"gitCommit": revision})


def _files_subjects(name: str, pattern: str, rootdir: Path) -> Iterator[Subject]:
    """One subject per file, so that a deploy step can ask for the very file it deploys."""
    found = glob.glob(pattern, root_dir=rootdir, recursive=True)  # noqa: PTH207 # patterns are relative texts
    files = sorted(f for f in found if (rootdir / f).is_file())
    if not files:
        raise ConfigError(
            f"subject {name!r}: no file matches {pattern!r} below {rootdir}",
            hint="is the release built already?",
        )
    for file in files:
        digest = hashlib.sha256((rootdir / file).read_bytes()).hexdigest()
        yield Subject(name if len(files) == 1 else f"{name}/{file}", {"sha256": digest})


def _digest_printed_by(command: list[str], rootdir: Path) -> str:
    text = output_of(command, rootdir).removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigError(
            f"expected the subject command {command[0]!r} to print a sha256 in hex, got {text!r:.80}"
        )
    return text


def output_of(command: list[str], rootdir: Path) -> str:
    """What a command printed, without white space at its ends.

    Raises:
        ConfigError: it could not be run, or failed.
    """
    try:
        done = subprocess.run(
            command, cwd=rootdir, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ConfigError(f"the command {command[0]!r} failed: {exc}") from exc
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError(f"the command {' '.join(command)!r} ended with {done.returncode}: {last}")
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    import pytest

    from pytest_cutover import __version__

    return {
        "pytest-cutover": __version__,
        "pytest": pytest.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }
