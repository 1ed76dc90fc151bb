"""Gates that an earlier run measured, in every view: a sign, the run they come from, and when they were observed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from pytest_cutover.decision import decide
from pytest_cutover.evidence.report import build_report, read_report
from pytest_cutover.record import fold
from pytest_cutover.report import html, junitfile, summary
from pytest_cutover.report.plainjson import to_json
from pytest_cutover.report.readback import decision_of
from pytest_cutover.report.terminal import Style, gate_line
from pytest_cutover.report.view import Evidence, build
from tests.unit.journals import NOW, OPENED, opened_run, policy, sign
from tests.unit.report.test_terminal import block

LINES = sign(opened_run())
POLICY = policy("ready", "seen")
DECISION = decide(fold(LINES), POLICY, NOW)
SAID = f"carried from {OPENED['run_id']}, observed 08:47:50 UTC"


@pytest.fixture
def view():
    return build(fold(LINES), POLICY, DECISION, Evidence("var/cutover/runs/r", sealed=True))


def lines(style):
    return [gate_line(g, style, duration_s=g.duration_s) for g in DECISION.gates]


class TestTerminal:
    def test_a_carried_gate_has_a_sign_and_its_time(self):
        ran, carried = lines(Style(colour=False, unicode=True))

        assert ran.startswith("✓ ready")
        assert carried.startswith("↺ seen")
        assert carried.endswith("latency 0.2 s  observed 08:47:50 UTC")
        assert len(carried) <= 80

    def test_without_unicode_the_sign_is_a_letter(self):
        assert lines(Style(colour=False, unicode=False))[1].startswith("c seen")

    def test_the_verdict_says_how_many(self, tmp_path):
        text = "\n".join(block(DECISION, tmp_path))

        assert "2 of 2 gates green, 1 carried" in text


class TestViews:
    def test_json_names_the_run(self, view):
        assert [g["carried_from"] for g in to_json(view)["gates"]] == [None, OPENED["run_id"]]

    def test_the_page_says_it_at_the_gate_and_among_the_origins(self, view):
        page = html.render(view)

        assert f'title="{SAID}">carried, observed 08:47:50 UTC<' in page
        assert "gates green, 1 carried" in page
        assert f"1 gate from {OPENED['run_id']}, the oldest observed 2026-11-21 08:47:50 UTC" in page

    def test_the_summary_says_it_in_the_table_and_below(self, view):
        text = summary.render(view)

        assert "green, carried | `seen`" in text
        assert f"- carried: `1 gate from {OPENED['run_id']}" in text

    def test_junit_counts_no_time_that_was_not_spent(self, view):
        suite = ET.fromstring(junitfile.render(view))[0]
        cases = {c.get("name"): c for c in suite.iter("testcase")}

        assert suite.get("time") == cases["ready"].get("time") == "0.030000"
        assert cases["seen"].get("time") == "0.000000"
        assert SAID in cases["seen"].findtext("system-out")
        assert suite.find(".//property[@name='cutover.carried.seen']").get("value") == SAID

    def test_a_run_without_one_says_nothing_of_it(self):
        run = [e for e in opened_run() if e["event"] != "gate.carried"]
        del run[0]["opened"]
        record = fold(sign(run))
        view = build(record, POLICY, decide(record, POLICY, NOW), Evidence("r", sealed=True))

        assert "carried" not in html.render(view) + summary.render(view) + junitfile.render(view)


def test_a_report_that_is_read_back_has_them_too():
    record = fold(LINES)
    report = read_report(build_report(LINES, record, POLICY, DECISION, signed=True))

    assert (
        json.dumps([g.carried_from for g in decision_of(report, record).gates])
        == f'[null, "{OPENED["run_id"]}"]'
    )
