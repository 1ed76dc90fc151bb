"""Processes that end, die, hang, fork or are interrupted in the middle of a gate."""

from __future__ import annotations

import signal

from tests.false_go.harness import (
    ALL,
    ENDS,
    IN_PROCESS,
    NO_WORKERS,
    SUPERVISED,
    WORKERS,
    Expect,
    LyingRun,
    Mode,
    gate_module,
    killed,
    red,
    refused,
    unproven,
    unseen,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED, TWO, TWO_FILE

GONE = "the process ended itself: nothing of the engine is left to give an exit code"
AT_EXIT = "the verdict is told and NO-GO is sealed; then the interpreter's own end is replaced"
NO_RUNNER = "a worker's exit is xdist's to see, see the -n 2 modes"
ONE_PROCESS = "under xdist a signal to a worker is a crash of that worker: see worker-killed"
CRASHED = dict.fromkeys(WORKERS, unproven("run.worker-crashed"))
TIMEOUT = unproven("gate.timeout")

_SLOW = '@pytest.mark.gate("one", timeout=0.5)'


def _slow(
    name: str,
    why: str,
    body: str,
    *,
    modes: tuple[Mode, ...] = ENDS,
    args: tuple[str, ...] = (),
    plugins: tuple[str, ...] = (),
) -> LyingRun:
    text = gate_module(body, top="import time\n").replace('@pytest.mark.gate("one")', _SLOW)
    return LyingRun(
        name,
        why,
        ONE,
        TIMEOUT,
        files={ONE_FILE: text},
        modes=modes,
        args=args,
        plugins=plugins,
        reduced=""
        if modes == ALL
        else "the clock runs in the process of the gate; slow-sleep runs in all four modes",
    )


LIES = (
    LyingRun(
        "os-exit-gate",
        "os._exit(0) in a gate",
        TWO,
        unproven("run.journal-incomplete"),
        files={ONE_FILE: gate_module("import os\ngate.measure('v', 1)\nos._exit(0)")},
        by_mode={Mode.ALONE: unseen(GONE), **CRASHED},
    ),
    LyingRun(
        "os-exit-as-promised",
        "os._exit(11) in a gate: the very status that a supervised child ends with",
        ONE,
        unproven("run.journal-incomplete"),
        files={ONE_FILE: gate_module("import os\ngate.measure('v', 1)\nos._exit(11)")},
        by_mode={Mode.ALONE: Expect(frozenset({11}))},
        modes=NO_WORKERS,
        reduced=NO_RUNNER,
    ),
    LyingRun(
        "os-exit-fixture",
        "os._exit(0) in a fixture's teardown",
        ONE,
        unproven("run.journal-incomplete"),
        files={
            ONE_FILE: gate_module(
                GREEN,
                args="gate, last",
                top="import os\n@pytest.fixture\ndef last():\n    yield\n    os._exit(0)\n",
            )
        },
        by_mode={Mode.ALONE: unseen(GONE), **CRASHED},
        modes=ENDS,
        reduced="os-exit-gate runs in all four modes",
    ),
    LyingRun(
        "os-exit-collection",
        "os._exit(0) while the gates are imported",
        TWO,
        unproven("run.journal-incomplete"),
        files={TWO_FILE: "import os\nos._exit(0)\n"},
        by_mode={
            Mode.ALONE: unseen(GONE),
            Mode.ALONE_N2: unproven("run.worker-crashed"),
            Mode.SUPERVISED_N2: unproven("run.worker-crashed"),
        },
    ),
    LyingRun(
        "os-exit-conftest",
        "os._exit(0) while the conftest is imported",
        ONE,
        unproven("run.journal-incomplete"),
        files={"conftest.py": "import os\nos._exit(0)\n"},
        by_mode=dict.fromkeys(IN_PROCESS, unseen(GONE)),
    ),
    LyingRun(
        "sys-exit-conftest",
        "sys.exit(0) while the conftest is imported",
        ONE,
        unproven("run.journal-incomplete"),
        files={"conftest.py": "import sys\nsys.exit(0)\n"},
        by_mode=dict.fromkeys(IN_PROCESS, refused(4)),
    ),
    LyingRun(
        "sys-exit-collection",
        "sys.exit(0) while a gate's file is imported",
        TWO,
        unproven("run.internal-error"),
        files={TWO_FILE: "import sys\nsys.exit(0)\n"},
    ),
    LyingRun(
        "sys-exit-gate",
        "sys.exit(0) in a gate",
        ONE,
        unproven("gate.error"),
        files={ONE_FILE: gate_module("import sys\ngate.measure('v', 1)\nsys.exit(0)")},
    ),
    LyingRun(
        "atexit",
        "an atexit handler with os._exit(0)",
        ONE,
        red("run.exit-status"),
        files={
            "conftest.py": "import atexit, os\natexit.register(os._exit, 0)\n",
            ONE_FILE: gate_module(RED),
        },
        by_mode=dict.fromkeys(IN_PROCESS, unseen(AT_EXIT, code="limit.broken")),
    ),
    LyingRun(
        "atexit-in-gate",
        "an atexit handler that a gate leaves",
        ONE,
        red("run.exit-status"),
        files={
            ONE_FILE: gate_module("import atexit, os\natexit.register(os._exit, 0)\ngate.measure('v', 5)")
        },
        by_mode={Mode.ALONE: unseen(AT_EXIT, code="limit.broken")},
        modes=NO_WORKERS,
        reduced=NO_RUNNER,
    ),
    LyingRun(
        "late-thread-exits",
        "a thread that outlives pytest and ends the process with 0",
        ONE,
        red("run.exit-status"),
        files={
            "conftest.py": "import os, threading\n\ndef last():\n    threading.main_thread().join()\n    os._exit(0)\n\nthreading.Thread(target=last).start()\n",
            ONE_FILE: gate_module(RED),
        },
        by_mode={Mode.ALONE: unseen(AT_EXIT, code="limit.broken")},
        modes=NO_WORKERS,
        reduced="a worker's threads end with it",
    ),
    LyingRun(
        "early-thread-exits",
        "a thread ends the process with 0 while the gates still run",
        TWO,
        unproven("run.journal-incomplete"),
        files={
            TWO_FILE: gate_module(
                "import os, threading, time\nthreading.Timer(0.2, os._exit, (0,)).start()\ntime.sleep(5)\ngate.measure('v', 1)",
                gate="two",
            )
        },
        by_mode={Mode.ALONE: unseen(GONE)},
        modes=NO_WORKERS,
        reduced="under xdist it is os-exit-gate",
    ),
    LyingRun(
        "killed",
        "SIGKILL in a gate, as the out-of-memory killer sends it",
        TWO,
        unproven("run.journal-incomplete"),
        files={ONE_FILE: gate_module("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")},
        by_mode={Mode.ALONE: killed(), **CRASHED},
    ),
    LyingRun(
        "killed-after-all",
        "SIGKILL after the last gate",
        ONE,
        unproven("run.journal-incomplete"),
        files={
            "conftest.py": "import os, signal, pytest\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session):\n    if not hasattr(session.config, 'workerinput'):\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        },
        by_mode=dict.fromkeys(IN_PROCESS, killed()) | dict.fromkeys(SUPERVISED, unproven("run.exit-status")),
    ),
    LyingRun(
        "terminated",
        "SIGTERM in a gate, as CI sends it when a job is cancelled",
        TWO,
        unproven("run.journal-incomplete"),
        files={
            ONE_FILE: gate_module(
                "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)"
            )
        },
        by_mode={Mode.ALONE: killed(signal.SIGTERM)},
        modes=NO_WORKERS,
        reduced=ONE_PROCESS,
    ),
    LyingRun(
        "segfault",
        "a crash of the interpreter in a gate",
        TWO,
        unproven("run.journal-incomplete"),
        files={ONE_FILE: gate_module("import ctypes\nctypes.string_at(0)")},
        by_mode={Mode.ALONE: killed(signal.SIGSEGV), **CRASHED},
        modes=ENDS,
        reduced="`killed` runs in all four modes",
    ),
    LyingRun(
        "supervisor-killed",
        "a gate kills the supervising parent",
        ONE,
        killed(),
        files={
            ONE_FILE: gate_module(
                "import os, signal\ngate.measure('v', 1)\nos.kill(os.getppid(), signal.SIGKILL)"
            )
        },
        modes=(Mode.SUPERVISED,),
        reduced="only this mode has a parent of its own",
    ),
    LyingRun(
        "supervisor-terminated",
        "a gate sends its parent SIGTERM",
        ONE,
        unproven("run.interrupted"),
        files={
            ONE_FILE: gate_module(
                "import os, signal, time\ngate.measure('v', 1)\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(1)"
            )
        },
        modes=(Mode.SUPERVISED,),
        reduced="only this mode has a parent of its own",
    ),
    LyingRun(
        "keyboard-interrupt",
        "KeyboardInterrupt in a gate",
        TWO,
        unproven("run.interrupted"),
        files={ONE_FILE: gate_module("gate.measure('v', 1)\nraise KeyboardInterrupt")},
    ),
    LyingRun(
        "sigint",
        "SIGINT (control-C) after a green measurement",
        TWO,
        unproven("run.interrupted"),
        files={
            ONE_FILE: gate_module(
                "import os, signal\ngate.measure('v', 1)\nos.kill(os.getpid(), signal.SIGINT)"
            )
        },
        modes=NO_WORKERS,
        reduced=ONE_PROCESS,
    ),
    LyingRun(
        "maxfail",
        "-x with a red first gate: the second is not run",
        TWO,
        red(),
        files={ONE_FILE: gate_module(RED)},
        args=("-x",),
    ),
    LyingRun(
        "maxfail-not-run",
        "-x after a plain failure: the gate is not run",
        ONE,
        unproven("gate.not-run"),
        files={
            "gates/test_a.py": "import pytest\n\n@pytest.mark.preflight\ndef test_a():\n    assert False\n"
        },
        args=("-x",),
        modes=NO_WORKERS,
        reduced="under xdist the gate may have been run by then",
    ),
    _slow(
        "slow-sleep", "a gate sleeps beyond its time limit", "time.sleep(30)\ngate.measure('v', 1)", modes=ALL
    ),
    _slow(
        "slow-except-exception",
        "a gate catches Exception and goes on",
        "end = time.monotonic() + 1.2\nwhile time.monotonic() < end:\n    try:\n        time.sleep(1)\n    except Exception:\n        pass\ngate.measure('v', 1)",
    ),
    _slow(
        "slow-except-base",
        "a gate catches BaseException and goes on",
        "end = time.monotonic() + 1.2\nwhile time.monotonic() < end:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass\ngate.measure('v', 1)",
    ),
    _slow(
        "slow-no-alarm",
        "a gate switches the alarm off",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\ntime.sleep(0.8)\ngate.measure('v', 1)",
    ),
    _slow(
        "slow-ignores-alarm",
        "a gate ignores the alarm",
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\ntime.sleep(0.8)\ngate.measure('v', 1)",
    ),
    LyingRun(
        "slow-teardown",
        "a fixture's teardown takes longer than the gate may",
        ONE,
        TIMEOUT,
        files={
            ONE_FILE: gate_module(
                GREEN,
                args="gate, late",
                top="import time\n@pytest.fixture\ndef late():\n    yield\n    time.sleep(30)\n",
            ).replace('@pytest.mark.gate("one")', _SLOW)
        },
        modes=ENDS,
        reduced="slow-sleep runs in all four modes",
    ),
    LyingRun(
        "pytest-timeout",
        "pytest-timeout ends the gate first",
        ONE,
        red("gate.failed"),
        files={ONE_FILE: gate_module("import time\ngate.measure('v', 1)\ntime.sleep(30)")},
        args=("--timeout=0.5",),
        plugins=("timeout",),
        modes=ENDS,
        reduced="slow-sleep runs in all four modes",
    ),
    LyingRun(
        "run-deadline",
        "the whole run takes longer than the policy allows",
        ONE,
        unproven("gate.timeout"),
        files={ONE_FILE: gate_module("import time\ntime.sleep(30)\ngate.measure('v', 1)")},
        policy={**ONE.policy, "defaults": {"run_deadline_s": 3}},
    ),
    LyingRun(
        "run-deadline-swallowed",
        "a gate that nothing inside of its process can end",
        ONE,
        unproven("run.deadline"),
        files={
            ONE_FILE: gate_module(
                "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nend = time.monotonic() + 60\nwhile time.monotonic() < end:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\ngate.measure('v', 1)"
            )
        },
        policy={**ONE.policy, "defaults": {"run_deadline_s": 3}},
        modes=(Mode.SUPERVISED,),
        reduced="in-process it runs its 60 seconds: only a supervising parent can end it",
    ),
    LyingRun(
        "fork-returns",
        "a gate forks, and the copy goes on as if it were the run",
        TWO,
        unproven("run.forked"),
        files={ONE_FILE: gate_module("import os\nif os.fork():\n    os.wait()\ngate.measure('v', 1)")},
    ),
    LyingRun(
        "fork-copy-passes",
        "a gate forks: the copy passes, the original fails afterwards",
        ONE,
        red("run.forked"),
        files={
            ONE_FILE: gate_module(
                "import os\ngate.measure('v', 1)\nif os.fork():\n    os.wait()\n    assert False"
            )
        },
    ),
    LyingRun(
        "fork-parent-dies",
        "a gate forks and the parent ends with 0: only the copy goes on",
        TWO,
        unproven("run.journal-incomplete"),
        files={ONE_FILE: gate_module("import os\ngate.measure('v', 1)\nif os.fork():\n    os._exit(0)")},
        by_mode={Mode.ALONE: unseen(GONE)},
        modes=NO_WORKERS,
        reduced="under xdist it is a crash of the worker",
    ),
    LyingRun(
        "daemon-left-behind",
        "a gate leaves a process behind that writes a report later",
        ONE,
        red(),
        files={ONE_FILE: gate_module(f"import subprocess\nsubprocess.Popen(['sleep', '30'])\n{RED}")},
        modes=ENDS,
        reduced="the process has nothing to do with how the gate is run",
    ),
    LyingRun(
        "stdout-closed",
        "a red gate closes standard output and error",
        ONE,
        red(),
        files={ONE_FILE: gate_module(f"import os\nos.close(1)\nos.close(2)\n{RED}")},
        args=("-s",),
        # Python itself ends with 120 when it cannot flush its output.
        by_mode={Mode.ALONE: Expect(frozenset({120}), "limit.broken")},
        modes=NO_WORKERS,
        reduced="a worker's output is xdist's",
    ),
)
