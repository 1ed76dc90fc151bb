"""`cutover prove-red`: shows each required gate red once, and names those that cannot turn red."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.cli._page import WIDTH, colour, wrapped
from pytest_cutover.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.proof.proven import Proof
    from pytest_cutover.report.terminal import Style
    from pytest_cutover.run.context import RunContext

ALL_RED, NOT_ALL = 0, 1
_SIGNS = {"never": ("✗", "red"), "absent": ("✗", "red"), "unproven": ("!", "unproven"), "stops": ("!", "unproven"), "red": ("✓", "green")}  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """0 each gate was seen red, 1 some were not, 2 unusable."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:at])
    from pytest_cutover.proof.attempts import Attempts
    from pytest_cutover.proof.proven import State, prove
    from pytest_cutover.report.terminal import Style

    context = _context(options)
    gates = _gates(options.gate, context)
    attempts = Attempts(context, gates, arguments[at + 1 :], _say)
    try:
        again = options.again or context.policy.sandbox
        progress = _say if sys.stderr.isatty() else _nothing
        proofs = prove(attempts, gates, progress, again=again, root=context.rootdir)
    finally:
        attempts.close()
    code = ALL_RED if proofs and all(p.state is State.RED for p in proofs) else NOT_ALL
    folder = os.path.relpath(attempts.folder)
    if options.json:
        found = {"plan": context.policy.plan, "environment": context.policy.environment, "folder": folder}
        print(json.dumps({**found, "gates": [p.to_json() for p in proofs], "exit_code": code}, indent=1))
    else:
        style = Style.of(sys.stdout.encoding, colour=colour())
        for line in _lines(proofs, context, folder, style):
            print(line)
    return code


def _context(options: argparse.Namespace) -> RunContext:
    from pytest_cutover.model import Runner
    from pytest_cutover.outlook.checked import plan_of
    from pytest_cutover.run.context import RunOptions, prepare

    root = Path.cwd()
    policy = root / (options.policy or os.environ.get("CUTOVER_POLICY") or "configs/policy.json")
    return prepare(
        RunOptions(
            plan=plan_of(policy, options.plan),
            environment=options.env,
            subjects=options.subject or (),
            policy=options.policy,
            key=options.key,
            trust=options.trust,
        ),
        os.environ,
        root,
        runner=Runner.SUPERVISED,
        now=datetime.now(UTC),
        say=_say,
    )


def _gates(named: Sequence[str] | None, context: RunContext) -> list[str]:
    """The ids of the gates to show: those that were named, else those that the plan requires.

    Raises:
        ConfigError: the plan requires none of them.
    """
    required = [r.gate for r in context.policy.requires]
    unknown = [gate for gate in named or () if gate not in required]
    if unknown or not required:
        got = f"got {unknown[0]!r}" if unknown else "it requires none"
        raise ConfigError(
            f"expected a gate that plan {context.policy.plan} requires, {got}",
            hint=f"it requires {', '.join(required)}" if required else None,
        )
    return list(dict.fromkeys(named or required))


def _lines(proofs: Sequence[Proof], context: RunContext, folder: str, style: Style) -> Iterator[str]:
    red = sum(p.state.value == "red" for p in proofs)
    all_red = red == len(proofs)
    word = "gate was" if len(proofs) == 1 else "gates were"
    head = f"{red} of {len(proofs)} required {word} seen red"
    yield style.paint(head, "bold", "green" if all_red else "red")
    yield style.plain(f"{context.policy.plan} → {context.policy.environment} · {folder}")
    for proof in proofs:
        yield ""
        sign, paint = _SIGNS[proof.state.value]
        first, *rest = wrapped(style.plain(f"{proof.key}  {proof.why}"), "", "  ", WIDTH - 2)
        yield f"{style.paint(sign, paint)} {first}"
        yield from rest
        if proof.state.value != "red":
            yield from wrapped(style.plain(proof.where or ""), "  at   ", " " * 7)
            yield from wrapped(style.plain(proof.hint or ""), "  hint ", " " * 7)
    yield ""
    said = (
        "Readings were taken once and then distorted; each attempt ran the gates again. This is no evidence: nothing"
        " was decided, signed or admitted."
    )
    for line in wrapped(said, "", ""):
        yield style.paint(line, "dim")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _nothing(text: str) -> None:
    """Progress is for people who wait."""


def _parser() -> Parser:
    parser = Parser(
        prog="cutover prove-red",
        description="Show each required gate red once: run the gates with true readings, then with adverse ones"
        " (refused, late, other figures, words, lines) made from those, until the engine judges each red; and name"
        " the gates that cannot turn red. It is no evidence.",
        epilog="arguments after -- go to pytest; exit codes: 0 each was seen red, 1 some were not, 2 unusable input,"
        " 64 usage",
    )
    add = parser.add_argument
    add("plan", nargs="?", help="plan of the policy, such as preflight; may be left out when there is one")
    add("--gate", metavar="ID", action="append", help="only this gate; may be repeated; default: all the plan requires")  # fmt: skip
    add(
        "--env",
        "--environment",
        dest="env",
        metavar="NAME",
        help="environment whose gates run; default: CUTOVER_ENV, then the policy's",
    )
    add("--again", action="store_true", help="take readings anew for gates that remembered ones do not show red; always in the sandbox")  # fmt: skip
    add("--subject", metavar="NAME@sha256:HEX", action="append", help="what is released; may be repeated")
    add("--policy", metavar="FILE", help="the policy; default: CUTOVER_POLICY, then configs/policy.json")
    add("--key", metavar="FILE", help="key for the sandbox service's own check; nothing is signed")
    add("--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json")
    add("--json", action="store_true", help="print everything as JSON")
    return parser
