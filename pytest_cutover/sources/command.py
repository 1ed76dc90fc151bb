"""Commands as measurements: exit code and output of one process, bounded in time and size; never a shell."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import MeasurementError, SourceError
from pytest_cutover.sources import distortion
from pytest_cutover.sources._family import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

MAX_OUTPUT_BYTES = 4 * 1024 * 1024
"""Of stdout and stderr together."""

DRAIN_S = 1.0
"""How long output is still read after the command ended while something it started keeps the pipe open."""

POLL_S = 0.02
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a command sees of the environment unless told more: no token of the pipeline gets into it by accident."""


@dataclass(frozen=True, slots=True)
class CommandReading:
    """A command that ended by itself. A negative `exit_code` is the signal that ended it.

    `stdout` and `stderr` are UTF-8, other bytes shown as `\\xNN`; the bytes themselves stand beside them.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    duration_s: float
    observed_at: datetime
    stdout_bytes: bytes = field(repr=False)
    stderr_bytes: bytes = field(repr=False)

    def json(self) -> Any:
        """Standard output as strict JSON.

        Raises:
            SourceError: it is not.
        """
        try:
            return strictjson.loads(self.stdout_bytes)
        except ValueError as exc:
            raise SourceError(f"expected JSON from {_name(self.argv)}, got something else: {exc}") from exc

    def figure(self, pattern: str) -> Decimal:
        """The number that the one match of `pattern` (its first group) shows in standard output.

        Raises:
            SourceError: no match, several, or not a finite decimal number.
        """
        found = list(re.finditer(pattern, self.stdout))
        if len(found) != 1:
            raise SourceError(
                f"expected one match of {pattern!r} in the output of {_name(self.argv)}, found {len(found)}"
            )
        text = found[0][1] if found[0].re.groups else found[0][0]
        try:
            if not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", text, re.ASCII):
                raise ValueError("not a decimal number")
            return strictjson.parse_decimal(text)
        except (ValueError, TypeError) as exc:
            raise SourceError(
                f"expected a number from {pattern!r} in the output of {_name(self.argv)}: {exc}"
            ) from exc


class CommandSource:
    """Runs commands, each in its own process group, which is killed whole when the command is over.

    **A process that leaves the group on purpose (a daemon calling setsid) is not killed** unless the
    command is to be `alone`; it cannot hold up the reading.
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 60,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        alone: bool = False,
        said: Callable[[bytes, bytes], None] | None = None,
    ) -> CommandReading:
        """What the command said; any exit code is an answer.

        `env` is added to PATH, HOME, LANG and TMPDIR of this process; nothing else is passed on. With `alone`
        the command has not ended while something it started is running: such a process is killed after a
        second, also when it has left the process group (on Linux), and the command is no reading. `said` is
        handed stdout and stderr as far as they were read, however the command ended.

        Raises:
            SourceError: not found, not executable, over the time limit, too much output, not alone.
            MeasurementError: `argv` is not a list of texts.
        """
        command = _argv(argv)
        return distortion.reading(
            ("command", *command),
            lambda: self._run(command, timeout_s, env, cwd, max_output_bytes, alone, said),
        )

    def _run(
        self,
        command: tuple[str, ...],
        timeout_s: float,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        max_output_bytes: int,
        alone: bool,
        said: Callable[[bytes, bytes], None] | None,
    ) -> CommandReading:
        if not timeout_s > 0 or timeout_s == float("inf"):
            raise MeasurementError(f"expected a time limit in seconds above 0, got {timeout_s}")
        started = time.monotonic()
        family = Family() if alone else None
        process = _start(command, {**(env or {}), **(family.environ if family else {})}, cwd)
        output = _Output(process)
        try:
            _collect(process, output, command, started + timeout_s, timeout_s, max_output_bytes)
            if family is not None:
                _check_alone(process, output, family, command, max_output_bytes)
        finally:
            _end_group(process)
            if family is not None:
                family.kill()
            if said is not None:
                said(output.stdout, output.stderr)
        out, err = output.stdout, output.stderr
        return CommandReading(
            argv=command,
            exit_code=process.returncode,
            stdout=out.decode("utf-8", "backslashreplace"),
            stderr=err.decode("utf-8", "backslashreplace"),
            duration_s=time.monotonic() - started,
            observed_at=datetime.now(UTC),
            stdout_bytes=out,
            stderr_bytes=err,
        )


def _argv(argv: Sequence[str]) -> tuple[str, ...]:
    if isinstance(argv, str | bytes) or not argv or not all(isinstance(a, str) for a in argv):
        raise MeasurementError(
            "expected a command as a list of texts",
            hint='e.g. ["git", "rev-parse", "HEAD"]; there is no shell',
        )
    if any("\0" in a for a in argv) or not argv[0]:
        raise MeasurementError("a command must not be empty or contain a NUL character")
    return tuple(argv)


def _name(argv: Sequence[str]) -> str:
    """What messages call a command: its program; arguments may hold secrets."""
    return repr(Path(argv[0]).name)


def _start(
    command: tuple[str, ...], env: Mapping[str, str], cwd: str | os.PathLike[str] | None
) -> subprocess.Popen[bytes]:
    if cwd is not None and not Path(cwd).is_dir():
        raise SourceError(f"cannot run {_name(command)}: no folder {os.fspath(cwd)}")
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**{k: os.environ[k] for k in KEPT if k in os.environ}, **env},
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise SourceError(f"no command {_name(command)}", hint="is it installed, and on PATH?") from exc
    except (OSError, ValueError, TypeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "malformed environment"
        raise SourceError(f"cannot run {_name(command)}: {reason}") from exc


class _Output:
    """What was read so far from both pipes of a process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._out, self._err = process.stdout.fileno(), process.stderr.fileno()
        self._got: dict[int, bytearray] = {self._out: bytearray(), self._err: bytearray()}
        self._open = {self._out, self._err}
        for descriptor in self._open:
            os.set_blocking(descriptor, False)

    @property
    def stdout(self) -> bytes:
        return bytes(self._got[self._out])

    @property
    def stderr(self) -> bytes:
        return bytes(self._got[self._err])

    @property
    def is_open(self) -> bool:
        """Whether somebody may still write."""
        return bool(self._open)

    def size(self) -> int:
        return sum(map(len, self._got.values()))

    def read(self, wait_s: float) -> None:
        """Take what is there, waiting for it at most so long."""
        if not self._open:
            time.sleep(wait_s)
            return
        with selectors.DefaultSelector() as selector:
            for descriptor in self._open:
                selector.register(descriptor, selectors.EVENT_READ)
            ready = [key.fd for key, _ in selector.select(wait_s)]
        for descriptor in ready:
            with contextlib.suppress(BlockingIOError):
                data = os.read(descriptor, 65536)
                self._got[descriptor].extend(data)
                if not data:
                    self._open.discard(descriptor)


def _collect(
    process: subprocess.Popen[bytes],
    output: _Output,
    command: tuple[str, ...],
    deadline: float,
    limit: float,
    most: int,
) -> None:
    """Read both pipes until they end, or the command has ended and `DRAIN_S` is over."""
    ended_at: float | None = None
    while True:
        now = time.monotonic()
        if ended_at is None and _has_ended(process):
            ended_at = now
        if ended_at is not None and (not output.is_open or now > ended_at + DRAIN_S):
            return
        if ended_at is None and now >= deadline:
            raise SourceError(
                f"{_name(command)} did not end within {limit:g} s and was killed",
                hint="raise timeout_s, or make it faster",
            )
        output.read(POLL_S if ended_at is None else 0.005)
        _check_size(output, command, most)


def _check_size(output: _Output, command: tuple[str, ...], most: int) -> None:
    if output.size() > most:
        raise SourceError(f"{_name(command)} wrote more than {most} bytes", hint="raise max_output_bytes")


def _check_alone(
    process: subprocess.Popen[bytes], output: _Output, family: Family, command: tuple[str, ...], most: int
) -> None:
    """Give what the command started a second to end as well.

    Raises:
        SourceError: it did not.
    """
    until = time.monotonic() + DRAIN_S
    left = family.members(process.pid)
    while (left or output.is_open) and time.monotonic() < until:
        output.read(POLL_S)
        _check_size(output, command, most)
        left = family.members(process.pid)
    if left or output.is_open:
        names = ", ".join(left) or "something that holds its output"
        raise SourceError(
            f"{_name(command)} ended and left processes running: {names:.100}",
            hint="let it wait for them; what they are still doing is not part of its exit code",
        )


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the command ended, without reaping it: its group number cannot be given away yet."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the process group, then reap the command."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
