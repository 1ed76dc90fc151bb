"""What no runner can see, and what stands against it: the material of the trust model page.

Code that runs as a gate, or in front of the engine, in the same process can do all that the engine can.
Each row says what came of it when it was tried: the exit status, and the verdict of the report if
there is one. A row whose outcome gets better belongs into the table of `projects`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.false_go.harness import Expect, LyingRun, Mode, gate_module
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED
from tests.false_go.projects.journal import FIND

PINNED = "pin the digest of the gate code in the signed policy, and review what it pins"
ADMIT = "let the deploy step ask `cutover admit`; an exit status is a courtesy"
_ANY = Expect(frozenset())


@dataclass(frozen=True)
class Beyond:
    """One way around the engine: what comes of it under each runner, and the measure against it."""

    run: LyingRun
    in_process: str
    supervised: str
    measure: str

    def outcome(self, mode: Mode) -> str:
        return self.supervised if mode.supervised else self.in_process


def _run(name: str, why: str, files: dict[str, str | None], **more: object) -> LyingRun:
    return LyingRun(name, why, ONE, _ANY, files=files, **more)  # type: ignore[arg-type] # LyingRun's own fields


_CONFTEST = "conftest.py"

_WHOLE_JOURNAL = (
    FIND
    + """
import hashlib, os
first = path.read_bytes().splitlines(True)[0]
head = json.loads(first)
def event(seq, name, **fields):
    return (json.dumps({"seq": seq, "event": name, "at": head["at"], **fields}) + "\\n").encode()
lines = [l for l in path.read_bytes().splitlines(True) if b'"gate.finished"' not in l]
node = "gates/test_one.py::test_one"
lines.append(event(len(lines), "gate.finished", nodeid=node, worker="main", attempt=1,
    phases=[[w, "passed", "", "", 0.0] for w in ("setup", "call", "teardown")],
    measurements=[{"name": "v", "value": "1", "kind": "number", "unit": "1", "observed_at": head["at"]}],
    measured=1, reported=3, notes=[], attachments=[], duration_s=0.0))
lines.append(event(len(lines), "run.finished", status=0, exit=11, nonce=head["nonce"],
    counts={"started": 1, "finished": 1, "problems": 0}, sha256=hashlib.sha256(b"".join(lines)).hexdigest()))
path.unlink()
path.write_bytes(b"".join(lines))
"""
)

BEYOND = (
    Beyond(
        _run(
            "gate-lies",
            "the gate reads 5 and measures 1",
            {ONE_FILE: gate_module("value = 5\ngate.measure('v', min(value, 1))")},
        ),
        "0 GO",
        "0 GO",
        f"{PINNED}; show with a drill that the gate can say NO",
    ),
    Beyond(
        _run(
            "measure-patched",
            "a conftest replaces Gate.measure",
            {
                _CONFTEST: "from pytest_cutover.gate import Gate\n\nreal = Gate.measure\nGate.measure = lambda self, name, value, **more: real(self, name, 1, **more)\n",
                ONE_FILE: gate_module(RED),
            },
        ),
        "0 GO",
        "0 GO",
        PINNED,
    ),
    Beyond(
        _run(
            "record-patched",
            "a conftest changes what the engine recorded, before it is written",
            {
                _CONFTEST: "import dataclasses, pytest\n\n@pytest.fixture(autouse=True)\ndef change(gate):\n    class List(list):\n        def append(self, m):\n            super().append(dataclasses.replace(m, value='1'))\n    gate.measurements = List()\n    yield\n",
                ONE_FILE: gate_module(RED),
            },
        ),
        "0 GO",
        "0 GO",
        PINNED,
    ),
    Beyond(
        _run(
            "decide-patched",
            "a conftest replaces the function that decides",
            {
                _CONFTEST: "import dataclasses\nfrom pytest_cutover.run import conclude\nfrom pytest_cutover.model import ExitCode, Verdict\n\nreal = conclude.decide\n\ndef decide(*a, **k):\n    return dataclasses.replace(real(*a, **k), verdict=Verdict.GO, exit_code=ExitCode.GO, findings=())\n\nconclude.decide = decide\n",
                ONE_FILE: gate_module(RED),
            },
        ),
        "0 GO",
        "10 NO-GO",
        "a supervised run decides in the parent; let the policy demand one",
    ),
    Beyond(
        _run(
            "journal-forged-whole",
            "a red gate writes a whole journal of its own and ends the process as a supervised child would",
            {ONE_FILE: gate_module(_WHOLE_JOURNAL + "os._exit(11)")},
        ),
        "11 -",
        "0 GO",
        PINNED,
    ),
    Beyond(
        _run(
            "policy-variable-weak",
            "CUTOVER_POLICY names another policy of the sandbox, which asks for less",
            {
                "weak.json": '{"format": 1, "name": "weak", "version": 1, "default_environment": "sandbox", "plans": {"preflight": {"requires": ["one"]}}, "limits": {"one": {"v": {"at_most": 99}}}, "environments": {"sandbox": {"sandbox": true}}}',
                ONE_FILE: gate_module(RED),
            },
            env={"CUTOVER_POLICY": "weak.json"},
        ),
        "0 GO",
        "0 GO",
        "the decision names the policy's digest: `cutover admit --policy-digest`; outside of the sandbox the "
        "policy needs a trusted signature",
    ),
    Beyond(
        _run(
            "python-starts-otherwise",
            "a sitecustomize in PYTHONPATH ends every Python with 0, the supervising parent too",
            {
                "site/sitecustomize.py": "import atexit, os\natexit.register(os._exit, 0)\n",
                ONE_FILE: gate_module(RED),
            },
            env={"PYTHONPATH": "{root}/site"},
        ),
        "0 NO-GO",
        "0 NO-GO",
        f"the evidence says NO-GO all the same: {ADMIT}; `python -I -m pytest_cutover run` takes nothing from there",
    ),
    Beyond(
        _run(
            "body-run-by-a-hook",
            "a conftest's pytest_pyfunc_call runs the gate itself and swallows its assertion: what it measured counts",
            {
                _CONFTEST: "import pytest\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n    try:\n        pyfuncitem.obj(**{a: pyfuncitem.funcargs[a] for a in pyfuncitem._fixtureinfo.argnames})\n    except BaseException:\n        pass\n    return True\n",
                ONE_FILE: gate_module(f"{GREEN}\nassert False"),
            },
        ),
        "0 GO",
        "0 GO",
        f"{PINNED}; measure what matters: a red measurement cannot be swallowed",
    ),
    Beyond(
        _run(
            "fixture-forged",
            "a conftest swallows a fixture's failure and puts a result of its own in pytest's cache",
            {
                _CONFTEST: "import pytest\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_fixture_setup(fixturedef, request):\n    try:\n        return (yield)\n    except BaseException:\n        fixturedef.cached_result = (None, fixturedef.cache_key(request), None)\n        return None\n",
                ONE_FILE: gate_module(
                    GREEN,
                    args="gate, ground",
                    top="@pytest.fixture\ndef ground():\n    assert False, 'no ground'\n",
                ),
            },
        ),
        "0 GO",
        "0 GO",
        PINNED,
    ),
    Beyond(
        _run(
            "source-replaced",
            "a conftest replaces a source that a gate reads",
            {
                _CONFTEST: "import pytest\n\n@pytest.fixture\ndef command():\n    return lambda: 1\n",
                ONE_FILE: gate_module("gate.measure('v', command())", args="gate, command"),
            },
        ),
        "0 GO",
        "0 GO",
        PINNED,
    ),
    Beyond(
        _run(
            "green-and-away",
            "os._exit(0) after a green gate",
            {ONE_FILE: gate_module(f"import os\n{GREEN}\nos._exit(0)")},
        ),
        "0 -",
        "11 NO-GO",
        f"nothing is sealed: {ADMIT}; a supervised run sees it",
    ),
)
