"""A folder with a trust file, and evidence to put into it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.policy.signature import sign_policy
from tests.unit.evidence.runs import KEY, POLICY_KEY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; its trust file knows the key of decisions and the key of policies."""
    keys = [
        trust_entry(KEY.public, name="release"),
        trust_entry(POLICY_KEY.public, name="p", roles=("policy",)),
    ]
    (tmp_path / "trust.json").write_text(json.dumps({"format": 1, "keys": keys}))
    monkeypatch.setenv("CUTOVER_TRUST", str(tmp_path / "trust.json"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, bundle: bytes | None, report: bytes) -> Path:
    """A run folder with this evidence."""
    folder.mkdir(exist_ok=True, parents=True)
    if bundle is not None:
        (folder / BUNDLE_FILE).write_bytes(bundle)
    (folder / REPORT_FILE).write_bytes(report)
    return folder


def write_policy(path: Path, *, at_most: float, signed: bool = True, **plan: Any) -> Path:
    """A policy for the runs of `tests.unit.evidence.runs`, in production and the sandbox."""
    document = {
        "format": 1,
        "name": "shop",
        "version": 4,
        "plans": {"preflight": {"requires": ["service.ready"], **plan}},
        "limits": {"service.ready": {"latency": {"at_most": at_most, "unit": "s"}}},
        "environments": {"production": {}, "sandbox": {"sandbox": True}},
    }
    path.write_text(json.dumps(document))
    if signed:
        path.with_name(f"{path.name}.dsse").write_bytes(sign_policy(path.read_bytes(), POLICY_KEY))
    return path
