"""`cutover keys`: make a signing key, or show the public half of one. Private text is never printed."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import Parser
from pytest_cutover.errors import ConfigError
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.signer import (
    DEVELOPMENT_KEY,
    KEY_VARIABLE,
    MAX_KEY_BYTES,
    NO_KEY,
    PEM_VARIABLE,
    generate,
    load_private_key,
    load_private_pem,
    public_path,
    write_new_private,
)
from pytest_cutover.keys.trust import (
    EVERYWHERE,
    ROLES,
    parse_trust,
    read_trust,
    trust_entry,
    with_entry,
)
from pytest_cutover.keys.verifier import KeyKind, PublicKey, load_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Make or show a key; 0 done, 2 unusable."""
    options = _parser().parse_args(argv)
    if options.action == "new" and options.trust is not None:
        _new_trusted(options, options.trust)
        return 0
    public = _new(options) if options.action == "new" else _show(options.path)
    print(json.dumps(_entry(options, public), indent=1))
    return 0


def _entry(options: argparse.Namespace, public: PublicKey) -> dict[str, Any]:
    return trust_entry(
        public,
        name=options.name or "a name people know this key by",
        roles=tuple(dict.fromkeys(options.role)) or ("decision",),
        environments=tuple(dict.fromkeys(options.environment)) or (EVERYWHERE,),
        person=options.person,
        origin=options.origin,
    )


def _parser() -> Parser:
    parser = Parser(
        prog="cutover keys",
        description="Make a signing key, or show the public half of one. Without --trust, standard output is an entry for the "
        '"keys" of a trust file.',
        epilog="exit codes: 0 done, 2 unusable input, 64 usage",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="new|show", parser_class=Parser)
    new = actions.add_parser("new", help="make a key: PATH (0600) and its public half beside it as .pub.pem")
    new.add_argument(
        "path", metavar="PATH", type=Path, help="e.g. release.pem, with release.pub.pem beside it"
    )
    new.add_argument("--kind", choices=[k.value for k in KeyKind], default=KeyKind.ED25519.value)
    new.add_argument(
        "--trust",
        metavar="FILE",
        type=Path,
        help="put the entry into this trust file, made when absent, in place of printing it",
    )
    show = actions.add_parser(
        "show", help="show a private or public key file, or the key that would sign here"
    )
    show.add_argument("path", metavar="PATH", type=Path, nargs="?")
    new.add_argument("--name", type=_text, help="the entry's name; with --trust PATH's when left out")
    show.add_argument("--name", type=_text, help="the entry's name")
    for action in (new, show):
        action.add_argument("--person", type=_text, help="who holds the key, such as ada@example.org")
        action.add_argument("--origin", help="its name in signed notes, for role log or witness")
        action.add_argument(
            "--role", action="append", choices=ROLES, default=[], help="repeatable; decision when left out"
        )
        action.add_argument(
            "--environment", action="append", type=_text, default=[], help="repeatable; * when left out"
        )
    return parser


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a text, got nothing")
    return text


def _new_trusted(options: argparse.Namespace, trust: Path) -> None:
    """Make a key and add it to a trust file; a file that cannot be used is said before a key is made."""
    before = read_trust(trust)
    if before is not None:
        parse_trust(before, where=str(trust))
    options.name = options.name or options.path.stem
    entry = _entry(options, _new(options))
    mode = 0o644 if before is None else stat.S_IMODE(trust.stat().st_mode)
    # A link stays one.
    write_atomic(trust.resolve(), with_entry(before, entry, where=str(trust)), mode=mode)
    print(f"added it to {trust}", file=sys.stderr)


def _new(options: argparse.Namespace) -> PublicKey:
    path: Path = options.path
    public = public_path(path)
    if os.path.lexists(public):
        raise ConfigError(
            f"{public} is already there", hint="choose another name; keys are never overwritten"
        )
    pem = generate(KeyKind(options.kind))
    if not write_new_private(path, pem):
        raise ConfigError(f"{path} is already there", hint="choose another name; keys are never overwritten")
    signer = load_private_key(path)
    write_atomic(public, signer.public_pem())
    print(f"made {path} (private, keep it) and {public}; key id {signer.keyid}", file=sys.stderr)
    return signer.public


def _show(path: Path | None) -> PublicKey:
    if path is not None:
        return _public_of(path)
    chosen = os.environ.get(KEY_VARIABLE, "").strip()
    text = os.environ.get(PEM_VARIABLE, "").strip()
    if NO_KEY in (chosen, text):
        raise ConfigError(
            "signing is switched off here", hint=f"{KEY_VARIABLE} or {PEM_VARIABLE} is {NO_KEY!r}"
        )
    if chosen:
        return load_private_key(Path(chosen), where=KEY_VARIABLE).public
    if text:
        return load_private_pem(text.encode("utf-8", "surrogateescape"), where=PEM_VARIABLE).public
    return load_private_key(DEVELOPMENT_KEY).public


def _public_of(path: Path) -> PublicKey:
    """The public half, of whichever half is in the file."""
    try:
        with path.open("rb") as file:
            head = file.read(MAX_KEY_BYTES)
    except (OSError, ValueError):
        return load_private_key(path).public  # says what is wrong with it
    if b"PUBLIC KEY-----" in head:
        return load_public_key(head.decode("utf-8", "replace"), where=str(path))
    return load_private_key(path).public
