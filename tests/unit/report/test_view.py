"""The model that views render: what it takes from a run, and what it makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.decision import decide
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.report import build_report, read_report
from pytest_cutover.model import JudgedMeasurement, Limit, Measurement, Operator, ValueKind
from pytest_cutover.record import fold
from pytest_cutover.report import impact, numbers, plainjson, view
from pytest_cutover.report.page import chart, sheet
from pytest_cutover.report.readback import decision_of
from tests.unit import journals, test_decision
from tests.unit.journals import NOW, limit
from tests.unit.report import samples
from tests.unit.test_decision import SCENARIOS

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.model import Decision, EffectivePolicy, Finding, RunRecord
    from pytest_cutover.reasons import Reason


class TestGates:
    def test_a_gate_that_nobody_collected_stands_among_the_others(self) -> None:
        """The plan requires it."""
        gone = next(g for g in samples.shop().gates if g.key == "promotion.manual")

        assert (gone.state, gone.info, gone.judged.required) == ("unproven", None, True)

    def test_a_deselected_gate_keeps_its_place(self) -> None:
        """It was collected, then left out."""
        events = [
            journals.started(),
            journals.collected("ready", deselected=[journals.info("gone")]),
            *journals.gates("ready"),
            journals.finished(),
        ]
        record, policy = journals.record(events), journals.policy("ready", "gone")
        shown = view.build(record, policy, decide(record, policy, NOW), samples.EVIDENCE)
        gone = next(g for g in shown.gates if g.key == "gone")

        assert gone.info is not None
        assert gone.info.line == 12
        assert [f.reason.code for f in gone.serious] == ["gate.deselected"]

    def test_names_are_unique_where_ids_are_not(self) -> None:
        """Two tests with one id are a finding, and two rows."""
        infos = [journals.info("ready"), journals.info("ready", nodeid="gates/other.py::test_ready")]
        record = journals.record([journals.started(), journals.collected(*infos), journals.finished()])
        shown = view.build(
            record, journals.policy(), decide(record, journals.policy(), NOW), samples.EVIDENCE
        )

        assert [g.name for g in shown.gates] == ["ready", "ready (2)"]

    def test_what_the_plan_holds_against_a_gate_that_ran_counts(self) -> None:
        """Else its row would be green under a NO-GO."""
        infos = [journals.info("ready[eu]"), journals.info("ready[us]")]
        events = [
            journals.started(),
            journals.collected(*infos),
            *journals.gates("ready[eu]", "ready[us]"),
            journals.finished(),
        ]
        record, policy = journals.record(events), journals.policy("ready")
        shown = view.build(record, policy, decide(record, policy, NOW), samples.EVIDENCE)

        assert not shown.is_go
        assert "gate.instances" in {f.reason.code for t in view.troubles(shown) for f in t.findings}


class TestTroubles:
    def test_worst_first(self) -> None:
        """Red, then unproven."""
        assert [t.name for t in view.troubles(samples.shop())] == [
            "canary.health",
            "dr.restore",
            "promotion.manual",
        ]

    @pytest.mark.parametrize(
        ("where", "place"),
        [
            ("gates/a.py:12", ("gates/a.py", 12)),
            ("gates/a.py::test_x[b:3]", ("gates/a.py", None)),
            ("gates/a.py", ("gates/a.py", None)),
            ("somewhere", (None, None)),
            (None, (None, None)),
        ],
    )
    def test_the_place_of_a_finding(self, where: str | None, place: tuple[str | None, int | None]) -> None:
        """File and line, a node id, a file, or anything."""
        assert view._place(where) == place


class TestTopImpact:
    def test_the_red_one_furthest_beyond_its_limit(self) -> None:
        """As a share of the limit: 0.6 over 0.5 is more than 20 over 100."""
        events = [
            journals.started(),
            journals.collected("a", "b"),
            journals.gate_started("a"),
            journals.gate_finished("a", journals.measurement(value="120")),
            journals.gate_started("b"),
            journals.gate_finished("b", journals.measurement(value="0.9")),
            journals.finished(),
        ]
        limits = {"a": {"latency": limit(Operator.AT_MOST, Decimal(100))}, "b": {"latency": limit()}}
        record, policy = journals.record(events), journals.policy("a", "b", limits=limits)
        shown = view.build(record, policy, decide(record, policy, NOW), samples.EVIDENCE)
        found = impact.top_impact(shown)

        assert found is not None
        assert (found.gate, found.label) == ("b", "top-impact: b")

    def test_red_weighs_more_than_unproven(self) -> None:
        """However many are unproven."""
        found = impact.top_impact(samples.shop())

        assert found is not None
        assert found.gate == "canary.health"

    def test_in_a_go_what_is_nearest_to_its_limit(self) -> None:
        """A release manager asks where the next trouble comes from."""
        found = impact.top_impact(samples.green())

        assert found is not None
        assert "% of the way to its limit (at most" in found.text

    def test_what_is_at_its_limit(self) -> None:
        """Not `100 % of the way`."""
        events = [
            journals.started(),
            journals.collected("a"),
            journals.gate_started("a"),
            journals.gate_finished("a", journals.measurement(value="0.5")),
            journals.finished(),
        ]
        record, policy = journals.record(events), journals.policy("a", limits={"a": {"latency": limit()}})
        found = impact.top_impact(view.build(record, policy, decide(record, policy, NOW), samples.EVIDENCE))

        assert found is not None
        assert found.text == "latency 0.5 s is at its limit (at most 0.5 s)"

    @pytest.mark.parametrize(
        ("operator", "bounds", "value", "unit", "used"),
        [
            (Operator.AT_MOST, ("0.4",), "0.3", "s", "0.75"),
            (Operator.AT_MOST, ("3",), "3", "1", "1"),
            (Operator.AT_MOST, ("0",), "0", "1", None),
            (Operator.AT_LEAST, ("1",), "1", "1", None),
            (Operator.AT_LEAST, ("10",), "40", "GB", "0.25"),
            (Operator.AT_LEAST, ("99.5",), "99.9", "%", "0.2"),
            (Operator.AT_LEAST, ("0.995",), "1", "1", "0"),
            (Operator.AT_LEAST, ("2",), "4", "1", "0.5"),
            (Operator.BETWEEN, ("1", "3"), "2.5", "x", "0.5"),
            (Operator.EQUALS, ("200",), "200", "1", None),
        ],
    )
    def test_how_near_a_limit_is(
        self, operator: Operator, bounds: tuple[str, ...], value: str, unit: str, used: str | None
    ) -> None:
        """What is exactly as demanded is near nothing, and of a share what may be lost counts."""
        asked = Limit(operator, tuple(map(Decimal, bounds)), unit=unit)
        measured = Measurement("m", value, ValueKind.NUMBER, unit, NOW)
        found = numbers.limit_used(JudgedMeasurement(measured, asked, True))

        assert found == (None if used is None else Decimal(used))

    def test_a_label_is_one_that_github_takes(self) -> None:
        """Fifty characters, no comma."""
        made = impact._impact("a,b\n" + "x" * 90, "")

        assert len(made.label) == impact.MAX_LABEL_CHARS
        assert made.label.startswith("top-impact: abxx")


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "unit", "shown"),
        [
            ("1.5", "x", "1.5 x"),
            ("0.123456", "s", "0.1234 s"),
            ("0.00042137", "1", "0.0004213"),
            ("-12.345678", "1", "-12.3456"),
            ("ready", "1", "ready"),
            ("1E+10", "B", "1E+10 B"),
        ],
    )
    def test_amounts_at_a_readable_length(self, value: str, unit: str, shown: str) -> None:
        """Digits that count are kept."""
        assert numbers.amount(value, unit) == shown

    @pytest.mark.parametrize(
        ("now", "before", "said"),
        [
            ("1.1", "1", "+10 %"),
            ("1.01", "1", "+1.0 %"),
            ("1.0", "1", "same"),
            ("1", "0", ""),
            ("-1", "1", ""),
            ("ready", "1", ""),
            ("1e299", "1", ""),
        ],
    )
    def test_change_since_the_last_run(self, now: str, before: str, said: str) -> None:
        """Nothing where a percentage says nothing."""
        assert numbers.change(now, before) == said

    @pytest.mark.parametrize("value", ["1e999999", "1e-999999", "-1e400", "NaN", "Infinity", "x", ""])
    @pytest.mark.parametrize(
        "bound",
        [
            limit(),
            limit(Operator.AT_LEAST, Decimal("1e999999")),
            limit(Operator.BETWEEN, Decimal(-1), Decimal(1)),
            limit(Operator.BETWEEN, Decimal(1), Decimal(1)),
            limit(Operator.EQUALS, Decimal(0)),
            limit(Operator.AT_MOST, Decimal(0)),
        ],
    )
    def test_nothing_that_can_be_written_breaks_a_chart(self, value: str, bound: Limit) -> None:
        """Absurd figures are left out or drawn at the edge."""
        for now, last in ((value, "1"), ("1", value), (value, None)):
            drawn = chart.bullet(now, bound, last, green=True)

            assert drawn == "" or drawn.startswith("<svg")
            assert "nan" not in drawn
            assert "inf" not in drawn


class TestChart:
    def test_inside_is_a_disc_outside_a_diamond(self) -> None:
        """Told apart without colour."""
        bound = limit(Operator.AT_MOST, Decimal("1.5"))

        assert '<circle class="g"' in chart.bullet("1.2", bound, None, green=True)
        assert '<path class="b"' in chart.bullet("1.7", bound, None, green=False)

    def test_the_last_run_is_a_ring(self) -> None:
        """Only where there was one."""
        bound = limit(Operator.AT_MOST, Decimal("1.5"))

        assert '<circle class="o"' in chart.bullet("1.2", bound, "1.1", green=True)
        assert '<circle class="o"' not in chart.bullet("1.2", bound, None, green=True)

    def test_far_out_the_limit_can_still_be_seen(self) -> None:
        """The value becomes an arrow at the edge."""
        drawn = chart.bullet("1000000", limit(Operator.AT_MOST, Decimal(1)), None, green=False)
        at = float(drawn.split('class="l" d="M', 1)[1].split(" ", 1)[0])

        assert at > chart.WIDTH / 8
        assert "L" in drawn.rsplit('class="b"', 1)[1]

    def test_texts_have_no_chart(self) -> None:
        """There is nothing to draw."""
        assert chart.bullet("ready", limit(Operator.EQUALS, "ready"), None, green=True) == ""


class TestSheet:
    def test_twelve_rows_in_four_categories(self) -> None:
        """Requirement F7."""
        assert len(sheet.ROWS) == 12
        assert [category for category, _ in sheet.fill(samples.shop())] == list(sheet.CATEGORIES)
        assert {row.category for row in sheet.ROWS} == set(sheet.CATEGORIES)

    def test_nothing_is_ticked_that_nothing_measured(self) -> None:
        """It is decided by hand."""
        rows = {r.question: r.is_go for _, rows in sheet.fill(samples.shop()) for r in rows}

        assert rows["The service is ready"] is True
        assert rows["The canary is healthy"] is False
        assert rows["The PII breaker is on and works"] is None

    @pytest.mark.parametrize("key", ["cache.key.count", "mykeys.x", "keyspace", "clocks.skew"])
    def test_a_gate_speaks_for_a_row_by_the_first_part_of_its_id_alone(self, key: str) -> None:
        """A word somewhere in an id must not tick `No key runs out`."""
        assert sheet._row_of(key) is None

    @pytest.mark.parametrize("key", ["policies", "policy.signatures", "policies[prod]"])
    def test_a_gate_about_policies_speaks_for_their_row(self, key: str) -> None:
        """The shipped gate is called policy.signatures."""
        row = sheet._row_of(key)

        assert row is not None
        assert sheet.ROWS[row - 1].question == "Every policy is signed"

    def test_every_gate_counts_somewhere(self) -> None:
        """Also one of a category that the sheet does not know."""
        for shown in (samples.shop(), samples.many(30)):
            counted = [g.name for _, rows in sheet.fill(shown) for r in rows for g in r.gates]

            assert sorted(counted) == sorted(g.name for g in shown.gates)


class TestReadBack:
    @pytest.mark.parametrize("reason", SCENARIOS, ids=lambda r: r.code)
    def test_the_decision_in_a_report_is_the_one_that_was_sealed(
        self, reason: Reason, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Gate for gate, reason for reason, in a run for every reason there is."""
        lines, record, policy, decision = run_of(reason, monkeypatch)
        report = read_report(build_report(lines, record, policy, decision, signed=True))

        again = decision_of(report, record)

        assert replace(again, gates=()) == replace(decision, gates=())
        for read, judged in zip(again.gates, decision.gates, strict=True):
            assert replace(read, findings=()) == replace(judged, findings=())
            assert set(map(_key, read.findings)) >= set(map(_key, judged.findings))

    def test_a_report_that_is_not_about_its_journal_is_refused(self) -> None:
        """Whoever changed it is found by `cutover verify`; nothing is shown that does not belong together."""
        lines = journals.sign(journals.clean_run())
        record, policy = fold(lines), journals.policy()
        report = read_report(build_report(lines, record, policy, decide(record, policy, NOW), signed=True))

        with pytest.raises(EvidenceError, match="its gates are not those of the journal"):
            decision_of(replace(report, decision={**report.decision, "gates": []}), record)
        with pytest.raises(EvidenceError, match="malformed"):
            decision_of(replace(report, decision={}), record)


def run_of(
    reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[bytes], RunRecord, EffectivePolicy, Decision]:
    """What a scenario folds and decides."""
    seen: list[Any] = []

    def folding(lines: list[bytes]) -> RunRecord:
        seen.append(lines)
        return fold(lines)

    def deciding(record: RunRecord, policy: EffectivePolicy, now: datetime) -> Decision:
        decided = decide(record, policy, now)
        seen.extend((record, policy, decided))
        return decided

    for module in (journals, test_decision):
        monkeypatch.setattr(module, "fold", folding)
        monkeypatch.setattr(module, "decide", deciding)
    SCENARIOS[reason]()
    lines, record, policy, decided = seen
    return lines, record, policy, decided


def _key(finding: Finding) -> tuple[str, str]:
    return finding.reason.code, finding.message


class TestJson:
    def test_it_is_plain_json_with_the_last_value(self) -> None:
        """Texts hold exact decimals."""
        told = json.loads(json.dumps(plainjson.to_json(samples.shop())))
        gate = next(g for g in told["gates"] if g["gate"] == "canary.health")

        assert gate["measurements"][1]["measured"] == "1.72"
        assert gate["measurements"][1]["last"] == "1.21"
        assert gate["file"] == "gates/test_canary.py"
        assert told["counts"] == {"red": 1, "unproven": 2, "hold": 0, "waived": 0, "green": 9, "left": 0}
