"""Which log a command is about, with whose keys; and what else knows of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover import strictjson
from pytest_cutover.cli._evidence import anchor, read
from pytest_cutover.cli._policy_place import open_place
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.evidence.inclusion import PROOF_FILE, belongs_into_a_log, claimed, documents_behind
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.signer import load_private_key
from pytest_cutover.keys.trust import LOG_KEY
from pytest_cutover.run.logged import LOG_KEY_VARIABLE
from pytest_cutover.tlog.audit import Pinned
from pytest_cutover.tlog.checkpoint import parse_checkpoint, pinned_checkpoint
from pytest_cutover.tlog.entry import entry_name
from pytest_cutover.tlog.known import log_keys
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import ED25519, NoteSigner, NoteVerifier, parse_vkey
from pytest_cutover.tlog.proof import HEADER, parse_proof

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

LOG = "var/cutover/log"


@dataclass(frozen=True, slots=True)
class LogChoice:
    """What the options say."""

    place: str
    origin: str | None
    trust: str | None
    vkey: str | None

    @classmethod
    def of(cls, options: argparse.Namespace) -> LogChoice:
        return cls(options.log, options.origin, options.trust, options.vkey)

    def known(self) -> tuple[tuple[NoteVerifier, ...], str]:
        """The keys that may sign for the log, and its name.

        Raises:
            ConfigError: there is none, or several logs to choose from.
        """
        if self.vkey is not None:
            return self._given(self.vkey)
        found = anchor(self.trust)
        keys = log_keys(found, datetime.now(UTC))
        names = sorted({key.name for key in keys})
        if self.origin is None and len(names) != 1:
            listed = ", ".join(names) or "none"
            raise ConfigError(
                f"expected one log that {found.where} trusts, got {listed}",
                hint="say which one with --origin NAME"
                if names
                else 'give its key the role "log" in the trust file, or give --vkey KEY',
            )
        origin = self.origin or names[0]
        return tuple(key for key in keys if key.name == origin), origin

    def _given(self, vkey: str) -> tuple[tuple[NoteVerifier, ...], str]:
        if self.trust is not None:
            raise ConfigError("expected --vkey or --trust, got both")
        name, kind, public = parse_vkey(vkey, "--vkey")
        if kind != ED25519:
            raise ConfigError("--vkey: expected a log's key (type 01), got a witness's")
        if self.origin not in (None, name):
            raise ConfigError(f"--vkey: expected the key of {self.origin}, got that of {name}")
        return (NoteVerifier(name, public),), name


def asked_log(choice: LogChoice) -> Log:
    """The log, to be read."""
    verifiers, origin = choice.known()
    return Log(open_place(choice.place, choice.trust), origin, verifiers=verifiers)


def writable_log(choice: LogChoice, key: str | None) -> Log:
    """The log, with its own key.

    Raises:
        ConfigError: there is no key, or none that may sign for it.
    """
    path = key or os.environ.get(LOG_KEY_VARIABLE) or LOG_KEY
    signer = load_private_key(Path(path))
    verifiers, origin = choice.known()
    own = NoteSigner(origin, signer)
    if own.verifier.key_id not in {v.key_id for v in verifiers if v.max_size is None}:
        raise ConfigError(
            f"{path}: expected a key that is trusted to sign for {origin}, got another",
            hint='add it to the trust file with the role "log": else nobody could verify what it signs',
        )
    return Log(open_place(choice.place, choice.trust), origin, own, verifiers=verifiers)


def pinned_in(path: Path) -> Pinned:
    """The checkpoint that a file holds: a signed one, a proof's, or origin, size and root as JSON.

    Its signature is not asked for: whoever pins it vouches for it.

    Raises:
        ConfigError: it holds none.
    """
    return _pinned(read(path), str(path))


def _pinned(data: bytes, where: str) -> Pinned:
    try:
        if data.startswith(HEADER.encode()):
            data = parse_proof(data, where).checkpoint
        if data.lstrip().startswith(b"{"):
            return Pinned(pinned_checkpoint(strictjson.loads(data), where), where)
        return Pinned(parse_checkpoint(data, where)[0], where)
    except (EvidenceError, ValueError) as exc:
        raise ConfigError(
            str(exc), hint="give a checkpoint, a .tlog-proof or JSON with origin, size and root"
        ) from None


@dataclass(slots=True)
class KnownToRuns:
    """What runs know of a log: checkpoints that it has to go on from, and documents that it has to hold."""

    origin: str
    pins: list[Pinned] = field(default_factory=list)
    """Of the proofs beside their bundles, and the log as their decisions saw it when they began."""

    documents: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every bundle that belongs into a log, and of what it rests on, and where that is.

    Left out is what has no proof and says of itself that it belongs into none: decided before there was a log, or a NO-GO
    that none took.
    """

    @classmethod
    def below(cls, runs: Path, origin: str) -> KnownToRuns:
        """Of the runs in a folder.

        Raises:
            ConfigError: something there cannot be read: it must not pass for nothing.
            EvidenceError: what a decision saw of the log is no checkpoint.
        """
        out = cls(origin)
        try:
            for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
                out._add(folder, {path.name for path in folder.iterdir()})
        except OSError as exc:
            raise ConfigError(
                f"{runs}: expected a folder of runs that can be read: {exc.strerror or exc}"
            ) from None
        return out

    def _add(self, folder: Path, names: Collection[str]) -> None:
        bundle, proof, report = (
            read(folder / name) if name in names else None for name in (BUNDLE_FILE, PROOF_FILE, REPORT_FILE)
        )
        if proof is not None:
            self.pins.append(_pinned(proof, str(folder / PROOF_FILE)))
        if bundle is None:
            return
        where, claims = str(folder / BUNDLE_FILE), claimed(bundle)
        # What a decision saw of another log says nothing of this one.
        if claims is not None and claims.log is not None and claims.log.origin == self.origin:
            self.pins.append(Pinned(pinned_checkpoint(claims.log.to_json(), where), where))
        if proof is None and not belongs_into_a_log(bundle, report):
            return
        self.documents[hashlib.sha256(bundle).hexdigest()] = where
        for kind, digest, name, _ in [] if claims is None else documents_behind(claims):
            self.documents.setdefault(digest, f"{kind.value} {entry_name(name)} of {where}")
