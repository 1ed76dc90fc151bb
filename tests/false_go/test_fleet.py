"""Lies about fleets: a shard that is gone, old, doubled, foreign, tampered with, or taken for the whole."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.false_go.harness import (
    BUNDLE,
    PAIR,
    REPORT,
    RUNS,
    SUBJECT_HEX,
    Keys,
    LyingRun,
    Mode,
    build,
    command,
    cutover,
    gate_module,
    policy,
    truly_go,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED
from tests.false_go.projects.policies import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

FLEET = policy("one", plans={"preflight": {"requires": ["one"], "shards": ["eu", "us"]}})
STAGING = {
    **policy("one", environment="staging"),
    "plans": FLEET["plans"],
}
PROJECT = LyingRun("fleet", "", ONE, truly_go("nothing is wrong with it"), policy=FLEET, keyed=True)


@dataclass
class Fleet:
    """A project whose policy asks for two shards, and what its jobs left behind."""

    root: Path
    keys: Keys
    environ: dict[str, str]
    project: LyingRun = PROJECT
    said: str = ""
    folders: list[Path] = field(default_factory=list)

    def shard(self, name: str | None, mode: Mode = Mode.ALONE, **more: str) -> tuple[int, Path]:
        """Run the gates for a shard; the exit status and the run folder."""
        before = set(self.runs())
        environ = self.environ | ({} if name is None else {"CUTOVER_SHARD": name}) | more
        argv = command(self.project, mode, self.root)
        done = subprocess.run(argv, cwd=self.root, env=environ, capture_output=True, check=False)
        (new,) = set(self.runs()) - before
        return done.returncode, new

    def green(self, name: str) -> Path:
        status, folder = self.shard(name)
        assert status == 12, "the run of a shard is HOLD at best"
        return folder

    def runs(self) -> list[Path]:
        place = self.root / RUNS
        return sorted(place.iterdir()) if place.is_dir() else []

    def gate(self, body: str) -> None:
        """Let the gate measure something else from now on."""
        (self.root / ONE_FILE).write_text(gate_module(body))

    def merge(self, *runs: Path, environ: Mapping[str, str] | None = None, plan: str = "preflight") -> int:
        """`cutover merge` of these runs, signed with the project's key."""
        before = set(self.runs())
        argv = [sys.executable, "-P", "-m", "pytest_cutover", "merge", *map(str, runs), "--plan", plan]
        done = subprocess.run(
            argv,
            cwd=self.root,
            env=self.environ | (environ or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = done.stdout + done.stderr
        self.folders = sorted(set(self.runs()) - before)
        return done.returncode

    @property
    def merged(self) -> Path:
        (folder,) = self.folders
        return folder

    def codes(self) -> set[str]:
        report: Any = json.loads((self.merged / REPORT).read_text())
        return {f["code"] for f in report["decision"]["findings"]}

    def verifies(self, folder: Path) -> bool:
        return cutover(self.root, self.keys, "verify", str(folder)).returncode == 0

    def admitted(self, *evidence: Path, environment: str = "sandbox") -> bool:
        """What a deploy step is told: of this evidence, or of all that lies in the project."""
        ask = ["admit", "--digest", f"sha256:{SUBJECT_HEX}", "--environment", environment]
        return cutover(self.root, self.keys, *ask, *map(str, evidence)).returncode == 0

    def refused(self, status: int, code: str) -> None:
        """The last merge was no GO for this reason, and its evidence says so."""
        assert status in (10, 11), self.said
        assert code in self.codes(), self.said
        assert self.verifies(self.merged)
        assert not self.admitted(self.merged)
        assert not self.admitted()


@pytest.fixture
def fleet(tmp_path: Path, keys: Keys) -> Fleet:
    root = tmp_path / "project"
    return Fleet(root, keys, build(PROJECT, root, keys))


class TestTheTruth:
    def test_a_whole_green_fleet_is_go_and_admitted(self, fleet: Fleet) -> None:
        """The sibling of every lie below."""
        assert fleet.merge(fleet.green("eu"), fleet.green("us")) == 0, fleet.said
        assert fleet.codes() == set()
        assert fleet.verifies(fleet.merged)
        assert fleet.admitted()


class TestOneShardOfferedAsTheFleet:
    @pytest.mark.parametrize("mode", PAIR, ids=lambda m: m.value)
    def test_is_no_go_and_its_summary_is_not_passed(self, fleet: Fleet, mode: Mode) -> None:
        status, folder = fleet.shard("eu", mode)

        assert status == 12
        assert not fleet.admitted(folder)
        assert '"PASSED"' not in _payloads(folder / BUNDLE, "verificationResult")

    def test_in_a_merge_alone_misses_the_other(self, fleet: Fleet) -> None:
        fleet.refused(fleet.merge(fleet.green("eu")), "shard.missing")

    def test_without_a_name_is_unproven(self, fleet: Fleet) -> None:
        status, folder = fleet.shard(None)

        assert status == 11
        assert not fleet.admitted(folder)
        fleet.refused(fleet.merge(folder, fleet.green("eu")), "shard.unnamed")

    def test_under_a_policy_of_which_the_shards_were_taken_out_is_another_policy(self, fleet: Fleet) -> None:
        """In the sandbox anybody may write a policy; elsewhere it has to be signed. The digest tells them apart."""
        eu, us = fleet.green("eu"), fleet.green("us")
        (fleet.root / "configs/policy.json").write_text(json.dumps(ONE.policy))

        fleet.refused(fleet.merge(eu, us), "shard.not-required")
        assert "shard.policy" in fleet.codes()


class TestAMergeOfOtherShards:
    def test_one_twice_in_place_of_the_other(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        copy = fleet.root / "us"
        shutil.copytree(eu, copy)

        fleet.refused(fleet.merge(eu, copy), "shard.replayed")
        assert "shard.missing" in fleet.codes()

    def test_two_runs_of_one(self, fleet: Fleet) -> None:
        """Nobody may choose the better of two."""
        fleet.refused(fleet.merge(fleet.green("eu"), fleet.green("us"), fleet.green("us")), "shard.duplicate")

    def test_a_foreign_one(self, fleet: Fleet) -> None:
        status, mars = fleet.shard("mars")

        assert status == 11
        fleet.refused(fleet.merge(fleet.green("eu"), mars), "shard.foreign")

    def test_a_red_one(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        fleet.gate(RED)
        status, us = fleet.shard("us")

        assert status == 10
        fleet.refused(fleet.merge(eu, us), "shard.red")

    def test_one_whose_run_was_killed(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        fleet.gate("import os\nos._exit(0)")
        _, us = fleet.shard("us")

        fleet.refused(fleet.merge(eu, us), "shard.unverified")

    def test_one_without_a_key(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        status, us = fleet.shard("us", CUTOVER_KEY="none")

        assert status == 12
        fleet.refused(fleet.merge(eu, us), "shard.unverified")

    def test_one_about_another_artifact(self, fleet: Fleet) -> None:
        _, us = fleet.shard("us", CUTOVER_SUBJECT="shop@sha256:" + "cd" * 32)

        fleet.refused(fleet.merge(fleet.green("eu"), us), "shard.subject")

    def test_one_under_another_policy(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        loose = json.dumps(FLEET).replace('"at_most": 1', '"at_most": 9')
        (fleet.root / "configs/policy.json").write_text(loose)
        fleet.gate(RED)
        status, us = fleet.shard("us")

        assert status == 12, "its own policy lets it through"
        (fleet.root / "configs/policy.json").write_text(json.dumps(FLEET))
        fleet.refused(fleet.merge(eu, us), "shard.policy")

    def test_those_of_the_sandbox_for_another_environment(self, tmp_path: Path, keys: Keys) -> None:
        both = {**FLEET, "environments": {**FLEET["environments"], **STAGING["environments"]}}
        project = replace(PROJECT, policy=both, prepare=sign)
        fleet = Fleet(tmp_path / "project", keys, build(project, tmp_path / "project", keys), project)
        runs = [fleet.green("eu"), fleet.green("us")]

        status = fleet.merge(*runs, environ={"CUTOVER_ENV": "staging"})

        assert status == 11
        assert "shard.environment" in fleet.codes()
        assert not fleet.admitted(environment="staging")

    def test_one_that_was_tampered_with(self, fleet: Fleet) -> None:
        eu = fleet.green("eu")
        fleet.gate(RED)
        _, us = fleet.shard("us")
        report = us / REPORT
        report.write_text(report.read_text().replace('"value":"5"', '"value":"1"'))

        fleet.refused(fleet.merge(eu, us), "shard.unverified")

    def test_one_with_the_bundle_of_another(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        shutil.copy(eu / BUNDLE, us / BUNDLE)

        fleet.refused(fleet.merge(eu, us), "shard.unverified")

    def test_the_merge_itself_as_a_shard(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        assert fleet.merge(eu, us) == 0
        whole = fleet.merged

        assert fleet.merge(eu, whole) == 11
        assert {"shard.unverified", "shard.missing"} <= fleet.codes()


class TestAStaleMerge:
    def fleet_of(self, tmp_path: Path, keys: Keys, **settings: Any) -> Fleet:
        document = {**FLEET, "defaults": settings}
        project = replace(PROJECT, policy=document)
        return Fleet(tmp_path / "project", keys, build(project, tmp_path / "project", keys), project)

    def test_of_decisions_whose_time_is_over(self, tmp_path: Path, keys: Keys) -> None:
        fleet = self.fleet_of(tmp_path, keys, decision_ttl_s=0.01)

        fleet.refused(fleet.merge(fleet.green("eu"), fleet.green("us")), "shard.expired")

    def test_of_measurements_that_grew_old(self, tmp_path: Path, keys: Keys) -> None:
        """They were fresh when each shard was decided, half a second after they were made."""
        fleet = self.fleet_of(tmp_path, keys, max_age_s=3)
        runs = [fleet.green("eu"), fleet.green("us")]
        subprocess.run(["sleep", "3.2"], check=True)

        fleet.refused(fleet.merge(*runs), "shard.stale")

    def test_is_not_made_younger_by_merging_again(self, fleet: Fleet) -> None:
        runs = [fleet.green("eu"), fleet.green("us")]
        ends = []
        for _ in range(2):
            assert fleet.merge(*runs) == 0
            ends.append(json.loads((fleet.merged / REPORT).read_text())["decision"]["expires_at"])

        assert ends[0] == ends[1]


class TestANoGoOfAShard:
    def test_takes_an_older_merge_back(self, fleet: Fleet) -> None:
        assert fleet.merge(fleet.green("eu"), fleet.green("us")) == 0
        assert fleet.admitted()
        fleet.gate(RED)
        fleet.shard("us")

        assert not fleet.admitted()

    def test_is_not_hidden_by_a_later_merge_of_an_older_go(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        fleet.gate(RED)
        status, _ = fleet.shard("us")
        assert status == 10

        assert fleet.merge(eu, us) == 0, "whoever merges chooses what is merged"
        assert not fleet.admitted()

    def test_that_cannot_be_read_is_not_hidden_either(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        fleet.gate(RED)
        _, red = fleet.shard("us")
        (red / BUNDLE).write_text("damaged\n")

        assert fleet.merge(eu, us) == 0
        assert not fleet.admitted()

    def test_that_was_killed_after_the_merge_takes_it_back(self, fleet: Fleet) -> None:
        assert fleet.merge(fleet.green("eu"), fleet.green("us")) == 0
        fleet.gate("import os\nos._exit(0)")
        fleet.shard("us")

        assert not fleet.admitted()

    def test_that_was_mended_and_merged_is_over(self, fleet: Fleet) -> None:
        """The sibling: it is no life sentence."""
        eu = fleet.green("eu")
        fleet.gate(RED)
        fleet.shard("us")
        fleet.gate(GREEN)

        assert fleet.merge(eu, fleet.green("us")) == 0
        assert fleet.admitted()


class TestAMergeThatWasTouched:
    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            (REPORT, '"shards":["eu","us"]', '"shards":["eu"]'),
            (REPORT, '"verdict":"NO-GO"', '"verdict":"GO"'),
            (BUNDLE, '"sig":"', '"sig":"A'),
        ],
        ids=["policy", "verdict", "signature"],
    )
    def test_is_not_believed(self, fleet: Fleet, name: str, old: str, new: str) -> None:
        assert fleet.merge(fleet.green("eu")) == 11
        file = fleet.merged / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

        assert not fleet.verifies(fleet.merged)
        assert not fleet.admitted()

    def test_no_go_is_not_outlived_by_an_older_go_when_it_is_damaged(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        assert fleet.merge(eu, us) == 0
        assert fleet.merge(eu) == 11
        (fleet.merged / BUNDLE).write_text("damaged\n")

        assert not fleet.admitted()

    def test_that_could_not_be_written_is_no_go(self, fleet: Fleet) -> None:
        eu, us = fleet.green("eu"), fleet.green("us")
        moved = [shutil.move(p, fleet.root / p.name) for p in (eu, us)]
        shutil.rmtree(fleet.root / "var")
        (fleet.root / "var").write_text("no folder")

        assert fleet.merge(*map(Path, moved)) == 11


def _payloads(bundle: Path, field: str) -> str:
    """What every statement of a bundle says in one field."""
    statements = [
        json.loads(base64.b64decode(json.loads(x)["payload"])) for x in bundle.read_text().splitlines()
    ]
    return json.dumps([s.get("predicate", {}).get(field) for s in statements])
