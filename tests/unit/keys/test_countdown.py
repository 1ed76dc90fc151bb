"""How long keys last, day by day, and what else about them is red."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_cutover.keys.countdown import KeyFinding, Severity, check_keys
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.keys.trusted import KeyState, Rotation, TrustedKey
from pytest_cutover.keys.verifier import KeyKind

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PUBLIC = [load_private_pem(generate(KeyKind.ED25519), where="key").public for _ in range(3)]


def key(number: int = 0, **changes: Any) -> TrustedKey:
    fields: dict[str, Any] = {
        "public": PUBLIC[number],
        "keyid": PUBLIC[number].keyid,
        "name": f"key {number}",
        "roles": frozenset({"decision"}),
        "environments": frozenset({"*"}),
    }
    return TrustedKey(**{**fields, **changes})


def graced(until: datetime, **changes: Any) -> TrustedKey:
    life: dict[str, Any] = {"state": KeyState.GRACE, "rotated": Rotation("log", 5, NOW - DAY)}
    return key(**{**life, "grace_until": until, **changes})


def check(*keys: TrustedKey, now: datetime = NOW, **thresholds: int) -> list[KeyFinding]:
    anchor = Anchor(keys, AnchorSource.GIVEN, "trust.json", thresholds)
    return list(check_keys(anchor, now, warn=7 * DAY, critical=3 * DAY))


class TestCountdown:
    @pytest.mark.parametrize(
        ("left", "severity"),
        [
            (8 * DAY, Severity.FINE),
            (7 * DAY + timedelta(seconds=1), Severity.FINE),
            (7 * DAY, Severity.WARN),
            (3 * DAY + timedelta(seconds=1), Severity.WARN),
            (3 * DAY, Severity.CRITICAL),
            (timedelta(), Severity.CRITICAL),
        ],
    )
    def test_seven_days_or_fewer_are_red_three_or_fewer_critical(
        self, left: timedelta, severity: Severity
    ) -> None:
        (finding,) = check(key(not_after=NOW + left))

        assert finding.severity is severity
        assert finding.message.startswith("ends in ")

    def test_a_key_without_an_end_has_none(self) -> None:
        assert [(f.severity, f.message) for f in check(key())] == [(Severity.FINE, "has no end")]

    @pytest.mark.parametrize(
        ("span", "said"),
        [(2 * DAY, "2 days"), (47 * timedelta(hours=1), "47 hours"), (timedelta(minutes=90), "90 minutes")],
    )
    def test_says_what_is_left(self, span: timedelta, said: str) -> None:
        assert check(key(not_after=NOW + span))[0].message == f"ends in {said}"

    def test_a_key_that_ended_leaves_its_role_to_nobody(self) -> None:
        ended = key(not_after=NOW - DAY)

        assert [(f.severity, f.name) for f in check(ended)] == [
            (Severity.FINE, "key 0"),
            (Severity.CRITICAL, "role decision"),
        ]
        assert [f.severity for f in check(ended, key(1))] == [Severity.FINE] * 2

    def test_a_role_is_kept_up_environment_by_environment(self) -> None:
        ended = key(not_after=NOW - DAY, environments=frozenset({"production"}))
        elsewhere = key(1, environments=frozenset({"staging"}))

        assert [f.message for f in check(ended, elsewhere)][2:] == [
            "no active key may act in it for production now"
        ]

    def test_a_key_that_is_yet_to_begin_says_when(self) -> None:
        assert check(key(not_before=NOW + 5 * DAY), key(1))[0].message == "begins in 5 days"


class TestStates:
    def test_a_grace_is_fine_until_it_is_over(self) -> None:
        assert check(graced(NOW), key(1))[0].severity is Severity.FINE
        (over, *_) = check(graced(NOW - timedelta(seconds=1)), key(1))
        assert over.severity is Severity.CRITICAL
        assert "its grace was over" in over.message

    @pytest.mark.parametrize("state", [KeyState.GRACE, KeyState.RETIRED, KeyState.REVOKED])
    def test_without_a_key_that_signs_the_role_is_nobodys(self, state: KeyState) -> None:
        findings = check(graced(NOW + DAY, state=state))

        assert [f.severity for f in findings] == [Severity.FINE, Severity.CRITICAL]

    def test_a_revoked_key_says_why(self) -> None:
        revoked = key(state=KeyState.REVOKED, revoked_at=NOW, reason="stolen")

        assert check(revoked, key(1))[0].message == "revoked: stolen"

    def test_what_is_yet_to_come_has_not_happened(self) -> None:
        """A clock went back, or forward when the key was rotated: either way its dates mean nothing."""
        ahead = NOW + timedelta(minutes=1)
        rotated = graced(NOW + DAY, rotated=Rotation("log", 5, ahead))
        revoked = key(state=KeyState.REVOKED, revoked_at=ahead, reason="stolen")

        for odd in (rotated, revoked):
            assert check(odd, key(1))[0].severity is Severity.CRITICAL
            assert "a clock is wrong" in check(odd, key(1))[0].message


class TestThresholds:
    def test_persons_who_are_not_there_cannot_sign(self) -> None:
        ada, again, grace = key(person="Ada"), key(1, person="Ada"), key(2, person="Grace")

        assert [f.severity for f in check(ada, grace, decision=2)] == [Severity.FINE] * 2
        assert check(ada, again, decision=2)[-1].message == "it takes 2 persons, and active keys belong to 1"
        assert check(ada, key(1), decision=2)[-1].severity is Severity.CRITICAL
        gone = key(2, person="Grace", state=KeyState.RETIRED)
        assert check(ada, gone, decision=2)[-1].severity is Severity.CRITICAL
