"""Decisions that are in no transparency log, or in a log that somebody rewrote: each is one step away from a GO."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.keys.signer import load_private_key
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from tests.false_go.harness import (
    BUNDLE,
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
from tests.false_go.projects.bases import GREEN, ONE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORIGIN = "log.example.org/shop"
PROOF = f"{BUNDLE}.tlog-proof"
BOTH = (Mode.ALONE, Mode.SUPERVISED)


def policy(log: dict[str, str] | None, **more: Any) -> dict[str, Any]:
    place: dict[str, Any] = {"subjects": [{"name": "shop", "sha256": SUBJECT_HEX}], **more}
    return {
        "format": 1,
        "name": "logged",
        "version": 1,
        "default_environment": "production",
        "plans": {"preflight": {"requires": ["one"]}},
        "limits": {"one": {"v": {"at_most": 1}}},
        "environments": {"production": place | ({} if log is None else {"log": log})},
    }


@dataclass
class Logged:
    """A project whose decisions go into the folder `log`; keys and trust file lie outside of it."""

    root: Path
    keys: Keys
    log_key: Path
    lie: LyingRun
    environ: dict[str, str]

    def run(self, mode: Mode = Mode.ALONE, body: str = GREEN) -> Seen:
        before = tuple(f.name for f in self.runs())
        (self.root / ONE_FILE).write_text(gate_module(body))
        return go_on(replace(self.lie, planted=before), mode, self.root, self.keys, self.environ)

    def runs(self) -> list[Path]:
        folder = self.root / RUNS
        return sorted(folder.iterdir()) if folder.is_dir() else []

    @property
    def log(self) -> Path:
        return self.root / "log"

    def sign(self, document: dict[str, Any]) -> None:
        (self.root / "configs/policy.json").write_text(json.dumps(document))
        done = cutover(
            self.root, self.keys, "policy", "sign", "configs/policy.json", "--key", str(self.keys.policy)
        )
        assert done.returncode == 0, done.stderr

    def admits(self) -> bool:
        return admits(self.root, self.keys, environment="production")

    def refusal(self) -> str:
        """What `admit` prints when it refuses."""
        done = cutover(
            *(self.root, self.keys, "admit", "--digest", f"sha256:{SUBJECT_HEX}"),
            *("--environment", "production"),
        )
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def project(tmp_path: Path, keys: Keys) -> Logged:
    """As it stands: GO, logged and admitted."""
    made = cutover(
        *(tmp_path, keys, "keys", "new", "log.pem", "--name", "log", "--role", "log"), "--origin", ORIGIN
    )
    trust = json.loads(keys.trust.read_text())
    trust["keys"].append(json.loads(made.stdout))
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    own = Keys(keys.decision, keys.policy, tmp_path / "trust.json")
    base = Base("logged", {ONE_FILE: gate_module(GREEN)}, policy({"origin": ORIGIN, "place": "log"}))
    lie = LyingRun("logged", "", base, truly_go(""), keyed=True)
    root = tmp_path / "project"
    environ = build(lie, root, own) | {"CUTOVER_KEY_LOG": str(tmp_path / "log.pem")}
    out = Logged(root, own, tmp_path / "log.pem", lie, environ)
    out.sign(base.policy)
    return out


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
def test_a_logged_go_is_admitted(mode: Mode, project: Logged) -> None:
    """The sibling of every case: nothing is wrong with it, and it opens the door."""
    seen = project.run(mode)

    assert (seen.exit, seen.verdicts) == (0, ("GO",)), seen.summary()
    (folder,) = project.runs()
    assert (
        f"logged   as entry 1 of {ORIGIN}"
        in cutover(project.root, project.keys, "verify", str(folder)).stdout
    )
    assert project.admits()


# -- the log is another one when a run begins ---------------------------------------------------


def gone(project: Logged) -> None:
    shutil.rmtree(project.log)


def rolled_back(project: Logged) -> None:
    shutil.copytree(project.log, project.root / "copy")
    assert project.run().exit == 0
    shutil.rmtree(project.log)
    (project.root / "copy").rename(project.log)


def forked(project: Logged) -> None:
    """The log's own key signed another history, and a longer one."""
    shutil.rmtree(project.log)
    signer = NoteSigner(ORIGIN, load_private_key(project.log_key))
    Log(FolderObjects(project.log), ORIGIN, signer).append([b"another", b"history"])


@pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value)
@pytest.mark.parametrize("rewrite", [gone, rolled_back, forked], ids=lambda f: f.__name__)
def test_a_log_that_was_rewritten_is_no_go(
    rewrite: Callable[[Logged], None], mode: Mode, project: Logged
) -> None:
    assert project.run().exit == 0
    rewrite(project)
    seen = project.run(mode)

    assert (seen.exit, seen.verdicts) == (10, ("NO-GO",)), seen.summary()
    assert "log.rewritten" in seen.codes
    assert not seen.says_go
    assert not project.admits()


def anothers(project: Logged) -> None:
    """A log of the same name that somebody else signed."""
    stranger = project.root.parent / "stranger.pem"
    cutover(project.root, project.keys, "keys", "new", str(stranger))
    signer = NoteSigner(ORIGIN, load_private_key(stranger))
    Log(FolderObjects(project.log), ORIGIN, signer).append([b"x"])


def without_its_key(project: Logged) -> None:
    del project.environ["CUTOVER_KEY_LOG"]


def with_a_key_of_another_kind(project: Logged) -> None:
    path = project.root.parent / "p256.pem"
    cutover(project.root, project.keys, "keys", "new", str(path), "--kind", "ecdsa-p256")
    project.environ["CUTOVER_KEY_LOG"] = str(path)


def in_a_file(project: Logged) -> None:
    project.log.write_text("")


def cut_short(project: Logged) -> None:
    assert project.run().exit == 0
    path = project.log / "checkpoint"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    "meddle",
    [anothers, without_its_key, with_a_key_of_another_kind, in_a_file, cut_short],
    ids=lambda f: f.__name__,
)
def test_without_a_log_that_can_be_used_nothing_begins(
    meddle: Callable[[Logged], None], project: Logged
) -> None:
    meddle(project)
    before = len(project.runs())
    seen = project.run()

    assert seen.exit in (2, 3, 4), seen.summary()
    assert "log" in seen.out
    assert "Traceback" not in seen.out
    assert len(project.runs()) == before


# -- the log is changed while gates run ---------------------------------------------------------

REMOVES = 'gate.measure("v", 1)\nimport shutil\nshutil.rmtree("log")'
BLOCKS = 'gate.measure("v", 1)\nimport pathlib, shutil\nshutil.rmtree("log")\npathlib.Path("log").touch()'


@pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value)
@pytest.mark.parametrize("body", [REMOVES, BLOCKS], ids=["removed", "blocked"])
def test_a_decision_that_no_log_takes_is_no_go(body: str, mode: Mode, project: Logged) -> None:
    assert project.run().exit == 0
    seen = project.run(mode, body)

    assert (seen.exit, seen.verdicts) == (11, ("NO-GO",)), seen.summary()
    assert "log.unavailable" in seen.codes
    assert not project.admits()
    newest = project.runs()[-1]
    assert not (newest / PROOF).exists()
    # It says itself that no log has it, and is evidence all the same.
    assert cutover(project.root, project.keys, "verify", str(newest)).returncode == 0


# -- the store ----------------------------------------------------------------------------------

SPOILS = 'gate.measure("v", 1)\nimport pathlib\npathlib.Path("evidence").mkdir()\npathlib.Path("evidence/{}").touch()'


@pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value)
@pytest.mark.parametrize("blocked", ["history", "latest.json"])
def test_a_decision_that_no_store_takes_is_no_go(blocked: str, mode: Mode, project: Logged) -> None:
    """`latest.json` is the last that is written: all the evidence of a GO was in the store by then."""
    project.sign(policy({"origin": ORIGIN, "place": "log"}, store={"place": "evidence"}))
    seen = project.run(
        mode, SPOILS.format(blocked).replace(".touch()", ".mkdir()" if "." in blocked else ".touch()")
    )

    assert (seen.exit, seen.verdicts) == (11, ("NO-GO",)), seen.summary()
    assert "evidence.not-stored" in seen.codes
    assert not project.admits()
    assert cutover(project.root, project.keys, "verify", str(project.runs()[-1])).returncode == 0
    stored = project.root / "evidence/history"
    assert not stored.is_dir() or not list(stored.glob(f"*/{BUNDLE}"))


# -- the proof ----------------------------------------------------------------------------------


def no_proof(project: Logged) -> None:
    (project.runs()[-1] / PROOF).unlink()


def of_another_run(project: Logged) -> None:
    first, second = project.runs()
    shutil.copy(first / PROOF, second / PROOF)


def of_a_strangers_log(project: Logged) -> None:
    project.log.rename(project.root / "old")
    anothers(project)
    proof = Log(
        FolderObjects(project.log),
        ORIGIN,
        NoteSigner(ORIGIN, load_private_key(project.root.parent / "stranger.pem")),
    ).prove(0)
    (project.runs()[-1] / PROOF).write_bytes(proof)


def one_character_off(project: Logged) -> None:
    path = project.runs()[-1] / PROOF
    path.write_text(path.read_text().replace("index 2", "index 1"))


def unknown_log(project: Logged) -> None:
    trust = json.loads(project.keys.trust.read_text())
    trust["keys"] = [k for k in trust["keys"] if "log" not in k["roles"]]
    project.keys.trust.write_text(json.dumps(trust))


@pytest.mark.parametrize(
    ("meddle", "code"),
    [
        (no_proof, "log.unproven"),
        (of_another_run, "log.proof"),
        (of_a_strangers_log, "log.proof"),
        (one_character_off, "log.proof"),
        (unknown_log, "log.proof"),
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_a_go_without_its_proof_admits_nothing(
    meddle: Callable[[Logged], None], code: str, project: Logged
) -> None:
    assert [project.run().exit, project.run().exit] == [0, 0]
    meddle(project)

    assert code in project.refusal()
    done = cutover(project.root, project.keys, "verify", str(project.runs()[-1]))
    assert done.returncode == 1
    assert code in done.stdout


def test_a_policy_without_a_log_does_not_get_around_the_trust_file_s(project: Logged) -> None:
    """Whoever signs policies cannot switch off what the deploy system asks for."""
    project.sign(policy(None))
    assert project.run().exit == 0

    assert "log.unproven" in project.refusal()


# -- witnesses ----------------------------------------------------------------------------------


@dataclass
class Witnessed:
    """A logged project whose policy asks for the cosignature of a witness that is a process of its own."""

    project: Logged
    url: str
    process: subprocess.Popen[bytes]

    def sign(self, *urls: str, cosignatures: int = 1) -> None:
        log = {"origin": ORIGIN, "place": "log", "witnesses": list(urls), "cosignatures": cosignatures}
        self.project.sign(policy(log))

    def trust_another(self) -> None:
        """Know the witness's key under the name of another."""
        trust = self.project.keys.trust
        trust.write_text(trust.read_text().replace("w.example", "other.example"))


@pytest.fixture
def witnessed(project: Logged, tmp_path: Path) -> Iterator[Witnessed]:
    """As it stands: GO, logged, cosigned and admitted."""
    keys = project.keys
    arguments = (
        "--name",
        "witness",
        "--role",
        "witness",
        "--origin",
        "w.example",
        "--trust",
        str(keys.trust),
    )
    made = cutover(tmp_path, keys, "keys", "new", "w.pem", *arguments)
    assert made.returncode == 0, made.stderr
    command = [sys.executable, "-P", "-m", "pytest_cutover", "serve", "--follow-stdin"]
    command += [
        "--witness",
        "w.example",
        "--witness-key",
        str(tmp_path / "w.pem"),
        "--trust",
        str(keys.trust),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        out = Witnessed(project, f"{json.loads(process.stdout.readline())['url']}/witness", process)
        out.sign(out.url)
        yield out
        process.kill()


@pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value)
def test_a_cosigned_go_is_admitted(mode: Mode, witnessed: Witnessed) -> None:
    for _ in range(2):
        seen = witnessed.project.run(mode)
        assert (seen.exit, seen.verdicts) == (0, ("GO",)), seen.summary()
    assert witnessed.project.admits()
    assert b"\n\xe2\x80\x94 w.example " in (witnessed.project.runs()[-1] / PROOF).read_bytes()


def is_down(witnessed: Witnessed) -> None:
    witnessed.process.kill()
    witnessed.process.wait()


def is_nobody(witnessed: Witnessed) -> None:
    witnessed.trust_another()


def is_one_of_two(witnessed: Witnessed) -> None:
    witnessed.sign(witnessed.url, f"{witnessed.url}/again", cosignatures=2)


def has_seen_another_history(witnessed: Witnessed) -> None:
    """Whoever holds the log's key shows the witness one log, and the project another."""
    assert witnessed.project.run().exit == 0
    shutil.rmtree(witnessed.project.log)
    shutil.rmtree(witnessed.project.root / RUNS)


@pytest.mark.parametrize(
    ("meddle", "mode"),
    [
        (is_down, Mode.ALONE),
        (is_down, Mode.SUPERVISED),
        (is_nobody, Mode.ALONE),
        (is_one_of_two, Mode.SUPERVISED),
        (has_seen_another_history, Mode.ALONE),
    ],
    ids=lambda v: getattr(v, "__name__", None) or v.value,
)
def test_without_its_witnesses_there_is_no_go(
    meddle: Callable[[Witnessed], None], mode: Mode, witnessed: Witnessed
) -> None:
    meddle(witnessed)
    seen = witnessed.project.run(mode)

    assert (seen.exit, seen.verdicts) == (11, ("NO-GO",)), seen.summary()
    assert "log.unavailable" in seen.codes
    assert not witnessed.project.admits()


def test_a_go_without_the_cosignature_admits_nothing(witnessed: Witnessed) -> None:
    """The cosignature is taken out of the proof, as one would who set the log back since."""
    assert witnessed.project.run().exit == 0
    path = witnessed.project.runs()[-1] / PROOF
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b" w.example " not in line))

    assert "log.unproven" in witnessed.project.refusal()
