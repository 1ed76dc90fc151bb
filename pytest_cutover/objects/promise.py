"""What a folder promised about one of its objects: a small canonical file. No I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Promise:
    """Until when an object is kept as it is, and whether it is held besides."""

    retain_until: datetime | None = None
    legal_hold: bool = False


def format_promise(key: str, promise: Promise) -> bytes:
    """The only bytes that say this about `key`."""
    until = None if promise.retain_until is None else rfc3339(promise.retain_until)
    document: dict[str, Any] = {"key": key, "legal_hold": promise.legal_hold, "retain_until": until}
    # Another digit of the time would be another promise; the digest finds damage, and nobody's intent.
    document["sha256"] = hashlib.sha256(_json(document)).hexdigest()
    return _json(document) + b"\n"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def read_promise(key: str, data: bytes, *, where: str) -> Promise:
    """The promise about `key` in a file's bytes.

    Raises:
        EvidenceError: anything that `format_promise` would not have written: read as no promise, a damaged one would
            let the object go.
    """
    try:
        fields = strictjson.loads(data)
        until = fields["retain_until"]
        promise = Promise(None if until is None else parse_rfc3339(until), fields["legal_hold"] is True)
    except (ValueError, KeyError, TypeError):
        promise = None
    if promise is None or format_promise(key, promise) != data:
        raise EvidenceError(f"{where}: what is promised about {key} is damaged")
    return promise
