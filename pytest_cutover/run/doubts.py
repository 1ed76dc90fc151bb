"""Why those who verify with a trust file would not believe what a key signs. A gate is not held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.trusted import TrustedKey
    from pytest_cutover.keys.verifier import PublicKey


def key_that_decides(anchor: Anchor, keyid: str, environment: str, at: datetime) -> TrustedKey | None:
    """The trusted key with that id, if its decisions count there and then.

    Raises:
        ValueError: `at` is naive.
    """
    found = anchor.verifiers(role="decision", environment=environment, at=at)
    return next((key for key in found if key.keyid == keyid), None)


def doubt_of_key(anchor: Anchor, keyid: str, environment: str, at: datetime) -> str | None:
    """Why no decision of that key counts there and then; None: it does.

    Raises:
        ValueError: `at` is naive.
    """
    if key_that_decides(anchor, keyid, environment, at) is not None:
        return None
    return f"the key {keyid[:16]} may not decide in {environment}, says {anchor.where}"


def doubt_of_log_key(
    anchor: Anchor, origin: str, public: PublicKey, environment: str, at: datetime
) -> str | None:
    """Why no checkpoint of the log `origin` counts there and then when that key signs it; None: it does.

    Raises:
        ValueError: `at` is naive.
    """
    from pytest_cutover.tlog.known import log_keys
    from pytest_cutover.tlog.note import NoteVerifier

    known = {(key.name, key.key_id) for key in log_keys(anchor, at, environment=environment)}
    if (origin, NoteVerifier(origin, public).key_id) in known:
        return None
    return f"the key of the log {origin} is none for {environment}, says {anchor.where}"
