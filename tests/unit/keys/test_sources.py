"""Where the signing key comes from: the order, and what is said about it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.cli import main
from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.signer import VARIABLES, development_signer, generate, load_signer, write_new_private
from pytest_cutover.keys.sources import Use, key_sources
from pytest_cutover.keys.verifier import KeyKind

if TYPE_CHECKING:
    from pathlib import Path

PEM = generate(KeyKind.ED25519).decode()
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("CUTOVER_")]:
        monkeypatch.delenv(name)
    write_new_private(tmp_path / "release.pem", generate(KeyKind.ED25519))


def uses(environ: dict[str, str], folder: Path) -> list[str]:
    return [f"{s.use.value}: {s.detail[:24]}" for s in key_sources(environ, folder)]


class TestOrder:
    def test_kms_and_ssm_come_before_the_environment_and_that_before_files(self) -> None:
        assert VARIABLES == ("CUTOVER_KEY_KMS", "CUTOVER_KEY_SSM", "CUTOVER_KEY_PEM", "CUTOVER_KEY")

    def test_each_says_why_it_does_not_sign(self, tmp_path: Path) -> None:
        environ = {"CUTOVER_KEY_SSM": "", "CUTOVER_KEY_PEM": PEM}

        assert uses(environ, tmp_path) == [
            "not used: not set",
            "not used: set, and empty",
            f"signs: {f'key {_keyid(environ, tmp_path)}'[:24]}",
            "not used: not set",
            "not used: only where no variable i",
        ]

    def test_without_any_the_development_key_signs_and_is_not_made_by_asking(self, tmp_path: Path) -> None:
        assert uses({}, tmp_path)[-1] == "signs: made when it is needed; "
        assert not (tmp_path / "var").exists()
        keyid = development_signer(tmp_path, say=print).keyid
        assert key_sources({}, tmp_path)[-1].detail == f"key {keyid}"

    def test_none_switches_signing_off(self, tmp_path: Path) -> None:
        found = key_sources({"CUTOVER_KEY_KMS": "none", "CUTOVER_KEY": "release.pem"}, tmp_path)

        assert [s.use for s in found][:1] == [Use.SWITCHED_OFF]
        assert found[3].detail == "CUTOVER_KEY_KMS comes first"
        assert (
            load_signer({"CUTOVER_KEY_KMS": "none", "CUTOVER_KEY": "x"}, tmp_path, option=None, say=print)
            is None
        )

    def test_two_of_a_kind_are_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="expected CUTOVER_KEY_KMS or CUTOVER_KEY_SSM, got both"):
            load_signer({"CUTOVER_KEY_KMS": "a", "CUTOVER_KEY_SSM": "b"}, tmp_path, option=None, say=print)

    @pytest.mark.parametrize("name", VARIABLES)
    def test_empty_means_unsigned(self, name: str, tmp_path: Path) -> None:
        """A fork's pull request gets empty secrets: no development key takes their place."""
        assert load_signer({name: ""}, tmp_path, option=None, say=print) is None
        assert not (tmp_path / "var").exists()


class TestShow:
    def test_says_which_one_signs(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        monkeypatch.setenv("CUTOVER_KEY", "release.pem")

        assert main(["keys", "show", "--sources"]) == 0
        out = capsys.readouterr().out
        assert "✓ file or key ring (CUTOVER_KEY)\n    signs: key " in out
        assert main(["keys", "show", "--sources", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["sources"]
        assert [s["use"] for s in told] == ["not used", "not used", "not used", "signs", "not used"]

    def test_says_where_the_key_of_the_log_comes_from_too(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        assert main(["keys", "show", "--sources"]) == 0
        assert "✓ key of the log (var/cutover/keys/log.pem)\n    signs: made when" in capsys.readouterr().out
        monkeypatch.setenv("CUTOVER_KEY_LOG", "nowhere.pem")
        assert main(["keys", "show", "--sources"]) == 2
        assert "✗ key of the log (CUTOVER_KEY_LOG)\n    unusable: " in capsys.readouterr().out

    def test_one_that_cannot_be_used_is_2_and_repeats_nothing_private(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setenv("CUTOVER_KEY_PEM", PEM.replace("BEGIN", "BEGAN"))
        monkeypatch.setenv("CUTOVER_KEY", "")

        assert main(["keys", "show", "--sources"]) == 2
        said = capsys.readouterr()
        assert "✗ environment (CUTOVER_KEY_PEM)\n    unusable: CUTOVER_KEY_PEM: expected a PEM" in said.out
        assert PEM.splitlines()[1] not in said.out + said.err

    def test_where_signing_is_off_there_is_no_key_to_show(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setenv("CUTOVER_KEY_SSM", "none")

        assert main(["keys", "show"]) == 2
        assert "signing is switched off here" in capsys.readouterr().err


def _keyid(environ: dict[str, str], folder: Path) -> str:
    signer = load_signer(environ, folder, option=None, say=print)
    assert signer is not None
    return signer.keyid
