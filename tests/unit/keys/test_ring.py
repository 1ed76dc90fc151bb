"""Rotating keys: what signers and verifiers see, wherever it is stopped."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.keys import ring as ring_module
from pytest_cutover.keys.position import LogPosition
from pytest_cutover.keys.ring import KeyRing, is_ring, retire, revoke
from pytest_cutover.keys.signer import current, load_private_key, load_signer, sign_logged
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.keys.verifier import KeyKind
from tests.unit.keys.rings import GRACE, NOW, ORIGIN, Ringed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.keys.signer import Signer


@pytest.fixture
def ringed(tmp_path: Path) -> Ringed:
    return Ringed(tmp_path).begin()


class TestBegin:
    def test_makes_a_folder_that_only_its_owner_may_read(self, ringed: Ringed) -> None:
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in ringed.ring.folder.iterdir()}
        private = [name for name in modes if name.endswith(".pem") and not name.endswith(".pub.pem")]

        assert stat.S_IMODE(ringed.ring.folder.stat().st_mode) == 0o700
        assert [modes[name] for name in (*private, "ring.json")] == [0o600, 0o600]
        assert is_ring(ringed.ring.folder)

    def test_a_ring_is_not_begun_twice(self, ringed: Ringed) -> None:
        with pytest.raises(ConfigError, match="is a ring already"):
            ringed.ring.begin(KeyKind.ED25519)

    def test_a_ring_is_a_key_wherever_a_key_is_asked_for(self, ringed: Ringed) -> None:
        folder = ringed.ring.folder
        signer = load_signer({"CUTOVER_KEY": str(folder)}, ringed.folder, option=None, say=print)

        assert signer is not None
        assert signer.keyid == load_private_key(folder).keyid == ringed.ring.active()

    def test_who_holds_its_key_can_ask_for_the_one_of_now(
        self, ringed: Ringed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(ringed.folder)
        held = load_private_key(Path("ring"))
        monkeypatch.chdir("/")
        assert current(held).keyid == held.keyid
        ringed.rotate()

        assert current(held).keyid == ringed.ring.active() != held.keyid
        alone = load_private_key(ringed.ring.folder / f"{ringed.ring.active()[:16]}.pem")
        assert current(alone) is alone


class TestRotate:
    def test_the_new_key_does_what_the_old_one_did(self, ringed: Ringed) -> None:
        before = ringed.ring.signer()
        done = ringed.rotate()
        old, new = ringed.keys().values()

        assert (done.old, done.new, done.was_begun) == (old, new, False)
        assert (new.name, new.person, new.roles) == ("release 2", "Ada", old.roles)
        assert (old.keyid, new.keyid) == (before.keyid, ringed.ring.signer().keyid)
        assert [old.state, new.state] == [KeyState.GRACE, KeyState.ACTIVE]

    def test_the_old_one_counts_for_what_was_logged_before(self, ringed: Ringed) -> None:
        for at in range(3):
            ringed.log.put(at)
        old = ringed.rotate().old
        asked: dict[str, Any] = {"role": "decision", "environment": "production", "at": NOW}
        anchor = load_trust(ringed.trust)
        counting = [old in anchor.verifiers(**asked, position=LogPosition(ORIGIN, index)) for index in (2, 3)]

        assert counting == [True, False]
        assert old.grace_until == NOW + GRACE
        assert ringed.log.entries[3:] == [
            (old.keyid, f"release: rotated to release 2 ({ringed.ring.active()[:16]})", NOW)
        ]

    def test_the_old_private_key_is_gone(self, ringed: Ringed) -> None:
        old = ringed.ring.folder / f"{ringed.ring.active()[:16]}.pem"
        ringed.rotate()

        assert not old.exists()
        assert old.with_suffix(".pub.pem").exists()

    def test_names_are_counted_on(self, ringed: Ringed) -> None:
        for _ in range(3):
            ringed.rotate()

        assert list(ringed.keys()) == ["release", "release 2", "release 3", "release 4"]

    def test_a_key_with_an_end_is_followed_by_one_that_lasts_as_long(self, tmp_path: Path) -> None:
        ringed = Ringed(tmp_path).begin(not_before="2026-01-01T00:00:00Z", not_after="2026-12-01T00:00:00Z")
        new = ringed.rotate().new

        assert new.not_before == NOW
        assert new.not_after == NOW + timedelta(days=334)

    def test_the_kind_may_change(self, ringed: Ringed) -> None:
        assert ringed.rotate(kind=KeyKind.ECDSA_P256).new.public.kind is KeyKind.ECDSA_P256
        assert ringed.rotate().new.public.kind is KeyKind.ECDSA_P256

    def test_a_revoked_key_stays_revoked(self, ringed: Ringed) -> None:
        revoke(ringed.trust, ringed.ring.active(), reason="stolen", at=NOW, log=None)
        done = ringed.rotate()

        assert (done.old.state, done.new.state) == (KeyState.REVOKED, KeyState.ACTIVE)

    def test_a_key_that_nobody_trusts_is_not_rotated(self, ringed: Ringed, tmp_path: Path) -> None:
        other = Ringed(tmp_path / "other")
        other.ring.begin(KeyKind.ED25519)
        with pytest.raises(ConfigError, match="there is no key"):
            other.ring.rotate(ringed.trust, ringed.log, grace=GRACE, at=NOW)
        with pytest.raises(ConfigError, match="there is no trust file"):
            other.rotate()

        assert not other.ring.is_unfinished()

    def test_the_rest_of_the_trust_file_stays(self, ringed: Ringed) -> None:
        document = json.loads(ringed.trust.read_text())
        more = {"thresholds": {"decision": {"persons": 1}}, "policies": {"shop": {"min_version": 3}}}
        ringed.trust.write_text(json.dumps({**document, **more}))
        ringed.trust.chmod(0o640)
        ringed.rotate()

        after = json.loads(ringed.trust.read_text())
        assert {name: after[name] for name in more} == more
        assert stat.S_IMODE(ringed.trust.stat().st_mode) == 0o640


class TestPrepare:
    def test_lists_the_next_key_and_signs_with_the_old_one(self, ringed: Ringed) -> None:
        old = ringed.ring.active()
        following = ringed.ring.prepare(ringed.trust, at=NOW)

        assert ringed.ring.signer().keyid == old
        assert [k.state for k in ringed.keys().values()] == [KeyState.ACTIVE, KeyState.ACTIVE]
        assert ringed.ring.prepare(ringed.trust, at=NOW) == following
        done = ringed.rotate()
        assert (done.new, done.was_begun) == (following, False)
        assert len(ringed.keys()) == 2

    def test_a_rotation_that_is_further_is_not_prepared(self, ringed: Ringed) -> None:
        class Away:
            origin = ORIGIN

            def append(self, *_: Any) -> int:
                raise AdapterError("the log is away")

        with pytest.raises(AdapterError):
            ringed.ring.rotate(ringed.trust, Away(), grace=GRACE, at=NOW)

        assert not ringed.ring.is_prepared()
        with pytest.raises(ConfigError, match="a rotation is under way already"):
            ringed.ring.prepare(ringed.trust, at=NOW)


class StoppedError(Exception):
    """Where a process ended."""


def stopping(function: Callable[..., Any], calls: list[int], at: int, *, after: bool) -> Callable[..., Any]:
    """The function, which at its `at`-th call, among all that share `calls`, ends before or after it is done."""

    def stop(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == at and not after:
            raise StoppedError
        out = function(*arguments, **named)
        if len(calls) == at:
            raise StoppedError
        return out

    return stop


class TestStopped:
    STEPS = 7
    """Two files of the new key, three times ring.json, twice the trust file; and the log."""

    def stop(self, ringed: Ringed, at: int, after: bool, monkeypatch: pytest.MonkeyPatch) -> int:
        calls: list[int] = []
        with monkeypatch.context() as patched:
            for name in ("write_atomic", "write_new_private"):
                patched.setattr(
                    ring_module, name, stopping(getattr(ring_module, name), calls, at, after=after)
                )
            patched.setattr(ringed.log, "append", stopping(ringed.log.append, calls, at, after=after))
            if at <= self.STEPS + 1:
                with pytest.raises(StoppedError):
                    ringed.rotate()
            else:
                ringed.rotate()
        return len(calls)

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("at", range(1, STEPS + 2))
    def test_wherever_it_is_signers_sign_with_a_key_that_counts(
        self, ringed: Ringed, at: int, after: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And the next rotation goes on from there, to the same end."""
        self.stop(ringed, at, after, monkeypatch)

        assert ringed.active().state is KeyState.ACTIVE
        is_switched = ringed.ring.is_unfinished() and not ringed.ring.is_prepared()
        done = ringed.rotate()
        assert done.was_begun is is_switched
        assert not ringed.ring.is_unfinished()
        assert ringed.active().state is KeyState.ACTIVE
        assert [k.state for k in ringed.keys().values()][:-1] == [KeyState.GRACE] * (len(ringed.keys()) - 1)
        size = None if done.old.rotated is None else done.old.rotated.size
        assert size == len(ringed.log.entries) - 1

    def test_every_step_was_stopped_at(self, ringed: Ringed, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.stop(ringed, 99, False, monkeypatch) == self.STEPS + 1

    def test_a_log_that_is_away_is_said_and_the_old_key_counts_until_it_is_back(self, ringed: Ringed) -> None:
        class Away:
            origin = ORIGIN

            def append(self, *_: Any) -> int:
                raise AdapterError("the log is away")

        with pytest.raises(AdapterError, match="the log is away"):
            ringed.ring.rotate(ringed.trust, Away(), grace=GRACE, at=NOW)

        assert [k.state for k in ringed.keys().values()] == [KeyState.ACTIVE, KeyState.ACTIVE]
        assert ringed.rotate().was_begun


class TestSignLogged:
    def test_a_rotation_in_between_is_signed_again(self, ringed: Ringed) -> None:
        old = ringed.ring.active()

        def sign(signer: Signer) -> str:
            if signer.keyid == old:
                ringed.rotate()
            return signer.keyid

        signed, position = sign_logged(ringed.ring.signer(), sign, ringed.log.put)

        assert signed == ringed.ring.active() != old
        assert ringed.log.entries[position] == signed

    def test_one_after_it_was_logged_too(self, ringed: Ringed) -> None:
        """Nobody can tell from the log alone whether the entry stands before the rotation's: so it does not count."""
        old = ringed.ring.active()

        def log(signed: str) -> int:
            if signed == old:
                ringed.rotate()
            return ringed.log.put(signed)

        signed, _ = sign_logged(ringed.ring.signer(), lambda signer: signer.keyid, log)

        assert signed != old

    def test_without_one_it_is_signed_once(self, ringed: Ringed) -> None:
        sign_logged(ringed.ring.signer(), lambda signer: signer.keyid, ringed.log.put)

        assert ringed.log.entries == [ringed.ring.active()]

    def test_rotations_without_end_are_an_error(self, ringed: Ringed) -> None:
        def sign(signer: Signer) -> str:
            ringed.rotate()
            return signer.keyid

        with pytest.raises(AdapterError, match="rotated 20 times while one thing was signed"):
            sign_logged(ringed.ring.signer(), sign, ringed.log.put)


class TestRevokeAndRetire:
    def test_a_revocation_is_in_the_file_before_it_is_logged(self, ringed: Ringed) -> None:
        """A log that is away must not keep a stolen key alive."""

        class Away:
            origin = ORIGIN

            def append(self, *_: Any) -> int:
                raise AdapterError("the log is away")

        with pytest.raises(AdapterError):
            revoke(ringed.trust, ringed.ring.active(), reason="stolen", at=NOW, log=Away())

        assert ringed.active().state is KeyState.REVOKED

    def test_revoked_twice_keeps_the_first_time_and_reason(self, ringed: Ringed) -> None:
        keyid = ringed.ring.active()
        revoke(ringed.trust, keyid, reason="stolen", at=NOW, log=ringed.log)
        again = revoke(ringed.trust, keyid, reason="x", at=NOW + timedelta(days=1), log=ringed.log)

        assert (again.revoked_at, again.reason) == (NOW, "stolen")
        assert [event for _, event, _ in ringed.log.entries] == [
            "release: revoked: stolen",
            "release: revoked: x",
        ]

    def test_only_a_grace_is_ended(self, ringed: Ringed) -> None:
        with pytest.raises(ConfigError, match="expected a key in grace, got 'release', which is active"):
            retire(ringed.trust, ringed.ring.active(), at=NOW, log=ringed.log)
        old = ringed.rotate().old

        assert retire(ringed.trust, old.keyid, at=NOW, log=ringed.log).state is KeyState.RETIRED
        assert ringed.log.entries[-1] == (old.keyid, "release: retired", NOW)
        assert retire(ringed.trust, old.keyid, at=NOW, log=None).state is KeyState.RETIRED


class TestRingFile:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "cannot be read"),
            ("[]", "expected a key ring of format 1"),
            ('{"format": 2, "active": "x"}', "expected a key ring of format 1"),
            ('{"format": 1}', "expected a key ring of format 1"),
            ('{"format": 1, "active": "x"}', "expected ids of keys"),
            ('{"format": 1, "active": 5}', "expected ids of keys"),
            ('{"format": 1, "active": "x", "more": 1}', "expected active, and next or leaving"),
            ('{"format": 1, "active": "x", "next": "x", "leaving": "x"}', "expected active, and next or"),
            (json.dumps({"format": 1, "active": "a" * 64}), "there is no such key file"),
            (json.dumps({"format": 1, "active": "../" + "a" * 61}), "expected ids of keys"),
        ],
    )
    def test_anything_else_signs_nothing(self, ringed: Ringed, text: str, message: str) -> None:
        (ringed.ring.folder / "ring.json").write_text(text)

        with pytest.raises(ConfigError, match=message):
            ringed.ring.signer()

    def test_no_ring_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no key ring"):
            KeyRing(tmp_path).signer()

    def test_a_key_under_the_name_of_another_is_refused(self, ringed: Ringed, tmp_path: Path) -> None:
        other = Ringed(tmp_path / "other").begin()
        theirs = other.ring.folder / f"{other.ring.active()[:16]}.pem"
        theirs.replace(ringed.ring.folder / f"{ringed.ring.active()[:16]}.pem")

        with pytest.raises(ConfigError, match="expected the key"):
            ringed.ring.signer()

    def test_a_key_that_others_can_read_is_refused(self, ringed: Ringed) -> None:
        (ringed.ring.folder / f"{ringed.ring.active()[:16]}.pem").chmod(0o644)

        with pytest.raises(ConfigError, match="only its owner may read"):
            ringed.ring.signer()
