"""Four processes sign and verify while the key is rotated again and again, and a thief has every old key.

5 rotations, or 100 under CUTOVER_SOAK=1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.keys.ring import KeyRing, retire
from pytest_cutover.keys.signer import generate, load_private_pem, write_new_private
from pytest_cutover.keys.trust import load_trust, trust_entry
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.tlog.entry import EntryKind, LogEntry, read_entry
from tests.properties.cases import SOAK
from tests.properties.signing_worker import ORIGIN, append, counts, digest, open_log, signature

if TYPE_CHECKING:
    from pytest_cutover.keys.signer import PemSigner
    from pytest_cutover.tlog.log import Log

ROTATIONS = 100 if SOAK else 5
ROOT = Path(__file__).parents[2]
PROCESSES = 4
GRACE = timedelta(days=30)


class Events:
    """The log, for key events."""

    origin = ORIGIN

    def __init__(self, log: Log) -> None:
        self.log = log

    def append(self, keyid: str, event: str, at: datetime) -> int:
        return self.log.append([LogEntry(EntryKind.KEY, keyid, at, event).to_bytes()]).first


def begin(folder: Path) -> KeyRing:
    write_new_private(folder / "log.pem", generate(KeyKind.ED25519))
    ring = KeyRing(folder / "ring")
    ring.begin(KeyKind.ED25519)
    entry = trust_entry(ring.signer().public, name="release")
    (folder / "trust.json").write_text(json.dumps({"format": 1, "keys": [entry]}))
    Events(open_log(folder)).append(ring.active(), "added", datetime.now(UTC))
    return ring


def rotate(folder: Path, ring: KeyRing, log: Log) -> list[PemSigner]:
    """All old keys, which a thief has copied while they were active."""
    stolen = []
    for _ in range(ROTATIONS):
        await_entries(log, PROCESSES)
        keyid = ring.active()
        pem = (ring.folder / f"{keyid[:16]}.pem").read_bytes()
        stolen.append(load_private_pem(pem, where="a copy"))
        ring.rotate(folder / "trust.json", Events(log), grace=GRACE, at=datetime.now(UTC))
    return stolen


def await_entries(log: Log, more: int) -> None:
    """Let the others log that many: so that every key is used."""
    wanted, until = log.checkpoint().size + more, time.monotonic() + 60
    while log.checkpoint().size < wanted:
        assert time.monotonic() < until, "nobody signs any more"
        time.sleep(0.002)


def signed_by_all(folder: Path, ring: KeyRing, log: Log) -> tuple[list[dict[str, Any]], list[PemSigner]]:
    """What the processes printed while the key was rotated, and the old keys."""
    command = [sys.executable, "-m", "tests.properties.signing_worker", str(folder)]
    # Into files: a pipe that nobody reads stops its writer.
    told = [folder / f"worker{n}.out" for n in range(PROCESSES)]
    workers = []
    for out in told:
        with out.open("w") as file:
            workers.append(
                subprocess.Popen(
                    [*command, out.stem], cwd=ROOT, stdout=file, stderr=subprocess.PIPE, text=True
                )
            )
    try:
        stolen = rotate(folder, ring, log)
    finally:
        (folder / "stop").touch()
        errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [w.returncode for w in workers] == [0] * PROCESSES, errors
    return [json.loads(line) for out in told for line in out.read_text().splitlines()], stolen


@pytest.mark.timeout(600)
def test_no_good_signature_is_refused_and_none_of_an_old_key_accepted(tmp_path: Path) -> None:
    ring, log = begin(tmp_path), open_log(tmp_path)
    lines, stolen = signed_by_all(tmp_path, ring, log)
    good = [line for line in lines if line.get("good")]

    assert [line for line in lines if line.get("refused")] == []
    assert [line for line in good if not counts(tmp_path, line)] == []
    assert len({line["keyid"] for line in good}) > ROTATIONS // 2, "the keys were rotated beside the work"
    entries = [read_entry(data).sha256 for data in log.entries(0, log.checkpoint().size)]
    assert [entries[line["index"]] for line in good] == [digest(line) for line in good]

    theirs = [signature(key, "GO") for key in stolen]
    for forged in theirs:
        forged["index"] = append(log, forged)
    assert [forged for forged in theirs if counts(tmp_path, forged)] == []

    for key in load_trust(tmp_path / "trust.json").keys:
        if key.state is KeyState.GRACE:
            retire(tmp_path / "trust.json", key.keyid, at=datetime.now(UTC), log=None)
    left = {line["keyid"] for line in lines if counts(tmp_path, line)}
    assert left <= {ring.active()}
