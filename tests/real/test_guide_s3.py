"""docs/guides/evidence-in-s3.md, followed step by step on Ceph's gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.guides import GUIDES, Guide

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.ceph import Ceph

GUIDE = GUIDES / "evidence-in-s3.md"
PORT = 7480

VARIES = (
    (r"\d{8}T\d{6}Z[-0-9a-f]*", "STAMP"),
    (r"after \d\d:\d\d UTC", "after MM UTC"),
    (r"\d+\.\d kB", "N kB"),
)


def test_does_what_it_says(tmp_path: Path, ceph: Ceph) -> None:
    home = tmp_path / "home"

    Guide(GUIDE, home, {PORT: ceph.port}, VARIES).follow()

    listed = ceph.client().list_object_versions(Bucket="evidence", Prefix="shop/history/")

    (drill,) = (home / "var/cutover/drills").iterdir()
    assert json.loads(drill.read_text())["payloadType"] == "application/vnd.in-toto+json"
    assert len(list((home / "var/evidence/history").iterdir())) == 2
    assert (
        len(listed["Versions"]) == len(listed["DeleteMarkers"]) == len({v["Key"] for v in listed["Versions"]})
    )
