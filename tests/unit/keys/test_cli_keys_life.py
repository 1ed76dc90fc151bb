"""`cutover keys new --ring | list | check | rotate | retire | revoke` as users type them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_cutover.cli import main
from pytest_cutover.keys.ring import KeyRing
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.keys.verifier import load_public_key
from pytest_cutover.model import rfc3339
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.entry import read_entry
from pytest_cutover.tlog.known import log_keys
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteVerifier

Capture = pytest.CaptureFixture[str]
TRUST = Path("configs/trust.json")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A ring and a trust file that lists its key."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("CUTOVER_")]:
        monkeypatch.delenv(name)
    Path("configs").mkdir()
    made = keys("new", "ring", "--ring", "--trust", str(TRUST), "--name", "release", "--person", "Ada")
    assert made == 0, capsys.readouterr().err


def keys(*arguments: str) -> int:
    return main(["keys", *arguments])


def states() -> list[tuple[str, str]]:
    return [(key.name, key.state.value) for key in load_trust(TRUST).keys]


def logged() -> list[tuple[str, str]]:
    """Kind and text of every entry of the log."""
    public = load_public_key(Path("var/cutover/keys/log.pub.pem").read_text(), where="log")
    log = Log(
        FolderObjects(Path("var/cutover/log")),
        "cutover.local",
        verifiers=[NoteVerifier("cutover.local", public)],
    )
    entries = [read_entry(data) for data in log.entries(0, log.checkpoint().size)]
    return [(entry.kind.value, entry.name) for entry in entries]


class TestRotate:
    def test_makes_a_new_key_active_and_logs_it(self, capsys: Capture) -> None:
        old = KeyRing(Path("ring")).active()
        assert keys("rotate", "ring") == 0
        out = capsys.readouterr().out

        assert states() == [("release", "grace"), ("release 2", "active")]
        assert out.startswith("active  release 2 (")
        assert f"grace   release ({old[:16]}…); until " in out
        assert logged() == [("key", f"release: rotated to release 2 ({KeyRing(Path('ring')).active()[:16]})")]

    def test_ring_and_trust_file_may_share_a_folder(self) -> None:
        """The lock on the one is no other's on the other."""
        trust = "shared/trust.json"
        assert keys("new", "shared", "--ring", "--trust", trust, "--name", "r") == 0

        assert keys("rotate", "shared", "--trust", trust) == 0
        assert [k.state.value for k in load_trust(Path(trust)).keys] == ["grace", "active"]

    def test_the_ring_may_be_the_signing_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUTOVER_KEY", "ring")

        assert keys("rotate", "--grace-days", "1") == 0
        (old, _) = load_trust(TRUST).keys
        assert old.grace_until is not None
        assert old.grace_until - datetime.now(UTC) < timedelta(days=1)

    def test_prepared_it_waits_until_the_trust_file_was_handed_out(self, capsys: Capture) -> None:
        assert keys("rotate", "ring", "--prepare") == 0
        assert states() == [("release", "active"), ("release 2", "active")]
        assert keys("check", "--ring", "ring") == 1
        assert "warn     ring ring: a rotation is prepared" in capsys.readouterr().out
        assert keys("rotate", "ring") == 0
        assert states() == [("release", "grace"), ("release 2", "active")]
        assert keys("check", "--ring", "ring") == 0

    def test_without_a_ring_it_is_2(self, capsys: Capture) -> None:
        assert keys("rotate") == 2
        assert "expected a key ring, got none" in capsys.readouterr().err
        assert keys("rotate", "nowhere") == 2
        assert "there is no key ring" in capsys.readouterr().err

    def test_the_key_of_the_log_itself_is_rotated_like_any_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What says so is signed with the new key, as the old one counts for what was before."""
        origin = "log.example.org"
        arguments = ("--role", "log", "--origin", origin, "--name", "log", "--trust", str(TRUST))
        keys("new", "logring", "--ring", *arguments)
        monkeypatch.setenv("CUTOVER_KEY_LOG", "logring")
        assert keys("rotate", "ring") == 0
        assert keys("rotate", "logring") == 0
        assert keys("rotate", "ring") == 0

        anchor = load_trust(TRUST)
        log = Log(
            FolderObjects(Path("var/cutover/log")), origin, verifiers=log_keys(anchor, datetime.now(UTC))
        )
        assert log.checkpoint().size == 3
        assert not log.verify().problems
        rotated = {key.name: key.rotated.size for key in anchor.keys if key.rotated is not None}
        assert rotated == {"release": 0, "log": 1, "release 2": 2}

    def test_a_log_of_another_name_without_its_key_is_2_and_rotates_nothing(self, capsys: Capture) -> None:
        assert keys("rotate", "ring", "--origin", "log.example.org") == 2
        assert "expected the key of the log log.example.org" in capsys.readouterr().err
        assert states() == [("release", "active")]

    def test_a_log_that_went_back_is_2(self, capsys: Capture) -> None:
        keys("rotate", "ring", "--log", "elsewhere")
        (Path("elsewhere") / "checkpoint").unlink()

        assert keys("rotate", "ring", "--log", "elsewhere") == 2
        assert "there are tiles and no checkpoint" in capsys.readouterr().err

    def test_a_ring_needs_a_trust_file(self, capsys: Capture) -> None:
        assert keys("new", "other", "--ring") == 2
        assert "expected --trust FILE beside --ring" in capsys.readouterr().err
        assert not Path("other").exists()

    def test_nothing_private_is_printed(self, capsys: Capture) -> None:
        keys("rotate", "ring")
        (private,) = [p for p in Path("ring").glob("*.pem") if not p.name.endswith(".pub.pem")]
        said = capsys.readouterr()

        assert private.read_text().splitlines()[1] not in said.out + said.err


class TestCheck:
    def test_fine_is_0(self, capsys: Capture) -> None:
        assert keys("check", "--ring", "ring") == 0
        assert capsys.readouterr().out.endswith("✓ fine     ring ring: signs with release\n\nFINE\n")

    @pytest.mark.parametrize(("days", "severity"), [(8, "fine"), (6, "warn"), (2, "critical")])
    def test_an_end_in_sight_is_1(self, days: int, severity: str, capsys: Capture) -> None:
        document = json.loads(TRUST.read_text())
        document["keys"][0]["not_after"] = rfc3339(datetime.now(UTC) + timedelta(days=days))
        TRUST.write_text(json.dumps(document))

        assert keys("check", "--json") == (severity != "fine")
        answer = json.loads(capsys.readouterr().out)
        assert answer["severity"] == answer["findings"][0]["severity"] == severity
        assert keys("check", "--warn-days", "1", "--critical-days", "0") == 0
        assert keys("check", "--warn-days", "9") == 1

    def test_a_grace_that_is_over_is_1_until_it_is_retired(self, capsys: Capture) -> None:
        keys("rotate", "ring", "--grace-days", "0")
        later = rfc3339(datetime.now(UTC) + timedelta(days=1))

        assert keys("check", "--at", later) == 1
        assert "its grace was over" in capsys.readouterr().out
        assert keys("retire", "release") == 0
        assert keys("check", "--at", later) == 0
        assert logged()[-1] == ("key", "release: retired")

    def test_a_ring_that_signs_with_a_key_that_does_not_count_is_1(self, capsys: Capture) -> None:
        keys("revoke", "release", "--reason", "stolen")
        capsys.readouterr()

        assert keys("check", "--ring", "ring") == 1
        out = capsys.readouterr().out
        assert "ring ring: it signs with release, which is revoked" in out
        assert "role decision: no active key may act in it anywhere now" in out

    def test_a_ring_whose_key_is_not_listed_is_1(self, capsys: Capture) -> None:
        keys("new", "other", "--ring", "--trust", "elsewhere.json")

        assert keys("check", "--ring", "other") == 1
        assert "which configs/trust.json does not list" in capsys.readouterr().out

    def test_nonsense_is_2_or_64(self, capsys: Capture) -> None:
        assert keys("check", "--critical-days", "8") == 2
        assert "expected --critical-days of at most --warn-days, got 8 and 7" in capsys.readouterr().err
        with pytest.raises(SystemExit, match="64"):
            keys("check", "--warn-days", "-1")
        TRUST.unlink()
        assert keys("check") == 2
        assert "there is no trust file" in capsys.readouterr().err


class TestRetireAndRevoke:
    def test_all_whose_grace_is_over(self, capsys: Capture) -> None:
        keys("rotate", "ring")
        assert keys("retire") == 0
        assert "no grace in configs/trust.json is over" in capsys.readouterr().out
        document = json.loads(TRUST.read_text())
        document["keys"][0]["grace_until"] = document["keys"][0]["rotated"]["at"] = "2026-01-01T00:00:00Z"
        TRUST.write_text(json.dumps(document))

        assert keys("retire") == 0
        assert states() == [("release", "retired"), ("release 2", "active")]

    def test_a_key_is_named_or_its_id_begun(self, capsys: Capture) -> None:
        (key,) = load_trust(TRUST).keys
        for wrong in ("rel", key.keyid[:7], ""):
            assert keys("revoke", wrong, "--reason", "stolen") == 2
            assert "which fits 0 keys" in capsys.readouterr().err
        assert states() == [("release", "active")]
        assert keys("revoke", key.keyid[:8], "--reason", "stolen") == 0
        assert states() == [("release", "revoked")]

    def test_a_revocation_is_logged_with_its_reason(self) -> None:
        keys("revoke", "release", "--reason", "on a\nstolen laptop")

        assert logged() == [("key", "release: revoked: on a stolen laptop")]

    def test_a_log_that_is_away_does_not_keep_the_key_alive(self, capsys: Capture) -> None:
        Path("broken").write_text("no folder")

        assert keys("revoke", "release", "--reason", "stolen", "--log", "broken") == 2
        assert "and that is not logged" in capsys.readouterr().err
        assert load_trust(TRUST).keys[0].state is KeyState.REVOKED

    def test_the_log_s_own_key_does_not_log_its_revocation(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody believes what it signs from then on, a checkpoint least of all."""
        monkeypatch.setenv("CUTOVER_KEY_LOG", "log.pem")
        keys("new", "log.pem", "--role", "log", "--origin", "log.example", "--trust", str(TRUST))

        assert keys("revoke", "log", "--reason", "stolen") == 2
        err = capsys.readouterr().err
        assert "and that is not logged" in err
        assert "key 'log' signs no more" in err
        assert states() == [("release", "active"), ("log", "revoked")]
        assert not Path("var/cutover/log/checkpoint").exists()

    def test_a_revocation_needs_a_reason(self) -> None:
        with pytest.raises(SystemExit, match="64"):
            keys("revoke", "release")


class TestList:
    def test_shows_each_key_and_where_it_is_in_its_life(self, capsys: Capture) -> None:
        keys("rotate", "ring")
        capsys.readouterr()

        assert keys("list") == 0
        out = capsys.readouterr().out
        assert "grace    release, Ada  " in out
        assert "for entries of cutover.local below 0" in out
        assert "active   release 2, Ada  " in out
        assert keys("list", "--json") == 0
        listed = json.loads(capsys.readouterr().out)["keys"]
        assert [k["state"] for k in listed] == ["grace", "active", "active"]
        assert listed[2]["roles"] == ["log"]  # of this machine's own log
        assert listed[0]["rotated"]["size"] == 0
