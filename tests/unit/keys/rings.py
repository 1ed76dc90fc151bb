"""Key rings for tests, and a log that keeps its entries in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_cutover.keys.ring import KeyRing
from pytest_cutover.keys.trust import load_trust, trust_entry
from pytest_cutover.keys.verifier import KeyKind

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.keys.ring import Rotated
    from pytest_cutover.keys.trusted import TrustedKey

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GRACE = timedelta(days=30)
ORIGIN = "log.example.org/cutover"


@dataclass
class MemoryLog:
    """Entries in the order in which they came."""

    entries: list[Any] = field(default_factory=list)
    origin: str = ORIGIN

    def append(self, keyid: str, event: str, at: datetime) -> int:
        return self.put((keyid, event, at))

    def put(self, entry: Any) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1


@dataclass
class Ringed:
    """A ring, its trust file and its log."""

    folder: Path
    log: MemoryLog = field(default_factory=MemoryLog)

    @property
    def ring(self) -> KeyRing:
        return KeyRing(self.folder / "ring")

    @property
    def trust(self) -> Path:
        return self.folder / "trust.json"

    def begin(self, kind: KeyKind = KeyKind.ED25519, **changes: Any) -> Ringed:
        self.ring.begin(kind)
        entry = trust_entry(self.ring.signer().public, name="release", person="Ada", roles=("decision",))
        self.trust.write_text(json.dumps({"format": 1, "keys": [{**entry, **changes}]}))
        return self

    def rotate(self, at: datetime = NOW, **changes: Any) -> Rotated:
        return self.ring.rotate(self.trust, self.log, **{"grace": GRACE, "at": at, **changes})

    def keys(self) -> dict[str, TrustedKey]:
        return {key.name: key for key in load_trust(self.trust).keys}

    def active(self) -> TrustedKey:
        """The entry of the key that the ring signs with."""
        keyid = self.ring.signer().keyid
        return next(key for key in load_trust(self.trust).keys if key.keyid == keyid)
