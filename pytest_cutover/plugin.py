"""pytest's hooks: read options, guard, delegate. Whoever does not gate pays for this file and `hookspecs` alone."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pytest_cutover import hookspecs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from pytest_cutover.run.gate_run import GateRun

RUN: pytest.StashKey[GateRun] = pytest.StashKey()
SURVEY = pytest.StashKey[bool]()
"""Set by `cutover check`: pytest collects, and no gate run begins. The exit guard stands all the same."""

_LEFT_OUT = pytest.StashKey[int]()

_MARKERS = (
    "gate(id, *, title, category, owner, remedy, timeout): a go/no-go criterion of a cutover",
    "preflight: gates before a cutover begins",
    "rehearsal: gates of a rehearsal",
    "canary: gates while a canary takes traffic",
    "postcutover: gates after the cutover",
    "rollback: gates of a rollback",
    "orr: gates of an operational readiness review",
    "bigbang: gates of a cutover in one step",
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Publish the hooks of this plugin."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a gate run."""
    group = parser.getgroup("cutover", "go/no-go gates (pytest -m preflight)")
    add = group.addoption
    add("--cutover-plan", metavar="NAME", help="plan of the policy to run; default: the phase that -m names")
    add(
        "--cutover-env",
        metavar="NAME",
        help="environment that is judged; default: CUTOVER_ENV, then the policy's",
    )
    add(
        "--cutover-subject",
        metavar="NAME@sha256:HEX",
        action="append",
        help="what is released; may be repeated; default: CUTOVER_SUBJECT, then the policy's subjects",
    )
    add(
        "--cutover-shard", metavar="NAME", help="which part of a fleet this run gates; default: CUTOVER_SHARD"
    )
    add(
        "--cutover-policy",
        metavar="FILE",
        help="the policy; default: CUTOVER_POLICY, then configs/policy.json",
    )
    add(
        "--cutover-key",
        metavar="FILE",
        help="signing key, or none; default: CUTOVER_KEY, then a development key",
    )
    add("--cutover-trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json")
    add(
        "--cutover-waiver",
        metavar="FILE",
        action="append",
        help="a signed waiver; may be repeated; default: CUTOVER_WAIVERS; those in configs/waivers always count",
    )
    add(
        "--cutover-author",
        metavar="PERSON",
        action="append",
        help="who wrote the change; may be repeated; default: CUTOVER_AUTHORS, then the policy's change",
    )
    add(
        "--cutover-side-by-side",
        metavar="N",
        type=int,
        default=64,
        help="how many async gates run at the same time; 0: each at its own turn; default: 64",
    )
    add(
        "--cutover-open",
        action="store_true",
        help="run again only what is red, stale or missing in the newest run, and carry the rest from it",
    )
    add("--report", metavar="PATH", dest="cutover_report", help="put a copy of report.json there")
    add("--cutover-junit", metavar="PATH", help="write a JUnit file of the gates there")
    add("--cutover-code-quality", metavar="PATH", help="write GitLab's code quality report there")
    add(
        "--cutover-annotations",
        metavar="WHEN",
        help="GitHub annotations: auto (in GitHub Actions), github or none; default: CUTOVER_ANNOTATIONS, then auto",
    )
    add(
        "--cutover-views",
        metavar="NAMES",
        help="views to keep in the run's folder: summary, html, junit, or none; default: CUTOVER_VIEWS, then all",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; and the fixtures, where pytest does no more than list them."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    if _only_lists(config):
        from pytest_cutover.run import session as engine

        engine.list_fixtures(config)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Register the exit guard after the conftests, so that it stands outside of their wrappers."""
    guard = ExitGuard(early_config.known_args_namespace)
    try:
        result = yield
    except SystemExit as exc:
        if not guard.is_asked(early_config):
            raise
        raise pytest.UsageError(f"a conftest ended Python with {exc.code!r} while it was loaded") from exc
    early_config.pluginmanager.register(guard, "cutover-exit-guard")
    return result


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin a gate run when one is asked for."""
    config = session.config
    if _only_lists(config):
        return
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None and not _may_ask_for_gates(config, config.option):
        return
    from pytest_cutover.run import session as engine

    if workerinput is not None:
        if "cutover" in workerinput:
            engine.start_worker(config, workerinput["cutover"])
        return
    phase = engine.asked_for(config, _typed_expressions(config))
    if phase is not None:
        config.stash[RUN] = engine.start(config, phase)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect gates from TOML files in folders called `gates`, in a gate run or where the file is named."""
    if not file_path.name.endswith(".toml"):
        return None
    config, named = parent.config, parent.session.isinitpath(file_path)
    is_ours = _is_in_gates(file_path.parent, config.rootpath)
    if not is_ours and not (named and _count_gates(file_path)):
        return None
    is_asked = (
        RUN in config.stash or SURVEY in config.stash or "cutover" in getattr(config, "workerinput", ())
    )
    if not named and not is_asked:
        config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + _count_gates(file_path)
        return None
    from pytest_cutover.declared.collect import GateFile

    return GateFile.from_parent(parent, path=file_path)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave gates out of a plain run, or begin a gate run when one was asked for by its node id."""
    if RUN in config.stash or "cutover" in getattr(config, "workerinput", ()) or _only_lists(config):
        return
    gates = [item for item in items if item.get_closest_marker("gate")]
    if not gates:
        return
    if any("::" in arg for arg in config.args) and not hasattr(config, "workerinput"):
        from pytest_cutover.run import session as engine

        config.stash[RUN] = engine.start_for_items(config, gates)
        return
    config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + len(gates)
    config.hook.pytest_deselected(items=gates)
    items[:] = [item for item in items if not item.get_closest_marker("gate")]


def pytest_report_collectionfinish(config: pytest.Config) -> Sequence[str]:
    """Say that gates were left out, and how to run them."""
    left_out = config.stash.get(_LEFT_OUT, 0)
    return (
        [f"cutover: {left_out} gates left out of a plain run; pytest -m preflight runs them"]
        if left_out
        else []
    )


def _only_lists(config: pytest.Config) -> bool:
    """Whether pytest collects only to list fixtures or gates: no gate runs, so no gate run begins."""
    option = config.option
    return bool(SURVEY in config.stash or option.showfixtures or option.show_fixtures_per_test)


def _is_in_gates(folder: Path, root: Path) -> bool:
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    return "gates" in (folder.name, *parts)


def _count_gates(file: Path) -> int:
    """How many tables `[[gate]]` a file has, as far as that shows without a parser."""
    try:
        return len(re.findall(rb"^[ \t]*\[\[[ \t]*gate[ \t]*\]\]", file.read_bytes(), re.MULTILINE))
    except OSError:
        return 0


def _may_ask_for_gates(config: pytest.Config, option: argparse.Namespace) -> bool:
    """False when `-m` holds nothing but registered markers that are not ours: the engine need not be loaded."""
    if option.cutover_plan:
        return True
    ours, known = (
        {re.split(r"[:(]", line)[0].strip() for line in m} for m in (_MARKERS, config.getini("markers"))
    )
    expressions = " ".join([option.markexpr or "", *_typed_expressions(config)])
    return not set(re.findall(r"\w+", expressions)) <= (known - ours) | {"and", "or", "not"}


def _typed_expressions(config: pytest.Config) -> list[str]:
    """Every `-m` of the command line; pytest itself keeps the last one only."""
    args = config.invocation_params.args
    after = [b for a, b in pairwise(args) if re.fullmatch(r"-[a-zA-Z]*m", str(a))]
    return [*after, *(a[2:] for a in args if re.match(r"-m.", str(a)))]


class ExitGuard:
    """The outermost word on pytest's exit code: a gate run that was asked for and did not decide is not 0."""

    def __init__(self, option: argparse.Namespace) -> None:
        self._option = copy.copy(option)  # as it was typed, before a conftest could change it

    def is_asked(self, config: pytest.Config) -> bool:
        """Whether a gate run may have been asked for, whatever became of it."""
        return RUN in config.stash or _may_ask_for_gates(config, self._option)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Hand out the decision's exit code, whatever a conftest made of it."""
        is_worker = hasattr(config, "workerinput")  # asked now: xdist sets it early, a conftest could later
        try:
            result = yield
        except SystemExit as exc:
            if is_worker or not self.is_asked(config):
                raise
            result = exc.code or 0
        except KeyboardInterrupt:
            if is_worker or RUN not in config.stash:
                raise
            from pytest_cutover.run import session as engine

            return engine.interrupted_exit(config.stash[RUN])
        except Exception as exc:
            run = config.stash.get(RUN, None)
            if run is None or run.exit_status is None:
                raise
            return run.ended_with(exc)
        if is_worker or not self.is_asked(config):
            return result
        from pytest_cutover.run import session as engine

        return engine.guard_exit(config, config.stash.get(RUN, None), result, self._option)
