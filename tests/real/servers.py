"""Real servers on free loopback ports: started, broken, and never left behind.

Each is started through `setpriv --pdeathsig` where that exists, so that even a killed test run
leaves no orphan.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REQUIRE = "CUTOVER_REQUIRE_REAL"
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
"""Debian keeps servers in sbin, which is not on everybody's PATH."""

START_S = 20.0
STOP_S = 5.0


def need(name: str) -> str:
    """The path of a program; without it the test skips, or fails where CUTOVER_REQUIRE_REAL=1."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{message}, and {REQUIRE}=1 demands it", pytrace=False)
        pytest.skip(message)
    return path


def free_port() -> int:
    """A port nobody listens on, below those the kernel gives to clients: nobody else will be given it."""
    for _ in range(100):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 20000 and 32000")


def wait_until(claim: Callable[[], bool], what: str, limit_s: float = START_S) -> None:
    """Return once `claim` holds; fail when it does not in time."""
    until = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < until, f"{what}: not within {limit_s:g} s"
        time.sleep(0.02)


def fetch(url: str) -> tuple[int, str]:
    """Status and text of an answer; (0, "") when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, ""
    except OSError:
        return 0, ""


class Server:
    """One running server process; its output is kept in a log file."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        self.log = folder / f"{Path(argv[0]).name}.log"
        setpriv = shutil.which("setpriv", path=SEARCH_PATH)
        guard = [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self, claim: Callable[[], bool], limit_s: float = START_S) -> None:
        """Wait until `claim` holds; a server that ends before fails the test with its log."""

        def holds() -> bool:
            assert self._process.poll() is None, f"{self.log.name}: {self.log.read_text()[-2000:]}"
            return claim()

        try:
            wait_until(holds, f"start of {self.log.stem}", limit_s)
        except BaseException:
            self.stop()
            raise

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, whatever state it is in; idempotent."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
