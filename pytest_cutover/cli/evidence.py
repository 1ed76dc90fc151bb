"""`cutover evidence`: what can be done with a store of evidence; each action is a module of its own.

A module `_evidence_<action>` has `declare(parser)`, which says what the action is and takes, and `run(options)`, which
returns the exit code. Only the one that was asked for is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import Parser

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ACTIONS = {
    "verify": "prove that everything is there, unchanged and signed",
    "put": "put finished runs into a store",
    "index": "write the signed index of every file anew",
    "lock": "keep runs as they are until a time, or hold them",
    "gc": "take runs out that nobody needs any more",
    "list": "list the runs in a store",
    "show": "show the evidence document of a run",
    "upload": "put every run into another store, retained",
    "restore": "put everything of a store into a folder again",
    "drill": "restore into an empty folder, prove it, and measure",
    "drilled": "say what the newest drill came to",
    "check-store": "show whether a store enforces retention (WORM)",
}
"""Action to its line in `cutover evidence --help`."""


def run(argv: Sequence[str]) -> int:
    """Do what is asked; 0 yes, 1 no, 2 unusable."""
    asked = [argv[0]] if argv and argv[0] in ACTIONS else []
    options = _parser(asked).parse_args(argv)
    return int(_module(options.action).run(options))


def _parser(actions: Collection[str] = tuple(ACTIONS)) -> Parser:
    """The parser; `actions` are those whose arguments are declared."""
    parser = Parser(
        prog="cutover evidence",
        description="Keep evidence in a store, and prove that it is all there and unchanged. A store is a folder, or s3://bucket/prefix.",
        epilog="exit codes: 0 yes, 1 no, 2 unusable input, 64 usage",
    )
    found = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    for name, line in ACTIONS.items():
        action = found.add_parser(name, help=line)
        if name in actions:
            _module(name).declare(action)
    return parser


def _module(action: str) -> Any:
    return importlib.import_module(f"pytest_cutover.cli._evidence_{action.replace('-', '_')}")
