"""The trusted parent: starts pytest as a child, reads its journal, decides and signs.

The child runs gate code and is not trusted with the verdict: it never holds the key, its exit
code is not the answer, and what it did not journal did not happen (docs/reference/trust-model.md).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError
from pytest_cutover.files import read_regular
from pytest_cutover.reasons import Reason
from pytest_cutover.run import conclude
from pytest_cutover.run.begin import CHILD_FD, PARENT, Begun, begin
from pytest_cutover.run.deferred import deferred
from pytest_cutover.run.gate_code import digest_code
from pytest_cutover.run.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import IO

    from pytest_cutover.run.conclude import Conclusion
    from pytest_cutover.run.context import RunContext

_ORDERLY_S = 3  # the child keeps the same deadline, and ends more tidily than a signal does
_GRACE_S = 10  # from a polite signal to SIGKILL
_TOLD_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KEYS = "CUTOVER_KEY"
"""How the variables begin that hold a private key, or say where one is."""


def run(context: RunContext, arguments: Sequence[str], *, say: Callable[[str], None]) -> Conclusion:
    """Run the plan's gates in a child and conclude; `arguments` go to pytest.

    Raises:
        AdapterError: the run folder cannot be written, or the sandbox service does not come up.
    """
    if context.store is not None:
        from pytest_cutover.run.readied import ready_store

        ready_store(context, say)
    begun = begin(context)
    first = (context.run_dir / "journal.jsonl").read_bytes()
    begun.journal.close()
    try:
        begun.journal.require_whole()
        ended = Child(context, begun, arguments, say).wait()
    finally:
        begun.stop()
    if digest_code(context.rootdir, context.policy.gate_code_paths) != context.gate_code_digest:
        message = "the gate code changed while the run was under way"
        ended.insert(0, _problem(Reason.GATE_CODE_CHANGED, message))
    with deferred(*_TOLD_TO_STOP) as came:
        broken = _add_end(context, first, ended)
        concluded = conclude.judge(context)
        if broken is not None:
            return conclude.unsealed(concluded, Reason.EVIDENCE_NOT_WRITTEN, broken)
        return conclude.seal(concluded, context, came)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what could change how Python or pytest start, and without the signing key."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("PYTHON", "PYTEST_", _KEYS))
    }
    # xdist's workers are started with `python -c`, which would import from the working folder first.
    return kept | {"PYTHONSAFEPATH": "1"}


def child_command(context: RunContext, kept: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """The child's command line; what comes last wins, so the engine's own options stand after the user's."""
    return [
        sys.executable,
        *("-I", "-m", "pytest", "-o", "addopts="),
        *kept,
        *arguments,
        # One root for both: else an ini file further up would move the child's.
        f"--rootdir={context.rootdir}",
        *("-p", "pytest_cutover", "-m", context.policy.phase, "--cutover-plan", context.policy.plan),
    ]


class Child:
    """pytest in a process group of its own, under the run's deadline; `output` takes what it prints."""

    def __init__(
        self,
        context: RunContext,
        begun: Begun,
        arguments: Sequence[str],
        say: Callable[[str], None],
        output: IO[bytes] | None = None,
    ) -> None:
        from pytest_cutover.run.pytest_ini import addopts, kept_options

        self._context = context
        dropped = addopts(context.rootdir)
        kept = kept_options(dropped)
        for name in sorted(n for n in os.environ if n.startswith(("PYTHON", "PYTEST_"))):
            say(f"supervised: {name} is not passed on to the gates")
        for option in (o for o in dropped if o not in kept):
            say(f"supervised: addopts {option} is not used")
        try:
            # The kernel closes our end when this process ends, however it does.
            watched, self._alive = os.pipe()
            with tempfile.TemporaryFile() as handed, os.fdopen(watched):
                handed.write(json.dumps(begun.handed().to_json() | {PARENT: watched}).encode())
                handed.flush()
                handed.seek(0)
                environment = child_environment(os.environ) | {CHILD_FD: str(handed.fileno())}
                self._process = subprocess.Popen(
                    child_command(context, kept, arguments),
                    cwd=context.rootdir,
                    env=environment,
                    pass_fds=(handed.fileno(), watched),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as exc:
            raise AdapterError(
                f"cannot start pytest: {exc.strerror}", hint="is the disk of temporary files full?"
            ) from exc

    def wait(self) -> list[tuple[str, dict[str, object]]]:
        """The events that the parent has to add: how the child ended, and what had to be done about it."""
        events: list[tuple[str, dict[str, object]]] = []
        stopped: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            stopped.append(number)
            self._signal(signal.SIGINT if len(stopped) == 1 else signal.SIGKILL)

        before = {s: signal.signal(s, forward) for s in _TOLD_TO_STOP}
        try:
            try:
                status = self._process.wait(timeout=self._context.policy.run_deadline_s + _ORDERLY_S)
            except subprocess.TimeoutExpired:
                limit_s = self._context.policy.run_deadline_s
                events.append(
                    _problem(Reason.RUN_DEADLINE, f"took longer than the run's limit of {limit_s:g} s")
                )
                status = self._end()
        finally:
            # Whatever the child left running may not go on measuring after the decision.
            self._signal(signal.SIGKILL)
            os.close(self._alive)
            for number, handler in before.items():
                signal.signal(number, handler)
        if stopped:
            name = signal.Signals(stopped[0]).name
            events.append(_problem(Reason.RUN_INTERRUPTED, f"the supervisor was told to stop ({name})"))
        events.append(("run.exited", {"status": status} if status >= 0 else {"signal": -status}))
        return events

    def _end(self) -> int:
        self._signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            return self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def _problem(reason: Reason, message: str) -> tuple[str, dict[str, object]]:
    return "run.problem", {"code": reason.code, "message": message, "where": None}


def _add_end(
    context: RunContext, first: bytes, events: Sequence[tuple[str, dict[str, object]]]
) -> str | None:
    """Append the parent's events to the child's journal, which must still begin as the parent began it.

    Returns why that could not be done, or None.
    """
    path = context.run_dir / "journal.jsonl"
    try:
        written = read_regular(path)
        if not written.startswith(first):
            # Nothing after a forged beginning can be believed: start over with ours, which then lacks its end.
            path.unlink()
            path.write_bytes(first)
        elif not written.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")  # a line cut off by a kill must not swallow the next
        journal = Journal(path, resume=True)
    except (OSError, AdapterError) as exc:
        return f"cannot end the journal {path}: {exc}"
    for event, fields in events:
        journal.write(event, **fields)
    journal.close()
    return journal.broken
