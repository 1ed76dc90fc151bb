"""HMAC keys: which tags count, for what, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.hmac import HmacKey, HmacRing, read_hmac_ring

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RING = HmacRing.new("stage-1")
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDA="


def verify(ring: HmacRing, tagged: tuple[str, bytes], message: bytes = b"m", **changes: Any) -> bool:
    asked: dict[str, Any] = {"purpose": "stage", "now": NOW, **changes}
    return ring.verify(*tagged, asked["purpose"], message, now=asked["now"])


class TestTags:
    def test_a_tag_counts_for_its_message_and_purpose_alone(self) -> None:
        tagged = RING.tag("stage", b"m")

        assert verify(RING, tagged)
        assert not verify(RING, tagged, b"n")
        assert not verify(RING, tagged, purpose="verdict")
        assert not verify(HmacRing.new("stage-1"), tagged)

    def test_purpose_and_message_do_not_run_together(self) -> None:
        assert RING.tag("stage", b"m") != RING.tag("stag", b"em")

    def test_it_is_hmac_sha256(self) -> None:
        key = RING.keys[0]

        assert RING.tag("stage", b"m") == (
            "stage-1",
            hmac.new(key.secret, b"cutover-hmac-v1 5 stagem", hashlib.sha256).digest(),
        )

    @pytest.mark.parametrize("tag", [b"", b"x", b"\0" * 32])
    def test_anything_else_does_not(self, tag: bytes) -> None:
        key_id, good = RING.tag("stage", b"m")

        assert not verify(RING, (key_id, tag))
        assert not verify(RING, (key_id, good[:-1]))
        assert not verify(RING, ("stage-2", good))
        assert not verify(RING, ("", good))

    def test_an_unknown_id_is_not_the_key_that_stands_in_for_it(self) -> None:
        """Its time is that of a known one; its tag would be made with a secret everybody can read here."""
        stand_in = HmacRing((HmacKey("nobody", b"\0" * 32),))

        assert not verify(RING, stand_in.tag("stage", b"m"))


class TestRotation:
    def test_the_old_key_counts_until_its_grace_is_over_and_makes_no_tags(self) -> None:
        old = RING.tag("stage", b"m")
        ring = RING.rotated("stage-2", now=NOW, grace=timedelta(hours=1))

        assert ring.tag("stage", b"m")[0] == "stage-2"
        assert verify(ring, old, now=NOW + timedelta(hours=1))
        assert not verify(ring, old, now=NOW + timedelta(hours=1, seconds=1))

    def test_keys_whose_grace_is_over_are_left_out(self) -> None:
        ring = RING.rotated("stage-2", now=NOW, grace=timedelta(hours=1))
        later = ring.rotated("stage-3", now=NOW + timedelta(hours=2), grace=timedelta(hours=1))

        assert [key.id for key in later.keys] == ["stage-3", "stage-2"]

    def test_an_id_is_used_once(self) -> None:
        with pytest.raises(ValueError, match="an id that no key of the ring has"):
            RING.rotated("stage-1", now=NOW, grace=timedelta())
        with pytest.raises(ValueError, match="expected an id such as"):
            HmacRing.new("Stage 1")


class TestText:
    def test_reading_gives_what_was_written(self) -> None:
        ring = RING.rotated("stage-2", now=NOW, grace=timedelta(hours=1))

        assert read_hmac_ring(ring.to_json(), where="ring") == ring

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ("", "strict JSON"),
            ([], r"the fields format \(1\) and keys"),
            ({"format": 2, "keys": []}, "the fields format"),
            ({"format": 1, "keys": []}, "at least one"),
            ({"format": 1, "keys": [5]}, "each key with id, secret"),
            ({"format": 1, "keys": [{"id": "a"}]}, "each key with id, secret"),
            ({"format": 1, "keys": [{"id": "A", "secret": SECRET}]}, "id: small letters"),
            ({"format": 1, "keys": [{"id": "a", "secret": SECRET[:-1]}]}, "secret: base64"),
            ({"format": 1, "keys": [{"id": "a", "secret": None}]}, "secret: base64"),
            ({"format": 1, "keys": [{"id": "a", "secret": "c2hvcnQ="}]}, "secret: 32 to 1024 bytes, got 5"),
            (
                {"format": 1, "keys": [{"id": "a", "secret": SECRET, "grace_until": SECRET}]},
                "grace_until: a UTC time",
            ),
            (
                {
                    "format": 1,
                    "keys": [{"id": "a", "secret": SECRET, "grace_until": "2026-01-01T00:00:00Z"}],
                },
                "one key without grace_until",
            ),
            ({"format": 1, "keys": [{"id": "a", "secret": SECRET}] * 2}, "different ids"),
            (
                {"format": 1, "keys": [{"id": "a", "secret": SECRET}, {"id": "b", "secret": SECRET}]},
                "one key without grace_until",
            ),
            (f'{{"{SECRET}": 1, "{SECRET}": 2}}', "strict JSON"),
        ],
    )
    def test_says_what_is_wrong_and_repeats_no_secret(self, document: Any, message: str) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        with pytest.raises(ConfigError, match=message) as caught:
            read_hmac_ring(text, where="ring.json")

        assert str(caught.value).startswith("ring.json: ")
        assert SECRET[:8] not in f"{caught.value} {caught.value.hint}"

    def test_nothing_private_is_shown(self) -> None:
        assert repr(RING) == "HmacRing(keys=(<HmacKey stage-1>,))"
