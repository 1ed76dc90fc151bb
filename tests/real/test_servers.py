"""What the tests with real servers rest on: nothing is left behind, and nothing is skipped where it counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.servers import REQUIRE, Server, need, wait_until


def command_of(pid: int) -> str:
    """What the process runs; Linux."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TestNeed:
    def test_skips_without_a_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(REQUIRE, raising=False)

        with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed"):
            need("no-such-server")

    def test_fails_where_real_servers_are_demanded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(REQUIRE, "1")

        with pytest.raises(pytest.fail.Exception, match="CUTOVER_REQUIRE_REAL=1 demands it"):
            need("no-such-server")


class TestServer:
    def test_stop_ends_a_frozen_one(self, tmp_path: Path) -> None:
        server = Server([need("sleep"), "60"], tmp_path)
        server.signal(signal.SIGSTOP)

        server.stop()

        assert not is_running(server.pid)

    def test_one_that_does_not_start_fails_with_its_log(self, tmp_path: Path) -> None:
        server = Server([need("sh"), "-c", "echo the port is taken; exit 1"], tmp_path)

        with pytest.raises(AssertionError, match="the port is taken"):
            server.ready(lambda: False)

    def test_does_not_outlive_a_killed_test_run(self, tmp_path: Path) -> None:
        """Even SIGKILL, after which no fixture ends anything, leaves no orphan."""
        need("setpriv")
        program = (
            "import pathlib, time; from tests.real.servers import Server, need\n"
            f"server = Server([need('sleep'), '60'], pathlib.Path({str(tmp_path)!r}))\n"
            "print(server.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            pid = int(run.stdout.readline())
            # Until setpriv has become the server, the kernel was not asked to end it.
            wait_until(lambda: command_of(pid) == "sleep", "the server starts")
            run.kill()

        wait_until(lambda: not is_running(pid), "the server ends")
