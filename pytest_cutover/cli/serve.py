"""`cutover serve`: the sandbox service, in the foreground."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.errors import ConfigError
from pytest_cutover.service.config import CHECK_NAMES, ServiceConfig, with_broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.tlog.witness import Witness


def run(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT, then exit with 0."""
    options = _parser().parse_args(argv)
    rootdir = Path(options.root).resolve()
    state = Path(options.state).resolve() if options.state else rootdir / "var" / "cutover" / "service"
    policy = Path(options.policy).resolve() if options.policy else rootdir / "configs" / "policy.json"
    config = ServiceConfig(
        state=state,
        rootdir=rootdir,
        policy=policy if options.policy or policy.is_file() else None,
        environ=dict(os.environ),
        witness=_witness(options, rootdir, state),
    )
    config = with_broken(config, options.broken)
    for name in config.broken:
        print(f"rehearsal: the check {name} is broken on purpose", file=sys.stderr)
    if not _is_loopback(options.host):
        print(f"warning: {options.host} is not loopback, and this service knows no users", file=sys.stderr)

    from pytest_cutover.service.server import serve

    return serve(config, host=options.host, port=options.port, follow_stdin=options.follow_stdin)


def _witness(options: argparse.Namespace, rootdir: Path, state: Path) -> Witness | None:
    if options.witness is None and options.witness_key is None:
        return None
    if options.witness is None or options.witness_key is None:
        raise ConfigError("expected --witness NAME and --witness-key FILE together, got one of them")
    from datetime import UTC, datetime

    from pytest_cutover.keys.signer import load_private_key
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.objects.folder import FolderObjects
    from pytest_cutover.tlog.cosignature import CosignatureSigner
    from pytest_cutover.tlog.known import log_keys
    from pytest_cutover.tlog.witness import Witness

    now = datetime.now(UTC)
    anchor = find_anchor(options.trust, os.environ, rootdir)
    logs = () if anchor is None else log_keys(anchor, now)
    if not logs:
        raise ConfigError(
            "expected logs to cosign, got none that is trusted",
            hint='give a trust file with keys in role "log"',
        )
    signer = CosignatureSigner(options.witness, load_private_key(Path(options.witness_key)))
    witness = Witness(FolderObjects(state / "witness"), signer, logs, lambda: datetime.now(UTC))
    names = ", ".join(sorted({key.name for key in logs}))
    print(f"witness of {names}; its key: {witness.vkey}", file=sys.stderr)
    return witness


def _parser() -> Parser:
    parser = Parser(
        prog="cutover serve",
        description="Run the sandbox service. Prints one JSON line with its url when it accepts connections.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=0, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project (default: this folder)")
    parser.add_argument(
        "--state", metavar="DIR", help="orders and request log (default: ROOT/var/cutover/service)"
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="policy to check (default: ROOT/configs/policy.json)"
    )
    parser.add_argument(
        "--break",
        dest="broken",
        action="append",
        default=[],
        choices=CHECK_NAMES,
        metavar="CHECK",
        help=f"rehearsal: make a check really fail, to see its gate turn red ({', '.join(CHECK_NAMES)})",
    )
    parser.add_argument(
        "--witness",
        metavar="NAME",
        help="also cosign checkpoints, under this name, of the logs that the trust file names (C2SP tlog-witness)",
    )
    parser.add_argument("--witness-key", metavar="FILE", help="the witness's own Ed25519 key")
    parser.add_argument(
        "--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json"
    )
    parser.add_argument("--follow-stdin", action="store_true", help="end when standard input ends")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
