"""Gates that were left out, by an option, a file or a hook."""

from __future__ import annotations

from tests.false_go.harness import (
    SUPERVISED,
    VARIANT,
    LyingRun,
    Mode,
    gate_module,
    refused,
    truly_go,
    unproven,
)
from tests.false_go.projects.bases import COUNTED, GREEN, ONE, ONE_FILE, PLAIN_TOO, REGIONS, TWO, TWO_FILE

DESELECTED = unproven("gate.deselected")
NOT_COLLECTED = unproven("gate.not-collected")
LAST_WINS = truly_go("a supervised run puts its own -m last, so all gates run and are green")
SAME_PATH = "the option is read before the gates are collected, the same way in every process"

# The lastfailed cache of a project whose first gate failed once.
_LAST_FAILED = '{"gates/test_one.py::test_one": true}'

LIES = (
    LyingRun("k-one", "-k drops a required gate", TWO, DESELECTED, args=("-k", "test_one")),
    LyingRun("k-nothing", "-k matches nothing", TWO, DESELECTED, args=("-k", "nothing_of_that_name")),
    LyingRun(
        "m-and-not",
        "-m 'preflight and not slow' drops a gate",
        TWO,
        DESELECTED,
        files={
            TWO_FILE: gate_module(GREEN, gate="two", marks="@pytest.mark.slow"),
            "pytest.ini": "[pytest]\nmarkers = slow: takes its time\n",
        },
        marker="preflight and not slow",
        by_mode=dict.fromkeys(SUPERVISED, LAST_WINS),
    ),
    LyingRun(
        "m-misspelt",
        "-m prefligth selects nothing",
        ONE,
        refused(4),
        marker="prefligth",
        by_mode=dict.fromkeys(SUPERVISED, LAST_WINS),
    ),
    LyingRun(
        "m-twice",
        "-m preflight -m 'not preflight': the second replaces the first, and plain tests pass",
        PLAIN_TOO,
        refused(4),
        args=("-m", "not preflight"),
        by_mode=dict.fromkeys(SUPERVISED, LAST_WINS),
    ),
    LyingRun(
        "m-two-phases",
        "-m 'preflight or canary' asks for two judgements at once",
        ONE,
        refused(4),
        marker="preflight or canary",
        by_mode=dict.fromkeys(SUPERVISED, LAST_WINS),
    ),
    LyingRun("deselect", "--deselect drops a gate", TWO, DESELECTED, args=("--deselect", TWO_FILE)),
    LyingRun(
        "ignore", "--ignore leaves no trace in any hook", TWO, NOT_COLLECTED, args=(f"--ignore={TWO_FILE}",)
    ),
    LyingRun(
        "ignore-glob",
        "--ignore-glob leaves no trace in any hook",
        TWO,
        NOT_COLLECTED,
        args=("--ignore-glob=*two*",),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun("one-file", "only one of two files is given", TWO, NOT_COLLECTED, args=(ONE_FILE,)),
    LyingRun(
        "one-node", "only one of two node ids is given", TWO, NOT_COLLECTED, args=(f"{ONE_FILE}::test_one",)
    ),
    LyingRun(
        "one-instance",
        "only one instance of a parametrized gate is given",
        REGIONS,
        unproven("gate.instances"),
        args=(f"{ONE_FILE}::test_one[eu]",),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "k-instance",
        "-k drops one instance of a parametrized gate",
        REGIONS,
        DESELECTED,
        args=("-k", "eu"),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "k-counted-instance",
        "-k drops one of the instances that the policy only counts",
        COUNTED,
        unproven("gate.instances"),
        args=("-k", "eu"),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "missing-path",
        "a folder that does not exist: 4 alone, 5 under xdist",
        ONE,
        NOT_COLLECTED,
        args=("no_such_folder",),
    ),
    LyingRun(
        "collect-ignore",
        "a conftest's collect_ignore",
        TWO,
        NOT_COLLECTED,
        files={"gates/conftest.py": 'collect_ignore = ["test_two.py"]\n'},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "collect-ignore-glob",
        "a conftest's collect_ignore_glob",
        TWO,
        NOT_COLLECTED,
        files={"conftest.py": 'collect_ignore_glob = ["*/test_two*"]\n'},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "ignore-collect-hook",
        "a conftest's pytest_ignore_collect",
        TWO,
        NOT_COLLECTED,
        files={
            "conftest.py": 'def pytest_ignore_collect(collection_path):\n    return True if "two" in collection_path.name else None\n'
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "testpaths",
        "testpaths points elsewhere",
        PLAIN_TOO,
        NOT_COLLECTED,
        files={
            "pytest.ini": "[pytest]\ntestpaths = other\n",
            "other/test_plain.py": "def test_plain():\n    pass\n",
        },
    ),
    LyingRun(
        "python-files",
        "python_files no longer matches the gates",
        TWO,
        NOT_COLLECTED,
        files={"pytest.ini": "[pytest]\npython_files = test_one*.py\n"},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "python-functions",
        "python_functions no longer matches the gates",
        ONE,
        NOT_COLLECTED,
        files={"pytest.ini": "[pytest]\npython_functions = check_*\n"},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "norecursedirs",
        "norecursedirs hides the gates' folder",
        ONE,
        NOT_COLLECTED,
        files={"pytest.ini": "[pytest]\nnorecursedirs = gates\n"},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "override-ini",
        "-o python_files on the command line",
        TWO,
        NOT_COLLECTED,
        args=("-o", "python_files=test_one.py"),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "other-ini-file",
        "-c other.ini whose python_files hides a gate",
        TWO,
        NOT_COLLECTED,
        files={"other.ini": "[pytest]\npython_files = test_one.py\n"},
        args=("-c", "other.ini"),
    ),
    LyingRun(
        "modifyitems-clear",
        "a conftest empties the list of items and tells nobody",
        ONE,
        NOT_COLLECTED,
        files={"conftest.py": "def pytest_collection_modifyitems(items):\n    items.clear()\n"},
    ),
    LyingRun(
        "modifyitems-drop",
        "a conftest drops one item and tells nobody",
        TWO,
        NOT_COLLECTED,
        files={
            "conftest.py": 'def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if "two" not in i.name]\n'
        },
    ),
    LyingRun(
        "modifyitems-drop-last",
        "a conftest drops one item after every other plugin",
        TWO,
        NOT_COLLECTED,
        files={
            "conftest.py": """
            import pytest

            @pytest.hookimpl(wrapper=True, tryfirst=True)
            def pytest_collection_modifyitems(items):
                yield
                items[:] = [i for i in items if "two" not in i.name]
            """
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "collection-finish-drop",
        "a conftest drops one item after the engine has listed them",
        TWO,
        unproven("gate.not-run"),
        files={
            "conftest.py": """
            import pytest

            @pytest.hookimpl(wrapper=True, tryfirst=True)
            def pytest_collection_finish(session):
                yield
                del session.items[1:]
            """
        },
        modes=(Mode.ALONE, Mode.SUPERVISED),
        reduced="under xdist the scheduler has its own list",
    ),
    LyingRun(
        "makeitem-hook",
        "a conftest makes no item of a gate",
        TWO,
        NOT_COLLECTED,
        files={
            "conftest.py": 'def pytest_pycollect_makeitem(name):\n    return [] if name == "test_two" else None\n'
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "renamed-function",
        "a gate's function lost its test_ prefix",
        ONE,
        NOT_COLLECTED,
        files={ONE_FILE: gate_module(GREEN).replace("def test_one", "def check_one")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "renamed-file",
        "a gate's file lost its test_ prefix",
        TWO,
        NOT_COLLECTED,
        files={TWO_FILE: None, "gates/two.py": gate_module(GREEN, gate="two")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "dunder-test",
        "a class of gates says __test__ = False",
        ONE,
        NOT_COLLECTED,
        files={
            ONE_FILE: """
            import pytest

            @pytest.mark.preflight
            class TestOne:
                __test__ = False

                @pytest.mark.gate("one")
                def test_one(self, gate):
                    gate.measure("v", 1)
            """
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "same-name-twice",
        "a second function of the same name hides the first, red one; the gate id of the first is gone",
        TWO,
        NOT_COLLECTED,
        files={
            TWO_FILE: None,
            ONE_FILE: """
            import pytest
            pytestmark = pytest.mark.preflight

            @pytest.mark.gate("two")
            def test_it(gate):
                gate.measure("v", 5)

            @pytest.mark.gate("one")
            def test_it(gate):
                gate.measure("v", 1)
            """,
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "other-phase",
        "a required gate was moved to another phase",
        TWO,
        NOT_COLLECTED,
        files={TWO_FILE: gate_module(GREEN, gate="two", phase="canary")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun("collect-only", "--collect-only", ONE, unproven("gate.not-run"), args=("--collect-only",)),
    LyingRun("setup-only", "--setup-only", ONE, unproven("gate.phase-missing"), args=("--setup-only",)),
    LyingRun(
        "setup-plan",
        "--setup-plan",
        ONE,
        unproven("gate.phase-missing"),
        args=("--setup-plan",),
        modes=VARIANT,
        reduced="--setup-only under another name",
    ),
    LyingRun(
        "last-failed",
        "--lf reruns only what failed last time",
        TWO,
        NOT_COLLECTED,
        files={".pytest_cache/v/cache/lastfailed": _LAST_FAILED},
        args=("--lf",),
        plugins=("cacheprovider",),
    ),
    LyingRun(
        "last-failed-none",
        "--lf --lfnf=none: nothing failed last time, so nothing is run",
        ONE,
        DESELECTED,
        args=("--lf", "--lfnf=none"),
        plugins=("cacheprovider",),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "stepwise",
        "--sw goes on where it stopped last time",
        TWO,
        DESELECTED,
        files={
            ".pytest_cache/v/cache/stepwise": '{"last_failed": "gates/test_two.py::test_two", "last_test_count": 2, "last_cache_date_str": "2099-01-01T00:00:00"}'
        },
        args=("--sw",),
        plugins=("cacheprovider",),
        modes=(Mode.ALONE, Mode.SUPERVISED),
        reduced="stepwise is off under xdist",
    ),
    LyingRun(
        "no-python-plugin",
        "-p no:python: nothing can be collected",
        ONE,
        NOT_COLLECTED,
        args=("-p", "no:python"),
        modes=(Mode.SUPERVISED_N2,),
        reduced="pytest itself refuses to run without it when alone",
    ),
    LyingRun(
        "other-plan-option",
        "--cutover-plan of another plan behind the supervisor's back",
        TWO,
        refused(4),
        args=("--cutover-plan", "other"),
        by_mode=dict.fromkeys(SUPERVISED, truly_go("the supervisor's own --cutover-plan stands last")),
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
)
