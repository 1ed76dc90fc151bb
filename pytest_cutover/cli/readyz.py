"""`cutover readyz`: ask a readiness endpoint; 0 ready, 1 degraded, 2 anything else."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from pytest_cutover.cli import UNUSABLE, USAGE, Parser
from pytest_cutover.errors import ConfigError, SourceError
from pytest_cutover.report.fit import put
from pytest_cutover.sources.http import HttpSource
from pytest_cutover.sources.readyz import ReadyzReading, ReadyzSource
from pytest_cutover.sources.urls import origin, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

FAIL_CLOSED = "CUTOVER_READYZ_FAIL_CLOSED"
EXIT = {"ready": 0, "degraded": 1, "error": UNUSABLE, "unknown": UNUSABLE}


def run(argv: Sequence[str]) -> int:
    """Ask, print, and return the exit code."""
    options = _parser().parse_args(argv)
    switch = os.environ.get(FAIL_CLOSED, "1")
    if switch not in ("0", "1"):
        return _usage(f"{FAIL_CLOSED}: expected 0 or 1, got {switch[:20]!r}")
    try:
        source = HttpSource(
            {"app": _base(options.url)}, options.timeout, ca_file=options.ca_file, use_proxy=options.use_proxy
        )
    except ConfigError as exc:
        return _usage(f"--url {shown(options.url)}: {exc}" if options.ca_file is None else str(exc))
    with source:
        try:
            reading = ReadyzSource(source)(options.url)
        except SourceError as exc:
            return _unreachable(exc, options, softened=switch == "0")
    _print(reading, as_json=options.json)
    if reading.status == "unknown" and switch == "0":
        return _soften(f"the answer is not understood ({reading.detail})")
    return EXIT[reading.status]


def _parser() -> Parser:
    parser = Parser(
        prog="cutover readyz",
        description="Ask a readiness endpoint. Exit codes: 0 ready, 1 degraded, 2 error, unreachable or unknown, 64 usage.",
        epilog=f"{FAIL_CLOSED}=0 turns unreachable and unknown (never error) into exit 0 here; gates ignore it",
    )
    parser.add_argument("--url", required=True, help="the endpoint, e.g. https://shop.example/readyz")
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="S", help="for the whole answer (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="print the reading as JSON")
    parser.add_argument("--use-proxy", action="store_true", help="honour http_proxy, https_proxy, no_proxy")
    parser.add_argument(
        "--ca-file", metavar="FILE", help="certificate authorities, PEM (default: SSL_CERT_FILE)"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, at most 3600, got {text!r}")
    return value


def _base(url: str) -> str:
    try:
        scheme, host, port = origin(url)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _usage(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return USAGE


def _unreachable(exc: SourceError, options: argparse.Namespace, *, softened: bool) -> int:
    if options.json:
        print(json.dumps({"status": "unreachable", "url": shown(options.url), "detail": str(exc)}))
    put([f"error: {exc}", *([f"hint: {exc.hint}"] if exc.hint else [])], sys.stderr)
    return _soften("the endpoint could not be read") if softened else UNUSABLE


def _soften(why: str) -> int:
    print(f"WARNING: {why}, and {FAIL_CLOSED}=0 lets it pass; this proves nothing", file=sys.stderr)
    return 0


def _print(reading: ReadyzReading, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_document(reading)))
        return
    print(f"{reading.status} (HTTP {reading.http_status}, {reading.latency_s * 1000:.0f} ms) {reading.url}")
    if reading.detail:
        print(f"  {_line(reading.detail)}")
    for check in reading.checks:
        if check.status != "ready":
            print(
                f"  {check.status}: {_line(check.name)}{': ' + _line(check.detail) if check.detail else ''}"
            )


def _document(reading: ReadyzReading) -> dict[str, object]:
    return {
        "status": reading.status,
        "url": reading.url,
        "http_status": reading.http_status,
        "latency_s": round(reading.latency_s, 6),
        "observed_at": reading.observed_at.isoformat().replace("+00:00", "Z"),
        "failing": list(reading.failing),
        "checks": [{"name": c.name, "status": c.status, "detail": c.detail} for c in reading.checks],
        "detail": reading.detail,
    }


def _line(text: str) -> str:
    """One printable line of text that somebody else wrote."""
    return "".join(c if c.isprintable() else "?" for c in text)
