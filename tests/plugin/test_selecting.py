"""When a gate run begins, and what is said when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.projects import GATES

if TYPE_CHECKING:
    from tests.plugin.projects import Project

UNIT = "def test_unit():\n    assert 1 + 1 == 2\n"


class TestPlainRun:
    """pytest without a phase."""

    def test_leaves_gates_out_and_says_so(self, small: Project) -> None:
        """Unit tests run, gates do not, and no run folder appears."""
        small.write("tests/test_unit.py", UNIT)

        ran = small.pytest()

        assert ran.code == 0
        assert "cutover: 2 gates left out of a plain run; pytest -m preflight runs them" in ran.out
        assert "1 passed, 2 deselected" in ran.out
        assert ran.runs == []

    @pytest.mark.parametrize("expression", ["not preflight", "not gate"])
    def test_negative_expression_is_a_plain_run(self, small: Project, expression: str) -> None:
        """`-m "not preflight"` asks for everything else."""
        small.write("tests/test_unit.py", UNIT)

        ran = small.pytest("-m", expression)

        assert (ran.code, ran.runs) == (0, [])

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("def test_a(): pass", 0),
            ("def test_a(): assert 0", 1),
            ("def test_a(:", 2),
            ("import pytest\n@pytest.fixture\ndef f(): raise OSError\ndef test_a(f): pass", 1),
            ("import pytest\n@pytest.mark.skip\ndef test_a(): pass", 0),
            ("import pytest\ndef test_a(): pytest.exit('x', 3)", 3),
            ("", 5),
        ],
    )
    def test_unit_tests_exit_as_without_the_plugin(self, empty: Project, body: str, code: int) -> None:
        """Whoever has it installed and gates nothing notices nothing."""
        empty.write("tests/test_unit.py", body)

        with_it, without_it = empty.pytest("-q"), empty.pytest("-q", "-p", "no:pytest_cutover")

        assert (with_it.code, without_it.code) == (code, code)
        assert _untimed(with_it.out) == _untimed(without_it.out)
        assert with_it.runs == []

    def test_unusable_marker_does_not_disturb_unit_tests(self, empty: Project) -> None:
        """A gate that cannot be run is the gate run's business."""
        empty.gates("@pytest.mark.gate('BAD ID')\ndef test_g(gate): pass\ndef test_unit(): pass")

        assert empty.pytest().code == 0


def _untimed(text: str) -> str:
    return "\n".join(line.split(" in ")[0] for line in text.splitlines())


class TestPhase:
    """`-m preflight`."""

    def test_runs_the_gates_of_the_phase(self, small: Project) -> None:
        """Green gates, GO, exit 0."""
        ran = small.pytest("-m", "preflight")

        assert ran.code == 0
        assert "GO  preflight → sandbox  2 of 2 gates green  exit 0" in ran.out
        assert ran.report()["decision"]["verdict"] == "GO"

    def test_other_phases_stay_out(self, small: Project) -> None:
        """A canary gate is no preflight gate."""
        small.gates(
            "@pytest.mark.canary\n@pytest.mark.gate('c')\ndef test_c(gate): gate.measure('x', 9, at_most=1)",
            "gates/test_canary.py",
        )

        assert small.pytest("-m", "preflight").code == 0

    def test_misspelt_phase_suggests_the_right_one(self, small: Project) -> None:
        """A typo that selects nothing must not look like a quiet success."""
        ran = small.pytest("-m", "prefligth")

        assert ran.code == 4
        assert "no marker is called 'prefligth'; did you mean 'preflight'?" in ran.text
        assert ran.runs == []

    def test_two_phases_are_refused(self, small: Project) -> None:
        """A decision is about one."""
        ran = small.pytest("-m", "preflight or canary")

        assert ran.code == 4
        assert "a gate run judges one phase, got canary and preflight" in ran.text

    def test_narrowed_phase_is_unproven(self, small: Project) -> None:
        """-k takes a required gate away."""
        ran = small.pytest("-m", "preflight", "-k", "test_db")

        assert ran.code == 11
        assert ran.codes() >= {"gate.deselected"}

    def test_nothing_selected_is_unproven(self, empty: Project) -> None:
        """No gates at all: 11, not pytest's 5."""
        empty.policy().write("tests/test_unit.py", UNIT)

        ran = empty.pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"run.nothing-selected", "gate.not-collected"}

    def test_without_a_policy_it_does_not_begin(self, empty: Project) -> None:
        """Usage error with the file's name."""
        ran = empty.gates().pytest("-m", "preflight")

        assert ran.code == 4
        assert "policy.json" in ran.text
        assert "Traceback" not in ran.text


class TestPlan:
    """`--cutover-plan`."""

    def test_selects_its_phase(self, small: Project) -> None:
        """No -m needed."""
        ran = small.pytest("--cutover-plan", "preflight")

        assert ran.code == 0
        assert "2 of 2 gates green" in ran.out

    def test_unknown_plan(self, small: Project) -> None:
        """Quoted, and nothing is run."""
        ran = small.pytest("--cutover-plan", "nightly")

        assert ran.code == 4
        assert "nightly" in ran.text
        assert "Traceback" not in ran.text
        assert ran.runs == []

    def test_plan_of_another_phase(self, small: Project) -> None:
        """-m and the plan have to agree."""
        ran = small.pytest("--cutover-plan", "preflight", "-m", "canary")

        assert ran.code == 4
        assert "plan 'preflight' is of phase 'preflight', and -m names canary" in ran.text


class TestNodeId:
    """A gate named by its node id."""

    def test_runs_that_gate_and_is_unproven(self, small: Project) -> None:
        """While writing a gate: its line is green, the plan is not met."""
        ran = small.pytest("gates/test_gates.py::test_db")

        assert ran.code == 11
        assert "✓ db.ready" in ran.out
        assert ran.codes() >= {"gate.not-collected"}

    def test_whole_plan_by_node_id_is_go(self, empty: Project) -> None:
        """When there is only one gate."""
        empty.policy(["db.ready"], {"db.ready": {"latency": {"at_most": 0.5, "unit": "s"}}})
        empty.gates(GATES.split('@pytest.mark.gate("api')[0])

        assert empty.pytest("gates/test_gates.py::test_db").code == 0

    def test_gates_of_two_phases(self, small: Project) -> None:
        """Which is meant has to be said."""
        small.gates("@pytest.mark.canary\n@pytest.mark.gate('c')\ndef test_c(gate): pass", "gates/test_c.py")

        ran = small.pytest("gates/test_gates.py::test_db", "gates/test_c.py::test_c")

        assert ran.code == 4
        assert "expected gates of one phase, got canary and preflight; add -m PHASE" in ran.text


class TestMarkers:
    """Mistakes in markers."""

    @pytest.mark.parametrize(
        ("marker", "message"),
        [
            (
                "'Db Ready'",
                "gate needs one id of lower-case letters, digits, '.', '_' and '-', got 'Db Ready'",
            ),
            ("", "gate needs one id"),
            ("'db', onwer='sre'", "gate 'db': unknown argument 'onwer'"),
            ("'db', timeout='5 s'", "timeout needs seconds between 0 and 86400, got '5 s'"),
        ],
    )
    def test_are_usage_errors_that_quote_the_value(self, empty: Project, marker: str, message: str) -> None:
        """With file and line, and without a traceback."""
        empty.policy().gates(
            f"@pytest.mark.preflight\n@pytest.mark.gate({marker})\ndef test_g(gate):\n    gate.measure('x', 1)"
        )

        ran = empty.pytest("-m", "preflight")

        assert ran.code == 11
        assert message in ran.err
        assert "gates/test_gates.py:" in ran.err
        assert "Traceback" not in ran.text

    @pytest.mark.parametrize(
        "more",
        [["-m", "preflight"], ["-m", "preflight", "-n", "2"], ["gates/test_gates.py::test_g"]],
        ids=str,
    )
    def test_are_what_the_decision_says(self, empty: Project, more: list[str]) -> None:
        """The evidence names the marker, not only pytest's exit status."""
        empty.policy().gates(
            "@pytest.mark.preflight\n@pytest.mark.gate('db', onwer='sre')\ndef test_g(gate): pass"
        )

        ran = empty.pytest(*more)

        assert ran.code == 11
        (first, *_) = [
            f["message"] for f in ran.report()["decision"]["findings"] if f["code"] == "gate.invalid"
        ]
        assert "gates/test_gates.py:3: gate 'db': unknown argument 'onwer'" in first

    def test_gate_fixture_without_the_marker(self, small: Project) -> None:
        """Said with the way out."""
        small.gates("@pytest.mark.preflight\ndef test_x(gate): gate.measure('x', 1)", "gates/test_x.py")

        ran = small.pytest("-m", "preflight")

        assert ran.code == 11
        assert "a test without a gate marker asks for `gate`" in ran.text
        assert "add @pytest.mark.gate(" in ran.text


class TestHelp:
    """What pytest tells about the plugin."""

    def test_options(self, small: Project) -> None:
        """Every option with its default."""
        ran = small.pytest("--help")

        assert ran.code == 0
        for option in ("plan", "env", "subject", "shard", "policy", "key", "trust"):
            assert f"--cutover-{option}" in ran.out
        assert "--report" in ran.out

    def test_markers(self, small: Project) -> None:
        """The gate marker and every phase."""
        ran = small.pytest("--markers")

        for name in (
            "gate(id,",
            "preflight:",
            "rehearsal:",
            "canary:",
            "postcutover:",
            "rollback:",
            "orr:",
            "bigbang:",
        ):
            assert f"@pytest.mark.{name}" in ran.out

    @pytest.mark.parametrize("more", [[], ["-m", "preflight"], ["gates/test_gates.py::test_db"]], ids=str)
    def test_fixtures(self, small: Project, more: list[str]) -> None:
        """gate and the sources, with or without a phase; no gate run begins, and none is decided."""
        ran = small.pytest("--fixtures", *more)

        for name in ("gate", "http", "readyz", "command", "targets"):
            assert f"\n{name} " in ran.out
        assert "Records what this gate measures" in ran.out
        assert (ran.code, ran.runs) == (0, [])

    @pytest.mark.parametrize("more", [[], ["-m", "preflight"]], ids=str)
    def test_fixtures_per_test(self, small: Project, more: list[str]) -> None:
        """Gates are listed too."""
        ran = small.pytest("--fixtures-per-test", *more)

        assert "fixtures used by test_db" in ran.out
        assert "\ngate " in ran.out
        assert (ran.code, ran.runs) == (0, [])

    @pytest.mark.parametrize("option", ["--help", "--markers", "--version", "--fixtures"])
    def test_asking_in_a_gate_run_is_no_verdict(self, small: Project, option: str) -> None:
        """-m preflight --help exits 0 and judges nothing."""
        ran = small.pytest("-m", "preflight", option)

        assert ran.code == 0
        assert "GO  preflight" not in ran.out
