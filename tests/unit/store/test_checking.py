"""What `cutover evidence verify` finds: each thing that can be wrong with a store, by code and file."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.evidence.inclusion import logged_entry
from pytest_cutover.evidence.problems import ProblemCode
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.model import SECTION_TYPE
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ABSENT, StoreUnavailableError
from pytest_cutover.store.checking import Wanted, check_run, check_store
from pytest_cutover.store.document import build_document
from pytest_cutover.store.index import Collected, build_index
from pytest_cutover.store.putting import put_run, put_set
from pytest_cutover.tlog.audit import Pinned
from tests.unit.evidence.fleets import sealed_fleet
from tests.unit.evidence.runs import KEY, NOW, Run, anchor, sealed, signer, trusted
from tests.unit.store.stores import (
    LATER,
    LOG_KEY,
    ORIGIN,
    StoredRun,
    checked,
    codes,
    files_at,
    filled,
    full_trust,
    new_log,
    put_logged,
    reindexed,
    run_at,
    trust,
    write_index,
)

VECTOR = Path(__file__).parents[2] / "vectors/evidence-1"
FIRST, SECOND = (f"history/{run_at(number).run_id}" for number in (0, 1))
INDEX = "index.json.dsse"


@pytest.fixture
def store(tmp_path):
    """Two runs and their index."""
    made = filled(tmp_path / "evidence")
    reindexed(made)
    return made


@pytest.fixture
def logged(tmp_path):
    """A store and its log."""
    made, log = FolderObjects(tmp_path / "logged"), new_log(tmp_path / "log")
    for number in (0, 1):
        put_logged(made, log, run_at(number))
    reindexed(made)
    return made, log


def path(store, key):
    return Path(store.where) / key


def change(store, key, old, new):
    file = path(store, key)
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new, 1))


class TestWhole:
    def test_nothing_is_found(self, store):
        found = checked(store)

        assert found.findings == ()
        assert found.is_valid
        assert (found.runs, found.files) == (2, 13)
        assert found.latest == run_at(1).run_id
        assert found.index is not None

    def test_old_evidence_and_merges_are_whole_too(self, tmp_path):
        bundle, report = sealed_fleet()
        merged = FolderObjects(tmp_path / "merged")
        put_set(merged, {"bundle.intoto.jsonl": bundle, "report.json": report})
        reindexed(merged)

        assert checked(merged).findings == ()

    def test_evidence_of_format_1_keeps_verifying(self, tmp_path):
        store = FolderObjects(tmp_path)
        put_run(store, VECTOR)
        reindexed(store)
        given = load_trust(VECTOR / "trust.json")
        both = anchor(*given.keys, trusted(KEY, roles=frozenset({"store"})))

        assert check_store(store, both, lambda: LATER).findings == ()

    def test_an_empty_store_proves_nothing(self, tmp_path):
        assert codes(checked(FolderObjects(tmp_path))) == [("evidence.none", str(tmp_path))]

    def test_one_run_can_be_checked_alone(self, store):
        names = [*files_at(0), "evidence.json"]

        assert check_run(store, run_at(0).run_id, names, trust(), LATER) == ()
        change(store, f"{FIRST}/report.json", b"0.2", b"0.3")
        assert {p.code for p in check_run(store, run_at(0).run_id, names, trust(), LATER)} == {
            ProblemCode.STORE_FILE_CHANGED,
            ProblemCode.REPORT_DIGEST,
        }

    def test_a_store_that_cannot_be_read_is_no_answer(self, store, monkeypatch):
        def fail(*_, **__):
            raise StoreUnavailableError("it does not answer")

        monkeypatch.setattr(store, "read", fail)
        with pytest.raises(StoreUnavailableError):
            checked(store)


class TestFiles:
    @pytest.mark.parametrize("name", [*files_at(0), "evidence.json"])
    def test_a_missing_file_is_named(self, store, name):
        path(store, f"{FIRST}/{name}").unlink()

        assert ("store.file-missing", f"{FIRST}/{name}") in codes(checked(store))

    @pytest.mark.parametrize("name", files_at(0))
    def test_a_missing_file_is_named_without_an_index_too(self, store, name):
        path(store, f"{FIRST}/{name}").unlink()
        path(store, INDEX).unlink()

        found = codes(checked(store))
        assert ("store.file-missing", f"{FIRST}/{name}") in found
        assert ("store.index-missing", INDEX) in found

    @pytest.mark.parametrize("name", [*files_at(0), "evidence.json"])
    def test_a_changed_file_is_named(self, store, name):
        file = path(store, f"{FIRST}/{name}")
        file.write_bytes(file.read_bytes() + b" ")

        assert ("store.file-changed", f"{FIRST}/{name}") in codes(checked(store))

    @pytest.mark.parametrize("left", [("bundle.intoto.jsonl",), ("bundle.intoto.jsonl", "report.json")])
    def test_a_go_without_its_document_is_named(self, store, left):
        """Its bundle goes last, and admits where the report is beside it: no writer that was killed left that."""
        folder = run_at(5).write(Path(store.where) / f"history/{run_at(5).run_id}")
        for name in files_at(5).keys() - {*left}:
            (folder / name).unlink()

        found = checked(store)
        assert ("store.document-missing", f"history/{run_at(5).run_id}/evidence.json") in codes(found)
        assert found.unfinished == ()

    def test_a_file_too_many_is_named(self, store):
        path(store, f"{FIRST}/attachments/more").write_bytes(b"x")
        path(store, "note.txt").write_bytes(b"x")
        path(store, "history/x").write_bytes(b"x")

        assert codes(checked(store)) == [
            ("store.file-unknown", f"{FIRST}/attachments/more"),
            ("store.file-unknown", "history/x"),
            ("store.file-unknown", "note.txt"),
            ("store.index-stale", FIRST),
        ]

    def test_a_link_is_named_and_the_rest_is_checked(self, store, tmp_path):
        file = path(store, f"{FIRST}/report.json")
        file.rename(tmp_path / "report.json")
        file.symlink_to(tmp_path / "report.json")
        change(store, f"{SECOND}/report.json", b"0.2", b"0.3")

        found = codes(checked(store))
        assert ("store.unreadable", f"{FIRST}/report.json") in found
        assert ("store.file-changed", f"{SECOND}/report.json") in found

    def test_a_run_that_was_dropped_is_named(self, store):
        shutil.rmtree(path(store, SECOND))

        found = codes(checked(store))
        assert {(c, w) for c, w in found if c == "store.file-missing"} == {
            ("store.file-missing", f"{SECOND}/{name}") for name in [*files_at(1), "evidence.json"]
        }
        assert ("store.latest", "latest.json") in found

    def test_a_damaged_promise_is_named(self, store):
        store.retain(f"{FIRST}/report.json", LATER + timedelta(1))
        (promise,) = (Path(store.where) / ".objects/kept").rglob("*.json")
        promise.write_bytes(promise.read_bytes().replace(b"2026", b"2025"))

        found = checked(store)
        assert any("what is promised about" in f.message for f in found.findings)


class TestDocuments:
    def test_two_bundles_that_were_swapped_are_named(self, store):
        first, second = (path(store, f"{run}/bundle.intoto.jsonl") for run in (FIRST, SECOND))
        data = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(data)

        found = codes(checked(store))
        for run in (FIRST, SECOND):
            assert ("store.file-changed", f"{run}/bundle.intoto.jsonl") in found
            assert ("store.document-disagrees", f"{run}/bundle.intoto.jsonl") in found
            assert ("report.digest", f"{run}/report.json") in found

    def test_two_runs_that_were_swapped_whole_are_named(self, store):
        """Each set is whole and signed, and stands under the other's name."""
        path(store, FIRST).rename(path(store, "history/other"))
        path(store, SECOND).rename(path(store, FIRST))
        path(store, "history/other").rename(path(store, SECOND))
        reindexed(store)

        found = codes(checked(store))
        for run in (FIRST, SECOND):
            assert ("store.document-disagrees", f"{run}/evidence.json") in found
            assert ("store.document-disagrees", f"{run}/bundle.intoto.jsonl") in found

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"GO"', b'"NO-GO"'),
            (b'"production"', b'"staging"'),
            (b'"name":"shop"', b'"name":"show"'),
            (b'"p95": 0.10', b'"p95": 0.1'),
            (b'"log":null', b'"log":{"origin":"x","index":1}'),
            (b'"format":1', b'"format": 1'),
        ],
    )
    def test_a_document_that_says_something_else_is_found_whoever_signs_the_index(self, store, old, new):
        change(store, f"{SECOND}/evidence.json", old, new)
        path(store, "latest.json").write_bytes(path(store, f"{SECOND}/evidence.json").read_bytes())
        reindexed(store)

        assert codes(checked(store)) == [("store.document-disagrees", f"{SECOND}/evidence.json")]

    def test_one_that_cannot_be_read_is_named(self, store):
        change(store, f"{FIRST}/evidence.json", b'"verdict"', b'"verdikt"')
        reindexed(store)

        assert ("store.document-malformed", f"{FIRST}/evidence.json") in codes(checked(store))

    def test_evidence_that_nobody_trusted_signed_is_found(self, tmp_path):
        other = signer()
        store = FolderObjects(tmp_path)
        bundle, report = sealed(Run(), other)
        put_set(store, {"bundle.intoto.jsonl": bundle, "report.json": report})
        reindexed(store)

        found = {code for code, _ in codes(checked(store))}
        assert "signature.untrusted" in found

    def test_a_forged_verdict_is_found_even_when_the_whole_set_was_made_anew(self, store):
        """Who can write the store and has no key can make a set that fits together, and no signature."""
        files = files_at(0)
        line = hashlib.sha256(files["report.json"]).hexdigest().encode()
        report = files["report.json"].replace(b"0.2", b"0.3")
        bundle = files["bundle.intoto.jsonl"].replace(line, hashlib.sha256(report).hexdigest().encode())
        shutil.rmtree(path(store, FIRST))
        put_set(store, {**files, "report.json": report, "bundle.intoto.jsonl": bundle})

        found = codes(checked(store))
        assert ("report.digest", f"{FIRST}/report.json") in found
        assert ("store.file-changed", f"{FIRST}/report.json") in found


class TestSections:
    def put(self, folder, run):
        store = FolderObjects(folder)
        put_set(store, run.files())
        reindexed(store)
        return store

    def test_a_section_that_is_asked_for_and_missing_is_named(self, store):
        found = checked(store, sections=("perf", "canary"))

        assert codes(found) == [("store.section-missing", f"{run}/evidence.json") for run in (FIRST, SECOND)]
        assert {f.message for f in found.findings} == {"the question asks for section canary"}

    def test_a_no_go_that_says_so_itself_is_whole(self, tmp_path):
        """Evidence of a failed run must be keepable."""
        store = self.put(tmp_path, run_at(0, sections=("perf", "judges")))

        assert checked(store).findings == ()
        assert codes(checked(store, sections=("judges",))) == [
            ("store.section-missing", f"{FIRST}/evidence.json")
        ]

    def test_a_section_that_is_no_json_object_is_named(self, tmp_path):
        store = self.put(tmp_path, run_at(0, attached=[("perf", b"[1]", SECTION_TYPE)]))

        assert codes(checked(store)) == [("store.section-malformed", f"{FIRST}/evidence.json")]

    def test_a_section_that_was_taken_out_of_the_document_is_found(self, store):
        document = json.loads(path(store, f"{SECOND}/evidence.json").read_bytes())
        text = path(store, f"{SECOND}/evidence.json").read_bytes()
        cut = text[: text.index(b'"sections"')] + b'"sections":{}}\n'
        assert document["sections"]
        for key in (f"{SECOND}/evidence.json", "latest.json"):
            path(store, key).write_bytes(cut)
        reindexed(store)

        found = codes(checked(store))
        assert ("store.document-disagrees", f"{SECOND}/evidence.json") in found
        assert ("store.section-missing", f"{SECOND}/evidence.json") in found


class TestEnvironments:
    def test_evidence_of_another_environment_is_refused(self, store):
        put_set(store, run_at(2, environment="staging").files())
        reindexed(store)

        assert checked(store).findings == ()
        assert codes(checked(store, environments=("production",))) == [
            ("environment.mismatch", f"history/{run_at(2).run_id}/bundle.intoto.jsonl")
        ]

    def test_who_may_not_sign_for_an_environment_cannot_index_it(self, store):
        limited = anchor(
            trusted(KEY, roles=frozenset({"decision", "store"}), environments=frozenset({"staging"}))
        )

        found = {code for code, _ in codes(check_store(store, limited, lambda: LATER))}
        assert {"signature.environment", "store.index-invalid"} <= found


class TestLatest:
    def test_an_older_document_is_not_the_latest(self, store):
        path(store, "latest.json").write_bytes(path(store, f"{FIRST}/evidence.json").read_bytes())

        found = checked(store)
        assert codes(found) == [("store.latest", "latest.json")]
        assert f"the newest document is that of run {run_at(1).run_id}" in found.findings[0].message

    def test_a_missing_one_is_named(self, store):
        path(store, "latest.json").unlink()

        assert codes(checked(store)) == [("store.file-missing", "latest.json")]

    def test_a_damaged_newest_run_does_not_make_an_older_one_the_latest(self, store):
        change(store, f"{SECOND}/report.json", b"0.2", b"0.3")

        assert "store.latest" not in {code for code, _ in codes(checked(store))}


class TestIndex:
    def test_a_run_that_was_put_since_makes_it_stale(self, store):
        put_set(store, files_at(2))

        assert codes(checked(store)) == [("store.index-stale", f"history/{run_at(2).run_id}")]

    def test_the_copy_has_to_be_what_is_signed(self, store):
        change(store, "index.json", b"WIP", b"WIB")

        assert codes(checked(store)) == [("store.index-invalid", "index.json")]

    def test_a_stranger_s_signature_is_none(self, store):
        write_index(store, build_index(store, None, LATER), signer())

        assert codes(checked(store)) == [("store.index-invalid", INDEX)]

    def test_a_key_that_signs_only_policies_cannot_sign_it(self, store):
        only = anchor(trusted(KEY), trusted(signer(), roles=frozenset({"store"})))
        assert check_store(store, only, lambda: LATER).index is not None

        policy_only = anchor(trusted(KEY, roles=frozenset({"policy"})))
        found = codes(check_store(store, policy_only, lambda: LATER))
        assert ("store.index-invalid", INDEX) in found

    def test_one_from_the_future_is_refused(self, store):
        reindexed(store, LATER + timedelta(minutes=1))

        found = checked(store)
        assert codes(found) == [("store.index-invalid", INDEX)]
        assert "yet to come" in found.findings[0].message

    def test_it_remembers_a_file_whose_document_was_changed_along(self, store):
        """An old evidence set in place of another one, all of it valid by itself."""
        before = build_index(store, None, LATER)
        shutil.rmtree(path(store, FIRST))
        put_set(store, run_at(0, title="Something else").files())
        reindexed(store, before=before)

        found = codes(checked(store))
        assert ("store.file-changed", f"{FIRST}/report.json") in found
        assert ("store.file-changed", f"{FIRST}/evidence.json") in found

    def test_what_is_locked_less_than_it_says_is_named(self, store):
        until = NOW + timedelta(days=9)
        for name in [*files_at(0), "evidence.json"]:
            store.retain(f"{FIRST}/{name}", until)
        store.hold(f"{SECOND}/report.json", True)
        reindexed(store)
        assert checked(store).findings == ()
        shutil.rmtree(path(store, ".objects/kept"))

        found = codes(checked(store))
        assert [w for c, w in found if c == "store.unlocked"] == sorted(
            [*(f"{FIRST}/{name}" for name in [*files_at(0), "evidence.json"]), f"{SECOND}/report.json"]
        )

    def test_what_is_locked_more_than_it_says_makes_it_stale(self, store):
        store.retain(f"{FIRST}/report.json", NOW + timedelta(days=9))

        assert codes(checked(store)) == [("store.index-stale", f"{FIRST}/report.json")]

    def test_a_collected_run_that_is_still_there_is_named(self, store):
        index = build_index(store, None, LATER)
        kept = tuple(e for e in index.objects if not e.key.startswith(FIRST))
        gone = Collected(run_at(0).run_id, "", LATER)
        write_index(store, type(index)(LATER, kept, (gone,)), KEY)

        assert codes(checked(store)) == [("store.file-unknown", FIRST)]

        path(
            store, f"{FIRST}/evidence.json"
        ).unlink()  # as a collection leaves it that is killed after its first file
        found = checked(store)
        assert ("store.file-unknown", FIRST) in codes(found)
        assert found.unfinished == ()


class TestLog:
    @pytest.mark.parametrize("signed_by", [KEY, signer()])
    def test_a_no_go_whose_writer_was_killed_is_not_missed(self, logged, signed_by):
        """Its bundle went first, and says all there is to say; if somebody is trusted who says it."""
        store, log = logged
        run = run_at(3, latency="9")
        bundle, _ = sealed(run, signed_by)
        log.append([logged_entry(bundle, run.run_id, run.environment, run.decided_at)])
        key = f"history/{run.run_id}/bundle.intoto.jsonl"
        store.write(key, bundle, expected=ABSENT)

        found = checked(store, log)
        if signed_by is KEY:
            assert (found.unfinished, codes(found)) == ((run.run_id,), [])
        else:
            assert found.unfinished == ()
            named = ("store.document-missing", f"history/{run.run_id}/evidence.json")
            assert named in codes(found)

    def test_a_go_is_missed_that_is_not_whole(self, logged):
        """Its bundle goes last: somebody took the rest away."""
        store, log = logged
        put_logged(store, log, run_at(3))
        path(store, f"history/{run_at(3).run_id}/evidence.json").unlink()

        named = ("store.document-missing", f"history/{run_at(3).run_id}/evidence.json")
        assert named in codes(checked(store, log))

    def test_a_logged_store_is_whole(self, logged):
        store, log = logged

        found = checked(store, log)
        assert found.findings == ()
        assert found.logged == 2

    def test_a_changed_or_missing_proof_is_named(self, logged):
        store, _ = logged
        name = "bundle.intoto.jsonl.tlog-proof"
        change(store, f"{FIRST}/{name}", b"index 0", b"index 1")
        path(store, f"{SECOND}/{name}").unlink()

        found = codes(check_store(store, full_trust(), lambda: LATER))
        assert ("log.proof", f"{FIRST}/{name}") in found
        assert ("store.file-missing", f"{SECOND}/{name}") in found
        assert ("log.unproven", f"{SECOND}/{name}") in found

    def test_a_proof_that_was_never_put_is_missed(self, tmp_path):
        """The whole set was made without it, and everything fits together but the policy."""
        store = FolderObjects(tmp_path)
        put_set(store, run_at(0).files())
        reindexed(store)

        found = codes(check_store(store, full_trust(), lambda: LATER))
        assert found == [("log.unproven", f"{FIRST}/bundle.intoto.jsonl.tlog-proof")]

    def test_dropping_the_newest_run_is_found(self, logged):
        """Everything that is left fits together: an older latest.json, an older index."""
        store, log = logged
        older = FolderObjects(Path(store.where).with_name("older"))
        put_set(older, {n: store.read(f"{FIRST}/{n}")[0] for n in self.names(store, FIRST)})
        reindexed(older)

        assert check_store(older, full_trust(), lambda: LATER).findings == ()
        found = codes(checked(older, log))
        assert found == [("store.decision-missing", SECOND)]

    def names(self, store, run):
        names = [h.key.removeprefix(f"{run}/") for h in store.list(f"{run}/")]
        return [n for n in names if n != "evidence.json"]

    def test_replaying_an_older_store_and_an_older_log_is_found_by_a_pinned_checkpoint(self, tmp_path):
        store, log = FolderObjects(tmp_path / "s"), new_log(tmp_path / "l")
        put_logged(store, log, run_at(0))
        reindexed(store)
        for name in ("s", "l"):
            shutil.copytree(tmp_path / name, tmp_path / f"old-{name}")
        put_logged(store, log, run_at(1))
        old_store, old_log = FolderObjects(tmp_path / "old-s"), new_log(tmp_path / "old-l")
        pinned = Pinned(log.checkpoint(), "the deploy system")

        assert checked(old_store, old_log).findings == ()
        found = checked(old_store, old_log, pinned=[pinned])
        assert codes(found) == [("store.log-invalid", "the deploy system")]
        assert "log.rolled-back" in found.findings[0].message

    def test_an_older_log_beside_the_store_is_found_by_the_store(self, tmp_path):
        """Each proof in the store holds a checkpoint of its time."""
        store, log = FolderObjects(tmp_path / "s"), new_log(tmp_path / "l")
        put_logged(store, log, run_at(0))
        shutil.copytree(tmp_path / "l", tmp_path / "old")
        put_logged(store, log, run_at(1))
        reindexed(store)

        found = checked(store, new_log(tmp_path / "old"))
        assert codes(found) == [("store.log-invalid", f"{SECOND}/bundle.intoto.jsonl.tlog-proof")]

    def test_a_forked_log_is_found(self, tmp_path):
        store, log = FolderObjects(tmp_path / "s"), new_log(tmp_path / "l")
        put_logged(store, log, run_at(0))
        put_logged(store, log, run_at(1))
        reindexed(store)
        fork = new_log(tmp_path / "fork")
        fork.append([b"something else", *log.entries(1, 2)])

        found = {f.code.code for f in checked(store, fork).findings}
        assert found == {"store.log-invalid"}

    def test_of_a_run_that_was_sealed_again_the_last_bundle_has_to_be_there(self, tmp_path):
        """As it is when the key was rotated while the run was sealed."""
        first, second = run_at(0, title="Something else"), run_at(0)
        for kept, findings in ((second, []), (first, [("store.decision-missing", FIRST)])):
            folder = tmp_path / kept.title
            store, lost, log = FolderObjects(folder / "s"), FolderObjects(folder / "x"), new_log(folder / "l")
            for run in (first, second):
                put_logged(store if run is kept else lost, log, run)
            reindexed(store)

            assert codes(checked(store, log)) == findings

    def test_a_decision_of_another_environment_is_not_missed(self, logged):
        store, log = logged
        put_logged(FolderObjects(Path(store.where).with_name("x")), log, run_at(3, environment="staging"))

        assert checked(store, log).findings == ()
        assert codes(checked(store, log, environments=("production", "staging"))) == [
            ("store.decision-missing", f"history/{run_at(3).run_id}")
        ]

    def test_a_run_that_was_collected_is_not_missed(self, logged):
        store, log = logged
        index = build_index(store, None, LATER)
        bundle = hashlib.sha256(store.read(f"{FIRST}/bundle.intoto.jsonl")[0]).hexdigest()
        shutil.rmtree(path(store, FIRST))
        kept = tuple(e for e in index.objects if not e.key.startswith(FIRST))
        gone = Collected(run_at(0).run_id, bundle, LATER)
        write_index(store, type(index)(LATER, kept, (gone,)), KEY)

        assert checked(store, log).findings == ()

    def test_a_go_that_its_log_kept_and_did_not_cosign_is_not_missed(self, logged):
        """The run came to a NO-GO, which says so; as a whole one, and as one whose writer was killed."""
        store, log = logged
        put_logged(FolderObjects(Path(store.where).with_name("x")), log, run_at(3))
        told = [("store.decision-missing", f"history/{run_at(3).run_id}")]
        assert codes(checked(store, log)) == told
        files = run_at(3, wanted_log=ORIGIN).files()
        key = f"history/{run_at(3).run_id}/bundle.intoto.jsonl"

        store.write(key, files["bundle.intoto.jsonl"], expected=ABSENT)
        assert codes(checked(store, log)) == []
        put_set(store, files)
        index = reindexed(store)
        assert codes(checked(store, log)) == []

        shutil.rmtree(path(store, key).parent)
        kept = tuple(e for e in index.objects if run_at(3).run_id not in e.key)
        for bundle, findings in ((hashlib.sha256(files["bundle.intoto.jsonl"]).hexdigest(), []), ("", told)):
            gone = Collected(run_at(3).run_id, bundle, LATER)
            write_index(store, type(index)(LATER, kept, (gone,)), KEY)
            path(store, "latest.json").write_bytes(store.read(f"{SECOND}/evidence.json")[0])
            assert codes(checked(store, log)) == findings

    @pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "unfinished"])
    @pytest.mark.parametrize("why", ["another reason", "another run", "nobody's key", "no key that decides"])
    def test_nothing_else_excuses_it(self, logged, why, is_whole):
        store, log = logged
        put_logged(FolderObjects(Path(store.where).with_name("x")), log, run_at(3))
        run = run_at(3, latency="9") if why == "another reason" else run_at(3, wanted_log=ORIGIN)
        if why == "another run":
            run = run_at(4, wanted_log=ORIGIN)
        signed_by = {"nobody's key": signer(), "no key that decides": LOG_KEY}.get(why, KEY)
        bundle, report = sealed(run, signed_by)
        folder = f"history/{run_at(3).run_id}"
        files = {"bundle.intoto.jsonl": bundle}
        if is_whole:
            files |= run.files() | files | {"report.json": report}
            files["evidence.json"] = build_document(files)
        for name, data in files.items():
            store.write(f"{folder}/{name}", data, expected=ABSENT)
        if is_whole:
            reindexed(store)

        assert ("store.decision-missing", folder) in codes(checked(store, log))

    def test_nor_does_one_whose_report_is_another(self, logged):
        store, log = logged
        put_logged(FolderObjects(Path(store.where).with_name("x")), log, run_at(3))
        put_set(store, run_at(3, wanted_log=ORIGIN).files())
        change(store, f"history/{run_at(3).run_id}/report.json", b"The service", b"Our service")

        assert ("store.decision-missing", f"history/{run_at(3).run_id}") in codes(checked(store, log))

    def test_a_decision_that_the_log_does_not_hold_is_named(self, logged, tmp_path):
        store, log = logged
        other = new_log(tmp_path / "other")
        put_logged(store, other, StoredRun(run_id=run_at(5).run_id, decided_at=run_at(5).decided_at))
        reindexed(store)

        found = codes(checked(store, log))
        assert ("store.log-invalid", f"history/{run_at(5).run_id}/bundle.intoto.jsonl.tlog-proof") in found


def test_every_finding_is_a_plain_value(store):
    path(store, f"{FIRST}/report.json").unlink()

    document = checked(store).to_json()

    assert document["valid"] is False
    assert all(set(f) == {"code", "message", "where"} for f in document["findings"])
    json.dumps(document)


def test_wanted_asks_for_nothing_by_itself():
    assert (Wanted().sections, Wanted().environments, Wanted().log, Wanted().pinned) == ((), (), None, ())
