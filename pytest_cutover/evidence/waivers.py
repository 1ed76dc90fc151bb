"""Waivers as in-toto statements: written, signed by several persons, read strictly, and their signers named.

A waiver stands in a file of its own, one DSSE envelope, beside the policy or wherever `--cutover-waiver`
says. Evidence carries it, byte for byte in canonical form.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.claims import read_statement, typed
from pytest_cutover.evidence.envelope import (
    STATEMENT_TYPE,
    Envelope,
    format_envelope,
    read_foreign_envelope,
    verify_foreign,
)
from pytest_cutover.evidence.statements import STATEMENT, encode
from pytest_cutover.keys.trusted import persons_of
from pytest_cutover.model import Limit, parse_rfc3339, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.waiver import LONGEST_WAIVER, WAIVABLE, GivenWaiver, Guard, GuardKind, Obligation, Waiver

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pytest_cutover.keys.position import Position
    from pytest_cutover.keys.trust import Anchor

WAIVER = "https://pytest-cutover.dev/attestation/waiver/v1"
ROLE = "waiver"
RISKS = ("low", "medium", "high")

_NAMES = (
    *("gate", "environment", "accepts", "within", "reason", "risk", "ticket"),
    *("issued_at", "expires_at", "guards"),
)
_GATE = re.compile(r"[a-z0-9][a-z0-9._-]*(\[.+\])?")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LONGEST_TEXT = 2000


def waiver_statement(waiver: Waiver) -> bytes:
    """The payload that is signed.

    Raises:
        EvidenceError: what `read_waiver` would refuse; nobody should sign that.
    """
    predicate = {
        "gate": waiver.gate,
        "environment": waiver.environment,
        "accepts": sorted(r.code for r in waiver.accepts),
        "within": {name: limit.to_json() for name, limit in waiver.within.items()},
        "reason": waiver.reason,
        "risk": waiver.risk,
        "ticket": waiver.ticket,
        "issued_at": rfc3339(waiver.issued_at),
        "expires_at": rfc3339(waiver.expires_at),
        "guards": [g.to_json() for g in waiver.guards],
    }
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": s.name, "digest": dict(s.digest)} for s in waiver.subjects],
        "predicateType": WAIVER,
        "predicate": predicate,
    }
    payload = encode(statement)
    read_waiver(payload)
    return payload


def read_waiver(payload: bytes) -> Waiver:
    """The waiver in a statement; believe it only after its envelope was verified.

    Raises:
        EvidenceError: not a waiver of version 1: an unknown or missing word, no guard, no end, too long.
    """
    statement = read_statement(payload)
    if statement.predicate_type != WAIVER:
        raise EvidenceError(f"expected a waiver ({WAIVER}), got {ascii(statement.predicate_type)[:100]}")
    fields = statement.predicate
    if set(fields) != set(_NAMES):
        odd = ascii(sorted(set(fields) ^ set(_NAMES)))
        raise EvidenceError(f"expected a waiver with {', '.join(_NAMES)}; missing or unknown: {odd:.200}")
    try:
        waiver = Waiver(
            gate=_matching(fields["gate"], _GATE, "gate"),
            environment=_matching(fields["environment"], _ID, "environment"),
            subjects=statement.subjects,
            accepts=_accepts(fields["accepts"]),
            within={_text(n, "within"): Limit.from_json(x) for n, x in typed(fields["within"], dict).items()},
            reason=_text(fields["reason"], "reason"),
            risk=_one_of(fields["risk"], RISKS, "risk"),
            ticket=_text(fields["ticket"], "ticket"),
            issued_at=parse_rfc3339(fields["issued_at"]),
            expires_at=parse_rfc3339(fields["expires_at"]),
            guards=tuple(read_guard(g) for g in typed(fields["guards"], list)),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as exc:
        raise EvidenceError(f"the waiver is malformed: {ascii(str(exc))[1:-1][:200]}") from None
    if not timedelta(0) < waiver.expires_at - waiver.issued_at <= LONGEST_WAIVER:
        raise EvidenceError(f"expected a waiver to end within {LONGEST_WAIVER.days} days of its beginning")
    if not waiver.guards:
        raise EvidenceError("expected at least one guard: a waiver accepts a gate on terms")
    if len({g.name for g in waiver.guards}) != len(waiver.guards):
        raise EvidenceError("expected different names of guards")
    return waiver


def given_waiver(
    data: bytes,
    anchor: Anchor | None,
    *,
    at: datetime,
    where: str,
    position: Position | None = None,
) -> GivenWaiver:
    """The waiver in an envelope, and who signed it as far as `anchor` knows them at that time.

    `position` is where a log holds it, or the evidence that it is part of, as the caller has proven.

    Raises:
        EvidenceError: not an envelope, or no waiver in it.
    """
    envelope = read_foreign_envelope(data)
    if envelope.payload_type != STATEMENT_TYPE:
        raise EvidenceError(f"expected a {STATEMENT_TYPE}, got {ascii(envelope.payload_type)[:100]}")
    waiver = read_waiver(envelope.payload)
    persons, refused = _signers(envelope, anchor, waiver.environment, at, position)
    return GivenWaiver(waiver, format_envelope(envelope), persons, where, refused)


def _signers(
    envelope: Envelope, anchor: Anchor | None, environment: str, at: datetime, position: Position | None
) -> tuple[tuple[str, ...], tuple[Reason, str] | None]:
    if anchor is None:
        return (), (Reason.WAIVER_UNTRUSTED, "no trusted keys are known")
    keys = anchor.verifiers(role=ROLE, environment=environment, at=at, position=position)
    try:
        signed = verify_foreign(envelope, keys)
    except VerificationError as exc:
        return (), (Reason.WAIVER_UNTRUSTED, str(exc))
    nobody = [key.name for key in signed if key.person is None]
    if nobody:
        return (), (Reason.WAIVER_UNTRUSTED, f"key {nobody[0]!r} belongs to no person")
    shortfall = anchor.shortfall(ROLE, signed)
    if shortfall is not None:
        return (), (Reason.WAIVER_PERSONS, shortfall)
    return persons_of(signed), None


# -- a waiver in a report ---------------------------------------------------------------------


def given_to_json(given: GivenWaiver) -> dict[str, Any]:
    """A given waiver as a report keeps it."""
    refused = None if given.refused is None else [given.refused[0].code, given.refused[1]]
    return {
        "envelope": given.envelope.decode("ascii"),
        "persons": list(given.persons),
        "where": given.where,
        "refused": refused,
    }


def given_from_json(value: Any) -> GivenWaiver:
    """The inverse of `given_to_json`.

    Raises:
        EvidenceError, KeyError, TypeError, ValueError: malformed input; the caller says where.
    """
    if set(typed(value, dict)) != {"envelope", "persons", "where", "refused"}:
        raise EvidenceError("expected a waiver with envelope, persons, where and refused")
    line = typed(value["envelope"], str).encode("ascii")
    envelope = read_foreign_envelope(line)
    if format_envelope(envelope) != line:
        raise EvidenceError("a waiver's envelope is not in canonical form")
    refused = value["refused"]
    return GivenWaiver(
        read_waiver(envelope.payload),
        line,
        tuple(typed(p, str) for p in typed(value["persons"], list)),
        typed(value["where"], str),
        None if refused is None else (Reason.of(refused[0]), typed(refused[1], str)),
    )


# -- reading ----------------------------------------------------------------------------------


def _accepts(value: Any) -> frozenset[Reason]:
    codes = typed(value, list)
    reasons = [Reason.of(code) for code in codes]
    if not reasons or len(set(reasons)) != len(reasons):
        raise ValueError("accepts: expected different reason codes, at least one")
    beyond = [r.code for r in reasons if r not in WAIVABLE]
    if beyond:
        raise ValueError(f"accepts: {beyond[0]} cannot be waived by anybody")
    return frozenset(reasons)


def read_guard(value: Any) -> Guard:
    """A guard from its JSON form.

    Raises:
        KeyError, TypeError, ValueError: malformed; the caller says where.
    """
    fields = dict(typed(value, dict))
    name = _matching(fields.pop("name"), _ID, "guard name")
    kind = GuardKind(fields.pop("kind"))
    obligation = fields.pop("obligation", None)
    settings = _SETTINGS[kind](fields)
    return Guard(name, kind, settings, None if obligation is None else _obligation(obligation))


def _obligation(value: Any) -> Obligation:
    if set(typed(value, dict)) != {"gate", "within_s"}:
        raise ValueError("obligation: expected gate and within_s")
    return Obligation(_matching(value["gate"], _GATE, "obligation"), _seconds(value["within_s"], "within_s"))


def _canary_plan(fields: Mapping[str, Any]) -> dict[str, Any]:
    _exactly(fields, ("stages", "hold_s"))
    stages = [typed(s, int) for s in typed(fields["stages"], list)]
    if not stages or any(not 1 <= s <= 100 for s in stages) or stages != sorted(set(stages)):
        raise ValueError("stages: expected rising percentages of traffic, from 1 to 100")
    return {"stages": stages, "hold_s": _seconds(fields["hold_s"], "hold_s")}


def _observation_window(fields: Mapping[str, Any]) -> dict[str, Any]:
    _exactly(fields, ("seconds",))
    return {"seconds": _seconds(fields["seconds"], "seconds")}


def _flags(fields: Mapping[str, Any]) -> dict[str, Any]:
    _exactly(fields, ("flags",))
    flags = typed(fields["flags"], dict)
    if not flags:
        raise ValueError("flags: expected at least one")
    return {"flags": {_text(n, "flags"): _flag(v) for n, v in flags.items()}}


def _flag(value: Any) -> Any:
    if isinstance(value, Decimal):
        raise TypeError("flags: write numbers with a fraction as texts")
    if not isinstance(value, bool | int | str):
        raise TypeError("flags: expected texts, whole numbers, true or false")
    return value


_SETTINGS = {
    GuardKind.CANARY_PLAN: _canary_plan,
    GuardKind.OBSERVATION_WINDOW: _observation_window,
    GuardKind.FLAGS: _flags,
}


def _exactly(fields: Mapping[str, Any], names: tuple[str, ...]) -> None:
    if set(fields) != set(names):
        raise ValueError(f"guard: expected {', '.join(names)}, got {', '.join(sorted(fields)) or 'nothing'}")


def _seconds(value: Any, name: str) -> int:
    if not 1 <= typed(value, int) <= 366 * 86400:
        raise ValueError(f"{name}: expected seconds, from 1 to a year")
    return int(value)


def _text(value: Any, name: str) -> str:
    text = typed(value, str)
    if not text.strip() or len(text) > _LONGEST_TEXT or not text.replace("\n", " ").isprintable():
        raise ValueError(f"{name}: expected a text of at most {_LONGEST_TEXT} printable characters")
    return str(text)


def _matching(value: Any, pattern: re.Pattern[str], name: str) -> str:
    text = typed(value, str)
    if not pattern.fullmatch(text) or not text.isprintable():
        raise ValueError(f"{name}: expected {pattern.pattern}, got {text!r:.60}")
    return str(text)


def _one_of(value: Any, words: tuple[str, ...], name: str) -> str:
    if value not in words:
        raise ValueError(f"{name}: expected one of {', '.join(words)}, got {value!r:.60}")
    return str(value)
