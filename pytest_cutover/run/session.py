"""Is a gate run asked for, and if so, begin it. In a supervised run this process is the untrusted child."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.errors import CutoverError
from pytest_cutover.model import EffectivePolicy, ExitCode, Runner
from pytest_cutover.phases import asked_phases, misspelt
from pytest_cutover.run.begin import begin, handed_by_parent
from pytest_cutover.run.context import RunOptions, prepare
from pytest_cutover.run.finisher import Finisher
from pytest_cutover.run.gate_run import GateRun
from pytest_cutover.run.handed import Handed
from pytest_cutover.run.journal import Journal
from pytest_cutover.run.wanted import Views, wanted_views
from pytest_cutover.run.worker import Worker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence


_INFORMATIONAL = frozenset(
    {
        *("-h", "--help", "-V", "--version", "--markers"),
        *("--fixtures", "--funcargs", "--fixtures-per-test", "--cache-show"),
    }
)
"""Options that make pytest print something and run nothing."""

_PARTS = tuple(
    f"cutover-{part}"
    for part in ("exit-guard", "run", "finisher", "worker", "recorder", "fixtures", "witness", "side-by-side")
)
"""Names under which the engine registers its parts; `-p no:NAME` would silently leave one out."""


# -- is a gate run asked for? ----------------------------------------------------------------


def asked_for(config: pytest.Config, typed: Iterable[str]) -> str | None:
    """The plan to run, or None when `-m` names no phase; `typed` is every `-m` of the command line.

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
    for earlier in typed:
        if asked_phases(earlier) and not phases and not config.option.cutover_plan:
            raise pytest.UsageError(f"-m {earlier}: a later -m {expression} took its place; give one -m")
    if len(phases) > 1:
        raise pytest.UsageError(f"-m {expression}: a gate run judges one phase, got {' and '.join(phases)}")
    plan: str | None = config.option.cutover_plan
    return plan or (phases[0] if phases else None)


def guard_exit(
    config: pytest.Config, run: GateRun | None, result: object, typed: argparse.Namespace
) -> object:
    """pytest's exit code, or the decision's; 0 only if a gate run that was asked for said GO."""
    if run is not None and run.exit_status is not None:
        return run.exit_status
    # Only when it was typed: from a file's addopts it would answer for a gate run that nobody saw missing.
    if not _INFORMATIONAL.isdisjoint(config.invocation_params.args):
        return result
    asked = run is not None or typed.cutover_plan or asked_phases(typed.markexpr or "")
    if asked and result == 0:
        print("error: a gate run was asked for, and pytest ended without deciding it", file=sys.stderr)
        return int(ExitCode.UNPROVEN)
    return result


def interrupted_exit(run: GateRun) -> int:
    """The exit code after Ctrl-C at a moment at which pytest does not expect one: the decision's, if there is one."""
    print("\ninterrupted while pytest ended", file=sys.stderr)
    return int(ExitCode.UNPROVEN) if run.exit_status is None else run.exit_status


def list_fixtures(config: pytest.Config) -> None:
    """Register what a gate can ask for, where pytest lists fixtures and there is no gate run."""
    from pytest_cutover import fixtures
    from pytest_cutover.run.recording import Recorder

    gate = type("Gate", (), {"gate": vars(Recorder)["gate"]})
    config.pluginmanager.register(fixtures, "cutover-fixtures")
    config.pluginmanager.register(gate(), "cutover-gate")


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
    handed = Handed.from_json(json.loads(data))
    worker = Worker(config, handed, name=config.workerinput["workerid"])  # type: ignore[attr-defined] # xdist sets it
    config.pluginmanager.register(worker, "cutover-worker")


def _start(config: pytest.Config, plan: str) -> GateRun:
    blocked = [name for name in _PARTS if config.pluginmanager.is_blocked(name)]
    if blocked:
        raise pytest.UsageError(f"a gate run needs the plugin {blocked[0]}: take away -p no:{blocked[0]}")
    views: Views | None = None
    handed = handed_by_parent()
    if handed is not None:
        journal = Journal(handed.run_dir / "journal.jsonl", resume=True)
        run = GateRun(config, handed, journal, context=None)
    else:
        option = config.option
        wanted = wanted_views(
            os.environ,
            views=option.cutover_views,
            junit=option.cutover_junit,
            code_quality=option.cutover_code_quality,
            annotations=option.cutover_annotations,
            trust=option.cutover_trust,
        )
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
                waivers=option.cutover_waiver or (),
                authors=option.cutover_author or (),
                only_open=option.cutover_open,
            ),
            os.environ,
            config.rootpath,
            runner=Runner.IN_PROCESS,
            now=datetime.now(UTC),
            say=_say,
        )
        _check_phase(config, context.policy)
        if context.store is not None:
            from pytest_cutover.run.readied import ready_store

            ready_store(context, _say)
        begun = begin(context)
        run = GateRun(config, begun.handed(), begun.journal, context=context, begun=begun)
        views = Views(wanted, config.rootpath)
    if not config.option.markexpr:
        config.option.markexpr = run.policy.phase
    run.finisher = Finisher(run, views)
    config.pluginmanager.register(run, "cutover-run")
    return run


def _say(text: str) -> None:
    from pytest_cutover.report.fit import put

    put([text], sys.stderr)


def _check_phase(config: pytest.Config, policy: EffectivePolicy) -> None:
    named = asked_phases(config.option.markexpr or "")
    if named and named != {policy.phase}:
        raise pytest.UsageError(
            f"plan {policy.plan!r} is of phase {policy.phase!r}, and -m names {', '.join(sorted(named))}"
        )
