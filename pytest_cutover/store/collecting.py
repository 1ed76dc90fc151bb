"""Garbage collection: which runs may leave a store, and taking them out.

The rules are those of `cutover prune` (decision record 0013): nothing goes while something stays that would be worth more
without it. A store adds its own: what is locked or held stays, the newest document, the newest GO of each artifact, what
the index calls tampered, and whatever may have shown what a release promised.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import DecisionClaims
from pytest_cutover.evidence.report import is_fleet_report, read_report
from pytest_cutover.evidence.verify import signed_decision
from pytest_cutover.model import Verdict
from pytest_cutover.objects.protocol import ObjectLockedError
from pytest_cutover.retention.facts import LATEST as FOREVER
from pytest_cutover.retention.facts import Facts, facts
from pytest_cutover.retention.rules import Choice, Limits, choose
from pytest_cutover.store.document import EvidenceDocument, read_document
from pytest_cutover.store.index import Collected, Index
from pytest_cutover.store.layout import BUNDLE_FILE, DOCUMENT, HISTORY, REPORT_FILE, key_of, run_of
from pytest_cutover.store.reading import read_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import Held, ObjectStore
    from pytest_cutover.store.reading import Read

__all__ = ["Limits", "Plan", "collect", "index_without", "plan"]

_SAYS = (BUNDLE_FILE, REPORT_FILE, DOCUMENT)
"""The files that say what a run is."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A run in the store, as far as it matters for keeping it."""

    facts: Facts
    document: EvidenceDocument | None
    signed: DecisionClaims | None
    """Its decision, when a trusted key signed it."""
    bundle: str
    """SHA-256; empty when there is none."""
    bytes: int
    names: tuple[str, ...]
    protected: str | None
    """Why the store has to keep it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the runs, and how much that frees."""

    choice: Choice
    runs: Mapping[str, Stored]

    @property
    def bytes(self) -> int:
        return sum(self.runs[run.name].bytes for run in self.choice.removed)


def plan(
    store: ObjectStore,
    anchor: Anchor | None,
    limits: Limits,
    now: datetime,
    index: Index | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Plan:
    """Which runs stay and why, and which may go; nothing is changed.

    Raises:
        EvidenceError: something in the store is no object.
        StoreUnavailableError: it cannot be read.
    """
    found: dict[str, list[Held]] = {}
    for held in store.list(HISTORY):
        of = run_of(held.key)
        if of is not None:
            found.setdefault(of[0], []).append(held)
    there = {held.key for helds in found.values() for held in helds}
    names = {run_id: [name for name in _SAYS if key_of(run_id, name) in there] for run_id in found}
    runs = {}
    for done, (run_id, reads) in enumerate(read_runs(store, names)):
        progress(done, len(found))
        runs[run_id] = _stored(run_id, found[run_id], reads, anchor, now)
    choice = choose([run.facts for run in runs.values()], limits, now, _needed(runs.values(), index, now))
    return Plan(choice, runs)


def collect(store: ObjectStore, run: Stored, now: datetime) -> None:
    """Take one run out of the store; its document first, so that what a killed process leaves is no whole run.

    The bundle goes last: as long as there is one, a later collection knows what the rest is.

    Raises:
        ObjectLockedError: something of it was locked or held since; then nothing is removed.
        StoreUnavailableError: it could not be taken out; collecting again goes on.
    """
    order = {DOCUMENT: 0, BUNDLE_FILE: 2}
    keys = [
        key_of(run.facts.name, name)
        for name in sorted(run.names, key=lambda name: (order.get(name, 1), name))
    ]
    found = (held for held in map(store.stat, keys) if held is not None)
    protected = _protected(found, now)
    if protected is not None:
        raise ObjectLockedError(f"{store.where}: run {run.facts.name} is {protected}: it cannot be removed")
    for key in keys:
        store.delete(key)


def index_without(index: Index, runs: Iterable[Stored], now: datetime) -> Index:
    """The index after runs were collected; it remembers that they were, or the log would miss them."""
    gone = {run.facts.name: run for run in runs}
    kept = tuple(e for e in index.objects if (run_of(e.key) or ("",))[0] not in gone)
    known = {each.run_id for each in index.collected}
    new = [Collected(name, run.bundle, now) for name, run in sorted(gone.items()) if name not in known]
    return replace(index, at=now, objects=kept, collected=(*index.collected, *new))


# -- what is there ---------------------------------------------------------------------------


def _stored(
    run_id: str, helds: list[Held], reads: Mapping[str, Read], anchor: Anchor | None, now: datetime
) -> Stored:
    problem = None
    data: dict[str, bytes | None] = dict.fromkeys(_SAYS)
    for name, read in reads.items():
        try:
            data[name] = read()[0]
        except EvidenceError as exc:
            problem = f"it cannot be read: {exc}"
    bundle, report = data[BUNDLE_FILE], data[REPORT_FILE]
    found = facts(
        run_id,
        head=_head(report),
        bundle=bundle,
        report=report,
        changed=FOREVER,  # a run that is not decided is never collected
        anchor=anchor,
        problem=problem,
    )
    return Stored(
        found,
        _document(data[DOCUMENT]),
        None if anchor is None or bundle is None else signed_decision(bundle, anchor),
        "" if bundle is None else hashlib.sha256(bundle).hexdigest(),
        sum(held.size for held in helds),
        tuple(held.key.removeprefix(key_of(run_id, "")) for held in helds),
        _protected(helds, now),
    )


def _head(report: bytes | None) -> bytes | None:
    """The first line of the journal, which a report holds."""
    if report is None or is_fleet_report(report):
        return None
    try:
        return next(iter(read_report(report).journal), None)
    except EvidenceError:
        return None


def _document(data: bytes | None) -> EvidenceDocument | None:
    try:
        return None if data is None else read_document(data, DOCUMENT)
    except EvidenceError:
        return None


def _protected(helds: Iterable[Held], now: datetime) -> str | None:
    if any(held.legal_hold for held in helds):
        return "under legal hold"
    until = max((h.retain_until for h in helds if h.retain_until is not None), default=None)
    return f"locked until {until:%Y-%m-%d %H:%M} UTC" if until is not None and until > now else None


# -- what has to stay ------------------------------------------------------------------------


def _needed(runs: Iterable[Stored], index: Index | None, now: datetime) -> dict[str, str]:
    runs = list(runs)
    out = {} if index is None else _indexed(index, now)
    documents = [run.document for run in runs if run.document is not None]
    # Who can write a document and has no key must not displace what was signed.
    signed = [run.signed for run in runs if run.signed is not None]
    for name, decided in (_newest_go(documents) | _newest_go(signed)).items():
        out[name] = f"the newest GO for {decided.environment}"
    if documents:
        out[max(documents, key=lambda document: document.order).run_id] = "latest.json is a copy of it"
    out |= dict.fromkeys(_after_promises(runs), "it may show what a release promised")
    return out | {run.facts.name: run.protected for run in runs if run.protected is not None}


def _indexed(index: Index, now: datetime) -> dict[str, str]:
    """What the index says has to stay, also where the store lost what it had promised."""
    out = {}
    for entry in index.objects:
        of = run_of(entry.key)
        if of is None:
            continue
        if entry.tampered:
            out[of[0]] = "the index calls it tampered"
        elif entry.legal_hold or (entry.retain_until is not None and entry.retain_until > now):
            out.setdefault(of[0], "the index says that it is locked or held")
    return out


_Decided = TypeVar("_Decided", EvidenceDocument, DecisionClaims)


def _newest_go(decided: Iterable[_Decided]) -> dict[str, _Decided]:
    """For each plan, environment and name of an artifact."""
    newest: dict[tuple[str, ...], _Decided] = {}
    for each in decided:
        if each.verdict not in (Verdict.GO, Verdict.GO_WITH_GUARDS):
            continue
        for subject in each.subjects:
            kind = (each.environment, each.plan, subject.name)
            if kind not in newest or _order(each) > _order(newest[kind]):
                newest[kind] = each
    return {each.run_id: each for each in newest.values()}


def _order(decided: EvidenceDocument | DecisionClaims) -> tuple[datetime, str]:
    return decided.decided_at, decided.run_id


def _after_promises(runs: Iterable[Stored]) -> Iterable[str]:
    """Runs of an environment after one that went out on obligations there."""
    runs = list(runs)
    since: dict[str, str] = {}
    for run in runs:
        if run.facts.promises and run.facts.made is not None:
            place = run.facts.made.environment
            since[place] = min(since.get(place, run.facts.name), run.facts.name)
    for run in runs:
        made = run.facts.made
        if made is not None and run.facts.name > since.get(made.environment, "~"):
            yield run.facts.name
