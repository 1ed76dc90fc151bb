"""`cutover admit`: may this digest go into this environment now? The last question before a deploy."""

from __future__ import annotations

import argparse
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence
from pytest_cutover.cli.verify import decision_lines
from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.admit import Admission, Candidate, Question, admit, parse_digest
from pytest_cutover.evidence.inclusion import PROOF_FILE
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import looks_like_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADMITTED, REFUSED = 0, 1
RUNS = "var/cutover/runs"
JOURNAL_FILE = "journal.jsonl"


def run(argv: Sequence[str]) -> int:
    """Answer one deploy step; 0 admitted, 1 refused, 2 unusable."""
    options = _parser().parse_args(argv)
    if options.bundles and options.runs is not None:
        _parser().error("give --runs DIR or bundles, not both")
    anchor = _evidence.anchor(options.trust)
    candidates = _named(options.bundles) if options.bundles else _found(Path(options.runs or RUNS))
    algorithm, digest = options.digest
    at = datetime.now(UTC) if options.at is None else options.at
    question = Question(algorithm, digest, options.environment, at, options.policy_digest)
    answer = admit(question, candidates, anchor)
    if options.json:
        print(json.dumps(answer.to_json(), indent=1))
    else:
        _evidence.show(_lines(answer))
    return ADMITTED if answer.is_admitted else REFUSED


def _parser() -> Parser:
    parser = Parser(
        prog="cutover admit",
        description="Say whether a digest may go into an environment now: yes only for a verified, trusted, "
        "unexpired GO or GO-WITH-GUARDS about exactly this digest and environment, and only while no newer "
        "run takes it back.",
        epilog="exit codes: 0 admitted, 1 refused, 2 unusable input, 64 usage",
    )
    parser.add_argument(
        "bundles", nargs="*", metavar="BUNDLE", help=f"bundles or run folders (else all below {RUNS})"
    )
    parser.add_argument("--digest", required=True, type=_digest, help="what is deployed: sha256:HEX")
    parser.add_argument("--environment", required=True, metavar="NAME", help="where it is deployed")
    parser.add_argument(
        "--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)"
    )
    _evidence.add_time(parser, "the time of the deployment (UTC, with Z); now when left out")
    parser.add_argument(
        "--policy-digest",
        type=_policy_digest,
        metavar="sha256:HEX",
        help="accept decisions under this policy only",
    )
    parser.add_argument("--runs", metavar="DIR", help=f"the folder of run folders to search (else {RUNS})")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def _digest(text: str) -> tuple[str, str]:
    try:
        return parse_digest(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _policy_digest(text: str) -> str:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"expected sha256: and 64 lowercase hex digits, got {text!r}")
    return text


def _named(names: Sequence[str]) -> list[Candidate]:
    """The evidence that was named: what cannot be read is an error, not a reason to look elsewhere."""
    candidates = []
    for name in names:
        bundle = _evidence.bundle_of(Path(name))
        data = _evidence.read(bundle)
        if not looks_like_bundle(data):
            raise ConfigError(f"{bundle} is not a bundle: no line of it is a DSSE envelope")
        candidates.append(_candidate(str(bundle), bundle))
    return candidates


def _found(runs: Path) -> list[Candidate]:
    """The evidence of every run folder, newest first by name."""
    try:
        names = sorted((entry.name for entry in os.scandir(runs) if entry.is_dir()), reverse=True)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable folder name"
        raise ConfigError(
            f"cannot search {runs} for evidence: {reason}", hint="give --runs DIR, or name the bundles"
        ) from None
    return [_candidate(name, runs / name / BUNDLE_FILE) for name in names]


def _candidate(name: str, bundle: Path) -> Candidate:
    return Candidate(
        name,
        lambda: _evidence.read_if_there(bundle),
        lambda: _evidence.read_if_there(bundle.parent / REPORT_FILE),
        bundle.parent.name,
        lambda: _evidence.first_line(bundle.parent / JOURNAL_FILE),
        lambda: _evidence.read_if_there(bundle.parent / PROOF_FILE),
    )


def _lines(answer: Admission) -> Iterator[str]:
    question = answer.question
    if answer.is_admitted:
        yield f"ADMITTED  may go into {question.environment}"
    else:
        yield f"REFUSED   must not go into {question.environment}"
        yield from _evidence.problem_lines(answer.problems)
    yield f"asked    {question.subject}"
    found = answer.verification
    if found is not None and found.decision is not None:
        yield from decision_lines(found.decision, believed=found.is_valid)
        for key in found.signers:
            yield f"signed   by {key.name} ({key.public.kind.value} {_evidence.short(key.keyid)})"
    yield f"trust    {answer.anchor.description}"
