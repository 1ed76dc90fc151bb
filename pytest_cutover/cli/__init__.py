"""`cutover …`: one module per verb; each parses, calls and prints, and nothing else.

Exit codes of every verb but `run` and `merge`: 0 yes, 1 no, 2 unusable input, 64 usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_cutover.errors import CutoverError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "init": "put a first gate, its policy and a CI job into a repository",
    "check": "say what would be unproven if a run began now; runs nothing",
    "prove-red": "show each required gate red once, and name those that cannot be",
    "run": "run a plan's gates under a trusted parent, decide and sign",
    "verify": "prove that evidence is whole, unchanged and signed",
    "admit": "say whether a digest may go into an environment now",
    "merge": "decide about a fleet from the runs of its shards, and sign",
    "explain": "say what would have to differ for a GO",
    "decide": "judge recorded evidence under another policy",
    "backtest": "say which past verdicts a policy would have changed",
    "diff": "compare two runs",
    "show": "show a past run again, or write its page",
    "history": "list past runs",
    "prune": "take away old runs that nobody needs any more",
    "evidence": "keep evidence in a store, and prove that nothing is missing",
    "log": "append to a transparency log, prove what is in it, audit it",
    "policy": "check, sign, verify or show a policy",
    "keys": "make, show, rotate and revoke signing keys; say when they end",
    "waivers": "make, sign or show waivers of gates",
    "obligations": "list what releases with guards still owe",
    "debug": "verify one signature, proof or note; canonical JSON",
    "readyz": "ask a readiness endpoint",
    "serve": "run the sandbox service",
}
"""Verb to its line in `cutover --help`; `pytest_cutover.cli.<verb>` is imported only when it is called."""

USAGE = 64
UNUSABLE = 2
INTERRUPTED = 130
_COLUMNS = 80


class _Help(argparse.HelpFormatter):
    """argparse's; one is made for every option, and would load `shutil` to ask how wide the terminal is."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"width": _columns() - 2, **options})


def _columns() -> int:
    """As `shutil.get_terminal_size` counts them."""
    with suppress(ValueError):
        if (asked := int(os.environ.get("COLUMNS", 0))) > 0:
            return asked
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]
    return _COLUMNS


class Parser(argparse.ArgumentParser):
    """argparse with this project's exit code for usage errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; errors are printed, never shown as tracebacks."""
    from pytest_cutover.cli._output import Output

    output = Output()
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as exc:  # argparse's: help, or a usage error
        raise SystemExit(output.end(int(exc.code or 0), unwritten=UNUSABLE)) from None
    else:
        return output.end(code, unwritten=UNUSABLE)
    finally:
        output.restore()


def _main(arguments: list[str]) -> int:
    try:
        return _run(arguments)
    except CutoverError as exc:
        from pytest_cutover.report.fit import put

        put(f"error: {exc}".splitlines(), sys.stderr)
        if exc.hint:
            put(f"hint: {exc.hint}".splitlines(), sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        return UNUSABLE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in VERBS:
        verb = importlib.import_module(f"pytest_cutover.cli.{arguments[0].replace('-', '_')}")
        return int(verb.run(arguments[1:]))
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}} {line}" for verb, line in VERBS.items())
    parser = Parser(
        prog="cutover",
        usage="cutover [-h] [--version] VERB …",
        description=f"Go/no-go gates for production cutovers.\n\nverbs (cutover VERB --help says more):\n{verbs}",
        epilog="exit codes: 0 yes, 1 no, 2 unusable input, 64 usage; `run` exits as pytest -m PHASE does",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    from pytest_cutover import __version__

    parser.add_argument("--version", action="version", version=f"pytest-cutover {__version__}")
    parser.add_argument("verb", choices=VERBS, help=argparse.SUPPRESS)
    parser.parse_args(arguments[:1] or ["--help"])
    return USAGE
