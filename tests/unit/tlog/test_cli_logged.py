"""`--log` of `cutover waivers` and `policy sign`: what was signed is in the log, with its proof beside it."""

from __future__ import annotations

import pytest

from pytest_cutover import cli
from pytest_cutover.tlog.entry import EntryKind, read_entry
from pytest_cutover.tlog.proof import parse_proof

POLICY = """{"format": 1, "name": "shop", "version": 7, "default_environment": "sandbox",
 "plans": {"preflight": {"requires": ["first"]}}, "limits": {"first": {"value": {"at_most": 2}}}, "environments": {"sandbox": {"sandbox": true}}}
"""
WAIVER = [
    "waivers",
    "new",
    "canary.health",
    "--environment",
    "production",
    "--subject",
    f"shop@sha256:{'ab' * 32}",
]
WAIVER += [
    "--reason",
    "a batch runs",
    "--risk",
    "low",
    "--ticket",
    "OPS-1",
    "--observe",
    "60",
    "--key",
    "bea.pem",
]
FILE = "configs/waivers/OPS-1-canary.health.dsse"


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("CUTOVER_KEY", "CUTOVER_KEY_PEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUTOVER_TRUST", "trust.json")
    monkeypatch.setenv("CUTOVER_KEY_LOG", "log.pem")
    for name, role in (("log", ["log", "--origin", "log.example"]), ("bea", ["waiver"]), ("pol", ["policy"])):
        assert cli.main(["keys", "new", f"{name}.pem", "--trust", "trust.json", "--role", *role]) == 0
    (tmp_path / "policy.json").write_text(POLICY)
    capsys.readouterr()
    return tmp_path


def logged(path):
    """The entry in the proof beside a file, once `cutover log verify` has believed it."""
    assert cli.main(["log", "verify", f"{path}.tlog-proof", "--file", str(path), "--log", "the-log"]) == 0
    return read_entry(parse_proof((path.parent / f"{path.name}.tlog-proof").read_bytes()).extra)


class TestWaivers:
    def test_a_waiver_that_is_made(self, folder, capsys):
        assert cli.main([*WAIVER, "--log", "the-log"]) == 0
        assert "logged: entry 0 of log.example" in capsys.readouterr().out

        entry = logged(folder / FILE)
        assert (entry.kind, entry.name, entry.environment) == (
            EntryKind.WAIVER,
            "OPS-1, canary.health",
            "production",
        )

    def test_each_signature_makes_another_file_and_entry(self, folder):
        cli.main([*WAIVER, "--log", "the-log"])
        assert cli.main(["keys", "new", "chris.pem", "--trust", "trust.json", "--role", "waiver"]) == 0

        assert cli.main(["waivers", "sign", FILE, "--key", "chris.pem", "--log", "the-log"]) == 0

        assert parse_proof((folder / f"{FILE}.tlog-proof").read_bytes()).index == 1
        logged(folder / FILE)

    def test_nothing_is_logged_unasked(self, folder):
        assert cli.main(WAIVER) == 0
        assert not (folder / "the-log").exists()


class TestPolicy:
    def test_a_policy_that_is_signed(self, folder, capsys):
        assert cli.main(["policy", "sign", "policy.json", "--key", "pol.pem", "--log", "the-log"]) == 0
        assert "logged  entry 0 of log.example" in capsys.readouterr().out

        entry = logged(folder / "policy.json")
        assert (entry.kind, entry.name, entry.environment) == (EntryKind.POLICY, "shop version 7", None)

    def test_a_log_that_cannot_be_used_is_said(self, folder, monkeypatch, capsys):
        monkeypatch.setenv("CUTOVER_KEY_LOG", "bea.pem")

        assert cli.main(["policy", "sign", "policy.json", "--key", "pol.pem", "--log", "the-log"]) == 2
        assert "expected a key that is trusted to sign for log.example" in capsys.readouterr().err
        assert not (folder / "the-log").exists()
