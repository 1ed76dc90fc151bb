"""`cutover run PLAN [-- pytest arguments]`: gates under a trusted parent that decides and signs."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.cli._page import colour
from pytest_cutover.cli._run_options import add_run_options, run_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Exit as the decision says: 0, 10, 11 or 12; 2 when the run could not begin."""
    own, passed = _split(arguments)
    options = _parser().parse_args(own)
    from pytest_cutover.model import Runner
    from pytest_cutover.report.fit import put
    from pytest_cutover.report.terminal import Style, evidence_lines, verdict_block
    from pytest_cutover.run import supervisor
    from pytest_cutover.run.context import prepare
    from pytest_cutover.run.wanted import Views, wanted_views

    wanted = wanted_views(
        os.environ,
        views=options.views,
        junit=options.junit,
        code_quality=options.code_quality,
        annotations=options.annotations,
        trust=options.trust,
    )

    context = prepare(
        replace(run_options(options), report=options.report, only_open=options.open),
        os.environ,
        Path.cwd(),
        runner=Runner.SUPERVISED,
        now=datetime.now(UTC),
        say=_say,
    )
    views = Views(wanted, context.rootdir)
    concluded = supervisor.run(context, passed, say=_say)
    style = Style.of(sys.stdout.encoding, colour=colour())
    print()
    put(verdict_block(concluded.decision, context, style))
    doubts = context.doubts(concluded.decision.decided_at)
    sealed, kept = concluded.sealed, concluded.kept
    put(evidence_lines(concluded.decision, context, style, sealed=sealed, kept=kept, doubts=doubts))
    views.end(concluded, context)
    return int(concluded.decision.exit_code)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:at]), list(arguments[at + 1 :])


def _say(text: str) -> None:
    from pytest_cutover.report.fit import put

    put([text], sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cutover run", description="Run a plan's gates under a trusted parent, decide and sign."
    )
    add = parser.add_argument
    add("plan", help="plan of the policy, such as preflight")
    add_run_options(parser)
    add(
        "--open",
        action="store_true",
        help="run again only what is red, stale or missing in the newest run, and carry the rest from it",
    )
    add("--report", metavar="PATH", help="put a copy of report.json there")
    add("--junit", metavar="PATH", help="write a JUnit file of the gates there")
    add("--code-quality", metavar="PATH", help="write GitLab's code quality report there")
    add(
        "--annotations",
        metavar="WHEN",
        help="GitHub annotations: auto (in GitHub Actions), github or none; default: CUTOVER_ANNOTATIONS, then auto",
    )
    add(
        "--views",
        metavar="NAMES",
        help="views to keep in the run's folder: summary, html, junit, or none; default: CUTOVER_VIEWS, then all",
    )
    parser.epilog = (
        "arguments after -- go to pytest; exit codes: 0 GO, 10 NO-GO, 11 NO-GO (unproven), 12 HOLD"
    )
    return parser
