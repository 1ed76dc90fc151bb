"""Gates in TOML files, collected and run by pytest as users run it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from tests.plugin.projects import Project

GATES = r"""
format = 1
phase = "preflight"
owner = "dba"

[[gate]]
id = "db.migration"
title = "Nothing is left to migrate"
remedy = "docs/db.md"
shell = "echo pending: 0"
measure.exit_code = "exit_code"
measure.pending = { figure = 'pending: (\d+)' }

[[gate]]
id = "tree.open"
owner = "dev"
scan = "src"
measure.open = { count = 'FIXME' }
""".lstrip()

LIMITS = {
    "db.migration": {"exit_code": {"equals": 0}, "pending": {"at_most": 0}},
    "tree.open": {"open": {"at_most": 0}},
}
FILE = "gates/release.toml"


@pytest.fixture
def project(empty: Project) -> Project:
    """Two gates in TOML, both green."""
    empty.policy(list(LIMITS), LIMITS)
    empty.write(FILE, GATES)
    empty.write("src/a.py", "x = 1\n")
    return empty


class TestPlainRun:
    def test_leaves_them_out_and_says_so(self, project: Project) -> None:
        project.write("tests/test_unit.py", "def test_unit(): pass\n")
        project.gates("@pytest.mark.preflight\n@pytest.mark.gate('c')\ndef test_c(gate): pass")

        ran = project.pytest()

        assert (ran.code, ran.runs) == (0, [])
        assert "cutover: 3 gates left out of a plain run; pytest -m preflight runs them" in ran.out
        assert "1 passed" in ran.out

    def test_reads_no_toml(self, project: Project) -> None:
        """A file that cannot be read is a gate run's business."""
        project.write(FILE, "[[gate]\n")
        project.write("tests/test_unit.py", "def test_unit(): pass\n")

        assert project.pytest().code == 0

    def test_names_the_file_and_still_runs_nothing(self, project: Project) -> None:
        ran = project.pytest(FILE)

        assert ran.code == 5
        assert "2 gates left out of a plain run" in ran.out
        assert ran.runs == []

    def test_other_toml_files_are_nobodys(self, project: Project) -> None:
        project.write("checks/data.toml", GATES)
        project.write("pyproject.toml", "[project]\nname = 'x'\n")

        ran = project.pytest()

        assert "cutover: 2 gates left out" in ran.out


class TestGateRun:
    @pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "-n 2"])
    def test_is_go(self, project: Project, workers: tuple[str, ...]) -> None:
        ran = project.pytest("-m", "preflight", *workers)

        assert ran.code == 0, ran.text
        assert "GO  preflight → sandbox  2 of 2 gates green  exit 0" in ran.out
        gates = {g["id"]: g for e in ran.events("run.collected") for g in e["gates"]}
        assert gates["db.migration"]["nodeid"] == "gates/release.toml::db.migration"
        assert (gates["db.migration"]["file"], gates["db.migration"]["line"]) == (FILE, 5)
        assert (gates["tree.open"]["line"], gates["tree.open"]["owner"]) == (13, "dev")
        assert gates["db.migration"]["title"] == "Nothing is left to migrate"

    def test_is_go_supervised(self, project: Project) -> None:
        ran = project.cutover("run", "preflight", "--", "-n", "2")

        assert ran.code == 0, ran.text
        assert ran.report()["run"]["runner"] == "supervised"

    def test_red_is_told_with_file_and_line_in_every_view(self, project: Project) -> None:
        project.write("src/a.py", "FIXME\n")

        ran = project.pytest("-m", "preflight", "--junitxml=j.xml", "-o", "junit_family=xunit1")

        assert ran.code == 10
        assert "✗ tree.open: open = 1, limit at most 0" in ran.out
        assert "[limit.broken]" in ran.out
        assert f"owner dev · {FILE}:13" in ran.out
        assert "Traceback" not in ran.text
        cases = {c.get("name"): c for c in ElementTree.parse(project.folder / "j.xml").iter("testcase")}
        assert (cases["tree.open"].get("file"), cases["tree.open"].get("line")) == (FILE, "12")
        failure = cases["tree.open"].find("failure")
        assert failure is not None
        assert "open = 1, limit at most 0" in str(failure.get("message"))
        assert ran.report()["decision"]["findings"][0]["where"] == f"{FILE}:13"

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (("-m", "preflight", "-k", "migration"), "1/2 tests collected"),
            (("-m", "preflight", "-k", "release.toml"), "2 tests collected"),
            (("-m", "preflight", "-k", "tree.open"), f"{FILE}::tree.open"),
            (
                (
                    "-m",
                    "canary",
                ),
                "no tests collected",
            ),
        ],
    )
    def test_is_selected_as_tests_are(self, project: Project, arguments: tuple[str, ...], line: str) -> None:
        policy = json.loads((project.folder / "configs/policy.json").read_text())
        policy["plans"]["canary"] = policy["plans"]["preflight"]
        project.write("configs/policy.json", json.dumps(policy))

        ran = project.pytest(*arguments, "--collect-only", "-q")

        assert line in ran.out

    def test_is_run_by_its_node_id(self, project: Project) -> None:
        ran = project.pytest(f"{FILE}::db.migration")

        assert ran.code == 11
        assert "✓ db.migration" in ran.out
        assert ran.codes() >= {"gate.not-collected"}

    def test_the_first_red_one_ends_a_run_with_x(self, project: Project) -> None:
        project.write(FILE, GATES.replace("pending: 0", "pending: 2"))

        ran = project.pytest("-m", "preflight", "-x")

        assert ran.code == 10
        assert ran.codes() >= {"limit.broken", "gate.not-run"}

    def test_output_is_kept_by_day(self, project: Project) -> None:
        ran = project.pytest("-m", "preflight")

        (finished,) = [e for e in ran.events("gate.finished") if "migration" in e["nodeid"]]
        (note,) = finished["notes"]
        path = note.removeprefix("output: ")
        assert re.fullmatch(r"var/cutover/logs/\d{4}-\d\d-\d\d/\d{6}Z-db\.migration-[0-9a-f]{8}\.log", path)
        kept = (project.folder / path).read_bytes()
        assert b"--- stdout, 11 bytes\npending: 0\n" in kept
        assert (ran.folder / "attachments" / finished["attachments"][0]["file"]).read_bytes() == kept

    def test_secrets_stay_out(self, project: Project) -> None:
        project.write(FILE, GATES.replace("echo pending: 0", "echo pending: 0; echo $SHOP_TOKEN; echo $SHOP_TOKEN >&2; false").replace("measure.exit", "env_from = ['SHOP_TOKEN']\nmeasure.exit"))  # fmt: skip
        secret = "correct-horse-battery"

        ran = project.pytest("-m", "preflight", SHOP_TOKEN=secret)

        assert ran.code == 10
        assert secret not in ran.text
        kept = [p for p in (project.folder / "var").rglob("*") if p.is_file()]
        assert [p for p in kept if secret.encode() in p.read_bytes()] == []
        assert any(b"[redacted]" in p.read_bytes() for p in kept if p.suffix == ".log")

    def test_at_the_time_limit_all_it_started_is_ended_and_its_output_kept(self, project: Project) -> None:
        line = "echo started; setsid sleep 60 & echo $! > pid; sleep 60"
        project.write(FILE, GATES.replace("echo pending: 0", line).replace("measure.exit", "timeout_s = 1\nmeasure.exit"))  # fmt: skip

        ran = project.pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"gate.timeout"}
        until = time.monotonic() + 2
        child = Path("/proc", (project.folder / "pid").read_text().strip())
        while child.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert not child.exists()
        (log,) = (project.folder / "var/cutover/logs").rglob("*.log")
        assert "# ended: took longer than its limit of 1 s" in log.read_text()
        assert "started\n" in log.read_text()


class TestMistakes:
    def test_are_told_with_file_line_and_hint(self, project: Project) -> None:
        project.write(FILE, GATES.replace("measure.open", 'ownre = "x"\nmeasure.open'))

        ran = project.pytest("-m", "preflight")

        assert ran.code == 11
        assert f"{FILE}:17: gate tree.open: unknown key 'ownre'" in ran.out
        assert "hint: did you mean 'owner'?" in ran.out
        assert "Traceback" not in ran.text
        assert ran.codes() >= {"run.collect-error", "gate.not-collected"}

    def test_one_bad_gate_takes_its_file_along_and_no_other(self, project: Project) -> None:
        project.write("gates/bad.toml", "format = 1\n[[gate]]\n")

        ran = project.pytest("-m", "preflight", "--continue-on-collection-errors")

        assert ran.code == 11
        assert "✓ db.migration" in ran.out

    def test_a_folder_called_so_is_no_file(self, project: Project) -> None:
        (project.folder / "gates/folder.toml").mkdir()
        assert project.pytest("-m", "preflight").code == 0


class TestPytest:
    """What works on tests works on these."""

    def test_fixtures_of_every_scope_are_used(self, project: Project) -> None:
        project.write(
            "gates/conftest.py",
            "import pytest\n\n"
            + "".join(
                f"@pytest.fixture(scope='{s}', autouse=True)\ndef of_{s}(request):\n    print('begin', '{s}')\n    yield\n    print('end', '{s}')\n\n"
                for s in ("session", "package", "module", "function")
            ),
        )

        ran = project.pytest("-m", "preflight", "-s")

        assert ran.code == 0, ran.text
        for scope, times in (("session", 1), ("module", 1), ("function", 2)):
            assert ran.out.count(f"begin {scope}") == ran.out.count(f"end {scope}") == times

    def test_a_conftest_may_mark_them(self, project: Project) -> None:
        """A skipped gate is not green, however it came to be skipped."""
        project.write(
            "conftest.py",
            "import pytest\n\ndef pytest_collection_modifyitems(items):\n    items[0].add_marker(pytest.mark.skip(reason='tired'))\n",
        )

        ran = project.pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"gate.skipped"}

    def test_a_plan_may_mix_them_with_python(self, project: Project) -> None:
        project.policy(["db.migration", "tree.open", "py"], LIMITS | {"py": {"x": {"at_most": 1}}})
        project.gates(
            "@pytest.mark.preflight\n@pytest.mark.gate('py')\ndef test_py(gate):\n    gate.measure('x', 1)"
        )

        assert "3 of 3 gates green" in project.pytest("-m", "preflight").out

    def test_the_pinned_gate_code_covers_them(self, project: Project) -> None:
        before = project.pytest("-m", "preflight").report()["run"]["gate_code_digest"]
        project.write(FILE, GATES + "# changed\n")

        assert project.pytest("-m", "preflight").report()["run"]["gate_code_digest"] != before
