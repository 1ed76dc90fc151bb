"""Which runs may go, and in which order. Pure.

`cutover admit` lets the newest decision count, so a run that is taken away may let an older GO count again. That must
not happen, at no moment: a run that takes back a GO stays as long as the GO does, and a GO goes first. Where each of
two could take back the other, which only whoever asks can know, both stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from pytest_cutover.evidence.unsigned import LONGEST_RUN
from pytest_cutover.retention.facts import EARLIEST, Facts, Made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: a run goes only when it is beyond both."""

    newest: int
    """Of each plan, environment and shard; at least 1."""
    age: timedelta


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of the runs."""

    kept: Mapping[str, str]
    """Name to the reason."""
    removed: tuple[Facts, ...]
    """In the order in which they may be taken away, one after the other."""


def choose(
    runs: Sequence[Facts], limits: Limits, now: datetime, needed: Mapping[str, str] | None = None
) -> Choice:
    """Which runs stay and why, and which may go; `needed` are names with a reason that is not in the runs' facts.

    Raises:
        ValueError: fewer than one run is to be kept.
    """
    if limits.newest < 1:
        raise ValueError("at least the newest run is kept")
    kept = _newest(runs, limits.newest)
    for run in runs:
        reason = _own_reason(run, limits, now) or (needed or {}).get(run.name)
        if reason is not None:
            kept[run.name] = reason
    while True:
        _keep_what_is_needed(runs, kept)
        removed, stuck = _one_after_the_other([r for r in runs if r.name not in kept])
        if not stuck:
            return Choice(kept, tuple(removed))
        kept |= {run.name: "it and another run could take back each other" for run in stuck}


def _newest(runs: Iterable[Facts], count: int) -> dict[str, str]:
    """The newest of each kind, and the newest with a bundle: later runs are compared with those."""
    groups: dict[tuple[Made | None, bool], list[str]] = {}
    for run in runs:
        groups.setdefault((run.made, False), []).append(run.name)
        if run.has_bundle:
            groups.setdefault((run.made, True), []).append(run.name)
    which = "the newest" if count == 1 else f"the {count} newest"
    return {
        name: f"among {which} of {made}" if made else "what it was made for cannot be read"
        for (made, _), names in groups.items()
        for name in sorted(names, reverse=True)[: count if made else None]
    }


def _own_reason(run: Facts, limits: Limits, now: datetime) -> str | None:
    if run.problem is not None:
        return run.problem
    if run.promises:
        return "later runs are held to what it promised"
    if run.begun is None or run.begun > now - limits.age:
        return "too young to go"
    if run.in_force_until is not None and run.in_force_until > now:
        return f"its decision is in force until {run.in_force_until:%Y-%m-%d %H:%M} UTC"
    if not run.is_decided and run.changed > now - LONGEST_RUN:
        return "under way, or killed less than a day ago"
    return None


def _keep_what_is_needed(runs: Sequence[Facts], kept: dict[str, str]) -> None:
    """Add to `kept` whatever a kept run names, or would be worth more without."""
    by_name = {run.name: run for run in runs}
    open_ = {run.name: run for run in runs if run.name not in kept}
    waiting = [by_name[name] for name in kept]
    while waiting and open_:
        keeper = waiting.pop()
        needed = {n: _reason(run, keeper) for n, run in open_.items() if _takes_back(run, keeper)}
        needed |= dict.fromkeys(keeper.names & open_.keys(), f"named by {keeper.name}")
        kept |= needed
        waiting += [open_.pop(name) for name in needed]


def _reason(run: Facts, go: Facts) -> str:
    surely = run.about is not None and go.about is not None
    return f"{'takes' if surely else 'may take'} back a GO: {go.name}"


def _takes_back(run: Facts, go: Facts) -> bool:
    """Whether `go` could be admitted without `run`, and not with it."""
    if go.go_since is None:
        return False
    if run.about is not None and go.about is not None and run.about.isdisjoint(go.about):
        return False
    # A merge is also refused for a shard that was decided before it, and left out.
    return (go.is_fleet and run.is_shard) or run.latest >= go.go_since


def _one_after_the_other(runs: Sequence[Facts]) -> tuple[list[Facts], list[Facts]]:
    """The runs so that none goes before a GO that it takes back; and those for which there is no such order."""
    waits_for: dict[str, int] = {run.name: 0 for run in runs}
    frees: dict[str, list[Facts]] = {run.name: [] for run in runs}
    for go in runs:
        if go.go_since is None:
            continue
        for run in runs:
            if run is not go and _takes_back(run, go):
                waits_for[run.name] += 1
                frees[go.name].append(run)
    ready = [(_order(run), run) for run in runs if not waits_for[run.name]]
    heapify(ready)
    ordered = []
    while ready:
        _, gone = heappop(ready)
        ordered.append(gone)
        for run in frees[gone.name]:
            waits_for[run.name] -= 1
            if not waits_for[run.name]:
                heappush(ready, (_order(run), run))
    return ordered, [run for run in runs if waits_for[run.name]]


def _order(run: Facts) -> tuple[bool, datetime, str]:
    """The oldest GO first: what takes it back is still there when it goes."""
    return run.go_since is None, run.go_since or EARLIEST, run.name
