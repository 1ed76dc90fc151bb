"""What `cutover show` and `history` share: finding past runs and making views of them."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence
from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.report import read_report
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import looks_like_bundle
from pytest_cutover.keys.trust import find_anchor
from pytest_cutover.record import fold
from pytest_cutover.report import places
from pytest_cutover.report.readback import decision_of
from pytest_cutover.report.view import Evidence, View, build
from pytest_cutover.run.last import last_run
from pytest_cutover.run.views import starts_of

if TYPE_CHECKING:
    import argparse

    from pytest_cutover.cli import Parser
    from pytest_cutover.evidence.report import Report
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import Decision

RUNS = Path("var/cutover/runs")


def trust(option: str | None) -> Anchor | None:
    """The trust anchor, or None: a run can be shown without, and it is said that nothing was verified.

    Raises:
        ConfigError: a trust file was given, or is there, and cannot be used.
    """
    return find_anchor(option, os.environ, Path())


def add_folder(parser: Parser) -> None:
    """The argument that names a folder of runs."""
    parser.add_argument(
        "runs", metavar="FOLDER", nargs="?", default=str(RUNS), help="a folder of runs (default: %(default)s)"
    )


def folder_of(options: argparse.Namespace) -> Path:
    """The folder of runs that was named.

    Raises:
        ConfigError: it is none.
    """
    folder = Path(options.runs)
    if not folder.is_dir():
        said = "is not a folder of runs" if os.path.lexists(folder) else "is not there: nothing was run yet"
        raise ConfigError(f"{folder} {said}", hint="give a folder of runs, or ask where pytest ran")
    return folder


def find_run(name: str) -> Path:
    """The folder of a run: a path, `last`, a run id, or the beginning of exactly one.

    Raises:
        ConfigError: there is none, or more than one.
    """
    with suppress(OSError, ValueError):
        if Path(name).is_dir():
            return Path(name)
    names = sorted(p.name for p in RUNS.iterdir()) if RUNS.is_dir() else []
    if not names:
        raise ConfigError(f"{RUNS} holds no runs", hint="give a run folder, or ask where pytest ran")
    if name == "last":
        return _evidence.newest_run(RUNS)
    found = [n for n in names if n.startswith(name)]
    if len(found) != 1:
        said = f"{len(found)} runs begin" if found else "no run begins"
        raise ConfigError(f"{said} with {name!r:.80} in {RUNS}", hint="`cutover history` lists them")
    return RUNS / found[0]


def load(folder: Path, anchor: Anchor | None, *, compare: bool = True) -> tuple[View, Decision]:
    """The view of a past run, its evidence verified, and the decision in it.

    Raises:
        ConfigError: there is no report, or it cannot be read.
    """
    path = folder / REPORT_FILE
    if not path.exists():
        raise ConfigError(
            f"{folder} has no {REPORT_FILE}: the run was never decided",
            hint=f"{folder / 'journal.jsonl'} shows how far it came",
        )
    data = _evidence.read(path)
    try:
        report = read_report(data)
        record = fold(report.journal)
        decision = decision_of(report, record)
    except EvidenceError as exc:
        raise ConfigError(f"{path} cannot be shown: {exc}") from None
    keyid, problems = _verify(folder, data, report, anchor)
    shown = os.path.relpath(folder) if not folder.is_absolute() else str(folder)
    evidence = Evidence(
        folder=shown,
        sealed=True,
        keyid=keyid,
        signer=record.signer.value,
        report_sha256=hashlib.sha256(data).hexdigest(),
        problems=problems,
        url=places.evidence_url(os.environ, shown),
    )
    last = None
    if compare and anchor is not None:
        last = last_run(
            folder.resolve().parent,
            plan=report.policy.plan,
            environment=report.policy.environment,
            shard=record.shard,
            before=folder.resolve().name,
            anchor=anchor,
        )
    view = build(
        record,
        report.policy,
        decision,
        evidence,
        last=last,
        starts=starts_of(record, report.journal),
        prefix=places.prefix(Path.cwd(), os.environ),
    )
    return view, decision


def _verify(
    folder: Path, report: bytes, parsed: Report, anchor: Anchor | None
) -> tuple[str | None, tuple[str, ...]]:
    """The key id, when something is signed, and every problem of the evidence."""
    if not (folder / BUNDLE_FILE).exists():
        gone = ("report.json says that it was signed, and there is no bundle",) if parsed.signed else ()
        return None, gone
    bundle = _evidence.read(folder / BUNDLE_FILE)
    if not looks_like_bundle(bundle):
        return None, (f"{BUNDLE_FILE} is not a bundle",)
    if anchor is None:
        return "unknown", ("there is no trusted key to verify with: give --trust FILE",)
    proof = _evidence.read_if_there(folder / PROOF_FILE)
    found = verify_logged(bundle, report, proof, anchor, grace_at=datetime.now(UTC))
    problems = tuple(f"{p.code.code}: {p.message}" for p in found.problems)
    return (found.signers[0].keyid if found.signers else "unknown"), problems
