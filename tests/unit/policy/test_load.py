"""From a file to a policy that can judge."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import AnchorSource, load_trust
from pytest_cutover.model import PolicySignature
from pytest_cutover.policy.issues import PolicyError
from pytest_cutover.policy.load import LoadedPolicy, SubjectRule, load_policy, shown_path
from pytest_cutover.policy.positions import UnreadableError
from pytest_cutover.policy.signature import sign_policy
from tests.unit.policy.documents import GOOD, MISSING, NOW, anchor, changed, signer, write

REPOSITORY = Path(__file__).parents[3]
SHIPPED = REPOSITORY / "configs" / "policy.json"


def load(path: Path, *, plan: str = "preflight", environment: str | None = None) -> LoadedPolicy:
    return load_policy(path, plan=plan, environment=environment, anchor=None, now=NOW)


class TestLoadPolicy:
    def test_gives_the_policy_its_bytes_and_its_profile(self, tmp_path: Path) -> None:
        path = write(tmp_path, GOOD)
        loaded = load(path, environment="prod")

        assert loaded.raw == path.read_bytes()
        assert loaded.effective.digest == f"sha256:{hashlib.sha256(loaded.raw).hexdigest()}"
        assert loaded.effective.signature is PolicySignature.UNSIGNED
        assert loaded.envelope is None
        assert loaded.profile.targets == {"app": "https://shop.example"}
        assert loaded.profile.subjects == (
            SubjectRule("shop", files="dist/*.whl"),
            SubjectRule("tree", git="HEAD"),
        )

    def test_without_a_name_the_default_environment_is_taken(self, tmp_path: Path) -> None:
        assert load(write(tmp_path, GOOD)).effective.environment == "sandbox"

    def test_no_environment_and_no_default_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, changed((("default_environment",), MISSING)))

        with pytest.raises(
            ConfigError, match="expected an environment, got none, and the policy names no default"
        ) as caught:
            load(path)
        assert "known environments: sandbox, prod" in str(caught.value.hint)

    def test_an_unknown_environment_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"policy\.json:\d+: expected one of the policy's environments, got"
        ) as caught:
            load(write(tmp_path, GOOD), environment="prd")
        assert caught.value.hint == "did you mean 'prod'? known environments: sandbox, prod"

    def test_an_unknown_plan_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"policy\.json:\d+: expected one of the policy's plans, got"
        ) as caught:
            load(write(tmp_path, GOOD), plan="prefligth")
        assert caught.value.hint == "did you mean 'preflight'? known plans: preflight, nightly"

    def test_one_mistake_is_the_error_itself(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match=r"policy\.json:\d+: name: expected one line") as caught:
            load(write(tmp_path, changed((("name",), ""))))
        assert caught.value.hint is not None

    def test_several_mistakes_are_all_in_the_error(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match="2 mistakes in ") as caught:
            load(write(tmp_path, changed((("name",), ""), (("version",), 0))))
        assert str(caught.value).count("hint: ") == 2
        assert "cutover policy check" in str(caught.value.hint)

    def test_an_end_date_in_the_past_is_left_to_the_decision(self, tmp_path: Path) -> None:
        loaded = load(write(tmp_path, changed((("expires",), "2020-01-01T00:00:00Z"))))

        assert loaded.effective.expires_at is not None
        assert loaded.effective.expires_at < NOW

    @pytest.mark.parametrize("name", ["missing.json", ".", "nul\0"])
    def test_a_file_that_cannot_be_read_is_unreadable(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UnreadableError, match="cannot read the policy: ") as caught:
            load(tmp_path / name)
        assert "configs/policy.json" in str(caught.value.hint)


class TestSignatureBeside:
    def test_a_trusted_signature_is_carried(self, tmp_path: Path) -> None:
        path, key = write(tmp_path, GOOD), signer()
        envelope = sign_policy(path.read_bytes(), key)
        (tmp_path / "policy.json.dsse").write_bytes(envelope)
        loaded = load_policy(path, plan="preflight", environment="prod", anchor=anchor(key), now=NOW)

        assert loaded.effective.signature is PolicySignature.TRUSTED
        assert loaded.envelope == envelope

    @pytest.mark.parametrize("envelope", [b"", b"{}", b"not json", sign_policy(b"{}", signer())])
    def test_something_else_beside_it_is_untrusted_and_not_carried(
        self, tmp_path: Path, envelope: bytes
    ) -> None:
        path = write(tmp_path, GOOD)
        (tmp_path / "policy.json.dsse").write_bytes(envelope)
        loaded = load(path)

        assert loaded.effective.signature is PolicySignature.UNTRUSTED
        assert loaded.envelope is None

    def test_an_unreadable_signature_is_not_taken_for_none(self, tmp_path: Path) -> None:
        path = write(tmp_path, GOOD)
        (tmp_path / "policy.json.dsse").symlink_to(tmp_path / "nowhere")

        with pytest.raises(UnreadableError, match="cannot read the policy's signature: "):
            load(path)

    def test_the_plans_own_development_key_setting_counts(self, tmp_path: Path) -> None:
        document = changed((("plans", "preflight", "settings", "development_key"), True))
        path, key = write(tmp_path, document), signer()
        (tmp_path / "policy.json.dsse").write_bytes(sign_policy(path.read_bytes(), key))
        trusted = anchor(key, environments=("sandbox",), source=AnchorSource.DEVELOPMENT)

        def state(plan: str) -> PolicySignature:
            return load_policy(
                path, plan=plan, environment="prod", anchor=trusted, now=NOW
            ).effective.signature

        assert state("preflight") is PolicySignature.TRUSTED
        assert state("nightly") is PolicySignature.UNTRUSTED


class TestShippedPolicy:
    @pytest.mark.parametrize("environment", ["sandbox", "staging"])
    def test_loads_without_a_note_and_is_trusted(self, environment: str) -> None:
        """Whoever changes it signs it again: docs/reference/policy.md says how."""
        trusted = load_trust(REPOSITORY / "configs" / "trust.json", source=AnchorSource.REPOSITORY)
        loaded = load_policy(SHIPPED, plan="preflight", environment=environment, anchor=trusted, now=NOW)

        assert loaded.notes == ()
        assert loaded.effective.signature is PolicySignature.TRUSTED, loaded.signature.detail

    def test_its_key_signs_policies_and_nothing_else(self) -> None:
        keys = load_trust(REPOSITORY / "configs" / "trust.json").keys

        assert {k.roles for k in keys} == {frozenset({"policy"})}

    def test_one_changed_byte_is_not_trusted(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.json"
        path.write_bytes(SHIPPED.read_bytes().replace(b'"at_most": 2,', b'"at_most": 9,'))
        shutil.copy(SHIPPED.with_name("policy.json.dsse"), tmp_path / "policy.json.dsse")
        trusted = load_trust(REPOSITORY / "configs" / "trust.json")
        loaded = load_policy(path, plan="preflight", environment="sandbox", anchor=trusted, now=NOW)

        assert loaded.effective.signature is PolicySignature.UNTRUSTED
        assert "changed after it was signed" in loaded.signature.detail


class TestShownPath:
    def test_is_relative_inside_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        assert shown_path(tmp_path / "configs" / "policy.json") == "configs/policy.json"
        assert shown_path(Path("policy.json")) == "policy.json"
        assert shown_path(Path("/elsewhere/policy.json")) == "/elsewhere/policy.json"


class TestImports:
    def test_judging_a_signature_loads_no_pydantic(self) -> None:
        code = "import sys, pytest_cutover.policy.signature as s; sys.exit('pydantic' in sys.modules)"

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
