"""Gates that pass and prove nothing: asserts that never fire, measurements that were never made."""

from __future__ import annotations

from tests.false_go.harness import (
    IN_PROCESS,
    SUPERVISED,
    VARIANT,
    LyingRun,
    Mode,
    gate_module,
    red,
    truly_go,
    unproven,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, TWO, TWO_FILE

UNMEASURED = unproven("limit.unmeasured")
INSIDE = "what happens inside of a gate's body is the same in every process; its record's way is what differs"

# pytest rewrites the asserts of test files, so -O takes away only those of other modules.
_HELPER = {
    "gates/helper.py": "def check():\n    assert 1 == 2\n",
    ONE_FILE: gate_module('import helper\nhelper.check()\ngate.measure("v", 1)'),
}


def _gate(name: str, why: str, body: str, expect: object = UNMEASURED, **parts: str) -> LyingRun:
    assert not isinstance(expect, str)
    return LyingRun(
        name,
        why,
        ONE,
        expect,  # type: ignore[arg-type] # an Expect
        files={ONE_FILE: gate_module(body, **parts)},
        modes=VARIANT,
        reduced=INSIDE,
    )


LIES = (
    LyingRun(
        "no-measurement", "a bare assert", ONE, UNMEASURED, files={ONE_FILE: gate_module("assert True")}
    ),
    LyingRun(
        "no-limit-no-measurement",
        "a bare assert in a gate that nothing requires and no limit judges",
        ONE,
        unproven("gate.no-measurement"),
        files={TWO_FILE: gate_module("assert True", gate="two")},
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "no-gate-fixture",
        "a gate that does not even ask for the gate fixture",
        ONE,
        UNMEASURED,
        files={ONE_FILE: gate_module("assert True", args="")},
        modes=VARIANT,
        reduced=INSIDE,
    ),
    _gate("assert-fails", "a plain failing assert", "assert 1 == 2", red("gate.failed")),
    _gate(
        "pytest-fail",
        "pytest.fail after a green measurement",
        'gate.measure("v", 1)\npytest.fail("x")',
        red("gate.failed"),
    ),
    _gate(
        "raises",
        "an error after a green measurement",
        'gate.measure("v", 1)\nraise OSError("x")',
        unproven("gate.error"),
    ),
    _gate("returns-false", "the gate returns False instead of asserting", "return 5 <= 1"),
    _gate("assert-tuple", "assert (condition, message) is always true", 'assert (5 <= 1, "too high")'),
    _gate(
        "assert-swallowed",
        "the assert is caught by its own try",
        "try:\n    assert False\nexcept Exception:\n    pass",
    ),
    _gate(
        "raises-exception",
        "pytest.raises(Exception) around everything",
        'with pytest.raises(Exception):\n    gate.measurre("v", 5)',
    ),
    _gate(
        "suppress",
        "contextlib.suppress around the measurement",
        'import contextlib\nwith contextlib.suppress(Exception):\n    gate.measure("v", open("/no/such").read())',
    ),
    _gate("empty-loop", "a loop over nothing", 'for value in []:\n    gate.measure("v", value)'),
    _gate(
        "early-return",
        "an early return",
        'import os\nif "NEVER" not in os.environ:\n    return\ngate.measure("v", 5)',
    ),
    _gate(
        "assert-in-thread",
        "the assert fails in a thread",
        "import threading\nt = threading.Thread(target=lambda: gate.measure('v', 1 // 0))\nt.start(); t.join()",
    ),
    _gate(
        "late-thread",
        "a thread measures after the gate has ended",
        'import threading\nthreading.Timer(20, gate.measure, ("v", 1)).start() if False else threading.Thread(target=lambda: (__import__("time").sleep(20), gate.measure("v", 1)), daemon=True).start()',
    ),
    _gate(
        "measured-in-child",
        "a child process measures: its gate is a copy",
        'import os\npid = os.fork()\nif pid == 0:\n    gate.measure("v", 1)\n    os._exit(0)\nos.waitpid(pid, 0)',
    ),
    _gate(
        "coroutine-not-awaited",
        "the measurement stands in a coroutine that is never awaited",
        "async def check():\n    gate.measure('v', 1)\ncheck().close()",
    ),
    _gate(
        "lambda-never-called",
        "the measurement stands in a function that is never called",
        "check = lambda: gate.measure('v', 1)",
    ),
    LyingRun(
        "async-without-plugin",
        "an async gate marked for a plugin that is not there",
        ONE,
        red("gate.failed"),
        files={
            ONE_FILE: gate_module(GREEN, marks="@pytest.mark.asyncio").replace("def test", "async def test")
        },
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "generator-gate",
        "a gate with a yield is a generator that nobody runs",
        ONE,
        unproven("run.collect-error"),
        files={ONE_FILE: gate_module('gate.measure("v", 1)\nyield')},
        modes=VARIANT,
        reduced=INSIDE,
    ),
    _gate("measured-another-name", "a typing mistake in the measurement's name", 'gate.measure("w", 1)'),
    _gate(
        "unjudged",
        "a measurement that no limit judges",
        'gate.measure("v", 1)\ngate.measure("w", 9)',
        unproven("measurement.unjudged"),
    ),
    _gate(
        "information-only",
        "what the policy limits is recorded as information",
        'gate.measure("v", 5, information=True)',
        red(),
    ),
    LyingRun(
        "information-and-limit-in-code",
        "the only measurement is information; its limit in the code judges nothing",
        ONE,
        unproven("gate.no-measurement"),
        files={TWO_FILE: gate_module('gate.measure("v", 5, information=True, at_most=1)', gate="two")},
        modes=VARIANT,
        reduced=INSIDE,
    ),
    _gate(
        "looser-limit-in-code",
        "the code's limit is looser than the policy's",
        'gate.measure("v", 5, at_most=10)',
        red(),
    ),
    _gate(
        "measured-twice",
        "the same name measured twice: red, then green",
        'gate.measure("v", 5)\ngate.measure("v", 1)',
        red("measurement.duplicate"),
    ),
    _gate(
        "measured-twice-green",
        "the same name measured twice, both green",
        'gate.measure("v", 1)\ngate.measure("v", 1)',
        unproven("measurement.duplicate"),
    ),
    _gate(
        "refused-measurement-swallowed",
        "measure() refused the call and the gate went on",
        'try:\n    gate.measure("v", 5, unit="")\nexcept Exception:\n    gate.measure("v", 1)',
        unproven("gate.record-incomplete"),
    ),
    _gate(
        "list-emptied",
        "the gate empties the list of its measurements",
        'gate.measure("v", 5)\ngate.measurements.clear()\ngate.measure("v", 1)',
        unproven("gate.record-incomplete"),
    ),
    _gate("unit-refused", "a unit with a blank", 'gate.measure("v", 1, unit="1 ")', unproven("gate.error")),
    _gate(
        "two-limits-in-code",
        "two limits in one call",
        'gate.measure("v", 1, at_most=1, at_least=0)',
        unproven("gate.error"),
    ),
    LyingRun(
        "measured-at-teardown",
        "a fixture measures red while it is torn down: the call was green",
        ONE,
        red(),
        files={
            ONE_FILE: gate_module(
                GREEN,
                args="gate, late",
                top="@pytest.fixture\ndef late(gate):\n    yield\n    gate.measure('w', 9, at_most=1)\n",
            )
        },
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "measured-for-another",
        "the second gate measures into the first one's fixture",
        TWO,
        UNMEASURED,
        files={
            TWO_FILE: None,
            ONE_FILE: """
            import pytest
            pytestmark = pytest.mark.preflight
            KEPT = []

            @pytest.mark.gate("one")
            def test_one(gate):
                KEPT.append(gate)
                gate.measure("v", 1)

            @pytest.mark.gate("two")
            def test_two(gate):
                (KEPT or [gate])[0].measure("w", 1) if KEPT else None
            """,
        },
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "mocked-gate-fixture",
        "a conftest replaces the gate fixture by a mock",
        ONE,
        UNMEASURED,
        files={
            "conftest.py": "import pytest\nfrom unittest.mock import Mock\n\n@pytest.fixture\ndef gate():\n    return Mock()\n"
        },
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "python-O",
        "python -O: asserts are gone",
        ONE,
        unproven("run.asserts-off"),
        files=_HELPER,
        python=("-O",),
        by_mode=dict.fromkeys((*SUPERVISED, Mode.ALONE_N2), red("gate.failed")),
    ),
    LyingRun(
        "pythonoptimize",
        "PYTHONOPTIMIZE=1: asserts are gone",
        ONE,
        unproven("run.asserts-off"),
        files=_HELPER,
        env={"PYTHONOPTIMIZE": "1"},
        by_mode=dict.fromkeys(SUPERVISED, red("gate.failed")),
    ),
    LyingRun(
        "pythonoptimize-green",
        "PYTHONOPTIMIZE=2 over gates that need no assert",
        ONE,
        unproven("run.asserts-off"),
        env={"PYTHONOPTIMIZE": "2"},
        by_mode=dict.fromkeys(SUPERVISED, truly_go("the supervisor strips PYTHON* from its child")),
        modes=VARIANT,
        reduced="pythonoptimize runs in all four modes",
    ),
    LyingRun(
        "assert-plain",
        "--assert=plain: asserts still fire, and the engine compares by itself",
        ONE,
        red(),
        files={ONE_FILE: gate_module('gate.measure("v", 5)\nassert True')},
        args=("--assert=plain",),
        modes=VARIANT,
        reduced=INSIDE,
    ),
    LyingRun(
        "optimize-in-worker",
        "a worker's conftest re-reads its module with asserts off; the engine compares by itself",
        ONE,
        red(),
        files={
            ONE_FILE: gate_module(
                'exec(compile("assert False", "x", "exec", optimize=1))\ngate.measure("v", 5)'
            )
        },
        modes=IN_PROCESS,
        reduced=INSIDE,
    ),
)
