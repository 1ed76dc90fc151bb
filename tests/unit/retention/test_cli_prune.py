from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.model import rfc3339
from tests.unit.evidence.fleets import MERGED_AT, sealed_fleet, shard_run
from tests.unit.evidence.runs import KEY, NOW, POLICY_KEY, Run, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

Capture = pytest.CaptureFixture[str]
RUNS = Path("var/cutover/runs")
ALL = ("--keep", "1", "--older-than", "0d")
"""As little as can be kept."""


@pytest.fixture(autouse=True)
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    keys = [
        trust_entry(KEY.public, name="release"),
        trust_entry(POLICY_KEY.public, name="p", roles=("policy",)),
    ]
    (tmp_path / "trust.json").write_text(json.dumps({"format": 1, "keys": keys}))
    monkeypatch.setenv("CUTOVER_TRUST", str(tmp_path / "trust.json"))
    return tmp_path / "repo"


def a_run(number: int, **changes: object) -> Run:
    """A run about a release of its own; the higher its number, the newer."""
    at = NOW + timedelta(minutes=number)
    return Run(
        run_id=f"{at:%Y%m%dT%H%M%S.000Z}-{number:08x}",
        decided_at=at + timedelta(seconds=20),
        nonce=f"{number:032x}",
        subjects=[{"name": "shop", "digest": {"sha256": f"{number:064x}"}}],
        **changes,  # type: ignore[arg-type]
    )


def write(run: Run, *, decided: bool = True, age_s: float = 0) -> Path:
    folder = RUNS / run.run_id
    folder.mkdir(parents=True)
    journal = folder / "journal.jsonl"
    journal.write_bytes(b"".join(run.events()))
    os.utime(journal, (journal.stat().st_mtime - age_s,) * 2)
    if decided:
        bundle, report = sealed(run)
        (folder / BUNDLE_FILE).write_bytes(bundle)
        (folder / REPORT_FILE).write_bytes(report)
    return folder


def prune(*arguments: str) -> int:
    return main(["prune", *arguments])


def left() -> list[str]:
    return sorted(path.name for path in RUNS.iterdir() if path.name != ".removed")


def reasons(capsys: Capture, *arguments: str) -> dict[str, str]:
    """What a dry run says of each run."""
    assert prune("--dry-run", *arguments) == 0
    said = re.findall(r"^(keep|remove) +(\S+)\n +(.*)$", capsys.readouterr().out, re.MULTILINE)
    return {name: reason if word == "keep" else "remove" for word, name, reason in said}


class TestWhatGoes:
    def test_what_is_beyond_both_limits(self, capsys: Capture) -> None:
        runs = [write(a_run(n)).name for n in range(5)]

        assert prune("--keep", "2", "--older-than", "1h") == 0
        assert left() == runs[3:]
        out = capsys.readouterr().out
        assert f"removed  {runs[0]}  preflight → production" in out
        assert out.endswith("removed 3 of 5 runs in var/cutover/runs\n")

    def test_nothing_goes_by_default_within_thirty_days(self) -> None:
        young = replace(a_run(0), run_id="29990101T000000.000Z-00000001")
        runs = [write(young), *(write(a_run(n)) for n in range(1, 4))]

        assert prune() == 0
        assert len(left()) == len(runs)

    def test_the_newest_of_each_plan_environment_and_shard_stay(self) -> None:
        old = [write(a_run(1, environment="staging")), write(a_run(2, shard="eu", shards=("eu", "us")))]
        newest = write(a_run(3))

        prune(*ALL)

        assert left() == sorted(path.name for path in (*old, newest))

    def test_the_last_that_was_decided_stays_beside_newer_ones_that_were_not(self) -> None:
        """It is what the next run is compared with."""
        decided = write(a_run(1)).name
        killed = [write(a_run(n), decided=False, age_s=2 * 86400).name for n in (2, 3)]

        prune(*ALL)

        assert left() == [decided, killed[1]]

    def test_nothing_is_left_of_it(self, repo: Path) -> None:
        for n in range(3):
            (write(a_run(n)) / "attachments").mkdir()

        prune(*ALL)

        assert not (RUNS / ".removed").exists()


class TestWhatStays:
    def test_a_decision_in_force(self, capsys: Capture) -> None:
        go = write(a_run(1, ttl_s=50 * 365 * 86400.0))
        write(a_run(2))

        assert reasons(capsys, *ALL)[go.name].startswith("its decision is in force until 20")
        prune(*ALL)
        assert go.exists()

    def test_a_run_that_may_be_under_way(self, capsys: Capture) -> None:
        under_way = write(a_run(1), decided=False)
        write(a_run(2))

        assert reasons(capsys, *ALL)[under_way.name] == "under way, or killed less than a day ago"

    def test_a_run_that_takes_back_a_go_that_stays(self, capsys: Capture) -> None:
        go = a_run(1, ttl_s=50 * 365 * 86400.0)
        no_go = replace(a_run(2, latency="9"), subjects=go.subjects)
        for run in (go, no_go, a_run(3)):
            write(run)

        assert reasons(capsys, *ALL)[no_go.run_id] == f"takes back a GO: {go.run_id}"

    def test_the_shards_of_a_merge(self, capsys: Capture) -> None:
        runs = [shard_run(name) for name in ("eu", "us", "ap")]
        for run in (
            *runs,
            *(replace(a_run(9 + n), shard=r.shard, shards=r.shards) for n, r in enumerate(runs)),
        ):
            write(run)
        merged = RUNS / "20261121T084830.000Z-f1ee7f1e"
        merged.mkdir()
        bundle, report = sealed_fleet(at=MERGED_AT)
        (merged / BUNDLE_FILE).write_bytes(bundle)
        (merged / REPORT_FILE).write_bytes(report)

        said = reasons(capsys, *ALL)

        assert {said[r.run_id] for r in runs} == {f"named by {merged.name}"}

    @pytest.mark.parametrize("name", ["notes", "20261121T084700.000Z"])
    def test_what_is_not_named_as_a_run(self, name: str) -> None:
        write(a_run(1)).rename(RUNS / name)
        write(a_run(2))
        write(a_run(3))

        prune(*ALL)

        assert name in left()

    def test_a_folder_that_is_no_run_s_and_a_file(self) -> None:
        (RUNS / a_run(1).run_id).mkdir(parents=True)
        (RUNS / a_run(2).run_id).write_text("a file")
        write(a_run(3))

        prune(*ALL)

        assert len(left()) == 3

    def test_what_lies_behind_a_link(self, tmp_path: Path) -> None:
        outside = write(a_run(1)).rename(tmp_path / "outside")
        (RUNS / a_run(1).run_id).symlink_to(outside)
        inside = write(a_run(2))
        (inside / "attachments").symlink_to(outside)
        write(a_run(3))

        prune(*ALL)

        assert (outside / REPORT_FILE).exists()
        assert a_run(1).run_id in left()
        assert inside.name not in left()

    def test_everything_that_evidence_which_cannot_be_read_could_be_taken_back_by(
        self, capsys: Capture
    ) -> None:
        strange = write(a_run(1))
        (strange / BUNDLE_FILE).unlink()
        os.mkfifo(strange / BUNDLE_FILE)
        later = write(a_run(2))
        write(a_run(3))

        said = reasons(capsys, *ALL)

        assert said[strange.name] == "it cannot be read: bundle.intoto.jsonl is no file"
        assert said[later.name] == f"may take back a GO: {strange.name}"

    def test_without_a_trusted_key_whatever_could_be_newer_than_a_go(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CUTOVER_TRUST")
        for run in (a_run(1, environment="staging"), a_run(2), a_run(3)):
            write(run)

        assert reasons(capsys, *ALL)[a_run(2).run_id].startswith("may take back a GO: ")


class TestSaying:
    def test_a_dry_run_changes_nothing_and_says_the_same(self, capsys: Capture) -> None:
        names = [write(a_run(n)).name for n in range(4)]
        said = reasons(capsys, *ALL)
        assert left() == names

        prune(*ALL)

        assert {name for name, reason in said.items() if reason == "remove"} == set(names) - set(left())
        assert said[names[3]] == "among the newest of preflight → production"

    def test_a_second_time_nothing_is_left_to_do(self, capsys: Capture) -> None:
        for n in range(3):
            write(a_run(n))
        prune(*ALL)
        capsys.readouterr()

        assert prune(*ALL) == 0
        assert capsys.readouterr().out == "removed 0 of 1 run in var/cutover/runs\n"

    @pytest.mark.parametrize(
        "arguments", [["--keep", "0"], ["--keep", "-1"], ["--older-than", "30"], ["--older-than", "1y"]]
    )
    def test_limits_that_are_none_are_64(self, arguments: Sequence[str], capsys: Capture) -> None:
        with pytest.raises(SystemExit) as caught:
            prune(*arguments)
        assert caught.value.code == 64
        assert "expected " in capsys.readouterr().err

    def test_names_and_plans_cannot_steer_the_terminal(self, capsys: Capture) -> None:
        (RUNS / "\x1b[2Jnotes").mkdir(parents=True)
        hostile = write(a_run(1))
        journal = (hostile / "journal.jsonl").read_text()
        (hostile / "journal.jsonl").write_text(journal.replace('"preflight"', '"\\u001b[31mpre"', 1))

        assert prune("--dry-run", *ALL) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\\x1b[31mpre → production" in out

    def test_no_folder_is_2(self, capsys: Capture) -> None:
        assert prune() == 2
        assert "var/cutover/runs is not there: nothing was run yet" in capsys.readouterr().err

    def test_a_folder_behind_a_link_is_where_it_leads(self, tmp_path: Path) -> None:
        names = [write(a_run(n)).name for n in range(3)]
        RUNS.rename(tmp_path / "disk")
        RUNS.symlink_to(tmp_path / "disk")

        assert prune(*ALL) == 0
        assert left() == names[2:]
        assert RUNS.is_symlink()


class TestFaults:
    """Whatever fails, each run is there whole or not at all, and the oldest GO went first."""

    @pytest.fixture
    def names(self) -> list[str]:
        return [write(a_run(n)).name for n in range(4)]

    def test_a_run_that_cannot_be_taken_away_is_the_end(
        self, names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        rename = Path.rename

        def fail(path: Path, target: Path) -> Path:
            if path.name == names[1]:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", fail)

        assert prune(*ALL) == 2
        assert (
            f"cannot take {(RUNS / names[1]).resolve()} away: Read-only file system"
            in capsys.readouterr().err
        )
        assert left() == names[1:]

    def test_files_that_cannot_be_deleted_are_named_and_gone_from_the_runs(
        self, names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        def fail(path: Path) -> None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(shutil, "rmtree", fail)

        assert prune(*ALL) == 2
        err = capsys.readouterr().err
        assert "its files cannot be deleted: Permission denied" in err
        grave = Path(re.findall("hint: delete (.*)", err)[0])
        assert (grave / names[0] / REPORT_FILE).exists()
        assert left() == names[1:]

    def test_killed_in_the_middle_the_next_one_finishes(self, names: list[str], repo: Path) -> None:
        killed = (
            "import os, shutil, signal, sys\n"
            "def half(path):\n"
            "    next(p for p in path.rglob('*') if p.is_file()).unlink()\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "shutil.rmtree = half\n"
            "from pytest_cutover.cli import main\n"
            f"main(['prune', *{ALL!r}])\n"
        )
        done = subprocess.run([sys.executable, "-c", killed], cwd=repo, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL
        assert left() == names[1:]
        assert all((RUNS / n / REPORT_FILE).exists() for n in left())
        assert (RUNS / ".removed").exists()
        assert main(["history"]) == 0
        asked = ["--digest", f"sha256:{3:064x}", "--environment", "production"]
        assert main(["admit", *asked, "--at", rfc3339(NOW + timedelta(minutes=4))]) == 0

        assert prune(*ALL) == 0
        assert left() == names[3:]
        assert not (RUNS / ".removed").exists()

    def test_one_at_a_time(self, names: list[str], repo: Path, capsys: Capture) -> None:
        place = repo / RUNS / ".removed"
        place.mkdir()
        descriptor = os.open(place, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

        assert prune(*ALL) == 2
        os.close(descriptor)
        assert "another process uses it" in capsys.readouterr().err
        assert left() == names

    def test_a_link_in_place_of_the_folder_for_deleting_is_not_followed(
        self, names: list[str], repo: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "theirs/deep").mkdir(parents=True)
        (repo / RUNS / ".removed").symlink_to(tmp_path / "theirs")

        assert prune(*ALL) == 2
        assert (tmp_path / "theirs/deep").is_dir()
        assert left() == names
