"""`cutover keys`: signing keys, from the first to the last day of their lives. Private text is never printed."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import UNUSABLE, Parser
from pytest_cutover.cli._evidence import add_time
from pytest_cutover.errors import AdapterError, ConfigError, CutoverError
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.signer import (
    DEVELOPMENT_KEY,
    MAX_KEY_BYTES,
    NO_KEY,
    VARIABLES,
    generate,
    is_key_set,
    load_private_key,
    load_signer,
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
from pytest_cutover.report.fit import put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.keys.sources import KeySource


def run(argv: Sequence[str]) -> int:
    """Do what is asked; 0 done or fine, 1 red (check), 2 unusable."""
    options = _parser().parse_args(argv)
    if options.action not in ("new", "show"):
        from pytest_cutover.cli import _keys_life

        return _keys_life.run(options)
    if options.action == "new" and (options.trust is not None or options.ring):
        _new_trusted(options)
        return 0
    if options.action == "show" and options.sources:
        return _show_sources(options.json)
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
        description="Make, show and rotate signing keys, and say how long they last.",
        epilog="exit codes: 0 done or fine, 1 check: something is red, 2 unusable input, 64 usage",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    new = actions.add_parser("new", help="make a key: PATH (0600) and its public half beside it as .pub.pem")
    new.add_argument(
        "path", metavar="PATH", type=Path, help="e.g. release.pem, with release.pub.pem beside it"
    )
    new.add_argument("--kind", choices=[k.value for k in KeyKind], default=KeyKind.ED25519.value)
    new.add_argument(
        "--ring", action="store_true", help="make PATH a folder with a key that can be rotated; needs --trust"
    )
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
    show.add_argument(
        "--sources",
        action="store_true",
        help="say where the signing key comes from, and why not from elsewhere",
    )
    show.add_argument("--json", action="store_true", help="with --sources: print one JSON document")
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
    _declare_life(actions)
    return parser


def _declare_life(actions: argparse._SubParsersAction[Parser]) -> None:
    listed = actions.add_parser("list", help="list the trusted keys and where each is in its life")
    check = actions.add_parser("check", help="say which keys end soon, or are not as they should be")
    rotate = actions.add_parser("rotate", help="make a ring's new key active and put the old one into grace")
    retire = actions.add_parser("retire", help="end the grace of a key, or of all whose grace is over")
    revoke = actions.add_parser("revoke", help="let a key count for nothing any more")
    for action in (listed, check, rotate, retire, revoke):
        action.add_argument(
            "--trust", metavar="FILE", help="the trust file (otherwise CUTOVER_TRUST, configs/trust.json)"
        )
    for action in (listed, check):
        action.add_argument("--json", action="store_true", help="print one JSON document")
    check.add_argument("--warn-days", metavar="N", type=_days, default=7, help="red from then on; default: 7")
    check.add_argument(
        "--critical-days", metavar="N", type=_days, default=3, help="critical from then on; default: 3"
    )
    check.add_argument("--ring", metavar="FOLDER", type=Path, help="a key ring to check as well")
    add_time(check, "check as of this UTC time; default: now")
    rotate.add_argument("ring", metavar="FOLDER", type=Path, nargs="?", help="otherwise CUTOVER_KEY")
    rotate.add_argument(
        "--grace-days", metavar="N", type=_days, default=30, help="how long old signatures count; default: 30"
    )
    rotate.add_argument(
        "--prepare",
        action="store_true",
        help="make and list the next key only, to hand the trust file out first",
    )
    rotate.add_argument(
        "--sign",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a policy or waiver that the old key has signed: sign it with the next one as well, before it is active; repeatable",
    )
    rotate.add_argument("--kind", choices=[k.value for k in KeyKind], help="otherwise that of the old key")
    retire.add_argument("key", metavar="KEY", nargs="?", help="its name, or how its id begins")
    revoke.add_argument("key", metavar="KEY", help="its name, or how its id begins")
    revoke.add_argument("--reason", type=_text, required=True, help="for those who ask why nothing verifies")
    for action in (rotate, retire, revoke):
        action.add_argument(
            "--log", metavar="PLACE", default="var/cutover/log", help="the log; default: var/cutover/log"
        )
        action.add_argument("--origin", help="the log's name (otherwise that of the log in the trust file)")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        raise argparse.ArgumentTypeError(f"expected a number of days, got {text!r}")
    return int(text)


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a text, got nothing")
    return text


def _new_trusted(options: argparse.Namespace) -> None:
    """Make a key and add it to a trust file; a file that cannot be used is said before a key is made."""
    trust: Path | None = options.trust
    if trust is None:
        raise ConfigError(
            "expected --trust FILE beside --ring, got none", hint="rotating a key writes the trust file"
        )
    before = read_trust(trust)
    if before is not None:
        parse_trust(before, where=str(trust))
    options.name = options.name or options.path.stem
    entry = _entry(options, _new_ring(options) if options.ring else _new(options))
    _add(entry, trust)
    print(f"added it to {trust}", file=sys.stderr)


def _add(entry: dict[str, Any], trust: Path) -> None:
    from pytest_cutover.keys.ring import alone_in

    path = trust.resolve()  # a link stays one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise AdapterError(f"cannot write {trust}: {exc.strerror or exc}") from exc
    with alone_in(path.parent):
        before = read_trust(path)
        mode = 0o644 if before is None else stat.S_IMODE(path.stat().st_mode)
        write_atomic(path, with_entry(before, entry, where=str(trust)), mode=mode)


def _new_ring(options: argparse.Namespace) -> PublicKey:
    from pytest_cutover.keys.ring import KeyRing

    ring = KeyRing(options.path)
    keyid = ring.begin(KeyKind(options.kind))
    print(f"made the ring {options.path} (private, keep it); key id {keyid}", file=sys.stderr)
    return ring.signer().public


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
    put([f"made {path} (private, keep it) and {public}; key id {signer.keyid}"], sys.stderr)
    return signer.public


def _show(path: Path | None) -> PublicKey:
    if path is not None:
        return _public_of(path)
    if not is_key_set(os.environ):
        return load_private_key(DEVELOPMENT_KEY).public
    signer = load_signer(os.environ, Path(), option=None, say=lambda text: print(text, file=sys.stderr))
    if signer is None:
        variable = next(name for name in VARIABLES if name in os.environ)
        raise ConfigError(
            "signing is switched off here",
            hint=f"{variable} is empty or {NO_KEY!r}: cutover keys show --sources",
        )
    return load_public_key(signer.public_pem().decode("ascii"), where="the signing key")


def _show_sources(as_json: bool) -> int:
    """Where the signing key would come from; 2 when the source that counts cannot be used."""
    from pytest_cutover.keys.sources import Use, key_sources

    found, log = key_sources(os.environ, Path()), _log_source()
    if as_json:
        document = {"sources": [s.to_json() for s in found], "log": log.to_json()}
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        for source in (*found, log):
            mark = {Use.SIGNS: "✓", Use.NOT_USED: " "}.get(source.use, "✗")
            print(f"{mark} {source.name} ({source.where})")
            print(f"    {source.use.value}: {source.detail}")
            if source.hint is not None:
                print(f"    hint: {source.hint}")
    return UNUSABLE if any(s.use is Use.UNUSABLE for s in (*found, log)) else 0


def _log_source() -> KeySource:
    """Where the key comes from that signs the transparency log's checkpoints."""
    from pytest_cutover.keys.sources import KeySource, Use
    from pytest_cutover.keys.trust import LOG_KEY
    from pytest_cutover.model import LOCAL_LOG
    from pytest_cutover.run.logged import LOG_KEY_VARIABLE, find_log_key

    name = "key of the log"
    where = LOG_KEY_VARIABLE if os.environ.get(LOG_KEY_VARIABLE) else str(LOG_KEY)
    try:
        key = find_log_key(os.environ, Path(), LOCAL_LOG)
    except CutoverError as exc:
        return KeySource(name, where, Use.UNUSABLE, str(exc), exc.hint)
    said = "made when a run is logged" if key is None else f"key {key.keyid}"
    return KeySource(name, where, Use.SIGNS, said)


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
