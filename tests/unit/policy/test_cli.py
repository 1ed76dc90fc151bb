"""`cutover policy`: exit codes, what is printed, what is written."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.keys.signer import generate, load_private_key
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.keys.verifier import KeyKind
from tests.unit.policy.documents import GOOD, changed, signer, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.keys.signer import PemSigner

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a good policy; no key, no trust."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("CUTOVER_")]:
        monkeypatch.delenv(name)
    (tmp_path / "configs").mkdir()
    put(tmp_path, GOOD)
    return tmp_path


def put(project: Path, document: object) -> None:
    (project / "configs" / "policy.json").write_text(text_of(document), encoding="utf-8")


def key_file(project: Path) -> Path:
    path = project / "release.pem"
    path.touch(0o600)
    path.write_bytes(generate(KeyKind.ED25519))
    return path


def trust(project: Path, key: PemSigner, **changes: object) -> Path:
    path = project / "configs" / "trust.json"
    entry = {**trust_entry(key.public, name="release", roles=("policy",)), **changes}
    path.write_text(json.dumps({"format": 1, "keys": [entry]}), encoding="utf-8")
    return path


def policy(*arguments: str) -> int:
    return main(["policy", arguments[0], "configs/policy.json", *arguments[1:]])


@pytest.mark.usefixtures("project")
class TestCheck:
    def test_a_good_policy_is_0(self, capsys: Capture) -> None:
        assert policy("check") == 0
        assert capsys.readouterr().out.startswith(
            "configs/policy.json: good; shop version 3; plans: preflight (2 gates)"
        )

    def test_the_file_may_be_left_out(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """As for a run; and another one that CUTOVER_POLICY names is another one."""
        assert main(["policy", "check"]) == main(["policy", "show"]) == 0
        monkeypatch.setenv("CUTOVER_POLICY", "elsewhere.json")

        assert main(["policy", "check"]) == 2
        assert "elsewhere.json: cannot read the policy" in capsys.readouterr().err

    def test_mistakes_are_1_and_all_listed(self, project: Path, capsys: Capture) -> None:
        put(project, changed((("name",), ""), (("version",), 0), (("limits", "x"), {"y": {"equals": 1}})))

        assert policy("check") == 1
        out = capsys.readouterr().out
        assert re.search(r"^configs/policy\.json:4: name: expected .*\n    hint: ", out, re.MULTILINE)
        assert re.search(r"^configs/policy\.json:5: version: expected .*\n    hint: ", out, re.MULTILINE)
        assert re.search(r"^configs/policy\.json:\d+: note: limits/x: no plan requires", out, re.MULTILINE)
        assert out.endswith("2 mistakes, 1 note\n")

    def test_an_end_date_in_the_past_is_1(self, project: Path) -> None:
        put(project, changed((("expires",), "2020-01-01T00:00:00Z")))

        assert policy("check") == 1

    @pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1, "a": 2}', b"\xff"])
    def test_what_is_not_json_is_2(self, project: Path, capsys: Capture, content: bytes) -> None:
        (project / "configs" / "policy.json").write_bytes(content)

        assert policy("check") == 2
        assert capsys.readouterr().err.startswith("error: configs/policy.json:1: ")

    def test_a_missing_file_is_2(self, project: Path, capsys: Capture) -> None:
        (project / "configs" / "policy.json").unlink()

        assert policy("check") == 2
        assert "cannot read the policy: No such file" in capsys.readouterr().err

    def test_an_unknown_environment_is_2(self, capsys: Capture) -> None:
        assert policy("check", "--environment", "prd") == 2
        assert "hint: did you mean 'prod'?" in capsys.readouterr().err

    def test_a_known_environment_is_0(self) -> None:
        assert policy("check", "--environment", "prod") == 0

    def test_no_action_is_64(self) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["policy"])
        assert caught.value.code == 64


class TestSign:
    def test_writes_the_envelope_and_prints_the_keyid(self, project: Path, capsys: Capture) -> None:
        assert policy("sign", "--key", str(key_file(project))) == 0
        out = capsys.readouterr().out
        envelope = json.loads((project / "configs" / "policy.json.dsse").read_bytes())

        assert re.search(rf"^keyid +{envelope['signatures'][0]['keyid']}$", out, re.MULTILINE)
        assert re.search(r"^wrote +configs/policy\.json\.dsse$", out, re.MULTILINE)

    def test_prints_an_entry_that_makes_the_signature_count(self, project: Path, capsys: Capture) -> None:
        policy("sign", "--key", str(key_file(project)))
        out = capsys.readouterr().out
        entry = json.loads(out[out.index("{") :])
        (project / "configs" / "trust.json").write_text(json.dumps({"format": 1, "keys": [entry]}))

        assert policy("verify") == 0
        assert policy("sign", "--key", str(project / "release.pem")) == 0
        assert "trusted by configs/trust.json" in capsys.readouterr().out

    def test_the_key_may_come_from_the_environment(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUTOVER_KEY", str(key_file(project)))

        assert policy("sign") == 0
        assert not (project / "var").exists()

    def test_a_policy_with_a_mistake_is_not_signed(self, project: Path, capsys: Capture) -> None:
        put(project, changed((("name",), "")))

        assert policy("sign", "--key", str(key_file(project))) == 1
        assert "not signed" in capsys.readouterr().err
        assert not (project / "configs" / "policy.json.dsse").exists()

    @pytest.mark.parametrize("value", ["", "none"])
    def test_no_key_is_2(self, project: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("CUTOVER_KEY", value)

        assert policy("sign") == 2
        assert not (project / "configs" / "policy.json.dsse").exists()

    def test_a_key_that_was_revoked_signs_no_more(self, project: Path, capsys: Capture) -> None:
        key = key_file(project)
        signer_of = load_private_key(key)
        trust(project, signer_of, state="revoked", revoked_at="2026-01-01T00:00:00Z", reason="stolen")

        assert policy("sign", "--key", str(key)) == 2
        assert "signs no more: configs/trust.json says that it is revoked" in capsys.readouterr().err
        assert not (project / "configs" / "policy.json.dsse").exists()

    def test_a_missing_key_is_2(self, project: Path, capsys: Capture) -> None:
        assert policy("sign", "--key", str(project / "no.pem")) == 2
        assert "--key" in capsys.readouterr().err


class TestVerify:
    def sign(self, project: Path) -> None:
        assert policy("sign", "--key", str(key_file(project))) == 0

    def test_unsigned_is_1(self, project: Path, capsys: Capture) -> None:
        assert policy("verify") == 1
        assert "UNSIGNED for sandbox, prod: " in capsys.readouterr().out

    def test_without_trusted_keys_it_is_1(self, project: Path, capsys: Capture) -> None:
        self.sign(project)

        assert policy("verify") == 1
        assert "no trusted keys are known" in capsys.readouterr().out

    def test_says_how_much_it_proves(self, project: Path, capsys: Capture) -> None:
        self.sign(project)
        out = capsys.readouterr().out
        entry = json.loads(out[out.index("{") :])
        (project / "configs" / "trust.json").write_text(json.dumps({"format": 1, "keys": [entry]}))

        assert policy("verify") == 0
        assert "proves little" in capsys.readouterr().out

    def test_a_key_for_one_environment_is_1_for_all_and_0_for_that_one(
        self, project: Path, capsys: Capture
    ) -> None:
        self.sign(project)
        out = capsys.readouterr().out
        entry = {**json.loads(out[out.index("{") :]), "environments": ["prod"]}
        (project / "configs" / "trust.json").write_text(json.dumps({"format": 1, "keys": [entry]}))

        assert policy("verify") == 1
        assert policy("verify", "--environment", "prod") == 0
        assert policy("verify", "--environment", "sandbox") == 1

    def test_a_changed_policy_is_1(self, project: Path, capsys: Capture) -> None:
        self.sign(project)
        put(project, changed((("version",), 4)))

        assert policy("verify", "--trust", str(trust(project, signer()))) == 1
        assert "changed after it was signed" in capsys.readouterr().out

    def test_says_who_signed_and_who_is_missing(self, project: Path, capsys: Capture) -> None:
        keys = [project / "ada.pem", project / "grace.pem"]
        entries = []
        for path in keys:
            key_file(project).rename(path)
            public = load_private_key(path).public
            entries.append(
                trust_entry(public, name=f"{path.stem}'s key", roles=("policy",), person=path.stem.title())
            )
        document = {"format": 1, "keys": entries, "thresholds": {"policy": {"persons": 2}}}
        (project / "configs" / "trust.json").write_text(json.dumps(document))
        ada, grace = map(str, keys)

        assert policy("sign", "--key", ada) == 0
        assert policy("verify") == 1
        out = capsys.readouterr().out
        assert "THRESHOLD for sandbox, prod: expected signatures of 2 persons" in out
        assert re.search(r"signed   Ada: ada's key \([0-9a-f]{16}…\)\n +missing  Grace: grace's key", out)
        assert policy("sign", "--add", "--key", grace) == 0
        assert policy("verify") == 0
        assert "missing" not in capsys.readouterr().out
        assert policy("sign", "--add", "--key", grace) == 2
        assert "already" in capsys.readouterr().err

    def test_adding_to_nothing_or_to_another_policy_is_2(self, project: Path, capsys: Capture) -> None:
        key = str(key_file(project))

        assert policy("sign", "--add", "--key", key) == 2
        assert policy("sign", "--key", key) == 0
        before = (project / "configs" / "policy.json.dsse").read_bytes()
        put(project, changed((("version",), 4)))
        assert policy("sign", "--add", "--key", key) == 2
        assert "without --add the policy is signed anew" in capsys.readouterr().err
        assert (project / "configs" / "policy.json.dsse").read_bytes() == before

    def test_an_outdated_one_is_1(self, project: Path, capsys: Capture) -> None:
        self.sign(project)
        path = project / "configs" / "trust.json"
        entry = trust_entry(load_private_key(project / "release.pem").public, name="x", roles=("policy",))
        path.write_text(json.dumps({"format": 1, "keys": [entry], "policies": {"shop": {"min_version": 4}}}))

        assert policy("verify") == 1
        assert "OUTDATED for sandbox, prod: version 3 of shop is outdated" in capsys.readouterr().out

    def test_an_unusable_trust_file_is_2(self, project: Path) -> None:
        assert policy("verify", "--trust", "nowhere.json") == 2


@pytest.mark.usefixtures("project")
class TestShow:
    def test_prints_every_plan(self, capsys: Capture) -> None:
        assert policy("show", "--environment", "prod") == 0
        out = capsys.readouterr().out
        assert re.findall(r"^plan +(.*)$", out, re.MULTILINE) == ["preflight", "nightly (phase canary)"]

    def test_prints_one_plan(self, capsys: Capture) -> None:
        assert policy("show", "--environment", "prod", "--plan", "nightly") == 0
        assert re.findall(r"^plan +(.*)$", capsys.readouterr().out, re.MULTILINE) == [
            "nightly (phase canary)"
        ]

    def test_prints_json(self, capsys: Capture) -> None:
        assert policy("show", "--json") == 0
        out = json.loads(capsys.readouterr().out)
        assert list(out["plans"]) == ["preflight", "nightly"]
        assert out["plans"]["preflight"]["effective"]["environment"] == "sandbox"

    @pytest.mark.parametrize("arguments", [("--environment", "prd"), ("--plan", "nope")])
    def test_an_unknown_name_is_2(self, arguments: tuple[str, str], capsys: Capture) -> None:
        assert policy("show", *arguments) == 2
        assert "hint: " in capsys.readouterr().err

    def test_a_policy_with_mistakes_is_2(self, project: Path, capsys: Capture) -> None:
        put(project, changed((("name",), "")))

        assert policy("show") == 2
        assert "error: configs/policy.json:4: name: expected" in capsys.readouterr().err
