"""What every process that runs gates needs, and the plugin object of an xdist worker."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover import fixtures
from pytest_cutover.marker import InvalidMarkerError
from pytest_cutover.model import ExitCode
from pytest_cutover.redact import Redactor
from pytest_cutover.run.events import ended, info_json
from pytest_cutover.run.journal import disown
from pytest_cutover.run.recording import (
    GATE_ATTRIBUTE,
    RESULT_ATTRIBUTE,
    Recorder,
)
from pytest_cutover.sources import distortion

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_cutover.run.handed import Handed


RECORDER = pytest.StashKey[Recorder]()


def start_recorder(config: pytest.Config, handed: Handed, worker: str) -> Recorder:
    """Register what every process that runs gates needs."""
    recorder = Recorder(
        config,
        handed.policy,
        worker=worker,
        attachments=handed.run_dir / "attachments",
        redactor=Redactor(os.environ),
        deadline=time.monotonic() + handed.policy.run_deadline_s,
        carried=frozenset(gate["gate"]["nodeid"] for gate in handed.carried),
    )
    config.stash[RECORDER] = recorder
    if handed.prove_red is not None:
        from pytest_cutover.run.proving import prove

        prove(config, handed.prove_red, worker)
    config.stash[fixtures.SOURCES] = fixtures.Sources(handed.targets, handed.places)
    config.pluginmanager.register(fixtures, "cutover-fixtures")
    config.pluginmanager.register(recorder, "cutover-recorder")
    return recorder


def collected(recorder: Recorder) -> dict[str, Any]:
    return {
        "worker": recorder.worker,
        "gates": [info_json(i) for i in recorder.collected],
        "deselected": [info_json(i) for i in recorder.deselected],
        "others": recorder.others,
    }


class Worker:
    """The plugin object of an xdist worker: records, and ships what it collected to the controller."""

    def __init__(self, config: pytest.Config, handed: Handed, name: str) -> None:
        self._recorder = start_recorder(config, handed, name)
        self._journal = handed.run_dir / "journal.jsonl"
        self._pid = os.getpid()
        self._invalid: str | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self) -> Generator[None, object, object]:
        """Remember which marker kept the gates from being known."""
        try:
            return (yield)
        except InvalidMarkerError as exc:
            self._invalid = str(exc)
            raise

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Start a gate's time."""
        self._recorder.starting(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Put the gate on its reports, before xdist ships them."""
        if os.getpid() != self._pid:
            # A gate forked and its copy came back here: it shares the worker's connection and may not use it.
            disown(self._journal)
            os._exit(int(ExitCode.UNPROVEN))
        state = self._recorder.reported(report)
        if state is not None:
            setattr(report, GATE_ATTRIBUTE, info_json(state.info))
            if report.when == "teardown":
                setattr(report, RESULT_ATTRIBUTE, ended(self._recorder.result(state)))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what this worker collected; xdist drops pytest_deselected on the way."""
        if self._recorder.side_by_side is not None:
            self._recorder.side_by_side.end()
        output = session.config.workeroutput  # type: ignore[attr-defined] # xdist sets it
        output["cutover"] = json.dumps(
            collected(self._recorder)
            | {
                "asserts_off": bool(sys.flags.optimize),
                "invalid": self._invalid,
                "distorted": distortion.was_used(),
            }
        )
