"""`cutover diff`: what differs between two runs, and between the policies they were judged by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence, _recorded
from pytest_cutover.rejudge.diff import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_cutover.cli._recorded import Recorded
    from pytest_cutover.rejudge.diff import Difference

SAME, DIFFERENT = 0, 1
SHOWN = 40
"""Differences printed of each kind; --json has all."""


def run(argv: Sequence[str]) -> int:
    """Compare two runs; 0 they came to the same in the same way, 1 they differ, 2 unusable."""
    options = _parser().parse_args(argv)
    first, second = (_recorded.load(name, options) for name in (options.before, options.after))
    found = difference(first.case, second.case)
    if options.json:
        runs = {"before": first.to_json(), "after": second.to_json()}
        print(json.dumps({**runs, **found.to_json()}, indent=1))
    else:
        _evidence.show(_lines(first, second, found))
    return SAME if found.is_empty else DIFFERENT


def _parser() -> Parser:
    parser = Parser(
        prog="cutover diff",
        description="Compare two runs: verdict, gates that appeared or vanished, what was measured and its limits, "
        "findings, and what changed in the policy.",
        epilog="exit codes: 0 they came to the same in the same way, 1 they differ, 2 unusable input, 64 usage",
    )
    for name, which in (("before", "first"), ("after", "second")):
        parser.add_argument(name, metavar=name.upper(), help=f"the {which} run: its folder, bundle or report")
    _recorded.add_belief(parser)
    parser.add_argument("--json", action="store_true", help="print the difference as JSON")
    return parser


def _lines(first: Recorded, second: Recorded, found: Difference) -> Iterator[str]:
    before, after = found.before, found.after
    word = "same" if (before.verdict, before.exit_code) == (after.verdict, after.exit_code) else "changed"
    yield f"verdict   {word}: {before.verdict.value} (exit {int(before.exit_code)}) → {after.verdict.value} (exit {int(after.exit_code)})"
    for name, recorded in (("before", first), ("after", second)):
        yield f"{name:<9} {recorded.run_id or '(unnamed)'}  {recorded.said}"
    yield from _listed("run", (c.text for c in found.run))
    yield from _listed("gate new", found.appeared)
    yield from _listed("gate gone", found.vanished)
    yield from _listed("measured", (m.text for m in found.measured))
    yield from _listed("no longer", map(_recorded.finding_line, found.findings.gone))
    yield from _listed("new", map(_recorded.finding_line, found.findings.new))
    yield from _listed("policy", (c.text for c in found.policy))
    if found.is_empty:
        yield "nothing differs but the time"


def _listed(word: str, items: Iterable[str]) -> Iterator[str]:
    texts = list(items)
    yield from (f"{word:<9} {text}" for text in texts[:SHOWN])
    if len(texts) > SHOWN:
        yield f"{word:<9} and {len(texts) - SHOWN} more: --json shows all"
