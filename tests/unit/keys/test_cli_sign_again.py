"""`cutover keys rotate --sign`: policies and waivers that the leaving key has signed go on counting."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.envelope import read_foreign_envelope, sign_envelope
from pytest_cutover.keys.ring import KeyRing

Capture = pytest.CaptureFixture[str]
POLICY = Path("configs/policy.json")
BESIDE = Path("configs/policy.json.dsse")
DIGEST = "a" * 64


@pytest.fixture(autouse=True)
def _signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A policy that the key of a ring has signed, and a trust file that lists it for that."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("CUTOVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CUTOVER_KEY", "ring")
    POLICY.parent.mkdir()
    write_policy(version=1)
    roles = ("--role", "policy", "--role", "waiver", "--person", "ada@example.org")
    made = main(["keys", "new", "ring", "--ring", "--trust", "configs/trust.json", "--name", "ada", *roles])
    assert made == 0, capsys.readouterr().err
    assert main(["policy", "sign", str(POLICY)]) == 0, capsys.readouterr().err


def write_policy(*, version: int) -> None:
    document = {
        "format": 1,
        "name": "shop",
        "version": version,
        "plans": {"preflight": {"requires": ["a"]}},
        "limits": {"a": {"x": {"at_most": 0}}},
        "environments": {"production": {}},
    }
    POLICY.write_text(json.dumps(document))


def write_waiver(path: str) -> None:
    digest = f"shop@sha256:{DIGEST}"
    said = ("--reason", "known", "--risk", "low", "--ticket", "T-1", "--observe", "60")
    made = ("new", "a", "--environment", "production", "--subject", digest, *said, "--out", path)
    assert main(["waivers", *made]) == 0


def rotate(*arguments: str) -> int:
    return main(["keys", "rotate", *arguments])


def counts() -> bool:
    return main(["policy", "verify", str(POLICY)]) == 0


def signers(path: Path) -> list[str | None]:
    return [s.keyid for s in read_foreign_envelope(path.read_bytes()).signatures]


def test_a_policy_counts_before_and_after(capsys: Capture) -> None:
    old = KeyRing(Path("ring")).active()
    assert rotate("--sign", str(POLICY)) == 0
    out = capsys.readouterr().out
    new = KeyRing(Path("ring")).active()

    assert counts()
    assert signers(BESIDE) == [old, new]
    assert f"signed  {BESIDE}: with key {new[:16]}… as well" in out
    assert "again" not in out


def test_prepared_it_counts_at_every_step() -> None:
    """The signature is there before the trust file that ends the old one."""
    assert rotate("--prepare", "--sign", str(POLICY)) == 0
    assert counts()
    assert rotate("--sign", str(POLICY)) == 0
    assert counts()
    assert len(signers(BESIDE)) == 2


def test_without_it_somebody_is_told_and_the_policy_counts_no_more(capsys: Capture) -> None:
    """A rotated key counts for what a log is proven to hold, and nothing proves that of a policy."""
    assert rotate() == 0
    assert "again   policies and waivers that ada has signed: new runs take no signature of it" in (
        capsys.readouterr().out
    )
    assert not counts()


def test_a_waiver_counts_before_and_after(capsys: Capture) -> None:
    write_waiver("waiver.dsse")
    assert rotate("--sign", "waiver.dsse", "--sign", str(POLICY)) == 0
    capsys.readouterr()

    assert main(["waivers", "show", "waiver.dsse"]) == 0
    assert "signed by  ada@example.org" in capsys.readouterr().out


def test_a_rotation_that_was_stopped_signs_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the next key is active: the old private key is not asked for."""
    finish = KeyRing._finish
    monkeypatch.setattr(KeyRing, "_finish", stopped)
    assert rotate() == 130
    monkeypatch.setattr(KeyRing, "_finish", finish)
    assert rotate("--sign", str(POLICY)) == 0
    assert counts()


def everything() -> dict[str, bytes]:
    """The ring, the trust file and what stands beside them."""
    found = (path for folder in ("ring", "configs") for path in sorted(Path(folder).iterdir()))
    return {str(path): path.read_bytes() for path in found}


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


class TestRefused:
    """Nothing is signed that the leaving key has not, and nothing is written: no next key is made or listed."""

    def is_refused(self, why: str, capsys: Capture, *files: str) -> None:
        before = everything()
        for options in (), ("--prepare",):
            assert rotate(*(a for f in files for a in ("--sign", f)), *options) == 2
            assert why in capsys.readouterr().err
            assert everything() == before

    def test_a_policy_that_was_changed(self, capsys: Capture) -> None:
        write_policy(version=2)
        self.is_refused("the policy was changed after it was signed", capsys, str(POLICY))

    def test_one_that_somebody_else_has_signed(self, capsys: Capture) -> None:
        assert main(["keys", "new", "other.pem"]) == 0
        assert main(["policy", "sign", str(POLICY), "--key", "other.pem"]) == 0
        self.is_refused("'ada' has not signed it", capsys, str(POLICY))

    @pytest.mark.parametrize("name", ["none.dsse", "none.json"])
    def test_one_that_is_not_there_and_the_other_is_not_signed_either(
        self, name: str, capsys: Capture
    ) -> None:
        self.is_refused("cannot be read: No such file", capsys, str(POLICY), name)

    def test_anything_of_a_key_that_was_revoked(self, capsys: Capture) -> None:
        """Whoever has stolen it may have signed the policy that stands there now."""
        assert main(["keys", "revoke", "ada", "--reason", "stolen"]) == 0
        self.is_refused("'ada' is revoked: what it has signed may be anybody's", capsys, str(POLICY))
        assert not counts()

    def test_anything_of_a_key_that_has_ended(self, capsys: Capture) -> None:
        trust = Path("configs/trust.json")
        document = json.loads(trust.read_text())
        document["keys"][0]["not_after"] = "2026-01-01T00:00:00Z"
        trust.write_text(json.dumps(document))
        self.is_refused("'ada' is beyond its time", capsys, str(POLICY))
        assert not counts()

    def test_anything_of_a_key_that_another_rotation_has_ended(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The trust file says so, and the ring was stopped before it could."""
        write = KeyRing._write

        def dies_at_the_end(ring: KeyRing, state: Any) -> None:
            if state.leaving is None and state.next is None:
                raise KeyboardInterrupt
            write(ring, state)

        with monkeypatch.context() as patched:
            patched.setattr(KeyRing, "_write", dies_at_the_end)
            assert rotate() == 130
        self.is_refused("'ada' is in grace", capsys, str(POLICY))

    def test_what_is_neither_a_policy_nor_a_waiver(self, capsys: Capture) -> None:
        """The next key would vouch for a decision, a drill, or whatever else the old one may have signed."""
        ring = KeyRing(Path("ring"))
        for kind, payload, why in (
            ("application/vnd.in-toto+json", b'{"_type":"https://in-toto.io/Statement/v1"}', "other.dsse: "),
            ("text/plain", b"hello", "expected a policy or a waiver, got 'text/plain'"),
        ):
            Path("other.dsse").write_bytes(sign_envelope(payload, kind, ring.signer()))
            self.is_refused(why, capsys, "other.dsse")

    def test_what_it_had_no_right_to_sign(self, capsys: Capture) -> None:
        write_waiver("waiver.dsse")
        trust = Path("configs/trust.json")
        document = json.loads(trust.read_text())
        document["keys"][0]["roles"] = ["policy"]
        trust.write_text(json.dumps(document))
        self.is_refused("'ada' has no role waiver", capsys, "waiver.dsse")

    def test_what_is_no_envelope(self, capsys: Capture) -> None:
        Path("text.dsse").write_text("hello")
        self.is_refused("text.dsse: expected an envelope in JSON", capsys, "text.dsse")

    def test_where_the_log_is_away(self, capsys: Capture) -> None:
        Path("log").write_text("a file")
        before = everything()

        assert rotate("--sign", str(POLICY), "--log", "log") == 2
        assert "expected a folder, log is a file" in capsys.readouterr().err
        assert everything() == before
