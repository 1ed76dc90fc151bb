"""The transparency log that a run's decision goes into: seen when the run begins, appended to when it is sealed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.evidence.inclusion import (
    PROOF_FILE,
    claimed,
    documents_behind,
    log_verifiers,
    logged_entry,
)
from pytest_cutover.files import read_regular, write_atomic
from pytest_cutover.keys.signer import generate, load_private_key, public_path, write_new_private
from pytest_cutover.keys.trust import LOG_KEY
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import LOCAL_LOG, LogHead
from pytest_cutover.objects.protocol import ObjectMissingError
from pytest_cutover.tlog.checkpoint import Checkpoint, verify_checkpoint, verify_extends
from pytest_cutover.tlog.entry import LogEntry, entry_name, known_entry
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.merkle import EMPTY_ROOT
from pytest_cutover.tlog.note import NoteSigner, check_note_key
from pytest_cutover.tlog.proof import parse_proof
from pytest_cutover.tlog.tiles import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.keys.signer import PemSigner
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.policy.load import LoadedPolicy
    from pytest_cutover.tlog.note import Verifier
    from pytest_cutover.tlog.witness_client import Witnesses

LOG_KEY_VARIABLE = "CUTOVER_KEY_LOG"


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of one run, and how it stood when the run began."""

    log: Log
    head: LogHead
    rewritten: str | None
    """Why it does not continue the log that an earlier decision was put into."""

    witnesses: Witnesses | None = None
    """Who has to cosign it; None: nobody is asked."""

    def prove(self, bundle: bytes) -> tuple[int, bytes]:
        """Append the decision in a bundle, and before it what it rests on; its index, and the `.tlog-proof` that it is there.

        Raises:
            CutoverError: there is no decision in it, or it could not be appended.
        """
        claims = claimed(bundle)
        if claims is None:
            raise EvidenceError("expected a bundle with a decision, got none")
        decision = logged_entry(bundle, claims.run_id, claims.environment, claims.decided_at)
        pinned = Checkpoint(self.head.origin, self.head.size, bytes.fromhex(self.head.root))
        entries = [*self._behind(claims), decision]
        appended = self.log.append(entries, pinned=[pinned])
        index = appended.first + len(entries) - 1
        signed = appended.signed if self.witnesses is None else self.witnesses.cosigned(self.log)
        return index, self.log.prove(index, signed=signed)

    def _behind(self, claims: DecisionClaims) -> Iterator[bytes]:
        """The entries of what a decision rests on, but for those that the newest tile holds already."""
        size = self.head.size
        newest = map(known_entry, self.log.entries(size - size % WIDTH, size) if size else ())
        there = {(entry.kind, entry.sha256) for entry in newest if entry is not None}
        for kind, digest, name, environment in documents_behind(claims):
            if (kind, digest) not in there:
                yield LogEntry(kind, digest, claims.decided_at, entry_name(name), environment).to_bytes()


def open_policy_log(
    loaded: LoadedPolicy,
    rootdir: Path,
    environ: Mapping[str, str],
    anchor: Anchor | None,
    *,
    now: datetime,
    say: Callable[[str], None],
) -> RunLog | None:
    """The log that a policy names, with the witnesses it names; None: it names none.

    Raises:
        CutoverError: as `open_run_log`.
    """
    policy, rule = loaded.effective, loaded.profile.log
    if policy.log is None or rule is None:
        return None
    from pytest_cutover.objects.place import open_below

    objects = open_below(rootdir, rule.place, endpoint=rule.endpoint, region=rule.region)
    log = open_run_log(
        *(objects, policy.log, rootdir, environ, anchor), environment=policy.environment, now=now, say=say
    )
    if not rule.witnesses and not policy.cosignatures:
        return log
    from pytest_cutover.sources.post import post
    from pytest_cutover.tlog.known import witness_keys
    from pytest_cutover.tlog.witness_client import Witnesses

    known = () if anchor is None else witness_keys(anchor, now, policy.log)
    return replace(log, witnesses=Witnesses(rule.witnesses, known, policy.cosignatures, post))


def open_run_log(
    objects: ObjectStore,
    origin: str,
    rootdir: Path,
    environ: Mapping[str, str],
    anchor: Anchor | None,
    *,
    environment: str,
    now: datetime,
    say: Callable[[str], None],
) -> RunLog:
    """The log in `objects`, its checkpoint verified, compared with the newest one that a run of this project saw.

    Raises:
        CutoverError: there is no key for it or it signs no more, or what is there cannot be read or is not that log.
    """
    signer = NoteSigner(origin, _signer(environ, rootdir, origin, say))
    if anchor is not None:
        anchor.refuse_old(signer.verifier.public.keyid)
    others = [] if anchor is None else log_verifiers(anchor, environment, now)
    verifiers = [v for v in others if v.name == origin and v.key_id != signer.verifier.key_id]
    log = Log(objects, origin, signer, verifiers=verifiers)
    try:
        checkpoint = log.checkpoint()
    except ObjectMissingError:
        checkpoint = Checkpoint(origin, 0, EMPTY_ROOT)
    seen = next(_seen(rootdir / "var/cutover/runs", origin, [signer.verifier, *verifiers]), None)
    head = LogHead(origin, checkpoint.size, checkpoint.root.hex())
    return RunLog(log, head, None if seen is None else _parted(log, checkpoint, *seen))


def find_log_key(environ: Mapping[str, str], rootdir: Path, origin: str) -> PemSigner | None:
    """The key that signs checkpoints; None: a machine's own log has none yet, and gets one.

    Raises:
        ConfigError: it cannot be used or can sign no notes, or another log than the machine's own has none.
    """
    given, path = environ.get(LOG_KEY_VARIABLE), rootdir / LOG_KEY
    if given or path.exists():
        where = f"{LOG_KEY_VARIABLE} {given}" if given else str(path)
        signer = load_private_key(Path(given or path), where=where)
        check_note_key(signer.public, where)
        return signer
    if origin == LOCAL_LOG:
        return None
    raise ConfigError(
        f"expected the key of the log {origin}, got none",
        hint=f"set {LOG_KEY_VARIABLE} to its path; cutover keys new PATH makes one",
    )


def _signer(environ: Mapping[str, str], rootdir: Path, origin: str, say: Callable[[str], None]) -> PemSigner:
    """The key that signs checkpoints, made where that is allowed; the machine's own with its public half beside it."""
    signer, path = find_log_key(environ, rootdir, origin), rootdir / LOG_KEY
    if signer is None:
        if write_new_private(path, generate(KeyKind.ED25519)):
            say(f"made {LOG_KEY}, the key of this machine's transparency log")
        signer = load_private_key(path)
    elif environ.get(LOG_KEY_VARIABLE):
        return signer
    public = public_path(path)
    with suppress(OSError):
        if read_regular(public) == signer.public_pem():
            return signer
    write_atomic(public, signer.public_pem())
    return signer


def _seen(runs: Path, origin: str, verifiers: Sequence[Verifier]) -> Iterator[tuple[str, Checkpoint]]:
    """The checkpoints beside earlier decisions, newest run first; what is none of this log's is passed over."""
    try:
        names = sorted((path.name for path in runs.iterdir()), reverse=True)
    except OSError:
        return
    for name in names:
        with suppress(OSError, EvidenceError):
            proof = parse_proof(read_regular(runs / name / PROOF_FILE))
            yield name, verify_checkpoint(proof.checkpoint, verifiers, origin=origin)


def _parted(log: Log, now: Checkpoint, run: str, seen: Checkpoint) -> str | None:
    """Why the log of now does not go on from the one that a run saw."""
    try:
        verify_extends(seen, now, log.consistency(seen, now))
    except EvidenceError as exc:
        return f"run {run} saw {seen.size} entries in {seen.origin}: {exc}"
    return None
