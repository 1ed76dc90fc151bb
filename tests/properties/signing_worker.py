"""A process that signs, logs and verifies while somebody rotates its key: `python -m … FOLDER NAME`.

Prints a JSON line for each signature: where the log holds it, and whether it is one that counts or was superseded by
a rotation. Ends when the file `stop` is in FOLDER. What is refused of its own good signatures it prints as `refused`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.keys.position import LogPosition
from pytest_cutover.keys.ring import KeyRing
from pytest_cutover.keys.signer import load_private_key, sign_logged
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.entry import EntryKind, LogEntry
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner

if TYPE_CHECKING:
    from pytest_cutover.keys.signer import Signer

ORIGIN = "log.example.org/cutover"


def open_log(folder: Path) -> Log:
    signer = NoteSigner(ORIGIN, load_private_key(folder / "log.pem"))
    return Log(FolderObjects(folder / "log"), ORIGIN, signer)


def digest(signed: dict[str, Any]) -> str:
    """What the log holds of a signature."""
    return hashlib.sha256(f"{signed['keyid']} {signed['message']} {signed['sig']}".encode()).hexdigest()


def counts(folder: Path, signed: dict[str, Any]) -> bool:
    """Whether a verifier accepts the signature now, where the log holds it."""
    position = LogPosition(ORIGIN, signed["index"])
    keys = load_trust(folder / "trust.json").verifiers(
        role="decision", environment="production", at=datetime.now(UTC), position=position
    )
    message, sig = signed["message"].encode(), bytes.fromhex(signed["sig"])
    return any(key.keyid == signed["keyid"] and key.verify(message, sig) for key in keys)


def signature(signer: Signer, message: str) -> dict[str, Any]:
    return {"keyid": signer.keyid, "message": message, "sig": signer.sign(message.encode()).hex()}


def append(log: Log, signed: dict[str, Any]) -> int:
    entry = LogEntry(EntryKind.DECISION, digest(signed), datetime.now(UTC), signed["message"])
    return log.append([entry.to_bytes()]).first


def work(folder: Path, name: str) -> None:
    ring, log = KeyRing(folder / "ring"), open_log(folder)
    kept: list[dict[str, Any]] = []
    for serial in itertools.count():
        if (folder / "stop").exists():
            return
        made: list[dict[str, Any]] = []

        def sign(signer: Signer, message: str = f"{name} {serial}") -> dict[str, Any]:
            return signature(signer, message)

        def put(signed: dict[str, Any], made: list[dict[str, Any]] = made) -> int:
            signed["index"] = append(log, signed)
            made.append(signed)
            return int(signed["index"])

        good, _ = sign_logged(ring.signer(), sign, put)
        kept.append(good)
        for signed in made:
            print(json.dumps({**signed, "good": signed is good}), flush=True)
        for old in (good, kept[len(kept) // 2]):  # what was signed just now, and some time ago
            if not counts(folder, old):
                print(json.dumps({**old, "refused": True}), flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
