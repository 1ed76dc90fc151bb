"""`cutover check`: what would be unproven if a run began now. Nothing is run, sent or written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.cli._page import WIDTH, colour, wrapped
from pytest_cutover.cli._run_options import add_run_options, run_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.outlook.checked import Checked
    from pytest_cutover.outlook.matter import Matter
    from pytest_cutover.report.terminal import Style

READY, NOT_READY = 0, 1
SHOWN = 12
"""Matters printed; --json has all."""

_CANNOT_SEE = (
    "check cannot see: whether targets answer, what values come out, what hooks and fixtures do while gates"
    " run, and whether a measurement behind an `if` is made. Gate files were imported; no gate was run, nothing"
    " was sent or written."
)


def run(arguments: Sequence[str]) -> int:
    """0 everything is there, 1 something would be unproven, 2 unusable."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:at])
    from pytest_cutover.outlook.checked import check
    from pytest_cutover.report.terminal import Style

    found = check(
        run_options(options),
        os.environ,
        Path.cwd(),
        arguments[at + 1 :],
    )
    code = READY if found.ready else NOT_READY
    if options.json:
        print(json.dumps({**found.to_json(), "exit_code": code}, indent=1))
    else:
        style = Style.of(sys.stdout.encoding, colour=colour())
        for line in _lines(found, style):
            print(line)
    return code


def _lines(found: Checked, style: Style) -> Iterator[str]:
    policy = found.policy
    held = sum(m.weight.value != "note" for m in found.matters)
    head = "READY to be run" if found.ready else f"NOT READY: {held} {'thing' if held == 1 else 'things'}"
    said = "" if found.ready else " would keep a run begun now from a GO"
    yield style.paint(f"{head}{said}", "bold", "green" if found.ready else "red")
    yield style.plain(f"{policy.plan} → {policy.environment}")
    for matter in found.matters[:SHOWN]:
        yield ""
        yield from _matter(matter, style)
    if len(found.matters) > SHOWN:
        yield f"\nand {len(found.matters) - SHOWN} more: --json shows all"
    if found.unknown:
        yield "\ncannot be known without running:"
        for gate, where, why in found.unknown:
            yield from wrapped(style.plain(f"{gate}: {why} ({where})"), "  ", "    ")
    yield ""
    for label, text in found.facts:
        yield from wrapped(style.plain(text), f"{label:<9}", " " * 9)
    yield ""
    for line in wrapped(_CANNOT_SEE, "", ""):
        yield style.paint(line, "dim")


def _matter(matter: Matter, style: Style) -> Iterator[str]:
    sign, paint = {
        "red": ("✗", "red"),
        "unproven": ("!", "unproven"),
        "hold": ("…", "hold"),
        "note": ("–", "left"),
    }[matter.weight.value]
    gate = "" if matter.gate is None or matter.gate in matter.message else f"{matter.gate}: "
    code = "" if matter.code is None else f"  [{matter.code}]"
    first, *rest = wrapped(style.plain(f"{gate}{matter.message}{code}"), "", "  ", WIDTH - 2)
    yield f"{style.paint(sign, paint)} {first}"
    yield from rest
    if matter.where is not None:
        yield from wrapped(style.plain(matter.where), "  at   ", " " * 7)
    if matter.hint is not None:
        yield from wrapped(style.plain(matter.hint), "  hint ", " " * 7)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover check",
        description="Say what would be unproven if a run of a plan began now: gates, limits, units, policy, keys,"
        " trust, subjects, waivers, guards, time. Gate files are imported, no gate is run, the network is refused.",
        epilog="arguments after -- go to pytest; exit codes: 0 everything is there, 1 something would be unproven,"
        " 2 unusable input, 64 usage",
    )
    add = parser.add_argument
    add("plan", nargs="?", help="plan of the policy, such as preflight; may be left out when there is one")
    add_run_options(parser)
    add("--json", action="store_true", help="print everything as JSON")
    return parser
