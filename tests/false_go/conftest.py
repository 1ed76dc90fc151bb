"""Throw-away keys for the projects that are signed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.keys.signer import generate, load_private_key
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.keys.verifier import KeyKind
from tests.false_go.harness import Keys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A decision key, a policy key, and the trust file that names both."""
    folder = tmp_path_factory.mktemp("keys")
    entries = []
    for role in ("decision", "policy"):
        path = _new_key(folder / f"{role}.pem")
        public = load_private_key(path).public
        entries.append(trust_entry(public, name=role, roles=(role,), environments=("*",)))
    trust = folder / "trust.json"
    trust.write_text(json.dumps({"format": 1, "keys": entries}))
    return Keys(folder / "decision.pem", folder / "policy.pem", trust)


def _new_key(path: Path) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(generate(KeyKind.ED25519))
    return path
