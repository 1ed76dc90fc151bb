"""What holds for every decision: more red never helps, stricter never helps, time never heals."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.decision import decide
from pytest_cutover.model import (
    Bound,
    ExitCode,
    Limit,
    Operator,
    PolicySignature,
    Problem,
    Requirement,
    RunRecord,
    Verdict,
)
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.record import fold
from tests.properties.strategies import Choices, Run, any_runs, cases, choices, clean_runs, decided, rank
from tests.unit.journals import NOW, gate_finished, gate_started, info, limit, measurement, phase, sign

if TYPE_CHECKING:
    from pytest_cutover.model import Decision


def said(decision: Decision) -> tuple[Any, ...]:
    """The decision without the order in which its findings happen to stand."""
    return (
        decision.verdict,
        decision.exit_code,
        sorted((f.reason.code, f.gate or "", f.message) for f in decision.findings),
        sorted((g.key, g.green) for g in decision.gates),
    )


class TestRed:
    """Adding bad news."""

    @cases(700)
    @given(any_runs(), choices())
    def test_another_red_never_helps(self, run: Run, rng: Choices) -> None:
        """A broken measurement, a failed phase, a red gate that nobody requires, a failing attempt."""
        before = rank(run.decided())
        events = copy.deepcopy(run.events)
        gates = [e for e in events if e["event"] == "gate.finished"]
        how = rng.choice(("measurement", "phase", "gate", "attempt"))
        if how == "gate" or not gates:
            for event in (e for e in events if e["event"] == "run.collected"):
                event["gates"].append(info("red"))
            broken = measurement(value="9", limit=limit().to_json())
            events[1:1] = [gate_started("red"), gate_finished("red", broken)]
        else:
            gate = rng.choice(gates)
            if how == "measurement":
                gate["measurements"].append(measurement("more", "9", limit=limit().to_json()))
                gate["measured"] += 1
            elif how == "phase":
                gate["phases"].append(phase("call", "failed", "assertion", "no"))
                gate["reported"] += 1
            else:
                at = events.index(gate) + 1
                red = gate | {"phases": [phase("call", "failed", "assertion")], "reported": 1, "attempt": 2}
                events[at:at] = [gate_started(nodeid=gate["nodeid"]), red]

        after = decided(sign(events), run)

        assert rank(after) <= before
        assert after.verdict is Verdict.NO_GO

    @cases(300)
    @given(any_runs(), st.sampled_from([r for r in Reason if r.weight is Weight.UNPROVEN]))
    def test_another_problem_never_helps(self, run: Run, reason: Reason) -> None:
        """Whatever the run says against itself blocks."""
        record = fold(run.lines())
        told = replace(record, problems=(*record.problems, Problem(reason, "told")))

        assert decide(told, run.policy, NOW).verdict is Verdict.NO_GO

    @cases(300)
    @given(any_runs(), choices())
    def test_another_requirement_never_helps(self, run: Run, rng: Choices) -> None:
        """Asking for more gates, one that ran or one that did not."""
        gate = rng.choice(("extra", "a", "never-heard-of"))
        asked = replace(run, policy=replace(run.policy, requires=(*run.policy.requires, Requirement(gate))))

        # An empty plan is the exception: it proves nothing, so requiring something can only help it.
        assert not run.policy.requires or rank(asked.decided()) <= rank(run.decided())


def stricter(judged_by: Limit, by: Decimal) -> Limit:
    """The same limit, harder to satisfy."""
    bounds: tuple[Bound, ...] = judged_by.bounds
    numbers = [b for b in bounds if isinstance(b, Decimal)]
    if judged_by.operator is Operator.AT_MOST:
        bounds = (numbers[0] - by,)
    elif judged_by.operator is Operator.AT_LEAST:
        bounds = (numbers[0] + by,)
    elif judged_by.operator is Operator.BETWEEN:
        bounds = (numbers[0] + by, numbers[1])
    elif judged_by.operator is Operator.ONE_OF and len(bounds) > 1:
        bounds = bounds[1:]
    return replace(judged_by, bounds=bounds)


class TestStrictness:
    """A policy that asks for more."""

    @cases(1000)
    @given(any_runs(), choices())
    def test_stricter_policy_never_helps(self, run: Run, rng: Choices) -> None:
        """Tighter bounds, less age, more samples, less time, another unit, less trust."""
        by = Decimal(rng.randint(0, 20)) / 10
        kept = run.policy
        changes: tuple[dict[str, Any], ...] = (
            {"limits": {g: {n: stricter(x, by) for n, x in m.items()} for g, m in kept.limits.items()}},
            {"max_age_s": kept.max_age_s / 100},
            {"min_samples": 10},
            {"gate_timeout_s": 0.01},
            {"signature": PolicySignature.UNTRUSTED},
            {"development_key": False},
            {"gate_code_digest": "sha256:f"},
            {"clock_tolerance_s": 0.0},
            {"expires_at": NOW},
            {"sandbox": False},
        )
        changed = replace(run, policy=replace(kept, **rng.choice(changes)))

        assert rank(changed.decided()) <= rank(run.decided())

    @cases(500)
    @given(any_runs(), st.floats(0, 10**9))
    def test_stale_stays_stale(self, run: Run, seconds: float) -> None:
        """What is too old, or has ended, at one time is so at every later one."""
        record = fold(run.lines())
        later = NOW + timedelta(seconds=seconds)
        past = {Reason.MEASUREMENT_STALE, Reason.POLICY_EXPIRED}

        now, then = decide(record, run.policy, NOW), decide(record, run.policy, later)

        assert {f.reason for f in now.findings} & past <= {f.reason for f in then.findings}
        if {f.reason for f in now.findings} & past:
            assert then.verdict is Verdict.NO_GO

    @cases(300)
    @given(clean_runs())
    def test_every_go_grows_old(self, run: Run) -> None:
        """Evidence that is GO today is not for ever."""
        assert decide(fold(run.lines()), run.policy, NOW + timedelta(days=1)).verdict is Verdict.NO_GO


class TestFunction:
    """decide() is a function of record, policy and time."""

    @cases(300)
    @given(any_runs())
    def test_same_input_same_answer(self, run: Run) -> None:
        """Twice the same lines, twice the same decision."""
        assert run.decided() == run.decided()

    @cases(700)
    @given(any_runs(), choices())
    def test_order_of_gates_does_not_matter(self, run: Run, rng: Choices) -> None:
        """Gates may run in any order that a writer can journal: the decision says the same."""
        head, tail = run.events[:1], [e for e in run.events if e["event"] in ("run.finished", "run.exited")]
        middle = [e for e in run.events[1:] if e not in tail]
        if "rerun" in run.faults or "clock_back" in run.faults:
            return  # the order of attempts, and of times, is what was recorded
        shuffled = run.with_events([*head, *rng.sample(middle, len(middle)), *tail])

        before, after = said(run.decided()), said(shuffled.decided())

        if "run.workers-disagree" in str(before):
            assert before[:2] == after[:2]  # its message names the workers in their order
        else:
            assert before == after

    @cases(500)
    @given(any_runs())
    def test_verdict_and_exit_code_agree(self, run: Run) -> None:
        """0 is GO and GO is 0; red before unproven; heaviest first; green gates have nothing against them."""
        decision = run.decided()
        weights = [list(Weight).index(f.reason.weight) for f in decision.findings]

        assert (decision.exit_code is ExitCode.GO) == (decision.verdict is Verdict.GO)
        assert weights == sorted(weights)
        assert (decision.exit_code is ExitCode.NO_GO) == (0 in weights)
        if decision.verdict is Verdict.GO:
            assert decision.gates
            assert all(g.green for g in decision.gates if g.required)

    @cases(500)
    @given(any_runs(), choices())
    def test_part_of_a_record_is_never_better(self, run: Run, rng: Choices) -> None:
        """Also where no journal stands behind it: results, gates, subjects or starts taken from the record."""
        record = fold(run.lines())
        name = rng.choice(("results", "collected", "subjects", "started", "complete"))
        required = {r.gate for r in run.policy.requires}
        part = thinned(record, name, rng, required)

        assert rank(decide(part, run.policy, NOW)) <= rank(decide(record, run.policy, NOW))


def thinned(record: RunRecord, name: str, rng: Choices, required: set[str]) -> RunRecord:
    """The record with a part of one of its fields gone; of gates, only of those that are required."""
    if name == "complete":
        return replace(record, complete=False)
    if name == "started":
        return replace(record, started={})
    if name == "subjects":
        return replace(record, subjects=())
    if name == "collected":
        gone = rng.choice(sorted(required) or ["none"])
        return replace(record, collected=tuple(i for i in record.collected if i.id != gone))
    return replace(record, results=record.results[: rng.randint(0, len(record.results))])
