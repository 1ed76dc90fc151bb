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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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

    **A process that leaves the group on purpose (a daemon calling setsid) is not killed**; it cannot
    hold up the reading.
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 60,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
    ) -> CommandReading:
        """What the command said; any exit code is an answer.

        `env` is added to PATH, HOME, LANG and TMPDIR of this process; nothing else is passed on.

        Raises:
            SourceError: not found, not executable, over the time limit, too much output.
            MeasurementError: `argv` is not a list of texts.
        """
        command = _argv(argv)
        if not timeout_s > 0 or timeout_s == float("inf"):
            raise MeasurementError(f"expected a time limit in seconds above 0, got {timeout_s}")
        started = time.monotonic()
        process = _start(command, env or {}, cwd)
        try:
            out, err = _collect(process, command, started + timeout_s, timeout_s, max_output_bytes)
        finally:
            _end_group(process)
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


def _collect(
    process: subprocess.Popen[bytes], command: tuple[str, ...], deadline: float, limit: float, most: int
) -> tuple[bytes, bytes]:
    """Read both pipes until they end, or the command has ended and `DRAIN_S` is over."""
    assert process.stdout is not None
    assert process.stderr is not None
    got: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in got:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        ended_at: float | None = None
        while True:
            now = time.monotonic()
            if ended_at is None and _has_ended(process):
                ended_at = now
            if ended_at is not None and (not selector.get_map() or now > ended_at + DRAIN_S):
                break
            if ended_at is None and now >= deadline:
                raise SourceError(
                    f"{_name(command)} did not end within {limit:g} s and was killed",
                    hint="raise timeout_s, or make it faster",
                )
            _read_ready(selector, got, POLL_S if ended_at is None else 0.005)
            if sum(map(len, got.values())) > most:
                raise SourceError(
                    f"{_name(command)} wrote more than {most} bytes", hint="raise max_output_bytes"
                )
    out, err = got.values()
    return bytes(out), bytes(err)


def _read_ready(selector: selectors.BaseSelector, got: Mapping[int, bytearray], wait_s: float) -> None:
    if not selector.get_map():
        time.sleep(wait_s)
        return
    for key, _ in selector.select(wait_s):
        with contextlib.suppress(BlockingIOError):
            data = os.read(key.fd, 65536)
            got[key.fd].extend(data)
            if not data:
                selector.unregister(key.fd)


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
