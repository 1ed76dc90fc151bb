"""The problem codes of `cutover log verify` and `audit`: why a log is not what it says.

Codes are stable: never renamed or reused, only added.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class LogProblemCode(Enum):
    """What is wrong."""

    CHECKPOINT_MISSING = "log.checkpoint-missing"
    CHECKPOINT_INVALID = "log.checkpoint-invalid"
    ROOT = "log.root"
    TILE_MISSING = "log.tile-missing"
    TILE_CHANGED = "log.tile-changed"
    ENTRIES_MISSING = "log.entries-missing"
    ENTRIES_CHANGED = "log.entries-changed"
    FILE_UNKNOWN = "log.file-unknown"
    PINNED_INVALID = "log.pinned-invalid"
    ROLLED_BACK = "log.rolled-back"
    FORKED = "log.forked"
    NOT_LOGGED = "log.not-logged"


@dataclass(frozen=True, slots=True)
class LogProblem:
    """One thing wrong with a log, and where."""

    code: LogProblemCode
    message: str
    where: str

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code.value, "message": self.message, "where": self.where}
