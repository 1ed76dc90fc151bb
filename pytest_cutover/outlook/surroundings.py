"""What a run needs besides its gates: key, trust, subject, waivers, guards, a place for evidence, time. Looked at, not used."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, CutoverError
from pytest_cutover.keys.signer import (
    DEVELOPMENT_KEY,
    is_key_set,
    load_private_key,
    load_signer,
)
from pytest_cutover.model import SignerKind, Subject
from pytest_cutover.outlook.matter import Matter
from pytest_cutover.outlook.prospect import Around
from pytest_cutover.policy.view import duration
from pytest_cutover.reasons import Weight
from pytest_cutover.run.context import EMBEDDED, RUNS, listed, parse_subject, subjects_of
from pytest_cutover.run.doubts import doubt_of_key, doubt_of_log_key, key_that_decides
from pytest_cutover.run.gate_code import digest_code
from pytest_cutover.run.obligations import find_owed
from pytest_cutover.run.waivers import find_authors, find_waivers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pytest_cutover.keys.signer import PemSigner, Signer
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.obligation import Owed
    from pytest_cutover.outlook.collection import Collection
    from pytest_cutover.policy.load import LoadedPolicy
    from pytest_cutover.run.context import RunOptions
    from pytest_cutover.waiver import GivenWaiver

_SOON = timedelta(days=7)
"""A key that ends within this is worth a word before the night."""


@dataclass
class Surroundings:
    """What was found; `facts` are (label, text) for people."""

    loaded: LoadedPolicy
    options: RunOptions
    environ: Mapping[str, str]
    rootdir: Path
    anchor: Anchor | None
    now: datetime
    matters: list[Matter] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    subject_by_command: bool = False

    def around(self) -> Around:
        """Look at everything once."""
        policy = self.loaded.effective
        kind = self._key()
        self._trust()
        subjects = self._subjects()
        waivers, authors = self._waivers()
        self._guards()
        self._service()
        self._folder()
        return Around(
            signer=kind,
            subjects=subjects,
            shard=self.options.shard or self.environ.get("CUTOVER_SHARD") or None,
            authors=authors,
            waivers=waivers,
            gate_code_digest=digest_code(self.rootdir, policy.gate_code_paths),
            owed=self._owed(),
            log=self._log(),
        )

    def times(self, collection: Collection) -> None:
        """Whether the gates' time limits fit into the run's, and a decision into what it rests on."""
        policy = self.loaded.effective
        limits = [g.info.timeout_s or policy.gate_timeout_s for g in collection.gates]
        whole, deadline = sum(limits), policy.run_deadline_s
        self.facts.append(("time", f"{duration(whole)} of gates' limits, {duration(deadline)} for the run"))
        for gate in collection.gates:
            limit = gate.info.timeout_s or policy.gate_timeout_s
            if limit > deadline:
                text = f"{gate.info.key} may take {duration(limit)}, the whole run {duration(deadline)}"
                self._note(text, where=f"{gate.info.file}:{gate.info.line}", hint="lower its timeout")
                return
        if whole > deadline:
            self._note(
                f"if each gate took all its time, {duration(whole)}, the run would be over its {duration(deadline)}",
                hint="raise run_deadline_s, lower timeouts, or run with -n",
            )
        elif whole > policy.max_age_s:
            self._note(
                f"if each gate took all its time, {duration(whole)}, the first values would be older than"
                f" {duration(policy.max_age_s)}",
                hint="raise max_age_s, lower timeouts, or run with -n",
            )

    # -- one thing each

    def _key(self) -> SignerKind:
        option = self.options.key
        try:
            if option is None and not is_key_set(self.environ):
                return self._development_key()
            signer = load_signer(self.environ, self.rootdir, option=option, say=_never)
        except CutoverError as exc:
            self._stop(f"the key: {exc}", exc.hint)
            return SignerKind.CONFIGURED
        if signer is None:
            self.facts.append(("key", "none: the evidence would be unsigned"))
            return SignerKind.NONE
        self.facts.append(("key", signer.keyid[:16]))
        self._trusted(signer)
        return signer.kind

    def _log(self) -> str | None:
        """The transparency log that a decision would go into; its place is not asked."""
        origin, rule = self.loaded.effective.log, self.loaded.profile.log
        if origin is None or rule is None:
            return None
        from pytest_cutover.run.logged import find_log_key

        try:
            signer = find_log_key(self.environ, self.rootdir, origin)
        except ConfigError as exc:
            self._stop(f"the key of the log: {exc}", exc.hint)
            return None
        self.facts.append(("log", f"{origin} in {rule.place}"))
        if signer is not None:
            self._log_key(origin, signer)
        self._witnesses(origin)
        return origin

    def _log_key(self, origin: str, signer: PemSigner) -> None:
        """Whether those who verify would believe what the log's key signs."""
        if self.anchor is None:
            return
        doubt = doubt_of_log_key(
            self.anchor, origin, signer.public, self.loaded.effective.environment, self.now
        )
        if doubt is not None:
            self._note(
                doubt,
                hint=f"cutover verify and admit would refuse the evidence; cutover keys show KEY --role log --origin {origin}",
            )

    def _witnesses(self, origin: str) -> None:
        """Whether the trust file knows as many witnesses as have to cosign; none of them is asked."""
        wanted = self.loaded.effective.cosignatures
        if not wanted or self.anchor is None:
            return
        from pytest_cutover.tlog.known import witness_keys

        known = {key.name for key in witness_keys(self.anchor, self.now, origin)}
        if len(known) < wanted:
            self._stop(
                f"cosignatures wanted: {wanted}, witnesses of {origin} that {self.anchor.where} knows: {len(known)}",
                'list their keys with the role "witness" and their names as origin',
            )

    def _development_key(self) -> SignerKind:
        path = self.rootdir / DEVELOPMENT_KEY
        if not path.exists():
            self.facts.append(("key", "a development key, which the run would make"))
            return SignerKind.DEVELOPMENT
        signer = load_private_key(path, kind=SignerKind.DEVELOPMENT)
        self.facts.append(("key", f"development key {signer.keyid[:16]}"))
        self._trusted(signer)
        return SignerKind.DEVELOPMENT

    def _trusted(self, signer: Signer) -> None:
        """Whether those who verify would believe the key."""
        if self.anchor is None:
            return
        about = (self.anchor, signer.keyid, self.loaded.effective.environment, self.now)
        doubt, key = doubt_of_key(*about), key_that_decides(*about)
        if doubt is not None:
            self._note(
                doubt,
                hint="cutover verify and admit would refuse the evidence; cutover keys show KEY prints an entry",
            )
        if key is not None and key.not_after is not None and key.not_after < self.now + _SOON:
            self._note(f"the key {key.name} ends at {key.not_after:%Y-%m-%d %H:%M} UTC", self.anchor.where)

    def _trust(self) -> None:
        if self.anchor is not None:
            kind, count = self.anchor.source.value, len({k.keyid for k in self.anchor.keys})
            where = os.path.relpath(self.anchor.where, self.rootdir)
            where = self.anchor.where if where.startswith("..") else where
            self.facts.append(("trust", f"{where} ({kind}): {count} {'key' if count == 1 else 'keys'}"))
            return
        self.facts.append(("trust", "none"))
        if not self.loaded.effective.sandbox:
            self._note("there is no trust file", hint="--trust FILE, CUTOVER_TRUST or configs/trust.json")

    def _subjects(self) -> tuple[Subject, ...]:
        given = list(self.options.subjects) or listed(self.environ.get("CUTOVER_SUBJECT"))
        rules = () if given else self.loaded.profile.subjects
        self.subject_by_command = any(r.command for r in rules)
        try:
            found = [
                *map(parse_subject, given),
                *subjects_of([r for r in rules if not r.command], self.rootdir),
            ]
        except ConfigError as exc:
            self._stop(str(exc), exc.hint)
            return (Subject("subject", {}),)
        said = [f"{s.name} {next(iter(s.digest.values()))[:12]}" for s in found]
        found += [Subject(r.name, {}) for r in rules if r.command]
        said += [f"{r.name} (a command prints it)" for r in rules if r.command]
        more = f" and {len(said) - 1} more" if len(said) > 1 else ""
        self.facts.append(("subject", f"{said[0]}{more}" if said else "none"))
        return tuple(found)

    def _waivers(self) -> tuple[tuple[GivenWaiver, ...], tuple[str, ...]]:
        try:
            waivers, unusable = find_waivers(
                self.options.waivers or listed(self.environ.get("CUTOVER_WAIVERS")),
                self.rootdir,
                self.anchor,
                self.now,
            )
        except ConfigError as exc:
            self._stop(str(exc), exc.hint)
            return (), ()
        for file, reason in unusable:
            self._note(f"a waiver cannot be read: {reason}", file, code="waiver.unusable")
        policy = self.loaded.effective
        until = self.now + timedelta(seconds=policy.decision_ttl_s)
        for given in waivers:
            ends = given.waiver.expires_at
            if self.now < ends < until:
                self._note(
                    f"the waiver {given.waiver.ticket} of {given.waiver.gate} ends at {ends:%H:%M} UTC",
                    given.where,
                    hint="a GO that rests on it ends then too",
                )
        authors = self._authors() if waivers or policy.waiver_persons is not None else ()
        if waivers or policy.waiver_persons is not None:
            self.facts.append(("waivers", f"{len(waivers)}; authors of the change: {len(authors)} names"))
        return waivers, authors

    def _authors(self) -> tuple[str, ...]:
        change = self.loaded.profile.change_git
        try:
            authors = find_authors(self.options.authors, self.environ, change, self.rootdir)
        except ConfigError as exc:
            self._stop(f"the authors of the change: {exc}", exc.hint)
            return ()
        if not authors:
            self._note(
                "nobody says who wrote the change, so no waiver would count",
                hint="--author PERSON, CUTOVER_AUTHORS, or change in the policy's environment",
                code="waiver.authors-unknown",
            )
        return tuple(authors)

    def _owed(self) -> tuple[Owed, ...]:
        owed = find_owed(self.rootdir / RUNS, self.loaded.effective.environment, self.anchor)
        left = [o for o in owed if o.shown_at is None]
        if left:
            first = min(left, key=lambda o: o.due_at)
            text = f"{len(left)} to be shown green, the first, {first.gate}, by {first.due_at:%Y-%m-%d %H:%M} UTC"
            self.facts.append(("owed", text))
        return owed

    def _guards(self) -> None:
        rule = self.loaded.profile.guards
        if rule is None:
            return
        program = rule.command[0]
        found = shutil.which(program, path=None if os.sep in program else os.environ.get("PATH"))
        if os.sep in program:
            found = program if os.access(self.rootdir / program, os.X_OK) else None
        self.facts.append(("guards", " ".join(rule.command)))
        if found is None:
            self._note(
                f"the command that puts guards in place is not there: {program}",
                hint="a waiver with guards would stay HOLD",
                code="guards.unconfirmed",
            )

    def _service(self) -> None:
        embedded = EMBEDDED in self.loaded.profile.targets.values()
        if embedded and not all(map(importlib.util.find_spec, ("starlette", "uvicorn"))):
            self._stop("the sandbox service is not installed", "pip install 'pytest-cutover[service]'")

    def _folder(self) -> None:
        folder = self.rootdir / "var/cutover/runs"
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            self._stop(f"{folder} cannot be written: there is no place for evidence", None)

    def _note(
        self, message: str, where: str | None = None, *, hint: str | None = None, code: str | None = None
    ) -> None:
        self.matters.append(Matter(Weight.NOTE, message, code=code, where=where, hint=hint))

    def _stop(self, message: str, hint: str | None) -> None:
        self.matters.append(Matter(Weight.UNPROVEN, f"the run could not begin: {message}", hint=hint))


def _never(text: str) -> None:
    raise AssertionError(text)  # only a development key is told of, and none is asked for


def unused_limits(loaded: LoadedPolicy, collection: Collection, file: str) -> Sequence[Matter]:
    """Limits of instances that nobody collected: a slip of the pen would go unnoticed for ever."""
    keys = {g.info.key for g in collection.gates}
    ids = {g.info.id for g in collection.gates}
    out = []
    for gate, limits in loaded.effective.limits.items():
        name = gate.partition("[")[0]
        if name != gate and name in ids and gate not in keys:
            origin = loaded.resolved.origins[gate, next(iter(limits))] if limits else None
            where = None if origin is None or origin.line is None else f"{file}:{origin.line}"
            text = f"the policy limits {gate}, and no such instance is collected"
            known = ", ".join(sorted(k for k in keys if k.startswith(f"{name}[")))[:100]
            out.append(Matter(Weight.NOTE, text, gate=gate, where=where, hint=f"collected: {known or name}"))
    return out
