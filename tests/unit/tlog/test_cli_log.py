"""`cutover log`: as a person calls it, with exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pytest_cutover import cli
from pytest_cutover.evidence.inclusion import logged_entry
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import signed_decision
from pytest_cutover.keys.signer import load_private_key
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.model import LogHead
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.checkpoint import parse_checkpoint
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from pytest_cutover.tlog.proof import parse_proof
from tests.unit.evidence.fleets import sealed_fleet
from tests.unit.evidence.runs import POLICY, Run, sealed

ORIGIN = "log.example/shop"
VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A log's key and its trust file, and two files."""
    monkeypatch.chdir(tmp_path)
    for name in ("CUTOVER_TRUST", "CUTOVER_KEY_LOG"):
        monkeypatch.delenv(name, raising=False)
    assert (
        cli.main(["keys", "new", "log.pem", "--role", "log", "--origin", ORIGIN, "--trust", "trust.json"])
        == 0
    )
    monkeypatch.setenv("CUTOVER_TRUST", "trust.json")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    return tmp_path


@pytest.fixture
def log(folder, capsys):
    """`cutover log …` and what it printed."""

    def call(*arguments, code=0):
        capsys.readouterr()
        assert cli.main(["log", *map(str, arguments)]) == code
        said = capsys.readouterr()
        return said.out + said.err

    return call


@pytest.fixture
def two(log):
    """Two files were logged."""
    log("append", "a.txt", "b.txt", "--kind", "review", "--environment", "production", "--key", "log.pem")
    return log


class TestAppend:
    def test_it_leaves_a_proof_beside_each_file(self, two, folder):
        for name in ("a.txt", "b.txt"):
            said = two("verify", f"{name}.tlog-proof", "--file", name)

            assert f"{name}: entry" in said
            assert f"logged as the review {name} for production" in said

    def test_raw_entries(self, log):
        log("append", "a.txt", "--raw", "--key", "log.pem")

        assert "entry 0 of log.example/shop" in log("verify", "a.txt.tlog-proof", "--file", "a.txt")

    def test_the_key_of_the_environment(self, log, monkeypatch):
        monkeypatch.setenv("CUTOVER_KEY_LOG", "log.pem")

        assert "1 entry" in log("append", "a.txt", "--kind", "decision", "--name", "run 1")

    def test_a_key_that_nobody_trusts_signs_nothing(self, log, folder):
        cli.main(["keys", "new", "other.pem"])

        said = log("append", "a.txt", "--raw", "--key", "other.pem", code=2)

        assert "expected a key that is trusted to sign for log.example/shop" in said
        assert not (folder / "var").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["a.txt"],
            ["a.txt", "--raw", "--kind", "review"],
            ["a.txt", "b.txt", "--kind", "review", "--name", "both"],
            ["nowhere", "--raw"],
            ["a.txt", "--raw", "--log", "a.txt"],
            ["a.txt", "--kind", "review", "--name", "two\nlines"],
            ["a.txt", "--raw", "--origin", "other"],
        ],
    )
    def test_what_cannot_be_done(self, log, arguments, folder):
        assert "error: " in log("append", *arguments, "--key", "log.pem", code=2)
        assert not (folder / "var/cutover/log").exists()

    def test_a_file_that_is_no_entry(self, log, folder):
        (folder / "large").write_bytes(b"x" * 65_536)

        assert "log its digest" in log("append", "large", "--raw", "--key", "log.pem", code=2)


class TestProofs:
    def test_another_file_is_not_proven(self, two):
        assert "not proven: b.txt: expected the file with SHA-256" in two(
            "verify", "a.txt.tlog-proof", "--file", "b.txt", code=1
        )

    def test_a_changed_proof_proves_nothing(self, two, folder):
        path = folder / "a.txt.tlog-proof"
        path.write_bytes(path.read_bytes().replace(b"index 0", b"index 1"))

        assert "not proven: a.txt.tlog-proof: " in two("verify", path.name, "--file", "a.txt", code=1)

    def test_an_entry_in_the_extra_line_counts_only_when_it_is_in_the_log(self, two, folder):
        """The line itself is not signed: whoever writes it chooses the digest."""
        path = folder / "a.txt.tlog-proof"
        lines = path.read_bytes().split(b"\n")
        other = (folder / "b.txt.tlog-proof").read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([lines[0], other[1], *lines[2:]]))

        said = two("verify", path.name, "--file", "b.txt", code=1)

        assert "does not lead to the root hash" in said

    def test_witnesses_that_are_asked_for(self, two):
        assert "cosignatures of 1 witnesses, got 0" in two(
            "verify", "a.txt.tlog-proof", "--file", "a.txt", "--witnesses", "1", code=1
        )

    def test_of_an_entry(self, two, folder):
        two("prove", "1", "--out", "p")
        printed = two("prove", "1")

        assert (folder / "p").read_text() == printed
        assert parse_proof(printed.encode()).index == 1
        assert "entry 1" in two("verify", "p", "--file", "b.txt")
        assert "there is no entry 2" in two("prove", "2", code=2)

    def test_of_a_file_that_was_logged(self, two, folder):
        """Whoever was killed between the append and its proof makes the proof again."""
        two("append", "a.txt", "--raw", "--key", "log.pem")
        (folder / "c.txt").write_text("c")
        two("append", "c.txt", "--raw", "--key", "log.pem")

        assert parse_proof(two("prove", "--file", "b.txt").encode()).index == 1
        assert parse_proof(two("prove", "--file", "c.txt").encode()).index == 3
        (folder / "d.txt").write_text("d")
        assert "d.txt is not in the log" in two("prove", "--file", "d.txt", code=2)
        assert "expected INDEX or --file" in two("prove", code=2)
        assert "expected INDEX or --file" in two("prove", "1", "--file", "b.txt", code=2)

    def test_offline_with_nothing_but_a_key(self, two, folder, monkeypatch):
        key = next(line for line in two("verify").splitlines() if "trusted key" in line).split()[-1]
        monkeypatch.delenv("CUTOVER_TRUST")

        assert "entry 0" in two("verify", "a.txt.tlog-proof", "--file", "a.txt", "--vkey", key)
        assert "2 entries" in two("audit", "--vkey", key)
        assert "error: --vkey" in two("audit", "--vkey", key[:-1], code=2)
        assert "got both" in two("audit", "--vkey", key, "--trust", "trust.json", code=2)
        assert "expected the key of x" in two("audit", "--vkey", key, "--origin", "x", code=2)


class TestDecisions:
    """The proof of a run's bundle holds no entry: it follows from the bundle."""

    @pytest.fixture
    def decided(self, folder):
        bundle = (VECTORS / "evidence-1/bundle.intoto.jsonl").read_bytes()
        claims = signed_decision(bundle, load_trust(VECTORS / "evidence-1/trust.json"))
        entry = logged_entry(bundle, claims.run_id, claims.environment, claims.decided_at)
        log = Log(
            FolderObjects(folder / "var/cutover/log"),
            ORIGIN,
            NoteSigner(ORIGIN, load_private_key(Path("log.pem"))),
        )
        log.append([b"before", entry])
        (folder / "bundle").write_bytes(bundle)
        (folder / "proof").write_bytes(log.prove(1))
        return bundle

    def test_is_verified_like_any_other(self, log, decided):
        assert "bundle: entry 1 of log.example/shop" in log("verify", "proof", "--file", "bundle")

    def test_and_not_of_a_bundle_that_was_changed(self, log, decided, folder):
        for changed in (
            decided.replace(b"payload", b"Payload", 1),
            decided + b"\n",
            b"".join(decided.splitlines(True)[1:]),
        ):
            (folder / "bundle").write_bytes(changed)

            assert "not proven" in log("verify", "proof", "--file", "bundle", code=1)


class TestWhole:
    def test_a_whole_log(self, two, folder):
        assert two("verify").splitlines()[-1] == "valid"
        assert parse_checkpoint(two("checkpoint").encode())[0].size == 2

    def test_a_changed_file_is_named(self, two, folder):
        path = folder / "var/cutover/log/tile/entries/000.p/2"
        path.write_bytes(path.read_bytes().replace(b"review", b"policy"))

        said = two("verify", code=1)

        assert "INVALID: 1 problem" in said
        assert "log.entries-changed" in said
        assert str(path.relative_to(folder)) in said

    def test_a_log_that_is_not_there(self, log):
        assert "log.checkpoint-missing" in log("verify", code=1)
        assert "there is no checkpoint" in log("checkpoint", code=2)

    def test_no_trusted_log(self, two, folder, monkeypatch):
        cli.main(["keys", "new", "other.pem", "--trust", "other.json"])

        assert "expected one log that other.json trusts, got none" in two(
            "verify", "--trust", "other.json", code=2
        )

    def test_several_trusted_logs(self, two):
        cli.main(["keys", "new", "l2.pem", "--role", "log", "--origin", "second", "--trust", "trust.json"])

        assert "got log.example/shop, second" in two("verify", code=2)
        assert "valid" in two("verify", "--origin", ORIGIN)

    def test_options_that_say_nothing(self, two):
        for arguments in (["--file", "a.txt"], ["--witnesses", "1"], ["a.txt.tlog-proof"]):
            assert "error: expected" in two("verify", *arguments, code=2)


class TestAudit:
    def test_without_a_pin_it_says_how_little_that_is(self, two):
        said = two("audit")

        assert "pinned checkpoints: 0" in said
        assert "a log that lost its newest entries looks whole" in said

    def test_dropped_entries_show_by_any_pin(self, two, folder):
        checkpoint = two("checkpoint")
        (folder / "pinned").write_text(checkpoint)
        pinned = parse_checkpoint(checkpoint.encode())[0].to_json()
        (folder / "pinned.json").write_text(json.dumps(pinned))
        assert "valid" in two("audit", "--pin", "pinned", "--pin", "pinned.json", "--pin", "a.txt.tlog-proof")
        (folder / "var").rename(folder / "lost")
        two("append", "a.txt", "--raw", "--key", "log.pem")

        for pin in ("pinned", "pinned.json", "b.txt.tlog-proof"):
            said = two("audit", "--pin", pin, code=1)
            assert "log.rolled-back" in said
            assert "tlog_inclusion_gap: unknown" in said

    def test_a_file_that_pins_nothing(self, two, folder):
        for text in ("", "{}", "c2sp.org/tlog-proof@v1\n", '{"origin":1}'):
            (folder / "pin").write_text(text)

            assert "give a checkpoint" in two("audit", "--pin", "pin", code=2)

    def test_a_policy_or_waiver_behind_a_decision_is_one_of_its_documents(self, two, folder):
        run = folder / "runs/one"
        run.mkdir(parents=True)
        seen = parse_checkpoint(two("checkpoint").encode())[0]
        (run / BUNDLE_FILE).write_bytes(sealed(Run(log=LogHead(ORIGIN, 2, seen.root.hex())))[0])
        two("append", run / BUNDLE_FILE, "--kind", "decision", "--key", "log.pem")

        out = two("audit", "--runs", "runs", code=1)

        assert "tlog_inclusion_gap: 1 of 2 documents" in out
        assert "policy shop version 3 of runs/one" in out
        (folder / "policy.json").write_bytes(POLICY)
        two("append", "policy.json", "--kind", "policy", "--key", "log.pem")
        assert "tlog_inclusion_gap: 0 of 2 documents" in two("audit", "--runs", "runs")

    def test_what_a_decision_saw_of_the_log_is_a_pin(self, two, folder):
        """Rewritten with the log's own key, the proofs made anew: the signed decisions still know the old one."""
        seen = parse_checkpoint(two("checkpoint").encode())[0]
        run = folder / "runs/one"
        run.mkdir(parents=True)
        bundle = run / BUNDLE_FILE
        bundle.write_bytes(sealed(Run(log=LogHead(ORIGIN, seen.size, seen.root.hex())))[0])
        (folder / "policy.json").write_bytes(POLICY)
        two("append", "policy.json", "--kind", "policy", "--key", "log.pem")
        two("append", bundle, "--kind", "decision", "--key", "log.pem")
        assert "pinned checkpoints: 2" in two("audit", "--runs", "runs")
        (folder / "var").rename(folder / "old")
        for name, kind in (("b.txt", "review"), ("a.txt", "review"), ("policy.json", "policy")):
            two("append", name, "--kind", kind, "--key", "log.pem")
        two("append", bundle, "--kind", "decision", "--key", "log.pem")

        said = two("audit", "--runs", "runs", code=1)

        assert "log.forked" in said
        assert f"runs/one/{BUNDLE_FILE}" in said

    def test_a_decision_about_another_log_pins_nothing_of_this_one(self, two, folder):
        run = folder / "runs/one"
        run.mkdir(parents=True)
        (run / BUNDLE_FILE).write_bytes(sealed(Run(log=LogHead("log.example/other", 9, "0" * 64)))[0])

        assert "pinned checkpoints: 0" in two("audit", "--runs", "runs", code=1)

    def test_a_merge_that_was_not_logged_is_in_the_gap(self, two, folder):
        """Its decision says nothing of a log; the policy in its report does."""
        run = folder / "runs/fleet"
        run.mkdir(parents=True)
        bundle, report = sealed_fleet(log=ORIGIN)
        (run / BUNDLE_FILE).write_bytes(bundle)
        (run / REPORT_FILE).write_bytes(report)

        said = two("audit", "--runs", "runs", code=1)

        assert f"no entry of the log names {hashlib.sha256(bundle).hexdigest()}" in said
        bundle, report = sealed_fleet()
        (run / BUNDLE_FILE).write_bytes(bundle)
        (run / REPORT_FILE).write_bytes(report)
        assert "tlog_inclusion_gap: 0 of 0 documents" in two("audit", "--runs", "runs")

    def test_runs_that_cannot_be_looked_into_are_no_empty_ones(self, two, folder, monkeypatch):
        (folder / "runs/one").mkdir(parents=True)

        def denied(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "iterdir", denied)

        assert "Permission denied" in two("audit", "--runs", "runs", code=2)

    def test_runs_that_are_not_logged_are_the_gap(self, two, folder):
        for name in ("a.txt", "b.txt", "c.txt"):
            run = folder / "runs" / name
            run.mkdir(parents=True)
            (run / "bundle.intoto.jsonl").write_text(name[0])
        (folder / "runs/a.txt/bundle.intoto.jsonl.tlog-proof").write_bytes(
            (folder / "a.txt.tlog-proof").read_bytes()
        )

        done = json.loads(two("audit", "--runs", "runs", "--json", code=1))

        assert (done["tlog_inclusion_gap"], done["documents"], done["pinned"]) == (1, 3, 1)
        assert [p["code"] for p in done["problems"]] == ["log.not-logged"]
        assert hashlib.sha256(b"c").hexdigest() in done["problems"][0]["message"]
        (folder / "runs/c.txt/bundle.intoto.jsonl").unlink()
        assert "tlog_inclusion_gap: 0 of 2 documents" in two("audit", "--runs", "runs")
        assert "expected a folder of runs" in two("audit", "--runs", "nowhere", code=2)
