"""Plugins and modules that are not there, or not what they seem; variables that lie."""

from __future__ import annotations

from tests.false_go.harness import (
    IN_PROCESS,
    NO_WORKERS,
    PAIR,
    SUPERVISED,
    Expect,
    LyingRun,
    Mode,
    gate_module,
    red,
    refused,
    truly_go,
    unproven,
    unseen,
)
from tests.false_go.projects.bases import ONE, ONE_FILE, RED, TWO, TWO_FILE

NOT_LOADED = "the engine is not loaded, so nothing of it can speak"
REPLACED = "another module answers to the name: the engine, or pytest itself, is never loaded"
BEFORE = "it acts before the engine is loaded"
UNTOUCHED = truly_go(
    "the supervised child takes no module, plugin or option from there; its gates ran and were green"
)
SAME_PATH = "the interpreter or pytest reads it at its start, before xdist does anything"

# A gate that works with and without the engine: what an engineer writes who wants tests to pass everywhere.
_STANDIN = """
import pytest
from unittest.mock import Mock

def pytest_configure(config):
    if not config.pluginmanager.has_plugin("pytest_cutover"):
        config.pluginmanager.register(Standin())

class Standin:
    @pytest.fixture
    def gate(self):
        return Mock()
"""
_MARKERS = "[pytest]\nmarkers =\n    preflight: x\n    gate: x\n"
TOLERANT = {"conftest.py": _STANDIN, "pytest.ini": _MARKERS}

CUT_SHORT = unproven("run.journal-incomplete")
_QUIET_PYTEST = "import sys\nprint('1 passed')\nsys.exit(0)\n"
_DYING_MODULE = "import os\nos._exit(0)\n"
# Only a process that runs pytest: what an attacker would write who knows that somebody looks.
_SITE = "import atexit, os, sys\nif 'pytest' in sys.orig_argv:\n    atexit.register(os._exit, 0)\n"


def _part(name: str, part: str) -> LyingRun:
    """A part of the engine is blocked by name."""
    return LyingRun(
        f"no-{name}",
        f"-p no:{part} takes a part out of the engine",
        TWO,
        CUT_SHORT,
        files={TWO_FILE: gate_module(RED, gate="two")},
        args=("-p", f"no:{part}"),
        by_mode={Mode.ALONE: refused(4)},
        modes=PAIR,
        reduced=SAME_PATH,
    )


LIES = (
    LyingRun(
        "p-no-plugin",
        "-p no:pytest_cutover, and a conftest that stands in for the gate fixture",
        ONE,
        UNTOUCHED,
        files=TOLERANT,
        args=("-p", "no:pytest_cutover"),
        by_mode=dict.fromkeys(IN_PROCESS, unseen(NOT_LOADED)),
    ),
    LyingRun(
        "p-no-plugin-plain",
        "-p no:pytest_cutover, and nothing stands in: the gates cannot find their fixture",
        ONE,
        Expect(frozenset({1})),
        args=("-p", "no:pytest_cutover"),
        modes=(Mode.ALONE,),
        reduced="p-no-plugin runs in all four modes",
    ),
    LyingRun(
        "autoload-off",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        ONE,
        UNTOUCHED,
        files=TOLERANT,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        by_mode={Mode.ALONE: unseen(NOT_LOADED), Mode.ALONE_N2: refused(4)},
    ),
    LyingRun(
        "autoload-off-option",
        "--disable-plugin-autoload",
        ONE,
        UNTOUCHED,
        files=TOLERANT,
        args=("--disable-plugin-autoload",),
        by_mode={Mode.ALONE: unseen(NOT_LOADED)},
        modes=NO_WORKERS,
        reduced="xdist itself would not be loaded",
    ),
    LyingRun(
        "addopts-env-plugin-off",
        "PYTEST_ADDOPTS=-p no:pytest_cutover",
        ONE,
        UNTOUCHED,
        files=TOLERANT,
        env={"PYTEST_ADDOPTS": "-p no:pytest_cutover"},
        by_mode={Mode.ALONE: unseen(NOT_LOADED)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "pytest-plugins-variable",
        "PYTEST_PLUGINS names a plugin of the working folder that makes reds green",
        ONE,
        red(),
        files={
            "makes_green.py": "import pytest\n\n@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main(config):\n    yield\n    return 0\n",
            ONE_FILE: gate_module(RED),
        },
        env={"PYTEST_PLUGINS": "makes_green"},
        modes=(Mode.ALONE, Mode.SUPERVISED),
        reduced=SAME_PATH,
    ),
    LyingRun(
        "pytest-plugins-exits",
        "PYTEST_PLUGINS names a plugin that ends the process",
        ONE,
        UNTOUCHED,
        files={"dies.py": _DYING_MODULE},
        env={"PYTEST_PLUGINS": "dies"},
        by_mode={Mode.ALONE: unseen(BEFORE)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "pytest-plugins-drops-marker",
        "PYTEST_PLUGINS names a plugin that takes -m preflight off the command line",
        TWO,
        UNTOUCHED,
        files={
            "drops.py": "def pytest_cmdline_preparse(config, args):\n    pass\n\ndef pytest_load_initial_conftests(early_config, parser, args):\n    pass\n\ndef pytest_configure(config):\n    config.option.markexpr = 'not gate'\n",
            "test_plain.py": "def test_plain():\n    pass\n",
        },
        env={"PYTEST_PLUGINS": "drops"},
        by_mode={Mode.ALONE: refused(4)},
        modes=NO_WORKERS,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "sitecustomize",
        "a sitecustomize in PYTHONPATH replaces the end of every pytest by os._exit(0)",
        ONE,
        red(),
        files={"site/sitecustomize.py": _SITE, ONE_FILE: gate_module(RED)},
        env={"PYTHONPATH": "{root}/site"},
        by_mode=dict.fromkeys(IN_PROCESS, unseen(BEFORE, code="limit.broken")),
    ),
    LyingRun(
        "pythonpath-pytest",
        "a pytest.py in PYTHONPATH",
        ONE,
        Expect(frozenset({1, 2})),
        files={"site/pytest.py": _QUIET_PYTEST, ONE_FILE: gate_module(RED)},
        env={"PYTHONPATH": "{root}/site"},
        by_mode={Mode.ALONE: unseen(REPLACED)},
        modes=(Mode.ALONE,),
        reduced="the supervising parent's own PYTHONPATH is the caller's: see BEYOND",
    ),
    LyingRun(
        "shadow-pytest",
        "a pytest.py in the working folder",
        ONE,
        UNTOUCHED,
        files={"pytest.py": _QUIET_PYTEST},
        by_mode=dict.fromkeys(IN_PROCESS, unseen(REPLACED)),
    ),
    LyingRun(
        "shadow-json",
        "a json.py in the working folder",
        ONE,
        UNTOUCHED,
        files={"json.py": _DYING_MODULE},
        by_mode=dict.fromkeys(IN_PROCESS, unseen(REPLACED)),
    ),
    LyingRun(
        "shadow-engine",
        "a pytest_cutover folder in the working folder, without teeth",
        ONE,
        UNTOUCHED,
        files={
            "pytest_cutover/__init__.py": "",
            "pytest_cutover/plugin.py": "from unittest.mock import Mock\nimport pytest\n\n@pytest.fixture\ndef gate():\n    return Mock()\n",
            "pytest.ini": _MARKERS,
        },
        by_mode=dict.fromkeys(IN_PROCESS, unseen(REPLACED)),
    ),
    LyingRun(
        "shadow-engine-file",
        "a pytest_cutover.py in the working folder: the plugin cannot be found",
        ONE,
        Expect(frozenset({3})),
        files={"pytest_cutover.py": ""},
        by_mode=dict.fromkeys(SUPERVISED, UNTOUCHED),
        modes=PAIR,
        reduced="shadow-engine runs in all four modes",
    ),
    _part("run", "cutover-run"),
    _part("recorder", "cutover-recorder"),
    _part("witness", "cutover-witness"),
    _part("finisher", "cutover-finisher"),
    _part("exit-guard", "cutover-exit-guard"),
    LyingRun(
        "no-witness-swallowed",
        "-p no:cutover-witness, and a conftest that swallows what a gate raises",
        ONE,
        CUT_SHORT,
        files={
            "conftest.py": "import pytest\n\n@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_call(item):\n    try:\n        return (yield)\n    except BaseException:\n        return None\n",
            ONE_FILE: gate_module("gate.measure('v', 1)\nassert False"),
        },
        args=("-p", "no:cutover-witness"),
        by_mode={Mode.ALONE: refused(4)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "no-run-no-guard",
        "-p no:cutover-run -p no:cutover-exit-guard over a red gate",
        ONE,
        CUT_SHORT,
        files={ONE_FILE: gate_module(RED)},
        args=("-p", "no:cutover-run", "-p", "no:cutover-exit-guard"),
        by_mode={Mode.ALONE: refused(4)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "no-run-no-guard-green",
        "the same over a green gate: pytest alone would end with 0",
        ONE,
        CUT_SHORT,
        args=("-p", "no:cutover-run", "-p", "no:cutover-exit-guard"),
        by_mode={Mode.ALONE: refused(4)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "no-terminal",
        "-p no:terminal: nothing is printed, the verdict stands",
        ONE,
        red(),
        files={ONE_FILE: gate_module(RED)},
        args=("-p", "no:terminal"),
        modes=NO_WORKERS,
        reduced="xdist does not work without it",
    ),
    LyingRun(
        "no-runner",
        "-p no:runner: nobody runs the tests",
        ONE,
        CUT_SHORT,
        args=("-p", "no:runner"),
        by_mode={Mode.ALONE: refused(4)},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "child-fd-closed",
        "CUTOVER_CHILD_FD names a file that is not open",
        ONE,
        Expect(frozenset({3})),
        env={"CUTOVER_CHILD_FD": "199"},
        by_mode=dict.fromkeys(SUPERVISED, truly_go("the supervisor sets the variable itself")),
    ),
    LyingRun(
        "child-fd-text",
        "CUTOVER_CHILD_FD is no number",
        ONE,
        Expect(frozenset({3})),
        env={"CUTOVER_CHILD_FD": "yes"},
        modes=(Mode.ALONE,),
        reduced="child-fd-closed runs in all four modes",
    ),
    LyingRun(
        "child-fd-stdin",
        "CUTOVER_CHILD_FD=0: the run is to be read from an empty standard input",
        ONE,
        Expect(frozenset({3})),
        env={"CUTOVER_CHILD_FD": "0"},
        modes=(Mode.ALONE,),
        reduced="child-fd-closed runs in all four modes",
    ),
    LyingRun(
        "worker-variable",
        "PYTEST_XDIST_WORKER says that this is a worker",
        ONE,
        red(),
        files={ONE_FILE: gate_module(RED)},
        env={"PYTEST_XDIST_WORKER": "gw0", "PYTEST_XDIST_WORKER_COUNT": "2"},
        modes=NO_WORKERS,
        reduced="under xdist the variable is xdist's own",
    ),
    LyingRun(
        "python-inspect",
        "PYTHONINSPECT=1: Python asks for input when the program is done, and loses its exit code",
        ONE,
        Expect(frozenset({1}), "limit.broken"),
        files={ONE_FILE: gate_module(RED)},
        env={"PYTHONINSPECT": "1"},
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "env-unknown",
        "CUTOVER_ENV names an environment that the policy does not have",
        ONE,
        refused(4),
        env={"CUTOVER_ENV": "prod"},
        by_mode=dict.fromkeys(SUPERVISED, refused(2)),
        modes=PAIR,
        reduced="it is read once, before anything runs",
    ),
    LyingRun(
        "policy-variable-other",
        "CUTOVER_POLICY names a policy that is not there",
        ONE,
        refused(4),
        env={"CUTOVER_POLICY": "configs/none.json"},
        by_mode=dict.fromkeys(SUPERVISED, refused(2)),
        modes=PAIR,
        reduced="it is read once, before anything runs",
    ),
    LyingRun(
        "key-missing",
        "CUTOVER_KEY names a key that is not there",
        ONE,
        refused(4),
        env={"CUTOVER_KEY": "no/such/key.pem"},
        by_mode=dict.fromkeys(SUPERVISED, refused(2)),
        modes=PAIR,
        reduced="it is read once, before anything runs",
    ),
    LyingRun(
        "subject-malformed",
        "CUTOVER_SUBJECT is no digest",
        ONE,
        refused(4),
        env={"CUTOVER_SUBJECT": "shop@sha256:abc"},
        by_mode=dict.fromkeys(SUPERVISED, refused(2)),
        modes=PAIR,
        reduced="it is read once, before anything runs",
    ),
    LyingRun(
        "rootdir-moved",
        "--rootdir moves the root away from the policy",
        ONE,
        refused(4),
        files={"elsewhere/x.txt": ""},
        args=("--rootdir=elsewhere",),
        by_mode=dict.fromkeys(SUPERVISED, Expect(frozenset({0, 11}), go=None)),
        modes=(Mode.ALONE,),
        reduced="a supervised run has the folder it was started in as its root",
    ),
)
