"""`cutover history`: the runs of a folder, newest first."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import Parser, _runs
from pytest_cutover.cli._page import colour
from pytest_cutover.errors import CutoverError
from pytest_cutover.model import rfc3339
from pytest_cutover.reasons import Weight
from pytest_cutover.report.fit import put
from pytest_cutover.report.terminal import Style
from pytest_cutover.run.last import past_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.run.last import Made

_SHOWN_GATES = 4


def run(argv: Sequence[str]) -> int:
    """List runs; 0 there are some, 1 there are none, 2 unusable."""
    options = _parser().parse_args(argv)
    folder = _runs.folder_of(options)
    anchor = _runs.trust(options.trust)
    rows = list(_rows(folder, anchor, options.plan, options.env, options.count))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        style = Style.of(sys.stdout.encoding, colour=colour())
        put(_lines(rows, style))
    return 0 if rows else 1


def _rows(
    folder: Path, anchor: Anchor | None, plan: str | None, environment: str | None, count: int
) -> Iterator[dict[str, Any]]:
    for made in past_runs(folder):
        if plan not in (None, made.plan) or environment not in (None, made.environment):
            continue
        yield _row(made, anchor)
        count -= 1
        if count == 0:
            return


def _row(made: Made, anchor: Anchor | None) -> dict[str, Any]:
    row: dict[str, Any] = {"run_id": made.folder.name, "plan": made.plan, "environment": made.environment}
    try:
        view, _ = _runs.load(made.folder, anchor, compare=False)
    except CutoverError as exc:
        return row | {"verdict": None, "evidence": str(exc)}
    heavy = [f for f in view.findings if f.weight is not Weight.NOTE]
    evidence = "unsigned" if view.evidence.keyid is None else "verified"
    return row | {
        "verdict": view.verdict.value,
        "exit_code": view.exit_code,
        "decided_at": rfc3339(view.decided_at),
        "red": _gates(f.gate for f in heavy if f.weight is Weight.RED),
        "unproven": _gates(f.gate or f.reason.code for f in heavy if f.weight is not Weight.RED),
        "evidence": evidence
        if not view.evidence.problems
        else f"does not verify: {view.evidence.problems[0]}",
    }


def _gates(names: Iterator[str | None]) -> list[str]:
    return list(dict.fromkeys(name or "run" for name in names))


def _lines(rows: Sequence[dict[str, Any]], style: Style) -> Iterator[str]:
    width = max((len(row["verdict"] or "none") for row in rows), default=0)
    for row in rows:
        verdict = row["verdict"]
        colour = "left" if verdict is None else "green" if row["exit_code"] == 0 else "red"
        word = style.paint((verdict or "none").ljust(width), colour)
        time = "not decided" if verdict is None else f"{row['decided_at'][:16].replace('T', ' ')}Z"
        place = style.plain(f"{row['plan']} → {row['environment']}")
        yield f"{word}  {time:<17}  {place}  {style.plain(row['run_id'])}"
        about = [f"{name} {_some(row[name])}" for name in ("red", "unproven") if row.get(name)]
        if row["evidence"] != "verified":
            about.append(row["evidence"])
        if about:
            yield style.paint(f"{'':<{width}}  {' · '.join(about)}", "dim")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_GATES
    return ", ".join(names[:_SHOWN_GATES]) + (f" and {more} more" if more > 0 else "")


def _count(text: str) -> int:
    import argparse

    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of runs, got {text!r}")
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover history",
        description="List the runs of a folder, newest first: time, verdict, plan, environment, red gates. "
        "The evidence of each is verified.",
        epilog="exit codes: 0 there are runs, 1 there are none, 2 unusable input, 64 usage",
    )
    add = parser.add_argument
    _runs.add_folder(parser)
    add("--plan", metavar="NAME", help="only runs of this plan")
    add("--env", "--environment", dest="env", metavar="NAME", help="only runs for this environment")
    add("-n", "--count", metavar="N", type=_count, default=20, help="how many (default: %(default)s)")
    add("--json", action="store_true", help="print them as JSON")
    add("--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)")
    return parser
