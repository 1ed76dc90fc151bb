"""`decide`: one scenario per reason, and the rules that hold whatever the record says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.decision import decide, judge_gate
from pytest_cutover.model import (
    ExitCode,
    Limit,
    Operator,
    PolicySignature,
    Requirement,
    Runner,
    Verdict,
    rfc3339,
)
from pytest_cutover.obligation import Owed
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.record import fold, gate_info, gate_result
from tests.unit import journals
from tests.unit.journals import (
    CLEAN,
    NOW,
    Event,
    clean_run,
    codes,
    collected,
    decision,
    exited,
    finished,
    gate_finished,
    gate_started,
    info,
    limit,
    measurement,
    nodeid,
    phase,
    policy,
    problem,
    record,
    sign,
    started,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.model import Decision, Finding


def one_gate(*measured: Event, key: str = "ready", **changes: Any) -> list[Event]:
    """A run whose only gate measured this."""
    return [
        started(),
        collected(key),
        gate_started(key),
        gate_finished(key, *measured, **changes),
        finished(),
    ]


def with_phases(*phases: Any, **changes: Any) -> list[Event]:
    return one_gate(phases=phases, **changes)


def ended_by(when: str, outcome: str, raised: str) -> list[Event]:
    """A gate whose phase `when` ended like this, and whose other phases are clean."""
    return with_phases(
        *(phase(when, outcome, raised, "boom") if p[0] == when else p for p in CLEAN), status=1
    )


def two_workers(first: Event, second: Event) -> list[Event]:
    return [started(), gate_started(), gate_finished(worker="gw0"), first, second, finished()]


def backwards() -> list[Event]:
    events = clean_run()
    events[2]["at"] = rfc3339(NOW - timedelta(hours=1))
    return events


def told(code: str) -> Callable[[], Decision]:
    """A scenario in which the run itself journalled the problem."""
    return lambda: decision([*clean_run()[:-1], problem(code), finished()])


def forked() -> Decision:
    lines = sign(clean_run())
    lines.insert(2, journals.encode({"seq": -1, "at": journals.AT, **problem("run.forked")}))
    return decide(fold(lines), policy(), NOW)


INSTANCES = replace(policy(), requires=(Requirement("ready", ("eu", "us")),))

SCENARIOS: dict[Reason, Callable[[], Decision]] = {
    Reason.LIMIT_BROKEN: lambda: decision(one_gate(measurement(value="0.6"))),
    Reason.GATE_FAILED: lambda: decision(ended_by("call", "failed", "assertion")),
    Reason.SUBTEST_FAILED: lambda: decision(
        with_phases(CLEAN[0], phase("call", "failed", "subtest"), *CLEAN[1:])
    ),
    Reason.GATE_NOT_COLLECTED: lambda: decision(clean_run(), policy("ready", "other")),
    Reason.GATE_DESELECTED: lambda: decision(
        [started(), collected("x", deselected=[info()]), *journals.gates("x"), finished()]
    ),
    Reason.GATE_NOT_RUN: lambda: decision([started(), collected(), finished()]),
    Reason.GATE_NOT_FINISHED: lambda: decision([started(), collected(), gate_started(), finished()]),
    Reason.GATE_PHASE_MISSING: lambda: decision(with_phases(CLEAN[0], CLEAN[2])),
    Reason.GATE_SKIPPED: lambda: decision(ended_by("call", "skipped", "skip")),
    Reason.GATE_XFAILED: lambda: decision(ended_by("call", "skipped", "xfail")),
    Reason.GATE_SETUP_FAILED: lambda: decision(ended_by("setup", "failed", "error")),
    Reason.GATE_ERROR: lambda: decision(ended_by("call", "failed", "error")),
    Reason.GATE_TEARDOWN_FAILED: lambda: decision(ended_by("teardown", "failed", "error")),
    Reason.GATE_TIMEOUT: lambda: decision(ended_by("call", "failed", "timeout")),
    Reason.GATE_RERUN: lambda: decision(
        [started(), collected(), *journals.gates(), gate_started(), gate_finished(attempt=2), finished()]
    ),
    Reason.GATE_INTERRUPTED: lambda: decision(ended_by("call", "failed", "interrupt")),
    Reason.GATE_ALTERED: lambda: decision(ended_by("call", "passed", "error")),
    Reason.GATE_DUPLICATE: lambda: decision(
        [started(), collected("ready", info(nodeid="gates/b.py::test_b")), *journals.gates(), finished()]
    ),
    Reason.GATE_INSTANCES: lambda: decision(clean_run("ready[eu]"), INSTANCES),
    Reason.GATE_CODE_CHANGED: lambda: decision(clean_run(), gate_code_digest="sha256:" + "d" * 64),
    Reason.GATE_CODE_OUTSIDE: lambda: decision(
        clean_run(), gate_code_digest=journals.GATE_CODE, gate_code_paths=("checks",)
    ),
    Reason.GATE_NO_MEASUREMENT: lambda: decision(one_gate(measurements=[], measured=0), limits={}),
    Reason.GATE_RECORD_INCOMPLETE: lambda: decision(one_gate(measured=2)),
    Reason.LIMIT_UNMEASURED: lambda: decision(one_gate(measurement("other", information=True))),
    Reason.MEASUREMENT_UNJUDGED: lambda: decision(one_gate(measurement(), measurement("other"))),
    Reason.MEASUREMENT_INVALID: lambda: decision(one_gate(measurement(value="nan", kind="invalid"))),
    Reason.MEASUREMENT_KIND: lambda: decision(one_gate(measurement(value="fast", kind="text"))),
    Reason.MEASUREMENT_UNIT: lambda: decision(one_gate(measurement(unit="ms"))),
    Reason.MEASUREMENT_DUPLICATE: lambda: decision(one_gate(measurement(), measurement())),
    Reason.MEASUREMENT_STALE: lambda: decision(one_gate(), max_age_s=9.9),
    Reason.MEASUREMENT_FUTURE: lambda: decision(
        one_gate(measurement(observed_at=rfc3339(NOW + timedelta(seconds=5.1))))
    ),
    Reason.SAMPLES_MISSING: lambda: decision(one_gate(), min_samples=1),
    Reason.SAMPLES_LOW: lambda: decision(one_gate(measurement(samples=99)), min_samples=100),
    Reason.GATE_NOT_APPLICABLE: lambda: decision(
        [
            *clean_run("ready", "extra")[:-3],
            gate_started("extra"),
            gate_finished(
                "extra",
                phases=(phase("setup", "skipped", "skip"), CLEAN[2]),
                measurements=[],
                measured=0,
            ),
            finished(),
        ]
    ),
    Reason.LIMIT_DIFFERS: lambda: decision(
        one_gate(measurement(limit=limit(Operator.AT_MOST, Decimal(9)).to_json()))
    ),
    Reason.RUN_NOTHING_SELECTED: lambda: decision([started(), collected(gates=[]), finished(status=5)]),
    Reason.RUN_NOT_CLEAN: told("run.not-clean"),
    Reason.RUN_COLLECT_ERROR: told("run.collect-error"),
    Reason.RUN_MODULE_SKIPPED: told("run.module-skipped"),
    Reason.GATE_INVALID: told("gate.invalid"),
    Reason.RUN_INTERRUPTED: told("run.interrupted"),
    Reason.RUN_INTERNAL_ERROR: told("run.internal-error"),
    Reason.RUN_DEADLINE: told("run.deadline"),
    Reason.RUN_WORKER_CRASHED: told("run.worker-crashed"),
    Reason.RUN_WORKERS_DISAGREE: lambda: decision(
        two_workers(collected(worker="gw0"), collected("ready", "b", worker="gw1"))
    ),
    Reason.RUN_FORKED: forked,
    Reason.RUN_JOURNAL_INCOMPLETE: lambda: decision(clean_run()[:-1]),
    Reason.RUN_JOURNAL_DAMAGED: lambda: decision([*clean_run(), started()]),
    Reason.RUN_EXIT_STATUS: lambda: decision([*clean_run()[:-1], finished(exit=11), exited(status=0)]),
    Reason.RUN_ASSERTS_OFF: told("run.asserts-off"),
    Reason.RUN_PROVE_RED: told("run.prove-red"),
    Reason.RUN_CLOCK: lambda: decision(backwards()),
    Reason.RUN_RUNNER: lambda: decision(clean_run(), runner=Runner.SUPERVISED),
    Reason.SUBJECT_MISSING: lambda: decision(
        [started(subjects=[], environment="production", sandbox=False), *clean_run()[1:]],
        environment="production",
        sandbox=False,
    ),
    Reason.POLICY_UNSIGNED: lambda: decision(
        [started(environment="production", sandbox=False), *clean_run()[1:]],
        environment="production",
        sandbox=False,
        signature=PolicySignature.UNSIGNED,
    ),
    Reason.POLICY_UNTRUSTED: lambda: decision(clean_run(), signature=PolicySignature.UNTRUSTED),
    Reason.POLICY_THRESHOLD: lambda: decision(clean_run(), signature=PolicySignature.THRESHOLD),
    Reason.POLICY_OUTDATED: lambda: decision(clean_run(), signature=PolicySignature.OUTDATED),
    Reason.POLICY_EXPIRED: lambda: decision(clean_run(), expires_at=NOW),
    Reason.POLICY_CHANGED: lambda: decision(clean_run(), digest="sha256:" + "e" * 64),
    Reason.POLICY_EMPTY: lambda: decision(clean_run(), requires=()),
    Reason.KEY_DEVELOPMENT: lambda: decision(
        [started(signer="development"), *clean_run()[1:]], development_key=False
    ),
    Reason.LOG_UNAVAILABLE: lambda: decision(clean_run(), log="cutover.local"),
    Reason.LOG_REWRITTEN: told("log.rewritten"),
    Reason.SECTION_MISSING: lambda: decision(clean_run(), sections=("perf",)),
    Reason.GATE_CANCELLED: told("gate.cancelled"),
    **{
        reason: lambda owed=owed: decision([started(owed=[owed.to_json()]), *clean_run()[1:]])
        for reason, owed in {
            Reason.OBLIGATION_OVERDUE: Owed("errors", "watch", "run-1", NOW - timedelta(hours=1), NOW),
            Reason.OBLIGATION_PENDING: Owed(
                "errors", "watch", "run-1", NOW - timedelta(hours=1), NOW + timedelta(seconds=1)
            ),
            Reason.OBLIGATION_MET: Owed("ready", "watch", "run-1", NOW - timedelta(hours=1), NOW),
        }.items()
    },
    Reason.KEY_MISSING: lambda: decision([started(signer="none"), *clean_run()[1:]]),
}

ELSEWHERE = {
    **{
        reason: "a waiver that does not count, or whose guards are not in place (tests/unit/test_waiver.py)"
        for reason in Reason
        if reason.code.startswith(("waiver.", "guards."))
    },
    **{reason: "tests/unit/test_carried.py" for reason in Reason if reason.code.startswith("carried.")},
    **{reason: "tests/unit/test_fleet.py" for reason in Reason if reason.code.startswith("shard.")},
    Reason.EVIDENCE_NOT_STORED: "only conclude.seal can know (tests/unit/run/test_conclude.py)",
    Reason.EVIDENCE_NOT_WRITTEN: "only conclude.seal can know (tests/unit/run/test_conclude.py)",
}


def finding(decided: Decision, reason: Reason) -> Finding:
    return next(f for f in decided.findings if f.reason is reason)


class TestReasons:
    """Every reason has a run that produces it."""

    @pytest.mark.parametrize("reason", SCENARIOS, ids=lambda r: r.code)
    def test_scenario_produces_its_reason(self, reason: Reason) -> None:
        """The reason is among the findings, and weighs on the verdict as its weight says."""
        decided = SCENARIOS[reason]()

        assert reason in {f.reason for f in decided.findings}
        heaviest = min((f.reason.weight for f in decided.findings), key=list(Weight).index)
        assert (
            decided.exit_code
            == {
                Weight.RED: ExitCode.NO_GO,
                Weight.UNPROVEN: ExitCode.UNPROVEN,
                Weight.NOTE: ExitCode.GO,
            }[heaviest]
        )

    def test_no_reason_is_without_a_scenario(self) -> None:
        """A new reason needs a run here that produces it, or a place that says where it comes from."""
        assert set(Reason) - set(SCENARIOS) - set(ELSEWHERE) == set()

    @pytest.mark.parametrize(
        "reason", [r for r in SCENARIOS if r.weight is not Weight.NOTE], ids=lambda r: r.code
    )
    def test_every_weighty_reason_is_no_go(self, reason: Reason) -> None:
        """Only a note leaves the verdict at GO."""
        assert SCENARIOS[reason]().verdict is Verdict.NO_GO

    @pytest.mark.parametrize(
        "reason", [r for r in SCENARIOS if r.weight is Weight.NOTE], ids=lambda r: r.code
    )
    def test_a_note_alone_leaves_go(self, reason: Reason) -> None:
        """What is only worth reading moves nothing."""
        assert SCENARIOS[reason]().verdict is Verdict.GO


class TestDecide:
    """The whole run."""

    def test_a_clean_run_is_go(self) -> None:
        """Everything required, measured within its limits, in a whole journal: the one way to GO."""
        decided = decision(clean_run())

        assert (decided.verdict, decided.exit_code) == (Verdict.GO, ExitCode.GO)
        assert decided.findings == ()
        assert [g.green for g in decided.gates] == [True]

    def test_naive_now_is_refused(self) -> None:
        """A time without a zone cannot be compared."""
        with pytest.raises(ValueError, match="now must be timezone-aware"):
            decide(record(clean_run()), policy(), NOW.replace(tzinfo=None))

    def test_red_comes_before_unproven(self) -> None:
        """10 before 11: a broken limit is named first, whatever else is missing."""
        decided = decision(one_gate(measurement(value="0.6")), policy("ready", "other"))

        assert decided.exit_code is ExitCode.NO_GO
        assert [f.reason for f in decided.findings] == [Reason.LIMIT_BROKEN, Reason.GATE_NOT_COLLECTED]

    def test_decision_ends_with_its_time_to_live(self) -> None:
        """Without an end of the policy the time to live counts."""
        assert decision(clean_run(), decision_ttl_s=60.0).expires_at == NOW + timedelta(seconds=60)

    def test_decision_never_outlives_its_policy(self) -> None:
        """The earlier of both ends counts."""
        end = NOW + timedelta(seconds=30)

        assert decision(clean_run(), expires_at=end).expires_at == end

    def test_incomplete_record_without_a_problem_is_no_go(self) -> None:
        """A record that says of itself that it is not whole is not believed."""
        decided = decide(replace(record(clean_run()), complete=False), policy(), NOW)

        assert codes(decided) == {"run.journal-incomplete"}

    def test_incomplete_record_with_only_a_note_is_no_go(self) -> None:
        """A skipped module does not stand in for the missing end."""
        whole = record([*clean_run()[:-1], problem("run.module-skipped"), finished()])

        assert decide(replace(whole, complete=False), policy(), NOW).verdict is Verdict.NO_GO

    def test_unsigned_policy_is_accepted_in_the_sandbox(self) -> None:
        """Nobody else accepts the sandbox's evidence, so a first gate needs no key."""
        assert decision(clean_run(), signature=PolicySignature.UNSIGNED).verdict is Verdict.GO

    def test_sandbox_needs_no_subject(self) -> None:
        """Outside of the sandbox it does (subject.missing)."""
        assert decision([started(subjects=[]), *clean_run()[1:]]).verdict is Verdict.GO

    @pytest.mark.parametrize(
        "change",
        [{"plan": "canary"}, {"environment": "staging"}, {"sandbox": False}, {"policy_digest": "sha256:0"}],
        ids=lambda c: next(iter(c)),
    )
    def test_record_of_another_plan_is_refused(self, change: dict[str, Any]) -> None:
        """Plan, environment and policy are those the run was made for."""
        assert "policy.changed" in codes(decision([started(**change), *clean_run()[1:]]))

    def test_accepted_development_key_says_nothing(self) -> None:
        """Where the policy accepts development keys there is nothing to find."""
        assert codes(decision([started(signer="development"), *clean_run()[1:]])) == set()

    def test_same_input_same_decision(self) -> None:
        """decide() is a function."""
        events = one_gate(measurement(value="0.6"))

        assert decision(events) == decision(events)


class TestRequirements:
    """What the plan requires, against what was collected."""

    def test_deselected_gate_says_so(self) -> None:
        """Deselected is not the same news as not there at all."""
        assert "gate.not-collected" not in codes(SCENARIOS[Reason.GATE_DESELECTED]())

    def test_named_instances_are_go(self) -> None:
        """All of them, and no other."""
        keys = ("ready[eu]", "ready[us]")

        assert decision(clean_run(*keys), INSTANCES).verdict is Verdict.GO

    def test_unnamed_instance_is_no_go(self) -> None:
        """A region that the policy does not know of was not meant."""
        keys = ("ready[eu]", "ready[us]", "ready[moon]")

        found = finding(decision(clean_run(*keys), INSTANCES), Reason.GATE_INSTANCES)

        assert found.gate == "ready[moon]"
        assert "does not name" in found.message

    def test_deselected_instance_says_so(self) -> None:
        """-k took one of the required instances away."""
        events = [
            started(),
            collected("ready[eu]", deselected=[info("ready[us]")]),
            *journals.gates("ready[eu]"),
            finished(),
        ]

        assert codes(decision(events, INSTANCES)) == {"gate.deselected"}

    @pytest.mark.parametrize(("count", "verdict"), [(1, Verdict.NO_GO), (2, Verdict.GO), (3, Verdict.NO_GO)])
    def test_counted_instances(self, count: int, verdict: Verdict) -> None:
        """A count is met exactly."""
        counted = replace(policy(), requires=(Requirement("ready", count),))

        assert decision(clean_run("ready[a]", "ready[b]"), counted).verdict is verdict

    def test_count_is_not_met_by_the_plain_gate(self) -> None:
        """A gate that is no longer parametrized has no instances."""
        counted = replace(policy(), requires=(Requirement("ready", 1),))

        assert codes(decision(clean_run(), counted)) == {"gate.instances"}

    def test_plain_requirement_is_not_met_by_instances(self) -> None:
        """Whoever parametrizes a gate has to name or count its instances."""
        assert codes(decision(clean_run("ready[eu]"))) == {"gate.instances"}


class TestGate:
    """How a gate ran."""

    @pytest.mark.parametrize(
        ("when", "raised", "reason"),
        [
            ("setup", "assertion", Reason.GATE_SETUP_FAILED),
            ("call", "assertion", Reason.GATE_FAILED),
            ("teardown", "assertion", Reason.GATE_TEARDOWN_FAILED),
            ("setup", "subtest", Reason.GATE_SETUP_FAILED),
            ("teardown", "subtest", Reason.GATE_TEARDOWN_FAILED),
            ("setup", "skip", Reason.GATE_SKIPPED),
            ("teardown", "skip", Reason.GATE_SKIPPED),
            ("setup", "xfail", Reason.GATE_XFAILED),
            ("setup", "timeout", Reason.GATE_TIMEOUT),
            ("teardown", "interrupt", Reason.GATE_INTERRUPTED),
            ("call", "a word nobody knows", Reason.GATE_ERROR),
            ("a phase nobody knows", "error", Reason.GATE_ERROR),
        ],
    )
    def test_what_was_raised_names_the_reason(self, when: str, raised: str, reason: Reason) -> None:
        """Phase and exception together say what happened; an unknown word is an error, never nothing."""
        events = with_phases(*CLEAN, phase(when, "failed", raised, "boom"))

        assert finding(decision(events), reason).message == "boom"

    @pytest.mark.parametrize(
        "raised", ["skip", "xfail", "timeout", "interrupt", "assertion", "error", "subtest"]
    )
    def test_outcome_turned_into_a_pass_is_altered(self, raised: str) -> None:
        """A hook that calls a red phase passed does not make it green."""
        decided = decision(ended_by("call", "passed", raised))

        assert "gate.altered" in codes(decided)
        assert decided.verdict is Verdict.NO_GO

    def test_judged_and_reported_as_passed_is_altered(self) -> None:
        """Also when what was hidden is the engine's own red."""
        events = one_gate(
            measurement(value="0.6"), phases=(CLEAN[0], phase("call", "passed", "judged"), CLEAN[2])
        )

        assert codes(decision(events)) == {"gate.altered", "limit.broken"}

    def test_judged_is_judged_again(self) -> None:
        """A gate that one policy judged red can be green under another."""
        events = one_gate(
            measurement(value="0.6"), phases=(CLEAN[0], phase("call", "failed", "judged"), CLEAN[2])
        )
        events[-1]["status"] = 1
        looser = {"ready": {"latency": limit(Operator.AT_MOST, Decimal(1))}}

        assert codes(decision(events)) == {"limit.broken"}
        assert decision(events, limits=looser).verdict is Verdict.GO

    def test_skip_without_an_exception_is_skipped(self) -> None:
        """A report that a plugin made skipped."""
        assert "gate.skipped" in codes(decision(with_phases(CLEAN[0], phase("call", "skipped"), CLEAN[2])))

    def test_failure_without_an_exception_is_an_error(self) -> None:
        """A report that a plugin made failed says at least how it was reported."""
        events = with_phases(CLEAN[0], phase("call", "failed"), CLEAN[2])

        assert finding(decision(events), Reason.GATE_ERROR).message == "call was reported as failed"

    def test_phases_after_a_failed_setup_are_not_missed(self) -> None:
        """What stopped the gate says it all."""
        events = with_phases(phase("setup", "failed", "error"), CLEAN[2], measurements=[], measured=0)

        assert codes(decision(events)) == {"gate.setup-failed"}

    def test_lost_report_is_noticed(self) -> None:
        """One report fewer than the gate counted, though each phase is there."""
        assert codes(decision(one_gate(reported=4))) == {"gate.record-incomplete"}

    def test_optional_skip_with_another_fault_stays_skipped(self) -> None:
        """Not applicable is only what is nothing but skipped."""
        events = clean_run("ready", "extra")
        events[-2]["phases"] = [phase("setup", "skipped", "skip"), phase("teardown", "failed", "error")]
        events[-2]["reported"] = 2

        assert {"gate.skipped", "gate.teardown-failed"} <= codes(decision(events))

    def test_optional_red_is_no_go(self) -> None:
        """Every red counts, required or not."""
        broken = measurement(value="9", limit=limit().to_json())
        events = [
            *clean_run("ready", "extra")[:-2],
            gate_finished("extra", broken),
            finished(),
        ]

        assert decision(events).exit_code is ExitCode.NO_GO

    @pytest.mark.parametrize("timeout_s", [0, 5])
    def test_duration_beyond_the_limit_is_a_timeout(self, timeout_s: int) -> None:
        """Also when no alarm rang: the marker's limit, else the policy's."""
        events = one_gate(duration_s=5.5)
        events[1]["gates"][0]["timeout_s"] = timeout_s

        assert codes(decision(events, gate_timeout_s=5.0)) == {"gate.timeout"}

    def test_own_longer_timeout_counts(self) -> None:
        """A gate that says it takes longer may."""
        events = one_gate(duration_s=70.0)
        events[1]["gates"][0]["timeout_s"] = 100

        assert decision(events).verdict is Verdict.GO

    def test_finding_names_owner_remedy_and_place(self) -> None:
        """All that a person needs to act."""
        found = finding(SCENARIOS[Reason.LIMIT_BROKEN](), Reason.LIMIT_BROKEN)

        assert (found.gate, found.owner, found.remedy) == ("ready", "sre", "docs/remedy.md")
        assert found.where == "gates/test_gates.py:12"

    def test_more_ends_than_starts_is_incomplete(self) -> None:
        """An end whose start is gone proves nothing."""
        assert "gate.record-incomplete" in codes(
            decision([started(), collected(), gate_finished(), finished()])
        )

    def test_pinned_paths_are_whole_names(self) -> None:
        """`gates` does not pin `gates2/`."""
        pinned: dict[str, Any] = {"gate_code_digest": journals.GATE_CODE}

        assert decision(clean_run(), gate_code_paths=("gates",), **pinned).verdict is Verdict.GO
        assert decision(clean_run(), gate_code_paths=("gate",), **pinned).verdict is Verdict.NO_GO
        assert decision(clean_run(), gate_code_paths=("gates/test_gates.py",), **pinned).verdict is Verdict.GO


def judged_value(value: str, judged_by: Limit, kind: str = "number", **changes: Any) -> Decision:
    changed = measurement(value=value, kind=kind, unit=judged_by.unit, **changes)
    return decision(one_gate(changed), limits={"ready": {"latency": judged_by}})


class TestLimits:
    """A value against its limit."""

    @pytest.mark.parametrize(
        ("operator", "bounds", "inside", "outside", "distance"),
        [
            (Operator.AT_MOST, ("0.5",), "0.5", "0.51", "+0.01"),
            (Operator.AT_LEAST, ("0.995",), "0.995", "0.9949", "-0.0001"),
            (Operator.BETWEEN, ("1", "2"), "1", "0.5", "-0.5"),
            (Operator.BETWEEN, ("1", "2"), "2.0", "2.25", "+0.25"),
            (Operator.EQUALS, ("3",), "3.00", "4", None),
            (Operator.ONE_OF, ("1", "5"), "5", "4", None),
            (Operator.AT_MOST, ("0",), "-0", "1e60", "+1e+60"),
        ],
    )
    def test_numbers(
        self, operator: Operator, bounds: tuple[str, ...], inside: str, outside: str, distance: str
    ) -> None:
        """Exact decimal comparison, bounds included, and how far beyond it lies."""
        numeric = Limit(operator, tuple(map(Decimal, bounds)), unit="s")

        assert judged_value(inside, numeric).verdict is Verdict.GO
        assert finding(judged_value(outside, numeric), Reason.LIMIT_BROKEN).distance == distance

    @pytest.mark.parametrize("operator", [Operator.EQUALS, Operator.ONE_OF])
    def test_texts(self, operator: Operator) -> None:
        """Letter for letter."""
        text = Limit(operator, ("ready",))

        assert judged_value("ready", text, kind="text").verdict is Verdict.GO
        assert codes(judged_value("Ready", text, kind="text")) == {"limit.broken"}

    def test_ordering_of_texts_is_never_satisfied(self) -> None:
        """No checked policy holds such a limit, and decide() is total."""
        assert codes(judged_value("a", Limit(Operator.AT_MOST, ("b",)), kind="text")) == {"limit.broken"}

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "twelve", "", "1e999999999"])
    def test_number_that_is_none_is_invalid(self, value: str) -> None:
        """A journal may hold what measure() would never record."""
        judged_by = Limit(Operator.AT_MOST, (Decimal("0.5"),), unit="s")

        assert codes(judged_value(value, judged_by)) == {"measurement.invalid"}

    def test_number_where_a_text_is_wanted(self) -> None:
        """measurement.kind holds both ways round."""
        assert codes(judged_value("1", Limit(Operator.EQUALS, ("1",)))) == {"measurement.kind"}

    def test_limit_of_the_code_counts_without_a_policy(self) -> None:
        """For a quick local gate."""
        own = limit().to_json()

        assert decision(one_gate(measurement(limit=own)), limits={}).verdict is Verdict.GO
        assert codes(decision(one_gate(measurement(value="1", limit=own)), limits={})) == {"limit.broken"}

    def test_limit_of_the_policy_wins(self) -> None:
        """A looser limit in the code is told and changes nothing."""
        loose = limit(Operator.AT_MOST, Decimal(9)).to_json()

        assert codes(decision(one_gate(measurement(value="1", limit=loose)))) == {
            "limit.broken",
            "limit.differs",
        }

    def test_information_is_judged_where_the_policy_limits_it(self) -> None:
        """`information=True` in the code cannot take a value out of the policy's sight."""
        assert codes(decision(one_gate(measurement(value="1", information=True)))) == {"limit.broken"}

    def test_information_alone_is_no_measurement(self) -> None:
        """A gate has to measure something that a limit judges."""
        assert codes(decision(one_gate(measurement(information=True)), limits={})) == {"gate.no-measurement"}

    def test_invalid_information_is_no_go(self) -> None:
        """Not a number is a mistake of the gate, judged or not."""
        other = measurement("other", "True", kind="invalid", information=True)

        assert codes(decision(one_gate(measurement(), other))) == {"measurement.invalid"}

    def test_limit_of_an_instance_wins(self) -> None:
        """`ready[eu]` overrides `ready` for the names it gives."""
        limits = {
            "ready": {"latency": limit(Operator.AT_MOST, Decimal("0.1")), "other": limit()},
            "ready[eu]": {"latency": limit(Operator.AT_MOST, Decimal(9))},
        }
        required = replace(policy(), requires=(Requirement("ready", ("eu",)),), limits=limits)

        assert codes(decision(clean_run("ready[eu]"), required)) == {"limit.unmeasured"}

    def test_age_of_the_limit_wins(self) -> None:
        """A limit's own max_age_s stands before the policy's."""
        assert codes(judged_value("0.2", limit(max_age_s=9.0))) == {"measurement.stale"}
        assert judged_value("0.2", limit(max_age_s=10.0)).verdict is Verdict.GO

    @pytest.mark.parametrize(
        ("samples", "code"),
        [(None, "measurement.samples-missing"), (2, "measurement.samples-low"), (3, None)],
    )
    def test_samples_of_the_limit_win(self, samples: int | None, code: str | None) -> None:
        """A limit's own min_samples stands before the policy's."""
        changes: dict[str, Any] = {} if samples is None else {"samples": samples}

        assert codes(judged_value("0.2", limit(min_samples=3), **changes)) == ({code} if code else set())

    def test_texts_need_samples_only_when_their_limit_says_so(self) -> None:
        """The policy's min_samples is meant for figures."""
        events = one_gate(measurement(value="up", kind="text", unit="1"))
        text = Limit(Operator.EQUALS, ("up",))

        assert decision(events, limits={"ready": {"latency": text}}, min_samples=9).verdict is Verdict.GO
        asked = replace(text, min_samples=1)
        assert codes(decision(events, limits={"ready": {"latency": asked}})) == {
            "measurement.samples-missing"
        }

    def test_clock_tolerance_forgives_a_little_future(self) -> None:
        """Two machines' clocks differ."""
        soon = measurement(observed_at=rfc3339(NOW + timedelta(seconds=4)))

        assert decision(one_gate(soon)).verdict is Verdict.GO
        assert codes(decision(one_gate(soon), clock_tolerance_s=3.0)) == {"measurement.future"}


class TestJudgeGate:
    """The same rule for the live line and the decision."""

    def test_live_line_and_decision_agree(self) -> None:
        """What the terminal showed is what was decided."""
        events = one_gate(measurement(value="0.6"))
        live = judge_gate(gate_info(info()), gate_result(events[3]), policy(), NOW)

        assert live == decision(events).gates[0]

    def test_gate_without_a_result_is_not_green(self) -> None:
        """Nothing ran, nothing is proven."""
        assert not judge_gate(gate_info(info()), None, policy(), NOW).green

    def test_distance_and_limit_are_in_the_finding(self) -> None:
        """Measured, unit, limit and distance stand apart from the sentence."""
        found = finding(SCENARIOS[Reason.LIMIT_BROKEN](), Reason.LIMIT_BROKEN)

        assert (found.measured, found.unit, found.limit, found.distance) == (
            "0.6",
            "s",
            "at most 0.5 s",
            "+0.1",
        )
        assert found.message == "latency = 0.6 s, limit at most 0.5 s"

    def test_node_id_is_not_the_gate_id(self) -> None:
        """A result is found by its node id, whatever the gate is called."""
        renamed = info(nodeid=nodeid("other"))
        events = [started(), collected(renamed), *journals.gates("other"), finished()]

        assert decision(events).verdict is Verdict.GO
