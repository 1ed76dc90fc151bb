"""Conftest hooks that make something of a red gate, and of the end of a run."""

from __future__ import annotations

from tests.false_go.harness import (
    ALL,
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
    unproven,
    unseen,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, PREPARED, RED

BODY_FAILS = 'gate.measure("v", 1)\nassert False, "measured green, and asserts"'
ONE_HOOK = "the hook runs where the gate runs; its sibling wrappers run in all four modes"
NOT_ON_CONTROLLER = (
    "under xdist the controller runs no gate, and the hook would run in a worker that ends by itself"
)
GONE = "the process ended itself: nothing of the engine is left to give an exit code"


def _conftest(
    name: str,
    why: str,
    conftest: str,
    expect: Expect,
    *,
    body: str = BODY_FAILS,
    modes: tuple[Mode, ...] = PAIR,
    reduced: str = ONE_HOOK,
    by_mode: dict[Mode, Expect] | None = None,
    where: str = "conftest.py",
    planted: str | None = None,
) -> LyingRun:
    text = f"import os\nimport sys\n\nimport pytest\n\n{conftest}"
    return LyingRun(
        name,
        why,
        ONE,
        expect,
        files={where: text, ONE_FILE: planted or gate_module(body)},
        modes=modes,
        reduced="" if modes == ALL else reduced,
        by_mode=by_mode or {},
    )


_SWALLOW_CALL = """
@pytest.hookimpl(wrapper=True{first})
def pytest_runtest_call(item):
    try:
        return (yield)
    except BaseException:
        return None
"""

_REPORT_PASSED = """
@pytest.hookimpl(wrapper=True{first})
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    report.longrepr = None
    return report
"""

LIES = (
    _conftest(
        "pyfunc-call",
        "pytest_pyfunc_call says that it ran the gate",
        "def pytest_pyfunc_call():\n    return True\n",
        unproven("limit.unmeasured"),
        modes=ALL,
    ),
    _conftest(
        "pyfunc-call-swallows",
        "a wrapper of pytest_pyfunc_call swallows what the gate raised",
        "@pytest.hookimpl(wrapper=True, trylast=True)\ndef pytest_pyfunc_call():\n    try:\n        yield\n    except BaseException:\n        pass\n    return True\n",
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "runtest-call-swallows",
        "a wrapper of pytest_runtest_call swallows what the gate raised",
        _SWALLOW_CALL.format(first=""),
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "runtest-call-swallows-first",
        "the same, before every other plugin",
        _SWALLOW_CALL.format(first=", tryfirst=True"),
        red("gate.failed"),
    ),
    _conftest(
        "runtest-call-swallows-in-folder",
        "the same, in a conftest that is loaded during collection",
        _SWALLOW_CALL.format(first=", tryfirst=True"),
        red("gate.failed"),
        where="gates/conftest.py",
    ),
    _conftest(
        "runtest-call-swallows-red",
        "the same, over a gate that measures red",
        _SWALLOW_CALL.format(first=", tryfirst=True"),
        red(),
        body=RED,
        where="gates/conftest.py",
    ),
    LyingRun(
        "runtest-setup-swallows",
        "a wrapper of pytest_runtest_setup swallows a fixture's failure, and the gate asks for nothing of it",
        ONE,
        unproven("gate.setup-failed"),
        files={
            "conftest.py": "import pytest\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_setup(item):\n    try:\n        return (yield)\n    except BaseException:\n        return None\n",
            ONE_FILE: gate_module(
                'gate.measure("v", 1)',
                args="gate",
                marks='@pytest.mark.usefixtures("gate", "ground")',
                top="@pytest.fixture\ndef ground():\n    assert False, 'no ground'\n",
            ),
        },
        modes=PAIR,
        reduced=ONE_HOOK,
    ),
    LyingRun(
        "runtest-teardown-swallows",
        "a wrapper of pytest_runtest_teardown swallows a fixture's failure",
        PREPARED,
        unproven("gate.teardown-failed"),
        files={
            "conftest.py": "import pytest\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_teardown(item):\n    try:\n        return (yield)\n    except BaseException:\n        return None\n",
            ONE_FILE: PREPARED.files[ONE_FILE].replace("yield 1", "yield 1\n    assert False, 'left a mess'"),
        },
    ),
    _conftest(
        "makereport-passed",
        "a wrapper of makereport turns failed into passed",
        _REPORT_PASSED.format(first=""),
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "makereport-passed-first",
        "the same, before every other plugin",
        _REPORT_PASSED.format(first=", tryfirst=True"),
        red("gate.failed"),
    ),
    _conftest(
        "makereport-passed-in-folder",
        "the same, in a conftest that is loaded during collection",
        _REPORT_PASSED.format(first=", tryfirst=True"),
        red("gate.failed"),
        where="gates/conftest.py",
    ),
    _conftest(
        "makereport-passed-red",
        "the same, over a gate that measures red",
        _REPORT_PASSED.format(first=", tryfirst=True"),
        red(),
        body=RED,
        where="gates/conftest.py",
    ),
    _conftest(
        "makereport-skipped",
        "a wrapper of makereport turns a failure into a skip",
        _REPORT_PASSED.format(first=", tryfirst=True").replace('"passed"', '"skipped"'),
        unproven("gate.skipped"),
    ),
    _conftest(
        "makereport-wasxfail",
        "a wrapper of makereport turns a failure into an expected one",
        _REPORT_PASSED.format(first=", tryfirst=True").replace(
            "report.longrepr = None", 'report.wasxfail = ""'
        ),
        unproven("gate.xfailed"),
    ),
    _conftest(
        "makereport-own",
        "makereport returns a report of its own making",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_makereport(item, call):\n    yield\n    call.excinfo = None\n    return pytest.TestReport.from_item_and_call(item, call)\n",
        red("gate.altered"),
    ),
    _conftest(
        "logreport-passed",
        "pytest_runtest_logreport rewrites the outcome before anybody counts it",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report):\n    report.outcome = 'passed'\n    report.longrepr = None\n",
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "teststatus-passed",
        "pytest_report_teststatus shows every gate as passed",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_report_teststatus(report):\n    return 'passed', '.', 'PASSED'\n",
        red("gate.failed"),
    ),
    _conftest(
        "runtest-protocol",
        "pytest_runtest_protocol says that it ran the gate",
        "def pytest_runtest_protocol():\n    return True\n",
        unproven("gate.not-run"),
        modes=ALL,
    ),
    _conftest(
        "runtest-protocol-forges",
        "pytest_runtest_protocol sends reports of a run that never was",
        """
def pytest_runtest_protocol(item):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for when in ("setup", "call", "teardown"):
        item.ihook.pytest_runtest_logreport(report=pytest.TestReport(item.nodeid, item.location, {}, "passed", None, when))
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
""",
        unproven("gate.phase-missing"),
        modes=ALL,
    ),
    _conftest(
        "runtest-protocol-until-green",
        "pytest_runtest_protocol repeats a gate until it passes and shows the last attempt alone",
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(3):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        item._initrequest()
        if all(r.passed for r in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
""",
        unproven("gate.rerun"),
        planted=gate_module(
            "TRIES.append(1)\ngate.measure('v', 1 if len(TRIES) > 1 else 5)", top="TRIES = []\n"
        ),
        modes=ALL,
    ),
    _conftest(
        "runtestloop",
        "pytest_runtestloop says that it ran everything",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session):\n    return True\n",
        unproven("gate.not-run"),
        modes=NO_WORKERS,
        reduced="under xdist the scheduler is the loop: see runtestloop-controller",
    ),
    _conftest(
        "runtestloop-controller",
        "the controller's pytest_runtestloop says that all workers are done",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(session):\n    return None if hasattr(session.config, 'workerinput') else True\n",
        unproven("gate.not-collected"),
        modes=(Mode.ALONE_N2, Mode.SUPERVISED_N2),
        reduced="alone it is runtestloop",
    ),
    _conftest(
        "sessionfinish-status",
        "pytest_sessionfinish sets the exit status to 0",
        "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "sessionfinish-status-last",
        "the same, after every other plugin",
        "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
        red("gate.failed"),
    ),
    _conftest(
        "sessionfinish-status-wrapper",
        "the same, around every other plugin",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0\n",
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "sessionfinish-exit",
        "pytest.exit(returncode=0) at the end of the session",
        "def pytest_sessionfinish(session):\n    pytest.exit('done', returncode=0)\n",
        red("gate.failed"),
        by_mode={Mode.ALONE: red("run.internal-error")},
    ),
    _conftest(
        "sessionfinish-raises-green",
        "a plugin crashes at the end of a green session: what it should have written is missing",
        "def pytest_sessionfinish(session):\n    raise OSError('disk full')\n",
        unproven("run.exit-status"),
        body=GREEN,
        by_mode={Mode.ALONE: unproven("run.internal-error")},
    ),
    _conftest(
        "sessionfinish-os-exit",
        "os._exit(0) at the end of the session",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session):\n    os._exit(0)\n",
        unproven("run.exit-status"),
        by_mode={
            Mode.ALONE: unseen(GONE),
            Mode.ALONE_N2: unseen(GONE),
            Mode.SUPERVISED: red("run.exit-status"),
        },
        modes=ALL,
    ),
    _conftest(
        "unconfigure-os-exit",
        "os._exit(0) when pytest is done",
        "def pytest_unconfigure():\n    sys.stdout.flush()\n    os._exit(0)\n",
        unproven("run.exit-status"),
        by_mode=dict.fromkeys(IN_PROCESS, unseen(GONE)) | dict.fromkeys(SUPERVISED, red("run.exit-status")),
        modes=ALL,
    ),
    _conftest(
        "exit-configure",
        "pytest.exit(returncode=0) in pytest_configure",
        "def pytest_configure(config):\n    pytest.exit('x', returncode=0)\n",
        unproven("gate.not-collected"),
        by_mode={Mode.ALONE: Expect(frozenset({11})), Mode.ALONE_N2: Expect(frozenset({11}))},
        modes=ALL,
    ),
    _conftest(
        "exit-sessionstart",
        "pytest.exit(returncode=0) in pytest_sessionstart",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionstart(session):\n    pytest.exit('x', returncode=0)\n",
        unproven("gate.not-collected"),
        by_mode={Mode.ALONE: Expect(frozenset({11}))},
    ),
    _conftest(
        "exit-collection",
        "pytest.exit(returncode=0) in pytest_collection_modifyitems",
        "def pytest_collection_modifyitems(items):\n    pytest.exit('x', returncode=0)\n",
        unproven("gate.not-run"),
        modes=NO_WORKERS,
        reduced=NOT_ON_CONTROLLER,
    ),
    _conftest(
        "exit-gate",
        "pytest.exit(returncode=0) in a gate",
        "",
        unproven("run.interrupted"),
        body="gate.measure('v', 1)\npytest.exit('x', returncode=0)",
        modes=NO_WORKERS,
        reduced=NOT_ON_CONTROLLER,
    ),
    _conftest(
        "exit-setup",
        "pytest.exit(returncode=0) in pytest_runtest_setup",
        "def pytest_runtest_setup():\n    pytest.exit('x', returncode=0)\n",
        unproven("run.interrupted"),
        modes=NO_WORKERS,
        reduced=NOT_ON_CONTROLLER,
    ),
    _conftest(
        "exit-logreport",
        "pytest.exit(returncode=0) when the first failure is reported",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report):\n    if report.failed:\n        pytest.exit('x', returncode=0)\n",
        unproven("run.interrupted"),
        modes=NO_WORKERS,
        reduced=NOT_ON_CONTROLLER,
    ),
    _conftest(
        "cmdline-main",
        "pytest_cmdline_main returns 0 and runs nothing",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_cmdline_main(config):\n    return 0\n",
        unproven("run.journal-incomplete"),
        by_mode=dict.fromkeys(IN_PROCESS, Expect(frozenset({11}))),
        modes=ALL,
    ),
    _conftest(
        "cmdline-main-wrapper",
        "a wrapper of pytest_cmdline_main returns 0",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main(config):\n    yield\n    return 0\n",
        red("gate.failed"),
        modes=ALL,
    ),
    _conftest(
        "cmdline-main-exits",
        "a wrapper of pytest_cmdline_main raises SystemExit(0)",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main(config):\n    yield\n    sys.exit(0)\n",
        red("gate.failed"),
    ),
    _conftest(
        "markexpr-cleared",
        "a conftest clears the marker expression: a plain run leaves the gates out",
        "def pytest_configure(config):\n    config.option.markexpr = ''\n\n",
        red("gate.failed"),
        planted=gate_module(BODY_FAILS) + "\n\ndef test_plain():\n    pass\n",
        by_mode=dict.fromkeys(IN_PROCESS, refused(4)),
        modes=ALL,
    ),
    _conftest(
        "workerinput-forged",
        "a conftest says that this process is an xdist worker",
        "def pytest_configure(config):\n    if not hasattr(config, 'workerinput'):\n        config.workerinput = {'workerid': 'gw9'}\n",
        unproven("run.journal-incomplete"),
        planted=gate_module(GREEN) + "\n\ndef test_plain():\n    pass\n",
        by_mode={Mode.ALONE: Expect(frozenset({11}))},
        modes=NO_WORKERS,
        reduced="under xdist the controller would not start its workers",
    ),
    _conftest(
        "plugin-unregistered",
        "a conftest unregisters the engine's plugin",
        "def pytest_configure(config):\n    config.pluginmanager.unregister(name='pytest_cutover')\n",
        unproven("run.journal-incomplete"),
        body="assert True",
        planted=gate_module("assert True", args=""),
        by_mode={Mode.ALONE: Expect(frozenset({11}))},
    ),
    _conftest(
        "part-blocked",
        "a conftest blocks the plugin that ends a run",
        "def pytest_configure(config):\n    config.pluginmanager.set_blocked('cutover-finisher')\n",
        unproven("run.journal-incomplete"),
        body=GREEN,
        by_mode={Mode.ALONE: Expect(frozenset({4}))},
    ),
    LyingRun(
        "warning-error",
        "-W error makes an error of a warning in the gate",
        ONE,
        unproven("gate.error"),
        files={ONE_FILE: gate_module("import warnings\ngate.measure('v', 1)\nwarnings.warn('x')")},
        args=("-W", "error"),
        modes=PAIR,
        reduced=ONE_HOOK,
    ),
    LyingRun(
        "thread-error",
        "-W error makes an error of a thread that died after a green measurement",
        ONE,
        unproven("gate.error"),
        files={
            ONE_FILE: gate_module(
                "import threading\ngate.measure('v', 1)\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()"
            )
        },
        args=("-W", "error"),
        modes=PAIR,
        reduced=ONE_HOOK,
    ),
)
