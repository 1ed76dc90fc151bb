"""Async gates that begin before their turn, and shared readings: what they hide, or somebody makes of them."""

from __future__ import annotations

from textwrap import dedent, indent

from tests.false_go.harness import (
    ALL,
    ENDS,
    NO_WORKERS,
    PAIR,
    Expect,
    LyingRun,
    Mode,
    policy,
    red,
    unproven,
    unseen,
)
from tests.false_go.projects.bases import AWAITED, ONE_FILE

ONE_HOOK = "the hook runs where the gate runs"
NO_OVERLAP = "in workers no gate begins before its turn"
GONE = "the process ended itself: nothing of the engine is left to give an exit code"


SHORT = policy("one", "two", settings={"gate_timeout_s": 1})


def gates(one: str, *, top: str = "", args: str = "gate") -> str:
    """Two async gates, of which the second is green."""
    body = indent(dedent(one).strip(), "    ")
    return (
        f"import asyncio\nimport pytest\n{dedent(top)}\npytestmark = pytest.mark.preflight\n\n"
        f'@pytest.mark.gate("one")\nasync def test_one({args}):\n{body}\n\n'
        '@pytest.mark.gate("two")\nasync def test_two(gate):\n    gate.measure("v", 1)\n'
    )


def _lie(
    name: str,
    why: str,
    one: str,
    expect: Expect,
    *,
    top: str = "",
    args: str = "gate",
    conftest: str | None = None,
    modes: tuple[Mode, ...] = PAIR,
    reduced: str = ONE_HOOK,
    by_mode: dict[Mode, Expect] | None = None,
    options: tuple[str, ...] = (),
    changed: dict[str, object] | None = None,
) -> LyingRun:
    files = {ONE_FILE: gates(one, top=top, args=args)}
    return LyingRun(
        name,
        why,
        AWAITED,
        expect,
        files=files if conftest is None else files | {"conftest.py": conftest},
        policy=changed,
        args=options,
        modes=modes,
        reduced="" if modes == ALL else reduced,
        by_mode=by_mode or {},
    )


LIES = (
    _lie(
        "early-body-swallowed",
        "the body measured green before its turn and then failed; a conftest says that it ran the gate",
        'gate.measure("v", 1)\nawait asyncio.sleep(0)\nassert False',
        unproven("limit.unmeasured"),
        conftest="""
        import pytest

        class Late:
            @pytest.hookimpl(tryfirst=True)
            def pytest_pyfunc_call(self, pyfuncitem):
                return True if pyfuncitem.name == "test_one" else None

        def pytest_runtest_setup(item):
            if not item.config.pluginmanager.has_plugin("late"):
                item.config.pluginmanager.register(Late(), "late")
        """,
        modes=ALL,
    ),
    _lie(
        "early-body-wrapped",
        "a conftest's wrapper swallows what the body raised",
        'gate.measure("v", 1)\nassert False, "measured green, and asserts"',
        red("gate.failed"),
        conftest="""
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_pyfunc_call(pyfuncitem):
            try:
                return (yield)
            except BaseException:
                return True
        """,
        modes=ALL,
    ),
    _lie(
        "early-body-red",
        "a red gate that has long ended when its turn comes",
        'gate.measure("v", 5)',
        red(),
        modes=ALL,
    ),
    _lie(
        "never-awaited",
        "a coroutine that measures is made and never awaited",
        "async def look():\n    gate.measure('v', 1)\nlook().close()",
        unproven("limit.unmeasured"),
        reduced="the same in every mode",
    ),
    _lie(
        "measured-after-the-end",
        "a task measures when its gate has ended",
        "async def later():\n    await asyncio.sleep(0.2)\n    gate.measure('v', 1)\nasyncio.create_task(later())",
        unproven("limit.unmeasured"),
        reduced="the same in every mode",
    ),
    _lie(
        "gathered-and-ignored",
        "what failed in gather(return_exceptions=True) is never looked at, and nothing is measured",
        "async def look():\n    raise OSError('down')\nawait asyncio.gather(look(), return_exceptions=True)",
        unproven("limit.unmeasured"),
        reduced="the same in every mode",
    ),
    _lie(
        "cancelled-by-x",
        "-x ends the run before the gate's turn, although its body measured green",
        'gate.measure("v", 5)',
        red("gate.cancelled"),
        options=("-x",),
        modes=NO_WORKERS,
        reduced=NO_OVERLAP,
    ),
    _lie(
        "timeout-swallowed",
        "the body swallows the end of its time and measures green",
        "try:\n    await asyncio.sleep(30)\nexcept BaseException:\n    gate.measure('v', 1)",
        unproven("gate.timeout"),
        changed=SHORT,
        reduced="the same in every mode",
    ),
    _lie(
        "loop-killed",
        "a body stops the event loop under the others",
        "gate.measure('v', 1)\nasyncio.get_running_loop().stop()\nawait asyncio.sleep(60)",
        unproven("gate.timeout"),
        changed=SHORT,
        reduced="the same in every mode",
    ),
    _lie(
        "async-os-exit",
        "os._exit(0) in an async gate, on the thread of the loop",
        "import os\ngate.measure('v', 1)\nos._exit(0)",
        unproven("run.journal-incomplete"),
        by_mode={Mode.ALONE: unseen(GONE)},
        modes=NO_WORKERS,
        reduced=NO_OVERLAP,
    ),
    _lie(
        "reading-nan",
        "a shared reading is NaN",
        'gate.measure("v", shared)',
        unproven("measurement.invalid"),
        top="""
        from pytest_cutover import reading

        @reading
        def shared():
            return float("nan")
        """,
        args="gate, shared",
        modes=ALL,
    ),
    _lie(
        "reading-raises",
        "a shared reading that failed, in a gate that measures something else",
        'gate.measure("v", 1)',
        unproven("gate.setup-failed"),
        top="""
        from pytest_cutover import reading

        @reading
        async def shared():
            raise OSError("down")
        """,
        args="gate, shared",
        modes=ALL,
    ),
    _lie(
        "reading-stale",
        "a shared reading that was taken long before it was measured from",
        'await asyncio.sleep(1.5)\ngate.measure("v", shared)',
        unproven("measurement.stale"),
        top="""
        from pytest_cutover import reading

        @reading
        def shared():
            return 1
        """,
        args="gate, shared",
        changed=policy(
            "one", "two", limits={"one": {"v": {"at_most": 1, "max_age_s": 1}}, "two": {"v": {"at_most": 1}}}
        ),
        modes=ENDS,
        reduced="the same in every mode",
    ),
)
