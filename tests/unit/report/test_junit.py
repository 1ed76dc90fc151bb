"""What the test suite element says of the whole run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from _pytest.junitxml import xml_key  # the key that report/junit.py uses

from pytest_cutover.report.junit import add_suite_properties
from tests.unit import journals
from tests.unit.journals import measurement
from tests.unit.run.test_conclude import run_in
from tests.unit.test_decision import one_gate

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Xml:
    """Stands for pytest's LogXML."""

    def __init__(self) -> None:
        self.properties: list[tuple[str, str]] = []

    def add_global_property(self, name: str, value: str) -> None:
        self.properties.append((name, value))


def added(
    folder: Path, *, xmlpath: str | None = "junit.xml", stash: dict[Any, Any] | None = None
) -> list[tuple[str, str]]:
    xml = Xml()
    config = SimpleNamespace(
        option=SimpleNamespace(xmlpath=xmlpath), stash={xml_key: xml} if stash is None else stash
    )
    decision = journals.decision(one_gate(measurement(value="9"), measurement("x")))
    add_suite_properties(cast("pytest.Config", config), decision, run_in(folder))
    return xml.properties


class TestSuiteProperties:
    """Properties of the suite."""

    def test_verdict_run_and_findings(self, tmp_path: Path) -> None:
        """One property per finding, the heaviest first."""
        assert added(tmp_path) == [
            ("cutover.verdict", "NO-GO"),
            ("cutover.exit_code", "10"),
            ("cutover.run", "20261121T084750Z-1a2b3c4d"),
            ("cutover.environment", "sandbox"),
            ("cutover.finding", "limit.broken: ready: latency = 9 s, limit at most 0.5 s"),
            ("cutover.finding", "measurement.unjudged: ready: x = 0.2 has no limit"),
        ]

    def test_without_junitxml_nothing_happens(self, tmp_path: Path) -> None:
        """Nobody asked."""
        assert added(tmp_path, xmlpath=None) == []

    def test_without_its_plugin_nothing_happens(self, tmp_path: Path) -> None:
        """`-p no:junitxml` beside `--junitxml`."""
        assert added(tmp_path, stash={}) == []
