"""Reruns, subtests, crashed workers and runs inside of runs: the last word is not the only one."""

from __future__ import annotations

from tests.false_go.harness import (
    NO_WORKERS,
    PAIR,
    WORKERS,
    Expect,
    LyingRun,
    Mode,
    gate_module,
    red,
    unproven,
)
from tests.false_go.projects.bases import CLASSIC, GREEN, ONE, ONE_FILE, RED, SUBTESTS, TWO, TWO_FILE

RERUN = unproven("gate.rerun")
CRASHED = unproven("run.worker-crashed")
SUBTEST = "a subtest is reported by the process of its gate; subtest-fails runs in all four modes"
WORKER_ONLY = "only a worker can crash without taking the run with it"

# Red the first time, green the next; the memory is a file, so that it survives a crashed worker.
_FLAKY = """
from pathlib import Path
seen = Path("seen")
first = not seen.exists()
seen.touch()
"""


def _rerun(
    name: str,
    why: str,
    body: str,
    *,
    args: tuple[str, ...] = ("--reruns", "2"),
    marks: str = "",
    ini: str = "",
    modes: tuple[Mode, ...] = PAIR,
) -> LyingRun:
    files = {ONE_FILE: gate_module(_FLAKY + body, marks=marks)}
    if ini:
        files["pytest.ini"] = ini
    return LyingRun(
        name,
        why,
        ONE,
        RERUN,
        files=files,
        args=args,
        plugins=("rerunfailures",),
        modes=modes,
        reduced="" if len(modes) == 4 else "rerun-flaky runs in all four modes",
    )


def _crash(
    name: str, why: str, body: str, *, args: tuple[str, ...] = (), plugins: tuple[str, ...] = ()
) -> LyingRun:
    return LyingRun(
        name,
        why,
        TWO,
        CRASHED,
        files={ONE_FILE: gate_module(_FLAKY + body)},
        args=args,
        plugins=plugins,
        modes=WORKERS,
        reduced=WORKER_ONLY,
    )


def _subtest(name: str, why: str, body: str, expect: Expect, *, modes: tuple[Mode, ...] = PAIR) -> LyingRun:
    return LyingRun(
        name,
        why,
        SUBTESTS,
        expect,
        files={ONE_FILE: gate_module(body, args="gate, subtests")},
        modes=modes,
        reduced="" if len(modes) == 4 else SUBTEST,
    )


def _classic(name: str, why: str, body: str, expect: Expect, *, modes: tuple[Mode, ...] = PAIR) -> LyingRun:
    text = CLASSIC.files[ONE_FILE].replace('self.gate.measure("v", 1)', body)
    return LyingRun(
        name,
        why,
        CLASSIC,
        expect,
        files={ONE_FILE: text},
        modes=modes,
        reduced="" if len(modes) == 4 else SUBTEST,
    )


_NESTED = """
import os, subprocess, sys
environ = {{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}}
done = subprocess.run([sys.executable, "-m", "pytest", "-m", "preflight", "-p", "no:cacheprovider", "inner"], cwd="{cwd}", env=environ, capture_output=True, text=True)
"""

INNER = {
    "inner/configs/policy.json": '{"format": 1, "name": "inner", "version": 1, "default_environment": "sandbox", "plans": {"preflight": {"requires": ["inner"]}}, "limits": {"inner": {"v": {"at_most": 1}}}, "environments": {"sandbox": {"sandbox": true}}}',
    "inner/pytest.ini": "[pytest]\n",
    "inner/inner/test_inner.py": gate_module(GREEN, gate="inner"),
    "pytest.ini": "[pytest]\ntestpaths = gates\n",
}

LIES = (
    _rerun(
        "rerun-flaky",
        "--reruns over a gate that fails, then passes",
        "gate.measure('v', 1)\nassert not first",
        modes=tuple(Mode),
    ),
    _rerun(
        "rerun-red",
        "--reruns over a gate that measures red, then green",
        "gate.measure('v', 5 if first else 1)",
    ),
    _rerun(
        "rerun-mark",
        "@pytest.mark.flaky(reruns=2)",
        "gate.measure('v', 5 if first else 1)",
        args=(),
        marks="@pytest.mark.flaky(reruns=2)",
    ),
    _rerun(
        "rerun-ini",
        "reruns = 2 in the ini file",
        "gate.measure('v', 5 if first else 1)",
        args=(),
        ini="[pytest]\nreruns = 2\n",
    ),
    _rerun(
        "rerun-setup",
        "--reruns over a fixture that fails, then passes",
        "gate.measure('v', 1)\nassert not first",
    ),
    _rerun(
        "rerun-error",
        "--reruns over a source that could not be reached the first time",
        "gate.measure('v', 1)\nif first: raise OSError",
    ),
    _crash(
        "worker-killed",
        "a worker is killed in a gate, and another one goes on",
        "import os, signal\nif first: os.kill(os.getpid(), signal.SIGKILL)\ngate.measure('v', 1)",
    ),
    _crash(
        "worker-exits",
        "a worker ends with 0 in a gate",
        "import os\nif first: os._exit(0)\ngate.measure('v', 1)",
    ),
    _crash(
        "worker-killed-reruns",
        "a worker is killed in a gate, and --reruns runs the gate again",
        "import os, signal\nif first: os.kill(os.getpid(), signal.SIGKILL)\ngate.measure('v', 1)",
        args=("--reruns", "2"),
        plugins=("rerunfailures",),
    ),
    _crash(
        "worker-no-restart",
        "a worker is killed, and --max-worker-restart=0",
        "import os, signal\nif first: os.kill(os.getpid(), signal.SIGKILL)\ngate.measure('v', 1)",
        args=("--max-worker-restart=0",),
    ),
    LyingRun(
        "worker-silent",
        "a worker hands over no list of what it collected",
        ONE,
        unproven("run.workers-disagree"),
        files={
            "conftest.py": "import pytest\n\n@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session):\n    if hasattr(session.config, 'workeroutput'):\n        session.config.workeroutput.pop('cutover', None)\n"
        },
        modes=WORKERS,
        reduced=WORKER_ONLY,
    ),
    LyingRun(
        "workers-disagree",
        "the two workers collect different gates",
        TWO,
        unproven("run.workers-disagree"),
        files={
            "conftest.py": "import os\n\ndef pytest_collection_modifyitems(items):\n    if os.environ.get('PYTEST_XDIST_WORKER') == 'gw1':\n        del items[1:]\n"
        },
        modes=WORKERS,
        reduced=WORKER_ONLY,
    ),
    LyingRun(
        "dist-each",
        "--dist each runs every gate on every worker",
        ONE,
        unproven("gate.rerun"),
        args=("--dist", "each"),
        modes=WORKERS,
        reduced=WORKER_ONLY,
    ),
    LyingRun(
        "red-in-worker",
        "the only red gate runs in one of two workers",
        TWO,
        red(),
        files={TWO_FILE: gate_module(RED, gate="two")},
        modes=WORKERS,
        reduced="`red` runs in all four modes",
    ),
    _subtest(
        "subtest-fails",
        "a subtest fails, the gate goes on and measures green",
        "with subtests.test('a'):\n    assert False\ngate.measure('v', 1)",
        red("gate.subtest-failed"),
        modes=tuple(Mode),
    ),
    _subtest(
        "subtest-errors",
        "a subtest ends with an error",
        "with subtests.test('a'):\n    raise OSError\ngate.measure('v', 1)",
        unproven("gate.error"),
    ),
    _subtest(
        "subtest-skips",
        "a subtest is skipped, the gate is reported as passed",
        "with subtests.test('a'):\n    pytest.skip('x')\ngate.measure('v', 1)",
        unproven("gate.skipped"),
    ),
    _subtest(
        "subtest-xfails",
        "a subtest is expected to fail",
        "with subtests.test('a'):\n    pytest.xfail('x')\ngate.measure('v', 1)",
        unproven("gate.xfailed"),
    ),
    _subtest(
        "subtest-last-green",
        "the first of two subtests fails",
        "with subtests.test('a'):\n    assert False\nwith subtests.test('b'):\n    pass\ngate.measure('v', 1)",
        red("gate.subtest-failed"),
    ),
    _subtest(
        "subtest-swallows-measurement",
        "the measurement fails inside of a subtest",
        "with subtests.test('a'):\n    gate.measure('v', 1, unit='')\ngate.measure('v', 1)",
        unproven("gate.record-incomplete"),
    ),
    _classic(
        "classic-subtest-fails",
        "unittest's subTest fails: the parent is reported as passed",
        "self.gate.measure('v', 1)\n                    self.fail()",
        red("gate.subtest-failed"),
        modes=tuple(Mode),
    ),
    _classic(
        "classic-subtest-skips",
        "unittest's subTest skips",
        "self.gate.measure('v', 1)\n                    self.skipTest('x')",
        unproven("gate.skipped"),
    ),
    _classic(
        "classic-fails",
        "a unittest gate fails after a green measurement",
        "self.gate.measure('v', 1)\n                self.fail()",
        red("gate.failed"),
    ),
    _classic("classic-red", "a unittest gate measures red", "self.gate.measure('v', 5)", red()),
    _classic(
        "classic-errors",
        "a unittest gate ends with an error",
        "self.gate.measure('v', 1)\n                raise OSError",
        unproven("gate.error"),
    ),
    LyingRun(
        "classic-cleanup",
        "a unittest gate's cleanup fails",
        CLASSIC,
        unproven("gate.error"),
        files={
            ONE_FILE: CLASSIC.files[ONE_FILE].replace(
                'self.gate.measure("v", 1)',
                "self.gate.measure('v', 1)\n                self.addCleanup(lambda: 1 / 0)",
            )
        },
        modes=PAIR,
        reduced=SUBTEST,
    ),
    LyingRun(
        "classic-teardown",
        "a unittest gate's tearDown fails",
        CLASSIC,
        unproven("gate.error"),
        files={
            ONE_FILE: CLASSIC.files[ONE_FILE]
            + "\n            def tearDown(self):\n                raise OSError\n"
        },
        modes=PAIR,
        reduced=SUBTEST,
    ),
    LyingRun(
        "nested-run",
        "a red gate runs a green gate run of another project",
        ONE,
        red(),
        files={
            **INNER,
            ONE_FILE: gate_module(
                _NESTED.format(cwd="inner") + "assert done.returncode == 0, done.stdout\n" + RED
            ),
        },
        keyed=True,
    ),
    LyingRun(
        "nested-run-here",
        "a red gate runs the same plan again, with the gate green this time",
        ONE,
        red(),
        files={
            ONE_FILE: gate_module(
                'import os, subprocess, sys\nif "INNER" not in os.environ:\n    subprocess.run([sys.executable, "-m", "pytest", "-m", "preflight", "-p", "no:cacheprovider", "-p", "no:xdist"], env={**os.environ, "INNER": "1"}, capture_output=True)\ngate.measure("v", 1 if "INNER" in os.environ else 5)'
            )
        },
        inner_go=True,
        keyed=True,
    ),
    LyingRun(
        "nested-main",
        "a red gate calls pytest.main for a green project",
        ONE,
        red(),
        files={
            **INNER,
            ONE_FILE: gate_module(
                'import os\nos.chdir("inner")\nstatus = pytest.main(["-m", "preflight", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "inner"])\nos.chdir("..")\nassert status == 0\n'
                + RED
            ),
        },
        modes=NO_WORKERS,
        reduced="pytest.main in a worker is what it is alone",
    ),
)
