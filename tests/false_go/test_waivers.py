"""Waivers that should not count, and guards that nobody put in place: each is one step away from a GO-WITH-GUARDS."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.false_go.harness import (
    BUNDLE,
    REPORT,
    RUNS,
    SUBJECT_HEX,
    Base,
    Expect,
    Keys,
    LyingRun,
    Mode,
    Seen,
    Workshop,
    admits,
    build,
    cutover,
    execute,
    gate_module,
    go_on,
    red,
    truly_go,
    unproven,
)
from tests.false_go.projects.bases import GREEN, ONE_FILE, RED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)
CONFIRMS = """
import hashlib, sys
print("confirmed sha256:" + hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())
"""
GUARDS = [{"name": "watch", "kind": "observation_window", "seconds": 600}]
AUTHORS = {"CUTOVER_AUTHORS": "Ann Author"}
HELD = Expect(frozenset({12}), "guards.unconfirmed")


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def statement(**changes: Any) -> dict[str, Any]:
    """A waiver as a person would ask for it, with parts of it changed."""
    predicate = {
        "gate": "one",
        "environment": "production",
        "accepts": ["limit.broken"],
        "within": {},
        "reason": "a batch job is running",
        "risk": "low",
        "ticket": "OPS-1",
        "issued_at": stamp(NOW - timedelta(hours=1)),
        "expires_at": stamp(NOW + timedelta(hours=1)),
        "guards": GUARDS,
    }
    subject = changes.pop("subject", [{"name": "shop", "digest": {"sha256": SUBJECT_HEX}}])
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://pytest-cutover.dev/attestation/waiver/v1",
        "predicate": predicate | changes,
    }


def signed(document: Any, *keys: Path, payload_type: str = "application/vnd.in-toto+json") -> dict[str, Any]:
    """A DSSE envelope, written without the engine."""
    payload = json.dumps(document).encode()
    kind = payload_type.encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signatures = []
    for path in keys:
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        signatures.append({"sig": base64.b64encode(key.sign(message)).decode()})
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": signatures,
    }


@dataclass(frozen=True)
class Persons:
    """Keys of people who may waive, `stranger` of nobody, and `keys` with a trust file that names them."""

    folder: Path
    keys: Keys

    def __getattr__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


@pytest.fixture(scope="module")
def persons(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Persons:
    folder = tmp_path_factory.mktemp("persons")
    trust = json.loads(keys.trust.read_text())
    people = {
        "boss": "Bea Boss",
        "boss_again": "bea  BOSS",
        "chief": "Chris Chief",
        "ann": "ann author",
        "robot": None,
    }
    for name, person in people.items():
        made = cutover(folder, keys, "keys", "new", f"{name}.pem", "--name", name, "--role", "waiver")
        entry = json.loads(made.stdout)
        trust["keys"].append(entry | ({} if person is None else {"person": person}))
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "stranger.pem").write_bytes(private)
    (folder / "trust.json").write_text(json.dumps(trust))
    return Persons(folder, Keys(keys.decision, keys.policy, folder / "trust.json"))


def policy(
    *, requires: tuple[str, ...] = ("one",), persons: int | None = 1, command: Any = ("python3", "inject.py")
) -> str:
    place: dict[str, Any] = {"subjects": [{"name": "shop", "sha256": SUBJECT_HEX}]}
    if persons is not None:
        place["settings"] = {"waiver_persons": persons}
    if command is not None:
        place["guards"] = {"command": list(command), "timeout_s": 2}
    return json.dumps(
        {
            "format": 1,
            "name": "waived",
            "version": 1,
            "default_environment": "production",
            "plans": {"preflight": {"requires": list(requires)}},
            "limits": {name: {"v": {"at_most": 1}} for name in requires},
            "environments": {"production": place},
        }
    )


@dataclass(frozen=True)
class Case:
    """A waiver and a project; as they stand by default the run is GO-WITH-GUARDS."""

    name: str
    expect: Expect
    waiver: Mapping[str, Any] = field(default_factory=dict)
    signers: tuple[str, ...] = ("boss",)
    alter: Callable[[dict[str, Any]], None] | None = None
    files: Mapping[str, str | None] = field(default_factory=dict)
    policy: str = field(default_factory=policy)
    env: Mapping[str, str] = field(default_factory=lambda: AUTHORS)
    modes: tuple[Mode, ...] = (Mode.ALONE,)

    def run(self, persons: Persons) -> LyingRun:
        return LyingRun(
            self.name,
            "",
            Base("waived", {ONE_FILE: gate_module(RED), "inject.py": CONFIRMS}, {}),
            self.expect,
            files=self.files,
            env=self.env,
            keyed=True,
            prepare=lambda shop: self.prepare(shop, persons),
        )

    def prepare(self, shop: Workshop, persons: Persons) -> None:
        (shop.root / "configs/policy.json").write_text(self.policy)
        done = shop.cutover("policy", "sign", "configs/policy.json", "--key", str(persons.keys.policy))
        assert done.returncode == 0, done.stderr
        envelope = signed(statement(**self.waiver), *(getattr(persons, n) for n in self.signers))
        if self.alter is not None:
            self.alter(envelope)
        (shop.root / "configs/waivers").mkdir()
        (shop.root / "configs/waivers/one.dsse").write_text(json.dumps(envelope))


def edited(envelope: dict[str, Any]) -> None:
    """Another gate, after the signature."""
    document = json.loads(base64.b64decode(envelope["payload"]))
    document["predicate"]["expires_at"] = stamp(NOW + timedelta(days=9))
    envelope["payload"] = base64.b64encode(json.dumps(document).encode()).decode()


def twice(envelope: dict[str, Any]) -> None:
    envelope["signatures"] *= 2


FORGED = """
import json, pathlib
gate.measure("v", 5)
journal = max(pathlib.Path("var/cutover/runs").glob("*/journal.jsonl"))
seq = len(journal.read_bytes().splitlines())
guards = json.dumps({"seq": seq, "event": "guards.confirmed", "at": "2026-11-21T09:00:00Z", "guards": "sha256:0", "file": "sha256:0"})
with journal.open("a") as file:
    file.write(guards + "\\n")
"""
BOTH = (Mode.ALONE, Mode.SUPERVISED)
TWO = {"gates/test_two.py": gate_module(RED, gate="two")}
OTHER = [{"name": "shop", "digest": {"sha256": "cd" * 32}}]
CASES = (
    Case(
        "expired",
        red("waiver.expired"),
        {"issued_at": stamp(NOW - timedelta(days=2)), "expires_at": stamp(NOW - timedelta(hours=2))},
        modes=BOTH,
    ),
    Case(
        "not-begun",
        red("waiver.expired"),
        {"issued_at": stamp(NOW + timedelta(hours=2)), "expires_at": stamp(NOW + timedelta(hours=3))},
    ),
    Case("of-staging", red("waiver.foreign"), {"environment": "staging"}),
    Case("of-another-change", red("waiver.foreign"), {"subject": OTHER}),
    Case(
        "of-more-than-this-change",
        red("waiver.foreign"),
        {"subject": [*OTHER, {"name": "shop", "digest": {"sha256": SUBJECT_HEX}}]},
    ),
    Case("by-an-author", red("waiver.self-signed"), signers=("ann",), modes=BOTH),
    Case("by-an-author-and-another", red("waiver.self-signed"), signers=("boss", "ann")),
    Case("authors-unknown", red("waiver.authors-unknown"), env={}),
    Case("by-a-stranger", red("waiver.untrusted"), signers=("stranger",)),
    Case("by-a-robot", red("waiver.untrusted"), signers=("robot",)),
    Case("by-nobody", red("waiver.unusable"), signers=()),
    Case("edited", red("waiver.untrusted"), alter=edited),
    Case("one-person-twice", red("waiver.persons"), signers=("boss", "boss_again"), policy=policy(persons=2)),
    Case("one-key-twice", red("waiver.persons"), alter=twice, policy=policy(persons=2)),
    Case("not-allowed", red("waiver.not-allowed"), policy=policy(persons=None)),
    Case(
        "beyond",
        red("waiver.beyond"),
        {"within": {"v": {"operator": "at_most", "bounds": ["4"], "kind": "number", "unit": "1"}}},
        modes=BOTH,
    ),
    Case(
        "within-another-unit",
        red("waiver.beyond"),
        {"within": {"v": {"operator": "at_most", "bounds": ["9"], "kind": "number", "unit": "x"}}},
    ),
    Case("another-gate", red("limit.broken"), {"gate": "two"}),
    Case("one-of-two", red("limit.broken"), files=TWO, policy=policy(requires=("one", "two"))),
    Case("another-reason", unproven("gate.error"), files={ONE_FILE: gate_module("1 / 0")}),
    Case(
        "a-gate-that-is-gone",
        unproven("gate.not-collected"),
        files={ONE_FILE: None, "gates/test_two.py": gate_module(GREEN, gate="two")},
        policy=policy(requires=("one", "two")),
    ),
    Case(
        "a-gate-that-is-skipped",
        unproven("gate.skipped"),
        {"accepts": ["limit.broken", "gate.error", "limit.unmeasured"]},
        files={ONE_FILE: gate_module("pytest.skip('no')")},
    ),
    Case(
        "a-skip",
        unproven("waiver.unusable"),
        {"accepts": ["gate.skipped"]},
        files={ONE_FILE: gate_module("pytest.skip('no')")},
    ),
    Case("without-guards", red("waiver.unusable"), {"guards": []}),
    Case("for-a-month", red("waiver.unusable"), {"expires_at": stamp(NOW + timedelta(days=31))}),
    Case("without-an-end", red("waiver.unusable"), {"expires_at": None}),
    Case("no-guards-command", HELD, policy=policy(command=None)),
    Case("guards-command-missing", HELD, policy=policy(command=("no-such-command",))),
    Case("guards-command-fails", HELD, files={"inject.py": CONFIRMS + "sys.exit(3)\n"}, modes=BOTH),
    Case("guards-command-silent", HELD, files={"inject.py": ""}, modes=BOTH),
    Case("guards-of-another-file", HELD, files={"inject.py": "print('confirmed sha256:' + '0' * 64)"}),
    Case("guards-and-doubts", HELD, files={"inject.py": CONFIRMS + "print('not sure')\n"}),
    Case(
        "guards-too-slow",
        HELD,
        files={"inject.py": CONFIRMS + "import time; sys.stdout.flush(); time.sleep(30)\n"},
    ),
    Case(
        "forged-confirmation",
        unproven("run.journal-damaged"),
        files={ONE_FILE: gate_module(FORGED)},
        modes=BOTH,
    ),
)


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
def test_a_whole_waiver_is_go_with_guards(mode: Mode, tmp_path: Path, persons: Persons) -> None:
    """The sibling of every case: nothing is wrong with it, and it opens the door."""
    seen = execute(Case("whole", truly_go("")).run(persons), mode, tmp_path, persons.keys)

    assert (seen.exit, seen.verdicts, len(seen.sealed_go)) == (0, ("GO-WITH-GUARDS",), 1), seen.summary()
    assert admits(tmp_path / "project", persons.keys, environment="production")


def test_two_persons_are_two(tmp_path: Path, persons: Persons) -> None:
    case = Case("two", truly_go(""), signers=("boss", "chief"), policy=policy(persons=2))

    assert execute(case.run(persons), Mode.ALONE, tmp_path, persons.keys).exit == 0


@pytest.mark.parametrize(
    ("case", "mode"),
    [(c, m) for c in CASES for m in c.modes],
    ids=lambda v: v.value if isinstance(v, Mode) else v.name,
)
def test_does_not_count(case: Case, mode: Mode, tmp_path: Path, persons: Persons) -> None:
    seen = execute(case.run(persons), mode, tmp_path, persons.keys)

    assert seen.exit in case.expect.exits, seen.summary()
    assert case.expect.code in seen.codes, seen.summary()
    assert not seen.says_go
    assert not seen.sealed_go
    assert not admits(tmp_path / "project", persons.keys, environment="production")


class TestEvidence:
    @pytest.fixture
    def folder(self, tmp_path: Path, persons: Persons) -> Path:
        assert execute(Case("whole", truly_go("")).run(persons), Mode.ALONE, tmp_path, persons.keys).exit == 0
        return next((tmp_path / "project" / RUNS).iterdir())

    def test_proves_nothing_to_somebody_who_does_not_know_the_waiver_s_signer(
        self, folder: Path, persons: Persons, keys: Keys
    ) -> None:
        root = folder.parents[3]
        assert cutover(root, persons.keys, "verify", str(folder)).returncode == 0

        refused = cutover(root, keys, "verify", str(folder))
        assert (refused.returncode, "waiver.signature" in refused.stdout) == (1, True)
        assert not admits(root, keys, environment="production")

    def test_without_its_waiver_does_not_verify(self, folder: Path, persons: Persons) -> None:
        lines = (folder / BUNDLE).read_bytes().splitlines(keepends=True)
        (folder / BUNDLE).write_bytes(b"".join([lines[0], *lines[2:]]))

        assert cutover(folder.parents[3], persons.keys, "verify", str(folder)).returncode == 1

    def test_ends_when_the_waiver_ends(self, folder: Path) -> None:
        decision = json.loads((folder / REPORT).read_text())["decision"]

        assert decision["expires_at"] == stamp(NOW + timedelta(hours=1)).replace("Z", ".000000Z")

    def test_says_what_has_to_be_in_place(self, folder: Path) -> None:
        document = json.loads((folder / "guards.json").read_text())

        assert [g["name"] for g in document["guards"]] == ["watch"]
        assert document["environment"] == "production"


def test_a_stray_file_stops_no_release(tmp_path: Path, persons: Persons) -> None:
    """A false NO-GO at night: something unreadable among the waivers, and every gate green."""
    case = Case("stray", truly_go(""), signers=(), files={ONE_FILE: gate_module('gate.measure("v", 1)')})
    seen = execute(case.run(persons), Mode.ALONE, tmp_path, persons.keys)

    assert (seen.exit, seen.verdicts) == (0, ("GO",)), seen.summary()
    assert "waiver.unusable" in seen.codes


def test_a_removed_waiver_is_missed(tmp_path: Path, persons: Persons) -> None:
    case = Case("whole", truly_go(""))
    run = case.run(persons)

    def without(shop: Workshop) -> None:
        case.prepare(shop, persons)
        shutil.rmtree(shop.root / "configs/waivers")

    object.__setattr__(run, "prepare", without)
    assert execute(run, Mode.ALONE, tmp_path, persons.keys).exit == 10


@dataclass
class Reopened:
    """A project whose gate `one` is red and waived, after its first run: GO-WITH-GUARDS, and `two` green."""

    run: LyingRun
    root: Path
    persons: Persons
    environ: dict[str, str]

    def open(self, mode: Mode) -> Seen:
        before = tuple(f.name for f in (self.root / RUNS).iterdir())
        more = {"run_args": ("--open",)} if mode.supervised else {"args": ("--cutover-open",)}
        return go_on(
            replace(self.run, planted=before, **more), mode, self.root, self.persons.keys, self.environ
        )

    def carried(self, seen: Seen) -> set[str]:
        ((_, report),) = seen.reports.items()
        return {g["gate"] for g in report["decision"]["gates"] if "carried_from" in g}


class TestOpenedAgain:
    @pytest.fixture(params=[Mode.ALONE])
    def mode(self, request: pytest.FixtureRequest) -> Mode:
        mode: Mode = request.param
        return mode

    @pytest.fixture
    def again(self, mode: Mode, tmp_path: Path, persons: Persons) -> Reopened:
        two = {"gates/test_two.py": gate_module(GREEN, gate="two")}
        run = Case("opened", truly_go(""), files=two, policy=policy(requires=("one", "two"))).run(persons)
        root = tmp_path / "project"
        project = Reopened(run, root, persons, build(run, root, persons.keys))
        seen = go_on(run, mode, root, persons.keys, project.environ)
        assert (seen.exit, seen.verdicts) == (0, ("GO-WITH-GUARDS",)), seen.summary()
        return project

    @pytest.mark.parametrize("mode", BOTH, ids=lambda m: m.value, indirect=True)
    def test_the_waived_gate_runs_and_the_guards_are_put_in_place_again(
        self, mode: Mode, again: Reopened
    ) -> None:
        seen = again.open(mode)

        assert (seen.exit, seen.verdicts) == (0, ("GO-WITH-GUARDS",)), seen.summary()
        assert again.carried(seen) == {"two"}
        (folder,) = (f for f in (again.root / RUNS).iterdir() if f.name in seen.reports)
        assert (folder / "guards.json").is_file()

    def test_without_the_waiver_it_is_red(self, mode: Mode, again: Reopened) -> None:
        shutil.rmtree(again.root / "configs/waivers")
        seen = again.open(mode)

        assert seen.exit == 10, seen.summary()
        assert "limit.broken" in seen.codes
        assert again.carried(seen) == {"two"}
        assert not admits(again.root, again.persons.keys, environment="production")

    def test_with_a_waiver_that_has_ended_it_is_red(self, mode: Mode, again: Reopened) -> None:
        ended = statement(issued_at=stamp(NOW - timedelta(days=2)), expires_at=stamp(NOW - timedelta(days=1)))
        (again.root / "configs/waivers/one.dsse").write_text(json.dumps(signed(ended, again.persons.boss)))
        seen = again.open(mode)

        assert seen.exit == 10, seen.summary()
        assert "waiver.expired" in seen.codes
        assert not admits(again.root, again.persons.keys, environment="production")

    def test_without_a_confirmation_of_its_own_it_holds(self, mode: Mode, again: Reopened) -> None:
        (again.root / "inject.py").write_text("")
        seen = again.open(mode)

        assert seen.exit == 12, seen.summary()
        assert "guards.unconfirmed" in seen.codes
        assert not admits(again.root, again.persons.keys, environment="production")
