from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.fleet import seal_fleet
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.model import SignerKind, rfc3339
from tests.unit.evidence.fleets import (
    MERGED_AT,
    SHARDS,
    decided,
    evidence_of,
    fleet,
    policy,
    sealed_fleet,
    shard_run,
)
from tests.unit.evidence.runs import KEY, NOW, POLICY_DIGEST, POLICY_KEY, SHA, Run, sealed

Capture = pytest.CaptureFixture[str]
AT = rfc3339(NOW + timedelta(minutes=10))
GO = Run()
NO_GO = Run(latency="9", run_id="20261121T085200Z-99999999", decided_at=NOW + timedelta(minutes=5))


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


def write(root: Path, run: Run) -> Path:
    folder = root / "var/cutover/runs" / run.run_id
    folder.mkdir(parents=True)
    bundle, report = sealed(run)
    (folder / BUNDLE_FILE).write_bytes(bundle)
    (folder / REPORT_FILE).write_bytes(report)
    return folder


def admit(*argv: str | Path, digest: str = f"sha256:{SHA}", environment: str = "production") -> int:
    return main(["admit", "--digest", digest, "--environment", environment, "--at", AT, *map(str, argv)])


class TestAdmit:
    def test_a_go_among_the_runs_is_0(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)

        assert admit() == 0
        out = capsys.readouterr().out
        assert out.startswith(f"ADMITTED  may go into production\nasked    sha256:{SHA}\n")
        assert f"run      {GO.run_id}" in out

    def test_a_newer_no_go_is_1_with_the_code(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)
        write(repo, NO_GO)

        assert admit() == 1
        out = capsys.readouterr().out
        assert out.startswith("REFUSED   must not go into production\n  decision.not-go ")
        assert f"\nasked    sha256:{SHA}\n" in out

    @pytest.mark.parametrize("hidden", [BUNDLE_FILE, "journal.jsonl"])
    def test_a_newer_run_that_this_user_may_not_look_into_is_no_run_less(
        self, repo: Path, hidden: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """The gates ran as somebody else: what cannot be looked at is not what is not there."""
        write(repo, GO)
        closed = write(repo, NO_GO)
        for path in closed.iterdir():
            path.unlink()
        lstat = Path.lstat

        def refused(path: Path) -> os.stat_result:
            if path.parent.name == NO_GO.run_id and path.name == hidden:
                raise PermissionError(13, "Permission denied")
            return lstat(path)

        monkeypatch.setattr(Path, "lstat", refused)
        assert admit() != 0
        capsys.readouterr()

    def test_named_evidence_is_all_that_counts(self, repo: Path) -> None:
        go, no_go = write(repo, GO), write(repo, NO_GO)

        assert admit(go) == 0
        assert admit(go / BUNDLE_FILE) == 0
        assert admit(go, no_go) == 1

    def test_runs_may_lie_elsewhere(self, repo: Path, tmp_path: Path) -> None:
        write(repo, GO)
        (repo / "var/cutover/runs").rename(tmp_path / "kept")

        assert admit("--runs", tmp_path / "kept") == 0

    def test_a_policy_can_be_demanded(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)

        assert admit("--policy-digest", POLICY_DIGEST) == 0
        assert admit("--policy-digest", "sha256:" + "0" * 64) == 1
        assert "policy.mismatch" in capsys.readouterr().out

    def test_now_is_the_time_when_none_is_given(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)

        assert main(["admit", "--digest", f"sha256:{SHA}", "--environment", "production"]) == 1
        assert "decision." in capsys.readouterr().out

    def test_other_folders_and_unsigned_runs_do_not_disturb(self, repo: Path) -> None:
        write(repo, GO)
        (repo / "var/cutover/runs/latest").mkdir()
        (repo / "var/cutover/runs/notes.txt").write_text("…")

        assert admit() == 0

    def test_a_newer_run_that_has_not_decided_is_1(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)
        folder = repo / "var/cutover/runs" / NO_GO.run_id
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(b"".join(NO_GO.events()[:3]))

        assert admit() == 1
        assert "evidence.undecided" in capsys.readouterr().out
        assert admit(environment="staging") == 1
        assert "evidence.undecided" not in capsys.readouterr().out

    def test_a_newer_run_whose_journal_is_no_file_is_1(self, repo: Path, capsys: Capture) -> None:
        """Nor does it wait for what a pipe may bring."""
        write(repo, GO)
        folder = repo / "var/cutover/runs" / NO_GO.run_id
        folder.mkdir()
        for make in (
            (folder / "journal.jsonl").mkdir,
            lambda: os.mkfifo(folder / "journal.jsonl"),
            lambda: (folder / "journal.jsonl").symlink_to("/dev/zero"),
        ):
            make()
            assert admit() == 1
            assert "evidence.doubtful" in capsys.readouterr().out
            if (folder / "journal.jsonl").is_dir():
                (folder / "journal.jsonl").rmdir()
            else:
                (folder / "journal.jsonl").unlink()

    def test_json_holds_the_same(self, repo: Path, capsys: Capture) -> None:
        write(repo, GO)

        assert admit("--json") == 0
        assert admit("--json", environment="staging") == 1
        admitted, refused = capsys.readouterr().out.split("}\n{")
        assert json.loads(admitted + "}")["admitted"] is True
        assert json.loads("{" + refused)["problems"][0]["code"] == "environment.mismatch"


class TestWithoutAJournal:
    """A store has none, and a merge: a run that lost its bundle refuses what it is about, and nothing else."""

    ABOUT_ANOTHER = ({"name": "shop", "digest": {"sha256": "0" * 64}},)

    @staticmethod
    def left(root: Path, name: str, report: bytes) -> None:
        """A folder with a report alone."""
        folder = root / name
        folder.mkdir(parents=True)
        (folder / REPORT_FILE).write_bytes(report)

    def test_a_merge_without_a_key_that_says_go_is_0(self, repo: Path) -> None:
        write(repo, replace(GO, decided_at=MERGED_AT - timedelta(seconds=10)))
        merge = fleet(signer=SignerKind.NONE)
        sealed = seal_fleet(merge, policy(), decided(merge), policy_envelope=None, signer=None)
        self.left(repo / "var/cutover/runs", merge.run_id, sealed.report)

        assert admit() == 0

    def test_a_merge_that_was_killed_refuses_its_own_digest(self, repo: Path, capsys: Capture) -> None:
        shards = [evidence_of(shard_run(name, subjects=self.ABOUT_ANOTHER)) for name in SHARDS]
        write(repo, replace(GO, decided_at=MERGED_AT - timedelta(seconds=10)))
        write(repo, replace(GO, subjects=self.ABOUT_ANOTHER, run_id="20261121T084701Z-1a2b3c4d"))
        self.left(repo / "var/cutover/runs", fleet().run_id, sealed_fleet(fleet(shards))[1])

        assert admit() == 0
        assert admit(digest="sha256:" + "0" * 64) == 1
        assert "evidence.undecided" in capsys.readouterr().out

    def test_a_run_of_a_store_whose_writer_was_killed_refuses_its_own_digest(
        self, repo: Path, capsys: Capture
    ) -> None:
        history = repo / "evidence/history"
        killed = replace(NO_GO, latency="0.2", subjects=self.ABOUT_ANOTHER)
        write(repo, GO)
        write(repo, replace(GO, subjects=self.ABOUT_ANOTHER, run_id="20261121T084701Z-1a2b3c4d"))
        history.parent.mkdir()
        (repo / "var/cutover/runs").rename(history)
        self.left(history, killed.run_id, sealed(killed)[1])

        assert admit("--runs", history) == 0
        assert admit("--runs", history, digest="sha256:" + "0" * 64) == 1
        assert "evidence.undecided" in capsys.readouterr().out

        (history / killed.run_id / REPORT_FILE).write_bytes(sealed(killed)[1][:-40])
        assert admit("--runs", history) == 1
        assert "evidence.doubtful" in capsys.readouterr().out


class TestUnusable:
    def test_no_run_folder_is_2(self, capsys: Capture) -> None:
        assert admit() == 2
        assert "cannot search var/cutover/runs" in capsys.readouterr().err

    def test_an_empty_one_is_1(self, repo: Path, capsys: Capture) -> None:
        (repo / "var/cutover/runs").mkdir(parents=True)

        assert admit() == 1
        assert "evidence.none" in capsys.readouterr().out

    def test_evidence_that_is_not_there_is_2(self, repo: Path, capsys: Capture) -> None:
        """Never a reason to look elsewhere."""
        write(repo, GO)

        assert admit("gone") == 2
        (repo / "other").write_text("hello")
        assert admit("other") == 2
        assert "is not a bundle" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["--digest", f"sha256:{SHA}"],
            ["--environment", "production"],
            ["--digest", SHA, "--environment", "x"],
            ["--digest", f"sha256:{SHA}", "--environment", "x", "--policy-digest", SHA],
            ["--digest", f"sha256:{SHA}", "--environment", "x", "--at", "now"],
            ["--digest", f"sha256:{SHA}", "--environment", "x", "--runs", "a", "b"],
        ],
    )
    def test_usage_is_64(self, argv: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["admit", *argv])
        assert caught.value.code == 64
