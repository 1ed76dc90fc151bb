"""What holds for every decision: more red never helps, stricter never helps, time never heals."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

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
from tests.properties.cases import Choices, assume, cases
from tests.properties.strategies import Run, any_run, clean_run, decided, faulty_run, rank
from tests.unit.journals import NOW, gate_finished, gate_started, info, limit, measurement, phase, sign

if TYPE_CHECKING:
    from pytest_cutover.model import Decision


UNPROVEN = [reason for reason in Reason if reason.weight is Weight.UNPROVEN]


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

    @cases(any_run)
    def test_another_red_never_helps(self, run: Run, rng: Choices) -> None:
        """A broken measurement, a failed phase, a red gate that nobody requires, a failing attempt."""
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

        assert decided(sign(events), run).verdict is Verdict.NO_GO

    @cases(any_run)
    def test_another_problem_never_helps(self, run: Run, rng: Choices) -> None:
        """Whatever the run says against itself blocks."""
        reason = rng.choice(UNPROVEN)
        record = fold(run.lines())
        told = replace(record, problems=(*record.problems, Problem(reason, "told")))

        assert decide(told, run.policy, NOW).verdict is Verdict.NO_GO

    @cases(faulty_run)
    def test_another_requirement_never_helps(self, run: Run, rng: Choices) -> None:
        """Asking for more gates, one that ran or one that did not."""
        assume(run.policy.requires)  # an empty plan proves nothing, so requiring something can only help it
        gate = rng.choice(("extra", "a", "never-heard-of"))
        asked = replace(run, policy=replace(run.policy, requires=(*run.policy.requires, Requirement(gate))))

        assert rank(asked.decided()) <= rank(run.decided())

    @cases(clean_run)
    def test_a_requirement_that_nothing_ran_for_is_no_go(self, run: Run, rng: Choices) -> None:
        """Of a whole run too: a gate, or an instance of one, that never ran."""
        asked = rng.choice((Requirement("never-heard-of"), Requirement("r", ("eu", "us", "mars"))))
        requires = (*(r for r in run.policy.requires if r.gate != asked.gate), asked)

        after = replace(run, policy=replace(run.policy, requires=requires)).decided()

        assert after.verdict is Verdict.NO_GO


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

    @cases(faulty_run)
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

    @cases(any_run)
    def test_stale_stays_stale(self, run: Run, rng: Choices) -> None:
        """What is too old, or has ended, at one time is so at every later one."""
        record = fold(run.lines())
        first = NOW + timedelta(seconds=rng.uniform(0, 3000))
        later = first + timedelta(seconds=rng.uniform(0, 10 ** rng.randint(0, 9)))
        past = {Reason.MEASUREMENT_STALE, Reason.POLICY_EXPIRED}
        before = {f.reason for f in decide(record, run.policy, first).findings} & past
        assume(before)

        then = decide(record, run.policy, later)

        assert before <= {f.reason for f in then.findings}
        assert then.verdict is Verdict.NO_GO

    @cases(clean_run)
    def test_every_go_grows_old(self, run: Run, rng: Choices) -> None:
        """Evidence that is GO today is not for ever: when the oldest measurement may be used no longer, it has ended."""
        later = NOW + timedelta(seconds=run.policy.max_age_s * rng.uniform(1, 100))

        assert run.decided().verdict is Verdict.GO
        assert decide(fold(run.lines()), run.policy, later).verdict is Verdict.NO_GO


class TestFunction:
    """decide() is a function of record, policy and time."""

    @cases(any_run)
    def test_same_input_same_answer(self, run: Run, rng: Choices) -> None:
        """Twice the same lines, twice the same decision."""
        assert run.decided() == run.decided()

    @cases(any_run)
    def test_order_of_gates_does_not_matter(self, run: Run, rng: Choices) -> None:
        """Gates may run in any order that a writer can journal: the decision says the same."""
        head, tail = run.events[:1], [e for e in run.events if e["event"] in ("run.finished", "run.exited")]
        middle = [e for e in run.events[1:] if e not in tail]
        # Of these two, the order of attempts, and of times, is what was recorded.
        assume("rerun" not in run.faults and "clock_back" not in run.faults)
        shuffled = run.with_events([*head, *rng.sample(middle, len(middle)), *tail])

        before, after = said(run.decided()), said(shuffled.decided())

        if "run.workers-disagree" in str(before):
            assert before[:2] == after[:2]  # its message names the workers in their order
        else:
            assert before == after

    @cases(any_run)
    def test_verdict_and_exit_code_agree(self, run: Run, rng: Choices) -> None:
        """0 is GO and GO is 0; red before unproven; heaviest first; green gates have nothing against them."""
        decision = run.decided()
        weights = [list(Weight).index(f.reason.weight) for f in decision.findings]

        assert (decision.exit_code is ExitCode.GO) == (decision.verdict is Verdict.GO)
        assert weights == sorted(weights)
        assert (decision.exit_code is ExitCode.NO_GO) == (0 in weights)
        if decision.verdict is Verdict.GO:
            assert decision.gates
            assert all(g.green for g in decision.gates if g.required)

    @cases(faulty_run)
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
