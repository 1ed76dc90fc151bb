"""The plugin object that journals a gate run: alone, as xdist's controller, or as a supervised child."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.marker import InvalidMarkerError
from pytest_cutover.model import ExitCode
from pytest_cutover.reasons import Reason
from pytest_cutover.record import gate_info
from pytest_cutover.redact import Redactor
from pytest_cutover.report.console import Console
from pytest_cutover.run.events import encode, ended
from pytest_cutover.run.gate_code import digest_code
from pytest_cutover.run.gcpause import gc_paused
from pytest_cutover.run.recording import (
    GATE_ATTRIBUTE,
    RESULT_ATTRIBUTE,
    VERDICT_ATTRIBUTE,
    redact_longrepr,
)
from pytest_cutover.run.worker import collected, start_recorder
from pytest_cutover.sources import distortion

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_cutover.model import GateInfo, GateResult
    from pytest_cutover.run.begin import Begun
    from pytest_cutover.run.context import RunContext
    from pytest_cutover.run.handed import Handed
    from pytest_cutover.run.journal import Journal
    from pytest_cutover.run.recording import GateState


_CLEAN = [(when, "passed", None) for when in ("setup", "call", "teardown")]


class GateRun:
    """The plugin object of the process that journals the run (and, unless supervised, decides it)."""

    def __init__(
        self,
        config: pytest.Config,
        handed: Handed,
        journal: Journal,
        *,
        context: RunContext | None,
        begun: Begun | None = None,
    ) -> None:
        self.config = config
        self.context = context
        self.journal = journal
        self.exit_status: int | None = None
        self.finisher: object = None  # given by `session`: the plugin object that ends the run
        self.begun = begun
        self._handed = handed
        self._nonce = handed.nonce
        self.pid = os.getpid()
        self._distributed = config.pluginmanager.has_plugin("dsession")
        self._recorder = None if self._distributed else start_recorder(config, handed, "main")
        self.policy = handed.policy
        self._redact = Redactor(os.environ)
        self.console = Console(config, self.policy)
        self._bad: dict[str, list[tuple[str, str]]] = {}  # by node id: when and outcome of reports not passed
        self._shipped: dict[str, GateInfo] = {}  # by node id, from xdist workers
        self._failed = 0
        self._session: pytest.Session | None = None
        self._deadline = time.monotonic() + self.policy.run_deadline_s
        self._ended = False

    def tell(self, reason: Reason, message: str, where: str | None = None) -> None:
        """Journal a problem of the run."""
        self.journal.problem(reason.code, self._redact(message)[:2000], where)

    # xdist

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand each worker the run."""
        node.workerinput["cutover"] = json.dumps(self._handed.to_json())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Journal what a worker collected, or that it crashed."""
        name = node.gateway.id
        if error:
            self.tell(Reason.RUN_WORKER_CRASHED, f"worker {name} crashed")
        facts = getattr(node, "workeroutput", {}).get("cutover")
        if facts is None:
            if not error:
                self.tell(
                    Reason.RUN_WORKERS_DISAGREE, f"worker {name} ended without saying what it collected"
                )
            return
        collected = json.loads(facts)
        if (invalid := collected.pop("invalid")) is not None:
            self.tell(Reason.GATE_INVALID, f"worker {name}: {invalid}")
        if collected.pop("distorted"):
            self.tell(Reason.RUN_PROVE_RED, f"readings of worker {name} were distorted")
        if collected.pop("asserts_off"):
            self.tell(Reason.RUN_ASSERTS_OFF, f"worker {name} runs with assertions off")
        self.journal.write("run.collected", **collected)

    # collection

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the last conftest is loaded, register what must stand outside of its wrappers."""
        self._session = session
        try:
            with gc_paused():
                result = yield
            self.console.carried(self._handed.carried)
            return result
        finally:
            self.stand_outside()

    def stand_outside(self) -> None:
        """Register the finisher, now that every conftest has registered its hooks."""
        self.config.pluginmanager.register(self.finisher, "cutover-finisher")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self) -> Generator[None, object, object]:
        """Journal what was collected, or which marker kept the gates from being known."""
        try:
            result = yield
        except InvalidMarkerError as exc:
            self.tell(Reason.GATE_INVALID, str(exc))
            raise
        self.console.begin(
            0 if self._recorder is None else len(self._recorder.states) - len(self._handed.carried)
        )
        if sys.flags.optimize:
            self.tell(Reason.RUN_ASSERTS_OFF, "Python runs with -O: assertions are off")
        if self._recorder is not None:
            self.journal.write("run.collected", **collected(self._recorder))
        return result

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Journal files that could not be collected, or skipped themselves."""
        redact_longrepr(report, self._redact)
        if report.failed:
            self._failed += 1
            self.tell(
                Reason.RUN_COLLECT_ERROR,
                f"{report.nodeid or 'the session'} could not be collected",
                report.nodeid,
            )
        elif report.skipped:
            self.tell(Reason.RUN_MODULE_SKIPPED, f"{report.nodeid} skipped itself", report.nodeid)

    # running

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Journal a start. A controller cannot tell gates from other tests yet, so it journals all."""
        if time.monotonic() > self._deadline:
            self._stop_late()
        if self._recorder is None:
            self.journal.started(nodeid, "main")
        else:
            if nodeid in self._recorder.states:
                self.journal.started(nodeid, "main")
                if self.console.progress is not None:
                    self.console.progress.started(self._recorder.states[nodeid].info.key)
            self._recorder.starting(nodeid)

    def _stop_late(self) -> None:
        if self._session is not None and not self._session.shouldstop:
            limit_s = self.policy.run_deadline_s
            self.tell(Reason.RUN_DEADLINE, f"the run took longer than its limit of {limit_s:g} s")
            self._session.shouldstop = "the time of the run is up"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Journal a gate's end; anything else that is not clean is a problem of the run."""
        state = None if self._recorder is None else self._recorder.reported(report)
        nodeid = report.nodeid if state is None else state.info.nodeid
        when, outcome = report.when, report.outcome
        if outcome not in ("passed", "skipped"):
            self._failed += 1
        if when not in ("setup", "call", "teardown"):
            self.tell(Reason.RUN_WORKER_CRASHED, f"{nodeid} took its worker down", nodeid)
            return
        info = state.info if state is not None else self._shipped_info(report)
        if info is None:
            if outcome not in ("passed", "skipped"):
                self.tell(Reason.RUN_NOT_CLEAN, f"{nodeid} {outcome} in {when}", nodeid)
            return
        if outcome != "passed":
            self._bad.setdefault(nodeid, []).append((when, outcome))
        if when != "teardown":
            return
        if state is not None and self._recorder is not None:
            self._ended_here(state, self._recorder.result(state))
            state.forget()
        else:
            self._gate_ended(info, getattr(report, RESULT_ATTRIBUTE))

    def _shipped_info(self, report: pytest.TestReport) -> GateInfo | None:
        """The gate that a worker's report is about."""
        shipped = getattr(report, GATE_ATTRIBUTE, None)
        if shipped is not None:
            self._shipped[report.nodeid] = gate_info(shipped)
        return self._shipped.get(report.nodeid)

    def _ended_here(self, state: GateState, result: GateResult) -> None:
        clean = [(p.when, p.outcome, p.raised) for p in result.phases] == _CLEAN
        if state.judged is None or not clean or state.info.nodeid in self._bad:
            self._gate_ended(state.info, ended(result))
            return
        # Nothing to fit, and judged already: right after its body, as green.
        self.journal.finished(ended(result))
        self.console.gate_judged(state.judged, duration_s=result.duration_s)

    def _gate_ended(self, info: GateInfo, result: str) -> None:
        fields = json.loads(result)
        reconcile(fields, self._bad.pop(info.nodeid, ()))
        self.journal.finished(encode(fields))
        self.console.gate_ended(info, fields)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count gates in pytest's summary and print no letter for them: they have a line of their own."""
        gates = self._shipped if self._recorder is None else self._recorder.states
        if report.nodeid not in gates:
            return None
        if hasattr(report, VERDICT_ATTRIBUTE):
            return getattr(report, VERDICT_ATTRIBUTE), "", ""
        if report.outcome == "passed":
            return ("passed" if report.when == "call" else ""), "", ""
        if report.skipped:
            return "skipped", "", ""
        return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Journal an interrupt, or a pytest.exit()."""
        self.tell(Reason.RUN_INTERRUPTED, f"interrupted: {excinfo.typename}: {excinfo.value}".rstrip(": "))

    def pytest_internalerror(self, excrepr: object) -> None:
        """Journal a crash of pytest or a plugin."""
        last = (str(excrepr).strip().splitlines() or ["unknown"])[-1]
        self.tell(Reason.RUN_INTERNAL_ERROR, f"pytest crashed: {last}")

    # ending

    def ended_with(self, exc: Exception) -> int | None:
        """The decision's exit code although pytest raised afterwards: what was signed and printed stands."""
        if isinstance(exc, pytest.UsageError):
            print(f"ERROR: {exc}", file=sys.stderr)
        else:
            traceback.print_exception(exc)
        return self.exit_status

    def end(self, status: int) -> None:
        """Close the journal: after this nothing can be added to the record."""
        if self._ended:
            return
        self._ended = True
        if self.console.progress is not None:
            self.console.progress.erase()
        self._end_side_by_side()
        if distortion.was_used():
            self.tell(Reason.RUN_PROVE_RED, "readings were distorted in the process of the gates")
        self._check_status(status)
        supervised = self.context is None
        # The child promises a code that only the parent's decision turns into 0.
        exit_status = int(ExitCode.UNPROVEN) if supervised else None
        self.journal.end(status=status, exit_status=exit_status, nonce=self._nonce)
        self.journal.close()

    def _end_side_by_side(self) -> None:
        if self._recorder is None or self._recorder.side_by_side is None:
            return
        for nodeid in self._recorder.side_by_side.end():
            self.tell(Reason.GATE_CANCELLED, f"{nodeid} had begun and was cancelled before its turn", nodeid)

    def _check_status(self, status: int) -> None:
        if status == pytest.ExitCode.TESTS_FAILED and not self._failed:
            self.tell(Reason.RUN_NOT_CLEAN, "pytest ended with 1 and no test failed: a plugin made it fail")
        elif status not in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            self.tell(Reason.RUN_EXIT_STATUS, f"pytest ended with {status}")
        elif status == pytest.ExitCode.OK and self._failed:
            self.tell(Reason.RUN_EXIT_STATUS, f"pytest ended with 0 after {self._failed} failed reports")
        if self.context is not None:  # a supervised child is not asked about its own code
            digest = digest_code(self.context.rootdir, self.policy.gate_code_paths)
            if digest != self.context.gate_code_digest:
                self.tell(Reason.GATE_CODE_CHANGED, "the gate code changed while the run was under way")


def reconcile(fields: dict[str, Any], bad: Sequence[tuple[str, str]]) -> None:
    """Fit a gate's record to what pytest finally reported: a hook may have changed it after the engine saw it.

    `bad`: when and outcome of each report that had not passed. An outcome that got better keeps what was
    raised (gate.altered), one that got worse is added.
    """
    phases = fields["phases"]
    seen_bad = {p[0] for p in phases if p[1] != "passed" or p[2]}
    told_bad = {when for when, _ in bad}
    for when in told_bad - seen_bad:
        outcome = min(outcome for w, outcome in bad if w == when)
        phases.append([when, outcome, "", f"reported as {outcome} by a plugin", 0.0])
        fields["reported"] += 1
    for phase in (p for p in phases if p[0] in seen_bad - told_bad):
        if phase[1] != "passed" or phase[2]:
            phase[2] = phase[2] or "error"
            phase[1] = "passed"
