"""The shipped sandbox through the real commands: green as it stands, red and unproven for the right reasons."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lean import LEAN

ROOT = Path(__file__).resolve().parents[2]
RUNNERS = {
    "in-process": ("-m", "pytest", *LEAN, "-m", "preflight", "gates"),
    "supervised": ("-m", "pytest_cutover", "run", "preflight", "--", *LEAN, "gates"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what a clone has: gates, policy, and the code that the policy's subject names."""
    for name in ("gates", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pytest_cutover").mkdir()
    shutil.copytree(ROOT / "pytest_cutover/service", tmp_path / "pytest_cutover/service")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return tmp_path


def preflight(project: Path, runner: str, *more: str, **variables: str) -> tuple[int, set[str], str]:
    """Exit code, reason codes in the report, and what was printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-P", *RUNNERS[runner], *more],
        cwd=project,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = last_report(project)
    return done.returncode, {f["code"] for f in report["decision"]["findings"]}, done.stdout + done.stderr


def last_report(project: Path) -> Any:
    reports = sorted((project / "var/cutover/runs").glob("*/report.json"), key=lambda p: p.stat().st_mtime)
    return json.loads(reports[-1].read_bytes())


@pytest.mark.parametrize("runner", RUNNERS)
class TestSandbox:
    def test_whole_is_go(self, project: Path, runner: str) -> None:
        """The control: a fresh clone's preflight ends with GO, and its evidence verifies."""
        code, findings, output = preflight(project, runner)

        assert (code, findings) == (0, set()), output
        verify = [
            sys.executable,
            "-P",
            "-m",
            "pytest_cutover",
            "verify",
            *map(str, (project / "var/cutover/runs").glob("*")),
        ]
        assert subprocess.run(verify, cwd=project, capture_output=True, check=False).returncode == 0

    @pytest.mark.parametrize("check", ["disk", "evidence_folder", "signing_key", "policy_signature", "clock"])
    def test_broken_sub_check_is_red(self, project: Path, runner: str, check: str) -> None:
        """A real sub-check of the service that fails is measured red: exit 10."""
        if runner == "in-process" or check == "disk":
            code, findings, output = preflight(project, runner, CUTOVER_SANDBOX_BREAK=check)

            assert (code, findings) == (10, {"limit.broken"}), output
            assert check in output

    def test_deleted_gate_file_is_unproven(self, project: Path, runner: str) -> None:
        """The policy still requires what nobody can collect any more: exit 11."""
        (project / "gates/test_preflight.py").unlink()
        code, findings, output = preflight(project, runner)

        assert (code, "gate.not-collected" in findings) == (11, True), output

    def test_skipped_gate_is_unproven(self, project: Path, runner: str) -> None:
        """A skip is no proof: exit 11."""
        file = project / "gates/test_preflight.py"
        file.write_text(
            file.read_text().replace("@pytest.mark.gate(", "@pytest.mark.skip\n@pytest.mark.gate(", 1)
        )
        code, findings, output = preflight(project, runner)

        assert (code, findings) == (11, {"gate.skipped"}), output

    def test_service_killed_during_the_run_is_unproven(self, project: Path, runner: str) -> None:
        """What was measured before stays green, what could not be measured after is unproven: exit 11."""
        (project / "gates/test_preflight.py").write_text(
            (project / "gates/test_preflight.py").read_text() + "\n\nimport os, signal, subprocess\n"
            "@pytest.fixture(autouse=True)\n"
            "def kill_service(request, targets):\n"
            "    if request.node.name == 'test_service_traffic':\n"
            "        port = targets['app'].rsplit(':', 1)[1]\n"
            "        for folder in os.listdir('/proc'):\n"
            "            if folder.isdigit() and listens(folder, int(port)):\n"
            "                os.kill(int(folder), signal.SIGKILL)\n"
            "    yield\n"
            "def listens(pid, port):\n"
            "    try:\n"
            "        command = open(f'/proc/{pid}/cmdline').read()\n"
            "        sockets = {os.readlink(f'/proc/{pid}/fd/{f}') for f in os.listdir(f'/proc/{pid}/fd')}\n"
            "    except OSError:\n"
            "        return False\n"
            "    inodes = {line.split()[9] for line in open('/proc/net/tcp') if f':{port:04X} ' in line.split()[1] + ' '}\n"
            "    return 'serve' in command and bool(sockets & {f'socket:[{i}]' for i in inodes})\n"
        )
        code, findings, output = preflight(project, runner)

        assert (code, findings) == (11, {"gate.error", "section.missing"}), output
        assert "✓ service.ready" in output


class TestItsEvidence:
    """The gates about evidence, on the evidence that the run before has left."""

    @pytest.fixture
    def gone(self, project: Path) -> Path:
        """A project after one run, which was GO."""
        code, _, output = preflight(project, "supervised")
        assert code == 0, output
        assert "restore drill of var/evidence: PASS" in output
        return project

    def test_a_second_run_finds_the_first(self, gone: Path) -> None:
        code, _, output = preflight(gone, "supervised")

        assert (code, "restore drill" in output) == (0, False), output
        assert "evidence.integrity   exit_code 0 · findings 0 · runs 2" in output

    def test_a_changed_file_is_red(self, gone: Path) -> None:
        newest = max((gone / "var/evidence/history").iterdir()) / "report.json"
        newest.chmod(0o644)
        newest.write_bytes(newest.read_bytes().replace(b"GO", b"Go", 1))
        code, findings, output = preflight(gone, "supervised")

        assert (code, findings) == (10, {"limit.broken"}), output
        assert "✗ evidence.integrity" in output

    def test_a_store_that_is_gone_is_red(self, gone: Path) -> None:
        """The log still names what was decided."""
        shutil.rmtree(gone / "var/evidence")
        code, findings, output = preflight(gone, "supervised")

        assert (code, findings) == (10, {"limit.broken"}), output
        assert "store.decision-missing" in output

    def test_so_is_a_decision_that_left_no_trace_but_in_the_log(self, gone: Path) -> None:
        """Store, log and runs are put back to where they were before the newest run."""
        for name in ("evidence", "cutover/log", "cutover/runs"):
            shutil.copytree(gone / "var" / name, gone / "before" / name)
        assert preflight(gone, "supervised")[0] == 0
        for name in ("evidence", "cutover/log"):
            shutil.rmtree(gone / "var" / name)
            shutil.copytree(gone / "before" / name, gone / "var" / name)
        code, findings, output = preflight(gone, "supervised")

        assert code == 10, output
        assert "log.rewritten" in findings


class TestBeforeTheNight:
    def ask(self, project: Path, *arguments: str) -> tuple[int, Any]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_"))}
        command = [sys.executable, "-P", "-m", "pytest_cutover", *arguments, "--json", "--", "gates"]
        done = subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    def test_all_is_there_and_nothing_is_begun(self, project: Path) -> None:
        code, found = self.ask(project, "check", "preflight")

        assert (code, found["ready"]) == (0, True)
        assert [u["gate"] for u in found["unknown"]] == ["service.checks"]
        assert not (project / "var").exists()

    def test_each_shipped_gate_is_seen_red(self, project: Path) -> None:
        assert preflight(project, "in-process")[0] == 0  # else there is no evidence to verify, and no drill
        code, found = self.ask(project, "prove-red", "preflight")

        assert [p["state"] for p in found["gates"]] == ["red"] * 11
        assert all("injected" in p for p in found["gates"])  # none is red with true readings
        assert code == 0
