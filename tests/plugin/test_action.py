"""action.yml, the composite GitHub action: its steps run as GitHub's runner runs them, but for other people's actions."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.plugin.projects import Project

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


@dataclass
class Job:
    """A job with one step, which uses the action."""

    project: Project
    home: Path
    inputs: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    uploaded: dict[str, str] | None = None
    code: int = 0
    log: str = ""

    def run(self) -> Job:
        """Every step whose condition holds; the first that fails gives the job's exit code."""
        self.home.mkdir()
        programs = {"cutover": "-m pytest_cutover", "python3": ""}
        for name, arguments in programs.items():
            program = self.home / "programs" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
            program.chmod(0o755)
        for step in STEPS:
            if self.is_wanted(step.get("if", "")):
                self.step(step)
        return self

    def is_wanted(self, condition: str) -> bool:
        """What GitHub makes of an `if`: `success()` is meant where neither it nor `always()` is said."""
        text = condition.removeprefix("${{").removesuffix("}}").strip()
        if "always()" not in text and self.code != 0:
            return False
        for part in filter(None, (p.strip() for p in text.split("&&"))):
            if part == "always()":
                continue
            name, operator, value = part.split(" ")
            if (self.value(name) == value.strip("'")) is not (operator == "=="):
                return False
        return True

    def value(self, name: str) -> str:
        if name.startswith("inputs."):
            key = name.removeprefix("inputs.")
            return self.inputs.get(key, str(ACTION["inputs"][key]["default"]))
        step, output = re.fullmatch(r"steps\.(\w+)\.outputs\.([\w-]+)", name).groups()  # type: ignore[union-attr]
        return self.steps.get(step, {}).get(output, "")

    def filled(self, given: Mapping[str, Any]) -> dict[str, str]:
        return {k: EXPRESSION.sub(lambda m: self.value(m[1]), str(v)) for k, v in given.items()}

    def step(self, step: Mapping[str, Any]) -> None:
        if "uses" in step:
            if step["uses"].startswith("actions/upload-artifact@"):
                self.uploaded = self.filled(step["with"])
            return
        if step["name"] == "Install pytest-cutover":
            return
        output = self.home / f"output-{step['id']}"
        output.touch()
        files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(self.home / "summary")}
        script = self.home / f"{step['id']}.sh"
        script.write_text(step["run"])
        environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ENV": str(self.home / "env"),
            "GITHUB_WORKSPACE": str(self.project.folder),
            "RUNNER_TEMP": str(self.home),
            "PATH": f"{self.home}/programs:/usr/local/bin:/usr/bin:/bin",
            **files,
            **self.environ,
            **self.filled(step.get("env", {})),
        }
        folder = self.project.folder / self.filled({"folder": step["working-directory"]})["folder"]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=folder,
            env=self.project.env(**environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.code = self.code or done.returncode
        self.log += done.stdout + done.stderr
        lines = output.read_text().splitlines()
        self.steps[step["id"]] = dict(line.split("=", 1) for line in lines)

    def outputs(self) -> dict[str, str]:
        return self.filled({name: given["value"] for name, given in ACTION["outputs"].items()})


@pytest.fixture
def job(small: Project, tmp_path: Path) -> Job:
    """The action in a project with two green gates."""
    return Job(small, tmp_path / "runner")


RED = 'pytestmark = pytest.mark.preflight\n\n\n@pytest.mark.gate("db.ready")\ndef test_db(gate):\n    gate.measure("latency", 9, unit="s")\n'


class TestDescription:
    def test_it_is_one_by_github_s_schema(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "check_jsonschema",
                "--builtin-schema",
                "vendor.github-actions",
                "action.yml",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout

    def test_no_script_holds_an_expression(self) -> None:
        """What an input says reaches a shell as a value alone."""
        assert [s["name"] for s in STEPS if "${{" in s.get("run", "")] == []

    def test_foreign_actions_are_pinned_by_their_commit(self) -> None:
        used = [s["uses"] for s in STEPS if "uses" in s]

        assert len(used) == 2
        assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)

    def test_no_input_is_made_for_a_secret(self) -> None:
        assert [name for name in ACTION["inputs"] if re.search("key|pem|token|secret", name)] == []

    def test_every_input_is_used_and_described(self) -> None:
        text = json.dumps(ACTION["runs"])

        assert [
            n for n, i in ACTION["inputs"].items() if f"inputs.{n} " not in text or not i["description"]
        ] == []

    def test_it_installs_itself_with_the_extras_as_one_argument(self, tmp_path: Path) -> None:
        (install,) = [s for s in STEPS if s.get("name") == "Install pytest-cutover"]
        python = tmp_path / "python3"
        python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        python.chmod(0o755)

        for extras, expected in (("service", "/a b[service]"), ("", "/a b"), ("$(id)", "/a b[$(id)]")):
            environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_ACTION_PATH": "/a b", "EXTRAS": extras}
            done = subprocess.run(
                ["bash", "-e", "-c", install["run"]], env=environ, capture_output=True, text=True, check=True
            )
            assert done.stdout.splitlines()[-1] == expected


class TestGo:
    def test_it_succeeds_and_says_where_everything_is(self, job: Job) -> None:
        job.run()
        outputs = job.outputs()
        (run,) = job.project.runs()

        assert job.code == 0, job.log
        assert (outputs["verdict"], outputs["exit-code"]) == ("GO", "0")
        assert outputs["run"] == f"./var/cutover/runs/{run.name}"
        assert (job.project.folder / outputs["summary"]).read_text().startswith("<!-- pytest-cutover summary")
        assert outputs["artifact"] == f"cutover-{run.name}"

    def test_the_summary_of_the_job_is_written_once(self, job: Job) -> None:
        job.run()

        summary = (job.project.folder / job.outputs()["summary"]).read_text()
        assert (job.home / "summary").read_text().strip() == summary.strip()

    def test_the_evidence_is_uploaded(self, job: Job) -> None:
        job.run()

        assert job.uploaded is not None
        assert job.uploaded["path"] == job.outputs()["run"]

    def test_another_folder_and_every_input(self, job: Job) -> None:
        below = Project(job.project.folder / "services/my shop").policy().gates()
        (below.folder / "pytest.ini").write_text("[pytest]\n")
        digest = "a" * 64
        job.inputs = {
            "working-directory": "services/my shop",
            "arguments": "gates\n-k\ndb or api\n",
            "environment": "sandbox",
            "subjects": f"one@sha256:{digest}\ntwo@sha256:{digest}",
            "policy": "configs/policy.json",
            "artifact-name": "mine",
        }
        job.run()
        (run,) = below.runs()
        started = json.loads((run / "journal.jsonl").read_bytes().splitlines()[0])

        assert job.code == 0, job.log
        assert job.outputs()["run"] == f"services/my shop/var/cutover/runs/{run.name}"
        assert [s["name"] for s in started["subjects"]] == ["one", "two"]
        assert job.uploaded is not None
        assert job.uploaded["name"] == "mine"

    def test_a_variable_is_not_undone_by_an_empty_input(self, job: Job) -> None:
        job.environ = {"CUTOVER_ENV": "nowhere"}
        job.run()

        assert job.code == 2
        assert "nowhere" in job.log


class TestNoGo:
    def test_the_exit_code_is_the_decision_s_and_the_evidence_is_kept(self, job: Job) -> None:
        job.project.gates(RED)
        job.run()

        assert job.code == 10
        assert job.outputs()["verdict"] == "NO-GO"
        assert job.outputs()["exit-code"] == "10"
        assert job.uploaded is not None
        assert "NO-GO" in (job.home / "summary").read_text()

    def test_it_is_annotated(self, job: Job) -> None:
        job.project.gates(RED)
        job.run()

        assert re.search(r"^::error file=gates/test_gates\.py,line=\d+,", job.log, re.MULTILINE)

    def test_what_is_not_proven_ends_with_11(self, job: Job) -> None:
        job.inputs = {"arguments": "gates\n-k\nnothing"}
        job.run()

        assert (job.code, job.outputs()["verdict"]) == (11, "NO-GO")

    def test_a_run_that_did_not_begin_has_no_verdict(self, job: Job) -> None:
        """Nor has it the one of an older run that lies there."""
        job.project.cutover("run", "preflight", "--", "gates")
        (job.project.folder / "configs/policy.json").write_text("{")
        job.run()

        assert job.code == 2
        assert job.outputs() | {"artifact": ""} == {
            **dict.fromkeys(("verdict", "run", "summary", "artifact"), ""),
            "exit-code": "2",
        }

    def test_an_interrupted_installation_has_no_verdict(self, job: Job) -> None:
        job.code = 1
        job.run()

        assert job.code == 1
        assert (job.outputs()["verdict"], job.outputs()["exit-code"]) == ("", "")
        assert job.uploaded is None


class TestAttacks:
    """Inputs may hold what somebody put into the title of a pull request; gates are not trusted with the verdict."""

    @pytest.mark.parametrize("name", sorted(ACTION["inputs"]))
    def test_no_input_is_run(self, job: Job, name: str) -> None:
        text = "a'\"; touch pwned; `touch pwned` $(touch pwned)\ntouch pwned #"
        if name == "working-directory":
            (job.project.folder / text).mkdir()
        job.inputs = {name: text}
        job.run()

        assert list(job.project.folder.rglob("pwned")) == []
        assert not (job.home / "pwned").exists()

    @pytest.mark.parametrize("plan", ["--help", "-h", ""])
    def test_a_plan_that_is_an_option_is_refused(self, job: Job, plan: str) -> None:
        """`cutover run --help` ends with 0, and gates nothing."""
        job.inputs = {"plan": plan}
        job.run()

        assert job.code == 64
        assert job.outputs()["verdict"] == ""

    @pytest.mark.parametrize("name", ["environment", "policy", "trust", "subjects", "arguments"])
    def test_nor_is_another_input_an_option(self, job: Job, name: str) -> None:
        job.inputs = {name: "--help"}
        job.run()

        assert job.code != 0

    def test_an_end_with_0_without_a_decision_is_no_success(self, job: Job) -> None:
        """Whatever stands on PATH in place of `cutover`."""
        job.project.write("programs/cutover", "#!/bin/sh\nexit 0\n").chmod(0o755)
        job.environ = {"PATH": f"{job.project.folder}/programs:{job.home}/programs:/usr/bin:/bin"}
        job.run()

        assert job.code == 11
        assert "there is no report that says GO" in job.log
        assert job.outputs()["verdict"] == ""

    def test_a_report_that_gates_planted_gives_no_verdict(self, job: Job) -> None:
        planted = {"decision": {"exit_code": 0, "verdict": "GO"}, "run": {"run_id": "../../.."}}
        job.project.gates(
            RED
            + f"\n    import pathlib\n    pathlib.Path({str(job.home)!r}, 'cutover-report.json').write_text({json.dumps(planted)!r})\n"
        )
        job.run()

        assert job.code == 10
        assert job.outputs()["verdict"] == "NO-GO"

    def test_gates_are_not_given_the_files_that_steer_the_job(self, job: Job) -> None:
        job.project.gates(
            RED.replace("9, unit", "0.1, unit")
            + "\n    import os\n    assert not {'GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_PATH'} & set(os.environ)\n"
        )
        job.project.policy(["db.ready"], {"db.ready": {"latency": {"at_most": 0.5, "unit": "s"}}})
        job.run()

        assert job.code == 0, job.log

    def test_what_gates_read_from_the_environment_is_not_the_action_s(self, job: Job) -> None:
        """An input may be called as a variable that the gates have always read."""
        job.project.gates(
            RED.replace("9, unit", "0.1, unit")
            + "\n    import os\n    assert os.environ['ENVIRONMENT'] == 'theirs'\n"
        )
        job.project.policy(["db.ready"], {"db.ready": {"latency": {"at_most": 0.5, "unit": "s"}}})
        job.environ = {"ENVIRONMENT": "theirs"}
        job.run()

        assert job.code == 0, job.log

    def test_the_key_of_the_environment_signs_and_is_not_shown(self, job: Job, tmp_path: Path) -> None:
        job.project.cutover("keys", "new", str(tmp_path / "k.pem"))
        key = (tmp_path / "k.pem").read_text()
        job.project.key = None
        job.environ = {"CUTOVER_KEY_PEM": key}
        job.run()
        (run,) = job.project.runs()

        assert job.code == 0, job.log
        assert (run / "bundle.intoto.jsonl").exists()
        assert key.splitlines()[1] not in job.log
