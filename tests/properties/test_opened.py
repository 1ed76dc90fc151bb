"""A run that carries gates from another: carrying proves no more than running did, and taking it away never helps.

The two opponents of `test_monotonic`: one edits the journal as it lies there, the other also signs it again.
"""

from __future__ import annotations

import copy
import hashlib
import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

from pytest_cutover.evidence.opened import OpenedEvidence
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.model import Verdict
from tests.properties.cases import Choices, assume, cases
from tests.properties.strategies import Run, any_run, clean_run, decided, rank
from tests.properties.test_monotonic import never_better, spares_optional, values, without
from tests.unit.evidence.opened_runs import OpenedRun
from tests.unit.evidence.runs import ANCHOR
from tests.unit.journals import AT, OPENED, encode, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.journals import Event


def carrying(rng: Choices, run: Run) -> Run:
    """The run with some of its gates carried from another in place of having run; one at least runs."""
    listed = {g["nodeid"]: g for e in run.of("run.collected") for g in e["gates"]}
    ran = [e for e in run.of("gate.finished") if _ran_once(run, e["nodeid"]) and e["nodeid"] in listed]
    assume(len(ran) > 1 or len(run.of("gate.finished")) > len(ran) > 0)
    chosen = rng.sample(ran, rng.randint(1, max(len(ran) - 1, 1)))
    nodes = {e["nodeid"] for e in chosen}
    head, *rest = copy.deepcopy(run.events)
    head["opened"] = {**OPENED, "carried": len(chosen)}
    carried = [_carried(e, listed[e["nodeid"]]) for e in chosen]
    kept = [e for e in rest if e.get("nodeid") not in nodes]
    return run.with_events([head, *copy.deepcopy(carried), *kept])


def _ran_once(run: Run, nodeid: str) -> bool:
    told = [e for e in run.events if e.get("nodeid") == nodeid]
    return [(e["event"], e["at"]) for e in told] == [("gate.started", AT), ("gate.finished", told[-1]["at"])]


def _carried(finished: Event, gate: Event) -> Event:
    result = {name: value for name, value in finished.items() if name not in ("event", "at")}
    times = {"at": finished["at"], "started_at": finished["at"], "finished_at": finished["at"]}
    return {"event": "gate.carried", "run_id": OPENED["run_id"], "gate": gate, "result": result, **times}


def opened(make: Callable[[Choices], Run]) -> Callable[[Choices], Run]:
    return lambda rng: carrying(rng, make(rng))


class TestCarrying:
    @cases(clean_run)
    def test_what_is_green_and_fresh_is_go(self, run: Run, rng: Choices) -> None:
        """What the others start from."""
        assert carrying(rng, run).decided().verdict is Verdict.GO

    @cases(any_run)
    def test_is_never_better_than_having_run(self, run: Run, rng: Choices) -> None:
        """Not the verdict, and not how long it lasts."""
        ran, carried = run.decided(), carrying(rng, run).decided()

        assert rank(carried) <= rank(ran)
        assert carried.expires_at <= ran.expires_at


class TestEditedJournal:
    @cases(opened(clean_run))
    def test_does_not_survive_a_lost_doubled_or_moved_line(self, run: Run, rng: Choices) -> None:
        lines = run.lines()
        carried = [i for i, e in enumerate(run.events) if e["event"] == "gate.carried"]
        at = rng.choice(carried)
        line = lines.pop(at)
        if rng.random() < 0.5:
            to = rng.randrange(len(lines) + 1)
            assume(to != at)
            lines.insert(to, line)

        assert decided(lines, run).verdict is Verdict.NO_GO

    @cases(opened(any_run))
    def test_no_nulled_or_missing_value_helps(self, run: Run, rng: Choices) -> None:
        lines = run.lines()
        number = rng.randrange(len(lines))
        event = json.loads(lines[number])
        lines[number] = encode(without(event, rng.choice(list(values(event))), nulled=rng.random() < 0.5))

        never_better(run, lines)


class TestForgedJournal:
    @cases(opened(any_run))
    def test_no_lost_carried_gate_helps(self, run: Run, rng: Choices) -> None:
        """Any set of them, whether the first line still announces them or not."""
        at = [i for i, e in enumerate(run.events) if e["event"] == "gate.carried"]
        gone = {at[i] for i in rng.subset(len(at))}
        events = copy.deepcopy([e for i, e in enumerate(run.events) if i not in gone])
        if rng.random() < 0.5:
            events[0]["opened"]["carried"] -= len(gone)
            if not events[0]["opened"]["carried"]:
                del events[0]["opened"]
        lost = [run.events[i] for i in gone]

        never_better(run, sign(events))
        optional = all("extra" in e["gate"]["nodeid"] for e in lost)
        assert optional or decided(sign(events), run).verdict is Verdict.NO_GO

    @cases(opened(any_run))
    def test_no_nulled_or_missing_value_helps(self, run: Run, rng: Choices) -> None:
        """Of the first line, of a carried gate, or of what was collected."""
        kinds = ("run.started", "gate.carried", "run.collected")
        number = rng.choice([i for i, e in enumerate(run.events) if e["event"] in kinds])
        path = rng.choice(list(values(run.events[number])))
        assume(not spares_optional(run, run.events[number], path))
        changed = without(run.events[number], path, nulled=rng.random() < 0.5)

        never_better(run, sign([*run.events[:number], changed, *run.events[number + 1 :]]))

    @cases(opened(any_run))
    def test_no_lost_report_or_measurement_of_a_carried_gate_helps(self, run: Run, rng: Choices) -> None:
        events = copy.deepcopy(run.events)
        carried = rng.one_of([e for e in events if e["event"] == "gate.carried"])
        told: list[Any] = rng.one_of(
            [x for x in (carried["result"]["phases"], carried["result"]["measurements"]) if x]
        )
        gone = rng.subset(len(told))
        told[:] = [x for i, x in enumerate(told) if i not in gone]

        never_better(run, sign(events))


class TestSealedEvidence:
    def test_no_set_of_the_opened_run_s_envelopes_may_be_missing(self) -> None:
        """Also when the run that carries is signed anew, with digests that fit."""
        bundle, report = OpenedRun().base
        lines = bundle.splitlines(keepends=True)

        def seal(kept: bytes) -> tuple[bytes, bytes]:
            def alter(events: list[dict[str, Any]]) -> None:
                events[0]["opened"]["bundle"] = hashlib.sha256(kept).hexdigest()

            return OpenedRun(alter=alter, kept=OpenedEvidence(kept, report)).seal()

        assert verify_bundle(*seal(bundle), ANCHOR).is_valid
        for size in range(1, len(lines)):
            for kept in combinations(lines, size):
                codes = {p.code.code for p in verify_bundle(*seal(b"".join(kept)), ANCHOR).problems}
                assert codes == {"opened.invalid"}, [lines.index(line) for line in kept]
