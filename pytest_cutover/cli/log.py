"""`cutover log`: append to a transparency log, and prove what is in it and that it is whole."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.cli._evidence import anchor, read, show
from pytest_cutover.cli._log_of import (
    LOG,
    KnownToRuns,
    LogChoice,
    asked_log,
    pinned_in,
    writable_log,
)
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.files import write_atomic
from pytest_cutover.model import counted
from pytest_cutover.tlog.entry import EntryKind, LogEntry, known_entry
from pytest_cutover.tlog.known import witness_keys
from pytest_cutover.tlog.note import encode_base64
from pytest_cutover.tlog.proof import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_cutover.tlog.log import Log
    from pytest_cutover.tlog.problems import LogProblem

SHOWN = 20
"""Problems printed in words; --json has all of them."""


def run(argv: Sequence[str]) -> int:
    """Do what is asked; 0 yes, 1 no, 2 unusable."""
    options = _parser().parse_args(argv)
    actions = {
        "append": _append,
        "checkpoint": _checkpoint,
        "prove": _prove,
        "verify": _verify,
        "audit": _audit,
    }
    return actions[options.action](options)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover log",
        description="A transparency log in a folder or a bucket: C2SP tiles, signed checkpoints, offline proofs.",
        epilog="exit codes: 0 yes or done, 1 no, 2 unusable input, 64 usage",
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="append|checkpoint|prove|verify|audit", parser_class=Parser
    )
    append = actions.add_parser("append", help="log the SHA-256 of files, or files themselves")
    append.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="FILE.tlog-proof is written beside it"
    )
    append.add_argument("--kind", choices=[k.value for k in EntryKind], help="what the files are")
    append.add_argument("--name", help="what people know it by; the file's name when left out")
    append.add_argument("--environment", metavar="NAME", help="the environment it is about")
    append.add_argument("--raw", action="store_true", help="the bytes of each file are the entry")
    append.add_argument("--key", metavar="FILE", help="the log's key; default: CUTOVER_KEY_LOG")
    checkpoint = actions.add_parser("checkpoint", help="print the signed checkpoint, once it was verified")
    checkpoint.add_argument(
        "--witness",
        metavar="URL",
        action="append",
        default=[],
        help="have it cosigned there first, and keep the cosignature; repeatable",
    )
    prove = actions.add_parser("prove", help="write the .tlog-proof of an entry")
    prove.add_argument("index", metavar="INDEX", type=_index, nargs="?", help="the entry; the first is 0")
    prove.add_argument("--file", metavar="FILE", type=Path, help="in place of INDEX: a file that was logged")
    prove.add_argument("--out", metavar="FILE", type=Path, help="default: standard output")
    verify = actions.add_parser("verify", help="recompute a whole log, or verify one proof without it")
    verify.add_argument(
        "proof", metavar="PROOF", type=Path, nargs="?", help="a .tlog-proof, verified offline"
    )
    verify.add_argument("--file", metavar="FILE", type=Path, help="with PROOF: the file that was logged")
    verify.add_argument("--witnesses", metavar="N", type=_index, default=0, help="ask for cosignatures of N")
    audit = actions.add_parser("audit", help="verify a log, and compare it with what others know of it")
    audit.add_argument(
        "--pin",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a checkpoint, a .tlog-proof, or JSON with origin, size and root, kept elsewhere; repeatable",
    )
    audit.add_argument(
        "--runs",
        metavar="DIR",
        type=Path,
        help="every bundle below it has to be logged, and all that proofs and decisions know of the log still true",
    )
    audit.add_argument("--json", action="store_true", help="the result as JSON")
    for action in (append, checkpoint, prove, verify, audit):
        action.add_argument(
            "--log", metavar="PLACE", default=LOG, help="folder or s3://… (default: %(default)s)"
        )
        action.add_argument(
            "--origin", metavar="NAME", help="the log's name; default: the one that is trusted"
        )
        action.add_argument(
            "--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json"
        )
        action.add_argument(
            "--vkey", metavar="KEY", help="in place of a trust file: the log's verifier key as text"
        )
    return parser


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got {text!r}")
    return int(text)


# -- append ------------------------------------------------------------------------------------


def _append(options: argparse.Namespace) -> int:
    files: list[Path] = options.files
    if options.raw == (options.kind is not None):
        raise ConfigError(
            "expected --kind or --raw", hint="--kind logs the digest of a file, --raw the file itself"
        )
    if options.name is not None and len(files) > 1:
        raise ConfigError("expected one FILE with --name, got several")
    now = datetime.now(UTC)
    entries = [read(path) if options.raw else _entry(path, options, now) for path in files]
    log = writable_log(LogChoice.of(options), options.key)
    try:
        appended = log.append(entries)
    except ValueError as exc:  # an entry of 65 536 bytes
        raise ConfigError(str(exc), hint="log its digest: --kind in place of --raw") from None
    for index, (path, entry) in enumerate(zip(files, entries, strict=True), appended.first):
        proof = path.with_name(path.name + SUFFIX)
        write_atomic(proof, log.prove(index, signed=appended.signed, extra=None if options.raw else entry))
        show([f"{index}  {path}  {proof}"])
    show([f"{log.origin}: {counted(appended.checkpoint.size, 'entry', 'entries')}"])
    return 0


def _entry(path: Path, options: argparse.Namespace, now: datetime) -> bytes:
    digest = hashlib.sha256(read(path)).hexdigest()
    entry = LogEntry(EntryKind(options.kind), digest, now, options.name or path.name, options.environment)
    try:
        return entry.to_bytes()
    except EvidenceError as exc:
        raise ConfigError(f"{path}: {exc}", hint="give it a --name of printable characters") from None


# -- checkpoint, prove -------------------------------------------------------------------------


def _checkpoint(options: argparse.Namespace) -> int:
    log = asked_log(LogChoice.of(options))
    signed = log.signed_checkpoint()[1]
    if options.witness:
        from pytest_cutover.sources.post import post
        from pytest_cutover.tlog.witness_client import cosign

        known = witness_keys(anchor(options.trust), datetime.now(UTC), log.origin)
        signed = cosign(log, options.witness, known, post)
    sys.stdout.write(signed.decode())
    return 0


def _prove(options: argparse.Namespace) -> int:
    if (options.index is None) == (options.file is None):
        raise ConfigError("expected INDEX or --file FILE")
    log = asked_log(LogChoice.of(options))
    index = options.index if options.file is None else _find(log, options.file)
    (entry,) = list(log.entries(index, index + 1)) or [b""]
    proof = log.prove(index, extra=None if known_entry(entry) is None else entry)
    if options.out is None:
        sys.stdout.write(proof.decode())
    else:
        write_atomic(options.out, proof)
        show([f"{options.out}: entry {index} of {log.origin}"])
    return 0


def _find(log: Log, path: Path) -> int:
    """The first entry that names the file, or is it."""
    data = read(path)
    digest = hashlib.sha256(data).hexdigest()
    for index, entry in enumerate(log.entries(0, log.checkpoint().size)):
        known = known_entry(entry)
        if entry == data or (known is not None and known.sha256 == digest):
            return index
    raise EvidenceError(f"{path} is not in the log {log.origin}", hint=f"cutover log append {path} --kind …")


# -- verify, audit -----------------------------------------------------------------------------


def _verify(options: argparse.Namespace) -> int:
    if options.proof is not None:
        from pytest_cutover.cli._log_proof import verify

        return verify(options)
    if options.file is not None or options.witnesses:
        raise ConfigError("expected a PROOF with --file or --witnesses, got none")
    choice = LogChoice.of(options)
    log = asked_log(choice)
    found = log.verify()
    if found.checkpoint is not None:
        size, root = found.checkpoint.size, encode_base64(found.checkpoint.root)
        show([f"{log.origin}: {counted(size, 'entry', 'entries')}, root hash {root}"])
    show(f"trusted key: {key.vkey()}" for key in choice.known()[0])
    show(_beyond(found.beyond))
    return _verdict(found.problems)


def _audit(options: argparse.Namespace) -> int:
    from pytest_cutover.tlog.audit import audit

    log = asked_log(LogChoice.of(options))
    pins, documents = [pinned_in(path) for path in options.pin], {}
    if options.runs is not None:
        known = KnownToRuns.below(options.runs, log.origin)
        pins, documents = [*pins, *known.pins], known.documents
    done = audit(log, pins, documents)
    if options.json:
        print(json.dumps(done.to_json(), indent=1))
        return 0 if done.is_valid else 1
    checkpoint = done.verification.checkpoint
    if checkpoint is not None:
        show([f"{log.origin}: {counted(checkpoint.size, 'entry', 'entries')}"])
    gap = "unknown" if done.inclusion_gap is None else str(done.inclusion_gap)
    show([f"pinned checkpoints: {len(pins)}", f"tlog_inclusion_gap: {gap} of {len(documents)} documents"])
    show(_beyond(done.verification.beyond))
    if not pins:
        show(["note: without a pinned checkpoint a log that lost its newest entries looks whole"])
    if options.runs is None:
        show(["note: without --runs no decision was looked for in it"])
    return _verdict(done.problems)


def _beyond(tiles: Sequence[str]) -> Iterator[str]:
    if tiles:
        yield f"note: {counted(len(tiles), 'tile')} beyond the checkpoint, left by a writer; the next append tidies up"


def _verdict(problems: Sequence[LogProblem]) -> int:
    show(_lines(problems))
    return 1 if problems else 0


def _lines(problems: Sequence[LogProblem]) -> Iterable[str]:
    yield "valid" if not problems else f"INVALID: {counted(len(problems), 'problem')}"
    for problem in problems[:SHOWN]:
        yield f"  {problem.code.value:<22} {problem.where}: {problem.message}"
    if len(problems) > SHOWN:
        yield f"  … and {len(problems) - SHOWN} more"
