"""Policies for tests: one good document, and ways to break it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.keys.signer import PemSigner, generate, load_private_pem
from pytest_cutover.keys.trust import Anchor, AnchorSource, TrustedKey
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import SignerKind
from pytest_cutover.policy.check import check
from pytest_cutover.policy.positions import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_cutover.policy.issues import Issue

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FILE = "configs/policy.json"

GOOD: dict[str, Any] = {
    "$schema": "./schemas/policy-1.schema.json",
    "format": 1,
    "name": "shop",
    "version": 3,
    "expires": "2030-01-01T00:00:00Z",
    "default_environment": "sandbox",
    "defaults": {"max_age_s": 600, "min_samples": 5},
    "plans": {
        "preflight": {
            "requires": ["app.ready", {"gate": "region.ready", "instances": ["eu", "us"]}],
            "settings": {"gate_timeout_s": 30, "run_deadline_s": 300},
        },
        "nightly": {"phase": "canary", "requires": [{"gate": "app.ready", "instances": 3}]},
    },
    "limits": {
        "app.ready": {
            "status": {"one_of": ["ready", "ok"]},
            "latency": {"at_most": 0.5, "unit": "s", "min_samples": 3, "max_age_s": 60},
        },
        "region.ready": {"ratio": {"between": [0.9, 1]}},
        "region.ready[eu]": {"ratio": {"at_least": 0.95}},
    },
    "environments": {
        "sandbox": {"sandbox": True, "targets": {"app": "embedded"}},
        "prod": {
            "settings": {"runner": "supervised", "max_age_s": 120},
            "plans": {"nightly": {"requires": ["region.ready"]}},
            "limits": {"app.ready": {"latency": {"at_most": 0.2, "unit": "s"}}},
            "targets": {"app": "https://shop.example"},
            "subjects": [{"name": "shop", "files": "dist/*.whl"}, {"name": "tree", "git": "HEAD"}],
        },
    },
}

MISSING = object()


def changed(*changes: tuple[Sequence[str | int], Any]) -> dict[str, Any]:
    """GOOD with the value at each path replaced; MISSING removes it."""
    document = copy.deepcopy(GOOD)
    for path, value in changes:
        node: Any = document
        for key in path[:-1]:
            node = node[key]
        if value is MISSING:
            del node[path[-1]]
        else:
            node[path[-1]] = value
    return document


def text_of(document: Any) -> str:
    """One key or element a line, so that a line number means something."""
    return json.dumps(document, indent=2)


def issues_of(document: Any, *, now: datetime | None = NOW) -> list[Issue]:
    return check(parse(text_of(document).encode(), FILE), now=now)[1]


def mistakes_of(document: Any, *, now: datetime | None = NOW) -> list[Issue]:
    return [i for i in issues_of(document, now=now) if not i.note]


def line_of(document: Any, path: Sequence[str | int]) -> int:
    """The line of the key (or list element) at `path` in `text_of(document)`."""
    located = parse(text_of(document).encode(), FILE)
    return located.key_line(tuple(path))


def write(folder: Path, document: Any) -> Path:
    path = folder / "policy.json"
    path.write_text(text_of(document), encoding="utf-8")
    return path


def signer(kind: SignerKind = SignerKind.CONFIGURED) -> PemSigner:
    return load_private_pem(generate(KeyKind.ED25519), where="test key", kind=kind)


def anchor(
    key: PemSigner,
    *,
    roles: Sequence[str] = ("policy",),
    environments: Sequence[str] = ("*",),
    source: AnchorSource = AnchorSource.GIVEN,
    not_after: datetime | None = None,
) -> Anchor:
    trusted = TrustedKey(
        key.public, key.keyid, "release", frozenset(roles), frozenset(environments), not_after=not_after
    )
    return Anchor((trusted,), source, "trust.json")
