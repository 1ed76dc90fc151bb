"""The beginning of a run: its folder, its journal, its sandbox service, and what it hands to the process of the gates."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError
from pytest_cutover.keys.signer import KEY_VARIABLE, VARIABLES
from pytest_cutover.reasons import Reason
from pytest_cutover.record import FORMAT
from pytest_cutover.run.context import EMBEDDED, RunContext
from pytest_cutover.run.handed import Handed
from pytest_cutover.run.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


CHILD_FD = "CUTOVER_CHILD_FD"
"""Environment variable through which the supervising parent hands its child the run."""

PARENT = "parent"
"""Among what is handed to a supervised child: the pipe that is open at its other end while the parent lives."""

SANDBOX_BREAK = "CUTOVER_SANDBOX_BREAK"
"""Checks of the sandbox service to break, to see its gates red: `CUTOVER_SANDBOX_BREAK=disk ./dev preflight`."""


class Begun:
    """A run whose journal is open and whose sandbox service, if it has one, is up."""

    def __init__(self, context: RunContext, journal: Journal) -> None:
        self.context = context
        self.journal = journal
        self.targets: Mapping[str, str] = dict(context.targets)
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Start the sandbox service, where a target asks for it."""
        if EMBEDDED not in self.targets.values():
            return
        from pytest_cutover.service.process import start_service

        context = self.context
        service = start_service(
            context.run_dir / "service",
            policy=context.policy_path,
            rootdir=context.rootdir,
            broken=os.environ.get(SANDBOX_BREAK, "").split(),
            environ=_service_environment(context.key),
        )
        self._stop = service.stop
        self.targets = {name: service.url if url == EMBEDDED else url for name, url in self.targets.items()}

    def handed(self) -> Handed:
        """What the process that runs the gates needs to know."""
        opening = self.context.opening
        return Handed(
            run_dir=self.context.run_dir,
            nonce=self.context.nonce,
            policy=self.context.policy,
            targets=dict(self.targets),
            places=self.context.places(),
            carried=() if opening is None else tuple(opening.gates),
        )

    def stop(self) -> None:
        """End the sandbox service."""
        if self._stop is not None:
            self._stop()
            self._stop = None


def _remove_old(report: Path) -> None:
    """A copy of an older run's report may not stand for this one, should it die."""
    try:
        report.unlink(missing_ok=True)
    except OSError as exc:
        raise AdapterError(f"cannot remove the old report {report}: {exc.strerror}") from exc


def begin(context: RunContext) -> Begun:
    """Create the run folder and its journal, and start the sandbox service where a target asks for it.

    Raises:
        AdapterError: the folder cannot be written, or the service does not come up.
    """
    journal = Journal(context.run_dir / "journal.jsonl")
    begun = Begun(context, journal)
    try:
        if context.report is not None:
            _remove_old(context.rootdir / context.report)
        begun.start()
        write_first(journal, context, begun.targets)
        journal.require_whole()
    except BaseException:
        begun.stop()
        _remove(journal)
        raise
    return begun


def write_first(journal: Journal, context: RunContext, targets: Mapping[str, str]) -> None:
    """The lines of a journal that stand before any gate runs."""
    policy, opening = context.policy, context.opening
    journal.write(
        "run.started",
        format=FORMAT,
        run_id=context.run_id,
        nonce=context.nonce,
        plan=policy.plan,
        environment=policy.environment,
        sandbox=policy.sandbox,
        runner=context.runner.value,
        signer=context.signer_kind.value,
        policy_digest=policy.digest,
        gate_code_digest=context.gate_code_digest,
        subjects=[{"name": s.name, "digest": dict(s.digest)} for s in context.subjects],
        shard=context.shard,
        authors=list(context.authors),
        unusable_waivers=[{"file": file, "reason": reason} for file, reason in context.unusable_waivers],
        versions=dict(context.versions),
        target=dict(targets),
        pid=os.getpid(),
        **({"owed": [owed.to_json() for owed in context.owed]} if context.owed else {}),
        **({} if opening is None else {"opened": opening.announced()}),
        **({} if context.log is None else {"log": context.log.head.to_json()}),
    )
    if opening is not None:
        # Here, before any gate code runs: a supervising parent finds its own beginning again, byte for byte.
        for gate in opening.gates:
            journal.write("gate.carried", **gate)
        opening.bring_attachments(context.run_dir)
    if context.log is not None and context.log.rewritten is not None:
        journal.problem(Reason.LOG_REWRITTEN.code, context.log.rewritten[:2000])


def _remove(journal: Journal) -> None:
    """A run that did not begin is none: what is left of its folder may not refuse older evidence."""
    journal.close()
    with suppress(OSError):
        journal.path.unlink()
        journal.path.parent.rmdir()


def _service_environment(key: str | None) -> dict[str, str]:
    """This process's environment; a key that an option names takes the place of the variables' one."""
    environment = dict(os.environ)
    if key is not None:
        for name in VARIABLES:
            environment.pop(name, None)
        environment[KEY_VARIABLE] = key
    return environment


def handed_by_parent() -> Handed | None:
    """What the supervising parent handed over; taken out of the environment, so that no nested run inherits it."""
    descriptor = os.environ.pop(CHILD_FD, None)
    if descriptor is None:
        return None
    with os.fdopen(int(descriptor), "rb") as file:
        handed = json.loads(file.read())
    threading.Thread(
        target=_end_with_parent, args=(handed[PARENT],), name="cutover-parent", daemon=True
    ).start()
    return Handed.from_json(handed)


def _end_with_parent(pipe: int) -> None:
    """Kill this process and all it started when the parent is gone: nobody would decide on what they go on to measure."""
    os.read(pipe, 1)  # nothing is ever written: it returns when the last writer, the parent, has ended
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
