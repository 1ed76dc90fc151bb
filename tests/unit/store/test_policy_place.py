"""What the policy says about a place holds on the command line too: its server, and its retention as the least."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.cli import main
from pytest_cutover.cli._policy_place import open_place, store_rule_of
from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.policy.load import StoreRule
from pytest_cutover.policy.signature import sign_policy
from tests.unit.evidence.runs import KEY, signer
from tests.unit.policy.documents import GOOD
from tests.unit.store.stores import filled, run_at

PLACE = "s3://evidence/shop"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a store of one run, and a function that writes a policy whose environments keep these stores, or logs."""
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "here", [0])
    (tmp_path / "configs").mkdir()

    def write(*, kept="store", **places):
        environments = {n: {kept: at, "sandbox": n == "sandbox"} for n, at in places.items()}
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
    def test_a_log_retains_nothing(self, project):
        project(kept="log", prod={"place": PLACE, "region": "eu"})

        assert store_rule_of(PLACE) == StoreRule(PLACE, None, "eu", None)

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


AT = "http://policy.example:7480"
GIVEN = "http://environment.example"
OTHER = signer()


@pytest.fixture
def place(project, tmp_path, monkeypatch, s3_environ):
    """Writes a policy that names the server of `PLACE`, signed by `key`, and a trust file; None: by nobody.

    Returns a function that says which server is asked.
    """
    monkeypatch.delenv("CUTOVER_TRUST", raising=False)

    def write(key=KEY, *, trusted=KEY, name="configs/trust.json", kept="store", stores=None, **entry):
        server = {"place": PLACE, "endpoint": AT, "region": "eu-central-1"}
        project(kept=kept, **(stores or {"prod": server}))
        policy = tmp_path / "configs/policy.json"
        if key is not None:
            policy.with_name("policy.json.dsse").write_bytes(sign_policy(policy.read_bytes(), key))
        fields = trust_entry(trusted.public, name="release", roles=("policy", "decision")) | entry
        (tmp_path / name).write_text(json.dumps({"format": 1, "keys": [fields]}))

    return write


def asked(trust=None, place=PLACE):
    """URL and region of the server of a place."""
    meta = open_place(place, trust).bucket.client.meta
    return meta.endpoint_url, meta.region_name


@pytest.fixture(params=["store", "log"])
def kept(request):
    """What the policy keeps at the place."""
    return request.param


class TestServer:
    def test_a_bucket_is_looked_for_where_the_policy_says(self, place, kept, capsys):
        place(kept=kept)

        assert asked(place=f"{PLACE}/") == (AT, "eu-central-1")
        assert capsys.readouterr().err == f"{PLACE}: asking {AT}\n"
        assert asked(place="s3://evidence/other")[1] == "us-east-1"
        assert capsys.readouterr().err == ""  # Amazon's

    def test_which_of_several_is_asked(self, place, kept, monkeypatch):
        stores = {n: {"place": PLACE, "endpoint": f"http://{n}.example"} for n in ("one", "two")}
        place(stores=stores, kept=kept)

        with pytest.raises(ConfigError, match=r"expected one server for s3://evidence/shop, got 2"):
            asked()
        monkeypatch.setenv("CUTOVER_ENV", "two")
        assert asked()[0] == "http://two.example"

    @pytest.mark.parametrize(
        ("key", "entry"),
        [
            (None, {}),
            (OTHER, {}),
            (KEY, {"roles": ["decision"]}),
            (KEY, {"environments": ["sandbox"]}),
            (KEY, {"not_after": "2020-01-01T00:00:00Z"}),
        ],
    )
    def test_a_policy_that_nobody_trusted_has_signed_leads_nowhere(
        self, place, monkeypatch, capsys, key, entry
    ):
        place(key, **entry)

        with pytest.raises(ConfigError, match=r"is at http://policy.example:7480, and it is not trusted"):
            asked()
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(variable, GIVEN)
            assert asked() == (GIVEN, "us-east-1")
            assert capsys.readouterr().err == f"{PLACE}: asking {GIVEN}\n"
            monkeypatch.delenv(variable)

    def test_nor_does_one_that_was_changed_after_it_was_signed(self, place, kept, tmp_path):
        place(kept=kept)
        policy = tmp_path / "configs/policy.json"
        policy.write_text(policy.read_text().replace("policy.example", "elsewhere.example"))

        with pytest.raises(ConfigError, match="the policy was changed after it was signed"):
            asked()

    def test_nor_one_of_the_sandbox(self, place):
        place(None, stores={"sandbox": {"place": PLACE, "endpoint": AT}})

        with pytest.raises(ConfigError, match="the policy carries no signature"):
            asked()

    @pytest.mark.parametrize("verb", ["verify", "index", "gc", "lock", "drill"])
    def test_the_keys_that_were_given_say_whom_to_trust(self, place, capsys, verb):
        place(OTHER, name="mine.json")
        place(OTHER, trusted=OTHER)  # a project that vouches for itself
        words = ["latest", "--for", "1d"] if verb == "lock" else []

        assert cutover(verb, "--store", PLACE, "--trust", "mine.json", *words) == 2
        assert f"{PLACE} is at {AT}, and it is not trusted" in capsys.readouterr().err

    def test_the_environment_may_not_say_other_than_a_trusted_policy(self, place, kept, monkeypatch):
        place(kept=kept)

        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{AT}/")
        assert asked() == (AT, "eu-central-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", GIVEN)
        with pytest.raises(ConfigError, match=r"expected one server for s3://evidence/shop") as caught:
            asked()
        assert AT in str(caught.value)
        assert GIVEN in str(caught.value)

    def test_a_region_alone_misleads_nobody(self, place, monkeypatch):
        place(None, stores={"prod": {"place": PLACE, "region": "eu-central-1"}})

        assert asked() == ("https://s3.eu-central-1.amazonaws.com", "eu-central-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", GIVEN)
        assert asked() == (GIVEN, "eu-central-1")

    def test_without_a_policy_the_environment_says_it(self, s3_environ, tmp_path, monkeypatch, capsys):
        """A first bucket needs no policy, no signature and no trusted key."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:secret@environment.example")

        assert asked()[0].endswith("environment.example")
        assert capsys.readouterr().err == f"{PLACE}: asking {GIVEN}\n"


LOG_AT = ("--log", PLACE)


class TestLogs:
    """Whatever asks a log finds it as stores are found, and is refused by the same policies."""

    @pytest.fixture(autouse=True)
    def _log(self, place, tmp_path, monkeypatch, capsys):
        """Keys of a log and of a ring, and a policy that names the log's server and that nobody trusted has signed."""
        for name in ("CUTOVER_KEY", "CUTOVER_KEY_LOG"):
            monkeypatch.delenv(name, raising=False)
        place(OTHER, kept="log")
        trust = ("--trust", "configs/trust.json")
        for new in (("log.pem", "--role", "log", "--origin", "shop.log"), ("ring", "--ring")):
            assert main(["keys", "new", *new, *trust]) == 0, capsys.readouterr().err
        monkeypatch.setenv("CUTOVER_KEY_LOG", "log.pem")
        capsys.readouterr()
        self.policy = tmp_path / "configs/policy.json"

    @pytest.mark.parametrize(
        "words",
        [
            ("log", "verify", *LOG_AT),
            ("log", "audit", *LOG_AT),
            ("log", "checkpoint", *LOG_AT),
            ("log", "prove", "--file", "configs/policy.json", *LOG_AT),
            ("log", "append", "configs/policy.json", "--kind", "policy", *LOG_AT),
            ("evidence", "verify", "--store", "here", *LOG_AT),
            ("evidence", "drill", "--store", "here", *LOG_AT),
            ("keys", "rotate", "ring", *LOG_AT),
            ("keys", "retire", "release", *LOG_AT),
        ],
        ids=" ".join,
    )
    def test_an_untrusted_policy_leads_nowhere_and_nothing_changes(self, capsys, words, tmp_path):
        before = (tmp_path / "configs/trust.json").read_bytes()

        assert main(list(words)) == 2
        assert f"{PLACE} is at {AT}, and it is not trusted" in capsys.readouterr().err
        assert (tmp_path / "configs/trust.json").read_bytes() == before

    def test_nor_does_the_environment_against_a_trusted_one(self, capsys, monkeypatch):
        self.policy.with_name("policy.json.dsse").write_bytes(sign_policy(self.policy.read_bytes(), KEY))
        monkeypatch.setenv("AWS_ENDPOINT_URL", GIVEN)

        assert main(["log", "verify", *LOG_AT]) == 2
        assert f"expected one server for {PLACE}" in capsys.readouterr().err

    def test_a_stolen_key_is_revoked_all_the_same(self, capsys, tmp_path):
        assert main(["keys", "revoke", "release", "--reason", "stolen", *LOG_AT]) == 2
        assert "revoked release (" in capsys.readouterr().err
        assert '"stolen"' in (tmp_path / "configs/trust.json").read_text()
