"""`cutover waivers`: make, sign and show waivers, by which a person accepts a gate that is not green."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.cli import Parser
from pytest_cutover.cli._evidence import add_time, anchor, read, show
from pytest_cutover.cli._logged import add_log, log_file
from pytest_cutover.errors import ConfigError
from pytest_cutover.evidence.envelope import (
    STATEMENT_TYPE,
    add_signature,
    format_envelope,
    read_foreign_envelope,
    sign_envelope,
)
from pytest_cutover.evidence.waivers import RISKS, given_waiver, read_guard, read_waiver, waiver_statement
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.signer import chosen_variable, load_signer
from pytest_cutover.keys.trust import find_anchor
from pytest_cutover.model import Limit, Operator, Subject, counted, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.run.context import parse_subject
from pytest_cutover.tlog.entry import EntryKind
from pytest_cutover.waiver import WAIVABLE, Guard, Waiver

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.keys.signer import Signer

_HOURS = 24


def run(argv: Sequence[str]) -> int:
    """Make, sign or show a waiver; 0 done or trusted, 1 not trusted, 2 unusable."""
    options = _parser().parse_args(argv)
    actions = {"new": _new, "sign": _sign, "show": _show}
    return actions[options.action](options)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover waivers",
        description="Make, sign and show waivers: a person who did not write the change accepts a gate that is "
        "not green, for this change set and environment, until a time, under guards.",
        epilog="exit codes: 0 done (show: a trusted person has signed), 1 not so, 2 unusable input, 64 usage",
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="new|sign|show", parser_class=Parser
    )
    new = actions.add_parser("new", help="write a waiver and sign it").add_argument
    new("gate", metavar="GATE", help="the gate's id, or id[param]")
    new("--run", metavar="FOLDER", type=Path, help="take environment and subjects from this run's report")
    new("--environment", metavar="NAME")
    new("--subject", metavar="NAME@sha256:HEX", action="append", default=[], help="repeatable")
    new(
        "--accept",
        metavar="CODE",
        action="append",
        default=[],
        help=f"repeatable; {Reason.LIMIT_BROKEN.code} when left out; may be "
        + ", ".join(sorted(r.code for r in WAIVABLE)),
    )
    new(
        "--within",
        metavar="MEASUREMENT=OPERATOR:BOUND[:UNIT]",
        action="append",
        default=[],
        help="how bad it may be, e.g. burst=at_most:2:x; repeatable",
    )
    new("--reason", required=True)
    new("--risk", required=True, choices=RISKS)
    new("--ticket", required=True)
    new("--expires", metavar="TIME", help=f"UTC, e.g. 2026-11-22T06:00:00Z; in {_HOURS} hours when left out")
    new("--flag", metavar="NAME=VALUE", action="append", default=[], help="guard: a flag; repeatable")
    new("--observe", metavar="SECONDS", type=int, help="guard: an observation window")
    new(
        "--canary",
        metavar="5,25,100:SECONDS",
        help="guard: stages in percent of traffic, and how long each holds",
    )
    new("--obligation", metavar="GATE:SECONDS", help="a gate that has to be green so long after the decision")
    new("--guards", metavar="FILE", type=Path, help="guards as a JSON list, in place of the options above")
    new("--out", metavar="FILE", type=Path, help="default: configs/waivers/TICKET-GATE.dsse")
    sign = actions.add_parser("sign", help="add one's signature to a waiver")
    sign.add_argument("file", metavar="FILE", type=Path)
    for action in (new, sign.add_argument):
        action("--key", metavar="FILE", help="signing key; default: CUTOVER_KEY")
    add_log(actions.choices["new"])
    add_log(sign)
    shown = actions.add_parser("show", help="what a waiver says, and who signed it")
    shown.add_argument("file", metavar="FILE", type=Path)
    shown.add_argument(
        "--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json"
    )
    add_time(shown, "judge the signatures as of this UTC time; default: now")
    return parser


# -- new ---------------------------------------------------------------------------------------


def _new(options: argparse.Namespace) -> int:
    signer = _signer(options.key)
    now = datetime.now(UTC).replace(microsecond=0)
    about = _about(options)
    waiver = Waiver(
        gate=options.gate,
        environment=about.environment,
        subjects=about.subjects,
        accepts=frozenset(_reason(code) for code in options.accept or [Reason.LIMIT_BROKEN.code]),
        reason=options.reason,
        risk=options.risk,
        ticket=options.ticket,
        issued_at=now,
        expires_at=now + timedelta(hours=_HOURS) if options.expires is None else _time(options.expires),
        guards=tuple(_guards(options)),
        within=dict(_within(text) for text in options.within),
    )
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{waiver.ticket}-{waiver.gate}")
    path: Path = options.out or Path("configs/waivers") / f"{name}.dsse"
    if os.path.lexists(path):
        raise ConfigError(f"{path} is already there", hint="sign it, remove it, or give --out FILE")
    write_atomic(path, sign_envelope(waiver_statement(waiver), STATEMENT_TYPE, signer))
    print(f"{path}: {waiver.gate} waived in {waiver.environment} until {rfc3339(waiver.expires_at)}")
    _log(options.log, path, waiver)
    return 0


@dataclass(frozen=True, slots=True)
class _About:
    environment: str
    subjects: tuple[Subject, ...]


def _about(options: argparse.Namespace) -> _About:
    """Environment and change set: as given, else those of a run."""
    subjects = tuple(map(parse_subject, options.subject))
    environment = options.environment
    if options.run is not None:
        told = _report(options.run)
        environment = environment or told["environment"]
        subjects = subjects or tuple(Subject(s["name"], s["digest"]) for s in told["subjects"])
    if not environment or not subjects:
        missing = "an environment" if not environment else "the change set"
        raise ConfigError(
            f"expected {missing}, got none", hint="give --run FOLDER, or --environment NAME and --subject …"
        )
    return _About(environment, subjects)


def _report(folder: Path) -> dict[str, Any]:
    path = folder / "report.json" if folder.is_dir() else folder
    try:
        run: dict[str, Any] = strictjson.loads(read(path))["run"]
        subjects = [{"name": str(s["name"]), "digest": dict(s["digest"])} for s in run["subjects"]]
        return {"environment": str(run["environment"]), "subjects": subjects}
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"expected a run's report in {path}: {exc}", hint="give a run folder") from None


def _reason(code: str) -> Reason:
    try:
        return Reason.of(code)
    except ValueError as exc:
        known = ", ".join(sorted(r.code for r in WAIVABLE))
        raise ConfigError(f"--accept: {exc}", hint=f"one of {known}") from None


def _within(text: str) -> tuple[str, Limit]:
    name, _, rest = text.partition("=")
    words = rest.split(":", 2)
    try:
        operator = Operator(words[0])
        bounds = tuple(Decimal(b) for b in words[1].split(","))
        limit = Limit(operator, bounds, words[2] if len(words) > 2 else "1")
        return name, Limit.from_json(limit.to_json())  # with its checks
    except (ValueError, IndexError, InvalidOperation) as exc:
        hint = "such as burst=at_most:2:x, or share=between:0.1,0.2"
        raise ConfigError(f"--within: expected a limit, got {text!r} ({exc})", hint=hint) from None


def _guards(options: argparse.Namespace) -> Iterator[Guard]:
    if options.guards is not None:
        try:
            listed = strictjson.loads(read(options.guards))
            if not isinstance(listed, list):
                raise TypeError("expected a list")
            yield from (read_guard(value) for value in listed)
        except (ValueError, TypeError, KeyError) as exc:
            raise ConfigError(f"{options.guards}: expected a JSON list of guards: {exc}") from None
        return
    obligation = _obligation(options.obligation)
    for value in _shorthands(options):
        yield read_guard(value | obligation)


def _shorthands(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if options.canary is not None:
        stages, _, hold = options.canary.partition(":")
        try:
            plan = {"stages": [int(s) for s in stages.split(",")], "hold_s": int(hold)}
        except ValueError:
            raise ConfigError(f"--canary: expected e.g. 5,25,100:600, got {options.canary!r}") from None
        yield {"name": "canary", "kind": "canary_plan", **plan}
    if options.observe is not None:
        yield {"name": "observation", "kind": "observation_window", "seconds": options.observe}
    if options.flag:
        pairs = [flag.partition("=") for flag in options.flag]
        yield {"name": "flags", "kind": "flags", "flags": {name: value for name, _, value in pairs}}


def _obligation(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    gate, _, seconds = text.rpartition(":")
    if not seconds.isdecimal() or not gate:
        raise ConfigError(f"--obligation: expected GATE:SECONDS, got {text!r}")
    return {"obligation": {"gate": gate, "within_s": int(seconds)}}


def _time(text: str) -> datetime:
    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise ConfigError(f"--expires: {exc}") from None


# -- sign, show --------------------------------------------------------------------------------


def _sign(options: argparse.Namespace) -> int:
    signer = _signer(options.key)
    envelope = read_foreign_envelope(read(options.file))
    waiver = read_waiver(envelope.payload)
    signed = add_signature(envelope, signer)
    write_atomic(options.file, format_envelope(signed))
    show([f"{options.file}: {waiver.ticket}, {waiver.gate}: {counted(len(signed.signatures), 'signature')}"])
    _log(options.log, options.file, waiver)
    return 0


def _log(place: str | None, path: Path, waiver: Waiver) -> None:
    if place is not None:
        name = f"{waiver.ticket}, {waiver.gate}"
        show([f"logged: {log_file(place, path, EntryKind.WAIVER, name, waiver.environment)}"])


def _signer(option: str | None) -> Signer:
    if option is None and chosen_variable(os.environ) is None:
        raise ConfigError(
            "expected a key of a person who may waive, got none",
            hint="give --key FILE or CUTOVER_KEY; a development key belongs to nobody",
        )
    signer = load_signer(os.environ, Path.cwd(), option=option, say=_say)
    if signer is None:
        raise ConfigError("signing is switched off here", hint="give --key FILE")
    trusted = find_anchor(None, os.environ, Path.cwd())
    if trusted is not None:
        trusted.refuse_old(signer.keyid)
    return signer


def _show(options: argparse.Namespace) -> int:
    at = options.at or datetime.now(UTC)
    found = anchor(options.trust)
    given = given_waiver(read(options.file), found, at=at, where=str(options.file))
    waiver = given.waiver
    rows = [
        ("gate", f"{waiver.gate} in {waiver.environment}"),
        ("accepts", ", ".join(sorted(r.code for r in waiver.accepts))),
        *(("within", f"{name} {limit.text()}") for name, limit in waiver.within.items()),
        *(("for", f"{s.name} {_digests(s)}") for s in waiver.subjects),
        ("because", waiver.reason),
        ("risk", f"{waiver.risk}, ticket {waiver.ticket}"),
        ("valid", f"{rfc3339(waiver.issued_at)} to {rfc3339(waiver.expires_at)}"),
        *(("guard", _guard_text(g)) for g in waiver.guards),
    ]
    if given.refused is None:
        rows.append(("signed by", ", ".join(given.persons)))
    else:
        rows.append(("signed by", f"nobody who counts: {given.refused[1]}"))
    rows.append(("trust", found.description))
    ended = at >= waiver.expires_at
    if ended:
        rows.append(("ended", "its time is over"))
    show(f"{name:<10} {text}" for name, text in rows)
    return 1 if ended or given.refused is not None else 0


def _guard_text(guard: Guard) -> str:
    settings = ", ".join(f"{k} {_setting(v)}" for k, v in guard.settings.items())
    due = guard.obligation
    later = "" if due is None else f"; {due.gate} green within {due.within_s} s"
    return f"{guard.name} ({guard.kind.value}): {settings}{later}"


def _setting(value: object) -> str:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _digests(subject: Subject) -> str:
    return " ".join(f"{k}:{v}" for k, v in subject.digest.items())


def _say(text: str) -> None:
    print(text, file=sys.stderr)
