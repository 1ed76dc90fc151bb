"""`cutover log verify PROOF --file FILE`: offline, with the log's key and nothing else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.cli._evidence import anchor, read, short, show
from pytest_cutover.cli._log_of import LogChoice
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.model import counted
from pytest_cutover.tlog.entry import read_entry
from pytest_cutover.tlog.known import witness_keys
from pytest_cutover.tlog.proof import parse_proof, verify_proof

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def verify(options: argparse.Namespace) -> int:
    """Say whether a `.tlog-proof` shows that a file is in the log; 0 proven, 1 not."""
    if options.file is None:
        raise ConfigError("expected the file that was logged, got none", hint="give --file FILE")
    choice, data, proof = LogChoice.of(options), read(options.file), read(options.proof)
    verifiers, origin = choice.known()
    witnesses = () if options.vkey else witness_keys(anchor(options.trust), datetime.now(UTC), origin)
    where = str(options.proof)
    try:
        extra = parse_proof(proof, where).extra
        entry = extra if extra is not None else _decision_in(data) or data
        done = verify_proof(
            proof,
            entry,
            verifiers,
            origin=origin,
            witnesses=witnesses,
            threshold=options.witnesses,
            where=where,
        )
        if extra is not None:
            _check_digest(extra, data, options.file)
    except EvidenceError as exc:
        show([f"not proven: {exc}"])
        return 1
    seen = f", seen by {', '.join(done.witnesses)}" if done.witnesses else ""
    show(
        [
            f"{options.file}: entry {done.index} of {origin}, in a log of {counted(done.checkpoint.size, 'entry', 'entries')}{seen}"
        ]
    )
    if extra is not None:
        logged = read_entry(extra)
        about = "" if logged.environment is None else f" for {logged.environment}"
        show([f"logged as the {logged.kind.value} {logged.name}{about}"])
    return 0


def _decision_in(bundle: bytes) -> bytes | None:
    """The entry that follows from a run's bundle, whose proof holds none; None: it is no bundle.

    **Its signatures are not verified**: the entry names the bundle's digest, and it is the log that vouches for the entry.

    Raises:
        EvidenceError: it says of itself what no entry can hold.
    """
    from pytest_cutover.evidence.inclusion import claimed, logged_entry

    claims = claimed(bundle)
    return (
        None if claims is None else logged_entry(bundle, claims.run_id, claims.environment, claims.decided_at)
    )


def _check_digest(extra: bytes, data: bytes, path: Path) -> None:
    digest, logged = hashlib.sha256(data).hexdigest(), read_entry(extra, "the entry").sha256
    if digest != logged:
        raise EvidenceError(f"{path}: expected the file with SHA-256 {short(logged)}, got {short(digest)}")
