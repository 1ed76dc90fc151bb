"""Runs that are opened from an earlier one they may not be opened from, or that carry what they may not carry.

In most of them gate `one` was green in the earlier run and is red by now: a run that carried it would be GO.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.false_go.harness import (
    BUNDLE,
    ENDS,
    REPORT,
    RUNS,
    SUBJECT_HEX,
    Base,
    Keys,
    LyingRun,
    Mode,
    Seen,
    admits,
    build,
    cutover,
    gate_module,
    go_on,
    truly_go,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOTH = (Mode.ALONE, Mode.SUPERVISED)
GATE = """
import os, pathlib, shutil, signal, time
from datetime import UTC, datetime, timedelta
state = json.loads(pathlib.Path("state.json").read_text()).get("{gate}", {{}})
if "kill" in state:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(state.get("sleep", 0))
if state.get("flaky") and not pathlib.Path("tried").exists():
    pathlib.Path("tried").touch()
    assert False
if "plant" in state:
    newest, *_ = sorted(pathlib.Path("var/cutover/runs").iterdir())
    shutil.copytree(newest, newest.with_name("2999" + newest.name[4:]))
observed_at = datetime.now(UTC) - timedelta(seconds=state.get("age", 0))
gate.measure("v", state.get("v", 1), observed_at=observed_at)
gate.attach("log", "of {gate}")
"""
CONFTEST = """
import json, pathlib, pytest

FORGE = json.loads(pathlib.Path("state.json").read_text()).get("forge")
TWO = "gates/test_two.py::test_two"


def forged(line, **changes):
    text = json.dumps(line).replace("test_one", "test_two").replace('"one"', '"two"')
    return json.dumps({**json.loads(text), **changes}) + "\\n"


def forge():
    journal = max(pathlib.Path("var/cutover/runs").glob("*/journal.jsonl"))
    lines = journal.read_text().splitlines(keepends=True)
    carried = next(json.loads(line) for line in lines if '"gate.carried"' in line)
    if FORGE == "append":
        with journal.open("a") as file:
            file.write(forged(carried, seq=len(lines)))
    else:
        head = json.loads(lines[0])
        head["opened"]["carried"] += 1
        start = [json.dumps(head) + "\\n", *lines[1:], forged(carried, seq=len(lines))]
        journal.write_text("".join(start))


if FORGE == "at once" and list(pathlib.Path("var/cutover/runs").glob("*/journal.jsonl")):
    forge()


def pytest_collection_modifyitems(config, items):
    if FORGE == "recorder":
        recorder = config.pluginmanager.get_plugin("cutover-recorder")
        recorder.carried = frozenset([*recorder.carried, TWO])


@pytest.hookimpl(wrapper=True)
def pytest_collection_finish(session):
    result = yield
    if FORGE in ("append", "insert") and not hasattr(session.config, "workerinput"):
        session.items[:] = [item for item in session.items if item.nodeid != TWO]
        forge()
    return result
"""
FORGER = """
from pytest_cutover.run import opening

real, green = opening.carriable, opening._is_green


def forged(journal):
    lines = real(journal)
    for line in lines.values():
        line["result"] = {**line["result"], "phases": [[w, "passed", "", "", 0.0] for w in ("setup", "call", "teardown")]}
        line["result"]["measurements"] = [{**m, "value": "1"} for m in line["result"]["measurements"]]
    return {node: line for node, line in lines.items() if "three" not in node}


opening.carriable, opening._is_green = forged, lambda gate: True
"""
GATES = ("one", "two", "three")


def policy(**changes: Any) -> dict[str, Any]:
    """Three gates, each at most 1, in the sandbox and in production."""
    subjects = [{"name": "shop", "sha256": SUBJECT_HEX}]
    return {
        "format": 1,
        "name": "opened",
        "version": 1,
        "default_environment": "sandbox",
        "plans": {"preflight": {"requires": list(GATES)}},
        "limits": {name: {"v": {"at_most": 1}} for name in GATES},
        "environments": {
            "sandbox": {"sandbox": True, "subjects": subjects},
            "production": {"subjects": subjects},
        },
        **changes,
    }


FILES = {
    f"gates/test_{gate}.py": gate_module(GATE.format(gate=gate), gate=gate, top="import json")
    for gate in GATES
}
FREE = policy(defaults={"gate_code": {"paths": ["pinned"]}})
"""Gate code outside of what its digest covers: only the collection shows that it changed."""


@dataclass
class Project:
    """A project over several runs; `state` is the world that its gates measure."""

    root: Path
    keys: Keys
    lie: LyingRun
    environ: dict[str, str] = field(default_factory=dict)
    mode: Mode = Mode.ALONE

    @classmethod
    def made(cls, folder: Path, keys: Keys, document: dict[str, Any] | None = None) -> Project:
        base = Base("opened", {**FILES, "conftest.py": CONFTEST, "state.json": "{}"}, document or policy())
        run = LyingRun("opened", "", base, truly_go(""), keyed=True)
        made = cls(folder / "project", keys, run)
        made.environ = build(run, made.root, keys)
        made.sign()
        return made

    def sign(self) -> None:
        done = cutover(
            self.root, self.keys, "policy", "sign", "configs/policy.json", "--key", str(self.keys.policy)
        )
        assert done.returncode == 0, done.stderr

    def world(self, **state: Any) -> None:
        (self.root / "state.json").write_text(json.dumps(state))

    def policy(self, document: dict[str, Any]) -> None:
        (self.root / "configs/policy.json").write_text(json.dumps(document))
        self.sign()

    def folders(self) -> list[Path]:
        return sorted((self.root / RUNS).iterdir())

    @property
    def newest(self) -> Path:
        return [f for f in self.folders() if not f.name.startswith("2999")][-1]

    def run(
        self, mode: Mode, *options: str, args: tuple[str, ...] = (), open_: bool = False, **more: Any
    ) -> Seen:
        """One more run; `options` as `cutover run` spells them."""
        self.mode = mode
        own = [*options, *(["--open"] if open_ else [])]
        spelt = [o.replace("--", "--cutover-", 1) for o in own]
        planted = tuple(f.name for f in self.folders()) if (self.root / RUNS).is_dir() else ()
        lie = replace(
            self.lie,
            run_args=tuple(own),
            args=(*args, *(() if mode.supervised else spelt)),
            planted=planted,
            **more,
        )
        return go_on(lie, mode, self.root, self.keys, self.environ)

    def carried(self) -> set[str]:
        """What the newest run carried."""
        report = json.loads((self.newest / REPORT).read_text())
        return {g["gate"] for g in report["decision"]["gates"] if "carried_from" in g}


@pytest.fixture
def project(tmp_path: Path, keys: Keys) -> Project:
    return Project.made(tmp_path, keys)


RED_TWO = {"two": {"v": 5}}
RED_ONE = {"one": {"v": 5}}


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
def test_a_run_is_opened_and_admitted(mode: Mode, project: Project) -> None:
    """The sibling of every case: one gate was red, and runs again; the others are carried."""
    project.world(**RED_TWO)
    assert project.run(mode).exit == 10
    project.world()
    seen = project.run(mode, open_=True)

    assert (seen.exit, seen.verdicts, len(seen.sealed_go)) == (0, ("GO",), 1), seen.summary()
    assert project.carried() == {"one", "three"}
    assert "observed" in seen.out
    attached = (project.newest / "attachments").iterdir()
    assert sorted(f.read_text() for f in attached) == ["of one", "of three", "of two"]
    assert seen.admitted


@dataclass(frozen=True)
class Case:
    """What happens between an earlier run and the one that is opened; by default it changes nothing.

    `first` is the world of the earlier run, `then` the world after it.
    """

    name: str
    meddle: Callable[[Project], None] = lambda project: None
    exit: int = 10
    code: str | None = "limit.broken"
    first: dict[str, Any] = field(default_factory=lambda: RED_TWO)
    then: dict[str, Any] = field(default_factory=lambda: RED_ONE)
    base: tuple[str, ...] = ()
    base_args: tuple[str, ...] = ()
    base_key: str | None = None
    options: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    policy: dict[str, Any] = field(default_factory=policy)
    carries: frozenset[str] = frozenset()
    said: str | None = None
    plugins: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = (Mode.ALONE,)


def changed(name: str, old: bytes, new: bytes) -> Callable[[Project], None]:
    """One place in a file of the earlier run, of the same length."""

    def meddle(project: Project) -> None:
        path = project.newest / name
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    return meddle


def gone(*names: str) -> Callable[[Project], None]:
    def meddle(project: Project) -> None:
        for name in names:
            (project.newest / name).unlink()

    return meddle


def edited(file: str, old: str, new: str) -> Callable[[Project], None]:
    def meddle(project: Project) -> None:
        path = project.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return meddle


def deleted(file: str) -> Callable[[Project], None]:
    return lambda project: (project.root / file).unlink()


def tightened(project: Project) -> None:
    project.policy(policy(limits={name: {"v": {"at_most": 0 if name == "one" else 1}} for name in GATES}))


def renamed(project: Project) -> None:
    """An older run once more, in a folder that calls it newer than the one after it."""
    old, _ = project.folders()
    shutil.copytree(old, old.with_name(f"2999{old.name[4:]}"))


def newer(*meddled: Callable[[Project], None], **state: Any) -> Callable[[Project], None]:
    """A second run, in which `one` is red, and what is done to it; the first one was GO but for `two`."""

    def meddle(project: Project) -> None:
        project.world(**(state or RED_ONE))
        project.run(project.mode)
        for act in meddled:
            act(project)

    return meddle


def half_a_journal(project: Project) -> None:
    """What kill -9 leaves."""
    gone(REPORT, BUNDLE)(project)
    journal = project.newest / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:4]))


def of_another_plan(project: Project) -> None:
    changed("journal.jsonl", b'"preflight"', b'"elsewhere"')(project)


OTHER_SUBJECT = ("--subject", f"shop@sha256:{'cd' * 32}")
NEITHER = {"one": {"v": 5}, "two": {"v": 5}}
CASES = (
    Case("policy-tightened", tightened, said="another policy", modes=ENDS),
    Case("policy-loosened", lambda p: p.policy(policy(version=2)), said="another policy"),
    Case(
        "gate-code-changed",
        edited("gates/test_one.py", "pytestmark", "pytestmark "),
        said="another gate code",
        modes=ENDS,
    ),
    Case("other-subject", options=OTHER_SUBJECT, said="another subject"),
    Case("other-environment", options=("--env", "production"), said="no earlier run"),
    Case("other-shard", base=("--shard", "eu"), options=("--shard", "us"), said="no earlier run"),
    Case(
        "replayed-shard",
        changed("journal.jsonl", b'"shard":"eu"', b'"shard":"us"'),
        base=("--shard", "eu"),
        options=("--shard", "us"),
        said="as it was signed",
    ),
    Case("unsigned", base_key="none", said="not signed", modes=ENDS),
    Case("untrusted-key", base_key="stranger", said="signature.untrusted", modes=ENDS),
    Case("policy-key", base_key="policy", said="signature.role"),
    Case(
        "tampered-report", changed(REPORT, b'"value":"1"', b'"value":"0"'), said="report.digest", modes=ENDS
    ),
    Case("tampered-bundle", changed(BUNDLE, b'"sig":"', b'"sig":"A'), said="does not verify"),
    Case(
        "tampered-journal", changed("journal.jsonl", b'"value":"1"', b'"value":"0"'), said="as it was signed"
    ),
    Case("bundle-gone", gone(BUNDLE), said="not signed"),
    Case("report-gone", gone(REPORT), said="under way, or was killed"),
    Case("journal-gone", gone("journal.jsonl"), said="cannot be read"),
    Case("killed", half_a_journal, said="under way, or was killed", modes=ENDS),
    Case("killed-in-a-gate", first={"three": {"kill": 1}}, then={**RED_ONE, "three": {}}, modes=ENDS),
    Case("old", first={**RED_TWO, "one": {"age": 896}}, carries=frozenset({"three"}), modes=ENDS),
    Case("green-then-red", newer(), first={}, carries=frozenset({"two", "three"}), modes=ENDS),
    Case("green-then-unsigned-red", newer(gone(BUNDLE)), first=RED_TWO, said="not signed"),
    Case("green-then-killed", newer(half_a_journal), said="under way, or was killed"),
    Case("green-then-relabelled-red", newer(of_another_plan), said="not the one that was signed"),
    Case("green-then-renamed", newer(renamed), said="as it was signed"),
    Case(
        "flaky",
        first={**RED_TWO, "one": {"flaky": 1}},
        base_args=("--reruns", "1"),
        plugins=("rerunfailures",),
        carries=frozenset({"three"}),
    ),
    Case(
        "deleted-gate",
        deleted("gates/test_one.py"),
        exit=11,
        code="gate.not-collected",
        policy=FREE,
        carries=frozenset({"three"}),
        modes=ENDS,
    ),
    Case(
        "changed-gate",
        edited("gates/test_one.py", '@pytest.mark.gate("one")', '@pytest.mark.gate("one", owner="me")'),
        exit=11,
        code="carried.changed",
        policy=FREE,
        carries=frozenset({"one", "three"}),
    ),
    Case(
        "moved-gate",
        edited("gates/test_one.py", "import pytest\n", "import pytest\n\n"),
        exit=11,
        code="carried.changed",
        policy=FREE,
        carries=frozenset({"one", "three"}),
    ),
    Case(
        "deselected-red",
        exit=11,
        code="gate.deselected",
        args=("-k", "not two"),
        carries=frozenset({"one", "three"}),
        modes=ENDS,
    ),
    Case(
        "deselected-carried",
        exit=11,
        code="carried.changed",
        args=("-k", "two or three"),
        carries=frozenset({"three"}),
    ),
    Case("still-red", then=NEITHER, carries=frozenset({"one", "three"}), modes=ENDS),
    Case(
        "stale-meanwhile",
        exit=11,
        code="measurement.stale",
        then={"two": {"sleep": 14}},
        policy=policy(
            limits={n: {"v": {"at_most": 1} | ({"max_age_s": 14} if n == "three" else {})} for n in GATES}
        ),
        carries=frozenset({"one", "three"}),
        modes=(Mode.SUPERVISED,),
    ),
    Case(
        "another-run-meanwhile",
        exit=11,
        code="carried.outdated",
        then={"two": {"plant": 1}},
        carries=frozenset({"one", "three"}),
        modes=BOTH,
    ),
    *(
        Case(
            f"forged-{how.replace(' ', '-')}",
            exit=11,
            code=code,
            then={**RED_TWO, "forge": how},
            carries=frozenset({"one", "three"}) if how == "recorder" else frozenset(),
            modes=modes,
        )
        for how, code, modes in (
            ("append", "run.journal-damaged", BOTH),
            ("insert", "run.journal-incomplete", (Mode.SUPERVISED,)),
            ("insert", "run.journal-damaged", (Mode.ALONE,)),
            ("at once", "run.journal-incomplete", (Mode.SUPERVISED,)),
            ("recorder", "gate.not-run", BOTH),
        )
    ),
)


def key_of(name: str, keys: Keys, folder: Path) -> str:
    """`none`, the policy's key, or one that nobody knows."""
    if name != "stranger":
        return str(keys.policy) if name == "policy" else name
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "stranger.pem").touch(0o600)
    (folder / "stranger.pem").write_bytes(private)
    return str(folder / "stranger.pem")


@pytest.mark.parametrize(
    ("case", "mode"),
    [(c, m) for c in CASES for m in c.modes],
    ids=lambda v: v.value if isinstance(v, Mode) else v.name,
)
def test_is_no_go(case: Case, mode: Mode, tmp_path: Path, keys: Keys) -> None:
    project = Project.made(tmp_path, keys, case.policy)
    project.world(**case.first)
    own_key = project.environ["CUTOVER_KEY"]
    if case.base_key is not None:
        project.environ["CUTOVER_KEY"] = key_of(case.base_key, keys, tmp_path)
    project.run(mode, *case.base, args=case.base_args, plugins=case.plugins)
    project.environ["CUTOVER_KEY"] = own_key
    case.meddle(project)
    project.world(**case.then)
    seen = project.run(mode, *case.options, args=case.args, open_=True)

    assert seen.exit == case.exit, seen.summary()
    assert case.code is None or case.code in seen.codes, seen.summary()
    assert case.said is None or case.said in seen.out, seen.summary()
    assert not seen.says_go, seen.summary()
    assert not seen.sealed_go
    assert project.carried() == case.carries, seen.summary()
    assert not seen.admitted
    assert not admits(project.root, keys, environment="production")


def test_a_supervised_run_is_not_opened_from_one_that_was_in_process(project: Project) -> None:
    project.world(**RED_TWO)
    project.run(Mode.ALONE)
    project.world(**RED_ONE)
    seen = project.run(Mode.SUPERVISED, open_=True)

    assert (seen.exit, project.carried()) == (10, set()), seen.summary()
    assert "in-process, and this run is supervised" in seen.out


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
def test_what_was_missing_and_still_is_makes_no_go(mode: Mode, project: Project) -> None:
    """Everything that is there is carried, nothing runs, and the gate that the plan asks for is not there."""
    (project.root / "gates/test_two.py").unlink()
    project.run(mode)
    seen = project.run(mode, open_=True)

    assert (seen.exit, seen.verdicts) == (11, ("NO-GO",)), seen.summary()
    assert {"gate.not-collected", "run.nothing-selected"} <= seen.codes
    assert project.carried() == {"one", "three"}


class TestNothingIsOpen:
    @pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value)
    def test_nothing_runs_and_no_decision_gets_younger(self, mode: Mode, project: Project) -> None:
        assert project.run(mode).exit == 0
        before = project.folders()
        seen = project.run(mode, open_=True)

        assert seen.exit == (2 if mode.supervised else 4), seen.summary()
        assert "nothing is open: every gate of run" in seen.out
        assert "stands until" in seen.out
        assert project.folders() == before


class TestChain:
    def test_of_runs_holds_no_longer_than_what_was_measured_first(self, project: Project) -> None:
        """`one` was seen in the first run, fourteen minutes ago as it says; two more are opened after it."""
        project.policy(policy(defaults={"max_age_s": 3600}))
        project.world(one={"age": 1800}, two={"v": 5}, three={"v": 5})
        project.run(Mode.SUPERVISED)
        first = project.newest.name
        project.world(three={"v": 5})
        assert project.run(Mode.SUPERVISED, open_=True).exit == 10
        assert project.carried() == {"one"}
        project.world()
        seen = project.run(Mode.SUPERVISED, open_=True)
        report = json.loads((project.newest / REPORT).read_text())

        assert (seen.exit, len(seen.sealed_go)) == (0, 1), seen.summary()
        gates = {g["gate"]: g.get("carried_from") for g in report["decision"]["gates"]}
        assert gates == {"one": first, "two": project.folders()[1].name, "three": None}
        decided, expires = (
            datetime.fromisoformat(report["decision"][n]) for n in ("decided_at", "expires_at")
        )
        assert expires - decided < timedelta(minutes=30)


class TestEvidence:
    @pytest.fixture
    def folder(self, project: Project) -> Path:
        project.world(**RED_TWO)
        project.run(Mode.ALONE)
        project.world()
        assert project.run(Mode.ALONE, open_=True).admitted
        return project.newest

    def test_holds_what_it_was_opened_from(self, folder: Path, project: Project) -> None:
        """The folder of the earlier run is not needed any more; but deleting it hides nothing either."""
        earlier = json.loads((project.folders()[0] / REPORT).read_text())
        shutil.rmtree(project.folders()[0])

        assert json.loads((folder / REPORT).read_text())["opened"]["report"] == earlier
        assert cutover(project.root, project.keys, "verify", str(folder)).returncode == 0

    @pytest.mark.parametrize("part", [b'"gate.finished"', b'"sig":"', b'"observed_at":"2', b'"keyid":"'])
    def test_is_invalid_with_another_byte_in_it(self, part: bytes, folder: Path, project: Project) -> None:
        data = (folder / REPORT).read_bytes()
        at = data.rindex(part) + len(part) - 2
        (folder / REPORT).write_bytes(data[:at] + b"0" + data[at + 1 :])

        self.refused(folder, project)

    def test_is_invalid_without_it(self, folder: Path, project: Project) -> None:
        data = (folder / REPORT).read_bytes()
        (folder / REPORT).write_bytes(data[: data.index(b'\n],\n"opened"')] + b"\n]}\n")

        self.refused(folder, project)

    def refused(self, folder: Path, project: Project) -> None:
        refused = cutover(project.root, project.keys, "verify", str(folder))
        assert (refused.returncode, "report.digest" in refused.stdout) == (1, True), refused.stdout
        assert not admits(project.root, project.keys)

    def test_of_a_forger_in_the_same_process_is_invalid(self, project: Project) -> None:
        """He has the engine in his hands, and with it the key; not the journal that was signed before."""
        project.world(**RED_TWO)
        project.run(Mode.ALONE)
        (project.root / "forger.py").write_text(FORGER)
        seen = project.run(Mode.ALONE, args=("-p", "forger"), open_=True)

        assert (seen.exit, project.carried()) == (0, {"one", "two"}), seen.summary()
        refused = cutover(project.root, project.keys, "verify", str(project.newest))
        assert "opened.disagrees" in refused.stdout
        assert (seen.sealed_go, seen.admitted) == ((), False)

    def test_proves_nothing_to_somebody_who_does_not_trust_the_earlier_key(
        self, project: Project, tmp_path: Path
    ) -> None:
        """The earlier run was signed with a key that was trusted when it was opened."""
        stranger = key_of("stranger", project.keys, tmp_path)
        trust = json.loads(project.keys.trust.read_text())
        shown = cutover(project.root, project.keys, "keys", "show", stranger)
        wider = tmp_path / "wider.json"
        wider.write_text(json.dumps({**trust, "keys": [*trust["keys"], json.loads(shown.stdout)]}))
        own, project.environ["CUTOVER_KEY"] = project.environ["CUTOVER_KEY"], stranger
        project.environ["CUTOVER_TRUST"] = str(wider)
        project.world(**RED_TWO)
        project.run(Mode.ALONE)
        project.environ["CUTOVER_KEY"] = own
        project.world()
        seen = project.run(Mode.ALONE, open_=True)

        assert (seen.exit, seen.sealed_go, seen.admitted) == (0, (), False), seen.summary()
        refused = cutover(project.root, project.keys, "verify", str(project.newest))
        assert "opened.invalid" in refused.stdout
