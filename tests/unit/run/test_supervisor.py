"""The trusted parent: what its child gets, and what it adds to the child's journal."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.model import ExitCode, Runner, Verdict
from pytest_cutover.reasons import Reason
from pytest_cutover.run import supervisor
from pytest_cutover.run.conclude import add_problem, judge
from pytest_cutover.run.supervisor import child_command, child_environment
from tests.unit import journals
from tests.unit.run.test_conclude import fresh, run_in

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.run.context import RunContext

ENDED: list[tuple[str, dict[str, object]]] = [("run.exited", {"status": 11})]


class TestChildEnvironment:
    """What a child inherits."""

    @pytest.mark.parametrize(
        "name",
        ["PYTHONPATH", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "CUTOVER_KEY", "CUTOVER_KEY_PEM"],
    )  # fmt: skip
    def test_never_inherits(self, name: str) -> None:
        """What changes how Python or pytest start, and the signing key."""
        assert name not in child_environment({name: "x"})

    def test_inherits_the_rest(self) -> None:
        """A gate may need its project's own settings."""
        kept = child_environment({"SHOP_URL": "https://x", "PATH": "/bin", "PYTHONSAFEPATH": ""})

        assert kept == {"SHOP_URL": "https://x", "PATH": "/bin", "PYTHONSAFEPATH": "1"}


class TestChildCommand:
    """How the child is started."""

    def test_engine_has_the_last_word(self, tmp_path: Path) -> None:
        """The user's arguments stand before ours, so that none of them can turn the plugin off."""
        context = run_in(tmp_path)

        command = child_command(
            context, ["--import-mode=importlib"], ["gates", "-p", "no:pytest_cutover", "-m", "slow"]
        )

        assert command[:6] == [sys.executable, "-I", "-m", "pytest", "-o", "addopts="]
        assert command.index("--import-mode=importlib") < command.index("gates")
        at = command.index("no:pytest_cutover")
        assert command[at + 3 :] == [
            f"--rootdir={tmp_path}",
            *("-p", "pytest_cutover", "-m", "preflight", "--cutover-plan", "preflight"),
        ]


class TestEnd:
    """The parent's own lines at the end of the child's journal."""

    @pytest.fixture
    def context(self, tmp_path: Path) -> RunContext:
        events = [
            journals.started(runner="supervised"),
            *journals.clean_run()[1:-1],
            journals.finished(exit=11),
        ]
        return run_in(tmp_path, fresh(events), runner=Runner.SUPERVISED)

    def end(
        self, context: RunContext, events: list[tuple[str, dict[str, object]]] | None = None
    ) -> list[str]:
        path = context.run_dir / "journal.jsonl"
        first = path.read_bytes().splitlines(keepends=True)[0]
        supervisor._add_end(context, first, ENDED if events is None else events)
        return [f.reason.code for f in judge(context).decision.findings]

    def test_whole_run_is_go(self, context: RunContext) -> None:
        """The child ended as it promised."""
        assert self.end(context) == []

    def test_without_it_the_run_is_unproven(self, context: RunContext) -> None:
        """The child's word alone is no end."""
        assert judge(context).decision.exit_code is ExitCode.UNPROVEN

    def test_child_that_exits_0_by_itself(self, context: RunContext) -> None:
        """os._exit(0) in a gate, or a conftest that knows better."""
        assert self.end(context, [("run.exited", {"status": 0})]) == ["run.exit-status"]

    def test_killed_in_the_middle_of_a_line(self, context: RunContext) -> None:
        """The parent's line stands on its own."""
        path = context.run_dir / "journal.jsonl"
        path.write_bytes(path.read_bytes()[:-20])

        codes = self.end(context, [("run.exited", {"signal": 9})])

        assert json.loads(path.read_bytes().splitlines()[-1])["signal"] == 9
        assert "run.journal-damaged" in codes
        assert judge(context).decision.verdict is Verdict.NO_GO

    def test_what_happens_to_the_parent_afterwards_is_told_too(self, context: RunContext) -> None:
        """Ctrl-C while the evidence was written: a reason of its own, not a damaged journal."""
        assert self.end(context) == []

        conclusion = add_problem(context, Reason.RUN_INTERRUPTED, "interrupted")

        assert [f.reason.code for f in conclusion.decision.findings] == ["run.interrupted"]

    def test_forged_beginning_is_replaced(self, context: RunContext) -> None:
        """A child that rewrote what the parent had begun is not believed in anything."""
        path = context.run_dir / "journal.jsonl"
        first = path.read_bytes().splitlines(keepends=True)[0]
        forged = journals.sign(fresh(journals.clean_run()))
        path.write_bytes(b"".join(forged))

        supervisor._add_end(context, first, ENDED)

        assert path.read_bytes().startswith(first)
        assert judge(context).decision.exit_code is ExitCode.UNPROVEN

    def test_removed_journal_stays_incomplete(self, context: RunContext) -> None:
        """A child that removes it gains nothing."""
        path = context.run_dir / "journal.jsonl"
        first = path.read_bytes().splitlines(keepends=True)[0]
        path.unlink()

        supervisor._add_end(context, first, ENDED)

        assert judge(context).decision.exit_code is ExitCode.UNPROVEN

    def test_link_to_elsewhere_is_no_way_out(self, context: RunContext, tmp_path: Path) -> None:
        """A journal that the child replaced by a link to a clean one of another run."""
        path = context.run_dir / "journal.jsonl"
        first = path.read_bytes().splitlines(keepends=True)[0]
        elsewhere = tmp_path / "other.jsonl"
        elsewhere.write_bytes(b"".join(journals.sign(fresh(journals.clean_run()))))
        path.unlink()
        path.symlink_to(elsewhere)

        supervisor._add_end(context, first, ENDED)

        assert judge(context).decision.exit_code is ExitCode.UNPROVEN
