"""The end of the session: decide before the other plugins write their files, seal after they have."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.model import ExitCode
from pytest_cutover.reasons import Reason
from pytest_cutover.run.deferred import deferred

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_cutover.run.conclude import Conclusion
    from pytest_cutover.run.context import RunContext
    from pytest_cutover.run.gate_run import GateRun
    from pytest_cutover.run.wanted import Views


class Finisher:
    """The outermost word on the end of the session."""

    def __init__(self, run: GateRun, views: Views | None = None) -> None:
        self._run = run
        self._views = views

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        """Decide before the other plugins write their files, seal after they have."""
        run = self._run
        if os.getpid() != run.pid:
            # A gate forked and its copy came back here: it may neither speak for the run nor end with 0.
            run.tell(Reason.RUN_FORKED, "a gate forked, and the copy of the process went on")
            os._exit(int(ExitCode.UNPROVEN))
        if run.context is None:
            with deferred(signal.SIGINT):
                run.end(int(exitstatus))
            result = yield
            run.exit_status = session.exitstatus = int(ExitCode.UNPROVEN)
            return result
        return (yield from self._decide(session, run, run.context, int(exitstatus)))

    def _decide(
        self, session: pytest.Session, run: GateRun, context: RunContext, status: int
    ) -> Generator[None, object, object]:
        from pytest_cutover.run import conclude

        with deferred(signal.SIGINT) as came:
            concluded = self._judge(session, run, context, status, came)
        try:
            return (yield)
        except BaseException as exc:
            reason = (
                Reason.RUN_INTERRUPTED if isinstance(exc, KeyboardInterrupt) else Reason.RUN_INTERNAL_ERROR
            )
            text = f"pytest_sessionfinish: {type(exc).__name__}: {exc}".rstrip(": ")
            if run.journal.broken is None:
                concluded = conclude.add_problem(context, reason, text)
            raise
        finally:
            with deferred(signal.SIGINT) as came:
                if run.journal.broken is None:
                    concluded = conclude.seal(concluded, context, came)
                run.exit_status = session.exitstatus = int(concluded.decision.exit_code)
                if run.begun is not None:
                    run.begun.stop()
                run.console.end(concluded, context)
            if self._views is not None:
                self._views.end(concluded, context)
            session.config.hook.pytest_cutover_decided(config=session.config, decision=concluded.decision)

    def _judge(
        self, session: pytest.Session, run: GateRun, context: RunContext, status: int, came: Sequence[str]
    ) -> Conclusion:
        from pytest_cutover.report import junit
        from pytest_cutover.run import conclude

        run.end(status)
        concluded = conclude.judge(context)
        if run.journal.broken is not None:
            concluded = conclude.unsealed(concluded, Reason.EVIDENCE_NOT_WRITTEN, run.journal.broken)
        elif came:
            concluded = conclude.add_problem(
                context, Reason.RUN_INTERRUPTED, f"interrupted while the run ended ({came[0]})"
            )
        junit.add_suite_properties(session.config, concluded.decision, context)
        session.exitstatus = int(concluded.decision.exit_code)
        return concluded
