"""`cutover evidence`, as people call it: what it prints, and its exit codes."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pytest_cutover.cli import main
from pytest_cutover.evidence.inclusion import PROOF_FILE
from pytest_cutover.keys.trust import trust_entry, with_entry
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store import index as store_index
from pytest_cutover.store.document import build_document
from pytest_cutover.store.putting import put_set
from tests.unit.evidence.runs import KEY, POLICY_KEY
from tests.unit.store.stores import (
    LOG_KEY,
    NO_LOG,
    ORIGIN,
    files_at,
    filled,
    logged,
    new_log,
    put_logged,
    reindexed,
    run_at,
)

FIRST, SECOND, THIRD = (run_at(number).run_id for number in range(3))
OLD = ["--keep", "1", "--older-than", "1h"]


def write_trust(path, *entries):
    data = None
    for entry in entries:
        data = with_entry(data, entry, where="trust.json")
    path.write_bytes(data)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A store of three runs in var/evidence, a trust file outside of the project, and the key that signs."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    filled(project / "var/evidence", range(3), now=datetime.now(UTC))
    keys = tmp_path / "keys"
    keys.mkdir()
    policy = trust_entry(POLICY_KEY.public, name="policies", roles=("policy",))
    release = trust_entry(KEY.public, name="release", roles=("decision", "store"))
    log = trust_entry(LOG_KEY.public, name="log", roles=("log",), origin=ORIGIN)
    write_trust(keys / "trust.json", policy, release)
    write_trust(keys / "logged.json", policy, release, log)
    pem = KEY._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys / "key.pem").write_bytes(pem)
    (keys / "key.pem").chmod(0o600)
    monkeypatch.setenv("CUTOVER_TRUST", str(keys / "trust.json"))
    monkeypatch.setenv("CUTOVER_KEY", str(keys / "key.pem"))
    return project


@pytest.fixture
def cutover(folder, capsys):
    """Runs an action: exit code and standard output."""

    def call(*arguments):
        code = main(["evidence", *arguments])
        said = capsys.readouterr()
        call.err = said.err
        return code, said.out

    return call


@pytest.fixture
def indexed(cutover):
    assert cutover("index")[0] == 0
    return cutover


class TestVerify:
    def test_a_store_without_an_index_is_invalid(self, cutover):
        code, out = cutover("verify")

        assert code == 1
        assert out.startswith("INVALID  var/evidence: 1 finding in 3 runs, 16 files\n  store.index-missing ")
        assert "do not rely on this store" in out

    def test_a_whole_one_is_valid(self, indexed):
        code, out = indexed("verify")

        assert code == 0
        assert out.startswith("VALID    var/evidence: 3 runs, 18 files, whole, unchanged and signed\n")
        assert f"latest   {THIRD}\n" in out
        assert "0 of 15 files locked" in out
        assert "proves that a key you trust signed this" in out

    def test_a_finding_names_code_file_and_reason(self, indexed, folder):
        (folder / f"var/evidence/history/{FIRST}/report.json").unlink()

        code, out = indexed("verify")
        assert code == 1
        assert (
            f"  store.file-missing     history/{FIRST}/report.json\n    the document of run {FIRST} names it\n"
            in out
        )

    def test_the_answer_as_json(self, indexed, folder):
        (folder / f"var/evidence/history/{FIRST}/report.json").unlink()

        code, out = indexed("verify", "--json")
        document = json.loads(out)
        assert code == 1
        assert (document["valid"], document["store"], document["runs"]) == (False, "var/evidence", 3)
        assert document["findings"][0]["where"] == f"history/{FIRST}/report.json"

    def test_a_section_and_an_environment_can_be_asked_for(self, indexed):
        assert indexed("verify", "--section", "perf", "--environment", "production")[0] == 0
        assert indexed("verify", "--section", "judges")[0] == 1
        assert indexed("verify", "--environment", "staging")[0] == 1

    def test_many_findings_are_cut(self, indexed, folder):
        for file in (folder / "var/evidence/history").rglob("*"):
            if file.is_file():
                file.write_bytes(b"x")

        code, out = indexed("verify")
        assert code == 1
        assert "more: --json shows all" in out
        assert len(out.splitlines()) < 60

    def test_a_stranger_s_trust_file_makes_it_invalid(self, indexed, tmp_path):
        other = tmp_path / "other.json"
        write_trust(other, trust_entry(LOG_KEY.public, name="other"))

        assert indexed("verify", "--trust", str(other))[0] == 1

    @pytest.mark.parametrize("arguments", [["--store", "nowhere"], ["--store", ""], ["--checkpoint", "x"]])
    def test_what_cannot_be_used_is_2(self, cutover, arguments):
        code, out = cutover("verify", *arguments)

        assert (code, out) == (2, "")
        assert cutover.err.startswith("error: ")

    def test_without_any_trusted_key_is_2(self, cutover, monkeypatch):
        monkeypatch.delenv("CUTOVER_TRUST")

        assert cutover("verify")[0] == 2


class TestLog:
    @pytest.fixture
    def logged(self, cutover, folder, tmp_path, monkeypatch):
        shutil.rmtree(folder / "var/evidence")
        monkeypatch.setenv("CUTOVER_TRUST", str(tmp_path / "keys/logged.json"))
        store, log = FolderObjects(folder / "var/evidence"), new_log(folder / "log")
        for number in (0, 1):
            put_logged(store, log, run_at(number))
        assert cutover("index")[0] == 0
        return cutover

    def test_a_log_that_holds_every_decision(self, logged):
        code, out = logged("verify", "--log", "log")

        assert code == 0
        assert "logged   2 decisions of the store\n" in out

    def test_a_log_that_was_put_back_is_found_by_a_checkpoint(self, logged, folder):
        shutil.copytree(folder / "log", folder / "now")
        now = new_log(folder / "now")
        now.append([b"one more"])
        (folder / "pinned").write_bytes(now.signed_checkpoint()[1])
        (folder / "proof").write_bytes(now.prove(0))

        for pin in ("pinned", "proof"):
            assert logged("verify", "--log", "now", "--checkpoint", pin)[0] == 0
            code, out = logged("verify", "--log", "log", "--checkpoint", pin)
            assert code == 1
            assert f"store.log-invalid      {pin}\n    log.rolled-back: " in out

    def test_a_place_that_is_no_log_is_2(self, logged, folder, tmp_path):
        assert logged("verify", "--log", "nowhere")[0] == 2
        assert logged("verify", "--log", "log", "--checkpoint", "nowhere")[0] == 2
        code, _ = logged("verify", "--log", "log", "--trust", str(tmp_path / "keys/trust.json"))
        assert code == 2
        assert "no key in the role log" in logged.err


class TestPut:
    def test_runs_are_put_and_can_be_put_again(self, cutover, tmp_path):
        folder = run_at(7).write(tmp_path / "run")

        for _ in range(2):
            code, out = cutover("put", str(folder), "--store", "new")
            assert code == 0
            assert out.startswith(f"put  {run_at(7).run_id}  5 files, the latest\n1 run in new; ")
        assert cutover("index", "--store", "new")[0] == 0
        assert cutover("verify", "--store", "new")[0] == 0

    def test_the_answer_as_json(self, cutover, tmp_path):
        out = cutover("put", str(run_at(7).write(tmp_path / "run")), "--json")[1]

        assert json.loads(out)["runs"] == [
            {"run_id": run_at(7).run_id, "files": 5, "latest": True, "lost": []}
        ]

    @pytest.mark.parametrize("missing", ["bundle.intoto.jsonl", "report.json"])
    def test_what_cannot_be_put_is_2(self, cutover, tmp_path, missing):
        folder = run_at(7).write(tmp_path / "run")
        (folder / missing).unlink()

        assert cutover("put", str(folder))[0] == 2
        assert f"it has no {missing}" in cutover.err
        assert cutover("put", str(folder / "nowhere"))[0] == 2

    def test_the_go_of_a_run_that_was_killed_is_not_put(self, cutover, tmp_path):
        """Also where the log has it: who wants it to count gives it its name."""
        folder = run_at(7).write(tmp_path / "run")
        (folder / PROOF_FILE).write_bytes(logged(new_log(tmp_path / "log"), run_at(7))[PROOF_FILE])
        (folder / "bundle.intoto.jsonl").rename(folder / "bundle.intoto.jsonl.unfinished")

        assert cutover("put", str(folder), "--store", "new")[0] == 2
        assert "it has no bundle.intoto.jsonl" in cutover.err

    def test_what_is_not_whole_is_told_and_is_no_finding(self, cutover, folder, indexed):
        (folder / f"var/evidence/history/{run_at(7).run_id}").mkdir()
        (folder / f"var/evidence/history/{run_at(7).run_id}/report.json").write_bytes(b"{}")

        code, out = cutover("verify")
        assert code == 0
        assert (
            f"\nnot whole {run_at(7).run_id}, whose writer was killed or is at it: it admits nothing" in out
        )
        assert json.loads(cutover("verify", "--json")[1])["unfinished"] == [run_at(7).run_id]

    def test_nor_does_it_get_into_the_index_by_being_locked_or_held(self, cutover, folder, indexed):
        (folder / f"var/evidence/history/{run_at(7).run_id}").mkdir()
        (folder / f"var/evidence/history/{run_at(7).run_id}/report.json").write_bytes(b"{}")

        assert cutover("lock", "--all", "--for", "1d")[0] == 0
        assert cutover("lock", run_at(7).run_id, "--for", "1d")[0] == 1
        assert cutover("lock", run_at(7).run_id, "--hold")[0] == 0
        assert cutover("verify")[0] == 0


class TestIndex:
    @pytest.mark.parametrize("action", [["index"], ["index", "--dry-run"], ["gc"], ["gc", "--dry-run"]])
    def test_one_that_was_written_while_it_was_waited_for_is_not_yet_to_come(
        self, indexed, folder, monkeypatch, action
    ):
        times = [datetime.now(UTC)]
        real = store_index.environments_in

        def overtaken(store):
            times.append(times[-1] + timedelta(minutes=1))
            reindexed(store, times[-1])
            return real(store)

        monkeypatch.setattr(store_index, "environments_in", overtaken)
        monkeypatch.setattr("pytest_cutover.cli._store.now", lambda: times[-1])

        assert indexed(*action)[0] == 0
        assert len(times) == 2

    def test_a_dry_run_writes_nothing(self, cutover, folder):
        code, out = cutover("index", "--dry-run")

        assert (code, out) == (
            0,
            "would write the index of var/evidence: 15 files, 15 of them new, 0 locked, 0 tampered\n",
        )
        assert not (folder / "var/evidence/index.json").exists()

    def test_a_dry_run_needs_no_key(self, cutover, monkeypatch):
        monkeypatch.setenv("CUTOVER_KEY", "none")

        assert cutover("index", "--dry-run")[0] == 0
        code, _ = cutover("index")
        assert code == 2
        assert "expected a private key to sign the index with, got none" in cutover.err

    def test_what_was_tampered_with_is_named(self, indexed, folder):
        (folder / f"var/evidence/history/{FIRST}/report.json").write_bytes(b"x")

        for arguments in (["--dry-run"], [], []):
            code, out = indexed("index", *arguments)
            assert code == 1
            assert out.startswith(f"TAMPERED history/{FIRST}/report.json\n         expected SHA-256 ")
        assert indexed("verify")[0] == 1

    def test_it_moves_latest(self, indexed, folder):
        store = folder / "var/evidence"
        shutil.copy(store / f"history/{FIRST}/evidence.json", store / "latest.json")

        assert f"latest   would move to {THIRD}\n" in indexed("index", "--dry-run")[1]
        assert f"latest   moved to {THIRD}\n" in indexed("index")[1]
        assert indexed("verify")[0] == 0

    def test_an_index_that_does_not_verify_is_not_gone_on_from(self, indexed, folder):
        envelope = folder / "var/evidence/index.json.dsse"
        envelope.write_bytes(envelope.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))

        code, _ = indexed("index")
        assert code == 2
        assert "--anew forgets what earlier indexes said" in indexed.err
        assert indexed("index", "--anew")[0] == 0
        assert indexed("verify")[0] == 0

    def test_latest_is_moved_back_from_a_run_that_is_not_there(self, indexed, folder):
        (folder / "var/evidence/latest.json").write_bytes(build_document(files_at(7)))
        assert indexed("verify")[0] == 1

        assert f"latest   moved to {THIRD}\n" in indexed("index")[1]
        assert indexed("verify")[0] == 0

    def test_the_answer_as_json(self, cutover):
        document = json.loads(cutover("index", "--json")[1])

        assert (document["written"], document["new"], document["tampered"]) == (True, 15, [])
        assert document["objects"][0]["state"] == "WIP"

    def test_the_key_can_be_given(self, cutover, monkeypatch, tmp_path):
        monkeypatch.setenv("CUTOVER_KEY", "none")

        assert cutover("index", "--key", str(tmp_path / "keys/key.pem"))[0] == 0


class TestLock:
    def test_runs_are_locked_and_the_index_knows(self, indexed):
        code, out = indexed("lock", FIRST, "latest", "--for", "90d")

        assert code == 0
        assert out.startswith(f"locked    {FIRST}\nlocked    {THIRD}\nlocked 2 runs until ")
        code, out = indexed("verify")
        assert code == 0
        assert "10 of 15 files locked" in out

    def test_all_are_those_that_were_never_locked(self, indexed):
        until = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert indexed("lock", "--all", "--until", until)[0] == 0
        assert "locked 0 runs" in indexed("lock", "--all", "--for", "1h")[1]

        rows = json.loads(indexed("list", "--json")[1])["runs"]
        assert {row["state"] for row in rows} == {"LOCKED"}

    def test_a_lock_that_has_ended_is_not_counted(self, indexed, folder):
        store = FolderObjects(folder / "var/evidence")
        for key in list(store.keys(f"history/{FIRST}/")):
            store.retain(key, datetime(2020, 1, 1, tzinfo=UTC))

        assert ", 0 locked, " in indexed("index")[1]
        assert "0 of 15 files locked" in indexed("verify")[1]
        assert "state    the lock ended at 2020-01-01T00:00:00" in indexed("show", FIRST)[1]
        assert "ENDED" in indexed("list")[1]

    def test_a_hold_is_set_and_lifted(self, indexed):
        assert indexed("lock", FIRST, "--hold") == (0, f"held      {FIRST}\nheld 1 run\n")
        assert "HELD" in indexed("list")[1]
        assert indexed("verify")[0] == 0
        assert indexed("lock", FIRST, "--release") == (0, f"released  {FIRST}\nreleased 1 run\n")
        assert indexed("verify")[0] == 0

    def test_what_does_not_verify_is_refused(self, indexed, folder):
        (folder / f"var/evidence/history/{FIRST}/report.json").write_bytes(b"x")

        code, out = indexed("lock", FIRST, SECOND, "--for", "1d")
        assert code == 1
        assert f"REFUSED   {FIRST}: it does not verify\n  store.file-changed " in out
        assert f"locked    {SECOND}\n" in out
        document = json.loads(indexed("lock", FIRST, "--for", "1d", "--json")[1])
        assert (document["done"], list(document["refused"])) == ([], [FIRST])

    def test_nothing_is_begun_when_it_cannot_be_written_down(self, indexed, folder):
        envelope = folder / "var/evidence/index.json.dsse"
        envelope.write_bytes(b"x")

        assert indexed("lock", FIRST, "--for", "1d")[0] == 2
        assert (
            FolderObjects(folder / "var/evidence").stat(f"history/{FIRST}/report.json").retain_until is None
        )

    @pytest.mark.parametrize(
        "arguments",
        [
            [FIRST],
            ["--hold"],
            [FIRST, "--hold", "--release"],
            [FIRST, "--for", "0d"],
            [FIRST, "--for", "soon"],
            [FIRST, "--until", "tomorrow"],
        ],
    )
    def test_a_question_that_is_none_is_refused(self, cutover, arguments):
        try:
            code = cutover("lock", *arguments)[0]
        except SystemExit as exc:
            code = exc.code
        assert code in (2, 64)

    @pytest.mark.parametrize(
        "arguments", [["x", "--hold"], ["--all", FIRST, "--hold"], [FIRST, "--until", "2020-01-01T00:00:00Z"]]
    )
    def test_what_cannot_be_done_is_2(self, cutover, arguments):
        assert cutover("lock", *arguments)[0] == 2


class TestGc:
    def test_a_dry_run_says_what_becomes_of_each_and_why(self, indexed):
        code, out = indexed("gc", *OLD, "--dry-run")

        assert code == 0
        assert out.splitlines()[:4] == [
            f"keep    {THIRD}",
            "        latest.json is a copy of it",
            f"remove  {SECOND}",
            "        preflight → production",
        ]
        assert "would remove 2 of 3 runs in var/evidence, " in out
        assert len(json.loads(indexed("list", "--json")[1])["runs"]) == 3

    def test_what_is_left_is_valid(self, indexed):
        code, out = indexed("gc", *OLD)

        assert code == 0
        assert out.startswith(f"removed  {FIRST}  preflight → production\nremoved  {SECOND}")
        code, out = indexed("verify")
        assert code == 0
        assert "1 run, 8 files" in out
        assert "removed 0 of 1 run in var/evidence, 0 bytes" in indexed("gc", *OLD)[1]

    def test_what_is_locked_or_held_stays(self, indexed):
        indexed("lock", FIRST, "--for", "1d")
        indexed("lock", SECOND, "--hold")

        document = json.loads(indexed("gc", *OLD, "--json")[1])
        assert document["removed"] == []
        assert document["kept"][SECOND] == "under legal hold"
        assert document["kept"][FIRST].startswith("locked until")

    def test_an_index_that_does_not_verify_stops_it(self, indexed, folder):
        (folder / "var/evidence/index.json.dsse").write_bytes(b"x")

        assert indexed("gc", *OLD)[0] == 2
        assert len(list((folder / "var/evidence/history").iterdir())) == 3

    def test_the_first_index_can_be_its_own(self, cutover):
        assert cutover("gc", *OLD)[0] == 0
        assert cutover("verify")[0] == 0


class TestListAndShow:
    def test_runs_are_listed_newest_first(self, cutover):
        code, out = cutover("list", "-n", "2")

        assert code == 0
        assert out == (
            f"{THIRD}  GO              WIP      preflight → production\n"
            f"{SECOND}  GO              WIP      preflight → production\n"
            "2 runs in var/evidence; WIP: not locked yet\n"
        )
        assert max(map(len, out.splitlines())) <= 80

    def test_another_environment_has_none(self, cutover):
        assert cutover("list", "--environment", "staging") == (1, "0 runs in var/evidence\n")

    def test_a_document_that_cannot_be_read_is_listed_as_such(self, cutover, folder):
        (folder / f"var/evidence/history/{FIRST}/evidence.json").write_bytes(b"{}")

        assert f"{FIRST}  unreadable: " in cutover("list")[1]

    def test_also_where_one_environment_is_asked_for(self, cutover, folder):
        """Of which it is nobody knows."""
        (folder / f"var/evidence/history/{FIRST}/evidence.json").unlink()

        out = cutover("list", "--environment", "staging")[1]
        assert f"{FIRST}  unreadable: " in out
        assert SECOND not in out

    def test_a_lock_that_has_ended_is_told(self, cutover, folder):
        store = FolderObjects(folder / "var/evidence")
        store.retain(f"history/{FIRST}/evidence.json", datetime(2026, 1, 1, tzinfo=UTC))

        assert f"{FIRST}  GO              ENDED    " in cutover("list")[1]

    def test_the_newest_is_shown(self, cutover):
        code, out = cutover("show")

        assert code == 0
        assert out.startswith(f"run      {THIRD}\nclaimed  GO (exit 0)\n")
        assert "section  perf, by service.ready\n" in out
        assert out.endswith("state    WIP: not locked yet\n")
        assert cutover("show", "last") == (code, out)

    def test_one_is_shown_as_it_is(self, cutover, folder):
        out = cutover("show", FIRST, "--json")[1]

        assert out.encode() == (folder / f"var/evidence/history/{FIRST}/evidence.json").read_bytes()

    def test_one_that_is_not_there_is_2(self, cutover):
        assert cutover("show", "x")[0] == 2
        assert "holds no run 'x'" in cutover.err

    def test_what_could_steer_a_terminal_is_not_printed(self, cutover, folder):
        put_set(
            FolderObjects(folder / "var/evidence"),
            run_at(5, subjects=[{"name": "a\x1b[2J", "digest": {"sha256": "0" * 64}}]).files(),
        )

        assert "\x1b" not in cutover("show")[1]


class TestEvidence:
    def test_only_the_action_that_is_asked_for_is_loaded(self):
        import subprocess
        import sys

        code = (
            "import sys\nfrom pytest_cutover.cli import main\n"
            "try: main(['evidence', 'show', '--help'])\nexcept SystemExit: pass\n"
            "print(*[n for n in sys.modules if '._evidence_' in n or n.split('.')[0] in ('pydantic', 'boto3')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.splitlines()[-1] == "pytest_cutover.cli._evidence_show"

    def test_old_evidence_can_be_kept(self, cutover, folder):
        vector = Path(__file__).parents[2] / "vectors/evidence-1"
        put_set(FolderObjects(folder / "old"), {n: (vector / n).read_bytes() for n in NO_LOG})

        assert cutover("index", "--store", "old")[0] == 0
        code, out = cutover("verify", "--store", "old", "--trust", str(vector / "trust.json"))
        assert code == 1
        assert "1 finding" in out  # that key signs no index
        assert "store.index-invalid" in out


def test_the_files_of_a_run_are_those_that_the_document_names():
    assert set(NO_LOG) < set(files_at(0))
