from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.cli import main
from pytest_cutover.keys.signer import development_signer, generate, load_private_key, load_private_pem
from pytest_cutover.keys.trust import load_trust, parse_trust, trust_entry
from pytest_cutover.keys.verifier import KeyKind

if TYPE_CHECKING:
    from pathlib import Path

OLD = trust_entry(load_private_pem(generate(KeyKind.ED25519), where="a test key").public, name="älter")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CUTOVER_KEY", "CUTOVER_KEY_PEM"):
        monkeypatch.delenv(name, raising=False)


def printed(capsys: Capture) -> dict[str, Any]:
    entry = json.loads(capsys.readouterr().out)
    assert isinstance(entry, dict)
    return entry


class TestKeysNew:
    @pytest.mark.parametrize("kind", [k.value for k in KeyKind])
    def test_prints_an_entry_a_trust_file_takes(self, kind: str, tmp_path: Path, capsys: Capture) -> None:
        assert (
            main(["keys", "new", "release.pem", "--kind", kind, "--role", "policy", "--environment", "eu"])
            == 0
        )
        entry = printed(capsys)
        (key,) = parse_trust(json.dumps({"format": 1, "keys": [entry]}).encode(), where="trust").keys

        assert key.keyid == load_private_key(tmp_path / "release.pem").keyid
        assert key.public.kind.value == kind
        assert (set(key.roles), set(key.environments)) == ({"policy"}, {"eu"})
        assert (tmp_path / "release.pub.pem").read_text() == entry["public_key"]
        assert stat.S_IMODE((tmp_path / "release.pem").stat().st_mode) == 0o600

    @pytest.mark.parametrize("taken", ["release.pem", "release.pub.pem"])
    def test_never_overwrites(self, taken: str, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / taken).write_text("mine")

        assert main(["keys", "new", "release.pem"]) == 2
        assert "already there" in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == [taken]
        assert (tmp_path / taken).read_text() == "mine"

    def test_prints_nothing_private(self, tmp_path: Path, capsys: Capture) -> None:
        main(["keys", "new", "release.pem"])
        captured = capsys.readouterr()

        assert (tmp_path / "release.pem").read_text().splitlines()[1] not in captured.out + captured.err


class TestKeysNewIntoATrustFile:
    def test_makes_the_file(self, tmp_path: Path, capsys: Capture) -> None:
        """Strictly what `--trust` takes elsewhere; nothing is left to print."""
        assert (
            main(["keys", "new", "release.pem", "--trust", "trust.json", "--person", "ada@example.org"]) == 0
        )

        said = capsys.readouterr()
        assert (said.out, said.err.splitlines()[1:]) == ("", ["added it to trust.json"])
        (key,) = load_trust(tmp_path / "trust.json").keys
        assert key.keyid == load_private_key(tmp_path / "release.pem").keyid
        assert (key.name, key.person) == ("release", "ada@example.org")
        assert (set(key.roles), set(key.environments)) == ({"decision"}, {"*"})

    def test_adds_to_the_file(self, tmp_path: Path) -> None:
        """Those that stand there stay as they are, with the file's mode, behind the same link."""
        (tmp_path / "kept.json").touch(mode=0o640)
        (tmp_path / "kept.json").write_text(json.dumps({"format": 1, "keys": [OLD]}))
        (tmp_path / "kept.json").chmod(0o640)
        (tmp_path / "trust.json").symlink_to("kept.json")

        new = ["keys", "new", "policy.pem", "--trust", "trust.json", "--name", "policies"]
        assert main([*new, "--role", "policy", "--role", "waiver", "--environment", "eu"]) == 0

        document = json.loads((tmp_path / "kept.json").read_text())
        assert document["keys"][0] == OLD
        key = load_trust(tmp_path / "trust.json").keys[1]
        assert (key.name, set(key.roles), set(key.environments)) == ("policies", {"policy", "waiver"}, {"eu"})
        assert (tmp_path / "trust.json").is_symlink()
        assert stat.S_IMODE((tmp_path / "kept.json").stat().st_mode) == 0o640

    @pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{}]}'])
    def test_makes_no_key_for_a_file_that_cannot_be_used(
        self, text: str, tmp_path: Path, capsys: Capture
    ) -> None:
        (tmp_path / "trust.json").write_text(text)

        assert main(["keys", "new", "release.pem", "--trust", "trust.json"]) == 2
        assert "trust.json: " in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]
        assert (tmp_path / "trust.json").read_text() == text

    def test_says_when_the_file_cannot_be_written(self, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "file").write_text("in the way")

        assert main(["keys", "new", "release.pem", "--trust", "file/trust.json"]) == 2
        assert "cannot write " in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["--person", "--name", "--environment"])
    def test_takes_no_empty_text(self, option: str, tmp_path: Path) -> None:
        """The file's own reader refuses it."""
        with pytest.raises(SystemExit) as ended:
            main(["keys", "new", "release.pem", "--trust", "trust.json", option, " "])

        assert ended.value.code == 64
        assert list(tmp_path.iterdir()) == []


class TestKeysShow:
    def test_shows_the_public_half_of_either_file(self, capsys: Capture) -> None:
        main(["keys", "new", "release.pem"])
        made = printed(capsys)

        for path in ("release.pem", "release.pub.pem"):
            assert main(["keys", "show", path]) == 0
            assert printed(capsys)["keyid"] == made["keyid"]

    def test_shows_the_key_that_would_sign_here(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signer = development_signer(tmp_path, say=lambda _: None)
        assert main(["keys", "show"]) == 0
        assert printed(capsys)["keyid"] == signer.keyid

        pem = generate(KeyKind.ECDSA_P256).decode()
        monkeypatch.setenv("CUTOVER_KEY_PEM", pem)
        assert main(["keys", "show"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["keyid"] != signer.keyid
        assert pem.splitlines()[1] not in captured.out + captured.err

    def test_makes_no_key(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["keys", "show"]) == 2
        assert "no such key file" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_says_when_signing_is_switched_off(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUTOVER_KEY", "none")

        assert main(["keys", "show"]) == 2
        assert "switched off" in capsys.readouterr().err


class TestKeysUsage:
    @pytest.mark.parametrize(
        "argv", [[], ["old"], ["new"], ["new", "a", "--kind", "rsa"], ["show", "--role", "boss"]]
    )
    def test_is_64(self, argv: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["keys", *argv])
        assert caught.value.code == 64
