"""For every reason there is a change, and deciding again shows that it is enough and none of it too much."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from pytest_cutover.model import Operator, PolicySignature, Requirement, Runner, Verdict, rfc3339
from pytest_cutover.obligation import Owed
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.rejudge.case import Case
from pytest_cutover.rejudge.explain import explain
from tests.unit.journals import (
    GATE_CODE,
    NOW,
    clean_run,
    collected,
    finished,
    gate_carried,
    gate_finished,
    gate_started,
    info,
    limit,
    measurement,
    opened_run,
    phase,
    policy,
    problem,
    started,
)
from tests.unit.rejudge.cases import case
from tests.unit.test_waiver import given, limited, run

OLD = rfc3339(NOW - timedelta(hours=1))
SOON = rfc3339(NOW + timedelta(minutes=5))


def gate(*measured, **changes):
    """A run of one gate that ends like this."""
    return [started(), collected(), gate_started(), gate_finished("ready", *measured, **changes), finished()]


def phases(when, outcome, raised):
    """A gate one of whose phases went wrong."""
    bad = [phase(w, outcome, raised, "no") if w == when else phase(w) for w in ("setup", "call", "teardown")]
    return gate(phases=bad, status=1)


def without_measurement():
    """A gate that stopped in its body, before it measured."""
    bad = [phase("setup"), phase("call", "failed", "error", "ConnectError: refused"), phase("teardown")]
    return [
        started(),
        collected(),
        gate_started(),
        gate_finished(phases=bad, measurements=[], measured=0),
        finished(),
    ]


PINNED = "sha256:" + "d" * 64
STAGING = {"environment": "staging", "sandbox": False}
PRODUCTION = started(environment="staging", sandbox=False)
TWO_HOLDERS = [
    started(),
    collected(info(), info(nodeid="gates/test_other.py::test_ready")),
    gate_started(),
    gate_finished(),
    finished(),
]
OVERDUE = Owed("errors", "watch", "run-1", NOW - timedelta(hours=2), NOW - timedelta(hours=1)).to_json()

SCENARIOS = {
    "limit.broken": case(gate(measurement(value="0.9"))),
    "limit.broken between": case(
        gate(measurement(value="9")),
        limits={"ready": {"latency": limit(Operator.BETWEEN, Decimal(1), Decimal(2))}},
    ),
    "limit.broken text": case(
        gate(measurement(value="down", kind="text")),
        limits={"ready": {"latency": limit(Operator.ONE_OF, "up", "ok")}},
    ),
    "gate.failed": case(phases("call", "failed", "assertion")),
    "gate.subtest-failed": case(phases("call", "failed", "subtest")),
    "gate.not-collected": case(clean_run(), policy("ready", "gone")),
    "gate.deselected": case(
        [started(), collected(deselected=[info("gone")]), *clean_run()[2:]], policy("ready", "gone")
    ),
    "gate.not-run": case([started(), collected(), finished()]),
    "gate.not-finished": case([started(), collected(), gate_started(), finished()]),
    "gate.phase-missing": case(gate(phases=[phase("setup")])),
    "gate.skipped": case(phases("call", "skipped", "skip")),
    "gate.xfailed": case(phases("call", "skipped", "xfail")),
    "gate.setup-failed": case(phases("setup", "failed", "error")),
    "gate.error": case(without_measurement()),
    "gate.teardown-failed": case(phases("teardown", "failed", "error")),
    "gate.timeout": case(gate(duration_s=61.0)),
    "gate.rerun": case([started(), collected(), *[gate_started(), gate_finished()] * 2, finished()]),
    "gate.interrupted": case(phases("call", "failed", "interrupt")),
    "gate.altered": case(phases("call", "passed", "error")),
    "gate.duplicate": case(TWO_HOLDERS),
    "gate.instances": case(
        clean_run("ready[eu]", "ready[ap]"), requires=(Requirement("ready", ("eu", "us")),)
    ),
    "gate.instances counted": case(clean_run("ready[eu]", "ready[ap]"), requires=(Requirement("ready", 3),)),
    "gate.instances too many": case(clean_run("ready[eu]", "ready[ap]"), requires=(Requirement("ready", 1),)),
    "gate.instances unnamed": case(clean_run("ready[eu]", "ready[ap]")),
    "gate.code-changed": case(gate_code_digest=PINNED),
    "gate.code-outside": case(
        [started(), collected(info(file="elsewhere/test_x.py")), *clean_run()[2:]], gate_code_digest=GATE_CODE
    ),
    "gate.no-measurement": case(gate(measurement("other", information=True)), limits={}),
    "gate.record-incomplete": case(gate(measured=3, reported=4)),
    "limit.unmeasured": case(gate(measurement("other", information=True))),
    "measurement.unjudged": case(gate(measurement(), measurement("other"))),
    "measurement.invalid": case(gate(measurement(value="nan", kind="invalid"))),
    "measurement.kind": case(gate(measurement(value="fast", kind="text"))),
    "measurement.unit": case(gate(measurement(value="200", unit="ms"))),
    "measurement.duplicate": case(gate(measurement(), measurement())),
    "measurement.stale": case(gate(measurement(observed_at=OLD))),
    "measurement.future": case(gate(measurement(observed_at=SOON))),
    "measurement.samples-missing": case(gate(measurement()), min_samples=100),
    "measurement.samples-low": case(gate(measurement(samples=7)), min_samples=100),
    "run.nothing-selected": case([started(), collected(gates=[]), finished()]),
    "run.not-clean": case(
        [*clean_run()[:-1], problem("run.not-clean"), problem("run.not-clean"), finished()]
    ),
    "run.journal-incomplete": case(clean_run()[:-1]),
    "run.journal-damaged": case([*clean_run(), started()]),
    "run.runner": case(runner=Runner.SUPERVISED),
    "subject.missing": case(
        [started(subjects=[], environment="staging", sandbox=False), *clean_run()[1:]], **STAGING
    ),
    "log.unavailable": case(log="cutover.local"),
    "log.rewritten": case([*clean_run()[:-1], problem("log.rewritten"), finished()]),
    "section.missing": case(sections=("perf", "judges")),
    "policy.unsigned": case([PRODUCTION, *clean_run()[1:]], signature=PolicySignature.UNSIGNED, **STAGING),
    "policy.untrusted": case(signature=PolicySignature.UNTRUSTED),
    "policy.threshold": case(signature=PolicySignature.THRESHOLD),
    "policy.outdated": case(signature=PolicySignature.OUTDATED),
    "policy.expired": case(expires_at=NOW - timedelta(days=1)),
    "policy.changed": case(digest=PINNED),
    "policy.empty": case(requires=()),
    "shard.unnamed": case(shards=("eu", "us")),
    "shard.foreign": case([started(shard="mars"), *clean_run()[1:]], shards=("eu", "us")),
    "shard.partial": case([started(shard="eu"), *clean_run()[1:]], shards=2),
    "obligation.overdue": case(
        [started(owed=[OVERDUE, OVERDUE | {"gate": "ready", "guard": "seen"}]), *clean_run()[1:]]
    ),
    "carried.expired": case(
        opened_run(gate_carried("seen", measurement(observed_at=rfc3339(NOW - timedelta(minutes=10))))),
        policy("ready", "seen", decision_ttl_s=600.0),
    ),
    "carried.outdated": case([*opened_run()[:-1], problem("carried.outdated"), finished()]),
    "carried.changed": case(opened_run(gate_carried("seen", gate=info("seen", line=13)))),
    "key.development": case([started(signer="development"), *clean_run()[1:]], development_key=False),
}


class TestEveryReason:
    @pytest.mark.parametrize("name", SCENARIOS)
    def test_has_a_change_that_is_shown_to_lead_to_a_go(self, name):
        judged = SCENARIOS[name]
        code = name.split()[0]

        found = explain(judged)

        assert code in {f.reason.code for f in found.decision.findings}
        assert found.is_proven, [f.reason.code for f in found.after.findings]
        assert all(c.shown for c in found.changes)
        if code not in ("gate.altered", "run.nothing-selected"):  # these go away with what is behind them
            assert code in {c.finding.reason.code for c in found.changes}

    def test_that_moves_a_verdict_is_among_the_scenarios(self):
        """A reason that is told by a problem of the journal is taken away with the problem."""
        told = {r for r in Reason if r.code.startswith(("run.", "evidence."))} | {
            Reason.GATE_INVALID,
            Reason.GATE_CANCELLED,
        }
        moving = {r.code for r in Reason if r.weight is not Weight.NOTE and r not in told}
        moving = {c for c in moving if not c.startswith(("waiver.", "guards."))}  # tests of their own
        of_merges = {c for c in moving if c.startswith("shard.")} - {
            "shard.unnamed",
            "shard.foreign",
            "shard.partial",
        }
        moving -= of_merges

        assert moving - {name.split()[0] for name in SCENARIOS} == set()

    @pytest.mark.parametrize(
        "reason",
        [r for r in Reason if r.code.startswith("run.") and r.weight is not Weight.NOTE],
        ids=lambda r: r.code,
    )
    def test_that_a_journal_tells_is_taken_away_with_its_problem(self, reason):
        found = explain(case([*clean_run()[:-1], problem(reason.code), problem(reason.code), finished()]))

        assert found.is_proven
        assert [c.finding.reason for c in found.changes] == [reason]


class TestTheChange:
    def test_of_a_broken_limit_is_the_nearest_value_that_keeps_it(self):
        (change,) = explain(SCENARIOS["limit.broken"]).changes

        assert change.text == "latency: 0.9 s → at most 0.5 s (-0.4 s)"
        assert change.to_json() == {
            "code": "limit.broken",
            "gate": "ready",
            "measurement": "latency",
            "what": "latency",
            "have": "0.9 s",
            "need": "at most 0.5 s",
            "by": "-0.4 s",
            "follows": False,
            "shown": True,
        }

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("limit.broken between", "latency: 9 s → between 1 and 2 s (-7 s)"),
            ("limit.broken text", "latency: down s → one of up, ok s"),
            (
                "gate.not-collected",
                "the gate: not run → gone collected and run, measuring latency at most 0.5 s",
            ),
            (
                "gate.deselected",
                "the gate: deselected → gone collected and run, measuring latency at most 0.5 s",
            ),
            ("measurement.samples-low", "the samples of latency: 7 → at least 100 (+93)"),
            ("measurement.samples-missing", "the samples of latency: none named → at least 100 (+100)"),
            (
                "measurement.stale",
                "the age of latency: 3600 s → at most 900 s: observed at 2026-11-21T08:33:00.000000Z or later",
            ),
            ("run.runner", "the runner: in-process → supervised: cutover run preflight"),
            (
                "policy.unsigned",
                "the policy's signature: unsigned → by a key that is trusted for policies: cutover policy sign",
            ),
            ("run.not-clean", "tests and collectors that fail beside the gates: twice → never"),
            ("gate.instances unnamed", "the policy's instances of this gate: none named → eu, ap"),
        ],
    )
    def test_is_said_in_words(self, name, text):
        assert [c.text for c in explain(SCENARIOS[name]).changes] == [text]

    def test_of_instances_names_those_that_miss_and_those_too_many(self):
        (change,) = explain(SCENARIOS["gate.instances"]).changes

        assert "ready[us] collected and run" in change.text
        assert "ready[ap] left out, or named in the policy" in change.text

    def test_that_another_brings_about_follows_it(self):
        """A gate whose body stopped has not measured: that too is needed, and only then."""
        found = explain(SCENARIOS["gate.error"])

        assert [(c.finding.reason.code, c.follows) for c in found.changes] == [
            ("gate.error", False),
            ("limit.unmeasured", True),
        ]

    def test_that_another_makes_superfluous_is_left_out(self):
        """A changed outcome and the error behind it go away together."""
        found = explain(SCENARIOS["gate.altered"])

        assert {f.reason.code for f in found.decision.findings} >= {"gate.altered", "gate.error"}
        assert len(found.changes) == 1


class TestTheSet:
    def test_is_empty_for_a_go(self):
        found = explain(case())

        assert found.changes == ()
        assert found.is_proven
        assert found.top is None

    def test_is_minimal_without_any_of_them_there_is_no_go(self):
        """One change fewer leaves the finding it answers: shown on every scenario by its own finding."""
        events = [
            started(runner="in-process"),
            collected("ready", "slow"),
            *gate(measurement(value="0.9"))[2:4],
            gate_started("slow"),
            gate_finished("slow", measurement(value="0.7"), measurement("other")),
            problem("run.not-clean"),
            finished(),
        ]
        found = explain(case(events, policy("ready", "slow", "gone"), runner=Runner.SUPERVISED))

        assert found.is_proven
        assert sorted(c.finding.reason.code for c in found.changes) == [
            "gate.not-collected",
            "limit.broken",
            "limit.broken",
            "measurement.unjudged",
            "run.not-clean",
            "run.runner",
        ]

    def test_says_so_when_nobody_can_say_what_would_help(self):
        """An empty plan over an empty run: no gate there is that it could require."""
        found = explain(case([started(), collected(gates=[]), finished()], requires=(), limits={}))

        assert not found.is_proven
        assert found.after.verdict is Verdict.NO_GO
        assert [c.shown for c in found.changes if c.finding.reason is Reason.POLICY_EMPTY] == [False]

    def test_of_thousands_of_red_gates_is_found_gate_by_gate(self):
        """Deciding all of them again for each of them would take minutes."""
        keys = [f"g{n}" for n in range(2000)]
        red = [e for k in keys for e in (gate_started(k), gate_finished(k, measurement(value="9")))]

        found = explain(case([started(), collected(*keys), *red, finished()], policy(*keys)))

        assert found.is_proven
        assert len(found.changes) == 2000


class TestWaivers:
    def test_a_waived_gate_does_not_have_to_differ(self):
        waivers = (given(),)
        held = Case(run(), limited(), NOW, waivers)

        found = explain(held)

        assert [f.reason.code for f in found.decision.findings] == ["guards.unconfirmed", "limit.broken"]
        assert [c.finding.reason.code for c in found.changes] == ["guards.unconfirmed"]
        assert found.after.verdict is Verdict.GO_WITH_GUARDS
        assert found.is_proven

    def test_one_that_does_not_count_is_no_way_out(self):
        found = explain(Case(run(), limited(), NOW, (given(environment="staging"),)))

        assert [c.finding.reason.code for c in found.changes] == ["limit.broken"]


class TestTopImpact:
    def test_is_the_red_gate_farthest_beyond_its_limit(self):
        keys = ("near", "far", "gone")
        events = [
            started(),
            collected("near", "far"),
            gate_started("near"),
            gate_finished("near", measurement(value="0.6")),
            gate_started("far"),
            gate_finished("far", measurement(value="5")),
            finished(),
        ]

        top = explain(case(events, policy(*keys))).top

        assert top is not None
        assert (top.name, top.owner, [f.reason.code for f in top.findings]) == (
            "far",
            "sre",
            ["limit.broken"],
        )

    def test_is_the_run_when_nothing_else_is_wrong(self):
        top = explain(SCENARIOS["run.runner"]).top

        assert top is not None
        assert top.name == "the run"
        assert top.to_json() == {"gate": None, "title": "", "owner": None, "findings": ["run.runner"]}

    def test_red_goes_before_unproven_however_many(self):
        events = gate(measurement(value="0.51"))
        missing = [f"m{n}" for n in range(5)]

        top = explain(case(events, policy("ready", *missing))).top

        assert top is not None
        assert top.name == "ready"
