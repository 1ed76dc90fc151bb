"""`cutover prove-red` as people call it: which gates it shows red, which it names, and that it proves nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from io import BytesIO

import pytest

from pytest_cutover.decision import decide
from pytest_cutover.model import Verdict
from pytest_cutover.policy.load import load_policy
from pytest_cutover.record import fold
from tests.unit.gate_project import GateProject

GATES = """
import sys
from pathlib import Path
from pytest_cutover.errors import SourceError
from pytest_cutover.sources.tree import scan

pytestmark = pytest.mark.preflight
SAY = [sys.executable, "-c", "print(open('ran', 'a').write('x') + 1)"]


@pytest.mark.gate("honest")
def test_honest(gate, command):
    gate.measure("v", command.run(SAY).figure("[0-9]+"))


@pytest.mark.gate("asserts")
def test_asserts(gate, command):
    reading = command.run(["true"])
    gate.measure("v", 0)
    assert reading.exit_code == 0


@pytest.mark.gate("constant")
def test_constant(gate, command):
    command.run(["true"])
    gate.measure("v", 0)


@pytest.mark.gate("swallows")
def test_swallows(gate, command):
    try:
        value = command.run(["echo", "1"]).figure("^[0-9]$")
    except SourceError:
        value = 1
    gate.measure("v", min(value, 2))


@pytest.mark.gate("alone")
def test_alone(gate):
    gate.measure("v", len(str(0)))


@pytest.mark.gate("raises")
def test_raises(gate, command):
    reading = command.run(["echo", "fine"])
    if reading.exit_code or reading.stdout != "fine\\n":
        raise SourceError("not fine")
    gate.measure("v", 0)


@pytest.mark.gate("red")
def test_red(gate):
    gate.measure("v", 9)


@pytest.mark.gate("broken")
def test_broken(gate):
    raise ValueError("x")


@pytest.mark.gate("scans")
def test_scans(gate):
    gate.measure("v", scan(Path(__file__).parent, {"x": "no such" " words"}).total)


@pytest.fixture(scope="session")
def shared(command):
    return command.run(["echo", "1"])


@pytest.mark.gate("shares.one")
def test_one(gate, shared):
    gate.measure("v", int(shared.stdout))


@pytest.mark.gate("shares.two")
def test_two(gate, shared):
    gate.measure("v", int(shared.stdout))
"""
STATES = {
    "honest": "red",
    "asserts": "red",
    "constant": "never",
    "swallows": "never",
    "alone": "never",
    "raises": "stops",
    "red": "red",
    "broken": "unproven",
    "scans": "red",
    "shares.one": "red",
    "shares.two": "red",
    "gone": "absent",
}


def project_of(folder, gates, *names):
    return GateProject(folder, gates, requires=list(names), limits={n: {"v": {"at_most": 2}} for n in names})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return project_of(tmp_path_factory.mktemp("p"), GATES, *STATES)


@pytest.fixture(scope="module")
def proven(project):
    """The answer for every kind of gate."""
    done = project.cutover("prove-red", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == 1
    return found


def proof(proven, gate):
    return next(p for p in proven["gates"] if p["gate"] == gate)


class TestStates:
    def test_each_gate_is_what_it_is(self, proven):
        assert {p["gate"]: p["state"] for p in proven["gates"]} == STATES

    def test_the_worst_stands_first(self, proven):
        states = [p["state"] for p in proven["gates"]]

        assert states == sorted(states, key=["never", "absent", "unproven", "stops", "red"].index)

    def test_what_made_it_red_is_said(self, proven):
        assert proof(proven, "honest")["code"] == "limit.broken"
        assert proof(proven, "honest")["said"] == "red with every figure far up: v = 3000, limit at most 2"
        assert proof(proven, "asserts")["code"] == "gate.failed"
        assert proof(proven, "red")["said"] == "red with true readings: v = 9, limit at most 2"

    def test_one_that_cannot_is_named_with_what_it_read(self, proven):
        swallows = proof(proven, "swallows")

        assert swallows["said"] == "cannot turn red: it stays green whatever it reads (command once)"
        assert swallows["where"].startswith("gates/test_gates.py:")
        assert "reads nothing through http" in proof(proven, "alone")["said"]
        assert proof(proven, "constant")["said"] == "cannot turn red: it measures constants (v = 0)"

    def test_one_that_only_stops_is_told_apart(self, proven):
        assert proof(proven, "raises")["said"] == (
            "stops, but is not red, with status 503, exit code 1: SourceError: not fine"
        )

    def test_a_command_is_run_once_for_all_attempts(self, proven, project):
        assert (project.folder / "ran").read_text() == "x"

    def test_as_text_it_fits_a_terminal(self, project, proven):
        done = project.cutover("prove-red", "preflight", "--gate", "honest", "--gate", "alone")

        assert done.returncode == 1
        assert done.stdout.startswith(
            "1 of 2 required gates were seen red\npreflight → sandbox · var/cutover/proofs/"
        )
        assert "✗ alone  cannot turn red" in done.stdout
        assert "✓ honest  red with every figure far up" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80


class TestExit:
    def test_all_red_is_0(self, project, proven):
        assert project.cutover("prove-red", "--gate", "scans", "--gate", "red").returncode == 0

    def test_only_stopped_is_1(self, project, proven):
        assert project.cutover("prove-red", "--gate", "raises").returncode == 1

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["--gate", "nope"], 2, "expected a gate that plan preflight requires, got 'nope'"),
            (["canary"], 2, "got the plan 'canary'"),
            (["--nope"], 64, "unrecognized arguments"),
        ],
    )
    def test_what_cannot_be_used_is_said(self, project, arguments, code, said):
        done = project.cutover("prove-red", *arguments)

        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr


TOML = """
format = 1
[[gate]]
id = "toml.figure"
phase = "preflight"
command = ["echo", "1 file"]
[gate.measure]
v = { figure = "([0-9]+) file" }

[[gate]]
id = "toml.pattern"
phase = "preflight"
command = ["echo", "nothing to see"]
[gate.measure]
v = { count = "no such words" }

[[gate]]
id = "toml.text"
phase = "preflight"
command = ["echo", "ready"]
[gate.measure]
v = { of = "stdout" }
"""


class TestOthers:
    def test_gates_in_toml_are_shown_too(self, tmp_path):
        project = project_of(tmp_path, "", "toml.figure", "toml.pattern", "toml.text")
        project.write("gates/release.toml", TOML)
        policy = json.loads((tmp_path / "configs/policy.json").read_text())
        policy["limits"]["toml.text"] = {"v": {"equals": "ready"}}
        project.write("configs/policy.json", json.dumps(policy))

        done = project.cutover("prove-red", "--json")

        assert done.returncode == 0, done.stdout + done.stderr
        injected = {p["gate"]: p["injected"] for p in json.loads(done.stdout)["gates"]}
        assert injected == {"toml.figure": "high", "toml.pattern": "taken-high", "toml.text": "other"}

    def test_under_xdist_and_as_instances_and_async(self, tmp_path):
        gates = """
pytestmark = pytest.mark.preflight

@pytest.mark.gate("many")
@pytest.mark.parametrize("n", ["1", "2"])
def test_many(gate, command, n):
    gate.measure("v", command.run(["echo", n]).figure("[0-9]+"))

@pytest.mark.gate("waits")
async def test_waits(gate, command):
    gate.measure("v", command.run(["echo", "1"]).figure("[0-9]+"))
"""
        project = project_of(tmp_path, gates, "waits", "many")
        done = project.cutover("prove-red", "--json", "--", "-n", "2")

        assert done.returncode == 0, done.stdout + done.stderr
        assert {p["gate"] for p in json.loads(done.stdout)["gates"]} == {"waits", "many[1]", "many[2]"}


SLOW = """
import time

@pytest.mark.preflight
@pytest.mark.gate("slow")
def test_slow(gate, command):
    gate.measure("v", command.run(["echo", "1"]).figure("[0-9]+"))
    time.sleep(60)
"""


class TestInterrupted:
    def test_ctrl_c_ends_it_all_and_leaves_no_answers(self, tmp_path):
        project = project_of(tmp_path, SLOW, "slow")
        command = [sys.executable, "-m", "pytest_cutover", "prove-red"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            until = time.monotonic() + 60
            while not list(tmp_path.glob("var/cutover/proofs/*/truthful/readings-*")):
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)

        assert (process.returncode, out) == (130, b"")
        (proofs,) = project.folder.glob("var/cutover/proofs/*")
        assert [p.name for p in proofs.iterdir()] == ["truthful"]
        assert list(proofs.rglob("readings-*")) == []


@pytest.fixture(scope="module")
def green(tmp_path_factory):
    project = project_of(
        tmp_path_factory.mktemp("g"), GATES.partition('@pytest.mark.gate("asserts")')[0], "honest"
    )
    done = project.cutover("prove-red", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return project, project.folder / json.loads(done.stdout)["folder"]


class TestNoEvidence:
    """A GO of the truthful attempt would be a GO; there is none anywhere."""

    def test_there_is_no_run_and_no_bundle_and_no_answer_is_kept(self, green):
        project, folder = green

        assert not (project.folder / "var/cutover/runs").exists()
        kept = {p.name for p in folder.rglob("*") if p.is_file()}
        assert kept == {"journal.jsonl", "output.txt", "reads.jsonl"}

    def test_each_journal_says_what_it_is_and_never_folds_to_a_go(self, green):
        project, folder = green
        policy = load_policy(
            project.folder / "configs/policy.json", plan="preflight", environment=None, anchor=None, now=datetime.now(UTC)
        ).effective  # fmt: skip
        attempts = [p.name for p in sorted(folder.iterdir())]
        assert attempts == ["failed", "high", "refused", "truthful"]
        for attempt in attempts:
            record = fold(BytesIO((folder / attempt / "journal.jsonl").read_bytes()).readlines())
            decision = decide(record, policy, datetime.now(UTC))

            assert decision.verdict is Verdict.NO_GO
            assert "run.prove-red" in {f.reason.code for f in decision.findings}

    @pytest.mark.parametrize(
        "verb", [["verify"], ["explain"], ["show"], ["decide", "--policy", "configs/policy.json"]]
    )
    def test_no_verb_takes_an_attempt_for_evidence(self, green, verb):
        project, folder = green

        assert project.cutover(*verb, str(folder / "truthful")).returncode == 2

    def test_moved_among_the_runs_it_admits_nothing_and_opens_nothing(self, green):
        project, folder = green
        moved = project.folder / "var/cutover/runs/20990101T000000.000Z-00000000"
        shutil.copytree(folder / "truthful", moved)
        try:
            done = project.cutover("admit", "--digest", f"sha256:{'a' * 64}", "--environment", "sandbox")

            assert done.returncode in (1, 2)
            done = project.cutover("run", "preflight", "--open", "--key", "none")
            opened = max(p for p in moved.parent.iterdir() if p != moved)
            assert "gate.carried" not in (opened / "journal.jsonl").read_text(), done.stdout
        finally:
            shutil.rmtree(project.folder / "var/cutover/runs")

    def test_a_run_afterwards_is_a_run(self, green):
        project, _ = green
        done = project.cutover("run", "preflight", "--key", "none")

        assert done.returncode == 0, done.stdout
        assert project.report()["decision"]["verdict"] == "GO"
