"""docs/guides/evidence-in-s3.md, followed step by step on Ceph's gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_cutover.objects.s3_client import s3_client
from tests.guides import GUIDES, Guide
from tests.real.ceph import Ceph

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GUIDE = GUIDES / "evidence-in-s3.md"
PORT = 7480

VARIES = (
    (r"\d{8}T\d{6}Z[-0-9a-f]*", "STAMP"),
    (r"after \d\d:\d\d UTC", "after MM UTC"),
    (r"\d+\.\d kB", "N kB"),
)


def test_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    with Ceph(tmp_path / "ceph") as ceph:
        Guide(GUIDE, home, {PORT: ceph.port}, VARIES).follow()
        for name, value in ceph.environ().items():
            monkeypatch.setenv(name, value)
        listed = s3_client().list_object_versions(Bucket="evidence", Prefix="shop/history/")

    (drill,) = (home / "var/cutover/drills").iterdir()
    assert json.loads(drill.read_text())["payloadType"] == "application/vnd.in-toto+json"
    assert len(list((home / "var/evidence/history").iterdir())) == 2
    assert (
        len(listed["Versions"]) == len(listed["DeleteMarkers"]) == len({v["Key"] for v in listed["Versions"]})
    )
