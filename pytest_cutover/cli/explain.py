"""`cutover explain`: what would have to differ for a GO. It signs nothing and admits nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence, _recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.cli._recorded import Recorded
    from pytest_cutover.rejudge.explain import Change, Explanation

GO, NO = 0, 1
SHOWN = 30
"""Changes printed; --json has all."""


def run(argv: Sequence[str]) -> int:
    """Explain one run's verdict; 0 it was a GO, 1 it was not, 2 unusable."""
    options = _parser().parse_args(argv)
    recorded = _recorded.load(options.evidence, options)
    from pytest_cutover.rejudge.explain import explain

    explanation = explain(recorded.case)
    if options.json:
        print(json.dumps({**recorded.to_json(), **explanation.to_json()}, indent=1))
    else:
        _evidence.show(_lines(recorded, explanation))
    return GO if _recorded.is_go(explanation.decision) else NO


def _parser() -> Parser:
    parser = Parser(
        prog="cutover explain",
        description="Say what would have to differ for a GO: for each reason the smallest change, shown to work by "
        "changing the record and deciding again. It signs nothing.",
        epilog="exit codes: 0 it was a GO, 1 it was not, 2 unusable input, 64 usage",
    )
    _recorded.add_evidence(parser)
    _recorded.add_belief(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def _lines(recorded: Recorded, found: Explanation) -> Iterator[str]:
    decision = found.decision
    yield f"{decision.verdict.value} (exit {int(decision.exit_code)})"
    yield from recorded.lines()
    if not found.changes:
        yield "nothing would have to differ"
        return
    if found.top is not None:
        owner = "" if found.top.owner is None else f", owner {found.top.owner}"
        codes = ", ".join(dict.fromkeys(f.reason.code for f in found.top.findings))
        yield f"weighs most: {found.top.name}{owner} ({codes})"
    count = len(found.changes)
    yield ""
    yield (
        f"for a GO {count} things would have to differ:"
        if count > 1
        else "for a GO one thing would have to differ:"
    )
    yield from _change_lines(found.changes)
    yield ""
    if found.is_proven:
        yield f"shown by deciding again: with {'all of these' if count > 1 else 'it'} the verdict is {found.after.verdict.value}"
    else:
        left = ", ".join(dict.fromkeys(f.reason.code for f in found.after.findings[:5]))
        yield f"NOT shown: decided again with these it is still {found.after.verdict.value} ({left})"
    yield "nothing was signed or changed: only a new run can be a GO"


def _change_lines(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes[:SHOWN]:
        gate = "" if change.finding.gate is None else f"{change.finding.gate}  "
        then = "then " if change.follows else ""
        doubt = "" if change.shown else "  (not shown)"
        yield f"  {then}{gate}{change.text}  [{change.finding.reason.code}]{doubt}"
    if len(changes) > SHOWN:
        yield f"  and {len(changes) - SHOWN} more: --json shows all"
