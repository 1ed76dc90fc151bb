"""`cutover check` as people call it: what it finds before a run, and that it runs, sends and writes nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.gate_project import GateProject

GATES = """
@pytest.mark.preflight
@pytest.mark.gate("service.ready", timeout=20)
def test_ready(gate):
    open("ran", "w").close()
    gate.measure("latency", 0.1, unit="s")


@pytest.mark.preflight
@pytest.mark.gate("service.checks")
def test_checks(gate):
    for name in sorted({"disk", "clock"}):
        gate.measure(name, "pass")


@pytest.mark.preflight
@pytest.mark.gate("region.ready")
@pytest.mark.parametrize("region", ["eu", "us"])
def test_region(gate, region):
    gate.measure("status", "ready")
"""
REQUIRES = ["service.ready", "service.checks", {"gate": "region.ready", "instances": ["eu", "us"]}]
LIMITS = {
    "service.ready": {"latency": {"at_most": 0.5, "unit": "s"}},
    "service.checks": {"disk": {"equals": "pass"}, "clock": {"equals": "pass"}},
    "region.ready": {"status": {"equals": "ready"}},
}


@pytest.fixture
def project(tmp_path):
    return GateProject(tmp_path, GATES, requires=REQUIRES, limits=LIMITS)


def change(project, old, new):
    """The project with its gates changed in one place."""
    path = project.folder / "gates/test_gates.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def repolicy(project, **changes):
    path = project.folder / "configs/policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def checked(project, *arguments, code=None):
    done = project.cutover("check", "--json", *arguments)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == (code if code is not None else done.returncode)
    return found


def held(found):
    """Codes and gates of what would keep a run from a GO."""
    return [(m.get("code"), m.get("gate")) for m in found["matters"] if m["weight"] != "note"]


class TestReady:
    def test_a_project_that_would_be_green_is_ready(self, project):
        done = project.cutover("check")

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("READY to be run\npreflight → sandbox\n")
        assert "3 of 3 required collected" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80

    def test_it_runs_no_gate_and_writes_nothing(self, project):
        before = sorted(p.relative_to(project.folder) for p in project.folder.rglob("*"))

        assert project.cutover("check", "preflight").returncode == 0

        assert sorted(p.relative_to(project.folder) for p in project.folder.rglob("*")) == before

    def test_names_that_are_computed_are_not_held_against_it(self, project):
        (found,) = checked(project, code=0)["unknown"]

        assert found["gate"] == "service.checks"
        assert found["why"] == "the name of a measurement is computed"
        assert found["where"] == "gates/test_gates.py:15"

    def test_what_was_computed_is_known_from_the_last_run(self, project):
        assert project.cutover("run", "preflight", "--key", "none").returncode == 0
        (found,) = checked(project, code=0)["unknown"]

        assert f"last seen in run {project.run.name}: clock, disk" in found["why"]

    def test_what_the_last_run_saw_is_judged(self, project):
        """The policy has grown a unit since."""
        assert project.cutover("run", "preflight", "--key", "none").returncode == 0
        disk = {"equals": "pass", "unit": "state"}
        repolicy(project, limits={**LIMITS, "service.checks": {"disk": disk, "clock": {"equals": "pass"}}})

        assert held(checked(project, code=1)) == [("measurement.unit", "service.checks")]


class TestGates:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('"service.ready", timeout=20', '"service.redy"', ("gate.not-collected", "service.ready")),
            ("@pytest.mark.preflight\n@pytest.mark.gate(\"service.ready\"", "@pytest.mark.canary\n@pytest.mark.gate(\"service.ready\"", ("gate.not-collected", "service.ready")),
            ('["eu", "us"]', '["eu"]', ("gate.instances", "region.ready[us]")),
            ('"latency", 0.1, unit="s"', '"latency", 100, unit="ms"', ("measurement.unit", "service.ready")),
            ('"latency", 0.1', '"latencyy", 0.1', ("limit.unmeasured", "service.ready")),
            ('gate.measure("latency"', 'gate.measure("x", 1); gate.measure("latency"', ("measurement.unjudged", "service.ready")),
            ('"latency", 0.1, unit="s"', '"latency", "0.1", unit="s"', ("measurement.kind", "service.ready")),
            ('unit="s")', 'unit="s", at_least=0, at_most=1)', ("gate.error", "service.ready")),
            ('unit="s")', 'unit="s", at_most="x")', ("gate.error", "service.ready")),
            ("def test_ready(gate)", "def test_ready(gate, nope)", ("gate.setup-failed", "service.ready")),
            ("def test_ready(", "@pytest.mark.skip\ndef test_ready(", ("gate.skipped", "service.ready")),
            ("def test_ready(", "@pytest.mark.xfail\ndef test_ready(", ("gate.xfailed", "service.ready")),
            ("def test_ready(gate)", "def test_ready(gate, http)", ("gate.error", "service.ready")),
            ('"service.checks"', '"service.ready"', ("gate.not-collected", "service.checks")),
            ('timeout=20', 'timeout="x"', ("gate.invalid", None)),
            ("import pytest", "import pytest, nowhere", ("run.collect-error", None)),
        ],
    )  # fmt: skip
    def test_what_would_be_unproven_is_named_with_its_code(self, project, old, new, expected):
        change(project, old, new)
        found = checked(project, code=1)

        assert expected in held(found)
        assert [m for m in found["matters"] if m["weight"] == "unproven" and "hint" not in m] == []

    def test_a_limit_in_samples_needs_a_count_of_them(self, project):
        limit = {"at_most": 0.5, "unit": "s", "min_samples": 3}
        repolicy(project, limits={**LIMITS, "service.ready": {"latency": limit}})

        assert held(checked(project, code=1)) == [("measurement.samples-missing", "service.ready")]

    def test_it_says_where_and_the_way_out(self, project):
        change(project, '"latency", 0.1', '"latencyy", 0.1')
        matter = next(m for m in checked(project)["matters"] if m.get("code") == "limit.unmeasured")

        assert matter["hint"] == "did you mean 'latencyy', which is measured?"
        assert matter["where"].startswith("configs/policy.json:")

    def test_a_limit_of_an_instance_that_is_not_there_is_noted(self, project):
        repolicy(project, limits={**LIMITS, "region.ready[ap]": {"status": {"equals": "ready"}}})
        (matter,) = checked(project, code=0)["matters"]

        assert matter["message"] == "the policy limits region.ready[ap], and no such instance is collected"

    def test_a_conftest_that_drops_gates_is_found_out(self, project):
        project.write("conftest.py", "def pytest_collection_modifyitems(items):\n    del items[0]\n")

        assert held(checked(project)) == [("gate.not-collected", "service.ready")]

    @pytest.mark.parametrize(
        "conftest",
        [
            "raise SystemExit(0)\n",
            "import os\nos._exit(0)\n",
            "def pytest_collection_modifyitems(items):\n    import os\n    os._exit(0)\n",
            "def pytest_cmdline_main():\n    return 0\n",
        ],
    )
    def test_a_conftest_that_ends_pytest_is_not_taken_for_a_collection(self, project, conftest):
        project.write("conftest.py", conftest)

        assert checked(project, code=1)["ready"] is False

    def test_arguments_go_to_pytest(self, project):
        found = checked(project, "--", "-k", "not region", code=1)

        assert {code for code, _ in held(found)} == {"gate.deselected"}

    def test_gates_in_toml_are_read_too(self, project):
        text = """format = 1
[[gate]]
id = "service.ready"
phase = "preflight"
command = ["no-such-command-here"]
[gate.measure]
latency = { of = "duration" }
"""
        project.write("gates/ready.toml", text)
        change(project, '"service.ready"', '"service.other"')
        (matter,) = [m for m in checked(project, code=1)["matters"] if m.get("gate") == "service.ready"]

        assert matter["code"] == "gate.error"
        assert matter["message"] == "there is no command 'no-such-command-here'"
        assert matter["where"] == "gates/ready.toml:2"


class TestSurroundings:
    def environment(self, project, **fields):
        repolicy(project, default_environment="prod", environments={"prod": fields})

    def test_outside_of_the_sandbox_everything_is_asked_for(self, project):
        self.environment(project)

        assert {code for code, _ in held(checked(project, code=1))} == {
            "subject.missing",
            "policy.unsigned",
            "key.development",
        }
        assert not (project.folder / "var").exists()

    def test_a_subject_that_is_not_built_yet_stops_the_run(self, project):
        self.environment(project, subjects=[{"name": "app", "files": "dist/*.whl"}])
        messages = [m["message"] for m in checked(project, code=1)["matters"]]

        assert any(m.startswith("the run could not begin: subject 'app': no file matches") for m in messages)

    def test_a_command_that_prints_a_subject_is_not_run(self, project):
        self.environment(project, subjects=[{"name": "app", "command": ["touch", "ran"]}])
        found = checked(project, code=1)

        assert found["facts"]["subject"] == "app (a command prints it)"
        assert "subject.missing" not in {code for code, _ in held(found)}
        assert not (project.folder / "ran").exists()

    def test_a_key_that_cannot_be_read_stops_the_run(self, project):
        messages = [m["message"] for m in checked(project, "--key", "nowhere.pem", code=1)["matters"]]

        assert any(m.startswith("the run could not begin: the key: ") for m in messages)

    def test_the_sum_of_time_limits_is_compared_with_the_run_s(self, project):
        repolicy(project, defaults={"run_deadline_s": 100})
        (matter,) = checked(project, code=0)["matters"]

        assert matter["message"] == "if each gate took all its time, 200 s, the run would be over its 100 s"

    def test_guards_and_authors_are_looked_at_where_waivers_count(self, project):
        sandbox = {
            "sandbox": True,
            "settings": {"waiver_persons": 1},
            "guards": {"command": ["no-such-hook"], "timeout_s": 5},
        }
        repolicy(project, environments={"sandbox": sandbox})

        assert {m["code"] for m in checked(project, code=0)["matters"]} == {
            "waiver.authors-unknown",
            "guards.unconfirmed",
        }

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["canary"], 2, "got the plan 'canary'"),
            (["--env", "nope"], 2, "got the environment 'nope'"),
            (["--trust", "nope.json"], 2, "the trusted keys cannot be read"),
            (["--nope"], 64, "unrecognized arguments"),
        ],
    )
    def test_what_cannot_be_used_is_said(self, project, arguments, code, said):
        done = project.cutover("check", *arguments)

        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr


def keyed(project, name, role, **fields):
    """A key in the project's folder, and its entry of a trust file."""
    done = project.cutover("keys", "new", f"{name}.pem", "--name", name, "--role", role)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | fields


def stamp(**later):
    return f"{datetime.now(UTC) + timedelta(**later):%Y-%m-%dT%H:%M:%SZ}"


class TestTrust:
    def trust(self, project, *entries):
        project.write("trust.json", json.dumps({"format": 1, "keys": entries}))

    def notes(self, project, *arguments):
        found = checked(project, "--trust", "trust.json", "--key", "ci.pem", *arguments)
        return [(m.get("code"), m["message"]) for m in found["matters"] if m["weight"] == "note"]

    def test_a_key_that_may_not_decide_is_noted(self, project):
        self.trust(project, keyed(project, "ci", "policy"))
        ((_, message),) = self.notes(project)

        assert message.endswith("may not decide in sandbox, says trust.json")

    def test_so_is_a_key_of_the_log_that_nobody_trusts(self, project):
        """As a run's own log has it, after somebody gave a trust file from elsewhere."""
        repolicy(project, environments={"sandbox": {"sandbox": True, "log": {}}})
        self.trust(project, keyed(project, "ci", "decision"))
        assert self.notes(project) == []
        assert project.cutover("keys", "new", "var/cutover/keys/log.pem").returncode == 0
        ((_, message),) = self.notes(project)

        assert message == "the key of the log cutover.local is none for sandbox, says trust.json"

    def test_one_that_can_sign_no_log_would_stop_the_run(self, project):
        repolicy(project, environments={"sandbox": {"sandbox": True, "log": {}}})
        self.trust(project, keyed(project, "ci", "decision"))
        made = project.cutover("keys", "new", "var/cutover/keys/log.pem", "--kind", "ecdsa-p256")
        assert made.returncode == 0, made.stderr
        found = checked(project, "--trust", "trust.json", "--key", "ci.pem")

        (stop,) = [m for m in found["matters"] if "the key of the log" in m["message"]]
        assert stop["weight"] == "unproven"
        assert "log.pem: expected an Ed25519 key to sign notes with, got ecdsa-p256" in stop["message"]

    def test_a_key_that_ends_soon_is_noted(self, project):
        self.trust(project, keyed(project, "ci", "decision", not_after=stamp(days=2)))
        ((_, message),) = self.notes(project)

        assert message.startswith("the key ci ends at ")

    def test_a_key_that_is_trusted_is_not(self, project):
        self.trust(project, keyed(project, "ci", "decision", not_after=stamp(days=30)))

        assert self.notes(project) == []

    @pytest.mark.parametrize(("known", "weights"), [(1, set()), (0, {"unproven"})])
    def test_as_many_witnesses_as_have_to_cosign_are_trusted(self, project, known, weights):
        log = {"witnesses": ["https://w.example"], "cosignatures": 1}
        repolicy(project, environments={"sandbox": {"sandbox": True, "log": log}})
        witnesses = [keyed(project, "w", "witness", origin="w.example")][:known]
        self.trust(project, keyed(project, "ci", "decision"), *witnesses)

        matters = checked(project, "--trust", "trust.json", "--key", "ci.pem")["matters"]
        about = [m for m in matters if "cosignatures wanted: 1" in m["message"]]
        assert {m["weight"] for m in about} == weights

    def waived(self, project, expires):
        """A waiver that counts until then."""
        sandbox = {
            "sandbox": True,
            "settings": {"waiver_persons": 1},
            "subjects": [{"name": "shop", "sha256": "ab" * 32}],
        }
        repolicy(project, environments={"sandbox": sandbox})
        self.trust(project, keyed(project, "ci", "decision"), keyed(project, "bea", "waiver", person="bea"))
        about = ("--environment", "sandbox", "--subject", f"shop@sha256:{'ab' * 32}", "--observe", "60")
        why = ("--reason", "x", "--risk", "low", "--ticket", "OPS-1", "--expires", expires)
        done = project.cutover("waivers", "new", "service.ready", *about, *why, "--key", "bea.pem")
        assert done.returncode == 0, done.stderr

    def test_a_waiver_that_ends_before_a_decision_would_is_noted(self, project):
        self.waived(project, stamp(minutes=20))
        ((code, message),) = self.notes(project, "--author", "Ann")

        assert code is None
        assert message.startswith("the waiver OPS-1 of service.ready ends at ")

    @pytest.mark.parametrize(
        ("author", "code"), [("Ann", None), ("Bea", "waiver.self-signed"), (None, "waiver.authors-unknown")]
    )
    def test_a_waiver_that_would_not_count_is_noted(self, project, author, code):
        self.waived(project, stamp(days=2))
        found = self.notes(project, *(() if author is None else ("--author", author)))

        assert {c for c, _ in found} == ({code} if code else set())

    def test_a_file_that_is_no_waiver_is_noted(self, project):
        self.waived(project, stamp(days=2))
        project.write("configs/waivers/odd.dsse", "{}")

        assert {c for c, _ in self.notes(project, "--author", "Ann")} == {"waiver.unusable"}


LISTEN = """
import sys
from pathlib import Path

SEEN = Path({file!r})

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        SEEN.write_text(event)

sys.addaudithook(hook)
"""


class TestNetwork:
    def test_neither_process_reaches_for_the_network(self, project, tmp_path_factory):
        """Each has an audit hook of its own, which no library can get round; targets are there to be asked."""
        seen = tmp_path_factory.mktemp("seen")
        sandbox = {"sandbox": True, "targets": {"app": "http://127.0.0.1:9"}}
        repolicy(project, environments={"sandbox": sandbox})
        change(project, "def test_ready(gate)", "def test_ready(gate, http, readyz)")
        project.write("conftest.py", LISTEN.format(file=str(seen / "child")))
        code = f"{LISTEN.format(file=str(seen / 'parent'))}\nfrom pytest_cutover.cli import main\nraise SystemExit(main(['check']))"

        done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=False)  # fmt: skip

        assert done.returncode == 0, done.stdout + done.stderr
        assert list(seen.iterdir()) == []

    def test_the_hooks_of_the_test_above_would_see_it(self, tmp_path):
        code = f"{LISTEN.format(file=str(tmp_path / 'x'))}\nimport socket\nsocket.socket().connect(('127.0.0.1', 9))"

        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

        assert (tmp_path / "x").read_text() == "socket.connect"

    def test_a_gate_file_that_connects_is_refused_and_named(self, project):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0)
            port = server.getsockname()[1]
            change(project, "import pytest", f"import pytest, socket\nsocket.create_connection(('127.0.0.1', {port}))")  # fmt: skip
            found = checked(project, code=1)
            with pytest.raises(BlockingIOError):
                server.accept()

        assert ("run.collect-error", None) in held(found)
        assert {"gates/test_gates.py:2"} == {m.get("where") for m in found["matters"] if "refused" in m["message"] and "code" not in m}  # fmt: skip

    def test_no_sandbox_service_is_started(self, project):
        repolicy(project, environments={"sandbox": {"sandbox": True, "targets": {"app": "embedded"}}})

        assert checked(project, code=0)["ready"] is True
        assert not (project.folder / "var").exists()
