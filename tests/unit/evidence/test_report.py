from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.report import KIND, build_report, read_report, run_summary
from pytest_cutover.record import fold
from tests.unit.evidence.runs import Run


def build(run: Run | None = None, events: list[bytes] | None = None, **changes: Any) -> bytes:
    run = run or Run()
    events = run.events() if events is None else events
    decision = replace(run.decision(), **changes)
    return build_report(events, fold(events), run.policy(), decision, signed=True)


class TestBuildReport:
    def test_is_plain_json_with_keys_in_order(self) -> None:
        document = json.loads(build())

        assert list(document) == ["format", "kind", "signed", "run", "policy", "decision", "journal"]
        assert (document["format"], document["kind"], document["signed"]) == (1, KIND, True)
        assert document["policy"] == Run().policy().to_json()

    def test_holds_the_journal_verbatim_line_by_line(self) -> None:
        lines = build().split(b"\n")
        start = lines.index(b'"journal":[') + 1

        assert [line.removesuffix(b",") + b"\n" for line in lines[start:-2]] == Run().events()

    def test_each_gate_says_what_was_measured_against_what(self) -> None:
        (gate,) = json.loads(build(Run(latency="9")))["decision"]["gates"]

        assert gate == {
            "gate": "service.ready",
            "title": "The service is ready",
            "required": True,
            "green": False,
            "category": "service",
            "owner": "sre",
            "duration_s": 0.03,
            "measurements": [
                {"name": "latency", "measured": "9", "unit": "s", "limit": "at most 0.5 s", "green": False}
            ],
            "findings": ["limit.broken"],
        }

    def test_findings_are_whole(self) -> None:
        run = Run(latency="9")

        assert json.loads(build(run))["decision"]["findings"] == [
            f.to_json() for f in run.decision().findings
        ]

    def test_empty_parts_are_empty_lists(self) -> None:
        document = json.loads(build(events=[], gates=(), findings=()))

        assert (document["decision"]["gates"], document["decision"]["findings"], document["journal"]) == (
            [],
            [],
            [],
        )

    @pytest.mark.parametrize("duration_s", [float("inf"), float("nan")])
    def test_a_duration_that_is_no_number_is_null(self, duration_s: float) -> None:
        gates = tuple(replace(g, duration_s=duration_s) for g in Run().decision().gates)

        assert json.loads(build(gates=gates))["decision"]["gates"][0]["duration_s"] is None

    def test_text_can_be_anything(self) -> None:
        title = 'a"\\\x00\x1b[31m\u2028\ud800é},\n{"gate":'

        assert json.loads(build(Run(title=title)))["decision"]["gates"][0]["title"] == title

    @pytest.mark.parametrize(
        "line",
        [
            b"not json\n",
            b'{"seq":6}',
            b"\xff\n",
            b"[]\n",
            b"5\n",
            b"\n",
            b"",
            b'{"seq":NaN}\n',
            b'{"a":1}\n{"b":2}\n',
            b'{"a":\n1}\n',
            b'{"damaged_base64":"AAAA"}\n',
            b"[" * 100_000 + b"\n",
        ],
    )
    def test_a_damaged_line_keeps_the_report_json_and_comes_back(self, line: bytes) -> None:
        events = [*Run().events(), line, *Run().events()[:1]]
        report = build(events=events)

        assert len(json.loads(report)["journal"]) == len(events)
        assert list(read_report(report).journal) == events


class TestReadReport:
    def test_gives_back_policy_and_journal(self) -> None:
        report = read_report(build())

        assert report.policy == Run().policy()
        assert list(report.journal) == Run().events()
        assert report.run == run_summary(Run().record())
        assert report.signed

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'{"format":1,', b'{"format":2,', "format 1, got 2"),
            (b'{"format":1,', b'{"format":true,', "format 1, got True"),
            (b'{"format":1,', b'{"format":1,"format":1,', "duplicate key"),
            (b'{"format":1,', b'{"extra":1,"format":1,', "expected a report with"),
            (b'"signed":true', b'"signed":1', "expected signed to be of type bool"),
            (b'"run":{', b'"run":5,"x":{', "expected a report with"),
            (b"pytest-cutover evidence report", b"report", "expected a report of format 1"),
            (b'"operator":"at_most"', b'"operator":"at most"', "policy is malformed"),
            (b'"max_age_s":900.0', b'"max_age":900.0', "policy is malformed"),
            (b'"bounds":["0.5"]', b'"bounds":["x"]', "policy is malformed"),
            (b'"limits":{', b'"limits":5,"x":{', "policy is malformed"),
            (b'\n"journal":[\n', b'\n"journal": [\n', "ends with its journal"),
            (b"\n]}\n", b"\n]}", "ends with its journal"),
            (b"\n]}\n", b"\n]} \n", "ends with its journal"),
        ],
    )
    def test_is_strict(self, old: bytes, new: bytes, message: str) -> None:
        assert old in build()

        with pytest.raises(EvidenceError, match=message):
            read_report(build().replace(old, new, 1))
