"""`cutover decide`: recorded evidence judged under another policy. It signs nothing and admits nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence, _other_policy, _recorded
from pytest_cutover.model import PolicySignature, rfc3339
from pytest_cutover.rejudge.diff import findings_between

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.cli._recorded import Recorded
    from pytest_cutover.model import Decision, Finding
    from pytest_cutover.rejudge.case import Case

GO, NO = 0, 1
SHOWN = 12
"""Findings printed of each kind; --json has all."""


def run(argv: Sequence[str]) -> int:
    """Judge one run again; 0 it would be a GO, 1 not, 2 unusable."""
    options = _parser().parse_args(argv)
    recorded = _recorded.load(options.evidence, options)
    record = recorded.case.record
    plan, environment = options.plan or record.plan, options.environment or record.environment
    policy = _other_policy.load(options, plan, environment)
    case = recorded.case.under(policy, options.at or recorded.case.at)
    decision = case.decide()
    if options.json:
        print(json.dumps(_json(recorded, case, decision), indent=1))
    else:
        _evidence.show(_lines(recorded, case, decision, options))
    return GO if _recorded.is_go(decision) else NO


def _parser() -> Parser:
    parser = Parser(
        prog="cutover decide",
        description="Judge recorded evidence under another policy, without measuring again: what the verdict was, and "
        "what it would be. It signs nothing, and `cutover admit` knows nothing of it.",
        epilog="exit codes: 0 it would be a GO, 1 it would not, 2 unusable input, 64 usage",
    )
    _recorded.add_evidence(parser)
    _other_policy.add_policy(parser)
    parser.add_argument("--plan", metavar="NAME", help="the policy's plan (else the run's)")
    parser.add_argument("--environment", metavar="NAME", help="the policy's environment (else the run's)")
    _evidence.add_time(parser, "judge as of this time (UTC, with Z); when left out, the time it was decided")
    _recorded.add_belief(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def _json(recorded: Recorded, case: Case, decision: Decision) -> dict[str, object]:
    policy = case.policy
    return {
        **recorded.to_json(),
        "signed": False,
        "policy": {
            "name": policy.name,
            "version": policy.version,
            "digest": policy.digest,
            "plan": policy.plan,
            "environment": policy.environment,
            "signature": policy.signature.value,
        },
        "recorded": _recorded.verdict_json(recorded.decision),
        "decided": _recorded.verdict_json(decision),
        "findings": findings_between(recorded.decision, decision).to_json(),
    }


def _lines(recorded: Recorded, case: Case, decision: Decision, options: argparse.Namespace) -> Iterator[str]:
    was, policy = recorded.decision, case.policy
    before = recorded.case.policy
    yield f"was       {was.verdict.value} (exit {int(was.exit_code)}) under {before.name} v{before.version}, {before.digest[:19]}…"
    yield f"would be  {decision.verdict.value} (exit {int(decision.exit_code)}) under {_other_policy.line(policy, draft=options.draft)}"
    yield from recorded.lines()
    record = recorded.case.record
    if (record.plan, record.environment) != (policy.plan, policy.environment):
        yield f"judged    as {policy.plan} → {policy.environment}: it was measured for {record.plan} → {record.environment}"
    when = "the time it was decided" if case.at == recorded.case.at else "the time asked about"
    yield f"as of     {rfc3339(case.at)}, {when}"
    found = findings_between(was, decision)
    yield from _findings("no longer", found.gone)
    yield from _findings("new", found.new)
    if policy.signature is not PolicySignature.TRUSTED and not policy.sandbox:
        yield "hint      --draft says what it would be once the policy is signed"
    yield "nothing was signed: a deploy step is told by a run under that policy, not by this answer"


def _findings(word: str, findings: Sequence[Finding]) -> Iterator[str]:
    yield from (f"{word:<9} {_recorded.finding_line(f)}" for f in findings[:SHOWN])
    if len(findings) > SHOWN:
        yield f"{word:<9} and {len(findings) - SHOWN} more: --json shows all"
