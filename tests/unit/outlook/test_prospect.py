"""What would be held against a run whose every value is green: the engine's decision, over what is known before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from pytest_cutover.model import GateInfo, Operator, Problem, SignerKind, Subject, ValueKind, Verdict
from pytest_cutover.obligation import Owed
from pytest_cutover.outlook.collection import CollectedGate, Collection
from pytest_cutover.outlook.expected import Expected, Outlook
from pytest_cutover.outlook.prospect import Around, prospect
from pytest_cutover.reasons import Reason
from tests.unit.journals import GATE_CODE, NOW, SUBJECT, limit, policy

AROUND = Around(SignerKind.CONFIGURED, (Subject("shop", SUBJECT["digest"]),), None, (), (), GATE_CODE)
LATENCY = Expected("latency", "gates/x.py:5", "s", samples=True)


def gate(key="ready", *measures, **changes):
    """A collected gate that will measure its latency, unless told otherwise."""
    info = GateInfo(key.partition("[")[0], key, f"gates/x.py::{key}", "gates/x.py", 3, key)
    about = CollectedGate(info, "gates/x.py", key, None, (), (), over_http=False)
    return replace(Outlook(about, measures or (LATENCY,)), **changes)


def codes(*outlooks, around=AROUND, problems=(), **changes):
    """Reason codes of what is held against the run."""
    collection = Collection(tuple(o.gate for o in outlooks), (), tuple(problems), ())
    return {f.reason.code for f in prospect(policy(**changes), collection, outlooks, around, NOW).findings}


class TestProspect:
    def test_a_whole_outlook_is_a_go(self):
        collection = Collection((gate().gate,), (), (), ())
        decision = prospect(policy(), collection, [gate()], AROUND, NOW)

        assert (decision.verdict, decision.findings) == (Verdict.GO, ())

    @pytest.mark.parametrize(
        ("expected", "code"),
        [
            (replace(LATENCY, name="p95"), "limit.unmeasured"),
            (replace(LATENCY, unit="ms"), "measurement.unit"),
            (replace(LATENCY, kind=ValueKind.TEXT), "measurement.kind"),
            (replace(LATENCY, limits=(("at_most", 3),)), "limit.differs"),
            (replace(LATENCY, limits=(("at_most", 3), ("at_least", 1))), "gate.error"),
            (replace(LATENCY, name="not a name"), "gate.error"),
        ],
    )
    def test_what_a_measurement_lacks_is_held_against_it(self, expected, code):
        assert code in codes(gate("ready", expected))

    @pytest.mark.parametrize(
        "expected",
        [replace(LATENCY, unit=None), replace(LATENCY, samples=None), replace(LATENCY, information=None)],
    )
    def test_what_is_not_known_is_not(self, expected):
        assert codes(gate("ready", expected), min_samples=100) == set()

    def test_samples_that_are_not_given_are(self):
        assert codes(gate("ready", replace(LATENCY, samples=False)), min_samples=100) == {
            "measurement.samples-missing"
        }

    def test_a_limit_may_be_kept_by_what_is_computed(self):
        assert codes(gate("ready", replace(LATENCY, name="p95", information=True))) == {"limit.unmeasured"}
        computed = gate(
            "ready", replace(LATENCY, name="p95", information=True), unknown=(("x:1", "computed"),)
        )
        assert codes(computed) == set()

    @pytest.mark.parametrize(
        ("operator", "bounds"),
        [(Operator.AT_LEAST, [3]), (Operator.BETWEEN, [3, 4]), (Operator.EQUALS, ["ready"]), (Operator.ONE_OF, ["a", "b"])],
    )  # fmt: skip
    def test_a_value_within_any_limit_is_found(self, operator, bounds):
        values = [b if isinstance(b, str) else Decimal(b) for b in bounds]

        assert codes(gate(), limits={"ready": {"latency": limit(operator, *values)}}) == set()

    @pytest.mark.parametrize(
        ("stops", "code"),
        [("skip", "gate.skipped"), ("xfail", "gate.xfailed"), ("setup", "gate.setup-failed"), ("error", "gate.error")],
    )  # fmt: skip
    def test_what_stops_a_gate_is_what_the_engine_calls_it(self, stops, code):
        assert codes(gate(stops=(stops, "because"))) == {code}

    def test_gates_that_are_not_there_and_instances_are_counted(self):
        assert codes(gate("other")) >= {"gate.not-collected"}
        assert codes(gate("ready[eu]")) == {"gate.instances"}
        assert codes(gate(), gate()) >= {"gate.duplicate"}

    def test_problems_of_the_collection_are_the_run_s(self):
        assert codes(gate(), problems=[Problem(Reason.RUN_COLLECT_ERROR, "x")]) == {"run.collect-error"}

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"signer": SignerKind.NONE}, "key.missing"),
            ({"gate_code_digest": "sha256:" + "0" * 64}, "gate.code-changed"),
            ({"shard": None}, None),
        ],
    )
    def test_its_surroundings_are_judged(self, changes, code):
        found = codes(gate(), around=replace(AROUND, **changes), gate_code_digest=GATE_CODE, gate_code_paths=("gates",))  # fmt: skip

        assert found == ({code} if code else set())

    def test_what_is_owed_and_not_in_the_plan_is_overdue(self):
        day = timedelta(days=1)
        owed = Owed("canary.health", "watch", "r", NOW - 2 * day, NOW - day)

        assert codes(gate(), around=replace(AROUND, owed=(owed,))) == {"obligation.overdue"}
        assert codes(gate(), around=replace(AROUND, owed=(replace(owed, gate="ready"),))) == {
            "obligation.met"
        }
