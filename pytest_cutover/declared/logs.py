"""What a command said, kept: with the run's evidence, and by day below var/cutover/logs for people."""

from __future__ import annotations

import shutil
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.gate import Gate

LOG_ROOT = Path("var/cutover/logs")

KEPT_BYTES = 1 << 20
"""Of each stream; of more, its beginning and its end are kept, and how much is missing is said."""


def text_of(head: dict[str, str], stdout: bytes, stderr: bytes) -> str:
    """The log of one command: what it was, how it ended, what it printed on each stream."""
    parts = [f"# {name}: {value}\n" for name, value in head.items()]
    for name, output in (("stdout", stdout), ("stderr", stderr)):
        text = _cut(output).decode("utf-8", "backslashreplace")
        end = "" if not text or text.endswith("\n") else "\n"
        parts.append(f"--- {name}, {len(output)} bytes\n{text}{end}")
    return "".join(parts)


def _cut(output: bytes) -> bytes:
    missing = len(output) - KEPT_BYTES
    if missing <= 0:
        return output
    half = KEPT_BYTES // 2
    return output[:half] + b"\n[%d bytes are not kept]\n" % missing + output[-half:]


def keep(gate: Gate, text: str, root: Path, began: datetime) -> str:
    """Attach `text`, redacted, to the gate, and copy it to the day's logs; the path of that, for people.

    Raises:
        MeasurementError: too much to be attached.
        AdapterError: it cannot be written.
    """
    kept = gate.attach("output.log", text)
    moment = began.astimezone(UTC)
    digest = gate.attachments[-1]["sha256"]
    place = LOG_ROOT / f"{moment:%Y-%m-%d}" / f"{moment:%H%M%S}Z-{gate.info.id}-{digest[:8]}.log"
    if kept is not None:
        _copy(kept, root / place)
    return place.as_posix()


def _copy(kept: Path, place: Path) -> None:
    # Not a second name of one file: whoever rotates logs would change the evidence.
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, place)
    except OSError as exc:
        raise AdapterError(
            f"cannot keep the output at {place}: {exc.strerror or exc}",
            hint="is the disk full, or var/cutover/logs read-only?",
        ) from exc
