"""An S3 store: conditional writes, versions, retention, and answers that get lost. moto shows no enforcement."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.errors import ConfigError, EvidenceError, MissingExtraError
from pytest_cutover.objects import s3, s3_client, s3_lease
from pytest_cutover.objects.place import open_objects
from pytest_cutover.objects.protocol import (
    ABSENT,
    LockLostError,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.objects.s3_bucket import whole_seconds
from pytest_cutover.objects.s3_lease import leased
from tests.s3 import new_bucket, objects_at

LATER = datetime(2090, 1, 1, tzinfo=UTC)


def stored(client, bucket, key):
    """Bodies of every version, the newest first."""
    listed = client.list_object_versions(Bucket=bucket, Prefix=f"some/where/{key}").get("Versions", [])
    return [
        client.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])["Body"].read()
        for v in listed
    ]


class TestReadAndWrite:
    def test_what_was_written_is_read_by_its_version(self, objects, client, bucket):
        held = objects.write("a/b.json", b"{}", expected=ABSENT)
        data, read = objects.read("a/b.json")

        assert (data, read) == (b"{}", held)
        assert held.tag == hashlib.md5(b"{}").hexdigest()
        assert objects.read("a/b.json", version=held.version) == (b"{}", held)
        assert objects.stat("a/b.json") == held
        assert client.get_object(Bucket=bucket, Key="some/where/a/b.json")["Body"].read() == b"{}"

    def test_where_it_is_and_what_it_sends_is_said(self, objects, client, bucket):
        assert objects.where == f"s3://{bucket}/some/where"
        objects.write("a", b"1", expected=ABSENT)

        metadata = client.head_object(Bucket=bucket, Key="some/where/a")["Metadata"]
        assert metadata == {"cutover-follows": "-", "cutover-sha256": hashlib.sha256(b"1").hexdigest()}

    def test_too_much_is_refused_on_both_ways(self, objects, monkeypatch):
        objects.write("a", b"12345", expected=ABSENT)
        monkeypatch.setattr("pytest_cutover.objects.protocol.MAX_OBJECT_BYTES", 4)

        with pytest.raises(EvidenceError, match="expected at most 4 bytes, b has 5"):
            objects.write("b", b"12345", expected=ABSENT)
        with pytest.raises(EvidenceError, match=r"expected at most 4 bytes, s3://.*/some/where/a has 5"):
            objects.read("a")

    def test_what_is_not_there_is_missing(self, objects):
        assert objects.stat("a") is None
        for version in (None, "no-such-version"):
            with pytest.raises(ObjectMissingError, match=r"there is no s3://.*/some/where/a"):
                objects.read("a", version=version)

    def test_a_key_that_begins_like_another_is_another(self, objects):
        objects.write("a.json", b"1", expected=ABSENT)
        objects.write("a/b", b"2", expected=ABSENT)

        assert objects.stat("a") is None
        assert objects.read("a.json")[0] == b"1"

    @pytest.mark.parametrize("key", ["", "/a", "../a", "a//b", ".hidden", "a\n"])
    def test_names_that_no_key_has_are_refused(self, objects, key):
        with pytest.raises(EvidenceError, match="expected names"):
            objects.write(key, b"", expected=ABSENT)


class TestConditions:
    def test_a_first_write_finds_something_else(self, objects, client, bucket):
        objects.write("a", b"1", expected=ABSENT)

        with pytest.raises(ObjectConflictError, match="expected nothing at s3://"):
            objects.write("a", b"2", expected=ABSENT)
        assert stored(client, bucket, "a") == [b"1"]

    def test_the_same_bytes_again_are_no_conflict_and_no_second_version(self, objects, client, bucket):
        held = objects.write("a", b"1", expected=ABSENT)

        assert objects.write("a", b"1", expected=ABSENT) == held
        assert objects.write("a", b"1", expected=held.tag) == held
        assert stored(client, bucket, "a") == [b"1"]

    def test_what_was_expected_is_replaced(self, objects, client, bucket):
        first = objects.write("a", b"1", expected=ABSENT)
        second = objects.write("a", b"2", expected=first.tag)

        assert objects.read("a") == (b"2", second)
        assert objects.read("a", version=first.version)[0] == b"1"
        with pytest.raises(ObjectConflictError, match="expected c4ca4238a0b92382"):
            objects.write("a", b"3", expected=first.tag)
        assert stored(client, bucket, "a") == [b"2", b"1"]

    def test_a_version_is_never_the_same_again(self, objects):
        first = objects.write("a", b"1", expected=ABSENT)
        second = objects.write("a", b"2", expected=first.state)
        objects.write("a", b"1", expected=second.state)

        with pytest.raises(ObjectConflictError):
            objects.write("a", b"3", expected=first.state)
        objects.write("a", b"3", expected=first.tag)

    def test_who_went_on_from_before_a_fence_is_late(self, objects, shaky, proxy):
        """Also who has sent it before: it arrives after the fence."""
        first = objects.write("a", b"1", expected=ABSENT)
        sent = proxy.add("PUT", "late", path="/a")
        shaky._calls._retry_for_s = 0.1
        proxy.add("PUT", "lose-request", times=100, path="/a")
        with pytest.raises(StoreUnavailableError):
            shaky.write("a", b"late", expected=first.state)

        fenced = objects.fence("a", first.state)
        sent.release()

        assert (objects.read("a")[0], fenced.tag) == (b"1", first.tag)
        for late in (
            lambda: objects.write("a", b"2", expected=first.state),
            lambda: objects.fence("a", first.state),
        ):
            with pytest.raises(ObjectConflictError):
                late()
        objects.write("a", b"2", expected=fenced.state)

    def test_one_version_goes_and_what_came_later_stays(self, objects):
        first = objects.write("tile/a", b"1", expected=ABSENT)
        objects.delete("tile/a", version=first.version)
        later = objects.write("tile/a", b"1", expected=ABSENT)
        objects.delete("tile/a", version=first.version)

        assert objects.stat("tile/a") == later

    def test_replacing_nothing_is_a_conflict(self, objects):
        with pytest.raises(ObjectConflictError, match="there is nothing"):
            objects.write("a", b"1", expected="0" * 32)

    def test_of_many_first_writers_one_wins(self, objects, client, bucket):
        won, lost = [], []

        def write(number):
            try:
                won.append(objects.write("a", b"%d" % number, expected=ABSENT))
            except ObjectConflictError:
                lost.append(number)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (len(won), len(lost)) == (1, 7)
        assert len(stored(client, bucket, "a")) == 1

    def test_a_store_that_ignores_conditions_is_no_way_around_them(
        self, objects, client, bucket, monkeypatch
    ):
        """As Ceph does on versioned buckets: the loser finds out by reading back, and takes its version away."""
        put = S3Objects._put

        def interrupted(self, key, data, seen, until):
            if data == b"2":
                client.put_object(
                    Bucket=bucket, Key=f"some/where/{key}", Body=b"1", Metadata={"cutover-follows": "-"}
                )
            with monkeypatch.context() as patched:
                patched.setattr(self.bucket, "put", without_condition(self.bucket.put))
                return put(self, key, data, seen, until)

        monkeypatch.setattr(S3Objects, "_put", interrupted)

        with pytest.raises(ObjectConflictError, match="expected nothing"):
            objects.write("a", b"2", expected=ABSENT)
        assert stored(client, bucket, "a") == [b"1"]

    def test_a_store_that_refuses_every_if_match_is_written_without(
        self, objects, proxy_that_refuses_if_match
    ):
        other = proxy_that_refuses_if_match
        first = other.write("a", b"1", expected=ABSENT)
        second = other.write("a", b"2", expected=first.tag)

        assert objects.read("a") == (b"2", second)


def without_condition(put):
    return lambda *arguments, condition, **more: put(*arguments, condition={}, **more)


@pytest.fixture
def proxy_that_refuses_if_match(shaky, monkeypatch):
    """As Ceph 16 does on versioned buckets."""
    from botocore.exceptions import ClientError

    put = shaky.bucket.put

    def refuse(*arguments, condition, **more):
        if "IfMatch" in condition:
            answer = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(answer, "PutObject")
        return put(*arguments, condition={}, **more)

    monkeypatch.setattr(shaky.bucket, "put", refuse)
    return shaky


class TestWhatOthersPutOnTop:
    def test_another_version_hides_nothing(self, objects, client, bucket):
        held = objects.write("a", b"1", expected=ABSENT)
        client.put_object(Bucket=bucket, Key="some/where/a", Body=b"forged")

        assert objects.read("a") == (b"1", held)
        assert [h.tag for h in objects.list()] == [held.tag]

    def test_nor_does_one_that_says_it_follows_where_nothing_is_replaced(self, objects, client, bucket):
        """Whoever may write can say so: evidence must not be exchanged by them."""
        held = objects.write("history/run/a", b"1", expected=ABSENT)
        forged = {"cutover-follows": held.version}
        client.put_object(Bucket=bucket, Key="some/where/history/run/a", Body=b"forged", Metadata=forged)

        assert objects.read("history/run/a") == (b"1", held)
        assert [h.version for h in objects.list()] == [held.version]
        assert objects.write("history/run/a", b"1", expected=ABSENT) == held
        with pytest.raises(ObjectConflictError):
            objects.write("history/run/a", b"2", expected=ABSENT)
        with pytest.raises(ObjectLockedError, match="is written once: it cannot be replaced"):
            objects.write("history/run/a", b"2", expected=held.tag)

    def test_a_delete_marker_hides_nothing(self, objects, client, bucket):
        held = objects.write("a", b"1", expected=ABSENT)
        client.delete_object(Bucket=bucket, Key="some/where/a")

        assert objects.read("a") == (b"1", held)
        assert [h.key for h in objects.list()] == ["a"]
        assert objects.write("a", b"2", expected=held.tag).version != held.version
        assert objects.read("a")[0] == b"2"


class TestList:
    def test_it_is_in_the_order_of_keys_and_below_the_prefix(self, objects, client, bucket):
        for key in ("b", "a/2", "a/1", "a.json"):
            objects.write(key, key.encode(), expected=ABSENT)
        client.put_object(Bucket=bucket, Key="else/where", Body=b"")
        held = objects.retain("a/1", LATER)

        assert [h.key for h in objects.list()] == ["a.json", "a/1", "a/2", "b"]
        assert [h.key for h in objects.list("a/")] == ["a/1", "a/2"]
        assert next(iter(objects.list("a/1"))) == held
        assert next(iter(objects.list("a/1", protection=False))).retain_until is None

    def test_it_goes_beyond_a_page(self, objects, client, bucket, monkeypatch):
        monkeypatch.setattr(s3, "_BATCH", 10)
        for number in range(23):
            client.put_object(Bucket=bucket, Key=f"some/where/{number:05}", Body=b"")
            client.put_object(Bucket=bucket, Key=f"some/where/{number:05}", Body=b"on top")

        assert [h.key for h in objects.list()] == [f"{n:05}" for n in range(23)]
        assert {h.size for h in objects.list(protection=False)} == {0}

    def test_a_folder_that_a_console_made_is_nothing(self, objects, client, bucket):
        objects.write("a/1", b"1", expected=ABSENT)
        for key in ("some/where/", "some/where/a/"):
            client.put_object(Bucket=bucket, Key=key, Body=b"")
        assert list(objects.keys()) == ["a/1"]

        client.put_object(Bucket=bucket, Key="some/where/a/", Body=b"no folder")
        with pytest.raises(EvidenceError, match="got 'a/'"):
            list(objects.keys())

    def test_a_name_that_no_key_has_is_named(self, objects, client, bucket):
        client.put_object(Bucket=bucket, Key="some/where/a b", Body=b"")

        with pytest.raises(EvidenceError, match="got 'a b'"):
            list(objects.list())


class TestProtection:
    def test_it_is_retained_from_the_first_moment(self, objects, client, bucket):
        objects.write("a", b"1", expected=ABSENT, retain_until=LATER)

        head = client.head_object(Bucket=bucket, Key="some/where/a")
        assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", LATER)
        assert objects.stat("a").retain_until == LATER

    def test_retention_is_never_shortened(self, objects):
        objects.write("a", b"1", expected=ABSENT)
        objects.retain("a", LATER)

        assert objects.retain("a", LATER - timedelta(days=1)).retain_until == LATER
        assert objects.retain("a", LATER + timedelta(days=1)).retain_until == LATER + timedelta(days=1)

    def test_what_is_there_already_is_retained_by_writing_it_again(self, objects):
        objects.write("a", b"1", expected=ABSENT)

        assert objects.write("a", b"1", expected=ABSENT, retain_until=LATER).retain_until == LATER

    def test_the_retained_and_the_held_stay(self, objects):
        kept = objects.write("a", b"1", expected=ABSENT)
        objects.retain("a", LATER)
        held = objects.write("b", b"1", expected=ABSENT)
        assert objects.hold("b", True).legal_hold

        for key, tag, why in (("a", kept.tag, "retained until 2090-01-01"), ("b", held.tag, "held")):
            with pytest.raises(ObjectLockedError, match=f"{why}.*cannot be removed"):
                objects.delete(key)
            with pytest.raises(ObjectLockedError, match=f"{why}.*cannot be replaced"):
                objects.write(key, b"2", expected=tag)
        assert not objects.hold("b", False).legal_hold
        objects.delete("b")
        assert objects.stat("b") is None

    def test_what_the_bucket_retains_by_default_may_be_followed_and_not_removed(self, client, s3_endpoint):
        bucket = new_bucket(client)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        objects = objects_at(s3_endpoint, bucket)
        first = objects.write("latest.json", b"1", expected=ABSENT)
        objects.write("latest.json", b"2", expected=first.tag)

        assert objects.read("latest.json")[0] == b"2"
        with pytest.raises(ObjectLockedError):
            objects.delete("latest.json")

    def test_governance_does_not_count(self, objects, client, bucket):
        objects.write("a", b"1", expected=ABSENT)
        client.put_object_retention(
            Bucket=bucket,
            Key="some/where/a",
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": LATER},
        )

        assert objects.stat("a").retain_until is None

    def test_a_promise_is_rounded_up(self):
        at = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

        assert whole_seconds(at) == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert whole_seconds(LATER) == LATER
        with pytest.raises(ValueError, match="timezone-aware"):
            whole_seconds(LATER.replace(tzinfo=None))

    def test_a_server_that_says_yes_and_does_nothing_is_found_out(self, objects, monkeypatch):
        objects.write("a", b"1", expected=ABSENT)
        monkeypatch.setattr(objects.bucket, "retain", lambda *_: None)
        monkeypatch.setattr(objects.bucket, "hold", lambda *_: None)

        with pytest.raises(EvidenceError, match="expected retention until 2090"):
            objects.retain("a", LATER)
        with pytest.raises(EvidenceError, match="expected the legal hold to be on"):
            objects.hold("a", True)


class TestDelete:
    def test_every_version_goes_and_delete_markers_too(self, objects, client, bucket):
        first = objects.write("a", b"1", expected=ABSENT)
        objects.write("a", b"2", expected=first.tag)
        client.delete_object(Bucket=bucket, Key="some/where/a")
        objects.write("a.json", b"", expected=ABSENT)
        objects.delete("a")
        objects.delete("a")

        left = client.list_object_versions(Bucket=bucket)
        assert [v["Key"] for v in left["Versions"]] == ["some/where/a.json"]
        assert "DeleteMarkers" not in left


class TestSilence:
    """What is lost on the way: retried, never doubled."""

    @pytest.mark.parametrize("how", ["lose-answer", "lose-request", "slow-down"])
    def test_a_write_without_an_answer_happens_once(self, shaky, proxy, client, bucket, how):
        shaky.stat("a")
        fault = proxy.add("PUT", how, 2)
        held = shaky.write("a", b"1", expected=ABSENT)

        assert fault.times < 2
        assert stored(client, bucket, "a") == [b"1"]
        assert shaky.read("a") == (b"1", held)

    @pytest.mark.parametrize("how", ["lose-answer", "lose-request", "slow-down"])
    def test_a_replacement_without_an_answer_happens_once(self, shaky, proxy, client, bucket, how):
        first = shaky.write("a", b"1", expected=ABSENT)
        fault = proxy.add("PUT", how)
        shaky.write("a", b"2", expected=first.tag)

        assert fault.times == 0
        assert stored(client, bucket, "a") == [b"2", b"1"]

    def test_a_write_that_arrives_after_its_sender_gave_up_changes_nothing(self, objects, shaky, proxy):
        """Its sender tried again and others went on from there; then the first attempt comes out of some queue."""
        first = shaky.write("a", b"1", expected=ABSENT)
        fault = proxy.add("PUT", "late")
        second = shaky.write("a", b"2", expected=first.tag)
        third = objects.write("a", b"3", expected=second.tag)
        fault.release()

        assert objects.read("a") == (b"3", third)

    @pytest.mark.parametrize(
        ("method", "how"), [("GET", "half-answer"), ("GET", "slow-down"), ("HEAD", "lose-answer")]
    )
    def test_reading_goes_on_after_a_broken_answer(self, objects, shaky, proxy, method, how):
        objects.write("a", b"x" * 100_000, expected=ABSENT)
        shaky.stat("b")
        fault = proxy.add(method, how, 2, "some/where/a?")
        data, held = shaky.read("a")

        assert (data, shaky.stat("a")) == (b"x" * 100_000, held)
        assert fault.times == 0

    def test_a_removal_without_an_answer_is_a_removal(self, objects, shaky, proxy):
        objects.write("a", b"1", expected=ABSENT)
        fault = proxy.add("DELETE", "lose-answer")
        shaky.delete("a")

        assert fault.times == 0
        assert objects.stat("a") is None

    def test_silence_that_does_not_end_is_said(self, proxy, bucket, monkeypatch):
        store = objects_at(proxy.endpoint, bucket, retry_for_s=0.3)
        store.stat("a")
        proxy.add("PUT", "lose-request", 100)

        with pytest.raises(StoreUnavailableError, match=r"no usable answer to writing a, \d times") as raised:
            store.write("a", b"1", expected=ABSENT)
        assert "may have happened" in raised.value.hint

    def test_nothing_is_asked_twice_by_the_library(self, shaky, proxy):
        """A hidden retry could write twice."""
        shaky.stat("a")
        proxy.requests.clear()
        shaky.write("a", b"1", expected=ABSENT)

        assert [r.split("?")[0] for r in proxy.requests if r.startswith("PUT")] == [
            f"PUT /{shaky.bucket.name}/some/where/a"
        ]


class TestRefusals:
    def test_a_bucket_that_is_not_there_is_said(self, s3_endpoint, client):
        with pytest.raises(ConfigError, match="s3://no-such-bucket: there is no such bucket"):
            objects_at(s3_endpoint, "no-such-bucket").stat("a")

    def test_a_bucket_without_versions_is_refused(self, s3_endpoint, client):
        bucket = new_bucket(client, lock=False)

        with pytest.raises(ConfigError, match=r"expected a bucket that keeps versions, in .* that is off"):
            objects_at(s3_endpoint, bucket).write("a", b"", expected=ABSENT)

    def test_nobody_there_is_said_soon(self, s3_environ):
        with pytest.raises(StoreUnavailableError, match="no usable answer to reading"):
            objects_at("http://127.0.0.1:9", "nowhere", retry_for_s=0.2).stat("a")

    def test_no_credentials_are_said(self, s3_endpoint, s3_environ, bucket, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        store = S3Objects(s3_client.s3_client(endpoint=s3_endpoint), bucket)

        with pytest.raises(ConfigError, match="Unable to locate credentials") as raised:
            store.stat("a")
        assert "AWS_PROFILE" in raised.value.hint

    @pytest.mark.parametrize(
        ("code", "status", "error", "match"),
        [
            ("AccessDenied", 403, StoreUnavailableError, "was refused: AccessDenied"),
            ("SignatureDoesNotMatch", 403, ConfigError, "credentials are refused: SignatureDoesNotMatch"),
            ("RequestTimeTooSkewed", 403, StoreUnavailableError, "clock is [0-9]+ s ahead of the server's"),
        ],
    )
    def test_what_the_server_refuses_is_said(self, objects, monkeypatch, code, status, error, match):
        from botocore.exceptions import ClientError

        headers = {"date": "Sat, 21 Nov 2020 18:00:00 GMT"}
        answer = {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
        }

        def refuse(**_):
            raise ClientError(answer, "PutObject")

        objects.stat("a")
        monkeypatch.setattr(objects.bucket.client, "put_object", refuse)

        with pytest.raises(error, match=match) as raised:
            objects.write("a", b"1", expected=ABSENT)
        assert "SECRETTEST" not in f"{raised.value}{raised.value.hint}"


class TestExclusive:
    def test_one_has_it_at_a_time(self, objects, s3_endpoint, bucket):
        other = objects_at(s3_endpoint, bucket, "some/where")
        with (
            objects.exclusive("log/write"),
            pytest.raises(StoreUnavailableError, match=r"had _cutover/locks/log.write for 0.2 s"),
        ):
            other.exclusive("log/write", timeout_s=0.2).__enter__()
        with other.exclusive("log/write", timeout_s=0.2):
            pass
        assert list(objects.list()) == []

    def test_many_take_turns(self, s3_endpoint, bucket, objects):
        inside, most = 0, 0

        def work():
            nonlocal inside, most
            with objects_at(s3_endpoint, bucket, "some/where").exclusive("x"):
                inside += 1
                most = max(most, inside)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert most == 1

    def test_the_lease_does_not_pile_up_versions(self, objects, client, bucket):
        for _ in range(3):
            with objects.exclusive("x"):
                pass

        assert len(stored(client, bucket, "_cutover/locks/x")) == 1

    def test_whoever_works_for_long_renews_it(self, objects):
        with leased(objects, "lease", timeout_s=1, lease_s=0.1):
            first = objects.read("lease")[0]
            while json.loads(objects.read("lease")[0])["serial"] < 3:
                threading.Event().wait(0.01)

            assert json.loads(first)["holder"] == json.loads(objects.read("lease")[0])["holder"]
        assert json.loads(objects.read("lease")[0])["free"] is True

    def test_a_store_that_goes_away_meanwhile_is_no_traceback(self, shaky, proxy):
        """What was done in the block is done; the lease ends by its age."""
        with leased(shaky, "lease", timeout_s=1, lease_s=0.1):
            proxy.add("PUT", "lose-request", 100)
            shaky._calls._retry_for_s = 0.1
            threading.Event().wait(0.2)
        shaky._calls._retry_for_s = 5.0

    def test_what_a_dead_holder_left_is_taken_and_the_dead_are_told(self, objects, monkeypatch):
        monkeypatch.setattr("pytest_cutover.objects.s3.S3Objects.age_s", lambda *_: 31.0)
        first = objects.exclusive("x")
        first.__enter__()
        with objects.exclusive("x", timeout_s=1):
            pass

        with pytest.raises(StoreUnavailableError, match="another writer took _cutover/locks/x"):
            first.__exit__(None, None, None)

    def test_one_that_was_not_renewed_is_told_when_it_asks(self, objects, monkeypatch):
        """As after SIGSTOP: before anybody is asked, and before the lease has ended."""
        with objects.exclusive("x") as check:
            check()
            now_s = s3_lease._clock_s()
            monkeypatch.setattr(s3_lease, "_clock_s", lambda: now_s + s3_lease.LEASE_S)
            with pytest.raises(LockLostError, match=r"locks/x was not renewed for \d\d s"):
                check()

    def test_its_age_is_told_by_the_server_s_clock(self, objects):
        assert objects.age_s("a") is None
        objects.write("a", b"", expected=ABSENT)

        assert 0 <= objects.age_s("a") < 60


class TestOpening:
    def test_a_bucket_is_named_like_a_folder(self, s3_endpoint, s3_environ, bucket, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        store = open_objects(f"s3://{bucket}/some/where/")
        store.write("a", b"1", expected=ABSENT)

        assert store.where == f"s3://{bucket}/some/where"
        assert open_objects(f"s3://{bucket}").read("some/where/a")[0] == b"1"

    @pytest.mark.parametrize(
        "text", ["s3://", "s3://B", "s3://ab", "s3://a_b/x", "s3://abc/../x", "s3://abc//x"]
    )
    def test_what_is_no_bucket_is_said(self, text, s3_environ):
        with pytest.raises((ConfigError, EvidenceError), match="expected "):
            open_objects(text)

    def test_a_wrong_endpoint_is_said(self, s3_environ):
        with pytest.raises(ConfigError, match="S3: Invalid endpoint"):
            open_objects("s3://abc", endpoint="nonsense")

    def test_timeouts_are_explicit_and_nothing_is_retried_behind_our_back(self, s3_environ):
        config = s3_client.s3_client(endpoint="http://127.0.0.1:9").meta.config

        assert (config.connect_timeout, config.read_timeout) == (5.0, 30.0)
        assert config.retries["total_max_attempts"] == 1

    def test_a_profile_that_is_not_there_is_said(self, s3_environ, monkeypatch):
        monkeypatch.setenv("AWS_PROFILE", "nope")

        with pytest.raises(ConfigError, match=r"profile \(nope\) could not be found"):
            open_objects("s3://abc")

    def test_without_boto3_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "boto3", None)

        with pytest.raises(MissingExtraError, match="S3 needs boto3") as raised:
            s3_client.s3_client()
        assert raised.value.hint == "pip install 'pytest-cutover[aws]'"
