"""Runs to take things away from: whole ones, and ones with a few faults, as journal events and a policy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.model import (
    EffectivePolicy,
    Limit,
    Operator,
    PolicySignature,
    Requirement,
    Runner,
    Verdict,
    rfc3339,
)
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold
from pytest_cutover.waiver import WAIVABLE, guards_digest
from tests.properties.cases import Choices, UnsuitableError, assume
from tests.unit.journals import (
    AT,
    NOW,
    Event,
    collected,
    exited,
    finished,
    gate_finished,
    gate_started,
    info,
    measurement,
    phase,
    policy,
    problem,
    sign,
    started,
)
from tests.unit.test_waiver import given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.model import Decision
    from pytest_cutover.waiver import GivenWaiver

RANK = {Verdict.NO_GO: 0, Verdict.HOLD: 1, Verdict.GO_WITH_GUARDS: 2, Verdict.GO: 3}
"""How near to GO a verdict is."""


@dataclass
class Run:
    """One run: what was journalled, and the policy that judges it."""

    events: list[Event]
    policy: EffectivePolicy
    faults: tuple[str, ...] = ()
    waivers: tuple[GivenWaiver, ...] = ()

    def lines(self) -> list[bytes]:
        return sign(self.events)

    def of(self, kind: str) -> list[Event]:
        return [e for e in self.events if e["event"] == kind]

    def decided(self) -> Decision:
        return decided(self.lines(), self)

    def with_events(self, events: Sequence[Event]) -> Run:
        return replace(self, events=list(events))


def decided(lines: Sequence[bytes], run: Run) -> Decision:
    """What the run's policy says of these lines."""
    return decide(fold(lines), run.policy, NOW, run.waivers)


def rank(decision: Decision) -> int:
    return RANK[decision.verdict]


# -- whole runs ------------------------------------------------------------------------------

_LIMITED = (
    (Limit(Operator.AT_MOST, (Decimal("0.5"),), unit="s", min_samples=3), ("0.5", "number")),
    (Limit(Operator.AT_LEAST, (Decimal("0.995"),)), ("0.9951", "number")),
    (Limit(Operator.BETWEEN, (Decimal(1), Decimal(2)), max_age_s=60.0), ("1", "number")),
    (Limit(Operator.EQUALS, (Decimal(0),)), ("-0.0", "number")),
    (Limit(Operator.EQUALS, ("ready",)), ("ready", "text")),
    (Limit(Operator.ONE_OF, ("ready", "ok")), ("ok", "text")),
)


def _measured(name: str, limit: Limit, value: tuple[str, str], *, in_code: bool = False) -> Event:
    extra = {"limit": replace(limit, min_samples=None, max_age_s=None).to_json()} if in_code else {}
    return measurement(name, value[0], kind=value[1], unit=limit.unit, samples=3, **extra)


_REQUIRED = (("a",), ("a", "b"), ("a", "r[eu]", "r[us]"), ("r[eu]",))


def clean_run(rng: Choices) -> Run:
    """A run whose verdict is GO, alone or over two workers, supervised or not, with other tests or without."""
    limited = rng.sample(range(len(_LIMITED)), rng.randint(1, 3))
    required = rng.choice(_REQUIRED)
    optional, sandbox = rng.random() < 0.5, rng.random() < 0.5
    workers = rng.choice((("main",), ("gw0", "gw1")))
    runner = rng.choice(tuple(Runner))
    others = rng.choice(((), ("tests/test_a.py::test_a",)))
    names = {f"m{i}": _LIMITED[i] for i in limited}
    ids = list(dict.fromkeys(key.split("[")[0] for key in required))
    plan = policy(
        requires=tuple(
            Requirement(i, tuple(k[2:-1] for k in required if k.startswith("r[")) if i == "r" else None)
            for i in ids
        ),
        limits={i: {name: limit for name, (limit, _) in names.items()} for i in ids},
        runner=runner,
        sandbox=sandbox,
        environment="sandbox" if sandbox else "production",
        gate_code_digest="sha256:" + "b" * 64,
    )
    keys = [*required, "extra"] if optional else list(required)
    events = [started(runner=runner.value, sandbox=sandbox, environment=plan.environment)]
    collections = [collected(*keys, worker=w, others=list(others)) for w in workers]
    alone = len(workers) == 1
    events += collections if alone else []
    for number, key in enumerate(keys):
        measured = [_measured(n, x, v, in_code=key == "extra") for n, (x, v) in names.items()]
        if number == 0:
            measured.append(measurement("seen", information=True))
        worker = workers[number % len(workers)]
        events += [gate_started(key), gate_finished(key, *measured, worker=worker)]
    supervised = runner is Runner.SUPERVISED
    events += [] if alone else [*(gate_started(nodeid=n) for n in others), *collections]
    events += [finished(exit=11 if supervised else None), *([exited()] if supervised else [])]
    return Run(copy.deepcopy(events), plan)


# -- faults: each turns GO into NO-GO --------------------------------------------------------


def _gate(rng: Choices, run: Run) -> Event:
    chosen: Event = rng.one_of([g for g in run.of("gate.finished") if g["phases"] and g["measurements"]])
    return chosen


def _required(rng: Choices, run: Run) -> Event:
    chosen: Event = rng.one_of([g for g in run.of("gate.finished") if "extra" not in g["nodeid"]])
    return chosen


def _a_measurement(rng: Choices, run: Run) -> Event:
    gate = _gate(rng, run)
    judged = [m for m in gate["measurements"] if not m.get("information")]
    chosen: Event = rng.one_of(judged)
    return chosen


def bad_value(rng: Choices, run: Run) -> None:
    change: Event = rng.choice(
        (
            {"value": "9"},
            {"value": "broken"},
            {"kind": "invalid", "value": "nan"},
            {"unit": "ms"},
            {"observed_at": rfc3339(NOW - timedelta(days=1))},
            {"observed_at": rfc3339(NOW + timedelta(days=1))},
            {"kind": "text", "value": "9"},
        )
    )
    _a_measurement(rng, run).update(change, information=False)


def few_samples(rng: Choices, run: Run) -> None:
    run.policy = replace(run.policy, min_samples=5)
    chosen = _a_measurement(rng, run)
    if rng.random() < 0.5:
        chosen.pop("samples", None)


def measured_twice(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    gate["measurements"].append(dict(gate["measurements"][0]))
    gate["measured"] += 1


def without_a_limit(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    gate["measurements"].append(measurement("unlimited"))
    gate["measured"] += 1


def broken_in_code(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    own = Limit(Operator.AT_MOST, (Decimal(1),)).to_json()
    gate["measurements"].append(measurement("own", "2", unit="1", limit=own))
    gate["measured"] += 1


def lost_measurement(rng: Choices, run: Run) -> None:
    _gate(rng, run)["measured"] += 1


def not_measured(rng: Choices, run: Run) -> None:
    gate = _required(rng, run)
    gate["measurements"] = gate["measurements"][1:]
    gate["measured"] -= 1


def bad_phase(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    chosen = rng.one_of(gate["phases"])
    chosen[1:3] = rng.choice(
        (
            ["failed", "assertion"],
            ["failed", "error"],
            ["failed", "timeout"],
            ["failed", ""],
            ["skipped", "skip"],
            ["skipped", ""],
            ["skipped", "xfail"],
            ["passed", "error"],
            ["passed", "judged"],
            ["passed", "assertion"],
        )
    )


def bad_subtest(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    word = rng.choice((("failed", "subtest"), ("skipped", "skip"), ("passed", "error")))
    gate["phases"].insert(1, phase("call", *word))
    gate["reported"] += 1


def lost_report(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    if rng.random() < 0.5:
        gate["phases"].remove(rng.one_of(gate["phases"]))
    else:
        gate["reported"] += 1


def too_slow(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    gate["duration_s"] = 30
    for event in run.of("run.collected"):
        for listed in (g for g in event["gates"] if g["nodeid"] == gate["nodeid"]):
            listed["timeout_s"] = 20
    if rng.random() < 0.5:
        run.policy = replace(run.policy, gate_timeout_s=20.0)


def not_finished(rng: Choices, run: Run) -> None:
    run.events.remove(_gate(rng, run))


def not_run(rng: Choices, run: Run) -> None:
    gate = _required(rng, run)
    run.events = [e for e in run.events if e.get("nodeid") != gate["nodeid"]]


def rerun(rng: Choices, run: Run) -> None:
    gate = _gate(rng, run)
    at = run.events.index(gate)
    failed = copy.deepcopy(gate)
    failed["phases"][-1][1:3] = ["failed", "assertion"]
    gate["attempt"] = 2
    key = {"nodeid": gate["nodeid"]}
    run.events[at:at] = [failed, gate_started(**key)]


def one_id_twice(rng: Choices, run: Run) -> None:
    first = rng.one_of(run.of("run.collected")[0]["gates"])
    copied = {**first, "nodeid": "gates/test_b.py::test_b"}
    for event in run.of("run.collected"):
        event["gates"].append(dict(copied))
    ran = _gate(rng, run)
    gate = copy.deepcopy(ran) | {"nodeid": copied["nodeid"]}
    at = run.events.index(ran) + 1
    run.events[at:at] = [gate_started(nodeid=copied["nodeid"]), gate]


def not_collected(rng: Choices, run: Run) -> None:
    gone = rng.one_of([g for g in run.of("run.collected")[0]["gates"] if g["id"] != "extra"])
    key, node = gone["key"], gone["nodeid"]
    dropped = rng.random() < 0.5
    for event in run.of("run.collected"):
        event["gates"] = [g for g in event["gates"] if g["nodeid"] != node]
        event["deselected"] = [info(key)] if dropped else []
    run.events = [e for e in run.events if e.get("nodeid") != node]


def workers_disagree(rng: Choices, run: Run) -> None:
    events = run.of("run.collected")
    if len(events) == 1 or (rng.random() < 0.5):
        events[-1]["gates"].remove(rng.one_of(events[-1]["gates"]))
    else:
        events[0]["gates"].append(info("ghost"))


def told_problem(rng: Choices, run: Run) -> None:
    codes = ("run.not-clean", "run.collect-error", "run.interrupted", "run.worker-crashed", "run.asserts-off")
    at = run.events.index(run.of("run.finished")[0])
    run.events.insert(at, problem(rng.choice(codes)))


def bad_status(rng: Choices, run: Run) -> None:
    run.of("run.finished")[0]["status"] = rng.choice((1, 2, 3, 139))


def bad_end(rng: Choices, run: Run) -> None:
    change = rng.choice(({"nonce": "00"}, {"status": None}))
    run.of("run.finished")[0].update(change)


def bad_exit(rng: Choices, run: Run) -> None:
    runner = Runner.SUPERVISED
    run.of("run.started")[0]["runner"] = runner.value
    run.of("run.finished")[0]["exit"] = 11
    ends = rng.choice(({"status": 0}, {"signal": 9}))
    run.events = [*(e for e in run.events if e["event"] != "run.exited"), exited(**ends)]


def clock_back(rng: Choices, run: Run) -> None:
    event = rng.choice(run.events[1:])
    event["at"] = rfc3339(NOW - timedelta(hours=1))


def bad_head(rng: Choices, run: Run) -> None:
    change = rng.choice(
        (
            {"plan": "canary"},
            {"policy_digest": "sha256:0"},
            {"gate_code_digest": "sha256:0"},
            {"sandbox": None},
            {"signer": "development"},
        )
    )
    run.policy = replace(run.policy, development_key=False)
    run.events[0].update(change)


def no_subject(rng: Choices, run: Run) -> None:
    run.policy = replace(run.policy, sandbox=False, environment="production")
    run.events[0].update(subjects=[], sandbox=False, environment="production")


def bad_policy(rng: Choices, run: Run) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"signature": PolicySignature.UNTRUSTED},
        {"expires_at": NOW},
        {"requires": ()},
        {"digest": "sha256:f"},
        {"gate_code_digest": "sha256:f"},
        {"gate_code_paths": ("elsewhere",)},
        {"requires": (*run.policy.requires, Requirement("missing"))},
    )
    run.policy = replace(run.policy, **rng.choice(changes))


Fault = Callable[[Choices, Run], None]

FAULTS: tuple[Fault, ...] = (
    bad_value,
    few_samples,
    measured_twice,
    without_a_limit,
    broken_in_code,
    lost_measurement,
    not_measured,
    bad_phase,
    bad_subtest,
    lost_report,
    too_slow,
    not_finished,
    not_run,
    rerun,
    one_id_twice,
    not_collected,
    workers_disagree,
    told_problem,
    bad_status,
    bad_end,
    bad_exit,
    clock_back,
    bad_head,
    no_subject,
    bad_policy,
)


def faulty_run(rng: Choices) -> Run:
    """A run with one fault or two: what is taken away from it may be the fault itself."""
    run = clean_run(rng)
    for _ in range(rng.randint(1, 2)):
        fault = rng.choice(FAULTS)
        try:
            fault(rng, run)
        except UnsuitableError:
            continue
        run.faults = (*run.faults, fault.__name__)
    assume(run.faults)
    return run


def _waivable(rng: Choices, gate: Event) -> None:
    """Make a gate red for something that a person can take responsibility for."""
    judged = rng.one_of([m for m in gate["measurements"] if not m.get("information")])
    how = rng.randrange(3)
    if how == 0:
        judged["value"] = "9" if judged["kind"] == "number" else "broken"
    elif how == 1:
        gate["phases"][1][1:3] = ["failed", "assertion"]
    else:
        judged["observed_at"] = rfc3339(NOW - timedelta(days=1))


def _waiver(rng: Choices, run: Run, key: str) -> GivenWaiver:
    """Three in four count: for this gate, its change set and now, signed by somebody who is no author."""
    odd: Event = rng.choice(
        ({"expires_at": NOW}, {"environment": "elsewhere"}, {"subjects": ()}, {"persons": ("Ann",)})
    )
    accepts = frozenset({Reason.LIMIT_BROKEN, Reason.GATE_FAILED, Reason.MEASUREMENT_STALE})
    return given(
        **{
            "gate": key,
            "environment": run.policy.environment,
            "accepts": WAIVABLE if rng.random() < 0.5 else accepts,
            "ticket": f"OPS-{key}",
            "envelope": key.encode(),
        }
        | (odd if rng.random() < 0.25 else {})
    )


def waived_run(rng: Choices) -> Run:
    """A run with red gates and waivers of them, most of which count; its guards are mostly in place."""
    run = clean_run(rng)
    run.policy = replace(run.policy, waiver_persons=1)
    run.events[0]["authors"] = ["Ann"]
    keys = {g["nodeid"]: g["key"] for g in run.of("run.collected")[0]["gates"]}
    red = rng.sample(run.of("gate.finished"), rng.randint(1, len(run.of("gate.finished"))))
    for gate in red:
        _waivable(rng, gate)
    red_keys = {keys[gate["nodeid"]] for gate in red}
    assume(red_keys == {g.key for g in run.decided().gates if not g.green})
    run.waivers = tuple(_waiver(rng, run, keys[gate["nodeid"]]) for gate in red)
    guards = run.decided().guards
    if guards and rng.random() < 0.8:
        run.events.append({"event": "guards.confirmed", "at": AT, "guards": guards_digest(guards)})
    run.faults = ("waived",)
    return run


def any_run(rng: Choices) -> Run:
    return clean_run(rng) if rng.random() < 0.5 else faulty_run(rng)


def small_runs(fault: Fault) -> list[Run]:
    """Runs of one gate with this fault alone: enough of them for each of its variants."""
    out = []
    for seed in range(400):
        rng = Choices(seed)
        run = clean_run(rng)
        if len(run.events) <= 6:
            fault(rng, run)
            out.append(replace(run, faults=(fault.__name__,)))
    return out[: 30 if fault in (bad_value, bad_phase, bad_subtest) else 5]
