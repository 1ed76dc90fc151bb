"""The JUnit file: by the schema's rules, and as its readers read it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import junitparser
import pytest
from junit2htmlreport import parser as junit2html  # type: ignore[import-untyped] # it has no types

from pytest_cutover.report import junitfile
from tests.unit.report import samples
from tests.unit.report.hostile import ATTACKS, hostile
from tests.unit.report.junit_rules import mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.report.view import View


def cases(view: View) -> dict[str, ET.Element]:
    root = ET.fromstring(junitfile.render(view).encode())
    return {case.get("name", ""): case for case in root.iter("testcase")}


class TestRules:
    @pytest.mark.parametrize(
        "view", [samples.shop(), samples.green(), samples.shop(last=False), samples.many(60)]
    )
    def test_every_file_holds_to_the_schema(self, view: View) -> None:
        """Elements, attributes, counts, names, lines."""
        assert mistakes(junitfile.render(view)) == []

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_whatever_a_gate_says(self, attack: str) -> None:
        """Neither a forged test case nor a file that cannot be read."""
        view = hostile(attack)

        assert mistakes(junitfile.render(view)) == []
        assert len(cases(view)) == len(view.gates) + 1

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('failures="', 'failures="9', "failures, there are"),
            ('tests="', 'tests="9', "tests, there are"),
            ('line="12"', 'line="0"', "does not count from 1"),
            ("<properties>", "<props></props><properties>", "may not stand in"),
            ('name="clock.skew"', 'name="service.ready"', "stands twice"),
            ('classname="gates', 'color="gates', "has no attribute color"),
            ("<properties>\n", "words<properties>\n", "holds text"),
            ('<property name="cutover.run"', "<property", "lacks name"),
        ],
    )
    def test_the_rules_find_what_breaks_them(self, old: str, new: str, said: str) -> None:
        """Guards the tests above: rules that find nothing would pass everything."""
        text = junitfile.render(samples.shop())
        assert old in text

        assert said in " ".join(mistakes(text.replace(old, new)))


class TestWhatItSays:
    def test_a_red_gate_is_a_failure_with_its_place(self) -> None:
        """The attributes that mikepenz, GitLab and Jenkins read."""
        case = cases(samples.shop())["canary.health"]
        failure = case.find("failure")

        assert failure is not None
        assert (case.get("file"), case.get("line")) == ("gates/test_canary.py", "57")
        assert case.get("classname") == "gates.test_canary"
        assert failure.get("message") == "burst = 1.72 x, limit at most 1.5 x (+0.22 x)"
        assert failure.get("type") == "limit.broken"

    def test_an_unproven_gate_is_a_failure_too(self) -> None:
        """A reader that knows no `error` would take it for a success."""
        found = cases(samples.shop())

        assert found["dr.restore"].find("failure") is not None
        assert found["dr.restore"].find("error") is None

    def test_a_gate_that_is_missing_is_there(self) -> None:
        """Required by the plan, collected by nobody."""
        case = cases(samples.shop())["promotion.manual"]

        assert case.find("failure") is not None
        assert case.get("file") is None

    def test_a_gate_that_does_not_apply_is_skipped(self) -> None:
        """And counted as that."""
        assert cases(hostile("x"))["left"].find("skipped") is not None

    def test_what_is_held_against_the_run_is_a_case(self) -> None:
        """Otherwise a NO-GO could stand in a file without a failure."""
        assert cases(hostile("x"))["run.not-clean"].find("failure") is not None

    def test_a_go_has_no_failure(self) -> None:
        """Nor the other way round."""
        text = junitfile.render(samples.green())

        assert (
            '<testsuite name="cutover preflight production" tests="9" failures="0" errors="0" skipped="0"'
            in text
        )
        assert "<failure" not in text

    def test_paths_begin_at_the_repository(self) -> None:
        """A project below its repository's root."""
        case = cases(samples.shop(prefix="services/shop/"))["canary.health"]

        assert case.get("file") == "services/shop/gates/test_canary.py"

    def test_measurements_are_properties_of_the_suite(self) -> None:
        """With their limits; the schema allows none within test cases."""
        root = ET.fromstring(junitfile.render(samples.shop()).encode())
        told = {p.get("name"): p.get("value") for p in root.iter("property")}

        assert told["cutover.verdict"] == "NO-GO"
        assert told["cutover.measurement.canary.health.burst"] == "1.72 x (limit at most 1.5 x)"


class TestReaders:
    """Programs that this project did not write."""

    def test_junitparser(self, tmp_path: Path) -> None:
        """Counts, results and places."""
        path = tmp_path / "junit.xml"
        path.write_text(junitfile.render(samples.shop()), encoding="utf-8")

        read = junitparser.JUnitXml.fromfile(str(path))
        (suite,) = list(read)
        failed = {case.name for case in suite if any(isinstance(r, junitparser.Failure) for r in case.result)}

        assert (read.tests, read.failures, read.errors) == (12, 3, 0)
        assert failed == {"canary.health", "dr.restore", "promotion.manual"}
        assert len({case.name for case in suite}) == 12

    def test_junit2html(self) -> None:
        """Another parser, another page."""
        read = junit2html.Junit(xmlstring=junitfile.render(samples.shop()))
        (suite,) = read.suites

        assert len(suite.all()) == 12
        assert {case.name for case in suite.failed()} == {"canary.health", "dr.restore", "promotion.manual"}
        assert "burst = 1.72 x" in str(
            next(c for c in suite.failed() if c.name == "canary.health").failure_msg
        )

    def test_dorny_pytest_reader(self) -> None:
        """It takes the place from the first line of a failure, and the message from the second."""
        for case in cases(samples.shop()).values():
            failure = case.find("failure")
            if failure is not None and case.get("file"):
                first, second, *_ = (failure.text or "").split("\n")
                path, _, line = first.partition(":")

                assert (path, line) == (case.get("file"), case.get("line"))
                assert failure.get("message", "") in second

    def test_dorny_java_reader(self) -> None:
        """It looks for a stack frame, and fits the package to the folders of a tracked file."""
        for case in cases(samples.shop()).values():
            failure = case.find("failure")
            if failure is not None and case.get("file"):
                frames = [re.fullmatch(r"at (.*)\((.*):(\d+)\)", x) for x in (failure.text or "").split("\n")]
                (frame,) = [f for f in frames if f is not None]
                package = [p for p in frame[1].split(".") if p[0] > "Z"]

                assert "/".join([*package, frame[2]]) == case.get("file")
                assert frame[3] == case.get("line")
