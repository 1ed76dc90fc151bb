"""Starts the service as a child process that cannot outlive its parent. No Starlette here."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from pytest_cutover.errors import AdapterError
from pytest_cutover.keys.signer import VARIABLES
from pytest_cutover.service.config import REQUEST_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class ServiceHandle:
    """A running service. `log_path` is its request log, `stderr_path` what it printed."""

    url: str
    pid: int
    log_path: Path
    stderr_path: Path
    _process: subprocess.Popen[bytes] = field(repr=False)
    _owner: int = field(default_factory=os.getpid, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the service; idempotent. In a forked child it does nothing: the service is the parent's."""
        if os.getpid() == self._owner:
            _end(self._process)

    def is_running(self) -> bool:
        return self._process.poll() is None


def start_service(
    state_dir: Path,
    *,
    policy: Path | None,
    broken: Sequence[str] = (),
    rootdir: Path,
    environ: Mapping[str, str] | None = None,
) -> ServiceHandle:
    """A service on a free loopback port, accepting connections.

    It gets this process's environment (or `environ`), but no variable that says "no key": then the
    service signs with the development key, as the run itself stays unsigned.

    Raises:
        AdapterError: it did not start within 10 s; the message ends with its last lines.
    """
    command = [sys.executable, "-P", "-m", "pytest_cutover", "serve", "--state", str(state_dir.resolve())]
    command += ["--root", str(rootdir.resolve()), "--follow-stdin"]
    if policy is not None:
        command += ["--policy", str(policy.resolve())]
    for name in broken:
        command += ["--break", name]
    errors = state_dir / "service.stderr"
    process = _spawn(command, state_dir, errors, _environment(os.environ if environ is None else environ))
    try:
        url = _wait_for_url(process, errors)
    except BaseException:
        _end(process)
        raise
    return ServiceHandle(url, process.pid, state_dir / REQUEST_LOG, errors, process)


def _spawn(
    command: Sequence[str], state_dir: Path, errors: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with errors.open("wb") as stderr:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # held open until stop(): its end is how the service sees us die
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environ,
                start_new_session=True,  # Ctrl-C goes to the run, which then stops the service
            )
    except OSError as exc:
        raise AdapterError(f"cannot start the sandbox service in {state_dir}: {exc.strerror}") from exc


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if k not in VARIABLES or v.strip() not in ("", "none")}


def _wait_for_url(process: subprocess.Popen[bytes], errors: Path) -> str:
    line = _first_line(process, time.monotonic() + START_TIMEOUT_S)
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError):
        raise AdapterError(
            f"the sandbox service did not start: {_what_happened(process, line)}: {_last_lines(errors)}",
            hint="pip install 'pytest-cutover[service]', or name targets of your own in the policy",
        ) from None


def _what_happened(process: subprocess.Popen[bytes], line: bytes) -> str:
    if line:
        return f"expected a line with its url, got {line[:80]!r}"
    try:
        return f"it ended with exit code {process.wait(0.5)}"
    except subprocess.TimeoutExpired:
        return f"it said nothing for {START_TIMEOUT_S:g} s"


def _first_line(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    assert process.stdout is not None
    line = b""
    while b"\n" not in line:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not data:
            return b""
        line += data
    return line.partition(b"\n")[0]


def _last_lines(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()[-5:]
    except OSError:
        lines = []
    return " | ".join(line.strip() for line in lines if line.strip()) or "it printed nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
