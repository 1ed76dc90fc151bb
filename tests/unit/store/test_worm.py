"""Whether a store is WORM: every way in which the answer has to be no."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pytest_cutover import cli
from pytest_cutover.errors import ConfigError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store import worm
from pytest_cutover.store.worm import ATTEMPTS, PROBES, Attempt, WormCheck, check_worm
from tests.s3 import new_bucket, objects_at

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOLES_OF_MOTO = [
    "shorten the retention",
    "shorten the retention, bypassing governance",
    "switch COMPLIANCE to GOVERNANCE",
    "switch to GOVERNANCE, bypassing governance",
    "suspend versioning",
]


def refusal(code):
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "Any")


@pytest.fixture
def strict(objects, monkeypatch):
    """moto with its holes closed: what the tests below open again, one at a time."""
    asked = objects.bucket.client.put_object_retention

    def only_longer(**arguments):
        until = arguments["Retention"]["RetainUntilDate"]
        head = objects.bucket.client.head_object(
            Bucket=arguments["Bucket"], Key=arguments["Key"], VersionId=arguments["VersionId"]
        )
        if arguments["Retention"]["Mode"] != "COMPLIANCE" or until < head["ObjectLockRetainUntilDate"]:
            raise refusal("AccessDenied")
        return asked(**arguments)

    switch = objects.bucket.client.put_bucket_versioning

    def only_on(**arguments):
        if arguments["VersioningConfiguration"]["Status"] != "Enabled":
            raise refusal("InvalidBucketState")
        return switch(**arguments)

    monkeypatch.setattr(objects.bucket.client, "put_object_retention", only_longer)
    monkeypatch.setattr(objects.bucket.client, "put_bucket_versioning", only_on)
    return objects


class TestWhatIsWorm:
    def test_a_store_that_denies_everything(self, strict):
        check = check_worm(strict, now=NOW)

        assert (check.holes, check.unproven) == ((), ())
        assert check.is_worm
        assert [a.name for a in check.attempts] == list(ATTEMPTS)

    def test_the_throw_away_objects_are_nobody_s_evidence(self, strict, client, bucket):
        check_worm(strict, now=NOW)

        assert list(strict.list()) == []
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        assert all(entry["Key"].startswith(f"some/where/{PROBES}") for entry in listed)


class TestWhatIsNot:
    def test_moto_and_each_of_its_holes_is_named(self, objects):
        check = check_worm(objects, now=NOW)

        assert [hole.name for hole in check.holes] == HOLES_OF_MOTO
        assert not check.is_worm
        assert objects.bucket.versioning() == "Enabled"  # as it was found

    def test_a_folder(self, tmp_path):
        check = check_worm(FolderObjects(tmp_path), now=NOW)

        assert not check.is_worm
        assert check.holes

    @pytest.mark.parametrize("lock", [True, False])
    def test_a_bucket_without_versions_or_lock(self, s3_endpoint, client, lock):
        bucket = new_bucket(client, lock=False)
        if lock:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        check = check_worm(objects_at(s3_endpoint, bucket), now=NOW)

        assert (check.versions, check.object_lock) == ("Enabled" if lock else "Off", False)
        assert not check.is_worm

    def test_a_bucket_that_is_not_there_cannot_be_asked(self, s3_endpoint, client):
        with pytest.raises(ConfigError, match="there is no such bucket"):
            check_worm(objects_at(s3_endpoint, "no-such-bucket"), now=NOW)

    @pytest.mark.parametrize("name", ATTEMPTS)
    def test_each_attempt_that_is_accepted_is_a_hole(self, strict, monkeypatch, name):
        monkeypatch.setitem(worm.ATTEMPTS, name, lambda _: {})
        check = check_worm(strict, now=NOW)

        assert [(hole.name, hole.answer) for hole in check.holes] == [(name, "accepted")]
        assert not check.is_worm

    def test_a_refusal_that_was_none_is_a_hole(self, strict, monkeypatch):
        """The server says no, and the version is gone."""

        def refuse(probe):
            object.__setattr__(probe, "version", "gone")
            raise refusal("AccessDenied")

        monkeypatch.setitem(worm.ATTEMPTS, "delete the version", refuse)
        check = check_worm(strict, now=NOW)

        assert [(hole.name, hole.answer) for hole in check.holes] == [("delete the version", "AccessDenied")]

    def test_a_refusal_after_which_it_is_retained_for_less_is_a_hole(self, objects, monkeypatch):
        def refuse(probe):
            worm._shorten(probe)
            raise refusal("AccessDenied")

        monkeypatch.setitem(worm.ATTEMPTS, "delete the version", refuse)

        assert "delete the version" in [hole.name for hole in check_worm(objects, now=NOW).holes]

    @pytest.mark.parametrize("control", ["put_object_retention", "delete_object", "put_bucket_versioning"])
    def test_refusals_for_want_of_permission_prove_nothing(self, strict, monkeypatch, control):
        def refuse(**_):
            raise refusal("AccessDenied")

        monkeypatch.setattr(strict.bucket.client, control, refuse)
        check = check_worm(strict, now=NOW)

        assert check.holes == ()
        assert check.unproven
        assert all("want of permission" in reason for reason in check.unproven)
        assert not check.is_worm

    def test_what_was_not_tried_is_not_denied(self):
        some = tuple(Attempt(name, True, "AccessDenied") for name in list(ATTEMPTS)[:-1])
        every = (*some, Attempt(list(ATTEMPTS)[-1], True, "AccessDenied"))

        assert not WormCheck("x", NOW, "Enabled", True, None, ()).is_worm
        assert not WormCheck("x", NOW, "Enabled", True, None, some).is_worm
        assert not WormCheck("x", NOW, "Enabled", False, None, every).is_worm
        assert WormCheck("x", NOW, "Enabled", True, None, every).is_worm


class TestLeftovers:
    def test_those_whose_time_is_over_are_removed(self, strict, client, bucket, monkeypatch):
        monkeypatch.setattr(worm, "RETAINED_S", 1.0)
        monkeypatch.setattr(worm, "_SHORTER_S", 0.0)
        key = f"some/where/{PROBES}old-01"
        client.put_object(Bucket=bucket, Key=key, Body=b"")
        worm._Check(strict.bucket, has_default=False).remove_leftovers()

        assert "Versions" not in client.list_object_versions(Bucket=bucket, Prefix=key)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _environ(self, s3_environ, s3_endpoint, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)

    def test_it_names_each_hole(self, bucket, capsys):
        assert cli.main(["evidence", "check-store", f"s3://{bucket}/x"]) == 1

        out = capsys.readouterr().out
        assert f"s3://{bucket}/x\nversioning enabled, Object Lock on, no default retention\n" in out
        assert [
            line[9:54].rstrip() for line in out.splitlines() if line.startswith("ALLOWED")
        ] == HOLES_OF_MOTO
        assert "\nnot WORM: 5 attempts allowed\n" in out
        assert max(map(len, out.splitlines())) <= 80

    def test_it_is_told_to_programs(self, bucket, capsys):
        assert cli.main(["evidence", "check-store", f"s3://{bucket}/x", "--json"]) == 1

        said = json.loads(capsys.readouterr().out)
        assert said["worm"] is False
        assert [a["name"] for a in said["attempts"] if not a["denied"]] == HOLES_OF_MOTO

    def test_a_folder_is_honestly_reported(self, tmp_path, capsys):
        assert cli.main(["evidence", "check-store", str(tmp_path)]) == 1
        assert "not WORM" in capsys.readouterr().out

    def test_what_cannot_be_asked_is_unusable(self, capsys):
        assert cli.main(["evidence", "check-store", "s3://no-such-bucket"]) == 2
        assert "there is no such bucket" in capsys.readouterr().err
