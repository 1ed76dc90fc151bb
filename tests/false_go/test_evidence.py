"""What a deploy step makes of the evidence: only a whole, trusted, newest GO opens the door."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.false_go.harness import (
    BUNDLE,
    REPORT,
    RUNS,
    Keys,
    LyingRun,
    Mode,
    admits,
    build,
    command,
    cutover,
    execute,
    gate_module,
    truly_go,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED

if TYPE_CHECKING:
    from pathlib import Path

DIES_SEALING = """
import os
from pytest_cutover.run.ending import Ending

Ending.write = lambda *_: os.kill(os.getpid(), 9)
"""
DIES_NAMING = """
import os
from pytest_cutover.run.ending import Ending

Ending.name = lambda *_: os.kill(os.getpid(), 9)
"""
SIGNED = LyingRun("signed", "", ONE, truly_go("nothing is wrong with it"), keyed=True)


def again(run: LyingRun, root: Path, environ: dict[str, str], mode: Mode = Mode.ALONE) -> int:
    """Run the project once more where it stands."""
    done = subprocess.run(command(run, mode, root), cwd=root, env=environ, capture_output=True, check=False)
    return done.returncode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def signed(root: Path, keys: Keys) -> dict[str, str]:
    """A project with one signed GO; its environment."""
    environ = build(SIGNED, root, keys)
    assert again(SIGNED, root, environ) == 0
    return environ


class TestAGo:
    @pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
    def test_is_sealed_and_admitted_in_every_mode(self, mode: Mode, tmp_path: Path, keys: Keys) -> None:
        seen = execute(SIGNED, mode, tmp_path, keys)

        assert (seen.exit, seen.verdicts, len(seen.sealed_go), seen.admitted) == (0, ("GO",), 1, True), (
            seen.summary()
        )

    def test_of_the_sandbox_opens_no_other_environment(
        self, root: Path, keys: Keys, signed: dict[str, str]
    ) -> None:
        assert not admits(root, keys, environment="production")

    def test_without_a_key_admits_nothing(self, tmp_path: Path, keys: Keys, root: Path) -> None:
        """CI gives a fork's pull request empty secrets."""
        seen = execute(replace(SIGNED, env={"CUTOVER_KEY": ""}), Mode.ALONE, tmp_path, keys)

        assert (seen.exit, seen.verdicts, seen.admitted) == (0, ("GO",), False)
        assert cutover(root, keys, "verify", str(next((root / RUNS).iterdir()))).returncode == 1


class TestAFolderThatWasTouched:
    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            (REPORT, '"exit_code":0', '"exit_code":1'),
            (REPORT, '"value":"1"', '"value":"0"'),
            (BUNDLE, '"sig":"', '"sig":"A'),
        ],
        ids=["verdict", "measurement", "signature"],
    )
    def test_is_not_believed(
        self, root: Path, keys: Keys, signed: dict[str, str], name: str, old: str, new: str
    ) -> None:
        file = next((root / RUNS).iterdir()) / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

        assert cutover(root, keys, "verify", str(file.parent)).returncode == 1
        assert not admits(root, keys)

    def test_without_its_report_is_not_believed(self, root: Path, keys: Keys, signed: dict[str, str]) -> None:
        folder = next((root / RUNS).iterdir())
        (folder / REPORT).unlink()

        assert not admits(root, keys)


class TestANewerNoGo:
    def test_takes_an_older_go_back(self, root: Path, keys: Keys, signed: dict[str, str]) -> None:
        (root / ONE_FILE).write_text(gate_module(RED))

        assert again(SIGNED, root, signed) == 10
        assert not admits(root, keys)

    def test_is_not_hidden_by_a_copy_of_the_go_under_a_later_name(
        self, root: Path, keys: Keys, signed: dict[str, str]
    ) -> None:
        go = next((root / RUNS).iterdir())
        (root / ONE_FILE).write_text(gate_module(RED))
        assert again(SIGNED, root, signed) == 10
        shutil.copytree(go, root / RUNS / "29990101T000000Z-00000000")

        assert not admits(root, keys)

    def test_of_a_killed_gate_takes_it_back_when_supervised(
        self, root: Path, keys: Keys, signed: dict[str, str]
    ) -> None:
        (root / ONE_FILE).write_text(gate_module("import os\nos._exit(0)"))

        assert again(SIGNED, root, signed, Mode.SUPERVISED) == 11
        assert not admits(root, keys)


DIES_IN = {
    "a gate": (gate_module("import os\nos._exit(0)"), {}),
    "a gate, by the kernel": (gate_module("import os\nos.kill(os.getpid(), 9)"), {}),
    "the sealing": (gate_module(GREEN), {"conftest.py": DIES_SEALING}),
    "the naming of what is sealed": (gate_module(GREEN), {"conftest.py": DIES_NAMING}),
}


class TestANewerRunThatDied:
    """It has not said GO, and may have been about to say NO-GO."""

    @pytest.mark.parametrize("where", DIES_IN)
    def test_takes_an_older_go_back(self, root: Path, keys: Keys, signed: dict[str, str], where: str) -> None:
        gate, more = DIES_IN[where]
        (root / ONE_FILE).write_text(gate)
        for name, text in more.items():
            (root / name).write_text(text)
        assert admits(root, keys)

        again(SIGNED, root, signed)

        assert not admits(root, keys)

    def test_with_its_supervisor_takes_it_back(self, root: Path, keys: Keys, signed: dict[str, str]) -> None:
        (root / ONE_FILE).write_text(gate_module("import os\nos.kill(os.getppid(), 9)\n" + GREEN))

        assert again(SIGNED, root, signed, Mode.SUPERVISED) == -9
        assert not admits(root, keys)

    def test_is_made_good_by_the_next_go(self, root: Path, keys: Keys, signed: dict[str, str]) -> None:
        green = (root / ONE_FILE).read_text()
        (root / ONE_FILE).write_text(gate_module("import os\nos._exit(0)"))
        again(SIGNED, root, signed)
        assert not admits(root, keys)
        (root / ONE_FILE).write_text(green)

        assert again(SIGNED, root, signed) == 0
        assert admits(root, keys)

    def test_without_a_key_takes_it_back_when_it_says_no(
        self, root: Path, keys: Keys, signed: dict[str, str]
    ) -> None:
        assert again(SIGNED, root, signed | {"CUTOVER_KEY": ""}) == 0
        assert admits(root, keys)
        (root / ONE_FILE).write_text(gate_module(RED))

        assert again(SIGNED, root, signed | {"CUTOVER_KEY": ""}) == 10
        assert not admits(root, keys)

    def test_before_its_journal_began_says_nothing(
        self, root: Path, keys: Keys, signed: dict[str, str]
    ) -> None:
        """Its service did not come up: no gate ran."""
        policy = json.loads((root / "configs/policy.json").read_text())
        policy["environments"]["sandbox"]["targets"] = {"app": "embedded"}
        (root / "configs/policy.json").write_text(json.dumps(policy))

        assert again(SIGNED, root, signed | {"CUTOVER_SANDBOX_BREAK": "no-such-check"}) == 4
        assert admits(root, keys)


class TestThePipeline:
    @pytest.mark.parametrize("mode", [Mode.ALONE, Mode.SUPERVISED], ids=lambda m: m.value)
    def test_that_loses_the_exit_status_is_stopped_by_admit(self, root: Path, keys: Keys, mode: Mode) -> None:
        """`pytest … | tee log` and `|| true` end with 0."""
        red = replace(SIGNED, files={ONE_FILE: gate_module(RED)})
        environ = build(red, root, keys)
        line = " ".join(command(red, mode, root)) + " | tee log"

        assert (
            subprocess.run(
                ["sh", "-c", line], cwd=root, env=environ, capture_output=True, check=False
            ).returncode
            == 0
        )
        assert not admits(root, keys)

    def test_copy_of_an_old_report_does_not_outlive_a_run_that_died(self, root: Path, keys: Keys) -> None:
        """`--report` names one path for every run: a GO that lies there is no longer true once a run began."""
        run = replace(SIGNED, keyed=False, args=("--report", "out.json"))
        environ = build(run, root, keys)
        assert again(run, root, environ) == 0
        assert json.loads((root / "out.json").read_text())["decision"]["verdict"] == "GO"
        (root / ONE_FILE).write_text(gate_module("import os\nos._exit(0)"))

        again(run, root, environ)

        assert not (root / "out.json").exists()


class TestTheSupervisor:
    def test_takes_no_module_from_the_working_folder(self, root: Path, keys: Keys) -> None:
        """`python -m pytest_cutover` puts the working folder first: the project could answer for a library."""
        run = replace(
            SIGNED, files={"cryptography.py": "raise SystemExit(0)", "rfc8785.py": "raise SystemExit(0)"}
        )
        environ = build(run, root, keys)
        argv = [a for a in command(run, Mode.SUPERVISED, root) if a != "-P"]

        done = subprocess.run(argv, cwd=root, env=environ, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        assert admits(root, keys)

    def test_started_in_isolation_takes_nothing_from_pythonpath(self, root: Path, keys: Keys) -> None:
        run = replace(
            SIGNED,
            files={"site/sitecustomize.py": "import os\nos._exit(0)\n", ONE_FILE: gate_module(RED)},
            env={"PYTHONPATH": "{root}/site"},
        )
        environ = build(run, root, keys)
        argv = [sys.executable, "-I", *command(run, Mode.SUPERVISED, root)[2:]]

        assert subprocess.run(argv, cwd=root, env=environ, capture_output=True, check=False).returncode == 10
