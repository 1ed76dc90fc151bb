"""What the log holds: one small record per decision, approval, … that names a document by its SHA-256. No I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import parse_rfc3339, rfc3339
from pytest_cutover.tlog.tiles import MAX_ENTRY_BYTES

if TYPE_CHECKING:
    from datetime import datetime

ENTRY_FORMAT: Final = 1
MAX_NAME: Final = 500

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = frozenset({"at", "format", "kind", "name", "sha256"})


class EntryKind(Enum):
    """What kind of document an entry names."""

    DECISION = "decision"
    APPROVAL = "approval"
    WAIVER = "waiver"
    POLICY = "policy"
    KEY = "key"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """That a document was there: what it is, its digest, and when somebody says it was logged.

    The log proves the order of entries; **`at` and `name` are claims of whoever appended**.
    """

    kind: EntryKind
    sha256: str
    """Of the document's bytes (of a decision: its bundle), lowercase hex."""

    at: datetime
    name: str
    """What people know the document by, e.g. a run id."""

    environment: str | None = None

    def to_bytes(self) -> bytes:
        """Compact JSON with sorted keys, in ASCII: the bytes that are logged.

        Raises:
            ValueError: a field does not fit into an entry.
        """
        value = {
            "at": rfc3339(self.at),
            "format": ENTRY_FORMAT,
            "kind": self.kind.value,
            "name": self.name,
            "sha256": self.sha256,
            **({} if self.environment is None else {"environment": self.environment}),
        }
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
        if read_entry(data) != self:
            raise ValueError("a time to the microsecond is kept, and this one is finer")
        return data


def entry_name(text: str) -> str:
    """`text` as the name of an entry: white space and control characters as one space, cut where it is too long."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= MAX_NAME else words[: MAX_NAME - 1] + "…"


def known_entry(data: bytes) -> LogEntry | None:
    """The entry in these bytes; None: it is another program's, which may stand in a log beside ours."""
    try:
        return read_entry(data)
    except EvidenceError:
        return None


def read_entry(data: bytes, where: str = "entry") -> LogEntry:
    """The entry in its bytes, in the one spelling there is.

    Raises:
        EvidenceError: anything else; the message begins with `where`.
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise EvidenceError(f"{where}: expected at most {MAX_ENTRY_BYTES} bytes, got {len(data)}")
    try:
        value = strictjson.loads(data)
        entry = _entry(value)
    except (ValueError, TypeError) as exc:
        raise EvidenceError(f"{where}: expected a log entry: {exc}") from None
    if json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") != data:
        raise EvidenceError(f"{where}: expected compact JSON with sorted keys")
    return entry


def _entry(value: Any) -> LogEntry:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    fields = set(value)
    if not fields >= _FIELDS or fields - _FIELDS - {"environment"}:
        odd = sorted(fields ^ _FIELDS)
        raise ValueError(f"missing or unknown field {odd[0]!r}")
    if type(value["format"]) is not int or value["format"] != ENTRY_FORMAT:
        raise ValueError(f"expected format {ENTRY_FORMAT}, got {value['format']!r}")
    if not isinstance(value["sha256"], str) or _DIGEST.fullmatch(value["sha256"]) is None:
        raise ValueError(f"expected a SHA-256 in lowercase hex, got {value['sha256']!r}"[:160])
    texts = {name: value[name] for name in ("name", "environment") if name in value}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_NAME or not text.isprintable():
            raise ValueError(f"expected {name} as a text of at most {MAX_NAME} printable characters")
    at = parse_rfc3339(value["at"])
    if rfc3339(at) != value["at"]:
        raise ValueError(f"expected a time such as {rfc3339(at)}, got {value['at']!r}")
    return LogEntry(EntryKind(value["kind"]), value["sha256"], at, value["name"], value.get("environment"))
