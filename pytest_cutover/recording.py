"""The hooks that record gates: they run wherever the gates run, alone or in an xdist worker."""

from __future__ import annotations

import signal
import threading
import time
import unittest
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.decision import judge_gate
from pytest_cutover.marker import gate_info
from pytest_cutover.model import GateInfo, GateResult, Measurement, Phase, rfc3339
from pytest_cutover.reasons import Weight

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from pytest_cutover.gate import Gate
    from pytest_cutover.model import EffectivePolicy, GateDecision
    from pytest_cutover.redact import Redactor

MAX_MESSAGE_CHARS = 2000  # of an error; the whole traceback stays in pytest's own report

GATE_ATTRIBUTE = "cutover_gate"
"""Set on every report of a gate item: its GateInfo as plain values."""

RESULT_ATTRIBUTE = "cutover"
"""Set on a gate's teardown report: the fields of the journal's gate.finished; travels from xdist workers."""


class GateNotGreen(pytest.fail.Exception):  # type: ignore[misc,name-defined] # pytest adds the attribute at run time
    """Raised by the engine after a gate's body, so that pytest too sees a gate that is not green as failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


class GateTimeout(BaseException):
    """A gate's time is up; not an `Exception`, so that a gate's own `except Exception` cannot swallow it."""


class GateState:
    """Everything seen of one gate item, over all its attempts."""

    def __init__(self, info: GateInfo) -> None:
        self.info = info
        self.info_json = info_json(info)
        self.gate: Gate | None = None
        self.attempt = 0
        self.phases: list[Phase] = []
        self.witnessed: BaseException | None = None

    def begin(self) -> None:
        self.attempt += 1
        self.phases = []
        self.gate = None
        self.witnessed = None

    def result(self, worker: str, phases: Sequence[Phase] | None = None) -> GateResult:
        gate = self.gate
        seen = tuple(self.phases if phases is None else phases)
        return GateResult(
            nodeid=self.info.nodeid,
            attempt=self.attempt,
            phases=seen,
            measurements=() if gate is None else tuple(gate.measurements),
            measured=0 if gate is None else gate.measured,
            notes=() if gate is None else tuple(gate.notes),
            attachments=() if gate is None else tuple(gate.attachments),
            worker=worker,
            duration_s=sum(p.duration_s for p in seen),
        )


STATE = pytest.StashKey[GateState]()
_CLEAN = tuple(Phase(when, "passed", None, "", 0.0) for when in ("setup", "call", "teardown"))


class Recorder:
    """The pytest plugin object of a process that runs gates."""

    def __init__(
        self,
        config: pytest.Config,
        policy: EffectivePolicy,
        *,
        worker: str,
        attachments: Path | None,
        redactor: Redactor,
        deadline: float,
    ) -> None:
        self.policy = policy
        self.worker = worker
        self.attachments = attachments
        self.redact = redactor
        self.deadline = deadline  # time.monotonic() at which the whole run's time is up
        self.collected: list[GateInfo] = []
        self.deselected: list[GateInfo] = []
        self.others: list[str] = []
        self._properties = bool(config.getoption("xmlpath", None))
        self._alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    # collection

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember which gates of this phase somebody left out."""
        for item in items:
            if item.get_closest_marker("gate") and item.get_closest_marker(self.policy.phase):
                info = gate_info(item)
                if info is not None:
                    self.deselected.append(info)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the markers of everything that will run."""
        for item in session.items:
            info = gate_info(item)
            if info is None:
                self.others.append(item.nodeid)
            else:
                item.stash[STATE] = GateState(info)
                self.collected.append(info)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Put the witness inside of every conftest's wrapper: the last to register is the innermost."""
        session.config.pluginmanager.register(Witness(), "cutover-witness")

    # running

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin an attempt under its time limit."""
        state = item.stash.get(STATE, None)
        if state is None:
            return (yield)
        state.begin()
        with self._time_limit(item, state):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judge a gate whose body passed, so that pytest's outcome is the engine's."""
        state = item.stash.get(STATE, None)
        if state is None:
            return (yield)
        with self._time_limit(item, state):
            result = yield
        judged = self.judge(state.info, state.result(self.worker, _CLEAN))
        if not judged.green:
            raise GateNotGreen(failure_text(judged))
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Teardown counts against the time limit too."""
        state = item.stash.get(STATE, None)
        if state is None:
            return (yield)
        with self._time_limit(item, state):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record a phase; the report of the teardown carries the whole gate to the journal, also from a worker."""
        state = item.stash.get(STATE, None)
        if state is not None and call.when == "teardown" and self._properties:
            item.user_properties.extend(self._junit_properties(state))
        report = yield
        self._redact_report(report)
        if state is None:
            return report
        state.phases.append(self._phase(state, call, report))
        setattr(report, GATE_ATTRIBUTE, state.info_json)
        if call.when == "teardown":
            setattr(
                report, RESULT_ATTRIBUTE, payload(state.result(self.worker, _name_subtests(state.phases)))
            )
        self._fail_unproven(state, report)
        return report

    def judge(self, info: GateInfo, result: GateResult) -> GateDecision:
        required = any(r.gate == info.id for r in self.policy.requires)
        return judge_gate(info, result, self.policy, datetime.now(UTC), required=required)

    def _phase(self, state: GateState, call: pytest.CallInfo[None], report: pytest.TestReport) -> Phase:
        raised = None if call.excinfo is None else call.excinfo.value
        if raised is None and call.when == "call":
            raised = state.witnessed
        kind = None if raised is None else _kind(raised)
        if hasattr(report, "wasxfail"):
            kind = "xfail"
        message = "" if raised is None or kind == "judged" else self._message(raised)
        return Phase(call.when, report.outcome, kind, message, round(call.duration, 6))

    def _message(self, raised: BaseException) -> str:
        try:
            text = str(raised)
        except Exception as exc:  # a hostile __str__ must not stop the record
            text = f"<unprintable: {type(exc).__name__}>"
        name = type(raised).__name__
        plain = isinstance(
            raised, pytest.skip.Exception | pytest.fail.Exception | AssertionError | GateTimeout
        )
        return self.redact(text if plain and text else f"{name}: {text}" if text else name)[
            :MAX_MESSAGE_CHARS
        ]

    def _fail_unproven(self, state: GateState, report: pytest.TestReport) -> None:
        """A skipped or xfailed gate is not green: say so to pytest, JUnit and `-x` as well."""
        phase = state.phases[-1]
        required = any(r.gate == state.info.id for r in self.policy.requires)
        if phase.raised == "xfail" or (phase.raised == "skip" and required):
            if hasattr(report, "wasxfail"):
                del report.wasxfail
            report.outcome = "failed"
            report.longrepr = f"{state.info.key}: {phase.raised} is not green: {phase.message}".rstrip(": ")

    def _redact_report(self, report: pytest.TestReport) -> None:
        report.sections = [(name, self.redact(text)) for name, text in report.sections]
        redact_longrepr(report, self.redact)

    def _junit_properties(self, state: GateState) -> Iterator[tuple[str, str]]:
        clean = [p for p in state.phases if p.raised != "judged"] or list(_CLEAN)
        if {p.when for p in clean} == {"setup"} and all(p.raised is None for p in clean):
            clean = list(_CLEAN)
        judged = self.judge(state.info, state.result(self.worker, [*clean, _CLEAN[2]]))
        yield "cutover.gate", judged.key
        yield "cutover.verdict", gate_verdict(judged)
        for j in judged.measurements:
            limit = "no limit" if j.limit is None else f"limit {j.limit.text()}"
            m = j.measurement
            yield (
                f"cutover.measurement.{m.name}",
                f"{m.value}{'' if m.unit == '1' else ' ' + m.unit} ({limit})",
            )
        for finding in judged.findings:
            yield "cutover.finding", f"{finding.reason.code}: {finding.message}"

    @contextmanager
    def _time_limit(self, item: pytest.Item, state: GateState) -> Iterator[None]:
        """Raise GateTimeout in the main thread when the gate's, or the run's, time is up."""
        limit_s = state.info.timeout_s or self.policy.gate_timeout_s
        run_left_s = self.deadline - time.monotonic()
        left_s = min(limit_s - sum(p.duration_s for p in state.phases), run_left_s)
        # Somebody else's alarm (pytest-timeout) is left alone; `decide` still sees the duration.
        if not self._alarm or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
            yield
            return

        def ring(*_: object) -> None:
            raise GateTimeout(f"took longer than its limit of {limit_s:g} s")

        signal.signal(signal.SIGALRM, ring)
        # It rings again, in case the gate swallowed the first one.
        signal.setitimer(signal.ITIMER_REAL, max(left_s, 0.001), 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


class Witness:
    """Sees what a gate's own function raised, before any conftest's wrapper can hide it."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Remember the exception and let it pass on."""
        try:
            return (yield)
        except BaseException as exc:
            state = pyfuncitem.stash.get(STATE, None)
            if state is not None:
                state.witnessed = exc
            raise


def redact_longrepr(report: pytest.TestReport | pytest.CollectReport, redact: Redactor) -> None:
    """Replace a failure text that holds a secret; others keep their formatting."""
    if report.longrepr is None or isinstance(report.longrepr, tuple):
        return
    text = str(report.longrepr)
    if redact.found_in(text):
        report.longrepr = redact(text)


def _kind(raised: BaseException) -> str:
    """The word for what a phase raised, as `model.Phase.raised` lists them."""
    if isinstance(raised, GateNotGreen):
        return "judged"
    if isinstance(raised, pytest.skip.Exception | unittest.SkipTest):
        return "skip"
    if isinstance(raised, pytest.xfail.Exception):
        return "xfail"
    if isinstance(raised, GateTimeout):
        return "timeout"
    if isinstance(raised, KeyboardInterrupt | pytest.exit.Exception):
        return "interrupt"
    return "assertion" if isinstance(raised, AssertionError | pytest.fail.Exception) else "error"


def _name_subtests(phases: Sequence[Phase]) -> list[Phase]:
    """Every call phase but the last is a subtest's; a failed one is told apart from the gate's own."""
    calls = [i for i, p in enumerate(phases) if p.when == "call"]
    subtests = set(calls[:-1])
    return [
        Phase(p.when, p.outcome, "subtest", p.message, 0.0)
        if i in subtests and p.raised == "assertion"
        else p
        for i, p in enumerate(phases)
    ]


def gate_verdict(judged: GateDecision) -> str:
    """green, red, unproven or hold: the heaviest thing held against one gate."""
    weights = {f.reason.weight for f in judged.findings}
    return next((w.value for w in (Weight.RED, Weight.UNPROVEN, Weight.HOLD) if w in weights), "green")


def failure_text(judged: GateDecision) -> str:
    """What pytest, JUnit and PR annotations show for a gate that is not green."""
    lines = [f"gate {judged.key} is {gate_verdict(judged)}"]
    for f in judged.findings:
        distance = f" ({f.distance}{'' if f.unit in (None, '1') else ' ' + f.unit})" if f.distance else ""
        lines.append(f"{f.reason.code}: {f.message}{distance}")
    if judged.owner:
        lines.append(f"owner {judged.owner}")
    remedy = next((f.remedy for f in judged.findings if f.remedy), None)
    if remedy:
        lines.append(f"remedy {remedy}")
    return "; ".join(lines)


def payload(result: GateResult) -> dict[str, Any]:
    """A gate's result as plain values: the fields of the journal's gate.finished."""
    return {
        "nodeid": result.nodeid,
        "worker": result.worker,
        "attempt": result.attempt,
        "phases": [[p.when, p.outcome, p.raised, p.message, p.duration_s] for p in result.phases],
        "measurements": [_measurement_json(m) for m in result.measurements],
        "measured": result.measured,
        "notes": list(result.notes),
        "attachments": [dict(a) for a in result.attachments],
        "duration_s": round(result.duration_s, 6),
    }


def _measurement_json(m: Measurement) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": m.name,
        "value": m.value,
        "kind": m.kind.value,
        "unit": m.unit,
        "observed_at": rfc3339(m.observed_at),
    }
    if m.samples is not None:
        out["samples"] = m.samples
    if m.source is not None:
        out["source"] = m.source
    if m.limit is not None:
        out["limit"] = m.limit.to_json()
    if m.information:
        out["information"] = True
    return out


def info_json(info: GateInfo) -> dict[str, Any]:
    """A collected gate as plain values: an entry of the journal's run.collected."""
    return {name: getattr(info, name) for name in GateInfo.__slots__}
