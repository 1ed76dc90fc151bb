"""Taking evidence away never helps: no removal, reordering or nulled value moves a verdict towards GO.

Two opponents. One edits the journal as it lies there; the digest, the numbers and the counts at its end
give him away. The other also signs again: he renumbers, recounts and recomputes the digest. Against him
stand the policy (what is required), and the counts inside of each gate.

What a journal cannot show against the second: that its writer left out his own word against the run.
So whoever re-signs may drop a `run.problem`, a whole gate that nothing requires, a worker that ran
nothing, or the start of a test that is no gate, and no reader can tell; that is why the supervising parent, not the gate code, ends the journal,
and why the bundle signs its digest (docs/reference/trust-model.md).
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.model import PolicySignature, Verdict
from tests.properties.cases import Choices, assume, cases
from tests.properties.strategies import (
    FAULTS,
    Run,
    any_run,
    clean_run,
    decided,
    faulty_run,
    rank,
    small_runs,
    waived_run,
)
from tests.unit.evidence import runs as sealed_runs
from tests.unit.journals import encode, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.properties.strategies import Fault
    from tests.unit.journals import Event

Path = tuple[Any, ...]


def values(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value inside of an event."""
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from values(child, (*path, key))


def without(event: Event, path: Path, *, nulled: bool) -> Event:
    """The event with the value at `path` nulled, or taken away."""
    out = copy.deepcopy(event)
    parent: Any = out
    for key in path[:-1]:
        parent = parent[key]
    if nulled:
        parent[path[-1]] = None
    else:
        del parent[path[-1]]
    return out


def never_better(before: Run, lines: Sequence[bytes], *, than: int | None = None) -> None:
    base = rank(before.decided()) if than is None else than
    after = decided(lines, before)
    assert rank(after) <= base, (before.faults, [f.reason.code for f in after.findings])


def is_own_word(run: Run, event: Event) -> bool:
    """What its writer can leave out without a trace: a problem, a worker that ran nothing, a start nobody else tells of."""
    if event["event"] == "run.collected":
        ran = {e["worker"] for e in run.of("gate.finished")}
        return event["worker"] not in ran
    if event["event"] == "gate.started":
        ended = {e["nodeid"] for e in run.of("gate.finished")}
        listed = {g["nodeid"] for e in run.of("run.collected") for g in e["gates"]}
        return event["nodeid"] not in ended | listed
    return bool(event["event"] == "run.problem")


def is_dispensable(event: Event) -> bool:
    """Whether a GO can do without: another worker's list, a test that is no gate, a gate nobody requires."""
    return (
        event["event"] == "run.collected"
        or "extra" in event.get("nodeid", "")
        or "tests/" in event.get("nodeid", "")
    )


def spares_optional(run: Run, event: Event, path: Path) -> bool:
    """Whether taking this out of run.collected takes a whole gate away that nothing requires and that did not run."""
    if event["event"] != "run.collected" or path[0] != "gates" or len(path) != 2:
        return False
    gate = event["gates"][path[1]]
    return gate["nodeid"] not in {e.get("nodeid") for e in run.events}


class TestEditedJournal:
    """The journal as it lies there, without a new signature."""

    @cases(clean_run)
    def test_whole_run_does_not_survive_a_lost_line(self, run: Run, rng: Choices) -> None:
        """Any set of lines taken from a GO leaves no GO."""
        lines = run.lines()
        gone = rng.subset(len(lines))

        after = decided([x for i, x in enumerate(lines) if i not in gone], run)

        assert after.verdict is Verdict.NO_GO

    @cases(faulty_run)
    def test_lost_lines_never_help(self, run: Run, rng: Choices) -> None:
        """Nor does it help a run that was not GO."""
        lines = run.lines()
        gone = rng.subset(len(lines))

        never_better(run, [x for i, x in enumerate(lines) if i not in gone])

    @cases(any_run)
    def test_reordering_never_helps(self, run: Run, rng: Choices) -> None:
        """Any other order of the same lines."""
        lines = run.lines()
        order = rng.sample(lines, len(lines))
        assume(order != lines)

        assert decided(order, run).verdict is Verdict.NO_GO

    @cases(any_run)
    def test_doubling_never_helps(self, run: Run, rng: Choices) -> None:
        """A line twice, anywhere, is no second proof."""
        lines = run.lines()
        doubled = rng.choice(lines)
        at = rng.randint(0, len(lines))

        assert decided([*lines[:at], doubled, *lines[at:]], run).verdict is Verdict.NO_GO

    @cases(clean_run)
    def test_truncation_is_no_go(self, run: Run, rng: Choices) -> None:
        """Every proper beginning of a journal, at any byte."""
        whole = b"".join(run.lines())
        cut = whole[: rng.randint(0, len(whole) - 1)]

        assert decided(cut.splitlines(keepends=True), run).verdict is Verdict.NO_GO

    @cases(faulty_run)
    def test_no_nulled_or_missing_value_helps(self, run: Run, rng: Choices) -> None:
        """Any value of any line."""
        lines = run.lines()
        number = rng.randint(0, len(lines) - 1)
        event = json.loads(lines[number])
        path = rng.choice(list(values(event)))
        lines[number] = encode(without(event, path, nulled=rng.random() < 0.5))

        never_better(run, lines)


class TestForgedJournal:
    """The same, by somebody who renumbers, recounts and recomputes the digest."""

    @cases(clean_run)
    def test_whole_run_does_not_survive_a_lost_event(self, run: Run, rng: Choices) -> None:
        """Any set of events with one among them that begins or ends the run, or is a required gate's."""
        gone = rng.subset(len(run.events))
        lost = [e for i, e in enumerate(run.events) if i in gone]
        after = decided(sign([e for i, e in enumerate(run.events) if i not in gone]), run)

        assert after.verdict is Verdict.NO_GO or all(map(is_dispensable, lost))

    @cases(faulty_run)
    def test_no_lost_event_helps(self, run: Run, rng: Choices) -> None:
        """Each event in turn, but for the writer's own word against the run."""
        base = rank(run.decided())
        for number, event in enumerate(run.events):
            if not is_own_word(run, event):
                never_better(run, sign([*run.events[:number], *run.events[number + 1 :]]), than=base)

    @cases(faulty_run)
    def test_lost_starts_or_ends_never_help(self, run: Run, rng: Choices) -> None:
        """Any set of starts, or of ends: what is left of a gate counts against it."""
        kind = rng.choice(("gate.started", "gate.finished"))
        at = [i for i, e in enumerate(run.events) if e["event"] == kind]
        gone = {at[i] for i in rng.subset(len(at)) if not is_own_word(run, run.events[at[i]])}
        assume(gone)

        never_better(run, sign([e for i, e in enumerate(run.events) if i not in gone]))

    @cases(any_run)
    def test_required_gate_cannot_be_taken_out(self, run: Run, rng: Choices) -> None:
        """All its lines and its entry in every list: the policy still asks for it."""
        gone = rng.one_of(sorted(r.gate for r in run.policy.requires))
        nodes = {g["nodeid"] for e in run.of("run.collected") for g in e["gates"] if g["id"] == gone}
        kept = [e for e in copy.deepcopy(run.events) if e.get("nodeid") not in nodes]
        for event in (e for e in kept if e["event"] == "run.collected"):
            event["gates"] = [g for g in event["gates"] if g["id"] != gone]

        assert decided(sign(kept), run).verdict is Verdict.NO_GO

    @cases(faulty_run)
    def test_no_nulled_or_missing_value_helps(self, run: Run, rng: Choices) -> None:
        """Any value of any event: a report, a measurement, a count, a word."""
        number = rng.randint(0, len(run.events) - 1)
        event = run.events[number]
        path = rng.choice(list(values(event)))
        assume(event["event"] != "run.problem" and not spares_optional(run, event, path))
        changed = without(event, path, nulled=rng.random() < 0.5)

        never_better(run, sign([*run.events[:number], changed, *run.events[number + 1 :]]))

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
    def test_no_value_of_a_small_run_helps(self, fault: Fault) -> None:
        """Every value of every event in turn, of runs whose one fault it may be."""
        for run in small_runs(fault):
            base = rank(run.decided())
            for number, event in enumerate(run.events):
                if event["event"] == "run.problem":
                    continue
                for path in values(event):
                    for nulled in (True, False):
                        changed = without(event, path, nulled=nulled)
                        events = [*run.events[:number], changed, *run.events[number + 1 :]]
                        better = rank(decided(sign(events), run)) > base
                        assert not better or spares_optional(run, event, path), (path, nulled, run)

    @cases(faulty_run)
    def test_lost_reports_and_measurements_never_help(self, run: Run, rng: Choices) -> None:
        """Any set of phases and measurements of any gate."""
        events = copy.deepcopy(run.events)
        gate = rng.one_of([e for e in events if e["event"] == "gate.finished"])
        told = [*gate["phases"], *gate["measurements"]]
        gone = rng.subset(len(told))
        assume(gone)
        phases = len(gate["phases"])
        gate["phases"] = [x for i, x in enumerate(told[:phases]) if i not in gone]
        gate["measurements"] = [x for i, x in enumerate(told[phases:], phases) if i not in gone]

        never_better(run, sign(events))


class TestWaivedRun:
    """A run that is red and was accepted under guards, or would have been but for something."""

    @cases(waived_run)
    def test_all_verdicts_come_about(self, run: Run, rng: Choices) -> None:
        """What the others start from: each is reached, and with everything in place it is GO-WITH-GUARDS."""
        decision = run.decided()
        counting = len(decision.waivers) == len(run.waivers)
        confirmed = bool(run.of("guards.confirmed"))

        expected = Verdict.GO_WITH_GUARDS if confirmed else Verdict.HOLD
        assert decision.verdict is (expected if counting else Verdict.NO_GO)

    @cases(waived_run)
    def test_no_lost_line_or_value_helps(self, run: Run, rng: Choices) -> None:
        """Of the journal as it lies there: only the confirmation of the guards stands behind its end."""
        lines = run.lines()
        number = rng.randrange(len(lines))
        event = json.loads(lines[number])
        if rng.random() < 0.5:
            del lines[number]
        else:
            path = rng.choice(list(values(event)))
            lines[number] = encode(without(event, path, nulled=rng.random() < 0.5))
        assume(lines != run.lines())

        never_better(run, lines)
        last = event["event"] in ("guards.confirmed", "run.finished", "run.exited")
        assert last or decided(lines, run).verdict is Verdict.NO_GO

    @cases(waived_run)
    def test_no_lost_waiver_helps(self, run: Run, rng: Choices) -> None:
        """Any of those that were given, whether they count or not."""
        gone = rng.subset(len(run.waivers))
        kept = replace(run, waivers=tuple(w for i, w in enumerate(run.waivers) if i not in gone))

        assert rank(kept.decided()) <= rank(run.decided())
        assert kept.decided().verdict is Verdict.NO_GO

    @cases(waived_run)
    def test_no_lost_event_report_or_measurement_helps(self, run: Run, rng: Choices) -> None:
        """Also of a journal that was signed again: nobody can waive what is not there."""
        events = copy.deepcopy(run.events)
        gate = rng.choice([e for e in events if e["event"] == "gate.finished"])
        name = rng.choice(("phases", "measurements", "gate"))
        if name == "gate":
            events.remove(gate)
        else:
            del gate[name][rng.randrange(len(gate[name]))]

        assert decided(sign(events), run).verdict is Verdict.NO_GO


class TestSealedEvidence:
    """The envelopes of a bundle."""

    def test_no_set_of_envelopes_may_be_missing(self) -> None:
        """A GO whose bundle lacks any of its envelopes, or has them in another order, does not verify."""
        key = sealed_runs.signer()
        sealed = sealed_runs.Run(signature=PolicySignature.UNSIGNED).seal(key)
        anchor = sealed_runs.anchor(sealed_runs.trusted(key))
        assert sealed.bundle is not None
        lines = sealed.bundle.splitlines(keepends=True)

        assert verify_bundle(sealed.bundle, sealed.report, anchor, None).is_valid
        for size in range(len(lines)):
            for kept in combinations(lines, size):
                assert not verify_bundle(b"".join(kept), sealed.report, anchor, None).is_valid
