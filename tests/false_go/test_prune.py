"""Tidying up as a lie: a NO-GO is taken away, and the GO before it counts again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.false_go.harness import (
    BUNDLE,
    REPORT,
    RUNS,
    Keys,
    LyingRun,
    Mode,
    admits,
    build,
    command,
    cutover,
    gate_module,
    go_on,
    policy,
    truly_go,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED, TWO_FILE
from tests.false_go.test_obligations import SOON_S, Released, gate_two
from tests.false_go.test_obligations import policy as promising
from tests.false_go.test_waivers import CONFIRMS, Case, Persons, persons

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["persons"]

DAY_S = 86400.0
PROJECT = LyingRun("prune", "", ONE, truly_go("nothing is wrong with it"), keyed=True)
OTHER = {"CUTOVER_SUBJECT": f"shop@sha256:{'cd' * 32}"}


@dataclass
class Site:
    """A project that runs again and again, and is tidied up."""

    root: Path
    keys: Keys
    environ: dict[str, str]

    def gated(self, body: str, ttl_s: float, **environ: str) -> Path:
        """Run the gate with this body; the decision is in force for `ttl_s`."""
        document = policy("one", settings={"decision_ttl_s": ttl_s})
        (self.root / "configs/policy.json").write_text(json.dumps(document))
        (self.root / ONE_FILE).write_text(gate_module(body))
        before = set((self.root / RUNS).glob("*"))
        argv = command(PROJECT, Mode.SUPERVISED, self.root)
        subprocess.run(argv, cwd=self.root, env=self.environ | environ, capture_output=True, check=False)
        (new,) = set((self.root / RUNS).glob("*")) - before
        return new

    def prune(self) -> str:
        """As little as can be kept."""
        done = cutover(self.root, self.keys, "prune", "--keep", "1", "--older-than", "0d")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def admitted(self) -> bool:
        return admits(self.root, self.keys)


@pytest.fixture
def site(tmp_path: Path, keys: Keys) -> Site:
    root = tmp_path / "project"
    return Site(root, keys, build(PROJECT, root, keys))


def ended(run: Path) -> None:
    """Wait until the run's decision is in force no more."""
    expires = datetime.fromisoformat(json.loads((run / REPORT).read_text())["decision"]["expires_at"])
    while datetime.now(UTC) <= expires:
        time.sleep(0.05)


def killed(run: Path) -> None:
    """As if the run had been killed two days ago."""
    (run / REPORT).unlink()
    (run / BUNDLE).unlink()
    two_days_ago = time.time() - 2 * DAY_S
    os.utime(run / "journal.jsonl", (two_days_ago, two_days_ago))


def damaged(run: Path) -> None:
    bundle = (run / BUNDLE).read_text()
    (run / BUNDLE).write_text(bundle.replace('"sig":"', '"sig":"AA', 1))


def cut_off(run: Path) -> None:
    data = (run / BUNDLE).read_bytes()
    (run / BUNDLE).write_bytes(data[: len(data) // 2])


class TestANoGoThatIsOld:
    @pytest.mark.parametrize("spoil", [None, killed, damaged, cut_off], ids=lambda s: s and s.__name__)
    def test_stays_while_the_go_that_it_takes_back_stays(self, site: Site, spoil: object) -> None:
        site.gated(GREEN, DAY_S)
        assert site.admitted(), "the truth: it is a GO, until somebody takes it back"
        no_go = site.gated(RED, 0.01)
        ended(no_go)
        if callable(spoil):
            spoil(no_go)
        site.gated(GREEN, DAY_S, **OTHER)  # the newest of the plan is about something else
        assert not site.admitted()

        site.prune()

        assert no_go.exists()
        assert not site.admitted()

    def test_the_same_without_a_key(self, site: Site) -> None:
        site.gated(GREEN, DAY_S)
        no_go = site.gated(RED, 0.01, CUTOVER_KEY="none")
        ended(no_go)
        site.gated(GREEN, DAY_S, **OTHER)

        site.prune()

        assert not site.admitted()

    def test_without_it_the_go_would_count_again(self, site: Site) -> None:
        """What the tests above prevent."""
        site.gated(GREEN, DAY_S)
        no_go = site.gated(RED, 0.01)
        shutil.rmtree(no_go)

        assert site.admitted()

    def test_both_go_when_the_go_has_ended_too(self, site: Site) -> None:
        go, no_go = site.gated(GREEN, 0.01), site.gated(RED, 0.01)
        ended(go)
        ended(no_go)
        newest = site.gated(GREEN, DAY_S, **OTHER)

        said = site.prune()

        assert sorted((site.root / RUNS).iterdir()) == [newest]
        assert said.index(go.name) < said.index(no_go.name), "the GO goes first"
        assert not site.admitted()


class TestAPromiseThatIsOld:
    @pytest.fixture
    def released(self, tmp_path: Path, persons: Persons) -> Released:
        """A release on a promise; its decision is in force for a moment."""
        document = json.loads(promising())
        for place in document["environments"].values():
            place["settings"]["decision_ttl_s"] = 0.01
        guard = {"name": "watch", "kind": "observation_window", "seconds": 600}
        case = Case(
            "promised",
            truly_go(""),
            {"guards": [guard | {"obligation": {"gate": "two", "within_s": SOON_S}}]},
            files={ONE_FILE: gate_module(RED), TWO_FILE: gate_two(), "inject.py": CONFIRMS},
            policy=json.dumps(document),
        )
        run, root = case.run(persons), tmp_path / "project"
        out = Released(run, root, persons.keys, build(run, root, persons.keys))
        assert go_on(run, Mode.ALONE, root, persons.keys, out.environ).verdicts == ("GO-WITH-GUARDS",)
        (release,) = (root / RUNS).iterdir()
        ended(release)
        time.sleep(SOON_S)
        return out

    def prune(self, released: Released) -> None:
        arguments = ("prune", "--keep", "1", "--older-than", "0d")
        said = cutover(released.root, released.keys, *arguments, "--dry-run").stdout
        assert "later runs are held to what it promised" in said
        assert cutover(released.root, released.keys, *arguments).returncode == 0

    def test_is_not_forgotten(self, released: Released) -> None:
        released.again(**OTHER)
        self.prune(released)

        seen = released.again()

        assert (seen.exit, seen.verdicts) == (10, ("NO-GO",)), seen.summary()
        assert "obligation.overdue" in seen.codes

    def test_nor_that_it_was_kept(self, released: Released) -> None:
        for _ in range(2):
            assert released.again("postcutover").exit == 0
            time.sleep(0.05)  # until its decision has ended
        self.prune(released)

        assert released.states() == (0, ["met late"])
