"""The guide about auditing a release offline, done as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.guides import GUIDES, Guide

if TYPE_CHECKING:
    from pathlib import Path


def test_audit_a_release_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    varies = ((r"[0-9a-f]{12,64}…?", "HEX"), (r"[A-Za-z0-9+/]{40,}=*", "BASE64"))

    Guide(GUIDES / "audit-a-release.md", home, {}, varies).follow()

    assert len(list((home / "auditor/evidence/history").iterdir())) == 2
    assert len(list((home / "var/evidence/history").iterdir())) == 3
