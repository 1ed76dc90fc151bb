"""Evidence put into a bucket and restored from it: everything, once, as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover import cli
from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ABSENT, StoreUnavailableError
from pytest_cutover.store import transfer
from pytest_cutover.store.layout import by_run
from pytest_cutover.store.transfer import format_manifest, read_manifest, restore, upload
from tests.s3 import objects_at
from tests.unit.store.stores import NOW, checked, filled, reindexed

UNTIL = datetime(2090, 1, 1, tzinfo=UTC)


def history(store):
    """Every file of every run, without hidden ones."""
    return {held.key: store.read(held.key)[0] for held in store.list("history/")}


def put(source, target, until=UNTIL):
    return upload(source, target, retain_until=until, now=datetime.now(UTC))


@pytest.fixture
def source(tmp_path):
    return filled(tmp_path / "evidence", (0, 1))


class TestUpload:
    def test_everything_is_there_retained_and_read_back(self, source, objects):
        done = put(source, objects)

        assert (done.new, done.problems) == (len(history(source)), ())
        assert history(objects) == history(source)
        assert objects.read("latest.json")[0] == source.read("latest.json")[0]
        for moved in done.moved:
            data, held = objects.read(moved.key, version=moved.version)
            assert (held.retain_until, moved.retain_until) == (UNTIL, UNTIL)
            assert data == source.read(moved.key)[0]
        assert objects.stat("latest.json").retain_until is None  # it moves

    def test_a_second_time_nothing_is_sent(self, source, objects, client, bucket):
        put(source, objects)
        versions = client.list_object_versions(Bucket=bucket)["Versions"]
        again = put(source, objects)

        assert (again.new, len(again.moved)) == (0, len(history(source)))
        assert client.list_object_versions(Bucket=bucket)["Versions"] == versions

    def test_what_is_retained_for_less_is_retained_for_longer(self, source, objects):
        put(source, objects, until=None)
        put(source, objects)

        assert {held.retain_until for held in objects.list("history/")} == {UNTIL}

    def test_locks_and_holds_go_along(self, source, objects):
        key = next(iter(source.list("history/"))).key
        source.retain(key, UNTIL)
        source.hold(key, True)
        put(source, objects, until=None)

        held = objects.stat(key)
        assert (held.retain_until, held.legal_hold) == (UNTIL, True)

    def test_an_older_folder_does_not_move_latest_back(self, source, objects, tmp_path):
        put(source, objects)
        put(filled(tmp_path / "older", (0,)), objects)

        assert objects.read("latest.json")[0] == source.read("latest.json")[0]

    def test_something_else_that_is_there_is_named_and_stays(self, source, objects):
        key = next(iter(source.list("history/"))).key
        objects.write(key, b"else", expected=ABSENT)
        done = put(source, objects)

        assert [(k, "something else is there" in why) for k, why in done.problems] == [(key, True)]
        assert objects.read(key)[0] == b"else"
        assert objects.stat("latest.json") is None
        assert done.new == len(history(source)) - 1

    def test_another_writer_who_was_first_at_the_same_time_is_named(
        self, source, objects, client, bucket, monkeypatch
    ):
        """The store ignores If-None-Match, as Ceph does; both versions are there, and the older one counts."""
        key = next(iter(source.list("history/"))).key
        sent = objects.write_unconfirmed

        def outrun(name, data, **more):
            if name == key:
                client.put_object(Bucket=bucket, Key=f"some/where/{key}", Body=b"else")
                with monkeypatch.context() as patched:
                    bare = objects.bucket.put
                    patched.setattr(
                        objects.bucket, "put", lambda *a, condition, **k: bare(*a, condition={}, **k)
                    )
                    return sent(name, data, **more)
            return sent(name, data, **more)

        monkeypatch.setattr(objects, "write_unconfirmed", outrun)
        done = upload(source, objects, retain_until=None, now=NOW, threads=1)

        assert [(k, "another version counts" in why) for k, why in done.problems] == [(key, True)]
        assert objects.read(key)[0] == b"else"
        assert objects.stat("latest.json") is None

    def test_what_is_read_back_differently_is_named(self, source, objects, monkeypatch):
        read = objects.read
        monkeypatch.setattr(
            objects, "read", lambda key, **more: (read(key, **more)[0] + b"x", read(key, **more)[1])
        )
        done = put(source, objects)

        assert done.moved == ()
        assert all("what was sent is read back as SHA-256" in why for _, why in done.problems)


class TestResume:
    @pytest.mark.parametrize("way", ["upload", "restore"])
    def test_what_admits_goes_last(self, source, objects, tmp_path, way, monkeypatch):
        """Broken off at any file: what is there of a run says nothing, or all; the newest runs first, as they count."""
        target, sent = objects if way == "upload" else FolderObjects(tmp_path / "into"), []
        real = transfer._written

        def watched(store, key, *more):
            sent.append(key)
            return real(store, key, *more)

        monkeypatch.setattr(transfer, "_written", watched)
        if way == "upload":
            upload(source, target, retain_until=None, now=datetime.now(UTC), threads=1)
        else:
            restore(source, target, threads=1)

        runs = sorted(by_run(sent), reverse=True)
        ends = [f"history/{run}/{name}" for name in ("evidence.json", "bundle.intoto.jsonl") for run in runs]
        named = [key for key in sent if key in ends]
        assert (len(runs) > 1, named) == (True, ends)
        assert [key for key in sent if key.startswith("history/")][-len(ends) :] == ends

    @pytest.mark.parametrize("how", ["lose-answer", "slow-down"])
    def test_an_upload_that_broke_off_goes_on(self, source, objects, proxy, bucket, client, how):
        weak = objects_at(proxy.endpoint, bucket, "some/where", retry_for_s=0.2)
        weak.stat("a")
        proxy.add("PUT", "lose-request", 100, "report.json")
        with pytest.raises(StoreUnavailableError, match=r"of \d+ are done") as raised:
            upload(source, weak, retain_until=UNTIL, now=NOW, threads=2)
        assert "not sent again" in raised.value.hint
        assert objects.stat("latest.json") is None
        proxy.reset()
        proxy.add("PUT", how, 3)
        upload(source, objects_at(proxy.endpoint, bucket, "some/where"), retain_until=UNTIL, now=NOW)

        assert history(objects) == history(source)
        listed = client.list_object_versions(Bucket=bucket)["Versions"]
        assert len(listed) == len(history(source)) + 1  # nothing twice; latest.json

    def test_a_restore_that_broke_off_goes_on(self, source, objects, tmp_path):
        put(source, objects)
        folder = FolderObjects(tmp_path / "new")
        first = next(iter(source.list("history/"))).key
        folder.write(first, source.read(first)[0], expected=ABSENT)
        done = restore(objects, folder)

        assert (done.new, done.problems) == (len(done.moved) - 1, ())
        assert history(folder) == history(source)


class TestRestore:
    def test_the_restored_store_is_valid_with_its_index_and_promises(self, source, objects, tmp_path):
        put(source, objects)
        reindexed(objects)
        folder = FolderObjects(tmp_path / "new")
        done = restore(objects, folder)

        assert done.problems == ()
        assert history(folder) == history(source)
        found = checked(folder)
        assert (found.findings, found.runs) == ((), 2)
        assert {held.retain_until for held in folder.list("history/")} == {UNTIL}

    def test_a_lock_that_has_ended_is_no_hindrance_to_a_bucket(self, source, objects, monkeypatch):
        for key in list(source.keys("history/")):
            source.retain(key, datetime(2020, 1, 1, tzinfo=UTC))
        asked = []
        put_object = objects.bucket.client.put_object
        monkeypatch.setattr(
            objects.bucket.client, "put_object", lambda **given: (asked.append(given), put_object(**given))[1]
        )

        assert restore(source, objects).problems == ()
        assert not any("ObjectLockRetainUntilDate" in given for given in asked)
        assert history(objects) == history(source)

    def test_what_was_put_on_top_and_delete_markers_do_not_hide_it(
        self, source, objects, client, bucket, tmp_path
    ):
        done = put(source, objects)
        for moved in done.moved[::2]:
            client.put_object(Bucket=bucket, Key=f"some/where/{moved.key}", Body=b"forged")
        for moved in done.moved[1::2]:
            client.delete_object(Bucket=bucket, Key=f"some/where/{moved.key}")
        for number, manifest in enumerate((None, done)):
            folder = FolderObjects(tmp_path / str(number))

            assert restore(objects, folder, manifest=manifest).problems == ()
            assert history(folder) == history(source)

    def test_nothing_is_overwritten(self, source, objects, tmp_path):
        put(source, objects)
        folder = FolderObjects(tmp_path / "new")
        folder.write("latest.json", b"mine", expected=ABSENT)

        assert [key for key, _ in restore(objects, folder).problems] == ["latest.json"]
        assert folder.read("latest.json")[0] == b"mine"

    def test_what_the_manifest_names_otherwise_is_named(self, source, objects, tmp_path):
        done = put(source, objects)
        wrong = replace(done.moved[0], sha256="0" * 64)
        gone = replace(done.moved[1], key="history/gone/report.json")
        manifest = replace(done, moved=(wrong, gone, *done.moved[1:]))
        problems = dict(restore(objects, FolderObjects(tmp_path / "new"), manifest=manifest).problems)

        assert "the manifest says 0000000000000000…" in problems[wrong.key]
        assert "there is no" in problems[gone.key]
        assert len(problems) == 2


class TestManifest:
    def test_it_is_read_as_it_was_written(self, source, objects):
        done = put(source, objects)
        data = format_manifest(done)

        read = read_manifest(data, "m.json")
        assert format_manifest(read) == data
        assert [replace(m, is_new=True) for m in read.moved] == list(done.moved)
        assert all(m.version for m in read.moved)

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d[:-3],
            lambda d: d.replace(b'"format": 1', b'"format": 2'),
            lambda d: d.replace(b'"key":"history/', b'"key":"../', 1),
            lambda d: d.replace(b'"bytes":', b'"size":', 1),
        ],
    )
    def test_anything_else_is_refused(self, source, objects, change):
        data = format_manifest(put(source, objects))

        with pytest.raises(EvidenceError, match=r"m\.json: "):
            read_manifest(change(data), "m.json")


class TestCommands:
    @pytest.fixture
    def place(self, s3_environ, s3_endpoint, bucket, monkeypatch, tmp_path, source):
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        monkeypatch.chdir(tmp_path)
        return f"s3://{bucket}/some/where"

    def test_there_and_back(self, place, source, objects, capsys):
        files = len(history(source))
        assert cli.main(["evidence", "upload", "evidence", place, "--for", "1d"]) == 0
        out = capsys.readouterr().out
        assert f"moved    {files} files, 0 were there already" in out
        assert f"read     {files} files back by version id, every byte the same" in out
        assert "retained until " in out
        assert max(map(len, out.splitlines())) <= 80
        (manifest,) = [line.split()[1] for line in out.splitlines() if line.startswith("manifest")]

        restored = ["evidence", "restore", place, "new", "--manifest", manifest, "--json"]
        assert cli.main(restored) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["files"], said["new"], said["problems"]) == (files + 1, files + 1, [])
        assert history(FolderObjects(source._path.parent / "new")) == history(source)
        kept = objects.stat(next(iter(history(source)))).retain_until
        assert abs(kept - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=5)

    def test_what_differs_is_exit_1(self, place, source, objects, capsys):
        key = next(iter(history(source)))
        objects.write(key, b"else", expected=ABSENT)

        assert cli.main(["evidence", "upload", "evidence", place, "--unprotected"]) == 1
        assert f"WRONG    {key}\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["upload", "evidence", "PLACE"], 2),  # how long is nobody's guess
            (["upload", "evidence", "PLACE", "--for", "1y"], 64),
            (["upload", "evidence", "PLACE", "--until", "2020-01-01T00:00:00Z"], 2),
            (["upload", "nowhere", "PLACE", "--unprotected"], 2),
            (["restore", "PLACE", "new"], 2),  # it is empty
            (["restore", "evidence", "new", "--manifest", "nowhere.json"], 2),
        ],
    )
    def test_what_cannot_be_used_is_said(self, place, words, code, capsys):
        try:
            got = cli.main(["evidence", *(place if word == "PLACE" else word for word in words)])
        except SystemExit as exc:
            got = exc.code

        assert got == code
        assert "error: " in capsys.readouterr().err
