"""Projects that lie, and what is run to see whether the engine believes them.

A project is a folder with a policy and gates; a run of it is a real process, alone or under xdist,
in-process or supervised. Nothing here imports the engine: it is asked the way users ask it.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from enum import Enum
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any

from tests.lean import UNUSED, without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TIMEOUT_S = 90
"""No project needs a quarter of it; one that hangs is ended and reported as such."""

SOAK = bool(os.environ.get("CUTOVER_SOAK"))
"""Every mode of every lie, too."""

SUBJECT_HEX = "ab" * 32
RUNS = "var/cutover/runs"
REPORT = "report.json"
BUNDLE = "bundle.intoto.jsonl"


class Mode(Enum):
    """How a project is run."""

    ALONE = "in-process"
    ALONE_N2 = "in-process-n2"
    SUPERVISED = "supervised"
    SUPERVISED_N2 = "supervised-n2"

    @property
    def supervised(self) -> bool:
        return self in (Mode.SUPERVISED, Mode.SUPERVISED_N2)

    @property
    def workers(self) -> bool:
        return self in (Mode.ALONE_N2, Mode.SUPERVISED_N2)


ALL = tuple(Mode)
IN_PROCESS = (Mode.ALONE, Mode.ALONE_N2)
SUPERVISED = (Mode.SUPERVISED, Mode.SUPERVISED_N2)
WORKERS = (Mode.ALONE_N2, Mode.SUPERVISED_N2)
NO_WORKERS = (Mode.ALONE, Mode.SUPERVISED)
VARIANT = (Mode.ALONE,)
"""Once: another form of a lie that runs in all modes."""

PAIR = (Mode.ALONE, Mode.SUPERVISED)
"""Each runner once, where xdist has no part in the lie."""

ENDS = (Mode.ALONE, Mode.SUPERVISED_N2)
"""The shortest way from a gate to the verdict (one process) and the longest (three)."""


@dataclass(frozen=True)
class Expect:
    """What a run must come to.

    `code` stands among the findings of report.json, and a report there must be when it is given.
    With `unseen` the exit status may be 0 although nothing said GO; with `go` the lie did not reach the
    run, and a GO is the truth. Both say why.
    """

    exits: frozenset[int]
    code: str | None = None
    unseen: str | None = None
    go: str | None = None


def red(code: str = "limit.broken") -> Expect:
    """NO-GO, measured red."""
    return Expect(frozenset({10}), code)


def unproven(code: str) -> Expect:
    """NO-GO, because something is missing."""
    return Expect(frozenset({11}), code)


def refused(*exits: int) -> Expect:
    """No run was made at all: 4 from pytest, 2 from `cutover run`."""
    return Expect(frozenset(exits or (4,)))


def killed(number: signal.Signals = signal.SIGKILL) -> Expect:
    """The process that would decide was itself killed."""
    return Expect(frozenset({-int(number)}))


def unseen(why: str, *, code: str | None = None, exits: tuple[int, ...] = (0,)) -> Expect:
    """The exit status says 0 and no GO stands behind it; `why` the in-process runner cannot change that."""
    return Expect(frozenset(exits), code, unseen=why)


def truly_go(why: str) -> Expect:
    """The lie does not reach this run: its gates ran and were green."""
    return Expect(frozenset({0}), go=why)


@dataclass(frozen=True)
class Base:
    """A whole project that is GO: the sibling of every lie told about it."""

    name: str
    files: Mapping[str, str]
    policy: Mapping[str, Any]


@dataclass(frozen=True)
class LyingRun:
    """One lie: a base project, what is changed about it, and what the engine must make of it.

    In `files` a name may lead out of the project (`../pytest.ini`) and None deletes one of the base.
    `{root}` in arguments and environment is the project's folder. `prepare` has the last word on the
    folder, for what has to be signed or computed. `reduced` says why `modes` are not all four.
    """

    name: str
    why: str
    base: Base
    expect: Expect
    files: Mapping[str, str | None] = field(default_factory=dict)
    policy: Mapping[str, Any] | None = None
    args: tuple[str, ...] = ()
    run_args: tuple[str, ...] = ()
    marker: str = "preflight"
    env: Mapping[str, str] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    prepare: Callable[[Workshop], None] | None = None
    by_mode: Mapping[Mode, Expect] = field(default_factory=dict)
    modes: tuple[Mode, ...] = ALL
    reduced: str = ""
    keyed: bool = False
    planted: tuple[str, ...] = ()
    inner_go: bool = False

    def expected(self, mode: Mode) -> Expect:
        return self.by_mode.get(mode, self.expect)

    @property
    def signs(self) -> bool:
        """Whether the run holds a real key, so that a wrong GO would be sealed and admitted."""
        expectations = [self.expected(m) for m in self.modes]
        return self.keyed or any(e.unseen for e in expectations)


@dataclass(frozen=True)
class Keys:
    """Throw-away keys and the trust file that names them, outside of every project."""

    decision: Path
    policy: Path
    trust: Path


@dataclass
class Workshop:
    """A project's folder, as `prepare` sees it."""

    root: Path
    keys: Keys
    env: dict[str, str]

    def cutover(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `cutover` verb in the project."""
        return cutover(self.root, self.keys, *arguments)


@dataclass(frozen=True)
class Seen:
    """What a run left behind."""

    exit: int
    out: str
    reports: Mapping[str, Mapping[str, Any]]
    sealed_go: tuple[str, ...]
    admitted: bool

    @property
    def codes(self) -> frozenset[str]:
        """Reason codes in the findings of every report."""
        return frozenset(
            f["code"] for report in self.reports.values() for f in report["decision"]["findings"]
        )

    @property
    def verdicts(self) -> tuple[str, ...]:
        return tuple(str(r["decision"]["verdict"]) for r in self.reports.values())

    @property
    def says_go(self) -> bool:
        return any(v.startswith("GO") for v in self.verdicts)

    def summary(self) -> str:
        tail = "\n".join(self.out.splitlines()[-40:])
        found = ", ".join(sorted(self.codes)) or "no findings"
        return f"exit {self.exit}, {'/'.join(self.verdicts) or 'no report'}: {found}\n{tail}"


def gate_module(
    body: str,
    *,
    gate: str = "one",
    args: str = "gate",
    marks: str = "",
    top: str = "",
    phase: str = "preflight",
) -> str:
    """A test file with one gate."""
    return (
        f"import pytest\n{dedent(top)}\npytestmark = pytest.mark.{phase}\n\n\n{dedent(marks).strip()}\n"
        f'@pytest.mark.gate("{gate}")\ndef test_{gate}({args}):\n{indent(dedent(body).strip(), "    ")}\n'
    )


def policy(
    *requires: Any,
    limits: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    environment: str = "sandbox",
    **more: Any,
) -> dict[str, Any]:
    """A policy whose gates each measure `v`, at most 1, unless `limits` says other."""
    names = [r if isinstance(r, str) else r["gate"] for r in requires]
    place: dict[str, Any] = {"subjects": [{"name": "shop", "sha256": SUBJECT_HEX}]}
    if environment == "sandbox":
        place["sandbox"] = True
    if settings:
        place["settings"] = dict(settings)
    return {
        "format": 1,
        "name": "lies",
        "version": 1,
        "default_environment": environment,
        "plans": {"preflight": {"requires": list(requires)}},
        "limits": {name: {"v": {"at_most": 1}} for name in names} if limits is None else dict(limits),
        "environments": {environment: place},
        **more,
    }


def build(run: LyingRun, root: Path, keys: Keys) -> dict[str, str]:
    """Write the project into `root`; its environment variables."""
    root.mkdir(parents=True)
    files: dict[str, str | None] = {**run.base.files, **run.files}
    files.setdefault("configs/policy.json", json.dumps(run.base.policy if run.policy is None else run.policy))
    for name, text in files.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
    environ = clean_environment() | {"CUTOVER_KEY": "none", "CUTOVER_VIEWS": "none"}
    if run.signs:
        environ |= {"CUTOVER_KEY": str(keys.decision), "CUTOVER_TRUST": str(keys.trust)}
    environ |= {name: value.replace("{root}", str(root)) for name, value in run.env.items()}
    if run.prepare is not None:
        run.prepare(Workshop(root, keys, environ))
    return environ


def clean_environment() -> dict[str, str]:
    """The machine's environment without what would change Python, pytest or the engine."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST_", "CUTOVER_", "COV_"))
    }


def command(run: LyingRun, mode: Mode, root: Path) -> list[str]:
    """The command line of a project in one mode."""
    shared = without(*(p for p in (*UNUSED, "cacheprovider") if p not in run.plugins))
    shared += ["-n", "2"] if mode.workers else without("xdist")
    given = [a.replace("{root}", str(root)) for a in run.args]
    if not mode.supervised:
        return [sys.executable, *run.python, "-m", "pytest", "-m", run.marker, *shared, *given]
    expression = [] if run.marker == "preflight" else ["-m", run.marker]
    # -P: import nothing from the working folder, as the installed `cutover` script.
    return [
        *(sys.executable, *run.python, "-P", "-m", "pytest_cutover", "run", "preflight"),
        *(*run.run_args, "--", *shared, *expression, *given),
    ]


def execute(run: LyingRun, mode: Mode, folder: Path, keys: Keys) -> Seen:
    """Build the project below `folder`, run it, and look at all it left."""
    root = folder / "project"
    return go_on(run, mode, root, keys, build(run, root, keys))


def go_on(run: LyingRun, mode: Mode, root: Path, keys: Keys, environ: Mapping[str, str]) -> Seen:
    """Run a project that was built before, once more, and look at all it left."""
    status, out = _run(command(run, mode, root), root, environ)
    return look(run, root, keys, status, out)


def look(run: LyingRun, root: Path, keys: Keys, status: int, out: str) -> Seen:
    """What stands in the run folders, and whether a deploy step would be let through."""
    # A parent folder's ini file moves pytest's root, and the evidence with it.
    places = [place / RUNS for place in (root, root.parent) if (place / RUNS).is_dir()]
    folders = sorted(f for place in places for f in place.iterdir() if f.name not in run.planted)
    reports = {f.name: json.loads((f / REPORT).read_text()) for f in folders if (f / REPORT).is_file()}
    sealed = tuple(f.name for f in folders if _claims_go(f / BUNDLE) and _verifies(root, keys, f))
    return Seen(status, out, reports, sealed, run.signs and admits(root, keys))


def admits(root: Path, keys: Keys, *, environment: str = "sandbox") -> bool:
    """Whether `cutover admit` lets the subject through."""
    answer = cutover(root, keys, "admit", "--digest", f"sha256:{SUBJECT_HEX}", "--environment", environment)
    assert answer.returncode in (0, 1, 2), answer.stderr
    return answer.returncode == 0


def cutover(root: Path, keys: Keys, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A `cutover` verb, trusting the throw-away keys."""
    environ = clean_environment() | {"CUTOVER_TRUST": str(keys.trust)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest_cutover", *arguments],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def check(run: LyingRun, mode: Mode, seen: Seen) -> None:
    """Hold a run against what its project expects.

    Raises:
        AssertionError: a false GO, another exit code, another reason.
    """
    expect = run.expected(mode)
    if expect.go is not None:
        assert seen.exit == 0, seen.summary()
        assert seen.verdicts == ("GO",), seen.summary()
        return
    if not run.inner_go:
        assert not seen.says_go, f"a report says GO: {seen.summary()}"
        assert not seen.sealed_go, f"a GO is sealed: {seen.summary()}"
    assert not seen.admitted, f"a deploy step would be let through: {seen.summary()}"
    assert seen.exit in expect.exits, f"expected exit {sorted(expect.exits)}: {seen.summary()}"
    assert seen.exit != 0 or expect.unseen, f"exit 0 without a reason in the table: {seen.summary()}"
    if expect.code is not None:
        assert expect.code in seen.codes, f"expected {expect.code}: {seen.summary()}"
        if seen.exit in (10, 11, 12):
            decided = [r["decision"]["exit_code"] for r in seen.reports.values()]
            assert seen.exit in decided, f"the report says {decided}: {seen.summary()}"


def with_key(run: LyingRun) -> LyingRun:
    """The same run, signed."""
    return replace(run, keyed=True)


def _run(argv: list[str], root: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    # Output goes to a file: a process that a project leaves behind must not hold a pipe open.
    log = root.parent / "output.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv,
            cwd=root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"hung for {TIMEOUT_S} s: {' '.join(argv)}\n{log.read_text('utf-8', 'replace')[-3000:]}"
            ) from None
        finally:
            _end_group(process.pid)
            process.wait()
    return status, log.read_text("utf-8", "replace")


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _claims_go(bundle: Path) -> bool:
    """Whether a decision in the file says GO, whoever signed it."""
    if not bundle.is_file():
        return False
    for line in bundle.read_text("utf-8", "replace").splitlines():
        try:
            statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
        except (ValueError, KeyError, TypeError):
            continue
        if "PASSED" in json.dumps(statement.get("predicate", {}).get("verificationResult")):
            return True
    return False


def _verifies(root: Path, keys: Keys, folder: Path) -> bool:
    return cutover(root, keys, "verify", str(folder)).returncode == 0
