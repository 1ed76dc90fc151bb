import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.keys.signer import development_signer, generate
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.policy.signature import sign_policy
from pytest_cutover.service import checks
from pytest_cutover.service.checks import CheckResult, Checks, ClockCheck, overall
from pytest_cutover.service.config import CHECK_NAMES, ServiceConfig, with_broken

POLICY = b"""{"format": 1, "name": "p", "version": 1, "plans": {"preflight": {"requires": ["a.b"]}},
"limits": {"a.b": {"x": {"at_most": 1}}}, "environments": {"sandbox": {"sandbox": true}}}
"""


@pytest.fixture
def config(tmp_path):
    """A project with a policy that this machine's development key has signed."""
    signer = development_signer(tmp_path, say=lambda _: None)
    policy = tmp_path / "policy.json"
    policy.write_bytes(POLICY)
    (tmp_path / "policy.json.dsse").write_bytes(sign_policy(POLICY, signer))
    (tmp_path / "state").mkdir()
    return ServiceConfig(state=tmp_path / "state", rootdir=tmp_path, policy=policy)


def run(config, **options):
    suite = Checks(config, **options)
    try:
        return suite.run()
    finally:
        suite.close()


class TestAll:
    def test_pass_on_a_sound_machine(self, config):
        results = run(config)

        assert tuple(results) == CHECK_NAMES
        assert {r.status for r in results.values()} == {"pass"}, results
        assert overall(results) == "ready"

    def test_a_check_that_hangs_has_failed(self, config, monkeypatch):
        monkeypatch.setattr(checks, "disk", lambda *_: time.sleep(1))
        started = time.monotonic()
        results = run(config, timeout_s=0.2)

        assert time.monotonic() - started < 0.8
        assert results["disk"].detail == "did not end within 0.2 s"
        assert overall(results) == "error"

    def test_a_check_that_crashes_has_failed(self, config, monkeypatch):
        monkeypatch.setattr(checks, "disk", lambda *_: 1 / 0)

        assert run(config)["disk"] == CheckResult("fail", "the check crashed: ZeroDivisionError")


class TestOverall:
    GOOD = dict.fromkeys(CHECK_NAMES, CheckResult("pass", ""))

    @pytest.mark.parametrize(
        ("status", "expected"), [("pass", "ready"), ("warn", "degraded"), ("fail", "error")]
    )
    def test_is_the_worst(self, status, expected):
        assert overall({**self.GOOD, "disk": CheckResult(status, "")}) == expected

    def test_a_missing_check_is_an_error(self):
        assert overall({}) == "error"
        assert overall({n: r for n, r in self.GOOD.items() if n != "clock"}) == "error"


class TestBroken:
    @pytest.mark.parametrize(
        ("name", "status", "detail"),
        [
            ("signing_key", "fail", "private key"),
            ("evidence_folder", "fail", "Not a directory"),
            ("clock", "fail", "is before the build"),
            ("policy_signature", "fail", "changed after it was signed"),
            ("disk", "warn", "below the floor"),
        ],
    )
    def test_that_check_fails_and_no_other(self, config, name, status, detail):
        results = run(with_broken(config, [name]))

        assert results[name].status == status
        assert detail in results[name].detail
        assert {n for n, r in results.items() if r.status != "pass"} == {name}

    def test_every_check_can_be_broken(self, config):
        assert {r.status for r in run(with_broken(config, CHECK_NAMES)).values()} == {"fail", "warn"}

    def test_an_unsigned_policy_is_broken_too(self, config):
        (config.rootdir / "policy.json.dsse").unlink()

        assert run(with_broken(config, ["policy_signature"]))["policy_signature"].status == "fail"

    def test_the_real_policy_is_not_touched(self, config):
        with_broken(config, CHECK_NAMES)

        assert config.policy.read_bytes() == POLICY

    def test_an_unknown_check_is_a_mistake(self, config):
        with pytest.raises(ConfigError, match="no check 'clok'"):
            with_broken(config, ["clok"])

    def test_an_unusable_state_folder_is_said(self, config, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(AdapterError, match="cannot write below"):
            with_broken(ServiceConfig(state=tmp_path / "file" / "x", rootdir=tmp_path), ["disk"])


class TestSigningKey:
    def with_key(self, config, **environ):
        return checks._guarded(
            lambda: checks.signing_key(
                ServiceConfig(state=config.state, rootdir=config.rootdir, environ=environ)
            )
        )

    @pytest.mark.parametrize("kind", list(KeyKind))
    def test_a_configured_key_signs(self, config, kind):
        result = self.with_key(config, CUTOVER_KEY_PEM=generate(kind).decode())

        assert result.status == "pass"
        assert "configured" in result.detail

    @pytest.mark.parametrize("value", ["", "none"])
    def test_no_key_is_not_ready(self, config, value):
        assert self.with_key(config, CUTOVER_KEY=value).status == "fail"

    def test_damaged_text_is_not_repeated(self, config):
        result = self.with_key(config, CUTOVER_KEY_PEM="-----BEGIN PRIVATE KEY-----\ns3cr3t\n")

        assert result.status == "fail"
        assert "s3cr3t" not in str(result)

    def test_a_signature_that_does_not_verify_fails(self, config, monkeypatch):
        from pytest_cutover.keys.signer import PemSigner

        monkeypatch.setattr(PemSigner, "sign", lambda *_: bytes(64))

        assert self.with_key(config).detail == "the signature of the configured key does not verify"


class TestEvidenceFolder:
    def test_leaves_nothing_behind(self, tmp_path):
        assert checks.evidence_folder(tmp_path / "runs").status == "pass"
        assert list((tmp_path / "runs").iterdir()) == []

    def test_a_folder_nobody_can_write_fails(self):
        """/proc takes no files, not even root's."""
        assert checks._guarded(lambda: checks.evidence_folder(Path("/proc"))).status == "fail"

    def test_a_failing_fsync_fails_and_leaves_nothing(self, tmp_path, monkeypatch):
        def refuse(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)

        result = checks._guarded(lambda: checks.evidence_folder(tmp_path))
        assert result == CheckResult("fail", "No space left on device")
        assert list(tmp_path.iterdir()) == []


class TestClock:
    EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
    NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()

    def clock(self, moments):
        """A check that sees these (wall, steady) moments, relative to now."""
        walls = iter([self.NOW + wall for wall, _ in moments])
        steadies = iter([steady for _, steady in moments])
        return ClockCheck(self.EARLIEST, wall=lambda: next(walls), steady=lambda: next(steadies))

    def test_together_is_sound(self):
        check = self.clock([(0, 0), (10, 10), (20.5, 20)])

        assert [check().status, check().status] == ["pass", "pass"]

    @pytest.mark.parametrize("wall", [13, 7])
    def test_a_set_clock_fails(self, wall):
        assert self.clock([(0, 0), (wall, 10)])().status == "fail"

    def test_stays_failed(self):
        check = self.clock([(0, 0), (100, 10), (110, 20)])

        assert [check().status, check().status] == ["fail", "fail"]

    def test_going_back_fails_even_within_the_drift(self):
        check = self.clock([(0, 0), (11.5, 10), (9, 10.5)])

        assert check().status == "pass"
        assert check().detail == "the time went back by 2.5 s"

    def test_before_the_build_fails(self):
        check = ClockCheck(datetime.now(UTC) + timedelta(days=1))

        assert check().status == "fail"

    def test_the_real_clock_passes(self):
        assert ClockCheck(self.EARLIEST)().status == "pass"


class TestPolicySignature:
    def result(self, config):
        return checks._guarded(lambda: checks.policy_signature(config))

    def test_signed_by_a_trusted_key(self, config):
        assert self.result(config).data["signature"] == "trusted"

    def test_unsigned_is_said(self, config):
        (config.rootdir / "policy.json.dsse").unlink()

        result = self.result(config)
        assert (result.status, result.data["signature"]) == ("pass", "unsigned")
        assert "sandbox" in result.detail

    @pytest.mark.parametrize("where", ["policy.json", "policy.json.dsse"])
    def test_any_change_fails(self, config, where):
        path = config.rootdir / where
        path.write_bytes(path.read_bytes().replace(b'"p"', b'"q"') if where == "policy.json" else b"{}")

        assert self.result(config).status == "fail"

    def test_another_machine_s_key_fails(self, config, tmp_path):
        other = development_signer(tmp_path / "other", say=lambda _: None)
        (config.rootdir / "policy.json.dsse").write_bytes(sign_policy(POLICY, other))

        assert self.result(config).status == "fail"

    def test_a_malformed_policy_fails(self, config):
        config.policy.write_text("{}")

        assert self.result(config).status == "fail"

    @pytest.mark.parametrize("policy", [None, "missing.json"])
    def test_a_missing_policy_fails(self, config, policy):
        path = None if policy is None else config.rootdir / policy

        assert (
            self.result(ServiceConfig(state=config.state, rootdir=config.rootdir, policy=path)).status
            == "fail"
        )


class TestDisk:
    def test_low_space_warns(self, tmp_path):
        assert checks.disk(tmp_path, 2**62, 0).status == "warn"

    def test_low_inodes_warn(self, tmp_path):
        if not os.statvfs(tmp_path).f_files:
            pytest.skip("this file system counts no inodes")
        result = checks.disk(tmp_path, 0, 2**62)

        assert result.status == "warn"
        assert "inodes" in result.detail

    def test_figures_stand_beside_the_sentence(self, tmp_path):
        assert checks.disk(tmp_path, 0, 0).data["free_bytes"] > 0
