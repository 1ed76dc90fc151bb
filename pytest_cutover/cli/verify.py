"""`cutover verify`: prove that evidence is whole, unchanged and signed. It says nothing about admission."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence
from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import Verification, looks_like_bundle
from pytest_cutover.model import counted, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.evidence.fleet import FleetReport
    from pytest_cutover.fleet import ShardEvidence
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import RunRecord

VALID, INVALID = 0, 1
RUNS = Path("var/cutover/runs")
SHOWN = 8
"""Subjects and reasons printed; at 3 a.m. nobody reads the ninth."""


def run(argv: Sequence[str]) -> int:
    """Verify one bundle or run folder; 0 valid, 1 invalid, 2 unusable."""
    options = _parser().parse_args(argv)
    if options.last == (options.evidence is not None):
        _parser().error("give a bundle or run folder, or --last")
    named = _evidence.named_run("last" if options.last else options.evidence, RUNS)
    bundle_path, anchor = _evidence.bundle_of(named), _evidence.anchor(options.trust)
    report_path = bundle_path.parent / REPORT_FILE if options.report is None else Path(options.report)
    report = _evidence.read_if_there(report_path)
    if report is not None and not os.path.lexists(bundle_path):
        verification = _unsigned(anchor)
    else:
        bundle = _evidence.read(bundle_path)
        if not looks_like_bundle(bundle):
            raise ConfigError(
                f"{bundle_path} is not a bundle: no line of it is a DSSE envelope",
                hint=f"a run folder holds it as {BUNDLE_FILE}",
            )
        proof = _evidence.read_if_there(bundle_path.parent / PROOF_FILE)
        found = verify_logged(bundle, report, proof, anchor, options.at, grace_at=datetime.now(UTC))
        verification = _with_shards(found, options.shards, anchor)
    if options.json:
        print(json.dumps({"bundle": str(bundle_path), **verification.to_json()}, indent=1))
    else:
        _evidence.show(_lines(bundle_path, verification))
    return VALID if verification.is_valid else INVALID


def _parser() -> Parser:
    parser = Parser(
        prog="cutover verify",
        description="Prove that evidence is whole, unchanged and signed by a trusted key. "
        "A NO-GO whose evidence is intact is valid: ask `cutover admit` what may be deployed.",
        epilog="exit codes: 0 valid, 1 invalid, 2 unusable input, 64 usage",
    )
    parser.add_argument(
        "evidence",
        nargs="?",
        metavar="BUNDLE|RUNDIR",
        help=f"a {BUNDLE_FILE}, or the run folder that holds it; or a run id, or last",
    )
    parser.add_argument("--last", action="store_true", help=f"the newest run folder in {RUNS}")
    parser.add_argument(
        "--report", metavar="FILE", help=f"the report, when it is not {REPORT_FILE} beside the bundle"
    )
    parser.add_argument(
        "--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)"
    )
    _evidence.add_time(parser, "also check that the decision was in force at this time (UTC, with Z)")
    parser.add_argument(
        "--shards",
        nargs="+",
        metavar="BUNDLE|RUNDIR",
        help="of a merge: also verify the shards' own evidence, all of it, beside what was merged",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _with_shards(found: Verification, names: Sequence[str] | None, anchor: Anchor) -> Verification:
    """The verification, with what is wrong with the shards' own evidence too."""
    if names is None:
        return found
    if found.fleet is None:
        problem = EvidenceProblem(
            ProblemCode.FLEET_SHARD, "this is not the evidence of a merge: it has no shards"
        )
        return replace(found, problems=(*found.problems, problem))
    from pytest_cutover.evidence.fleet_verify import verify_shards

    problems = verify_shards(found, _evidence.shards(names), anchor)
    return replace(found, problems=(*found.problems, *problems))


def _unsigned(anchor: Anchor) -> Verification:
    problem = EvidenceProblem(
        ProblemCode.BUNDLE_MISSING, "the evidence is not signed, or its bundle was removed"
    )
    return Verification((problem,), None, (), None, None, anchor)


def _lines(path: Path, found: Verification) -> Iterator[str]:
    if found.is_valid:
        yield f"VALID    {path}: whole, unchanged, and signed"
    else:
        yield f"INVALID  {path}"
        yield from _evidence.problem_lines(found.problems)
        yield "do not rely on this evidence"
    if found.decision is not None:
        yield from decision_lines(found.decision, believed=found.is_valid)
    if found.record is not None and found.record.opened is not None:
        yield from _opened_lines(found.record)
    if found.position is not None:
        yield f"logged   as entry {found.position.index} of {found.position.origin}"
    if found.fleet is not None:
        yield from _fleet_lines(found.fleet)
    for key in found.signers:
        yield f"signed   by {key.name} ({key.public.kind.value} {_evidence.short(key.keyid)})"
    yield f"trust    {found.anchor.description}"


def _opened_lines(record: RunRecord) -> Iterator[str]:
    carried = [r for r in record.results if r.carried_from is not None]
    runs = ", ".join(dict.fromkeys(str(r.carried_from) for r in carried))
    yield f"carried  {len(carried)} of {len(record.results)} results, from {runs}; that evidence is in the report"


def _fleet_lines(report: FleetReport) -> Iterator[str]:
    shards = report.fleet.shards
    yield f"merged   {counted(len(shards), 'shard')}; their own evidence is verified with --shards"
    yield from _some("shard  ", [f"{s.name} {_shard(s)}" for s in shards])


def _shard(shard: ShardEvidence) -> str:
    if shard.decision is None:
        return f"not verified: {', '.join(shard.problems)}"
    return f"{shard.decision.verdict.value}  run {shard.decision.run_id}"


def decision_lines(decision: DecisionClaims, *, believed: bool) -> Iterator[str]:
    """The decision for people: verdict, times, what it is about."""
    word = "verdict " if believed else "claimed "
    yield f"{word} {decision.verdict.value} (exit {int(decision.exit_code)})"
    yield f"decided  {rfc3339(decision.decided_at)}, expires {rfc3339(decision.expires_at)}"
    yield f"for      environment {decision.environment}; plan {decision.plan}; {decision.runner.value}"
    if decision.sandbox:
        yield "         a sandbox: admits nothing elsewhere"
    yield f"run      {decision.run_id}"
    subjects = [f"{s.name} {name}:{value}" for s in decision.subjects for name, value in s.digest.items()]
    yield from _some("subject", subjects)
    yield f"policy   {decision.policy_digest}"
    yield from _some("reason ", [" ".join(finding.values()) for finding in decision.findings])
    waivers = [
        f"{w['ticket']}: {w['gate']} by {', '.join(w['persons'])}, risk {w['risk']}" for w in decision.waivers
    ]
    yield from _some("waiver ", waivers)
    guards = [
        f"{g['name']} ({g['kind']})" + (f", due {g['due_at']}" if g["due_at"] else "")
        for g in decision.guards
    ]
    yield from _some("guard  ", guards)


def _some(word: str, items: Sequence[str]) -> Iterator[str]:
    yield from (f"{word}  {item}" for item in items[:SHOWN])
    if len(items) > SHOWN:
        yield f"{word}  and {len(items) - SHOWN} more: --json shows all"


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
