"""Options that nobody typed: addopts of every ini file, a parent folder's, the environment's."""

from __future__ import annotations

from tests.false_go.harness import (
    PAIR,
    SUPERVISED,
    LyingRun,
    Mode,
    refused,
    truly_go,
    unproven,
    unseen,
)
from tests.false_go.projects.bases import ONE, TWO

DESELECTED = unproven("gate.deselected")
STRIPPED = dict.fromkeys(SUPERVISED, truly_go("a supervised run takes no addopts from files or environment"))
SAME_PATH = "pytest reads addopts once, before xdist and the engine start"
HELP = "a help or listing option in a file, which the user who typed -m preflight never sees"

_INI = "[pytest]\naddopts = -k test_one\n"


def _file(name: str, text: str) -> LyingRun:
    return LyingRun(
        f"addopts-{name.replace('.', '-')}",
        f"addopts in {name} drops a gate",
        TWO,
        DESELECTED,
        files={name: text},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    )


LIES = (
    LyingRun(
        "addopts-pytest-ini",
        "addopts in pytest.ini drops a gate",
        TWO,
        DESELECTED,
        files={"pytest.ini": _INI},
        by_mode=STRIPPED,
    ),
    _file(".pytest.ini", _INI),
    _file("tox.ini", _INI),
    _file("setup.cfg", "[tool:pytest]\naddopts = -k test_one\n"),
    _file("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-k test_one"\n'),
    _file("pytest.toml", '[pytest]\naddopts = ["-k", "test_one"]\n'),
    LyingRun(
        "addopts-other-ini",
        "-c other.ini with addopts",
        TWO,
        DESELECTED,
        files={"other.ini": _INI},
        args=("-c", "other.ini"),
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-parent-folder",
        "a pytest.ini in a parent folder: its addopts count, and the root moves away from the policy",
        TWO,
        refused(4),
        files={"../pytest.ini": _INI},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-parent-folder-policy",
        "a pytest.ini in a parent folder, and a policy named so that it is found nevertheless",
        TWO,
        DESELECTED,
        files={"../pytest.ini": _INI},
        env={"CUTOVER_POLICY": "{root}/configs/policy.json"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-deselect",
        "addopts with --deselect",
        TWO,
        DESELECTED,
        files={"pytest.ini": "[pytest]\naddopts = --deselect gates/test_two.py\n"},
        by_mode=STRIPPED,
        modes=(Mode.ALONE,),
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-collect-only",
        "addopts with --collect-only",
        ONE,
        unproven("gate.not-run"),
        files={"pytest.ini": "[pytest]\naddopts = --collect-only\n"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-help",
        "addopts with --help: pytest prints its help and ends with 0",
        ONE,
        refused(11),
        files={"pytest.ini": "[pytest]\naddopts = --help\n"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=HELP,
    ),
    LyingRun(
        "addopts-fixtures",
        "addopts with --fixtures: pytest lists fixtures and ends with 0",
        ONE,
        refused(11),
        files={"pytest.ini": "[pytest]\naddopts = --fixtures\n"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=HELP,
    ),
    LyingRun(
        "addopts-env-k",
        "PYTEST_ADDOPTS=-k …",
        TWO,
        DESELECTED,
        env={"PYTEST_ADDOPTS": "-k test_one"},
        by_mode=STRIPPED,
    ),
    LyingRun(
        "addopts-env-collect-only",
        "PYTEST_ADDOPTS=--collect-only",
        ONE,
        unproven("gate.not-run"),
        env={"PYTEST_ADDOPTS": "--collect-only"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "addopts-env-help",
        "PYTEST_ADDOPTS=--markers: pytest lists markers and ends with 0",
        ONE,
        refused(11),
        env={"PYTEST_ADDOPTS": "--markers"},
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=HELP,
    ),
    LyingRun(
        "addopts-o-cannot-cancel",
        "-o addopts= on the command line does not cancel PYTEST_ADDOPTS",
        TWO,
        DESELECTED,
        env={"PYTEST_ADDOPTS": "-k test_one"},
        args=("-o", "addopts="),
        by_mode=STRIPPED,
        modes=PAIR,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "supervised-o-addopts",
        "-o addopts=… handed to the supervised child by its user",
        TWO,
        DESELECTED,
        args=("-o", "addopts=-k test_one"),
        modes=SUPERVISED,
        reduced="alone it is one more way of addopts-pytest-ini",
    ),
    LyingRun(
        "addopts-plugin-off",
        "addopts = -p no:pytest_cutover, and a conftest that stands in for the gate fixture",
        ONE,
        unseen("the engine is not loaded, so nothing of it can speak"),
        files={
            "pytest.ini": "[pytest]\naddopts = -p no:pytest_cutover\nmarkers =\n    preflight: x\n    gate: x\n",
            "conftest.py": """
            from unittest.mock import Mock

            import pytest

            try:
                import pytest_cutover.run.session
                LOADED = pytest_cutover
            except ImportError:
                LOADED = None

            def pytest_configure(config):
                if not config.pluginmanager.has_plugin("pytest_cutover"):
                    config.pluginmanager.register(Standin())

            class Standin:
                @pytest.fixture
                def gate(self):
                    return Mock()
            """,
        },
        by_mode=STRIPPED,
    ),
)
