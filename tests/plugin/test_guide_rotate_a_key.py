"""The guide about rotating keys, done as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.keys.trust import load_trust
from tests.guides import GUIDES, Guide

if TYPE_CHECKING:
    from pathlib import Path


def test_rotate_a_key_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    # Ids of keys are shown with 16 digits and an ellipsis; days that are left depend on the day.
    varies = ((r"[0-9a-f]{12,64}…?", "HEX"), (r"\b\d+ days\b", "DAYS"), (r"\b20\d\d-\d\d-\d\d\b", "DAY"))

    Guide(GUIDES / "rotate-a-key.md", home, {}, varies).follow()

    states = {key.name: key.state.value for key in load_trust(home / "trust.json").keys}
    assert states == {
        "release key": "retired",
        "log key": "active",
        "release key 2": "revoked",
        "release key 3": "active",
    }
