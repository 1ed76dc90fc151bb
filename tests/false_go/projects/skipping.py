"""Gates that were skipped or expected to fail, in every form pytest has."""

from __future__ import annotations

from tests.false_go.harness import NO_WORKERS, VARIANT, LyingRun, gate_module, red, unproven
from tests.false_go.projects.bases import CLASSIC, GREEN, ONE, ONE_FILE, PREPARED, REGIONS, TWO, TWO_FILE

SKIPPED = unproven("gate.skipped")
XFAILED = unproven("gate.xfailed")
NOT_COLLECTED = unproven("gate.not-collected")
SAME_PATH = "every form of a skip ends in the same report; skip-mark and skip-in-call run in all four modes"


def _gate(name: str, why: str, body: str = GREEN, *, xfail: bool = False, **parts: str) -> LyingRun:
    expect = XFAILED if xfail else SKIPPED
    return LyingRun(
        name, why, ONE, expect, files={ONE_FILE: gate_module(body, **parts)}, modes=VARIANT, reduced=SAME_PATH
    )


LIES = (
    LyingRun(
        "skip-mark",
        "@pytest.mark.skip on one of two gates",
        TWO,
        SKIPPED,
        files={TWO_FILE: gate_module(GREEN, gate="two", marks='@pytest.mark.skip(reason="later")')},
    ),
    LyingRun(
        "skip-all",
        "every gate is skipped: pytest ends with 0",
        TWO,
        SKIPPED,
        files={
            ONE_FILE: gate_module(GREEN, marks="@pytest.mark.skip"),
            TWO_FILE: gate_module(GREEN, gate="two", marks="@pytest.mark.skip"),
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "skip-in-call",
        "pytest.skip() after the measurement",
        ONE,
        SKIPPED,
        files={ONE_FILE: gate_module('gate.measure("v", 1)\npytest.skip("not today")')},
    ),
    _gate(
        "skipif", "@pytest.mark.skipif that is always true", marks='@pytest.mark.skipif(True, reason="ci")'
    ),
    _gate(
        "skip-in-setup",
        "a fixture skips",
        args="gate, ground",
        top="@pytest.fixture\ndef ground():\n    pytest.skip('no ground')\n",
    ),
    _gate(
        "skip-in-teardown",
        "a fixture skips after the gate",
        args="gate, ground",
        top="@pytest.fixture\ndef ground():\n    yield 1\n    pytest.skip('never mind')\n",
    ),
    _gate("skip-unittest", "raise unittest.SkipTest", 'import unittest\nraise unittest.SkipTest("x")'),
    _gate(
        "skip-importorskip",
        "importorskip inside of the gate",
        'pytest.importorskip("no_such_module_anywhere")',
    ),
    _gate(
        "skip-usefixtures",
        "a skip in a fixture of the module",
        marks='@pytest.mark.usefixtures("ground")',
        top="@pytest.fixture\ndef ground():\n    pytest.skip('no ground')\n",
    ),
    LyingRun(
        "skip-by-conftest",
        "a conftest marks every gate as skipped unless a variable is set",
        ONE,
        SKIPPED,
        files={
            "conftest.py": """
            import pytest

            def pytest_collection_modifyitems(items):
                for item in items:
                    item.add_marker(pytest.mark.skip(reason="RUN_GATES is not set"))
            """
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "skip-by-setup-hook",
        "a conftest skips in pytest_runtest_setup",
        ONE,
        SKIPPED,
        files={"conftest.py": 'import pytest\n\ndef pytest_runtest_setup(item):\n    pytest.skip("x")\n'},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "skip-instance",
        "one instance of a parametrized gate is skipped",
        REGIONS,
        SKIPPED,
        files={
            ONE_FILE: gate_module(
                GREEN,
                args="gate, region",
                marks='@pytest.mark.parametrize("region", ["eu", pytest.param("us", marks=pytest.mark.skip)])',
            )
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "skip-class",
        "unittest.skip on the class",
        CLASSIC,
        SKIPPED,
        files={
            ONE_FILE: CLASSIC.files[ONE_FILE].replace(
                "class TestOne", '@unittest.skip("x")\n        class TestOne'
            )
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "skip-module",
        "pytest.skip(allow_module_level=True)",
        TWO,
        NOT_COLLECTED,
        files={TWO_FILE: gate_module(GREEN, gate="two", top='pytest.skip("x", allow_module_level=True)\n')},
    ),
    LyingRun(
        "importorskip-module",
        "importorskip at the top of the file: only a collect report is skipped",
        TWO,
        NOT_COLLECTED,
        files={
            TWO_FILE: gate_module(GREEN, gate="two", top='pytest.importorskip("no_such_module_anywhere")\n')
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "import-error",
        "a gate's file cannot be imported",
        TWO,
        unproven("run.collect-error"),
        files={TWO_FILE: gate_module(GREEN, gate="two", top="import no_such_module_anywhere\n")},
    ),
    LyingRun(
        "import-error-continued",
        "a gate's file cannot be imported, and --continue-on-collection-errors",
        TWO,
        unproven("run.collect-error"),
        files={TWO_FILE: gate_module(GREEN, gate="two", top="import no_such_module_anywhere\n")},
        args=("--continue-on-collection-errors",),
        modes=VARIANT,
        reduced="import-error runs in all four modes",
    ),
    _gate(
        "xfail-mark",
        "an xfail mark on a gate that fails",
        "assert False",
        xfail=True,
        marks="@pytest.mark.xfail",
    ),
    _gate(
        "xfail-xpass",
        "an xfail mark, not strict, on a gate that passes",
        xfail=True,
        marks="@pytest.mark.xfail",
    ),
    _gate(
        "xfail-no-reason",
        "an xfail whose reason is empty",
        "assert False",
        xfail=True,
        marks='@pytest.mark.xfail(reason="")',
    ),
    _gate("xfail-no-run", "xfail(run=False)", xfail=True, marks="@pytest.mark.xfail(run=False)"),
    _gate(
        "xfail-call",
        "pytest.xfail() after the measurement",
        'gate.measure("v", 1)\npytest.xfail("known")',
        xfail=True,
    ),
    _gate(
        "xfail-raises",
        "xfail(raises=…)",
        'raise OSError("x")',
        xfail=True,
        marks="@pytest.mark.xfail(raises=OSError)",
    ),
    LyingRun(
        "xfail-red",
        "an xfail mark on a gate that measures red",
        ONE,
        red("gate.xfailed"),
        files={ONE_FILE: gate_module('gate.measure("v", 5)', marks="@pytest.mark.xfail")},
    ),
    LyingRun(
        "xpass-strict",
        "a strict xfail that passes",
        ONE,
        unproven("gate.error"),
        files={ONE_FILE: gate_module(GREEN, marks="@pytest.mark.xfail(strict=True)")},
        modes=NO_WORKERS,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "expected-failure",
        "unittest.expectedFailure",
        CLASSIC,
        XFAILED,
        files={
            ONE_FILE: CLASSIC.files[ONE_FILE]
            .replace(
                '@pytest.mark.gate("one")', '@unittest.expectedFailure\n            @pytest.mark.gate("one")'
            )
            .replace('self.gate.measure("v", 1)', "raise OSError")
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "empty-parametrize",
        "parametrize over an empty list: one skipped item",
        REGIONS,
        unproven("gate.instances"),
        files={
            ONE_FILE: gate_module(GREEN, args="gate, region", marks='@pytest.mark.parametrize("region", [])')
        },
    ),
    LyingRun(
        "empty-parametrize-counted",
        "parametrize over an empty list, under a policy that knows no instances",
        ONE,
        SKIPPED,
        files={
            ONE_FILE: gate_module(GREEN, args="gate, region", marks='@pytest.mark.parametrize("region", [])')
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "empty-parametrize-xfail",
        "empty_parameter_set_mark = xfail",
        REGIONS,
        unproven("gate.instances"),
        files={
            ONE_FILE: gate_module(GREEN, args="gate, region", marks='@pytest.mark.parametrize("region", [])'),
            "pytest.ini": "[pytest]\nempty_parameter_set_mark = xfail\n",
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "fixture-error",
        "a fixture fails before the gate",
        PREPARED,
        unproven("gate.setup-failed"),
        files={ONE_FILE: PREPARED.files[ONE_FILE].replace("yield 1", "raise OSError('no ground')")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "teardown-error",
        "a fixture fails after the gate: the call is reported as passed",
        PREPARED,
        unproven("gate.teardown-failed"),
        files={
            ONE_FILE: PREPARED.files[ONE_FILE].replace("yield 1", "yield 1\n    raise OSError('left a mess')")
        },
    ),
    LyingRun(
        "teardown-assert",
        "a fixture asserts after the gate",
        PREPARED,
        unproven("gate.teardown-failed"),
        files={ONE_FILE: PREPARED.files[ONE_FILE].replace("yield 1", "yield 1\n    assert False")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
)
