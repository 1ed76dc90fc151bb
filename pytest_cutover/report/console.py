"""Writes the gate lines and the verdict block into pytest's own terminal report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import judge_gate
from pytest_cutover.record import gate_info, gate_result
from pytest_cutover.report.fit import fitted
from pytest_cutover.report.progress import Progress, is_wanted
from pytest_cutover.report.terminal import (
    Style,
    evidence_lines,
    gate_extras,
    gate_line,
    state_of,
    verdict_block,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from pytest_cutover.model import EffectivePolicy, GateDecision, GateInfo
    from pytest_cutover.run.conclude import Conclusion
    from pytest_cutover.run.context import RunContext


class Console:
    """The terminal of one gate run; silent under `-p no:terminal`."""

    def __init__(self, config: pytest.Config, policy: EffectivePolicy) -> None:
        self._config = config
        self._policy = policy
        self._hook = config.hook.pytest_cutover_gate_judged
        self._required = frozenset(r.gate for r in policy.requires)
        self.progress: Progress | None = None
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        colour = bool(getattr(self._reporter, "hasmarkup", False))
        self._style = Style.of(getattr(sys.stdout, "encoding", None), colour=colour)
        self._width: int | None = None
        if self._reporter is not None and self._reporter.isatty:
            self._width = self._reporter._tw.fullwidth

    def begin(self, total: int) -> None:
        """Stop pytest from printing the file names that gate lines would break up; `total` gates will run."""
        if self._reporter is None:
            return
        self._reporter.showfspath = False
        self._reporter._show_progress_info = False  # there is no public way to say it
        if total and is_wanted(self._config, self._reporter, os.environ):
            self.progress = Progress(self._reporter._tw, self._style, total)

    def carried(self, gates: Sequence[Mapping[str, Any]]) -> None:
        """Print the lines of gates that an earlier run measured."""
        told: str | None = None
        for carried in gates:
            info = gate_info(carried["gate"])
            result = replace(gate_result(carried["result"]), carried_from=carried["run_id"])
            if result.carried_from != told:
                told = result.carried_from
                self._write(self._style.plain(f"carried from {told}:"))
            judged = judge_gate(
                info, result, self._policy, datetime.now(UTC), required=info.id in self._required
            )
            self._write(self._line(judged, result.duration_s))

    def gate_ended(self, gate: GateInfo, fields: Mapping[str, Any]) -> None:
        """Print a gate's lines, judged by the same rule as the decision."""
        now, required = datetime.now(UTC), gate.id in self._required
        judged = judge_gate(gate, gate_result(fields), self._policy, now, required=required)
        self.gate_judged(judged, duration_s=fields["duration_s"])
        if not judged.green:
            for line in gate_extras(fields["notes"], fields["attachments"], self._style):
                self._write(line)

    def gate_judged(self, judged: GateDecision, *, duration_s: float) -> None:
        """Print a gate's line; one that is green has no more."""
        self._hook(config=self._config, gate=judged)
        if self.progress is not None:
            self.progress.ended(state_of(judged))
        self._write(self._line(judged, duration_s))

    def end(self, concluded: Conclusion, context: RunContext) -> None:
        """Print the verdict block."""
        self._write("")
        for line in verdict_block(concluded.decision, context, self._style):
            self._write(line)
        doubts = context.doubts(concluded.decision.decided_at)
        sealed, kept = concluded.sealed, concluded.kept
        for line in evidence_lines(
            concluded.decision, context, self._style, sealed=sealed, kept=kept, doubts=doubts
        ):
            self._write(line)

    def _line(self, gate: GateDecision, duration_s: float) -> str:
        return gate_line(gate, self._style, duration_s=duration_s, width=self._width)

    def _write(self, line: str) -> None:
        if self._reporter is not None:
            for part in fitted(line, self._width):
                self._reporter.write_line(part)
