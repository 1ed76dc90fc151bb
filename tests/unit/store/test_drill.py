"""A restore drill: PASS only where everything is proven, in time, and hardly anything is lost."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pytest_cutover import cli
from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, sign_envelope
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ABSENT
from pytest_cutover.store import drill as drill_module
from pytest_cutover.store import settling
from pytest_cutover.store.checking import Wanted
from pytest_cutover.store.drill import (
    RESTORE_DRILL,
    Before,
    Limits,
    drill_statement,
    known_before,
    read_drill,
    run_drill,
    sign_drill,
)
from pytest_cutover.store.index import index_runs
from pytest_cutover.store.putting import put_set
from tests.unit.evidence.runs import KEY, anchor, signer, trusted
from tests.unit.store.stores import (
    LATER,
    files_at,
    filled,
    full_trust,
    new_log,
    put_logged,
    reindexed,
    run_at,
    trust,
)

STRANGER = signer()


@pytest.fixture
def store(tmp_path):
    made = filled(tmp_path / "evidence", (0, 1))
    reindexed(made)
    return made


@pytest.fixture
def drilled(store, tmp_path):
    def drill(*, before=None, limits=None, into="restored", clock=lambda: LATER):
        folder = FolderObjects(tmp_path / into)
        return run_drill(
            store,
            folder,
            before,
            trust(),
            limits=limits or Limits(),
            clock=clock,
            sleep=lambda _: None,
        )

    return drill


class TestPass:
    def test_everything_is_restored_and_proven(self, store, drilled, tmp_path):
        drill = drilled(before=known_before(store))

        assert drill.passed
        assert (drill.rpo_files, drill.lost, drill.findings) == (0, (), ())
        assert (drill.existed, drill.restored) == (len(known_before(store).files), drill.existed + 3)
        assert drill.before == store.where
        assert drill.environments == ("production",)
        assert 0 < drill.rto_s < 900
        assert known_before(FolderObjects(tmp_path / "restored")).files == known_before(store).files

    def test_the_signed_index_says_what_existed(self, drilled):
        drill = drilled()

        assert drill.passed
        assert drill.before.startswith("the signed index of 2026-")

    def test_one_file_may_be_lost_and_no_more(self, store, drilled):
        files = known_before(store).files
        one = Before("elsewhere", {**files, "history/newer/report.json": "0" * 64})
        two = Before("elsewhere", {**one.files, "history/newer/evidence.json": "0" * 64})

        assert (drilled(before=one, into="1").rpo_files, drilled(before=one, into="2").passed) == (1, True)
        assert (drilled(before=two, into="3").rpo_files, drilled(before=two, into="4").passed) == (2, False)

    def test_from_a_bucket(self, store, objects, tmp_path):
        from pytest_cutover.store.transfer import upload

        upload(store, objects, retain_until=None, now=LATER)
        reindexed(objects)
        drill = run_drill(
            objects, FolderObjects(tmp_path / "new"), known_before(store), trust(), clock=lambda: LATER
        )

        assert drill.passed
        assert drill.store == objects.where

    @pytest.mark.parametrize("after", ["index.json", "index.json.dsse", "latest.json", "evidence.json"])
    def test_a_run_that_is_stored_meanwhile_is_no_loss(self, store, drilled, after, monkeypatch):
        """Whatever was read of the store before: what is restored is the store of one moment."""
        real, stored = store.read, []

        def then_stored(key, **options):
            done = real(key, **options)
            if key.endswith(after) and not stored:
                stored.append(key)
                put_set(store, files_at(2))
                index_runs(store, [run_at(2).run_id], {"production"}, KEY, trust(), lambda: LATER)
            return done

        monkeypatch.setattr(store, "read", then_stored)
        drill = drilled()

        assert (drill.findings, drill.lost, drill.passed, len(stored)) == ((), (), True, 1)

    def test_what_the_store_retains_by_itself_is_no_hindrance(self, store, drilled, monkeypatch):
        """As a bucket with a default retention does with its index."""
        for key in ("latest.json", "index.json", "index.json.dsse"):
            store.retain(key, LATER + timedelta(days=1))
        real, looked = drill_module.restore, []

        def twice(*arguments, **options):
            looked.append(real(*arguments, **options))
            return replace(looked[0], problems=(("x", "gone"),)) if len(looked) == 1 else looked[1]

        monkeypatch.setattr(drill_module, "restore", twice)
        monkeypatch.setattr(settling, "_state", lambda _: len(looked))

        assert (drilled().passed, len(looked)) == (True, 2)

    def test_a_store_that_never_rests_is_said(self, store, drilled, monkeypatch):
        """Its drill fails, as nothing was proven."""
        real, numbers = store.read, iter(range(2, 100))

        def always(key, **options):
            done = real(key, **options)
            if key == "index.json.dsse":
                run = run_at(next(numbers))
                monkeypatch.setattr(store, "read", real)
                put_set(store, run.files())
                index_runs(store, [run.run_id], {"production"}, KEY, trust(), lambda: LATER)
                monkeypatch.setattr(store, "read", always)
            return done

        monkeypatch.setattr(store, "read", always)
        assert not drilled().passed


class TestFail:
    def test_a_file_that_is_another_now_is_lost_and_found(self, store, drilled):
        before = known_before(store)
        key = next(key for key in before.files if key.endswith("report.json"))
        path = Path(store.where) / key
        path.write_bytes(path.read_bytes().replace(b"production", b"producti0n", 1))
        drill = drilled(before=before)

        assert drill.lost == (key,)
        assert any(key in finding for finding in drill.findings)
        assert not drill.passed

    def test_a_run_that_is_gone_is_lost(self, store, drilled):
        before = known_before(store)
        for key in list(before.files)[:3]:
            (Path(store.where) / key).unlink()

        assert drilled(before=before).rpo_files == 3
        assert not drilled(before=before, into="2").passed

    def test_too_slow_is_no_pass(self, drilled):
        assert not drilled(limits=Limits(rto_s=0.0001)).passed

    def test_without_anything_that_says_what_existed(self, store, drilled):
        for name in ("index.json", "index.json.dsse"):
            store.delete(name)
        drill = drilled()

        assert (drill.before, drill.existed) == ("nothing", 0)
        assert not drill.passed

    def test_when_nothing_existed_and_nothing_is_restored(self, drilled):
        good = drilled()

        assert good.passed
        assert not replace(good, existed=0).passed
        assert not replace(good, restored=0).passed
        assert not replace(good, finding_count=1).passed
        assert not replace(good, rto_s=Decimal(901)).passed
        assert not replace(good, rpo_files=2).passed

    def test_a_decision_that_only_the_log_knows_is_a_finding(self, tmp_path):
        """The store was brought back without its newest run, and its index fits: only the log shows it."""
        log = new_log(tmp_path / "log")
        older, newer = FolderObjects(tmp_path / "older"), FolderObjects(tmp_path / "newer")
        for number in (0, 1):
            put_logged(newer, log, run_at(number))
            if number == 0:
                copy = {held.key: newer.read(held.key)[0] for held in newer.list()}
        for key, data in copy.items():
            older.write(key, data, expected=ABSENT)
        found = {}
        for name, store in (("older", older), ("newer", newer)):
            reindexed(store)
            folder = FolderObjects(tmp_path / f"{name}-restored")
            found[name] = run_drill(
                store, folder, None, full_trust(), wanted=Wanted(log=log), clock=lambda: LATER
            )

        assert found["newer"].findings == ()
        assert any("[store.decision-missing]" in finding for finding in found["older"].findings)
        assert not found["older"].passed

    def test_a_folder_that_is_not_empty_is_no_drill(self, store, drilled):
        drilled()

        with pytest.raises(EvidenceError, match="expected an empty folder"):
            drilled()


class TestStatement:
    def test_it_is_a_signed_in_toto_statement(self, drilled):
        drill = drilled()
        line = sign_drill(drill, KEY)
        statement = json.loads(base64.b64decode(json.loads(line)["payload"]))

        assert statement["predicateType"] == RESTORE_DRILL
        assert statement["subject"] == [{"name": drill.store, "digest": {"sha256": drill.tree}}]
        assert statement["predicate"]["result"] == "PASS"
        assert read_drill(line, trust(), LATER) == drill

    def test_its_subject_is_what_sha256sum_prints(self, drilled, tmp_path):
        import hashlib

        drill = drilled()
        restored = FolderObjects(tmp_path / "restored")
        lines = [f"{hashlib.sha256(restored.read(h.key)[0]).hexdigest()}  {h.key}\n" for h in restored.list()]

        assert drill.tree == hashlib.sha256("".join(lines).encode()).hexdigest()

    def test_it_goes_stale(self, drilled):
        drill = drilled()

        assert not drill.is_stale(LATER + timedelta(days=7) - timedelta(seconds=1))
        assert drill.is_stale(LATER + timedelta(days=7))

    def test_a_failed_one_is_read_as_failed(self, drilled):
        failed = drilled(limits=Limits(rto_s=0.0001))

        assert not read_drill(sign_drill(failed, KEY), trust(), LATER).passed

    def test_one_with_many_findings_says_how_many(self, drilled):
        drill = replace(drilled(), finding_count=12_000, findings=("a", "b"))

        assert read_drill(sign_drill(drill, KEY), trust(), LATER) == drill
        assert not drill.passed

    def test_the_statement_of_another_version_is_read(self, drilled):
        drill = replace(drilled(), tool="pytest-cutover 0.0.9")

        assert read_drill(sign_drill(drill, KEY), trust(), LATER) == drill

    def test_every_single_bit_counts(self, drilled):
        line = sign_drill(drilled(), KEY)
        for position in range(0, len(line), 7):
            changed = bytearray(line)
            changed[position] ^= 1 << position % 8
            with pytest.raises(EvidenceError):
                read_drill(bytes(changed), trust(), LATER)

    def test_a_stranger_s_is_refused(self, drilled):
        with pytest.raises(VerificationError):
            read_drill(sign_drill(drilled(), STRANGER), trust(), LATER)

    def test_a_key_for_another_role_or_environment_is_refused(self, drilled):
        line = sign_drill(drilled(), KEY)
        for other in (
            trusted(KEY, roles=frozenset({"approval"})),
            trusted(KEY, roles=frozenset({"store"}), environments=frozenset({"staging"})),
        ):
            with pytest.raises(VerificationError, match="that may sign for production"):
                read_drill(line, anchor(other), LATER)

    @pytest.mark.parametrize(
        ("after", "reads"),
        [(timedelta(days=2), True), (timedelta(days=1), True), (timedelta(hours=23), False)],
    )
    def test_a_key_that_has_ended_since_is_refused(self, drilled, after, reads):
        line, now = sign_drill(drilled(), KEY), LATER + timedelta(days=1)
        keys = trust(not_after=LATER + after)

        assert read_drill(line, keys, LATER) == read_drill(line, trust(), now)
        if reads:
            assert read_drill(line, keys, now).passed
        else:
            with pytest.raises(VerificationError, match="that may sign for production"):
                read_drill(line, keys, now)

    def test_persons_that_the_trust_file_asks_for_are_asked_for(self, drilled):
        line = sign_drill(drilled(), KEY)

        assert read_drill(line, replace(trust(person="Ada"), thresholds={"store": 1}), LATER).passed
        for person, needed in ((None, 1), ("Ada", 2)):
            keys = replace(trust(person=person), thresholds={"store": needed})
            with pytest.raises(VerificationError, match=f"signatures of {needed} persons in role store"):
                read_drill(line, keys, LATER)

    def test_one_from_the_future_is_refused(self, drilled):
        with pytest.raises(EvidenceError, match="yet to come"):
            read_drill(sign_drill(drilled(), KEY), trust(), LATER - timedelta(minutes=1))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"result":"FAIL"', b'"result":"PASS"'),
            (b'"limit":"0.0001"', b'"limit":"900.0"'),
            (b'"format":1', b'"format":2'),
            (b'"restored":{', b'"more":1,"restored":{'),
            (b'"files":0', b'"files":"0"'),
            (RESTORE_DRILL.encode(), b"https://example.org/drill"),
        ],
    )
    def test_one_that_contradicts_itself_is_refused_although_it_is_signed(self, drilled, old, new):
        payload = drill_statement(drilled(limits=Limits(rto_s=0.0001)))
        assert old in payload
        line = sign_envelope(payload.replace(old, new, 1), STATEMENT_TYPE, KEY) + b"\n"

        with pytest.raises(EvidenceError):
            read_drill(line, trust(), LATER)

    def test_a_policy_s_envelope_is_none(self, drilled):
        line = sign_envelope(drill_statement(drilled()), "application/json", KEY) + b"\n"

        with pytest.raises(EvidenceError, match="an envelope of type"):
            read_drill(line, trust(), LATER)


class Clock(datetime):
    """Stands still."""

    @classmethod
    def now(cls, tz=None):
        return LATER


class TestCommand:
    @pytest.fixture(autouse=True)
    def _project(self, store, tmp_path, monkeypatch):
        """A project whose key is the one of the test runs."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("pytest_cutover.cli._store.signer", lambda _: KEY)
        monkeypatch.setattr("pytest_cutover.cli._evidence.anchor", lambda _: trust())
        now = drill_module.check_store
        monkeypatch.setattr(drill_module, "check_store", lambda s, a, _, w: now(s, a, lambda: LATER, w))

    def test_it_says_what_was_measured(self, tmp_path, capsys):
        assert cli.main(["evidence", "drill", "--store", "evidence", "--before", "evidence"]) == 0

        out = capsys.readouterr().out
        assert out.startswith("PASS     evidence\n")
        assert "RPO      0 of " in out
        assert max(map(len, out.splitlines())) <= 80
        (file,) = (tmp_path / "var/cutover/drills").iterdir()  # what was restored is gone again
        assert f"signed   var/cutover/drills/{file.name}" in out

    def test_a_failed_one_is_exit_1_and_signed_all_the_same(self, tmp_path, capsys):
        words = ["evidence", "drill", "--store", "evidence", "--rto", "0.0001", "--out", "d.jsonl", "--json"]
        assert cli.main([*words, "--into", "kept"]) == 1

        assert json.loads(capsys.readouterr().out)["predicate"]["result"] == "FAIL"
        assert (tmp_path / "d.jsonl").exists()
        assert (tmp_path / "kept/latest.json").exists()

    @pytest.fixture
    def still(self, monkeypatch):
        """The drill and who asks about it have the same time."""
        monkeypatch.setattr("pytest_cutover.cli._evidence_drilled.datetime", Clock)
        monkeypatch.setattr("pytest_cutover.cli._evidence_drill.datetime", Clock)

    @pytest.mark.usefixtures("still")
    def test_one_of_another_store_does_not_stand_for_it(self, tmp_path, capsys):
        cli.main(["evidence", "drill", "--store", "evidence", "--before", "evidence"])

        for words, code in (([], 0), (["--store", f"{tmp_path}/evidence"], 0), (["--store", "other"], 1)):
            assert cli.main(["evidence", "drilled", *words]) == code
        said = f"error: expected a drill of {tmp_path}/other, the newest is of {tmp_path}/evidence\n"
        assert said in capsys.readouterr().err
        for words in ([], ["--json"]):
            assert cli.main(["evidence", "drilled", "--store", "other", *words]) == 1
            assert capsys.readouterr().out == ""  # nothing that reads as PASS

    @pytest.mark.usefixtures("still")
    def test_nor_does_one_of_another_project_whose_store_has_the_same_name(
        self, tmp_path, monkeypatch, capsys
    ):
        cli.main(["evidence", "drill", "--store", "evidence"])
        shutil.copytree(tmp_path / "var", tmp_path / "b/var")
        (tmp_path / "link").symlink_to(".")
        monkeypatch.chdir(tmp_path / "b")

        assert cli.main(["evidence", "drilled", "--store", "evidence"]) == 1
        assert f"the newest is of {tmp_path}/evidence\n" in capsys.readouterr().err
        assert cli.main(["evidence", "drilled", "--store", "../link/evidence"]) == 0

    @pytest.mark.usefixtures("still")
    def test_one_that_names_a_relative_place_stands_for_none(self, tmp_path, drilled, capsys):
        old = replace(drilled(), store="evidence")
        path = tmp_path / "var/cutover/drills" / old.file_name
        path.parent.mkdir(parents=True)
        path.write_bytes(sign_drill(old, KEY))

        assert cli.main(["evidence", "drilled"]) == 0
        assert capsys.readouterr().out.startswith("PASS     evidence, ")
        assert cli.main(["evidence", "drilled", "--store", "evidence"]) == 1
        assert "the newest is of evidence, which does not say where\n" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["--rto", "0"], 64),
            (["--rto", "x"], 64),
            (["--rpo", "-1"], 64),
            (["--valid-for", "1"], 64),
            (["--store", "nowhere"], 2),
            (["--store", "evidence", "--into", "evidence"], 2),
            (["--store", "evidence", "--before", "nowhere"], 2),
        ],
    )
    def test_what_cannot_be_used_is_said(self, words, code, capsys):
        try:
            got = cli.main(["evidence", "drill", *words])
        except SystemExit as exc:
            got = exc.code

        assert got == code
        assert "error: " in capsys.readouterr().err
