"""Views of real runs: written after sealing, never part of the verdict, shown again later."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.unit.report.junit_rules import mistakes

if TYPE_CHECKING:
    from tests.plugin.projects import Project, Ran

RED = """
import pytest

pytestmark = pytest.mark.preflight


@pytest.mark.gate("db.ready", owner="dba", remedy="docs/db.md")
def test_db(gate):
    print("::error::forged")
    print("##[error]forged too")
    gate.note("<script>alert(1)</script>")
    gate.measure("latency", 0.9, unit="s")


@pytest.mark.gate("api.ready")
def test_api(gate):
    gate.measure("status", "ready")
"""
VIEWS = {"summary.md", "report.html", "junit.xml"}


def ways(project: Project, *options: str, **environ: str) -> dict[str, Ran]:
    """The same run in each runner."""
    return {
        "in-process": project.pytest("-m", "preflight", *(f"--cutover-{o}" for o in options), **environ),
        "supervised": project.cutover(
            "run", "preflight", *(f"--{o}" for o in options), "--", "gates", **environ
        ),
    }


@pytest.fixture
def red(small: Project) -> Project:
    small.gates(RED)
    return small


@pytest.fixture
def signed(red: Project) -> Project:
    """Signed with the development key of this project."""
    red.key = None
    return red


class TestFiles:
    def test_each_run_leaves_its_views(self, red: Project) -> None:
        """In both runners, whatever the verdict."""
        for ran in ways(red).values():
            assert ran.code == 10
            assert {f.name for f in ran.folder.iterdir()} >= VIEWS
            assert "page      var/cutover/runs/" in ran.out
            assert mistakes((ran.folder / "junit.xml").read_text(encoding="utf-8")) == []
            page = (ran.folder / "report.html").read_text(encoding="utf-8")
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
            assert "<script" not in page

    def test_under_xdist_too(self, red: Project) -> None:
        """Written by the controller alone."""
        ran = red.pytest("-m", "preflight", "-n", "2")

        assert {f.name for f in ran.folder.iterdir()} >= VIEWS
        assert "db.ready" in (ran.folder / "summary.md").read_text(encoding="utf-8")

    def test_copies_where_a_ci_system_looks(self, red: Project) -> None:
        """And nothing that an older run left there."""
        red.write("out/junit.xml", "old")
        last = ways(red, "junit=out/junit.xml", "code-quality=out/quality.json")["supervised"]
        junit = (red.folder / "out/junit.xml").read_text(encoding="utf-8")
        (issue,) = json.loads((red.folder / "out/quality.json").read_text(encoding="utf-8"))

        assert junit == (last.folder / "junit.xml").read_text(encoding="utf-8")
        assert issue["location"] == {"path": "gates/test_gates.py", "lines": {"begin": 7}}

    def test_a_run_that_never_ends_leaves_no_old_copy(self, red: Project) -> None:
        """It could be taken for this run's."""
        red.write("out/junit.xml", "old")
        red.write("conftest.py", "import os\ndef pytest_collection_finish(session):\n    os._exit(0)\n")
        red.pytest("-m", "preflight", "--cutover-junit=out/junit.xml")

        assert not (red.folder / "out/junit.xml").exists()

    @pytest.mark.parametrize("runner", ["in-process", "supervised"])
    def test_none(self, red: Project, runner: str) -> None:
        """Switched off by option and by variable."""
        for ran in (ways(red, "views=none")[runner], ways(red, CUTOVER_VIEWS="none")[runner]):
            assert ran.code == 10
            assert not {f.name for f in ran.folder.iterdir()} & VIEWS

    def test_switched_off_they_are_not_loaded(self, small: Project) -> None:
        """A run that wants none pays for none."""
        small.write(
            "conftest.py",
            "import sys\ndef pytest_unconfigure():\n"
            "    print('LOADED', *sorted(m for m in sys.modules if m.startswith('pytest_cutover.report')))\n",
        )
        ran = small.pytest("-m", "preflight", "--cutover-views=none")

        (loaded,) = [line.split() for line in ran.out.splitlines() if line.startswith("LOADED")]
        assert "pytest_cutover.report.terminal" in loaded
        assert not {"html", "summary", "junitfile", "view", "annotations"} & {
            m.rpartition(".")[2] for m in loaded
        }

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ("views=pdf", "expected summary, html, junit or none"),
            ("annotations=yes", "expected auto, github or none"),
        ],
    )
    def test_unknown_names_are_refused_before_anything_runs(
        self, red: Project, option: str, said: str
    ) -> None:
        """By name."""
        ran = ways(red, option)

        assert [r.code for r in ran.values()] == [4, 2]
        assert all(said in r.text and r.runs == [] for r in ran.values())


class TestVerdictStands:
    def test_a_view_that_cannot_be_written_changes_nothing(self, small: Project) -> None:
        """It is said, the others are written, and the evidence is sealed."""
        for ran in ways(small, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY="/nowhere/summary").values():
            assert ran.code == 0, ran.text
            assert "views     the job summary could not be written" in ran.out
            assert {f.name for f in ran.folder.iterdir()} >= VIEWS | {"report.json"}

    def test_a_copy_that_cannot_be_replaced_is_refused_at_the_start(self, small: Project) -> None:
        """Else an old file would be read as this run's."""
        small.write("taken/junit.xml/inside", "")

        assert [r.code for r in ways(small, "junit=taken/junit.xml").values()] == [4, 2]

    def test_a_renderer_that_crashes_changes_nothing(self, small: Project) -> None:
        """Nor does it hide the verdict."""
        small.write(
            "conftest.py",
            "from pytest_cutover.report import html\ndef broken(view):\n    raise RuntimeError('boom')\n"
            "html.render = broken\n",
        )
        ran = small.pytest("-m", "preflight")

        assert ran.code == 0
        assert "report.html could not be written: boom" in ran.out
        assert (ran.folder / "junit.xml").exists()
        assert ran.out.index("GO  preflight") < ran.out.index("boom")


class TestGitHub:
    def test_nothing_a_gate_prints_is_obeyed(self, red: Project) -> None:
        """Between the fence's lines GitHub listens to nobody; what stands outside is ours."""
        summary = red.write("step.md", "")
        for ran in ways(red, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary)).values():
            lines = ran.out.splitlines()
            stop = next(i for i, line in enumerate(lines) if line.startswith("::stop-commands::"))
            token = lines[stop].rpartition("::")[2]
            resume = lines.index(f"::{token}::")
            forged = [i for i, line in enumerate(lines) if "forged" in line]
            outside = [*lines[:stop], *lines[resume + 1 :]]
            commands = [line for line in outside if line.startswith("::")]

            assert forged
            assert all(stop < i < resume for i in forged)
            assert [line.split(" ", 1)[0] for line in commands] == ["::error", "::error"]
            assert commands[0].startswith(
                "::error file=gates/test_gates.py,line=7,title=RED db.ready::latency = 0.9 s"
            )
            assert not any("##[" in line for line in outside)
        assert summary.read_text(encoding="utf-8").count("## ❌ NO-GO") == 2

    def test_nothing_is_printed_elsewhere(self, red: Project) -> None:
        """Not even in another CI system."""
        runs = [*ways(red, CI="true").values()]
        runs += ways(red, "annotations=none", GITHUB_ACTIONS="true").values()

        assert not [r for r in runs if "::stop-commands::" in r.out or "::error file" in r.out]

    def test_when_asked(self, red: Project) -> None:
        """Anywhere, to see them."""
        for ran in ways(red, "annotations=github").values():
            assert "::error file=gates/test_gates.py,line=7" in ran.out

    def test_paths_begin_at_the_repository(self, red: Project) -> None:
        """A project that lies below it."""
        ran = red.pytest("-m", "preflight", GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(red.folder.parent))

        assert f"::error file={red.folder.name}/gates/test_gates.py,line=7" in ran.out


class TestLastRun:
    def test_the_newest_run_whose_bundle_verifies(self, signed: Project) -> None:
        """A later one that was changed does not count."""
        first, changed = signed.pytest("-m", "preflight"), signed.pytest("-m", "preflight")
        report = changed.folder / "report.json"
        report.write_bytes(report.read_bytes().replace(b'"0.9"', b'"0.1"'))

        third = signed.pytest("-m", "preflight")

        page = (third.folder / "report.html").read_text(encoding="utf-8")
        assert first.folder.name in page
        assert changed.folder.name not in page
        assert "0.9 s <small>same</small>" in page

    def test_unsigned_runs_are_compared_with_nothing(self, red: Project) -> None:
        """Anybody could have written them."""
        red.pytest("-m", "preflight")
        ran = red.pytest("-m", "preflight")

        page = (ran.folder / "report.html").read_text(encoding="utf-8")
        assert "no earlier run of this plan and environment" in page


class TestShow:
    def test_it_prints_the_run_again(self, signed: Project) -> None:
        """The same lines, and what verifying came to."""
        ran = signed.pytest("-m", "preflight")
        shown = signed.cutover("show", "last")

        assert shown.code == 0
        assert ran.out[ran.out.index("─" * 78) : ran.out.index("page ")] in shown.out
        assert (
            "verified  whole, unchanged, and signed\ntrust     development key var/cutover/keys/" in shown.out
        )

    def test_the_page_is_the_one_the_run_wrote(self, signed: Project) -> None:
        """But for what is known of the evidence."""
        ran = signed.pytest("-m", "preflight")
        shown = signed.cutover("show", ran.folder.name[:22], "--html", "again.html")
        again = (signed.folder / "again.html").read_text(encoding="utf-8")

        assert shown.code == 0
        assert again.replace(", verified", "") == (ran.folder / "report.html").read_text(encoding="utf-8")

    def test_so_are_the_others(self, signed: Project) -> None:
        """One model, one text."""
        ran = signed.pytest("-m", "preflight")
        shown = signed.cutover("show", "last", "--summary", "--junit", "again.xml")
        junit = (signed.folder / "again.xml").read_text(encoding="utf-8")

        summary = (ran.folder / "summary.md").read_text(encoding="utf-8")
        assert shown.out.replace(", verified", "") == summary
        assert junit == (ran.folder / "junit.xml").read_text(encoding="utf-8")

    def test_json(self, signed: Project) -> None:
        """For scripts."""
        signed.pytest("-m", "preflight")
        told = json.loads(signed.cutover("show", "last", "--json").out)

        assert (told["verdict"], told["exit_code"]) == ("NO-GO", 10)
        assert told["top_impact"]["label"] == "top-impact: db.ready"
        assert told["evidence"]["problems"] == []
        assert [g["state"] for g in told["gates"]] == ["red", "green"]

    def test_changed_evidence_is_shown_and_said(self, signed: Project) -> None:
        """In every form, and by the exit code."""
        ran = signed.pytest("-m", "preflight")
        report = ran.folder / "report.json"
        report.write_bytes(report.read_bytes().replace(b'"owner":"dba"', b'"owner":"eve"'))

        shown = signed.cutover("show", "last")
        page = signed.cutover("show", "last", "--html", "page.html")

        assert (shown.code, page.code) == (1, 1)
        assert "DOES NOT VERIFY" in shown.out
        assert "This evidence does not verify." in (signed.folder / "page.html").read_text(encoding="utf-8")

    def test_a_bundle_that_was_taken_away_is_missed(self, signed: Project) -> None:
        """Its report says that it was signed."""
        ran = signed.pytest("-m", "preflight")
        (ran.folder / "bundle.intoto.jsonl").unlink()

        shown = signed.cutover("show", "last")

        assert shown.code == 1
        assert "there is no bundle" in shown.out

    def test_unsigned_evidence_is_called_that(self, red: Project) -> None:
        """It never was more."""
        red.pytest("-m", "preflight")
        shown = red.cutover("show", "last")

        assert shown.code == 0
        assert "UNSIGNED" in shown.out

    @pytest.mark.parametrize(
        ("name", "said"), [("nowhere", "no run begins with 'nowhere'"), ("2", "2 runs begin with '2'")]
    )
    def test_which_run_must_be_clear(self, red: Project, name: str, said: str) -> None:
        """A name that fits none, or several."""
        ways(red)
        shown = red.cutover("show", name)

        assert shown.code == 2
        assert said in shown.err

    def test_a_run_that_was_never_decided(self, red: Project) -> None:
        """It has a journal and no report."""
        ran = red.pytest("-m", "preflight")
        (ran.folder / "report.json").unlink()

        shown = red.cutover("show", "last")

        assert shown.code == 2
        assert "was never decided" in shown.err


class TestHistory:
    def test_newest_first_with_what_was_red(self, signed: Project) -> None:
        """Verdict, time, plan, environment, run."""
        first, second = (signed.pytest("-m", "preflight").folder for _ in range(2))
        report = first / "report.json"
        report.write_bytes(report.read_bytes().replace(b'"owner":"dba"', b'"owner":"eve"'))
        lines = signed.cutover("history").out.splitlines()

        time = r"\d{4}-\d\d-\d\d \d\d:\d\dZ"
        assert re.fullmatch(rf"NO-GO  {time}  preflight → sandbox  {re.escape(second.name)}", lines[0])
        assert lines[1].strip() == "red db.ready"
        assert lines[2].endswith(first.name)
        assert "does not verify" in lines[3]
        assert all(len(line) <= 80 for line in lines[:3])

    def test_json_and_filters(self, signed: Project) -> None:
        """For scripts."""
        ways(signed)
        told = json.loads(signed.cutover("history", "--json", "-n", "1", "--plan", "preflight").out)

        assert [row["verdict"] for row in told] == ["NO-GO"]
        assert signed.cutover("history", "--env", "elsewhere").code == 1

    def test_no_folder(self, red: Project) -> None:
        """Not an empty list: somebody stands in the wrong place."""
        assert red.cutover("history").code == 2


def on_a_terminal(project: Project, *options: str, **environ: str) -> str:
    """What a run prints on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = [*project.command("-m", "preflight"), *options]
    environment = project.env(**{"TERM": "xterm", "COLUMNS": "80"} | environ)
    child = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    got = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end was closed
            break
        if not part:
            break
        got += part
    child.wait()
    os.close(ours)
    return got.decode()


class TestProgress:
    def test_one_line_and_erased(self, red: Project) -> None:
        """How far it is and what is under way; nothing of it stays."""
        out = on_a_terminal(red)

        assert re.search(r"\r\x1b\[K.{0,6}0/2 gates · db.ready …", out)
        assert re.search(r"\r\x1b\[K.{0,6}1/2 gates · 1 red · api.ready …", out)
        left = [re.sub(r".*\r\x1b\[K", "", line) for line in out.replace("\r\n", "\n").split("\n")]
        assert not [line for line in left if "/2 gates" in line]

    @pytest.mark.parametrize(
        ("options", "environ"),
        [
            (("-s",), {}),
            (("-v",), {}),
            ((), {"CI": "true"}),
            ((), {"TERM": "dumb"}),
            (("-n", "2"), {}),
        ],
    )
    def test_not_where_it_would_be_in_the_way(
        self, red: Project, options: tuple[str, ...], environ: dict[str, str]
    ) -> None:
        """In a log, beside other output, or with several workers."""
        assert "/2 gates ·" not in on_a_terminal(red, *options, **environ)

    def test_not_without_a_terminal(self, red: Project) -> None:
        """A pipe."""
        assert "\x1b[K" not in red.pytest("-m", "preflight").out


class TestJunitBesidePytests:
    def test_both_can_be_asked_for(self, red: Project) -> None:
        """pytest's own has all tests, ours has gates."""
        red.pytest("-m", "preflight", "--junitxml=theirs.xml", "--cutover-junit=ours.xml")
        theirs, ours = (ET.parse(red.folder / name).getroot() for name in ("theirs.xml", "ours.xml"))

        assert {c.get("name") for c in theirs.iter("testcase")} == {"test_db", "test_api"}
        assert {c.get("name") for c in ours.iter("testcase")} == {"db.ready", "api.ready"}
