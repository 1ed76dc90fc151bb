"""What the policy says about a place holds on the command line too: its server, and its retention as the least."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.cli import main
from pytest_cutover.cli._policy_store import open_place, store_rule_of
from pytest_cutover.errors import ConfigError
from pytest_cutover.objects.folder import FolderObjects
from tests.unit.policy.documents import GOOD
from tests.unit.store.stores import filled, run_at

PLACE = "s3://evidence/shop"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a store of one run, and a function that writes the policy."""
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "here", [0])
    (tmp_path / "configs").mkdir()

    def write(**stores):
        environments = {name: {"store": store} for name, store in stores.items()}
        policy = GOOD | {"environments": {**GOOD["environments"], **environments}}
        (tmp_path / "configs/policy.json").write_text(json.dumps(policy))

    return write


def cutover(*arguments):
    return main(["evidence", *arguments])


def retained(place):
    """How many whole days from now each file of the runs there is kept."""
    store, now = FolderObjects(place), datetime.now(UTC)
    spans = [h.retain_until and h.retain_until - now for h in store.list("history/")]
    return {span and round(span / timedelta(days=1)) for span in spans}


class TestRetention:
    def test_put_retains_as_long(self, project, tmp_path, capsys):
        project(prod={"place": "there", "retention": {"days": 30}})
        run = run_at(0).write(tmp_path / "run")

        assert cutover("put", str(run), "--store", "there") == 0
        assert retained(tmp_path / "there") == {30}
        assert "retained for 30 days, as the policy says\n" in capsys.readouterr().out

        assert cutover("put", str(run), "--store", "elsewhere") == 0
        assert retained(tmp_path / "elsewhere") == {None}

    def test_upload_retains_as_long_without_an_option(self, project, tmp_path):
        project(prod={"place": "there/", "retention": {"mode": "COMPLIANCE", "days": 1}})

        assert cutover("upload", "here", "there") == 0
        assert retained(tmp_path / "there") == {1}

    @pytest.mark.parametrize(
        "options", [["--for", "29d"], ["--unprotected"], ["--until", "2026-11-22T00:00:00Z"]]
    )
    def test_less_is_refused_and_nothing_is_sent(self, project, tmp_path, capsys, options, monkeypatch):
        project(prod={"place": "there", "retention": {"days": 30}})

        assert cutover("upload", "here", "there", *options) == 2
        said = capsys.readouterr().err
        assert "there: expected retention until 20" in said or "expected a time to come" in said
        assert not (tmp_path / "there").exists()

    def test_more_is_taken(self, project, tmp_path):
        project(prod={"place": "there", "retention": {"days": 30}})

        assert cutover("upload", "here", "there", "--for", "40d") == 0
        assert retained(tmp_path / "there") == {40}

    def test_without_a_policy_somebody_has_to_say(self, project, tmp_path, capsys):
        for write in (lambda: None, lambda: project(prod={"place": "there"})):
            write()
            assert cutover("upload", "here", "there") == 2
            assert "expected until when to retain, got nothing" in capsys.readouterr().err
        assert cutover("upload", "here", "there", "--unprotected") == 0
        assert retained(tmp_path / "there") == {None}

    @pytest.mark.parametrize("there", ["a\0b", " ", "gs://bucket"])
    def test_what_is_no_place_is_said(self, project, there):
        project(prod={"place": "there", "retention": {"days": 30}})

        assert cutover("upload", "here", there) == 2

    def test_nothing_at_all_is_no_success(self, project, tmp_path, capsys):
        shutil.rmtree(tmp_path / "here/history")

        assert cutover("upload", "here", "there", "--for", "1d") == 1
        assert "NOTHING  here holds no runs\n" in capsys.readouterr().out

    def test_of_several_environments_the_longest_holds(self, project, monkeypatch):
        project(
            a={"place": "there", "retention": {"days": 3}}, b={"place": "there", "retention": {"days": 9}}
        )

        assert store_rule_of("there").retain_for == timedelta(days=9)
        monkeypatch.setenv("CUTOVER_ENV", "a")
        assert store_rule_of("there").retain_for == timedelta(days=3)

    def test_a_policy_that_cannot_be_read_is_no_leave_to_keep_less(self, project, tmp_path, monkeypatch):
        (tmp_path / "configs/policy.json").write_text("{")
        assert cutover("upload", "here", "there", "--unprotected") == 2

        (tmp_path / "configs/policy.json").unlink()
        (tmp_path / "configs/policy.json").symlink_to("nowhere")
        assert cutover("upload", "here", "there", "--unprotected") == 2

        monkeypatch.setenv("CUTOVER_POLICY", "nowhere.json")
        assert cutover("upload", "here", "there", "--unprotected") == 2
        assert not (tmp_path / "there").exists()


def test_no_upload_replaces_the_manifest_of_another(project, tmp_path, monkeypatch):
    """Also not one of the same second: it says which versions were sent."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 21, tzinfo=tz)

    monkeypatch.setattr("pytest_cutover.cli._evidence_upload.datetime", Clock)
    for place in ("one", "two"):
        assert cutover("upload", "here", place, "--unprotected") == 0

    found = [json.loads(path.read_bytes())["place"] for path in (tmp_path / "var/cutover/uploads").iterdir()]
    assert sorted(found) == ["one", "two"]


class TestServer:
    def test_a_bucket_is_looked_for_where_the_policy_says(self, project, s3_environ):
        project(prod={"place": PLACE, "endpoint": "http://127.0.0.1:7480", "region": "eu-central-1"})

        meta = open_place(f"{PLACE}/").bucket.client.meta
        assert (meta.endpoint_url, meta.region_name) == ("http://127.0.0.1:7480", "eu-central-1")
        assert open_place("s3://evidence/other").bucket.client.meta.region_name == "us-east-1"

    def test_which_of_several_is_asked(self, project, s3_environ, monkeypatch):
        project(
            a={"place": PLACE, "endpoint": "http://one.example"},
            b={"place": PLACE, "endpoint": "http://two.example"},
        )

        with pytest.raises(ConfigError, match=r"expected one server for s3://evidence/shop, got 2"):
            open_place(PLACE)
        monkeypatch.setenv("CUTOVER_ENV", "b")
        assert open_place(PLACE).bucket.client.meta.endpoint_url == "http://two.example"
