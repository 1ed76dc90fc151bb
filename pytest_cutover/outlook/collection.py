"""What pytest would collect for a plan, told by a child that runs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.model import GateInfo, Problem
from pytest_cutover.reasons import Reason
from pytest_cutover.run.begin import CHILD_FD
from pytest_cutover.run.pytest_ini import addopts, kept_options
from pytest_cutover.run.supervisor import child_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.model import EffectivePolicy

LONGEST_S = 300.0
"""A collection that takes longer is ended: nobody waits for it before a cutover."""

_ORDERLY = (
    0,
    1,
    2,
    5,
)  # also: errors while collecting (2), which are told one by one, and nothing collected (5)


@dataclass(frozen=True, slots=True)
class CollectedGate:
    """A gate that would run, and what pytest knows of it without running it.

    `stopped` is `skip` or `xfail` where a mark says so; `measuring_fixtures` ask for `gate` themselves.
    """

    info: GateInfo
    path: str
    name: str
    stopped: str | None
    unknown_fixtures: tuple[str, ...]
    measuring_fixtures: tuple[str, ...]
    over_http: bool


@dataclass(frozen=True, slots=True)
class Collection:
    """Everything the child said; `network` names the lines that reached for the network and were refused."""

    gates: tuple[CollectedGate, ...]
    deselected: tuple[GateInfo, ...]
    problems: tuple[Problem, ...]
    network: tuple[str, ...]


def collect(policy: EffectivePolicy, rootdir: Path, arguments: Sequence[str]) -> Collection:
    """Collect as `cutover run PLAN -- arguments` would.

    Raises:
        AdapterError: pytest cannot be started.
        ConfigError: the collection did not end.
    """
    command = [
        *(sys.executable, "-I", "-B", "-m", "pytest", "-p", "pytest_cutover.outlook.child"),
        *("-o", "addopts=", "-p", "no:cacheprovider", "--collect-only"),
        *kept_options(addopts(rootdir)),
        *arguments,
        f"--rootdir={rootdir}",
        *("-p", "pytest_cutover", "-m", policy.phase, "--cutover-plan", policy.plan),
    ]
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
        handed = {"rootdir": str(rootdir), "phase": policy.phase, "answer": answer.fileno()}
        question.write(json.dumps(handed).encode())
        question.flush()
        question.seek(0)
        status, said = _run(command, rootdir, question.fileno(), answer.fileno())
        answer.seek(0)
        data = answer.read()
    try:
        return _read(json.loads(data), said)
    except (ValueError, KeyError, TypeError):
        why = f"pytest ended with {status} before it had collected{said}"
        return Collection((), (), (Problem(Reason.RUN_EXIT_STATUS, why),), ())


def _run(command: Sequence[str], rootdir: Path, question: int, answer: int) -> tuple[int, str]:
    """Run the child to its end: its status, and the last line of its standard error, for messages."""
    try:
        child = subprocess.Popen(
            command,
            cwd=rootdir,
            env=child_environment(os.environ) | {CHILD_FD: str(question)},
            pass_fds=(question, answer),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise AdapterError(f"cannot start pytest: {exc.strerror}") from exc
    try:
        _, stderr = child.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"pytest did not end its collection within {LONGEST_S:g} s",
            hint="name the folder of the gates: cutover check PLAN -- gates",
        ) from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line.removeprefix("E ").strip() for line in lines if "without deciding it" not in line]
    return child.returncode, f": {told[-1][:200]}" if told else ""


def _read(answer: dict[str, Any], said: str) -> Collection:
    problems = [Problem(Reason.of(code), message, where) for code, message, where in answer["problems"]]
    status = answer["status"]
    if status not in _ORDERLY:
        problems.append(Problem(Reason.RUN_EXIT_STATUS, f"pytest's collection ended with {status}{said}"))
    return Collection(
        gates=tuple(_gate(fields) for fields in answer["gates"]),
        deselected=tuple(GateInfo(**fields["info"]) for fields in answer["deselected"]),
        problems=tuple(problems),
        network=tuple(answer["network"]),
    )


def _gate(fields: dict[str, Any]) -> CollectedGate:
    return CollectedGate(
        info=GateInfo(**fields["info"]),
        path=fields["path"],
        name=fields["name"],
        stopped=fields["stopped"],
        unknown_fixtures=tuple(fields["unknown_fixtures"]),
        measuring_fixtures=tuple(fields["measuring_fixtures"]),
        over_http=fields["over_http"],
    )
