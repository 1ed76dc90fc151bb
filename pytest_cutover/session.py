"""One gate run inside of pytest: begins it, journals it, decides and seals it.

In a supervised run this process is the untrusted child: it journals, and its parent decides.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover import fixtures
from pytest_cutover.context import EMBEDDED, RunContext, RunOptions, prepare
from pytest_cutover.errors import CutoverError
from pytest_cutover.journal import Journal
from pytest_cutover.model import EffectivePolicy, ExitCode, Runner
from pytest_cutover.phases import asked_phases, misspelt
from pytest_cutover.plugin import RUN
from pytest_cutover.reasons import Reason
from pytest_cutover.record import gate_info
from pytest_cutover.recording import (
    GATE_ATTRIBUTE,
    RESULT_ATTRIBUTE,
    VERDICT_ATTRIBUTE,
    Recorder,
    info_json,
    redact_longrepr,
)
from pytest_cutover.redact import Redactor
from pytest_cutover.report.console import Console

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pytest_cutover.model import GateDecision, GateInfo


CHILD_FD = "CUTOVER_CHILD_FD"
"""Environment variable through which the supervising parent hands its child the run."""

SANDBOX_BREAK = "CUTOVER_SANDBOX_BREAK"
"""Checks of the sandbox service to break, to see its gates red: `CUTOVER_SANDBOX_BREAK=disk ./dev preflight`."""

RECORDER = pytest.StashKey[Recorder]()
_INFORMATIONAL = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow")


# -- is a gate run asked for? ----------------------------------------------------------------


def asked_for(config: pytest.Config) -> str | None:
    """The plan to run, or None when `-m` names no phase.

    Raises:
        pytest.UsageError: a misspelt phase, two phases, or a plan and another phase.
    """
    expression = config.option.markexpr or ""
    registered = [line.split("(")[0].split(":")[0].strip() for line in config.getini("markers")]
    wrong = misspelt(expression, registered)
    if wrong is not None:
        raise pytest.UsageError(
            f"-m {expression}: no marker is called {wrong[0]!r}; did you mean {wrong[1]!r}?"
        )
    phases = sorted(asked_phases(expression))
    if len(phases) > 1:
        raise pytest.UsageError(f"-m {expression}: a gate run judges one phase, got {' and '.join(phases)}")
    plan: str | None = config.option.cutover_plan
    return plan or (phases[0] if phases else None)


def guard_exit(config: pytest.Config, result: object) -> object:
    """pytest's exit code, or the decision's; 0 only if a gate run that was asked for said GO."""
    run = config.stash.get(RUN, None)
    if run is not None and run.exit_status is not None:
        return run.exit_status
    if any(getattr(config.option, name, False) for name in _INFORMATIONAL):
        return result
    asked = run is not None or config.option.cutover_plan or asked_phases(config.option.markexpr or "")
    if asked and result == 0:
        print("error: a gate run was asked for, and pytest ended without deciding it", file=sys.stderr)
        return int(ExitCode.UNPROVEN)
    return result


# -- beginning -------------------------------------------------------------------------------


def start(config: pytest.Config, plan: str) -> GateRun:
    """Begin a gate run in this process, alone or as xdist's controller.

    Raises:
        pytest.UsageError: the policy, environment, subject, key or run folder cannot be used.
    """
    try:
        return _start(config, plan)
    except CutoverError as exc:
        hint = f"\nhint: {exc.hint}" if exc.hint else ""
        raise pytest.UsageError(f"{exc}{hint}") from exc


def start_for_items(config: pytest.Config, gates: Sequence[pytest.Item]) -> GateRun:
    """Begin a gate run for gates that were named by node id; the phase is theirs."""
    from pytest_cutover.phases import PHASES

    phases = sorted({p for item in gates for p in PHASES if item.get_closest_marker(p)})
    if len(phases) != 1:
        raise pytest.UsageError(
            f"expected gates of one phase, got {' and '.join(phases) or 'none'}; add -m PHASE"
        )
    run = start(config, phases[0])
    run.stand_outside()  # the collection, at whose end it would have been done, is under way already
    return run


def start_worker(config: pytest.Config, data: str) -> None:
    """Begin the part of a gate run that an xdist worker has: recording."""
    handed = json.loads(data)
    worker = Worker(config, handed, name=config.workerinput["workerid"])  # type: ignore[attr-defined] # xdist sets it
    config.pluginmanager.register(worker, "cutover-worker")


def _start(config: pytest.Config, plan: str) -> GateRun:
    handed = _from_parent()
    if handed is not None:
        journal = Journal(Path(handed["run_dir"]) / "journal.jsonl", resume=True)
        run = GateRun(config, handed, journal, context=None)
    else:
        option = config.option
        context = prepare(
            RunOptions(
                plan=plan,
                environment=option.cutover_env,
                subjects=option.cutover_subject or (),
                shard=option.cutover_shard,
                policy=option.cutover_policy,
                key=option.cutover_key,
                trust=option.cutover_trust,
                report=option.cutover_report,
            ),
            os.environ,
            config.rootpath,
            runner=Runner.IN_PROCESS,
            now=datetime.now(UTC),
            say=lambda text: print(text, file=sys.stderr),
        )
        _check_phase(config, context.policy)
        begun = begin(context)
        run = GateRun(config, begun.handed(), begun.journal, context=context, begun=begun)
    if not config.option.markexpr:
        config.option.markexpr = run.policy.phase
    config.pluginmanager.register(run, "cutover-run")
    return run


def _check_phase(config: pytest.Config, policy: EffectivePolicy) -> None:
    named = asked_phases(config.option.markexpr or "")
    if named and named != {policy.phase}:
        raise pytest.UsageError(
            f"plan {policy.plan!r} is of phase {policy.phase!r}, and -m names {', '.join(sorted(named))}"
        )


def _from_parent() -> dict[str, Any] | None:
    """What the supervising parent handed over; taken out of the environment, so that no nested run inherits it."""
    descriptor = os.environ.pop(CHILD_FD, None)
    if descriptor is None:
        return None
    with os.fdopen(int(descriptor), "rb") as pipe:
        handed: dict[str, Any] = json.loads(pipe.read())
        return handed


class Begun:
    """A run whose journal is open and whose sandbox service, if it has one, is up."""

    def __init__(self, context: RunContext, journal: Journal, targets: Mapping[str, str], stop: Any) -> None:
        self.context = context
        self.journal = journal
        self.targets = targets
        self._stop = stop

    def handed(self) -> dict[str, Any]:
        """What the process that runs the gates needs to know, as JSON values; never a key."""
        return {
            "run_dir": str(self.context.run_dir),
            "nonce": self.context.nonce,
            "policy": self.context.policy.to_json(),
            "targets": dict(self.targets),
            "supervised": self.context.runner is Runner.SUPERVISED,
        }

    def stop(self) -> None:
        """End the sandbox service."""
        if self._stop is not None:
            self._stop()
            self._stop = None


def begin(context: RunContext) -> Begun:
    """Create the run folder and its journal, and start the sandbox service where a target asks for it.

    Raises:
        AdapterError: the folder cannot be written, or the service does not come up.
    """
    journal = Journal(context.run_dir / "journal.jsonl")
    targets, stop = dict(context.targets), None
    if EMBEDDED in targets.values():
        from pytest_cutover.service.process import start_service

        service = start_service(
            context.run_dir / "service",
            policy=context.policy_path,
            rootdir=context.rootdir,
            broken=os.environ.get(SANDBOX_BREAK, "").split(),
            environ=_service_environment(context.key),
        )
        stop = service.stop
        targets = {name: service.url if url == EMBEDDED else url for name, url in targets.items()}
    policy = context.policy
    journal.write(
        "run.started",
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
        versions=dict(context.versions),
        target=targets,
        pid=os.getpid(),
    )
    return Begun(context, journal, targets, stop)


def _service_environment(key: str | None) -> dict[str, str]:
    """This process's environment; a key that an option names takes the place of the variables' one."""
    environment = dict(os.environ)
    if key is not None:
        environment.pop("CUTOVER_KEY_PEM", None)
        environment["CUTOVER_KEY"] = key
    return environment


# -- the parts that record -------------------------------------------------------------------


def _recorder(config: pytest.Config, handed: Mapping[str, Any], worker: str) -> Recorder:
    """Register what every process that runs gates needs."""
    policy = EffectivePolicy.from_json(handed["policy"])
    recorder = Recorder(
        config,
        policy,
        worker=worker,
        attachments=Path(handed["run_dir"]) / "attachments",
        redactor=Redactor(os.environ),
        deadline=time.monotonic() + policy.run_deadline_s,
    )
    config.stash[RECORDER] = recorder
    config.stash[fixtures.TARGETS] = handed["targets"]
    config.pluginmanager.register(fixtures, "cutover-fixtures")
    config.pluginmanager.register(recorder, "cutover-recorder")
    return recorder


def _collected(recorder: Recorder) -> dict[str, Any]:
    return {
        "worker": recorder.worker,
        "gates": [info_json(i) for i in recorder.collected],
        "deselected": [info_json(i) for i in recorder.deselected],
        "others": recorder.others,
    }


class Worker:
    """The plugin object of an xdist worker: records, and ships what it collected to the controller."""

    def __init__(self, config: pytest.Config, handed: Mapping[str, Any], name: str) -> None:
        self._recorder = _recorder(config, handed, name)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Start a gate's time."""
        self._recorder.starting(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Put the gate on its reports, before xdist ships them."""
        state = self._recorder.reported(report)
        if state is not None:
            setattr(report, GATE_ATTRIBUTE, info_json(state.info))
            if report.when == "teardown":
                setattr(report, RESULT_ATTRIBUTE, self._recorder.fields(state))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what this worker collected; xdist drops pytest_deselected on the way."""
        output = session.config.workeroutput  # type: ignore[attr-defined] # xdist sets it
        output["cutover"] = json.dumps(_collected(self._recorder) | {"asserts_off": bool(sys.flags.optimize)})


# -- the run ---------------------------------------------------------------------------------


class GateRun:
    """The plugin object of the process that journals the run (and, unless supervised, decides it)."""

    def __init__(
        self,
        config: pytest.Config,
        handed: Mapping[str, Any],
        journal: Journal,
        *,
        context: RunContext | None,
        begun: Begun | None = None,
    ) -> None:
        self.config = config
        self.context = context
        self.journal = journal
        self.policy = EffectivePolicy.from_json(handed["policy"])
        self.exit_status: int | None = None
        self._begun = begun
        self._handed = handed
        self._nonce = handed["nonce"]
        self._pid = os.getpid()
        self._distributed = config.pluginmanager.has_plugin("dsession")
        self._recorder = None if self._distributed else _recorder(config, handed, "main")
        self._redact = Redactor(os.environ)
        self._console = Console(config, self.policy)
        self._reported: dict[str, dict[str, set[str]]] = {}
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
        node.workerinput["cutover"] = json.dumps(self._handed)

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
        if collected.pop("asserts_off"):
            self.tell(Reason.RUN_ASSERTS_OFF, f"worker {name} runs with assertions off")
        self.journal.write("run.collected", **collected)

    # collection

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the last conftest is loaded, register what must stand outside of its wrappers."""
        self._session = session
        try:
            return (yield)
        finally:
            self.stand_outside()

    def stand_outside(self) -> None:
        """Register the finisher, now that every conftest has registered its hooks."""
        self.config.pluginmanager.register(Finisher(self), "cutover-finisher")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Journal what was collected."""
        self._console.begin()
        if sys.flags.optimize:
            self.tell(Reason.RUN_ASSERTS_OFF, "Python runs with -O: assertions are off")
        if self._recorder is not None:
            self.journal.write("run.collected", **_collected(self._recorder))

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
        nodeid, when, outcome = report.nodeid, report.when, report.outcome
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
        self._reported.setdefault(nodeid, {}).setdefault(when, set()).add(outcome)
        if when != "teardown":
            return
        if state is not None and self._recorder is not None:
            self._gate_ended(info, self._recorder.fields(state), state.judged)
        else:
            self._gate_ended(info, getattr(report, RESULT_ATTRIBUTE), None)

    def _shipped_info(self, report: pytest.TestReport) -> GateInfo | None:
        """The gate that a worker's report is about."""
        shipped = getattr(report, GATE_ATTRIBUTE, None)
        if shipped is not None:
            self._shipped[report.nodeid] = gate_info(shipped)
        return self._shipped.get(report.nodeid)

    def _gate_ended(self, info: GateInfo, fields: dict[str, Any], judged: GateDecision | None) -> None:
        clean = reconcile(fields, self._reported.pop(info.nodeid))
        self.journal.finished(**fields)
        self._console.gate_ended(info, fields, judged if clean else None)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count gates in pytest's summary and print no letter for them: they have a line of their own."""
        if report.nodeid not in self._shipped and not self._is_ours(report):
            return None
        if hasattr(report, VERDICT_ATTRIBUTE):
            return getattr(report, VERDICT_ATTRIBUTE), "", ""
        if report.passed:
            return ("passed" if report.when == "call" else ""), "", ""
        if report.skipped:
            return "skipped", "", ""
        return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")

    def _is_ours(self, report: pytest.TestReport) -> bool:
        return self._recorder is not None and report.nodeid in self._recorder.states

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
        self._check_status(status)
        supervised = self.context is None
        # The child promises a code that only the parent's decision turns into 0.
        exit_status = int(ExitCode.UNPROVEN) if supervised else None
        self.journal.end(status=status, exit_status=exit_status, nonce=self._nonce)
        self.journal.close()

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
        if self.context is not None:
            from pytest_cutover.gate_code import digest_code

            if (
                digest_code(self.context.rootdir, self.policy.gate_code_paths)
                != self.context.gate_code_digest
            ):
                self.tell(Reason.GATE_CODE_CHANGED, "the gate code changed while the run was under way")


class Finisher:
    """The outermost word on the end of the session."""

    def __init__(self, run: GateRun) -> None:
        self._run = run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        """Decide before the other plugins write their files, seal after they have."""
        run = self._run
        if os.getpid() != run._pid:
            # A gate forked and its copy came back here: it may neither speak for the run nor end with 0.
            run.tell(Reason.RUN_FORKED, "a gate forked, and the copy of the process went on")
            os._exit(int(ExitCode.UNPROVEN))
        run.end(int(exitstatus))
        if run.context is None:
            result = yield
            run.exit_status = session.exitstatus = int(ExitCode.UNPROVEN)
            return result
        return (yield from self._decide(session, run, run.context))

    def _decide(
        self, session: pytest.Session, run: GateRun, context: RunContext
    ) -> Generator[None, object, object]:
        from pytest_cutover import conclude
        from pytest_cutover.report import junit

        concluded = conclude.judge(context)
        if run.journal.broken is not None:
            concluded = conclude.unsealed(concluded, Reason.EVIDENCE_NOT_WRITTEN, run.journal.broken)
        junit.add_suite_properties(session.config, concluded.decision, context)
        session.exitstatus = int(concluded.decision.exit_code)
        try:
            result = yield
        except BaseException as exc:
            text = f"pytest_sessionfinish: {type(exc).__name__}: {exc}"
            concluded = conclude.unsealed(concluded, Reason.RUN_INTERNAL_ERROR, text)
            raise
        else:
            if run.journal.broken is None:
                concluded = conclude.seal(concluded, context)
            return result
        finally:
            run.exit_status = session.exitstatus = int(concluded.decision.exit_code)
            if run._begun is not None:
                run._begun.stop()
            run._console.end(concluded, context)
            session.config.hook.pytest_cutover_decided(config=session.config, decision=concluded.decision)


def reconcile(fields: dict[str, Any], reported: Mapping[str, set[str]]) -> bool:
    """Fit a gate's record to what pytest finally reported: a hook may have changed it after the engine saw it.

    An outcome that got better keeps what was raised (gate.altered), one that got worse is added. True when
    everything was clean to begin with.
    """
    phases = fields["phases"]
    seen_bad = {p[0] for p in phases if p[1] != "passed" or p[2]}
    told_bad = {when for when, outcomes in reported.items() if outcomes != {"passed"}}
    for when in told_bad - seen_bad:
        outcome = sorted(reported[when] - {"passed"})[0]
        phases.append([when, outcome, "", f"reported as {outcome} by a plugin", 0.0])
        fields["reported"] += 1
    for phase in (p for p in phases if p[0] in seen_bad - told_bad):
        if phase[1] != "passed" or phase[2]:
            phase[2] = phase[2] or "error"
            phase[1] = "passed"
    return not seen_bad and not told_bad
