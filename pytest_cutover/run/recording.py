"""The hooks that record gates: they run wherever the gates run, alone or in an xdist worker."""

from __future__ import annotations

import gc
import inspect
import sys
import unittest
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.decision import judge_gate
from pytest_cutover.errors import CutoverError, MeasurementError
from pytest_cutover.gate import Gate
from pytest_cutover.marker import InvalidMarkerError, gate_info
from pytest_cutover.model import GateInfo, GateResult, Phase
from pytest_cutover.reasons import Weight
from pytest_cutover.run.alarm import Alarm, GateTimeout

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from pytest_cutover.model import EffectivePolicy, GateDecision
    from pytest_cutover.readings import Reading
    from pytest_cutover.redact import Redactor
    from pytest_cutover.run.side_by_side import SideBySide

MAX_MESSAGE_CHARS = 2000  # of an error; the whole traceback stays in pytest's own report


GATE_ATTRIBUTE = "cutover_gate"
"""Set on every report of a gate item: its GateInfo as plain values."""

RESULT_ATTRIBUTE = "cutover"
"""Set on a gate's teardown report: its result as `events.ended` formats it; travels from xdist workers."""


VERDICT_ATTRIBUTE = "cutover_verdict"
"""Set on a failed report whose whole story is the gate's line: `red` or `unproven`."""


class GateNotGreen(pytest.fail.Exception):  # type: ignore[misc,name-defined] # pytest adds the attribute at run time
    """Raised by the engine after a gate's body, so that pytest too sees a gate that is not green as failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


class GateState:
    """Everything seen of one gate item, over all its attempts."""

    __slots__ = ("attempt", "body_s", "gate", "info", "judged", "phases", "readings", "told", "witnessed")

    def __init__(self, info: GateInfo) -> None:
        self.info = info
        self.gate: Gate | None = None
        self.attempt = 0
        self.phases: list[Phase] = []
        self.witnessed: BaseException | None = None
        self.told = False  # an error of ours says all in its message: no traceback
        self.judged: GateDecision | None = None  # right after its body, if that passed
        self.readings: tuple[Reading, ...] = ()  # what it asks for that other gates see as well
        self.body_s: float | None = None  # of a body that did not run in pytest's own time

    def forget(self) -> None:
        """Let go of what the journal has by now: ten thousand gates would keep ten megabytes."""
        self.gate = self.judged = None
        self.phases = []

    def result(self, worker: str, phases: Sequence[Phase]) -> GateResult:
        gate = self.gate
        return GateResult(
            nodeid=self.info.nodeid,
            attempt=self.attempt,
            phases=tuple(phases),
            measurements=() if gate is None else tuple(gate.measurements),
            measured=0 if gate is None else gate.measured,
            reported=len(phases),
            notes=() if gate is None else tuple(gate.notes),
            attachments=() if gate is None else tuple(gate.attachments),
            worker=worker,
            duration_s=sum([p.duration_s for p in phases]),
        )


_CLEAN = tuple(Phase(when, "passed", None, "", 0.0) for when in ("setup", "call", "teardown"))


class Recorder:
    """The pytest plugin object of a process that runs gates.

    Every test pays for each hook here, so there are few and none wraps but one: `GateRun` and `Worker`
    call `starting` and `reported` from hooks that they have anyway.
    """

    def __init__(
        self,
        config: pytest.Config,
        policy: EffectivePolicy,
        *,
        worker: str,
        attachments: Path | None,
        redactor: Redactor,
        deadline: float,
        carried: frozenset[str] = frozenset(),
    ) -> None:
        self.policy = policy
        self.worker = worker
        self.attachments = attachments
        self.redact = redactor
        self.states: dict[str, GateState] = {}  # by node id
        self.deselected: list[GateInfo] = []
        self.others: list[str] = []
        self._properties = bool(config.getoption("xmlpath", None))
        self._required = frozenset(r.gate for r in policy.requires)
        self._current: GateState | None = None
        self._alarm = Alarm(policy.gate_timeout_s, deadline)
        self.carried = carried  # node ids of gates that an earlier run measured
        self.side_by_side: SideBySide | None = None

    @property
    def collected(self) -> list[GateInfo]:
        return [state.info for state in self.states.values()]

    # collection

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember which gates of this phase somebody left out."""
        for item in items:
            info = gate_info(item) if item.get_closest_marker(self.policy.phase) else None
            if info is not None:
                self._refuse_secret(item)
                self.deselected.append(info)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the markers of everything that will run, and of what is carried, which is collected and no more."""
        for item in session.items:
            self._refuse_secret(item)
            info = gate_info(item)
            if info is None:
                self.others.append(item.nodeid)
            else:
                self.states[item.nodeid] = GateState(info)
        if self.carried:
            session.items[:] = [item for item in session.items if item.nodeid not in self.carried]

    def _refuse_secret(self, item: pytest.Item) -> None:
        """All evidence calls a gate by its node id: a secret in one cannot be left out."""
        name, _, parameter = item.nodeid.partition("[")
        if parameter and self.redact.found_in(parameter):
            raise InvalidMarkerError(
                f"{name}: a parameter holds what looks like a secret, and evidence names every parameter; "
                "give parametrize ids=[...] without it"
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Put the witness inside of every conftest's wrapper: the last to register is the innermost."""
        plugins = session.config.pluginmanager
        plugins.register(Witness(self), "cutover-witness")
        if any(map(_may_overlap, session.items)) or "pytest_cutover.readings" in sys.modules:
            from pytest_cutover.run.side_by_side import SideBySide  # asyncio comes in with it

            side_by_side = SideBySide(session.config, self)
            if side_by_side.take(session.items):
                self.side_by_side = side_by_side
                plugins.register(side_by_side, "cutover-side-by-side")
        # What was collected lives as long as the run: scanning it again and again costs a tenth of a long one.
        gc.freeze()

    # running

    @pytest.fixture
    def gate(self) -> Gate:
        """Records what this gate measures; see `pytest_cutover.gate.Gate`."""
        state = self._current  # asking for `request` would cost every gate more than all the recording
        if state is None:
            raise MeasurementError(
                "a test without a gate marker asks for `gate`",
                hint="add @pytest.mark.gate('some.id') and a phase",
            )
        made = state.gate = self.new_gate(state)
        return made

    def new_gate(self, state: GateState) -> Gate:
        """What a gate records into."""
        return Gate(state.info, self.attachments, self.redact, state.readings)

    def starting(self, nodeid: str) -> None:
        """Put a gate under its time limit: setup, body and teardown together."""
        state = self._current = self.states.get(nodeid)
        if state is not None:
            self._alarm.set(state.info.timeout_s)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Note what a phase raised, before any plugin turns it into something else."""
        state = self.states.get(item.nodeid)
        if state is None:
            return
        if call.when == "setup":
            state.attempt += 1
            state.phases = []
            state.told = False
            state.body_s = None
        elif call.when == "call" and state.body_s is not None:
            call.duration = state.body_s  # for everybody, JUnit too
        kept = getattr(item, "_excinfo", None)  # unittest keeps it to itself until its own makereport
        if kept and state.witnessed is None:
            state.witnessed = kept[0].value
        state.phases.append(self._phase(state, call))
        state.witnessed = None
        if call.when == "teardown" and self._properties:
            item.user_properties.extend(self._junit_properties(state))

    def reported(self, report: pytest.TestReport) -> GateState | None:
        """Called with each report before any other plugin sees it: the gate's state when the report is a gate's."""
        if report.longrepr is not None or report.sections:
            report.sections = [(name, self.redact(text)) for name, text in report.sections]
            redact_longrepr(report, self.redact)
        xfailed = hasattr(report, "wasxfail")
        if xfailed:
            report.wasxfail = self.redact(str(report.wasxfail))
        if report.user_properties:
            report.user_properties = [(name, self.redact(str(v))) for name, v in report.user_properties]
        state = self.states.get(report.nodeid)
        if state is None:
            return None
        if xfailed or report.outcome != "passed":
            self._fail_unproven(state, report)
        if report.when == "teardown":
            self._alarm.stop()
        return state

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Keep secrets out of pytest's summary of warnings, also out of what a worker ships."""
        text = str(warning_message.message)
        if self.redact.found_in(text):
            warning_message.message = UserWarning(self.redact(text))

    def result(self, state: GateState) -> GateResult:
        """What the journal keeps of a gate that has ended."""
        return state.result(self.worker, name_subtests(state.phases))

    def judge(self, info: GateInfo, result: GateResult) -> GateDecision:
        """What the run's policy says of one gate now."""
        return judge_gate(info, result, self.policy, datetime.now(UTC), required=info.id in self._required)

    def body_passed(self, state: GateState) -> None:
        """Judge a gate whose body passed.

        Raises:
            GateNotGreen: so that pytest's outcome is the engine's.
        """
        judged = self.judge(state.info, state.result(self.worker, _CLEAN))
        state.judged = judged
        if not judged.green:
            raise GateNotGreen(failure_text(judged))

    def _phase(self, state: GateState, call: pytest.CallInfo[None]) -> Phase:
        raised = None if call.excinfo is None else call.excinfo.value
        if raised is None:
            raised = state.witnessed
        if raised is None:
            return Phase(call.when, "passed", None, "", round(call.duration, 6))
        kind = _kind(raised)
        state.told = state.told or isinstance(raised, CutoverError)
        outcome = "skipped" if kind in ("skip", "xfail") else "failed"
        message = "" if kind == "judged" else self._message(raised)
        return Phase(call.when, outcome, kind, message, round(call.duration, 6))

    def _message(self, raised: BaseException) -> str:
        try:
            text = str(raised)
        except Exception as exc:  # a hostile __str__ must not stop the record
            text = f"<unprintable: {type(exc).__name__}>"
        name = type(raised).__name__
        hint = getattr(raised, "hint", None) if isinstance(raised, CutoverError) else None
        text += f" (hint: {hint})" if hint else ""
        plain = isinstance(
            raised, pytest.skip.Exception | pytest.fail.Exception | AssertionError | GateTimeout
        )
        return self.redact(text if plain and text else f"{name}: {text}" if text else name)[
            :MAX_MESSAGE_CHARS
        ]

    def _fail_unproven(self, state: GateState, report: pytest.TestReport) -> None:
        """A skipped or xfailed gate is not green: say so to pytest, JUnit and `-x` as well."""
        if type(report) is not pytest.TestReport or not state.phases:
            return  # a subtest's report has its own class
        last = state.phases[-1]
        # With captured output pytest's own section says more than the gate's line.
        told = state.told or last.raised in ("skip", "xfail", "judged")
        if hasattr(report, "wasxfail"):
            last = state.phases[-1] = Phase(last.when, "skipped", "xfail", last.message, last.duration_s)
            del report.wasxfail
        if last.raised == "xfail" or (last.raised == "skip" and state.info.id in self._required):
            report.outcome = "failed"
        if report.outcome != "failed":
            return
        clean = [w for w in _CLEAN if w.when not in {p.when for p in state.phases}]
        judged = self.judge(state.info, state.result(self.worker, [*state.phases, *clean]))
        text = failure_text(judged)
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and not told:
            crash.message = text  # what JUnit and PR annotations show of a traceback
            return
        report.longrepr = text
        if not report.sections:
            setattr(report, VERDICT_ATTRIBUTE, gate_verdict(judged))

    def _junit_properties(self, state: GateState) -> Iterator[tuple[str, str]]:
        judged = self.judge(state.info, state.result(self.worker, state.phases))
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


def _may_overlap(item: pytest.Item) -> bool:
    return inspect.iscoroutinefunction(getattr(item, "function", None))


class Witness:
    """Stands around a gate's fixtures and function, inside of every conftest's wrapper of their hooks."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._states = recorder.states

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Remember what a fixture raised."""
        return (yield from self._around(item))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Remember what a fixture raised at its end."""
        return (yield from self._around(item))

    def _around(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        except BaseException as exc:
            state = self._states.get(item.nodeid)
            if state is not None:
                state.witnessed = exc
            raise

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Remember what the function raised; judge the gate when it raised nothing."""
        state = self._states.get(pyfuncitem.nodeid)
        if state is None:
            return (yield)
        try:
            result = yield
        except BaseException as exc:
            state.witnessed = exc
            raise
        self._recorder.body_passed(state)
        return result


def redact_longrepr(report: pytest.TestReport | pytest.CollectReport, redact: Redactor) -> None:
    """Replace a failure text that holds a secret; others keep their formatting."""
    if isinstance(report.longrepr, tuple):  # of a skip: file, line and reason
        file, line, reason = report.longrepr
        report.longrepr = (file, line, redact(reason))
        return
    if report.longrepr is None:
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


def name_subtests(phases: Sequence[Phase]) -> Sequence[Phase]:
    """Every call phase but the last is a subtest's; a failed one is told apart from the gate's own."""
    if len(phases) <= len(_CLEAN):
        return phases
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
    weights = {f.weight for f in judged.findings}
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
