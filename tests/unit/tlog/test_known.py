"""Which keys of a trust file may sign checkpoints, and cosign them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.keys.trusted import KeyState, Rotation, TrustedKey
from pytest_cutover.tlog.known import log_keys, witness_keys
from tests.unit.tlog.logs import ORIGIN, SIGNER

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = TrustedKey(
    SIGNER.public, SIGNER.keyid, "k", frozenset({"log"}), frozenset({"production"}), origin=ORIGIN
)
GRACE = replace(KEY, state=KeyState.GRACE, grace_until=NOW + DAY, rotated=Rotation(ORIGIN, 7, NOW - DAY))


def anchor(key):
    return Anchor((key,), AnchorSource.GIVEN, "trust.json")


def sizes(key, at=NOW, **options):
    return [v.max_size for v in log_keys(anchor(key), at, **options)]


def witness_sizes(key, origin=ORIGIN):
    """Of the same key, were it a witness's."""
    if key.roles == KEY.roles:
        key = replace(
            key, roles=frozenset({"witness"}), origin=None if key.origin is None else "witness.example"
        )
    return [v.max_size for v in witness_keys(anchor(key), NOW, origin)]


def test_an_active_key():
    assert sizes(KEY) == witness_sizes(KEY) == [None]
    assert log_keys(anchor(KEY), NOW)[0].name == ORIGIN


@pytest.mark.parametrize(
    "change",
    [
        {"state": KeyState.RETIRED},
        {"state": KeyState.REVOKED},
        {"roles": frozenset({"decision"})},
        {"origin": None},
        {"not_before": NOW + DAY},
        {"not_after": NOW - DAY},
    ],
    ids=str,
)
def test_keys_that_do_not_count(change):
    assert sizes(replace(KEY, **change)) == witness_sizes(replace(KEY, **change)) == []


def test_roles_are_not_mixed_up():
    witness = replace(KEY, roles=frozenset({"witness"}))

    assert (sizes(KEY), [v.max_size for v in witness_keys(anchor(KEY), NOW, "other")]) == ([None], [])
    assert (sizes(witness), witness_sizes(witness)) == ([], [None])


def test_a_log_is_not_its_own_witness():
    """Whoever runs the log has that key: its cosignature would say nothing more."""
    both = replace(KEY, roles=frozenset({"log", "witness"}))

    assert witness_sizes(both) == []
    assert witness_sizes(both, "another log") == [None]


def test_a_rotated_key_counts_for_the_log_as_it_was():
    assert sizes(GRACE) == witness_sizes(GRACE) == [7]
    assert sizes(GRACE, NOW + 2 * DAY) == []


def test_a_rotation_by_another_log_says_nothing_of_this_one():
    elsewhere = replace(GRACE, rotated=Rotation("other", 7, NOW - DAY))

    assert sizes(elsewhere) == witness_sizes(elsewhere) == []
    assert witness_sizes(GRACE, "other") == []


def test_an_environment():
    assert sizes(KEY, environment="production") == [None]
    assert sizes(KEY, environment="staging") == []
