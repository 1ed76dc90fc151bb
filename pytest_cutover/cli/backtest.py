"""`cutover backtest`: which past verdicts another policy would have changed, and why. It signs nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence, _other_policy, _recorded
from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.rejudge.backtest import Retried, retry, turns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.model import EffectivePolicy, Finding

SAME, CHANGED = 0, 1
SHOWN, SHOWN_FINDINGS = 40, 4


@dataclass(frozen=True, slots=True)
class _LeftOut:
    name: str
    why: str


def run(argv: Sequence[str]) -> int:
    """Judge every run below a folder again; 0 no verdict changes, 1 some do, 2 unusable."""
    options = _parser().parse_args(argv)
    tried, left_out = _try_all(options)
    if not tried:
        why = f": {left_out[0].name}: {left_out[0].why}" if left_out else ""
        raise ConfigError(
            f"no run below {options.runs} can be judged by {options.policy}{why}",
            hint="give the folder that holds run folders, such as var/cutover/runs",
        )
    if options.json:
        print(json.dumps(_json(tried, left_out), indent=1))
    else:
        _evidence.show(_lines(tried, left_out, options))
    return CHANGED if any(r.is_changed for r in tried) else SAME


def _parser() -> Parser:
    parser = Parser(
        prog="cutover backtest",
        description="Judge every recorded run below a folder under another policy, each as of the time it was decided: "
        "which verdicts would have been others, and why. It signs nothing.",
        epilog="exit codes: 0 no verdict would change, 1 some would, 2 unusable input, 64 usage",
    )
    parser.add_argument("runs", metavar="RUNS", help="the folder of run folders, such as var/cutover/runs")
    _other_policy.add_policy(parser)
    _recorded.add_belief(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def _try_all(options: argparse.Namespace) -> tuple[list[Retried], list[_LeftOut]]:
    policies: dict[tuple[str, str], EffectivePolicy] = {}
    tried, left_out = [], []
    for folder in _folders(Path(options.runs)):
        try:
            recorded = _recorded.load(str(folder), options)
            wanted = recorded.case.record.plan, recorded.case.record.environment
            if wanted not in policies:
                policies[wanted] = _other_policy.load(options, *wanted)
        except ConfigError as exc:
            left_out.append(_LeftOut(folder.name, _first_of(exc).replace(f"{folder}/", "")))
            continue
        tried.append(retry(folder.name, recorded.case, policies[wanted]))
    return tried, left_out


def _first_of(exc: ConfigError) -> str:
    """The first line of an error, with the one below it where it only announces that."""
    lines = str(exc).splitlines()
    return " ".join(" ".join(lines[: 2 if lines[0].endswith(":") else 1]).split())


def _folders(runs: Path) -> list[Path]:
    """Folders with evidence, oldest first by name; a run that never decided has no verdict to change."""
    try:
        names = sorted(entry.name for entry in os.scandir(runs) if entry.is_dir())
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable folder name"
        raise ConfigError(f"cannot search {runs} for evidence: {reason}") from None
    return [runs / n for n in names if any(os.path.lexists(runs / n / f) for f in (BUNDLE_FILE, REPORT_FILE))]


def _json(tried: Sequence[Retried], left_out: Sequence[_LeftOut]) -> dict[str, object]:
    return {
        "judged": len(tried),
        "changed": sum(r.is_changed for r in tried),
        "turns": turns(tried),
        "runs": [r.to_json() for r in tried],
        "left_out": [{"run": o.name, "why": o.why} for o in left_out],
        "signed": False,
    }


def _lines(
    tried: Sequence[Retried], left_out: Sequence[_LeftOut], options: argparse.Namespace
) -> Iterator[str]:
    changed = [r for r in tried if r.is_changed]
    how = " as if it were signed (--draft)" if options.draft else ""
    yield f"{len(changed)} of {len(tried)} verdicts would change under {options.policy}{how}"
    for turn, count in turns(tried).items():
        yield f"  {count:>4}  {turn}"
    for one in changed[:SHOWN]:
        yield f"{one.name}  {one.turn}"
        yield from _why("no longer", one.findings.gone)
        yield from _why("new", one.findings.new)
    if len(changed) > SHOWN:
        yield f"and {len(changed) - SHOWN} more: --json shows all"
    for out in left_out[:SHOWN]:
        yield f"left out  {out.name}: {out.why}"
    if len(left_out) > SHOWN:
        yield f"left out  {len(left_out) - SHOWN} more: --json shows all"
    yield "each run was judged as of the time it was decided; nothing was signed"


def _why(word: str, findings: Sequence[Finding]) -> Iterator[str]:
    yield from (f"    {word:<9} {_recorded.finding_line(f)}" for f in findings[:SHOWN_FINDINGS])
    if len(findings) > SHOWN_FINDINGS:
        yield f"    {word:<9} and {len(findings) - SHOWN_FINDINGS} more"
