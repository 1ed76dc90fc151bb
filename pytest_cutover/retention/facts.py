"""What a run folder says of itself, as far as it matters for keeping it. Pure.

Whoever asks `cutover admit` may trust other keys than whoever tidies up. So what would make a run worth more is taken
from bundles **without verifying them**; what would let it go is believed only when a key that is trusted here signed it. What
cannot be read counts as whatever keeps more.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import read_decision, read_statement
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope
from pytest_cutover.evidence.report import is_fleet_report
from pytest_cutover.evidence.statements import DECISION
from pytest_cutover.evidence.unsigned import LONGEST_RUN, begun_between
from pytest_cutover.evidence.verify import signed_decision
from pytest_cutover.model import parse_rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import RunRecord

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

_RUN_ID = re.compile(rb"[0-9]{8}T[0-9]{6}(?:[.][0-9]{3})?Z-[0-9a-f]{8}")
_PAYLOAD = re.compile(rb'payload\\?":\\?"([A-Za-z0-9+/=]+)')


@dataclass(frozen=True, slots=True)
class Made:
    """What a run was begun for."""

    plan: str
    environment: str
    shard: str | None

    def __str__(self) -> str:
        return f"{self.plan} → {self.environment}" + ("" if self.shard is None else f", {self.shard}")


@dataclass(frozen=True, slots=True)
class Facts:
    """One folder among the runs."""

    name: str
    problem: str | None = None
    """Why it stays whatever the rules say."""
    begun: datetime | None = None
    """By its name; None: it is not named as a run."""
    made: Made | None = None
    is_decided: bool = False
    has_bundle: bool = False
    changed: datetime = LATEST
    """When its journal grew last."""
    latest: datetime = LATEST
    """Nothing that it decided, or that it might take back, is later."""
    go_since: datetime | None = EARLIEST
    """When a GO that is in it was decided; None: nothing in it could ever be admitted."""
    in_force_until: datetime | None = None
    about: frozenset[tuple[str, str]] | None = None
    """Environments and digests; None: it could be about anything."""
    is_fleet: bool = False
    is_shard: bool = True
    """Whether it may have been one of a fleet."""
    names: frozenset[str] = frozenset()
    """Ids of other runs that occur in it."""
    promises: bool = False
    """Whether it went out on obligations: later runs of the environment look for them here."""


def facts(
    name: str,
    *,
    head: bytes | None,
    bundle: bytes | None,
    report: bytes | None,
    changed: datetime,
    anchor: Anchor | None,
    problem: str | None = None,
) -> Facts:
    """What the folder `name` says; `head` is its journal's first line, None what is not there."""
    between = begun_between(name)
    decisions = tuple(_decisions(bundle or b""))
    believed = None if anchor is None else signed_decision(bundle or b"", anchor)
    is_certain = head is not None if bundle is None else believed is not None
    record = None if head is None else _head(head)
    told = None if report is None else _told(report)
    if between is None:
        problem = problem or "its name is no run's"
    elif head is None and bundle is None and report is None:
        problem = problem or "it is no run's folder"
    times = [d.decided_at for d in decisions] + ([] if told is None else [told.decided_at])
    times += [] if record is None else [record.started_at]
    times += [] if between is None else [between[1]]
    # `cutover admit` doubts evidence that does not verify for as long as it could be newer.
    doubt = timedelta() if is_certain and (report is None or told is not None) else LONGEST_RUN
    expiries = [d.expires_at for d in decisions] + ([] if told is None else [told.expires_at])
    return Facts(
        name=name,
        problem=problem,
        begun=None if between is None else between[0],
        made=_made(record, decisions, told),
        is_decided=bundle is not None or report is not None,
        has_bundle=bundle is not None,
        changed=changed,
        latest=LATEST if between is None else _later(max(times), doubt),
        go_since=min((d.decided_at for d in decisions if d.is_go), default=None),
        in_force_until=max(expiries, default=None),
        about=_about(record, believed) if is_certain else None,
        is_fleet=report is None or is_fleet_report(report),
        is_shard=not is_certain
        or any(d.shard is not None for d in decisions)
        or (record is not None and record.shard is not None),
        names=_names(head or b"", report or b"") - {name},
        promises=any(g.get("obligation") is not None for d in decisions for g in d.guards),
    )


def _later(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError:
        return LATEST


@dataclass(frozen=True, slots=True)
class _Told:
    """What a report says of its decision."""

    decided_at: datetime
    expires_at: datetime
    made: Made


def _told(report: bytes) -> _Told | None:
    try:
        document: dict[str, Any] = json.loads(report)
        decision, run = document["decision"], document.get("run") or document["fleet"]
        shard = run.get("shard")
        made = Made(str(run["plan"]), str(run["environment"]), None if shard is None else str(shard))
        return _Told(parse_rfc3339(decision["decided_at"]), parse_rfc3339(decision["expires_at"]), made)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _names(head: bytes, report: bytes) -> frozenset[str]:
    """Ids of runs, wherever they stand: in the open, or in what a merge holds of its shards' decisions."""
    inside = b"".join(map(_unpacked, _PAYLOAD.findall(report))) if is_fleet_report(report) else b""
    return frozenset(found.decode() for found in _RUN_ID.findall(head + report + inside))


def _unpacked(payload: bytes) -> bytes:
    try:
        return base64.b64decode(payload)
    except ValueError:
        return b""


def _decisions(bundle: bytes) -> Iterator[DecisionClaims]:
    """Every decision in the bundle that somebody might take for signed."""
    for line in bundle.split(b"\n"):
        try:
            envelope = read_envelope(line)
            if envelope.payload_type == STATEMENT_TYPE:
                statement = read_statement(envelope.payload)
                if statement.predicate_type == DECISION:
                    yield read_decision(statement)
        except EvidenceError:
            continue


def _head(first: bytes) -> RunRecord | None:
    record = fold((first,))
    return None if any(p.reason is Reason.RUN_JOURNAL_DAMAGED for p in record.problems) else record


def _made(record: RunRecord | None, decisions: tuple[DecisionClaims, ...], told: _Told | None) -> Made | None:
    if record is not None:
        return Made(record.plan, record.environment, record.shard)
    if decisions:
        return Made(decisions[0].plan, decisions[0].environment, decisions[0].shard)
    return None if told is None else told.made


def _about(record: RunRecord | None, believed: DecisionClaims | None) -> frozenset[tuple[str, str]] | None:
    if record is None and believed is None:
        return None
    found = [] if record is None else [(record.environment, s) for s in record.subjects]
    found += [] if believed is None else [(believed.environment, s) for s in believed.subjects]
    return frozenset((place, f"{k}:{v}") for place, subject in found for k, v in subject.digest.items())
