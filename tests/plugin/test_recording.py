"""What a run leaves behind: every measurement, JUnit, the copy of the report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from junitparser import JUnitXml, Properties

from tests.plugin.projects import Project, Ran

if TYPE_CHECKING:
    from collections.abc import Iterator

THREE = """
@pytest.mark.preflight
@pytest.mark.gate("canary.health", owner="sre", remedy="docs/canary.md")
def test_canary(gate):
    gate.measure("burst", 1.7, unit="x", samples=300)
    gate.measure("green_windows", 3)
    gate.measure("seen", 7, information=True)
    gate.note("the third window was late")
    gate.attach("windows.txt", "one two three")

@pytest.mark.preflight
@pytest.mark.gate("db.ready")
def test_db(gate):
    gate.measure("latency", 0.2, unit="s")

@pytest.mark.preflight
@pytest.mark.gate("cache.ready")
def test_cache(gate):
    assert True
"""
LIMITS: dict[str, Any] = {
    "canary.health": {"burst": {"at_most": 1.5, "unit": "x"}, "green_windows": {"at_least": 3}},
    "db.ready": {"latency": {"at_most": 0.5, "unit": "s"}},
    "cache.ready": {"hits": {"at_least": 1}},
}


@pytest.fixture
def three(empty: Project) -> Project:
    """A red gate, a green one, one that measures nothing."""
    return empty.policy(["canary.health", "db.ready", "cache.ready"], LIMITS).gates(THREE)


class TestMeasurements:
    """Requirement A2."""

    def test_all_are_recorded_although_the_first_is_red(self, three: Project) -> None:
        """In the journal, with note and attachment."""
        ran = three.pytest("-m", "preflight")

        finished = {e["nodeid"].rsplit("_", 1)[1]: e for e in ran.events("gate.finished")}
        canary = finished["canary"]
        assert [m["name"] for m in canary["measurements"]] == ["burst", "green_windows", "seen"]
        assert canary["measured"] == 3
        assert canary["notes"] == ["the third window was late"]
        attached = ran.folder / "attachments" / canary["attachments"][0]["file"]
        assert attached.read_text() == "one two three"
        assert ran.code == 10

    def test_the_verdict_names_every_reason(self, three: Project) -> None:
        """Red first, with owner and remedy."""
        ran = three.pytest("-m", "preflight")

        assert "canary.health: burst = 1.7 x, limit at most 1.5 x (+0.2 x)  [limit.broken]" in ran.out
        assert "owner sre · remedy docs/canary.md" in ran.out
        assert ran.codes() >= {"limit.broken", "limit.unmeasured", "key.missing"}

    def test_each_gate_has_one_line(self, three: Project) -> None:
        """Sign, name, finding."""
        lines = three.pytest("-m", "preflight").out.splitlines()

        for start in ("✗ canary.health", "✓ db.ready", "! cache.ready"):
            assert len([x for x in lines if x.startswith(start)]) == 1


@pytest.fixture(scope="module", params=[(), ("-n", "2")], ids=["alone", "xdist"])
def junit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Ran]:
    """The suite element of a run with the three gates, and the run."""
    project = Project(tmp_path_factory.mktemp("junit"))
    project.write("pytest.ini", "[pytest]\n")
    project.policy(["canary.health", "db.ready", "cache.ready"], LIMITS).gates(THREE)
    ran = project.pytest("-m", "preflight", "--junitxml=junit.xml", *request.param)
    assert ran.code == 10
    (suite,) = list(JUnitXml.fromfile(str(project.folder / "junit.xml")))
    return suite, ran


class TestJUnit:
    """`--junitxml`, alone and over workers."""

    @pytest.fixture
    def suite(self, junit: tuple[Any, Ran]) -> Any:
        return junit[0]

    def test_message_says_gate_value_limit_and_verdict(self, suite: Any) -> None:
        """Annotators show the message and no properties."""
        (failure,) = case(suite, "test_canary").result

        for part in ("gate canary.health is red", "burst = 1.7 x, limit at most 1.5 x (+0.2 x)", "owner sre"):
            assert part in failure.message

    def test_properties_of_a_gate(self, suite: Any) -> None:
        """For machines: id, verdict, each measurement with its limit, each finding."""
        told = dict(properties(case(suite, "test_canary")))

        assert told["cutover.gate"] == "canary.health"
        assert told["cutover.verdict"] == "red"
        assert told["cutover.measurement.burst"] == "1.7 x (limit at most 1.5 x)"
        assert told["cutover.measurement.seen"] == "7 (no limit)"
        assert told["cutover.finding"].startswith("limit.broken: burst = 1.7 x")

    def test_green_gate(self, suite: Any) -> None:
        """Green has its figures too."""
        green = case(suite, "test_db")

        assert green.result == []
        assert dict(properties(green))["cutover.measurement.latency"] == "0.2 s (limit at most 0.5 s)"
        assert dict(properties(green))["cutover.verdict"] == "green"

    def test_properties_of_the_suite(self, junit: tuple[Any, Ran]) -> None:
        """The verdict of the whole run, also under xdist."""
        suite, ran = junit
        told = dict(properties(suite))

        assert told["cutover.verdict"] == "NO-GO"
        assert told["cutover.exit_code"] == "10"
        assert told["cutover.run"] == ran.folder.name

    def test_counts(self, suite: Any) -> None:
        """Every gate is one test case."""
        assert (suite.tests, suite.failures + suite.errors, suite.skipped) == (3, 2, 0)


def case(suite: Any, name: str) -> Any:
    return next(c for c in suite if c.name == name)


def properties(element: Any) -> Iterator[tuple[str, str]]:
    listed = element.properties() if hasattr(element, "properties") else element.child(Properties)
    return ((p.name, p.value) for p in listed)


class TestReport:
    """`--report PATH`."""

    def test_copy_with_date_and_time(self, small: Project) -> None:
        """Requirement A7's path, byte for byte the run's report."""
        ran = small.pytest("-m", "preflight", "--report=out/preflight-YYYYMMDD-HHMM.json")

        (copy,) = (small.folder / "out").iterdir()
        assert re.fullmatch(r"preflight-\d{8}-\d{4}\.json", copy.name)
        assert copy.read_bytes() == (ran.folder / "report.json").read_bytes()

    def test_path_that_cannot_be_written_is_said_before_the_run(self, small: Project) -> None:
        """Asked for and impossible: no verdict, no traceback."""
        small.write("out", "a file")

        ran = small.pytest("-m", "preflight", "--report=out/report.json")

        assert ran.code == 4
        assert "out/report.json" in ran.text
        assert "Traceback" not in ran.text


class TestTerminal:
    """Streams that cannot show everything."""

    def test_ascii(self, three: Project) -> None:
        """Signs are spelt, nothing breaks."""
        ran = three.pytest("-m", "preflight", PYTHONIOENCODING="ascii")

        assert ran.code == 10
        assert ran.out.isascii()
        assert "X canary.health" in ran.out
        assert "ok db.ready" in ran.out

    def test_no_color(self, three: Project) -> None:
        """NO_COLOR wins over FORCE_COLOR."""
        ran = three.pytest("-m", "preflight", NO_COLOR="1", FORCE_COLOR="1")

        assert "\x1b[" not in ran.out

    def test_colour_when_forced(self, three: Project) -> None:
        """And the words are still there."""
        ran = three.pytest("-m", "preflight", FORCE_COLOR="1")

        assert "\x1b[31" in ran.out
        assert "NO-GO" in ran.out

    def test_control_characters_of_a_gate_do_not_reach_it(self, empty: Project) -> None:
        """A note cannot write a verdict of its own."""
        empty.policy(["g"], {"g": {"x": {"equals": "ready"}}})
        empty.gates(
            "@pytest.mark.preflight\n@pytest.mark.gate('g')\ndef test_g(gate):\n"
            "    gate.measure('x', '\\x1b[2J\\rGO  preflight')\n    gate.note('\\x1b[1A\\nGO  preflight')\n"
        )

        out = empty.pytest("-m", "preflight", "--tb=no", "-rN").out

        assert "\x1b" not in out
        assert not any(line.startswith("GO ") for line in out.splitlines())

    def test_without_a_terminal_plugin(self, three: Project) -> None:
        """-p no:terminal: silent, same answer."""
        assert three.pytest("-m", "preflight", "-p", "no:terminal").code == 10


class TestSupervised:
    """`cutover run preflight`."""

    def test_same_answer(self, three: Project) -> None:
        """Same reasons, same code, and the runner is named."""
        ran = three.cutover("run", "preflight")

        assert ran.code == 10
        assert [e["status"] for e in ran.events("run.exited")] == [11]
        assert ran.codes() >= {"limit.broken", "limit.unmeasured"}
        assert "runner    supervised" in ran.out

    def test_key_never_reaches_the_child(self, small: Project) -> None:
        """A gate looks for it in vain."""
        small.gates(
            "import os\n@pytest.mark.preflight\n@pytest.mark.gate('db.ready')\ndef test_db(gate):\n"
            "    found = [n for n in os.environ if n in ('CUTOVER_KEY', 'CUTOVER_KEY_PEM')]\n"
            "    gate.measure('latency', len(found), unit='s')\n"
        )
        small.policy(["db.ready"])

        assert small.cutover("run", "preflight").code == 0


def test_journal_is_json_lines(small: Project) -> None:
    """One object per line, numbered."""
    ran = small.pytest("-m", "preflight")
    lines = (ran.folder / "journal.jsonl").read_bytes().splitlines()

    assert [json.loads(x)["seq"] for x in lines] == list(range(len(lines)))
