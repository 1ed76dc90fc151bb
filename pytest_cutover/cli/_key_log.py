"""The transparency log that key events go into."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli._policy_place import open_place
from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.keys.trusted import EVERYWHERE
from pytest_cutover.model import LOCAL_LOG
from pytest_cutover.run.logged import open_run_log
from pytest_cutover.tlog.entry import MAX_NAME, EntryKind, LogEntry

if TYPE_CHECKING:
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.tlog.log import Log


@dataclass(frozen=True, slots=True)
class KeyEventLog:
    """A log, as the key ring needs it: an entry names a key by its id, which is the SHA-256 of its public half."""

    objects: ObjectStore
    origin: str
    trust: Path

    @classmethod
    def at(cls, place: str, origin: str | None, trust: Path, keyid: str) -> KeyEventLog:
        """The log at `place` (a folder or s3://…), named `origin`, or as the trust file names its one log.

        It is opened once now, so that a log that is away is said before anything has changed.

        Raises:
            ConfigError: several logs to choose from, or no key to sign with.
            CutoverError: what is there cannot be used.
        """
        found = cls(open_place(place, str(trust)), origin or _origin(load_trust(trust)), trust)
        found._open(keyid)
        return found

    def append(self, keyid: str, event: str, at: datetime) -> int:
        """The index of the event, which is in the log for good when this returns."""
        text = "".join(c if c.isprintable() else " " for c in event)[:MAX_NAME]
        # Opened anew: when the log's own key is rotated, the entry that says so is signed with the next one.
        return self._open(keyid).append([LogEntry(EntryKind.KEY, keyid, at, text).to_bytes()]).first

    def _open(self, keyid: str) -> Log:
        anchor = load_trust(self.trust)
        key = next((k for k in anchor.keys if k.keyid == keyid), None)
        opened = open_run_log(
            self.objects,
            self.origin,
            Path(),
            os.environ,
            anchor,
            environment=EVERYWHERE if key is None else min(key.environments),
            now=datetime.now(UTC),
            say=lambda text: print(text, file=sys.stderr),
        )
        if opened.rewritten is not None:
            raise ConfigError(
                f"{self.objects.where}: the log does not go on from where it was seen: {opened.rewritten}",
                hint="treat it as tampering: cutover log audit says where they part",
            )
        return opened.log


def _origin(anchor: Anchor) -> str:
    named = sorted({k.origin for k in anchor.keys if k.origin is not None and k.has_role("log")})
    if len(named) > 1:
        raise ConfigError(
            f"{anchor.where} names several logs: {', '.join(named)}", hint="say which one: --origin NAME"
        )
    return named[0] if named else LOCAL_LOG
