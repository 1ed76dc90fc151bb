"""The end of the session: decide before the other plugins write their files, seal after they have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.model import ExitCode
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_cutover.run.context import RunContext
    from pytest_cutover.run.gate_run import GateRun


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
        if os.getpid() != run.pid:
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
        from pytest_cutover.report import junit
        from pytest_cutover.run import conclude

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
            if run.begun is not None:
                run.begun.stop()
            run.console.end(concluded, context)
            session.config.hook.pytest_cutover_decided(config=session.config, decision=concluded.decision)
